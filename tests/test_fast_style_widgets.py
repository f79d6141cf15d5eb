"""The knobs of fast style transfer: blends of styles, and an upload."""

import datetime
import io

import numpy as np
import pytest
import torch
from PIL import Image
from sliders import check_redraws, pixels

from v101_utils.data.photos import photo
from v101_utils.style.network import StyleNetwork
from v101_utils.view.pictures import GAP
from v101_utils.widgets import StyleBlendView, style_blend_sliders
from v101_utils.widgets.chart import TITLE

NAMES = ("mosaic", "waves", "ihc")


@pytest.fixture(scope="module")
def view():
    torch.manual_seed(0)
    return StyleBlendView(StyleNetwork(3, width=4, blocks=1).eval(), NAMES, photo("chelsea", side=96), side=80)


def upload_of(content: bytes, name="mine.png") -> tuple[dict]:
    """As ipywidgets has it."""
    return ({"name": name, "type": "image/png", "size": len(content), "content": memoryview(content),
             "last_modified": datetime.datetime.now(datetime.timezone.utc)},)  # fmt: skip


def png_of(height: int, width: int) -> bytes:
    noise, file = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8), io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


def test_the_picture_and_what_is_made_of_it_by_normalised_weights(view):
    drawn = pixels(view.render(mosaic=0.4, waves=0.1))
    assert (drawn == pixels(view.render(mosaic=0.8, waves=0.2, ihc=0))).all()
    width = view.content.shape[3]
    wanted = {0: view.content, width + GAP: view.model(view.content, [0.8, 0.2, 0.0]).detach()}
    for left, image in wanted.items():
        found = drawn[TITLE:, left : left + width].transpose(2, 0, 1) / 127.5 - 1
        assert np.abs(found - image[0].numpy()).max() < 0.01
    assert (drawn[TITLE:, width + GAP :] != drawn[TITLE:, : width]).any()


def test_no_style_at_all_is_the_photograph(view):
    drawn, width = pixels(view.render(mosaic=0.0)), view.content.shape[3]
    assert (drawn[TITLE:, width + GAP : 2 * width + GAP] == drawn[TITLE:, :width]).all()


def test_every_slider_and_an_upload_redraw_the_picture(view):
    moves = {"mosaic": 0.5, "waves": 0.7, "ihc": 0.2, "upload": upload_of(png_of(60, 90))}
    box = style_blend_sliders(view)
    box.children[1].value = 0.3  # or there would be one style alone, and less of it would be all of it
    check_redraws(box, view, "style-blend", moves)


def test_an_upload_is_scaled_and_painted(view):
    drawn = view.render(mosaic=1, upload=upload_of(png_of(60, 120)))
    assert drawn.size == (2 * 80 + GAP, 40 + TITLE)


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"no picture", "not an image"), (b"", "empty"), (png_of(60, 90)[:900], "damaged"), (png_of(10, 400), "80 x 2 pixels")],
)  # fmt: skip
def test_an_upload_that_cannot_be_used_is_said_to_be(view, content, text, monkeypatch):
    said = []
    monkeypatch.setattr("v101_utils.widgets.fast_style.titled", lambda text, picture: said.append(text) or picture)
    drawn = pixels(view.render(mosaic=1, upload=upload_of(content)))
    assert text in said[0] and said[0].startswith("mine.png")
    assert (drawn == pixels(view.render(mosaic=1))).all()


def test_a_name_for_each_style():
    with pytest.raises(ValueError, match="2 names; the model has 3 styles"):
        StyleBlendView(StyleNetwork(3, width=4, blocks=1), NAMES[:2], torch.zeros(1, 3, 32, 32))


def test_a_style_that_there_is_not_is_refused(view):
    with pytest.raises(ValueError, match="no style is called"):
        view.render(mosiac=1.0)
