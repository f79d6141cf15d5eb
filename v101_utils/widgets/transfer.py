"""The knobs of style transfer: how much the content counts, instantly; and a transfer that goes on while one watches."""

import math
from collections.abc import Mapping

import ipywidgets
import torch
from PIL import Image

from v101_utils.style.gatys import stylise
from v101_utils.view.pictures import grid
from v101_utils.widgets.chart import titled
from v101_utils.widgets.live import live, png


class WeightView:
    """A content, a style, and what they become at any content weight between some that were computed before."""

    def __init__(self, content: torch.Tensor, style: torch.Tensor, pictures: Mapping[float, torch.Tensor], zoom: float = 2):
        """content, style and `pictures`, by content weight: (1, 3, H, W) in [-1, 1], all of one size.

        Raises ValueError for fewer than two weights, one that is not above 0, or pictures of different sizes.
        """
        if len(pictures) < 2 or min(pictures) <= 0:
            raise ValueError(f"content weights {list(pictures)}: there should be two at least, all above 0")
        if any(picture.shape != content.shape for picture in (style, *pictures.values())):
            raise ValueError(f"the style and the pictures should all be of the content's shape, {tuple(content.shape)}")
        self.content, self.style, self.zoom = content.cpu(), style.cpu(), zoom
        self.weights = sorted(pictures)
        self.pictures = [pictures[weight].cpu() for weight in self.weights]

    def at(self, weight: float) -> torch.Tensor:
        """The picture at a content weight: one that was computed, or between two of them their cross-fade, by the logarithm."""
        weight = min(max(weight, self.weights[0]), self.weights[-1])
        high = next(i for i, known in enumerate(self.weights[1:], 1) if weight <= known)
        start, end = math.log(self.weights[high - 1]), math.log(self.weights[high])
        return torch.lerp(self.pictures[high - 1], self.pictures[high], (math.log(weight) - start) / (end - start))

    def render(self, weight: float) -> Image.Image:
        """Content, result and style side by side; a pure function."""
        sheet = grid(torch.cat([self.content, self.at(weight), self.style]), columns=3, zoom=self.zoom)
        return titled(f"content, result at content weight {weight:.3g}, style", sheet)


def weight_slider(view: WeightView) -> ipywidgets.VBox:
    """The slider of the content weight, logarithmic, above the three pictures."""
    low, high = (math.log10(weight) for weight in (view.weights[0], view.weights[-1]))
    slider = ipywidgets.FloatLogSlider(
        value=math.sqrt(view.weights[0] * view.weights[-1]), min=low, max=high, step=(high - low) / 60, readout_format=".3g",
        description="content weight", style={"description_width": "initial"}, layout={"width": "420px"})  # fmt: skip
    return live(view.render, {"weight": slider}, "content-weight")


class TransferView:
    """A content and several styles, for a transfer in parts: each goes on from the picture that the last one left."""

    def __init__(self, content: torch.Tensor, styles: Mapping[str, torch.Tensor], steps: int = 10, zoom: float = 2, **settings):
        """content (1, 3, H, W) in [-1, 1]; styles by name; steps in a part; settings: as for `stylise`."""
        if not styles:
            raise ValueError("no styles; there should be one at least")
        self.content, self.styles, self.steps, self.zoom, self.settings = content, dict(styles), steps, zoom, settings

    def go_on(self, picture: torch.Tensor, style: str, weight: float):
        """Yields the next steps from `picture` on, as `stylise` does."""
        return stylise(self.content, self.styles[style], start=picture, steps=self.steps, content_weight=weight, **self.settings)

    def render(self, picture: torch.Tensor, done: int) -> Image.Image:
        """The picture after so many steps; a pure function."""
        return titled(f"after {done} steps", grid(picture, zoom=self.zoom))


def transfer_controls(view: TransferView) -> ipywidgets.VBox:
    """A choice of style, a content weight, a button that does the next steps, one that starts anew, and the picture."""
    style = ipywidgets.Dropdown(options=list(view.styles), description="style")
    weight = ipywidgets.FloatLogSlider(value=0.1, min=-3, max=1, step=0.1, description="content weight",
                                       readout_format=".3g", style={"description_width": "initial"})  # fmt: skip
    go, anew = (ipywidgets.Button(description=text) for text in (f"{view.steps} more steps", "from the start"))
    bar = ipywidgets.IntProgress(0, 0, view.steps, layout={"width": "150px"})
    shown = ipywidgets.Image(format="png", layout={"align_self": "flex-start", "max_width": "100%"})
    shown.add_class("v101-transfer-picture")
    now = {"picture": view.content, "done": 0}

    def show() -> None:
        shown.value = png(view.render(now["picture"], now["done"]))

    def walk(button) -> None:
        go.disabled = anew.disabled = True
        try:
            for step in view.go_on(now["picture"], style.value, weight.value):
                now.update(picture=step.picture, done=now["done"] + 1)
                bar.value = step.number
                show()
        finally:
            go.disabled = anew.disabled = False

    def restart(button) -> None:
        now.update(picture=view.content, done=0)
        bar.value = 0
        show()

    go.on_click(walk)
    anew.on_click(restart)
    show()
    box = ipywidgets.VBox([style, weight, ipywidgets.HBox([go, anew, bar]), shown])
    box.add_class("v101-transfer")
    return box
