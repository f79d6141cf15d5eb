"""The VAE: its objective against closed forms, its network against what it promises."""

import math

import pytest
import torch
from scipy import stats
from torch.distributions import MultivariateNormal, Normal, kl_divergence

import v101_utils.vae.model as model_file
from v101_utils.runtime import Plan
from v101_utils.training import fit
from v101_utils.vae import VAE, Ensemble, VAETask, gaussian_nll, importance_weighted_bound, kl_to_prior, reparameterise
from v101_utils.vae.task import beta_vae_loss


def small(size=28, seed=0, betas=None, channels=1) -> VAE:
    torch.manual_seed(seed)
    return VAE(channels, size, latent_dim=4, widths=(8, 8), hidden=16, betas=betas, condition_dim=8)


@pytest.fixture
def images():
    return torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1


# The objective


def test_the_rate_is_exact_in_half_precision(images):
    with torch.no_grad():
        _, mean, log_var = small()(images)
    mean, log_var = (mean / 50).bfloat16(), (log_var / 50).bfloat16()  # near the prior, where exp(v) - 1 - v cancels
    rate = beta_vae_loss(lambda images, beta: (images, mean, log_var), images, 1.0)[2]
    wanted = kl_divergence(Normal(mean.double(), (log_var.double() / 2).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(rate.double(), wanted, rtol=0.01, atol=1e-7)


def test_kl_is_torchs():
    torch.manual_seed(0)
    mean, log_var = torch.randn(50, 7), torch.randn(50, 7) * 2
    expected = kl_divergence(Normal(mean, (log_var / 2).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(kl_to_prior(mean, log_var), expected)


def test_nll_is_torchs_summed_over_pixels(images):
    other = images.flip(0)
    expected = -Normal(other, 1.0).log_prob(images).sum((1, 2, 3))
    torch.testing.assert_close(gaussian_nll(images, other), expected)
    twice = gaussian_nll(torch.cat([images, images], 3), torch.cat([other, other], 3))
    torch.testing.assert_close(twice, 2 * expected)


def test_reparameterised_samples_are_gaussian():
    torch.manual_seed(0)
    mean, log_var = torch.full((20_000, 1), 1.5), torch.full((20_000, 1), -1.0)
    samples = reparameterise(mean, log_var)[:, 0].numpy()
    assert stats.kstest(samples, stats.norm(1.5, math.exp(-0.5)).cdf).pvalue > 1e-3


def test_gradients_flow_through_a_sample():
    """d/dm E z^2 = 2m and d/d(log v) E z^2 = v, for z ~ N(m, v)."""
    torch.manual_seed(0)
    mean, log_var = torch.tensor([[0.7]], requires_grad=True), torch.tensor([[0.4]], requires_grad=True)
    count = 200_000
    reparameterise(mean.expand(count, 1), log_var.expand(count, 1)).square().mean().backward()
    assert mean.grad.item() == pytest.approx(1.4, abs=0.02)
    assert log_var.grad.item() == pytest.approx(math.exp(0.4), abs=0.02)


class LinearGaussian:
    """p(z) = N(0, 1), p(x|z) = N(Wz + b, 1), columns of W orthogonal: the exact posterior has independent latents."""

    def __init__(self, off: float):
        torch.manual_seed(0)
        self.weight = torch.linalg.qr(torch.randn(6, 2)).Q * torch.tensor([2.0, 0.7])
        self.bias, self.off = torch.randn(6), off  # off: how far q is from the posterior

    def encode(self, images, beta):
        precision = 1 + self.weight.square().sum(0)
        mean = (images.flatten(1) - self.bias) @ self.weight / precision
        return mean + self.off, (-precision.log() + self.off).expand_as(mean)

    def decode(self, latents, beta):
        return (latents @ self.weight.T + self.bias).view(-1, 1, 2, 3)

    def exact(self, images):
        return MultivariateNormal(self.bias, self.weight @ self.weight.T + torch.eye(6)).log_prob(images.flatten(1))


def test_the_bound_is_exact_where_the_posterior_is():
    model, images = LinearGaussian(off=0.0), torch.randn(5, 1, 2, 3)
    torch.testing.assert_close(importance_weighted_bound(model, images, 1), model.exact(images), atol=1e-4, rtol=1e-4)


def test_the_bound_rises_to_the_likelihood():
    model, images = LinearGaussian(off=0.4), torch.randn(1, 1, 2, 3).expand(400, 1, 2, 3)
    exact = model.exact(images[:1]).item()
    bounds = [importance_weighted_bound(model, images, samples).mean().item() for samples in (1, 5, 50)]
    assert bounds[0] < bounds[1] - 0.05 < bounds[2] < exact + 0.01
    assert importance_weighted_bound(model, images, 3000).mean().item() == pytest.approx(exact, abs=0.005)


# The network


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
@pytest.mark.parametrize("betas", [None, (0.1, 10.0)])
def test_shapes(channels, size, betas):
    model = small(size, betas=betas, channels=channels)
    images = torch.rand(3, channels, size, size) * 2 - 1
    reconstructions, mean, log_var = model(images)
    assert reconstructions.shape == images.shape
    assert mean.shape == log_var.shape == (3, 4)
    assert model.sample(5).shape == (5, channels, size, size)
    assert model.sample(5).abs().max() <= 1


def test_a_size_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="size 30.*multiple of 4"):
        small(30)


@pytest.mark.parametrize("shape", [(2, 1, 32, 32), (2, 3, 28, 28), (1, 28, 28)])
def test_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="1, 28, 28"):
        small().encode(torch.zeros(shape))


@pytest.mark.parametrize("beta", [0.0, -1.0, 0.05, 20.0, math.nan, math.inf])
def test_a_beta_outside_the_range_is_refused(images, beta):
    model = small(betas=(0.1, 10.0))
    with pytest.raises(ValueError, match=r"trained for 0.1 to 10"):
        model.encode(images, beta)
    with pytest.raises(ValueError, match=r"trained for 0.1 to 10"):
        model.sample(2, beta=beta)


def test_a_range_is_trained_only_by_a_network_that_has_one():
    with pytest.raises(ValueError, match=r"betas=\(lowest, highest\)"):
        VAETask(small(), beta=None)


def test_each_image_may_have_a_beta_of_its_own(images):
    model, betas = small(betas=(0.1, 10.0)).eval(), torch.tensor([0.1, 0.3, 1.0, 2.0, 5.0, 10.0])
    together = model.reconstruct(images, betas)
    alone = torch.cat([model.reconstruct(images[i : i + 1], b.item()) for i, b in enumerate(betas)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert (model.reconstruct(images, 0.1) - model.reconstruct(images, 10.0)).abs().max() > 1e-3


def test_samples_and_reconstructions_repeat(images):
    model = small().eval()
    assert torch.equal(model.sample(4, seed=1), model.sample(4, seed=1))
    assert not torch.equal(model.sample(4, seed=1), model.sample(4, seed=2))
    assert torch.equal(model.reconstruct(images), model.reconstruct(images))


# The task


def test_the_loss_is_the_negative_elbo_at_beta_one(images):
    model = small()
    torch.manual_seed(1)
    loss, distortion, rate = beta_vae_loss(model, images, 1.0)
    torch.manual_seed(1)
    mean, log_var = model.encode(images)
    posterior = Normal(mean, (log_var / 2).exp())
    reconstructions = model.decode(reparameterise(mean, log_var))
    elbo = Normal(reconstructions, 1.0).log_prob(images).sum((1, 2, 3)) - kl_divergence(posterior, Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(loss, -elbo)
    torch.testing.assert_close(loss, distortion + rate)
    loss, distortion, rate = beta_vae_loss(model, images, 7.0)
    torch.testing.assert_close(loss, distortion + 7 * rate)


def test_betas_of_a_range_are_log_uniform(images):
    task = VAETask(small(betas=(0.1, 10.0)), beta=None)
    torch.manual_seed(0)
    exponents = task._betas(torch.empty(5000, 1)).log10().numpy()
    assert stats.kstest(exponents, stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_an_ensemble_trains_each_network_as_it_would_alone(images, monkeypatch):
    """With the posterior's noise held fixed, for an ensemble draws more of it than one network does."""
    noise = torch.randn(6, 4, generator=torch.Generator().manual_seed(5))
    monkeypatch.setattr(model_file, "reparameterise", lambda mean, log_var: mean + (0.5 * log_var).exp() * noise)
    betas, together = [0.5, 4.0], [small(seed=0), small(seed=1)]
    alone = [small(seed=0), small(seed=1)]
    list(fit(Ensemble(together, betas), lambda step: (images,), 5, plan=Plan(), progress=False))
    for model, beta in zip(alone, betas):
        list(fit(VAETask(model, beta), lambda step: (images,), 5, plan=Plan(), progress=False))
    for a, b in zip(together, alone):
        for (name, x), y in zip(a.named_parameters(), b.parameters()):
            torch.testing.assert_close(x, y, atol=1e-6, rtol=1e-5, msg=name)
    assert not torch.allclose(together[0].to_image.weight, small(seed=0).to_image.weight, atol=1e-3)  # it did train


def test_training_raises_the_elbo(images):
    found = [step.scalars["loss"] for step in fit(VAETask(small()), lambda step: (images,), 20, plan=Plan(), progress=False)]
    assert found[-1] < found[0] - 20


def test_what_cannot_be_built_or_drawn_is_refused():
    for betas in ((1, 1), (0, 10), (10, 0.1)):
        with pytest.raises(ValueError, match="lowest, highest"):
            VAE(betas=betas)
    with pytest.raises(ValueError, match=r"should be \(B, 16\)"):
        VAE().decode(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="count 0"):
        VAE().sample(0)
    with pytest.raises(ValueError, match="2 models and 1 betas"):
        Ensemble([VAE(), VAE()], [1.0])
    with pytest.raises(ValueError, match="samples 0"):
        importance_weighted_bound(VAE(), torch.zeros(1, 1, 28, 28), 0)
