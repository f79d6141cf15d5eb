# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 11 · Variational autoencoders and β-VAE
#
# Squeeze a picture into sixteen numbers, draw new pictures from sixteen random ones, and turn one knob, **β**, that
# trades what the code remembers against how simple it is.
#
# <!-- Colab badge: stamped once the repository's address is set -->
#
# This chapter builds on nothing but PyTorch. How long it takes stands in the README's table: on a laptop as measured,
# on a GPU as estimated.

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
import torch
from torch.distributions import Normal, kl_divergence

from v101_utils import runtime, zoo
from v101_utils.data import CLASSES, Batches, fashion_mnist, to_unit
from v101_utils.view import curves, grid, rows, source, use_style

runtime.set_up(seed=0)
use_style()

# %% [markdown]
# ## The picture first
#
# A network trained beforehand ships with this project. It was trained on Fashion-MNIST: 28×28 grey pictures of ten
# kinds of clothes. Each picture below was *never in any data set*: a vector $z$ of 16 independent normal numbers went in,
# and clothes came out, most of them whole. We use the part of the data set that comes inside the package, so that your numbers can equal ours
# with no download; leave `source="shipped"` out, and a full copy on your disk is used.

# %%
vae, card = zoo.load("vae-fashion"), zoo.card("vae-fashion")
print(card["steps"], "steps,", card["seconds"], "seconds on", card["machine"], "on", card["date"], "seed", card["seed"])
test = fashion_mnist("test", source="shipped")
grid(vae.sample(40, seed=1), columns=10)

# %% [markdown]
# And it goes the other way. Each picture is encoded in 16 numbers and decoded again. That is 49 times fewer numbers than
# pixels. Look at what survives (the kind, the cut, the shade) and what does not (prints, laces, folds).

# %%
shown = torch.cat([test.images[test.labels == c][:1] for c in range(10)])  # one picture of each class
rows({"data": shown, "decoded": vae.reconstruct(shown)})

# %% [markdown]
# ## The idea
#
# We want a model of pictures, $p(x)$, that we can sample. Say that each picture has a hidden cause $z$, a short
# vector with a simple prior $p(z)=\mathcal N(0, I)$, and that a network, the **decoder**, turns a cause into a picture:
#
# $$p(x) = \int p(x\mid z)\,p(z)\,dz, \qquad p(x\mid z) = \mathcal N\big(x;\ \text{decoder}(z),\ I\big).$$
#
# (The unit noise makes the loss a squared error; we do not draw it. Every "sample" in this chapter is the mean picture $\text{decoder}(z)$.)
#
# To train it we would maximise $\log p(x)$. But that integral is over every possible cause, and almost all causes explain a given
# picture terribly: guess $z$ at random and you learn nothing. So train a second network, the **encoder**, to guess *which* causes
# could have made $x$: $q(z\mid x)=\mathcal N\big(z;\ \mu(x), \sigma^2(x)\big)$, the (approximate) **posterior**.
#
# ### The bound
#
# Multiply and divide by $q$ inside the integral, and take the logarithm inside the mean, which can only lower it
# (Jensen's inequality, as the logarithm is concave):
#
# $$\log p(x) = \log \mathbb E_{q}\!\left[\frac{p(x\mid z)\,p(z)}{q(z\mid x)}\right]
#   \;\ge\; \underbrace{\mathbb E_{q}\big[\log p(x\mid z)\big]}_{-\ \text{distortion}}
#   \;-\; \underbrace{\mathrm{KL}\big(q(z\mid x)\,\|\,p(z)\big)}_{\text{rate}} \;=\; \text{ELBO}.$$
#
# This is the **evidence lower bound**, ELBO; "evidence" is another name for $\log p(x)$. Two terms, and they pull against each
# other. **Distortion** asks that the decoded picture be close to $x$. **Rate** asks that the code be close to the prior, that is,
# hold little about $x$: on average it bounds from above the information about $x$, in nats, that the code can carry. (A nat is
# the unit that goes with the natural logarithm, about 1.44 bits.)
# Here $\mathrm{KL}(q\,\|\,p)=\mathbb E_q[\log(q/p)]$ is the Kullback-Leibler divergence, never negative, and 0 only where the two are equal; the two terms are those of the logarithm of the product, $\log p(x\mid z)-\log\frac{q(z\mid x)}{p(z)}$. What is lost in the inequality is exactly $\mathrm{KL}(q(z\mid x)\,\|\,p(z\mid x))$, where $p(z\mid x)$ is the true posterior (put $p(x\mid z)\,p(z)=p(z\mid x)\,p(x)$ into the mean): the better the encoder, the tighter.
#
# ### Check: the rate
#
# Between $\mathcal N(\mu,\sigma^2)$ and the prior $\mathcal N(0,1)$ the KL of each latent has a closed form (Kingma and Welling 2014, appendix B), and the rate is its sum over the latents:
#
# $$\mathrm{KL} = \tfrac12\left(\mu^2 + \sigma^2 - 1 - \log\sigma^2\right).$$
#
# The package computes it so; `torch.distributions`, which we did not write, must agree. The formulas that code depends on
# are followed by such a cell, and the test run compares its output with what you see here.

# %%
# NBVAL_CHECK_OUTPUT
from v101_utils.vae import elbo, gaussian_nll, importance_weighted_bound, kl_to_prior, reparameterise

mean = torch.tensor([[0.0, 1.0, -2.0]])
log_var = torch.tensor([[0.0, -1.0, 0.5]])
oracle = kl_divergence(Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0))
print("ours  ", [f"{v:.4f}" for v in kl_to_prior(mean, log_var)[0]])
print("oracle", [f"{v:.4f}" for v in oracle[0]])

# %% [markdown]
# ### Check: the distortion
#
# With unit variance, $-\log p(x\mid z)$ is half the squared error **summed over pixels**, and a constant:
# $\tfrac12\|x-\hat x\|^2 + \tfrac D2\log 2\pi$. Here $\hat x$ is the decoded picture and $D$ the number of its pixels. The unit variance, together with the range of the pixels, here $[-1, 1]$, is what gives β its
# scale: with a variance $s^2$ instead, everything that we say of β would be said of $\beta s^2$.

# %%
# NBVAL_CHECK_OUTPUT
x = torch.linspace(-1, 1, 12).view(1, 1, 3, 4)
x_hat = torch.zeros(1, 1, 3, 4)
print(f"ours   {gaussian_nll(x, x_hat).item():.4f}")
print(f"oracle {-Normal(x_hat, 1.0).log_prob(x).sum().item():.4f}")

# %% [markdown]
# ### Check: it is a bound
#
# Take a model so small that the truth is known: one latent, one pixel, $x = 2z + \text{noise}$. Then $p(x)=\mathcal N(0, 5)$ exactly.
# Give it an encoder that is deliberately wrong. The ELBO must lie below the truth. Averaging $K$ weighted
# samples *before* the logarithm, $\mathbb E\log\tfrac1K\sum_k\frac{p(x\mid z_k)\,p(z_k)}{q(z_k\mid x)}$ with $z_k\sim q(z\mid x)$ (Burda et al. 2016), closes the gap as $K$ grows, from below. $K=1$ is the ELBO itself.

# %%
# NBVAL_CHECK_OUTPUT
class Tiny:
    """p(z) = N(0, 1), p(x|z) = N(2z, 1), and an encoder that is off on purpose."""

    def encode(self, x, beta=1.0):
        return 0.3 * x.flatten(1), torch.full_like(x.flatten(1), -0.5)

    def decode(self, z, beta=1.0):
        return 2 * z[:, :, None, None]


torch.manual_seed(0)
point = torch.full((20_000, 1, 1, 1), 1.5)  # one x, many times, to average over the noise
exact = Normal(0.0, 5.0**0.5).log_prob(torch.tensor(1.5)).item()
for k in (1, 4, 16, 64):
    print(f"K = {k:2}: bound {importance_weighted_bound(Tiny(), point, k).mean().item():.2f}")
print(f"exact log p(x) {exact:.2f}")

# %% [markdown]
# The same on the real network: the ELBO of test pictures, and how far 64 weighted samples lift it. The true gap to $\log p(x)$ is
# at least this, up to the noise of the estimate. It has two causes: $q$ is restricted to independent normals, and one network has to guess it for every picture.

# %%
few = test.images[: runtime.pick(ci=20, laptop=200, gpu=1000)]
torch.manual_seed(0)
with torch.no_grad():
    mean, log_var = vae.encode(few)
    draws = [vae.decode(reparameterise(mean, log_var)) for _ in range(64)]
bound = torch.stack([elbo(gaussian_nll(few, x), kl_to_prior(mean, log_var)) for x in draws]).mean()
tighter = importance_weighted_bound(vae, few, 64).mean()
print(f"ELBO {bound:.1f} nats an image; with 64 weighted samples {tighter:.1f}; the gap is {tighter - bound:.1f}")

# %% [markdown]
# ### Why the noise must be moved out of the way
#
# The distortion is a mean over random $z\sim q$, and we need its gradient with respect to the numbers that *shape* $q$. How
# do you differentiate through a die? There are two ways.
#
# * **Score function**: $\nabla_\mu \mathbb E[f(z)] = \mathbb E\big[f(z)\,\nabla_\mu\log q(z)\big]$. It works for any $f$, even one
#   that cannot be differentiated, because it only asks *how good* each throw was.
# * **Reparameterisation**: write $z=\mu+\sigma\varepsilon$ with $\varepsilon\sim\mathcal N(0,1)$. The die no longer depends on
#   $\mu$, so $\nabla_\mu\mathbb E[f(z)]=\mathbb E[f'(\mu+\sigma\varepsilon)]$. It asks *which way is better* at each throw.
#
# Take $f(z)=(z-3)^2$ with $\mu=1$, $\sigma=1$: the true gradient is $2(\mu-3)=-4$. Both are right on average; one of them needs
# many more throws.

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
noise = torch.randn(200_000, dtype=torch.float64)
z = 1.0 + noise
score_function = (z - 3) ** 2 * noise  # f(z) * d log q / d mu, as d log q / d mu = (z - mu) / sigma^2 = noise
through_noise = 2 * (z - 3)
for name, g in (("score function", score_function), ("reparameterised", through_noise)):
    print(f"{name:16} mean {g.mean().item():.1f}   variance {g.var().item():.0f}")

# %%
import matplotlib.pyplot as plt

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
left.hist([score_function.numpy(), through_noise.numpy()], bins=80, range=(-40, 20), density=True,
          label=["score function", "reparameterised"], histtype="stepfilled", alpha=0.6)
left.axvline(-4, color="black", lw=1)
left.set(title="one-sample estimates of a gradient that is -4", xlabel="estimate", ylabel="density")
left.legend()
samples = 2 ** torch.arange(0, 11)
spread = {name: [g[: n * 150].view(150, n).mean(1).std().item() for n in samples.tolist()]
          for name, g in (("score function", score_function), ("reparameterised", through_noise))}
curves(samples, spread, "samples averaged", "standard deviation", "how many throws it takes", right, log="xy")
right.set_xticks([1, 10, 100, 1000])  # all would run into each other
plt.show()

# %% [markdown]
# Here the score function needs some twenty times as many samples for the same accuracy (the ratio of the variances), and its handicap tends to grow with the number of latents. That is
# why a VAE is trained by the second way, and why the encoder must give a *distribution whose draws we can write as a differentiable function of its numbers and of noise*; here a shift and a scale.
#
# ## The code that matters
#
# It is read from the package itself, so what you see is what runs. First the forward pass, then the loss.

# %%
from v101_utils.vae import VAE, VAETask
from v101_utils.vae.task import beta_vae_loss

source(VAE.forward)

# %%
source(beta_vae_loss)

# %% [markdown]
# The **task** tells the one training loop of this project what a step is. `minimise` does the rest: gradients, precision,
# clipping, the optimiser. (Where `self.beta` is None, one network learns every β at once, which comes further down; the loss is
# then divided by $\sqrt\beta$, so that large β do not drown the small ones.)

# %%
source(VAETask.training_step)

# %% [markdown]
# ## Training, live
#
# Let us train one now, with a latent space of only **two** numbers, so that we can draw all of it. Watch the samples: the same
# latents, decoded as training goes on.

# %%
from v101_utils.training import fit, warmup_cosine

train = fashion_mnist("train", source="shipped", device=runtime.device())
small = VAE(latent_dim=2, widths=(16, 32), hidden=128)
steps = runtime.pick(ci=20, laptop=4000, gpu=8000)
latents = torch.randn(14, 2, generator=runtime.generator(3)).to(runtime.device())
losses = []
for step in fit(VAETask(small, beta=1.0), Batches(train.images, size=128), steps, lr_schedule=warmup_cosine(steps)):
    losses.append(step.scalars)
    if step.number in (1, steps // 15, steps // 4, steps):
        with torch.no_grad():
            display(rows({f"step {step.number}": small.decode(latents)}, columns=14))

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8))
constant = 784 / 2 * torch.log(torch.tensor(2 * torch.pi)).item()
curves(range(len(losses)), {"": [s["distortion"] - constant for s in losses]}, "step", "nats", "distortion, less the constant", left)
curves(range(len(losses)), {"": [s["rate"] for s in losses]}, "step", "nats", "rate", right)
plt.show()

# %% [markdown]
# Distortion falls while the rate *rises* from nothing: the network learns that information is worth its price. (Left out is
# the constant $\tfrac D2\log2\pi\approx720$ nats, which no training can lower.)
#
# ### A map of all clothes
#
# On the left, where the encoder puts test pictures, coloured by their class, which it was never told. On the right, what the
# decoder draws at each place. The rate pulls the cloud together around zero: that is what makes the gaps between the
# classes drawable, and what a plain autoencoder lacks.

# %%
with torch.no_grad():
    where = small.encode(test.images.to(runtime.device()))[0].cpu()
    side = torch.linspace(-2.2, 2.2, 16)
    places = torch.stack(torch.meshgrid(side, -side, indexing="xy"), -1).view(-1, 2)
    drawn = small.decode(places.to(runtime.device()))
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
dots = left.scatter(*where.T, c=test.labels, s=5, cmap="tab10")
left.set(title="where the encoder puts test pictures", xlabel="z0", ylabel="z1")
left.legend(dots.legend_elements()[0], CLASSES, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
right.imshow(grid(drawn, columns=16))
right.set(title="what the decoder draws, -2.2 to 2.2 each way")
right.axis("off")
plt.show()

# %% [markdown]
# ### Walking from one picture to another
#
# Back to the sixteen latents. Between two pictures, walk in pixels and you see both at once; walk between their codes and one
# picture turns into the other, with a blur in the middle where it is neither.

# %%
with torch.no_grad():
    start, end = shown[9:10], shown[2:3]  # an ankle boot, a pullover
    a, b = vae.encode(start)[0], vae.encode(end)[0]
    weights = torch.linspace(0, 1, 10)[:, None]
    between = vae.decode(a + weights * (b - a))
    mixed = start + weights[:, :, None, None] * (end - start)
rows({"in pixels": mixed, "in latents": between})

# %% [markdown]
# ## β: the price of information
#
# Now put a price on the rate (Higgins et al. 2017):
#
# $$\mathcal L_\beta = \text{distortion} + \beta \cdot \text{rate}.$$
#
# At β = 1 it is the ELBO with its sign turned. A larger β makes information dear: the code keeps only what explains most pixels.
# A smaller β makes it cheap. The network that ships is a VAE **for every β from 0.1 to 100 at once**: encoder and decoder are
# told $\log\beta$, and in training each picture draws a β of its own (Dosovitskiy and Djolonga 2020). So you can drag it.

# %%
from v101_utils.widgets import BetaView, LatentView, vae_sliders

beta_view = BetaView(vae, test.images[: runtime.pick(ci=64, laptop=500, gpu=2000)])
vae_sliders(beta_view, LatentView(vae, shown[9:10]))

# %% [markdown]
# Drag **β** to the right and watch what is forgotten first and what last. In the end every reconstruction is nearly the same average. Below the first
# picture are six more sliders, the latents of one ankle boot that have the largest rate (that part stays at β = 1, whatever the first slider says): drag one and see what it changes.
#
# For whoever reads this on a page, here is the same knob as a strip.

# %%
betas = (0.1, 1.0, 5.0, 20.0, 50.0, 100.0)
rows({"data": shown} | {f"β = {beta:g}": vae.reconstruct(shown, beta) for beta in betas})

# %%
rows({f"samples, β = {beta:g}": vae.sample(10, seed=4, beta=beta) for beta in betas}, label_width=160)

# %% [markdown]
# ### The rate-distortion curve
#
# Each β is one point of a curve: how many nats are spent, and what error they buy. No point is "right"; β only chooses where on
# the curve to stand. At the optimum β is the slope of this curve, with its sign turned, *if* distortion is measured as the loss
# measures it: in nats, on noisy codes. The axis here is the error per pixel of decoded means, of pictures in [0, 1], which is
# easier to picture, and its slope is not β.

# %%
rate, error = beta_view.curve.T
axes = curves(rate, {"test pictures": error}, "rate, nats an image", "squared error per pixel", marker="o")
for r, e, beta in list(zip(rate, error, beta_view.betas))[::3]:
    axes.annotate(f"β = {beta:.3g}", (r, e), textcoords="offset points", xytext=(6, 6))
plt.show()

# %% [markdown]
# ### Is one network for all β as good as one for each?
#
# Three networks with the same layers, less the part that listens to β, were trained at one β each, for a quarter as many steps: three quarters
# of the steps altogether. Rate and error trade off, so compare the loss as well (distortion + β·rate, less the constant): lower is better, and there is
# no reason why one of the two should win at every β.

# %%
for beta in zoo.recipes.FIXED_BETAS:
    for name, model in (("one for all β", vae), ("one for this β", zoo.load(f"vae-fashion-beta{beta:g}"))):
        rate, error = model.measure(beta_view.images, beta)
        with torch.no_grad():
            loss = beta_vae_loss(model, beta_view.images, beta)[0].mean() - constant
        print(f"β = {beta:3g}, {name:14}: rate {rate:4.1f}, error {error:.4f}, loss {loss:.1f}")

# %% [markdown]
# The one network is close to each of the three: its loss is a little lower at two β and a little higher at the third. (One
# network each, so a small difference says little.)
#
# ### Posterior collapse
#
# As information grows dear, latents are given up one after another. For such a latent $q(z_i\mid x)\approx p(z_i)$ whatever the picture, so it costs next to
# nothing and says next to nothing. Below, the rate of each of the sixteen latents at each β. At the right end hardly anything is left; and one, the top row, is unused at every β.

# %%
with torch.no_grad():
    per_latent = torch.stack([kl_to_prior(*vae.encode(few, beta)).mean(0) for beta in beta_view.betas.tolist()])
order = per_latent.mean(0).argsort(descending=True)
figure, axes = plt.subplots(figsize=(7, 3))
heat = axes.pcolormesh(beta_view.betas, range(16), per_latent[:, order].T, cmap="magma", shading="nearest")
axes.set(xscale="log", xlabel="β", ylabel="latent, most used first", title="rate of each latent, nats")
axes.grid(False)
figure.colorbar(heat)
plt.show()
for end in (0, -1):
    print(f"β = {beta_view.betas[end]:g}: {per_latent[end].sum():.2f} nats, {(per_latent[end] > 0.01).sum()} latents above 0.01")

# %% [markdown]
# ### Which β draws best?
#
# Is the β that reconstructs best also the one that draws best? We ask a judge that is no part of the VAE. A classifier turns real pictures and samples into vectors of features, and a normal distribution is fitted to each of the two sets; the **Fréchet distance** is how far
# the two are apart, in their means and their covariances. Lower is better. It is *not* comparable with the FID (Fréchet Inception distance) of papers,
# which is measured on another network; and it falls with the number of samples, so that number is stated. All are compared with training pictures. The line *real test pictures* is the distance of as many real pictures that the network was not trained on: not 0, as they are other pictures, but the least that one can hope for.

# %%
count = runtime.pick(ci=100, laptop=2000, gpu=2000)
real = train.images[: runtime.pick(ci=200, laptop=18_000, gpu=18_000)].cpu()
frechet = zoo.recipes.FrechetDistance(to_unit(real), zoo.load("classifier-fashion"))
some = runtime.pick(ci=[1.0, 10.0], laptop=[0.1, 0.3, 1.0, 3.0, 10.0, 30.0], gpu=[0.1, 0.3, 1.0, 3.0, 10.0, 30.0])
sampled = [frechet(to_unit(vae.sample(count, beta=beta))) for beta in some]
decoded = [frechet(to_unit(vae.reconstruct(test.images[:count], beta))) for beta in some]
floor = frechet(to_unit(test.images[:count]))
curves(some, {"samples": sampled, "reconstructions": decoded, "real test pictures": [floor] * len(some)},
       "β", f"Fréchet distance, {count} images", log="xy", marker="o")
plt.show()
print({f"β = {beta:g}": round(s, 1) for beta, s in zip(some, sampled)}, f"real pictures: {floor:.1f}")

# %% [markdown]
# The smallest β reconstructs best. To the samples it hardly matters between 0.1 and 1: there they are far worse than the
# reconstructions, since what the prior draws is not spread as the codes of real pictures are. With a larger β the two come
# together, but as blurs: both get worse. (At β = 30 the reconstructions are even a little further off than the samples. A likely reason is that they are decoded from means, without noise, which then vary less than draws from the prior.)
#
# ## Disentanglement, measured
#
# A hope came with β-VAE: that a dear code would give *one latent to one factor* of the world, position here, colour there.
# To test a hope one needs a world whose factors are known. `shapes` draws one: shape, hue, size, rotation, x and y, all independent. The network below has ten latents and is again one for every β, here from 0.02 to 10.

# %%
from v101_utils.data.shapes import draw, sample_factors

shapes = zoo.load("vae-shapes")
pictures = draw(sample_factors(10, 5))
rows({"data": pictures} | {f"decoded, β = {beta:g}": shapes.reconstruct(pictures, beta) for beta in (0.02, 0.5, 5)}, label_width=140)

# %% [markdown]
# Now a **traversal**, at β = 0.5: encode one picture, then slide one latent from -2 to 2 and leave the others alone, for each of the six latents of largest rate. A disentangled latent changes
# one thing.

# %%
with torch.no_grad():
    mean, log_var = shapes.encode(pictures[:1], 0.5)
    busiest = kl_to_prior(mean, log_var)[0].argsort(descending=True)[:6]
    strips = {}
    for i in busiest.tolist():
        moved = mean.repeat(10, 1)
        moved[:, i] = torch.linspace(-2, 2, 10)
        strips[f"z{i}"] = shapes.decode(moved, 0.5)
rows(strips, label_width=50)

# %% [markdown]
# Here and there a row changes one thing, the hue or the angle; others change several at once, or fall apart on the way. But the
# eye is easily charmed, so count. The **mutual information gap** (Chen et al. 2018) asks of each factor: which latent tells most
# about it, and by how much does it lead the second? Divided by the factor's entropy: 1 means that one latent tells all of the factor and no other anything of it, 0 a tie. We
# estimate $I$ and $H$ from histograms, of 20 bins of the posterior *means*, as Locatello et al. do, and of the factors; this ignores the noise, so that a
# latent that has nearly collapsed still counts by the small moves of its mean.
#
# $$\mathrm{MIG} = \frac1K\sum_{k} \frac{I(z_{j_k}; v_k) - \max_{j\ne j_k} I(z_j; v_k)}{H(v_k)}.$$
#
# Here $v_k$ is one of the $K$ factors, $z_{j_k}$ the latent that tells most about it, $I$ their mutual information (how much the
# one tells about the other, in nats), and $H$ the entropy (all that there is to tell).
#
# ### Check: the gap
#
# A code that *is* the factors scores 1. The same code with its first two latents turned by 45° (and mirrored and stretched, which changes nothing here) tells just as much, but no
# latent stands for those two factors any more: they score nearly 0.

# %%
# NBVAL_CHECK_OUTPUT
from v101_utils.metrics import mutual_information_gap

factors = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
turned = factors.clone()
turned[:, 0], turned[:, 1] = factors[:, 0] + factors[:, 1], factors[:, 0] - factors[:, 1]
for name, code in (("the factors", factors), ("two of them turned", turned)):
    score, gaps = mutual_information_gap(code, factors)
    print(f"{name:20} MIG {score:.2f}   by factor {[f'{g:.2f}' for g in gaps.abs()]}")

# %% [markdown]
# ### Does β help?
#
# Twelve networks ship for this question: four values of β, three sets of initial weights each, trained on the same pictures for
# the same number of steps. Nothing below was picked: these are all of them, each a cross; the line is their mean at each β.
# (2,000 steps are a short training: read the figures as those of small, early networks.)

# %%
from v101_utils.zoo.recipes import SWEEP_BETAS, SWEEP_SEEDS, shapes_mig

images = runtime.pick(ci=500, laptop=10_000, gpu=10_000)
score = torch.tensor([shapes_mig(model, count=images) for model in zoo.load("vae-shapes-sweep")]).view(-1, len(SWEEP_SEEDS))
axes = curves(SWEEP_BETAS, {"mean of three seeds": score.mean(1)}, "β", "MIG", log="x", marker="o")
for seed in SWEEP_SEEDS:
    axes.plot(SWEEP_BETAS, score[:, seed], "x", color="0.5")
plt.show()
for beta, row in zip(SWEEP_BETAS, score):
    print(f"β = {beta:3g}: MIG {row.mean():.3f}, seeds from {row.min():.3f} to {row.max():.3f}")
print(f"spread between seeds {score.std(1).mean():.3f}, between the means of the betas {score.mean(1).std():.3f}")

# %% [markdown]
# Read the spread before the trend: the last line has how far seeds at one β differ, and how far the means at different β do. A mean of three seeds varies by chance as well, by about $1/\sqrt3$ of the first;
# only a spread of the means that is clearly larger would show that β matters at all, and for a trend they would have to go one way as well. Here it is smaller still, so no trend can be
# seen, and three seeds are few to look for one. Locatello et al. (2019) trained some 12,000 networks and found that seed and
# settings often mattered more than the method. They also proved that without labels or further assumptions nothing *forces* a
# code to align with the factors.
#
# ## Common mistakes
#
# ### Common mistake 1: a mean over pixels
#
# `F.mse_loss(x_hat, x)` averages over pixels. The KL beside it is a sum over latents. Half of that mean is the distortion divided by 784, which is the same as
# **multiplying β by 784**, silently (by 392, if the half is forgotten too). Run the wrong version and see.

# %%
class MeanOverPixels(VAETask):
    """The common mistake: distortion as a mean over pixels beside a sum over latents."""

    def training_step(self, batch, minimise):
        decoded, mean, log_var = self.model(batch[0])
        distortion = 0.5 * (decoded - batch[0]).square().mean()
        rate = kl_to_prior(mean, log_var).sum(1).mean()
        minimise(distortion + rate, self.optimisers["model"])
        return {"distortion": distortion, "rate": rate}


steps, trained = runtime.pick(ci=10, laptop=600, gpu=1000), {}
for name, task in (("sum", VAETask), ("mean", MeanOverPixels)):
    torch.manual_seed(0)
    model = VAE(widths=(16, 32), hidden=128)
    for step in fit(task(model), Batches(train.images, size=128), steps, lr_schedule=warmup_cosine(steps)):
        pass
    trained[name] = model
    print(f"{name}: rate {step.scalars['rate']:.3f} nats")
    display(rows({f"decoded, {name}": model.reconstruct(shown.to(runtime.device()))}, label_width=130))

# %% [markdown]
# With the mean, the rate falls to nearly nothing and every picture decodes to the same average: compare the two printed rates. It looks like a network that "does not train". Nothing is wrong
# with it: it was asked to solve β = 784.
#
# ### Common mistake 2: the variance taken for the standard deviation
#
# The network gives $\log\sigma^2$. The noise must be scaled by $\sigma = e^{\frac12\log\sigma^2}$. Leave the half out, and the noise has the wrong size. Nothing
# crashes, so only a check of the sample's variance finds it. (Printed are logarithms of variances: without the half they double, here from -2 to -4. So the noise is too small where σ is below 1, and would be too large where it is above.)

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
log_var = torch.full((100_000, 1), -2.0, dtype=torch.float64)
noise = torch.randn(100_000, 1, dtype=torch.float64)
right, wrong = reparameterise(0 * noise, log_var, noise), log_var.exp() * noise
print(f"log-variance: asked for {-2.0:.1f}; right {right.var().log().item():.1f}; wrong {wrong.var().log().item():.1f}")

# %% [markdown]
# ### Common mistake 3: no rate, no prior
#
# Leave the rate out (β = 0) and nothing holds the codes near $\mathcal N(0, I)$; the cheapest way to a small distortion is then
# to make σ vanish. What is left is a plain autoencoder, and a draw from the prior need not land where its codes are. Train one
# and draw; below it, from the same latents, draws of the right one of the two networks of mistake 1, which was trained with the sum, at β = 1, for as many steps; and of a network that ships and was trained at β = 0.1 alone; it is larger than either, and was trained longer.

# %%
torch.manual_seed(0)
model = VAE(widths=(16, 32), hidden=128)
for step in fit(VAETask(model, beta=0.0), Batches(train.images, size=128), steps, lr_schedule=warmup_cosine(steps)):
    pass
rows({"decoded, β = 0": model.reconstruct(shown.to(runtime.device())), "samples, β = 0": model.sample(10, seed=4),
      "samples, β = 1": trained["sum"].sample(10, seed=4),
      "samples, β = 0.1,\ntrained longer": zoo.load("vae-fashion-beta0.1").sample(10, seed=4)}, label_width=150)  # fmt: skip

# %% [markdown]
# It decodes; it does not draw. At β = 1 the short training makes blurred draws, but mostly of clothes. In the last row the draws have more detail, and some are no kind of clothes. A small price holds the codes near the prior, though more loosely than a large one. Not all of the difference is β's, as that network is larger and was trained longer: in the one network for all β, the distance above hardly differs between β = 0.1 and 1.
#
# ## Exercises
#
# Write your line where the dots are; run the cell; it says right or not yet. Solutions stand at the very end, folded away in JupyterLab.
#
# **Exercise 1.** The KL from $\mathcal N(\mu, I)$ to the prior $\mathcal N(0, I)$, both of unit variance, is half the squared length of $\mu$. Give it for each row of `mean`.

# %%
from v101_utils.exercises import check


def kl_of_means(mean):  # (B, L) -> (B,)
    ...


check(kl_of_means, torch.randn(5, 3))


# %% [markdown]
# **Exercise 2.** How many latents are *active*? Count those whose mean $\mu_i(x)$ varies over the data by a variance above 0.01 (Burda et al. 2016).

# %%
def active(means):  # (N, L) -> (), a count
    ...


check(active, vae.encode(few, 20.0)[0].detach())


# %% [markdown]
# **Exercise 3.** Sample near a picture: draw $z$ from $q(z\mid x)$ but with its standard deviation multiplied by a *temperature*. (Give back `z`.)

# %%
def warm(mean, log_var, noise, temperature):  # three (B, L) -> (B, L)
    ...


inputs = torch.randn(3, 4, 16, generator=runtime.generator(9))
check(warm, *inputs, torch.tensor(0.5))

# %% [markdown]
# ## Summary
#
# * A VAE minimises distortion plus rate, both sums, in nats: that sum is the ELBO with its sign turned, and the ELBO is a lower
#   bound on $\log p(x)$.
# * Moving the noise out, $z=\mu+\sigma\varepsilon$, gives gradients with little variance.
# * β prices information. It chooses a point of the rate-distortion curve; too high and the posterior collapses.
# * To reconstruct and to draw are two questions, and a higher β is no promise of disentanglement: measure each.
# * The samples are smooth because the decoder gives a *mean* picture. Chapters on GANs and diffusion are about what to do instead.
#
# ## References
#
# * Kingma, Welling. *Auto-Encoding Variational Bayes.* ICLR 2014.
# * Rezende, Mohamed, Wierstra. *Stochastic Backpropagation and Approximate Inference in Deep Generative Models.* ICML 2014.
# * Burda, Grosse, Salakhutdinov. *Importance Weighted Autoencoders.* ICLR 2016.
# * Higgins et al. *beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework.* ICLR 2017.
# * Alemi et al. *Fixing a Broken ELBO.* ICML 2018.
# * Chen, Li, Grosse, Duvenaud. *Isolating Sources of Disentanglement in Variational Autoencoders.* NeurIPS 2018.
# * Locatello et al. *Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations.* ICML 2019.
# * Dosovitskiy, Djolonga. *You Only Train Once: Loss-Conditional Training of Deep Networks.* ICLR 2020.
#
# ## Solutions

# %% jupyter={"source_hidden": true} tags=["solution"]
# NBVAL_CHECK_OUTPUT
def kl_of_means(mean):
    return 0.5 * mean.square().sum(1)


def active(means):
    return (means.var(0) > 0.01).sum()


def warm(mean, log_var, noise, temperature):
    return mean + temperature * (0.5 * log_var).exp() * noise


check(kl_of_means, torch.randn(5, 3))
check(active, vae.encode(few, 20.0)[0].detach())
check(warm, *inputs, torch.tensor(0.5))
