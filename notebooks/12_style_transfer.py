# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 12 · Style transfer
#
# Give a photograph the colours and the grain of a mosaic or of a painting with no training at all: change its pixels, step by step, until one set of numbers says "same content" and another "same style".
#
# <!-- Colab badge: stamped once the repository's address is set -->
#
# This chapter needs none of the others. How long it takes stands in the README's table.

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
import matplotlib.pyplot as plt
import torch
from torch.nn import functional as F

from v101_utils import runtime
from v101_utils.data.photos import photo
from v101_utils.data.styles import any_style
from v101_utils.style import (
    Aim, FilterBank, content_loss, gram, grey, last, moments, sliced, style_loss, stylise, total_variation, with_colours,
)  # fmt: skip
from v101_utils.view import curves, grid, rows, source, use_style

runtime.set_up(seed=0)
use_style()
here = runtime.device()
side, steps = runtime.pick(ci=32, laptop=96, gpu=256), runtime.pick(ci=2, laptop=100, gpu=400)  # the longer side of pictures
zoom = 192 / side

# %% [markdown]
# ## The picture first
#
# A photograph, four styles, and what becomes of it in each. Three of the styles are drawn by a few lines of code (`v101_utils.data.styles`); the fourth is a photograph of stained tissue under a microscope. (`stylise` gives the result of every step; `last` takes all the steps and keeps the last.)

# %%
content = photo("astronaut", side=side).to(here)
names = ("strokes", "mosaic", "waves", "ihc")
styles = {name: any_style(name, 2 * side).to(here) for name in names}
made = {name: last(stylise(content, style, steps=steps)).picture for name, style in styles.items()}
shown = [F.interpolate(style, content.shape[2:], mode="area") for style in styles.values()]
blank = torch.ones_like(content)
rows({"styles": torch.cat([blank, *shown]), "photograph,\nand results": torch.cat([content, *made.values()])}, zoom=0.8 * zoom)

# %% [markdown]
# From left to right: strokes, mosaic, waves, tissue. (They are shown at half their scale: the losses see them twice as large beside the photograph.) What comes over is palette and grain; tiles, strokes and waves do not. (In the last two not even the palette is quite right: the pink and lilac of the third and the pink and green of the fourth are nowhere in those styles.)
#
# No network was trained for this, and none was downloaded: the pictures are compared by filters drawn at random, and by the colours of their pixels.
# What they lack, beside a large network trained on a million photographs, we shall see as well: it is the reason for what is missing.
#
# ## The idea
#
# Show a picture to a bank of filters. Each filter gives a map: how strongly does it answer *here*, and here, and here? Gatys, Ecker and Bethge (2015) found two readings of such maps:
#
# * **Content** is *what answers where*. Two pictures with the same maps have the same things in the same places.
# * **Style** is *what answers together, wherever it is*. Forget the places and keep only how strongly each two filters answer together, on average over all places: that is what a texture is.
#
# So take a picture and change it until its maps are like the maps of one picture, and its statistics like those of another. Both are differentiable, so "change it until" is gradient descent, on **pixels** instead of weights.
#
# ### The features
#
# Gatys et al. take the maps of VGG-19, a network trained to name a thousand kinds of things: 548 MB of weights (at the end of the chapter: how to use it). Here, one layer of **random** filters of several sizes, each with mean zero (over its places and the three colours together), and a ReLU
# (Ustyuzhaninov et al. 2016 showed how far this goes for textures). The maps of six filters of each size:

# %%
bank = FilterBank((3, 7, 15, 23), 48).to(here)
found, maps = bank(photo("chelsea", side=max(side, 64)).to(here)), {}
for k, layer in zip(bank.sizes, bank.layers):
    some = found[layer][0, :6, None]
    maps[f"{layer} maps"] = some / some.amax((2, 3), keepdim=True) * 2 - 1
rows(maps, zoom=1.0 if side > 64 else 2.0)

# %% [markdown]
# Small filters find edges and fine texture; large ones answer to coarser structure besides, over a larger neighbourhood. Neither knows what a cat is. (Each map is in units of its own largest value.)
#
# ## What the maps keep
#
# What can be read back from the maps of one size alone? Begin with noise, and change it until its maps are those of the photograph. (This is `stylise` with style and palette switched off, and comparing colours too; by default the content is brightness alone, as *The losses* will say.)

# %%
small, few = runtime.pick(ci=32, laptop=64, gpu=128), runtime.pick(ci=2, laptop=60, gpu=200)
cat, off = photo("chelsea", side=small).to(here), {"style_weight": 0, "palette_weight": 0}
back = [cat]
for k in (3, 7, 15, 23):
    from_maps = {"content_features": FilterBank((k,), 32), "content_weight": 1, "colours": True}
    back.append(last(stylise(cat, cat, start="noise", steps=few, **from_maps, **off)).picture)
copies = torch.cat(back)
shown = {"photograph, then\nfrom maps of size\n3, 7, 15 and 23": copies, "what differs\nfrom it, times 5": 5 * (copies - cat)}
rows(shown, zoom=140 / small, label_width=140)

# %% [markdown]
# The eye hardly tells the four copies from the photograph: one layer of filters forgets little, given time: 32 maps at every place are ten times as many numbers as the picture itself has, and though the ReLU sets about half of them to 0, all but the mean brightness could in principle be read back. The differences below (mid-grey is none) show what is forgotten.
# All four copies are a little too bright: filters of mean zero do not see the mean brightness, and the noise that they began as, mid-grey on average, is brighter than this photograph.
# With filters of size 3 whole patches are too bright or too dark besides: so small a filter hardly sees a slow change.
# (The deep layers of a network that was trained to name things forget much more, and better: they keep the thing and lose the pixels.)
#
# ## Gram matrices
#
# For a layer with maps $F_c$ over $h\times w$ places, the Gram matrix says how strongly, on average over the places, channels $c$ and $d$ answer together:
#
# $$G_{cd}=\frac{1}{hw}\sum_{i}F_{ci}\,F_{di}.$$
#
# The sum over places $i$ is what forgets them. One matrix **for each image**, of as many rows as there are filters, whatever the image's size.
#
# ### Check: the formula, and what it forgets

# %%
# NBVAL_CHECK_OUTPUT
features = torch.randn(2, 4, 5, 6, generator=runtime.generator(0))  # (B, C, h, w)
by_hand = torch.zeros(2, 4, 4)
for b in range(2):
    for y in range(5):
        for x in range(6):
            by_hand[b] += torch.outer(features[b, :, y, x], features[b, :, y, x]) / 30
shuffled = features.flatten(2)[..., torch.randperm(30)].view_as(features)
print("a loop over places gives the same:", torch.allclose(gram(features), by_hand, atol=1e-6))
print("places shuffled, the same still:  ", torch.allclose(gram(features), gram(shuffled), atol=1e-6))
print("another image of the batch differs:", not torch.allclose(gram(features)[0], gram(features)[1], atol=0.1))

# %% [markdown]
# ### Textures from noise
#
# Now the other half alone: begin with noise and ask for the Gram matrices of a style, in filters of one size, then of all; and at last for its palette besides, a loss of its own that is explained below. The numbers say how far each result then is from the style in filters of each size, other ones than it was made with
# (it is the style loss, defined below: 0 is perfect). The first picture is the piece of the mosaic that is asked for, at the same scale.

# %%
texture = styles["mosaic"][..., : 2 * small, : 2 * small]
judge, grown = FilterBank((3, 7, 15, 23), 48, seed=1).to(here), {}
wanted = {layer: gram(maps) for layer, maps in judge(texture).items()}
for sizes, palette in (((3,), 0), ((7,), 0), ((15,), 0), ((3, 7, 15, 23), 0), ((3, 7, 15, 23), 3)):
    aims = {"features": FilterBank(sizes, 48, strided=True), "content_weight": 0, "palette_weight": palette, "steps": 2 * few}
    name = "from " + ", ".join(map(str, sizes)) + (", and palette" if palette else "")
    grown[name] = last(stylise(torch.zeros_like(texture[..., :small, :small]), texture, start="noise", **aims)).picture
    errors = {layer: style_loss({layer: gram(maps)}, {layer: wanted[layer]}) for layer, maps in judge(grown[name]).items()}
    print(f"{name:27} ", "  ".join(f"{layer} {error.item():.3f}" for layer, error in errors.items()))
display(rows({"style": texture}, zoom=140 / small, label_width=110))
rows({"from 3, 7, 15,\nfrom all,\nand palette": torch.cat(list(grown.values()))}, zoom=140 / small, label_width=110)

# %% [markdown]
# To the eye the first four are clouds of coloured grain, the third the finest; how near each is to the style the numbers tell better. Filters of one size leave a large error at some size that is not theirs; with all four, the largest of a row is smaller than that of any single size. So several sizes are used.
#
# The first four have hues of the mosaic, but on a ground of mid-grey: a filter's weights sum to 0 over its places and the three colours together, so it knows how much redder than green an area is, but not how dark. In the last one the palette loss does, and it costs something in every column, most in the last two, where the error is three to four times as large. None has the tiles. That a dark line goes *around* something hardly shows in how strongly two filters of so small a bank answer at the same place; it is easier with features of features,
# which a deep network has and one layer has not. So choose styles that are mostly colours and fine grain, not objects.
#
# ## The losses
#
# **Content.** Features are compared place by place. Gatys et al. sum squared differences, eq. 1; here it is their mean, in units of the mean square of the features that are wanted. The factor is constant, so it only changes what a weight means; a loss of 1 is an error as large as the features themselves. With the features $F$ of the picture and $P$ that are wanted, $L_\text{content}=\sum(F-P)^2/\sum P^2$. They come from a bank of their own, 32 filters of size 11 at every second place.
# And one choice of ours: what is compared is brightness, after the photograph was given the mean and contrast of the style's, so that the two losses do not fight over the palette. (`colours=True` compares the pictures as they are, as in the paper.)
#
# **Style.** The same for Gram matrices, averaged over layers (eq. 4 and 5): with the matrices $G$ of the picture and $A$ of the style, $L_\text{style}$ is the mean over layers of $\sum_{cd}(G_{cd}-A_{cd})^2/\sum_{cd}A_{cd}^2$. With this unit each size of filter counts alike.
#
# **Palette.** Which colours there are, and how much of each.
# Filters of mean zero do not know how bright an area is, so this is asked of the pixels themselves: sorted along directions through RGB, the `sliced` statistic that the section on other statistics explains. With the sorted values $u$ of the picture and $v$ of the style, $L_\text{palette}=\sum(u-v)^2/\sum v^2$: the same unit.
#
# **Total variation**, here the squared one: the mean of $(x_{i+1,j}-x_{ij})^2$ over all pairs of a pixel and the one below, plus the mean of $(x_{i,j+1}-x_{ij})^2$ over all pairs of neighbours in a row. A smooth picture has little of it.
#
# What is minimised is their sum, by default with these weights (`content_weight`, `style_weight`, `palette_weight` and `smoothness`):
#
# $$L=0.1\,L_\text{content}+1\,L_\text{style}+3\,L_\text{palette}+0\,L_\text{variation}.$$

# %%
# NBVAL_CHECK_OUTPUT
one, two = (torch.randn(1, 4, 5, 6, generator=runtime.generator(i)) for i in (1, 2))
a, b = one.flatten().tolist(), two.flatten().tolist()
by_hand = sum((x - y) ** 2 for x, y in zip(a, b)) / sum(y**2 for y in b)
print("content:", torch.allclose(content_loss({"a": one}, {"a": two}), torch.tensor(by_hand)))
G, A = gram(one), gram(two)
by_hand = (G - A).square().sum() / A.square().sum()
print("style:", torch.allclose(style_loss({"a": G}, {"a": A}), by_hand))
ramp = torch.arange(8.0).expand(1, 1, 8, 8)  # each pixel 1 above its left neighbour, equal to the one above
both_ways = ramp + ramp.mT
print("total variation of a ramp:", total_variation(ramp).item(), " in both directions:", total_variation(both_ways).item())

# %% [markdown]
# ## The code that matters
#
# The features of a content and the statistics of the styles are computed once. Then, for a picture, four numbers and their weighted sum:

# %%
source(Aim.__call__)

# %% [markdown]
# And the descent. What Adam changes is the picture, as a sum of a fine one and coarser ones (common mistake 4 shows why).
#
# Large filters are not evaluated at every place but at every few only (`strided`): neighbouring places know nearly the same, and a step is several times as fast.
# So that it is not always the same places that are skipped, each step measures style and palette without the first few rows and columns (how many is drawn anew: `shift`), so that the filters lie elsewhere. The picture itself stays whole.

# %%
from v101_utils.style.descent import adam

source(adam)

# %% [markdown]
# ## Optimising, live

# %%
weights, losses = {"content_weight": 0.05}, []
for step in stylise(content, styles["strokes"], steps=steps, progress=True, **weights):
    losses.append(step.losses)
    if step.number in (1, steps // 10, steps // 4, steps):
        display(rows({f"step {step.number}": step.picture}, zoom=zoom))
kinds = ("content", "style", "palette")
curves(range(1, steps + 1), {kind: [each[kind] for each in losses] for kind in kinds}, "step", "loss", log="y")
plt.show()

# %% [markdown]
# Style and palette fall from the start. The content loss, small for the photograph itself, rises meanwhile; once the other two are low it falls again, slowly. Where they settle is a matter of the weights.
#
# The last picture has more grain than the one at a quarter of the steps: grain is how single pixels please the small filters, and the more steps there are, the more of them do.
# `smoothness`, the weight of the total variation, works against it; "One larger picture" below uses it.
#
# ### L-BFGS or Adam?
#
# Gatys et al. use L-BFGS, which builds a model of the curvature from its last gradients. It pays in evaluations of the loss: its line search may need several for one step. So the fair axis is evaluations, not steps.

# %%
class Counted(FilterBank):
    """Counts how often it is asked with a gradient wanted."""

    calls = 0

    def forward(self, images):
        self.calls += images.requires_grad
        return super().forward(images)


figure, axes = plt.subplots()
tiny = photo("astronaut", side=small).to(here)
for optimiser in ("adam", "lbfgs"):
    counted, x, y = Counted((3, 7, 15, 23), 32), [], []  # not strided: the same loss at each step
    for step in stylise(tiny, styles["strokes"], steps=few, optimiser=optimiser, features=counted):
        x, y = [*x, counted.calls], [*y, step.losses["loss"]]
    axes.plot(x, y, label=f"{optimiser}, {few} steps")
axes.set(xlabel="evaluations of the loss and its gradient", ylabel="loss", yscale="log")
axes.legend()
plt.show()

# %% [markdown]
# L-BFGS starts flat: it knows nothing of the curvature yet, begins with a tiny step, and only after about six does it take large ones.
# Each step asks about twice for the loss: once where it starts, which repeats what the step before has just asked, and nearly always only once in its line search. Adam, whose pyramid of pictures (below) moves large patches at once, is ahead here at every number of evaluations, and would be without the repeats. L-BFGS also needs the *same* loss at each step, for it compares the gradients of different
# steps: random shifts tell it of a curvature that is not there. Adam minds less, and is the default.
#
# ### Coarse to fine
#
# A filter sees 23 pixels. At a large size that is a small part of the picture, and nothing pushes larger structure to be like the style's. So work on a small copy first, enlarge the result, go on from there (Gatys et al. 2017, sec. 6). Small copies are also cheap: at half the side a step costs a quarter.

# %%
larger = runtime.pick(ci=48, laptop=160, gpu=512)
big, style = photo("coffee", side=larger).to(here), any_style("strokes", larger).to(here)
tries = {"one scale": (1.0,), "coarse to fine": (0.5, 1.0)}
both = [last(stylise(big, style, steps=max(2, steps // 2), scales=scales)).picture for scales in tries.values()]
rows(dict(zip(tries, both)), zoom=320 / larger)

# %% [markdown]
# Look for larger patches of one colour, in the lower picture, and for the grain of the wood, which only the upper one has: the lower one was enlarged from a small picture, and only half of the steps were left to sharpen it.
# On a picture as small as this, that is a high price; the larger it is beside the filters, the more there is to gain.
#
# ## Other statistics
#
# A Gram matrix is one way to forget places. There are others:
#
# * **Moments**: mean and deviation of each channel (Huang and Belongie 2017). $2C$ numbers instead of the $C(C+1)/2$ of a symmetric matrix. Li et al. (2017) show that matching Gram matrices is matching *distributions* of features in a certain distance (a maximum mean discrepancy with a quadratic kernel), and that others, this one too, work as well.
# * **Sliced**: the whole distribution. Project the features onto random directions, sort, and compare place by place in the sorted order: a sliced Wasserstein distance (Heitz et al. 2021). With all directions it would know all moments; here 64 are drawn once.
#
# ### Check: what each of them can tell apart
#
# Two channels. In the first pair means and deviations are equal; in the second also how the two channels answer together, and only the shape of the distribution differs. (The other way round, a Gram matrix does not know the mean: a channel that is 1 everywhere and one that is half 0, half $\sqrt2$ have the same one.)

# %%
# NBVAL_CHECK_OUTPUT
n = 64 * 64
normal = torch.randn(1, 2, 64, 64, generator=runtime.generator(3), dtype=torch.float64)
normal = (normal - normal.mean((2, 3), keepdim=True)).flatten(2)
normal = torch.linalg.solve_triangular(torch.linalg.cholesky(normal @ normal.mT / n), normal, upper=False).view(1, 2, 64, 64)
signs = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1]], dtype=torch.float64).repeat(1, n // 4).view(1, 2, 64, 64)
turned = torch.stack([normal[:, 0], 0.6 * normal[:, 0] + 0.8 * normal[:, 1]], 1)
pairs = {"correlated or not": (normal, turned), "two values or normal": (normal, signs)}
for name, (a, b) in pairs.items():
    told = {f.__name__: not torch.allclose(f(a), f(b), atol=0.05) for f in (moments, gram, sliced)}
    print(f"{name:21}", "  ".join(f"{statistic} {'tells' if different else 'does not'}" for statistic, different in told.items()))

# %% [markdown]
# In practice, on the same photograph with the same steps:

# %%
kinds = {"moments": moments, "gram": gram, "sliced": sliced}
settings = {"steps": max(2, 2 * steps // 3), "features": FilterBank((3, 7, 15, 23), 32, strided=True)}
alike = [last(stylise(tiny, styles["mosaic"], statistic=statistic, **settings)).picture for statistic in kinds.values()]
rows({"moments,\ngram,\nsliced": torch.cat(alike)}, zoom=192 / small)

# %% [markdown]
# The eye hardly tells them apart, although, as the check has shown, they do not know the same: the picture is small, and the content and the palette loss, itself a sliced one, are the same in all three.
#
# ## Control
#
# **The content's own colours.** Transfer brightness alone, then lay the content's colours on it (Gatys et al. 2017, sec. 5.1). With $x$ a channel of the content, $Y$ its luminance (a weighted mean of R, G and B) and $Y'$ that of the result, the new channel is $x+(Y'-Y)$: adding the same to all three changes Y by as much and leaves the two colour coordinates of YIQ (the space of a brightness and two differences of colours that the paper uses) alone, for their weights of R, G and B sum to 0.

# %%
# NBVAL_CHECK_OUTPUT
a, b = (torch.rand(1, 3, 8, 8, generator=runtime.generator(i)) * 0.6 - 0.3 for i in (4, 5))
result, rest = with_colours(a, of=b), lambda x: x - grey(x)  # what is left of a picture without its brightness
print("brightness of the first:", torch.allclose(grey(result), grey(a), atol=1e-6))
print("colours of the second:  ", torch.allclose(rest(result), rest(b), atol=1e-6))

# %% [markdown]
# **Two styles** are two style losses and two palette losses, each pair with its share of the weight, here half. **Regions**: the statistics of each style are asked of the places in its mask only (sec. 4 of the same paper). Here, one style for the upper left, another for the lower right.

# %%
height, width = content.shape[2:]
y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
masks = torch.stack([x + y < 1, x + y >= 1]).to(here)
pair, many = [styles["strokes"], styles["mosaic"]], max(2, 3 * steps // 4)
controlled = {
    "own colours": stylise(content, styles["strokes"], keep_colours=True, steps=many),
    "both styles": stylise(content, pair, steps=many),
    "one each": stylise(content, pair, masks=masks, steps=many),
}
pictures = {name: last(run).picture for name, run in controlled.items()}
rows({"own colours,\nboth styles,\none each": torch.cat(list(pictures.values()))}, zoom=zoom)

# %% [markdown]
# ## The slider: content against style
#
# The one knob that everybody turns is the ratio of the two weights. Five results, each computed from the photograph; the slider chooses among them, and fades from one to the next in between.

# %%
from v101_utils.widgets import TransferView, WeightView, transfer_controls, weight_slider

path = {}
for weight in (0.001, 0.01, 0.1, 1.0, 10.0):
    path[weight] = last(stylise(content, styles["strokes"], content_weight=weight, steps=many)).picture
style = F.interpolate(styles["strokes"], content.shape[2:], mode="area")
view = WeightView(content.cpu(), style.cpu(), {weight: picture.cpu() for weight, picture in path.items()}, zoom)
weight_slider(view)

# %% [markdown]
# The same for a page that is only read:

# %%
rows({"weight 0.001,\n0.01, 0.1,\n1 and 10": torch.cat(list(path.values()))}, zoom=0.8 * zoom)

# %% [markdown]
# And a transfer to watch: choose a style and a weight, and press the button. Each press goes on from the picture that is there, so one style can be laid over another.

# %%
contents = photo("chelsea", side=side).to(here)
transfer_controls(TransferView(contents, styles, steps=runtime.pick(ci=2, laptop=20, gpu=50), zoom=zoom))

# %% [markdown]
# ## One larger picture
#
# All of it together: coarse to fine, smoothing, five times the usual weight of the content, so that the face stays a face,
# and a picture of the size that `v101 stylize CONTENT STYLE OUT` makes. What is added is again colour, in soft patches more than in grain now, and some of it (red, pink, turquoise) is not the style's; but the photograph keeps its lines.

# %%
large = runtime.pick(ci=48, laptop=256, gpu=512)
portrait, style = photo("astronaut", side=large).to(here), any_style("strokes", large).to(here)
many_more, scales = runtime.pick(ci=3, laptop=135, gpu=600), (0.375, 0.7, 1.0)
painting = last(stylise(portrait, style, steps=many_more, scales=scales, content_weight=0.5, smoothness=0.3)).picture
grid(torch.cat([portrait, painting]), columns=2, zoom=1.5 * 256 / large)

# %% [markdown]
# ## Common mistakes
#
# ### Common mistake 1: a Gram matrix of the batch
#
# Much code flattens `features.view(b * c, h * w)` and multiplies. With one picture that is the same thing; with two, half of the matrix correlates one picture with the *other*, place by place, and the style of a picture depends on its neighbours in the batch.

# %%
# NBVAL_CHECK_OUTPUT
def mixed(features):  # wrong
    b, c, h, w = features.shape
    flat = features.view(b * c, h * w)
    return flat @ flat.T / (h * w)


features = torch.randn(2, 4, 5, 6, generator=runtime.generator(0))
print("right:", tuple(gram(features).shape), " wrong:", tuple(mixed(features).shape))
print("for one picture the same:", torch.allclose(mixed(features[:1]), gram(features[:1])[0], atol=1e-6))
moved = torch.stack([features[0], features[1].roll(1, 2)])  # the second one shifted: no style has changed
print("after a shift of one picture: right the same", torch.allclose(gram(moved), gram(features), atol=1e-6),
      " wrong the same", torch.allclose(mixed(moved), mixed(features), atol=1e-3))

# %% [markdown]
# ### Common mistake 2: no normalisation
#
# Without a unit for each layer the loss is a sum of raw squared errors. But features come in any scale: multiply one layer by ten, as a network might well do, and nothing that is seen has changed. The share of each layer in the loss at the start, raw and in units, before and after:

# %%
bank = FilterBank((3, 7, 15, 23), 48, strided=True).to(here)
maps_of = [bank(image) for image in (content, styles["ihc"])]
for factor in (1, 10):
    size = {layer: factor if layer == "3x3" else 1 for layer in bank.layers}
    own, wanted = ({layer: gram(size[layer] * value) for layer, value in found.items()} for found in maps_of)
    raw = torch.stack([F.mse_loss(own[layer], wanted[layer]) for layer in bank.layers])
    units = torch.stack([style_loss({layer: own[layer]}, {layer: wanted[layer]}) for layer in bank.layers])
    for name, errors in (("raw", raw), ("in units", units)):
        shares = "  ".join(f"{layer} {share:6.1%}" for layer, share in zip(bank.layers, (errors / errors.sum()).tolist()))
        print(f"3x3 times {factor:2}, {name:8}  {shares}")

# %% [markdown]
# Raw, one layer is then all that counts, for a Gram matrix grows with the square of the features and its squared error with the fourth power. In units nothing has changed.
#
# ### Common mistake 3: a weight from another program
#
# Papers call the weight of the content $\alpha$ and that of the style $\beta$. "$\alpha/\beta=10^{-3}$" means nothing without the normalisation that goes with it. The strip above shows how far the result moves over a few powers of ten. With sums instead of means the content loss is larger by the number of its terms (some 74,000 for a picture of 96 by 96), each layer's style loss by 2304, and the same weights mean something quite different. Change the weight by factors of ten, and look.
#
# ### Common mistake 4: Adam on bare pixels
#
# Adam moves every number by about its learning rate, whatever the size of the gradient. If the numbers are pixels, each goes its own way: the picture gets grain, which the style statistics hardly mind, and large patches change slowly.
# So Adam is given a sum of pictures here, each of half the size of the one before (`levels`; Kolkin et al. 2019 optimise such a pyramid too). The finest of them, the pixels, has a fifth of the learning rate, the next ones two fifths and four fifths, the coarsest all of it. That puts grain off, and does not forbid it: with many more steps it comes here as well, as in the live run above.
# The same few steps, from the same start; on the left single pixels move at the full rate:

# %%
pyramids = []
for levels in (0, 3):
    for _, picture in adam(Aim(content, styles["strokes"]), content, max(2, steps // 2), 0.1, runtime.generator(0), levels):
        pass
    pyramids.append(picture)
rows({"bare pixels,\n3 more levels": torch.cat(pyramids)}, zoom=1.5 * zoom)

# %% [markdown]
# ## With VGG
#
# Where there are weights of VGG-19, it takes the place of the random filters; all else stays. Nothing is fetched unless you pass `download=True` (548 MB, into torch's cache; `SqueezeNet`, used in the same way, takes about a hundredth of that).
# What changes then: deep layers know *things*, so a face stays a face under strokes that are larger than its eyes, and the content may be asked for in `conv4_2`, where it is
# no longer tied to pixels. The mean squared errors are per layer and in units here too, so the weights can begin at the same values: look, and change them by factors of ten.

# %%
from v101_utils.style import VGG

try:
    vgg = {"features": VGG(), "content_features": VGG(("conv4_2",)), "colours": True, "palette_weight": 0}
    display(grid(last(stylise(content, styles["strokes"], steps=steps, **vgg)).picture, zoom=zoom))
except FileNotFoundError:
    print("no weights of VGG-19 on this machine: VGG(download=True) would fetch them")

# %% [markdown]
# And with no download: would a small network do, trained on the few pictures that come along? `python benchmarks/style.py --only features --out FILE` compares the random filters with a network of four convolutions, of VGG's kind,
# once with random weights and once trained for 200 s to tell which picture a crop is from and how it is turned (the first it learnt, the second hardly).
# Its pictures are kept in the repository, `docs/style_features.jpg`, and the three kinds look much alike: palette and grain, no tiles, no strokes.
# Mostly, each has the lowest style loss by its own features, as it should, and none is the best by all. So a little training on few pictures is not what makes VGG's features good.
#
# ## Exercises
#
# Write your line where the dots are; run the cell; it says right or not yet. Solutions stand at the very end, folded away in JupyterLab.
#
# **Exercise 1.** The Gram matrices of a batch, each divided by its number of places, in one `einsum`.

# %%
from v101_utils.exercises import check


def my_gram(features):  # (B, C, h, w) -> (B, C, C)
    ...


maps = torch.randn(3, 5, 4, 6, generator=runtime.generator(6))
check(my_gram, maps)


# %% [markdown]
# **Exercise 2.** The squared total variation: the mean squared step to the pixel below, plus that to the pixel on the right.

# %%
def my_variation(images):  # (B, C, H, W) -> a scalar
    ...


check(my_variation, maps)


# %% [markdown]
# **Exercise 3.** The Gram matrix of a region: of the places where `mask` (h, w) is 1, divided by their number.

# %%
def guided_gram(features, mask):  # (B, C, h, w), (h, w) of 0 and 1 -> (B, C, C)
    ...


mask = (torch.arange(24).view(4, 6) % 3 > 0).float()
check(guided_gram, maps, mask)

# %% [markdown]
# ## Summary
#
# * Content is what features answer where; style is which of them answer together, wherever that is. Gradient descent on pixels puts the one of one picture together with the other of another.
# * A Gram matrix is per image. Other statistics forget places as well: moments know each channel's mean, which a Gram matrix does not, but nothing of which channels answer together; sorted projections know more than either.
# * Divide each layer's error by the mean square of what is wanted, and a weight no longer depends on how large the features are, or how many. (Between networks it is then roughly comparable, not the same.)
# * Random filters of several sizes carry grain, and with a loss of its own comes the palette; tiles, strokes and waves they do not know. A network trained on many photographs knows more: larger structure of a style, and what makes a thing in a photograph what it is.
# * Every picture takes its own hundred steps or more. Chapter 13 trains a network that does it in one pass.
#
# ## References
#
# * Gatys, Ecker, Bethge. *A Neural Algorithm of Artistic Style.* arXiv 2015. *Image Style Transfer Using Convolutional Neural Networks.* CVPR 2016.
# * Gatys, Ecker, Bethge, Hertzmann, Shechtman. *Controlling Perceptual Factors in Neural Style Transfer.* CVPR 2017.
# * Ustyuzhaninov, Brendel, Gatys, Bethge. *Texture Synthesis Using Shallow Convolutional Networks with Random Filters.* arXiv 2016.
# * Li, Wang, Liu, Hou. *Demystifying Neural Style Transfer.* IJCAI 2017.
# * Huang, Belongie. *Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization.* ICCV 2017.
# * Kolkin, Salavon, Shakhnarovich. *Style Transfer by Relaxed Optimal Transport and Self-Similarity.* CVPR 2019 (which optimises a pyramid).
# * Heitz, Vanhoey, Chambon, Belcour. *A Sliced Wasserstein Loss for Neural Texture Synthesis.* CVPR 2021.
#
# ## Solutions

# %% jupyter={"source_hidden": true} tags=["solution"]
# NBVAL_CHECK_OUTPUT
def my_gram(features):
    return torch.einsum("bchw,bdhw->bcd", features, features) / features[0, 0].numel()


def my_variation(images):
    return (images[:, :, 1:] - images[:, :, :-1]).square().mean() + (images[..., 1:] - images[..., :-1]).square().mean()


def guided_gram(features, mask):
    return torch.einsum("bchw,bdhw,hw->bcd", features, features, mask) / mask.sum()


check(my_gram, maps)
check(my_variation, maps)
check(guided_gram, maps, mask)
