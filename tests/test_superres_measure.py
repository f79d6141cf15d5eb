"""Enlarging colour pictures and scoring it: against scikit-image and by closed forms."""

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from v101_utils.data.images import to_signed, to_unit
from v101_utils.data.photos import photo
from v101_utils.superres import (
    ESPCN, SRCNN, SRResNet, detail_error, enlarge, restore, rgb_to_ycbcr, score, score_folder, shrink,
)  # fmt: skip

BICUBIC = partial(restore, None)


def texture(height=48, width=60, count=1, seed=0) -> torch.Tensor:
    """Colours (count, 3, height, width) well inside [-1, 1], with detail of every size."""
    random = torch.Generator().manual_seed(seed)
    layers = [torch.randn(count, 3, -(-height // size), -(-width // size), generator=random) for size in (1, 2, 4, 8)]
    spread = [each.repeat_interleave(size, 2).repeat_interleave(size, 3) for each, size in zip(layers, (1, 2, 4, 8))]
    return torch.tanh(sum(each[..., :height, :width] for each in spread) / 8)


def awake(model, seed=0):
    """A network whose last layers are not zero."""
    random = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        with torch.no_grad():
            weight.copy_(torch.randn(weight.shape, generator=random) * 0.05)
    return model


# restore


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("make", [SRCNN, ESPCN, SRResNet])
def test_untrained_networks_restore_as_bicubic_does(make, factor):
    """They begin as the enlargement, and brightness and colours enlarged apart are the enlargement, which is linear."""
    low = texture(9, 11, 2) / 2
    torch.testing.assert_close(restore(make(), low, factor), enlarge(low, factor), atol=1e-5, rtol=0)


@pytest.mark.parametrize("make", [SRCNN, ESPCN])
def test_a_network_of_brightness_leaves_colours_to_bicubic(make):
    model, low = awake(make()), texture(9, 11) / 4
    found, colours = rgb_to_ycbcr(restore(model, low, 2)), rgb_to_ycbcr(low)
    torch.testing.assert_close(found[:, 1:], enlarge(colours[:, 1:], 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(found[:, :1], model(colours[:, :1], 2).detach(), atol=1e-5, rtol=0)
    assert (found[:, :1] - enlarge(colours[:, :1], 2)).abs().max() > 0.01


@pytest.mark.parametrize("model", [None, awake(SRResNet(8, 1)), awake(SRCNN(1, (8, 6)))])
def test_what_is_restored_is_a_picture(model):
    made = restore(model, torch.sign(texture(13, 17)), 3, side=8)
    assert made.shape == (1, 3, 39, 51) and made.abs().max() <= 1 and not made.requires_grad
    torch.testing.assert_close(made, restore(model, torch.sign(texture(13, 17)), 3), atol=1e-4, rtol=0)


def test_other_shapes_and_factors_are_refused():
    for low in (torch.zeros(1, 1, 8, 8), torch.zeros(3, 8, 8)):
        with pytest.raises(ValueError, match=r"they should be \(B, 3, h, w\)"):
            restore(None, low, 2)
    for model in (None, SRCNN()):
        with pytest.raises(ValueError, match="factor 5"):
            restore(model, torch.zeros(1, 3, 8, 8), 5)


# score


def by_scikit_image(made: torch.Tensor, truth: torch.Tensor, border: int) -> tuple[float, float]:
    """PSNR and SSIM of the Y of pictures (1, 3, H, W)."""
    ys = [rgb2ycbcr(to_unit(each)[0].permute(1, 2, 0).double().numpy())[..., 0] for each in (truth, made)]
    ys = [y[border:-border, border:-border] for y in ys]
    options = dict(data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    return peak_signal_noise_ratio(*ys, data_range=255), structural_similarity(*ys, **options)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_scores_are_scikit_images(factor):
    picture = photo("chelsea", side=97)
    height, width = (side - side % factor for side in picture.shape[2:])
    truth = picture[..., :height, :width]
    expected = by_scikit_image(enlarge(shrink(truth, factor), factor).clamp(-1, 1), truth, factor)
    found = score(BICUBIC, picture, factor)
    assert (found["psnr_db"], found["ssim"]) == pytest.approx(expected, abs=2e-3)


def test_each_picture_counts_once():
    """Whatever their sizes, and together in a batch or one by one."""
    pictures = [texture(48, 60), texture(50, 41, seed=1), texture(50, 41, seed=2)]
    each = [score(BICUBIC, picture, 3) for picture in pictures]
    together = [score(BICUBIC, pictures, 3), score(BICUBIC, [pictures[0], torch.cat(pictures[1:])], 3)]
    for name in ("psnr_db", "ssim", "detail_error"):
        mean = np.mean([one[name] for one in each])
        assert [found[name] for found in together] == pytest.approx([mean, mean], rel=1e-5)
    assert len({round(one["psnr_db"], 3) for one in each}) == 3


def test_a_method_is_given_the_small_picture_and_its_border_is_left_out():
    picture, given = texture(24, 36), []

    def nearly(low, factor):
        given.append((low, factor))
        made = picture.clone()
        made[..., :4, :], made[..., -4:, :], made[..., :4], made[..., -4:] = 1, 1, -1, -1
        return made

    found = score(nearly, picture, 4)
    assert found == {"psnr_db": float("inf"), "ssim": pytest.approx(1), "detail_error": 0}
    assert torch.equal(given[0][0], shrink(picture, 4)) and given[0][1] == 4


def test_scores_of_nothing_are_refused():
    with pytest.raises(ValueError, match="no pictures"):
        score(BICUBIC, [], 2)
    with pytest.raises(ValueError, match="factor 5"):
        score(BICUBIC, texture(), 5)
    with pytest.raises(ValueError, match="one shape"):
        score(lambda low, factor: low, texture(), 2)


# detail_error


def stripes(amplitude: float, side=32, period=2) -> torch.Tensor:
    """Grey stripes (1, 3, side, side) whose Y lies `amplitude` above and below the middle; a byte of 255 is 1."""
    signs = 1 - 2.0 * (torch.arange(side) // (period // 2) % 2)
    return (signs * amplitude * 2 * 255 / 219).expand(1, 3, side, side)


@pytest.mark.parametrize(("period", "contrasts"), [(2, [1.0]), (4, [0.5**0.5, 0.5**0.5])])
def test_detail_of_stripes(period, contrasts):
    """Of six bands, stripes of one pixel have contrast in one, those of two pixels, at every second place, in both sizes."""
    for made, real in ((0.05, 0.1), (0.2, 0.1), (0.0, 0.1)):
        found = detail_error(stripes(made, period=period), stripes(real, period=period), border=2).item()
        expected = sum(abs(np.log2((made * each + 1 / 255) / (real * each + 1 / 255))) for each in contrasts) / 6
        assert found == pytest.approx(expected, rel=1e-3), (made, real)
    turned = stripes(0.05).transpose(2, 3), stripes(0.1).transpose(2, 3)
    torch.testing.assert_close(detail_error(*turned, 2), detail_error(stripes(0.05), stripes(0.1), 2))


def test_half_the_contrast_is_one_octave():
    truth = torch.sign(texture(64, 64, 2)) * 0.8
    assert detail_error(truth, truth, 3).tolist() == [0, 0]
    for made in (truth / 2, truth / 2 + 0.3):  # brightness does not count
        found = detail_error(made, truth, 3)
        assert found.min() > 0.9 and found.max() <= 1  # the floor takes a little


def test_detail_sees_blur_and_noise_where_psnr_sees_misplaced_texture():
    truth = texture(96, 96)
    blurred = enlarge(shrink(truth, 2), 2)
    noisy = truth + 0.3 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    moved = truth.roll(3, 3)
    coarse = enlarge(shrink(truth, 4), 4)
    blur, worse, noise, shift = (detail_error(each, truth, 4).item() for each in (blurred, coarse, noisy, moved))
    assert shift < min(blur, noise) < max(blur, noise) < worse
    assert (moved - truth).square().mean() > (blurred - truth).square().mean()


def test_detail_of_other_shapes_is_refused():
    with pytest.raises(ValueError, match="one shape"):
        detail_error(texture(24, 24), texture(24, 28), 2)
    with pytest.raises(ValueError, match="12 x 12 pixels should be left"):
        detail_error(texture(20, 24), texture(20, 24), 5)
    assert detail_error(texture(20, 24), texture(20, 24), 4).shape == (1,)


# score_folder


def test_a_folder_of_pictures(tmp_path):
    pictures = [texture(48, 60), texture(50, 41, seed=1)]
    for i, (picture, suffix) in enumerate(zip(pictures, ("png", "BMP"))):
        array = (to_unit(picture)[0].permute(1, 2, 0) * 255).round().byte().numpy()
        Image.fromarray(array).save(tmp_path / f"{i}.{suffix}")
        pictures[i] = to_signed(torch.from_numpy(array)).permute(2, 0, 1)[None]
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "LR.png").mkdir()
    assert score_folder(BICUBIC, tmp_path, 3) == pytest.approx(score(BICUBIC, pictures, 3), rel=1e-6)


def test_folders_without_pictures_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder.*Set5"):
        score_folder(BICUBIC, tmp_path / "none", 2)
    with pytest.raises(ValueError, match="holds no pictures.*.png"):
        score_folder(BICUBIC, tmp_path, 2)
    (tmp_path / "a.png").write_bytes(b"not a png")
    with pytest.raises(ValueError, match="a.png"):
        score_folder(BICUBIC, tmp_path, 2)
