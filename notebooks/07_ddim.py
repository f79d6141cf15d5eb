# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 07 · Fewer steps: DDIM
#
# Draw in ten or twenty steps what took fifty and more, get the same picture from the same noise each time, and find the very noise that a
# real picture comes from.
#
# <!-- Colab badge: stamped once the repository's address is set -->
#
# This chapter builds on chapter 06 (DDPM) and uses its network as it is: nothing is trained here, and that is the point. How long it takes stands in
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
import math

import matplotlib.pyplot as plt
import torch

from v101_utils import runtime, zoo
from v101_utils.data import fashion_mnist, to_unit
from v101_utils.diffusion import Clipped, GaussianMixture, Wrapped, ancestral, cosine, ddim, dpm, sample, trajectory
from v101_utils.view import curves, rows, source, use_style

runtime.set_up(seed=0)
use_style()

# %% [markdown]
# ## The picture first
#
# One network, the same twelve noises in each row. What differs is only how we walk from noise to picture: by chapter 06's ancestral sampling, or by the rule of this chapter.

# %%
model = zoo.load("ddpm-fashion")
rows({f"{name}\n{n} steps": model.sample(12, seed=2, sampler=rule, steps=n)
      for n in (5, 10, 50) for name, rule in (("ancestral", ancestral()), ("DDIM", ddim()))}, columns=12)

# %% [markdown]
# Go down a column. DDIM's three are the same garment, only sharper with more steps; the ancestral three are different garments. Which rule is *better* at few steps, a dozen pictures do not tell: that is measured below.
#
# ## The idea
#
# Look again at what a denoiser was trained on: pairs of a picture $x_0$ and a noisy $x_t=\alpha_t x_0+\sigma_t\varepsilon$. One time in
# each pair; never a *step* from one time to another. So the network knows nothing of the staircase that chapter 06 built. Any other
# staircase will do, as long as **at each time the noisy pictures are distributed as in training**.
#
# Song et al. (2020) wrote down a whole family of them, with one number to choose for each step. Suppose we know $x_0$, and so the noise $\varepsilon=(x_t-\alpha_t x_0)/\sigma_t$ that is in $x_t$. To get to a smaller time $s$, keep some of that
# noise and replace the rest by fresh noise of standard deviation $f$:
#
# $$x_s=\alpha_s\,x_0+\sqrt{\sigma_s^2-f^2}\;\varepsilon+f\,z,\qquad z\sim\mathcal N(0,I).$$
#
# The total noise has variance $(\sigma_s^2-f^2)+f^2=\sigma_s^2$, **whatever $f$ is**, from 0 to $\sigma_s$. So $f$ is ours to choose, and so is the stride from $t$ to $s$. The usual scale is η:
#
# $$f=\eta\,\frac{\sigma_s}{\sigma_t}\sqrt{1-\frac{\alpha_t^2}{\alpha_s^2}} .$$
#
# Under the root stands chapter 06's $\beta$, for a stride of any length. At η = 1 the step is therefore as noisy as chapter 06's, $f^2=\beta\,\sigma_s^2/\sigma_t^2$, and its mean is the same too: with $\alpha=\alpha_t/\alpha_s$ and $\sigma_t^2-\beta=\alpha^2\sigma_s^2$ we get $\sqrt{\sigma_s^2-f^2}=\alpha\,\sigma_s^2/\sigma_t$, so that $x_t$ has the factor $\alpha\,\sigma_s^2/\sigma_t^2$ as there. That is DDPM's ancestral sampling. η = 0 puts no fresh noise in at all: that is **DDIM**, a deterministic walk. (Unless η = 1, the noisier $x_t$ then depends on the less noisy $x_s$ *and* on $x_0$, so that the way down, from picture to noise, is not a Markov chain any more.
# Training jumps and never walks that way, so nobody minds.)
#
# Of course we do *not* know $x_0$. A sampler puts the network's guess $\hat x_0(x_t)$ in its place, and $\hat\varepsilon=(x_t-\alpha_t\hat x_0)/\sigma_t$ in that of the noise. What does that cost?
#
# ### Check: whatever η, the right noise level, and the price of a guess
#
# First a pixel of value 0.8 and a denoiser that knows it. From $t=0.9$ to $s=0.5$ in one stride: mean and standard deviation must be $0.8\,\alpha_s$ and $\sigma_s$ for each η. Then pixels from $\mathcal N(0,1)$, of which even the best denoiser can only guess the mean of all that $x_t$ may have come from. Here noisy pixels have the standard deviation 1 at every time, and so should ours.

# %%
# NBVAL_CHECK_OUTPUT
point = GaussianMixture([[0.8]], 1e-9).denoiser(cosine())  # the data are a single point
draw = runtime.generator(0)
x = cosine().alpha(0.9) * 0.8 + cosine().sigma(0.9) * torch.randn(200_000, 1, generator=draw, dtype=torch.float64)
print(f"wanted:  mean {0.8 * cosine().alpha(0.5).item():.2f}, std {cosine().sigma(0.5).item():.2f}")
for eta in (0.0, 0.5, 1.0):
    moved = sample(point, x, ddim(eta), [0.9, 0.5], generator=draw)
    print(f"eta {eta}: mean {moved.mean().item():.2f}, std {moved.std().item():.2f}")

spread, x = GaussianMixture([[0.0]], 1.0).denoiser(cosine()), torch.randn(200_000, 1, generator=draw, dtype=torch.float64)
for strides in (1, 4, 16):
    times = torch.linspace(0.9, 0.5, strides + 1, dtype=torch.float64).tolist()
    found = {eta: sample(spread, x, ddim(eta), times, generator=draw).std().item() for eta in (0.0, 0.5, 1.0)}
    print(f"pixels from N(0, 1), {strides:2} strides: " + ", ".join(f"eta {eta}: std {std:.2f}" for eta, std in found.items()))

# %% [markdown]
# A known $x_0$ may be reached in one stride, by any η. A guess is an average, which varies less than what it is the average of, and so a long stride leaves too little spread, most of all at η = 1. Small strides mend it. **That is what few steps cost.**
#
# ### Check: η = 1 is ancestral sampling
#
# Two formulas that look nothing alike, the same fresh noise, the real network: the two end at the same pictures, up to rounding.

# %%
# NBVAL_CHECK_OUTPUT
start = torch.randn(4, 1, 28, 28, generator=runtime.generator(1))
ends = [sample(model, start, rule, 10, labels=torch.tensor([0, 3, 7, 9]), generator=runtime.generator(2)) for rule in (ddim(1.0), ancestral())]
print("largest difference below 0.001:", ((ends[0] - ends[1]).abs().max() < 1e-3).item())

# %% [markdown]
# ### The walk, drawn
#
# In one dimension we can see it. The data are three narrow heaps, and the best possible denoiser is known in closed form. Both sides start at the same thirty noises: $\mathcal N(0,1)$ is cut into thirty slices of equal probability, and each gives its middle. Three of them are drawn in colour.

# %%
heaps = GaussianMixture([[-1.5], [0.2], [1.6]], 0.12, [0.3, 0.4, 0.3])
exact, evenly = heaps.denoiser(cosine()), (torch.arange(30, dtype=torch.float64) + 0.5) / 30
start = torch.special.ndtri(evenly)[:, None]  # the quantiles of N(0, 1)
figure, panels = plt.subplots(1, 2, figsize=(10, 3), sharey=True)
for axes, eta in zip(panels, (1.0, 0.0)):
    walk = list(trajectory(exact, start, ddim(eta), 200, generator=runtime.generator(3)))
    times, paths = [1.0] + [state.t for state in walk], torch.stack([start, *(state.x for state in walk)])[:, :, 0]  # (201, 30)
    axes.plot(times, paths, color="0.8", lw=0.7)
    for number, color in ((6, "C1"), (12, "C2"), (22, "C3")):
        axes.plot(times, paths[:, number], color=color, lw=1.2)
    axes.set(title=f"η = {eta:g}", xlabel="t", xlim=(1, 0))
    heap = (paths[-1][:, None] - heaps.means[:, 0]).abs().argmin(1)
    print(f"η = {eta:g}: {heap.bincount(minlength=3).tolist()} of the thirty end in the three heaps, whose weights are 0.3, 0.4 and 0.3")
panels[0].set_ylabel("x")
plt.show()

# %% [markdown]
# On the left each particle wanders, and where it lands is a matter of luck: compare the coloured ones. On the right the paths never cross: **each noise belongs to
# one picture**. All keep their order, and one may walk back. And the paths are smooth, which is why large steps do little harm.
#
# ## The code that matters
#
# The whole rule, and the loop that walks any rule on any denoiser. (`stride_variance` is $\sigma_t^2-(\alpha_t\sigma_s/\alpha_s)^2$: where $\sigma^2=1-\alpha^2$, as here, that is the $1-\alpha_t^2/\alpha_s^2$ of above. The `min` matters only for η above 1.)

# %%
source(ddim)

# %%
source(trajectory)

# %% [markdown]
# ## A curve, and how to follow it
#
# With η = 0 and ever smaller steps the walk becomes the solution of an ordinary differential equation (chapter 10 derives it). DDIM follows it as Euler's method would: take the direction here, go straight. (Straight, that is, if $x/\alpha$ is plotted over $\sigma/\alpha$: divide DDIM's step by $\alpha_s$, and it reads
# $\frac{x_s}{\alpha_s}=\frac{x_t}{\alpha_t}+\big(\frac{\sigma_s}{\alpha_s}-\frac{\sigma_t}{\alpha_t}\big)\,\hat\varepsilon$.)
# Its error is proportional to the stride. A method of **second order** takes into account that the direction changes, and bends; twice the steps then make a quarter of the error.
# It may ask the network twice a step, or, at no extra cost, look back at where the last step pointed. DPM-Solver++ (2M; Lu et al. 2022) looks back. With $\lambda=\log(\alpha/\sigma)$ and $h=\lambda_s-\lambda_t$, so that $e^{-h}=\alpha_t\sigma_s/(\sigma_t\alpha_s)$, DDIM's step is
#
# $$x_s=\frac{\sigma_s}{\sigma_t}\,x_t+\alpha_s\,(1-e^{-h})\,\hat x_0 ,$$
#
# and the new rule is the same but for the guess: in the place of $\hat x_0$ it puts $\hat x_0+\frac{h}{2\,h_{\text{before}}}\big(\hat x_0-\hat x_0^{\text{before}}\big)$, where *before* marks the stride and the guess of the step before. That is the guess drawn on, in a straight line over $\lambda$, to the middle of the stride. The first step has nothing before it, and the last, to no noise at all, has $h=\infty$: these two are plain DDIM.

# %%
source(dpm)

# %% [markdown]
# ### Check: the order, measured
#
# Two clouds in the plane and the exact denoiser. We carry 500 noises from $t=0.95$ to $t=0.1$; a walk of 3,000 steps serves as the truth. What does doubling the steps do to the error?

# %%
# NBVAL_CHECK_OUTPUT
clouds = GaussianMixture([[-1.5, 0.0], [1.0, 1.0]], [0.5, 0.8]).denoiser(cosine())
start = torch.randn(500, 2, generator=runtime.generator(4), dtype=torch.float64)


def walk_to(rule, n):
    return sample(clouds, start, rule, torch.linspace(0.95, 0.1, n + 1, dtype=torch.float64).tolist())


truth, error = walk_to(dpm(), 3000), {}
for name, rule in (("DDIM", ddim()), ("DPM-Solver++", dpm())):
    error[name] = [(walk_to(rule, n) - truth).square().mean().sqrt().item() for n in (10, 20, 40, 80, 160)]
    print(f"{name:13} from 80 to 160 steps the error falls {error[name][-2] / error[name][-1]:.1f} times")

# %%
curves((10, 20, 40, 80, 160), error, "steps", "error of the end points", log="xy", marker="o")
plt.show()

# %% [markdown]
# ### On pictures
#
# The same with the network: how far is the picture after $n$ steps from the one after very many (of the second rule), starting at the same noise?
# Below the curves, DDIM's pictures.

# %%
fine = runtime.pick(ci=12, laptop=300, gpu=500)
counts = runtime.pick(ci=[2, 5], laptop=[3, 5, 10, 20, 50], gpu=[3, 5, 10, 20, 50, 100])
end = model.sample(20, seed=3, sampler=dpm(), steps=fine)
error = {name: [(model.sample(20, seed=3, sampler=rule, steps=n) - end).square().mean().sqrt() for n in counts]
         for name, rule in (("DDIM", ddim()), ("DPM-Solver++", dpm()))}
curves(counts, error, "steps", f"difference from {fine} steps", log="xy", marker="o")
plt.show()
rows({f"{n} steps": model.sample(10, seed=3, sampler=ddim(), steps=n) for n in [*counts, fine]})

# %% [markdown]
# At three steps the two are all but equal: the second rule can bend neither in the first step nor in the last, which leaves it one of three. From there its line falls faster, and at 50 steps its error is less than half of DDIM's. In the pictures each row is a walk of its own. Even three strides settle kind and outline; more of them sharpen prints and seams and mend the shade.

# %% [markdown]
# ## How many steps are enough?
#
# Now quality instead of difference: the Fréchet distance between the features of real and drawn pictures (on a classifier of this data, as in chapter 06; not comparable with the FID of papers). Four rules, the same number of calls
# of the network. The third is chapter 06's ancestral sampling with its larger variance, β. On the right, for comparison of the *shape* alone, the figures that Song et al. (2020, table 1) report for CIFAR-10,
# on their network and another scale. The flat line on the left is as many real pictures that nothing was trained on: the floor.

# %%
frechet = zoo.recipes.fashion_frechet(runtime.pick(ci=200, laptop=18_000, gpu=18_000))
count = runtime.pick(ci=12, laptop=700, gpu=2000)
counts = runtime.pick(ci=[2, 5], laptop=[5, 10, 20, 50], gpu=[5, 10, 20, 50, 100])
rules = {"DDIM, η = 0": ddim(), "η = 1 (ancestral)": ddim(1.0), "ancestral, variance β": ancestral("beta"), "DPM-Solver++": dpm()}
fast = zoo.load("ddpm-fashion", device=runtime.device())  # tens of thousands of pictures
distance = {name: [frechet(to_unit(fast.sample(count, sampler=rule, steps=n))) for n in counts] for name, rule in rules.items()}
real = frechet(to_unit(fashion_mnist("test", source="shipped").images[:count]))

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4))
curves(counts, distance | {"real pictures": [real] * len(counts)}, "steps", "Fréchet distance", f"here, {count} samples", left, log="xy", marker="o")
left.legend(fontsize=8)
paper = {"η = 0": [13.36, 6.84, 4.67, 4.16], "η = 1": [41.07, 18.36, 8.01, 5.78]}
curves([10, 20, 50, 100], paper, "steps", "FID", "CIFAR-10, as reported by Song et al. 2020", right, log="xy", marker="o")
plt.show()
print(f"{'steps':24}" + "".join(f"{n:8}" for n in counts))
for name, values in distance.items():
    print(f"{name:24}" + "".join(f"{value:8.1f}" for value in values))
print(f"{'real pictures':24}{real:8.1f}")

# %% [markdown]
# Read across, at the same height: the deterministic walk needs fewer steps for the same quality in both panels. Here DDIM is after about seven steps where η = 1 is after ten; from twenty on the curves are too near the floor to say. In the paper's panel less than half the steps will do at twenty, and a third from fifty on.
# It is not that η = 1 leaves more noise: at each time there is as much as ever, but more of it is new. What the old noise said of the picture is thrown away, and in a long stride the guess, which is an average, cannot make up for it: the check above found too little spread, most of all at η = 1.
# The larger variance β errs the other way, leaves more noise than belongs to the time $s$, and suffers most. The second-order rule needs the fewest steps of all. (With so few samples a small difference is
# chance: do not rank the points at the bottom.)
#
# ## The sliders
#
# Sixteen noises that never change. Drag the **steps** down and look when the pictures fall apart; then raise **η**, and look again. At η = 0 the pictures stay *the same pictures* as the steps change. At η = 1 they do not.

# %%
from v101_utils.widgets import StepsView, steps_sliders

view = StepsView(model)
steps_sliders(view)

# %% [markdown]
# The same two knobs as strips:

# %%
for steps, eta in ((5, 0.0), (5, 1.0), (20, 0.0), (20, 1.0)):
    display(view.render(steps, eta))

# %% [markdown]
# ## Each noise is a picture
#
# Since nothing is left to luck, the starting noise is a *latent code*, as large as the picture itself. Two consequences.
#
# ### Walking between two noises
#
# Halfway between two noises there should be a picture halfway between two pictures. But do not take the plain average: the mean of two independent normal numbers has variance one half, and
# the network has never seen so little noise at $t=1$. Walk along the arc instead (spherical linear interpolation, *slerp*):
# $\cos\theta\,\varepsilon_0+\sin\theta\,\varepsilon_1$, with θ from 0 to π/2, keeps the variance at one. (Slerp proper goes by the angle between the two; that of independent noises of 784 pixels is nearly a right one, and then it is this.) (`Clipped`, below, keeps the guess of the picture
# within $[-1, 1]$: see common mistake 3. `model.sample` does so by itself; the bare `sample` does what it is told.)

# %%
# NBVAL_CHECK_OUTPUT
first, second = torch.randn(2, 1_000_000, generator=runtime.generator(5), dtype=torch.float64)
half = math.pi / 4
print(f"average: std {((first + second) / 2).std().item():.2f}")
print(f"arc:     std {(math.cos(half) * first + math.sin(half) * second).std().item():.2f}")

# %%
ends = torch.randn(2, 1, 28, 28, generator=runtime.generator(11))
share = torch.linspace(0, 1, 11)[:, None, None, None]
arc = (share * torch.pi / 2).cos() * ends[:1] + (share * torch.pi / 2).sin() * ends[1:]
line = (1 - share) * ends[:1] + share * ends[1:]
strips = {}
for kind, label in (("ankle boot", 9), ("bag", 8), ("pullover", 2)):
    for name, noise in (("arc", arc), ("line", line)):
        strips[f"{kind}, {name}"] = sample(Clipped(model), noise, ddim(), 50, labels=torch.full((11,), label))
rows(strips, columns=11, label_width=130)

# %% [markdown]
# Along the line print, folds and seams drain away towards the middle, and what is left is smooth: with too little noise at the start, there is too little to make detail of.
#
# ### From a real picture to its noise
#
# The paths do not cross, so they may be walked the other way: the same rule with **rising** times takes a real picture to the noise it would come from. Then from there to a picture again. Is it the same? (No clipping here: a guess that was clipped has no inverse.)

# %%
test = fashion_mnist("test", source="shipped")
shown = torch.cat([test.images[test.labels == c][3:4] for c in range(10)])
labels = torch.arange(10)
times = model.schedule.times(runtime.pick(ci=5, laptop=100, gpu=200))
code = sample(model, shown, ddim(), times[::-1], labels=labels)
again = sample(model, code, ddim(), times, labels=labels)
print(f"the code: mean {code.mean():.2f}, std {code.std():.2f}; squared error of the round trip {(to_unit(again) - to_unit(shown)).square().mean():.5f}")
rows({"real": shown, "its noise": code / 3, "and back": again})

# %% [markdown]
# Nearly all of the picture is in the code (which is drawn at a third of its contrast). But it is not quite noise: you can still see the garment in it, and its standard deviation should be 1. It is faint where the picture is *plain*, above all where it is black. Such places are alike in very many pictures, so a whole range of noises leads to the same black, and towards $t=0$ their paths run together.
# On the way from perfect black to noise the best guess of the noise is close to zero, and the walk follows one path in the middle of them all. If that is the reason, then a *little* noise, added to the picture before the walk, should choose a path among them, and the code become what it should be:

# %%
late = [t for t in times[::-1] if t >= 0.02]
alpha, sigma = model.schedule.levels(late[0], shown)
grainy = alpha * shown + sigma * torch.randn(shown.shape, generator=runtime.generator(12))
black = shown == -1
for name, found in {"from the picture": code, f"from t = {late[0]:.2f}": sample(model, grainy, ddim(), late, labels=labels)}.items():
    print(f"{name:16}: std of the code {found.std():.2f}; where the picture is black {found[black].std():.2f}, elsewhere {found[~black].std():.2f}")

# %% [markdown]
# So it does: the noise was missing where the picture is black, and with a grain of noise to start from it is all there.
#
# And why is it only *nearly* all that comes back? Each stride goes straight, in the direction that the network gives at its *beginning*. On the way to the noise that is the less noisy end of the stride, on the way back the noisier one: two slightly different directions, and the longer the stride, the more they differ.

# %%
steps = runtime.pick(ci=[2, 4], laptop=[5, 10, 20, 50, 100], gpu=[5, 10, 20, 50, 100, 200])
error = []
for n in steps:
    times = model.schedule.times(n)
    back = sample(model, sample(model, shown, ddim(), times[::-1], labels=labels), ddim(), times, labels=labels)
    error.append((to_unit(back) - to_unit(shown)).square().mean())
curves(steps, {"": error}, "steps each way", "squared error of the round trip", log="xy", marker="o")
plt.show()

# %% [markdown]
# ### Edit a real picture
#
# Take a real picture to its noise with its own label, and back with *another*. What the label does not decide (shade, print, size)
# is in the noise, and some of it stays. (Now clipped: nothing has to come back exactly, and a label that does not fit makes guesses that leave the range.)

# %%
times = model.schedule.times(runtime.pick(ci=5, laptop=50, gpu=100))
pullovers = test.images[test.labels == 2][:10]
code = sample(model, pullovers, ddim(), times[::-1], labels=torch.full((10,), 2))
edits = {"real pullovers": pullovers}
for name, label in (("as T-shirts", 0), ("as dresses", 3), ("as bags", 8)):
    edits[name] = sample(Clipped(model), code, ddim(), times, labels=torch.full((10,), label))
rows(edits, label_width=130)

# %% [markdown]
# Compare column by column. Much stays in the T-shirts (read the print of the first), less in the dresses, least in the bags. Nothing makes sure that the walk arrives at the new label: some "bags" are still shaped like a pullover. (Chapter 08's guidance pushes harder.)
#
# ## Common mistakes
#
# ### Common mistake 1: fresh noise on top
#
# Add the fresh noise $f z$, but forget to make room for it: $\sigma_s$ instead of $\sqrt{\sigma_s^2-f^2}$. Each step then leaves more
# noise than the network is told, and hardly a picture is to be seen.
#
# ### Common mistake 2: the wrong end of the step
#
# The network must be told the noise level of what it is *given*, $t$, not of where the step goes, $s$. An index that is off by one does
# exactly this. Told that there is less noise than there is, the network takes the rest for picture. (Only the network is told the wrong time here. Where its answer is also turned into $\hat x_0$ and $\hat\varepsilon$ by the wrong $\alpha$ and $\sigma$, nothing but static is left.)
#
# ### Common mistake 3: clip the picture, keep the noise
#
# It is usual to clip the guess to $[-1, 1]$. Then $x_t=\alpha_t\hat x_0+\sigma_t\hat\varepsilon$ no longer holds, unless $\hat\varepsilon$ is computed again from the clipped guess. How much that matters depends on how often the guess leaves the range; compare the first distance with the last: here they differ by no more than chance. Without guidance it leaves it by a hair; with guidance (chapter 08), by much.
# (There are fewer samples than in the table above, and fewer samples make the distance larger: compare within the list only.)

# %%
from v101_utils.diffusion import Prediction
from v101_utils.diffusion.denoiser import both

n = 10  # steps


def no_room(denoise, state, s, noise):
    """Wrong: DDIM at eta 0, and the fresh noise of eta 1 added to it."""
    a = denoise.schedule.alpha(state.t) / denoise.schedule.alpha(s)
    fresh = denoise.schedule.sigma(s) / denoise.schedule.sigma(state.t) * (1 - a**2).sqrt()
    moved = ddim()(denoise, state, s, noise)
    return moved._replace(x=moved.x + fresh * noise())


class ToldTheNext(Wrapped):
    """Wrong: the network is told s, the time at which the stride ends, not t."""

    def forward(self, x, t, labels=None):
        told = torch.full((len(x),), max(t - 1 / n, 1e-3))
        return both(self.denoiser.predicts, self.denoiser.network(x, told, labels), x, *self.schedule.levels(t, x))


class KeepsTheNoise(Wrapped):
    """Wrong: the guess is clipped, the noise is the unclipped one's."""

    def forward(self, x, t, labels=None):
        seen = self.denoiser(x, t, labels)
        return Prediction(seen.x0.clamp(-1, 1), seen.eps)


# %%
labels = torch.arange(runtime.pick(ci=12, laptop=500, gpu=500)) % 10
start = torch.randn(len(labels), 1, 28, 28, generator=runtime.generator(6))
tries = {
    "right": (Clipped(model), ddim()), "fresh noise\non top": (Clipped(model), no_room),
    "told the\nnext time": (Clipped(ToldTheNext(model)), ddim()), "clipped,\nnoise kept": (KeepsTheNoise(model), ddim()),
}
drawn = {name: sample(denoiser, start, rule, n, labels=labels, generator=runtime.generator(7)) for name, (denoiser, rule) in tries.items()}
for name, x in drawn.items():
    print(f"{name.replace(chr(10), ' '):20} Fréchet distance {frechet(to_unit(x)):.1f} ({n} steps, {len(labels)} samples)")
rows({name: x[:12] for name, x in drawn.items()}, columns=12)

# %% [markdown]
# ## Exercises
#
# Write your line where the dots are; run the cell; it says right or not yet. Solutions stand at the very end, folded away in JupyterLab.
#
# **Exercise 1.** DDIM's step at η = 0, from $x_t$, the guess $\hat x_0$ and the four numbers.

# %%
from v101_utils.exercises import check


def ddim_step(x_t, x0, alpha_t, sigma_t, alpha_s, sigma_s):  # (B, D), (B, D), four numbers -> (B, D)
    ...


levels = torch.tensor(0.6), torch.tensor(0.8), torch.tensor(0.8), torch.tensor(0.6)
pair = torch.randn(5, 3, generator=runtime.generator(8)), torch.randn(5, 3, generator=runtime.generator(9))
check(ddim_step, *pair, *levels)


# %% [markdown]
# **Exercise 2.** The same for any η. `noise` is the fresh $z$; you need $f$ from the beginning of the chapter.

# %%
def noisy_step(x_t, x0, noise, eta, alpha_t, sigma_t, alpha_s, sigma_s):  # three (B, D), five numbers -> (B, D)
    ...


triple = *pair, torch.randn(5, 3, generator=runtime.generator(10))
check(noisy_step, *triple, torch.tensor(0.7), *levels)


# %% [markdown]
# **Exercise 3.** Mix *three* independent noises evenly, so that the result is again noise of variance one.

# %%
def blend(first, second, third):  # three (B, D) -> (B, D)
    ...


check(blend, *triple)

# %% [markdown]
# ## Summary
#
# * Training fixes how noisy pictures are distributed at each time, not how to step between times: a whole family of walks fits, with any stride (exactly, if $x_0$ is known; with a guess, as the strides get small).
# * η scales the fresh noise of a step: 1 is DDPM, 0 is DDIM, a deterministic walk along a smooth path.
# * On a smooth path few steps are enough, and a second-order rule needs fewer still.
# * Each noise is a picture: interpolate along the arc, and walk the other way to find the noise of a real picture.
#
# ## References
#
# * Song, Meng, Ermon. *Denoising Diffusion Implicit Models.* ICLR 2021 (arXiv 2020).
# * Lu et al. *DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models.* arXiv 2022.
# * Ho, Jain, Abbeel. *Denoising Diffusion Probabilistic Models.* NeurIPS 2020.
#
# ## Solutions

# %% jupyter={"source_hidden": true} tags=["solution"]
# NBVAL_CHECK_OUTPUT
def ddim_step(x_t, x0, alpha_t, sigma_t, alpha_s, sigma_s):
    return alpha_s * x0 + sigma_s * (x_t - alpha_t * x0) / sigma_t


def noisy_step(x_t, x0, noise, eta, alpha_t, sigma_t, alpha_s, sigma_s):
    f = eta * sigma_s / sigma_t * (1 - (alpha_t / alpha_s) ** 2).sqrt()
    return alpha_s * x0 + (sigma_s**2 - f**2).sqrt() * (x_t - alpha_t * x0) / sigma_t + f * noise


def blend(first, second, third):
    return (first + second + third) / 3**0.5


check(ddim_step, *pair, *levels)
check(noisy_step, *triple, torch.tensor(0.7), *levels)
check(blend, *triple)
