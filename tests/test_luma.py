"""Y, Cb and Cr, and PSNR and SSIM on Y, against scikit-image."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from v101_utils.data.images import to_unit
from v101_utils.data.photos import photo
from v101_utils.superres.luma import luma_psnr, luma_ssim, rgb_to_ycbcr, ycbcr_to_rgb

PHOTOS = torch.cat([photo("chelsea", side=80)[..., :53, :], photo("coffee", side=80)[..., :53, :]])  # (2, 3, 53, 80)


def noisy(seed: int = 0) -> torch.Tensor:
    """The photographs, the second with more noise than the first."""
    noise = torch.randn(PHOTOS.shape, generator=torch.Generator().manual_seed(seed))
    return (PHOTOS + noise * torch.tensor([0.05, 0.3])[:, None, None, None]).clamp(-1, 1)


def luma(images: torch.Tensor) -> np.ndarray:
    """scikit-image's Y (N, H, W), in the units of bytes."""
    return rgb2ycbcr(to_unit(images).permute(0, 2, 3, 1).double().numpy())[..., 0]


def test_the_colours_are_scikit_images():
    expected = rgb2ycbcr(to_unit(PHOTOS).permute(0, 2, 3, 1).double().numpy()) / 255
    assert np.abs(rgb_to_ycbcr(PHOTOS).permute(0, 2, 3, 1).numpy() - expected).max() < 1e-6


def test_the_studio_range():
    corners = torch.cartesian_prod(*3 * [torch.tensor([-1.0, 1.0])])  # (8, 3), black to white
    found = 255 * rgb_to_ycbcr(corners[:, :, None, None])[..., 0, 0]
    assert found[0].tolist() == pytest.approx([16, 128, 128], abs=1e-4)
    assert found[-1].tolist() == pytest.approx([235, 128, 128], abs=1e-4)
    assert found[:, 1:].amin(0).tolist() == pytest.approx([16, 16], abs=1e-4)
    assert found[:, 1:].amax(0).tolist() == pytest.approx([240, 240], abs=1e-4)


def test_there_and_back():
    torch.testing.assert_close(ycbcr_to_rgb(rgb_to_ycbcr(PHOTOS)), PHOTOS, atol=1e-5, rtol=0)


def test_colours_out_of_range_are_clamped():
    assert torch.equal(rgb_to_ycbcr(torch.full((1, 3, 2, 2), 1.5)), rgb_to_ycbcr(torch.ones(1, 3, 2, 2)))
    assert ycbcr_to_rgb(torch.rand(1, 3, 16, 16) * 3 - 1).abs().max() == 1


def test_autocast_does_not_round_colours():
    with torch.autocast("cpu", torch.bfloat16):
        found = rgb_to_ycbcr(PHOTOS)
    assert torch.equal(found, rgb_to_ycbcr(PHOTOS))


@pytest.mark.parametrize("border", [0, 2, 4, 26])
def test_psnr_is_scikit_images_image_by_image(border):
    found = luma_psnr(noisy(), PHOTOS, border)
    inside = slice(border, 53 - border), slice(border, 80 - border)
    pairs = zip(luma(PHOTOS), luma(noisy()))
    expected = [peak_signal_noise_ratio(truth[inside], image[inside], data_range=255) for truth, image in pairs]
    assert found.shape == (2,)
    assert found.tolist() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("border", [0, 3, 21])
def test_ssim_is_scikit_images_image_by_image(border):
    found = luma_ssim(noisy(), PHOTOS, border)
    inside = slice(border, 53 - border), slice(border, 80 - border)
    as_published = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)
    expected = [structural_similarity(a[inside], b[inside], **as_published) for a, b in zip(luma(PHOTOS), luma(noisy()))]
    assert found.shape == (2,)
    assert found.tolist() == pytest.approx(expected, abs=1e-4)
    assert found[0] > found[1] + 0.05


def test_psnr_in_closed_form():
    """A shift of all bytes by one moves Y by 219/255."""
    images = torch.zeros(3, 3, 12, 12)
    found = luma_psnr(images + 2 / 255, images, 0)
    assert found.tolist() == pytest.approx(3 * [20 * np.log10(255 * 255 / 219)], abs=1e-3)


def test_equal_images():
    assert luma_psnr(PHOTOS, PHOTOS, 4).tolist() == 2 * [float("inf")]
    assert luma_ssim(PHOTOS, PHOTOS, 4).tolist() == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.parametrize("measure", [luma_psnr, luma_ssim])
def test_the_border_does_not_count(measure):
    spoilt = noisy()
    spoilt[..., :4, :], spoilt[..., -4:, :], spoilt[..., :4], spoilt[..., -4:] = 1, -1, 1, -1
    assert torch.equal(measure(spoilt, PHOTOS, 4), measure(noisy(), PHOTOS, 4))
    assert not torch.isclose(measure(spoilt, PHOTOS, 3), measure(noisy(), PHOTOS, 3)).any()


def test_colour_alone_does_not_count():
    truth = PHOTOS * 0.5  # far from the bounds, so that the other colours are not clamped
    other = rgb_to_ycbcr(truth) + torch.tensor([0, 0.03, -0.03])[:, None, None]
    assert luma_psnr(ycbcr_to_rgb(other), truth, 2).min() > 100
    assert luma_ssim(ycbcr_to_rgb(other), truth, 2).min() > 0.9999


@pytest.mark.parametrize("measure", [luma_psnr, luma_ssim])
@pytest.mark.parametrize("other", [PHOTOS[:1], PHOTOS[..., 1:], PHOTOS[:, :1], PHOTOS[0]])
def test_shapes_that_differ_are_refused(measure, other):
    with pytest.raises(ValueError, match="they should be of one shape"):
        measure(PHOTOS, other, 2)


@pytest.mark.parametrize(("measure", "most"), [(luma_psnr, 26), (luma_ssim, 21)])
@pytest.mark.parametrize("border", [-1, 27, 100, 2.0])
def test_a_border_that_leaves_nothing_is_refused(measure, most, border):
    with pytest.raises(ValueError, match=f"border {border} of images of 53 x 80: it should be from 0 to {most}"):
        measure(PHOTOS, PHOTOS, border)


def test_images_smaller_than_the_window_are_refused():
    with pytest.raises(ValueError, match="it should be 0, and the images 11 x 11 at least"):
        luma_ssim(PHOTOS[..., :10], PHOTOS[..., :10], 0)


@pytest.mark.parametrize("images", [PHOTOS[0], PHOTOS[:, :1], PHOTOS.to(torch.uint8)])
def test_what_is_no_batch_of_rgb_is_refused(images):
    calls = [rgb_to_ycbcr, ycbcr_to_rgb, lambda x: luma_psnr(x, x, 0), lambda x: luma_ssim(x, x, 0)]
    for call in calls:
        with pytest.raises(ValueError, match=r"they should be \(B, 3, H, W\) and float"):
            call(images)
