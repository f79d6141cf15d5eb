# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 14 · Super-resolution
#
# Shrink a photograph four times, let networks bring it back, and wipe between what is closest on average and what has the most detail.
#
# <!-- Colab badge: stamped once the repository's address is set -->
#
# This chapter stands almost by itself; its part on SRGAN uses the discriminator of chapter 01, which is called critic here, as the judge of pictures that it is. How long it takes stands in the README's table.

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
from torch import nn
from torch.nn import functional as F

from v101_utils import runtime, zoo
from v101_utils.data import to_unit
from v101_utils.data.crops import HELD_OUT, SCENES, PhotoCrops
from v101_utils.data.photos import photo
from v101_utils.superres import crop_to_multiple, luma_psnr, restore, rgb_to_ycbcr, score, shrink
from v101_utils.view import curves, grid, source, use_style
from v101_utils.widgets.chart import titled
from v101_utils.zoo.superres_recipes import METHODS, method

runtime.set_up(seed=0)
use_style()
here = runtime.device()

# %% [markdown]
# ## The picture first
#
# Two photographs that no network here was trained on. A piece of one is shrunk four times in each direction: of 16 pixels one is left. Then everybody has to give it back.

# %%
methods = {name: method(name, here) for name in METHODS}
photos = [photo(name) for name in HELD_OUT]
eyes = photos[0][..., 70:190, 130:286]  # (1, 3, 120, 156) in [-1, 1]


def beside(pictures, text="", zoom=2.5):
    """Pictures (1, C, H, W) in [-1, 1] side by side, the name above each."""
    return titled(text, *(titled(name, grid(image, zoom=zoom)) for name, image in pictures.items()))


# %%
small = shrink(eyes, 4)
made = {name: enlarge_it(small, 4) for name, enlarge_it in methods.items()}
given = {"what is given": F.interpolate(small, scale_factor=4)}  # each pixel as a square
display(beside(given | {name: made[name] for name in ("bicubic", "srcnn")}))
display(beside({name: made[name] for name in ("espcn", "srresnet", "srgan")}))
beside({"the truth": eyes})

# %% [markdown]
# Bicubic interpolation is a fixed formula, and blurry. SRCNN, ESPCN and SRResNet have learned to sharpen edges; they were trained to be *close on average*, pixel by pixel. SRGAN was trained to please a critic as well: it has the most fine
# detail, and some of that is invented. (Look at the fur: it is not the cat's. The critic is small and had minutes.) Keep both thoughts, since this chapter is about the difference.
#
# ## The idea
#
# Shrinking throws information away: many large pictures have the same small one. A network cannot know which of them it was. What it can know is what photographs are like: that edges go on, that hair has strands. So take photographs, shrink them, and train a network to undo it. The labels are free:
# **the truth is the picture we began with.**
#
# That makes *how we shrink* part of the task. A network learns to undo one particular way.
#
# ## The small picture
#
# The benchmarks shrink as MATLAB's `imresize` does. Along a line, with factor $r$, pixel $j$ of the small picture is a weighted mean of the large one's pixels $k$ around its centre $c_j$, with the cubic $\kappa$ of Keys (1981):
#
# $$y_j=\frac{\sum_k\kappa\!\left(\frac{k-c_j}{r}\right)x_k}{\sum_k\kappa\!\left(\frac{k-c_j}{r}\right)},\qquad c_j=r\left(j+\tfrac12\right)-\tfrac12,\qquad
# \kappa(d)=\begin{cases}\tfrac32|d|^3-\tfrac52|d|^2+1&|d|<1\\-\tfrac12|d|^3+\tfrac52|d|^2-4|d|+2&1\le|d|<2\\0&\text{else.}\end{cases}$$
#
# The division by $r$ inside $\kappa$ is the important part. It stretches the kernel over *all* the pixels that one replaces; what is too fine for the small picture is averaged away, nearly. That is called anti-aliasing.
#
# ### Check: the sum by hand, Pillow and torch
#
# One line of random numbers, shrunk three times, away from the edges (there, programs differ). Pillow's bicubic filter has the same kernel. torch's `interpolate` has it only when asked: by default it does not stretch the kernel, and its cubic is another one.

# %%
# NBVAL_CHECK_OUTPUT
import numpy as np
from PIL import Image


def by_hand(x, j, r):
    """Pixel j of a line, shrunk r times."""
    d = ((torch.arange(len(x)) - (r * (j + 0.5) - 0.5)) / r).abs()
    weights = torch.where(d < 1, 1.5 * d**3 - 2.5 * d**2 + 1, torch.where(d < 2, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2, 0))
    return (weights * x).sum() / weights.sum()


line = torch.rand(24, generator=runtime.generator(0))
square = line.expand(1, 1, 24, 24)  # each row is the line
torchs = {f"torch, antialias={on}": F.interpolate(square, scale_factor=1 / 3, mode="bicubic", antialias=on)
          for on in (True, False)}
pillows = torch.tensor(np.array(Image.fromarray(square[0, 0].numpy()).resize((8, 8), Image.Resampling.BICUBIC)))
ways = {"by hand": torch.stack([by_hand(line, j, 3) for j in range(2, 6)]), "Pillow": pillows[4, 2:6]}
for name, found in (ways | {name: image[0, 0, 4, 2:6] for name, image in torchs.items()}).items():
    print(f"{name:22} the same as `shrink`: {torch.allclose(found, shrink(square, 3)[0, 0, 4, 2:6], atol=1e-5)}")

# %% [markdown]
# What the difference looks like: rings that get finer outwards, shrunk three times. In the middle picture the fine rings have become *other* rings, which were never there. No network can tell such a ring from a real one.

# %%
place = torch.linspace(-1, 1, 300)
rings = torch.cos(150 * (place[:, None] ** 2 + place**2)).expand(1, 3, 300, 300)
aliased = F.interpolate(rings, scale_factor=1 / 3, mode="bicubic")
beside({"the truth": rings, "torch's default": F.interpolate(aliased, scale_factor=3),
        "anti-aliased": F.interpolate(shrink(rings, 3), scale_factor=3)}, zoom=1)

# %% [markdown]
# ## How right is it? PSNR
#
# The peak signal-to-noise ratio is the mean squared error on a logarithmic scale, where higher is better and 1 dB more is about a fifth less squared error:
#
# $$\text{PSNR}=10\log_{10}\frac{p^2}{\frac1N\sum_i(\hat x_i-x_i)^2}\ \text{dB},\qquad p=\text{the width of the scale,}$$
#
# where $x_i$ are the $N$ numbers of the true picture and $\hat x_i$ those of the other. $p$ is 255 for bytes, 1 for pixels in $[0,1]$ and 2 for pixels in $[-1,1]$.
#
# The papers agree on *which* pixels, and one has to follow, or the figures mean nothing: of the **brightness** Y alone (of ITU-R BT.601, in the studio range, where white is 235 and black 16), with a **border** as wide as the factor cut off, since methods differ there in how they pad.
#
# ### Check: the formula, and torchmetrics

# %%
# NBVAL_CHECK_OUTPUT
from torchmetrics.functional.image import peak_signal_noise_ratio

inside = (..., slice(4, -4), slice(4, -4))
y, true_y = (rgb_to_ycbcr(image)[:, :1][inside] for image in (made["bicubic"], eyes))
by_formula = 10 * torch.log10(1 / (y - true_y).square().mean())
ours = luma_psnr(made["bicubic"], eyes, border=4)
print("formula:", torch.allclose(by_formula, ours, atol=1e-3))
print("torchmetrics:", torch.allclose(peak_signal_noise_ratio(y, true_y, data_range=1.0), ours, atol=1e-3))

# %% [markdown]
# The same picture, measured in other ways. None is wrong; they are not the same quantity.

# %%
bicubic, grey = made["bicubic"], torch.tensor([0.299, 0.587, 0.114])[:, None, None]
full = [(to_unit(image) * grey).sum(1, keepdim=True)[inside] for image in (bicubic, eyes)]  # brightness: black 0, white 1
print(f"Y, border cut off, as in the papers  {luma_psnr(bicubic, eyes, 4).item():.2f} dB")
print(f"Y, border counted                    {luma_psnr(bicubic, eyes, 0).item():.2f} dB")
print(f"full-range brightness                {peak_signal_noise_ratio(*full, data_range=1.0):.2f} dB")
print(f"all of R, G and B                    {peak_signal_noise_ratio(to_unit(bicubic), to_unit(eyes), data_range=1.0):.2f} dB")

# %% [markdown]
# Between the first and the third lies $20\log_{10}\frac{255}{219}=1.3$ dB, which is nothing but the range of Y (white minus black is 219 of 255; the papers take $p=255$ all the same); such a "gain" is as large as that of many a paper.
#
# ## SRCNN: three convolutions
#
# Dong et al. (2014) enlarge the picture bicubically, and then let three convolutions correct it. They give it the brightness Y alone, and so does ESPCN below; the two channels of colour are enlarged bicubically, as the eye sees little detail in colour. (SRResNet and SRGAN, later, take and give RGB.) They read the three as steps of an older method: cut the picture into patches and describe each by 64 numbers (9×9), turn the description of a blurred patch into that of a sharp one (1×1), and paste
# patches together, averaging where they overlap (5×5). Their papers have more than one: **9-1-5** first, then also **9-3-5** and **9-5-5**, with a larger kernel in the middle: better and slower.

# %%
from v101_utils.superres import SRCNN

source(SRCNN.forward)

# %% [markdown]
# (`GREY` is 0.5, taken off so that the convolutions see numbers round zero. The zoo's `srcnn` is a 9-1-5. `residual`: the network adds to the enlargement instead of making all of the picture. It is an addition of this project, with which a few minutes of training are enough; `residual=False` is the paper's.)
#
# ### Check: as many weights as in the paper
#
# Dong et al. (2016, sec. 4.3) count 8,032, 24,416 and 57,184. Since the convolutions work on the *large* picture, that is also the number of multiplications for each of its pixels.

# %%
# NBVAL_CHECK_OUTPUT
from v101_utils.runtime import multiply_adds


def weights(network):
    """How many weights the convolutions have, biases left out."""
    return sum(p.numel() for p in network.parameters() if p.ndim == 4)


def work(network, factor=3):
    """Multiply-adds of the convolutions for a pixel of the large picture; those of the bicubic enlargement are left out."""
    low, high = network.layers(factor)
    side = 120 // factor if low else 120
    return multiply_adds(nn.Sequential(*low, *high), torch.zeros(1, 1, side, side)) / 120**2


for middle in (1, 3, 5):
    network = SRCNN(middle, factors=(3,))
    print(f"9-{middle}-5: {weights(network):,} weights, {work(network):,.0f} multiply-adds a pixel")

# %% [markdown]
# ## ESPCN: work where there is little
#
# The bicubic enlargement adds no information, but from then on all the work is done $r^2$ times over. Shi et al. (2016) turn it round: convolve the *small* picture, and make it large in the very last step. The last convolution has $r^2$ output channels, and the **pixel shuffle** lays them out as
# pixels: each small pixel becomes a square of $r\times r$.
#
# $$\mathcal{PS}(T)_{y,\,x}=T_{\,r\,(y\bmod r)+(x\bmod r),\ \lfloor y/r\rfloor,\ \lfloor x/r\rfloor}$$
#
# ($T$ is what the last convolution gives; its indices are channel, row and column, and $y$ and $x$, here, are no values but the row and the column of a pixel of the large picture.)
#
# ### Check: the shuffle, pixel by pixel

# %%
# NBVAL_CHECK_OUTPUT
r, channels = 3, torch.randn(9, 4, 5, generator=runtime.generator(1))  # (r^2, h, w)
by_index = torch.stack([torch.stack([channels[r * (y % r) + x % r, y // r, x // r] for x in range(5 * r)]) for y in range(4 * r)])
print(by_index.shape, torch.equal(by_index, nn.PixelShuffle(r)(channels)[0]))

# %% [markdown]
# It costs nothing, as nothing is computed. Here is what the zoo's ESPCN finds: nine channels at the size of the small picture (grey is 0; five times as strong as it is), and the shuffle of them, a *correction* that is added to the bicubic
# enlargement. The nine look alike, since they are nine samples of one picture, each a third of a small pixel beside the next.
# (The paper's network makes the picture itself. Adding to the enlargement is this project's, as in SRCNN: it begins as bicubic interpolation, and minutes are enough.)

# %%
from v101_utils.superres import ESPCN, enlarge

espcn, third = zoo.load("espcn"), rgb_to_ycbcr(shrink(eyes, 3))[:, :1]
fine = espcn(third, 3)  # (1, 1, 120, 156)
correction = fine - enlarge(third, 3)
nine = F.pixel_unshuffle(correction, 3)  # (1, 9, 40, 52), as they were before the shuffle
shown = {"shuffled": (10 * correction).clamp(-1, 1), "added to the enlargement": fine * 2 - 1}
titled("", titled("nine channels", grid((10 * nine[0, :, None]).clamp(-1, 1), columns=3, zoom=2)),
       *(titled(name, grid(image, zoom=2)) for name, image in shown.items()))

# %% [markdown]
# ### What it saves
#
# A convolution with $n$ weights takes $n$ multiplications for each *position*. On the small picture there are $r^2$ times fewer positions, so **the same layers cost $r^2$ times less**. (ESPCN's layers are not SRCNN's: at × 3 it has more weights than 9-1-5 and fewer than 9-5-5, so the ratios below are not exactly $r^2$.)

# %%
# NBVAL_CHECK_OUTPUT
for name, network in {"SRCNN 9-1-5": SRCNN(1), "SRCNN 9-5-5": SRCNN(5), "ESPCN": ESPCN()}.items():
    print(f"{name:12}", *(f"x{factor}: {work(network, factor):7,.0f} multiply-adds a pixel  " for factor in (2, 3, 4)))

# %% [markdown]
# And in time? The brightness of a picture of 513×513 pixels, from 171×171, on this machine. Compare the last two columns: are the times in the ratio of the multiply-adds?

# %%
def seconds(network, low):
    """The least of five runs."""
    with torch.no_grad():
        return min(timeit.repeat(lambda: network(low, 3).cpu(), number=1, repeat=5))


side = runtime.pick(ci=57, laptop=171, gpu=171)
low = torch.rand(1, 1, side, side, device=here)
rivals = {"9-1-5": SRCNN(1), "9-5-5": SRCNN(5), "ESPCN": ESPCN()}
works = {name: work(network) for name, network in rivals.items()}
times = {name: seconds(network.to(here).eval(), low) for name, network in rivals.items()}
for name, spent in times.items():
    more, longer = works[name] / works["ESPCN"], spent / times["ESPCN"]
    print(f"{name:5} {spent * 1000:7.1f} ms; of ESPCN's: {more:4.1f} times the multiply-adds, {longer:4.1f} times the time")

# %% [markdown]
# Multiplications are not all that counts. Convolutions at the large size also move $r^2$ times as many numbers through memory for each channel, and a kernel of 9×9 on a single channel suits a processor badly: that is most of 9-1-5, which takes far longer than its multiply-adds say. What 9-5-5 has beyond it, 5×5 from 64 channels to 32, suits a processor well, so its ratio of times is much nearer to that of the multiply-adds, on some machines even below it.
#
# ## Training, live
#
# An ESPCN from nothing, for the factor 3, on random crops of five photographs that come with scikit-image. (Its brick, grass and gravel are left out: nobody can restore such grain once it is shrunk, and yet it would be most of the error.) The task is as simple as it sounds: shrink, enlarge, compare.

# %%
from v101_utils.superres import RestorationTask

source(RestorationTask.training_step)

# %% [markdown]
# PSNR is a function of the squared error, so a network trained on that error is trained for PSNR itself. Every now and then we look at photographs that it is not trained on. (At crops of them, to be quick: each PSNR below belongs to its
# own pixels, and figures of a crop, a piece and a whole photograph cannot be compared.)

# %%
from functools import partial

from v101_utils.training import Ema, fit, warmup_cosine

torch.manual_seed(0)
steps = runtime.pick(ci=8, laptop=1600, gpu=6000)
network, watched = ESPCN(factors=(3,)), [crop_to_multiple(image[..., 60:240, 150:390], 12) for image in photos]
ema, task = Ema(network, 0.99), RestorationTask(network, factors=(3,), lr=4e-3)
base, looks, gains = score(methods["bicubic"], watched, 3)["psnr_db"], [], []
for step in fit(task, PhotoCrops(16, 48, names=SCENES, device=here), steps, ema=ema, lr_schedule=warmup_cosine(steps)):
    if step.number % max(1, steps // 24) == 0:
        looks.append(step.number)
        gains.append(score(partial(restore, ema.average), watched, 3)["psnr_db"] - base)

# %%
zoos = score(methods["espcn"], watched, 3)["psnr_db"] - base
lines = {"this one": gains, "the zoo's ESPCN": [zoos] * len(looks)}
axes = curves(looks, lines, "step", "dB above bicubic", "crops of two photographs that it does not train on", marker=".")
axes.axhline(0, color="0.7")
plt.show()

# %%
piece = photos[1][..., 150:270, 200:356]
low = shrink(piece, 3)
beside({"bicubic": restore(None, low, 3), "this ESPCN": restore(ema.average, low, 3), "truth": piece}, "× 3", zoom=2)

# %% [markdown]
# It starts as bicubic interpolation, and leaves it behind within seconds. What comes later comes slowly: the zoo's has learned three factors, in many more minutes. The papers train on far more photographs, for days.
#
# ## All methods, all factors
#
# Now the zoo's networks, on both held-out photographs as a whole, by the protocol of the papers. The second measure, SSIM, compares means, contrasts and correlations in small windows, and is 1 for equal pictures (Wang et al. 2004).

# %%
part = runtime.pick(ci=(slice(100, 196), slice(100, 196)), laptop=(slice(None), slice(None)), gpu=(slice(None), slice(None)))
judged = [image[(..., *part)] for image in photos]
scores = {(name, factor): score(methods[name], judged, factor) for name in METHODS for factor in (2, 3, 4)}
print("PSNR (dB) and SSIM of Y   " + "".join(f"x{factor}               " for factor in (2, 3, 4)))
for name in METHODS:
    print(f"{name:24}", *(f"{scores[name, f]['psnr_db']:6.2f} {scores[name, f]['ssim']:.4f}   " for f in (2, 3, 4)))
papers = {"bicubic": 28.43, "srcnn": 30.07, "espcn": 30.76, "srresnet": 32.05, "srgan": 29.40}  # Ledig et al. 2017, table 2: Set5
orders = {"here": {name: scores[name, 4]["psnr_db"] for name in METHODS}, "in the paper": papers}
for where, found in orders.items():
    print(f"x4 {where}, the best first: " + ", ".join(sorted(found, key=found.get, reverse=True)))

# %% [markdown]
# Two photographs are not a benchmark: compare *methods* here, not with figures from elsewhere. For those, one table of one paper will do (Ledig et al. 2017, table 2, on the five pictures of Set5 at × 4): bicubic 28.43 dB, SRCNN 30.07,
# ESPCN 30.76, SRResNet 32.05, and SRGAN 29.40,
# trained on many more photographs, the last two with larger networks than here. Look at the two *orders* that are printed above, and at SRGAN in both: it began as SRResNet, was trained on for looks, and has a lower PSNR than it began with.
#
# ### The pictures that you have
#
# Set5, Set14, Urban100 or the validation set of DIV2K, once they are in a folder: one line, same protocol. Here with a folder of two crops.

# %%
# NBVAL_CHECK_OUTPUT
import tempfile

from v101_utils.superres import score_folder

with tempfile.TemporaryDirectory() as folder:  # yours: folder = "~/Set5" without this line
    for i, image in enumerate(watched):
        grid(image, zoom=1).save(f"{folder}/{i}.png")
    found = score_folder(methods["bicubic"], folder, 4)
print({name: abs(found[name] - value) < 1e-3 for name, value in score(methods["bicubic"], watched, 4).items()})

# %% [markdown]
# ## Why the best PSNR is blurry
#
# Suppose the small picture fits two large ones equally well: an edge a pixel further left, or a pixel further right. Call them $a$ and $b$. What answer $\hat x$ has the least squared error on average?
#
# $$\tfrac12\|\hat x-a\|^2+\tfrac12\|\hat x-b\|^2\quad\Rightarrow\quad\nabla=2\hat x-a-b=0\quad\Rightarrow\quad\hat x=\frac{a+b}2.$$
#
# **The mean**, which is neither of the two, and in no photograph. With thousands of possible textures the mean is a smooth surface. Blur is not a failure of such a network; it is the right answer to the question that it was asked.
#
# ### Check: descend the expected error

# %%
# NBVAL_CHECK_OUTPUT
columns = torch.arange(24)
a, b = (((columns > place).float() * 1.6 - 0.8).expand(1, 1, 24, 24) for place in (10, 12))  # dark grey, light grey
answer = torch.zeros(1, 1, 24, 24, requires_grad=True)
descent = torch.optim.SGD([answer], lr=0.25)
for _ in range(60):
    loss = ((answer - a) ** 2 + (answer - b) ** 2).sum() / 2
    descent.zero_grad()
    loss.backward()
    descent.step()
print("the answer is the mean:", torch.allclose(answer, (a + b) / 2, atol=1e-5))
for name, guess in {"a": a, "b": b, "their mean": (a + b) / 2}.items():
    print(f"expected squared error of {name:10} {(((guess - a) ** 2).mean() + ((guess - b) ** 2).mean()).item() / 2:.3f}")

# %%
shown = {"a": a, "b": b, "least squared error": answer.detach()}
beside({name: F.interpolate(image, scale_factor=8) for name, image in shown.items()}, zoom=1)  # each pixel as a square

# %% [markdown]
# Where $a$ and $b$ disagree the answer is grey; but every pixel of $a$ and of $b$ is dark or light, and none is grey. Choosing *either* of the true pictures has twice the expected error of choosing the one that is never true.
#
# ## SRResNet and SRGAN
#
# Ledig et al. (2017) did two things. **SRResNet** is a deeper network, of residual blocks on the small picture; trained by a pixels' error it had the best PSNR of its time (the one here is small, is added to the bicubic enlargement as the others are, had minutes, not days, and was trained by the Charbonnier error, nearly the absolute one, whose best answer is, pixel by pixel, a median of what is possible: of thousands of textures that is a smooth surface too: the table above
# says how far that gets; and it goes without batch normalisation, which Lim et al. 2017 found to be better). **SRGAN** is *the same network*, trained on with another question: a critic looks at enlargements and at
# real photographs and learns to tell them apart (chapter 01), and the network has to please it. A mean of textures does not: no photograph looks like that.
#
# $$\mathcal L=\mathcal L_\text{content}+\lambda\,\mathcal L_\text{adversarial},\qquad\lambda=10^{-3}.$$
#
# $\mathcal L_\text{adversarial}$ is the non-saturating loss of chapter 01, the mean of $-\log D$ over the enlargements ($D$ is the critic's probability that what it sees is a real photograph), and $\mathcal L_\text{content}$ the mean squared difference, not of pixels, but of features, responses of filters. In the paper they are those of VGG-19, a network trained on a million photographs, whose deep and pooled layers forgive a strand of hair a pixel's shift. It would have to be downloaded; here it is one layer of random filters, which forgives little. Three rules come with it: bring pictures into the
# range that the feature network was made for, **train by the pixels' error first** (a critic that faces noise teaches nothing), and keep $\lambda$ small. (Random filters ask for less texture than VGG-19 does, so the network that ships had a $\lambda$ a hundred times the paper's, and a term for the pixels beside it, which keeps colours in place. Its critic has a weak R1 penalty, of chapter 01, without which the enlargements got a grid of fine dots.
# And it was shown brick, grass and gravel as well: their grain cannot be restored, but some that looks like it can be made up, and that is what a critic asks for.)

# %%
from v101_utils.superres.adversarial import SRGANTask

source(SRGANTask.parts)

# %% [markdown]
# How much is $10^{-3}$? A value says little; what moves a network is the *gradient* that reaches its picture. So train a critic for a moment, against SRResNet as it is (its rate is 0), and compare the norms. The critic, its penalty and the filters are
# those that the zoo's SRGAN was trained with.

# %%
from v101_utils.gans import R1
from v101_utils.style.features import FilterBank
from v101_utils.superres import PatchDiscriminator

torch.manual_seed(0)
critic, features = PatchDiscriminator(width=16), FilterBank((3, 5, 7), 16)
probe = SRGANTask(zoo.load("srresnet").requires_grad_(), critic, features, constraint=R1(0.01, every=4), rates=(0.0, 3e-4))
for _ in fit(probe, PhotoCrops(8, 48, device=here), runtime.pick(ci=2, laptop=30, gpu=500), progress=False):
    pass
picture, norms = made["srresnet"].to(here).requires_grad_(), {}
for name, term in probe.parts(picture, eyes.to(here)).items():
    (gradient,) = torch.autograd.grad(term, picture, retain_graph=True)
    norm, weight = gradient.norm().item(), probe.weights[name]
    norms[name] = norm
    print(f"{name:12} norm of its gradient {norm:.5f}, weighted by {weight:g}: {norm * weight:.6f}")
for weight in (1e-3, 0.1, 1.0):
    print(f"weighted by {weight:g} the critic pulls {weight * norms['adversarial'] / norms['pixel']:.2g} times as hard as the pixels")

# %% [markdown]
# So at the paper's $\lambda$ the critic would hardly be heard here; a hundred times as much is a voice beside the pixels', and not the loudest; and with $\lambda$ left out of the formula, which is a weight of 1, it would be nearly as loud as they are (Common mistake 5). Such a number
# belongs to one critic, one loss and one set of features: measure it anew for yours.
#
# ## Perception against distortion
#
# Blau and Michaeli (2018) proved what SRGAN's row in the tables suggests: the closer the *distribution* of outputs is to that of real pictures, the larger the error must be, beyond a point, for any method at all. It is a trade, with a bound that nobody gets under.
#
# We can walk from one end of such a trade to the other. SRGAN began with SRResNet's weights, so each weight means the same in both, and *a weighted mean of the two*, weight by weight, is a network in between (Wang et al. 2018, ESRGAN). Its way lies above the bound; how far, nobody knows.

# %%
from v101_utils.superres.adversarial import blend

source(blend)

# %% [markdown]
# To the right: a smaller squared error. Downwards: an amount of fine detail that is nearer, place by place, to that of the truth. `detail_error` takes windows of 8×8 pixels and the contrast in each, how much neighbouring pixels and neighbouring blocks of 2×2 differ; it is the mean of $|\log_2|$ of its ratio, that of the picture to that of the truth: 0 where there is
# as much detail as in the truth, about 1 where there is half as much or twice as much, wherever in the window it lies. (It is this project's stand-in for measures such as LPIPS, which need a large network's weights; like those it compares with the truth itself, and is not the theorem's distance of distributions.)

# %%
safe, sharp = zoo.load("srresnet", device=here), zoo.load("srgan", device=here)
amounts = torch.linspace(0, 1, runtime.pick(ci=3, laptop=6, gpu=11)).tolist()
between = [score(partial(restore, blend(safe, sharp, amount)), watched, 4) for amount in amounts]
psnrs, details = ([found[what] for found in between] for what in ("psnr_db", "detail_error"))
axes = curves(psnrs, {"SRResNet to SRGAN": details}, "PSNR (dB)", "detail error", marker=".")
for name in METHODS:
    at = score(methods[name], watched, 4)
    axes.plot(at["psnr_db"], at["detail_error"], "o", label=name)
axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# Look at ESPCN and SRResNet too, which are almost level: of two networks that were trained on pixels alone, the one with the higher PSNR need not be the one whose detail is nearer to the truth's. Neither end of the curve is "better". A doctor or an astronomer wants no
# invented detail; somebody who prints a poster does.
#
# ### The sliders
#
# Drag the line between bicubic interpolation and a method, and choose method and factor. (Where widgets do not run, the pictures at the top of the chapter show the same.)

# %%
from v101_utils.widgets import BlendView, WipeView, blend_slider, wipe_sliders

wipe = WipeView(photos[0][..., 60:240, 120:300], {name: methods[name] for name in METHODS[1:]})
wipe_sliders(wipe)

# %% [markdown]
# The same for each factor, side by side and whole.

# %%
for factor in (2, 3, 4):
    ways = {way: wipe.enlarged(way, factor) for way in ("bicubic", "srresnet", "srgan")}
    named = {f"{way} {luma_psnr(image, wipe.truth, factor).item():.2f} dB": image for way, image in ways.items()}
    display(beside(named | {"truth": wipe.truth}, f"× {factor}", zoom=1.5))

# %% [markdown]
# And the blend: from SRResNet, at 0, to SRGAN, at 1.

# %%
blended = BlendView(photos[0][..., 90:186, 150:246], safe, sharp)
blend_slider(blended)

# %% [markdown]
# The same knob as a strip.

# %%
beside({f"amount {amount:g}": blended.enlarged(amount) for amount in (0.0, 0.33, 0.67, 1.0)}, zoom=2)

# %% [markdown]
# ## Large pictures, in tiles
#
# A photograph of 24 million pixels does not fit into a network at once: 64 channels of the large one alone are many gigabytes. So it is cut into tiles. But at a tile's edge the network sees padding, where in the whole picture there was more picture, and the seams show. The remedy is exact and not approximate: a pixel of the
# answer depends on a *limited* surrounding, the receptive field. Give each tile that many neighbours more and cut them off afterwards.
#
# ### Check: tiles with margins are the whole
#
# The radius, in small pixels, is the sum of the kernels' half-widths: 2+1+1 for ESPCN. Those that work on the large picture count $1/r$ (rounded up), and SRCNN's bicubic enlargement adds 2: $(4+0+2)/3+2=4$.

# %%
# NBVAL_CHECK_OUTPUT
from v101_utils.superres import in_tiles, receptive_radius

y = rgb_to_ycbcr(shrink(watched[0], 3))[:, :1]  # (1, 1, 60, 80)
with torch.no_grad():
    for name in ("espcn", "srcnn"):
        model = zoo.load(name)
        same = torch.allclose(in_tiles(model, y, 3, side=16), model(y, 3), atol=1e-5)
        print(f"{name}: tiles of 16 pixels with their neighbours are the whole: {same}")
print("ESPCN looks", receptive_radius(ESPCN(), 3), "pixels far")

# %% [markdown]
# `v101 upscale photo.jpg large.png --scale 4 --method srgan`, on the command line, does the same with any file; transparency is kept.
#
# ## When the small picture was made otherwise
#
# All of the above undoes *one* way of shrinking. Real small pictures have been through a lens, a sensor and a JPEG encoder. What is left of the gain over bicubic interpolation?

# %%
import io


def jpeg(image, quality):
    """The picture (1, 3, H, W) in [-1, 1] after it was saved as a JPEG file."""
    file = io.BytesIO()
    grid(image, zoom=1).save(file, "JPEG", quality=quality)
    return photo(file.getvalue())


def blurred(image, sigma):
    """Each channel convolved with a Gaussian of so many pixels."""
    distance = torch.arange(-8, 9.0)
    kernel = (-(distance**2) / (2 * sigma**2)).softmax(0)
    padded = F.pad(image, (8, 8, 8, 8), mode="reflect")
    return F.conv2d(padded, (kernel[:, None] * kernel).expand(3, 1, 17, 17), groups=3)


# %%
def made_small(truth):
    """A fourth of the picture's size, reached in six ways."""
    low, draw = shrink(truth, 4), runtime.generator(2)
    return {
        "as trained": low, "blurred before": shrink(blurred(truth, 3.0), 4),
        "noise of 8/255": low + 16 / 255 * torch.randn(low.shape, generator=draw), "JPEG, quality 40": jpeg(low, 40),
        "each fourth pixel": truth[..., 2::4, 2::4], "torch's default": F.interpolate(truth, scale_factor=1 / 4, mode="bicubic"),
    }  # fmt: skip


lows = [made_small(truth) for truth in watched]
print("dB of bicubic; gain on it:  " + "  ".join(f"{name:>8}" for name in METHODS[1:]))
for name in lows[0]:
    tries = [[luma_psnr(methods[way](low[name], 4), truth, 4).item() for way in METHODS] for low, truth in zip(lows, watched)]
    base, *others = torch.tensor(tries).mean(0).tolist()  # of the two photographs
    print(f"{name:18} {base:6.2f}     " + "  ".join(f"{other - base:+8.2f}" for other in others))

# %%
pairs = [(name, way) for name in ("noise of 8/255", "JPEG, quality 40") for way in ("bicubic", "srgan")]
beside({f"{name}: {way}": methods[way](lows[0][name], 4)[..., 40:140, 60:190] for name, way in pairs}, zoom=2)

# %% [markdown]
# On noise most of the gain is gone, and on JPEG all of it but a little of SRCNN's: a network takes grain and blocks for detail and makes more of them, SRGAN most of all, which adds the most detail and falls furthest below bicubic interpolation, on both. After a blur a third of SRCNN's gain is left, and about a seventh of the others': they undo the blur of the shrinking, not one that was there before. Where the small picture was made without anti-aliasing (the last two
# rows) all of them are far below bicubic interpolation: its jagged edges are sharpened too. (In "each fourth pixel" the picture is also shifted by half a pixel of the large one, which costs every method something, bicubic interpolation included.) The cure is not another network but another *training set*: shrink in many ways, with random blurs, noise and compression (Zhang et al. 2021; Wang et al. 2021).
#
# ## Common mistakes
#
# ### Common mistake 1: shrinking without anti-aliasing
#
# `F.interpolate(x, scale_factor=1/4, mode="bicubic")` is the obvious line, and the table above has it: another picture, with patterns that are not in the truth, and other figures. If one network is trained so and another was not, their PSNRs compare the shrinking and not the networks. Here on both photographs, at × 3.

# %%
def shrunk_by(how, name):
    """The mean PSNR of a method on the held-out photographs, shrunk three times in another way."""
    truths = [crop_to_multiple(image, 3) for image in judged]
    return sum(luma_psnr(methods[name](how(truth), 3), truth, 3).item() for truth in truths) / len(truths)


hows = {"imresize": partial(shrink, factor=3), "no anti-aliasing": partial(F.interpolate, scale_factor=1 / 3, mode="bicubic")}
for label, how in hows.items():
    print(f"{label:17} bicubic {shrunk_by(how, 'bicubic'):.2f} dB, espcn {shrunk_by(how, 'espcn'):.2f} dB")

# %% [markdown]
# ### Common mistake 2: PSNR of something else
#
# Of RGB here and of Y there, with a border here and without one there: by the figures of "How right is it?", such differences are as large as those between methods. The test is always the same: see whether bicubic interpolation has the
# figure that others report for it.
#
# ### Common mistake 3: pixels from 0 to 255
#
# ESPCN is made for Y from 0 to 1 and is given bytes. Nothing crashes: it has learned that grey is 0.5, and meets a picture that is far brighter than any it was trained on. Whatever it adds then, its gain over bicubic interpolation is
# gone. SRResNet, made for [−1, 1] and given [0, 1], sees contrasts of half their size round a grey that is
# too bright. Here it hardly minds (the figure is even a little higher): what it adds to the enlargement seems to depend on differences between neighbours, and to be about half as much where they are half as large. Do not rely on it.

# %%
true_y, signed = rgb_to_ycbcr(eyes)[:, :1], shrink(eyes, 3)
with torch.no_grad():
    tries = {
        "bicubic": enlarge(third, 3), "ESPCN, Y in [0, 1]": fine, "ESPCN, Y in [0, 255]": espcn(third * 255, 3) / 255,
        "SRResNet, RGB in [-1, 1]": rgb_to_ycbcr(methods["srresnet"](signed, 3))[:, :1],
        "SRResNet, RGB in [0, 1]": rgb_to_ycbcr(methods["srresnet"](to_unit(signed), 3) * 2 - 1)[:, :1],
    }
print("PSNR of Y, for all of them:")
for name, found in tries.items():
    print(f"{name:25} {peak_signal_noise_ratio(found.clamp(0, 1), true_y, data_range=1.0):.2f} dB")

# %% [markdown]
# ### Common mistake 4: tiles without margins
#
# Cut, enlarge, paste. The error is small on average, and largest along straight lines, which eyes are made to find. On the right: the difference from the whole picture, 20 times as strong. Below, the place of the largest difference, close up.

# %%
low_rgb = shrink(watched[0], 4)  # (1, 3, 45, 60)
whole = restore(sharp, low_rgb, 4)
pieces = [[low_rgb[..., top : top + 15, left : left + 15] for left in range(0, 60, 15)] for top in range(0, 45, 15)]
pasted = torch.cat([torch.cat([restore(sharp, each, 4) for each in row], 3) for row in pieces], 2)
off = pasted - whole
print(f"largest difference: {off.abs().max() * 127.5:.0f} of 255; amid a tile {off[..., 28:32, 28:32].abs().max() * 127.5:.1f}")
display(beside({"tiles of 15 pixels, no margins": pasted, "difference × 20": (off * 20).clamp(-1, 1)}, zoom=1.5))
place = off.abs().amax((0, 1)).argmax().item()  # of all pixels, row by row
top, left = (min(max(at - 20, 0), most - 40) for at, most in zip(divmod(place, off.shape[3]), off.shape[2:]))
close = (..., slice(top, top + 40), slice(left, left + 40))
beside({"with margins": whole[close], "without": pasted[close]}, zoom=6)

# %% [markdown]
# ### Common mistake 5: an adversarial weight of 1
#
# $\mathcal L_\text{content}+\mathcal L_\text{adversarial}$ is easily written without its $\lambda$. In the section on SRGAN the gradients were printed: without $\lambda$ the critic pulls nearly as hard as the pixels do, and some ten times as hard as the content; and remember that a
# critic which goes on training grows stronger. The network is then free to draw *any* texture that pleases the critic, in wrong places and colours; and starting such a training without
# the pixels' error first makes it worse, because the critic has won before the network has learned where edges are. (No picture here: it takes many minutes of training to go wrong.)
#
# ## Exercises
#
# Write your line where the dots are; run the cell; it says right or not yet. Solutions stand at the very end, folded away in JupyterLab.
#
# **Exercise 1.** The PSNR in dB of pictures in $[-1,1]$. (How wide is the scale?)

# %%
from v101_utils.exercises import check


def psnr(made, truth):  # two (B, C, H, W) in [-1, 1] -> (B,)
    ...


two = [torch.rand(3, 1, 8, 8, generator=runtime.generator(i)) * 2 - 1 for i in (10, 11)]
check(psnr, *two)


# %% [markdown]
# **Exercise 2.** The pixel shuffle without loops, by `reshape` and `permute` alone.

# %%
def shuffle(channels, r):  # (B, r * r, h, w) -> (B, 1, h * r, w * r)
    ...


stack = torch.randn(2, 9, 4, 5, generator=runtime.generator(12))
check(shuffle, stack, torch.tensor(3))


# %% [markdown]
# **Exercise 3.** How many multiply-adds for each pixel of the *large* picture does an ESPCN of the factor $r$ take, whose kernels have sides $k_1,k_2,k_3$ and whose first two layers have $n_1,n_2$ channels?

# %%
def cost(kernels, widths, r):  # (3,), (2,), a number -> a number
    ...


numbers = torch.tensor([5.0, 3.0, 3.0]), torch.tensor([64.0, 32.0]), torch.tensor(4.0)
check(cost, *numbers)

# %% [markdown]
# ## Summary
#
# * The truth is free: shrink photographs, and train a network to undo it. It learns to undo *that* way of shrinking; use anti-aliased bicubic where figures are to be compared.
# * PSNR is of Y, with a border of the factor's width cut off. Check a protocol by the figure that it gives bicubic interpolation.
# * Convolve the small picture and shuffle pixels last: the same layers cost $r^2$ times less.
# * The answer of least squared error is the mean of all that is possible, and a mean of sharp pictures is blurry. A critic asks for one that could be real, at the price of PSNR.
# * In between lie compromises, and interpolating weights walks from one end to the other. Which point is best depends on what the picture is for.
#
# ## References
#
# * Dong, Loy, He, Tang. *Learning a Deep Convolutional Network for Image Super-Resolution.* ECCV 2014. Long version: *Image Super-Resolution Using Deep Convolutional Networks.* TPAMI 2016.
# * Shi et al. *Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network.* CVPR 2016.
# * Ledig et al. *Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network.* CVPR 2017.
# * Lim et al. *Enhanced Deep Residual Networks for Single Image Super-Resolution.* CVPR 2017 workshops.
# * Wang et al. *ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks.* ECCV 2018 workshops.
# * Blau, Michaeli. *The Perception-Distortion Tradeoff.* CVPR 2018.
# * Zhang et al. *Designing a Practical Degradation Model for Deep Blind Image Super-Resolution.* ICCV 2021. Wang et al. *Real-ESRGAN.* ICCV 2021 workshops.
# * Keys. *Cubic Convolution Interpolation for Digital Image Processing.* 1981. Wang, Bovik, Sheikh, Simoncelli. *Image Quality Assessment.* 2004.
#
# ## Solutions

# %% jupyter={"source_hidden": true} tags=["solution"]
# NBVAL_CHECK_OUTPUT
def psnr(made, truth):
    return 10 * torch.log10(2**2 / (made - truth).square().mean((1, 2, 3)))


def shuffle(channels, r):
    b, _, h, w = channels.shape
    return channels.reshape(b, r, r, h, w).permute(0, 3, 1, 4, 2).reshape(b, 1, h * r, w * r)


def cost(kernels, widths, r):
    (k1, k2, k3), (n1, n2) = kernels, widths
    return (k1**2 * n1 + k2**2 * n1 * n2 + k3**2 * n2 * r**2) / r**2


check(psnr, *two)
check(shuffle, stack, torch.tensor(3))
check(cost, *numbers)
