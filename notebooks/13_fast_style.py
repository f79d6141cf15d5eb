# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 13 · Fast style transfer
#
# One small network paints any photograph in several styles, in a fraction of a second, and sliders mix the styles while you look.
#
# <!-- Colab badge: stamped once the repository's address is set -->
#
# This chapter builds on chapter 12 (style transfer by optimisation: Gram matrices, content and style loss). How long it takes stands in the README's table.

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
import time

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F

from v101_utils import runtime, zoo
from v101_utils.data.photos import photo
from v101_utils.view import curves, grid, rows, running_mean, source, use_style
from v101_utils.zoo.style_recipes import FAST_STYLES, style_pictures

runtime.set_up(seed=0)
use_style()
here = runtime.device()
one_hot = dict(zip(FAST_STYLES, torch.eye(len(FAST_STYLES))))  # the weights of each style alone

# %% [markdown]
# ## The picture first
#
# First the styles: a mosaic, strokes, waves and a woodcut, all drawn by this project. Then what one network makes of three photographs, in each style. The cat and the coffee were not among the photographs that it was trained on.

# %%
network = zoo.load("style-fast", device=here)
contents = {name: photo(name, side=256).to(here) for name in ("chelsea", "coffee", "astronaut")}
styles = dict(zip(FAST_STYLES, style_pictures()))
grid(torch.cat([F.interpolate(picture, (144, 144), mode="area") for picture in styles.values()]), len(FAST_STYLES), zoom=1, heads=FAST_STYLES)

# %%
painted = {}
for name, content in contents.items():
    made = [network(content, weights) for weights in one_hot.values()]
    painted[name] = torch.cat([content, *made])
rows(painted, zoom=0.7, heads=("photograph", *FAST_STYLES))

# %% [markdown]
# What tells the styles apart is mostly the palette, and how coarse and how dark the marks are: the slanting ripples, and the pale lines along dark edges, come in all four. There are no tiles in the first and no waves in the third, for the style was measured by random filters, and chapter 12 has shown that those know neither. Small things suffer: look at the astronaut's face.
#
# How long does one take?

# %%
def seconds(function, repeats=5):
    """The least of a few runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function().cpu()
        times.append(time.perf_counter() - start)
    return min(times)


size = "x".join(map(str, contents["astronaut"].shape[2:]))
print(f"a picture of {size}: {seconds(lambda: network(contents['astronaut'], one_hot['mosaic'])) * 1000:.0f} ms")

# %% [markdown]
# ## The idea
#
# Chapter 12 starts from a picture and changes its pixels, hundreds of times, until its features are those of the content and their Gram matrices those of the style. It works for every pair, and it forgets all it did: the next
# photograph starts from nothing.
#
# Johnson, Alahi and Fei-Fei (2016), and Ulyanov et al. (2016) at the same time, moved the optimisation from the picture into a **network**. Let $f_\theta$ be a network from pictures to pictures. Instead of minimising over the pixels of one picture,
#
# $$\min_{y}\;\lambda\,L_\text{style}(y)+L_\text{content}(y,x),$$
#
# minimise over the weights of the network, for all pictures $x$ on average:
#
# $$\min_{\theta}\;\mathbb E_x\big[\lambda\,L_\text{style}(f_\theta(x))+L_\text{content}(f_\theta(x),x)\big].$$
#
# The losses are the same. (Here the weight $\lambda$ stands at the style, and the content's is 1; in chapter 12 it was the content's that we changed. Only their ratio matters.) All the work is done once, before anyone brings a picture. After that, one pass is enough. What is lost: the network has to be trained for each style, and for a given picture it never gets quite as low as an optimisation of that very picture could.
#
# Nobody ever shows the network what is *right*: there are no pairs of a photograph and its painting. The losses alone say what is wanted.
#
# ### One network, many styles
#
# Dumoulin, Shlens and Kudlur (2017) found that a style needs hardly any weights of its own. All styles share the convolutions; each has only a scale $\gamma$ and a shift $\beta$ for each channel, after an **instance normalisation** of the features $F$ (here each also has 12 numbers that map the photograph's colours, see below):
#
# $$z=\gamma_s\,\frac{F-\mu(F)}{\sqrt{\sigma^2(F)+\epsilon}}+\beta_s .$$
#
# $z$ is what the layer hands on, $s$ the style, and $\epsilon=10^{-5}$ keeps the root from being 0. $\mu$ and $\sigma^2$, mean and variance, are over the $n$ places of **one channel of one picture**; the variance is divided by $n$, not $n-1$ (`correction=0`). And since a style is a few rows of numbers, styles can be blended: $\gamma=\sum_s w_s\gamma_s$ and $\beta=\sum_s w_s\beta_s$ with weights that sum to 1.
#
# ### Check: instance normalisation
#
# The package's layer beside the formula, for two pictures in two different styles and one in a blend of them.

# %%
# NBVAL_CHECK_OUTPUT
from v101_utils.style.network import ConditionalInstanceNorm

x = torch.randn(3, 4, 5, 6, generator=runtime.generator(0))  # (B, C, h, w)
norm = ConditionalInstanceNorm(channels=4, styles=2)
norm.gamma.data, norm.beta.data = (torch.randn(2, 4, generator=runtime.generator(i)) for i in (1, 2))
weights = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.3, 0.7]])
z = norm(x, weights)
for picture, w, mine in zip(x, weights, z):
    mean, variance = picture.mean((1, 2), keepdim=True), picture.var((1, 2), keepdim=True, correction=0)
    gamma, beta = (w @ norm.gamma)[:, None, None], (w @ norm.beta)[:, None, None]
    formula = gamma * (picture - mean) / (variance + 1e-5).sqrt() + beta
    print(f"weights {w[0]:.1f}, {w[1]:.1f}: the same {torch.allclose(mine, formula, atol=1e-5)}")

# %% [markdown]
# ### Check: why each picture for itself
#
# A style has a contrast of its own: a mosaic made after a pale photograph is no paler than another. So the contrast of the *photograph* should not come through. Instance normalisation takes it away: multiply a picture's features by any positive number, add any number,
# and (but for the tiny $\epsilon$) the result is the same. Batch normalisation, which takes mean and variance over the whole batch, does not do so, and what becomes of a picture depends on its neighbours (Ulyanov et al. 2017).

# %%
# NBVAL_CHECK_OUTPUT
pale = x.clone()
pale[0] = 0.3 * x[0] + 0.5  # the first picture alone
for name, normalise in (("instance", F.instance_norm), ("batch", lambda x: F.batch_norm(x, None, None, training=True))):
    same = [torch.allclose(a, b, atol=1e-3) for a, b in zip(normalise(x), normalise(pale))]
    print(f"{name:8} norm: the first picture is as before: {same[0]}; the others, which nobody touched, are: {same[1] and same[2]}")

# %% [markdown]
# ## The code that matters
#
# **The network.** Fold each $2\times2$ pixels into 12 channels of one place (`pixel_unshuffle`), go down to a quarter of the resolution, change the features there in residual blocks (two styled convolutions, whose result is added to their input), go up again. The last layer does not make the picture; what it makes is *added* to the photograph, so the content is there from the first step. Before that, each style maps the photograph's colours by 12 numbers of its own, a $3\times3$ matrix (`tint`) and a shift (`shade`); `tanh` keeps the sum between −1 and 1. And with the picture goes **noise**: of a plain blue sky convolutions make a plain area of another colour,
# for they treat all its places alike. Noise gives them something to make strokes of (Ulyanov et al. 2016).

# %%
from v101_utils.style.network import StyledConvolution, StyleNetwork

source(StyleNetwork.forward)

# %%
source(StyledConvolution)

# %%
total = sum(p.numel() for p in network.parameters())
of_styles = ("gamma", "beta", "tint", "shade")  # scales and shifts of each normalisation; the map of the colours
own = sum(p.numel() for name, p in network.named_parameters() if name.endswith(of_styles)) // network.styles
print(f"{total:,} parameters in all; {own:,} of them, {own / total:.1%}, belong to one style")

# %% [markdown]
# **Going up without a checkerboard.** A transposed convolution with kernel 3 and stride 2 puts one, two or four weights into a pixel, depending on where it lies: even before training, and even of a plain grey area, it makes a pattern, and training has to undo it.
# Enlarging first and *then* convolving treats all pixels alike (Odena et al. 2016). Twice up, random weights, a plain area. In the picture, a corner of 24 by 24 pixels, three of the eight channels are red, green and blue, less their means, times 8:

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
plain = torch.full((1, 8, 12, 12), 0.7)
transposed = nn.Sequential(*[nn.ConvTranspose2d(8, 8, 3, stride=2, padding=1, output_padding=1) for _ in range(2)])
enlarged = nn.Sequential(*[part for _ in range(2) for part in
                           (nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"))])
with torch.no_grad():
    made = {"transposed": transposed(plain), "enlarged": enlarged(plain)}
for name, value in made.items():
    inside = value[..., 8:-8, 8:-8]
    print(f"{name:10} a plain area stays plain: {inside.std((2, 3)).max().item() < 1e-5}")

# %%
shown = {name: ((v[:, :3] - v[:, :3].mean((2, 3), keepdim=True)) * 8).clamp(-1, 1)[..., :24, :24] for name, v in made.items()}
rows({name: F.interpolate(v, scale_factor=8) for name, v in shown.items()}, zoom=1)  # each pixel a square

# %% [markdown]
# **The losses.** Chapter 12's, with the Gram matrices of all styles computed once. Each picture of a batch has its own style, drawn at random; for one in five a second style is drawn too (now and then the same one), and then a random blend of the two Gram matrices is its aim. (Dumoulin et al. train the pure styles together, never a blend, and blend only afterwards.)

# %%
from v101_utils.style.fast import FastStyleTask, StyleStatistics

source(FastStyleTask.training_step)

# %% [markdown]
# `factors` are the weights. For the network that ships: $L=L_{\text{content}}+4\,L_{\text{style}}+12\,L_{\text{palette}}+0.2\,L_{\text{variation}}$; the palette belongs to the style, as in chapter 12. The small networks below have 1.5 and 4.5 in the place of 4 and 12. (`palette` compares which colours there are and how many of each. The random filters whose Gram matrices are the style have mean 0 and do not see how bright an area is; with a trained VGG-19 the palette could be left out.)
#
# ## Training, live
#
# A smaller network for a single style, from nothing, on random crops of a few photographs. The photograph below is not among them.

# %%
from v101_utils.data.crops import PhotoCrops
from v101_utils.training import fit, warmup_cosine
from v101_utils.zoo.style_recipes import WEIGHTS, content_features, style_features, style_task

steps, crop = runtime.pick(ci=6, laptop=450, gpu=4000), runtime.pick(ci=48, laptop=64, gpu=128)
cat = contents["chelsea"]


def small_network(seed=0):
    torch.manual_seed(seed)
    return StyleNetwork(styles=1, width=8, blocks=2)


def train_small(model, steps, style="strokes", size=4, look=(), weight=1.5):
    """Trains `model` in one style; returns the losses. It paints the cat at the steps in `look`."""
    found = []
    task = style_task(model, names=(style,), style_weight=weight, palette_weight=3 * weight)
    for step in fit(task, PhotoCrops(size, crop, device=here), steps, lr_schedule=warmup_cosine(steps, warmup=20)):
        found.append(step.scalars)
        if step.number in look:
            display(rows({f"step {step.number}": paint(model, cat)}, zoom=1))
    return found


@torch.no_grad()
def paint(model, picture):
    """What the network makes of it, in eval mode; the network is left as it was."""
    was = model.training
    made = model.eval()(picture).cpu()
    model.train(was)
    return made


# %%
small = small_network()
start = time.perf_counter()
losses = train_small(small, steps, look=(steps // 6, steps // 2, steps))
print(f"{steps} steps in {time.perf_counter() - start:.0f} s")

# %%
smooth = {name: running_mean([l[name] for l in losses]) for name in ("style", "palette", "content")}
curves(range(steps), smooth, "step", "relative loss (1 = as large as the target)", "mean of 20 steps")
plt.show()

# %%
rows({"small, one style": paint(small, cat), "the one that ships": network(cat, one_hot["strokes"]).cpu()}, zoom=1, label_width=140)

# %% [markdown]
# Style and palette fall at once. The content loss rises at first, for that is what the style costs, and then falls slowly while the network learns to have both. In this one style the small network is as good to look at as the one that ships. What the larger one has for its size is four styles in the same convolutions, and all that lies between them.
#
# ## Instance against batch normalisation
#
# The same small network with batch normalisation instead, trained as long. Then both get the cat with less and less contrast: how long does each still show the cat?

# %%
class Batch(nn.BatchNorm2d):
    """Batch normalisation in the place of a `ConditionalInstanceNorm` for one style, whose scale and shift it takes over."""

    def __init__(self, norm):
        super().__init__(norm.gamma.shape[1], affine=False)
        self.gamma, self.beta = norm.gamma, norm.beta

    def forward(self, x, weights):
        return super().forward(x) * self.gamma[0, :, None, None] + self.beta[0, :, None, None]


def with_batch_norm(model):
    for layer in model.modules():
        if isinstance(layer, StyledConvolution):
            layer.norm = Batch(layer.norm)
    return model


fewer = runtime.pick(ci=4, laptop=200, gpu=2000)
normed = {"instance norm": small_network(), "batch norm": with_batch_norm(small_network())}
for model in normed.values():
    train_small(model, fewer)

# %%
from v101_utils.style import content_loss, grey

statistics, keep = StyleStatistics(style_pictures(["strokes"]), style_features()).to(here), content_features().to(here)
one, sheets = torch.ones(1, 1, device=here), {}  # one: all of the one style
wanted = keep(statistics.as_bright(cat, one))  # the same at any contrast: it is given that of the style


def judged(image):
    """The losses of a whole painted cat, named in one line."""
    losses = statistics.losses(image.to(here), one) | {"content": content_loss(keep(grey(image.to(here))), wanted)}
    return ", ".join(f"{name} loss {losses[name].item():.3f}" for name in ("style", "palette", "content"))


for contrast in (1.0, 0.5, 0.2):
    picture = contrast * cat
    made = {name: paint(model, picture) for name, model in normed.items()}
    for name, image in made.items():
        print(f"contrast {contrast:<3g} {name:13} {judged(image)}")
    sheets[f"contrast {contrast:g}"] = torch.cat([picture.cpu(), *made.values()])
rows(sheets, zoom=0.8, heads=("photograph", *normed))

# %% [markdown]
# Batch norm is behind from the first line: its style loss is about four times as high, its palette's three, and spots lie over the cat already at full contrast. At half the contrast instance norm's cat is still whole, and of batch norm's little more than eyes and nose is left. At 0.2 neither shows much: in the middle dark patches where eyes and nose were, on the right almost nothing but spots. Both content losses are nearly twice as high by then. Batch norm divides by the deviations of its training, so a pale photograph's features stay weak,
# and beside them the noise that comes with the picture is as strong as ever. The picture at the bottom right is painted almost wholly from that noise. Instance norm divides by the deviations of *this* picture, so its features come out as large as ever.
#
# Not even instance norm gives the same picture at every contrast (its content loss rises too), although it takes contrast away, as the check above has shown. The noise does not grow pale along with the photograph, so its share is larger already when the two first meet; and the photograph to which the last layer adds is a pale one.
#
# ## The sliders
#
# How much of each style; only the ratio counts. With **your picture** you can upload one of your own (it goes only to the machine on which this notebook runs: yours, or in Colab one of Google's). Set all to 0 and the photograph is back.

# %%
from v101_utils.widgets import StyleBlendView, style_blend_sliders

style_blend_sliders(StyleBlendView(network, FAST_STYLES, cat))

# %% [markdown]
# The same as a strip: from the first style to the second in five pictures. No finished pictures are mixed: it is one pass each, with blended $\gamma$, $\beta$ and maps of the colours.

# %%
first, second = FAST_STYLES[:2]
strip = torch.stack([torch.lerp(one_hot[first], one_hot[second], w) for w in torch.linspace(0, 1, 5).tolist()])
face = cat[..., 20:148, 32:224]
rows({f"from {first}\nto {second}": network(face.expand(5, -1, -1, -1), strip.to(here)).cpu()}, zoom=0.9)

# %% [markdown]
# ## Beside chapter 12
#
# The same content, the same style, losses of the same weights, minimised over the pixels of this one picture (chapter 12) or over the weights of a network that has never seen it. Both are judged by the same measure. The dot is the network's one pass.

# %%
from v101_utils.style.gatys import Aim, stylise

content, style = contents["coffee"], styles["mosaic"].to(here)
same = {"features": style_features(), "content_features": content_features(), "content_weight": 1.0, **WEIGHTS}
aim, begun, path = Aim(content, [style], **same), time.perf_counter(), []
for step in stylise(content, style, steps=runtime.pick(ci=4, laptop=150, gpu=300), **same):
    path.append((time.perf_counter() - begun, step.losses["loss"]))

# %%
pass_seconds, passed = seconds(lambda: network(content, one_hot["mosaic"])), network(content, one_hot["mosaic"])
with torch.no_grad():
    losses = {name: aim(image) for name, image in (("photograph", content), ("network", passed), ("optimised", step.picture))}
for name, parts in losses.items():
    print(f"{name:10} " + ", ".join(f"{part} {parts[part].item():.3f}" for part in ("loss", "style", "palette", "content")))
print(f"one pass {pass_seconds:.3f} s; {len(path)} steps of optimisation {path[-1][0]:.1f} s, {path[-1][0] / pass_seconds:.0f} times as long")
steps_to = next((i for i, (_, loss) in enumerate(path) if loss < losses["network"]["loss"]), None)
print("the optimisation never gets as low as the network" if steps_to is None else
      f"the optimisation is as low as the network after {steps_to} steps, {path[steps_to][0] / pass_seconds:.0f} times as long")
rows({"network": passed.cpu(), "optimised": step.picture.cpu()}, zoom=1)

# %%
figure, axes = plt.subplots(figsize=(6, 3.2))
axes.plot(*zip(*path), label="optimisation of this picture")
axes.plot(pass_seconds, losses["network"]["loss"].item(), "o", label="one pass of the network")
axes.set(xscale="log", yscale="log", xlabel="seconds", ylabel="loss")
axes.legend()
plt.show()

# %% [markdown]
# Two things to read here: how far below the dot the line ends, and how far to the right of it. The line ends well below, and by the numbers most of the gap is content: in style and palette one pass comes close to the optimisation. The pass takes a small part of the time that the line needs to come down to the dot's height. The lowest loss is not always the picture that pleases more: an optimisation may use single pixels to get the statistics right (see the grain). This network hardly can:
# what it adds is one convolution of features that were computed at half the resolution and enlarged smoothly. (The photograph's own content loss is 0.000 because coffee and mosaic happen to have nearly the same contrast: it is compared at the style's.)
#
# ## Common mistakes
#
# ### Common mistake 1: batch norm, and batches of one
#
# Large pictures fill the memory, so the batch shrinks to one. Now batch normalisation *is* instance normalisation, while it trains: mean and variance are over one picture. But for use it takes running averages, mostly of the last twenty or so pictures that it has seen, and these fit no single one. One network, the same weights, in both modes (the noise differs too: in training it is drawn anew each time, in use it is always the same):

# %%
alone = with_batch_norm(small_network())
train_small(alone, fewer, size=1)
used = paint(alone, cat)  # first: in training mode the cat enters the running averages
with torch.no_grad():
    training_mode = alone.train()(cat).cpu()
print(f"mean change from one to the other, in [-1, 1]: {(training_mode - used).abs().mean():.2f}")
rows({"as it trained": training_mode, "as it is used": used}, zoom=1)

# %% [markdown]
# ### Common mistake 2: zeros at the borders
#
# Convolutions that are to keep the size pad with zeros unless told otherwise (`padding_mode`). Zero is mid-grey in the picture and an arbitrary value in the layers above, so each layer sees a frame around the picture, and one layer upon another makes it broader. The network that ships, its padding switched (a network trained with zeros learns to hide the frame in part, never quite):

# %%
from copy import deepcopy

framed = deepcopy(network)
layers = [layer for layer in framed.modules() if isinstance(layer, nn.Conv2d)]
for layer in layers:
    layer.padding_mode = "zeros"
right, wrong = (model(cat, one_hot["mosaic"]).cpu() for model in (network, framed))
difference = (right - wrong).abs().mean(1, keepdim=True)  # (1, 1, H, W)
border = torch.ones_like(difference, dtype=torch.bool)
border[..., 4:-4, 4:-4] = False
print(f"{len(layers)} convolutions; mean change within 4 pixels of the border {difference[border].mean():.3f}, "
      f"in the middle {difference[..., 60:100, 90:150].mean():.3f}")
rows({"reflected": right, "zeros": wrong, "difference,\n3 times; black\nis none": 3 * difference - 1}, zoom=1)

# %% [markdown]
# The frame is broader than what any single layer pads, at most one place at a quarter of the resolution, which is four pixels of the picture; here the change reaches some fifteen pixels inwards. (The change in the middle: the frame also counts in the means and variances.)
#
# ### Common mistake 3: a weight taken from elsewhere
#
# The weight of the style loss depends on everything: which features, how the Gram matrices are scaled, sums or means. A number from a paper means nothing in another program. Three weights of the style, the palette's always three times as large, each trained for a short time:

# %%
tries = {}
for weight in (0.04, 1.5, 60.0):
    model = small_network()
    train_small(model, fewer, weight=weight)
    tries[f"weight {weight:g}"] = paint(model, cat)
    print(f"weight {weight:5g}: {judged(tries[f'weight {weight:g}'])}")
rows(tries, zoom=1)

# %% [markdown]
# With too small a weight the photograph is recoloured and keeps its every hair; with too large a one only the style remains, and no cat. The numbers, those of the whole cat, say who pays: the content loss rises from line to line. What is bought with it, from the first line to the second, is the palette; nothing more from the second to the third. The style loss hardly tells the lines apart: by random filters even the recoloured photograph is near to the style, and the third picture, which is nothing but style, is no nearer. (Each network was trained for so short a time that small differences are luck.)
#
# ## Your own picture
#
# From a file, instead of with the slider's button: put its path in the place of the name.

# %%
mine = photo("coffee", side=256).to(here)
mixed = network(mine, [0.5, 0.5] + [0.0] * (len(FAST_STYLES) - 2))
first, second = FAST_STYLES[:2]
rows({f"photograph, and\nhalf {first},\nhalf {second}": torch.cat([mine, mixed]).cpu()}, zoom=1, label_width=130)

# %% [markdown]
# ## Exercises
#
# Write your line where the dots are; run the cell; it says right or not yet. Solutions stand at the very end, folded away in JupyterLab.
#
# **Exercise 1.** Instance normalisation without learned numbers, by hand ($\epsilon=10^{-5}$; the variance as above, divided by $n$).

# %%
from v101_utils.exercises import check


def instance_norm(x):  # (B, C, h, w) -> the same
    ...


check(instance_norm, x)


# %% [markdown]
# **Exercise 2.** *AdaIN* (Huang and Belongie 2017, eq. 8) needs no training for a style: scale and shift are the standard deviation and mean of the *style's* features, channel by channel. No $\epsilon$; variances without Bessel's correction.

# %%
def restyled(content, style):  # (B, C, h, w), (B, C, h', w') -> (B, C, h, w)
    ...


check(restyled, x, torch.randn(3, 4, 7, 7, generator=runtime.generator(3)) * 2 + 1)


# %% [markdown]
# **Exercise 3.** The gamma of a blend for each picture of a batch: from weights $(B, S)$ and the styles' gammas $(S, C)$, shaped so that it can be multiplied with features $(B, C, h, w)$.

# %%
def blended_gamma(weights, gamma):  # (B, S), (S, C) -> (B, C, 1, 1)
    ...


check(blended_gamma, weights, norm.gamma.detach())

# %% [markdown]
# ## Summary
#
# * The losses of chapter 12, minimised over the weights of a network instead of over pixels: all the work is done before a picture is there.
# * Instance normalisation takes a picture's own contrast away, so that the style's can take its place; it is per picture, in training and in use alike.
# * A style is one scale and one shift a channel (and here a map of the photograph's colours). That is why styles share a network, and why they blend.
# * Enlarge first, then convolve; reflect at the borders; add to the photograph.
# * The price: a training for each set of styles, and losses that the optimisation of a single picture beats.
#
# ## References
#
# * Johnson, Alahi, Fei-Fei. *Perceptual Losses for Real-Time Style Transfer and Super-Resolution.* ECCV 2016.
# * Ulyanov, Lebedev, Vedaldi, Lempitsky. *Texture Networks: Feed-forward Synthesis of Textures and Stylized Images.* ICML 2016.
# * Ulyanov, Vedaldi, Lempitsky. *Improved Texture Networks: Maximizing Quality and Diversity in Feed-forward Stylization and Texture Synthesis.* CVPR 2017.
# * Dumoulin, Shlens, Kudlur. *A Learned Representation For Artistic Style.* ICLR 2017.
# * Odena, Dumoulin, Olah. *Deconvolution and Checkerboard Artifacts.* Distill 2016.
# * Huang, Belongie. *Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization.* ICCV 2017.
# * Gatys, Ecker, Bethge. *Image Style Transfer Using Convolutional Neural Networks.* CVPR 2016.
#
# ## Solutions

# %% jupyter={"source_hidden": true} tags=["solution"]
# NBVAL_CHECK_OUTPUT
def instance_norm(x):
    variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


def restyled(content, style):
    (m, s), (own_m, own_s) = ((x.mean((2, 3), keepdim=True), x.std((2, 3), correction=0, keepdim=True)) for x in (style, content))
    return s * (content - own_m) / own_s + m


def blended_gamma(weights, gamma):
    return (weights @ gamma)[:, :, None, None]


check(instance_norm, x)
check(restyled, x, torch.randn(3, 4, 7, 7, generator=runtime.generator(3)) * 2 + 1)
check(blended_gamma, weights, norm.gamma.detach())
