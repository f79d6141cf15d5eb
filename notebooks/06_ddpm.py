# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 · Denoising diffusion (DDPM)
#
# Bury pictures in noise a little at a time, teach a network to take a little off again, and watch clothes come out of
# pure static.
#
# <!-- Colab badge: stamped once the repository's address is set -->
#
# This chapter builds on nothing but PyTorch. Chapters 07 (fewer steps), 08 (guidance), 09 (latents) and 10 (scores) build on it. How long it takes stands in
# the README's table.

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
from torch.distributions import Normal, kl_divergence

from v101_utils import runtime, zoo
from v101_utils.data import Batches, fashion_mnist, to_unit
from v101_utils.view import curves, grid, rows, running_mean, source, use_style

runtime.set_up(seed=0)
use_style()

# %% [markdown]
# ## The picture first
#
# The network below ships with this project. It was trained on Fashion-MNIST, 28×28 grey pictures of ten kinds of clothes. It never saw the
# pictures you see here: what went in is noise, and a label for what it should become, one kind in each column.

# %%
model, card = zoo.load("ddpm-fashion"), zoo.card("ddpm-fashion")
print(card["steps"], "training steps,", card["seconds"], "seconds on", card["machine"], "on", card["date"], "seed", card["seed"])
grid(model.sample(50, seed=1), columns=10)

# %% [markdown]
# And this is how such pictures come to be, here by this chapter's own rule. From left to right, from pure noise to a picture. Nothing
# comes in from outside along the way but the label and more noise. (The grid above was drawn by a faster rule, of chapter 07, which
# `sample` follows unless it is told another.) Above each column stands after how many of 100 steps.

# %%
from v101_utils.diffusion import ancestral, trajectory

labels = torch.tensor([9, 8, 3, 1, 0])  # an ankle boot, a bag, a dress, a trouser, a T-shirt
noise = torch.randn(5, 1, 28, 28, generator=runtime.generator(3))
walk = list(trajectory(model, noise, ancestral(), 100, labels=labels, generator=runtime.generator(4)))
seen = [walk[i] for i in (0, 20, 40, 50, 60, 70, 75, 80, 85, 90, 95, 99)]
names = [f"{100 * (1 - state.t):.0f}" for state in seen]  # of the steps done
grid(torch.stack([state.x for state in seen], 1).flatten(0, 1), columns=len(seen), heads=names)

# %% [markdown]
# ## The idea
#
# To draw a picture from nothing in one stroke is hard. To make a *slightly* noisy picture slightly better is easy: it is what any
# denoiser does. So build a staircase of noise levels between pictures and pure noise, and learn to go up one step at a time.
#
# ### Down the stairs: a first try
#
# The obvious way to destroy a picture is to add a little noise, again and again: $x_i = x_{i-1} + \sqrt{\beta_i}\,\varepsilon_i$ for $i=1,\dots,1000$, where $x_0$ is the picture, $\varepsilon_i$ fresh standard normal noise, and $\beta_i$, a small number that we choose, the variance of what step $i$ adds (Ho et al. let it grow from 0.0001 to 0.02). It can be made to work, but
# the picture itself never gets smaller: it has to be drowned, in ever larger numbers, and where one ends depends on how much noise was enough. So **shrink the picture a little each time you add noise**,
# by just enough to keep the variance at one (Sohl-Dickstein et al. 2015; Ho et al. 2020):
#
# $$x_i = \sqrt{1-\beta_i}\;x_{i-1} + \sqrt{\beta_i}\;\varepsilon_i, \qquad \varepsilon_i\sim\mathcal N(0, I).$$
#
# If $x_{i-1}$ has variance 1, so has $x_i$: $(1-\beta_i)+\beta_i=1$. (Pixels here lie in $[-1,1]$ and vary less; then the variance moves towards 1 and never beyond.) After enough steps almost nothing of the picture is left, and what remains is as good as $\mathcal N(0, I)$,
# which we know how to sample. There is nothing to learn in this direction.
#
# ### All steps in one jump
#
# A sum of independent normal numbers is normal, and variances add. Write $\bar\alpha_i=\prod_{j\le i}(1-\beta_j)$, with $\bar\alpha_0=1$. If $x_{i-1}$ holds noise of variance $1-\bar\alpha_{i-1}$, then $x_i$ holds $(1-\beta_i)(1-\bar\alpha_{i-1})+\beta_i=1-\bar\alpha_i$; and the picture's factor is $\sqrt{\bar\alpha_i}$. So a thousand steps are one:
#
# $$x_i = \sqrt{\bar\alpha_i}\;x_0 + \sqrt{1-\bar\alpha_i}\;\varepsilon .$$
#
# That is what makes training cheap: any noise level of any picture, at once. We write it $x_t=\alpha_t x_0+\sigma_t\varepsilon$ with a time $t=i/1000$ from 0
# (picture) to 1 (noise), so $\alpha_t^2=\bar\alpha_t$ and $\sigma_t^2=1-\bar\alpha_t$. (Mind the letters: what Ho et al. call $\alpha_t$ is $1-\beta_t$; ours is the root of their $\bar\alpha_t$.)
#
# ### Check: a thousand steps against the formula
#
# Twenty thousand copies of one pixel of value 0.8 go down the stairs. Beside them, the first try, which forgets to shrink.

# %%
# NBVAL_CHECK_OUTPUT
from v101_utils.diffusion import cosine, linear

betas, schedule = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), linear()
draw = runtime.generator(0)
x = naive = torch.full((20_000,), 0.8, dtype=torch.float64)
for i, beta in enumerate(betas, 1):
    eps = torch.randn(20_000, generator=draw, dtype=torch.float64)
    x, naive = (1 - beta).sqrt() * x + beta.sqrt() * eps, naive + beta.sqrt() * eps
    if i in (100, 300, 1000):
        print(f"step {i:4}   simulated: mean {x.mean().item():.2f}, std {x.std().item():.2f}   "
              f"formula: {0.8 * schedule.alpha(i / 1000).item():.2f}, {schedule.sigma(i / 1000).item():.2f}   "
              f"without shrinking: std {naive.std().item():.1f}")

# %% [markdown]
# Simulated and by formula they agree. And without shrinking the noise is, after all thousand steps, only four times the pixel, which is still 0.8: that is not yet pure noise. With shrinking less than a hundredth of the pixel is left (0.0064 of it, which makes 0.005, printed as 0.01), in noise of standard deviation 1.
#
# ### How fast? The schedule
#
# How $\bar\alpha$ falls is a choice. The original one lets β grow **linearly**; Nichol and Dhariwal (2021) found that this destroys small pictures too
# soon, and made $\bar\alpha$ follow a squared **cosine**. Look at the two strips, of the same noise, at $t=0$, 0.1, ..., 1:
# with the linear schedule the right half is all the same; with the cosine something of the boot is left for longer.

# %%
from v101_utils.diffusion import add_noise

test, train = fashion_mnist("test", source="shipped"), fashion_mnist("train", source="shipped", device=runtime.device())
times, boot = torch.linspace(0, 1, 11), test.images[test.labels == 9][:1]
eps = torch.randn(1, 1, 28, 28, generator=runtime.generator(5)).expand(11, -1, -1, -1)
strips = {s.name: add_noise(s, boot.expand(11, -1, -1, -1), times, eps) for s in (linear(), cosine())}
rows(strips, columns=11, heads=[f"t = {time:.1f}" for time in times.tolist()])

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8))
t = torch.linspace(0.001, 0.999, 300)
curves(t, {s.name: s.alpha_bar(t) for s in (linear(), cosine())}, "t", "ᾱ", "what is left of the picture's variance", left)
curves(t, {s.name: s.log_snr(t) for s in (linear(), cosine())}, "t", "log(α² / σ²)", "log signal-to-noise ratio", right)
plt.show()

# %% [markdown]
# The right-hand curve, of the ratio's logarithm, is the better way to look at a schedule. The signal-to-noise ratio describes a noise level completely: two schedules that pass the same ratio pose the network the same task there, up to a factor in front of $x_t$. A schedule only says how much time
# is spent at each level: much where the curve is flat, little where it is steep.
#
# ## Up the stairs
#
# Call $q$ the distribution of pictures and of what the stairs make of them. Up the stairs the time goes down, from 1 to 0; a move from $t$ to a smaller $s$ is a stride. We want $q(x_s\mid x_t)$, the true way back. It depends on all pictures there could be, so it is unknown. But suppose that somebody told us the picture
# $x_0$. Then Bayes' rule gives it exactly, since all parts are normal (Ho et al. 2020, eq. 7). A stride of noise, from $s$ to $t$, is again shrinking and noise: $x_t=\alpha x_s+\sqrt\beta\,\varepsilon$, with the stride's own $\alpha=\alpha_t/\alpha_s$ and $\beta=1-\alpha^2$ (letters without an index are the stride's; for one step of a thousand $\beta$ is $\beta_i$). With these:
#
# $$q(x_s\mid x_t, x_0)=\mathcal N\!\left(\frac{\alpha_s\beta\,x_0+\alpha\,\sigma_s^2\,x_t}{\sigma_t^2},\;\; \beta\,\frac{\sigma_s^2}{\sigma_t^2} I\right).$$
#
# It reads: go some way from $x_t$ towards the picture, then add a little fresh noise. And the network's whole job is to be the one who tells us $x_0$: our own step, $p(x_s\mid x_t)$, is *chosen* to be this same normal, with the network's guess $\hat x_0(x_t)$ in place of $x_0$.
# May a guess stand there? Its mean comes out right if $\hat x_0$ is the mean of all pictures that $x_t$ may hide, because the formula is linear in $x_0$. Its shape does not: the true $q(x_s\mid x_t)$ is a mixture over all those pictures. But the smaller the stride, the nearer is that mixture to a single normal (Sohl-Dickstein et al. 2015), and this is why it takes many steps.
#
# ### Check: the step against Bayes' rule
#
# Below, the package's own sampling rule takes one step with a "denoiser" that knows the answer, $x_0=0.8$. Given no noise it returns the mean; given noise of 1,
# mean plus standard deviation. (A *rule* is a function of a denoiser, of the state, which is $x_t$ with its time, of the next time $s$, and of a function that gives noise; it returns the next state. A denoiser returns a `Prediction`: its guess of the picture, and the noise that this implies. The rule's code is shown under "Ancestral sampling".) On the other side, Bayes' rule on a grid of a hundred thousand points.

# %%
# NBVAL_CHECK_OUTPUT
from v101_utils.diffusion import Prediction, State


class Told:
    """A denoiser that has been told the picture."""

    schedule = linear()

    def __call__(self, x, t):
        x0 = torch.full_like(x, 0.8)
        return Prediction(x0, (x - self.schedule.alpha(t) * x0) / self.schedule.sigma(t))


t, s, told = 0.5, 0.45, Told()
state = State(torch.tensor([[0.3]], dtype=torch.float64), t)
mean, above = (ancestral()(told, state, s, lambda: torch.tensor([[z]], dtype=torch.float64)).x.item() for z in (0.0, 1.0))
grid_x = torch.linspace(-6, 6, 100_001, dtype=torch.float64)
a = told.schedule.alpha(t) / told.schedule.alpha(s)
log_p = Normal(a * grid_x, (1 - a**2).sqrt()).log_prob(state.x[0]) + Normal(
    told.schedule.alpha(s) * 0.8, told.schedule.sigma(s)).log_prob(grid_x)
weights = log_p.softmax(0)
exact = (weights * grid_x).sum().item()
print(f"rule : mean {mean:.4f}, std {above - mean:.4f}")
print(f"Bayes: mean {exact:.4f}, std {(weights * (grid_x - exact) ** 2).sum().sqrt().item():.4f}")

# %% [markdown]
# ### Why not in one jump?
#
# Because the best guess of the picture is an *average*. A network trained on squared error learns $\mathbb E[x_0\mid x_t]$, the mean of all pictures that could hide
# behind this noise. When the noise is weak there is hardly any doubt; when it is total the best guess is the average of the whole data set. In each pair of rows below, the upper one is the picture, then the same picture at $t$ = 1, 0.95, 0.9, 0.8, 0.7, 0.6, 0.4, 0.2; the lower one begins, under the picture and without a head, with the average of the training set, which is no guess; then come the guesses. Compare the first two of a lower row:
# the average, and what the network guesses behind pure noise. (It is not told the kind here.)

# %%
levels = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.4, 0.2)
subjects = torch.stack([test.images[test.labels == c][i] for c, i in ((0, 2), (7, 1), (8, 1))])
eps = torch.randn(1, 1, 28, 28, generator=runtime.generator(6)).expand(3, -1, -1, -1)
average = train.images.mean(0, keepdim=True).cpu()
with torch.no_grad():
    noisy = [add_noise(cosine(), subjects, level, eps) for level in levels]
    guesses = [model(x, level).x0 for x, level in zip(noisy, levels)]
strips = {}
for i, name in enumerate(("T-shirt", "sneaker", "bag")):
    strips[f"{name}, noisy"] = torch.cat([subjects[i : i + 1], *(x[i : i + 1] for x in noisy)])
    strips["its guess"] = torch.cat([average, *(x[i : i + 1] for x in guesses)])
    display(rows(strips, columns=9, heads=["", *(f"t = {level:g}" for level in levels)]))
    strips = {}

# %% [markdown]
# From the right to the left the
# guess loses first the print, then the cut, then the kind. A sampler goes the other way: it takes a small step towards the blurred average and looks again, and what has come out of the noise by then rules some pictures out: there is less doubt.
#
# ## What to learn: from a bound to a squared error
#
# DDPM's loss comes, like that of the VAE of chapter 11 (which you need not have read), from an upper bound on $-\log p(x_0)$, where $p(x_0)$ is the density with which the whole staircase of steps $p(x_s\mid x_t)$, begun in noise, draws the picture $x_0$. The bound has one term for each step: the mean, over the noise in $x_t$, of how far the learned step
# $p(x_s\mid x_t)$ is from the one that knows $x_0$, measured by the Kullback-Leibler divergence, $\mathrm{KL}(q\,\|\,p)=\mathbb E_q[\log q-\log p]$, which is 0 only where the two are the same. (The last step, to $s=0$, has no
# variance and is treated apart; and in one term more, for the start at $t=1$, there is nothing to learn.) Both are normal, and we gave $p$ the variance of $q$. For two normals of the same variance $\varsigma^2$ the KL is $\lVert\mu_q-\mu_p\rVert^2/2\varsigma^2$; here the means differ by $\frac{\alpha_s\beta}{\sigma_t^2}(x_0-\hat x_0)$, and $\varsigma^2=\beta\sigma_s^2/\sigma_t^2$. Put in, with $\alpha_s^2\beta=\alpha_s^2-\alpha_t^2$, each term is the mean over $x_t$ of
#
# $$L_t = \mathrm{KL}\big(q(x_s\mid x_t,x_0)\,\|\,p(x_s\mid x_t)\big) = w_t\,\lVert x_0-\hat x_0\rVert^2 = w_t\,\frac{\sigma_t^2}{\alpha_t^2}\,\lVert\varepsilon-\hat\varepsilon\rVert^2,
# \qquad w_t=\tfrac12\left(\frac{\alpha_s^2}{\sigma_s^2}-\frac{\alpha_t^2}{\sigma_t^2}\right).$$
#
# Here $\hat\varepsilon$ is the noise that the guess $\hat x_0$ implies. The weight is half the signal-to-noise ratio that the step gains (Kingma et al. 2021).
#
# ### Check: the KL against `torch.distributions`

# %%
# NBVAL_CHECK_OUTPUT
def posterior(x0, x_t, t, s, schedule):
    """q(x_s | x_t, x_0), as above."""
    a_t, a_s, sigma_t, sigma_s = (f(u) for f in (schedule.alpha, schedule.sigma) for u in (t, s))
    a, beta = a_t / a_s, 1 - (a_t / a_s) ** 2
    return Normal((a_s * beta * x0 + a * sigma_s**2 * x_t) / sigma_t**2, beta.sqrt() * sigma_s / sigma_t)


x_t, truth, guess, chosen = torch.tensor(0.3).double(), torch.tensor(0.8).double(), torch.tensor(0.5).double(), cosine()
snr = lambda u: chosen.log_snr(u).exp()
for t, s in ((0.9, 0.88), (0.5, 0.48), (0.1, 0.08)):
    kl = kl_divergence(posterior(truth, x_t, t, s, chosen), posterior(guess, x_t, t, s, chosen)).item()
    eps, eps_hat = ((x_t - chosen.alpha(t) * x0) / chosen.sigma(t) for x0 in (truth, guess))
    w = 0.5 * (snr(s) - snr(t))
    print(f"t = {t}: KL {kl:.5f}   by x0 {(w * (truth - guess) ** 2).item():.5f}   by eps {(w / snr(t) * (eps - eps_hat) ** 2).item():.5f}")

# %% [markdown]
# ### Three things to predict, one network
#
# From $x_t$ and any one of these, the others follow: the image $x_0$, the noise $\varepsilon$, or their rotation $v=\alpha_t\varepsilon-\sigma_t x_0$ (Salimans and Ho 2022). So what
# does it matter which one the network gives? Two things. **The weight**: a plain squared error on each is a *different* weighting of the same error of the picture.
# **The scale**: at $t=1$ the noise is plain to see and says nothing about the picture; to get $\hat x_0$ from $\hat\varepsilon$ one divides by $\alpha_t\approx 0$ there.
#
# ### Check: one error, three weights
#
# $$\lVert\varepsilon-\hat\varepsilon\rVert^2=\frac{\alpha_t^2}{\sigma_t^2}\lVert x_0-\hat x_0\rVert^2,\qquad \lVert v-\hat v\rVert^2=\left(\frac{\alpha_t^2}{\sigma_t^2}+1\right)\lVert x_0-\hat x_0\rVert^2 .$$

# %%
# NBVAL_CHECK_OUTPUT
from v101_utils.diffusion.denoiser import both, target

x0, x0_hat, eps = (torch.randn(4, 1, 8, 8, generator=runtime.generator(i), dtype=torch.float64) for i in (1, 2, 3))
for t in (0.9, 0.5, 0.1):
    a, sigma = chosen.alpha(t), chosen.sigma(t)
    x_t = a * x0 + sigma * eps
    hat = both("x0", x0_hat, x_t, a, sigma)  # what the guess of the picture says about the noise
    errors = [(target(word, x0, eps, a, sigma) - target(word, hat.x0, hat.eps, a, sigma)).square().mean() for word in ("x0", "eps", "v")]
    print(f"t = {t}: eps / x0 {(errors[1] / errors[0]).item():.4f} = {snr(t).item():.4f}   v / x0 {(errors[2] / errors[0]).item():.4f} = {snr(t).item() + 1:.4f}")

# %% [markdown]
# Ho et al. dropped the weight $w_t\sigma_t^2/\alpha_t^2$ altogether: $L_\text{simple}=\mathbb E\lVert\varepsilon-\hat\varepsilon\rVert^2$. It is no longer the bound. With their schedule that weight is about a hundred times larger at the first, nearly clean levels than in the middle; so *compared with the bound* the network spends less effort on the last invisible grains of noise, and more on the harder levels. The network that ships predicts $v$. The guess of the picture is then $\hat x_0=\alpha_t x_t-\sigma_t\hat v$ (put $x_t$ and $v$ in and see): nothing is divided by, so it is well scaled at both ends. (The noise from $v$ is exercise 3.)
#
# ## The code that matters
#
# One training step: draw a time and a noise for each picture, jump there, ask the network, take the squared error. (The times are *stratified*, one in each of
# $B$ equal parts of $[0, 1]$, so that every batch sees all noise levels and the loss jumps about less. `target` is what the network should have answered, ε, $x_0$ or $v$, as `predicts` says; `drop_labels` is chapter 08's, and
# does nothing where there are no labels; `minimise` is the loop's: gradients, and one step of the optimiser.)

# %%
from v101_utils.diffusion import Denoiser, DiffusionTask
from v101_utils.nn import ResidualBlock, SelfAttention, UNet, sinusoidal_embedding

source(DiffusionTask.training_step)

# %% [markdown]
# ### The network
#
# A picture goes in, a picture of the same size comes out: a **U-Net**. On the way down it halves the resolution, so that each position sees more
# of the picture; on the way up it doubles it again and looks, at each resolution, at what it had seen there on the way down (the
# *skips*). `condition` is
# the time, and the label if there is one; `words` stays empty until chapter 09. Downwards each level puts its results on the list `skips`; upwards it takes the last one off and sets it beside `x` as further channels (the middle has none to take). Below the code, the shapes along the way: that they begin
# at 14×14, not at 28×28, is explained under "Where the time goes".

# %%
source(UNet.forward)

# %%
network = UNet(widths=(32, 64))
for name, part in network.named_modules():
    if name in ("first", "down.0", "downsample.0", "down.1", "middle", "up.1", "upsample.0", "up.0", "last"):
        part.register_forward_hook(lambda module, inputs, output, name=name: print(f"{name:13} {tuple(output.shape)}"))
with torch.no_grad():
    network(torch.zeros(1, 1, 28, 28), torch.zeros(1))

# %% [markdown]
# Its building block: normalise (over groups of channels), SiLU ($x\cdot\mathrm{sigmoid}(x)$), convolve; all that twice; and add the input. The time enters as a scale and a shift after the second normalisation. The last convolution starts at zero, so the block starts as the identity (or, where the number of channels changes, as a 1×1 convolution).

# %%
source(ResidualBlock.forward)

# %% [markdown]
# At the lowest resolution each of the 49 positions may look at every other: **self-attention**. Each makes three vectors: a *query*, what it looks for; a *key*, what it offers; and a *value*, what it has to tell. The products of its query with all keys, divided by the root of the vectors' length and put through a softmax, are the weights of its sum of all values. It is split into heads, each of which
# compares the positions by its own share of the channels.

# %%
source(SelfAttention.forward)

# %% [markdown]
# And the time, a single number, becomes a vector of sines and cosines of many frequencies, so that a linear layer can tell near times as
# well as far ones apart. (Why $t$ is multiplied by 1000: common mistake 4. The fastest, at the top of each half, go through more than a hundred periods here; 300 columns cannot show that, and the net-like patterns there come from the drawing.)

# %%
with torch.no_grad():
    vectors = sinusoidal_embedding(1000 * torch.linspace(0, 1, 300), 64)
figure, axes = plt.subplots(figsize=(7, 2.4))
axes.imshow(vectors.T, aspect="auto", extent=(0, 1, 64, 0), cmap="coolwarm")
axes.set(xlabel="t", ylabel="component", title="the time as a vector: cosines above, sines below (red 1, grey 0, blue −1)")
axes.grid(False)
plt.show()

# %% [markdown]
# ### Where the time goes
#
# At full resolution a convolution costs most and adds least. So before the first one, each square of 2×2 pixels is folded into four channels
# ("pixel unshuffle"): nothing is lost, and only a quarter of the positions remain. Count the multiplications of one picture, with and without:

# %%
# NBVAL_CHECK_OUTPUT
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

for fold in (1, 2):  # attention as plain matrix products: not every version of torch counts its fused kernels
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        UNet(widths=(32, 64), fold=fold)(torch.zeros(1, 1, 28, 28), torch.zeros(1))
    print(f"fold {fold}: {counter.get_total_flops() / 2e6:.0f} million multiplications")

# %% [markdown]
# ## Training, live
#
# Now a smaller network, from nothing, without any labels, on the 18,000 pictures that come with the package. Along with it goes an **exponential moving average** (EMA) of its weights: a copy that
# trails behind the network and never trains. After each step it moves a small part of the way to the network; the decay, the part that it keeps, rises towards 0.999 (0.92 after a hundred steps, 0.99 after a thousand). At four steps along the way the same noises are turned into pictures, in 20 steps of the
# faster rule, by the network itself (above) and by the average (below).

# %%
from v101_utils.training import Ema, fit, warmup_cosine


def train_small(schedule, steps, look=()):
    """A small denoiser and its average, trained for `steps`; at the steps in `look` both draw and are kept."""
    torch.manual_seed(0)
    denoiser = Denoiser(UNet(widths=(32, 64)), schedule)
    ema, losses, kept = Ema(denoiser, 0.999), [], {}
    batches = Batches(train.images, size=64)
    for step in fit(DiffusionTask(denoiser), batches, steps, ema=ema, lr_schedule=warmup_cosine(steps)):
        losses.append(step.scalars["loss"])
        if step.number in look:
            pair = {"network": denoiser, "average": ema.average}
            kept[step.number] = {name: drawn.sample(frechet_count, steps=20) for name, drawn in pair.items()}
            display(rows({f"step {step.number}\n{name}": x[:12] for name, x in kept[step.number].items()}, columns=12))
    return ema.average, losses, kept


frechet_count = runtime.pick(ci=12, laptop=500, gpu=2000)
steps = runtime.pick(ci=12, laptop=1300, gpu=6000)
small, losses, kept = train_small(cosine(), steps, look=(steps // 12, steps // 4, steps // 2, steps))

# %%
curves(range(steps), {"": running_mean(losses)}, "step", "squared error of v", "loss, mean of 20 steps")
plt.show()

# %% [markdown]
# The loss falls fast and then slowly, by a fifth from step 325 to the last, while the pictures go on getting better: **the loss of a diffusion model is a poor judge of its pictures**. Much
# of it is doubt that no network can remove: even the large one, told the label, keeps a good part (the curve of $v$ under *What each noise level teaches*). And which draws better, the network or its average? Let us put numbers to that, by the Fréchet
# distance: a classifier of this data turns real and drawn pictures into feature vectors, a normal distribution is fitted to each of the
# two sets, and the distance is how far the two distributions are apart, in their means and in their covariances. (Lower is better; it
# falls with the number of pictures, so compare only like numbers; and it is not comparable with the FID of papers.)

# %%
frechet = zoo.recipes.fashion_frechet(runtime.pick(ci=200, laptop=18_000, gpu=18_000))
distance = {n: {name: frechet(to_unit(x)) for name, x in pair.items()} for n, pair in kept.items()}
for n, pair in distance.items():
    print(f"step {n:5}   " + "   ".join(f"{name} {value:7.1f}" for name, value in pair.items()))
real = frechet(to_unit(test.images[:frechet_count]))
print(f"{frechet_count} real test pictures: {real:.1f}")

# %% [markdown]
# At the first look the average trails some ten steps behind a network that still gains with every one; the two are about equal. Then see where it is ahead: in the middle, while the learning rate is high. Each step throws the weights about, and the average takes the jitter out. Towards the end the learning rate goes down (`warmup_cosine`: up for a hundred steps, then down to zero along half a cosine; it has nothing to do with the noise's), the jitter dies down with it, and the two draw
# about equally well (a few percent are within the chance of so few samples). The last line is the floor: real pictures are that far from the training pictures themselves. So an average matters most where the learning rate stays up, and it costs next to nothing.
#
# ### Two schedules, the same training
#
# The same network, seed, data and steps, with the linear schedule instead.

# %%
other, _, _ = train_small(linear(), steps)
pair = {"cosine": small.sample(frechet_count, steps=20), "linear": other.sample(frechet_count, steps=20)}
for name, x in pair.items():
    print(f"{name}: Fréchet distance {frechet(to_unit(x)):.1f}, {frechet_count} samples at 20 steps")
rows({name: x[:24] for name, x in pair.items()}, columns=12)

# %% [markdown]
# The cosine comes out a little better here. The strips show nearly the same clothes, since both start from the same noises and the faster rule adds no more: a few pictures would not tell. (Nor do the losses at the ends of the two bars: each is a mean over its own schedule's noise levels, and the linear one has many more times at which next to nothing of the picture is left, where much of the error cannot be avoided.) The steps of the sampler are evenly spaced in $t$, so the schedule decides where they go as well as what the network practises: the
# comparison is of both at once. And it is of one short training each: a hint that the cosine suits small pictures, no proof.
#
# ### What each noise level teaches
#
# Back to the large network, now told the right label, and test pictures. For each $t$: the squared error of its guess of the picture, of
# the noise, and of $v$. All three are the same guess.

# %%
few = runtime.pick(ci=20, laptop=400, gpu=1000)
images, labels = test.images[:few], test.labels[:few]
eps = torch.randn(images.shape, generator=runtime.generator(7))
times, errors = torch.linspace(0.02, 0.98, runtime.pick(ci=7, laptop=25, gpu=49)), {"x0": [], "eps": [], "v": []}
for t in times:
    a, sigma = cosine().alpha(t), cosine().sigma(t)
    with torch.no_grad():
        seen = model(a * images + sigma * eps, t, labels)
    for word, found in errors.items():
        wanted, given = (target(word, *pair, a, sigma) for pair in ((images, eps), seen))
        found.append((wanted - given).square().mean())
curves(times, {{"x0": "the picture", "eps": "the noise", "v": "v"}[k]: e for k, e in errors.items()}, "t", "squared error", "test pictures", log="y")
plt.show()

# %% [markdown]
# Predicting the noise is easy where there is much of it, and predicting the picture where there is little; $v$ is never trivial, and hardest at the two ends. (The kind is told here. Where it is not, it is decided first and the details after: that was in the strips of "Why not in one jump?".)
#
# ## The slider
#
# One picture of each of eight kinds. Drag **t**: how much noise, what the network guesses behind it (it is not told the kind), and how
# wrong it is, in pixels from 0 to 1: a quarter of the squared error of pixels from −1 to 1. (The curve is the mean over these eight and many more, so the number of the eight lies near it and not on it.) Find where the *kind* is still certain but
# the print is gone.

# %%
from v101_utils.widgets import NoiseView, noise_slider

shown = torch.cat([test.images[test.labels == c][:1] for c in range(8)])
noise_view = NoiseView(model, torch.cat([shown, test.images[:few]]))
noise_slider(noise_view)

# %% [markdown]
# The same view at $t$ = 0.25, 0.6 and 0.9:

# %%
for t in (0.25, 0.6, 0.9):
    display(noise_view.render(t))

# %% [markdown]
# ## Ancestral sampling
#
# The rule that walks up the stairs, from the package. It is the step that we checked above, with the network's guess in place of the truth. Below it the loop that calls it: begin with pure noise at $t=1$, and let the rule take $x$ from each time to the next smaller one, down to $t=0$. That is all there is to sampling. (`sample` also clips each guess to $[-1,1]$, where pictures lie, before the rule sees it; the walk at the top of this chapter did not. Chapter 08 shows when that matters.)

# %%
source(ancestral)

# %%
source(trajectory)

# %% [markdown]
# Above, the noisy picture, at $t$ = 0.96, 0.88, ..., 0; below, the guess of $x_0$ that led there. The kind was told here, so the guess starts not as the average of everything but as a blurred boot, and a blurred dress. Its outline is settled after two or three columns, long before the noise is gone.

# %%
picked = [walk[i] for i in range(3, 100, 8)]
for i in (0, 2):
    film = {"x at time t": torch.cat([state.x[i : i + 1] for state in picked]),
            "the guess of x0": torch.cat([state.guess[i : i + 1] for state in picked])}
    display(rows(film, columns=len(picked), label_width=120, heads=[f"t = {state.t:.2f}" for state in picked]))

# %% [markdown]
# ### Which variance?
#
# How much fresh noise should a step add? The formula above, the *posterior*, is exact if the data are a single point. If the data are normal with variance 1, the exact
# answer is β itself. Truth lies between, and with a thousand steps the two hardly differ. With few steps they do:

# %%
counts = runtime.pick(ci=[3, 5], laptop=[10, 25, 50], gpu=[10, 25, 50, 100, 250])
results, examples, quick = {}, {}, zoo.load("ddpm-fashion", device=runtime.device())
for variance in ("posterior", "beta"):
    results[variance] = []
    for n in counts:
        x = quick.sample(frechet_count, sampler=ancestral(variance), steps=n)
        results[variance].append(frechet(to_unit(x)))
        examples[f"{variance}\n{n} steps"] = x[:12]
        print(f"{variance:9} {n:4} steps: Fréchet distance {results[variance][-1]:.1f}")
curves(counts, results | {"real pictures": [real] * len(counts)}, "steps", f"Fréchet distance, {frechet_count} samples", log="xy", marker="o")
plt.show()
rows(examples, columns=12)

# %% [markdown]
# The posterior is the better one for few steps here; the two approach each other as the steps grow. Why? Over most of the walk there is little doubt left about the picture, as the strips above show, and where there is none the data are as good as a single point. β then adds more noise than belongs to the time $s$, and the network, which is told $s$, takes what is too much for detail: that is the grain in the lower rows. Chapter 07 shows how to do with fewer still.
#
# ## Common mistakes
#
# ### Common mistake 1: β of one small step for a long stride
#
# The network was trained for $t\in[0,1]$, and we walk in 20 strides. Take the β of *one of a thousand* steps, as code
# that keeps a table of a thousand of them does, and each stride removes about fifty times too little noise: at the end hardly any of it is gone. Use
# the stride's own $\beta = 1-\alpha_t^2/\alpha_s^2$.
#
# ### Common mistake 2: noise at the last step
#
# The last step ends at the picture. The posterior's variance is zero there by itself, but β is not (at $s=0$ it is $\sigma_t^2$), and code that uses β must leave the noise out. Whoever does not gets grainy clothes. (A "spread" is a standard deviation of pixels from 0 to 1, after what lies outside has been clipped: pure noise has 0.36.)

# %%
def beta_from_the_table(denoise, state, s, noise):
    """Wrong: the step from t to t - 1/1000, however long the stride is."""
    return ancestral()(denoise, state, max(0.0, state.t - 1 / 1000), noise)._replace(t=s)


def noise_at_the_end(denoise, state, s, noise):
    """Wrong: noise is added at the last step too, as much as there was before it."""
    moved = ancestral()(denoise, state, s, noise)
    return moved._replace(x=moved.x + denoise.schedule.sigma(state.t) * noise()) if s == 0 else moved


rules = {"right": ancestral(), "β of one of a\nthousand steps": beta_from_the_table, "noise at the\nlast step": noise_at_the_end}
drawn = {name: model.sample(10, sampler=rule, steps=20) for name, rule in rules.items()}
for name, x in drawn.items():
    print(f"{name.replace(chr(10), ' '):30} spread of the upper left corner, which should be black: {to_unit(x[:, :, :3, :3]).std():.3f}")
rows(drawn, label_width=140, zoom=2.5)

# %% [markdown]
# ### Common mistake 3: attention over the channels
#
# Right is to split the heads as `(B, heads, HW, C / heads)`. The mistake: `(B, heads, C / heads, HW)`, then `q @ k.transpose(-2, -1)`. It runs, and it even trains. But the attention matrix is channels × channels: each position mixes only its own channels, by weights that are the same everywhere, and no position's value ever reaches another. Put
# a value at a single position and see where it arrives.

# %%
# NBVAL_CHECK_OUTPUT
q, k = (torch.randn(1, 2, 49, 8, generator=runtime.generator(i)) for i in (1, 2))  # (B, heads, positions, C / heads)
v = torch.zeros(1, 2, 49, 8)
v[:, :, 24] = 1.0  # only the middle of the 7x7 positions has something to tell
right = torch.nn.functional.scaled_dot_product_attention(q, k, v)
wrong = torch.nn.functional.scaled_dot_product_attention(q.mT, k.mT, v.mT).mT
for name, out in (("over positions", right), ("over channels", wrong)):
    print(f"{name}: the value arrives at {(out.abs().sum((0, 1, 3)) > 0).sum().item()} of 49 positions")

# %% [markdown]
# ### Common mistake 4: a time between 0 and 1 in a sinusoidal embedding
#
# Its frequencies, from 1 down to almost 1/10,000, suit whole numbers, such as step numbers up to 1000. With $t\in[0,1]$ and no factor, even the fastest sine goes through less than a sixth of its period, the others through less and most of them through next to nothing, and all times look much alike. The difference of the vectors of two far times, relative to their length:

# %%
# NBVAL_CHECK_OUTPUT
for factor in (1, 1000):
    early, late = sinusoidal_embedding(factor * torch.tensor([0.2, 0.8], dtype=torch.float64), 128)
    print(f"t times {factor:4}: {((late - early).norm() / early.norm()).item():.2f}")

# %% [markdown]
# ## Exercises
#
# Write your line where the dots are; run the cell; it says right or not yet. Solutions stand at the very end, folded away in JupyterLab.
#
# **Exercise 1.** Give the picture that a predicted noise stands for: $\hat x_0$ from $x_t$, $\hat\varepsilon$ and $\bar\alpha_t$.

# %%
from v101_utils.exercises import check


def picture(x_t, eps_hat, alpha_bar):  # (B, D), (B, D), (B, 1) -> (B, D)
    ...


inputs = torch.randn(4, 3), torch.randn(4, 3), torch.rand(4, 1) * 0.8 + 0.1
check(picture, *inputs)


# %% [markdown]
# **Exercise 2.** The standard deviation of the fresh noise in a stride from $t$ to $s$, for the posterior variance, from the two $\bar\alpha$.

# %%
def fresh_noise(alpha_bar_t, alpha_bar_s):  # two (B,) -> (B,)
    ...


bars = torch.tensor([0.1, 0.4, 0.8]), torch.tensor([0.2, 0.5, 0.9])
check(fresh_noise, *bars)


# %% [markdown]
# **Exercise 3.** The noise that is hidden in $x_t$, if the network predicts $v$: $\hat\varepsilon$ from $x_t$, $\hat v$, $\alpha_t$ and $\sigma_t$. (Put $x_t=\alpha x_0+\sigma\varepsilon$ and $v=\alpha\varepsilon-\sigma x_0$ together; $\alpha^2+\sigma^2=1$.)

# %%
def hidden_noise(x_t, v_hat, alpha, sigma):  # (B, D), (B, D), (B, 1), (B, 1) -> (B, D)
    ...


angles = torch.rand(4, 1)
inputs_v = *inputs[:2], angles.cos(), angles.sin()
check(hidden_noise, *inputs_v)

# %% [markdown]
# ## Summary
#
# * Shrink and add noise: any number of steps is one jump, $x_t=\alpha_t x_0+\sigma_t\varepsilon$.
# * The way back is known exactly if the picture is known; the network guesses the picture (or the noise, or $v$: the same guess, weighted differently).
# * The guess is an average over all that could be, so many small steps are needed.
# * A U-Net halves the picture so that each position sees more of it, and brings detail back by its skips; ours folds 2×2 pixels into channels first, because full resolution is where the time goes. It is told the time, and looks across the picture by attention.
# * Judge by pictures and by a distance, not by the loss; keep an average of the weights.
#
# ## References
#
# * Sohl-Dickstein et al. *Deep Unsupervised Learning using Nonequilibrium Thermodynamics.* ICML 2015.
# * Ho, Jain, Abbeel. *Denoising Diffusion Probabilistic Models.* NeurIPS 2020.
# * Nichol, Dhariwal. *Improved Denoising Diffusion Probabilistic Models.* ICML 2021.
# * Kingma, Salimans, Poole, Ho. *Variational Diffusion Models.* NeurIPS 2021.
# * Salimans, Ho. *Progressive Distillation for Fast Sampling of Diffusion Models.* ICLR 2022.
# * Ronneberger, Fischer, Brox. *U-Net: Convolutional Networks for Biomedical Image Segmentation.* MICCAI 2015.
# * Vaswani et al. *Attention Is All You Need.* NeurIPS 2017.
#
# ## Solutions

# %% jupyter={"source_hidden": true} tags=["solution"]
# NBVAL_CHECK_OUTPUT
def picture(x_t, eps_hat, alpha_bar):
    return (x_t - (1 - alpha_bar).sqrt() * eps_hat) / alpha_bar.sqrt()


def fresh_noise(alpha_bar_t, alpha_bar_s):
    return ((1 - alpha_bar_t / alpha_bar_s) * (1 - alpha_bar_s) / (1 - alpha_bar_t)).sqrt()


def hidden_noise(x_t, v_hat, alpha, sigma):
    return sigma * x_t + alpha * v_hat


check(picture, *inputs)
check(fresh_noise, *bars)
check(hidden_noise, *inputs_v)
