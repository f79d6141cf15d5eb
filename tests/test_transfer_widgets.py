"""The knobs of style transfer: a content weight between computed pictures, and a transfer that goes on by a button."""

import io

import pytest
import torch
from PIL import Image
from sliders import check_redraws, pixels

from v101_utils.data.photos import photo
from v101_utils.data.styles import style_picture
from v101_utils.style import FilterBank
from v101_utils.style.gatys import stylise
from v101_utils.widgets import TransferView, WeightView, transfer_controls, weight_slider

SMALL = {"features": FilterBank((3, 7), 4), "content_features": FilterBank((3,), 4)}
LEVELS = {0.01: -0.8, 0.1: 0.0, 10.0: 0.6}


@pytest.fixture
def weight_view():
    plain = {weight: torch.full((1, 3, 20, 20), level) for weight, level in LEVELS.items()}
    return WeightView(photo("astronaut", side=20), style_picture("waves", side=20), plain)


@pytest.fixture
def transfer_view():
    styles = {"mosaic": style_picture("mosaic", side=24), "waves": style_picture("waves", side=24)}
    return TransferView(photo("chelsea", side=24), styles, steps=3, **SMALL)


@pytest.mark.parametrize(("weight", "level"), [
    (0.01, -0.8), (0.1, 0.0), (10, 0.6), (0.01 * 10**0.5, -0.4), (1, 0.3), (0.001, -0.8), (100, 0.6),
])  # fmt: skip
def test_between_two_weights_pictures_fade_by_the_logarithm(weight_view, weight, level):
    assert (weight_view.at(weight) - level).abs().max() < 1e-6


def test_the_weight_redraws_the_picture(weight_view):
    box = weight_slider(weight_view)
    assert box.children[0].min == -2 and box.children[0].max == pytest.approx(1)
    check_redraws(box, weight_view, "content-weight", {"weight": 1.0})


def test_pictures_that_do_not_belong_together_are_refused(weight_view):
    content, style = weight_view.content, weight_view.style
    for few in ({}, {1.0: content}, {0: content, 1.0: content}):
        with pytest.raises(ValueError, match="two at least, all above 0"):
            WeightView(content, style, few)
    with pytest.raises(ValueError, match=r"\(1, 3, 20, 20\)"):
        WeightView(content, style_picture("waves", side=21), {1.0: content, 2.0: content})


def picture_of(box) -> object:
    return pixels(Image.open(io.BytesIO(box.children[-1].value)))


def test_the_button_does_the_next_steps_from_where_the_last_ones_ended(transfer_view):
    box = transfer_controls(transfer_view)
    style, weight, (go, anew, bar) = *box.children[:2], box.children[2].children
    assert (picture_of(box) == pixels(transfer_view.render(transfer_view.content, 0))).all()
    picture = transfer_view.content
    for done, name, amount in ((3, "mosaic", 0.1), (6, "waves", 1.0)):
        style.value, weight.value = name, amount
        go.click()
        picture = list(stylise(transfer_view.content, transfer_view.styles[name], start=picture, steps=3, content_weight=amount,
                               **SMALL))[-1].picture  # fmt: skip
        assert bar.value == bar.max == 3 and not go.disabled
        assert (picture_of(box) == pixels(transfer_view.render(picture, done))).all()
    anew.click()
    assert (picture_of(box) == pixels(transfer_view.render(transfer_view.content, 0))).all() and bar.value == 0


def test_the_button_works_again_after_a_failure(transfer_view, caplog):
    box = transfer_controls(transfer_view)
    go = box.children[2].children[0]
    transfer_view.settings["lr"] = -1
    go.click()  # ipywidgets logs what a click raises
    assert "lr -1, seed 0" in caplog.text and not go.disabled


def test_no_styles_are_refused(transfer_view):
    with pytest.raises(ValueError, match="one at least"):
        TransferView(transfer_view.content, {})
