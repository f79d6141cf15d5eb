"""The knob of a critic, as a pure function and as a callback."""

import io
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from v101_utils.widgets.critic import CriticView, critic_slider


class Slope(torch.nn.Module):
    """Scores that rise to the right, `slope` a unit."""

    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def forward(self, x):
        return self.slope * x[:, 0]


@pytest.fixture(scope="module")
def view():
    """Data one unit to the right of the fakes: the best critic's slope is 1, and the distance too."""
    fake = 0.2 * torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    return CriticView({s: Slope(s) for s in (0.01, 1.0, 5.0)}, fake + torch.tensor([1.0, 0.0]), fake, "weight")


def pixels(picture: Image.Image) -> np.ndarray:
    """Less the line of text, which tells the values whatever the critic does."""
    return np.asarray(picture).astype(int)[24:]


@pytest.mark.parametrize("slope", [0.01, 1.0, 5.0])
def test_value_and_norms_are_those_of_the_critic(view, slope):
    assert view.value(slope) == pytest.approx(slope, rel=1e-4)  # slope times the unit between the clouds
    torch.testing.assert_close(view.norms(slope), torch.full((60,), slope))


def test_the_distance_is_the_least_over_all_matchings():
    real, fake = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(3))
    cost = torch.cdist(real, fake)
    least = min(cost[range(6), list(order)].mean().item() for order in itertools.permutations(range(6)))
    assert CriticView({1.0: Slope(1.0)}, real, fake).distance == pytest.approx(least, rel=1e-5)


def test_no_critic_of_slope_one_beats_the_distance(view):
    assert view.distance == pytest.approx(1, rel=1e-5) and view.value(1.0) == pytest.approx(view.distance, rel=1e-4)


def test_norms_are_taken_between_data_and_fakes(view):
    place = (view.between - view.real) / (view.fake - view.real + 1e-12)
    torch.testing.assert_close(view.between[:, 1], view.real[:, 1])  # here both are at one height
    assert 0 <= place[:, 0].min() < 0.1 and 0.9 < place[:, 0].max() <= 1


def test_render_is_pure_and_depends_on_the_setting(view):
    first, again, other = (pixels(view.render(setting)) for setting in (1.0, 1.0, 5.0))
    assert first.shape == other.shape and (first == again).all() and (first != other).any()


def test_render_leaves_the_callers_randomness_alone(view):
    before = torch.get_rng_state()
    view.render(1.0)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_histogram_moves_to_the_right_with_the_norms(view):
    """Blue pixels of the only bar, in the picture's right half."""

    def place(setting):
        half = pixels(view.render(setting))[:, 400:]
        return ((half[..., 2] - half[..., 0]) > 80).nonzero()[1].mean()

    assert place(0.01) + 50 < place(1.0) < place(5.0) - 10


@pytest.mark.parametrize("wrong", [0.5, -1.0, math.nan, "strong"])
def test_a_setting_that_was_not_trained_is_refused(view, wrong):
    with pytest.raises(ValueError, match=f"weight {wrong}: no critic was trained for it; there are 0.01, 1, 5"):
        for method in (view.critic, view.value, view.norms, view.render):
            method(wrong)


@pytest.mark.parametrize("method", ["value", "norms"])
def test_every_question_about_it_is_refused(view, method):
    with pytest.raises(ValueError, match="no critic was trained"):
        getattr(view, method)(2.0)


def test_wrong_views_are_refused():
    points = torch.zeros(4, 2)
    with pytest.raises(ValueError, match="at least one"):
        CriticView({}, points, points)
    for real, fake in ((points, points[:3]), (torch.zeros(4, 3), torch.zeros(4, 3)), (torch.zeros(4), torch.zeros(4))):
        with pytest.raises(ValueError, match=r"should be \(N, 2\)"):
            CriticView({1.0: Slope(1.0)}, real, fake)


def test_setting_the_slider_redraws(view):
    box = critic_slider(view)
    slider, picture = box.children
    assert "v101-critic" in box._dom_classes and [value for _, value in slider.options] == [0.01, 1.0, 5.0]
    for value in (5.0, 0.01):
        slider.value = value
        assert (pixels(Image.open(io.BytesIO(picture.value))) == pixels(view.render(value))).all()


def test_every_norm_is_in_a_bar():
    """Also those far below the first."""
    class Slope(torch.nn.Module):
        def forward(self, points):
            return 1e-6 * points[:, 0]

    view = CriticView({1.0: Slope()}, torch.randn(50, 2), torch.randn(50, 2))
    figure, axes = plt.subplots()
    view.draw_norms(axes, 1.0)
    assert sum(patch.get_height() for patch in axes.patches) == 50
    plt.close(figure)
