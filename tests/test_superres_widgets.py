"""The knobs of super-resolution: where the wipe cuts, what a factor and a blend show."""

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from sliders import check_redraws, pixels
from torch import nn
from torch.nn import functional as F
from torchmetrics.functional.image import peak_signal_noise_ratio

from v101_utils.data.photos import photo
from v101_utils.superres import ESPCN, SRResNet, restore, rgb_to_ycbcr, shrink
from v101_utils.view.pictures import grid
from v101_utils.widgets import BlendView, WipeView, blend_slider, wipe_sliders
from v101_utils.widgets.chart import TITLE

TRUTH = photo("chelsea")[..., 60:109, 100:149]  # a side of 49 is cropped to 48


def nearest(low: torch.Tensor, factor: int) -> torch.Tensor:
    return F.interpolate(low, scale_factor=factor)


def srresnet(seed: int) -> SRResNet:
    """A small network whose last layer is not zero: it does not begin as the bicubic enlargement."""
    torch.manual_seed(seed)
    model = SRResNet(8, 1)
    nn.init.normal_(model.last.weight, std=0.02)
    return model.requires_grad_(False).eval()


@pytest.fixture(scope="module")
def wipe_view():
    torch.manual_seed(0)
    return WipeView(TRUTH, {"espcn": partial(restore, ESPCN((4, 4))), "nearest": nearest})


@pytest.fixture(scope="module")
def blend_view():
    return BlendView(TRUTH, srresnet(0), srresnet(1), factor=4, count=3)


@pytest.mark.parametrize("wipe", [0, 0.25, 1])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bicubic_is_left_of_the_line_and_the_method_right_of_it(wipe_view, factor, wipe):
    sheet, cut = pixels(wipe_view.render("nearest", factor, wipe))[2 * TITLE :, :96], round(96 * wipe)
    low = shrink(wipe_view.truth, factor)
    sides = [pixels(grid(restore(None, low, factor))), pixels(grid(nearest(low, factor)))]
    away = 4  # the line is two pixels wide, and `grid` smooths across the cut as it zooms
    left, right = slice(0, max(0, cut - away)), slice(min(96, cut + away), 96)
    assert (sheet[:96, left] == sides[0][:, left]).all() and (sheet[:96, right] == sides[1][:, right]).all()
    assert (sides[0] != sides[1]).any()
    if 0 < wipe < 1:
        assert (sheet[:96, cut] == [255, 0, 0]).all()


def test_the_truth_stands_at_the_right(wipe_view):
    sheet, truth = pixels(wipe_view.render("nearest", 2, 0.5)), pixels(grid(wipe_view.truth))
    starts = [x for x in range(sheet.shape[1] - 95) if (sheet[2 * TITLE :, x : x + 96] == truth).all()]
    assert len(starts) == 1 and starts[0] > 96


def test_each_slider_of_the_wipe_redraws(wipe_view):
    check_redraws(wipe_sliders(wipe_view), wipe_view, "wipe", {"method": "espcn", "factor": 3, "wipe": 0.2})


def test_a_method_is_run_once_for_a_factor():
    calls = []
    view = WipeView(TRUTH, {"counted": lambda low, factor: calls.append(factor) or nearest(low, factor)})
    for wipe in (0.1, 0.5, 0.9):
        for factor in (2, 4):
            view.render("counted", factor, wipe)
    assert sorted(calls) == [2, 4]


@pytest.mark.parametrize(("arguments", "reason"), [
    (("magic", 2, 0.5), "'magic'.*bicubic, espcn, nearest"), (("espcn", 5, 0.5), "factor 5"), (("espcn", 2, 1.1), "wipe 1.1"),
    (("espcn", 2, float("nan")), "wipe nan"),
])  # fmt: skip
def test_what_there_is_not_is_refused(wipe_view, arguments, reason):
    with pytest.raises(ValueError, match=reason):
        wipe_view.render(*arguments)


@pytest.mark.parametrize("amount", [0.0, 1.0])
def test_the_ends_of_the_blend_are_the_two_networks(blend_view, amount):
    sheet = pixels(blend_view.render(amount))[2 * TITLE : 2 * TITLE + 96, :96]
    alone = restore(srresnet(int(amount)), shrink(blend_view.truth, 4), 4)
    assert (sheet == pixels(grid(alone))).all()
    assert (sheet != pixels(blend_view.render(1 - amount))[2 * TITLE : 2 * TITLE + 96, :96]).any()


def test_the_dot_is_at_the_measured_place(blend_view):
    made, inside = blend_view.enlarged(0.5), slice(4, -4)
    y, true_y = (rgb_to_ycbcr(each)[:, :1, inside, inside] for each in (made, blend_view.truth))
    psnr = peak_signal_noise_ratio(y, true_y, data_range=1.0).item()
    found, detail = blend_view.measures(made)
    assert found == pytest.approx(psnr, abs=1e-4)
    chart = pixels(blend_view.chart.dotted(psnr, detail))
    sheet = pixels(blend_view.render(0.5))[2 * TITLE : 2 * TITLE + chart.shape[0]]
    reds = [np.argwhere((a == pixels(Image.new("RGB", (1, 1), "crimson"))).all(-1)) for a in (sheet, chart)]
    assert len(reds[1]) > 50 and (reds[0] - reds[1] == [0, sheet.shape[1] - chart.shape[1]]).all()


def test_the_slider_of_the_blend_redraws(blend_view):
    check_redraws(blend_slider(blend_view), blend_view, "blend", {"amount": 0.85})


@pytest.mark.parametrize("amount", [-0.1, 1.1, float("nan")])
def test_an_amount_beyond_the_networks_is_refused(blend_view, amount):
    with pytest.raises(ValueError, match="amount"):
        blend_view.render(amount)


@pytest.mark.parametrize("count", [0, 1])
def test_a_curve_of_fewer_than_two_points_is_refused(blend_view, count):
    with pytest.raises(ValueError, match=f"count {count}: a curve should have at least 2"):
        BlendView(blend_view.truth, blend_view.safe, blend_view.sharp, count=count)
