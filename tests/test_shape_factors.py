"""What a drawn shape shows, measured on its pixels, against what it was drawn from."""

import colorsys

import pytest
import torch

from v101_utils.data.shapes import FACTORS, HUE, PLACE, RADIUS, draw, sample_factors
from v101_utils.metrics.shape_factors import MEASURED, measure_shapes

COUNT = 600


def span(fraction, ends):
    return ends[0] + fraction * (ends[1] - ends[0])


@pytest.fixture(scope="module")
def drawn():
    factors = sample_factors(COUNT, 7)
    return dict(zip(FACTORS, factors.T)), dict(zip(MEASURED, measure_shapes(draw(factors)).T))


def test_hue_is_what_was_drawn(drawn):
    factors, found = drawn
    assert (found["hue"] - span(factors["hue"], HUE)).abs().max() < 1e-3


def test_hue_is_colorsyss():
    """A picture of one colour, whatever it is."""
    colours = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.15
    found = measure_shapes((colours * 2 - 1)[:, :, None, None].expand(50, 3, 8, 8))[:, 0]
    assert found.tolist() == pytest.approx([colorsys.rgb_to_hsv(*colour)[0] for colour in colours.tolist()], abs=0.01)


def test_the_centre_is_where_it_was_drawn(drawn):
    """For a square, an ellipse and a cross, whose centres of mass they are."""
    factors, found = drawn
    even = (factors["shape"] < 0.5) | (factors["shape"] >= 0.75)
    for axis in ("x", "y"):
        assert (found[axis] - span(factors[axis], PLACE))[even].abs().max() < 0.02
        assert torch.corrcoef(torch.stack([found[axis], factors[axis]]))[0, 1] > 0.99  # left and top are low


def test_size_is_the_share_of_the_picture_that_is_covered(drawn):
    """Of a square of half-side 0.78 r: (2 * 0.78 r)^2 of the 4 that the picture has."""
    factors, found = drawn
    squares = factors["shape"] < 0.25
    radius = span(factors["size"], RADIUS)
    assert found["size"][squares].tolist() == pytest.approx(((2 * 0.78 * radius) ** 2 / 4)[squares].tolist(), rel=0.03)


def test_an_empty_picture_is_measured_too():
    found = measure_shapes(torch.full((2, 3, 16, 16), 2 * 0.12 - 1))
    assert found.isfinite().all() and found[:, 1].abs().max() < 1e-5


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 1, 16, 16), (2, 3, 16, 24), (0, 3, 16, 16)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"they should be \(N, 3, P, P\)"):
        measure_shapes(torch.zeros(shape))
