# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 · DCGAN
#
# Turn 64 random numbers into a shoe or a shirt in one stroke, break the rules that made this work one by one to see which of them matter, and then
# drag sliders through the space of latents.
#
# <!-- Colab badge: stamped once the repository's address is set -->
#
# This chapter builds on chapter 01 (the game: generator, discriminator, and what each of them minimises). How long it takes stands in the README's table.

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
from copy import deepcopy
from itertools import takewhile

import matplotlib.pyplot as plt
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

from v101_utils import runtime, zoo
from v101_utils.data import CLASSES, Batches, fashion_mnist, to_unit
from v101_utils.gans import AdversarialTask, Discriminator, Generator
from v101_utils.gans.rules import dense_pair, normalise_everywhere, pool, rescale_weights
from v101_utils.metrics import slerp
from v101_utils.runtime import Plan
from v101_utils.training import Ema, fit, warmup_cosine
from v101_utils.view import curves, grid, rows, running_mean, source, use_style
from v101_utils.view.tables import tables

runtime.set_up(seed=0)
use_style()
here = runtime.device()

# %% [markdown]
# ## The picture first
#
# Forty latents, forty pictures, one call of one small network. Nobody chose among them.

# %%
model, card = zoo.load("dcgan-fashion", device=here), zoo.card("dcgan-fashion")
print(f"{card['parameters']:,} weights, {card['steps']:,} steps, {card['seconds']} seconds on {card['machine']}")
grid(model.sample(40, seed=7), columns=10)

# %% [markdown]
# Look for three kinds of pictures: clothes that could be real, clothes that are nearly right (a sleeve that ends in nothing), and things that are between two kinds. A GAN of this size draws all three; count them. And it was fast: a diffusion model
# (chapter 06) calls its network tens or hundreds of times for one picture, a GAN once.
#
# ## The idea
#
# Chapter 01's players were small networks for points in the plane. A picture needs networks that know what a picture is: neighbouring pixels belong together, and a sleeve is a sleeve wherever it is. For a *classifier* that is
# old knowledge: convolutions. With GANs it had not worked well: attempts to scale them up with convolutions had failed, the authors of our paper report, their own among them. Radford, Metz and Chintala tried architectures until they found a family that trained
# stably, and wrote down its rules (2016, section 3). The result is the **DCGAN**, the deep convolutional GAN. The rules:
#
# 1. No pooling: strided convolutions in the discriminator, *transposed* ones in the generator, so that both learn their own change of size.
# 2. Batch normalisation in both, but not in the generator's output nor in the discriminator's first layer.
# 3. No fully connected hidden layers.
# 4. ReLU in the generator, with tanh at its end; leaky ReLU in the discriminator.
#
# And settings (section 4), among them: weights start from $\mathcal N(0,0.02^2)$, Adam runs with $\beta_1=0.5$ rather than 0.9 and a rate of 0.0002 rather than 0.001, and images are scaled to $[-1,1]$. (The rate is the one of these that we break throughout, for our games are short: it rises to 0.001 over the first 100 steps and then falls to zero by the last, in all of them. Adam's $\beta_2$ is 0.99 here rather than the usual 0.999, for the same reason.)
#
# None of this was derived; it was found by trying. So we shall try, too. But first the parts.
#
# ## The transposed convolution
#
# A convolution with kernel size $k$, stride $s$ and padding $p$ turns a side of $m$ pixels into $\lfloor(m+2p-k)/s\rfloor+1$. With $k=4$, $s=2$, $p=1$ that is half. A generator needs the opposite, from few pixels to many.
# The **transposed convolution** goes the way back: each input pixel puts a copy of the kernel, multiplied by its value, into the output, $s$ pixels further for each step, and where copies overlap they add up. Finally $p$ pixels are cut off all around. A side of $n$ becomes
#
# $$m=(n-1)\,s-2p+k.$$
#
# ### Check: the size

# %%
# NBVAL_CHECK_OUTPUT
for n, k, s, p in ((1, 7, 1, 0), (1, 4, 1, 0), (7, 4, 2, 1), (5, 3, 2, 1), (6, 5, 3, 2)):
    made = F.conv_transpose2d(torch.zeros(1, 1, n, n), torch.zeros(1, 1, k, k), stride=s, padding=p)
    back = F.conv2d(made, torch.zeros(1, 1, k, k), stride=s, padding=p)
    print(f"side {n}, kernel {k}, stride {s}, padding {p}: {made.shape[-1]} (formula {(n - 1) * s - 2 * p + k}); "
          f"the convolution leads back to {back.shape[-1]}")

# %% [markdown]
# Why *transposed*? A convolution is linear: stack the pixels into a vector and it is a matrix $C$. The transposed convolution is the matrix $C^\top$. It is not the inverse: it restores the size, not the values. You have met $C^\top$
# before, in every training: the backward pass of $y=Cx$ is $\partial L/\partial x=C^\top\,\partial L/\partial y$. So a generator's forward pass is built of what a discriminator's backward pass does.
#
# There is a third way to see it: spread the input's pixels $s$ apart with zeros between them, then convolve with the flipped kernel at stride 1. (Slower, as most products are with zero.)
#
# ### Check: three ways, one result
#
# $(B, 3, 5, 5)\to(B, 4, 10, 10)$ by PyTorch's own, by autograd through a convolution, and by zeros.

# %%
# NBVAL_CHECK_OUTPUT
draw = runtime.generator(1)
x, kernel = (torch.randn(shape, generator=draw, dtype=torch.float64) for shape in ((2, 3, 5, 5), (3, 4, 4, 4)))
made = F.conv_transpose2d(x, kernel, stride=2, padding=1)  # (2, 4, 10, 10)

large = torch.zeros(2, 4, 10, 10, dtype=torch.float64, requires_grad=True)
(gradient,) = torch.autograd.grad(F.conv2d(large, kernel, stride=2, padding=1), large, grad_outputs=x)

spread = torch.zeros(2, 3, 9, 9, dtype=torch.float64)
spread[:, :, ::2, ::2] = x  # zeros between the pixels
by_zeros = F.conv2d(spread, kernel.flip(2, 3).transpose(0, 1), padding=4 - 1 - 1)  # k - 1 - p
print("as the gradient of a convolution:", torch.allclose(made, gradient))
print("by zeros between pixels:         ", torch.allclose(made, by_zeros))

# %% [markdown]
# ### Why kernel 4 for stride 2?
#
# How many copies of the kernel does each output pixel receive? Transpose a kernel of ones over an input of ones, and count.

# %%
figure, panels = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for axes, (k, p) in zip(panels, ((3, 1), (4, 1), (5, 2))):
    count = F.conv_transpose2d(torch.ones(1, 1, 8, 8), torch.ones(1, 1, k, k), stride=2, padding=p)[0, 0]
    picture = axes.imshow(count, vmin=0, vmax=9, cmap="Blues")
    axes.set(title=f"kernel {k}, stride 2", xticks=[], yticks=[])
    axes.grid(False)
figure.colorbar(picture, ax=panels, label="copies that add up in a pixel", shrink=0.8)
plt.show()


# %% [markdown]
# With kernel 3 or 5 neighbouring pixels are made of different numbers of terms: a **checkerboard**, before any weight is learnt. The network can learn to cancel it, but need not (Odena et al., 2016). With $k$ a multiple of $s$ every pixel away from the border
# gets equally many. That is why both our networks use kernel 4 at stride 2 (the discriminator, too: its backward pass is a transposed convolution, and would hand a checkerboard to the generator as a gradient). (Look at the border of the middle one, too: fewer copies arrive there.) It removes the cause that lies in the counting, not every pattern of dots: you will see some below.
#
# ## The architecture
#
# The generator takes the latent for a picture of one pixel with many channels, makes 4x4 pixels of it, and then trades channels for size. Here is the one for 64x64 RGB, run layer by layer: what comes out of each layer, and how many weights it has.

# %%
# NBVAL_CHECK_OUTPUT
def walk(layers, x):
    """Prints the shape (without the batch) behind each layer, and how many weights the layer has."""
    for layer in layers:
        x = layer(x)
        print(f"{type(layer).__name__:16} {str(tuple(x.shape[1:])):14} {sum(p.numel() for p in layer.parameters()):9,}")


paper = Generator(channels=3, size=64, latent_dim=100, width=64)
walk(paper.layers, torch.zeros(2, 100, 1, 1))


# %% [markdown]
# (The picture in the paper has twice as many channels everywhere, `width=128`, and kernels of 5.) Note where the weights are: nearly all of them in the first three transposed convolutions, where pictures are small. Note also what is missing: no bias before a normalisation, which would subtract it again, and no normalisation behind the last layer.
#
# The same recipe at 28 pixels, for Fashion-MNIST. Since $28=7\cdot2^2$, it starts from 7x7 and doubles twice. And the discriminator, its mirror:

# %%
# NBVAL_CHECK_OUTPUT
def pair(norm="batch", slope=0.2, hidden=(0, 0)):
    """Generator and discriminator for 28x28 grey; `hidden` are the widths of a fully connected layer of each, 0 is none."""
    return Generator(width=32, norm=norm, hidden=hidden[0]), Discriminator(width=32, slope=slope, hidden=hidden[1])


generator, discriminator = pair()
walk(generator.layers, torch.zeros(2, 64, 1, 1))
print()
walk([*discriminator.features, discriminator.to_score], torch.zeros(2, 1, 28, 28))


# %% [markdown]
# The discriminator ends in a raw score, without a sigmoid: chapter 01's losses want it so. (Its `Identity` stands where the first layer's normalisation would.)
#
# ### One layer that sees the whole
#
# At this size rule 3 has a price. Two strided convolutions are all there is: a number of the second one's output has seen 10 by 10 pixels of the 28 by 28, and the score is a weighted sum of such numbers. So no part of the discriminator knows whether a sleeve and a sole go together; each place is judged by itself, and the sum cannot tell
# a picture from a patchwork. With the paper's four convolutions the last one sees most of a picture. The network that drew the pictures at the top of this chapter therefore breaks the rule, in one place in each player: a fully connected layer before the score, which sees the whole, and another between the latent and the first 7x7 pixels. So does our live training. Where we test the other rules, we keep this one,
# and afterwards we measure what it costs.

# %%
# NBVAL_CHECK_OUTPUT
WHOLE = (128, 256)
walk(pair(hidden=WHOLE)[0].layers, torch.zeros(2, 64, 1, 1))
print()
walk(pair(hidden=WHOLE)[1].features, torch.zeros(2, 1, 28, 28))

# %% [markdown]
# ## The first weights
#
# How large should random weights be? A number behind a layer is a sum of $n$ products of a weight of variance $\sigma^2$ and an input, so
#
# $$\operatorname{Var}(y)=n\,\sigma^2\;\mathbb E[x^2],\qquad\text{and behind a ReLU}\quad\mathbb E[x^2]=\tfrac12\operatorname{Var}(y_{\text{before}}).$$
#
# Here $n$ counts the inputs of *one* output: for a transposed convolution with $k=4$, $s=2$ only 4 of the 16 kernel entries meet a given pixel, so $n=4\,C_{\text{in}}$. To keep the variance from layer to layer, one needs $\sigma=\sqrt{2/n}$ (He et al., 2015).
# Smaller, and signals die out; larger, and they explode.
#
# ### Check: spread, layer by layer
#
# The generator without a hidden layer, before any training: the standard deviation behind each of its three transposed convolutions, without BatchNorm and with it.

# %%
# NBVAL_CHECK_OUTPUT
def spreads(std, norm):
    """The standard deviation behind each transposed convolution, for first weights from N(0, std^2)."""
    torch.manual_seed(0)
    (network,) = rescale_weights(std / 0.02, Generator(width=32, norm=norm))
    x, found = network.latents(500)[:, :, None, None], []
    for layer in network.layers:
        x = layer(x)
        found += [x.std().item()] if isinstance(layer, nn.ConvTranspose2d) else []
    return found


fans = (64, 4 * 64, 4 * 32)  # n of each layer
for std in (0.02, 0.1, 0.2):
    formula = [std * math.sqrt(fans[0])]
    for n in fans[1:]:
        formula.append(std * math.sqrt(n / 2) * formula[-1])
    for name, values in (("no norm", spreads(std, "none")), ("formula", formula), ("BatchNorm", spreads(std, "batch"))):
        print(f"std {std:4}, {name:9}: " + "  ".join(f"{value:6.2f}" for value in values))

# %% [markdown]
# The first two lines of each group agree, up to the border, where fewer copies arrive. Without BatchNorm each layer multiplies the spread by a factor, and 64x64 pixels take two layers more. With it what enters each ReLU has spread 1 again, whatever came before. So is the 0.02 of no importance once there is BatchNorm? Three things remain.
#
# * The **last** layer has no normalisation. With weights of 0.2 its output has a spread above 1, tanh is at its ends in many pixels, and a saturated tanh passes hardly any gradient.
# * The discriminator's first layer and its score have none either.
# * **Steps.** Adam moves each weight by about the rate, whatever the weight's size. A rate of 0.001 is a twentieth of a weight of 0.02, but 1/200 of one of 0.2: a normalised layer's output depends on the *relative* change, so large first weights learn slowly.
#
# And where does 0.02 come from? Compare it with $\sqrt{2/n}$ at kernel 4, for the paper's numbers of channels (1,024 to 128) and for ours (64 and 32):

# %%
# NBVAL_CHECK_OUTPUT
for channels in (1024, 512, 256, 128, 64, 32):
    print(f"{channels:4} channels in: sqrt(2/n) = {math.sqrt(2 / (4 * channels)):.3f}")

# %% [markdown]
# The paper's widest layer has 1,024 channels: there 0.02 is just about right. It is no constant of nature, and for narrow networks it is small.
#
# ## Batch normalisation
#
# For each channel $c$, over the batch and all pixels (Ioffe & Szegedy, 2015):
#
# $$y=\gamma_c\,\frac{x-\mu_c}{\sqrt{v_c+\epsilon}}+\beta_c.$$
#
# $\gamma_c$ and $\beta_c$ are learnt (and no kin of Adam's $\beta_1$): a spread and a mean that the network may choose for itself; $\epsilon=10^{-5}$ keeps a zero out of the denominator. What it is for, says the paper of DCGAN: it makes up for poor first weights, helps gradients through deep networks, and kept the generator from drawing one and the same picture for every latent.
#
# In **training** $\mu_c$ and $v_c$ are the mean and variance of *this batch*. So an image's result depends on its neighbours in the batch. Meanwhile the layer keeps running averages of both, and in **evaluation** it uses these: then each image
# is on its own, and the layer is nothing but a scale and a shift.
#
# ### Check: both modes
#
# (Two details that differ between the two: the batch's variance divides by the number $N$ of values, the running one by $N-1$; and the running average moves by a tenth at each step.)

# %%
# NBVAL_CHECK_OUTPUT
x = 1 + 2 * torch.randn(8, 3, 5, 5, generator=draw, dtype=torch.float64)  # (B, C, H, W)
norm = nn.BatchNorm2d(3, dtype=torch.float64)
for parameter in norm.parameters():
    nn.init.uniform_(parameter)


def by_hand(mean, var):  # two (C,)
    mean, var, gamma, beta = (t[:, None, None] for t in (mean, var, norm.weight, norm.bias))
    return gamma * (x - mean) / torch.sqrt(var + norm.eps) + beta


mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
print("training mode, by the batch's own:", torch.allclose(norm.train()(x), by_hand(mean, var)))
print("running mean after one step:      ", torch.allclose(norm.running_mean, 0.9 * torch.zeros(3) + 0.1 * mean))
print("running variance after one step:  ", torch.allclose(norm.running_var, 0.9 * torch.ones(3) + 0.1 * x.var((0, 2, 3))))
print("evaluation mode, by the running:  ", torch.allclose(norm.eval()(x), by_hand(norm.running_mean, norm.running_var)))
alone = {mode: torch.allclose(norm.train(mode)(x)[:2], norm.train(mode)(x[:2])) for mode in (True, False)}
print(f"the same for two images in a batch of 2 as in one of 8: training {alone[True]}, evaluation {alone[False]}")

# %% [markdown]
# Why leave it out at two places? With it the samples oscillated, says the paper, and gives no reason. Here is one. Our discriminator gets real and drawn images in two calls, as is usual,
# so each batch is normalised *by itself*. In the first layer that would give both the same mean and spread in every channel, and so hide one of the easiest marks of a fake: that drawn images *as a batch* are too bright or too flat. In the generator's output it would force every batch to the same mean and contrast.
#
# ## The code that matters
#
# A step of the game, from the package. `minimise(loss, optimiser)` takes one step of that optimiser on the gradients of *its own* parameters.

# %%
source(AdversarialTask.training_step)

# %%
source(AdversarialTask.discriminator_step)

# %% [markdown]
# With `critic_steps=1` the loop runs once: draw fakes, let the discriminator take a step on real and fake, then let the generator take a step on *the same fakes*, judged by the discriminator as it now is. (`mismatched` is for pictures with labels, chapter 04; here it is off.) Two details deserve a closer look.
#
# **`fake.detach()`.** The discriminator's loss depends on the fakes, and the fakes depend on the generator's weights. Without `detach` a backward pass runs on through the whole generator. In the discriminator's step nobody wants that gradient: at best it costs time; at worst it stays in the generator's `.grad` and is added to the generator's own in its next step.
# The discriminator wants its loss *low*, the generator wants it *high*. So that gradient points the generator the wrong way.
#
# ### Check: what `detach` cuts
#
# Is there a gradient of the discriminator's loss for the generator's weights, and does it agree with the gradient of the generator's own loss (1: the same direction, −1: the opposite)?

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
task = AdversarialTask(*pair())
real, fake = torch.rand(32, 1, 28, 28) * 2 - 1, task.generate(32)
weights = list(task.generator.parameters())
own = torch.autograd.grad(task.objective.generator(task.score(fake)), weights, retain_graph=True)
for name, seen in (("fake", fake), ("fake.detach()", fake.detach())):
    loss = task.objective.discriminator(task.score(real), task.score(seen))
    found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    reached = sum(g is not None for g in found)
    flat = [torch.cat([g.flatten() for g in some]) for some in (found, own)] if reached else None
    agrees = f", agreement with its own {F.cosine_similarity(*flat, dim=0):.1f}" if reached else ""
    print(f"D's loss on {name:13}: a gradient for {reached} of the generator's {len(weights)} tensors of weights{agrees}")

# %% [markdown]
# **The generator's step leaves the discriminator alone.** Its loss goes *back through* the discriminator, whose gradient with respect to the image is just what the generator needs; but only the generator's weights take a step. Otherwise the discriminator would be taught to praise fakes. Here is one whole step
# with a `minimise` of our own that does what the loop's does, and reports whose weights have moved.

# %%
# NBVAL_CHECK_OUTPUT
networks = {"generator": task.generator, "discriminator": task.discriminator}


def all_weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def minimise(loss, optimiser):
    before = {name: all_weights(network) for name, network in networks.items()}
    loss.backward(inputs=[p for group in optimiser.param_groups for p in group["params"]])  # for these parameters alone
    optimiser.step()
    optimiser.zero_grad()
    moved = {name: (all_weights(network) - before[name]).abs().max() for name, network in networks.items()}
    print("largest change of a weight: " + ", ".join(f"{name} {change:.4f}" for name, change in moved.items()))


_ = task.training_step(real, minimise)

# %% [markdown]
# First line: the discriminator's step. Second: the generator's. (Each moved weight moves by 0.0002, the default rate: so large is Adam's very first step, whatever the gradient.)
#
# ## Training, live
#
# On the subset of Fashion-MNIST that ships. The first row is drawn by the moving **average** of the generator's weights, the second by the generator as it is at that step, from the same latents. We also watch the discriminator's accuracy, by a look at the scores that pass.

# %%
train, test = (fashion_mnist(part, source="shipped", device=here) for part in ("train", "test"))


class Watched(AdversarialTask):
    """The game, with one more scalar: the share of real and fake images that the discriminator gets right."""

    def training_step(self, batch, minimise):
        seen = []
        hook = self.discriminator.register_forward_hook(lambda module, images, scores: seen.append((scores > 0).float().mean()))
        scalars = super().training_step(batch, minimise)
        hook.remove()
        return scalars | {"accuracy": (seen[0] + 1 - seen[1]) / 2}


# %%
steps = runtime.pick(ci=10, laptop=1000, gpu=6000)
look, kept, history = [steps * part // 100 for part in (10, 20, 40, 60, 100)], {}, []
torch.manual_seed(0)
game = Watched(*pair(hidden=WHOLE), rates=(1e-3, 1e-3), betas=(0.5, 0.99))
ema = Ema(game.generator, 0.99)
for step in fit(game, Batches(train.images, size=64), steps, ema=ema, lr_schedule=warmup_cosine(steps)):
    history.append(step.scalars)
    if step.number in look:
        kept[step.number] = deepcopy((ema.average, game.generator.eval(), game.discriminator))
        average, last, _ = kept[step.number]
        display(rows({f"step {step.number}\naverage": average.sample(10, seed=4), "the last": last.sample(10, seed=4)}))


# %%
def smooth(history, name, width=20):
    """At each step of a history, a scalar's mean over the last `width` steps."""
    return running_mean([scalars[name] for scalars in history], width)


figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4))
lines = {name: smooth(history, name) for name in ("discriminator", "generator", "real", "fake")}
curves(range(steps), {name: lines[name] for name in ("discriminator", "generator")}, "step", "mean of 20 steps", "losses", left)
curves(range(steps), {name: lines[name] for name in ("real", "fake")}, "step", "mean of 20 steps", "mean scores", right)
plt.show()

# %% [markdown]
# First there are grey clouds with a pattern of dots, then blots, then outlines: follow a single column to see when it becomes a thing, and which columns still have not at the end. (The zoo's network had many times as many steps.) Compare average and last: the last generator is wherever the game has just
# pushed it; the average is smoother and has fewer dots. At first it lags behind (at step 200 it is the paler one); later it is the centre about which the last one moves, and the better of the two. At the end the two are close, because the rates go to zero.
#
# Now look at the losses, and ask them when the pictures became good. They do not say.
#
# ## How to read a GAN's losses
#
# In any other training of this collection a loss that falls means progress. Here each loss is measured *by the other player*. Suppose that the discriminator is equally sure of everything, score $s$ for real and $-s$ for fake images, so that it gives the truth the probability $D=\sigma(s)$ (here $\sigma$ is the sigmoid, as in chapter 01, and $s$ a score). Then
#
# $$L_D=-2\log D,\qquad L_G=-\log(1-D).$$
#
# At $D=\tfrac12$, where it can only guess, $L_D=\log4\approx1.386$ and $L_G=\log2\approx0.693$. That is where the game would rest if the generator were perfect (chapter 01). But the same numbers also come out where the discriminator is too weak to tell anything: **log 4 says that the two are even, not that either is good**.
#
# ### Check: the losses of a discriminator that is equally sure of all
#
# The package's losses of scores against the textbook's binary cross-entropy of probabilities.

# %%
# NBVAL_CHECK_OUTPUT
for s in (0.0, 0.5, 1.0, 2.0, 4.0):
    real, fake = torch.full((4,), s), torch.full((4,), -s)
    truth = F.binary_cross_entropy(real.sigmoid(), torch.ones(4)) + F.binary_cross_entropy(fake.sigmoid(), torch.zeros(4))
    fooled = F.binary_cross_entropy(fake.sigmoid(), torch.ones(4))
    print(f"D {real.sigmoid()[0]:.3f}: discriminator {task.objective.discriminator(real, fake):.3f} ({truth:.3f})   "
          f"generator {task.objective.generator(fake):.3f} ({fooled:.3f})")


# %% [markdown]
# ### One generator, many judges
#
# We have kept both players at five moments of the training. Let each generator be judged by each discriminator. What the curve of the generator's loss shows is the diagonal alone.

# %%
@torch.no_grad()
def fooling(last, discriminator):
    """The generator's loss on 256 fakes, before a judge in the mode that it was trained in."""
    scores = deepcopy(discriminator).train()(last.sample(256, seed=3))
    return F.softplus(-scores).mean().item()


table = torch.tensor([[fooling(kept[g][1], kept[d][2]) for d in look] for g in look])
names = [str(step) for step in look]
tables({"the generator's loss": table}, names, names, "discriminator of step", "generator of step",
       limits=(0, table.max().item()), number="{:.1f}".format, cell=0.6)  # fmt: skip
plt.show()

# %%
frechet = zoo.recipes.fashion_frechet(runtime.pick(ci=200, laptop=None, gpu=None))
count = runtime.pick(ci=50, laptop=1000, gpu=2000)
print(f"Fréchet distance of {count} real test pictures: {frechet(to_unit(test.images[:count].cpu())):.1f}")
for step, (average, last, _) in kept.items():
    distances = [frechet(to_unit(network.sample(count, seed=1).cpu())) for network in (average, last)]
    loss = smooth(history[:step], "generator")[-1]
    print(f"step {step:4}: average {distances[0]:5.0f}, last {distances[1]:5.0f}; the generator's loss {loss:.2f}")

# %% [markdown]
# Go down the **last column**: before the same, best judge, the loss falls from step 400 on. (The first three generators it finds about equally bad, although their pictures differ greatly. Not because it is sure: a loss of 1.4 is $-\log0.25$, so it gives each of them about one chance in four. But it has not met such clouds for a long time, and its BatchNorm takes each batch by itself: of what all pictures of a batch have in common, little is left in the score.) That is progress, and you can read it only with the judge held still. Go along a **row** to the right: the same pictures, and a loss that changes only because the judge does. On the diagonal the two nearly cancel.
# And the lower left half is pale: an early judge is fooled by every later generator, good or bad. (A cell is one moment; the curve above is smoothed.)
#
# The **Fréchet distance** takes features of an independent classifier, of real and of generated pictures, fits a normal distribution to each set, with means $\mu_r,\mu_g$ and covariances $\Sigma_r,\Sigma_g$, and compares the two: $\lVert\mu_r-\mu_g\rVert^2+\operatorname{tr}\bigl(\Sigma_r+\Sigma_g-2(\Sigma_r\Sigma_g)^{1/2}\bigr)$. Bad pictures raise it, and so does too little variety. It falls with the number of pictures, so compare like with like, and it is not comparable with the FID of papers (Fréchet Inception distance, Heusel et al. 2017: the same formula, on the features of another network). Its judge stays the same. Go from line to line: the distance falls to a small part of what it was, and the generator's loss does not go along. (At the first two moments the average is the worse one: while a generator improves fast, its average lags behind. And the number above them is what real pictures get: no generator should be expected below.) So:
#
# * Do not stop a training, choose a network, or compare two trainings by these losses.
# * Do watch them for **illness**, as one takes a temperature. The next section has a game that is ill.
#
# ## The rules, each broken once
#
# Now the experiment. A short training for the pair with all rules, then for seven others that break one rule or setting each. All have the same data, steps and rates. (200 steps on a laptop: the rate rises for the first half and falls for the second.) Since one training is one throw of the dice, each pair plays twice, with the same two seeds: how far the two distances of a line lie apart is how much luck alone can do.
#
# Most are one argument. Pooling and normalisation need an exchange of layers, such as this one:

# %%
source(pool)

# %%
few = runtime.pick(ci=6, laptop=200, gpu=2500)


def play(build, seed=0, task=Watched, images=train.images, betas=(0.5, 0.99)):
    """A game of `few` steps between the pair that `build()` gives: the averaged generator, and each step's scalars."""
    torch.manual_seed(seed)
    game = task(*build(), rates=(1e-3, 1e-3), betas=betas)
    ema, schedule = Ema(game.generator, 0.99), warmup_cosine(few)
    training = fit(game, Batches(images, size=64), few, ema=ema, lr_schedule=schedule, plan=Plan(), progress=False)
    history = [step.scalars for step in training]
    return ema.average, history


# %%
rules = {
    "all rules kept": (pair, {}),
    "no BatchNorm in G": (lambda: pair(norm="none"), {}),
    "BatchNorm everywhere": (lambda: normalise_everywhere(*pair()), {}),
    "ReLU in D": (lambda: pair(slope=0.0), {}),
    "pooling": (lambda: pool(*pair()), {}),
    "first weights 0.2": (lambda: rescale_weights(10, *pair()), {}),
    "fully connected": (dense_pair, {}),
    "beta1 = 0.9": (pair, {"betas": (0.9, 0.99)}),
}
played = {name: [play(build, seed, **settings) for seed in (0, 1)] for name, (build, settings) in rules.items()}

# %%
drawn = {name: [network.sample(count, seed=1).cpu() for network, _ in games] for name, games in played.items()}
for name, pairs in drawn.items():
    distances = ", ".join(f"{frechet(to_unit(images)):4.0f}" for images in pairs)
    last = {key: sum(smooth(history, key, 50)[-1] for _, history in played[name]) / 2 for key in ("discriminator", "generator", "accuracy")}
    kinds = [int((zoo.gan_recipes.class_shares(images) >= 0.02).sum()) for images in pairs]
    print(f"{name:21} Fréchet distances {distances}   loss of D {last['discriminator']:.2f}, of G {last['generator']:.2f}   "
          f"D right {last['accuracy']:.2f}   classes with at least 2% {kinds[0]:2}, {kinds[1]:2}")
rows({name: torch.cat([images[:6] for images in pairs]) for name, pairs in drawn.items()}, columns=12, label_width=170)

# %% [markdown]
# In each row six pictures are of the first seed and six of the second; losses and accuracy are means of both games. Compare each line with the first, and trust a difference of distances only where it is clearly more than that between two seeds. (Two games tell the size of luck roughly.) The last column counts the kinds that the collection's classifier sees among the pictures, a first look for lost kinds. It has to name one even for noise, and where the pictures are noise it means nothing. After so short a training nothing is finished; we see what *starts*.
#
# * **beta1 = 0.9** destroys the game: a pattern of dots, nearly the same for every latent of a game. Momentum of 0.9 keeps pushing where the other player was ten steps ago, and in a game that turns (chapter 01) that is the wrong way. It is the smallest change of all, and the largest effect: a default argument. (At our rate, which the paper found too high; at 0.0002 it may do less harm.)
# * **First weights of 0.2**: salt and pepper, from a saturated tanh, and slow to learn, as we foresaw.
# * **BatchNorm everywhere**: no black background. What enters the tanh has, over a batch, the mean $\beta$ and the spread $\gamma$ of the last normalisation. These start at 0 and 1 and move little in so few steps, while black on most pixels needs a mean far below 0. A longer game could learn them; but even then a picture would depend on the others in its batch. (It is in both players at once: which of them does the harm this row does not say.)
# * **Pooling** takes two to three times as long for a step on a CPU, and makes edges out of repeated pixels. But it trains: compare its distances with those of the first line. Later work did use upsampling and pooling with success, StyleGAN (chapter 05) among it. The rule was good advice in its time, not a law.
# * **ReLU in the discriminator** is no catastrophe at this depth: compare the distances. A leak lets a gradient through every unit, and two layers hardly need that.
# * **No BatchNorm in the generator** does no harm here; look whether its distances are not even the lower ones. Its signals start weak, as the table of spreads has shown, but with three layers not too weak for Adam, whose steps do not depend on the size of a gradient. The rule is for deeper networks: try it at 64 pixels.
# * **Fully connected** nearly keeps up, by the distance, at this point: 28 pixels with everything in the middle are nearly a vector. But look at the grain: neighbouring pixels know nothing of each other. And it does not scale: at 64x64 RGB its last layer alone would have millions of weights.
#
# So two of the settings, the momentum and the size of the first weights, and one rule, where *not* to normalise, decide in so short a game; the others hardly matter or only later (rule 3 as our live game breaks it, one full layer *added* to the convolutions of each player, comes below, for longer). That is not what one would guess from the paper's list, and it is no refutation of it: the paper's networks are two layers deeper, its pictures were rooms and faces. Rules of architecture are
# answers to a size, a data set and an optimiser. When yours differ, break them one at a time, as here, and look.
#
# ### A healthy and an unhealthy game
#
# The first and the last row, two games each, with the values of an even game dotted.

# %%
panels_of = {"discriminator": math.log(4), "generator": math.log(2), "accuracy": 0.5}
figure, panels = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
for axes, (name, even) in zip(panels, panels_of.items()):
    for which, colour in (("all rules kept", "C0"), ("beta1 = 0.9", "crimson")):
        for seed, (_, scalars) in enumerate(played[which]):
            axes.plot(smooth(scalars, name, 10), color=colour, label=None if seed else which, alpha=0.5 if seed else 1)
    axes.axhline(even, color="black", ls=":")
    axes.set(title=name if name == "accuracy" else f"{name}'s loss", xlabel="step")
panels[1].legend(loc="lower right", bbox_to_anchor=(1, 0.28))
plt.show()

# %% [markdown]
# What to look for:
#
# * The discriminator's loss goes **to zero** and its accuracy to 1: it is sure of everything. The generator then learns from a judge that answers every change with "no". Sometimes a game recovers from it, as a rule it does not. Remedies: beta1, a lower rate for the discriminator, or a constraint on it (chapter 03).
# * It stays **at log 4** from the start: the discriminator learns nothing. Is its rate zero? Does it get the same images as real and as fake? (A sigmoid too many looks similar: mistake 1 below, where it sticks at 1.006.)
# * **Between the two** is a game that is being played: rugged curves, an accuracy that rises and falls, a generator's loss that shoots up while the discriminator learns faster and then comes down again. (The calm at the right end is no sign of health: there the rates go to zero.)
#
# Accuracy alone is no illness: look in the table above at the game without BatchNorm in the generator. Its discriminator is right nearly always, and its pictures are none the worse for it. Look at the discriminator's *loss* as well: at a few tenths, as there, the two still meet; at the 0.03 of the ill game real and drawn are far apart. The generator does not lack a gradient then (its non-saturating loss gives it the largest one just where the judge is sure, chapter 01), but that gradient need no longer lead to better pictures, and the discriminator has nothing left to correct.
#
# ### Rule 3, for longer
#
# One rule is missing above: the third, which our live game breaks. (The game "fully connected" had no convolutions at all; here two layers are *added* to the convolutions.) What is that worth? The same game without the two layers, from the same seed, for as many steps:

# %%
torch.manual_seed(0)
plain = AdversarialTask(*pair(), rates=(1e-3, 1e-3), betas=(0.5, 0.99))
ema = Ema(plain.generator, 0.99)
for _ in fit(plain, Batches(train.images, size=64), steps, ema=ema, lr_schedule=warmup_cosine(steps), progress=False):
    pass
games = {"rule 3 kept": ema.average, "rule 3 broken,\nas above": kept[steps][0]}
for name, network in games.items():
    print(f"{' '.join(name.split())}: Fréchet distance {frechet(to_unit(network.sample(count, seed=1).cpu())):.0f}")
rows({name: network.sample(10, seed=4) for name, network in games.items()}, label_width=120)

# %% [markdown]
# With two layers more the parts belong together where there was a patchwork. (They bring most of the weights, too. What the wider view did and what the size, this comparison does not separate.) It is no argument against the paper. Its four convolutions see what our two cannot, and
# the rule says as much: it is meant for deeper networks. But it shows that one has to know the reason of a rule to know where it holds.
#
# ## The space of latents
#
# Back to the network that ships, and play with it. Every latent is a picture; what lies between two pictures? A generator that has learnt pictures by heart would jump from one to the next. One that has learnt what clothes are should change a thing step by step into another.
#
# ### Where latents live
#
# A latent has $d$ independent standard normal entries. (The paper drew them uniformly from a cube; normal ones are usual today.) So $\mathbb E|z|^2=d$, exactly; and its length hardly varies, with a standard deviation of about $1/\sqrt2$ *whatever $d$ is*:
#
# $$\mathbb E|z|=\sqrt2\;\frac{\Gamma\bigl(\frac{d+1}2\bigr)}{\Gamma\bigl(\frac d2\bigr)}\approx\sqrt d,\qquad\operatorname{Std}|z|\approx\frac1{\sqrt2}.$$
#
# So nearly all latents lie in a thin shell, a sphere of radius $\sqrt d$. But the middle of a straight line between two of them has variance $\tfrac14+\tfrac14=\tfrac12$ in each entry, length $\sqrt{d/2}$: inside the sphere, where the generator has hardly ever been trained.
#
# ### Check: the shell
#
# In the last column, how probable it is that a latent is as short as such a middle (exact: $|z|^2$ has a $\chi^2$ distribution).

# %%
# NBVAL_CHECK_OUTPUT
for d in (2, 16, 64, 512):
    z = torch.randn(10_000, d, generator=draw, dtype=torch.float64)
    length, exact = z.norm(dim=1), math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    middle = torch.lerp(z[::2], z[1::2], 0.5).norm(dim=1).mean()
    print(f"d {d:3}: mean of |z|² / d {length.square().mean() / d:.2f}   |z| {length.mean():5.1f} (exact {exact:5.1f}) ± "
          f"{length.std():.1f}   middle {middle:4.1f}   P(|z| ≤ √(d/2)) = {stats.chi2.cdf(d / 2, d):.0e}")

# %% [markdown]
# In two dimensions the middle is as good a latent as any. In 64 it is like hardly any, in 512 like none.
#
# ### Along the sphere
#
# So White (2016) proposed to go along the great circle, by **slerp** (spherical linear interpolation). With $u$, $v$ of length 1 and $\omega$ the angle between them,
#
# $$\operatorname{slerp}(u,v;t)=\frac{\sin((1-t)\,\omega)}{\sin\omega}\,u+\frac{\sin(t\,\omega)}{\sin\omega}\,v.$$
#
# The package's `slerp` takes vectors of any length, and goes from one length to the other at an even pace.
#
# ### Check: slerp keeps the length and the pace

# %%
# NBVAL_CHECK_OUTPUT
a, b = (F.normalize(torch.randn(1, 64, generator=draw, dtype=torch.float64)) for _ in range(2))
omega = (a @ b.T).acos().item()
for t in (0.0, 0.25, 0.5, 0.75, 1.0):
    formula = (math.sin((1 - t) * omega) * a + math.sin(t * omega) * b) / math.sin(omega)
    ours = slerp(a, b, t)
    turned = (a @ ours.T).clamp(-1, 1).acos().item() / omega
    print(f"t = {t:.2f}: formula {torch.allclose(ours, formula)}   length {ours.norm():.3f} "
          f"(straight {torch.lerp(a, b, t).norm():.3f})   share of the angle {turned + 0.0:.2f}")

# %%
ends, places = (model.latents(8, seed=21), model.latents(8, seed=22)), torch.linspace(0, 1, 11).tolist()
strips = {}
for i in (0, 2, 3):
    a, b = ends[0][i : i + 1], ends[1][i : i + 1]
    strips[f"{i + 1}, straight"] = model.draw(torch.cat([torch.lerp(a, b, t) for t in places]))
    strips[f"{i + 1}, sphere"] = model.draw(torch.cat([slerp(a, b, t) for t in places]))
rows(strips, columns=11)

# %% [markdown]
# Each pair of rows has the same ends. Within a kind the pictures change step by step. From one kind to another the change is quick, within a column or two, through something that is neither. Is this the jump of a generator that has learnt by heart? No: within a kind it does go on smoothly. But between a jacket and a sneaker there is nothing in the data, and the discriminator punishes whatever lies there; the generator, which cannot tear the space, crosses it as fast as it can. Which way is the better one these few do not tell: in the last pair it is the straight one that stays whole. So measure many middles:

# %%
n, distances = runtime.pick(ci=100, laptop=2000, gpu=5000), {}
for seed in (5, 25, 45):
    a, b = model.latents(n, seed=seed), model.latents(n, seed=seed + 1)
    middles = {"latents": a, "straight middles": torch.lerp(a, b, 0.5), "middles on the sphere": slerp(a, b, 0.5)}
    for name, z in middles.items():
        distances.setdefault(name, []).append(frechet(to_unit(model.draw(z)).cpu()))
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for (name, z), colour in zip(middles.items(), ("C0", "C1", "C2")):
    left.hist(z.norm(dim=1), bins=50, range=(0, 11), histtype="step", lw=1.5, color=colour)
    right.barh(name, sum(distances[name]) / 3, color=colour, alpha=0.6)
    right.plot(distances[name], [name] * 3, "k.")
    print(f"{name:22} mean length {z.norm(dim=1).mean():.2f}   Fréchet distances " + " ".join(f"{d:5.1f}" for d in distances[name])
          + f"   contrast {to_unit(model.draw(z)).std((1, 2, 3)).mean():.3f}")
left.set(xlabel="length of z, of the last draw", ylabel="how many")
right.set(xlabel=f"Fréchet distance of {n:,} pictures: three draws (dots), mean")
right.invert_yaxis()
plt.show()

# %% [markdown]
# The colours on the left are those on the right. Straight middles are worse as a *set*, with less contrast, by more than three draws differ among themselves. (As a set: a single one need not be bad. Nearer to the middle pictures are more typical and less various, and a set without variety is far from the data. Chapter 05 does so on purpose, and calls it truncation.) Middles on the sphere are as good as fresh latents, up to the luck of a draw, as they must be: for independent ends their directions are as evenly spread as those of fresh latents, and their lengths are right.
#
# ### Does it copy?
#
# The other suspicion is that the generator has stored training pictures. For each drawn picture we look for the nearest training picture, by the features of the independent classifier. To know what "near" means we do the same with test pictures, which cannot be copies, and with two kinds of copies: training pictures with a little noise, and training pictures moved by one pixel.

# %%
judge = zoo.load("classifier-fashion", device=here)
stored, some = train.images[: runtime.pick(ci=300, laptop=None, gpu=None)], runtime.pick(ci=20, laptop=1000, gpu=1000)


@torch.no_grad()
def features(images):
    return torch.cat([judge.features(part) for part in images.split(500)])


copies = stored[:some]
noise = 0.1 * torch.randn(copies.shape, generator=runtime.generator(13)).to(here)
sets = {"drawn": model.sample(some, seed=1), "test": test.images[:some],
        "noisy copies": copies + noise, "moved copies": copies.roll(1, 3)}
known = features(stored)
nearest = {name: torch.cdist(features(images), known).min(1) for name, images in sets.items()}
for name, (distance, _) in nearest.items():
    print(f"{name:13} distance to the nearest: median {distance.median():5.2f}, a tenth below {distance.quantile(0.1):5.2f}")
order = nearest["drawn"].values.argsort()[:10]
rows({"drawn": sets["drawn"][:10], "its nearest": stored[nearest["drawn"].indices[:10]],
      "the closest\nof all": sets["drawn"][order], "their nearest": stored[nearest["drawn"].indices[order]]}, label_width=110)

# %% [markdown]
# The upper pair of rows: ten samples, not chosen, and their nearest training pictures. The same kind of thing, mostly; not the same thing. The lower pair: the ten that are closest of all. These are plain things, of which there is hardly more than one kind, such as trousers. Now compare the first two of the printed lines. Pictures *nearer* to the training set than test pictures are would smell of memory; pictures as far away as these, or
# further, do not, and if they are further it is quality that they lack. A copy with a little noise would show at once. But mind the last line: a copy moved by a single pixel is further away than a test picture is. The features notice a shift, so this search finds only copies that lie in the same place. It can convict, not acquit. (And the network that ships was trained on all 60,000 pictures of the data set, of which the package has the 18,000 that are searched here. To search all of them, install the whole data set and leave out `source`.)
#
# ### Is everything there?
#
# The other classic failure is **mode collapse**: whole kinds of things are never drawn. The classifier counts.

# %%
images = model.sample(2000, seed=0)
shares = zoo.gan_recipes.class_shares(images).cpu()
figure, axes = plt.subplots(figsize=(8, 2.6))
axes.bar(CLASSES, shares, color="0.6")
axes.axhline(0.1, color="black", ls=":")
axes.set(ylabel="share of 2,000", title=f"Fréchet distance {frechet(to_unit(images).cpu()):.1f}; dotted: the training set")
axes.tick_params(axis="x", rotation=30)
plt.show()

# %% [markdown]
# All ten kinds are there, in fair shares: no kind is lost. (This says nothing of variety *within* a kind; the distance does, in part. Chapter 03 asks again.)
#
# ### Arithmetic
#
# The most quoted figure of the paper is a sum of latents: *man with glasses − man + woman = woman with glasses*. Our version: an **ankle boot** is like a **sneaker** but goes high up the leg, often on a heel. So boot − sneaker should be "high", and boot − sneaker + **sandal** a high-heeled sandal.
#
# Nobody told the generator of classes. So we draw many latents, let the classifier say what each picture is, keep those of which it is sure, and average the latents of a class. How many should one average? The paper found single ones unstable and took three. Could it be a matter of length? Averages of $k$ have variance $1/k$ in each entry, the sum of three of them $3/k$:
#
# $$\mathbb E\,|\bar z_1-\bar z_2+\bar z_3|^2\approx\frac3k\,d.$$
#
# For $k=1$ the result is far outside the shell; for $k=3$ it is a latent of just the right length; for many it is short (but for what the class has in common, which does not average out). If length were all, each result should do as well once it is scaled to $\sqrt d$. So we classify both, the sum as it is and the sum brought to length 8.

# %%
drawn_z, sorted_z = model.latents(runtime.pick(ci=500, laptop=6000, gpu=20_000), seed=9), {}
with torch.no_grad():
    sure, kind = torch.cat([judge(model.draw(z)).softmax(1) for z in drawn_z.split(500)]).cpu().max(1)
for label in (9, 7, 5):  # boot, sneaker, sandal
    sorted_z[label] = drawn_z[(kind == label) & (sure > 0.9)]


def averages(label, k, count=200):
    """(count, latent_dim): the means of `k` latents each, drawn from those of a class."""
    found = sorted_z[label]
    return found[torch.randint(len(found), (count, k), generator=runtime.generator(label, k))].mean(1)


# %%
strips = {}
for k in (1, 3, 30):
    boot, sneaker, sandal = (averages(label, k) for label in (9, 7, 5))
    result = boot - sneaker + sandal  # (200, 64)
    scaled = result * (8 / result.norm(dim=1, keepdim=True))
    print(f"means of {k:2}: length {result.norm(dim=1).mean():4.1f} (formula {math.sqrt(3 / k * 64):4.1f})")
    for how, z in (("as it is", result), ("length 8", scaled)):
        shares = zoo.gan_recipes.class_shares(model.draw(z))
        print(f"    {how}: called a sandal in {shares[5]:.2f} of all cases, a boot in {shares[9]:.2f}, "
              f"neither in {1 - (shares[5] + shares[9]).clamp(max=1):.2f}")
    parts = {"boot": boot, "− sneaker": sneaker, "+ sandal": sandal, "= ?": scaled}
    strips |= {f"{name}, {k}": model.draw(z[:10]) for name, z in parts.items()}
rows(strips, label_width=120)

# %% [markdown]
# Four rows for each $k$; each column is a sum, read downwards, its result brought to length 8. With single latents the result may be anything, a shirt included. With more it is footwear nearly always. With thirty look at the heels, and whether there are straps above: that is the sum that we asked for. (Broken in places. And the averaged sandals themselves are mostly closed shoes: sandals are of several sorts, flat and high, and the middle of several sorts need not be one of them. As a *direction* the average is good all the same.)
#
# Then the numbers. (The classifier knows sandals, not heels: its shares say whether the third term came through; whether the heel did you must look for yourself.) The length is not what ails single latents: compare their two lines. A single boot's latent is mostly *that* boot's own, and a sum adds up what is its own of three things; averages are rid of it. With thirty what is left is what the class has in common, which points the right way and is short, and there the right length helps.
# But be sober about it: the three classes had to be chosen (we tried others, *pullover − T-shirt + dress* among them, which did worse: try your own), and the averages of one class hardly differ any more, so neither do the results: with thirty the share is about one sum that works, not about two hundred.
#
# ## The slider
#
# Averages need a classifier. Are there directions that mean something without one? Shen and Zhou (2021) look at nothing but the weights. The generator begins with an affine map, $z\mapsto Az+b$ (its first layer with weights and, in evaluation mode, the BatchNorm behind it: all that stands before the first ReLU). Along a unit vector $n$ the map's output changes by $|An|$ for each unit. Where this is
# largest the pictures should change most:
#
# $$\max_{|n|=1}|An|^2=\max_{|n|=1}n^\top A^\top A\,n.$$
#
# The answers are the eigenvectors of $A^\top A$ with the largest eigenvalues: a principal component analysis of the weights, without a single sample. They call it **SeFa**, for semantic factorisation.

# %%
from v101_utils.gans.directions import factorise, matrix_of

source(factorise)

# %% [markdown]
# ### Check: directions
#
# Eigenvectors of $A^\top A$ against the singular value decomposition of $A$, and against ten thousand random directions, none of which should beat the first.

# %%
# NBVAL_CHECK_OUTPUT
A = torch.randn(300, 64, generator=draw, dtype=torch.float64) * torch.linspace(0.2, 2, 64, dtype=torch.float64)
n, lengths = factorise(A, 4)  # (4, 64), (4,)
random = F.normalize(torch.randn(10_000, 64, generator=draw, dtype=torch.float64))
print("by singular values:", torch.allclose(lengths, torch.linalg.svdvals(A)[:4].float(), atol=1e-4))
print("|A n| itself:      ", torch.allclose((A @ n.double().T).norm(dim=0).float(), lengths, atol=1e-4))
print("orthonormal:       ", torch.allclose(n @ n.T, torch.eye(4), atol=1e-5))
print("best of random directions, as a share of the first:", f"{(A @ random.T).norm(dim=0).max() / lengths[0]:.1f}")

# %% [markdown]
# Now for our generator: how far do *pictures* move, for one unit along each of the 64 directions?

# %%
def first(z):  # all that stands before the first ReLU
    return nn.Sequential(*takewhile(lambda layer: not isinstance(layer, nn.ReLU), model.layers))(z[:, :, None, None])


directions, lengths = factorise(matrix_of(first, model.latent_dim, here).cpu(), 64)
z = model.latents(runtime.pick(ci=10, laptop=200, gpu=500), seed=3)
moved = [(model.draw(z + n / 2) - model.draw(z - n / 2)).square().mean().sqrt().item() for n in directions]
axes = curves(range(1, 65), {"SeFa, largest first": moved}, "direction", "change of a pixel for one unit", marker=".")
by_entry = [(model.draw(z + n / 2) - model.draw(z - n / 2)).square().mean().sqrt().item() for n in torch.eye(64)]
axes.axhline(sum(by_entry) / 64, color="black", ls=":", label="one entry of z, on average")
axes.legend()
plt.show()

# %% [markdown]
# The first few directions do most of the work, and the last do nearly nothing, though the factorisation has seen only the first layer. A single entry of $z$ (dotted) is a mixture of all.
#
# Drag **d1** to **d4**. Large: the picture at $z+d_1n_1+\dots+d_4n_4$. Small: the same, with $d_1$ going from end to end.

# %%
from v101_utils.widgets.latents import LatentWalkView, walk_sliders

view = LatentWalkView(model.cpu(), 5, directions[:4])
walk_sliders(view)

# %% [markdown]
# The same as strips, for two latents: one slider in each row, the picture itself in the middle.

# %%
for seed in (5, 0):
    display(LatentWalkView(model, seed, directions[:4]).strip())


# %% [markdown]
# Take one row after the other: what is at its left end, what at its right, and is it the same in both strips, though these start from different pictures? Where it is, as in the first row, from shoes to garments, the direction belongs to the generator, not to the latent. What the later ones do depends more on where one is. They are not *factors*: each changes several things at once, and nothing in the training
# asked for anything else. Chapter 05 has a generator that is built to do better. At the ends a latent has moved by 4 along one direction, further than a normal number ever is from its mean but once in many thousands, and pictures get simple and bright, or fall to pieces. (Its length, about $\sqrt{64+16}\approx9$, is still a common one.)
#
# ## Common mistakes
#
# ### Common mistake 1: a sigmoid too many
#
# Many a tutorial's discriminator ends in a sigmoid, and many a loss is `binary_cross_entropy_with_logits`, which has one inside. Together they squash twice. Nothing crashes. But the "score" is now between 0 and 1, so the discriminator's opinion is between $\sigma(0)=0.5$ and $\sigma(1)=0.731$: it can never call a fake less real than "perhaps".
# Its lowest possible loss is $\mathrm{softplus}(-1)+\mathrm{softplus}(0)=1.006$, not 0.

# %%
class Squashed(Discriminator):
    """Wrong: a sigmoid before a loss that has its own."""

    def forward(self, images, labels=None):
        return super().forward(images, labels).sigmoid()


squashed, squashed_history = play(lambda: (Generator(width=32), Squashed(width=32)))
print(f"the lowest loss there is: {F.softplus(torch.tensor(-1.0)) + F.softplus(torch.tensor(0.0)):.3f}; lowest seen: "
      f"{min(s['discriminator'] for s in squashed_history):.3f}")

# %% [markdown]
# ### Common mistake 2: images in [0, 1]
#
# `ToTensor` gives pixels in $[0,1]$; the generator ends in tanh, whose range is $[-1,1]$. Then black is 0 for the data, which is tanh's steepest point and not its end. To keep a background *exactly* at 0 the generator has to hit it; to keep it at −1 it needs only to push. And the discriminator has an easy mark: whatever is below 0 is a fake.

# %%
unit, unit_history = play(pair, images=to_unit(train.images))


# %% [markdown]
# ### Common mistake 3: the other network's gradients
#
# A plain `loss.backward()` in the generator's step leaves gradients in *both* networks. Who then forgets `zero_grad()` on the discriminator before its next step adds the generator's wish, "call my fakes real", to the discriminator's. (The package cannot make this mistake: it asks for the gradients of one network's parameters alone. So here is a
# wrapper that leaves them behind, as a plain `backward` would.)

# %%
class Leaky(Watched):
    """Wrong: the generator's loss leaves its gradient in the discriminator, and nobody clears it."""

    def training_step(self, batch, minimise):
        def careless(loss, optimiser):
            if optimiser is self.optimisers["generator"]:
                loss.backward(inputs=list(self.discriminator.parameters()), retain_graph=True)
            return minimise(loss, optimiser)

        return super().training_step(batch, careless)


leaky, leaky_history = play(pair, task=Leaky)

# %%
wrong = {"all rules kept": played["all rules kept"][0], "sigmoid twice": (squashed, squashed_history),
         "images in [0, 1]": (unit, unit_history), "no zero_grad": (leaky, leaky_history)}
shown = {}
for name, (network, history) in wrong.items():
    shown[name] = network.sample(count, seed=1).cpu()
    last = {key: smooth(history, key, 50)[-1] for key in ("discriminator", "generator", "real", "fake")}
    print(f"{name:17} Fréchet distance {frechet(to_unit(shown[name])):4.0f}   loss of D {last['discriminator']:.2f}, "
          f"of G {last['generator']:.2f}   mean scores: real {last['real']:.2f}, fake {last['fake']:.2f}")
shown["[0, 1], rescaled"] = 2 * shown["images in [0, 1]"].clamp(0, 1) - 1
lowest = shown["images in [0, 1]"].min()
print(f"[0, 1], rescaled: {frechet(to_unit(shown['[0, 1], rescaled'])):.0f}; before, their lowest pixel is {lowest:.2f}")
rows({name: images[:10] for name, images in shown.items()}, label_width=150)

# %% [markdown]
# **Sigmoid twice** is fatal: grey noise. Look at the discriminator's loss: it sits at its floor of 1.006, the mean scores at 1 and 0. The inner sigmoid is saturated, so hardly any gradient gets through it to the generator, whose loss stays at about $\log 2$, which looks like an even game. It is not the height that gives it away
# (our live game's loss was near 1 as well), but that it stands still at just this value, with mean scores of 1 and 0.
#
# **Images in $[0,1]$**: as they come out of the generator they are shown with a grey background, for 0 is in the middle of the range that all else expects, and the Fréchet distance says the same. Rescaled, in the last row, they are as good as those of the game with all rules: within so short a game the generator did learn to hit 0, nearly. So this mistake
# costs you not the training but everything *after* it: pictures, measurements, and each network that is given them. ("Nearly": look at the lowest pixel. The generator has to learn not to use the lower half of tanh, and the rescaling cuts off what is left below 0.)
#
# **No `zero_grad`** is the most treacherous: the pictures are about as good as with all rules, at this point. But look at the scores: the mean score of *fakes* is above 0, and the generator's loss is below $\log2$. On average the discriminator calls what is drawn real, for half of what it is taught is to be fooled. (Its own loss alone would tell you nothing: our live game had such a one, too.) You would look for the reason in the architecture, or in the rates.
#
# ### Common mistake 4: sampling in training mode
#
# `generator.eval()` is one call, and easily forgotten. Then BatchNorm normalises by the batch at hand, and a picture depends on its neighbours. Below, one latent; each column draws it in another batch of 8. In the third row its neighbours are near copies of itself: normalised among its like, part of what is its own is subtracted as if it were everybody's.

# %%
forgetful, z = deepcopy(model).train(), model.latents(1, seed=7)


@torch.no_grad()
def among(mates):  # (7, latent_dim)
    """The picture of z when it is drawn in training mode together with others."""
    return deepcopy(forgetful)(torch.cat([z, mates]))[:1]


others = [model.latents(7, seed=100 + i) for i in range(10)]
strips = {"eval mode": model.draw(z.expand(10, -1)), "training mode": torch.cat([among(mates) for mates in others]),
          "among its like": torch.cat([among(z + 0.3 * mates) for mates in others])}
for name, images in strips.items():
    apart = (images - strips["eval mode"]).square().mean().sqrt()
    print(f"{name:14} spread of a pixel over the ten columns {images.std(0).mean():.3f}, difference from eval mode {apart:.3f}")
rows(strips, label_width=140)

# %% [markdown]
# Among its like not even the kind of thing survives, and the difference from the first row is the largest of all. Nor is it steadier from column to column, although its neighbours are near copies: what they share is subtracted, and the small differences among them, divided by an equally small spread, decide what is drawn. With large batches of independent latents the mistake hides: the batch's statistics are then close to the running ones. It shows when someone draws a few pictures, or a grid of pictures along a walk. (A single one fails outright with this network, and luckily so: its `BatchNorm1d` would have one number for each channel, and PyTorch says so. A network with `BatchNorm2d` alone would draw it without a word.) And each forgetful call moves the running statistics, so that the network itself is changed by being looked at.
#
# ## Exercises
#
# Write your line where the dots are; run the cell; it says right or not yet. Solutions stand at the very end, folded away in JupyterLab.
#
# **Exercise 1.** Which padding $p$ makes a transposed convolution's side exactly $s$ times as large, for any $n$? (Use the formula for the size. $k-s$ is even.)

# %%
from v101_utils.exercises import check


def padding_for(k, s):  # kernel sizes and strides (N,) -> paddings (N,)
    ...


kernels, strides = torch.tensor([4, 6, 2, 5]), torch.tensor([2, 2, 2, 3])
check(padding_for, kernels, strides)


# %% [markdown]
# **Exercise 2.** In evaluation mode BatchNorm is one scale and one shift for each channel, $y=a\,x+c$, so it can be folded into the convolution before it. Give both, stacked.

# %%
def fold(gamma, beta, mean, var):  # four (C,) -> (2, C): a and c, with epsilon 1e-5
    ...


four = [torch.rand(5, generator=runtime.generator(i)) for i in range(20, 24)]
check(fold, *four)


# %% [markdown]
# **Exercise 3.** The mean of $k$ latents, made into a latent of typical length: whatever its length was, it should be $\sqrt d$ afterwards.

# %%
def typical(latents):  # (k, d) -> (d,)
    ...


several = torch.randn(30, 64, generator=runtime.generator(24))
check(typical, several)


# %% [markdown]
# ## Summary
#
# * A transposed convolution is the transpose of a convolution's matrix: the same as its backward pass. Its side is $(n-1)s-2p+k$; take $k$ a multiple of $s$.
# * The generator trades channels for size, the discriminator the other way round; BatchNorm and careful first weights keep signals alive on the way.
# * `detach` in the discriminator's step, only the generator's weights in the generator's; evaluation mode for samples.
# * Neither loss measures progress: each is measured by the other player. Even is log 4 and log 2. Use them to notice illness; measure quality with a judge that stays the same.
# * In so short a game $\beta_1=0.5$, small first weights and *no* BatchNorm at the two ends decided whether there is a game at all; ReLU, pooling and BatchNorm in the generator did little. Over more steps what mattered was rule 3, and here *breaking* it helped: at 28 pixels two convolutions see only a part, and something must see the whole. Try before you believe, this chapter included.
# * Latents lie in a shell: walk along it, and mind the lengths when you average. The weights of the first layer already know the directions that matter.
#
# ## References
#
# * Radford, Metz, Chintala. *Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks.* ICLR 2016.
# * Goodfellow et al. *Generative Adversarial Nets.* NeurIPS 2014.
# * Dumoulin, Visin. *A guide to convolution arithmetic for deep learning.* arXiv 2016.
# * Odena, Dumoulin, Olah. *Deconvolution and Checkerboard Artifacts.* Distill 2016.
# * He, Zhang, Ren, Sun. *Delving Deep into Rectifiers.* ICCV 2015.
# * Ioffe, Szegedy. *Batch Normalization.* ICML 2015.
# * White. *Sampling Generative Networks.* arXiv 2016.
# * Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter. *GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium.* NeurIPS 2017.
# * Shen, Zhou. *Closed-Form Factorization of Latent Semantics in GANs.* CVPR 2021.
#
# ## Solutions

# %% jupyter={"source_hidden": true} tags=["solution"]
# NBVAL_CHECK_OUTPUT
def padding_for(k, s):
    return (k - s) // 2  # (n - 1) s - 2 p + k = n s


def fold(gamma, beta, mean, var):
    a = gamma / (var + 1e-5).sqrt()
    return torch.stack([a, beta - mean * a])


def typical(latents):
    return F.normalize(latents.mean(0), dim=0) * latents.shape[1] ** 0.5


check(padding_for, kernels, strides)
check(fold, *four)
check(typical, several)
