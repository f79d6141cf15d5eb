"""What every box of sliders must do, whatever it shows."""

import io

import numpy as np
from PIL import Image


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB")).astype(int)


def check_redraws(box, view, name: str, moves: dict) -> None:
    """Moves each slider in turn: the picture changes, and ends as `view.render` of all that was set."""
    assert f"v101-{name}" in box._dom_classes and len(box.children) == len(moves) + 1
    *sliders, picture = box.children
    for slider, value in zip(sliders, moves.values(), strict=True):
        before = picture.value
        slider.value = value
        assert picture.value != before
    assert (pixels(Image.open(io.BytesIO(picture.value))) == pixels(view.render(**moves))).all()
