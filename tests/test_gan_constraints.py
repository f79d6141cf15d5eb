"""What keeps a discriminator tame, against closed forms, finite differences and singular values."""

from copy import deepcopy

import pytest
import torch
from scipy import stats
from torch import nn

from v101_utils.gans import R1, AdversarialTask, Clip, Constraint, Discriminator, Generator, GradientPenalty, SpectralNorm, StyleDiscriminator
from v101_utils.gans import image_gradients as gradients_of
from v101_utils.gans.objectives import Objective
from v101_utils.runtime import Plan
from v101_utils.training import fit

REAL, FAKE = torch.randn(2, 6, 2, 3, 3, generator=torch.Generator().manual_seed(0))
PENALTIES = {"gradient penalty": GradientPenalty, "R1": R1}
ONLY_THE_CONSTRAINT = Objective("none", lambda real, fake: 0 * (real.sum() + fake.sum()), lambda fake: 0 * fake.sum())


class Critic(nn.Module):
    """w x + a / 2 |x|^2, whose gradient is w + a x; it remembers what it was given."""

    def __init__(self, linear=1.0, quadratic=0.0):
        super().__init__()
        torch.manual_seed(1)
        self.w, self.a = nn.Parameter(linear * torch.randn(2, 3, 3)), nn.Parameter(torch.tensor(quadratic))

    def forward(self, x):
        self.given = x
        return (x * self.w + self.a / 2 * x.square()).sum((1, 2, 3))


def test_spectral_norm_says_where_it_finds_nothing_to_do():
    with pytest.raises(ValueError, match="StyleDiscriminator has no Linear"):
        SpectralNorm().prepare(StyleDiscriminator())


def smooth() -> nn.Module:
    torch.manual_seed(2)
    head = nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.Softplus(), nn.Flatten(), *head)


def small(norm="none", **options) -> Discriminator:
    torch.manual_seed(3)
    return Discriminator(size=8, width=4, norm=norm, **options)


# Penalties on the gradient


def test_the_gradient_is_each_images_own():
    critic = Critic(quadratic=0.7)
    torch.testing.assert_close(gradients_of(critic, REAL), (critic.w + critic.a * REAL).flatten(1))


def test_gradient_penalty_of_a_linear_critic():
    """Its gradient is w everywhere: 10 (|w| - 1)^2, where the norm is over the whole image, channels and all."""
    critic = Critic()
    penalty, norm = GradientPenalty().penalty(critic, REAL, FAKE), critic.w.detach().norm()
    torch.testing.assert_close(penalty, 10 * (norm - 1).square())
    penalty.backward()
    torch.testing.assert_close(critic.w.grad, 20 * (norm - 1) * critic.w.detach() / norm)


def test_a_flat_critic_costs_all_and_has_a_gradient():
    critic = Critic(linear=0.0)
    penalty = GradientPenalty(3.0).penalty(critic, REAL, FAKE)
    penalty.backward()
    assert penalty.item() == 3 and critic.w.grad.isfinite().all()


def test_each_image_has_one_place_between_real_and_fake():
    critic, places = Critic(), []
    torch.manual_seed(0)
    for _ in range(60):
        GradientPenalty().penalty(critic, REAL, FAKE)
        share = ((critic.given.detach() - REAL) / (FAKE - REAL)).flatten(1)
        assert torch.allclose(share, share.median(1, keepdim=True).values, atol=1e-3)  # the same for every pixel
        places.append(share.median(1).values)
    assert stats.kstest(torch.cat(places).numpy(), "uniform").pvalue > 1e-3  # and anew for every image


def test_r1_of_a_linear_and_of_a_quadratic_critic():
    """weight / 2 E |w + a x|^2 over real images alone."""
    linear, bowl = Critic(), Critic(linear=0.0, quadratic=0.7)
    torch.testing.assert_close(R1(3.0).penalty(linear, REAL, FAKE), 1.5 * linear.w.square().sum())
    size = REAL.square().sum((1, 2, 3)).mean()
    penalty = R1(3.0).penalty(bowl, REAL, FAKE)
    torch.testing.assert_close(penalty, 1.5 * 0.7**2 * size)
    penalty.backward()
    torch.testing.assert_close(bowl.a.grad, 3 * 0.7 * size)
    assert torch.equal(bowl.given, REAL)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_can_be_differentiated_again(name):
    """Against central differences along random directions of all weights."""
    critic, constraint = smooth(), PENALTIES[name](5.0)

    def penalty():
        torch.manual_seed(4)
        return constraint.penalty(critic, REAL, FAKE)

    slopes = torch.autograd.grad(penalty(), list(critic.parameters()), allow_unused=True)
    for seed in range(3):
        torch.manual_seed(seed)
        ways, values = [torch.randn_like(p) for p in critic.parameters()], []
        for move in (3e-3, -6e-3, 3e-3):  # there, to the other side, and back
            with torch.no_grad():
                [p.add_(move * way) for p, way in zip(critic.parameters(), ways)]
            values.append(penalty().item())
        expected = sum((slope * way).sum().item() for slope, way in zip(slopes, ways) if slope is not None)
        assert (values[0] - values[1]) / 6e-3 == pytest.approx(expected, rel=0.01, abs=2e-3)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_knows_the_labels(name):
    critic, labels = small(classes=3), torch.tensor([0, 1, 2, 1])
    images, constraint, found = torch.randn(4, 1, 8, 8), PENALTIES[name](), []
    for asked in (labels, labels.roll(1)):
        torch.manual_seed(0)
        found.append(constraint.penalty(critic, images, -images, asked).item())
    assert found[0] != found[1]


@pytest.mark.parametrize("name", PENALTIES)
def test_batch_normalisation_is_refused_by_name(name):
    pair = Generator(size=16, width=4), Discriminator(size=16, width=4)
    with pytest.raises(ValueError, match=r"layer 'features.4' .*BatchNorm.*norm='none'"):
        AdversarialTask(*pair, constraint=PENALTIES[name]())
    for norm in ("layer", "none"):
        AdversarialTask(pair[0], Discriminator(size=16, width=4, norm=norm), constraint=PENALTIES[name]())


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_is_in_float32_under_autocast(name):
    critic, found = smooth(), []
    for half in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            assert critic(REAL).dtype == (torch.bfloat16 if half else torch.float32)
            assert gradients_of(critic, REAL.bfloat16()).dtype == torch.float32
            found.append(PENALTIES[name]().penalty(critic, REAL, FAKE))
    assert torch.equal(*found)


def test_and_so_is_its_gradient():
    """A step of `fit` on R1 alone moves the weights to where they go without autocast, bit for bit."""

    def train(precision):
        torch.manual_seed(0)
        task = AdversarialTask(Generator(2, 8, 4, 4), Discriminator(2, 8, 4, norm="none"), ONLY_THE_CONSTRAINT, R1())
        task.discriminator.to_score = nn.Sequential(task.discriminator.to_score, nn.Softplus())
        task.optimisers["discriminator"] = torch.optim.SGD(task.discriminator.parameters(), 10.0)
        images = torch.linspace(-1, 1, 512).view(4, 2, 8, 8)
        list(fit(task, lambda step: (images,), 2, plan=Plan(precision), progress=False))
        return task.discriminator.state_dict()

    plain, half = train("no"), train("bf16")
    assert [name for name in plain if not torch.equal(plain[name], half[name])] == []


@pytest.mark.parametrize("every", [1, 3])
def test_a_lazy_penalty_is_as_much_stronger_as_it_is_rarer(every):
    """At steps 0, every, 2 every, ...: the loss that is minimised holds `every` times the penalty that is shown."""
    critic, losses = small(), []
    task = AdversarialTask(Generator(size=8, width=4), critic, "wasserstein", R1(2.0, every=every), rates=(0.0, 0.0))
    for step in range(6):
        found = task.training_step(torch.randn(4, 1, 8, 8), lambda loss, optimiser: losses.append(loss.item()))
        expected = found["fake"] - found["real"] + every * found["penalty"]
        assert losses[-2] == pytest.approx(expected.item(), rel=1e-4)
        assert (found["penalty"] > 0) == (step % every == 0)


@pytest.mark.parametrize("wrong", [{"weight": -1.0}, {"weight": float("nan")}, {"weight": 1.0, "every": 0}])
@pytest.mark.parametrize("name", PENALTIES)
def test_a_strength_that_is_none_is_refused(name, wrong):
    with pytest.raises(ValueError, match="at least 0 and at least 1"):
        PENALTIES[name](**wrong)


def test_the_base_does_nothing():
    discriminator = small()
    before = deepcopy(discriminator.state_dict())
    Constraint().prepare(discriminator)
    Constraint().after_step(discriminator)
    assert Constraint().penalty(discriminator, REAL, FAKE) is None
    assert all(torch.equal(value, discriminator.state_dict()[name]) for name, value in before.items())


# Clipping


def test_clipped_weights_stay_within_their_bound():
    """At the start and after every step, critic steps too, while they press against it."""
    task = AdversarialTask(Generator(size=8, width=4), small(), "wasserstein", Clip(0.02), critic_steps=2, rates=(1e-2, 1e-2))
    largest = lambda: max(p.abs().max().item() for p in task.discriminator.parameters())  # noqa: E731
    assert largest() == pytest.approx(0.02)  # they were drawn from N(0, 0.02)
    score, seen = task.score, []
    task.score = lambda *args: seen.append(largest()) or score(*args)
    for _ in fit(task, lambda step: (torch.randn(4, 1, 8, 8),), 3, plan=Plan(), progress=False):
        seen.append(largest())
    assert len(seen) == 3 * (2 * 2 + 1 + 1) and max(seen) == pytest.approx(0.02)
    assert max(p.abs().max() for p in task.generator.parameters()) > 0.05  # the generator is free


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan")])
def test_a_bound_that_is_none_is_refused(bound):
    with pytest.raises(ValueError, match=f"bound {bound}: it should be above 0"):
        Clip(bound)


# Spectral normalisation


def largest_singular_values(network: nn.Module) -> list[float]:
    layers = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear, nn.Embedding))]
    return [torch.linalg.svdvals(layer.weight.flatten(1))[0].item() for layer in layers]


def test_every_matrix_is_divided_by_its_largest_singular_value():
    discriminator = Discriminator(size=16, width=4, classes=3)
    free = largest_singular_values(discriminator)
    task = AdversarialTask(Generator(size=16, width=4, classes=3), discriminator, "hinge", SpectralNorm(), rates=(1e-3, 2e-3))
    for _ in fit(task, lambda step: (torch.randn(8, 1, 16, 16), torch.arange(8) % 3), 12, plan=Plan(), progress=False):
        pass
    found = largest_singular_values(discriminator.eval())
    assert len(found) == 4 and found == pytest.approx([1.0] * 4, abs=0.05)
    assert free != pytest.approx([1.0] * 4, abs=0.3)


def test_spectral_normalisation_twice_is_once():
    discriminator = small()
    SpectralNorm().prepare(discriminator)
    names = list(discriminator.state_dict())
    SpectralNorm().prepare(discriminator)
    assert list(discriminator.state_dict()) == names
    assert all(len(m.parametrizations.weight) == 1 for m in discriminator.modules() if hasattr(m, "parametrizations"))


def test_a_spectrally_normalised_network_is_saved_loaded_and_copied():
    first, second, images = small(), Discriminator(size=8, width=4, norm="none"), torch.randn(3, 1, 8, 8)
    for discriminator in (first, second):
        SpectralNorm().prepare(discriminator)
    [first(images) for _ in range(3)]  # moves the estimates on
    expected = first.eval()(images)
    assert not torch.equal(second.eval()(images), expected)
    second.load_state_dict(first.state_dict())
    copied = deepcopy(first)
    assert torch.equal(second(images), expected) and torch.equal(copied(images), expected)
    with torch.no_grad():
        copied.features[0].parametrizations.weight.original.add_(0.1)
    assert torch.equal(first(images), expected) and not torch.equal(copied(images), expected)
