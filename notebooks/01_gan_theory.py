# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 · The game: GAN theory
#
# Watch two networks play against each other in the plane, where every move can be drawn: see one of them learn eight clouds of points that it
# has never been shown, see the game turn in circles, collapse, and be brought to rest.
#
# <!-- Colab badge: stamped once the repository's address is set -->
#
# It needs PyTorch's basics (a module, an optimiser, autograd) and densities, and no other chapter; chapters 02 to 05 build on it. How long it takes
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
import math

import matplotlib.pyplot as plt
import torch
from torch.nn import functional as F

from v101_utils import runtime
from v101_utils.data.ring import Ring
from v101_utils.gans import R1, AdversarialTask, Clip, Constraint, GradientPenalty, SpectralNorm, objective
from v101_utils.gans.dirac import DiracGame
from v101_utils.gans.points import RING_STEPS, mlp, ring_task, train_points
from v101_utils.metrics.divergences import jensen_shannon, kl_divergence, log_gaussian, wasserstein
from v101_utils.metrics.modes import mode_coverage
from v101_utils.view import curves, source, use_style
from v101_utils.view.plane import arrows, lattice, points, surface

runtime.set_up(seed=0)
use_style()
here = runtime.device()

# %% [markdown]
# ## The picture first
#
# Black: the data, eight small clouds on a ring (each is a *mode* of the data). Red: what a generator makes of random numbers. It never sees a black point. All that it is ever told
# is which way to move each of its own points so as to fool a second network, which is trying to tell red from black. The colour is what that second network
# believes (green: "data here", purple: "fake here"); an arrow is what it tells the point that it starts from (drawn for forty of the four hundred). A short training, at four moments:

# %%
ring = Ring()


def felt(task, places):  # (N, 2) -> (N, 2)
    """Where the generator's loss pushes each generated point: minus its gradient at the point."""
    places = places.to(here).detach().requires_grad_()
    loss = task.objective.generator(task.score(places)) * len(places)
    return -torch.autograd.grad(loss, places)[0].cpu()


def plane(axes, task, generator, title):
    """The discriminator's belief as colours, data, generated points, and what forty of them feel."""
    surface(axes, lambda x: task.score(x.to(here)).sigmoid().cpu(), limits=(0, 1), colours="PRGn")
    fake = generator.sample(400, seed=1).cpu()
    points(axes, ring.sample(400, 1), fake)
    arrows(axes, fake[:40], felt(task, fake[:40]), length=0.4)
    axes.set_title(title)


# %%
task, look = ring_task(seed=0), runtime.pick(ci=(1, 5, 10, 20), laptop=(1, 60, 150, 500), gpu=(1, 60, 150, 500))
figure, panels = plt.subplots(1, 4, figsize=(11, 2.9))
for step, average in train_points(task, ring.batches(256), look[-1]):
    if step.number in look:
        plane(panels[look.index(step.number)], task, average, f"step {step.number}")
plt.show()

# %% [markdown]
# Compare the arrows first. (Most points have none drawn. In each picture the longest is drawn equally long; only their directions and their lengths beside each other count.) At step 1 all points are told nearly the same, to leave together. At step 500 those on a cloud are hardly
# pushed, and those between two clouds are. Then the colours: they go after the points. Inside the ring the generator has put points where there are no data, and purple grows there.
#
# ## The game
#
# Two players (Goodfellow et al., 2014). The **generator** $G$ turns a *latent* $z$, a few random normal numbers, into a sample $G(z)$. The **discriminator** $D$ gets a sample and says how probable it
# is that it came from the data. Write $p$ for the density of the data and $q$ for that of the fakes, which nobody can compute, but from which we can draw. The discriminator wants a high value of
#
# $$V(D,G)=\mathbb E_{x\sim p}\log D(x)+\mathbb E_{x\sim q}\log\bigl(1-D(x)\bigr),$$
#
# that is, to say "data" of data and "fake" of fakes. The generator wants $V$ low. One maximises, the other minimises, and each moves on ground that the other is moving: this is why a GAN's training is unlike
# any other in this collection. There is no loss that goes down and down; there is a balance to be found.
#
# ### The best discriminator
#
# Hold $G$ still. At one place $x$ the discriminator earns $p(x)\log D+q(x)\log(1-D)$. Set the derivative with respect to $D$ to zero, $p/D=q/(1-D)$, and find
#
# $$D^*(x)=\frac{p(x)}{p(x)+q(x)}.$$
#
# So the best discriminator knows the *ratio* of the two densities. That is the trick of the whole method: two densities that nobody could write down are compared by a classifier, which needs only samples.
#
# Networks here give a **score** $s(x)$, any real number, also called the *logit* (the "score" of chapter 10 is another thing, a gradient), and $D=\sigma(s)$ with the sigmoid $\sigma(s)=1/(1+e^{-s})$. The best score is then simply $s^*=\log p-\log q$.
#
# ### Check: the best discriminator
#
# Data $\mathcal N(0,1)$, fakes $\mathcal N(1.5,0.7^2)$. The difference of two Gaussian log densities is a parabola, so let the score be $a+bx+cx^2$ and *maximise $V$* over $a$, $b$ and $c$, with the integrals on a grid. Nobody tells the optimiser of the formula.

# %%
# NBVAL_CHECK_OUTPUT
x = torch.linspace(-10, 12, 8001, dtype=torch.float64)
dx, log_p, log_q = float(x[1] - x[0]), log_gaussian(x, 0.0, 1.0), log_gaussian(x, 1.5, 0.7)
powers = torch.stack([x**0, x, x**2])  # (3, N)
found = torch.zeros(3, dtype=torch.float64, requires_grad=True)
optimiser = torch.optim.LBFGS([found], max_iter=500, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe")


def minus_value():
    """-V, by softplus: -log D = softplus(-s) and -log(1 - D) = softplus(s)."""
    optimiser.zero_grad()
    loss = ((log_p.exp() * F.softplus(-found @ powers) + log_q.exp() * F.softplus(found @ powers)) * dx).sum()
    loss.backward()
    return loss


optimiser.step(minus_value)
closed = [math.log(0.7) + 1.5**2 / (2 * 0.7**2), -1.5 / 0.7**2, 1 / (2 * 0.7**2) - 1 / 2]  # log p - log q, by powers of x
print("a, b, c that maximise V:", *[f"{value:.3f}" for value in found.tolist()])
print("a, b, c of log p - log q:", *[f"{value:.3f}" for value in closed])

# %% [markdown]
# And a real discriminator, a small network that knows neither density, only samples? The loss that it minimises is $-V$, with means over a batch for the expectations. Look at where it agrees with $p/(p+q)$, and where it has no way of knowing.

# %%
torch.manual_seed(0)
score = mlp(1, 1, hidden=64, depth=2)
optimiser = torch.optim.Adam(score.parameters(), 3e-3)
for _ in range(runtime.pick(ci=20, laptop=1500, gpu=1500)):
    real, fake = torch.randn(256, 1), 1.5 + 0.7 * torch.randn(256, 1)
    loss = objective("minimax").discriminator(score(real)[:, 0], score(fake)[:, 0])
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

# %%
near = (x > -4) & (x < 6)
with torch.no_grad():
    learnt = score(x[near, None].float())[:, 0].sigmoid()
axes = curves(x[near], {"p/(p+q)": (log_p - log_q).sigmoid()[near], "a network's D": learnt}, "x", "probability of data")
axes.fill_between(x[near], log_p.exp()[near], color="black", alpha=0.15, lw=0)
axes.fill_between(x[near], log_q.exp()[near], color="crimson", alpha=0.15, lw=0)
axes.set_title("shaded: the densities of data (grey) and fakes (red)")
plt.show()

# %% [markdown]
# Where there are samples they agree. Look at the far right: the formula turns round and rises, since the data are the wider of the two, and a sample out there is more likely to be one of them. The network knows nothing of it. Hardly a sample
# ever came from there, so its answer costs it nothing. A discriminator is a good judge only of what it has seen.
#
# ### What the generator then plays for
#
# Put $D^*$ into $V$, with $m=(p+q)/2$:
#
# $$V(D^*,G)=\mathbb E_p\log\frac{p}{2m}+\mathbb E_q\log\frac{q}{2m}=2\,\mathrm{JS}(p,q)-\log 4,\qquad \mathrm{JS}(p,q)=\tfrac12\mathrm{KL}(p\,\|\,m)+\tfrac12\mathrm{KL}(q\,\|\,m).$$
#
# $\mathrm{KL}(p\,\|\,m)=\mathbb E_p\log(p/m)$ is the Kullback-Leibler divergence, and JS, the **Jensen-Shannon divergence**, is zero exactly where $p=q$. So against the best discriminator the generator's best move is to draw like the data, and
# the value is then $-\log4\approx-1.386$, with $D=\tfrac12$ everywhere: the discriminator can only toss a coin.
#
# ### Check: the value of the game
#
# Both sides by numeric integration, for fakes $\mathcal N(\mu,1)$ and data $\mathcal N(0,1)$.

# %%
# NBVAL_CHECK_OUTPUT
log_p = log_gaussian(x, 0.0, 1.0)
for mean in (0.0, 0.5, 1.0, 2.0, 4.0):
    log_q = log_gaussian(x, mean, 1.0)
    s = log_p - log_q
    value = ((log_p.exp() * F.logsigmoid(s) + log_q.exp() * F.logsigmoid(-s)) * dx).sum()
    print(f"mean {mean}: V(D*, G) {value:.4f}   2 JS - log 4 {2 * jensen_shannon(log_p, log_q, dx) - math.log(4):.4f}")

# %% [markdown]
# At $\mu=0$ the players are at rest at $-\log 4$. At $\mu=4$ the value is nearly 0, and more than 0 it can never be: the discriminator is nearly always right.
#
# ## How far is far?
#
# A generator starts far from the data. What does it gain by a step in the right direction? If the distance is Jensen-Shannon: nearly nothing. Once $p$ and $q$ hardly meet, JS is $\log2$ but for a trifle, and stays so however far apart they are.
# The **Wasserstein distance** $W$ asks another question: how far, on average, must mass be carried to turn $q$ into $p$? On the line that is the area between the two distribution functions, $\int|F_p-F_q|\,dx$.
#
# The plainest example: all data at 0, all fakes at $\theta$. Then
#
# $$\mathrm{JS}=\begin{cases}0&\theta=0\\\log 2&\theta\ne0\end{cases}\qquad\mathrm{KL}=\begin{cases}0&\theta=0\\\infty&\theta\ne0\end{cases}\qquad W=|\theta|.$$
#
# Only the last has a slope that leads home (Arjovsky et al., 2017, example 1). For two Gaussians with the same standard deviation $\tau$ and means $\theta$ apart, $\mathrm{KL}=\frac{\theta^2}{2\tau^2}$ and $W=\theta$; JS has no closed form, but can be integrated.
#
# ### Check: three distances, against closed forms and scipy
#
# First the two points, then Gaussians with $\tau=0.5$.

# %%
# NBVAL_CHECK_OUTPUT
from scipy.spatial.distance import jensenshannon  # the root of JS
from scipy.stats import wasserstein_distance

for theta in (0.5, 1.0, 5.0):
    js, w = jensenshannon([1, 0], [0, 1]) ** 2, wasserstein_distance([0.0], [theta])
    print(f"points {theta} apart: JS {js:.4f} (log 2 = {math.log(2):.4f})   W {w:.4f}")
log_p = log_gaussian(x, 0.0, 0.5)
for theta in (0.5, 1.0, 2.0, 5.0):
    log_q = log_gaussian(x, theta, 0.5)
    js, w = jensenshannon(log_p.exp(), log_q.exp()) ** 2, wasserstein_distance(x, x, log_p.exp(), log_q.exp())
    print(f"Gaussians {theta} apart: JS {jensen_shannon(log_p, log_q, dx):.4f} (scipy {js:.4f})   W {wasserstein(log_p, log_q, dx):.4f} "
          f"(scipy {w:.4f})   KL {kl_divergence(log_p, log_q, dx):.2f} (formula {theta**2 / (2 * 0.5**2):.2f})")

# %% [markdown]
# ### The slider
#
# Drag the **separation**. Grey is the data, red the fakes; below, the three distances, and in the line of text their slopes, which is all that a generator would be told. Watch the slope of JS: it is largest while the clouds half overlap, small
# when a gap opens, and nothing to speak of at 5. That of KL, $\theta/\tau^2$, grows without limit. That of $W$ is 1, wherever you are.

# %%
from v101_utils.widgets.gan_theory import DistanceView, distance_slider

view = DistanceView()
distance_slider(view)

# %% [markdown]
# The same knob as a strip, with the slopes of all three below: what would push the fakes home from there.

# %%
figure, panels = plt.subplots(1, 5, figsize=(11, 2), sharey=True, layout="constrained")
for axes, apart in zip(panels, (0.25, 1.0, 2.0, 3.0, 5.0)):
    slopes = {name: slope.item() for name, (_, slope) in view.measure(apart).items()}
    for mean, colour in ((0.0, "black"), (apart, "crimson")):
        axes.fill_between(view.x, log_gaussian(view.x, mean, view.std).exp(), color=colour, alpha=0.4, lw=0)
    words = "\n".join(f"slope of {short}: {slope:.3f}" for short, slope in zip(("JS", "KL", "W"), slopes.values()))
    axes.set(title=f"{apart} apart", xlim=(-2, 7), xlabel=words)
figure.supylabel("density")
plt.show()

# %%
separations = torch.linspace(0.02, 6, 300, dtype=torch.float64)
slopes = {name: slope.clamp(min=1e-9) for name, (_, slope) in view.measure(separations).items()}
axes = curves(separations, slopes, "separation", "slope", "what a generator would be told")
axes.set(yscale="log", ylim=(1e-8, 100))
plt.show()

# %% [markdown]
# On this logarithmic axis the slope of JS falls off a cliff. That is the **vanishing gradient** of GANs: not a bad discriminator, but one that is too good. (KL's slope does grow, but KL is infinite as soon as there are data where the fakes have no density, as with the two points above, and it is not what this game's best discriminator measures.) A discriminator that measures $W$ instead, called a *critic*, is the subject of chapter 03.
#
# ## Two losses for one generator
#
# Of $V$ the second term alone depends on the generator, and a fake is $x=G(z)$: so the generator minimises $\mathbb E\log(1-D(G(z)))$. How hard is it pushed, by a fake of score $s$? With $D=\sigma(s)$ we have $\log(1-D)=-\mathrm{softplus}(s)$, where $\mathrm{softplus}(s)=\log(1+e^s)$ and its derivative is $\sigma(s)$:
#
# $$\text{minimax:}\quad\frac{d}{ds}\log(1-\sigma(s))=-\sigma(s)=-D,\qquad\qquad\text{non-saturating:}\quad\frac{d}{ds}\bigl[-\log\sigma(s)\bigr]=-(1-\sigma(s))=-(1-D).$$
#
# When the discriminator is sure of a fake, $D\approx0$, the first gives it nothing: the worst fakes learn least. So Goodfellow et al. (section 3) proposed the second, minimise $-\mathbb E\log D(G(z))$. Its derivative has the same sign, so each single fake is pushed in the same direction, only by another amount,
# and that is largest just where a fake is bad. It is what most people mean by the usual GAN loss, and this package's default.
#
# ### Check: the two gradients

# %%
# NBVAL_CHECK_OUTPUT
def gradient(name, s):
    """d loss / d score, by autograd, for each of the scores s (N,)."""
    s = s.clone().requires_grad_()
    return torch.autograd.grad(objective(name).generator(s) * len(s), s)[0]


scores = torch.tensor([-10.0, -4.0, 0.0, 4.0], dtype=torch.float64)
saturating, alternative = gradient("minimax", scores), gradient("non-saturating", scores)
for s, a, b in zip(scores, saturating, alternative):
    print(f"score {s:5.1f}, D {s.sigmoid():.5f}: minimax {a:.5f} (formula {-s.sigmoid():.5f})   "
          f"non-saturating {b:.5f} (formula {-(1 - s.sigmoid()):.5f})")

# %%
scores = torch.linspace(-8, 8, 200)
push_of = {name: -gradient(name, scores) for name in ("minimax", "non-saturating", "wasserstein", "least-squares")}
axes = curves(scores, push_of, "score of the fake: surely fake on the left", "- d loss / d score", "the push upwards, by objective")
axes.set_ylim(-1.2, 2.7)
axes.legend(loc="upper right")
plt.show()

# %% [markdown]
# The figure has four objectives; the fifth, hinge, has Wasserstein's loss for the generator, and so the same line. Here are all five of the package, as losses that are minimised; means are taken over data, with the scores $s_r$, and over fakes, with the scores $s_f$, and $(a)_+=\max(0,a)$:
#
# | | discriminator | generator |
# |---|---|---|
# | minimax | $\mathrm{softplus}(-s_r)+\mathrm{softplus}(s_f)$ | $-\mathrm{softplus}(s_f)$ |
# | non-saturating | the same | $\mathrm{softplus}(-s_f)$ |
# | least squares (Mao et al., 2017) | $\tfrac12(s_r-1)^2+\tfrac12s_f^2$ | $\tfrac12(s_f-1)^2$ |
# | Wasserstein (Arjovsky et al., 2017) | $s_f-s_r$ | $-s_f$ |
# | hinge (Lim and Ye, 2017) | $(1-s_r)_++(1+s_f)_+$ | $-s_f$ |
#
# Look at the left end of the figure: once the discriminator can tell fakes from data, that is where their scores are. The minimax line is at zero there. The Wasserstein objective pushes every fake alike. Least squares pushes harder the further a score is from its target 1, and back again beyond it.
# (For these two a score is no logit: least squares wants 0 for a fake and 1 for data, and Wasserstein's has no fixed scale, so only the shape of their lines compares.)
#
# ## The smallest GAN
#
# Knowing where the players *would be at rest* does not tell whether they ever get there. Mescheder et al. (2018) found the smallest game that shows it: all data at 0, all fakes at one number $\theta$, and a discriminator with one number too, $s(x)=\psi x$.
# The state of the whole training is a point $(\theta,\psi)$ in a plane, and at each point we can draw where gradient descent pushes it.
#
# What may be added to such a game is a **constraint**: anything that holds the discriminator back. We draw four games: without one; Wasserstein's objective with $\psi$ put back into $[-1,1]$ after each step (*clipping*, as in the first WGAN);
# Wasserstein's with a penalty on slopes other than 1 (*WGAN-GP*; both are for chapter 03); and minimax with R1, a penalty on every slope. Here is where they push, from the package's own objectives:

# %%
source(DiracGame.field)

# %%
free = DiracGame("minimax")
damped = DiracGame("minimax", penalty=lambda psi: 0.3 / 2 * psi**2)  # R1 of weight 0.3: the score's gradient is psi
games = {
    "no constraint": free,
    "WGAN, clipped at 1": DiracGame("wasserstein", bound=1.0),
    "WGAN-GP": DiracGame("wasserstein", penalty=lambda psi: 0.25 * (psi.abs() - 1) ** 2),
    "R1": damped,
}
figure, panels = plt.subplots(1, 4, figsize=(11, 3.2), sharey=True, layout="constrained")
for axes, (name, game) in zip(panels, games.items()):
    places = lattice(2.0, 13)
    arrows(axes, places, game.field(places).detach(), length=0.45)
    path = game.walk(torch.tensor([1.2, 0.0]), 1500, rate=0.02, alternating=True)
    axes.plot(*path.T, color="crimson")
    axes.plot(*path[0], "o", color="crimson")
    axes.plot(0, 0, "k*", ms=10)
    axes.set(title=name, xlabel="θ, where the fakes are", xlim=(-2.3, 2.3), ylim=(-2.3, 2.3), aspect="equal")
panels[0].set_ylabel("ψ, the discriminator's slope")
plt.show()

# %% [markdown]
# The star is the place of rest, the dot the start, the red line where small steps of gradient descent lead, one player after the other. (The first panel and the last are of minimax, the game as it is written. The arrows of the second know nothing of the clipping, which holds the red line between −1 and 1.) **Without a constraint the field turns**: the discriminator learns which side the fakes are on, the fakes run to the other side, past the data, the discriminator
# learns that, and so on. Nobody does anything wrong; each follows its own gradient. With clipping (second), and with the gradient penalty of WGAN-GP (third), the path goes round and round, too, and never settles at the star: both let the discriminator keep a slope even where data and fakes agree.
# Only **R1**, a penalty $\tfrac\gamma2\,\mathbb E_p|\nabla s(x)|^2$ on the score's gradient *at the data*, spirals inwards: it asks for slope zero, and at rest the slope is zero.
#
# ### Why: the eigenvalues
#
# Write the field down. The score of the data is $s(0)=0$, that of the fakes $s(\theta)=\psi\theta$, and R1's penalty is $\tfrac\gamma2\psi^2$. Minus each player's gradient is
#
# $$\dot\theta=\psi\,\sigma(\psi\theta)\ \text{(minimax)},\qquad\dot\theta=\psi\,\sigma(-\psi\theta)\ \text{(non-saturating)},\qquad\dot\psi=-\theta\,\sigma(\psi\theta)-\gamma\psi .$$
#
# Near the star, where $\sigma\approx\tfrac12$, it is linear: $(\dot\theta,\dot\psi)^\top\approx J\,(\theta,\psi)^\top$ with the Jacobian $J$. Its eigenvalues say what happens: their real part, decay if negative; their imaginary part, rotation. With R1 of weight $\gamma$ (without: $\gamma=0$)
#
# $$J=\begin{pmatrix}0&\tfrac12\\-\tfrac12&-\gamma\end{pmatrix},\qquad\lambda=-\frac\gamma2\pm\sqrt{\frac{\gamma^2}4-\frac14}.$$
#
# $J$ is the same for the minimax and the non-saturating loss. Without R1, $\lambda=\pm\tfrac i2$: nothing but rotation. As long as $\gamma<1$ there is rotation *and* decay; beyond it, decay alone, and *slower* the larger $\gamma$ is: $\lambda\approx-\frac1{4\gamma}$ for the slow direction.
#
# ### Check: eigenvalues by autograd

# %%
# NBVAL_CHECK_OUTPUT
origin = torch.zeros(2, dtype=torch.float64)


def by_formula(gamma):
    root = torch.sqrt(torch.tensor(gamma**2 / 4 - 1 / 4, dtype=torch.complex128))
    return torch.stack([-gamma / 2 - root, -gamma / 2 + root])


def in_words(values):  # two complex numbers, in one order on every machine, and no -0
    rounded = [(round(v.real, 4) + 0.0, round(v.imag, 4) + 0.0) for v in values.tolist()]
    return "  ".join(f"{real:7.4f} {imaginary:+.4f}i" for real, imaginary in sorted(rounded))


for gamma in (0.0, 0.3, 1.5, 4.0):
    for name in ("minimax", "non-saturating"):
        game = DiracGame(name, penalty=lambda psi: gamma / 2 * psi**2)
        measured = torch.linalg.eigvals(torch.autograd.functional.jacobian(game.field, origin))
        print(f"gamma {gamma}, {name:14}: autograd {in_words(measured)}   formula {in_words(by_formula(gamma))}")

# %% [markdown]
# ### Steps are not a flow
#
# Real training takes steps of a finite rate $h$, and a step is a map whose eigenvalues $\mu$ must lie *inside* the unit circle. If both players step at once, $\mu=1+h\lambda$. For $\lambda=\pm\tfrac i2$ that is $|\mu|=\sqrt{1+h^2/4}>1$: the path spirals **outwards**, whatever the rate $h$.
# If they take turns, first $\psi$ and then $\theta$, the second sees what the first has just done. Then a step is
#
# $$\begin{pmatrix}\theta\\\psi\end{pmatrix}\mapsto\begin{pmatrix}1-\frac{h^2}4&\frac h2\\-\frac h2&1\end{pmatrix}\begin{pmatrix}\theta\\\psi\end{pmatrix},$$
#
# of determinant 1 and trace $2-\frac{h^2}4$. The determinant is the product of the two eigenvalues. As long as the trace lies between −2 and 2, that is, for $0<h<4$, they are a conjugate pair, and so $|\mu|=1$, without any error: near the star the path stays on a closed curve (far out, or with large steps, it still drifts outwards, slowly). GAN trainings, ours too, take turns.
#
# ### Check: one step

# %%
# NBVAL_CHECK_OUTPUT
def spectral_radius(game, rate, alternating):
    """The largest |eigenvalue| of a step at rest, from where it sends two small displacements."""
    small = 1e-6 * torch.eye(2, dtype=torch.float64)
    return torch.linalg.eigvals(game.step(small, rate, alternating).T / 1e-6).abs().max().item()


for rate in (0.1, 0.5, 1.0):
    print(f"rate {rate}: at once {spectral_radius(free, rate, False):.4f} (formula {math.sqrt(1 + rate**2 / 4):.4f})   "
          f"in turn {spectral_radius(free, rate, True):.4f} (formula {1:.4f})   "
          f"R1, in turn {spectral_radius(damped, rate, True):.4f}")

# %%
figure, panels = plt.subplots(1, 3, figsize=(10, 3.3), sharey=True, layout="constrained")
for axes, (name, game, alternating) in zip(panels, (
    ("at once", free, False), ("in turn", free, True), ("in turn, R1", damped, True),
)):  # fmt: skip
    path = game.walk(torch.tensor([1.0, 0.0]), 120, rate=0.3, alternating=alternating)
    axes.plot(*path.T, ".-", ms=3, lw=0.8, color="crimson")
    axes.plot(0, 0, "k*", ms=10)
    axes.set(title=name, xlabel="θ", xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
panels[0].set_ylabel("ψ")
plt.show()

# %% [markdown]
# Left: each turn is wider than the last. Middle: an orbit. Right: rest. So before any network, data or architecture comes into it, the order of the moves decides whether this game runs away, and the constraint whether it comes to rest.
#
# ### What the eigenvalues do not say
#
# They speak of the neighbourhood of the star alone. Further out the two losses differ. Ask whether the distance to the star grows or shrinks, $r^2=\theta^2+\psi^2$, along the flow of small steps:
#
# $$\text{minimax:}\quad\frac{d}{dt}r^2=0,\qquad\qquad\text{non-saturating:}\quad\frac{d}{dt}r^2=-2\,\theta\psi\tanh\frac{\theta\psi}2\le0.$$
#
# (Put the field into $\frac{d}{dt}r^2=2\theta\dot\theta+2\psi\dot\psi$; and $\sigma(-a)-\sigma(a)=-\tanh\frac a2$.)
# So the non-saturating loss does pull inwards. But near the star $\tanh\frac{\theta\psi}2\approx\frac{\theta\psi}2$, and the pull is $-(\theta\psi)^2$, the *fourth* power of the distance: strong far out, next to nothing close by. It tames a wild game; it hardly ends it.
#
# ### Check: inwards or not

# %%
# NBVAL_CHECK_OUTPUT
for state in ([2.0, 1.0], [0.5, 0.5], [0.1, -0.2]):
    state = torch.tensor(state, dtype=torch.float64)
    change = {name: 2 * (state * DiracGame(name).field(state)).sum() for name in ("minimax", "non-saturating")}
    print(f"at {state.tolist()}: minimax {change['minimax'].abs():.5f}   non-saturating {change['non-saturating']:.5f} "
          f"(formula {-2 * state.prod() * torch.tanh(state.prod() / 2):.5f})")

# %% [markdown]
# Mescheder et al. then trained large networks on photographs with R1, and there, too, it kept the trainings stable.
#
# ## The code that matters
#
# The package's GAN is three independent choices: an **objective** (what the two minimise), a **constraint** (what holds the discriminator back) and a **pair of networks**. The discriminator gives raw scores, and the losses of both players take them, so each objective is a line or two. One training step is: the discriminator
# moves, then the generator. Look for `fake.detach()`, by which the discriminator's step leaves the generator alone, and for the last line but one, the generator's move. (`minimise(loss, optimiser)` is the backward pass and the optimiser's step.) (`critic_steps` is 1 here, so the loop runs once.)

# %%
source(AdversarialTask.training_step)

# %% [markdown]
# The discriminator's move: its loss and, where the constraint has one, the penalty, minimised together. (`mismatched` is for pictures with labels, chapter 04; here it is off. `every` is 1: the penalty is paid at each step.)

# %%
source(AdversarialTask.discriminator_step)

# %% [markdown]
# The penalty of R1. `image_gradients` gives the gradient of each score with respect to its own image (here: its own point), one row for each.

# %%
source(R1.penalty)

# %% [markdown]
# ## Training, live
#
# The setting of this chapter: the non-saturating objective, R1 with a small weight, and latents of two dimensions, so that the *latent plane* can be drawn as well. After training, we count: a mode, one of the eight clouds, is covered if at least a tenth of its fair share of points lies within three
# standard deviations of its centre (of true data, 98.9% lie so near in two dimensions).

# %%
source(ring_task)

# %%
def latent_plane(axes, generator):
    """Which mode each latent becomes, as colours; white where it becomes a point far from all of them."""
    def mode(z):
        distance, nearest = torch.cdist(generator(z.to(here)).cpu(), ring.centres).min(1)
        return nearest.float().masked_fill(distance > 3 * ring.std, math.nan)

    surface(axes, mode, reach=3, count=240, limits=(0, 8), colours="hsv")
    axes.set_title("the latent plane")


def coloured_centres(axes):
    """The eight centres, each in its colour of the latent plane."""
    axes.scatter(*ring.centres.T, c=range(len(ring.centres)), cmap="hsv", vmin=0, vmax=8, s=25, edgecolors="black", lw=0.5, zorder=3)


def train_live(task, steps, looks=3, seed=0):
    """Trains on the ring and shows a few moments on the way. Gives back the averaged generator and all scalars."""
    shown, scalars = torch.linspace(0, steps, looks + 1).round().int().tolist(), []
    for step, average in train_points(task, ring.batches(256, seed), steps, seed):
        scalars.append(step.scalars)
        if step.number in shown:
            figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.1), width_ratios=(1, 1, 1.4), layout="constrained")
            plane(left, task, average, f"step {step.number}")
            coloured_centres(left)
            latent_plane(middle, average)
            lines = {name: [s[name] for s in scalars] for name in ("discriminator", "generator")}
            curves(range(len(scalars)), lines, "step", "loss", axes=right)
            plt.show()
    return average, scalars


def covered(generator):
    """Modes covered, and the share of points near one, of ten thousand."""
    modes, share = mode_coverage(generator.sample(10_000, seed=1).cpu(), ring.centres, ring.std)
    return f"{modes} of {len(ring.centres)} modes, {share:.1%} of points within 3 standard deviations"


# %%
steps = runtime.pick(ci=30, laptop=RING_STEPS, gpu=2 * RING_STEPS)
good, good_scalars = train_live(ring_task(seed=0), steps)
print(covered(good))

# %% [markdown]
# Three things to look at.
#
# **The losses.** They do not go down. The discriminator's comes to $\log4\approx1.386$ and the generator's to $\log2\approx0.693$, the values of a coin toss, and stay there while the picture still gets better: compare the seams of the first latent plane with those of the last.
#
# **The arrows and colours.** At the end the colours are pale near the ring: $D\approx\tfrac12$ where data and fakes agree. What still has an arrow worth seeing are strays between the clouds. (Most of the red points lie under the coloured dots.)
#
# **The latent plane.** Each colour is one mode, that of the coloured dot on the left; white latents become points more than three standard deviations from every centre. The latents are one connected cloud and the data are eight separate ones, and a continuous function cannot tear. So between the colours there must be seams, whose latents become points *between* the modes: the stray red points.
# Training makes the seams thin; it can never make them vanish, least of all in the middle, where all eight meet, and where the white may even grow. (This is why `PointGenerator` has ReLU units without a leak: they bend more sharply.)
#
# Two things in the loop help the game to its rest. The learning rates fall to zero. And the generator that we draw and count is not the one that plays, but its **exponential moving average** (`Ema`): weights that follow the player's, a small part of the way at each step,
# so that its turns average out.

# %%
source(train_points)

# %% [markdown]
# ## Mode collapse
#
# Nothing in the generator's loss says "draw *all* of the data". Each fake is judged by itself, and a generator that puts everything into one place is at no disadvantage until the discriminator notices; then it moves everything to the next. Three ways towards it, each a step worse than the one before, and a failure that only looks like it, all trained for as long as the recommended setting beside them:

# %%
short, momentum = runtime.pick(ci=10, laptop=800, gpu=800), dict(betas=(0.9, 0.99))
tries = {
    "recommended": {},
    "momentum 0.9": momentum,
    "no constraint as well": momentum | dict(constraint=Constraint()),
    "a fast generator as well": momentum | dict(constraint=Constraint(), rates=(4e-3, 1e-3)),
    "8 units in each layer": dict(hidden=8),
}
paths, logs, ends = {}, {}, {}
figure, panels = plt.subplots(1, 5, figsize=(12, 2.7), layout="constrained")
for axes, (name, settings) in zip(panels, tries.items()):
    task, paths[name], logs[name] = ring_task(0, **settings), [], []
    for step, average in train_points(task, ring.batches(256), short):
        paths[name].append(task.generator.sample(50, seed=1).mean(0).cpu())
        logs[name].append(step.scalars)
    plane(axes, task, average, name)
    ends[name] = covered(average)
    print(f"{name:26} {ends[name]}")
plt.show()

# %%
figure, axes = plt.subplots(figsize=(4.2, 4.2))
points(axes, ring.sample(400, 1))
for name, colour in (("a fast generator as well", "crimson"), ("recommended", "C0")):
    axes.plot(*torch.stack(paths[name]).T, color=colour, lw=1, label=name)
axes.set(aspect="equal", title="the mean of 50 fakes of the player, at every step")
axes.legend(loc="lower left", fontsize=8)
plt.show()

# %% [markdown]
# Compare with the first panel. The data, the seed and the number of steps are the same. (Each panel is one training, of one seed.)
#
# * **Momentum 0.9**, and nothing else changed: momentum remembers where the game *was* heading, and the game turns. Compare the share of points near a mode with the recommended one's.
# * **No constraint as well**: worse again. The fakes are smeared over the plane, and half of the modes have next to none. (Without a constraint but with the recommended momentum all eight are covered, as the table below shows: it is momentum that does the harm, and the constraint that limits it.)
# * **A fast generator as well** (the generator's rate four times as high as before, the discriminator's half as high): the classic collapse. All fakes are one clump. The arrows show why it stays one: every point feels the *same* push, since the discriminator sees the clump as one thing and its score is nearly a plane there. Nothing tells two fakes to part.
# * **8 units in each layer**: a different failure that looks alike. A generator as small as this hardly bends, and does not come round the ring in this time, though it has the recommended constraint and rates. The colours know (deep green: "there should be data here"), but a push is of no use to a network that cannot follow it.
#
# Now look at the line of the clump's mean: loops through the ring and far beyond it, out and back and out again, while the recommended one stays near the middle. It is what $\theta$ does in the Dirac-GAN, in a training with tens of thousands of weights: out, back through the middle, and out on another side. (The loops are not the circles from above: there one axis was $\psi$, here both are places of fakes.)
#
# ### Objective by constraint
#
# Because the choices are independent, every pair of them can be tried. Short trainings, one for each pair, and one set of rates for all: a first picture of what works *untuned*, not of what is best after tuning.

# %%
brief = runtime.pick(ci=5, laptop=500, gpu=500)
constraints = {
    "none": Constraint, "clip 0.1": lambda: Clip(0.1), "WGAN-GP": lambda: GradientPenalty(0.1), "R1": lambda: R1(0.01),
    "spectral norm": SpectralNorm,
}  # fmt: skip
print(f"{'modes covered, share near':26}" + "".join(f"{name:>15}" for name in constraints))
for name in ("minimax", "non-saturating", "least-squares", "wasserstein", "hinge"):
    cells = []
    for make in constraints.values():
        for step, average in train_points(ring_task(0, name, make()), ring.batches(128), brief):
            pass
        modes, share = mode_coverage(average.sample(5000, seed=1).cpu(), ring.centres, ring.std)
        cells.append(f"{modes}, {share:4.0%}")
    print(f"{name:26}" + "".join(f"{cell:>15}" for cell in cells))

# %% [markdown]
# Read it by columns and by rows. In so few steps nobody is done, so compare the number of modes first. (Each cell is one training, of one seed.)
#
# * All objectives but Wasserstein's bound what the discriminator can gain; with momentum 0.5 and rates of this size they cover the ring **even without a constraint** (first column). What constraints buy is room for error, not magic: compare the second panel above with the third.
# * **Wasserstein needs its constraint.** Without one the critic can raise its score for ever, and there is nothing to be learnt from it. Of these constraints only the gradient penalty aims at what the theory wants, a slope of 1: R1 asks for slope 0 at the data, clipping bounds the weights and the slope only by way of them, and spectral normalisation bounds it by 1 but may leave it well below. Chapter 03 has the reasons.
# * **Spectral normalisation** divides each layer by its largest singular value, so the score changes by at most 1 per unit of length, and often by much less: far too little to tell apart places 0.05 apart. (The gradient penalty aims at 1, too, but with so small a weight it is a soft spring, which lets the score be steeper; this is a wall.) On images, where distances between pictures are large, it is among the constraints that work best. A constraint has a scale, and the data have one too: they have to fit.
#
# ## Common mistakes
#
# ### Common mistake 1: a sigmoid at the end of the discriminator
#
# Many tutorials end the discriminator in a `Sigmoid` and use `BCELoss`. On paper it is the same loss. In floating point it is not: a float32 just below 1 cannot be closer to it than 6e-8, so from a score of about 17 on, $\sigma(s)=1$ and $1-\sigma(s)=0$. Here is the discriminator's loss for a fake of score $s$, and its gradient, which should be $\sigma(s)$, nearly 1,
# in three ways: by softplus on the score, by the logarithm as written, and by PyTorch's `BCELoss`, which cuts the logarithm off at −100.

# %%
# NBVAL_CHECK_OUTPUT
def by_logit(s):
    return F.softplus(s)


def as_written(s):
    return -torch.log(1 - torch.sigmoid(s))


def bce(s):
    return F.binary_cross_entropy(torch.sigmoid(s), torch.zeros_like(s))


for value in (2.0, 10.0, 20.0, 40.0):
    cells = []
    for loss in (by_logit, as_written, bce):
        s = torch.tensor(value, requires_grad=True)
        loss(s).backward()
        cells.append(f"{loss.__name__}: loss {loss(s).item():6.2f}, gradient {s.grad.item():.2f}")
    print(f"score {value:4.0f}   " + "   ".join(cells))

# %% [markdown]
# At a score of 20 the discriminator is badly wrong about a fake, and is told nothing at all (gradient 0), or nan. In half precision it comes much sooner, since numbers near 1 are coarser. PyTorch refuses `BCELoss` under autocast on a GPU (its own reason is the gradients, which float16 cannot hold), with an error that says to use `binary_cross_entropy_with_logits`; on a CPU nothing stops you:

# %%
# NBVAL_CHECK_OUTPUT
for value in (2.0, 4.0, 6.0, 8.0):
    s = torch.tensor(value, dtype=torch.bfloat16)  # what a layer's output is under autocast
    rounded = torch.sigmoid(s).float()
    bce_of_it = F.binary_cross_entropy(rounded, torch.zeros(()))
    print(f"score {value:.0f}: sigmoid in bfloat16 {rounded:.4f}   BCELoss of it {bce_of_it:6.2f}   "
          f"softplus of the score {F.softplus(s.float()):.2f}")

# %% [markdown]
# So a discriminator ends in a plain linear layer, and the loss takes its scores. Use a sigmoid only to *show* a probability, as our pictures do.
#
# ### Common mistake 2: the discriminator trained to the end
#
# "The theory asks for the best discriminator, so train it until it converges." Data around $-2$, fakes around 2, standard deviation 0.3: they do not meet. At every step we ask how hard a fake would be pushed towards the data.

# %%
def pushes(name, constraint, steps):
    """The mean |d loss / d x| at the fakes after each step of the discriminator's training."""
    torch.manual_seed(0)
    critic, found = torch.nn.Sequential(mlp(1, 1, hidden=64, depth=2), torch.nn.Flatten(0)), []  # (N, 1) -> (N,)
    adam = torch.optim.Adam(critic.parameters(), 2e-3)
    for _ in range(steps):
        real, fake = -2 + 0.3 * torch.randn(64, 1), (2 + 0.3 * torch.randn(64, 1)).requires_grad_()
        push = torch.autograd.grad(objective(name).generator(critic(fake)) * 64, fake)[0]
        found.append(push.abs().mean().item())
        penalty = constraint.penalty(critic, real, fake.detach())
        loss = objective(name).discriminator(critic(real), critic(fake.detach())) + (0 if penalty is None else penalty)
        adam.zero_grad()
        loss.backward()
        adam.step()
    return found


# %%
many = runtime.pick(ci=20, laptop=1500, gpu=1500)
runs = {"minimax": ("minimax", Constraint()), "non-saturating": ("non-saturating", Constraint()),
        "Wasserstein, gradient penalty": ("wasserstein", GradientPenalty(10.0))}
lines = {name: pushes(*settings, many) for name, settings in runs.items()}
axes = curves(range(1, many + 1), lines, "steps of the discriminator alone", "push at the fakes")
axes.set(yscale="log", title="what a better discriminator tells the fakes")
plt.show()

# %% [markdown]
# The minimax push decays as the discriminator gets better: at the end of the line a fake is pushed by a tiny fraction of what it was at the start, though it is as far from the data as ever. The non-saturating push does not vanish, but look at how it goes on *growing*: it is the slope of a score that gets steeper without end, so its size says nothing about the distance either.
# The critic with a gradient penalty comes to a slope of about 1.2 and stays there (the penalty is a spring and not a wall: by the formula of chapter 03 the slope is $1+\frac{W}{2\lambda}$, where $\lambda$ is the penalty's weight, here 10, and $W=4$ the distance of the two clouds): that one *can* be trained to the end, and should be (chapter 03). So either use a discriminator that may be perfect, or one that is kept from being so: by few steps, by a small R1, by noise.
#
# ### Common mistake 3: the minimax loss for the generator
#
# Here all fakes start around $(3, 3)$, and the discriminator has 200 steps of its own before the generator may move: as sure as it would be with real pictures, where telling noise from a photograph takes no time. Then 300 steps of the game, with plain gradient descent for the generator, and with Adam.

# %%
from v101_utils.runtime import Plan
from v101_utils.training import fit


def late_start(name, make, steps):
    """The distance of the fakes' mean from the middle of the ring, after each step that the generator makes."""
    task = ring_task(0, name, Constraint(), rates=(0.0, 2e-3))
    with torch.no_grad():
        task.generator.layers[-1].bias.copy_(torch.tensor([3.0, 3.0]))
    for step in fit(task, ring.batches(256), runtime.pick(ci=10, laptop=200, gpu=200), plan=Plan(), progress=False):
        pass
    task.optimisers["generator"], away = make(task.generator.parameters()), []
    for step in fit(task, ring.batches(256), steps, plan=Plan(), progress=False):
        away.append(task.generator.sample(100).mean(0).norm().item())
    return away


# %%
moves, lines = runtime.pick(ci=10, laptop=300, gpu=300), {}
ways = {"gradient descent": lambda weights: torch.optim.SGD(weights, 0.01),
        "Adam": lambda weights: torch.optim.Adam(weights, 2e-4, (0.5, 0.99))}
for name in ("minimax", "non-saturating"):
    lines |= {f"{name}, {way}": late_start(name, make, moves) for way, make in ways.items()}
axes = curves(range(1, moves + 1), lines, "steps of the game", "distance of the fakes' mean", "from the middle of the ring")
plt.show()

# %% [markdown]
# Under gradient descent the minimax generator stays where it is: its gradient is there, and points the right way, but it is multiplied by $D$, which is all but zero. Under Adam it comes home like the other. Adam divides each gradient by its own recent size, and so gives back what the sigmoid took away. That explains an old puzzle: minimax
# worked in our table above. Do not count on it: where gradients are as small as Adam's $\varepsilon$ or as half precision's smallest numbers, there is nothing left to divide. The non-saturating loss costs nothing and needs no such luck.
#
# ### Common mistake 4: reading the losses as quality
#
# Two of the trainings above again: their losses, and what they drew.

# %%
figure, panels = plt.subplots(1, 2, figsize=(10, 3), sharey=True)
for axes, name in zip(panels, ("recommended", "a fast generator as well")):
    lines = {key: [scalars[key] for scalars in logs[name]] for key in ("discriminator", "generator")}
    curves(range(1, short + 1), lines, "step", "loss", name, axes=axes).set_ylim(0, 3)
    last = {key: sum(values[-100:]) / len(values[-100:]) for key, values in lines.items()}
    words = ", ".join(f"{key} {value:.2f}" for key, value in last.items())
    print(f"{name:26} mean of the last 100 losses: {words}; {ends[name]}")
plt.show()

# %% [markdown]
# The swings on the right say that this game has not come to rest on the way. But that they die out at the end is the doing of the learning rates, which fall to zero in both trainings. (The discriminator's line is still the rougher one, which says nothing about where the fakes are.) And the *means* of the last hundred losses, printed above, are nearly the same in both,
# and close to the $\log4$ and $\log2$ of a game at rest. Yet one game covers eight modes. The other is a clump that covers none: over its last steps the discriminator is hardly better than a coin there, as it happens, while the clump lies inside the ring, where there are no data at all. In a GAN the losses measure the players against *each other*, and
# two bad players are as evenly matched as two good ones. So look at samples, and measure them by something that takes no part in the game: here, the modes; on images, the Fréchet distance (chapter 02).
#
# ## Exercises
#
# Write your line where the dots are; run the cell; it says right or not yet. Solutions stand at the very end, folded away in JupyterLab.
#
# **Exercise 1.** The best discriminator's probability from two *log* densities. (Dividing the densities themselves fails in the tails, where both underflow to zero: the check has such places.)

# %%
from v101_utils.exercises import check


def best_discriminator(log_p, log_q):  # (N,), (N,) -> (N,) probabilities
    ...


tails = torch.linspace(-60, 60, 25)
check(best_discriminator, log_gaussian(tails, 0.0, 1.0), log_gaussian(tails, 1.0, 1.0))


# %% [markdown]
# **Exercise 2.** The push that a fake at $x$ feels under the non-saturating loss, *minus* the gradient of $-\log\sigma(s(x))$ by $x$, when the discriminator is linear: $s(x)=w\cdot x+b$.

# %%
def push(x, w, b):  # (N, 2), (2,), a number -> (N, 2)
    ...


some, w, b = torch.randn(5, 2, generator=runtime.generator(0)), torch.tensor([1.0, -2.0]), torch.tensor(0.5)
check(push, some, w, b)


# %% [markdown]
# **Exercise 3.** The Wasserstein distance of two samples of equal size on the line. (Carry the leftmost grain to the leftmost place, the next to the next, and so on.)

# %%
def carried(a, b):  # (N,), (N,) -> a number
    ...


left, right = (mean + torch.randn(50, generator=runtime.generator(seed)) for mean, seed in ((0.0, 1), (2.0, 2)))
check(carried, left, right)

# %% [markdown]
# ## Summary
#
# * A discriminator is a classifier, and the best one knows $p/(p+q)$: two densities that nobody can write down are compared by their samples.
# * Against it, the generator minimises $2\,\mathrm{JS}-\log4$. At rest $D=\tfrac12$; the discriminator's loss is then $\log4$ and the non-saturating generator's $\log2$, and neither says anything about quality on the way.
# * JS is flat where the two do not overlap; $W$ is not. A minimax generator is not pushed where the discriminator is sure; the non-saturating one is pushed most there.
# * The game *turns*. Without a constraint the eigenvalues at rest are imaginary; R1 gives them a negative real part. Taking turns is better than moving at once.
# * An objective, a constraint, a pair of networks: three independent choices. On the ring: non-saturating, R1 with a small weight, rates that fall to zero.
#
# ## References
#
# * Goodfellow et al. *Generative Adversarial Nets.* NeurIPS 2014.
# * Arjovsky, Bottou. *Towards Principled Methods for Training Generative Adversarial Networks.* ICLR 2017.
# * Arjovsky, Chintala, Bottou. *Wasserstein Generative Adversarial Networks.* ICML 2017.
# * Gulrajani et al. *Improved Training of Wasserstein GANs.* NeurIPS 2017.
# * Lim, Ye. *Geometric GAN.* arXiv 2017.
# * Mao et al. *Least Squares Generative Adversarial Networks.* ICCV 2017.
# * Miyato et al. *Spectral Normalization for Generative Adversarial Networks.* ICLR 2018.
# * Mescheder, Geiger, Nowozin. *Which Training Methods for GANs do actually Converge?* ICML 2018.
# * Metz et al. *Unrolled Generative Adversarial Networks.* ICLR 2017 (the ring of eight Gaussians).
#
# ## Solutions

# %% jupyter={"source_hidden": true} tags=["solution"]
# NBVAL_CHECK_OUTPUT
def best_discriminator(log_p, log_q):
    return torch.sigmoid(log_p - log_q)


def push(x, w, b):
    return (1 - torch.sigmoid(x @ w + b))[:, None] * w


def carried(a, b):
    return (a.sort().values - b.sort().values).abs().mean()


check(best_discriminator, log_gaussian(tails, 0.0, 1.0), log_gaussian(tails, 1.0, 1.0))
check(push, some, w, b)
check(carried, left, right)
