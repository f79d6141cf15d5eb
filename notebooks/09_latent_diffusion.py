# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 09 · Latent diffusion
#
# Ask in words for "a large red square, rotated", and see it drawn not in pixels but in a small picture of a sixteenth as many places, which a second network
# then makes large; look on as places look at words; and ask for what the network has never been shown.
#
# <!-- Colab badge: stamped once the repository's address is set -->
#
# This chapter builds on chapters 06 to 08 (diffusion, few steps, guidance) and 11 (autoencoders). How long it takes stands in the README's table.

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
import timeit

import matplotlib.pyplot as plt
import torch
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

from v101_utils import runtime, zoo
from v101_utils.data import Batches
from v101_utils.data.photos import photo
from v101_utils.data.prompts import CHOICES, UNSEEN, WORDS, PromptBatches, describe, every_prompt, factors_of, parse
from v101_utils.data.shapes import BACKGROUND, draw
from v101_utils.diffusion import Clipped, Denoiser, DiffusionTask, Guided, LatentDiffusion, add_noise, cosine, dpm, sample
from v101_utils.metrics.prompts import words_right
from v101_utils.nn import CrossAttention, UNet
from v101_utils.training import Ema, fit, warmup_cosine
from v101_utils.vae import AutoencoderTask
from v101_utils.view import curves, rows, source, use_style
from v101_utils.widgets.latent import channel_pictures
from v101_utils.zoo.latent_recipes import cached_latents, held_out_pictures, psnr, shapes_ldm

runtime.set_up(seed=0)
use_style()
here, fine = runtime.device(), runtime.pick(ci=4, laptop=20, gpu=50)  # fine: how many steps a picture to look at is drawn in

# %% [markdown]
# ## The picture first
#
# Shapes of 64 by 64 pixels, in colour. In each row one prompt, and six noises. What a prompt does not say is left open. (*Upright* is a shape that is hardly turned, *rotated* one that is turned by 20 degrees at least. The drawing that is
# called a triangle, unturned, stands on its tip, and an ellipse lies flat.) The last two rows have a colour and a shape that never stood together in the training.

# %%
model = zoo.load("ldm-shapes", device=here)
asked = ["a large red square, rotated", "a small cyan ellipse, upright", "a large magenta triangle", "a cross, rotated",
         "small and green", "a large blue square, upright", "a small yellow cross"]  # fmt: skip
rows({text: model.sample(6, seed=3, labels=text, steps=fine, guidance=3.0) for text in asked}, zoom=1.25, label_width=230)

# %% [markdown]
# ## Why not in pixels
#
# The diffusion of chapter 06 calls its network at every step, and the network works on every pixel. At 28 by 28 that is bearable. At 512 by 512 it is not, and most of the work goes into what no one looks at: the last bits of a picture are
# the exact shade of each pixel. Rombach et al. (2022) split the task in two:
#
# 1. an **autoencoder** $(\mathcal E,\mathcal D)$ squeezes a picture $x$ into a *latent* $z=\mathcal E(x)$, a picture with fewer places and a few channels, and keeps what the eye sees;
# 2. **diffusion** draws latents, and the decoder makes pictures of them: $x=\mathcal D(z)$.
#
# The autoencoder is trained once, and then left alone. It is the method of Stable Diffusion.
#
# ### Check: how much smaller?
#
# Stable Diffusion's 512×512×3 pixels become 64×64×4 latents. It is often told that this is "64 times smaller". Count *places* and *numbers*:

# %%
# NBVAL_CHECK_OUTPUT
sizes = {"Stable Diffusion": ((3, 512, 512), (4, 64, 64)), "this chapter": (model.shape, model.autoencoder.latent_shape)}
for name, (picture, latent) in sizes.items():
    places, numbers = math.prod(picture[1:]) / math.prod(latent[1:]), math.prod(picture) / math.prod(latent)
    print(f"{name}: {math.prod(picture):,} numbers become {math.prod(latent):,}; "
          f"places: {places:g} times fewer, numbers: {numbers:g} times fewer")  # fmt: skip

# %% [markdown]
# So 64 times fewer places, but 48 times fewer numbers: the latent has four channels where the picture has three.
#
# How much work is that? Two networks of about the same size, for the same pictures (the one for pixels has a third more parameters, and is a little wider). The one for pixels has to come down from 64 by 64 first, until it is at a size at which each place can look at all others. We count the multiply-adds
# of one call.

# %%
channels, side, _ = model.autoencoder.latent_shape
told = {"classes": len(WORDS), "words": len(CHOICES)}


def latent_denoiser():
    """The denoiser of the network that ships, untrained."""
    return shapes_ldm().denoiser.to(here)


def pixel_denoiser():
    """Its counterpart for pixels: two levels more to come down by, without attention, then two like its own (64 channels for 48)."""
    network = UNet(3, 64, (32, 48, 64, 96), attention=(False, False, True, True), fold=2, **told)
    return Denoiser(network, cosine(), predicts="x0").to(here)


# %%
t, works = torch.full((1,), 0.5, device=here), {}
nets = {"latents": latent_denoiser(), "pixels": pixel_denoiser()}
for name, net in nets.items():
    works[name] = runtime.multiply_adds(net.network, torch.zeros(1, *net.shape, device=here), t, every_prompt()[:1].to(here))
    size = sum(p.numel() for p in net.parameters())
    print(f"{name}: {size / 1e6:.2f} M parameters, {works[name] / 1e6:.0f} million multiply-adds a call")
decoding = runtime.multiply_adds(model.autoencoder.decode, torch.zeros(1, channels, side, side, device=here))
print(f"the decoder, once a picture: {decoding / 1e6:.0f} million")
for steps in (1, 20, 50):
    ratio = steps * works["pixels"] / (steps * works["latents"] + decoding)
    print(f"{steps} steps: pixels need {ratio:.1f} times the work of latents")

# %% [markdown]
# It pays where there are many steps, since the decoder runs once. The larger the picture, the more levels a network for pixels needs at full cost. But work is not all: how fast does each *learn*? That is measured below.
#
# ## The autoencoder
#
# It is a VAE (chapter 11) whose latent is a small picture: convolutions, and one layer of self-attention each in encoder and decoder. So a place of the latent could speak of the whole picture; that it speaks above all of the part where it stands is seen below. With $D$ the count of numbers in a picture, its loss is
#
# $$L=\frac1D\Big(\lVert x-\mathcal D(z)\rVert^2+\lambda\,\mathrm{KL}\big(q(z\mid x)\,\Vert\,\mathcal N(0,I)\big)\Big),\qquad z\sim q(z\mid x)=\mathcal N\big(\mu(x),\sigma^2(x)\big).$$
#
# (This $\sigma(x)$ is the encoder's; the noise schedule's $\sigma_t$ below is another.)
#
# $\lambda$ is small here, 0.01. In chapter 11 the KL divergence had to make the latents so simple that one could *draw* from the prior. Now a diffusion model will draw them, so they may have any distribution that it can learn; the KL
# divergence has only to keep them from spreading without end, and to make the decoder forgive small errors.
#
# ### Check: it is chapter 11's bound
#
# Multiply $L$ by $D/\lambda$ and add the constant $\tfrac D2\log(\pi\lambda)$: that is the negative evidence lower bound of Kingma and Welling (2013), with one draw of $z$ and $\beta=1$, for a decoder whose pixels have variance $\lambda/2$. Against `torch.distributions`:

# %%
# NBVAL_CHECK_OUTPUT
autoencoder, weight = model.autoencoder, 0.01
few = held_out_pictures(8)[0].to(here)
with torch.no_grad():
    copies, mean, log_var = autoencoder(few)
latent, prior = Normal(mean, (0.5 * log_var).exp()), Normal(torch.zeros_like(mean), 1.0)
error, rate = (few - copies).square().flatten(1).sum(1), kl_divergence(latent, prior).flatten(1).sum(1)  # (8,), (8,)
D = few[0].numel()
loss = (error + weight * rate) / D
bound = Normal(copies, math.sqrt(weight / 2)).log_prob(few).flatten(1).sum(1) - rate
print(torch.allclose(-bound, loss * D / weight + D / 2 * math.log(math.pi * weight), rtol=1e-4))
print(f"the decoder's standard deviation for a pixel: {math.sqrt(weight / 2):.3f}, of a range from -1 to 1")

# %% [markdown]
# How the two parts of $L$ share it, for the eight pictures above, which the autoencoder has not seen (all small and red; larger shapes have more to tell), and what the rate is for each number of a latent. (1 nat is 1.44 bits; a number of which nothing is told costs 0, and of the ground, on which most places lie, there is little to tell.)

# %%
parts = {"error": error.mean() / D, "KL divergence, with its weight": weight * rate.mean() / D}
print(f"L = {sum(parts.values()):.5f}: " + ", ".join(f"{name} {part:.5f} ({part / sum(parts.values()):.0%})" for name, part in parts.items()))
print(f"rate: {rate.mean():.0f} nats a picture, {rate.mean() / mean[0].numel():.2f} for each of {mean[0].numel():,} numbers")

# %%
source(AutoencoderTask.training_step)

# %% [markdown]
# The optional *perceptual* term compares what another network sees in picture and copy. Squared error alone answers a doubt with an average, that is, with blur. For photographs Rombach et al. use such a term (LPIPS) and a discriminator on patches
# (chapters 01 to 05) beside it. Our shapes have so little texture that the squared error is enough.
#
# ### What it loses
#
# From here on the latent of a picture, $\mathcal E(x)$, is the mean $\mu(x)$, without the noise that was added in the training. (Rombach et al. draw from $q$; with their small $\lambda$ it is nearly the same.)
#
# Pictures that it has not seen, their copies, and the difference, copy less picture, two and a half times as strong (five times, for pixels in $[0,1]$, on a scale from -1 to 1; grey: none; brighter: the copy has too much, darker: too little). At the right a photograph: **an autoencoder knows its data, and nothing else**.

# %%
pictures, prompts = held_out_pictures(runtime.pick(ci=96, laptop=192, gpu=960))
pictures = pictures.to(here)
astronaut = photo("astronaut", 64).to(here)
shown = torch.cat([pictures[5:95:10][:9], astronaut.view(1, 3, 64, 64)])
again = autoencoder.reconstruct(shown)
for name, images in {"shapes": pictures, "the photograph": shown[-1:]}.items():
    print(f"{name}: the copies' PSNR is {psnr(images.cpu(), autoencoder.reconstruct(images).cpu()):.1f} dB")
rows({"picture": shown, "copy": again, "5 × difference": (5 * (again - shown) / 2).clamp(-1, 1)}, zoom=1.25, label_width=120)

# %% [markdown]
# (PSNR is $10\log_{10}$ of one over the mean squared error, for pixels in $[0,1]$: 20 dB is a typical error of 0.1, 40 dB one of 0.01.) Whatever is lost here is lost for good: the diffusion model never sees a pixel.
# The best picture that it can draw is as good as a copy.
#
# The latents that it draws will not be perfect either. How much noise does the decoder forgive?

# %%
latents = autoencoder.to_latents(pictures)
noise = torch.randn(latents.shape, generator=runtime.generator(1)).to(here)
for level in (0.0, 0.1, 0.3, 1.0):
    decoded = autoencoder.to_images((latents + level * noise)[:96])
    print(f"noise of {level:g} standard deviations in the latents: {psnr(pictures[:96].cpu(), decoded.cpu()):.1f} dB")

# %% [markdown]
# A lot: noise of a whole standard deviation makes the squared error three times as large, and leaves more than 30 dB. The training decoded noisy latents all the time. And most places are background: where the shape stands the latents are well beyond 1, and this noise is smaller than they are.
#
# ### Latents are pictures
#
# The channels of a few latents, in grey. They are no random code: the shape stands where it stood, and each channel shows it in greys of its own. That is why a U-Net, made for pictures, can draw them.

# %%
several = torch.arange(0, 96, 11)
strip = {"picture": pictures[several]}
for i in range(channels):
    strip[f"channel {i}"] = F.interpolate(channel_pictures(latents[several, i : i + 1]), size=64)  # each place as a square
rows({name: images.expand(-1, 3, -1, -1) for name, images in strip.items()}, zoom=1.25)

# %% [markdown]
# ## The scale of latents
#
# The encoder gives latents of whatever scale the training has come to. Measure mean and standard deviation of each channel, subtract, divide:

# %%
with torch.no_grad():
    raw = autoencoder.encode(pictures)[0]
for name, z in (("as the encoder gives them", raw), ("scaled", latents)):
    deviation, mean = torch.std_mean(z, dim=(0, 2, 3))
    print(f"{name}: means {[f'{m:.2f}' for m in mean.tolist()]}, standard deviations {[f'{d:.2f}' for d in deviation.tolist()]}")

# %%
# NBVAL_CHECK_OUTPUT
deviation, mean = torch.std_mean(latents, dim=(0, 2, 3))
print("means near 0:", (mean.abs() < 0.1).all().item())
print("standard deviations near 1:", ((deviation - 1).abs() < 0.1).all().item())
print("scaling is undone before decoding:", torch.allclose(latents * autoencoder.deviation + autoencoder.mean, raw, atol=1e-4))

# %% [markdown]
# Why must the variance be 1? Because a noise schedule is made for it. With data of standard deviation $c$ there is, at time $t$, a signal-to-noise ratio of
#
# $$\mathrm{SNR}_c(t)=\frac{c^2\,\alpha_t^2}{\sigma_t^2},\qquad\text{so}\qquad\log\mathrm{SNR}_c(t)=\log\mathrm{SNR}_1(t)+2\log c.$$
#
# ### Check: where is there as much noise as signal?
#
# The time at which the ratio is 1, for three scales, and the shares of latents and noise at that time, measured.

# %%
# NBVAL_CHECK_OUTPUT
for c in (0.1, 1.0, 10.0):
    t = cosine().time_at(-2 * math.log(c)).item()
    signal, noisy = (cosine().alpha(t) * c * latents.cpu()).std(), (cosine().sigma(t) * noise.cpu()).std()
    print(f"standard deviation {c:4g}: t = {t:.2f}; signal and noise within a tenth: {(signal / noisy - 1).abs().item() < 0.1}")

# %% [markdown]
# With latents ten times too large, noise covers the signal only from $t=0.94$ on. What is decided while there is more noise than signal, which shape and how turned above all, would have to be learned from a few times in a hundred. With latents ten times too
# small it is the details that have no time left. So Rombach et al. (appendix G) divide by one measured deviation; we do it channel by channel. (Common mistake 1 below tries latents that are ten times too large.)
#
# ### Encode once
#
# The autoencoder does not change any more. So each picture is encoded *once*, before the training, and a step of the diffusion never sees a picture. (Here the shapes stand in the middle of their pictures, which the package calls
# `wander=0`, for the prompts below say no place. A network that need not learn places learns shapes in minutes.)

# %%
start = timeit.default_timer()
cached = cached_latents(0, here, size=32, count=runtime.pick(ci=250, laptop=3000, gpu=20_000))
encoding = timeit.default_timer() - start
print(f"{len(cached.tensors[0])} latents with their prompts, encoded in {encoding:.1f} s")

# %% [markdown]
# ## Prompts
#
# In chapter 08 a label was one number. A prompt is several: each **word** is a token, a place in a list, and each token has a vector, learned with the rest. A word that is left out is one token more, the *null word*.

# %%
# NBVAL_CHECK_OUTPUT
for factor, words in CHOICES.items():
    print(f"{factor:7}", *(f"{WORDS.index(word)} {word}" for word in words))
for text in ("a large red square, rotated", "rotated square, large and red", "a small cross", ""):
    tokens = parse(text)
    print(f"{text!r}: {tokens.tolist()}, which says {describe(tokens)!r}")
print("never seen together:", ", ".join(" ".join(pair) for pair in UNSEEN))

# %% [markdown]
# Here the order of the words says nothing, since each belongs to one factor. In "a square on a circle" it says everything. That is why text-to-image systems put a **text encoder** in front: a transformer that gives each word a vector which knows its place and its
# neighbours. What comes after is as here: a list of vectors, as many as there are words.
#
# While training, a tenth of the prompts lose all their words, and a tenth of the other words are dropped one by one: the first is for guidance (chapter 08), the second lets us leave words out.
#
# ## Cross-attention
#
# How does a U-Net read a list of vectors? A class was added to the vector of the time, and so told the same thing to all places. Words should be heard *where* they matter: "rotated" says something about an edge, and nothing about the background.
#
# So **each place asks, and the words answer**. A place $i$ with features $h_i$ makes a query $q_i=W_Qh_i$; a word $j$ with vector $w_j$ makes a key $k_j=W_Kw_j$ and a value $v_j=W_Vw_j$; and the place takes in a mean of the values, weighted by how well the keys fit its query
# (Vaswani et al. 2017; Rombach et al. 2022, sec. 3.3):
#
# $$\mathrm{out}_i=\sum_jA_{ij}\,v_j,\qquad A_{ij}=\operatorname*{softmax}_j\frac{q_i\cdot k_j}{\sqrt d}.$$
#
# In self-attention the keys and values come from all places, its own included; that is the whole difference. The $\sqrt d$ keeps the softmax from being all or nothing: $q_i$ and $k_j$ have $d$ numbers in each head, and the product of two vectors of $d$ independent numbers of mean 0 and variance 1 has variance $d$. (In the layer $h_i$ is the normalised feature, and what was taken in goes through one more linear map and is added to the feature.)

# %%
source(CrossAttention._looks)

# %%
source(CrossAttention.forward)

# %% [markdown]
# ### Check: the formula, term by term
#
# One layer of the trained network, on random features and a real prompt, beside the formula written out. The heads are the same formula on slices of the channels.

# %%
# NBVAL_CHECK_OUTPUT
readers = [layer for layer in model.denoiser.network.modules() if isinstance(layer, CrossAttention)]
layer, words = readers[0], model.denoiser.network.label_embedding(parse("a large red square, rotated").to(here))  # (W, word_dim)
width = layer.to_q.in_channels
x = torch.randn(1, width, 3, 5, generator=runtime.generator(2)).to(here)
q, (k, v) = layer.to_q(layer.norm(x))[0].flatten(1).T, layer.to_kv(words).chunk(2, dim=1)  # (places, C), (W, C), (W, C)
d, looks, found = width // layer.heads, [], []
for head in torch.arange(width, device=here).split(d):
    A = (q[:, head] @ k[:, head].T / math.sqrt(d)).softmax(1)  # (places, W)
    looks.append(A)
    found.append(A @ v[:, head])
out = x + layer.to_out(torch.cat(found, 1).T.view_as(x))
print("each place's weights sum to 1:", torch.allclose(sum(looks).sum(1) / layer.heads, torch.ones(15, device=here), atol=1e-5))
print("the layer is the formula:", torch.allclose(layer(x, words[None]), out, atol=1e-3, rtol=1e-3))
print("the order of words is all one:", torch.allclose(layer(x, words[None].flip(1)), out, atol=1e-3, rtol=1e-3))

# %% [markdown]
# ## Latents against pixels, live
#
# Now the race: the two networks from above, from nothing, for **the same seconds** on this machine, as near as a short trial tells. The time that the encoding of the latents took is charged to the one that uses them. Both are drawn with
# guidance 3, and a third network, a classifier that is part of neither, reads the
# pictures: how many of the words does it find?

# %%
judge = zoo.load("classifier-shapes", device=here)
seen, unseen = every_prompt(unseen=False), every_prompt(unseen=True)


def spread(prompts, count):
    """`count` prompts from all over the list: 7 and its length have no common divisor, so none comes twice before all have."""
    return prompts[7 * torch.arange(count) % len(prompts)]


def train(denoiser, batches, steps, draw=None, warmup=20):
    """The averaged denoiser after `steps`, and the seconds of a step; it draws the watched prompts three times on its way."""
    ema, spent, mark = Ema(denoiser, 0.99), 0.0, None
    for step in fit(DiffusionTask(denoiser, lr=3e-3, drop=0.1), batches, steps, ema=ema, lr_schedule=warmup_cosine(steps, warmup)):
        spent += timeit.default_timer() - mark if mark else 0.0  # not the first: it sets up
        if draw and step.number in (steps // 4, steps // 2, steps):
            some = spread(seen, runtime.pick(ci=2, laptop=10, gpu=10))
            display(rows({f"step {step.number}": draw(ema.average, some)}, zoom=1))
        mark = timeit.default_timer()
    return ema.average, spent / max(1, steps - 1)


# %%
def draw_latents(denoiser, prompts, decoder=autoencoder):
    return LatentDiffusion(decoder, denoiser).sample(len(prompts), 1, labels=prompts, steps=10, guidance=3.0)


def draw_pixels(denoiser, prompts):
    return denoiser.sample(len(prompts), 1, labels=prompts, steps=10, guidance=3.0)


torch.manual_seed(0)
steps = runtime.pick(ci=8, laptop=600, gpu=4000)
in_latents, pace = train(latent_denoiser(), cached, steps, draw_latents)
race = {"latents": encoding + steps * pace}
print(f"latents: {steps} steps of {pace:.2f} s and the encoding: {race['latents']:.0f} s")

# %%
pixels = PromptBatches(cached.size, seen, device=here, wander=0.0)
_, trial = train(pixel_denoiser(), pixels, runtime.pick(ci=3, laptop=12, gpu=50))  # how long is a step?
steps = runtime.pick(ci=2, laptop=round(race['latents'] / trial), gpu=round(race['latents'] / trial))
torch.manual_seed(0)
in_pixels, pace = train(pixel_denoiser(), pixels, steps, draw_pixels)
race["pixels"] = steps * pace
print(f"pixels: {steps} steps of {pace:.2f} s: {race['pixels']:.0f} s")

# %%
wanted, sheets = seen[:: runtime.pick(ci=20, laptop=1, gpu=1)], {}
for name, draw_them, net in (("latents", draw_latents, in_latents), ("pixels", draw_pixels, in_pixels)):
    start = timeit.default_timer()
    images = draw_them(net, wanted).cpu()
    seconds = timeit.default_timer() - start
    right = words_right(judge, images, wanted).float()  # (N, 4)
    sheets[name] = images[::7][:10]
    each = ", ".join(f"{factor} {share:.2f}" for factor, share in zip(CHOICES, right.mean(0).tolist()))
    print(f"{name}: words right: {each}; all four {right.prod(1).mean():.2f}; {seconds / len(wanted):.3f} s to draw a picture")
rows(sheets, zoom=1.25)

# %% [markdown]
# By chance half of the sizes and turns would be right, a quarter of the shapes and a sixth of the colours. Colour and size come first: a blob has them, while shape and turn need an outline. (In a race this short the pixels hardly get
# beyond a few blobs. A share for the size well above one half need not mean that a shape of that size was drawn: where *large* was asked for there is a tint or a blob, and the judge takes it for large.) Read the numbers with three things in mind:
#
# * the race is short: both are far from where they would end, and in principle pixels can be drawn as well, given the time;
# * the autoencoder was there already. Its training took several times as long as either side of this race (its card tells, below); but it is done once, for any number of denoisers;
# * at 64 by 64 pixels latents save little beside what they save at 512 by 512. The count above is of this size, and shows what the decoder costs where there are few steps.

# %%
card = zoo.card("autoencoder-shapes")
spent = " and ".join(f"{seconds:.0f} s for the {name}" for name, seconds in race.items())
print(f"the autoencoder: {card['seconds']} s of training; this race: {spent}")

# %% [markdown]
# ## Never seen together
#
# Back to the network that ships. It was trained on 80 of the 96 prompts: no blue square, no red ellipse, no green triangle, no yellow cross. But it has seen blue things, and squares. Does it *compose*? For each guidance scale, the share of pictures in which the judge finds every word that was asked
# for. (The autoencoder and the judge have seen all 96, so only the denoiser is on trial.)

# %%
count, walk = runtime.pick(ci=(4, 3), laptop=(80, 10), gpu=(480, 20))  # pictures; steps of each
kinds = {"seen": seen, "never seen together": unseen}
scales = runtime.pick(ci=[1.0, 3.0], laptop=[1.0, 2.0, 3.0, 6.0], gpu=[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0])
found = {}
for kind, prompts in kinds.items():
    prompts = spread(prompts, count)
    drawn = [model.sample(count, seed=4, labels=prompts, steps=walk, guidance=s).cpu() for s in scales]
    found[kind] = torch.stack([words_right(judge, images, prompts).float() for images in drawn])  # (scales, count, 4)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True)
all_right = {kind: right.prod(2).mean(1).tolist() for kind, right in found.items()}
curves(scales, all_right, "guidance scale", "share right", "all four words", axes=left, marker="o")
by_word = dict(zip(CHOICES, found["never seen together"].mean(1).T.tolist()))
curves(scales, by_word, "guidance scale", "", "each word, of those never seen together", axes=right, marker="o")
left.set_ylim(0, 1.03)
plt.show()
for kind, line in all_right.items():
    print(f"{kind}: " + ", ".join(f"s = {s:g}: {share:.2f}" for s, share in zip(scales, line)))
share = torch.tensor(list(all_right.values()))  # (2, scales)
chance = (share * (1 - share) / count).sum(0).sqrt().max()  # the standard deviation of a difference of two shares
print(f"the gap by chance alone: {chance:.2f}; measured, the mean over the scales: {(share[0] - share[1]).mean():.2f}")

# %% [markdown]
# If a combination that was never shown had a price, it would be the gap between the two curves on the left. Compare it with what chance does, printed below them (one standard deviation, at one scale): a gap of less than twice that cannot be told from none, and with so few pictures none is found. The model's card, of 480 pictures of each kind, can tell more: without guidance there is a price, 0.81 against 0.87; at guidance 3 there is none. Some guidance helps; without it ($s=1$)
# fewer words are heard, and with too much of it as well (chapter 08).
# The curves on the right tell which word gives way first where one does: the shape, which takes the most drawing. Below is a row of pictures for each of the pairs; where one is wrong, look for what was drawn *instead*.

# %%
pairs = [f"a large {colour} {shape}, upright" for colour, shape in UNSEEN]
rows({text: model.sample(runtime.pick(ci=4, laptop=10, gpu=10), seed=6, labels=text, steps=fine, guidance=3.0) for text in pairs},
     zoom=1.25, label_width=230)  # fmt: skip

# %% [markdown]
# ## Who looks at which word?
#
# The weights $A_{ij}$ can be looked at: for each word a map of the places that look at it. We take a real picture, add noise up to $t$, let the network guess, and listen at its layers of cross-attention that have the most places, 8 by 8 (the map is the mean of theirs, over all heads). One noise gives a ragged map;
# we take the mean over several.


# %%
def attention(picture, prompt, t, noises=runtime.pick(ci=2, laptop=16, gpu=16)):
    """How much each place looks at each word, (W, side, side): the mean over noises and the layers with the most places."""
    heard = []
    hooks = [layer.register_forward_pre_hook(lambda layer, x: heard.append(layer.weights(*x).mean(0))) for layer in readers]
    z = autoencoder.to_latents(picture[None]).expand(noises, -1, -1, -1)
    eps = torch.randn(z.shape, generator=runtime.generator(5)).to(here)
    with torch.no_grad():
        model.denoiser(add_noise(cosine(), z, t, eps), t, prompt.to(here).expand(noises, -1))
    for hook in hooks:
        hook.remove()
    most = max(maps.shape[-1] for maps in heard)
    return torch.stack([maps for maps in heard if maps.shape[-1] == most]).mean(0)


# %%
texts = ["a large red square, rotated", "a small cyan ellipse, upright", "a large blue triangle, upright"]
examples = torch.stack([parse(text) for text in texts])
images = draw(factors_of(examples, 7, wander=0.0), 64).to(here)  # factors_of: exact sizes, hues and angles that fit the words
times = [0.7, 0.4]
maps = torch.stack([attention(picture, prompt, t) for t in times for picture, prompt in zip(images, examples)])  # (6, 4, s, s)
large = F.interpolate(maps, size=64)[:, :, None].expand(-1, -1, 3, -1, -1)
strip = {"picture": images.repeat(2, 1, 1, 1)} | {factor: 2 * large[:, i] - 1 for i, factor in enumerate(CHOICES)}
print("columns:", " · ".join(f"{text} (t = {t:g})" for t in times for text in texts))
print("black: nobody looks at the word; white: all look at nothing else")
rows(strip, zoom=1.25)

# %% [markdown]
# The pictures say where; a mean over many pictures says how much. For each word: the share of a place's attention that it gets inside the shape, and outside.

# %%
many = spread(seen, runtime.pick(ci=4, laptop=40, gpu=80))
drawings, shares = draw(factors_of(many, 8, wander=0.0), 64).to(here), []
for picture, prompt in zip(drawings, many):
    maps = attention(picture, prompt, 0.5)
    covered = ((picture + 1) / 2 - BACKGROUND).abs().amax(0) > 0.1  # (64, 64): is a pixel of the shape
    inside = F.interpolate(covered[None, None].float(), size=maps.shape[1:], mode="area")[0, 0]  # of each place, the part inside
    shares.append(torch.stack([(maps * part).sum((1, 2)) / part.sum() for part in (inside, 1 - inside)], dim=1))
for factor, (inside, outside) in zip(CHOICES, torch.stack(shares).mean(0).tolist()):
    print(f"{factor:7} inside {inside:.2f}, outside {outside:.2f}: more from {'inside' if inside > outside else 'outside'}")

# %% [markdown]
# If all words were heard alike everywhere, each number would be 0.25. Some words are looked at more from inside the shape, others from outside it, and the table says which. Since all shapes stand in the middle, this does not show that the
# network found them: it may as well have learned that the middle is where things are.
#
# Beware of a map that is bright where there is *nothing*. The weights of a place must sum to 1, so a place that needs no word has to look somewhere all the same, and it may have learned to pick a word whose value does no harm. Attention is a route, not an explanation: much of it may mean nothing,
# and a place that looks elsewhere may have heard the word in another layer, or from another place by self-attention.
#
# ## The sliders
#
# ### Words and guidance
#
# The same noises each time. Choose words, or *any* to leave one out; drag the **guidance**. Try the pairs that were never seen.

# %%
from v101_utils.widgets import ChannelView, PromptView, channel_sliders, prompt_sliders

prompt_sliders(PromptView(model, count=runtime.pick(ci=4, laptop=16, gpu=16), steps=runtime.pick(ci=3, laptop=15, gpu=20)))

# %% [markdown]
# The same knobs as strips: a word more in each row, and then more guidance.

# %%
said = ["", "square", "red square", "large red square", "large red square, rotated"]
strip = {text or "(no words)": model.sample(8, labels=text, steps=fine) for text in said}
strip |= {f"the last, guidance {s:g}": model.sample(8, labels=said[-1], steps=fine, guidance=s) for s in (3.0, 8.0)}
rows(strip, zoom=1.25, label_width=230)

# %% [markdown]
# Words alone are not always obeyed: among the upper rows there are shapes that are no good squares. Guidance 3 repairs most of them. Guidance 8 overdoes it: the sides bend inwards and the colour gets spots.
#
# ### Channels
#
# One picture's latent. Choose a **channel** and drag its **factor**: at 0 the channel is empty, below 0 turned around.

# %%
one = draw(factors_of(parse("a large red square, rotated")[None], 9), 64)
channel_sliders(ChannelView(autoencoder, one))

# %% [markdown]
# The same knob as strips:

# %%
factors, z = (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0), autoencoder.to_latents(one.to(here))
strip = {}
for factor in factors:
    turned = z.repeat(channels, 1, 1, 1)
    turned[range(channels), range(channels)] *= factor  # in the i-th copy, channel i
    strip[f"factor {factor:g}"] = autoencoder.to_images(turned)
print("columns: channels 0 to", channels - 1)
rows(strip, zoom=1.25)

# %% [markdown]
# In the row of factor 1 nothing is changed. Emptied, channel 0 takes the whole shape with it: it says *that* there is something. The colour is spread over several channels, and none is "the size": nothing in the loss asked for that
# (chapter 11 has β for it). Some channels can be emptied with hardly a change, and change the colour when they are turned around. The decoder makes something of each wrong mixture. That is what a diffusion model of latents has to learn: not the pictures, but which mixtures occur.
#
# ## Common mistakes
#
# ### Common mistake 1: the latents are not scaled
#
# An autoencoder whose measured deviation is wrong by a factor of ten gives latents that are ten times too large, and still makes the right pictures of them. The same network from nothing, on its latents and on the right ones; equally many steps.

# %%
from copy import deepcopy

unscaled = deepcopy(autoencoder)
unscaled.deviation /= 10
print(f"standard deviation of its latents: {unscaled.to_latents(pictures[:96]).std():.1f}; "
      f"PSNR of its copies: {psnr(pictures[:96].cpu(), unscaled.reconstruct(pictures[:96]).cpu()):.1f} dB")  # fmt: skip
large = Batches(10 * cached.tensors[0], cached.tensors[1], size=cached.size)

# %%
steps, strip = runtime.pick(ci=4, laptop=400, gpu=1500), {}
for name, batches, decoder in (("standard deviation 1", cached, autoencoder), ("standard deviation 10", large, unscaled)):
    torch.manual_seed(0)
    net, _ = train(latent_denoiser(), batches, steps)
    images = draw_latents(net, wanted, decoder)
    right = words_right(judge, images.cpu(), wanted).float().mean(0).tolist()
    strip[f"{name}\n{steps} steps"] = images[::7][:10]
    print(f"{name}: words right: " + ", ".join(f"{factor} {share:.2f}" for factor, share in zip(CHOICES, right)))
rows(strip, zoom=1.25, label_width=190)

# %% [markdown]
# Colour and size are learned all the same: any blob has them. Shape and turn are not: they are right about as often as by chance (a quarter and a half), where with latents of the right scale three quarters and more are right; and the edges of the blobs are ragged. (The losses at the ends of the bars cannot be compared: they are squared errors, and latents ten times as
# large would make equal errors in proportion a hundred times as large. That they are less than that is no merit: at most times there is hardly any noise on such latents, and the guess is easy.) Nor is it the schedule alone that has changed:
# the network's input and what it should answer are ten times as large too.
#
# ### Common mistakes 2 and 3: treated as images; not scaled back
#
# Two lines that are right for pixels and wrong here. Denoisers of images clip their guesses to $[-1,1]$ at each step (chapter 08); latents do not stop there, least of all where the shape is. And latents that were scaled for the diffusion have to be scaled back for the decoder: `to_images` does,
# `decode` alone does not. Nothing crashes.
#
# How bad the second is depends on how far the deviations are from 1, and here the furthest is off by a factor of nearly three: many of its pictures pass at a glance. The judge misreads most of them all the same: it has seen only clean drawings, and stumbles over flaws that we hardly see. So its share says that the pictures are off, not that the words were unheard. The PSNR of copies says by how much.

# %%
prompts = spread(seen, runtime.pick(ci=4, laptop=40, gpu=80)).to(here)
start = torch.randn(len(prompts), *autoencoder.latent_shape, generator=runtime.generator(10)).to(here)
print(f"latents beyond ±1: {(latents.abs() > 1).float().mean():.0%} of all numbers")
guided = Guided(model.denoiser, 3.0)
right, clipped = (sample(net, start, dpm(), walk, labels=prompts) for net in (guided, Clipped(guided)))
with torch.no_grad():
    tries = {"right": autoencoder.to_images(right), "clipped to ±1": autoencoder.to_images(clipped),
             "not scaled back": autoencoder.decode(right).clamp(-1, 1)}  # fmt: skip
for name, images in tries.items():
    share = words_right(judge, images.cpu(), prompts.cpu()).all(1).float().mean()
    print(f"{name:16} all words right in {share:.2f} of {len(prompts)} pictures")
with torch.no_grad():
    unscaled_copies = autoencoder.decode(latents[:96]).clamp(-1, 1)
for name, images in {"scaled back": autoencoder.to_images(latents[:96]), "not scaled back": unscaled_copies}.items():
    print(f"copies of real pictures, {name}: PSNR {psnr(pictures[:96].cpu(), images.cpu()):.1f} dB")
rows({name: images[:10] for name, images in tries.items()}, zoom=1.25, label_width=140)

# %% [markdown]
# This project's `Denoiser` has a word for it, `bounded`; and `LatentDiffusion` refuses a denoiser of latents that is bounded, or that draws latents of another shape than its autoencoder's.
#
# ## Exercises
#
# Write your line where the dots are; run the cell; it says right or not yet. Solutions stand at the very end, folded away in JupyterLab.
#
# **Exercise 1.** Pictures of `side` by `side` pixels and three channels become latents `down` times smaller on each side, with `channels` channels. How many times fewer numbers are that? (For which number of channels is it no saving at all?)

# %%
from v101_utils.exercises import check


def fewer(side, down, channels):  # three numbers -> a number
    ...


shape = torch.tensor(512.0), torch.tensor(8.0), torch.tensor(4.0)
check(fewer, *shape)


# %% [markdown]
# **Exercise 2.** Scale latents to mean 0 and standard deviation 1 in each channel: over all pictures and places, not for each picture alone. (Why not? What would a decoder not know any more?)

# %%
def scaled(z):  # (B, C, s, s) -> (B, C, s, s)
    ...


z = 3 * torch.randn(6, 4, 5, 5, generator=runtime.generator(20)) + torch.arange(4.0)[:, None, None]
check(scaled, z)


# %% [markdown]
# **Exercise 3.** One head of cross-attention: what each place takes in, from its query and the keys and values of the words.

# %%
def attend(q, k, v):  # (P, d), (W, d), (W, d) -> (P, d)
    ...


qkv = [torch.randn(n, 8, generator=runtime.generator(21, n)) for n in (6, 4)]
qkv.append(torch.randn(4, 8, generator=runtime.generator(22)))
check(attend, *qkv)

# %% [markdown]
# ## Summary
#
# * Latent diffusion draws in the latents of an autoencoder: from 512×512×3 to 64×64×4 there are 64 times fewer places and 48 times fewer numbers. The decoder is called once, the denoiser at every step.
# * The autoencoder is a VAE from whose prior nobody draws; the diffusion model takes the prior's place. What the autoencoder loses is lost for good.
# * Scale the latents to variance 1, for which the schedule was made; scale back before decoding; never clip them.
# * A prompt is a list of vectors. In cross-attention each place asks and the words answer: a softmax over words for every place.
# * Whether words combine in a new way has to be measured, on combinations that were held out, with a judge that is no part of the model.
#
# ## References
#
# * Rombach, Blattmann, Lorenz, Esser, Ommer. *High-Resolution Image Synthesis with Latent Diffusion Models.* CVPR 2022.
# * Kingma, Welling. *Auto-Encoding Variational Bayes.* arXiv 2013; ICLR 2014.
# * Ho, Salimans. *Classifier-Free Diffusion Guidance.* NeurIPS 2021 workshop; arXiv 2022.
# * Vaswani et al. *Attention Is All You Need.* NeurIPS 2017.
#
# ## Solutions

# %% jupyter={"source_hidden": true} tags=["solution"]
# NBVAL_CHECK_OUTPUT
def fewer(side, down, channels):
    return 3 * side**2 / (channels * (side / down) ** 2)


def scaled(z):
    deviation, mean = torch.std_mean(z, dim=(0, 2, 3), keepdim=True)
    return (z - mean) / deviation


def attend(q, k, v):
    return (q @ k.T / math.sqrt(q.shape[1])).softmax(1) @ v


check(fewer, *shape)
check(scaled, z)
check(attend, *qkv)
