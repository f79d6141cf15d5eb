"""The likelihood of the probability flow: that of exact densities, and of the flow's own Jacobian."""

import math

import pytest
import torch

from v101_utils.diffusion import (
    GaussianMixture, Rescheduled, bits_per_dimension, cosine, dequantise, log_likelihood, sub_vp, ve, vp,
)  # fmt: skip
from v101_utils.diffusion.likelihood import divergence

MIXTURE = GaussianMixture([[-1.0, 0.5], [1.0, 0.5], [0.0, -1.0]], [0.3, 0.2, 0.4])  # mean zero, as the prior's


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("schedule", [vp(), sub_vp(), ve(high=100.0), cosine()], ids=lambda schedule: schedule.name)
def test_it_is_the_exact_density_within_one_percent(schedule):
    x = torch.cat([MIXTURE.sample(10, torch.Generator().manual_seed(0))[0], torch.tensor([[0.6, -0.4], [0.0, 0.0]])])
    exact = MIXTURE.log_prob(x).logsumexp(1)
    found = log_likelihood(MIXTURE.denoiser(schedule), x, probes=None, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.exp(), exact.exp(), rtol=0.01, atol=0)


def test_labels_choose_the_cloud():
    x, labels = normal(6, 2), torch.tensor([0, 1, 2, 0, 1, 3])
    found = log_likelihood(MIXTURE.denoiser(cosine()), x, labels=labels, probes=None, rtol=1e-5, atol=1e-5)
    clouds = MIXTURE.log_prob(x) + math.log(3)
    wanted = torch.where(labels < 3, clouds.gather(1, labels.clamp(max=2)[:, None])[:, 0], MIXTURE.log_prob(x).logsumexp(1))
    torch.testing.assert_close(found, wanted, rtol=0.02, atol=0.02)


def test_random_probes_are_right_on_average_and_the_unit_vectors_exactly():
    inputs = normal(3, 4).requires_grad_()
    matrix = normal(4, 4, seed=1)
    outputs = (inputs @ matrix).tanh()
    exact = [torch.autograd.functional.jacobian(lambda row: (row @ matrix).tanh(), row).trace() for row in inputs.detach()]
    units = (2 * torch.eye(4, dtype=torch.float64)).view(4, 1, 4).expand(-1, 3, -1)
    torch.testing.assert_close(divergence(outputs, inputs, units), torch.stack(exact))
    signs = (torch.randint(0, 2, (4000, 3, 4), generator=torch.Generator().manual_seed(2)) * 2 - 1).double()
    torch.testing.assert_close(divergence(outputs, inputs, signs), torch.stack(exact), atol=0.1, rtol=0)


def test_one_probe_is_unbiased_and_seeded():
    x = normal(1, 2).expand(200, -1)
    denoiser = MIXTURE.denoiser(cosine())
    found = log_likelihood(denoiser, x, seed=3)
    exact = MIXTURE.log_prob(x[:1]).logsumexp(1).item()
    assert found.std() > 0.05
    assert found.mean().item() == pytest.approx(exact, abs=4 * found.std().item() / 200**0.5 + 0.02)
    assert torch.equal(found, log_likelihood(denoiser, x, seed=3)) and not torch.equal(found, log_likelihood(denoiser, x, seed=4))
    with pytest.raises(ValueError, match="probes 0"):
        log_likelihood(denoiser, x, probes=0)
    with pytest.raises(ValueError, match=r"\(2, 2\) hold nothing, or NaN"):
        log_likelihood(denoiser, x[:2].clone().fill_(torch.nan))


def test_other_units_give_the_same_likelihood():
    x = normal(5, 2)
    one, other = (log_likelihood(d, x, probes=None, rtol=1e-5, atol=1e-5) for d in (
        MIXTURE.denoiser(cosine()), Rescheduled(MIXTURE.denoiser(cosine()), vp())))
    torch.testing.assert_close(one, other, atol=0.01, rtol=0)


def test_dequantised_images_lie_in_their_own_bins():
    levels = torch.arange(256).view(1, 1, 16, 16)
    images = (levels / 127.5 - 1).repeat(50, 1, 1, 1)
    x = dequantise(images, seed=1)
    place = (x + 1) * 127.5 - levels
    assert place.min() >= -0.5 - 1e-4 and place.max() <= 0.5 + 1e-4 and place.std().item() == pytest.approx(12**-0.5, rel=0.02)
    assert torch.equal(x, dequantise(images, seed=1)) and not torch.equal(x, dequantise(images, seed=2))


def test_bits_of_what_is_known():
    """Even over [-1, 1] all 8 bits are needed (a 255th less for the halves of two bins); half as wide, one less."""
    even = torch.tensor([-100 * math.log(2.0), -100 * math.log(1.0)])
    torch.testing.assert_close(bits_per_dimension(even, 100), torch.tensor([8.0, 7.0]), atol=0.006, rtol=0)
