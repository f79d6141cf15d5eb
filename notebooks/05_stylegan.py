# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 · StyleGAN
#
# A generator that is told its style layer by layer: take the place from one picture and the colour from another, dial between typical and various, watch a network grow from 4 by 4 pixels, and
# look, one by one, at the dozen small parts that it is made of.
#
# <!-- Colab badge: stamped once the repository's address is set -->
#
# This chapter builds on chapters 01 and 02 (the game and R1, the constraint that brings it to rest; a generator and a discriminator of convolutions). The drawn shapes are those of chapter 11. How long it takes stands in the README's table.

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

import matplotlib.pyplot as plt
import torch
from torch.nn import functional as F

from v101_utils import runtime, zoo
from v101_utils.data.shapes import BACKGROUND, ShapeBatches, draw, sample_factors
from v101_utils.gans import (
    R1, AdaIN, EqualisedConv, EqualisedLinear, GrowingTask, Mapping, ModulatedLayer, StyleDiscriminator, StyledLayer,
    StyleGenerator, blur, grow_by, minibatch_deviation, shrink,
)  # fmt: skip
from v101_utils.metrics import measure_shapes, path_length, separability, slerp
from v101_utils.training import Ema, fit
from v101_utils.view import curves, grid, rows, running_mean, source, use_style

runtime.set_up(seed=0)
use_style()

# %% [markdown]
# ## The picture first
#
# A network that ships with this project, trained on the drawn shapes of chapter 11: a square, ellipse, triangle or cross, of one of many hues, sizes and angles, anywhere near the middle. The first four rows are its own; below them, real shapes.

# %%
model, card = zoo.load("stylegan-shapes"), zoo.card("stylegan-shapes")
print(card["steps"], "steps,", card["seconds"], "seconds on", card["machine"], "on", card["date"], "seed", card["seed"])
rows({"drawn by\nthe network": model.sample(40, seed=1), "real": draw(sample_factors(20, 1))})

# %% [markdown]
# Places, sizes and hues look like those of real shapes, the ground is clean, and edges are sharp. There are ellipses, triangles and squares. What gives drawn ones away: a side is often a little bent; crosses have become stars, some with five arms; and some shapes shade from one hue into the next. The network is small and less than an hour of one processor core is short, for a StyleGAN;
# the famous faces, of 1024 by 1024 pixels, took about a week on eight V100 GPUs (Karras 2019, app. C). More interesting is what one can *do* with this generator, and with no other of these
# chapters: tell each layer something else.
#
# ## The idea
#
# The generator of chapter 02 takes a vector $z$ of normal numbers at its first layer, and whatever the picture is to be has to be carried from there through all others. StyleGAN (Karras et al. 2019) changes two things.
#
# 1. **A mapping network** first turns $z$ into another vector, $w=f(z)$, by eight plain layers.
# 2. **The picture grows out of a constant.** Its first layer sees no latent at all, but a learned array of 4 by 4 positions. The vector $w$ comes in from the side, at *every* layer, where it sets the mean and the spread of each channel: the layer's **style**.
#
# The second lets different layers have different $w$. What is the first for?
#
# ### From Z to W
#
# Say that a picture has two factors, size $a$ and redness $b$, and that the data have no picture that is both large and red: $a+b<1$. The possible pairs fill a triangle. But $z$ comes from a normal distribution, which is round and leaves no corner out. If the generator is to draw
# what is in the data and nothing else, *the round cloud must be bent until it fills the triangle*, and with it the lines along which a factor is constant. A space whose shape is prescribed cannot, in general, have straight axes for factors that come in a shape of their own. The space W may: nobody says how $w$ is
# to be distributed. The mapping can undo the bend, and, as the authors suppose, it has a reason to: straight directions are easier for the layers behind it to read (Karras 2019, sec. 4 and fig. 6).
#
# Here the bend can be written down. With $u=\Phi(z)$, the normal distribution function of each entry, so that $u$ is uniform on the square:
#
# $$a=1-\sqrt{1-u_1},\qquad b=(1-a)\,u_2.$$

# %%
z = torch.randn(1500, 2, generator=runtime.generator(0), dtype=torch.float64)


def factors_at(z):
    """Size and redness (N, 2), uniform over the triangle a + b < 1, of normal latents (N, 2)."""
    u = torch.special.ndtr(z)
    size = 1 - (1 - u[:, 0]).sqrt()
    return torch.stack([size, (1 - size) * u[:, 1]], 1)


figure, panels = plt.subplots(1, 3, figsize=(10, 3.1), layout="constrained")
pairs, line = factors_at(z), torch.linspace(-4, 4, 81, dtype=torch.float64)
turn = torch.tensor([[1.0, 0.4], [-0.3, 0.9]], dtype=torch.float64)
for axes, points, name in zip(panels, (pairs, z, pairs @ turn), ("factors", "Z", "a possible W")):
    axes.scatter(*points.T, c=pairs[:, 1], s=6, cmap="Reds", vmin=-0.3, vmax=1, edgecolors="0.5", linewidths=0.1)
    axes.set(title=name, xticks=[], yticks=[], aspect="equal", xlabel=f"${name[-1].lower()}_1$", ylabel=f"${name[-1].lower()}_2$")
lattice = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).view(-1, 2)
panels[1].contour(line, line, factors_at(lattice)[:, 1].view(81, 81), levels=[0.1, 0.2, 0.3, 0.5], colors="black", linewidths=1)
panels[0].set(xlabel="size", ylabel="redness")
plt.show()

# %% [markdown]
# Darker is redder. In Z the lines of equal redness (black: 0.1, 0.2, 0.3 and 0.5 from below) are bent: how red a picture gets when one moves up depends on where one started. On the right a W in which both factors are straight directions, though neither is an axis of it.
#
# ### Check: the triangle is filled evenly, and W is straight
#
# A uniform triangle has the means $\tfrac13$ and $\tfrac13$, standard deviations $\sqrt{1/18}$ and a correlation of $-\tfrac12$. And how straight a factor is in a space has a number: the share of its variance that the best *linear* function explains, $R^2$, fitted to one half of the points and measured
# on the other. We shall use it again for the real network.

# %%
# NBVAL_CHECK_OUTPUT
def explained(points, values):
    """R² (K,) of values (N, K) by the best linear map of points (N, D): fitted to the first half, measured on the second."""
    inputs, values, half = F.pad(points.double(), (0, 1), value=1.0), values.double(), len(points) // 2
    solution = torch.linalg.lstsq(inputs[:half], values[:half]).solution
    errors = values[half:] - inputs[half:] @ solution
    return 1 - errors.square().mean(0) / values[half:].var(0, correction=0)


many = torch.randn(200_000, 2, generator=runtime.generator(1), dtype=torch.float64)
found = factors_at(many)
(a, b), (da, db) = found.mean(0), found.std(0)
print(f"means {a:.2f} {b:.2f} (1/3)   standard deviations {da:.3f} {db:.3f} ({18**-0.5:.3f})   "
      f"correlation {torch.corrcoef(found.T)[0, 1]:.2f} (-1/2)")
for name, space in (("Z", many), ("W", found @ turn)):
    print(f"{name}: R² of size {explained(space, found)[0]:.2f}, of redness {explained(space, found)[1]:.2f}")

# %% [markdown]
# Even this plain bend costs a linear map a twentieth of size and an eighth of redness. The Z of a network, with more factors, loses far more, as we shall see.
#
# ### The generator, layer by layer
#
# The real thing, as the paper has it, with as many channels as the network that ships (whose layers are of a later kind: section 3). The first column is the size of the picture that a layer works at, then its channels. Each layer has a style: an affine map from $w$ to two numbers a channel.

# %%
def weights(network):
    return sum(p.numel() for p in network.parameters())


def listing(network):
    """Prints each layer of a StyleGenerator as it is used: the shape of what it gives, and its weights."""
    def tell(layer, inputs, out):
        kind = "constant" if layer.conv is None else "upsample, 3x3 convolution" if layer.up else "3x3 convolution"
        place = f"{out.shape[2]:2} x {out.shape[3]:2}, {out.shape[1]:3} channels"
        print(f"{place}   {weights(layer):6,} weights   {kind}, noise, leaky ReLU, style")

    hooks = [layer.register_forward_hook(tell) for layer in network.layers]
    network.sample(1)
    for hook in hooks:
        hook.remove()


first = StyleGenerator()
print(f"mapping: {len(first.mapping.layers)} layers of {first.latent_dim} numbers, {weights(first.mapping):,} weights")
listing(first)
print(f"the constant itself: {first.start.numel():,} weights")
print(f"to colours, a 1x1 convolution at each of the {len(first.to_rgb)} sizes: {weights(first.to_rgb):,} weights; in all {weights(first):,}")

# %%
source(StyledLayer)

# %% [markdown]
# The usual three-line summary of StyleGAN is: eight layers of mapping, adaptive instance normalisation, progressive growing. All of it is right. But whoever builds just that may wait in vain for a picture, because it leaves out what makes it *train*: a latent that is normalised, a learning rate that is
# equalised (and a hundred times smaller in the mapping), blur at each change of size, the minibatch's standard deviation, fading in, and a constraint. And it leaves out what makes the result good, or useful: noise for each pixel, a learned constant, mixed styles, and two running averages, of $w$ and of the weights. Here they are, one by one.
#
# ## The ingredients
#
# ### 1. The latent has one length
#
# $$\hat z=\frac{z}{\sqrt{\frac1d\sum_i z_i^2+10^{-8}}}$$
#
# ($d$ entries $z_i$). Every latent then has length $\sqrt d$, which is what a normal vector has anyway, nearly; the network need not handle the exceptions. Only the *direction* of $z$ counts.
#
# ### Check: length and direction

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
mapping, z, seen = Mapping(64), torch.randn(1000, 64, generator=runtime.generator(2)), []
mapping.layers[0].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
w, shorter = mapping(z), mapping(0.3 * z)
print(f"lengths of z {z.norm(dim=1).min():.1f} to {z.norm(dim=1).max():.1f}; of what the first layer sees "
      f"{seen[0].norm(dim=1).min():.3f} to {seen[0].norm(dim=1).max():.3f}")
print(f"z and 0.3 z have the same w: {torch.allclose(w, shorter, atol=1e-4)}")

# %% [markdown]
# ### 2. An equalised learning rate
#
# He's initialisation draws a layer's weights with the standard deviation $c=g/\sqrt n$, where $n$ is the number of inputs of each output (the *fan-in*) and $g$ a gain, $\sqrt2$ before a ReLU: then the variance neither grows nor fades from layer to layer. But Adam, the optimiser, moves each weight by about
# the learning rate $\eta$, *whatever the weight's size*. So a layer of many inputs, whose weights are small, would be overwritten in a few steps while a layer of few has hardly moved.
#
# The cure (Karras 2018, sec. 4.1): keep weights $v\sim\mathcal N(0,1)$ and multiply by $c$ each time they are *used*,
#
# $$\text{weight}=c\,v,\qquad c=\frac{g}{\sqrt n}.$$
#
# The function is that of He's layer. But a step of $\eta$ in $v$ is a step of $c\,\eta$ in the weight, in proportion to its size: all layers learn at one speed. The **mapping network** has one factor more: weights $v/0.01$ that are used times $0.01\,c$, so that its rate is a hundredth of the others'. A long chain of layers
# moves a lot when each moves a little.

# %%
source(EqualisedLinear)

# %% [markdown]
# ### Check: the same function, another speed
#
# One step of Adam (rate 0.001) on layers of three fan-ins: the size of the step relative to the size of the weight that is used. Plain: weights drawn at He's size and stepped directly.

# %%
# NBVAL_CHECK_OUTPUT
def relative_step(layer, scale):
    """How far one Adam step moves the weight in use, relative to its size."""
    before = layer.weight.detach() * scale
    optimiser = torch.optim.Adam(layer.parameters(), lr=1e-3)
    layer(torch.randn(64, before.shape[1], generator=runtime.generator(3))).square().sum().backward()
    optimiser.step()
    return ((layer.weight * scale - before).norm() / before.norm()).item()


for inputs in (16, 256, 4096):
    equalised, plain = EqualisedLinear(inputs, 32, gain=2**0.5), torch.nn.Linear(inputs, 32)
    slow = EqualisedLinear(inputs, 32, gain=2**0.5, rate=0.01)
    plain.load_state_dict({"weight": equalised.weight * equalised.scale, "bias": equalised.bias})
    x = torch.randn(5, inputs, generator=runtime.generator(4))
    print(f"fan-in {inputs:4}: same function {torch.allclose(plain(x), equalised(x), atol=1e-4)}; one step moves the weights by "
          f"plain {relative_step(plain, 1):.2%}, equalised {relative_step(equalised, equalised.scale):.2%}, "
          f"mapping {relative_step(slow, slow.scale):.3%}")

# %% [markdown]
# Plain, the layer of 4,096 inputs moves sixteen times as fast as that of 16. Equalised, all move alike, and those of a mapping at a hundredth of that.
#
# ### 3. AdaIN: the style
#
# Adaptive instance normalisation. Channel $i$ of one image, $x_i$, loses its own mean $\mu$ and standard deviation $\sigma$ over the positions, and gets those that the style asks for (Karras 2019, eq. 1):
#
# $$\mathrm{AdaIN}(x_i,y)=y_{s,i}\,\frac{x_i-\mu(x_i)}{\sigma(x_i)}+y_{b,i},\qquad (y_s,y_b)=\text{affine}(w).$$
#
# The scale $y_s$ starts around 1: in the code the affine map gives $y_s-1$. Since every layer *takes away* the statistics before it sets new ones, no mean and no deviation that a style has asked for gets past the next AdaIN. That is what makes styles local, and mixing possible.
#
# The *pattern* within a channel stays. So a style can decide even where a shape is: each channel of the constant is a fixed map of 4 by 4 positions, the style says how much of each, and the next convolution adds them up.
#
# ### Check: it sets means and deviations, and forgets those that were there

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
layer, x, w = AdaIN(3, 8), 5 * torch.randn(2, 3, 16, 16) + 1, torch.randn(2, 8)
out, (scale, shift) = layer(x, w), layer.to_style(w).chunk(2, 1)
print(f"means as asked: {torch.allclose(out.mean((2, 3)), shift, atol=1e-4)}; standard deviations as asked: "
      f"{torch.allclose(out.std((2, 3), correction=0), (1 + scale).abs(), atol=1e-4)}")
louder = x * torch.tensor([100.0, 1.0, 0.1]).view(3, 1, 1) + 7
same = torch.allclose(layer(louder, w), out, atol=1e-3)
print(f"channels made 100, 1 and 0.1 times as large, then moved by 7: the same result {same}")

# %% [markdown]
# **What it costs.** The mean and deviation that AdaIN takes away are those of *this* picture. Let a channel be 1 on a spot that covers the share $p$ of the picture, and 0 elsewhere. Its mean is $p$ and its deviation $\sqrt{p(1-p)}$, so that the spot comes out at $\sqrt{(1-p)/p}$: a small spot louder than a large one, after every layer anew, and the convolutions have to undo it.
# (In faces Karras and others, 2020, saw droplets: small strong spots, by which the generator governs the deviation of a whole channel and so gets a signal past the normalisation.)
#
# **What replaced it** divides by the deviation that is to be *expected*, whatever the picture. Let $w$ give a scale $s_j$ for each channel that *enters* a convolution with weights $v_{ijk}$ (to channel $i$, from channel $j$, at place $k$ of the kernel). Were the inputs independent and of deviation 1, then scaled by $s$ they would leave it with the deviation in the root below. Divide by it:
#
# $$v'_{ijk}=\frac{s_j\,v_{ijk}}{\sqrt{\sum_{j',k'}(s_{j'}\,v_{ij'k'})^2+10^{-8}}} .$$
#
# That is *weight demodulation* (2020, sec. 2.2). It costs no convolution for each picture: scale what enters, divide what leaves. **The network that ships has this layer.** Its style is one number for each channel that *enters*, and comes before the convolution; its constant begins at random, with a convolution behind it. The rest is as in the list above. (Trained as long with AdaIN, its shapes had outlines that were neither round nor straight.)

# %%
source(ModulatedLayer.forward)

# %% [markdown]
# ### Check: scaled channels are scaled weights, and AdaIN makes small spots loud
#
# The layer beside convolutions with the weights $v'$, one set for each picture (times the gain $\sqrt2$). And a spot, once small and once large, through AdaIN's normalisation.

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
layer, x, w = ModulatedLayer(4, 6, 8), torch.randn(2, 4, 16, 16), torch.randn(2, 8)
by_weights = []
for picture, scale in zip(x, 1 + layer.to_style(w)):
    v = layer.conv.weight * layer.conv.scale * scale[:, None, None]  # (6, 4, 3, 3)
    v = v / (v.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
    by_weights.append(F.leaky_relu(F.conv2d(picture, 2**0.5 * v, layer.conv.bias, padding=1), 0.2))
print(f"the same: {torch.allclose(layer(x, w, torch.zeros), torch.stack(by_weights), atol=1e-5)}")
for side in (2, 8):
    spot, p = torch.zeros(1, 1, 16, 16), side**2 / 256
    spot[..., :side, :side] = 1
    print(f"a spot on {p:5.1%} of the picture leaves AdaIN at {F.instance_norm(spot).max():.2f}; formula {((1 - p) / p) ** 0.5:.2f}")

# %% [markdown]
# ### 4. Noise for every pixel
#
# Hair, leaves, pores: where each is does not matter, but they must be somewhere. A generator without noise must invent such chance out of $z$. StyleGAN hands it over: one normal number for each *pixel*, the same for all channels, times a strength that each channel has learned (it starts at zero),
#
# $$x_{i,q}\leftarrow x_{i,q}+\beta_i\,n_q,\qquad n_q\sim\mathcal N(0,1),$$
#
# at pixel $q$ of channel $i$, whose strength is $\beta_i$.
#
# How much of it does a network take that draws shapes, in which nothing is left to chance but shape, hue, size, angle and place? (It is added to values whose deviation is expected to be about $\sqrt2$.)

# %%
for i, layer in enumerate(model.layers):
    side, strength = 4 * 2 ** (i // 2), layer.noise_strength.abs().flatten()
    print(f"layer {i}, {side:2} x {side:2}: strength {strength.mean():.3f} on average, {strength.max():.3f} at most")

# %% [markdown]
# One latent in each row, eight noises; then, at the right, the standard deviation of each pixel over 100 noises, brightened sixteen times.

# %%
strips = {}
for i, w in enumerate(model.styles(model.latents(4, seed=2))):
    pictures = model.draw(w.expand(100, -1), seed=3)
    spread = 16 * pictures.std(0, keepdim=True) - 1  # 16 times std / 2, since the pictures' range is 2 long; then from [0, 1] to [-1, 1]
    strips[f"latent {i}"] = torch.cat([pictures[:8], spread.clamp(-1, 1)])
rows(strips, columns=9, heads=[*map(str, range(1, 9)), "std x 16"])

# %% [markdown]
# The last column says what is left to noise: next to nothing, and what there is lies along the edges. Rightly so: in these pictures nothing *is* left to chance, and the network has learned it (a strength may be large and yet do little, where the next layer does not listen). With hair or leaves the inside would be bright.
#
# ### 5. Blur at each change of size
#
# To double a picture's side by repeating each pixel makes blocks; to halve it by taking every second pixel makes **aliases**: a pattern finer than the new pixels comes back as a coarse one that was never there. Both networks therefore filter with $[1\ 2\ 1]/4$, in both directions, after each doubling and before each
# halving. (Where a picture itself is halved, as real ones are while the networks are small, each four pixels become their mean.) Doubling followed by that filter has another name:
#
# ### Check: pixels repeated, then blurred, are bilinear interpolation

# %%
# NBVAL_CHECK_OUTPUT
x = torch.randn(2, 3, 8, 8, generator=runtime.generator(5))
repeated = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
bilinear = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
print(f"blur(repeated) = bilinear: {torch.allclose(blur(repeated), bilinear, atol=1e-6)}")
checkers = (torch.arange(8)[:, None] + torch.arange(8)).remainder(2).float().expand(1, 1, 8, 8) * 2 - 1
print(f"a chequerboard of ±1, blurred: within {blur(checkers)[..., 1:-1, 1:-1].abs().max():.1f} of grey inside")

# %%
place = torch.linspace(-1, 1, 96)
rings = torch.cos(72 * (place**2 + place[:, None] ** 2)).expand(1, 3, -1, -1)  # finer and finer towards the sides
small = shrink(draw(sample_factors(6, 1))[5:], 1.0)  # (1, 3, 8, 8)
repeated, smooth = small.repeat_interleave(2, 2).repeat_interleave(2, 3), F.interpolate(small, scale_factor=2.0, mode="bilinear")
shown = rings, rings[..., ::2, ::2], blur(rings)[..., ::2, ::2], repeated, smooth
grid(torch.cat([F.interpolate(image, size=192) for image in shown]), columns=5, zoom=1)

# %% [markdown]
# (A chequerboard is the finest pattern that there is, and the filter takes all of it away.) From left to right: rings that get finer towards the sides; every second pixel of them; the same after a blur; a shape of 8 by 8 pixels, doubled by repeating; doubled with blur. In the second picture there are rings around the middle of each *side* and in the corners, which the first does not have: aliases. In the third they are faint.
# A network that halves in this way sees things that are not there, and one that doubles by repeating has blocks to hide.
# (The package repeats and blurs before its convolution; Karras' code repeats before it and blurs after it.)
#
# ### 6. The minibatch's standard deviation
#
# A generator that draws one perfect picture, always the same, fools a discriminator that looks at one picture at a time (chapter 01 calls it mode collapse). So let it look at several: the images of a group (four of the batch) give one more channel, the standard deviation over the group of each channel and position, averaged into a single number (Karras 2018, sec. 3).
#
# $$m=\frac1{CHW}\sum_{c,h,w}\sqrt{\tfrac1G\sum_g\big(x_{g,c,h,w}-\bar x_{c,h,w}\big)^2}$$
#
# ### Check: by hand, and for pictures that are all alike

# %%
# NBVAL_CHECK_OUTPUT
x = torch.randn(4, 5, 4, 4, generator=runtime.generator(6))
deviations = [((v - v.mean()) ** 2).mean().sqrt() for v in x.flatten(1).T]  # v: four values, one of each image
more = minibatch_deviation(x)
print(f"channels {x.shape[1]} to {more.shape[1]}; by hand {torch.stack(deviations).mean():.4f}, "
      f"in all places {more[:, -1].min():.4f} to {more[:, -1].max():.4f}")
print(f"four equal images: {minibatch_deviation(x[:1].repeat(4, 1, 1, 1))[:, -1].max():.4f}")

# %% [markdown]
# (The code adds $10^{-8}$ under the root, so that its gradient stays finite: hence 0.0001 and not 0.)
#
# Such a number mixes the images of a batch, as BatchNorm does. R1 asks for the gradient of *each image's* score, and so it is not quite that any more; Karras and others live with it.
#
# ### 7. Progressive growing
#
# A picture of 4 by 4 pixels is easy: where is something bright, and of what colour? Once both networks agree on it, 8 by 8 adds only detail. So both start small and grow (Karras 2018, sec. 2; the paper of 2019 starts at 8 by 8). A new layer begins with random weights; to switch it on at once would shake everything that stands. It is **faded in**: with $\alpha$ from 0 to 1,
#
# $$\text{image}=(1-\alpha)\ \text{enlarged old image}+\alpha\ \text{new image},$$
#
# and the discriminator takes its input in the same way, while the real pictures lose as much detail as the drawn ones still lack. The package says it all with one number, the *growth*: 0 is 4 by 4, 1 is 8 by 8, 1.3 is 16 by 16 faded in by 0.3.

# %%
shapes = draw(sample_factors(10, 2))
strips = {}
for growth in (0, 0.5, 1, 1.5, 2, 2.5, 3):
    seen = shrink(shapes, growth)
    strips[f"growth {growth:g}\n{seen.shape[-1]} x {seen.shape[-1]}"] = F.interpolate(seen, size=64)
rows(strips, zoom=1)

# %% [markdown]
# What real shapes look like at each growth. At 4 by 4 there is no telling a square from a cross, but place, size and hue are there.
#
# ### Check: nothing jumps
#
# Shrinking keeps the mean colour. A generator a hair above growth 1 draws 16 by 16 pixels, and they are those of growth 1, enlarged.

# %%
# NBVAL_CHECK_OUTPUT
means = [shrink(shapes, growth).mean((2, 3)) for growth in (0.0, 0.4, 1.0, 2.7, 3.0)]
print(f"mean colours at growth 0, 0.4, 1, 2.7, 3 agree: {all(torch.allclose(m, means[-1], atol=1e-5) for m in means)}")
growing = deepcopy(model)
ws = growing.spread(growing.styles(growing.latents(4, seed=4)))
drawn = {}
for growth in (1.0, 1.0001):
    growing.growth.fill_(growth)
    drawn[growth] = growing.synthesise(ws, torch.zeros)
enlarged = F.interpolate(drawn[1.0], scale_factor=2.0, mode="bilinear")
print(f"{tuple(drawn[1.0].shape)} and {tuple(drawn[1.0001].shape)}; the first, enlarged, is the second: "
      f"{torch.allclose(enlarged, drawn[1.0001], atol=1e-2)}")

# %% [markdown]
# ### 8. Mixed styles, the mean of w, an average of the weights, lazy R1
#
# * **Mixing regularisation** (2019, sec. 3.1). While it trains, nine pictures in ten get a second latent, whose $w$ takes over from a random layer on. So no layer may count on its neighbours having the same $w$, and styles stay local.
# * **The mean of $w$** is tracked by a running average, since there is no formula for it. It is needed for truncation, below.
# * **An average of the generator's weights** draws the pictures, as in the chapters before (`Ema`): the game moves around, its mean stands stiller.
# * **R1, lazily.** The constraint of chapter 01, $\tfrac\gamma2\,\mathbb E\|\nabla s(x)\|^2$ for the score $s$ at real pictures (Mescheder 2018), costs a second backward pass. It changes slowly, so it need not be paid at every step: Karras and others (2020, app. B) pay it at every sixteenth, sixteen times as strong; we at every eighth.

# %%
source(StyleGenerator.mixed)

# %% [markdown]
# ### Check: R1 by hand, and how often it is paid
#
# For a linear score $s(x)=a\cdot x$ the gradient is $a$ at every picture, so R1 is $\tfrac\gamma2\|a\|^2$. And in sixteen steps of a small game:

# %%
# NBVAL_CHECK_OUTPUT
a = torch.randn(3 * 4 * 4, generator=runtime.generator(7))
images, constraint = torch.randn(8, 3, 4, 4), R1(0.5, every=8)
print(f"R1 {constraint.penalty(lambda x: x.flatten(1) @ a, images, None):.3f}   by hand {0.5 / 2 * a.square().sum():.3f}")
tiny = GrowingTask(StyleGenerator(widths=(8, 8)), StyleDiscriminator(widths=(8, 8)), grow_by(4, 4, 2), constraint=constraint)
course = fit(tiny, ShapeBatches(4, pixels=8), 16, plan=runtime.Plan(), progress=False)
paid = [step.number - 1 for step in course if step.scalars["penalty"] > 0]
print(f"paid at steps {paid}, each time as part of the loss times {constraint.every}")

# %% [markdown]
# ## Training, live
#
# A small pair from nothing, with AdaIN, from 4 by 4 to 16 by 16. A sixth of the steps is spent at 4 by 4, a third on the way to 8 by 8 and there, the other half on the way to 16 by 16 and there. Everything above but demodulation is in it, and the loop is the one of all chapters: `GrowingTask` only sets the growth and shrinks the real pictures.

# %%
source(GrowingTask.training_step)

# %%
def train(steps, widths=(64, 48, 32), prepare=lambda network: None, rate=1e-2, look=()):
    """A pair that grows with the steps: the generator's average, and the scalars of each step; draws at the steps in `look`."""
    torch.manual_seed(0)
    pair = StyleGenerator(widths=widths), StyleDiscriminator(widths=widths)
    for network in pair:
        prepare(network)
    sixth = max(1, steps // (2 * len(widths)))
    growths, options = grow_by(sixth, sixth, len(widths)), {"rates": (rate, rate), "betas": (0.0, 0.99)}
    game = GrowingTask(*pair, growths, constraint=R1(0.3, every=8), **options)
    ema, history, strips = Ema(pair[0], 0.99), [], {}
    batches = ShapeBatches(32, pixels=4 * 2 ** (len(widths) - 1))
    for step in fit(game, batches, steps, ema=ema, plan=runtime.Plan(), progress=bool(look)):
        history.append(step.scalars)
        if step.number in look:
            images = ema.average.sample(10, seed=1)
            strips = {f"step {step.number}\ngrowth {step.scalars['growth']:.2f}": F.interpolate(images, size=64)}
            display(rows(strips, zoom=1))
    return ema.average, history


# %%
steps = runtime.pick(ci=12, laptop=1200, gpu=6000)
_, history = train(steps, look=[steps * part // 12 for part in (2, 3, 4, 5, 6, 7, 8, 10, 12)])

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
for axes, names, label in ((left, ("discriminator", "generator"), "loss"), (right, ("real", "fake"), "mean score")):
    curves(range(steps), {name: running_mean([s[name] for s in history], 30) for name in names}, "step", label, "mean of 30 steps", axes)
    for step in range(1, steps):
        if math.ceil(history[step]["growth"]) > math.ceil(history[step - 1]["growth"]):
            axes.axvline(step, color="0.6", ls=":")
plt.show()

# %% [markdown]
# The dotted lines are where a new size begins to fade in. Neither loss comes down for good, and the scores of real and drawn stay within reach of each other: the players keep up (chapter 01). In the pictures, follow a column downwards. At 4 by 4 there are patches of colour, and not yet a quiet ground. At 8 by 8 the ground turns dark and a spot stands out. Then watch the fading in of 16 by 16: new layers with random weights come into play, the ground and the borders
# take on colours that were gone before; by step 1000 they are gone again, and the spots are smaller, cleaner, and most of them of one hue. Compare a spot before and after: it keeps its place, by and large. Its hue it often does not keep, and some change after step 800, when nothing new is being faded in: it is the game itself that moves them. (The generator's loss rises now and then, most of all after step 1000, and comes back.)
# It was a short training, and the spots are not yet squares and crosses; the network that ships had many more steps, and one more size.
#
# ## Z against W, measured
#
# Now to the promise of the first section. For drawn shapes there is a luxury that photographs do not offer: the factors can be *measured* on the picture's pixels, without any network that judges: hue, size (the share of the picture that is covered), and the place of the centre.

# %%
@torch.no_grad()
def pictures(points, where="w"):
    """Images of w (N, 64), or of z where it says so, without noise."""
    return model.draw(points if where == "w" else model.styles(points), strength=0.0)


def factors_of(images):
    """hue, size, x, y (N, 4), measured on the pixels; a hue a little below red is a little below 0, not nearly 1."""
    found = measure_shapes(images)
    found[:, 0] = (found[:, 0] + 0.085) % 1 - 0.085
    return found


NAMES = ("hue", "size", "x", "y")
truth = sample_factors(1000, 3)
for name, column, found in zip(NAMES, (1, 2, 4, 5), factors_of(draw(truth)).T):
    r = torch.corrcoef(torch.stack([truth[:, column], found]))[0, 1]
    print(f"{name:4}: correlation of measured and true, on real shapes: {r:.3f}")

# %% [markdown]
# (Size agrees less well than the others: the share of the picture that is covered depends on the kind of shape, too.)
#
# Three questions about a space, each asked of Z and of W: two from the paper (Karras 2019, sec. 4), and our own from above.
#
# **How long is the way?** Walk from one random point to another, stop somewhere on the way, and ask how fast the picture is changing there: the square of that, averaged over many walks. (So twice the speed counts four times.) For points of Z along the great circle (`slerp`: a straight line would pass near the origin, where no latent is), for points of W along the straight line. With a small $\epsilon$ and a random $t$,
#
# $$\ell=\mathbb E\ \frac1{\epsilon^2}\,\big\|G(\text{point at }t+\epsilon)-G(\text{point at }t)\big\|^2.$$
#
# (The paper compares the two pictures by the features of a network. Here it is their pixels, so these lengths compare with each other alone.) A space that is bent makes detours: things appear on the way that neither end has.
#
# ### Check: the length of a way that is known
#
# If $G$ is a linear map $A$ and the way straight, the picture moves at the constant speed $A(b-a)$, and $\ell=\|A(b-a)\|^2$ for every $t$. On the unit circle between vectors of length 1, $G$ the identity, it is the square of the angle.

# %%
# NBVAL_CHECK_OUTPUT
A, a, b = torch.randn(3, 4, 3, generator=runtime.generator(8), dtype=torch.float64)
straight = path_length(lambda x: x @ A.T, a, b, generator=runtime.generator(9))
print("linear:", [f"{value:.3f}" for value in straight], "exact:", [f"{value:.3f}" for value in ((b - a) @ A.T).square().sum(1)])
a, b = F.normalize(a), F.normalize(b)
round_ = path_length(lambda x: x, a, b, slerp, generator=runtime.generator(9))
print("circle:", [f"{value:.2f}" for value in round_], "angle²:", [f"{value:.2f}" for value in (a * b).sum(1).acos().square()])

# %% [markdown]
# **Can a plane separate?** Call each picture's hue, size, x and y high or low, by their medians. For each of the four find the best plane in the space, and ask how much is still unknown about the answer once one knows the side of the plane: the conditional entropy $H_i$, at most $\log2$. The score is $\exp\sum_iH_i$: 1 if planes tell everything, 16 if
# they tell nothing.
#
# **How much does a linear map explain?** Our $R^2$ from above, which looks at the values and not only at sides.

# %%
count = runtime.pick(ci=300, laptop=4000, gpu=20_000)
z = F.normalize(model.latents(count, seed=5)) * model.latent_dim**0.5  # as the mapping sees it
with torch.no_grad():
    w = model.styles(z)
drawn = factors_of(pictures(w))
high, half = drawn > drawn.median(0).values, count // 4
for name, points, interpolate in (("Z", z, slerp), ("W", w, torch.lerp)):
    ends = points[:half], points[half : 2 * half]
    lengths = path_length(lambda p: pictures(p, name.lower()), *ends, interpolate, generator=runtime.generator(12))
    told = ", ".join(f"{factor} {value:.2f}" for factor, value in zip(NAMES, explained(points, drawn)))
    print(f"{name}: path length {lengths.mean():5.0f}   separability {separability(points, high):5.2f} (1 to 16)   R² {told}")

# %% [markdown]
# Path length and separability should be lower in W: that is the paper's claim, made for faces. $R^2$, our own, should be higher. Compare the two lines, number by number: here it holds for each. Hue and place, of which a linear map of Z explains about half, are much straighter in W, about as straight as size and redness were in the bent Z of the toy; size gains, too, but only to a third. No part of the loss asked for any of it. Two things to keep in mind. $R^2$ and separability measure what a *plane* can read, and 64 dimensions are many for four factors: a space need not be
# well ordered to do well. (Separability is fitted and measured on the same points, which flatters both spaces.) And the three measures need not agree with each other.
#
# The ways themselves, for one pair of latents (the numbers above are of many), in eleven steps. The ends of both rows are the same. Ask of each row: what turns up on the way that neither end has? (In Z the hue goes from green to orange, back to green and to orange once more, by way of slim leaves; in W it goes from green by yellow to orange.)

# %%
with torch.no_grad():
    t = torch.linspace(0, 1, 11)[:, None]
    a, b = model.latents(4, seed=6)[[0, 3]].unsqueeze(1).expand(-1, 11, -1)
    ways = {"slerp in Z": pictures(slerp(a, b, t), "z"), "lerp in W": pictures(torch.lerp(*map(model.styles, (a, b)), t))}
rows(ways, columns=11)

# %% [markdown]
# ## Style mixing: what each layer carries
#
# Along the top, eight sources A; at the left, six sources B, one for each row. Each picture has its styles from A, *but* for those of the layers named at the left, which are B's (after fig. 3 of Karras 2019). Nothing is painted over: the same generator draws all of them.

# %%
few = model.latents(14, seed=7)
with torch.no_grad():
    A, B = model.styles(few[:8]), model.styles(few[8:])
table = {"source A": torch.cat([torch.ones(1, *model.shape), pictures(A)])}  # the first picture of each row is its B
kinds = ("coarse, 4 x 4", range(2)), ("middle, 8 x 8", range(2, 4)), ("fine, the others", range(4, 8))
for i in range(6):
    (name, chosen), ws = kinds[i // 2], model.spread(A).clone()
    ws[:, chosen] = B[i]
    table[f"{name}\nfrom B{i + 1}"] = torch.cat([pictures(B[i : i + 1]), pictures(ws)])
rows(table, columns=9, label_width=130)

# %% [markdown]
# In each row ask: in what are these pictures like the one at the left, and in what like the one at the top of their column? Place, size, outline, hue. (B's coarse styles bring its place, and often its kind, but not its hue; the middle ones pull the hue towards its own, which few of the pictures reach, and change the outline; the fine ones leave place and outline alone. They do change the hue, but not to B's own: it is settled by middle and fine layers together.) Now with numbers. Take many pairs; give the first $k$ layers the style of A, the others that of B; measure the factors; correlate them with those of A's own picture.
# At $k=0$ nothing of A is left, and what remains of a correlation is chance; at $k=8$ all is A. **Where a curve climbs, from $k$ to $k+1$, layer $k$ carries the factor** (layers are counted from 0). One precaution: a mixture can leave faint stains on the ground, which would count as shape, so only what is clearly brighter than the ground counts here.

# %%
def clearly(images):
    """`factors_of` what is clearly brighter than the ground; size is the share of such pixels."""
    bright = images.amax(1, keepdim=True) > 2 * 0.4 - 1  # the ground is BACKGROUND = 0.12 of 1
    found = factors_of(images.where(bright, 2 * BACKGROUND - 1))
    found[:, 1] = bright.float().mean((1, 2, 3))
    return found


count, layers = runtime.pick(ci=40, laptop=500, gpu=4000), len(model.layers)
with torch.no_grad():
    a, b = (model.styles(model.latents(count, seed=seed)) for seed in (8, 9))
own, table = clearly(pictures(a)), []
for crossover in range(layers + 1):
    mixed = clearly(pictures(model.mix(a, b, crossover)))
    table.append([torch.corrcoef(torch.stack([x, y]))[0, 1].item() for x, y in zip(own.T, mixed.T)])
lines = dict(zip(NAMES, zip(*table)))
axes = curves(range(layers + 1), lines, "layers from A (crossover)", "correlation with A", marker="o")
axes.set(xticks=range(layers + 1), ylim=(-0.15, 1.05))
plt.show()
for name, line in zip(NAMES, torch.tensor(table).diff(dim=0).T):
    print(f"{name:4}: carried most by layer {line.argmax()}, {4 * 2 ** (int(line.argmax()) // 2)} pixels a side")

# %% [markdown]
# For faces the paper finds pose and shape in the coarse layers, features in the middle and the scheme of colours in the fine ones. Shapes agree: place is decided by the two layers at 4 by 4 pixels, size little by little by layers 1 to 4, and hue last, by layers 3 and 4: earlier than in faces, by the last of the middle layers and the first of the fine ones. The layers after those carry next to nothing of the four: they draw the edge.
# (What becomes of the outline none of our four numbers measures.) Half of this is built in: coarse layers *cannot* draw detail, and every later one can repaint what is there. Which factor goes to which layer nobody prescribed.
#
# ### The slider
#
# Eight sources above, eight below, and between them what comes out when the style changes over at one layer. Drag **crossover** from 0 (all from below) to 8 (all from above), and stop where the upper picture's colour is lost.

# %%
from v101_utils.widgets import CrossoverView, TruncationView, crossover_sliders, truncation_sliders

view = CrossoverView(model)
crossover_sliders(view)

# %% [markdown]
# The same knob as a strip, from above downwards. Down to 5 hardly anything changes; at 4 and 3 the hue of the upper picture is lost (that of the lower one comes by and by, and is there for good only in the last row); at 2 the outline changes; and the place at 1 and in the last row.

# %%
coarse, _, fine = view.images(0)
rows({"coarse from": coarse, **{f"crossover {k}": view.images(k)[1] for k in (7, 6, 5, 4, 3, 2, 1)}, "fine from": fine})

# %% [markdown]
# ## Truncation: typical or various
#
# A network has seen little of what is rare, and draws it badly. Brock and others (2019) therefore draw every entry of $z$ that is beyond a bound again, and find that not every generator bears it. Here it is better done in W: around the mean $\bar w$ of all $w$ the training has seen most, and every $w$ is drawn towards it (Karras 2019, app. B),
#
# $$w'=\bar w+\psi\,(w-\bar w).$$
#
# $\psi=1$ changes nothing; $\psi=0$ draws the picture of the mean $w$ for everybody, but for noise; $\psi<0$ goes through it to the other side. The paper truncates the coarse layers alone, so that fine detail is left as it is; here it is all layers.

# %%
source(StyleGenerator.styles)

# %%
view = TruncationView(model, count=10, seed=2)
rows({f"ψ = {psi:g}": view.images(psi) for psi in (-1.0, 0.0, 0.5, 0.7, 1.0, 1.4)})

# %% [markdown]
# A column is one latent. Compare $\psi=-1$ with 1: *anti-pictures*. The paper finds that with faces what can be named turns into its opposite: man and woman, left and right. Here look at place and hue: the last but one goes from an orange shape below the middle to a cyan one above it.
#
# ### The price
#
# **Diversity**: the standard deviation of each measured factor, relative to that of real shapes, averaged over the four. **Distance**: the squared difference per pixel to the *nearest* of many real shapes; it is large for a picture that is far from all of them. Fresh real shapes are the yardstick. But mind what this distance likes: a shape that is small, blurred and near the middle is close to many real ones, so it may get *below* the yardstick
# without being a better shape. So a low value proves nothing. Read it as "how typical", and as a sign of bad drawing only where it lies above the dotted line.

# %%
count, bank = runtime.pick(ci=(40, 300), laptop=(300, 10_000), gpu=(1000, 10_000))
known = torch.cat([draw(sample_factors(bank // 10, 20, part)).flatten(1) for part in range(10)])
real, latents = draw(sample_factors(count, 21)), model.latents(count, seed=10)


def judged(images):
    """Diversity, and distance from the nearest known real shape, of images."""
    diversity = (factors_of(images).std(0) / factors_of(real).std(0)).mean().item()
    return diversity, (torch.cdist(images.flatten(1), known).min(1).values.square().mean() / known.shape[1]).item()


psis, standard = (-1.0, -0.5, 0.0, 0.3, 0.5, 0.7, 0.85, 1.0, 1.25, 1.5), judged(real)
with torch.no_grad():
    scores = [judged(model.draw(model.styles(latents, psi))) for psi in psis]

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.3), layout="constrained")
for values, axes, name, best in zip(zip(*scores), (left, right), ("diversity", "distance to the nearest real shape"), standard):
    curves(psis, {"": values}, "ψ", name, "dotted: real shapes", axes, marker="o")
    axes.axhline(best, color="black", ls=":")
    axes.set_ylim(0, None)
plt.show()
for psi, (diversity, distance) in zip(psis, scores):
    print(f"ψ = {psi:5g}: diversity {diversity:.2f}, distance {distance:.4f}")
print(f"real shapes: diversity {standard[0]:.2f}, distance {standard[1]:.4f}")

# %% [markdown]
# On the left a V: diversity goes with $|\psi|$. On the right the distance grows with $|\psi|$, by and large, on both sides. Between 0.3 and 0.5 it crosses the dotted line, and below it is the trap named above. As with the guidance scale of chapter 08 and the β of chapter 11, no point is right: one pays for the typical with variety.
# (At $\psi=0$ the distance is that of a *single* picture, the mean one, and says only what that one looks like: the middle of all $w$ is between all kinds of shapes.)
#
# ### The slider
#
# $\psi$, how strong the noise is (1 is as it was trained), and which noise. Try $\psi=0$ with noise × 3: all that still differs is left to chance.

# %%
truncation_sliders(TruncationView(model))

# %% [markdown]
# The strip of the second knob, at $\psi=1$. The rows hardly differ, as section 4 has led us to expect:

# %%
rows({f"noise × {strength:g}": view.images(1.0, strength) for strength in (0.0, 1.0, 2.0, 3.0)})

# %% [markdown]
# ## Common mistakes
#
# ### Common mistake 1: truncating in Z
#
# "Draw $z$ closer to zero, its mean": so it is done with other generators, as in chapter 04, and $z$ is what one has in hand. Here the first thing that happens to $z$ is that its length is taken away.

# %%
z = model.latents(10, seed=2)
with torch.no_grad():
    tries = {"ψ = 1": model.styles(z), "0.3 z": model.styles(0.3 * z), "ψ = 0.3, in W": model.styles(z, 0.3)}
print(f"largest difference between the w of z and of 0.3 z: {(tries['ψ = 1'] - tries['0.3 z']).abs().max():.0e}")
rows({name: model.draw(w, seed=2) for name, w in tries.items()})

# %% [markdown]
# Nothing crashes, and nothing happens. The first two rows are the same.
#
# ### Common mistake 2: the mean is forgotten
#
# $w'=\psi w$, towards zero instead of towards $\bar w$. In Z the two are one. In W zero is no special place. Real shapes lie evenly about the middle of the picture, place (0, 0), with $x$ from -1 at the left to 1 and $y$ from -1 at the *top* to 1; where do these?

# %%
with torch.no_grad():
    w = model.styles(latents)
away = (w - model.w_average).norm(dim=1).mean()
print(f"mean distance of a w from the mean {away:.2f}, from zero {w.norm(dim=1).mean():.2f}")
starts = {"right": model.w_average, "wrong": torch.zeros_like(model.w_average)}
ways = {f"{name}, ψ = {psi:g}": start + psi * (w - start) for psi in (0.5, 0.0) for name, start in starts.items()}
for name, points in ways.items():
    drawn = model.draw(points)
    (diversity, distance), (x, y) = judged(drawn), factors_of(drawn).mean(0)[2:]
    print(f"{name:14}: diversity {diversity:.2f}, distance {distance:.4f}, mean place ({x:+.2f}, {y:+.2f})")
rows({name: model.draw(points[:10]) for name, points in ways.items()}, label_width=130)

# %% [markdown]
# The wrong rows gather around another picture, the one that zero happens to give, which lies to the upper right of the middle. At $\psi=0$ it is no shape at all, but a spot with a tail of another hue: the $w$ of the training lie around their mean, far from zero. (Its distance is the smallest of all, smaller than that of real shapes. That is the trap named above: a small spot is near to many shapes.)
# At $\psi=0.5$ the *place* gives the mistake away: the mean is about halfway to that of the wrong picture. The diversity does not, it is even higher than in the right row. So one can live with this mistake for a long time, since nothing looks broken. But the further $\psi$ is from 1, the more every picture is pulled to one side.
#
# ### Common mistake 3: He's weights, and no equalised rate
#
# The layers of every library start with weights of about the right size, and so "equalised" looks like the same thing said twice. The functions *are* the same at step 0: below, each layer's factor is multiplied into its weights, once, and then left alone. What differs is how fast each layer moves. All are trained up to 8 by 8 pixels, from the same weights, on the same
# pictures, for as many steps; the plain one with the same learning rate, and, to be fair to it, with a tenth and with a hundredth of it. (Plain, the mapping loses its hundredth, too: both parts of section 2 are taken away together.)

# %%
@torch.no_grad()
def plain(network):
    """The same function with plain weights: the run-time scale goes into them, once."""
    for layer in network.modules():
        if isinstance(layer, (EqualisedLinear, EqualisedConv)):
            layer.weight.mul_(layer.scale)
            layer.bias.mul_(getattr(layer, "rate", 1.0))
            layer.scale = layer.rate = 1.0


# %%
eights = torch.cat([shrink(draw(sample_factors(1000, 22, part)), 1.0) for part in range(5)])  # real shapes as 8 by 8 pixels
steps, strips = runtime.pick(ci=8, laptop=400, gpu=2000), {"real": eights[:10]}
tries = {"equalised": (lambda network: None, 1e-2), "plain": (plain, 1e-2),
         "plain, rate / 10": (plain, 1e-3), "plain, rate / 100": (plain, 1e-4)}
for name, (prepare, rate) in tries.items():
    trained, course = train(steps, widths=(64, 48), prepare=prepare, rate=rate)
    strips[name] = trained.sample(300, seed=1).cpu()
    distance = torch.cdist(strips[name].flatten(1), eights.flatten(1)).min(1).values.square().mean() / eights[0].numel()
    gap = sum(scalars["real"] - scalars["fake"] for scalars in course[-50:]) / len(course[-50:])
    print(f"{name:17}: distance to the nearest real shape {distance:.4f}; scores of real and drawn are {gap:.2f} apart")
rows({name: F.interpolate(images[:10], size=64) for name, images in strips.items()}, zoom=1, label_width=130)

# %% [markdown]
# Compare the rows: after so few steps the equalised network has dark ground and spots of colour; the plain one at the same rate has run away. See how far apart its scores are: the discriminator has come to answer in hundreds or thousands, and what it teaches at such slopes is worth nothing. (A gap of one or two tells little: it is small also where a discriminator has learned little.) Both players move by leaps where the fan-in is large.
# With smaller rates the plain network does not run away, but after as many steps it is behind: compare the distances. Its one rate has to be so small that the most sensitive layer can bear it, and then the others crawl.
# (Each is one training, and a short one; with more steps the slow ones may catch up.)
#
# ## What came after
#
# With AdaIN (section 3) progressive growing went too, since it makes details stick to places (Karras and others 2020). In its place came skip connections. New was a regulariser that is kin to the path length of this chapter.
# Mapping, styles, noise, truncation and R1 stayed; to pay R1 only now and then, which we have borrowed, came with that paper.
#
# ## Exercises
#
# Write your line where the dots are; run the cell; it says right or not yet. Solutions stand at the very end, folded away in JupyterLab.
#
# **Exercise 1.** AdaIN, without the package: each channel of each image gets the given standard deviation and mean.

# %%
from v101_utils.exercises import check


def adain(x, scale, shift):  # (B, C, H, W), (B, C), (B, C) -> (B, C, H, W)
    ...


x = torch.randn(2, 3, 8, 8, generator=runtime.generator(13), dtype=torch.float64)
style = x, *torch.randn(2, 2, 3, generator=runtime.generator(14), dtype=torch.float64)
check(adain, *style)


# %% [markdown]
# **Exercise 2.** Truncation as the paper does it: by $\psi$ in the first `cutoff` layers, the others as they are.

# %%
def truncated(ws, mean, psi, cutoff):  # (B, layers, D), (D,), two numbers -> (B, layers, D)
    ...


ws = torch.randn(4, 8, 6, generator=runtime.generator(15))
given = ws, torch.randn(6, generator=runtime.generator(16)), torch.tensor(0.6), torch.tensor(3)
check(truncated, *given)


# %% [markdown]
# **Exercise 3.** The minibatch's standard deviation of one group, one number.

# %%
def deviation(x):  # (G, C, H, W) -> a number
    ...


group = torch.randn(4, 5, 4, 4, generator=runtime.generator(18))
check(deviation, group)

# %% [markdown]
# ## Summary
#
# * $z$ has to be normal; $w=f(z)$ may be distributed as the factors are. Path length, separability and $R^2$ say how far a network made use of that; measure before you repeat it.
# * The picture grows out of a constant; $w$ comes in at every layer, as the mean and deviation of each channel or, since 2020, as a scale that is demodulated. AdaIN takes away the means and deviations that were there, demodulation the deviation that a style is expected to bring, and neither the pattern; so styles are local, and layers can take theirs from different pictures.
# * What makes it train is in the small print: one length of $z$, an equalised rate (a hundredth of it in the mapping), blur, the minibatch's deviation, fading in, R1. What makes it good and useful, too: noise, a learned constant, mixing, two running averages.
# * Truncate in W and towards the mean: $\bar w+\psi(w-\bar w)$. One pays for the typical with variety.
#
# ## References
#
# * Karras, Aila, Laine, Lehtinen. *Progressive Growing of GANs for Improved Quality, Stability, and Variation.* ICLR 2018.
# * Karras, Laine, Aila. *A Style-Based Generator Architecture for Generative Adversarial Networks.* CVPR 2019.
# * Karras, Laine, Aittala, Hellsten, Lehtinen, Aila. *Analyzing and Improving the Image Quality of StyleGAN.* CVPR 2020.
# * Brock, Donahue, Simonyan. *Large Scale GAN Training for High Fidelity Natural Image Synthesis.* ICLR 2019.
# * Huang, Belongie. *Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization.* ICCV 2017.
# * He, Zhang, Ren, Sun. *Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet Classification.* ICCV 2015.
# * Mescheder, Geiger, Nowozin. *Which Training Methods for GANs do actually Converge?* ICML 2018.
#
# ## Solutions

# %% jupyter={"source_hidden": true} tags=["solution"]
# NBVAL_CHECK_OUTPUT
def adain(x, scale, shift):
    x = x - x.mean((2, 3), keepdim=True)
    return scale[:, :, None, None] * x / x.square().mean((2, 3), keepdim=True).sqrt() + shift[:, :, None, None]


def truncated(ws, mean, psi, cutoff):
    factor = torch.where(torch.arange(ws.shape[1]) < cutoff, psi, 1.0)[:, None]
    return mean + factor * (ws - mean)


def deviation(x):
    return x.std(0, correction=0).mean()


check(adain, *style)
check(truncated, *given)
check(deviation, group)
