"""The knobs of fast style transfer: how much of each style, and a picture of the reader's own."""

from functools import lru_cache

import ipywidgets
import torch
from PIL import Image

from v101_utils.data.photos import photo
from v101_utils.style.blend import describe_blend
from v101_utils.runtime import device_of
from v101_utils.view.pictures import grid
from v101_utils.widgets.chart import titled
from v101_utils.widgets.live import live


@lru_cache(maxsize=4)
def _uploaded(file: bytes, side: int) -> torch.Tensor:
    """The picture in a file, read once and not at each move of a slider."""
    return photo(file, side=side)


class StyleBlendView:
    """A picture, and what a network of several styles makes of it."""

    def __init__(self, model, names, content: torch.Tensor, side: int = 256):
        """names: the styles in the model's order; content (1, 3, H, W) in [-1, 1]; side: the longer one of uploads, in pixels."""
        if len(names) != model.styles:
            raise ValueError(f"{len(names)} names; the model has {model.styles} styles, and each should have one")
        self.model, self.names, self.content, self.side = model, tuple(names), content, side

    def _content(self, upload) -> tuple[torch.Tensor, str]:
        """The upload's picture, or the view's own where there is none or it cannot be used, and then why."""
        if not upload:
            return self.content, ""
        try:
            content = _uploaded(bytes(upload[0]["content"]), self.side)
        except ValueError as error:
            return self.content, f"{upload[0]['name']}: {error}"
        if min(content.shape[2:]) < self.model.smallest:
            height, width = content.shape[2:]
            return self.content, (f"{upload[0]['name']} is {width} x {height} pixels after scaling; each side should be "
                                  f"{self.model.smallest} at least")  # fmt: skip
        return content, ""

    @torch.no_grad()
    def render(self, upload=(), **weights: float) -> Image.Image:
        """The picture and its stylisation; a pure function.

        weights: how much of each style, by name; only their ratio counts, and where all are 0 the picture stays as it is.
        upload: the value of an ipywidgets.FileUpload. A file that is no picture is said to be none, above the view's own.
        Raises ValueError for a name that no style has.
        """
        if unknown := set(weights) - set(self.names):
            raise ValueError(f"no style is called {sorted(unknown)}; there are {', '.join(self.names)}")
        content, trouble = self._content(upload)
        amounts = torch.tensor([float(weights.get(name, 0.0)) for name in self.names])
        blend = amounts / amounts.sum() if amounts.sum() else amounts
        made = self.model(content.to(device_of(self.model)), blend) if amounts.sum() else content
        return titled(trouble or describe_blend(blend, self.names) or "as it is", grid(torch.cat([content.cpu(), made.cpu()]), zoom=1))


def style_blend_sliders(view: StyleBlendView) -> ipywidgets.VBox:
    """A slider for each style and a button for an upload, above the picture and its stylisation."""
    sliders = {name: ipywidgets.FloatSlider(float(i == 0), min=0, max=1, step=0.05, description=name)
               for i, name in enumerate(view.names)}  # fmt: skip
    upload = ipywidgets.FileUpload(accept="image/*", description="your picture")
    return live(view.render, {**sliders, "upload": upload}, "style-blend")
