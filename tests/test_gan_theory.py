"""The theory of the game: distances, the Dirac-GAN, and the slider of chapter 01."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from v101_utils.gans import AdversarialTask, Clip
from v101_utils.gans.dirac import DiracGame
from v101_utils.metrics.divergences import jensen_shannon, kl_divergence, log_gaussian, wasserstein
from v101_utils.widgets.gan_theory import DISTANCES, DistanceView, distance_slider

# Distances between densities

X = torch.linspace(-12, 16, 8001, dtype=torch.float64)
SPACING = float(X[1] - X[0])


def test_the_density_is_that_of_torch():
    assert torch.allclose(log_gaussian(X, 0.7, 0.3), torch.distributions.Normal(X.new_tensor(0.7), X.new_tensor(0.3)).log_prob(X))


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (1.0, 1.0), (-2.0, 0.5), (8.0, 0.4)])
def test_distances_against_scipy_and_closed_forms(mean, std):
    p, q = log_gaussian(X, 0.0, 1.0), log_gaussian(X, mean, std)
    assert jensen_shannon(p, q, SPACING).item() == pytest.approx(jensenshannon(p.exp(), q.exp()) ** 2, abs=1e-8)
    assert wasserstein(p, q, SPACING).item() == pytest.approx(wasserstein_distance(X, X, p.exp(), q.exp()), abs=1e-6)
    normal = torch.distributions.Normal
    closed = torch.distributions.kl_divergence(normal(0.0, 1.0), normal(mean, std)).item()
    assert kl_divergence(p, q, SPACING).item() == pytest.approx(closed, abs=1e-5)


# The smallest game


def softplus_field(theta, psi, gamma):
    """By hand: the gradients of softplus(-psi theta), and of softplus(psi theta) + gamma / 2 psi^2."""
    return psi / (1 + math.exp(psi * theta)), -theta / (1 + math.exp(-psi * theta)) - gamma * psi


def test_the_field_by_hand():
    game = DiracGame("non-saturating", penalty=lambda psi: 0.7 / 2 * psi**2)
    states = torch.tensor([[0.5, -1.0], [1.3, 0.4], [0.0, 0.0]], dtype=torch.float64)
    for state, push in zip(states.tolist(), game.field(states).tolist()):
        assert push == pytest.approx(softplus_field(*state, 0.7))


def test_the_wasserstein_field_turns_and_nothing_else():
    states = torch.randn(6, 2, dtype=torch.float64)
    assert torch.allclose(DiracGame("wasserstein").field(states), states.flip(-1) * torch.tensor([1.0, -1.0]))


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.5])
def test_eigenvalues_at_rest(gamma):
    """-gamma/2 +- sqrt(gamma^2/4 - 1/4): Mescheder 2018, lemma 2.3 and 4.1, with f'(0) = 1/2."""
    game = DiracGame("non-saturating", penalty=lambda psi: gamma / 2 * psi**2)
    found = torch.linalg.eigvals(torch.autograd.functional.jacobian(game.field, torch.zeros(2, dtype=torch.float64)))
    root = torch.tensor(gamma**2 / 4 - 1 / 4, dtype=torch.complex128).sqrt()
    for value in (-gamma / 2 + root, -gamma / 2 - root):
        assert (found - value).abs().min() < 1e-9


def test_where_the_walks_end():
    """At once it spirals outwards, in turn it stays, clipped it cannot rest, with R1 it comes to rest."""
    start = torch.tensor([0.5, 0.0], dtype=torch.float64)

    def last(game, **options):  # the greatest distance from rest in the last tenth of the way
        return game.walk(start, 1000, rate=0.1, **options)[-200:].norm(dim=-1).max().item()

    free = DiracGame("minimax")
    assert last(free) > 1.5 and last(free, alternating=True) == pytest.approx(0.5, rel=0.1)
    assert last(DiracGame("wasserstein", bound=0.3), alternating=True) > 0.3
    assert last(DiracGame("minimax", penalty=lambda psi: 0.5 * psi**2), alternating=True) < 1e-6


def test_the_non_saturating_loss_pulls_inwards_far_from_rest_alone():
    """d/dt (theta^2 + psi^2) = -2 theta psi tanh(theta psi / 2), so steps at once end on a circle of radius sqrt(2 rate)."""
    game, states = DiracGame("non-saturating"), torch.randn(8, 2, dtype=torch.float64)
    turn = states.prod(-1)
    assert torch.allclose(2 * (states * game.field(states)).sum(-1), -2 * turn * torch.tanh(turn / 2))
    for start in (0.3, 0.7):  # from inside and from outside
        end = game.walk(torch.tensor([start, 0.0], dtype=torch.float64), 1500, rate=0.1)[-1]
        assert end.norm().item() == pytest.approx(math.sqrt(2 * 0.1), rel=0.1)


class Place(torch.nn.Module):
    """Every latent becomes theta."""

    latent_dim = 1

    def __init__(self):
        super().__init__()
        self.theta = torch.nn.Parameter(torch.tensor(0.8))

    def forward(self, latents):
        return self.theta.expand(len(latents), 1)


@pytest.mark.parametrize(("name", "bound"), [("non-saturating", math.inf), ("minimax", math.inf), ("wasserstein", 0.1)])
def test_the_walk_is_what_the_task_does(name, bound):
    """`AdversarialTask` with two networks of one number each and plain gradient descent takes the same steps."""
    generator, discriminator = Place(), torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.Flatten(0))
    torch.nn.init.constant_(discriminator[0].weight, 0.05)
    task = AdversarialTask(generator, discriminator, name, None if bound == math.inf else Clip(bound))
    players = {"generator": generator, "discriminator": discriminator}
    task.optimisers = {player: torch.optim.SGD(network.parameters(), 0.2) for player, network in players.items()}

    def minimise(loss, optimiser):
        optimiser.zero_grad()
        loss.backward(inputs=[p for group in optimiser.param_groups for p in group["params"]])
        optimiser.step()

    for theta, psi in DiracGame(name, bound=bound).walk(torch.tensor([0.8, 0.05]), 20, rate=0.2, alternating=True)[1:]:
        task.training_step(torch.zeros(4, 1), minimise)
        assert generator.theta.item() == pytest.approx(theta.item(), abs=1e-5)
        assert discriminator[0].weight.item() == pytest.approx(psi.item(), abs=1e-5)


# The slider


@pytest.fixture(scope="module")
def view():
    return DistanceView(points=13)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def test_the_view_measures_what_is_known(view):
    """W is the separation and its slope 1; KL is d^2 / 2 std^2 and its slope d / std^2; JS ends at log 2, without a slope."""
    separation = torch.tensor([0.4, 2.0, 6.0], dtype=torch.float64)
    found = view.measure(separation)
    assert list(found) == list(DISTANCES)
    assert torch.allclose(found["Wasserstein"][0], separation, atol=1e-6)
    assert torch.allclose(found["Wasserstein"][1], torch.ones(3, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(found["KL(data || fake)"][0], 2 * separation**2, rtol=1e-6)
    assert torch.allclose(found["KL(data || fake)"][1], 4 * separation, rtol=1e-6)
    js, slope = found["Jensen-Shannon"]
    assert js[2].item() == pytest.approx(math.log(2), abs=1e-6) and 0 < slope[2] < 1e-6 < 0.1 < slope[1]
    more, less = (view.measure(2.0 + e)["Jensen-Shannon"][0].item() for e in (1e-4, -1e-4))
    assert slope[1].item() == pytest.approx((more - less) / 2e-4, rel=1e-5)


def test_render_is_pure_and_shows_the_separation(view):
    first, other = (pixels(view.render(separation)) for separation in (1.0, 3.0))
    assert first.shape == other.shape and (pixels(view.render(1.0)) == first).all()
    height = len(first) // 3
    assert (first[:height] != other[:height]).any()  # the densities
    line, charts = slice(-334, -310), slice(-310, None)
    assert (first[line] != other[line]).any()
    for left, right in ((0, 340), (360, 700), (720, 1060)):  # the dot of each chart
        assert (first[charts, left:right] != other[charts, left:right]).any()


def test_the_dots_are_where_the_distances_are(view):
    """From 4 to 6 apart JS stays where it is; W climbs evenly; KL, a square, climbs more in the second step of two."""

    def heights(separation):  # of the three dots, in pixels from below
        charts = pixels(view.render(separation))[-310:]
        red = (charts[..., 0] > 200) & (charts[..., 1] < 40) & (charts[..., 2] < 90)
        return [310 - red[:, left : left + 340].nonzero()[0].mean() for left in (0, 360, 720)]

    (js2, kl2, w2), (js4, kl4, w4), (js6, kl6, w6) = (heights(separation) for separation in (2.0, 4.0, 6.0))
    assert js4 - js2 > 10 and abs(js6 - js4) < 2
    assert w4 - w2 > 50 and abs((w6 - w4) - (w4 - w2)) < 2
    assert (kl6 - kl4) / (kl4 - kl2) == pytest.approx(20 / 12, rel=0.1)


def test_the_view_refuses_what_it_cannot_show(view):
    for wrong in (-0.1, 6.1, math.nan):
        with pytest.raises(ValueError, match="from 0 to 6"):
            view.render(wrong)
    for wrong in ({"std": 0.0}, {"largest": -1.0}):
        with pytest.raises(ValueError, match="above 0"):
            DistanceView(**wrong)


def test_the_slider_draws_at_each_move(view):
    box = distance_slider(view)
    slider, picture = box.children
    for value in (0.0, 3.5, 6.0):
        slider.value = value
        assert (pixels(Image.open(io.BytesIO(picture.value))) == pixels(view.render(value))).all()
    assert "v101-distance" in box._dom_classes and "v101-distance-picture" in picture._dom_classes


def test_a_density_that_the_grid_would_miss_is_refused():
    with pytest.raises(ValueError, match="std at least 0.012"):
        DistanceView(std=2e-4)
    with pytest.raises(ValueError, match="from 0 to 6"):
        DistanceView().measure([1.0, 20.0])
