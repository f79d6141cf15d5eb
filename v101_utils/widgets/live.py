"""The shell that all sliders share."""

import io
from collections.abc import Callable

import ipywidgets
from PIL import Image


def png(picture: Image.Image) -> bytes:
    """The picture as PNG bytes, packed lightly: speed matters more than size here."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def live(render: Callable[..., Image.Image], sliders: dict[str, ipywidgets.Widget], name: str) -> ipywidgets.VBox:
    """Sliders above the picture `render(**values)`, which is drawn anew at each move of any of them.

    The box has the CSS class v101-NAME; its last child, the picture, v101-NAME-picture.
    """
    picture = ipywidgets.Image(format="png", layout={"align_self": "flex-start", "max_width": "100%"})  # its own size
    picture.add_class(f"v101-{name}-picture")

    def draw(change=None) -> None:
        picture.value = png(render(**{key: slider.value for key, slider in sliders.items()}))

    for slider in sliders.values():
        slider.observe(draw, names="value")
    draw()
    box = ipywidgets.VBox([*sliders.values(), picture])
    box.add_class(f"v101-{name}")
    return box
