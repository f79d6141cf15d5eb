# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 · Conditional GAN
#
# Ask a GAN for a kind of clothes and get it in one stroke, mix two kinds by a slider, and see why the discriminator, not the generator, decides whether
# a label is obeyed.
#
# <!-- Colab badge: stamped once the repository's address is set -->
#
# This chapter builds on chapters 01 (the game, and its best discriminator) and 02 (DCGAN: the pair of networks); R1, the constraint that we train with, is from chapter 01.
# How long it takes stands in the README's table.

# %% tags=["setup"]
# Does nothing where Vision-101 is installed; elsewhere, as in Colab, it installs it.
import importlib.util, os, subprocess, sys
SOURCE = ""
if importlib.util.find_spec("v101_utils") is None:
    address = os.environ.get("V101_SOURCE") or SOURCE
    if not address:
        raise RuntimeError('Vision-101 is not installed. Say where it comes from, os.environ["V101_SOURCE"] = '
                           '"git+https://HOST/OWNER/REPO" or a folder with a copy of it, and run this cell again.')
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", address], check=True)
    importlib.invalidate_caches()

# %%
import math

import matplotlib.pyplot as plt
import torch
from torch.nn import functional as F

from v101_utils import runtime, zoo
from v101_utils.data import CLASSES, Batches, fashion_mnist, to_unit
from v101_utils.gans import R1, AdversarialTask, Discriminator, Generator
from v101_utils.metrics.divergences import jensen_shannon
from v101_utils.metrics.labelled import class_diversity, confusion
from v101_utils.training import Ema, fit
from v101_utils.view import curves, grid, rows, running_mean, source, use_style
from v101_utils.view.tables import tables

runtime.set_up(seed=0)
use_style()
here = runtime.device()

# %% [markdown]
# ## The picture first
#
# A network that ships with this project. Each **column** is a class that we asked for; each **row** is one latent, one vector $z$ of 64 normal numbers, used ten times. So go along a row to see what changes with
# the class alone, and down a column to see what changes with the latent alone.

# %%
model, card = zoo.load("cgan-fashion", device=here), zoo.card("cgan-fashion")
print(card["steps"], "steps,", card["seconds"], "seconds on", card["machine"], "on", card["date"], "seed", card["seed"])
ten = torch.arange(10)


def columns(generator, latents):
    """Images (10 * N, 1, 28, 28) of latents (N, D): ten classes for each, one after another."""
    return generator.draw(latents.repeat_interleave(10, 0), ten.repeat(len(latents)))


grid(columns(model, model.latents(6, seed=1)), columns=10, heads=CLASSES)

# %% [markdown]
# The label says *what*; what is left for the latent is *how*: keep an eye on the shade along a row. We measure below how much of it is shared between classes.
#
# ## The idea
#
# The GAN of chapter 02 draws clothes, but nobody can say which. Give the generator a label $y$ beside its latent, $G(z,y)$, and it *could* draw the class that we ask for. Why would it? The only thing that a generator ever wants is a good score from the discriminator.
# So the label has to be a matter of the score, and the discriminator must see it too: it is shown a picture **and** a label, $D(x,y)$, and asked whether this is a real picture *with its own label*, or a drawn one with the label it was drawn for.
#
# Now a perfect bag under the label "dress" is a bad fake. There were no bags among the real pictures with that label, and the discriminator will find out.
#
# ### The game
#
# Labels come from the data, $y\sim p(y)$; real pictures from $p(x\mid y)$; drawn ones, $G(z,y)$ with fresh $z$, have some distribution that we call $q(x\mid y)$. The game of chapter 01, played once for each label and averaged (Mirza and Osindero 2014):
#
# $$\min_G\max_D\ V(D,G)=\mathbb E_{y\sim p(y)}\Big[\ \mathbb E_{x\sim p(x\mid y)}\log D(x,y)+\mathbb E_{z}\log\big(1-D(G(z,y),y)\big)\ \Big].$$
#
# For a fixed generator the best discriminator is found point by point, as in chapter 01. At the pair $(x,y)$ the integrand is $p(y)\,\big[p(x\mid y)\log D+q(x\mid y)\log(1-D)\big]$, which is largest at
#
# $$D^*(x,y)=\frac{p(x\mid y)}{p(x\mid y)+q(x\mid y)},\qquad
#   V(D^*,G)=-\log4+2\ \mathbb E_{y}\,\mathrm{JS}\big(p(\cdot\mid y)\ \|\ q(\cdot\mid y)\big).$$
#
# JS is the Jensen-Shannon divergence, never below 0, and 0 only for equal distributions. So the generator's best is $q(x\mid y)=p(x\mid y)$ **for every label** that ever comes up, where $D^*=\tfrac12$ everywhere and the game's value is $-\log 4$. Note that $p(y)$ has cancelled.
# It does so because real and drawn pictures come with the same labels: the package hands the batch's own labels to the generator.
#
# ### Check: the best discriminator, and what a blind one would miss
#
# A world so small that it fits in a table: three labels (rows), and pictures that are one of four values (columns). The generator makes the worst mistake that leaves every picture perfect: it has the three labels **shuffled**.

# %%
p = torch.tensor([[0.70, 0.20, 0.05, 0.05], [0.10, 0.60, 0.20, 0.10], [0.05, 0.05, 0.30, 0.60]], dtype=torch.float64)  # p(x|y)
q = p[[1, 2, 0]]  # q(x|y): each label draws what another should
best = p / (p + q)
tables({"p(x|y), data": p, "q(x|y), generator": q, "D*(x, y)": best}, list("1234"), list("abc"), "picture x", "label y", cell=0.5)
plt.show()

# %% [markdown]
# The two left tables have the same rows in another order. $D^*$ is dark where, *under this label*, a picture is more common in the data than among the drawn ones. The formula is checked against an optimiser that knows nothing of it: it turns the twelve logits
# of $D$ until $V$ no longer grows.

# %%
# NBVAL_CHECK_OUTPUT
def value(logits, p, q):
    """V(D, G) for tables p(x|y), q(x|y) and D's logits (labels, pictures), labels being equally likely."""
    return (p * F.logsigmoid(logits) + q * F.logsigmoid(-logits)).sum(1).mean()


logits = torch.zeros_like(p, requires_grad=True)
optimiser = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-10, line_search_fn="strong_wolfe")


def closure():
    optimiser.zero_grad()
    loss = -value(logits, p, q)
    loss.backward()
    return loss


optimiser.step(closure)
for found, formula in zip(logits.detach().sigmoid().tolist(), best.tolist()):
    print("optimiser", *[f"{v:.3f}" for v in found], "  formula", *[f"{v:.3f}" for v in formula])

# %% [markdown]
# And the value of the game, for a generator that is right, for the one with shuffled labels, and for one that draws the same mixture whatever it is asked. Beside it is what a discriminator **without** the label would make of them: it sees only
# the marginal, $p(x)=\sum_y p(y)\,p(x\mid y)$.

# %%
# NBVAL_CHECK_OUTPUT
def js(p, q):
    return jensen_shannon(p.log().flatten(), q.log().flatten(), 1.0).item()  # spacing 1: sums instead of integrals


for name, q in {"right": p, "labels shuffled": p[[1, 2, 0]], "label ignored": p.mean(0).expand(3, 4)}.items():
    joint, marginal, V = js(p / 3, q / 3), js(p.mean(0), q.mean(0)), value((p / q).log(), p, q).item()
    print(f"{name:16} V(D*, G) {V:.4f} = -log 4 + 2 · {joint:.4f} = {2 * joint - math.log(4):.4f}   "
          f"without labels: JS {marginal:.4f}")

# %% [markdown]
# The last column is the whole lesson: to a discriminator without labels all three are **perfect**. It gives no gradient towards obedience, since there is nothing to be gained. (The middle number is computed as the JS between the *joint* distributions of pairs $(x,y)$: where data and
# generator have the same label frequencies, whatever these are, it is the average over labels.)
#
# ## How the label enters the generator
#
# A label is a name, and a network wants numbers. Writing it as one number, 0 to 9, would say that a sneaker (7) lies between a shirt (6) and a bag (8). So each class gets a row of numbers of its own, learned like any weight: an **embedding**. Looking up row $y$ of a table $E$ is
# the same as multiplying the one-hot vector of $y$ with $E$:
#
# $$e_y=\mathrm{onehot}(y)^\top E,\qquad\text{and for shares } s_1,\dots,s_K:\quad e=\sum_k s_k\,e_k.$$
#
# The second form asks for what is no class at all: half a trouser and half a bag. The package's generator takes either.

# %%
source(Generator.embedding)

# %% [markdown]
# The generator then puts embedding and latent side by side and goes on as in chapter 02: **concatenation**.

# %%
source(Generator.forward)

# %% [markdown]
# ### Check: lookup, product, and what concatenation is
#
# The first layer is linear. So concatenation is the same as a layer for $z$ alone plus a row that depends on the class alone: with $W=[A\ B]$,
#
# $$W\begin{bmatrix}z\\e_y\end{bmatrix}=A\,z+B\,e_y .$$
#
# The label **shifts** the first layer's result. All that it can do beyond that it must do by way of the nonlinear layers behind.

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
little = Generator(width=8, classes=10).double()
z, y = torch.randn(4, 64, dtype=torch.float64), torch.tensor([3, 8, 8, 0])
by_lookup, by_product = little.embed(y), F.one_hot(y, 10).double() @ little.embed.weight
print("one-hot times table equals lookup:", torch.allclose(by_product, by_lookup))
half = (F.one_hot(torch.tensor([1]), 10).double() + F.one_hot(torch.tensor([8]), 10).double()) / 2
print("half and half is the midpoint:    ", torch.allclose(half @ little.embed.weight, little.embed.weight[[1, 8]].mean(0)))
W = little.layers[0].weight.flatten(1)  # (2 * 64, outputs): rows for z, then rows for the embedding
first = little.layers[0](torch.cat([z, by_lookup], 1)[:, :, None, None]).flatten(1)
print("first layer is A z + B e:         ", torch.allclose(first, z @ W[:64] + by_lookup @ W[64:]))

# %% [markdown]
# ## How the label enters the discriminator
#
# **Concatenation** (Mirza and Osindero 2014). For pictures: an embedding of as many numbers as there are pixels is painted beside the image, as one more channel. The network has to find out by itself what the two have to do with each other.
#
# **Projection** (Miyato and Koyama 2018). Start from what the *best* discriminator looks like. Its logit is a log ratio, and a ratio of pairs splits in two:
#
# $$\log\frac{D^*}{1-D^*}=\log\frac{p(x,y)}{q(x,y)}=\underbrace{\log\frac{p(y\mid x)}{q(y\mid x)}}_{\text{does it fit the label?}}+\underbrace{\log\frac{p(x)}{q(x)}}_{\text{is it clothes at all?}}$$
#
# What shape does the first part have? Say that "which class is this?" can be told by a softmax on some features $\phi(x)$, as every classifier does, for real and drawn pictures with different weights:
# $p(y\mid x)=\exp(v_y^{p}\cdot\phi(x))/Z^p(x)$, and $q$ likewise, $Z$ being the sums that make each add up to 1. Then
#
# $$\log\frac{p(y\mid x)}{q(y\mid x)}=\underbrace{(v^p_y-v^q_y)}_{v_y}\cdot\,\phi(x)\ -\ \log\frac{Z^p(x)}{Z^q(x)} .$$
#
# Only the first term knows the label, and it is an **inner product** of a row for $y$ with features of $x$. Everything else depends on $x$ alone: one number, for which there is the discriminator's usual output $\psi$. Together,
#
# $$f(x,y)=v_y\cdot\phi(x)+\psi(\phi(x)).$$
#
# An embedding $v_y$, one product, one sum. The features do not know the label; the last step does. Both ways stand in the package:

# %%
source(Discriminator.forward)

# %% [markdown]
# ### Check: the projection form is exact for log-linear classes
#
# Eight pictures with three random features each, six labels, random weights. From them the tables of $p$ and $q$, and from those the best logit for each pair. If the derivation is right, then what depends on the label, the logit less its mean over labels, is a product of
# an 8×3 and a 3×6 matrix: no more than three of its singular values are above zero, and the features explain all of it. Below, the same for tables without any structure.

# %%
# NBVAL_CHECK_OUTPUT
draw = lambda seed, *shape: torch.randn(*shape, generator=runtime.generator(seed), dtype=torch.float64)
features = draw(1, 8, 3)  # phi(x)


def best_logit(class_logits_p, class_logits_q):  # (8, 6) each: log p(y|x) up to a constant of x, log q(y|x) likewise
    log_p = class_logits_p.log_softmax(1) + draw(2, 8, 1).log_softmax(0)  # log p(x, y) = log p(y|x) + log p(x)
    log_q = class_logits_q.log_softmax(1) + draw(3, 8, 1).log_softmax(0)
    return log_p - log_q


for name, logits in {
    "log-linear": best_logit(features @ draw(4, 3, 6), features @ draw(5, 3, 6)),
    "any tables": best_logit(draw(6, 8, 6), draw(7, 8, 6)),
}.items():
    of_label = logits - logits.mean(1, keepdim=True)
    unexplained = of_label - features @ torch.linalg.lstsq(features, of_label).solution
    print(f"{name}: singular values", *[f"{v:.3f}" for v in torch.linalg.svdvals(of_label)[:5]],
          f"  left over {unexplained.norm() / of_label.norm():.3f}")

# %% [markdown]
# In the first line the inner product is no approximation: as far as the label is concerned it *is* the best discriminator, and what is left is one number for each picture, for a $\psi$ that is flexible enough. (The package's $\psi$ is a single linear layer, as in the paper, and the learned features have to make up for that.) In the second it cannot be, with three features. A real network learns its features, many of them (here 3,136), such that classes become as good as linear in them. That is an assumption about the task, put into
# the shape of the network; concatenation assumes nothing and has to learn it all.
#
# (There is a third way: let the discriminator also *guess* the class, and reward the generator for pictures that are guessed right: AC-GAN, Odena et al. 2017. It is a different game, and one that prefers pictures that are easy to tell over pictures that are true.)
#
# ## Training, live
#
# Both discriminators, from the same seed, against generators with the same start. Non-saturating loss, no normalisation in the discriminator, and R1 at every fourth step. The pictures are those of an average of the generator's recent weights (`Ema`, chapter 06): one latent for all
# ten columns in the upper row, another in the lower one. And at some steps we ask a classifier, which is no part of the game: what share of the pictures is of the class that was asked for?

# %%
train, test = (fashion_mnist(part, source="shipped", device=here) for part in ("train", "test"))
steps = runtime.pick(ci=4, laptop=400, gpu=4000)
early = {10, 20, 30, 40, 60, 80}
probes = runtime.pick(ci={2, 4}, laptop=early | {*range(100, 401, 50)}, gpu=early | {*range(100, 4001, 100)})
asked = torch.arange(runtime.pick(ci=20, laptop=400, gpu=1000)) % 10
aligned = Batches(train.images, train.labels, size=64)


def game(kind=Discriminator, task=AdversarialTask, **settings):
    """A generator and a discriminator of that kind, both from the same seed, and the task to train them."""
    torch.manual_seed(0)
    generator, judge = Generator(width=32, classes=10), kind(width=32, norm="none", **settings)
    return task(generator, judge, constraint=R1(0.3, every=4), rates=(1.5e-3, 1.5e-3), betas=(0.0, 0.99))


# %%
def play(task, steps, batches=aligned, look=()):
    """Trains; the averaged generator, both losses by step, and the share of labels right at the `probes`."""
    ema, losses, right = Ema(task.generator, 0.98), [], {}
    for step in fit(task, batches, steps, ema=ema, progress=bool(look)):
        losses.append([step.scalars[name] for name in ("discriminator", "generator")])
        if step.number in probes:
            right[step.number] = zoo.recipes.label_accuracy(ema.average.sample(len(asked)).cpu(), asked)
        if step.number in look:
            display(rows({f"step {step.number}": columns(ema.average, ema.average.latents(2, seed=3))}, heads=CLASSES))
    return ema.average, torch.tensor(losses), right


# %%
look = (steps // 8, steps // 4, steps // 2, steps)
projection, losses_p, right_p = play(game(classes=10, condition="projection"), steps, look=look)

# %%
concatenation, losses_c, right_c = play(game(classes=10, condition="concatenation"), steps, look=look)

# %%
figure, panels = plt.subplots(1, 3, figsize=(11, 3.2))
for axes, i, name in ((panels[0], 0, "discriminator's loss"), (panels[1], 1, "generator's loss")):
    smooth = {way: running_mean(losses[:, i]) for way, losses in (("projection", losses_p), ("concatenation", losses_c))}
    curves(range(steps), smooth, "step", "mean of 20 steps", name, axes)
panels[0].axhline(math.log(4), color="black", ls=":")
lines = {"projection": right_p.values(), "concatenation": right_c.values()}
curves(list(right_p), lines, "step", "share", "labels right", panels[2], marker=".")
panels[2].axhline(0.1, color="black", ls=":")
panels[2].set_ylim(0, 1)
figure.tight_layout()
plt.show()

# %% [markdown]
# The dotted line on the left is $\log 4$, the loss of a discriminator that cannot tell (a loss is what one minimises, so it is $-V$). On the right it is chance. **The class is learned first**: by step 100 the classifier recognises most of what was asked for, at a time when the pictures
# are no more than blurs of the right outline. After that the share gains little, though the pictures become a great deal better. So "labels right" says whether the label is obeyed, not whether the picture is good. For that we need two more measures, as in chapter 08.
#
# * The **Fréchet distance** from the training pictures (not comparable with the FID of papers).
# * **Diversity**: how different are two pictures *of one class*, 1 minus the cosine of their features in the classifier, averaged over all pairs? A network that draws one perfect bag again and again obeys every label and has a diversity of 0. We print it as a part of that of real pictures. Well above 1 it is no merit: then the pictures asked for as one class are of several, or of none.

# %%
judge = zoo.load("classifier-fashion", device=here)
frechet = zoo.recipes.fashion_frechet(runtime.pick(ci=200, laptop=None, gpu=None))
count = runtime.pick(ci=20, laptop=2000, gpu=2000)
wanted = torch.arange(count) % 10


@torch.no_grad()
def measure(images):  # (count, 1, 28, 28), label i % 10 -> Fréchet distance, recognised classes (count,), diversity (10,)
    features = torch.cat([judge.features(part.to(here)) for part in images.split(500)])
    return frechet(to_unit(images.cpu())), judge.head(features).argmax(1).cpu(), class_diversity(features.cpu(), wanted)


# %%
by_class = [test.images[test.labels == c][: count // 10] for c in range(10)]
real = measure(torch.stack(by_class, 1).flatten(0, 1))


def report(name, measured):
    """One line: Fréchet distance, share of labels right, and diversity as a part of that of real pictures."""
    distance, found, diversity = measured
    print(f"{name:20} Fréchet distance {distance:6.1f}, labels right {(found == wanted).float().mean():.3f}, "
          f"diversity {diversity.mean() / real[2].mean():.2f}")


report("real test pictures", real)
report("projection", measure(projection.sample(count, seed=2)))
report("concatenation", measure(concatenation.sample(count, seed=2)))

# %%
rows({name: columns(generator, generator.latents(3, seed=4))
      for name, generator in {"projection": projection, "concatenation": concatenation}.items()}, label_width=120, heads=CLASSES)

# %% [markdown]
# Three rows are three latents. First look *along* a row: are the classes told apart? Then *down* a column: are the three pictures of one class different in more than their shade? Read the diversity above beside it, and hold both against the pictures at the top of this chapter. A network that obeys its labels so early has
# learned outlines, and most of the training is still to come.
#
# The two losses are no marks. A loss near the dotted line says that this discriminator tells little apart: because there is little left to tell, or because it is weak. Here it is the second: the concatenation's loss is nearer to the line, and its pictures are further from the data. Which of the two ways ends better depends on data, size and patience; projection is the one that
# most large class-conditional GANs came to use. One short training of each does not decide it, and another seed moves the numbers by more than you would like.
#
# ## Real pictures under wrong labels
#
# So far the discriminator hears of labels in a roundabout way. As long as drawn pictures are poor it can tell them without a look at the label, and so it pays little attention to it. Reed and others (2016) show it a third kind of pair: a **real picture with a wrong label**, to be scored as a fake. Such a picture is real, so nothing but the label gives it away.
# In the package that is one number, `AdversarialTask(..., mismatched=λ)`: the weight of such pairs among the fakes. The paper takes a half.
#
# Is it still the same game? With labels equally likely, the pictures under a wrong label $y$ are a mixture of all other classes; call it $m(x\mid y)$. Fakes now come from $(1-\lambda)\,q+\lambda\,m$, and the best discriminator, found as above, is
#
# $$D^*(x,y)=\frac{p(x\mid y)}{p(x\mid y)+(1-\lambda)\,q(x\mid y)+\lambda\,m(x\mid y)} .$$
#
# A generator is at rest where all pictures that it draws score alike, and none that it leaves out would score better: where $\big((1-\lambda)\,q+\lambda\,m\big)/p$ is a constant $c_y$ over all that it draws, and $\lambda\,m/p$ alone is at least $c_y$ for the rest. So
#
# $$\boxed{\;q(x\mid y)=\frac{\max\big(0,\ c_y\,p(x\mid y)-\lambda\,m(x\mid y)\big)}{1-\lambda}\;}$$
#
# with $c_y$ such that it sums to 1. What decides is the ratio $m/p$: how common the picture is elsewhere, against how common it is here. Where the ratio is small, the picture's share grows, by the factor $c_y/(1-\lambda)$ at most. Where it is large, the share falls, and from $m/p=c_y/\lambda$ on the picture is drawn no more.
# Classes that share no picture have $c_y=1-\lambda$ and $q=p$: between them nothing changes. At the other end, where each picture of the other classes could be this one's too, and none is cut off, $c_y=1$ and
#
# $$q=p+\frac{\lambda}{1-\lambda}\,(p-m):$$
#
# the class, and some more of what sets it apart from the others. So the network draws **the plain cases of a class more often than the data do**, and those that could be another's more rarely or never, where classes overlap. (It draws no picture that the class does not have: where $p=0$, $q=0$.) Hold that against guidance, below and in chapter 08: it has another mechanism, and strikes a bargain of the same kind.
#
# ### Check: where that game comes to rest
#
# Three labels, five pictures, some of which go with two labels or all three, and $\lambda=\tfrac12$. A generator that is a table learns against the best discriminator, by gradients.

# %%
world = torch.tensor([[0.70, 0.20, 0.10, 0.00, 0.00], [0.00, 0.10, 0.50, 0.40, 0.00], [0.00, 0.00, 0.10, 0.20, 0.70]], dtype=torch.float64)
others = (world.sum(0) - world) / (len(world) - 1)  # m(x|y): the mean of the other rows
logits = torch.zeros_like(world, requires_grad=True)
optimiser = torch.optim.Adam([logits], lr=0.2)
for _ in range(2000):
    learned = logits.softmax(1)
    score = (world / (world + (learned.detach() + others) / 2)).clamp(min=1e-12).log()  # log D* for λ = 1/2 and the q of this step
    optimiser.zero_grad()
    (-(learned * score).sum()).backward()
    optimiser.step()
tables({"p(x|y), data": world, "m(x|y), of other labels": others, "q(x|y), learned": learned.detach()},
       list("12345"), list("abc"), "picture x", "label y", cell=0.5)
plt.show()

# %%
# NBVAL_CHECK_OUTPUT
low, high = torch.zeros(3, 1, dtype=torch.float64), torch.full((3, 1), 10.0, dtype=torch.float64)
for _ in range(60):  # c_y by halving: the larger it is, the larger is the sum
    middle = (low + high) / 2
    formula = (middle * world - others / 2).clamp(min=0) / (1 / 2)
    enough = formula.sum(1, keepdim=True) >= 1
    low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
print("learned is within 0.01 of the formula:", bool((learned - formula).abs().max() < 0.01))
for label, row, c in zip("abc", formula.tolist(), high[:, 0].tolist()):
    print(f"formula, {label}:", *[f"{value:.2f}" for value in row], f"  c = {c:.2f}")

# %% [markdown]
# Picture 3 is one in ten for label a, but half of label b's: a draws it no more. Picture 1 is a's own, and its share has grown. For label b picture 3 grows too, although a and c have it: there it is far more common than with them. It is the ratio that counts.
#
# ### The same, of clothes
#
# The projection's training once more, from the same start, with $\lambda=0.2$ and with the paper's half:

# %%
from functools import partial

shares_of_wrong, told = (0.2, 0.5), {"mismatched 0": (projection, right_p)}
for share in shares_of_wrong:
    told[f"mismatched {share:g}"] = play(game(task=partial(AdversarialTask, mismatched=share), classes=10), steps)[::2]
report("real test pictures", real)
for name, (generator, _) in told.items():
    report(name, measure(generator.sample(count, seed=2)))
curves(list(right_p), {name: right.values() for name, (_, right) in told.items()}, "step", "share", "labels right", marker=".")
plt.axhline((real[1] == wanted).float().mean(), color="black", ls=":")
plt.show()

# %% [markdown]
# The dotted line is how often *real* pictures are recognised. Which of the lines gets there sooner, and does it stop there? The price stands in the diversity. (The distance, in so short a training, may even fall: a discriminator that heard of labels early has more to teach.) A step takes about a quarter longer, for one more pass of the discriminator.
#
# ## The network that ships, measured
#
# It was trained as our games above were, with projection and real pictures under wrong labels, $\lambda=0.4$, for many more steps; and its generator has the additional layer of chapter 02's. How far is it from the data as a whole, is each class obeyed, how various is each, and what is a class taken for where it is not recognised?

# %%
drawn = measure(model.sample(count, seed=5))
confused = {name: confusion(found, wanted) for name, (_, found, _) in (("drawn", drawn), ("real", real))}
report("drawn", drawn)
for c, name in enumerate(CLASSES):
    print(f"{name:10} labels right: drawn {confused['drawn'][c, c]:.3f}, real {confused['real'][c, c]:.3f}   "
          f"diversity, real is 1: {drawn[2][c] / real[2][c]:.2f}")

# %%
tables(confused, CLASSES, CLASSES, "recognised as, in per cent", "asked for, or is", number=lambda v: f"{100 * v:.0f}" if v >= 0.01 else "")
plt.show()

# %% [markdown]
# Look along the diagonals first, left against right. Then look for numbers beside them. Those on the right are the classifier's own mistakes and the data's own riddles: a T-shirt, a shirt, a pullover and a coat have much in common at 28×28. A generator that copied the data *exactly* would have the table on the right, with all its mistakes.
# So a number off the diagonal that stands on the left **only** is the generator's fault, and a diagonal number that is *higher* on the left is no triumph. It says that the generator draws the plain cases of a class and leaves out the odd ones; look whether the same class has lost diversity in the list above.
#
# Here the left diagonal is the higher one throughout, most of all for pullovers, T-shirts and shirts, which real pictures mix up most (only coats have hardly gained). The *direction* is that of the last section's formula: what could be another class's is drawn less often. The size is not. With ten classes any one of the others has a ninth of $m$, which $\lambda=0.4$ makes smaller still, and classes that nothing else looks like should have paid nothing. Yet every class
# has lost diversity, trousers, T-shirts and boots the most. The rest is the old weakness of GANs: the rare cases of a class are left out. (A row has two hundred pictures, the real ones' too: where nine in ten are right, two or three points are one standard deviation of a difference. The gains of pullovers and T-shirts are well above that, the shirts' hardly.)
#
# ### What does the latent carry?
#
# Nobody told the generator what to do with $z$. If the fourth and the last row of this chapter's first picture are no accident, the same latent makes nearly all classes darker or lighter together, although no sneaker was ever compared with a dress. Measure it: two hundred latents, each drawn in all ten classes; the mean brightness of the garment's own pixels, and its width
# in columns of pixels; and how these correlate between two classes that share their latents.

# %%
def shade(images):  # (N, 10, 28, 28) in [0, 1] -> (N, 10): mean brightness of the pixels that are not background
    inside = images > 0.1
    return (images * inside).sum((2, 3)) / inside.sum((2, 3)).clamp(min=1)


def width(images):  # -> (N, 10): columns of pixels that meet the garment
    return (images.amax(2) > 0.2).float().sum(2)


many = model.latents(runtime.pick(ci=20, laptop=200, gpu=1000), seed=6)
shared = to_unit(columns(model, many)).cpu().view(-1, 10, 28, 28)
correlations = {name: torch.corrcoef(measured_as(shared).T) for name, measured_as in (("shade", shade), ("width", width))}
tables(correlations, CLASSES, CLASSES, "100 times the correlation", "class", limits=(-1, 1), colours="RdBu", number=lambda v: f"{round(100 * v)}")
plt.show()

# %%
for name, table in correlations.items():
    apart = table[~torch.eye(10, dtype=torch.bool)]
    print(f"{name}: correlation between classes, mean {apart.mean():.2f}, from {apart.min():.2f} to {apart.max():.2f}")
print(f"by chance, from {len(many)} independent latents: mean 0, standard deviation {len(many) ** -0.5:.2f}")

# %% [markdown]
# Compare each table with what chance would give (of 45 pairs, some will be two or three standard deviations off). The **shade** is shared by nearly all, by trousers and ankle boots least: a latent that makes a dark T-shirt makes a dark coat. Nothing in the game asks for it, but the network is built so that it comes about by itself: the latent enters the first layer by $A\,z$, the same for all classes, and it takes extra work to give one direction a different meaning in each of them.
# The **width** is another matter: it is shared by some and not by others. Find the darkest squares off the diagonal. Then find the rows that are nearly white, and beware: a sneaker fills the picture from side to side, its width hardly varies, and so there is hardly anything that *could* correlate. That says more about the measure than about the network.
#
# ## Between two classes
#
# An embedding is a point, so there are points between two of them. Below, one latent for each strip, and shares from all of the one class to all of the other in equal steps. Under each strip, for comparison, is a *cross-fade*: the same shares of the two end **pictures**.

# %%
eye, ramp = torch.eye(10), torch.linspace(0, 1, 11)[:, None]
strips = {}
for a, b in ((3, 0), (7, 9), (1, 8)):
    shares = torch.lerp(eye[a], eye[b], ramp)  # (11, 10)
    between = model.draw(model.latents(1, seed=1).expand(11, -1), shares)
    strips[f"{CLASSES[a]} –\n{CLASSES[b]}"] = between
    strips[f"cross-fade {len(strips) // 2 + 1}"] = torch.lerp(between[:1], between[-1:], ramp[:, :, None, None].to(between))
rows(strips, columns=11)

# %% [markdown]
# A cross-fade shows two ghosts on top of each other. A mixture of embeddings is drawn as one thing: look in the middle of each strip whether outlines *move* (sleeves grow short and wide, a shaft rises) where in the cross-fade they only fade. (Look at the shade, too: all the ways lead through darker pictures than either end has, and in the second strip the old sole still fades out like a ghost.) For a pair that is alike, the way leads through clothes that could be real. From trouser to bag there is nothing real in between, and no picture in the training ever had a label half and half;
# what the network draws there is its own invention, by the smoothness of its layers alone.
#
# ## The slider
#
# Sixteen latents. Choose two classes, and drag the **share** from one to the other; the bars are what the classifier takes the pictures for, on average. Then leave the share at the middle and drag **latents**: is it the same mixture for all?

# %%
from v101_utils.widgets.class_mix import ClassMixView, class_mix_sliders

class_mix_sliders(ClassMixView(model, judge))

# %% [markdown]
# The same knob as strips: ten latents, five shares.

# %%
view, stops = ClassMixView(model, judge, count=10), (0.0, 0.25, 0.5, 0.75, 1.0)
rows({f"{1 - s:.2f} dress\n{s:.2f} T-shirt": view.images(3, 0, s) for s in stops}, label_width=120)

# %% [markdown]
# And as curves: the classifier's mean probabilities along the way, for a pair that is alike and for one that is not.

# %%
crowd = ClassMixView(model, judge, count=runtime.pick(ci=20, laptop=200, gpu=1000))
shares = torch.linspace(0, 1, runtime.pick(ci=3, laptop=21, gpu=41)).tolist()
figure, panels = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
for axes, (a, b) in zip(panels, ((3, 0), (1, 8))):
    found = torch.stack([crowd.probabilities(crowd.images(a, b, s)) for s in shares])  # (shares, 10)
    lines = {CLASSES[a]: found[:, a], CLASSES[b]: found[:, b], "any other": 1 - found[:, a] - found[:, b]}
    curves(shares, lines, f"share of {CLASSES[b]}", "mean probability", f"{CLASSES[a]} to {CLASSES[b]}", axes)
plt.show()

# %% [markdown]
# Straight lines would be a cross-fade of probabilities. For the pair that is alike the change is gradual, a shape that moves. For the other, the first class is lost before the second is found: in between, the largest part of the probability lies with "any other", which are the broken pictures in the middle of the strip above. Look where the curves cross, and that it need not be at one half: an embedding has a direction *and a length*, and nothing makes two classes equally strong.
#
# ## Beyond a class: guidance, and why it is not a GAN's
#
# Conditional GANs and **classifier-free guidance** are often told in one breath. They share the label, and the wish for plainer cases; the mechanism is another. Guidance (Ho and Salimans 2022; chapter 08) belongs to diffusion: one network gives *two predictions* of the noise at each noise level, with the label and without, and while sampling one goes
# past the prediction with the label, away from the one without:
#
# $$\hat\varepsilon=\hat\varepsilon_\varnothing+s\,(\hat\varepsilon_y-\hat\varepsilon_\varnothing).$$
#
# Three things make that work, and a GAN has none of them. The difference is, up to a factor, the gradient of a log probability, $\nabla_{x_t}\log p(y\mid x_t)$, at the noisy picture; a generator knows no probabilities. The prediction without a label was *trained*, by dropping labels; a generator was never asked for "anything". And a step too far is looked at again by
# the following steps; a GAN draws in one stroke.
#
# Still, one can copy the *form*. Take shares beyond 1: $s$ times the class and $1-s$ times the mean of all ten, $\bar e$. At $s=2$ that is twice the class, less the mean:
#
# $$e=\bar e+s\,(e_y-\bar e),\qquad \bar e=\tfrac1{10}\sum_k e_k.$$

# %%
def beyond(s):  # -> shares (10, 10): row c is for class c; each sums to 1 for every s
    return torch.lerp(torch.full((10, 10), 0.1), eye, s)


two = model.latents(2, seed=3).repeat_interleave(10, 0)
rows({f"s = {s:g}": model.draw(two, beyond(s).repeat(2, 1)) for s in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)}, heads=CLASSES)

# %%
scales = runtime.pick(ci=[1.0, 2.0], laptop=[0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0], gpu=[0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0])
by_scale = [measure(model.draw(model.latents(count, seed=5), beyond(s)[wanted])) for s in scales]
for s, found in zip(scales, by_scale):
    report(f"s = {s:g}", found)

# %%
figure, panels = plt.subplots(1, 2, figsize=(9, 3.2))
rights = [(found == wanted).float().mean() for _, found, _ in by_scale]
spreads = [diversity.mean() / real[2].mean() for _, _, diversity in by_scale]
curves(scales, {"": [distance for distance, *_ in by_scale]}, "s", "Fréchet distance", "how far from the data", panels[0], marker="o")
curves(scales, {"labels right": rights, "diversity, real is 1": spreads}, "s", "share", "obedience and variety", panels[1], marker="o")
panels[0].set_ylim(0, None), panels[1].set_ylim(0, None)
plt.show()

# %% [markdown]
# At $s=1$ is the network as it was trained, and there the Fréchet distance is lowest. On its **left**, $s=0$ is the mean of the embeddings, and the row of pictures shows what that is: not "any clothes", as a trained null label gives (chapter 08, $s=0$), but one more point where the network was never trained, and whatever it draws there. All ten columns are then one and the same, with one latent more of a pullover, with another more of a bag: labels are right by chance alone, and "diversity" is above 1, since what was asked for as one class is a mixture of kinds (at $s=0.5$ even more so). On its **right** diversity is taken away, as by guidance, and a point or two of labels is won for a great deal of it: this network has little left to win, since the mismatched pairs have taught it already. Compare with chapter 08, where each step of $s$ buys something.
# Larger numbers into the first layer mean stronger contrast and saturated pixels, until whole parts of the garment go out, and the latent's part, $A\,z$, is drowned by the label's. There is no next step that would look at the result and put it right.
#
# ### A knob of its own
#
# A GAN has another one for fidelity against diversity: draw the latents from a narrower distribution than the one it was trained with. Here they are multiplied by $\psi<1$ (another $\psi$ than the discriminator's). Each number is then a common one. The vector as a whole is shorter than any that the training had, so that this works well is an observation and no theorem. This is **truncation** (Brock et al. 2019, who draw a number again where it is large; chapter 05 does it in another space). `sample` takes it as `psi`.

# %%
psis = runtime.pick(ci=[1.0, 0.5], laptop=[1.0, 0.9, 0.8, 0.7, 0.5, 0.3, 0.1], gpu=[1.0, 0.9, 0.8, 0.7, 0.5, 0.3, 0.1])
rows({f"ψ = {psi:g}": columns(model, psi * model.latents(2, seed=3)) for psi in psis}, heads=CLASSES)

# %%
by_psi = [measure(model.sample(count, seed=5, psi=psi)) for psi in psis]
for psi, found in zip(psis, by_psi):
    report(f"ψ = {psi:g}", found)
figure, axes = plt.subplots(figsize=(5.5, 3.4))
knobs = {"s": {s: found for s, found in zip(scales, by_scale) if s >= 1}, "ψ": dict(zip(psis, by_psi))}
for name, measured in knobs.items():
    places = [((diversity.mean() / real[2].mean()).item(), (found == wanted).float().mean().item()) for _, found, diversity in measured.values()]
    settings = list(measured)
    axes.plot(*zip(*places), "o-", label=f"{name} from 1 to {settings[-1]:g}")
    axes.annotate(f"{name} = {settings[-1]:g}", places[-1], xytext=(0, 8), textcoords="offset points", ha="center")
axes.plot(1, (real[1] == wanted).float().mean(), "k*", ms=10, label="real pictures")
axes.set(xlabel="diversity, real is 1", ylabel="labels right", title="two knobs, from the same start")
axes.margins(y=0.12)
axes.legend()
plt.show()

# %% [markdown]
# Both knobs start at the network as it was trained, where the two lines meet. The star, real pictures, is to the right of it and below: some diversity was given for labels in training already. From there both buy little, a point or two of labels for nearly all diversity. By these two numbers the knobs are alike; look at the rows of pictures for what they do not say: large $s$ *breaks* clothes, small $\psi$ only makes them all alike. And look at the last line of the list: with hardly any latent left nearly every
# label is right, by one picture for each class. A measure that can be so good in this way should never be read alone. Real pictures themselves are "right" less often than those at any $\psi$ here.
#
# ## Common mistakes
#
# Three trainings with one thing wrong each. The right one beside them is that of the projection above: the same start, and as many steps.

# %%
class Blind(Discriminator):
    """Wrong: a discriminator that is given labels and drops them."""

    def forward(self, images, labels=None):
        return super().forward(images)


class OtherLabels(AdversarialTask):
    """Wrong: drawn for one set of labels, then judged with another."""

    def generate(self, count, labels):
        return super().generate(count, labels[torch.randperm(count, device=labels.device)])


# %%
alone = Batches(train.images, size=64, seed=0), Batches(train.labels, size=64, seed=1)  # wrong: each shuffled by itself
tries = {
    "1: D has no labels": (game(Blind), aligned),
    "2: other labels": (game(task=OtherLabels, classes=10), aligned),
    "3: data shuffled": (game(classes=10), lambda step: (*alone[0](step), *alone[1](step))),
}
wrong = {"all right": (projection, losses_p, right_p)} | {name: play(task, steps, batches) for name, (task, batches) in tries.items()}
for name, (generator, losses, right) in wrong.items():
    report(name, measure(generator.sample(count, seed=2)))
    print(f"{'':20} discriminator's loss, mean of the last 50 steps: {losses[-50:, 0].mean():.2f}")

# %%
rows({name: columns(generator, generator.latents(2, seed=3)) for name, (generator, *_) in wrong.items()}, label_width=160, heads=CLASSES)

# %%
lines = {name: right.values() for name, (*_, right) in wrong.items()}
curves(list(wrong["all right"][2]), lines, "step", "share", "labels right", marker=".")
plt.axhline(0.1, color="black", ls=":")
plt.ylim(0, 1)
plt.legend(loc="center right", bbox_to_anchor=(1, 0.58))
plt.show()

# %% [markdown]
# ### Common mistake 1: labels for the generator, none for the discriminator
#
# The generator has its embedding, and the discriminator is that of chapter 02. Nothing crashes, and its loss looks as healthy as the right one's. (In so short a training the pictures are poorer as well, but what gives the mistake away is that all columns are alike.) It is the blind judge of the tables above: a label that is ignored is no fault in its eyes, nor is a shuffled one. Look at its two rows, a latent each: the label starts out as small numbers beside large ones, nothing rewards the generator for making them larger, and so all columns show nearly the same picture. (Had it started large, it would be a second latent: as good as any random number for making pictures different, and no better.) The share of right labels is chance, and no step of the training works towards more.
#
# ### Common mistake 2: drawn for one label, judged with another
#
# For example where labels are drawn anew in the middle of a step, once for the generator and once for the discriminator. Now the drawn pairs have nothing to do with each other, whatever the generator does. To match the data it would have to guess a label that it is not told. So the discriminator can always win: its loss is by far the lowest of the four, and the generator, with nothing that it could do about it, is driven to whatever looks right under every label at once. This mistake shows in the losses, and in pictures that become *worse*.
#
# ### Common mistake 3: the data's own labels do not fit
#
# Pictures and labels from two loaders, each shuffled by itself, or a list that was sorted once more. The *data* then say that any label goes with any picture, and the generator learns just that. The discriminator's loss looks as healthy as in the right training, and in every column is the same picture: over many latents, the same mixture of all clothes. Only a look at the columns, or a count of right labels, shows that something is amiss. This is why `Batches` takes all tensors at once and moves their rows together:

# %%
# NBVAL_CHECK_OUTPUT
numbers = torch.arange(1000)
together, (left, right) = Batches(numbers, numbers, size=64), (Batches(numbers, size=64, seed=s) for s in (0, 1))
print("one Batches of both:", (together(3)[0] == together(3)[1]).float().mean().item())
print("two, each shuffled: ", (left(3)[0] == right(3)[0]).float().mean().item())

# %% [markdown]
# ### Nearly a mistake: an embedding out of proportion
#
# Concatenation puts two things side by side that should be of one size. In the package the painted channel starts out with numbers from $\mathcal N(0,1)$, about the size of pixels. If it starts a hundred times smaller, the first layer hardly sees it.

# %%
def faint(**settings):
    judge = Discriminator(classes=10, condition="concatenation", **settings)
    torch.nn.init.normal_(judge.embed.weight, 0.0, 0.01)
    return judge


_, _, right_faint = play(game(faint), steps)
lines = {"N(0, 1)": [right_c[n] for n in right_faint], "N(0, 0.01²)": right_faint.values()}
curves(list(right_faint), lines, "step", "share", "labels right, concatenation", marker=".")
plt.show()

# %% [markdown]
# At the very start neither line is above chance: pictures must be something before a label can be obeyed. Then the faint one rises more slowly. But it catches up: Adam takes steps of about the learning rate whatever the size of a weight, so that faint rows of 0.01 grow out of their faintness within a hundred or two of them, if they are useful. So this one mends itself here; with plain gradient descent, or a label that matters less than a kind of clothes does, it may take far longer. It is cheap to
# look, and to start in proportion.
#
# In the **generator** it is the other way round: there a label should start *small*. PyTorch draws an embedding from $\mathcal N(0,1)$, as large as the latent. Then at the start the picture is as much the label's as the latent's, a class finds its one safe picture before it has learned to use the latent, and stays there for long. The package starts it at 0.02, like all other weights. The projection's training, with the one and the other:

# %%
loud = game(classes=10)
torch.nn.init.normal_(loud.generator.embed.weight)
tries = {"N(0, 0.02²)": (projection, right_p), "N(0, 1)": play(loud, steps)[::2]}
for name, (generator, right) in tries.items():
    report(name, measure(generator.sample(count, seed=2)))
    print(f"{'':20} labels right by step: " + ", ".join(f"{step}: {share:.2f}" for step, share in list(right.items())[:6]))
rows({name: columns(generator, generator.latents(3, seed=6)) for name, (generator, _) in tries.items()}, label_width=120, heads=CLASSES)

# %% [markdown]
# Are the labels right sooner with the large embedding? Compare the two lists of the first steps. And at what a price: look down the columns, and compare the diversity and the distance.
#
# ## Exercises
#
# Write your line where the dots are; run the cell; it says right or not yet. Solutions stand at the very end, folded away in JupyterLab.
#
# **Exercise 1.** The best discriminator where the generator's labels have other frequencies than the data's: $D^*(x,y)$ from the tables $p(x\mid y)$ and $q(x\mid y)$, (labels, pictures) each, and the label frequencies $p(y)$ and $q(y)$.

# %%
from v101_utils.exercises import check


def best_of(p, q, p_y, q_y):  # (L, X), (L, X), (L,), (L,) -> (L, X)
    ...


two = p, p[[1, 2, 0]]
often = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64), torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
check(best_of, *two, *often)


# %% [markdown]
# **Exercise 2.** The score of a projection discriminator, from features (B, F), the weights (F,) of a linear $\psi$ without bias, a table of embeddings (K, F), and labels (B,).

# %%
def projection_score(features, weights, table, labels):  # -> (B,)
    ...


given = draw(8, 5, 7), draw(9, 7), draw(10, 4, 7), torch.tensor([0, 3, 3, 1, 2])
check(projection_score, *given)


# %% [markdown]
# **Exercise 3.** From a confusion table (K, K) as above, rows summing to 1, and the frequencies (K,) with which classes are asked for: of the pictures *recognised* as each class, what share was asked for as that class?

# %%
def asked_given_recognised(table, frequencies):  # (K, K), (K,) -> (K,)
    ...


example = torch.tensor([[0.8, 0.2, 0.0], [0.1, 0.9, 0.0], [0.3, 0.0, 0.7]]), torch.tensor([0.5, 0.25, 0.25])
check(asked_given_recognised, *example)

# %% [markdown]
# ## Summary
#
# * A conditional GAN plays the game of chapter 01 once for each label. Its rest, without such pairs as in the fourth point, is $q(x\mid y)=p(x\mid y)$ for every label, where the best discriminator is $\tfrac12$.
# * The discriminator must see the label, the **same** label that the picture was drawn for, beside real pictures with their own. Without it the generator is free to ignore the label, and does.
# * A label enters as an embedding. In the generator it is put beside the latent, which shifts the first layer. In the discriminator it is painted as a channel (concatenation) or multiplied with the features (projection, which is exact where classes are log-linear in them).
# * Real pictures under wrong labels, scored as fakes, teach obedience sooner. The game then rests with more of the plain cases of a class than the data have, wherever classes overlap.
# * Obedience, quality and diversity are three things. Measure all three: "labels right" alone is high long before the pictures are good.
# * Start the discriminator's label in proportion, or it is learned later; start the generator's small, or each class comes close to one picture.
# * Embeddings can be mixed: between two classes that are alike the picture, too, goes gradually from one to the other; between unlike ones it breaks, for no picture in training had such a label. Points *beyond* a class are where the network was never trained: plainer, and soon broken. Guidance is another thing, and diffusion's.
#
# ## References
#
# * Goodfellow et al. *Generative Adversarial Nets.* NeurIPS 2014.
# * Mirza, Osindero. *Conditional Generative Adversarial Nets.* arXiv 2014.
# * Reed, Akata, Yan, Logeswaran, Schiele, Lee. *Generative Adversarial Text to Image Synthesis.* ICML 2016.
# * Odena, Olah, Shlens. *Conditional Image Synthesis with Auxiliary Classifier GANs.* ICML 2017.
# * Miyato, Koyama. *cGANs with Projection Discriminator.* ICLR 2018.
# * Mescheder, Geiger, Nowozin. *Which Training Methods for GANs do actually Converge?* ICML 2018.
# * Brock, Donahue, Simonyan. *Large Scale GAN Training for High Fidelity Natural Image Synthesis.* ICLR 2019.
# * Ho, Salimans. *Classifier-Free Diffusion Guidance.* NeurIPS 2021 workshop; arXiv 2022.
#
# ## Solutions

# %% jupyter={"source_hidden": true} tags=["solution"]
# NBVAL_CHECK_OUTPUT
def best_of(p, q, p_y, q_y):
    real, drawn = p_y[:, None] * p, q_y[:, None] * q
    return real / (real + drawn)


def projection_score(features, weights, table, labels):
    return features @ weights + (table[labels] * features).sum(1)


def asked_given_recognised(table, frequencies):
    joint = frequencies[:, None] * table
    return joint.diagonal() / joint.sum(0)


check(best_of, *two, *often)
check(projection_score, *given)
check(asked_given_recognised, *example)
