# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10 · Score-based diffusion
#
# Watch particles of pure noise drift along a field of arrows until they are data, walk back in three ways, learn why one network serves three theories, and ask it at last what no sampler tells: **how likely** a picture is.
#
# <!-- Colab badge: stamped once the repository's address is set -->
#
# This chapter builds on chapters 06 and 07 (noise schedules, what a denoiser predicts, deterministic walks). How long it takes stands in the README's table.

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
from v101_utils.data import fashion_mnist
from v101_utils.diffusion import (
    Clipped, Denoiser, DiffusionTask, GaussianMixture, Rescheduled, State, ancestral, bits_per_dimension, cosine, ddim, dequantise,
    dpm, euler_maruyama, from_betas, heun, log_likelihood, ode, predictor_corrector, sample, score, sub_vp, trajectory, ve, vp,
)  # fmt: skip
from v101_utils.metrics import energy_distance, two_sample_test
from v101_utils.training import Ema, fit, warmup_cosine
from v101_utils.view import curves, rows, source, use_style
from v101_utils.view.plane import arrows, lattice, points
from v101_utils.widgets import CorrectorView, FieldView, corrector_sliders, field_slider

runtime.set_up(seed=0)
use_style()

# %% [markdown]
# ## The picture first
#
# The network of chapters 06 to 08, unchanged, and the same twelve noises. Three new ways to walk from noise to picture: by a stochastic equation in 100 straight strides; in 50 strides, each with a correction; and along a deterministic curve, by a solver that chooses its own strides.

# %%
model = zoo.load("ddpm-fashion")
ways = {"Euler-Maruyama\n100 strides": ("em", 100), "predictor-\ncorrector\n50 strides": ("pc", 50), "adaptive ODE": ("ode", None)}
count = runtime.pick(ci=2, laptop=12, gpu=12)
rows({name: model.sample(count, seed=2, sampler=sampler, steps=steps) for name, (sampler, steps) in ways.items()}, 12, label_width=140)

# %% [markdown]
# The first two rows use fresh noise on the way, so they end at other clothes than the third; the third has none, and each noise has its one picture, as with DDIM. (The first two rows are alike in places: both draw their fresh noise from the same seed.) All three follow from a single object, the **score**.
#
# ## The idea: a field of arrows
#
# Data have a density $p(x)$: high where pictures are, next to nothing elsewhere. If we knew at each point which way the density *rises*, we could put a particle anywhere and push it uphill until it is among the data. That direction is the score,
#
# $$s(x)=\nabla_x\log p(x).$$
#
# The logarithm has a purpose. A density must add up to 1: it is a positive function $q$ over its sum $Z$ over all pictures, which nobody can compute. But $\nabla\log(q/Z)=\nabla\log q-\nabla\log Z$, and the last term is zero, for $Z$ does not depend on $x$: **the score does not need the constant**.
#
# One thing is in the way. Far from the data the density is so low that the score stays unknown: no data ever come there to learn from. So noise is added, much at first, and then less and less (Song and Ermon 2019). A density blurred by much noise rises towards the data from everywhere. We write $p_t$ for that of $x_t=\alpha_tx_0+\sigma_t\varepsilon$.

# %%
data = GaussianMixture([[-1.2, 0.6], [1.2, 0.6], [0.0, -1.2]], [0.15, 0.3, 0.2])
view = FieldView(data, vp())
figure, panels = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained")
for axes, t in zip(panels, (1.0, 0.4, 0.2, 0.02)):
    view.draw(axes, t)
    axes.set_title(f"t = {t:g}, σ = {vp().sigma(t):.2f}")
plt.show()

# %% [markdown]
# Blue is the density $p_t$, the arrows are the score (their lengths are scaled anew in each panel), and the red dots are particles on their way from noise to data. From left to right the noise gets less: one hill, then three; the arrows at first all point to the middle, and at last each to its own hill. (In the last panel the wide hill at the right is so low that its blue hardly shows; the particles tell where it is. The arrows are not yet velocities. The particles walk the probability flow, explained below, in which the pull of the score is set against a push outwards; at the left the two nearly cancel, and the particles hardly move.) Here the data are a mixture of three normal clouds, so that everything is known exactly.
#
# ### A denoiser knows the score
#
# Where does one get the score of pictures? We have it already. Tweedie's formula (Efron 2011) says that the best guess of the image behind $x_t$ is a step uphill,
#
# $$\mathbb E[x_0\mid x_t]=\frac{x_t+\sigma_t^2\,\nabla\log p_t(x_t)}{\alpha_t},\qquad\text{so}\qquad\nabla\log p_t(x_t)=-\frac{\mathbb E[\varepsilon\mid x_t]}{\sigma_t}.$$
#
# **The score is the predicted noise, with the sign turned, over its standard deviation.** In words: away from the noise is towards the data. Every denoiser of chapters 06 to 08 is a score network (Vincent 2011 showed that the two are trained by the same loss).
#
# ### Check: against autograd, and against a simulation
#
# At two places: first the gradient of the exact log density, under it minus the exact denoiser's noise over σ. Then Tweedie by brute force: among very many noisy points take those that fall near the first place, and average the $x_0$ that they came from. It agrees up to the luck of the draws.

# %%
# NBVAL_CHECK_OUTPUT
exact, schedule, t = data.denoiser(vp()), vp(), 0.3
places = torch.tensor([[0.5, 0.2], [-0.8, -0.4]], dtype=torch.float64, requires_grad=True)
log_p = data.log_prob(places, schedule.alpha(t), schedule.sigma(t)).logsumexp(1)
gradient = torch.autograd.grad(log_p.sum(), places)[0]
print("gradient of log p:", gradient.numpy().round(3).tolist())
print("-eps / sigma:     ", score(exact, places.detach(), t).numpy().round(3).tolist())
draw = runtime.generator(0)
x0 = data.sample(2_000_000, draw)[0]
x = schedule.alpha(t) * x0 + schedule.sigma(t) * torch.randn(x0.shape, generator=draw, dtype=x0.dtype)
near = (x - places[0].detach()).norm(dim=1) < 0.1
tweedie = (places[0] + schedule.variance(t) * gradient[0]) / schedule.alpha(t)
print(f"mean x0 of {near.sum() // 1000} thousand neighbours: {[f'{v:.2f}' for v in x0[near].mean(0)]}   Tweedie: {[f'{v:.2f}' for v in tweedie]}")

# %% [markdown]
# ### The slider
#
# Drag **t** from noise (left) to data (right) and follow one red particle. Early on it hardly moves; at some moment it has decided for a hill, and from then on it only gets closer.

# %%
field_slider(view)

# %% [markdown]
# ## The way up: noise as a stochastic equation
#
# Chapter 06 added noise in a thousand small steps. Make the steps smaller and smaller, and there remains a **stochastic differential equation** (Song et al. 2021):
#
# $$dx=f(t)\,x\,dt+g(t)\,dw.$$
#
# In a short time $h$, $x$ is multiplied by $1+f\,h$ and gets normal noise of variance $g^2h$. (The variance, not the standard deviation, is proportional to time; that is what $dw$ says.) Whatever $f$ and $g$, the result at time $t$ is $\alpha_tx_0+\sigma_t\varepsilon$ again, and the two descriptions translate into each other:
#
# $$f=\frac{d\log\alpha}{dt},\qquad g^2=\frac{d\sigma^2}{dt}-2f\sigma^2.$$
#
# So a `Schedule` *is* such an equation; the package takes the two slopes by autograd. Three are in use. In the first two, $\beta(t)$ is the β of chapter 06, for a unit of time instead of one step: the rate at which the image is replaced by noise. In VP $f=-\frac12\beta$ and $g^2=\beta$; here β grows linearly from 0.1 to 20.
#
# | | α | σ | |
# |---|---|---|---|
# | **VP**, variance preserving | $e^{-\frac12\int\beta}$ | $\sqrt{1-\alpha^2}$ | DDPM in the limit; the image fades as the noise comes |
# | **sub-VP** | the same | $1-\alpha^2$ | less noise on the way |
# | **VE**, variance exploding | 1 | grows geometrically | the image stays, and is buried |

# %%
figure, panels = plt.subplots(2, 3, figsize=(11, 4.6), layout="constrained", sharex=True)
for (above, below), schedule in zip(panels.T, (vp(), sub_vp(), ve(high=3.0))):
    x, draw, path = torch.linspace(-1, 1, 9, dtype=torch.float64), runtime.generator(1), []
    for i in range(400):
        path.append(x)
        f, g = schedule.drift(i / 400), schedule.diffusion(i / 400)
        x = x + f * x / 400 + g * 400**-0.5 * torch.randn(9, generator=draw, dtype=x.dtype)
    above.plot(torch.arange(400) / 400, torch.stack(path), lw=0.6, color="C0")
    above.set(title=schedule.name, ylabel="x")
    ts = torch.linspace(0, 1, 101, dtype=torch.float64)
    curves(ts, {"α": schedule.alpha(ts), "σ": schedule.sigma(ts)}, "t", "", axes=below)
plt.show()

# %% [markdown]
# Nine particles on the way up, and below them how much of the image is left (α) and how much noise there is (σ). In VP and sub-VP all starting points run together into the same noise; in VE the particles fly apart, so far that it no longer matters where they began. (VE is drawn up to σ = 3; in use it is 50.)
#
# ### Check: the equation ends at the formula
#
# A pixel of value 0.8, twenty thousand simulations of each equation up to $t=0.7$ in 500 steps. (The last digit is luck.)

# %%
# NBVAL_CHECK_OUTPUT
for schedule in (vp(), sub_vp(), ve(high=3.0), cosine()):
    x, draw = torch.full((20_000,), 0.8, dtype=torch.float64), runtime.generator(2)
    for i in range(500):
        t, h = (i + 0.5) * 0.0014, 0.0014
        x = x + schedule.drift(t) * x * h + schedule.diffusion(t) * h**0.5 * torch.randn(x.shape, generator=draw, dtype=x.dtype)
    print(f"{schedule.name:7} mean {x.mean():.2f}, formula {0.8 * schedule.alpha(0.7):.2f}   "
          f"standard deviation {x.std():.2f}, formula {schedule.sigma(0.7):.2f}")

# %% [markdown]
# ### One network, three equations
#
# Must each equation have a network of its own? Divide $x_t$ by $\alpha_t$: what is left is $x_0+\rho\,\varepsilon$ with
#
# $$\rho=\sigma_t/\alpha_t .$$
#
# A picture and some noise; the three differ only in *when* they reach which ρ, and in the units in which they write it down. So a denoiser for one serves all: look up the time at which its own schedule has the same ρ, and scale the input. That is a class of the package, and it makes our network, trained under the cosine schedule, a network for VP, sub-VP and VE.

# %%
source(Rescheduled.forward)

# %% [markdown]
# ### Check: another schedule's denoiser, in other units
#
# For the three clouds the denoiser of each schedule is known exactly. The cosine schedule's, moved, must equal it; then the same with the trained network.

# %%
# NBVAL_CHECK_OUTPUT
x = torch.randn(1000, 2, generator=runtime.generator(3), dtype=torch.float64)
for schedule in (vp(), sub_vp(), ve()):
    moved, own = Rescheduled(data.denoiser(cosine()), schedule), data.denoiser(schedule)
    gap = max((moved(x, t).x0 - own(x, t).x0).abs().max().item() for t in (0.05, 0.3, 0.7, 1.0))
    print(f"{schedule.name:7} the denoiser made for the cosine schedule, moved, is its own: {gap < 1e-6}")

# %%
noise, labels = torch.randn(12, 1, 28, 28, generator=runtime.generator(4)), torch.arange(12) % 10
strips = {}
for schedule in (vp(), sub_vp(), ve()):
    moved, start = Clipped(Rescheduled(model, schedule)), noise * schedule.sigma(1.0).item()
    steps = runtime.pick(ci=4, laptop=100, gpu=500)
    strips[schedule.name] = sample(moved, start, euler_maruyama(), steps, labels=labels, generator=runtime.generator(5))
rows(strips, columns=12)

# %% [markdown]
# The same starting noise (times σ at $t=1$), the same fresh noise on the way, three equations. VP and sub-VP nearly agree. VE takes its strides at other noise levels, and ends at somewhat other pictures.
#
# ## The way back
#
# Now the theorem that everything here rests on (Anderson 1982). Think of very many particles. Their density $p_t$ changes for two reasons: $f\,x$ carries them, and noise spreads them. The law for that is the Fokker-Planck equation (in one dimension, $\partial$ for the slope in $x$):
#
# $$\frac{\partial p}{\partial t}=-\partial(f x\,p)+\tfrac12g^2\,\partial\partial p .$$
#
# And now one line of algebra: $\partial p=p\,\partial\log p$, so the spreading term is $\tfrac12g^2\,\partial(p\,s)$ with the score $s$. **Spreading by noise has the same effect on the density as being carried, at the velocity $-\frac12g^2s$.** One may be traded for the other, in any amount. Two trades are famous.
#
# * **Trade all noise for velocity**: the *probability-flow* equation, without any noise. It has the same $p_t$ at every time, and may be walked both ways: $\quad dx=\big(f x-\tfrac12g^2s\big)\,dt.$
# * **Trade twice as much, and add noise again on the way back**: the *reverse* equation. Walking from $t=1$ to 0, $\quad dx=\big(f x-g^2s\big)\,dt+g\,d\bar w.$ Here $dt$ is negative, and $d\bar w$ is fresh noise for the way back: a stride of length $h$ is $x\leftarrow x-h\,(f x-g^2s)+g\sqrt h\,z$. The push of $g^2s$ takes back the spreading twice, the new noise spreads once, and once remains, as it should.
#
# Straight strides along the second are the **Euler-Maruyama** method. Everything is in three lines of the rule:

# %%
source(euler_maruyama)

# %% [markdown]
# ### Check: both ways have the density of the way up
#
# One normal cloud of standard deviation 0.5, from $t=1$ downwards by each equation. Its standard deviation at each time must be $\sqrt{(0.5\,\alpha)^2+\sigma^2}$. (`heun` walks the equation without noise; its rule is explained further down.)

# %%
# NBVAL_CHECK_OUTPUT
cloud, times = GaussianMixture([[0.0]], 0.5).denoiser(vp()), torch.linspace(1, 0, 501).tolist()
start = torch.randn(40_000, 1, generator=runtime.generator(6), dtype=torch.float64)
walks = {"reverse equation": euler_maruyama(), "probability flow": heun()}
spread = {name: [s.x.std().item() for s in trajectory(cloud, start, rule, times, generator=runtime.generator(7))]
          for name, rule in walks.items()}  # fmt: skip
for i in (249, 374, 449, 499):
    t = times[i + 1]
    wanted = math.sqrt(0.25 * vp().alpha(t) ** 2 + vp().variance(t))
    print(f"t = {t:.2f}: " + ", ".join(f"{name} {line[i]:.1f}" for name, line in spread.items()) + f", formula {wanted:.1f}")

# %% [markdown]
# ### Check: DDPM and DDIM are these equations in small steps
#
# One stride from $t=0.5$, its fresh noise left out, ever shorter. Ancestral sampling against Euler-Maruyama, and DDIM against a straight stride along the probability flow. Halve the stride: if two rules walk the same equation, their difference must fall to a quarter; otherwise it falls to a half only. The noise that was left out has a standard deviation of $\sqrt{1-\bar\alpha_t/\bar\alpha_s}$ in DDPM (with $\bar\alpha=\alpha^2$; as an index, $s$ is the time to which the stride goes, not the score) and of $g\sqrt h$ in Euler-Maruyama: their ratio must go to 1. Last, chapter 06's β with a hundred thousand steps in the place of a thousand: what is left of the image must be what the VP equation says.

# %%
# NBVAL_CHECK_OUTPUT
x, before = torch.randn(200, 2, generator=runtime.generator(8), dtype=torch.float64), None
for h in (0.02, 0.01, 0.005):
    here = State(x, 0.5)
    flow = x - h * (vp().drift(0.5) * x - 0.5 * vp().diffusion(0.5) ** 2 * score(exact, x, 0.5))
    ddpm, euler = (rule(exact, here, 0.5 - h, lambda: 0 * x).x for rule in (ancestral("beta"), euler_maruyama()))
    gaps = [(ddpm - euler).abs().mean(), (ddim(0.0)(exact, here, 0.5 - h, None).x - flow).abs().mean()]
    noises = (1 - vp().alpha_bar(0.5) / vp().alpha_bar(0.5 - h)).sqrt() / (vp().diffusion(0.5) * h**0.5)
    if before:
        print(f"stride {h}: difference down by {before[0] / gaps[0]:.1f} (DDPM), {before[1] / gaps[1]:.1f} (DDIM); "
              f"ratio of the noises {noises:.3f}")
    before = gaps
fine = from_betas(torch.linspace(0.1, 20, 100_000, dtype=torch.float64) / 100_000)
print(f"alpha_bar at t = 0.5 of 100,000 betas {fine.alpha_bar(0.5):.4f}, of the VP equation {vp().alpha_bar(0.5):.4f}")

# %% [markdown]
# So DDPM is a way to walk the reverse VP equation, and DDIM to walk its probability flow. They were found by other reasoning, and are better than straight strides, since they treat the part that is linear exactly; but the theory is one.
#
# ## Predictor and corrector
#
# The score offers something more. At a *fixed* time, take small steps uphill with a little noise,
#
# $$x\leftarrow x+\delta\,s(x)+\sqrt{2\delta}\,z ,$$
#
# again and again: particles from anywhere end up distributed as $p_t$. This is **Langevin dynamics**, a method of physics that is older than any of these models. So after each stride of the *predictor* one may take Langevin steps, the *corrector*, at the new time. The predictor knows how densities change; the corrector knows where the density should be, and pulls back what has gone astray. How large δ should be, Song et al. say by a ratio $r$ of signal to noise: the length of the push over that of the noise,
#
# $$\delta=2\left(r\,\frac{\lVert z\rVert}{\lVert s\rVert}\right)^2 .$$
#
# (In the code δ has one more factor, $(\alpha_t/\alpha_s)^2$, as in their algorithm 5 for VP. It is 1 for VE and near 1 for short strides.)

# %%
source(predictor_corrector)

# %% [markdown]
# ### Check: Langevin steps find the density from anywhere
#
# All particles start at the same wrong place, at $t=0.5$, and take corrector steps alone. How they are told apart from exact samples is explained below the cell.

# %%
# NBVAL_CHECK_OUTPUT
def stay(denoise, state, s, noise):
    """A predictor that does nothing."""
    return State(state.x, s)


x, draw = torch.full((800, 2), 2.0, dtype=torch.float64), runtime.generator(9)
rule = predictor_corrector(0.15, predictor=stay)
truth = vp().alpha(0.5) * data.sample(800, draw)[0] + vp().sigma(0.5) * torch.randn(800, 2, generator=draw, dtype=torch.float64)
for steps in (0, 10, 300):
    for _ in range(steps):
        x = rule(exact, State(x, 0.5), 0.5, lambda: torch.randn(x.shape, generator=draw, dtype=x.dtype)).x
    print(f"after {steps:3} more steps: told apart from exact samples: {two_sample_test(x, truth, generator=runtime.generator(10)) < 0.01}")

# %% [markdown]
# The judge is a **two-sample test**. The *energy distance* $2\,\mathbb E|a-b|-\mathbb E|a-a'|-\mathbb E|b-b'|$ is zero only if $a$ and $b$ have the same distribution; for two finite sets it is never quite zero. So shuffle all points into two new sets, many times, and see how often their distance is as large as the one found: that share is the p-value. Here a p-value below 0.01 counts as told apart.
#
# ## All samplers on one problem
#
# Our three clouds, 2,000 particles, the VP and the VE equation. On the horizontal axis is the price, calls of the denoiser; on the vertical axis the energy distance from exact samples, the mean over a few starts (three on a laptop). The dotted line is what exact samples score on average, against other exact samples: near it and below, differences are luck. (DDIM and DPM-Solver++ are those of chapter 07; Heun's method and the corrector pay two calls for each stride, and so take half as many.)

# %%
def floor_of(mixture, truth):
    """The energy distance of fresh exact samples from `truth`, the mean of ten."""
    return sum(energy_distance(mixture.sample(len(truth), runtime.generator(11, i))[0], truth) for i in range(10)) / 10


count, seeds = runtime.pick(ci=(200, (12,)), laptop=(2000, (12, 13, 14)), gpu=(2000, (12, 13, 14, 15, 16)))
truth = data.sample(count, runtime.generator(11, 99))[0]
RULES = {"Euler-Maruyama": (euler_maruyama(), 1), "predictor-corrector": (predictor_corrector(0.16), 2), "ancestral (DDIM, η = 1)": (ddim(1.0), 1),
         "DDIM": (ddim(), 1), "Heun": (heun(), 2), "DPM-Solver++": (dpm(), 1)}  # fmt: skip


def distance(schedule, rule, steps, mixture=data, truth=truth):
    """The energy distance, from exact samples, of what a rule makes of the schedule's noise: the mean over `seeds`."""
    found = 0.0
    for seed in seeds:
        start = torch.randn(len(truth), 2, generator=runtime.generator(seed), dtype=torch.float64) * schedule.sigma(1.0)
        drawn = sample(mixture.denoiser(schedule), start, rule, steps, generator=runtime.generator(seed, 1))
        found += energy_distance(drawn, truth) / len(seeds)
    return found


# %%
calls = runtime.pick(ci=(4, 8), laptop=(10, 20, 50, 100, 200, 500, 1000), gpu=(10, 20, 50, 100, 200, 500, 1000))
figure, panels = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained", sharey=True)
for axes, schedule in zip(panels, (vp(), ve())):
    lines = {name: [distance(schedule, rule, n // price) for n in calls] for name, (rule, price) in RULES.items()}
    curves(calls, lines, "calls of the denoiser", "energy distance", schedule.name, axes, log="xy", marker="o")
    axes.axhline(floor_of(data, truth), color="black", ls=":")
    axes.get_legend().set_visible(axes is panels[0])
panels[0].set_ylim(1e-4, 3)
plt.show()

# %% [markdown]
# Read it from the left. With ten calls DPM-Solver++ and DDIM are ahead, and DDIM with η = 1 is close behind (with twenty, too); under VE DPM-Solver++ is well ahead of both. Heun's method is of second order, but at so few strides it does not earn back its second call. Euler-Maruyama in long strides misses (under VP up to twenty calls, under VE at ten), and spending half of the calls on corrections makes it worse here, since the strides become twice as long (under VE at ten calls it leaves the picture). From two hundred calls on all lines are about the dotted one, and what is left is luck: the deterministic rules have all the same luck, that of their common starting noises, and the stochastic ones roll their dice again at each number of steps. (Euler-Maruyama and η = 1 roll the same dice, and with many steps walk the same way: the blue line then lies under the green one.)
#
# Do they really arrive? At 1,000 calls (the adaptive solver chooses its own number), the test, each rule with noise of its own and against exact samples of its own:

# %%
for schedule in (vp(), sub_vp(), ve()):
    found = {}
    for i, (name, (rule, price)) in enumerate({**RULES, "adaptive ODE": (ode(), 1)}.items()):
        start = torch.randn(count, 2, generator=runtime.generator(13, i), dtype=torch.float64) * schedule.sigma(1.0)
        steps = 1 if name == "adaptive ODE" else runtime.pick(ci=20, laptop=1000, gpu=1000) // price
        drawn = sample(data.denoiser(schedule), start, rule, steps, generator=runtime.generator(14, i))
        found[name] = two_sample_test(drawn, data.sample(count, runtime.generator(15, i))[0], generator=runtime.generator(16, i))
    print(f"{schedule.name:7} p-values: " + ", ".join(f"{name} {p:.2f}" for name, p in found.items()))

# %% [markdown]
# The mark that was set above is 0.01: which rules are told apart? (Of many such numbers one in a hundred is below it by chance alone.) The last four numbers are the same in all three lines, and no accident: these rules put no noise in, every line starts them from the same noise and compares them with the same exact samples, and the probability flow of VP, sub-VP and VE is one and the same, as we shall see.
#
# ### Where the corrector pays
#
# If correcting costs calls, and calls are better spent on short strides, why correct? Because strides can only be as good as what they start from. Take a VE equation that ends too early, at σ = 1.5, for two clouds that are 2.5 apart and of unequal weight, 20 to 80. Its true $p_1$ is neither round nor centred at zero; but we start from round noise around zero, as always. The predictor faithfully carries the mistake along: **too many particles reach the small cloud, and no number of strides mends it.** The corrector knows better at every time. At equal calls (dotted: exact samples, as before):

# %%
pair, short = GaussianMixture([[-1.2, -0.4], [1.2, 0.4]], [0.25, 0.15], [0.2, 0.8]), ve(high=1.5)
exact_pair = pair.sample(count, runtime.generator(16))[0]
calls = runtime.pick(ci=(4, 8), laptop=(10, 20, 40, 80, 160, 320), gpu=(10, 20, 40, 80, 160, 320, 640))
lines = {name: [distance(short, rule, n // price, pair, exact_pair) for n in calls]
         for name, rule, price in (("predictor alone", euler_maruyama(), 1), ("r = 0.1", predictor_corrector(0.1), 2),
                                   ("r = 0.3", predictor_corrector(0.3), 2), ("r = 0.5", predictor_corrector(0.5), 2))}  # fmt: skip
axes = curves(calls, lines, "calls of the denoiser", "energy distance", "VE that ends too early", log="xy", marker="o")
axes.set_ylim(bottom=1e-3)
axes.axhline(floor_of(pair, exact_pair), color="black", ls=":")
plt.show()

# %% [markdown]
# The predictor's line is flat: it has converged, to the wrong answer. The corrected lines start higher (long strides) and from forty calls on lie below it: at first the further the stronger the correction; with many calls a middle strength is as good or better. On pictures Song et al. (2021, table 1) found one correction a stride better than twice as many strides: clearly for VE, hardly for VP.
#
# ### The slider
#
# The same problem. With **strength** (the ratio $r$) 0 count the red points in the lower left cloud against the black ones; then raise the strength, and watch the energy distance. At few **steps** nothing helps. Past a strength of 0.5 the steps are so large that the clouds themselves get wider.

# %%
corrected = CorrectorView(pair, short)
corrector_sliders(corrected)

# %% [markdown]
# The same knob as a strip, at 50 steps (black: exact samples, red: drawn):

# %%
figure, panels = plt.subplots(1, 4, figsize=(12, 3.3), layout="constrained")
for axes, snr in zip(panels, (0.0, 0.1, 0.3, 0.6)):
    drawn = corrected.samples(50, snr)
    points(axes, corrected.exact, drawn)
    left = (drawn[:, 0] < 0).double().mean()
    axes.set(title=f"r = {snr:g}: {left:.0%} on the left (20% is right)", xticks=[], yticks=[], xlim=(-2.2, 2.2), ylim=(-1.6, 1.6))
    axes.title.set_fontsize(9)
plt.show()

# %% [markdown]
# ## Training, live
#
# A score network from nothing, for data that no formula describes: points along a spiral. A denoiser like any other, trained by the task of chapter 06; the network is a small stack of layers that sees the point and the time.

# %%
class PlaneNetwork(torch.nn.Module):
    """Points (B, 2) and times (B,) to a prediction (B, 2)."""

    def __init__(self, width=128):
        super().__init__()
        widths = [2 + 16, width, width, width, 2]
        layers = [part for a, b in zip(widths, widths[1:]) for part in (torch.nn.Linear(a, b), torch.nn.SiLU())]
        self.layers = torch.nn.Sequential(*layers[:-1])

    def forward(self, x, t, labels=None):
        angles = t[:, None] * torch.pi * 2.0 ** torch.arange(-1, 7, device=t.device)  # (B, 8)
        return self.layers(torch.cat([x, angles.sin(), angles.cos()], 1))


def spiral(count, *seeds):
    """Points (count, 2) along a spiral of one and a half turns, a little off it."""
    draw = runtime.generator(*seeds)
    turn = 3 * torch.pi * torch.rand(count, 1, generator=draw).sqrt()
    return 1.6 * turn / (3 * torch.pi) * torch.cat([turn.cos(), turn.sin()], 1) + 0.04 * torch.randn(count, 2, generator=draw)


# %%
learned = Denoiser(PlaneNetwork(), vp(), predicts="v")
steps = runtime.pick(ci=20, laptop=6000, gpu=20_000)
looks, panels_of = [max(1, steps * part // 100) for part in (1, 5, 20, 100)], {}
ema = Ema(learned, 0.995)
task = DiffusionTask(learned, lr=2e-3)
for step in fit(task, lambda step: spiral(512, 18, step), steps, lr_schedule=warmup_cosine(steps), ema=ema, plan=runtime.Plan()):
    if step.number in looks:
        start = torch.randn(1000, 2, generator=runtime.generator(19)).to(runtime.device())
        panels_of[step.number] = sample(ema.average, start, euler_maruyama(), 200, generator=runtime.generator(20)).cpu()
learned = ema.average.cpu().eval().requires_grad_(False)  # two numbers at a time are no work for a GPU

# %%
figure, panels = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained")
for axes, (number, drawn) in zip(panels, panels_of.items()):
    points(axes, spiral(1000, 21), drawn)
    axes.set(title=f"step {number}", xticks=[], yticks=[], xlim=(-2, 2), ylim=(-2, 2), aspect="equal")
plt.show()

# %% [markdown]
# Black: data. Red: what the network draws with 200 strides of Euler-Maruyama, after more and more steps of training. First it finds where the data are on the whole, and then, from the outside inwards, the thread; the inner end, where the thread bends most sharply, comes last, and even at the end of this short training it is not there yet. And its field, at four noise levels (blue: the data, times α):

# %%
figure, panels = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained")
places = lattice(1.9, 19)
for axes, t in zip(panels, (0.6, 0.25, 0.1, 0.03)):
    points(axes, vp().alpha(t).float() * spiral(600, 22), colours=("C0",))
    pull = score(learned, places, t)
    arrows(axes, places, pull / pull.norm(dim=1, keepdim=True).clamp(min=1e-6) ** 0.5, length=0.35)
    axes.set(title=f"t = {t:g}, σ = {vp().sigma(t):.2f}", xticks=[], yticks=[], xlim=(-2.1, 2.1), ylim=(-2.1, 2.1), aspect="equal")
plt.show()

# %% [markdown]
# (The lengths are drawn as square roots, or only the outermost arrows could be seen.) With much noise there is one place to go to. With little, arrows on both sides of the thread point at it, and between two turns there is a valley of the density from which they part.
#
# ## The probability flow, straightened
#
# Back to the equation without noise, $dx=(f x-\frac12g^2s)\,dt$. (A dot is the slope in $t$; and $\varepsilon$ from here on is the denoiser's guess, which chapters 06 and 07 called $\hat\varepsilon$: a function of the place and the time.) In the variables $u=x/\alpha$ and $\rho=\sigma/\alpha$, which made one network serve all equations, it becomes as simple as can be. From $\sigma=\alpha\rho$ and $\dot\alpha=f\alpha$ comes $\frac{d}{dt}\sigma^2=2f\sigma^2+2\alpha\sigma\dot\rho$, so $g^2=2\alpha\sigma\dot\rho$. And $\dot x=f x+\alpha\dot u$, so $\alpha\dot u=-\frac12g^2s=\frac12g^2\,\varepsilon/\sigma=\alpha\dot\rho\,\varepsilon$:
#
# $$\boxed{\;\frac{du}{d\rho}=\varepsilon\;}$$
#
# *The noise is the slope.* Three things follow. VP, sub-VP and VE have **the same** probability flow, written in other units. **DDIM is Euler's method** for it: $u_s=u_t+(\rho_s-\rho_t)\,\varepsilon$. And every method for ordinary equations may be used. Heun's takes a stride, looks at the slope there too, and goes by the mean of both (Karras et al. 2022); an adaptive solver compares a fifth-order guess with a fourth-order one to see how far it may go.
#
# ### Check: the two forms are one, and DDIM is Euler
#
# The slope $dx/dt$ from $f$, $g$ and the score, against that from $x=\alpha\,u$ and the rule of the product, $\dot\alpha\,u+\alpha\,\varepsilon\,\dot\rho$.

# %%
# NBVAL_CHECK_OUTPUT
x, t = torch.randn(5, 2, generator=runtime.generator(23), dtype=torch.float64), 0.4
for schedule in (vp(), sub_vp(), ve()):
    exact = data.denoiser(schedule)
    first = schedule.drift(t) * x - 0.5 * schedule.diffusion(t) ** 2 * score(exact, x, t)
    a, s, h = schedule.alpha(t), schedule.sigma(t), 1e-5
    rho_dot = (schedule.sigma(t + h) / schedule.alpha(t + h) - schedule.sigma(t - h) / schedule.alpha(t - h)) / (2 * h)
    second = schedule.drift(t) * x + a * exact(x, t).eps * rho_dot
    stride = schedule.sigma(0.3) / schedule.alpha(0.3) - s / a
    euler = schedule.alpha(0.3) * (x / a + stride * exact(x, t).eps)
    print(f"{schedule.name:7} same slope: {torch.allclose(first, second, rtol=1e-5)}; "
          f"DDIM is Euler in rho: {torch.allclose(ddim()(exact, State(x, t), 0.3, None).x, euler)}")

# %%
starts = 3 * torch.randn(24, 2, generator=runtime.generator(24), dtype=torch.float64)  # u, at rho = 3
figure, panels = plt.subplots(1, 3, figsize=(11, 3.7), layout="constrained")
for axes, schedule in zip(panels, (vp(), sub_vp(), ve())):
    first = schedule.time_at(-2 * math.log(3.0)).item()
    times = torch.linspace(first, 0, 60, dtype=torch.float64).tolist()
    walk = [starts * schedule.alpha(first), *(s.x for s in trajectory(data.denoiser(schedule), starts * schedule.alpha(first), heun(), times))]
    axes.plot(*torch.stack(walk).permute(2, 0, 1), color="C0", lw=0.7)
    points(axes, walk[0], walk[-1])
    reach = 1.08 * torch.stack(walk).abs().max().item()
    axes.set(title=schedule.name, xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
plt.show()

# %% [markdown]
# The same 24 noises (black, taken up at ρ = 3) and the curves that lead to data (red). Mind the axes: in VE the noise is far out, and the ways are nearly straight until they are among the data; in the other two it is scaled down, and they bend. The red ends are the same points in all three.
#
# ## How likely is a picture?
#
# Samplers draw, and never say how *probable* what they drew is; a GAN cannot say it at all, and a VAE only gives a bound. The probability flow can say it exactly. It moves every point of space along smooth curves, and no two points are ever at one place at one time, so it carries the density along as a river carries a dye: where the flow spreads apart, the dye gets thinner. How fast, the divergence says:
#
# $$\log p_0(x)=\log p_1\big(u_1\big)+\int_0^{\rho_1}\operatorname{div}\varepsilon\;d\rho ,$$
#
# with $u_1$ the noise that $x$ flows to, $p_1$ here the density of $u$ at the end, taken as normal with standard deviation $\rho_1$, and $\operatorname{div}\varepsilon=\sum_i\partial\varepsilon_i/\partial u_i$, the trace of the Jacobian $J=\partial\varepsilon/\partial u$. In two dimensions the divergence is two derivatives. For a picture of 784 pixels it would be 784 backward passes at each step. Hutchinson's trick: for a vector $v$ of random signs, $\mathbb E[v^\top Jv]=\operatorname{tr}J$, and $v^\top J$ is *one* backward pass.

# %%
source(log_likelihood)

# %% [markdown]
# ### Check: the exact density, and a trace from random signs

# %%
# NBVAL_CHECK_OUTPUT
x = torch.tensor([[-1.2, 0.6], [1.0, 0.3], [0.0, -0.9], [0.0, 0.0]], dtype=torch.float64)
true = data.log_prob(x).logsumexp(1)
for schedule in (vp(), sub_vp(), cosine()):
    found = log_likelihood(data.denoiser(schedule), x, probes=None, rtol=1e-5, atol=1e-5)
    print(f"{schedule.name:7} log p {[f'{v:.1f}' for v in found]}, exact {[f'{v:.1f}' for v in true]}; "
          f"density within 1%: {((found - true).abs() < 0.01).all().item()}")
J, signs = torch.randn(50, 50, generator=runtime.generator(25)), torch.randint(0, 2, (100_000, 50), generator=runtime.generator(26)) * 2.0 - 1
print(f"trace {J.trace():.1f}, by random signs {torch.einsum('ni,ij,nj->n', signs, J, signs).mean():.1f}")

# %% [markdown]
# The density of the spiral, as our little network has learned it. Nobody ever gave it one; it saw noisy points, and learned to take the noise off. What its samples missed is missing here as well: the outer turn is sharp, the inner end a smear.

# %%
side = runtime.pick(ci=8, laptop=120, gpu=160)
density = log_likelihood(learned, lattice(2.0, side), probes=None, rtol=1e-3, atol=1e-3).exp().view(side, side)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
left.imshow(density.sqrt(), origin="lower", extent=(-2, 2, -2, 2), cmap="Blues", interpolation="bilinear")
points(right, spiral(3000, 27))
for axes, title in ((left, "learned density (square root)"), (right, "data")):
    axes.set(title=title, xticks=[], yticks=[], xlim=(-2, 2), ylim=(-2, 2), aspect="equal")
plt.show()
print(f"its sum over the square: {density.sum() * (4 / (side - 1)) ** 2:.2f} (a density's is 1)")

# %% [markdown]
# ### Pictures
#
# For pictures one speaks of **bits per dimension**: how many bits a perfect code built on the model needs for each pixel, $-\log_2p(x)/784+\log_2127.5$, where the last term is there because a grey level is a bin of width $1/127.5$ in $[-1,1]$. A pixel has 8 bits; a model that knows nothing needs 8. (A picture of whole grey levels has no density; each level is spread over its bin first, which is called dequantisation.) Clothes from the test set, and pictures that are none:

# %%
count = runtime.pick(ci=1, laptop=8, gpu=16)
clothes, draw = fashion_mnist("test").images[:count], runtime.generator(28)
shuffled = clothes.flatten(2)[..., torch.randperm(784, generator=draw)].view_as(clothes)
kinds = {"test clothes": clothes, "mirrored": clothes.flip(3), "upside down": clothes.flip(2), "pixels shuffled": shuffled,
         "noise": torch.rand(clothes.shape, generator=draw) * 2 - 1, "flat grey": torch.zeros_like(clothes),
         "black": torch.full_like(clothes, -1.0)}  # fmt: skip
tolerance = runtime.pick(ci=0.1, laptop=1e-3, gpu=1e-3)
log_p = log_likelihood(model, dequantise(torch.cat(list(kinds.values()))), rtol=tolerance, atol=tolerance)  # all at once
bits = dict(zip(kinds, bits_per_dimension(log_p, 784).split(count)))
display(rows({f"{name}\n{bits[name].mean():.2f} bits": images[:8] for name, images in kinds.items()}, columns=8, zoom=1.6, label_width=130))

# %% [markdown]
# Fewer bits: likelier. (A few pictures each, and a trace from one random vector: look at the large differences only.) Noise needs more than the 8 bits of no knowledge at all: the model is *surprised*. Shuffled pixels, which have all the right greys, are far from likely, so it is not the greys that count. Upside down costs little: much of what the model knows is about smooth areas and edges, which are as good upside down.
#
# And the last row: a black picture is likelier than these clothes, by far, and no sampler will ever draw it. Both are true. **A density is high at a point; what is drawn are volumes**, and clothes fill an immense volume more. Do not use the likelihood to find out whether a picture is a good one.
#
# ## Common mistakes
#
# ### Common mistake 1: the noise is forgotten, or the half
#
# The two ways back differ in a factor: $g^2s$ with noise, $\frac12g^2s$ without. To take the first without its noise (because samples "look cleaner") pulls uphill twice as hard as it should. To take the second and add noise pushes too little. Both run without complaint.

# %%
def way_back(share, noisy):
    """A rule that moves by `share` of g² times the score, with noise or none."""
    def rule(denoise, state, s, noise):
        f, g, h = denoise.schedule.drift(state.t).item(), denoise.schedule.diffusion(state.t).item(), state.t - s
        pull = -denoise(state.x, state.t).eps / denoise.schedule.sigma(state.t)
        x = state.x - h * (f * state.x - share * g**2 * pull)
        return State(x + g * h**0.5 * noise() if noisy and s > 0 else x, s)

    return rule


start = torch.randn(1500, 2, generator=runtime.generator(29), dtype=torch.float64)
wrong = {"g², noise: right": (1.0, True), "g²/2, no noise: right": (0.5, False), "g², no noise": (1.0, False), "g²/2, noise": (0.5, True)}
figure, panels = plt.subplots(1, 4, figsize=(12, 3.3), layout="constrained")
for axes, (name, how) in zip(panels, wrong.items()):
    drawn = sample(data.denoiser(vp()), start, way_back(*how), runtime.pick(ci=10, laptop=500, gpu=500), generator=runtime.generator(30))
    points(axes, data.sample(1500, runtime.generator(31))[0], drawn)
    axes.set(title=f"{name}\nenergy distance {energy_distance(drawn, data.sample(1500, runtime.generator(31))[0]):.3f}",
             xticks=[], yticks=[], xlim=(-2.2, 2.2), ylim=(-2.2, 2.2))  # fmt: skip
plt.show()

# %% [markdown]
# Black: data. Red: drawn. Third panel: everything has collapsed into a single point (look closely), for already near $t=1$ nothing keeps the cloud from shrinking. Fourth: far too wide.
#
# ### Common mistake 2: the noise is taken for the score
#
# The network gives ε, and while there is much noise σ is near 1, so one may forget to divide by it for quite a while. On pictures: the right rule, and the one with $-\varepsilon$ in the place of $-\varepsilon/\sigma$.

# %%
class Unscaled(torch.nn.Module):
    """The denoiser, with eps times sigma, so that a rule which divides by sigma is left with -eps for its score."""

    def __init__(self, denoiser):
        super().__init__()
        self.denoiser, self.schedule, self.classes = denoiser, denoiser.schedule, denoiser.classes

    def forward(self, x, t, labels=None):
        found = self.denoiser(x, t, labels)
        return found._replace(eps=found.eps * self.schedule.levels(t, x)[1])


steps = runtime.pick(ci=4, laptop=100, gpu=100)
rows({name: sample(denoiser, noise, euler_maruyama(), steps, labels=labels, generator=runtime.generator(32))
      for name, denoiser in (("-ε / σ", Clipped(model)), ("-ε", Unscaled(Clipped(model))))}, columns=12)  # fmt: skip

# %% [markdown]
# Shapes appear, for they are decided while σ is near 1. But where the last of the noise should go, σ is small and the push is too weak by that factor: the pictures stay grainy.
#
# ### Common mistake 3: VE started from noise of size 1
#
# `torch.randn` is the start of VP. VE ends with σ = 50, and the network is told so: fifty times more noise than there is.

# %%
moved, steps = Clipped(Rescheduled(model, ve())), runtime.pick(ci=4, laptop=100, gpu=100)
rows({f"{name}\nfrom {size}": sample(moved, start, rule, steps, labels=labels, generator=runtime.generator(33))
      for name, rule in (("reverse", euler_maruyama()), ("flow", ddim()))
      for size, start in (("50 z", noise * ve().sigma(1.0).item()), ("z", noise))}, columns=12)  # fmt: skip

# %% [markdown]
# The reverse equation hardly minds: it adds so much noise of its own on the way that it forgets where it began. (Above, where VE ended at σ = 1.5, it could not: there the clouds are decided almost at once, before much is forgotten.) The probability flow forgets nothing. From the wrong start every noise is a fiftieth of what it should be, all of them look the same to the network, and each class has one picture, its dullest.
#
# ## Exercises
#
# Write your line where the dots are; run the cell; it says right or not yet. Solutions stand at the very end, folded away in JupyterLab.
#
# **Exercise 1.** $g^2$ of the sub-VP equation, from β and the integral of β up to now, $B$. (Its σ is $1-e^{-B}$, and $f=-\beta/2$.)

# %%
from v101_utils.exercises import check


def g_squared(beta, B):  # (N,), (N,) -> (N,)
    ...


beta, B = torch.tensor([0.1, 5.0, 20.0], dtype=torch.float64), torch.tensor([0.01, 1.0, 10.0], dtype=torch.float64)
check(g_squared, beta, B)

# %% [markdown]
# **Exercise 2.** One Langevin step: x, its score and normal numbers z, all (B, D), and the ratio $r$ (lengths are means over the batch, so that one δ serves all rows).

# %%
def langevin(x, pull, z, r):  # (B, D) three times, a number -> (B, D)
    ...


step = *torch.randn(3, 6, 2, generator=runtime.generator(34), dtype=torch.float64), torch.tensor(0.16)
check(langevin, *step)

# %% [markdown]
# **Exercise 3.** One step of Heun's method for $du/d\rho=\varepsilon$: from `rho` to `to`. `slope` is given to you as a function of `u` and `rho` that stands for $\varepsilon$: call it as often as you need.

# %%
def slope(u, rho):
    return torch.sin(u) * rho


def heun_step(slope, u, rho, to):  # a function, (B, D), two numbers -> (B, D)
    ...


walked = slope, torch.randn(5, 2, generator=runtime.generator(35), dtype=torch.float64), torch.tensor(2.0), torch.tensor(1.5)
check(heun_step, *walked)

# %% [markdown]
# ## Summary
#
# * The score $\nabla\log p_t$ points towards the data, and a denoiser knows it: $s=-\varepsilon/\sigma$.
# * A schedule is a stochastic equation. VP, sub-VP and VE are one process in three units, and one network serves all.
# * Noise may be traded for velocity: the reverse equation ($g^2s$ and noise), or the probability flow ($\frac12g^2s$ and none). DDPM and DDIM are discretisations of the two.
# * A corrector spends calls on being in the right place. It pays where particles have gone astray, as from a wrong start; where strides are merely long, shorter ones are the better buy.
# * In $u=x/\alpha$ and $\rho=\sigma/\alpha$ the flow is $du/d\rho=\varepsilon$. Along it the density can be computed: exact likelihoods, which say how high the density is at a picture, and neither what will be drawn nor what is good.
#
# ## References
#
# * Anderson. *Reverse-time diffusion equation models.* Stochastic Processes and their Applications, 1982.
# * Hutchinson. *A stochastic estimator of the trace of the influence matrix for Laplacian smoothing splines.* Communications in Statistics, 1989.
# * Vincent. *A Connection Between Score Matching and Denoising Autoencoders.* Neural Computation, 2011.
# * Székely, Rizzo. *Testing for Equal Distributions in High Dimension.* InterStat, 2004.
# * Efron. *Tweedie's Formula and Selection Bias.* Journal of the American Statistical Association, 2011.
# * Song, Ermon. *Generative Modeling by Estimating Gradients of the Data Distribution.* NeurIPS 2019.
# * Song, Sohl-Dickstein, Kingma, Kumar, Ermon, Poole. *Score-Based Generative Modeling through Stochastic Differential Equations.* ICLR 2021.
# * Karras, Aittala, Aila, Laine. *Elucidating the Design Space of Diffusion-Based Generative Models.* NeurIPS 2022.
#
# ## Solutions

# %% jupyter={"source_hidden": true} tags=["solution"]
# NBVAL_CHECK_OUTPUT
def g_squared(beta, B):
    return beta * (1 - torch.exp(-2 * B))


def langevin(x, pull, z, r):
    delta = 2 * (r * z.norm(dim=1).mean() / pull.norm(dim=1).mean()) ** 2
    return x + delta * pull + torch.sqrt(2 * delta) * z


def heun_step(slope, u, rho, to):
    first = slope(u, rho)
    second = slope(u + (to - rho) * first, to)
    return u + (to - rho) * (first + second) / 2


check(g_squared, beta, B)
check(langevin, *step)
check(heun_step, *walked)
