"""Drawn styles: functions of a seed alone, colourful, dense, different from each other, and the same at any size."""

import pytest
import torch
from torch.nn import functional as F

from v101_utils.data.styles import STYLES, style_picture


@pytest.fixture(scope="module")
def drawn():
    return {name: style_picture(name, side=64) for name in STYLES}


@pytest.mark.parametrize("name", STYLES)
def test_a_style_is_a_function_of_its_seed(drawn, name):
    random = torch.get_rng_state()
    again, other = style_picture(name, side=64), style_picture(name, side=64, seed=1)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(again, drawn[name])
    assert (other - again).abs().mean() > 0.1


@pytest.mark.parametrize("name", STYLES)
def test_a_style_is_a_picture_full_of_detail(drawn, name):
    image = drawn[name]
    assert image.shape == (1, 3, 64, 64) and image.dtype == torch.float32
    assert -1 <= image.min() < -0.5 and 0.5 < image.max() <= 1
    parts = F.unfold(image, 16, stride=16).view(3, 16 * 16, 16)
    assert parts.std(1).mean(0).min() > 0.1  # no part is plain


def test_styles_differ_from_each_other(drawn):
    for i, one in enumerate(STYLES):
        for other in STYLES[i + 1 :]:
            assert (drawn[one] - drawn[other]).abs().mean() > 0.2


@pytest.mark.parametrize("name", STYLES)
def test_a_larger_picture_is_the_same_but_finer(name):
    small, large = style_picture(name, side=64), style_picture(name, side=160)
    shrunken = F.interpolate(large, (64, 64), mode="area")
    assert (shrunken - small).abs().mean() < 0.3 * (style_picture(name, side=64, seed=1) - small).abs().mean()


def test_all_colours_of_the_palette_are_used():
    """Tesserae of reds, greens and blues: each is the strongest channel somewhere."""
    strongest = style_picture("mosaic", side=64).argmax(1).flatten().bincount(minlength=3) / 64**2
    assert strongest.min() > 0.1


@pytest.mark.parametrize(("name", "options"), [("cubism", {}), ("mosaic", {"side": 15}), ("mosaic", {"seed": -1})])
def test_other_styles_are_refused(name, options):
    with pytest.raises(ValueError, match="there are mosaic, strokes|should be at least"):
        style_picture(name, **options)
