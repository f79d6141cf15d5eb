"""What a denoiser sees: three ways to predict it, and a mixture for which it is known exactly."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from v101_utils.diffusion import PREDICTS, Clipped, Denoiser, GaussianMixture, cosine, linear, ve
from v101_utils.diffusion.denoiser import both, target
from v101_utils.nn import UNet

MIXTURE = GaussianMixture([[-1.0, 0.5], [1.5, 0.0], [0.0, -2.0]], [0.3, 0.1, 0.6], [1.0, 2.0, 3.0])


def normal(*shape, seed=0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class Spy(nn.Module):
    """A network that remembers what it was given, and says 0.3 x."""

    classes, shape = 3, (1, 4, 4)

    def __init__(self):
        super().__init__()
        self.weight, self.calls = nn.Parameter(torch.tensor(0.3)), []

    def forward(self, x, t, labels):
        self.calls.append((x, t, labels))
        return self.weight.to(x.dtype) * x


# eps, x0 and v


@pytest.mark.parametrize("t", [1e-3, 0.2, 0.7, 0.999])
@pytest.mark.parametrize("word", PREDICTS)
def test_a_perfect_prediction_of_any_kind_tells_image_and_noise(word, t):
    x0, eps = normal(5, 1, 2, 3), normal(5, 1, 2, 3, seed=1)
    alpha, sigma = cosine().levels(t, x0)
    seen = both(word, target(word, x0, eps, alpha, sigma), alpha * x0 + sigma * eps, alpha, sigma)
    torch.testing.assert_close(seen.x0, x0, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(seen.eps, eps, rtol=1e-9, atol=1e-9)


def test_the_targets_are_what_they_are_called():
    x0, eps, alpha, sigma = normal(4), normal(4, seed=1), torch.tensor(0.6), torch.tensor(0.8)
    assert target("x0", x0, eps, alpha, sigma) is x0
    assert target("eps", x0, eps, alpha, sigma) is eps
    torch.testing.assert_close(target("v", x0, eps, alpha, sigma), 0.6 * eps - 0.8 * x0)


@pytest.mark.parametrize("first", PREDICTS)
@pytest.mark.parametrize("then", PREDICTS)
def test_any_prediction_converts_to_any_other(first, then):
    """Not only a perfect one: image and noise that were guessed from x give x again."""
    x, output, (alpha, sigma) = normal(5, 4), normal(5, 4, seed=1), cosine().levels(0.4, normal(5, 4))
    seen = both(first, output, x, alpha, sigma)
    torch.testing.assert_close(alpha * seen.x0 + sigma * seen.eps, x)
    again = both(then, target(then, *seen, alpha, sigma), x, alpha, sigma)
    torch.testing.assert_close((again.x0, again.eps), (seen.x0, seen.eps))


@pytest.mark.parametrize("word", PREDICTS)
@pytest.mark.parametrize(("alpha", "sigma"), [(1.0, 0.0), (0.0, 1.0), (1e-30, 1.0)])
def test_nothing_is_infinite_at_either_end(word, alpha, sigma):
    seen = both(word, normal(3), normal(3), torch.tensor(alpha), torch.tensor(sigma))
    assert seen.x0.isfinite().all()
    assert seen.eps.isfinite().all()


@pytest.mark.parametrize("call", [
    lambda word: both(word, normal(1), normal(1), normal(1), normal(1)), lambda word: target(word, 0, 0, 0, 0),
    lambda word: Denoiser(Spy(), cosine(), word),
])  # fmt: skip
def test_a_fourth_way_is_refused(call):
    with pytest.raises(ValueError, match="predicts 'score'.*'eps', 'x0', 'v'"):
        call("score")


@pytest.mark.parametrize("t", [0.25, torch.tensor(0.25), torch.full((6,), 0.25), torch.full((6,), 0.25, dtype=torch.float64)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_denoiser_tells_its_network_the_time_of_each_image(t, dtype):
    spy, x = Spy(), normal(6, 1, 4, 4, dtype=dtype)
    seen = Denoiser(spy, linear(), "eps")(x, t, torch.arange(6) % 3)
    ((given, time, labels),) = spy.calls
    assert torch.equal(time, torch.full((6,), 0.25, dtype=dtype))
    assert given is x
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]
    torch.testing.assert_close(seen.x0, (x - linear().sigma(0.25).item() * 0.3 * x) / linear().alpha(0.25).item())
    assert seen.x0.dtype == seen.eps.dtype == dtype


@pytest.mark.parametrize("t", [500, -0.1, math.nan, torch.full((6,), 500.0), torch.tensor([0.5]), torch.rand(5), torch.rand(6, 1)])
def test_a_time_that_cannot_be_is_refused_before_any_work(t):
    spy = Spy()
    with pytest.raises(ValueError, match="should"):
        Denoiser(spy, linear(), "eps")(normal(6, 1, 4, 4), t)
    assert spy.calls == []


@pytest.mark.parametrize("t", [0.3, torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)])
def test_clipping_computes_the_noise_anew(t):
    model, x = Denoiser(Spy(), linear(), "x0"), 4 * normal(3, 1, 4, 4)
    seen, raw, (alpha, sigma) = Clipped(model)(x, t), model(x, t), linear().levels(t, x)
    assert torch.equal(seen.x0, raw.x0.clamp(-1, 1))
    torch.testing.assert_close(alpha * seen.x0 + sigma * seen.eps, x)
    inside = raw.x0.abs() < 1
    assert 0 < inside.sum() < inside.numel()
    assert torch.equal(seen.eps[inside], raw.eps[inside])


# The mixture


def test_the_density_is_that_of_torch_distributions():
    x = 2 * normal(50, 2)
    for alpha, sigma in ((1.0, 0.0), (0.8, 0.6), (0.01, 1.0)):
        spreads = ((alpha * MIXTURE.stds) ** 2 + sigma**2).sqrt()
        clouds = Independent(Normal(alpha * MIXTURE.means, spreads[:, None].expand(3, 2)), 1)
        expected = MixtureSameFamily(Categorical(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)), clouds).log_prob(x)
        torch.testing.assert_close(MIXTURE.log_prob(x, alpha, sigma).logsumexp(1), expected)
    levels = torch.rand(2, 50, dtype=torch.float64)  # and with one level for each point
    alone = torch.cat([MIXTURE.log_prob(x[i : i + 1], *levels[:, i].tolist()) for i in range(50)])
    torch.testing.assert_close(MIXTURE.log_prob(x, *levels), alone)


@pytest.mark.parametrize("t", [0.02, 0.5, 0.98, torch.linspace(0.1, 0.9, 30, dtype=torch.float64)])
def test_the_exact_denoiser_is_the_score(t):
    """score = -eps / sigma, and Tweedie's formula: E[x0 | x] = (x + sigma^2 score) / alpha."""
    x, schedule = (2 * normal(30, 2)).requires_grad_(), cosine()
    alpha, sigma = schedule.levels(t, x)
    (score,) = torch.autograd.grad(MIXTURE.log_prob(x, alpha.expand(30, 1), sigma.expand(30, 1)).logsumexp(1).sum(), x)
    seen = MIXTURE.denoiser(schedule)(x.detach(), t)
    torch.testing.assert_close(seen.eps, -sigma * score)
    torch.testing.assert_close(seen.x0, (x.detach() + sigma**2 * score) / alpha, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(alpha * seen.x0 + sigma * seen.eps, x.detach())


def test_the_exact_denoiser_is_the_mean_over_all_images():
    mixture, schedule = GaussianMixture([[-1.0], [0.7]], [0.2, 0.5], [1.0, 3.0]), cosine()
    x0, x = torch.linspace(-5, 5, 20_001, dtype=torch.float64)[:, None], torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None]
    for t in (0.1, 0.5, 0.9):
        likelihood = Normal(schedule.alpha(t) * x0[:, 0], schedule.sigma(t)).log_prob(x)  # (7, 20001)
        shares = (likelihood + mixture.log_prob(x0).logsumexp(1)).softmax(1)
        torch.testing.assert_close(mixture.denoiser(schedule)(x, t).x0, shares @ x0)


def test_a_label_picks_a_cloud():
    x, denoiser = normal(6, 2), MIXTURE.denoiser(cosine())
    for label in range(3):
        alone = GaussianMixture(MIXTURE.means[label : label + 1], MIXTURE.stds[label]).denoiser(cosine())(x, 0.4)
        torch.testing.assert_close(denoiser(x, 0.4, torch.full((6,), label)), alone)
    torch.testing.assert_close(denoiser(x, 0.4, torch.full((6,), 3)), denoiser(x, 0.4))
    mixed = denoiser(x, 0.4, torch.tensor([0, 1, 2, 3, 0, 3]))
    torch.testing.assert_close(mixed.x0[3], denoiser(x, 0.4).x0[3])
    torch.testing.assert_close(mixed.x0[1], denoiser(x, 0.4, torch.ones(6).long()).x0[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_exact_denoiser_keeps_precision_and_both_ends(dtype):
    x, denoiser = 3 * normal(20, 2, dtype=dtype), MIXTURE.denoiser(linear())
    seen = denoiser(x, 0.0)
    assert seen.x0.dtype == seen.eps.dtype == dtype
    torch.testing.assert_close(seen.x0, x)
    assert torch.equal(seen.eps, torch.zeros_like(x))
    far = denoiser(1e4 * x, 1.0)
    assert far.x0.isfinite().all()
    assert far.eps.isfinite().all()
    torch.testing.assert_close(denoiser(x, torch.full((20,), 0.5)).x0.double(), denoiser(x.double(), 0.5).x0, rtol=1e-4, atol=1e-5)


def test_draws_of_the_mixture_are_its_own():
    x, which = MIXTURE.sample(20_000, torch.Generator().manual_seed(0))
    assert torch.equal(x, MIXTURE.sample(20_000, torch.Generator().manual_seed(0))[0])
    torch.testing.assert_close(which.bincount() / 20_000, torch.tensor([1, 2, 3]) / 6, atol=0.015, rtol=0)
    for label in range(3):
        torch.testing.assert_close(x[which == label].mean(0), MIXTURE.means[label], atol=0.03, rtol=0)
        torch.testing.assert_close(x[which == label].std(0), MIXTURE.stds[label].expand(2), atol=0.02, rtol=0)


@pytest.mark.parametrize(("arguments", "message"), [
    (([0.0, 1.0], 1.0), r"\(K, D\)"), (([[0.0], [1.0]], [1.0, 1.0, 1.0]), r"\(K,\) or a number"),
    (([[0.0], [1.0]], 1.0, [1.0]), r"\(K,\) or a number"), (([[]], 1.0), r"\(K, D\)"),
    (([[0.0]], 0.0), "positive"), (([[0.0]], 1.0, -1.0), "positive"), (([[math.nan]], 1.0), "finite"), (([[0.0]], math.inf), "finite"),
])  # fmt: skip
def test_a_mixture_that_is_none_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(*arguments)


@pytest.mark.parametrize("x", [torch.zeros(3, 1), torch.zeros(3), torch.zeros(3, 2, 1), torch.zeros(3, 2).long()])
def test_points_of_another_space_are_refused(x):
    with pytest.raises(ValueError, match=r"should be \(N, 2\), floating"):
        MIXTURE.denoiser(cosine())(x, 0.5)


@pytest.mark.parametrize("labels", [[0, 4], [-1, 0], [0], [0.0, 1.0]])
def test_a_cloud_that_there_is_not_is_refused(labels):
    with pytest.raises(ValueError, match="should be 2 integers.* from 0 to 2, or 3"):
        MIXTURE.denoiser(cosine())(normal(2, 2), 0.5, torch.tensor(labels))


# Denoiser.sample


def trained(classes=3) -> Denoiser:
    """A U-Net with random weights everywhere: it draws nothing, but what it draws depends on all it is given."""
    torch.manual_seed(0)
    network = UNet(size=4, widths=(8,), attention=(False,), condition_dim=8, classes=classes)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return Denoiser(network, cosine()).requires_grad_(False)


def test_samples_are_a_function_of_the_seed():
    model = trained()
    torch.manual_seed(1)
    first = model.sample(4, seed=5, steps=3, sampler="ddpm")
    torch.manual_seed(2)
    assert torch.equal(model.sample(4, seed=5, steps=3, sampler="ddpm"), first)
    assert (model.sample(4, seed=6, steps=3, sampler="ddpm") - first).abs().mean() > 0.05
    assert first.shape == (4, 1, 4, 4)
    assert first.abs().max() <= 1


def test_labels_are_repeated_mixed_or_none():
    model, options = trained(), {"seed": 1, "steps": 2}

    def same(labels, others):
        return torch.equal(*(model.sample(5, labels=chosen, **options) for chosen in (labels, others)))

    assert same(None, [0, 1, 2, 0, 1])
    assert same([2], [2] * 5)
    assert same(torch.tensor([0, 1], dtype=torch.uint8), [0, 1, 0, 1, 0])
    assert not same([0], [1])
    assert model.labels_for("none", 5) is None
    assert not same("none", None)
    assert trained(classes=0).sample(2, steps=2).shape == (2, 1, 4, 4)


def test_large_counts_are_drawn_in_parts_each_with_its_own_noise_and_labels():
    model = trained()
    many = model.sample(300, steps=2, labels=[0])
    assert len(many) == 300
    assert torch.equal(many[:250], model.sample(250, steps=2, labels=[0]))
    assert (many[250:] - many[:50]).abs().mean() > 0.05
    labels = [0] * 250 + [1] * 50
    assert not torch.equal(model.sample(300, steps=2, labels=labels)[250:], many[250:])


@pytest.mark.parametrize(("options", "message"), [
    ({"count": 0}, "count 0"), ({"count": -1}, "count -1"), ({"labels": [0, 3]}, r"labels \[0, 3\].* from 0 to 2"),
    ({"labels": [-1]}, "from 0 to 2"), ({"labels": []}, "from 0 to 2"), ({"labels": ["bag"]}, "from 0 to 2"),
    ({"labels": [0.5]}, "from 0 to 2"), ({"labels": 1}, "from 0 to 2"), ({"labels": "all"}, "from 0 to 2"),
    ({"labels": torch.tensor([[0]])}, "from 0 to 2"), ({"labels": [True, False]}, "from 0 to 2"), ({"steps": 0}, "0 steps"),
    ({"steps": 1.5}, "1.5 steps"), ({"sampler": "euler"}, "'euler'.*ddpm, ddim, dpm"), ({"sampler": "dpm", "eta": 0.5}, "eta belongs"),
    ({"sampler": "ddim", "eta": -1}, "eta -1"), ({"sampler": "ddim", "eta": math.nan}, "eta nan"),
    ({"guidance": -1.0}, "guidance -1"), ({"guidance": math.nan}, "guidance nan"), ({"labels": "none", "guidance": 2.0}, "nothing to guide to"),
])  # fmt: skip
def test_what_cannot_be_drawn_is_refused_before_any_work(options, message):
    spy = Spy()
    with pytest.raises(ValueError, match=message):
        Denoiser(spy, cosine()).sample(**dict({"count": 2}, **options))
    assert spy.calls == []


@pytest.mark.parametrize("labels", [[0], "none"])
def test_labels_for_a_network_without_are_refused(labels):
    with pytest.raises(ValueError, match="without labels"):
        trained(classes=0).sample(2, labels=labels)


def test_samples_start_with_as_much_noise_as_the_schedule_ends_with():
    class Told(Spy):
        def forward(self, x, t, labels):
            a, sigma = ve().levels(t, x)
            return (0.5 * sigma**2 + 0.01 * a * x) / (0.01 * a**2 + sigma**2)  # the mean of x0, for data N(0.5, 0.1^2)

    drawn = Denoiser(Told(), ve(), "x0", bounded=False).sample(500, sampler="ddim", steps=200)
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.01) and drawn.std().item() == pytest.approx(0.1, rel=0.1)


def test_a_network_must_tell_the_shape_of_its_images():
    with pytest.raises(ValueError, match="shape of an image"):
        Denoiser(nn.Linear(2, 2), cosine()).sample(1)
