# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · WGAN and WGAN-GP
#
# See the distance that a critic measures as mass carried over the plane, see what weight clipping does to the critic and what the gradient penalty mends, and then train
# on points and on clothes with a curve that is, at last, a distance to the data.
#
# <!-- Colab badge: stamped once the repository's address is set -->
#
# This chapter builds on chapters 01 (the game, and why the Jensen-Shannon divergence has no slope to follow) and 02 (the two networks). How long it takes
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
import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment, linprog
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr, wasserstein_distance
from torch import nn

from v101_utils import runtime, zoo
from v101_utils.data import Batches, fashion_mnist, to_unit
from v101_utils.data.ring import Ring
from v101_utils.gans import (
    AdversarialTask, Clip, Discriminator, Generator, GradientPenalty, Objective, PointDiscriminator, image_gradients, objective,
)
from v101_utils.gans.points import mlp, ring_task, train_points
from v101_utils.metrics import matching_distance
from v101_utils.runtime import Plan
from v101_utils.training import fit, warmup_cosine
from v101_utils.view import curves, grid, rows, source, use_style
from v101_utils.view.plane import arrows, lattice, points, surface

runtime.set_up(seed=0)
use_style()
here = runtime.device()

# %% [markdown]
# ## The picture first
#
# The same generator as in chapter 02, trained against another opponent: a **critic**, which gives no verdict "real" or "fake", but a height. Forty latents, nobody chose among them.

# %%
model = zoo.load("wgangp-fashion", device=here)
for name in ("wgangp-fashion", "dcgan-fashion"):
    about = zoo.card(name)
    print(f"{name:15} {about['parameters']:,} weights, {about['steps']:,} steps, {about['seconds']} seconds on {about['machine']}; "
          f"Fréchet distance {about['figures']['frechet_2000_samples']:.1f}")
grid(model.sample(40, seed=7), columns=10)

# %% [markdown]
# It is not the pictures that set this method apart: the second line is chapter 02's network, the same generator trained in the usual game, and its Fréchet distance (chapter 02; smaller is better) is the lower one, after about as many seconds. What does set it apart is
# the training. A DCGAN's loss says who is winning, not how good the pictures are. The critic's value is a *distance* between two sets of pictures, and falls while they get better. This chapter is about what that distance is, why it takes
# a critic that is held back, and how to hold it back well.
#
# ## The idea: carrying earth
#
# Think of the fakes as heaps of earth and of the data as holes of the same volume. You may carry earth from any heap to any hole, and a barrow costs its mass times the way. The cheapest plan that levels everything costs the **Wasserstein distance** between the two
# (also: earth mover's distance; the full name is Wasserstein-1, since ways are counted as they are and not squared). For points $x_i$ with masses $p_i$ and $y_j$ with masses $q_j$ a plan is a table of amounts $\pi_{ij}$, carried from $y_j$ to $x_i$:
#
# $$W(p,q)=\min_{\pi\ge0}\sum_{ij}\pi_{ij}\,|x_i-y_j|\qquad\text{so that}\qquad\sum_j\pi_{ij}=p_i,\quad\sum_i\pi_{ij}=q_j.$$
#
# This is Kantorovich's problem (1942). What is minimised is linear in $\pi$, and so are the conditions: a **linear program**, which a solver finds the exact answer of.
#
# On the line it is easier still. Two ways that cross can be uncrossed and never get longer, so the best plan keeps the order: the smallest fake goes to the smallest data point, the second to the second. For $n$ points of equal mass on either side
#
# $$W=\frac1n\sum_{i=1}^n|x_{(i)}-y_{(i)}|,$$
#
# with both sorted.
#
# ### Check: three ways to one number
#
# The linear program, the sorted samples, and scipy's own function, which integrates the gap between the two distribution functions. Where masses are unequal, sorting by itself does not help, and the other two must agree.

# %%
# NBVAL_CHECK_OUTPUT
def primal(cost, p, q):  # (N, M), (N,), (M,) -> the plan (N, M), and what it costs
    n, m = cost.shape
    arrives, leaves = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))  # (N, N M), (M, N M)
    found = linprog(cost.ravel(), A_eq=np.vstack([arrives, leaves]), b_eq=np.concatenate([p, q]))
    return found.x.reshape(n, m), found.fun


draw = runtime.generator(0)
for n, m, equal in ((5, 5, True), (12, 12, True), (6, 10, False)):
    x, y = torch.randn(n, generator=draw).double().numpy(), 2 + torch.randn(m, generator=draw).double().numpy()
    p, q = np.ones(n) if equal else np.arange(1.0, n + 1), np.ones(m)
    p, q = p / p.sum(), q / q.sum()
    plan, value = primal(abs(x[:, None] - y), p, q)
    by_order = f"sorted {abs(np.sort(x) - np.sort(y)).mean():.6f}" if equal else "sorted  (n/a)  "
    print(f"{n:2} against {m:2} points: program {value:.6f}   {by_order}   scipy {wasserstein_distance(x, y, p, q):.6f}")

# %% [markdown]
# ### The other side of the same coin
#
# Now imagine that you do not carry the earth yourself. A carrier offers: "I buy a unit of earth at $y$ for the price $f(y)$, and sell it to you at $x$ for $f(x)$." You accept as long as no way becomes dearer than doing it yourself: $f(x)-f(y)\le|x-y|$ for all pairs. The carrier chooses prices that earn as much as
# this condition allows. (One price list serves for buying and selling, and the condition may be asked of all pairs of points: since ways obey the triangle inequality, neither costs the carrier anything.)
#
# $$W(p,q)=\max_{f}\;\sum_i p_i\,f(x_i)-\sum_j q_j\,f(y_j)\qquad\text{so that}\qquad f(a)-f(b)\le|a-b|\ \text{ for all points }a,b.$$
#
# This is a linear program as well, the **dual** of the first; that the two have the same value is the theorem of Kantorovich and Rubinstein (1958). It is easy to see one half: whatever the plan and whatever the prices, each barrow earns at most what its way costs, so every $f$ stays below every plan.
# (That the best two *meet* is the theorem.)
#
# The condition has a name: $f$ is **1-Lipschitz**, nowhere steeper than 1. And there stands our critic: $f$ is a function that gives every place a height, high at the data and low at the fakes, as far as its slope allows.
#
# ### Check: the dual has the same value
#
# In the plane: eight clouds of data on a ring, fakes in the middle. A third, independent judge: for equal masses the best plan can be a *matching*, one partner for each, and scipy finds the cheapest with an algorithm of its own.

# %%
# NBVAL_CHECK_OUTPUT
def dual(places, weights, slope=1.0):  # (K, D), (K,) that sum to 0 -> heights f (K,), and the sum of weights * f
    i, j = np.nonzero(~np.eye(len(places), dtype=bool))  # every pair, in both orders
    differences = np.eye(len(places))[i] - np.eye(len(places))[j]  # f_i - f_j
    free = [(0, 0)] + [(None, None)] * (len(places) - 1)  # only differences count: the first height is 0
    found = linprog(-weights, A_ub=differences, b_ub=slope * cdist(places, places)[i, j], bounds=free)
    return found.x, -found.fun


data = Ring().sample(16, 5).double()
fakes = torch.tensor([0.15, 0.1]) + 0.25 * torch.randn(16, 2, generator=runtime.generator(6), dtype=torch.float64)
cost, equal = cdist(data, fakes), np.full(16, 1 / 16)
plan, least = primal(cost, equal, equal)
f, most = dual(torch.cat([data, fakes]).numpy(), np.concatenate([equal, -equal]))
print(f"primal {least:.6f}   dual {most:.6f}   cheapest matching {cost[linear_sum_assignment(cost)].mean():.6f}")

# %% [markdown]
# Drawn: on the left the plan, from red to black. In the middle the prices that the dual found, as colours, with the plan again. On the right every pair of a fake and a data point: how far apart they are, and how much higher the critic stands at the data point.

# %%
pairs = np.argwhere(plan > 1e-6)  # (L, 2): to which data point, from which fake
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.5), layout="constrained")
for axes in (left, middle):
    for i, j in pairs:
        axes.plot(*torch.stack([fakes[j], data[i]]).T, color="0.6", lw=1, zorder=0)
    axes.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal", xticks=[], yticks=[])
left.plot(*data.T, "ko", *fakes.T, "o", ms=5)
left.lines[-1].set_color("crimson")
heights = middle.scatter(*torch.cat([data, fakes]).T, c=f, cmap="RdBu_r", edgecolor="black", lw=0.5, s=45, zorder=2)
figure.colorbar(heights, ax=middle, label="f", shrink=0.8)
rise = f[:16, None] - f[16:]  # (16, 16)
right.plot(cost.ravel(), rise.ravel(), ".", color="0.7", label="any pair")
right.plot(cost[plan > 1e-6], rise[plan > 1e-6], "o", color="crimson", label="a pair of the plan")
right.axline((0.5, 0.5), slope=1, color="black", lw=0.8, zorder=0)
right.set(xlabel="distance", ylabel="f(data) - f(fake)", xlim=(0, 1.8), ylim=(0, 1.4))
right.legend(loc="upper left")
plt.show()

# %% [markdown]
# The right panel holds the whole theorem. No point lies above the line: that is the condition. And all red points lie *on* it: along every way of the best plan, the best critic rises exactly as steeply as it may. (Else the carrier could charge more, or you could carry more cheaply.) Remember this for the gradient penalty.
#
# ### Why slope 1
#
# Without the condition the critic would raise the data and lower the fakes for ever: there would be no maximum. With slope $K$ in place of 1, all prices can be $K$ times as large, and the maximum is $K\,W$. So *some* bound on the slope is indispensable, and *which* one only sets the unit.
#
# ### Check: the value is the slope times the distance

# %%
# NBVAL_CHECK_OUTPUT
places, weights = torch.cat([data, fakes]).numpy(), np.concatenate([equal, -equal])
for slope in (0.5, 1.0, 3.0):
    value = dual(places, weights, slope)[1]
    print(f"slope at most {slope}: value {value:.5f} = {value / least:.4f} W")
status = linprog(-weights, bounds=(None, None)).status
print("no bound on the slope:", {0: "a maximum", 3: "no maximum, the program is unbounded"}[status])

# %% [markdown]
# ### Along the ways the gradient is 1
#
# The program knows $f$ at the points alone. It can be continued to the whole plane without getting steeper, and not in one way only. The highest and the lowest continuation are (McShane, 1934)
#
# $$\overline f(x)=\min_j\,\bigl[f(y_j)+|x-y_j|\bigr],\qquad\underline f(x)=\max_i\,\bigl[f(x_i)-|x-x_i|\bigr].$$
#
# (The first needs the fakes alone: a data point stands exactly as much above its partner as it is away, and adds nothing. The second needs the data alone.)
# Between a fake and its partner both must rise by the full distance, so they have no choice: on the straight line between the two **every** best critic, where it is differentiable, has a gradient of norm 1, which points to the partner (Gulrajani et al., 2017, proposition 1). Elsewhere it may be anything up to 1.
#
# ### Check: the gradient along the plan, and off it
#
# By autograd, for the highest continuation, the lowest, and the mean of the two, which is a best critic as well. First at places on the lines of the plan, then halfway between *any* data point and any fake, then all over the square of the figure below.

# %%
# NBVAL_CHECK_OUTPUT
f_data, f_fakes = torch.from_numpy(f[:16]), torch.from_numpy(f[16:])
highest = lambda x: (f_fakes + torch.cdist(x, fakes)).min(1).values
lowest = lambda x: (f_data - torch.cdist(x, data)).max(1).values
best = {"highest": highest, "lowest": lowest, "mean": lambda x: (highest(x) + lowest(x)) / 2}


def gradient_at(critic, x):  # (N, 2) -> (N, 2)
    x = x.clone().requires_grad_()
    return torch.autograd.grad(critic(x).sum(), x)[0]


i, j = torch.from_numpy(pairs.T)
place = torch.tensor([0.2, 0.5, 0.8]).double().repeat_interleave(len(i))[:, None]
ways = (data[i] - fakes[j]).repeat(3, 1)
on_lines, halfway = fakes[j].repeat(3, 1) + place * ways, (data[:, None] + fakes).view(-1, 2) / 2
for name, critic in best.items():
    on = gradient_at(critic, on_lines)
    along = (on * ways).sum(1) / ways.norm(dim=1)
    off, all_over = (gradient_at(critic, x).norm(dim=1).mean() for x in (halfway, lattice(1.3, 50).double()))
    print(f"{name:7}: on the plan, norm {on.norm(dim=1).min():.5f} to {on.norm(dim=1).max():.5f}, along the way at least {along.min():.5f}; "
          f"mean norm between any two {off:.2f}, all over {all_over:.2f}")

# %%
figure, panels = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
for axes, (name, critic) in zip(panels, best.items()):
    surface(axes, lambda x: critic(x.double()), reach=1.3, count=120, limits=(float(f.min()), float(f.max())))
    points(axes, data, fakes)
    arrows(axes, on_lines[: len(i)], gradient_at(critic, on_lines[: len(i)]), length=0.3)
    axes.set_title(f"{name}: one of the best critics")
plt.show()

# %% [markdown]
# All three agree at the points and along the ways; compare the rim, where they do not. Two lessons. What a fake is told on its way is the direction of its partner, with a gradient of norm 1 however far away that is: the slope that chapter 01 missed. (The arrows begin a fifth of the way along: at the fake itself the highest critic has a kink, and no gradient.)
# And off the ways a norm of 1 is *not* required: the mean critic is as good as the others, and nearly flat in places at the rim. Halfway between any data point and any fake it is close to 1 on average, though, and between them is where the gradient penalty below will ask for it.
#
# ## From a program to a network
#
# A linear program needs all points at once and a table of all pairs. Pictures come in batches and without end. So $f$ becomes a network $D$, the critic, and the maximum is found by gradient steps (Arjovsky et al., 2017):
#
# $$W=\max_{D\text{ 1-Lipschitz}}\;\mathbb E_{x}D(x)-\mathbb E_{z}D(G(z)).$$
#
# The critic *maximises* this difference and the generator wants to make $W$ small; it has a hand in the second term alone. Optimisers minimise, so the losses are
#
# $$L_D=\mathbb E\,D(G(z))-\mathbb E\,D(x),\qquad L_G=-\mathbb E\,D(G(z)).$$
#
# Mind the signs: a critic's loss is *negative* when all is well, and $-L_D$ is the estimate of the distance. (What happens with the signs turned round is common mistake 1.)
#
# ### Check: which way each step goes
#
# Minus the gradient by each score is where a step of descent would move it.

# %%
# NBVAL_CHECK_OUTPUT
real, fake = torch.tensor([1.0, 3.0], requires_grad=True), torch.tensor([-1.0, 0.5], requires_grad=True)
game = objective("wasserstein")
loss = game.discriminator(real, fake)
loss.backward()
print(f"critic: loss {loss:.2f} = -(E D(x) - E D(G(z))) = {-(real.mean() - fake.mean()):.2f}; "
      f"moves scores of data by {(-real.grad).tolist()}, of fakes by {(-fake.grad).tolist()}")
fake.grad = None
game.generator(fake).backward()
print(f"generator: moves scores of fakes by {(-fake.grad).tolist()}")

# %% [markdown]
# Every fake is pushed equally hard, whatever its score: nothing saturates. And since the value is a distance for a critic *at its maximum* only, the critic takes several steps for each step of the generator; `AdversarialTask` has `critic_steps` for it. A critic that is too good, the trouble of chapter 01, is here what we want.
#
# What remains is the condition. How does one make a network 1-Lipschitz?
#
# ## Weight clipping
#
# The first answer: after each step, put every weight back into $[-c,c]$.

# %%
source(Clip)

# %% [markdown]
# Why does it bound the slope? A network is a chain of linear layers $W_1,\dots,W_L$ and of leaky ReLUs, whose slope is at most 1. The slope of a chain is at most the product of the slopes, and the slope of a linear layer is its largest singular value, which for an $m\times n$ matrix with entries in $[-c,c]$ is at most $c\sqrt{mn}$:
#
# $$|\nabla D|\;\le\;\prod_l\|W_l\|_2\;\le\;\prod_l c\sqrt{m_ln_l}.$$
#
# So a clipped critic is $K$-Lipschitz for *some* $K$, and its maximum is an estimate of $K\,W$. Fine in theory: $K$ is only a unit.
#
# ### Check: the chain of bounds
#
# A critic for points with random weights, clipped. The steepest place of its surface, and both bounds, as powers of ten.

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
critic = PointDiscriminator()
for bound in (0.1, 0.01):
    Clip(bound).prepare(critic)
    weights = [layer.weight for layer in critic.layers if isinstance(layer, nn.Linear)]
    steepest = image_gradients(critic, lattice(2.0, 50)).norm(dim=1).max()
    singular = np.prod([torch.linalg.matrix_norm(w, 2).item() for w in weights])
    entries = np.prod([bound * w.numel() ** 0.5 for w in weights])
    print(f"c = {bound}: steepest 10^{np.log10(steepest.item()):.1f} <= singular values 10^{np.log10(singular):.1f} <= entries 10^{np.log10(entries):.1f}")

# %% [markdown]
# The bounds hold, and for random weights they are orders of magnitude apart from each other and from the slope. So $c$ does not tell the $K$ of *these* weights (of trained ones, below, it tells more). In the words of those who proposed it (Arjovsky et al., 2017), clipping is "a clearly terrible way to enforce a Lipschitz constraint". Gulrajani et al. (2017) found three things wrong with it; let us see each.
#
# ### Trouble 1: too simple functions
#
# A critic against fakes that stay as they are, those of a "generator" whose learning rate is 0. The data are a ring of eight small clouds, with one large cloud as fakes; or a square of nine, and the fakes are nine large clouds in the same places, so that, but for the rim, where the fakes stick out, only nearness to a centre tells data from fakes. Here is the training, five critic steps at a time, a thousand in all: enough for some of the critics to come near their best, and not for all, as we shall see.

# %%
class Cloud(nn.Module):
    """A generator that stands still: latents (B, 2) to Gaussian clouds around the centres (K, 2)."""

    latent_dim = 2

    def __init__(self, std, centres=torch.zeros(1, 2)):
        super().__init__()
        self.std, self.centres = std, nn.Parameter(centres.clone())

    def forward(self, latents):
        return self.centres[torch.randint(len(self.centres), latents.shape[:1], device=latents.device)] + self.std * latents


def train_critic(constraint, data, cloud, steps, critic=None):
    """A critic of points, trained against a cloud that does not move: five steps of the critic for each of `steps`."""
    torch.manual_seed(0)
    critic = PointDiscriminator() if critic is None else critic
    task = AdversarialTask(cloud, critic, "wasserstein", constraint, critic_steps=5, rates=(0.0, 2e-3), betas=(0.0, 0.9))
    for _ in fit(task, data.batches(5 * 128), steps, lr_schedule=warmup_cosine(steps, 10), plan=Plan(), progress=False):
        pass
    return critic.cpu().eval()


# %%
from v101_utils.widgets.critic import CriticView, critic_slider

ring, squares = Ring(), Ring()
squares.centres = lattice(1.0, 3)  # (9, 2)
clouds = {"ring": (ring, Cloud(0.5)), "square": (squares, Cloud(0.5, squares.centres))}
fixed = {name: (data.sample(1000, 1), cloud(torch.randn(1000, 2, generator=runtime.generator(2))).detach())
         for name, (data, cloud) in clouds.items()}  # fmt: skip
exercise = runtime.pick(ci=4, laptop=200, gpu=200)

by_weight = {w: train_critic(GradientPenalty(w), *clouds["ring"], exercise) for w in (0.0, 0.1, 1.0, 10.0, 100.0)}
by_bound = {c: train_critic(Clip(c), *clouds["ring"], exercise) for c in (0.01, 0.03, 0.1, 0.3)}
on_square = [train_critic(constraint, *clouds["square"], exercise) for constraint in (Clip(0.1), GradientPenalty(1.0))]

# %%
shown = {
    "ring, clipped": (by_bound[0.1], "ring"), "ring, penalty": (by_weight[1.0], "ring"),
    "square, clipped": (on_square[0], "square"), "square, penalty": (on_square[1], "square"),
}  # fmt: skip
figure, panels = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
for axes, (title, (critic, name)) in zip(panels, shown.items()):
    view = CriticView({1.0: critic}, *fixed[name])
    view.draw_plane(axes, 1.0)
    axes.set_title(title)
    print(f"{title:15} value / steepest slope {view.value(1.0) / view.norms(1.0).max():.3f}, exact distance {view.distance:.3f}")
plt.show()

# %% [markdown]
# Blue is low and red is high; black are data, red dots fakes, and an arrow is the push that a fake feels (forty of them are drawn). The clipped critics know where the middle is and where the rim: a bowl or a hill, little more. They do not see single clouds. The critics under a penalty of weight 1 (we come to it soon) do: look for summits at the clouds, on the ring and, fainter, on the square. As for numbers, dividing a critic's value
# by its steepest slope makes it comparable, whatever its unit, and no critic whatever can get above the exact distance between the two sets of points. (For the steepest slope we look at a thousand places between data and fakes; the truth may be a little steeper.) How much of the distance did each of them find? On the ring, by this measure,
# the clipped one is hardly behind: a bowl tells most of the way from the middle to the rim. What it does not tell is *where* on the rim the data are, which is little of the distance, and all that matters to a generator that has arrived there. On the square there is little else to tell. The clipped critic finds the hill, that fakes stick out at the rim, a third of the distance; what the penalty finds more is the centres. (Patience plays a part as well: at the paper's weight, 10, we shall see a bowl on the ring, too, after so short a training.)
#
# ### Trouble 2: weights at the bounds
#
# Where do the weights of such a critic end up?

# %%
figure, panels = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
for axes, (name, critic) in zip(panels, {"clipped at 0.1": by_bound[0.1], "gradient penalty 1": by_weight[1.0]}.items()):
    weights = torch.cat([layer.weight.flatten() for layer in critic.layers if isinstance(layer, nn.Linear)]).detach()
    axes.hist(weights, bins=80, color="C0")
    axes.set(title=name, xlabel="weight", yticks=[])
    axes.locator_params(axis="x", nbins=5)
    print(f"{name}: {(weights.abs() > 0.0999).float().mean():.0%} of all weights are beyond ±0.0999")
plt.show()

# %% [markdown]
# A critic wants to be steep; clipping lets it be steep only by making every single weight as large as it may. So weights pile up at $\pm c$, and little is left for the training to choose but signs. Gulrajani et al. see in this the reason for the too simple functions of trouble 1.
#
# ### Trouble 3: gradients that vanish or explode
#
# Each layer multiplies the gradient that comes back through it by about the same factor, and with clipping the factor is set by $c$. In a deep critic the factors multiply up. A chain of twelve layers, as in the paper: the norm of the loss's gradient at the output of each layer, after training.

# %%
def gradient_by_layer(critic, real, fake):
    """The norm of the gradient of the critic's loss by the output of each linear layer, the first first."""
    x, kept = torch.cat([real, fake]), []
    for layer in critic.layers:
        x = layer(x)
        if isinstance(layer, nn.Linear):
            x.retain_grad()
            kept.append(x)
    objective("wasserstein").discriminator(x[: len(real)], x[len(real) :]).backward()
    return [float(output.grad.norm()) for output in kept]


held = {f"clip {c:g}": Clip(c) for c in (0.01, 0.05, 0.1, 0.2)} | {"gradient penalty": GradientPenalty(1.0)}
norms = {}
for name, constraint in held.items():
    critic = train_critic(constraint, *clouds["ring"], runtime.pick(ci=2, laptop=40, gpu=200), PointDiscriminator(64, 11))
    norms[name] = gradient_by_layer(critic, *fixed["ring"])

# %%
axes = curves(range(1, 13), norms, "layer, from the points (1) to the score (12)", "norm of the gradient")
axes.set(yscale="log", title="how much of the loss's gradient arrives at each layer")
axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# Read from right to left, the way the gradient travels. On this logarithmic axis a straight line is a constant factor a layer: with a small bound the gradient is divided by the same factor at each step from the last layer to the first, and the first layers learn nothing; with a large one it grows. There may be a bound between at which it keeps its size, but that would have to be found anew for every architecture.
# The line of the gradient penalty stays level by itself.
#
# ## The gradient penalty
#
# Gulrajani et al. had the idea to ask for what we want. We saw that a best critic has gradients of norm 1 on the ways from fakes to data. So add to the critic's loss
#
# $$\lambda\;\mathbb E_{\hat x}\bigl(|\nabla_{\hat x}D(\hat x)|-1\bigr)^2,\qquad \hat x=(1-u)\,x+u\,G(z),\quad u\sim\mathcal U(0,1),$$
#
# with $\lambda=10$ in the paper. The places $\hat x$ lie on straight lines between a picture $x$ of the data and a fake, one place $u$ each. The pairs are random, since nobody knows the best plan, and between random pairs the theorem does not ask for a norm of 1. It is a heuristic, and a mild one (Petzka et al., 2018, penalise norms above 1 only, and find it works as well or better).
#
# And it is a spring, not a wall. Say that the critic has the slope $K$ all along the ways. Then its value is $K\,W$ and it maximises $K\,W-\lambda\,(K-1)^2$, so
#
# $$K=1+\frac{W}{2\lambda},\qquad\text{value}=W\Big(1+\frac W{2\lambda}\Big) .$$
#
# As long as $W$ is small beside $2\lambda$ the value is the distance; early in a training, when it is not, the value overstates it. We shall meet this formula again.

# %%
source(GradientPenalty.penalty)

# %%
source(image_gradients)

# %% [markdown]
# Few lines, and nearly each can be got wrong in a way that still trains. Go through them one by one.
#
# ### Check: the norm is that of a whole picture
#
# A linear critic $D(x)=\langle a,x\rangle$ has the gradient $a$ everywhere, so the penalty is $\lambda(|a|-1)^2$, where $|a|$ is the norm over *all* numbers of a picture, $C\times H\times W$ of them. `image_gradients` flattens each picture first.

# %%
# NBVAL_CHECK_OUTPUT
class Linear(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.a = a

    def forward(self, images):
        return (self.a * images).flatten(1).sum(1)


a = torch.randn(3, 8, 8, generator=runtime.generator(3))
real, fake = torch.randn(2, 16, 3, 8, 8, generator=runtime.generator(4))
for length in (0.5, 1.0, 2.0):
    critic = Linear(length * a / a.norm())
    wrong = (image_gradients(critic, real).view(-1, 3, 8, 8).norm(2, dim=1) - 1).square().mean()  # over channels
    print(f"|a| = {length}: package {GradientPenalty(10.0).penalty(critic, real, fake):.4f}, by hand {10 * (length - 1) ** 2:.4f}; "
          f"norm over channels {10 * wrong:.4f}")

# %% [markdown]
# The last column is `gradients.norm(2, dim=1)` on a tensor $(B,C,H,W)$: a norm over channels, one for each pixel. It is large for the critic that is right. Common mistake 2 lets it train.
#
# ### Check: a place for each picture
#
# `place` has the shape $(B,1,1,1)$. Then each $\hat x$ is on the line between its two ends: the two distances add up to that between the ends, and the places are spread evenly over $[0,1]$.

# %%
# NBVAL_CHECK_OUTPUT
def looked_at(x):  # a critic that remembers where it was asked
    seen.append(x.detach())
    return x.flatten(1).sum(1)


seen, real, fake = [], real.repeat(64, 1, 1, 1), fake.repeat(64, 1, 1, 1)  # each (1024, 3, 8, 8)
torch.manual_seed(0)
GradientPenalty().penalty(looked_at, real, fake)
apart = lambda u, v: (u - v).flatten(1).norm(dim=1)
place = apart(seen[0], real) / apart(fake, real)
detour = (apart(seen[0], real) + apart(seen[0], fake)) / apart(fake, real)
print(f"largest detour {detour.max():.4f}; share of places in each fifth of the line:", *[f"{s:.2f}" for s in place.histc(5, 0, 1) / 1024])

# %% [markdown]
# ### Check: on the raw score
#
# With a sigmoid at the end, what would be held at 1 is the slope of a probability, $|\nabla\sigma(s)|=\sigma(s)(1-\sigma(s))\,|\nabla s|$. The factor is a quarter at most and tiny where the critic is sure.

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(1)
critic, x = mlp(2, 1, 32, 2), torch.randn(4, 2, generator=runtime.generator(5))
for scale in (1.0, 30.0):
    raw, squashed = (image_gradients(f, x).norm(dim=1) for f in (
        lambda x: scale * critic(x)[:, 0], lambda x: (scale * critic(x)[:, 0]).sigmoid()))
    sure = (scale * critic(x)[:, 0]).sigmoid()
    print(f"scores times {scale:g}: |∇σ(s)| / |∇s| {[round(r, 3) for r in (squashed / raw).tolist()]}, "
          f"σ(1 - σ) {[round(r, 3) for r in (sure * (1 - sure)).tolist()]}")

# %% [markdown]
# ### Check: a gradient of its own for every picture
#
# The penalty is about $D$ as a function of *one* picture. `scores.sum()` is differentiated by the whole batch, which gives each picture its own gradient as long as no score depends on another picture. Batch normalisation breaks that: it subtracts the mean of the batch. So: the gradient of picture 0, once among its neighbours and once among others.

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
clothes = fashion_mnist("test", source="shipped").images[:15]
for norm in ("batch", "layer", "none"):
    critic = Discriminator(width=8, norm=norm)
    first, second = image_gradients(critic, clothes[:8])[0], image_gradients(critic, clothes[[0, *range(8, 15)]])[0]
    print(f"norm={norm!r}: same gradient among other neighbours: {torch.allclose(first, second, rtol=1e-3, atol=1e-7)}")
try:
    AdversarialTask(Generator(width=8), Discriminator(width=8, norm="batch"), "wasserstein", GradientPenalty())
except ValueError as error:
    print("refused:", error)

# %% [markdown]
# `norm="layer"` normalises each picture by itself, over its channels and pixels, as the paper advises. The generator may keep its batch normalisation: no gradient by a single picture is ever asked of it.
#
# ### Check: the gradient of a gradient
#
# The penalty contains a gradient, and training differentiates it once more. `create_graph=True` records how the gradient was computed, so that autograd can go through it a second time. Is the outcome right? Differentiate the penalty by finite differences of finite differences: the inner ones by the points, the outer ones by four weights, in float64.

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(2)
critic, (real, fake) = PointDiscriminator(16, 2), torch.randn(2, 32, 2, generator=runtime.generator(7))
torch.manual_seed(3)
GradientPenalty(10.0).penalty(critic, real, fake).backward()
weight = critic.layers[2].weight
by_autograd = weight.grad[0, :4].clone()

torch.manual_seed(3)  # the same places again
between = torch.lerp(real, fake, torch.rand(32, 1)).double()
critic64 = critic.double()


@torch.no_grad()
def penalty_by_differences(step=1e-5):
    units = step * torch.eye(2, dtype=torch.float64)
    slopes = torch.stack([critic64(between + u) - critic64(between - u) for u in units], 1) / (2 * step)  # (B, 2)
    return 10 * (slopes.norm(dim=1) - 1).square().mean()


for k in range(4):
    was, at = weight[0, k].item(), {}
    for change in (1e-4, -1e-4):
        weight.data[0, k] = was + change
        at[change] = penalty_by_differences()
    weight.data[0, k] = was
    print(f"weight {k}: autograd {by_autograd[k]:.3f}   differences {(at[1e-4] - at[-1e-4]) / 2e-4:.3f}")

# %% [markdown]
# Two ways to the same numbers. The double backward is what makes a step of this critic about twice as dear as one without a penalty.
#
# ## Training, live
#
# ### On the ring, where the distance is known
#
# First the plane again, now with a generator that moves. At every look we compute the *exact* distance between 500 drawn points and 500 of the data, by the cheapest matching. (Between samples it never falls to 0: the dotted line is how far two samples of the *data* are from each other.) Beside it is what the training reports: the critic's value, and, in a second training from the same start, the two losses: that one is chapter 01's game, non-saturating with R1, at its rates, but held constant, and without the average. The critic gets five steps for each of the generator, whose rate is a fifth of that in the other game, so that the critic can follow; the discriminator gets one.

# %%
moments = runtime.pick(ci=(2, 4, 6), laptop=(10, 20, *range(40, 241, 20)), gpu=(10, 20, *range(40, 601, 20)))


goal = ring.sample(500, 1)


def on_the_ring(task):
    """Trains up to the last of `moments`; at each the exact distance, and each scalar's mean over the ten steps before."""
    scalars, exact, reported = [], [], []
    for step in fit(task, ring.batches(128 * task.critic_steps), moments[-1], plan=Plan(), progress=False):
        scalars.append(step.scalars | {"value": step.scalars["real"] - step.scalars["fake"]})
        if step.number in moments:
            exact.append(matching_distance(goal, task.generator.sample(500, seed=1).cpu()))
            reported.append({name: float(np.mean([s[name] for s in scalars[-10:]])) for name in scalars[0]})
    return exact, {name: [r[name] for r in reported] for name in reported[0]}


critics_game = on_the_ring(ring_task(0, "wasserstein", GradientPenalty(1.0), betas=(0.0, 0.9), rates=(2e-4, 2e-3), critic_steps=5))
usual_game = on_the_ring(ring_task(0, "non-saturating"))

# %%
figure, panels = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
told = {"WGAN-GP": (critics_game, {"value": "critic's value"}),
        "non-saturating": (usual_game, {"generator": "generator's loss", "discriminator": "discriminator's loss"})}
floor = float(np.mean([matching_distance(goal, ring.sample(500, seed)) for seed in range(2, 6)]))
for axes, (title, (game, names)) in zip(panels, told.items()):
    exact, reported = game
    lines = {name: reported[key] for key, name in names.items()}
    curves(moments, {"exact distance": exact} | lines, "step of the generator", "", title, axes, marker=".")
    axes.axhline(floor, color="black", ls=":", label="two samples of the data")
    axes.set_ylim(0, 1.4 * axes.get_ylim()[1])
    axes.legend(loc="upper right", fontsize=8)
    print(f"{title}: exact distance from {exact[0]:.2f} to {exact[-1]:.2f}; of two samples of the data {floor:.2f}")
    for name, line in lines.items():
        print(f"    {name} from {line[0]:.2f} to {line[-1]:.2f}, rank correlation {spearmanr(line, exact).statistic:.2f}")
plt.show()

# %% [markdown]
# (**Spearman's rank correlation** is 1 where two lists rank the moments alike, 0 where one says nothing about the other, $-1$ where they contradict each other.) On the left, once the critic has caught up, its value lies close to the exact distance: not only the same fall, nearly the same numbers. (It can be above: with $W=0.86$ and $\lambda=1$ the formula above gives 1.23 at the second look. And below, where the critic is not at its maximum.) This is what the theory promised. On the right the points come nearer as well,
# and the losses do not say so: they soon lie near the values of an even game, $\log 2$ and $\log 4$, and stay there.
#
# ### Clothes
#
# The pair is of chapter 02's kind, with one layer each that sees the whole; the critic has `norm="layer"`. Two critic steps for each step of the generator, so a batch of 128 is cut into two. Adam with $\beta_1=0$: the critic chases a target that moves, and should not remember where it went. The two numbers to watch are the critic's value $\mathbb E D(x)-\mathbb E D(G(z))$
# and, every now and then, chapter 02's **Fréchet distance**, from an independent classifier that neither player knows (here of 500 pictures, so not to be compared with the numbers at the top). Beside it, for comparison, chapter 02's DCGAN with the non-saturating loss.

# %%
train = fashion_mnist("train", source="shipped", device=here)
frechet = zoo.recipes.fashion_frechet(runtime.pick(ci=200, laptop=2000, gpu=None))
count = runtime.pick(ci=50, laptop=500, gpu=2000)


def train_clothes(task, size, looks, show=(), progress=True):
    """Trains up to the last of `looks`; the scalars of every step, the Fréchet distance at each look, the last pictures."""
    scalars, distances = [], []
    for step in fit(task, Batches(train.images, size=size), looks[-1], progress=progress):
        scalars.append(step.scalars)
        if step.number in looks:
            images = task.generator.eval().sample(count, seed=1).cpu()
            distances.append(frechet(to_unit(images)))
        if step.number in show:
            display(rows({f"step {step.number}": images[:10]}))
    return scalars, distances, images


def wgangp(critic_steps=2, width=32, constraint=None):
    torch.manual_seed(0)
    pair = Generator(width=width, hidden=128), Discriminator(width=width, norm="layer", hidden=128)
    return AdversarialTask(*pair, "wasserstein", constraint or GradientPenalty(10.0), critic_steps=critic_steps,
                           rates=(1e-3, 1e-3), betas=(0.0, 0.9))


# %%
looks = runtime.pick(ci=(2, 4, 6), laptop=(20, 40, 60, 80, 100, 150, 200, *range(300, 601, 100)), gpu=tuple(range(100, 4001, 100)))
show = (*looks[: -1 : max(1, len(looks) // 4)], looks[-1])
wasserstein_game = train_clothes(wgangp(), 128, looks, show)

# %%
torch.manual_seed(0)
dcgan = AdversarialTask(Generator(width=32, hidden=128), Discriminator(width=32, hidden=128), rates=(1e-3, 1e-3), betas=(0.5, 0.99))
dcgan_game = train_clothes(dcgan, 64, looks, show)

# %% [markdown]
# ### Does the curve track quality?
#
# (The progress bar's `generator` is no measure of anything: it is minus the mean score of fakes, and a constant added to all scores changes it and nothing else. It may wander off to either side. Differences of scores count.)
#
# Take the moments at which we looked, and rank them twice: by the Fréchet distance, and by what the training itself reports, averaged over the last ten steps. The rank correlation is printed twice, for all moments and for the later half.

# %%
def at_looks(values, last=10):
    """The mean of the last few values at each look."""
    return [float(np.mean(values[max(0, look - last) : look])) for look in looks]


reports = {
    "WGAN-GP: critic's value": ([s["real"] - s["fake"] for s in wasserstein_game[0]], wasserstein_game[1]),
    "DCGAN: generator's loss": ([s["generator"] for s in dcgan_game[0]], dcgan_game[1]),
    "DCGAN: discriminator's loss": ([s["discriminator"] for s in dcgan_game[0]], dcgan_game[1]),
}
top = max(*wasserstein_game[1], *dcgan_game[1])
figure, panels = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
for axes, (name, (reported, distances)) in zip(panels, reports.items()):
    axes.plot(range(1, len(reported) + 1), reported, color="0.7", lw=1)
    axes.plot(looks, at_looks(reported), "o-", color="C0", ms=4, label="reported")
    axes.set(title=name, xlabel="step of the generator")
    other = axes.twinx()
    other.plot(looks, distances, "s--", color="crimson", ms=4)
    other.set(ylim=(0, 1.05 * top), ylabel="Fréchet distance" if axes is panels[-1] else "")
    other.tick_params(right=axes is panels[-1], labelright=axes is panels[-1], colors="crimson")
    late = len(looks) // 2
    both = [spearmanr(at_looks(reported)[first:], distances[first:]).statistic for first in (0, late)]
    print(f"{name:28} rank correlation with the Fréchet distance {both[0]:.2f}, from step {looks[late]} on {both[1]:.2f}")
panels[0].plot([], [], "s--", color="crimson", ms=4, label="Fréchet distance")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
plt.show()

# %% [markdown]
# Grey is what each training reports at every step, blue its mean over ten steps, red the Fréchet distance, on one scale in all three panels. On the left the value climbs for the first hundred steps, while the critic has yet to learn, and the pictures hardly get better. Then it comes down with the Fréchet distance, not step by step (the grey line has a deep dip between steps 100 and 150),
# and never goes far up again while the pictures get better. So it tracks quality, but not point by point.
#
# The losses of the DCGAN do no such thing. Its pictures get better faster, and from step 200 on its losses stay level, at values where the discriminator is somewhat ahead ($\log2$ for the generator's and $\log4$ for the discriminator's would be an even game) while its pictures go on getting better. They say who is winning. The rank correlations put a number to it, but be careful with such a number: two curves that both happen to go down have a high one whatever
# they mean, and in other games of this kind a generator's loss may do so for a while. The difference is in where the curves *can* go: the critic's value to 0, where there would be nothing left to carry.
#
# A warning from the beginning of that curve: the value is a distance only while the critic is near its maximum. A value that *rises* may mean that the pictures got worse, or that the critic got better. And the values of two different critics are not in the same unit.
#
# ### How many steps for the critic?
#
# More critic steps bring its value closer to the maximum, and so to a distance. But they cost, and the generator waits. So compare at *equal critic steps*, which take most of the time: one, two or five of them for each step of the generator. (A narrower pair, to keep it short.)

# %%
work, strips = runtime.pick(ci=10, laptop=450, gpu=1500), {}
for k in (1, 2, 5):
    scalars, distances, images = train_clothes(wgangp(k, width=16), 64 * k, (work // k,), progress=False)
    value = np.mean([s["real"] - s["fake"] for s in scalars[-10:]])
    strips[f"1 to {k}"] = images[:20]
    print(f"generator to critic 1 to {k}, {work // k:3} generator steps: Fréchet distance {distances[-1]:6.1f}, critic's value {value:.2f}")
rows(strips, columns=20, zoom=1.5, label_width=120)

# %% [markdown]
# The critic's value is larger with more critic steps, but do not read that as a better estimate: at equal critic steps the generators have taken 450, 225 and 90 steps, and the curve above, always with two critic steps, has about such values at those moments. By the Fréchet distance five critic steps do best here, with a fifth of the generator's steps: early in a training a better critic is worth the wait. (It is one seed of a short training: large differences alone count. And look at the pictures: none of the three is anywhere near its end.) Gulrajani et al. used five, and 1 is common today. What matters is that the critic can follow.
#
# ## The slider
#
# The critics of the ring that we trained above, one for each weight of the penalty. Colours are the critic's surface (each with its own scale), black the data, red the fakes, and an arrow is the push that a fake feels. On the right is how steep the critic is, at random places between data and fakes; the dotted line is at 1. The line of text
# has the critic's value and the exact distance between the two sets of points, which a critic of slope 1 cannot exceed.

# %%
sets = fixed["ring"]
by_penalty, by_clip = CriticView(by_weight, *sets, knob="weight"), CriticView(by_bound, *sets, knob="bound")
critic_slider(by_penalty)

# %% [markdown]
# And the same for the bound of clipping. Watch the histogram: it moves over orders of magnitude, and the surface hardly changes.

# %%
critic_slider(by_clip)

# %% [markdown]
# The same knobs as strips.

# %%
def strip(view):
    figure, panels = plt.subplots(2, len(view.critics), figsize=(11, 4.1), layout="constrained", height_ratios=(2, 1), squeeze=False)
    for setting, (above, below) in zip(view.critics, panels.T):
        view.draw_plane(above, setting)
        view.draw_norms(below, setting)
        above.set_title(f"{view.knob} {setting:g}, value {view.value(setting):.2g}", fontsize=9)
        below.set(xticks=[1e-4, 1e-2, 1, 100])
    plt.show()


strip(by_penalty)
W = by_penalty.distance
for weight in list(by_penalty.critics)[1:]:
    print(f"weight {weight:5g}: value {by_penalty.value(weight):.2f}, by the formula {W * (1 + W / (2 * weight)):.2f}; exact distance {W:.2f}")

# %%
strip(by_clip)

# %% [markdown]
# **The weight.** Without a penalty the slopes go off the scale (what lies beyond it is counted in the last bar): there is no maximum to come to. With a small weight the critic can afford slopes above 1, and its value is as many times too large: compare it with the formula. At the paper's weight the norms sit at the dotted line, and the value is near the distance, but the surface is still a bowl: it has found most of the distance, not yet the single clouds. A very large weight keeps the norms there just as well, but leaves the critic little care
# for anything else, and in this time it has not even found the middle: its value is far below the formula's.
#
# **The bound.** The steepness moves over orders of magnitude, as the product over four layers must: ten times the bound, up to ten thousand times the slope. It comes near 1 only somewhere between two of these bounds, and another network would have another. (Once trained, the weights stand at $\pm c$, and the bound by the entries is within a factor of ten of the steepest slope: so $c$ does tell the order of magnitude of $K$, and no more.) And the arrows, what a generator would be told, point outwards everywhere, *beyond* the ring as well: a fake that has passed it is sent further away, until the next steps of the critic call it back. (After so short a training a penalty of weight 10 does the same; only with weights 0.1 and 1 does the surface fall off outside the ring.)
#
# ## Common mistakes
#
# ### Common mistake 1: a sign turned round
#
# One often reads $L_D=\mathbb E D(x)-\mathbb E D(G(z))$ and $L_G=\mathbb E D(G(z))$: the formula for the distance, taken for a loss. Four games on the ring: the right one, one with both signs turned, and two in which one player only has it wrong.

# %%
correct = objective("wasserstein")
turned = Objective("turned", lambda real, fake: real.mean() - fake.mean(), lambda fake: fake.mean())
games = {
    "right": correct, "both turned": turned,
    "only the critic's": correct._replace(discriminator=turned.discriminator), "only the generator's": correct._replace(generator=turned.generator),
}  # fmt: skip
figure, panels = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
for axes, (name, game) in zip(panels, games.items()):
    task = ring_task(0, game, GradientPenalty(1.0), betas=(0.0, 0.9), critic_steps=3)
    for step, average in train_points(task, ring.batches(3 * 128), runtime.pick(ci=6, laptop=300, gpu=300)):
        pass
    surface(axes, lambda x: task.score(x.to(here)).cpu(), reach=4)
    fake = average.sample(400, seed=1).cpu()
    points(axes, ring.sample(400, 1), fake)
    axes.set_title(name)
    print(f"{name:20} E D(x) - E D(G(z)) {step.scalars['real'] - step.scalars['fake']:6.2f}, "
          f"fakes are {torch.cdist(fake, ring.centres).min(1).values.mean():.2f} from the nearest cloud")
plt.show()

# %% [markdown]
# The second panel is a surprise: with *both* signs turned the game works. Nothing but the names has changed: this critic is $-D$, low at the data and high at the fakes, and the generator goes down. (The penalty does not mind: a norm has no sign.) But its value is now negative, and everything that takes a high score for "real" reads it the wrong way round.
# With **one** sign turned, by adding the right half of one listing to the wrong half of another, the generator is told to go where the critic says "fake": it flees from the data, and the critic helps it on its way. Look at the distances, and for red dots in the last two panels: there are none, for the fakes have long left the picture. Nothing crashes, and no loss becomes infinite for a long while. So write the two losses side by side, from one place; here it is `objective("wasserstein")`.
#
# ### Common mistake 2: the norm over channels
#
# `gradients.norm(2, dim=1)`, as in many a listing, takes one norm for each *pixel*. Then it is the pixel's slope that is drawn to 1, and a picture of $28\times28$ pixels that all obey has a gradient of norm $\sqrt{784}=28$. We let such a critic train, and beside it the third mistake:
#
# ### Common mistake 3: a place for each pixel
#
# `torch.rand_like(real)` in place of `torch.rand(B, 1, 1, 1)`. First, where does it put $\hat x$? The share of the way from data to fake, and how far off the straight line it is, measured on pictures of clothes and noise:

# %%
noise = torch.randn(len(train.images[:2000]), 1, 28, 28, generator=runtime.generator(8)).clamp(-1, 1)
start, way = train.images[:2000].cpu().flatten(1), (noise - train.images[:2000].cpu()).flatten(1)
figure, panels = plt.subplots(1, 2, figsize=(9, 2.8), sharey=True, layout="constrained")
for axes, (name, shape) in zip(panels, {"one place a picture": (2000, 1), "one place a pixel": (2000, 784)}.items()):
    offset = torch.rand(shape, generator=runtime.generator(9)) * way  # x-hat minus x
    share = (offset * way).sum(1) / way.square().sum(1)
    off = (offset - share[:, None] * way).norm(dim=1) / way.norm(dim=1)
    axes.plot(share, off, ".", ms=3)
    axes.set(title=name, xlabel="share of the way", xlim=(0, 1))
    print(f"{name:20} share of the way {share.mean():.3f} ± {share.std():.3f}, off the line by {off.mean():.3f} of its length")
panels[0].set_ylabel("distance from the line / its length")
plt.show()

# %% [markdown]
# With a place for each pixel all $\hat x$ crowd in the middle, and none is on any line: 784 uniform numbers average out. Neither the data nor the fakes, nor anything near them, is ever looked at. Now train with each of the two mistakes.

# %%
class OverChannels(GradientPenalty):
    """Wrong: a norm for each pixel."""

    def penalty(self, discriminator, real, fake, labels=None):
        between = torch.lerp(real, fake.float(), torch.rand(len(real), 1, 1, 1, device=real.device))
        pixels = image_gradients(discriminator, between).view_as(real)
        return self.weight * (pixels.norm(2, dim=1) - 1).square().mean()


class PlaceForEachPixel(GradientPenalty):
    """Wrong: every pixel is mixed on its own."""

    def penalty(self, discriminator, real, fake, labels=None):
        between = torch.lerp(real, fake.float(), torch.rand_like(real))
        return self.weight * (image_gradients(discriminator, between).norm(dim=1) - 1).square().mean()


# %%
tries = {"right": GradientPenalty(10.0), "norm over channels": OverChannels(10.0), "place a pixel": PlaceForEachPixel(10.0)}
strips, clothes = {}, train.images[:500]
for name, constraint in tries.items():
    task = wgangp(width=16, constraint=constraint)
    scalars, distances, images = train_clothes(task, 128, (runtime.pick(ci=4, laptop=200, gpu=500),), progress=False)
    value = np.mean([s["real"] - s["fake"] for s in scalars[-10:]])
    fake = task.generator.sample(len(clothes), seed=2).to(here)
    on_line = torch.lerp(clothes, fake, torch.rand(len(clothes), 1, 1, 1, device=here))
    by_pixel = torch.lerp(clothes, fake, torch.rand_like(clothes))
    at_data, at_line, mixed = (image_gradients(task.discriminator, x).norm(dim=1).mean() for x in (clothes, on_line, by_pixel))
    strips[name] = images[:20]
    print(f"{name:20} norm of the gradient at data {at_data:6.2f}, on the lines {at_line:6.2f}, at pixel-wise mixtures {mixed:6.2f}; "
          f"value {value:5.1f}, Fréchet distance {distances[-1]:6.1f}")
rows(strips, columns=20, zoom=1.5, label_width=150)

# %% [markdown]
# Look at the norms first. The right critic has nearly one slope wherever one looks, somewhat above 1, as the formula above leads one to expect while the pictures are still far off. (It would have about two thirds of the excess or less: it supposes that all of the slope lies along the ways.) The one with a norm for each pixel is many times as steep on the lines, where it is looked at, and several times flatter at the data: its slope depends on where one looks, its value is in a unit that changes with the size of the picture, and its weight $\lambda$ means something else than in the paper.
# With the third mistake the norm is a little larger at the data than at the mixtures where it is held, and no more: after so few steps it hardly shows in the norms, and in the pictures not at all. Fréchet distances so early say little, and may even favour a wrong one: this is how such mistakes survive. They are found by checks like those above, not by looking at pictures.
#
# ### Common mistake 4: momentum with clipping
#
# Adam's usual $\beta_1=0.9$ in a clipped WGAN. Arjovsky et al. (2017, section 4) warn of it: the critic's loss is not stationary, and the momentum of the last steps points where the target *was*. (What is more, the clipping undoes part of each step without the optimiser knowing.) They fell back on RMSProp, which is Adam with $\beta_1=0$ but for details. Here both players get the momentum.

# %%
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
for axes, beta in ((left, 0.0), (middle, 0.9)):
    far = []
    for seed in range(3):
        task, path = ring_task(seed, "wasserstein", Clip(0.1), betas=(beta, 0.99), critic_steps=3), []
        for step in fit(task, ring.batches(3 * 128), runtime.pick(ci=5, laptop=300, gpu=300), plan=Plan(), progress=False):
            path.append(step.scalars["real"] - step.scalars["fake"])
        fake = task.generator.sample(1000, seed=1).cpu()
        far.append(torch.cdist(fake, ring.centres).min(1).values.mean().item())
    axes.plot(path, lw=1)
    axes.set(xlabel="step of the generator", ylabel="E D(x) - E D(G(z))", title=f"β₁ = {beta:g}, the last seed")
    print(f"β₁ = {beta:g}: fakes are, for three seeds, {[round(f, 2) for f in far]} from the nearest cloud")
    right.plot(*fake.T, ".", ms=3, alpha=0.5, label=f"fakes, β₁ = {beta:g}")
right.plot(*ring.sample(400, 1).T, "k.", ms=2)
right.set(aspect="equal", title="the last seed")
right.legend(fontsize=8, markerscale=4, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# Compare the two rows of distances, seed by seed, and the scales of the two lines: with momentum the critic's value swings, and the fakes of the last seed are still far from the ring.

# %% [markdown]
# ## Exercises
#
# Write your line where the dots are; run the cell; it says right or not yet. Solutions stand at the very end, folded away in JupyterLab.
#
# **Exercise 1.** The Wasserstein distance on the line, of as many fakes as data points.

# %%
from v101_utils.exercises import check


def on_the_line(x, y):  # (N,), (N,) -> a number
    ...


line = torch.randn(40, generator=runtime.generator(20)), 1.5 + torch.randn(40, generator=runtime.generator(21))
check(on_the_line, *line)


# %% [markdown]
# **Exercise 2.** The whole loss of a WGAN-GP critic, from its scores and from the gradients at the places between.

# %%
def critic_loss(real, fake, gradients, weight):  # (B,), (B,), (B, C, H, W), a number -> a number
    ...


given = *line, 0.05 * torch.randn(40, 3, 8, 8, generator=runtime.generator(22)), torch.tensor(10.0)
check(critic_loss, *given)


# %% [markdown]
# **Exercise 3.** The penalty of Petzka et al.: only norms *above* 1 cost anything, their excess squared.

# %%
def one_sided(gradients, weight):  # (B, C, H, W), a number -> a number
    ...


steep = given[2] * torch.linspace(0.2, 3, 40)[:, None, None, None]  # some norms below 1, some above
check(one_sided, steep, given[3])

# %% [markdown]
# ## Summary
#
# * The Wasserstein distance is the cheapest plan to carry one set of points to another. It has a slope at any distance, where the Jensen-Shannon divergence has none.
# * Its dual is a critic: heights, high at the data and low at the fakes, nowhere steeper than 1. The bound on the slope is the whole point; without it there is no maximum.
# * The critic maximises $\mathbb E D(x)-\mathbb E D(G(z))$: it minimises $\mathbb E D(G(z))-\mathbb E D(x)$, and the generator minimises $-\mathbb E D(G(z))$.
# * Clipping the weights bounds the slope by an unknown constant and leaves a critic of simple functions, weights at the bounds, and gradients that vanish or explode in deep chains.
# * The gradient penalty asks for slopes of norm 1 between data and fakes: the norm of a whole picture, one place a picture, on the raw score, no batch normalisation in the critic.
# * The critic's value is worth watching: it is an estimate of a distance. But of a distance on *this* critic's scale: compare moments of one training, not two trainings. And early on, when the distance is not small against $2\lambda$, it overstates it.
#
# ## References
#
# * Arjovsky, Chintala, Bottou. *Wasserstein GAN.* ICML 2017.
# * Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville. *Improved Training of Wasserstein GANs.* NeurIPS 2017.
# * Petzka, Fischer, Lukovnikov. *On the Regularization of Wasserstein GANs.* ICLR 2018.
# * Kantorovich. *On the Translocation of Masses.* Doklady of the Academy of Sciences of the USSR, 1942.
# * Kantorovich, Rubinstein. *On a Space of Completely Additive Functions.* Vestnik of Leningrad University, 1958.
# * McShane. *Extension of Range of Functions.* Bulletin of the American Mathematical Society, 1934.
# * Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter. *GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium.* NeurIPS 2017.
#
# ## Solutions

# %% jupyter={"source_hidden": true} tags=["solution"]
# NBVAL_CHECK_OUTPUT
def on_the_line(x, y):
    return (x.sort().values - y.sort().values).abs().mean()


def critic_loss(real, fake, gradients, weight):
    return fake.mean() - real.mean() + weight * (gradients.flatten(1).norm(dim=1) - 1).square().mean()


def one_sided(gradients, weight):
    return weight * (gradients.flatten(1).norm(dim=1) - 1).relu().square().mean()


check(on_the_line, *line)
check(critic_loss, *given)
check(one_sided, steep, given[3])
