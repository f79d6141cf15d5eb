"""Bicubic resizing, against Pillow (which has the same kernel), torch (which has another) and closed forms."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from v101_utils.data.photos import photo
from v101_utils.superres.resize import FACTORS, crop_to_multiple, enlarge, keys_cubic, resize, shrink

SIZES = [  # old, new
    ((24, 36), (12, 9)), ((25, 17), (10, 16)), ((9, 14), (27, 42)), ((13, 20), (31, 7)), ((8, 8), (8, 8)), ((3, 2), (1, 5)),
    ((1, 1), (4, 3)),
]  # fmt: skip
torch.manual_seed(0)


def pillow(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    picture = Image.fromarray(plane.astype(np.float32))  # mode "F"
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def largest(difference) -> float:
    return float(np.abs(np.asarray(difference)).max())


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_any_size_is_pillows_on_a_mirrored_picture(old, new):
    """Pillow drops what is beyond an edge; where the mirror images stand round the picture, there is no edge to see."""
    images = torch.rand(2, 3, *old) * 2 - 1
    found = resize(images, *new)
    assert found.shape == (2, 3, *new)
    for plane, answer in zip(images.flatten(0, 1), found.flatten(0, 1)):
        room = [5 * side for side in old]
        around = np.pad(plane.numpy(), [(r, r) for r in room], mode="symmetric")  # 11 pictures each way
        expected = pillow(around, 11 * new[0], 11 * new[1])[5 * new[0] : 6 * new[0], 5 * new[1] : 6 * new[1]]
        assert largest(answer.numpy() - expected) < 2e-6


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("change", [shrink, enlarge])
def test_a_photograph_is_pillows_but_for_its_borders(change, factor):
    image = crop_to_multiple(photo("chelsea", side=128), 12)
    found = change(image, factor)[0, 1].numpy()
    difference = np.abs(found - pillow(image[0, 1].numpy(), *found.shape))
    edge = 2 * (factor if change is enlarge else 1)  # pixels whose kernel reaches beyond the picture
    assert largest(difference[edge:-edge, edge:-edge]) < 2e-6
    assert largest(difference) > 1e-3  # there Pillow weighs the pixels that are left; we mirror


@pytest.mark.parametrize("size", [(5, 9), (30, 50), (17, 21)])
def test_a_constant_stays(size):
    assert largest(resize(torch.full((1, 2, 17, 21), -0.7), *size) + 0.7) < 1e-6


@pytest.mark.parametrize("factor", FACTORS)
def test_a_ramp_stays_inside(factor):
    ramp = torch.linspace(-1, 1, 48, dtype=torch.float64).expand(1, 1, 48, 48)
    for found, edge in ((shrink(ramp, factor), 2), (enlarge(ramp, factor), 2 * factor)):
        width = found.shape[3]
        centres = (torch.arange(width).double() + 0.5) / width * 48 - 0.5
        difference = found - (centres / 47 * 2 - 1)
        assert largest(difference[..., edge:-edge]) < 1e-12
        assert largest(difference[..., 0]) > 1e-3


def test_parabolas_tell_keys_from_torch():
    """Keys 1981 chose a = -0.5 because it alone interpolates parabolas exactly; torch's a = -0.75 does not."""
    x = torch.linspace(-1, 1, 24, dtype=torch.float64)
    parabola = x.square().expand(1, 1, 24, 24)
    centres = ((torch.arange(72).double() + 0.5) / 3 - 0.5) / 23 * 2 - 1
    ours, torchs = enlarge(parabola, 3), F.interpolate(parabola, scale_factor=3, mode="bicubic")
    inside = (..., slice(6, -6), slice(6, -6))
    assert largest((ours - centres.square())[inside]) < 1e-12
    assert largest((torchs - centres.square())[inside]) > 1e-3


def test_an_edge_in_torch_is_steeper():
    images = torch.cat([-torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8)], 3)
    ours, torchs = enlarge(images, 2), F.interpolate(images, scale_factor=2, mode="bicubic")
    assert ours.max() == pytest.approx(1 + 2 * 9 / 128)  # one step of 2 through the tap k(1.25) = -9/128, before k(1.75) = -3/128
    assert torchs.max() > ours.max() + 0.05


def test_the_kernel_in_closed_form():
    places = torch.tensor([0, 0.5, 1, 1.5, 2, 7, -0.5], dtype=torch.float64)
    assert keys_cubic(places).tolist() == [1, 9 / 16, 0, -1 / 16, 0, 0, 9 / 16]


def test_an_impulse_halved_shows_the_stretched_kernel():
    """The weights of a halving are Keys' kernel at odd eighths, halved."""
    taps = [shrink(F.one_hot(torch.tensor(i), 24).double().expand(1, 1, 24, 24), 2)[0, 0, 6, 6].item() for i in range(24)]
    assert taps[9:17] == pytest.approx([w / 256 for w in (-3, -9, 29, 111, 111, 29, -9, -3)], abs=1e-15)
    assert largest(taps[:9] + taps[17:]) == 0


def test_fine_stripes_do_not_alias():
    stripes = torch.tensor([1.0, -1.0, -1.0]).repeat(40).expand(1, 1, 120, 120)  # of 3 pixels, too fine for a quarter
    assert largest(shrink(stripes, 4)[..., 3:-3] + 1 / 3) < 0.06
    assert largest(F.interpolate(stripes, scale_factor=0.25, mode="bicubic")[..., 3:-3] + 1 / 3) > 0.6


def test_it_is_linear_and_its_gradient_flows():
    images = (torch.rand(1, 3, 12, 12, dtype=torch.float64) * 2 - 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: shrink(x, 3), images)


def test_autocast_does_not_round_pictures():
    images = torch.rand(1, 3, 24, 24) * 2 - 1
    with torch.autocast("cpu", torch.bfloat16):
        found = shrink(images, 2)
    assert torch.equal(found, shrink(images, 2))


def test_enlarging_is_undone_by_picking():
    images = torch.rand(1, 3, 10, 11) * 2 - 1
    assert largest(enlarge(images, 3)[..., 1::3, 1::3] - images) < 1e-6  # Keys' kernel interpolates


@pytest.mark.parametrize(("factor", "size"), [(2, (10, 14)), (3, (9, 12)), (4, (8, 12)), (1, (11, 14)), (12, None)])
def test_the_top_left_is_kept(factor, size):
    images = torch.rand(2, 3, 11, 14)
    if size is None:
        with pytest.raises(ValueError, match="11 x 14: they should be 12 x 12 at least"):
            crop_to_multiple(images, factor)
    else:
        assert torch.equal(crop_to_multiple(images, factor), images[:, :, : size[0], : size[1]])


def test_what_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="of 11 x 14 cannot be shrunk 4 times: crop them to 8 x 12"):
        shrink(torch.zeros(1, 3, 11, 14), 4)
    for size in ((8, 14), (14, 8)):  # one side that does not is enough
        with pytest.raises(ValueError, match="cannot be shrunk 4 times"):
            shrink(torch.zeros(1, 3, *size), 4)
    with pytest.raises(ValueError, match="they should be 4 x 4 at least"):
        shrink(torch.zeros(1, 3, 3, 14), 4)


@pytest.mark.parametrize("factor", [0, 1, 2.5, 8, -2])
def test_other_factors_are_refused(factor):
    for change in (shrink, enlarge):
        with pytest.raises(ValueError, match=f"factor {factor}: it should be one of 2, 3, 4"):
            change(torch.zeros(1, 3, 16, 16), factor)
    if factor not in (1, 8):
        with pytest.raises(ValueError, match=f"factor {factor}: it should be a whole number from 1"):
            crop_to_multiple(torch.zeros(1, 3, 16, 16), factor)


@pytest.mark.parametrize("images", [torch.zeros(3, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.zeros(1, 3, 0, 8)])
def test_what_is_no_batch_of_images_is_refused(images):
    for change, *numbers in ((resize, 4, 4), (shrink, 2), (enlarge, 2), (crop_to_multiple, 2)):
        with pytest.raises(ValueError, match=r"they should be \(B, C, H, W\) and float"):
            change(images, *numbers)


@pytest.mark.parametrize("size", [(0, 4), (4, -1), (4, 2.0)])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(ValueError, match=f"size {size[0]} x {size[1]}: height and width should be whole numbers from 1"):
        resize(torch.zeros(1, 3, 8, 8), *size)
