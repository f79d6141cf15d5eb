"""Shapes: what is drawn is what the factors say, measured on the pixels."""

import itertools
import math

import numpy as np
import pytest
import torch
from matplotlib.colors import hsv_to_rgb
from scipy import stats
from torch.nn import functional as F

from v101_utils.data.shapes import ANGLE, BACKGROUND, FACTORS, HUE, PLACE, RADIUS, SHAPES, ShapeBatches, draw, sample_factors

AREA = {  # of radius 1: sides 2 * 0.78; semi-axes 1.15 and 0.6; equilateral of inradius 0.55; two bars less their overlap
    "square": (2 * 0.78) ** 2, "ellipse": math.pi * 1.15 * 0.6, "triangle": 3 * math.sqrt(3) * 0.55**2,
    "cross": 2 * 2 * 0.66 - 0.66**2,
}  # fmt: skip


def factors(shape="square", hue=0.5, size=0.5, rotation=0.5, x=0.5, y=0.5) -> torch.Tensor:
    return torch.tensor([[(SHAPES.index(shape) + 0.5) / 4, hue, size, rotation, x, y]])


def span(fraction, ends):
    return ends[0] + fraction * (ends[1] - ends[0])


def colour(hue: float) -> np.ndarray:
    return hsv_to_rgb([span(hue, HUE), 1, 1])


def coverage(row: torch.Tensor, pixels=128) -> np.ndarray:
    """How much of each pixel is inside, (P, P), undone from the channel that differs most from the background."""
    rgb = colour(row[0, 1].item())
    channel = np.abs(rgb - BACKGROUND).argmax()
    image = (draw(row, pixels)[0, channel].numpy() + 1) / 2
    return (image - BACKGROUND) / (rgb[channel] - BACKGROUND)


def moments(inside: np.ndarray):
    """Area, centroid (x, y) and the angle of the long axis in degrees, in units of half the picture's side."""
    centres = (np.arange(len(inside)) + 0.5) * 2 / len(inside) - 1
    total = inside.sum()
    x, y = (inside * centres).sum() / total, (inside.T * centres).sum() / total
    dx, dy = centres - x, (centres - y)[:, None]
    angle = 0.5 * math.atan2(2 * (inside * dx * dy).sum(), (inside * (dx**2 - dy**2)).sum())
    return total * (2 / len(inside)) ** 2, (x, y), math.degrees(angle)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [0.0, 0.6, 1.0])
def test_the_area_is_the_shapes(shape, size):
    expected = AREA[shape] * span(size, RADIUS) ** 2
    assert moments(coverage(factors(shape, size=size)))[0] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_turning_keeps_the_area_and_the_place(shape):
    found = [moments(coverage(factors(shape, rotation=turn))) for turn in (0.0, 0.2, 0.5, 0.9)]
    assert [area for area, _, _ in found] == pytest.approx([found[0][0]] * 4, rel=0.02)
    assert [place for _, places, _ in found for place in places] == pytest.approx([0] * 8, abs=0.01)


@pytest.mark.parametrize("turn", [0.0, 0.3, 0.5, 1.0])
def test_an_ellipse_turns_by_the_angle(turn):
    assert moments(coverage(factors("ellipse", rotation=turn)))[2] == pytest.approx(span(turn, ANGLE), abs=0.5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("x", "y"), [(0.0, 0.5), (1.0, 0.5), (0.5, 0.0), (0.3, 0.9)])
def test_x_and_y_move_the_centroid(shape, x, y):
    centroid = moments(coverage(factors(shape, x=x, y=y)))[1]
    assert centroid == pytest.approx((span(x, PLACE), span(y, PLACE)), abs=0.01)


@pytest.mark.parametrize("hue", [0.0, 0.2, 0.47, 0.8, 1.0])
def test_the_hue_is_matplotlibs(hue):
    middle = (draw(factors("square", hue=hue))[0, :, 16, 16] + 1) / 2
    corner = (draw(factors("square", hue=hue))[0, :, 0, 0] + 1) / 2
    assert middle.numpy() == pytest.approx(colour(hue), abs=1e-5)
    assert corner.numpy() == pytest.approx([BACKGROUND] * 3, abs=1e-5)


def test_edges_are_smooth():
    inside = coverage(factors("ellipse"), pixels=32)
    assert inside.min() == pytest.approx(0, abs=1e-5)
    assert inside.max() == pytest.approx(1, abs=1e-5)
    assert ((inside > 0.05) & (inside < 0.95)).sum() > 20
    shifted = coverage(factors("ellipse", x=0.5 + 0.25 / 16), pixels=32)  # a quarter of a pixel
    assert 0.01 < np.abs(shifted - inside).max() < 0.9


def test_64_pixels_averaged_are_32():
    rows = sample_factors(64, 0)
    difference = (F.avg_pool2d(draw(rows, 64), 2) - draw(rows, 32)).abs()
    assert difference.mean() < 0.01
    assert difference.max() < 0.6  # of 2: at the inner corners of a cross


def test_pictures_do_not_depend_on_their_neighbours():
    rows = sample_factors(40, 1)
    assert torch.equal(draw(rows)[7], draw(rows[7:8])[0])
    assert draw(rows[:0]).shape == (0, 3, 32, 32)


def test_factors_are_a_function_of_the_seeds():
    assert torch.equal(sample_factors(10, 1, 2), sample_factors(10, 1, 2))
    assert not torch.equal(sample_factors(10, 1, 2), sample_factors(10, 2, 1))


def test_factors_are_uniform_and_independent():
    rows = sample_factors(5000, 0).numpy()
    assert min(stats.kstest(column, "uniform").pvalue for column in rows.T) > 1e-3
    bins = (rows * 5).astype(int)
    for a, b in itertools.combinations(range(len(FACTORS)), 2):
        table = np.zeros((5, 5))
        np.add.at(table, (bins[:, a], bins[:, b]), 1)
        assert stats.chi2_contingency(table).pvalue > 1e-4, (FACTORS[a], FACTORS[b])


def test_batches_depend_on_seed_and_step_alone():
    one, other = ShapeBatches(8, seed=3), ShapeBatches(8, seed=3)
    for step in (5, 0, 5, 2):
        torch.rand(1)
        images, rows = one(step)
        assert torch.equal(images, other(step)[0])
        assert torch.equal(images, draw(rows))
    assert not torch.equal(one(0)[0], one(1)[0])
    assert not torch.equal(one(0)[0], ShapeBatches(8, seed=4)(0)[0])


@pytest.mark.parametrize("wrong", [torch.rand(6), torch.rand(2, 5), torch.rand(2, 6) + 1, torch.full((1, 6), -0.1), torch.full((1, 6), torch.nan)])
def test_wrong_factors_are_refused(wrong):
    with pytest.raises(ValueError, match=r"\(N, 6\)|\[0, 1\]"):
        draw(wrong)
