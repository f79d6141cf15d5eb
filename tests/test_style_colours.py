"""Brightness and palettes against scikit-image's YIQ and scipy's distance."""

import numpy as np
import torch
from scipy.stats import wasserstein_distance
from skimage.color import rgb2gray, rgb2yiq

from v101_utils.style.colours import LUMA, as_bright, grey, palette, with_colours


def picture(seed=0, side=12) -> torch.Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 1.2 - 0.6  # room to both ends


def yiq(image: torch.Tensor) -> np.ndarray:
    return rgb2yiq(((image[0].permute(1, 2, 0) + 1) / 2).double().numpy())


def test_grey_is_the_y_of_yiq():
    found = (grey(picture()) + 1) / 2
    assert found.shape == (1, 3, 12, 12) and torch.equal(found[:, 0], found[:, 2])
    np.testing.assert_allclose(found[0, 0].numpy(), yiq(picture())[..., 0], atol=1e-6)
    assert abs(sum(LUMA) - 1) < 1e-9  # white stays white; rgb2gray has other weights (BT.709)
    assert np.abs(found[0, 0].numpy() - rgb2gray(((picture()[0].permute(1, 2, 0) + 1) / 2).numpy())).max() > 0.01


def test_the_brightness_of_one_and_the_colours_of_the_other():
    one, other = picture(0) / 2, picture(1) / 2
    found = yiq(with_colours(one, other))
    np.testing.assert_allclose(found[..., 0], yiq(one)[..., 0], atol=1e-6)
    np.testing.assert_allclose(found[..., 1:], yiq(other)[..., 1:], atol=1e-6)
    assert with_colours(torch.ones(1, 3, 4, 4), picture(side=4)).max() <= 1  # clamped


def test_brightness_gets_the_other_s_mean_and_deviation():
    found, like = as_bright(picture(0), picture(1) * 0.6 + 0.2), grey(picture(1) * 0.6 + 0.2)
    torch.testing.assert_close(torch.stack([found.mean(), found.std()]), torch.stack([like.mean(), like.std()]))
    ordered = grey(picture(0)).flatten().argsort()
    assert found.flatten()[ordered].diff().min() > -1e-6  # what was brighter is so still


def test_palettes_are_colours_wherever_they_are():
    image = picture()
    mixed = image.flatten(2)[..., torch.randperm(144)].view_as(image)
    assert palette(image).shape == (1, 16, 64)
    torch.testing.assert_close(palette(mixed), palette(image))
    assert (palette(image.flip(1)) - palette(image)).abs().max() > 0.02  # red for blue


def test_a_brighter_picture_is_as_far_as_it_is_brighter():
    """For a shift of one channel, a projection moves by its axis: on average over axes as scipy's distances say."""
    image, shift = picture(), torch.tensor([0.3, 0, 0]).view(1, 3, 1, 1)
    moved = palette(image + shift) - palette(image)
    assert moved.std(2).max() < 1e-5
    red = wasserstein_distance(image[0, 0].flatten().numpy(), (image + shift)[0, 0].flatten().numpy())
    assert moved.abs().max() <= red + 1e-5 and moved.abs().max() > 0.8 * red
