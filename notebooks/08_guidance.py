# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 08 · Guidance
#
# Ask for a bag and turn one knob, the **guidance scale**, from "any picture" through "a bag" to "the most bag-like bag there is"; then measure
# what each turn costs.
#
# <!-- Colab badge: stamped once the repository's address is set -->
#
# This chapter builds on chapters 06 (DDPM: what a denoiser is and how it is trained) and 07 (DDIM: how to sample in few steps). How long it takes
# stands in the README's table.

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
import timeit

import matplotlib.pyplot as plt
import torch
from torch.nn import functional as F

from v101_utils import runtime, zoo
from v101_utils.data import CLASSES, Batches, fashion_mnist, to_unit
from v101_utils.diffusion import Clipped, GaussianMixture, Guided, add_noise, cosine, ddim, dpm, sample
from v101_utils.view import curves, rows, running_mean, source, use_style

runtime.set_up(seed=0)
use_style()
here, fine = runtime.device(), runtime.pick(ci=4, laptop=20, gpu=50)  # fine: steps of pictures to look at

# %% [markdown]
# ## The picture first
#
# The network of chapters 06 and 07. Each column has its own label, which stands above it, and
# its own noise. Nothing changes from row to row but one number, the scale $s$.

# %%
model = zoo.load("ddpm-fashion", device=here)
rows({f"s = {s:g}": model.sample(10, seed=7, steps=fine, guidance=s) for s in (0.0, 1.0, 2.0, 4.0, 8.0)}, heads=CLASSES)

# %% [markdown]
# At $s=0$ the label is ignored: any picture may come out. At $s=1$ it is mostly obeyed, not always: look at the T-shirt and the bag.
# Above 1 it is *exaggerated*: follow the columns of the T-shirt, the dress and the bag downwards, and ask of each detail whether it was
# there at $s=1$. This one knob is in nearly every text-to-image program, and it usually stands far above 1. Let us see what it does,
# exactly.
#
# ## The idea
#
# A conditional denoiser is easy: give the network the label $y$ as another input. But a network may listen to its label too little, above all a small one, and then clothes come out that are
# no kind in particular. How do we turn the label up?
#
# Chapter 06's denoiser tells us a direction. Write $p_t$ for the density of pictures with noise of level $t$; $x$ is such a noisy picture. The best possible guess of its noise is, up to a factor, the gradient, with respect to the picture, of $\log p_t$ (the *score*; chapter 10 has more):
# $\nabla\log p_t(x)=-\hat\varepsilon_\varnothing(x)/\sigma_t$, where the $\varnothing$ says that the guess was made without a label. And for gradients Bayes' rule is a plain sum, since $p(y)$ does not depend on $x$:
#
# $$\nabla\log p_t(x\mid y)=\nabla\log p_t(x)+\nabla\log p_t(y\mid x).$$
#
# Here $p_t(y\mid x)$ is what a perfect classifier would say: how probable label $y$ is, given the noisy picture. The formula reads: to get a picture of class $y$, go where pictures are, **and** go where a classifier would say $y$. The second term can be turned up by a factor $s$:
#
# $$\nabla\log p_t(x)+s\,\nabla\log p_t(y\mid x).$$
#
# Dhariwal and Nichol (2021) did just that, with a classifier: **classifier guidance** (best of all on top of a denoiser that is told the label, too). It works, but it needs a second network, trained on *noisy* pictures at all noise levels,
# and one follows the gradient of a classifier, which is known to like changes that no eye can see.
#
# Ho and Salimans (2022) read Bayes' rule from right to left. If one network gives both the score with a label and the score without, their difference **is** the gradient of a classifier, one that nobody had to train (exactly so for exact scores; the difference of two
# learned guesses need not be the gradient of anything, and is used all the same). With $\hat\varepsilon_y$ for the guess of the noise with the label:
#
# $$\nabla\log p_t(y\mid x)=\nabla\log p_t(x\mid y)-\nabla\log p_t(x)=-\frac{\hat\varepsilon_y-\hat\varepsilon_\varnothing}{\sigma_t}.$$
#
# ### Check: the classifier inside
#
# Three clouds in the plane. Here the best possible denoiser is known in closed form, and so is $p_t(y\mid x)$, the probability of each cloud given a noisy point. On the left, the gradient of its logarithm for one cloud, by autograd; on the right, the formula above,
# from two denoisers.

# %%
# NBVAL_CHECK_OUTPUT
clouds = GaussianMixture([[-1.2, -0.7], [1.2, -0.7], [0.0, 1.4]], 0.55)
exact, t, label = clouds.denoiser(cosine()), 0.5, torch.full((4,), 2)
points = torch.randn(4, 2, generator=runtime.generator(0), dtype=torch.float64).requires_grad_()
each = clouds.log_prob(points, cosine().alpha(t), cosine().sigma(t))  # (4, 3): log p(x, y)
by_autograd = torch.autograd.grad((each[:, 2] - each.logsumexp(1)).sum(), points)[0]  # log p(y|x) = log p(x, y) - log p(x)
difference = -(exact(points, t, label).eps - exact(points, t).eps) / cosine().sigma(t)
for a, b in zip(by_autograd.tolist(), difference.tolist()):
    print(f"autograd ({a[0]:7.4f}, {a[1]:7.4f})   denoisers ({b[0]:7.4f}, {b[1]:7.4f})")

# %% [markdown]
# ### Classifier-free guidance
#
# Put the difference into $\nabla\log p_t(x)+s\,\nabla\log p_t(y\mid x)$, write $-\hat\varepsilon_\varnothing/\sigma_t$ for the first term, and multiply by $-\sigma_t$. What comes out is the guided guess of the noise, and the whole method:
#
# $$\hat\varepsilon_s=\hat\varepsilon_\varnothing+s\,(\hat\varepsilon_y-\hat\varepsilon_\varnothing).$$
#
# $s=0$: no label. $s=1$: the conditional denoiser, no guidance. $s>1$: a step *beyond* it, away from the denoiser without label. For a
# given $x_t$ the guesses of the picture and of $v$ are each a factor times that of the noise plus a
# shift, and the weights $1-s$ and $s$ add up to 1, so the same formula holds for all three.
#
# **Two conventions.** The paper writes the same thing as $(1+w)\,\hat\varepsilon_y-w\,\hat\varepsilon_\varnothing$, so $s=1+w$. In one, "no guidance" is 1; in the other it is 0. Papers and programs use both, and
# both are called "guidance scale": always ask which. This project uses $s$.
#
# **Where it belongs.** The formula adds up predictions *while sampling*, at every step. So it belongs to models that sample in many steps, each with a prediction to add to: diffusion above all. A GAN draws in one stroke and has no second prediction to move away from;
# its label enters only as an input (chapter 04). What it has instead, to trade variety for fidelity, is *truncation*: latents that are drawn from a narrower distribution than in training (chapters 04 and 05); guidance was made to give diffusion such a knob.
#
# ### Check: both conventions
#
# The package's `Guided` beside the formula of the paper, at one point. And whatever the scale, the guided guesses of picture and noise still make up the $x_t$ that we have.

# %%
# NBVAL_CHECK_OUTPUT
x = points.detach().float()
labelled, null = exact(x, t, label), exact(x, t)
for s in (0.0, 1.0, 3.0):
    w, guided = s - 1, Guided(exact, s)(x, t, label)
    paper = (1 + w) * labelled.eps - w * null.eps
    again = cosine().alpha(t) * guided.x0 + cosine().sigma(t) * guided.eps
    print(f"s = {s:g}, w = {w:2g}: ours {guided.eps[0, 0].item():.3f}   paper {paper[0, 0].item():.3f}   "
          f"x_t again: {torch.allclose(again.float(), x, atol=1e-4)}")

# %% [markdown]
# ### What it does to three clouds
#
# We ask for the upper cloud. Grey: data of all three. Red: what the *exact* denoiser draws under guidance. So nothing below is the fault of a network.

# %%
data, _ = clouds.sample(1500, runtime.generator(1))
start = torch.randn(600, 2, generator=runtime.generator(2))
figure, panels = plt.subplots(1, 4, figsize=(11, 3), sharex=True, sharey=True)
for axes, s in zip(panels, (0.0, 1.0, 2.0, 4.0)):
    drawn = sample(Guided(exact, s), start, ddim(), 100, labels=torch.full((600,), 2))
    axes.plot(*drawn.T, ".", ms=2, color="crimson")
    axes.plot(*data.T, ".", ms=1.5, color="0.6", alpha=0.7)
    axes.set(title=f"s = {s:g}", aspect="equal")
    print(f"s = {s:g}: mean height {drawn[:, 1].mean():.2f}, spread (root of the two variances' sum) {drawn.var(0).sum().sqrt():.2f}")
plt.show()

# %% [markdown]
# At 0 all clouds are drawn; at 1 exactly the one we asked for. Above 1 two things happen at once: the samples **crowd together**, and they **move away** from the other clouds, out to the rim of their own: at $s=4$ half of them lie where only one in twenty-five of its data does.
# Fewer mistakes, less variety, and things that are more unmistakably of their class than nearly anything real: exaggerated, as in a caricature.
#
# ### What it does not do
#
# The obvious reading of the formula is: "we sample from $p(x)\,p(y\mid x)^s$, normalised". It is often told so. It is not true, and one dimension is enough to see it. Two clouds, at −1 and at 1; we ask for the right one.
# The histogram is what guidance draws (exact denoiser, 100 steps); the line is $p(x)\,p(y\mid x)^s/Z$, computed on a grid.

# %%
pair = GaussianMixture([[-1.0], [1.0]], 0.6)
x = torch.linspace(-8, 8, 1601, dtype=torch.float64)


def tilted(t, s):
    """p_t(x) p_t(y|x)^s of the right-hand cloud y on the grid, scaled to sum to 1."""
    each = pair.log_prob(x[:, None], cosine().alpha(t), cosine().sigma(t))
    return (each.logsumexp(1) + s * (each[:, 1] - each.logsumexp(1))).softmax(0)


def draw_right(s, interval=(0.0, 1.0)):
    """What the exact denoiser makes of 4,000 noises, under guidance to the right-hand cloud."""
    start = torch.special.ndtri((torch.arange(4000) + 0.5) / 4000)[:, None]  # normal numbers, evenly spread: no luck involved
    return sample(Guided(pair.denoiser(cosine()), s, interval), start, ddim(), 100, labels=torch.ones(4000, dtype=torch.long))[:, 0]


# %%
# NBVAL_CHECK_OUTPUT
figure, panels = plt.subplots(1, 3, figsize=(11, 2.8), sharex=True, sharey=True)
for axes, s in zip(panels, (1.0, 2.0, 4.0)):
    drawn, density = draw_right(s), tilted(0.0, s)
    axes.hist(drawn, bins=80, range=(-3, 4), density=True, alpha=0.5, color="crimson", label="guided samples")
    axes.plot(x, tilted(0.0, 0.0) / 0.01, color="0.7", label="all data")
    axes.plot(x, density / 0.01, color="C0", label="p(x) p(y|x)ˢ / Z")
    axes.set(title=f"s = {s:g}", xlim=(-3, 4))
    mean = (x * density).sum()
    print(f"s = {s:g}: samples have mean {drawn.mean():.2f}, std {drawn.std():.2f}; "
          f"the density has {mean:.2f}, {((x - mean) ** 2 * density).sum().sqrt():.2f}")
panels[0].legend(fontsize=8)
plt.show()

# %% [markdown]
# At $s=1$ they agree. Above, guidance goes much further and is much narrower than the density it is said to sample. Why? A sampler needs, at each noise level, the score of **one** density with noise added to it. What guidance follows at level $t$ is
# the score of $p_t(x)\,p_t(y\mid x)^s$: *first* the noise, *then* the power. For a true sampler it would have to be: first the power, then the noise. The two orders differ.
#
# ### Check: the order matters
#
# The mean and variance of both at $t=0.5$, on the grid. (Adding noise turns mean $m$ and variance $V$ into $\alpha_t m$ and $\alpha_t^2V+\sigma_t^2$.)

# %%
# NBVAL_CHECK_OUTPUT
def moments(density):
    mean = (x * density).sum()
    return mean, ((x - mean) ** 2 * density).sum()


a, sigma = cosine().alpha(0.5), cosine().sigma(0.5)
for s in (1.0, 2.0, 4.0):
    (m, V), (mean, variance) = moments(tilted(0.0, s)), moments(tilted(0.5, s))
    print(f"s = {s:g}: first noise, then power: mean {mean:.3f}, variance {variance:.3f}   "
          f"first power, then noise: {a * m:.3f}, {a**2 * V + sigma**2:.3f}")

# %% [markdown]
# So guidance is a *heuristic* that looks like Bayes' rule: the formula is right at each noise level and no longer adds up to one distribution across them. What it samples instead even depends on the sampler (ours is DDIM): Bradley and Nakkiran (2024) show that, and read guidance as a predictor and a corrector; Chidambaram et al. (2024) work out for simple mixtures where it leads, to the edge of the class.
# It is used because its pictures please.
#
# ### When to guide
#
# Which noise levels push so far out? Guide with $s=4$ in one fifth of the times alone, and with the plain conditional denoiser elsewhere.

# %%
# NBVAL_CHECK_OUTPUT
def report(name, drawn):
    each = pair.log_prob(drawn[:, None])
    sure = (each[:, 1] - each.logsumexp(1)).exp().mean()  # p(y|x)
    print(f"{name:27} mean {drawn.mean():.2f}, std {drawn.std():.2f}, p(y|x) {sure:.3f}")


for interval in ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.0), (0.2, 0.6), (0.0, 1.0)):
    report(f"guided from t = {interval[1]} to {interval[0]}:", draw_right(4.0, interval))
report("never guided, s = 1:", draw_right(1.0))

# %% [markdown]
# At high noise (the fifth row) guidance carries the points out, and there they stay: DDIM adds no fresh noise, and within one cloud its plain steps leave each point as many widths from the middle as it was. At low noise (the first) most points are far from the other cloud, and guidance hardly moves them; it pushes away the few near the border (compare mean and $p(y\mid x)$ with the last row). From the middle it makes nearly as
# sure of the label, at a much smaller overshoot (compare the means of rows six and seven), though the cloud becomes as narrow. But one cloud has no variety to lose except its width. A kind of clothes consists of many, and it is at high noise that it is decided into which of them a picture falls: there, watch the variety too. To guide in the middle alone, as in row six, is the **guidance interval** of Kynkäänniemi et al. (2024). On clothes, below, we cut the times in two, to see at which end the variety goes.
#
# ## The code that matters
#
# **Training.** One network has to know both, so while it trains, some labels are replaced by one more label, the *null label*, which
# means "any". That is all: one line in the training step of chapter 06. (The last lines are for the prompts of chapter 09.)

# %%
from v101_utils.diffusion import Denoiser, DiffusionTask, drop_labels

source(drop_labels)

# %% [markdown]
# **Sampling.** Guidance wraps a denoiser and is one: every sampler of chapters 06 and 07 works on it unchanged. Both predictions come from *one* call on a batch of twice the size, so a guided step costs about two plain ones. (`torch.lerp(a, b, s)` is `a + s (b - a)`, our formula. In the listing: `inside` says whether $t$ lies in the interval to guide in; outside it the scale is 1, the plain conditional denoiser. `self.classes` is the null label. `chunk(2)` takes the two halves of the doubled batch apart again, and `spread` only shapes the scale so that it multiplies a batch.)

# %%
source(Guided.forward)

# %% [markdown]
# Are the numbers those of two calls, and is one call faster? A call has a cost of its own, which counts where there is little else to do; where there is much, one large call gains nothing. Compare one picture with many.

# %%
def two_calls(x, labels):
    return torch.lerp(model(x, 0.6).eps, model(x, 0.6, labels).eps, 3.0).cpu()


def one_call(x, labels):
    return Guided(model, 3.0)(x, 0.6, labels).eps.cpu()


for n in (1, 64):
    batch = torch.randn(n, 1, 28, 28, generator=runtime.generator(4)).to(here), torch.arange(n, device=here) % 10
    same = (two_calls(*batch) - one_call(*batch)).abs().max() < 1e-3
    two, one = (min(timeit.repeat(lambda: call(*batch), number=1, repeat=10)) for call in (two_calls, one_call))
    print(f"{n:2} pictures: same numbers {same.item()}; two calls take {two / one:.2f} times as long on this machine")

# %% [markdown]
# ## Training, live
#
# A small network, from nothing, with 15% of its labels dropped (Ho and Salimans found 10 and 20% about equally good). The samples are those of its moving average (chapter 06), at $s=2$, one class in each column.

# %%
from v101_utils.nn import UNet
from v101_utils.training import Ema, fit, warmup_cosine

train, test = (fashion_mnist(part, source="shipped", device=here) for part in ("train", "test"))


def train_small(drop, steps, look=()):
    """A small conditional denoiser, and its losses; it draws at the steps in `look`."""
    torch.manual_seed(0)
    denoiser, losses = Denoiser(UNet(classes=10, widths=(32, 64)), cosine()), []
    ema, batches = Ema(denoiser, 0.995), Batches(train.images, train.labels, size=64)
    for step in fit(DiffusionTask(denoiser, drop=drop), batches, steps, ema=ema, lr_schedule=warmup_cosine(steps)):
        losses.append(step.scalars["loss"])
        if step.number in look:
            display(rows({f"step {step.number}": ema.average.sample(10, seed=4, steps=fine, guidance=2.0)}, heads=CLASSES))
    return ema.average, losses


# %%
steps = runtime.pick(ci=12, laptop=800, gpu=4000)
small, losses = train_small(0.15, steps, look=(steps // 12, steps // 4, steps // 2, steps))

# %%
curves(range(steps), {"": running_mean(losses)}, "step", "squared error of v", "loss, mean of 20 steps")
plt.show()

# %% [markdown]
# One network, two denoisers ($s=0$ and $s=1$), and what lies beyond. The same noise in each column:

# %%
rows({f"s = {s:g}": small.sample(10, seed=3, steps=fine, guidance=s) for s in (0.0, 1.0, 2.0, 4.0)}, heads=CLASSES)

# %% [markdown]
# Compare the second row with the third and fourth. A network as small as this one is unsure of the kind; guidance makes up its mind. What it has not learned to draw, guidance does not mend: look at the sandal.
#
# ### Where does the label matter?
#
# For the network that ships: how wrong is its guess of a test picture behind noise of level $t$, when it is told the right label, none, or a wrong one? (The wrong one is that five further on: a sneaker for a pullover, a bag for a dress.)

# %%
few = runtime.pick(ci=20, laptop=200, gpu=1000)
pictures, told = test.images[:few], test.labels[:few]
eps = torch.randn(pictures.shape, generator=runtime.generator(5)).to(here)
ways = {"right label": told, "no label": torch.full_like(told, 10), "wrong label": (told + 5) % 10}


@torch.no_grad()
def errors(denoiser, t):
    """The squared error of the guess of the picture, for each of `ways`."""
    noisy = add_noise(denoiser.schedule, pictures, t, eps)
    return {name: (denoiser(noisy, t, labels).x0 - pictures).square().mean().item() for name, labels in ways.items()}


# %%
times = torch.linspace(0.05, 1, runtime.pick(ci=4, laptop=14, gpu=40)).tolist()
by_time = [errors(model, t) for t in times]
curves(times, {name: [e[name] for e in by_time] for name in ways}, "t", "squared error of the guess", "test pictures", marker=".")
plt.show()

# %% [markdown]
# On the left the picture itself shows what it is: right label or none makes hardly a difference, and a wrong one does little harm. The gap opens wide where the kind is no longer to be seen. (Little is not nothing. These are errors of the picture; in the guess of the noise the same gap is $\alpha^2/\sigma^2$ times as large. What guidance still does at $t<0.7$ is measured below.)
# For best guesses, the gap between "no label" and "right label" is exactly the mean squared difference of the two guesses. (The best guess without a label is the mean of those with one, over the labels that the noisy picture leaves possible. So what the label adds is uncorrelated with the error that is left even with it, and the squares add up, as in Pythagoras.) That
# difference is what guidance turns up.
#
# ## The slider
#
# Sixteen noises that never change. Choose a **class**, move the **guidance** from 0 to 10 in steps, and follow one picture; then look at all sixteen: how different are they still from *each other*?

# %%
from v101_utils.widgets import GuidanceView, guidance_sliders

guidance_sliders(GuidanceView(model))

# %% [markdown]
# The same knob as strips, for two classes: ten noises in each row. Go down the columns: where does another kind still show at $s=1$, and from which scale on is it gone? Then go along the first and the last row of each: how alike have the ten become?

# %%
for name, label in (("shirt", 6), ("bag", 8)):
    strip = {f"{name}, s = {s:g}": model.sample(10, seed=5, labels=[label], steps=fine, guidance=s) for s in (0.0, 1.0, 2.0, 4.0, 8.0)}
    display(rows(strip))

# %% [markdown]
# ## Fidelity against diversity
#
# What the eye sees, in numbers. Three measures, each by a classifier that is no part of the diffusion model:
#
# * **fidelity**, here in a narrow sense: the share of pictures that it takes for what we asked for, which says nothing of how real they look;
# * **diversity**: how different two pictures of one class are, as 1 minus the cosine between their features, averaged over all pairs and classes, and divided by the same of real pictures. So real pictures have 1;
# * the **Fréchet distance** of chapter 06 between all drawn pictures and real ones. It punishes pictures unlike real ones, and too little variety, but does not know what was asked for: pictures of the wrong kind cost it nothing, as long as all kinds come about equally often (and it is not comparable with the FID of papers).
#
# ### Check: the mean over all pairs
#
# Pairs are many. But for vectors $u_i$ of length 1, the mean of $1-u_i\cdot u_j$ over all pairs is simply their variance, summed over dimensions:

# %%
# NBVAL_CHECK_OUTPUT
u = F.normalize(torch.randn(50, 6, generator=runtime.generator(6), dtype=torch.float64) + 1)
pairs = (1 - u @ u.T)[~torch.eye(50, dtype=torch.bool)]
print(f"all pairs {pairs.mean():.6f}   variance {u.var(0).sum():.6f}")

# %%
judge = zoo.load("classifier-fashion")
count, walk = runtime.pick(ci=(20, 2), laptop=(600, 10), gpu=(2000, 20))
frechet, wanted = zoo.recipes.fashion_frechet(runtime.pick(ci=200, laptop=None, gpu=None)), torch.arange(count) % 10


@torch.no_grad()
def measure(images):  # (count, 1, 28, 28), label i % 10 -> Fréchet distance, fidelity, diversity
    images = images.cpu()
    unit = F.normalize(torch.cat([judge.features(part) for part in images.split(500)]))
    diversity = torch.stack([unit[wanted == c].var(0).sum() for c in range(10)]).mean().item()
    return frechet(to_unit(images)), zoo.recipes.label_accuracy(images, wanted), diversity


# %%
by_class = [test.images[test.labels == c][: count // 10] for c in range(10)]
real = measure(torch.stack(by_class, 1).flatten(0, 1))
print(f"{count} real test pictures: Fréchet distance {real[0]:.1f}, labels right {real[1]:.3f}, "
      f"diversity {real[2]:.3f}, from here on called 1")

# %%
scales = runtime.pick(ci=[1.0, 3.0], laptop=[1.0, 1.5, 2.0, 3.0, 8.0], gpu=[1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 8.0])
nets, table = {"the network that ships": model, "the small one from above": small}, {}
for name, net in nets.items():
    table[name] = [measure(net.sample(count, seed=8, steps=walk, guidance=s)) for s in scales]
    print(f"{name}, {count} pictures in {walk} steps")
    for s, (distance, fidelity, diversity) in zip(scales, table[name]):
        print(f"   s = {s:4g}: Fréchet distance {distance:6.1f}, labels right {fidelity:.3f}, diversity {diversity / real[2]:.2f}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
for name, net in nets.items():
    distance, fidelity, diversity = zip(*table[name])
    spread = [d / real[2] for d in diversity]
    left.plot(scales, distance, marker="o")
    (line,) = right.plot(spread, fidelity, marker="o", label=name)
    beside = (-3, 7) if net is model else (-8, -14)  # above the first curve, below the second
    for s, *place in zip(scales, spread, fidelity):
        right.annotate(f"{s:g}", place, textcoords="offset points", xytext=beside, fontsize=8, color=line.get_color())
left.axhline(real[0], color="black", ls=":")
right.plot(1, real[1], "k*", ms=10, label="real pictures")
left.set(xlabel="guidance scale", ylabel="Fréchet distance", title="dotted: real pictures; colours as on the right", ylim=(0, None))
right.set(xlabel="diversity (real pictures: 1)", ylabel="share of labels right", title="each point is a scale")
right.margins(y=0.12)
right.legend(loc="lower left", fontsize=8)
plt.show()

# %% [markdown]
# On the right each network walks along a curve, up (more obedient) and to the left (less various). No point is the right one: the scale chooses where to stand, as β does in chapter 11. Look for points *above* the star: there the classifier gets more of the drawn clothes right than of real ones.
# That is not better than real; it is easier to tell than real. (Mind what "diversity" counts: all pictures that were asked for as one class. One that came out as another kind, or as no kind
# at all, differs from the rest and so counts as variety. So a diversity above 1 is no feat, and part of what is lost from the first scale to the next is mistakes.)
#
# On the left, look where each network has its lowest point. The weaker one has more to gain: guidance mends what it got wrong before it costs too much variety. (Other noises alone move such a distance by some 4, as the table of the next section shows: so for the small network 2 and 3 share the first place. And see how close the two curves come at high scales: there the distance is guidance's doing and no longer the network's.) **The best scale depends on the network, and on the measure.**
# By the Fréchet distance the better of our two networks needs less guidance than the weaker one: of the scales tried, none at all ($s=1$). People who look at one picture at a time choose
# higher scales than a distance between *sets* would, because one picture shows no lack of variety.
#
# ### The guidance interval, on clothes
#
# Scale 4, in a part of the times only: while there is much noise, $t\ge 0.7$, or only after that, $t<0.7$.

# %%
labels = wanted.to(here)


def draw(scale, interval=(0.0, 1.0)):
    """`count` pictures from the noises of one seed, guided between two times."""
    start = torch.randn(count, 1, 28, 28, generator=runtime.generator(8)).to(here)
    guided = Clipped(Guided(model, scale, interval))
    return torch.cat([sample(guided, x, dpm(), walk, labels=y) for x, y in zip(start.split(250), labels.split(250))])


# %%
below = (0.0, 0.69)  # both ends of an interval count, and no step falls between 0.69 and 0.7
tries = {"s = 1": (1.0,), "s = 4": (4.0,), "s = 4, t ≥ 0.7": (4.0, (0.7, 1.0)), "s = 4, t < 0.7": (4.0, below)}
drawn = {name: draw(*chosen) for name, chosen in tries.items()}
for name, images in drawn.items():
    distance, fidelity, diversity = measure(images)
    print(f"{name:15} Fréchet distance {distance:6.1f}, labels right {fidelity:.3f}, diversity {diversity / real[2]:.2f}")
rows({name: images[:20] for name, images in drawn.items()}, label_width=120, heads=CLASSES)

# %% [markdown]
# First the pictures: the third strip is nearly the second, and the last nearly the first. *Which* picture it becomes is decided at high noise. Now the numbers: compare the last two rows with the second. How far apart are they in labels, and how far in variety? Either part of the times alone makes fairly sure of the label. Both cost variety, but guidance at high noise costs far more, nearly as much as guidance everywhere. Then look in the table above for a scale with as many labels right, and
# compare the diversity. (It was measured on other noises: compare $s=1$ in both to see by how much other noises alone move the numbers. The rows of this table share their noises and compare better with each other; but the first and the last are too near, all the same, to call one better.)
#
# ## What a high scale does to a picture
#
# Guidance extrapolates. Beyond the conditional guess there may be pixels whiter than white. Below, sampling without any clipping ("free")
# and with it: the spread of pixel values should be about that of real pictures.

# %%
start = torch.randn(10, 1, 28, 28, generator=runtime.generator(3)).to(here)
ten, strips = torch.arange(10, device=here), {}
print(f"real pictures: pixels' standard deviation {test.images.std():.2f}")
for s in (1.0, 3.0, 8.0):
    free, clipped = (sample(net, start, dpm(), fine, labels=ten) for net in (Guided(model, s), Clipped(Guided(model, s))))
    print(f"s = {s:g}: not clipped: standard deviation {free.std():.2f}, largest value {free.max():.2f}, "
          f"beyond ±1.1 {(free.abs() > 1.1).float().mean():.1%}; clipped: {clipped.std():.2f}")
    strips |= {f"s = {s:g}, free": free.clamp(-1, 1), f"s = {s:g}, clipped": clipped}
rows(strips, label_width=120, heads=CLASSES)

# %% [markdown]
# Without clipping, at $s=8$, whole areas burn out to white. So after each guess the picture is clipped to $[-1, 1]$ and the noise computed anew, so that both still make up $x_t$ (common mistake 3 of chapter 07; without guidance it hardly mattered there, since the guess seldom leaves the range). It is what `Denoiser.sample` does. It helps, but it does not undo the
# contrast: compare the standard deviations with that of real pictures. Saharia et al. (2022) ran into the same with texts and photographs, and clip each guess at a threshold of its own, a high percentile of its absolute values where that is above 1, then divide by it (*dynamic thresholding*).

# %%
source(Clipped.forward)

# %% [markdown]
# ## Common mistakes
#
# ### Common mistake 1: the other convention, or the two swapped
#
# A paper says "$w=0$ is no guidance", so somebody passes 0 as the scale. Nothing crashes, and the pictures look much as usual; they are just of any kind. And with the two predictions swapped, $\hat\varepsilon_y+s(\hat\varepsilon_\varnothing-\hat\varepsilon_y)$, the
# true scale is $1-s$: at 2 that is $-1$, and the label says what to avoid.

# %%
from v101_utils.diffusion import Prediction


class Swapped(Guided):
    """Wrong: the label's prediction where the null one should be."""

    def forward(self, x, t, labels):
        labelled, null = self.denoiser(x, t, labels), self.denoiser(x, t)
        return Prediction(*(torch.lerp(a, b, self.scale) for a, b in zip(labelled, null)))


# %%
hundred = torch.arange(runtime.pick(ci=10, laptop=100, gpu=1000), device=here) % 10
start = torch.randn(len(hundred), 1, 28, 28, generator=runtime.generator(9)).to(here)
tries = {"right, s = 2": Guided(model, 2.0), "w = 0, passed as s": Guided(model, 0.0), "swapped, s = 2": Swapped(model, 2.0)}
drawn = {name: sample(Clipped(net), start, dpm(), 10, labels=hundred).cpu() for name, net in tries.items()}
for name, images in drawn.items():
    print(f"{name:20} labels right {zoo.recipes.label_accuracy(images, hundred.cpu()):.2f}")
rows({name: images[:10] for name, images in drawn.items()}, label_width=150, heads=CLASSES)

# %% [markdown]
# ### Common mistake 2: no label was ever dropped
#
# Train with `drop=0`, and guide all the same. The null label exists, it has a row in the table of embeddings, and nothing crashes. But no picture ever came with it: that row is still the random one from before training. Look at how far the rows have moved, and at
# what the network makes of "any".

# %%
undropped, _ = train_small(0.0, runtime.pick(ci=12, laptop=300, gpu=1500))
torch.manual_seed(0)
untrained = UNet(classes=10, widths=(32, 64)).label_embedding.weight
for name, net in (("15% dropped", small), ("none dropped", undropped)):
    moved = (net.network.label_embedding.weight.cpu() - untrained).norm(dim=1)
    known = errors(net, 0.7)
    print(f"{name:12}: rows of labels moved by {moved[:10].mean():.2f}, the null row by {moved[10]:.2f}; squared error at t = 0.7 "
          f"with the right label {known['right label']:.3f}, with none {known['no label']:.3f}, with a wrong one {known['wrong label']:.3f}")
rows({f"{name}\ns = {s:g}": net.sample(10, seed=3, steps=fine, guidance=s)
      for name, net in (("15% dropped", small), ("none dropped", undropped)) for s in (0.0, 3.0)}, heads=CLASSES)

# %% [markdown]
# (The second network had fewer steps, so compare within each: is its error without a label close to that with the right one, or about halfway to that with a wrong one? And look at its row at $s=0$.) Guidance then moves away from an *accident*. It may even look as if it worked, as in the last row: to move away from a *worse* guess often helps, whatever made it worse.
# But the difference is no longer the gradient of $\log p_t(y\mid x)$, and at $s=0$ nothing useful is drawn. A network that never had its labels dropped should be guided by a second one, trained without labels, or by a classifier.
#
# ### Common mistake 3: clip first, then guide
#
# Both wrappers are denoisers, so `Guided(Clipped(model), s)` runs as well as `Clipped(Guided(model, s))`. But each of the two predictions leaves the range only a little; it is their *extrapolation* that goes far beyond it. Clip last.

# %%
start, strips = torch.randn(10, 1, 28, 28, generator=runtime.generator(3)).to(here), {}
nets = {"not clipped": Guided(model, 8.0), "clip, guide": Guided(Clipped(model), 8.0), "guide, clip": Clipped(Guided(model, 8.0))}
print(f"nearly white, above 0.95: real pictures {(test.images > 0.95).float().mean():.1%} of all pixels")
for name, net in nets.items():
    images = sample(net, start, dpm(), fine, labels=ten)
    strips[f"{name}, s = 8"] = images.clamp(-1, 1)
    print(f"{name:12} {(images > 0.95).float().mean():.1%}")
rows(strips, label_width=150, heads=CLASSES)

# %% [markdown]
# ## Exercises
#
# Write your line where the dots are; run the cell; it says right or not yet. Solutions stand at the very end, folded away in JupyterLab.
#
# **Exercise 1.** The formula as the paper writes it: the guided noise from both predictions and $w$.

# %%
from v101_utils.exercises import check


def paper(eps_label, eps_null, w):  # (B, D), (B, D), a number -> (B, D)
    ...


two = [torch.randn(5, 3, generator=runtime.generator(i)) for i in (10, 11)]
check(paper, *two, torch.tensor(1.5))


# %% [markdown]
# **Exercise 2.** The gradient of the classifier inside, $\nabla\log p_t(y\mid x)$, from the two guesses *of the picture*. (Find first what the noise is, given $x_t=\alpha_t x_0+\sigma_t\varepsilon$.)

# %%
def classifier_gradient(x0_label, x0_null, alpha, sigma):  # (B, D), (B, D), two numbers -> (B, D)
    ...


levels = torch.tensor(0.8), torch.tensor(0.6)
check(classifier_gradient, *two, *levels)


# %% [markdown]
# **Exercise 3.** A *negative* label: towards $y$ and away from another label $z$, each by its own scale, starting from the prediction without a label. (Programs call the second a negative prompt; most of them put it in the place of the null label.)

# %%
def towards_and_away(eps_y, eps_z, eps_null, towards, away):  # three (B, D), two numbers -> (B, D)
    ...


three = *two, torch.randn(5, 3, generator=runtime.generator(12))
check(towards_and_away, *three, torch.tensor(2.0), torch.tensor(0.5))

# %% [markdown]
# ## Summary
#
# * The difference of two scores, with a label and without, is the gradient of a classifier that nobody trained. Guidance turns it up: $\hat\varepsilon_\varnothing+s(\hat\varepsilon_y-\hat\varepsilon_\varnothing)$.
# * To have both in one network, drop some labels while training. To sample, one call on a batch of twice the size: about twice the work.
# * $s=1$ is no guidance. Ho and Salimans' $w$ means $s=1+w$; others, Saharia et al. among them, write $w$ for what is $s$ here. Look at the formula, not at the letter.
# * It does not sample $p(x)\,p(y\mid x)^s$: for two clouds it went further, and was narrower, and most of the overshoot was made at high noise. With clothes, most of the variety is lost there, too.
# * It buys fidelity with diversity. Choose the scale by what you need, and for each network anew; clip last.
#
# ## References
#
# * Ho, Salimans. *Classifier-Free Diffusion Guidance.* NeurIPS 2021 workshop; arXiv 2022.
# * Dhariwal, Nichol. *Diffusion Models Beat GANs on Image Synthesis.* NeurIPS 2021.
# * Saharia et al. *Photorealistic Text-to-Image Diffusion Models with Deep Language Understanding.* NeurIPS 2022.
# * Kynkäänniemi et al. *Applying Guidance in a Limited Interval Improves Sample and Distribution Quality in Diffusion Models.* NeurIPS 2024.
# * Bradley, Nakkiran. *Classifier-Free Guidance is a Predictor-Corrector.* arXiv 2024.
# * Chidambaram et al. *What does guidance do? A fine-grained analysis in a simple setting.* NeurIPS 2024.
#
# ## Solutions

# %% jupyter={"source_hidden": true} tags=["solution"]
# NBVAL_CHECK_OUTPUT
def paper(eps_label, eps_null, w):
    return (1 + w) * eps_label - w * eps_null


def classifier_gradient(x0_label, x0_null, alpha, sigma):
    return alpha * (x0_label - x0_null) / sigma**2


def towards_and_away(eps_y, eps_z, eps_null, towards, away):
    return eps_null + towards * (eps_y - eps_null) - away * (eps_z - eps_null)


check(paper, *two, torch.tensor(1.5))
check(classifier_gradient, *two, *levels)
check(towards_and_away, *three, torch.tensor(2.0), torch.tensor(0.5))
