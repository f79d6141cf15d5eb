"""Guidance: a denoiser from a denoiser, with one call for two predictions."""

import math

import pytest
import torch

from v101_utils.diffusion import Denoiser, GaussianMixture, Guided, cosine, ddim, sample
from v101_utils.nn import UNet

MIXTURE = GaussianMixture([[-1.0, 0.5], [1.5, 0.0], [0.0, -2.0]], [0.3, 0.2, 0.6])
X, LABELS = torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64), torch.tensor([0, 1, 2, 2, 1, 0])


class Counted:
    """A denoiser that counts its calls and remembers how many points each had."""

    def __init__(self, denoiser):
        self.denoiser, self.schedule, self.classes, self.sizes = denoiser, denoiser.schedule, denoiser.classes, []

    def __call__(self, x, t, labels=None):
        self.sizes.append(len(x))
        return self.denoiser(x, t, labels)


def exact() -> Counted:
    return Counted(MIXTURE.denoiser(cosine()))


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.3])
@pytest.mark.parametrize("t", [0.4, torch.tensor(0.4, dtype=torch.float64), torch.linspace(0.1, 0.9, 6, dtype=torch.float64)])
def test_guidance_is_its_formula_in_one_call(scale, t):
    denoiser = exact()
    seen = Guided(denoiser, scale)(X, t, LABELS)
    assert denoiser.sizes == [12]
    labelled, null = denoiser(X, t, LABELS), denoiser(X, t, torch.full((6,), 3))
    torch.testing.assert_close(seen.eps, null.eps + scale * (labelled.eps - null.eps), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(seen.x0, null.x0 + scale * (labelled.x0 - null.x0), rtol=1e-12, atol=1e-12)
    alpha, sigma = cosine().levels(t, X)
    torch.testing.assert_close(alpha * seen.x0 + sigma * seen.eps, X)


def test_scale_one_is_the_conditional_and_costs_no_more():
    denoiser = exact()
    assert torch.equal(Guided(denoiser, 1.0)(X, 0.4, LABELS).x0, denoiser(X, 0.4, LABELS).x0)
    assert denoiser.sizes == [6, 6]


def test_outside_its_interval_it_does_nothing():
    denoiser = exact()
    guided, always = Guided(denoiser, 3.0, (0.3, 0.6)), Guided(exact(), 3.0)
    for t in (0.2, 0.7):
        assert torch.equal(guided(X, t, LABELS).x0, denoiser(X, t, LABELS).x0)
    assert denoiser.sizes == [6, 6, 6, 6]
    for t in (0.3, 0.6):
        assert torch.equal(guided(X, t, LABELS).x0, always(X, t, LABELS).x0)
    t = torch.tensor([0.1, 0.4, 0.9, 0.5, 0.3, 0.7], dtype=torch.float64)
    inside, mixed = (t >= 0.3) & (t <= 0.6), guided(X, t, LABELS).x0
    torch.testing.assert_close(mixed[inside], always(X, t, LABELS).x0[inside])
    torch.testing.assert_close(mixed[~inside], denoiser(X, t, LABELS).x0[~inside])


def test_sampling_with_guidance_calls_once_a_step_and_draws_what_was_asked_for():
    """Two clouds a little apart: guided away from the other, the samples of one get further from it."""
    mixture, means = GaussianMixture([[-0.5], [0.5]], 0.5), []
    noise = torch.randn(2000, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for scale in (0.0, 1.0, 3.0):
        denoiser = Counted(mixture.denoiser(cosine()))
        means.append(sample(Guided(denoiser, scale), noise, ddim(), 10, labels=torch.ones(2000).long()).mean().item())
        assert denoiser.sizes == [2000 if scale == 1 else 4000] * 10
    assert abs(means[0]) < 0.05 < means[1] - 0.4
    assert means[2] > means[1] + 0.2


def test_a_network_sees_both_halves_in_the_right_order():
    torch.manual_seed(0)
    network = UNet(size=4, widths=(8,), attention=(False,), condition_dim=8, classes=3)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.2 * torch.randn_like(p))
    model, x, labels = Denoiser(network, cosine()), torch.randn(3, 1, 4, 4), torch.tensor([2, 0, 1])
    seen, labelled, null = Guided(model, 2.5)(x, 0.6, labels), model(x, 0.6, labels), model(x, 0.6)
    torch.testing.assert_close(seen.eps, null.eps + 2.5 * (labelled.eps - null.eps), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.sample(2, labels=[1], steps=2, guidance=1.0), model.sample(2, labels=[1], steps=2))
    assert (model.sample(2, labels=[1], steps=2, guidance=4.0) - model.sample(2, labels=[1], steps=2)).abs().max() > 1e-3


@pytest.mark.parametrize("labels", [None, LABELS[:1], LABELS[:5], LABELS[:, None]])
def test_guidance_without_a_label_for_each_is_refused(labels):
    denoiser = exact()
    with pytest.raises(ValueError, match=r"needs labels \(6,\)"):
        Guided(denoiser)(X, 0.5, labels)
    assert denoiser.sizes == []


@pytest.mark.parametrize("scale", [-0.1, math.nan, math.inf])
def test_a_scale_that_cannot_be_is_refused(scale):
    with pytest.raises(ValueError, match=f"guidance {scale}"):
        Guided(exact(), scale)


@pytest.mark.parametrize("interval", [(0.5, 0.5), (0.6, 0.4), (-0.1, 0.5), (0.5, 1.1), (math.nan, 1.0)])
def test_an_interval_that_is_none_is_refused(interval):
    with pytest.raises(ValueError, match="0 <= from < to <= 1"):
        Guided(exact(), 2.0, interval)


def test_a_denoiser_without_classes_cannot_be_guided():
    model = Denoiser(UNet(size=4, widths=(8,), attention=(False,), condition_dim=8), cosine())
    with pytest.raises(ValueError, match="no classes"):
        Guided(model)
