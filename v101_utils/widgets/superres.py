"""The knobs of super-resolution: a wipe between bicubic interpolation and a network, the factor, and a blend of two networks."""

from collections.abc import Callable

import ipywidgets
import torch
from PIL import Image, ImageDraw

from v101_utils.superres import FACTORS, SRResNet, crop_to_multiple, detail_error, luma_psnr, restore, shrink
from v101_utils.superres.adversarial import blend
from v101_utils.view.pictures import grid
from v101_utils.widgets.chart import Chart, titled
from v101_utils.widgets.live import live

ZOOM = 2  # pixels on the screen for one of the picture
ALL = 12  # what each of FACTORS divides


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} {value}: it should be from 0 to 1")
    return value


class WipeView:
    """One picture, shrunk and enlarged again: on the left of a line by bicubic interpolation, on the right by a method."""

    def __init__(self, truth: torch.Tensor, methods: dict[str, Callable]):
        """truth (1, 3, H, W) in [-1, 1], from 12 x 12. methods: by name, functions (small RGB pictures, factor) -> large ones."""
        self.truth, self.methods, self._made = crop_to_multiple(truth, ALL), methods, {}

    def enlarged(self, method: str, factor: int) -> torch.Tensor:
        """What the method, or "bicubic", makes of the shrunk picture, (1, 3, H, W); worked out once.

        Raises ValueError for another method or factor.
        """
        if method != "bicubic" and method not in self.methods:
            raise ValueError(f"method {method!r}: it should be one of bicubic, {', '.join(self.methods)}")
        if (method, factor) not in self._made:
            low = shrink(self.truth, factor)
            self._made[method, factor] = restore(None, low, factor) if method == "bicubic" else self.methods[method](low, factor)
        return self._made[method, factor]

    def render(self, method: str, factor: int, wipe: float) -> Image.Image:
        """Both enlargements, bicubic left of the line at `wipe` (0 to 1 of the width), and the truth; a pure function.

        Raises ValueError for another method or factor, or a wipe beyond the picture.
        """
        cut = round(_share("wipe", wipe) * self.truth.shape[3])
        pair = {name: self.enlarged(name, factor) for name in ("bicubic", method)}
        both = grid(torch.cat([pair["bicubic"][..., :cut], pair[method][..., cut:]], dim=3), zoom=ZOOM)
        ImageDraw.Draw(both).line((ZOOM * cut, 0, ZOOM * cut, both.height), "red", 2)
        figures = {name: f"{name} {luma_psnr(made, self.truth, factor).item():.2f} dB" for name, made in pair.items()}
        left, right = titled(f"{figures['bicubic']}  |  {figures[method]}", both), titled("truth", grid(self.truth, zoom=ZOOM))
        return titled(f"× {factor}: from {self.truth.shape[3] // factor} pixels a line to {self.truth.shape[3]}", left, right)


class BlendView:
    """One picture enlarged by a network whose weights lie between those of two, and where that is on PSNR and detail."""

    def __init__(self, truth: torch.Tensor, safe: SRResNet, sharp: SRResNet, factor: int = 4, count: int = 6):
        """truth (1, 3, H, W) in [-1, 1]; safe, sharp: what an amount of 0 and of 1 is; count: of points of the curve, from 2.

        Raises ValueError for fewer points.
        """
        if count < 2:
            raise ValueError(f"count {count}: a curve should have at least 2 points")
        self.truth, self.safe, self.sharp, self.factor = crop_to_multiple(truth, factor), safe, sharp, factor
        self.low = shrink(self.truth, factor)
        points = [self.measures(self.enlarged(i / (count - 1))) for i in range(count)]
        self.chart = Chart(*zip(*points), "PSNR of Y (dB): right is better", "detail error: down is better")

    def enlarged(self, amount: float) -> torch.Tensor:
        """(1, 3, H, W) in [-1, 1]. Raises ValueError for an amount that is not from 0 to 1."""
        return restore(blend(self.safe, self.sharp, amount), self.low, self.factor)

    def measures(self, made: torch.Tensor) -> tuple[float, float]:
        """PSNR in dB and the error of detail in octaves."""
        return tuple(measure(made, self.truth, self.factor).item() for measure in (luma_psnr, detail_error))

    def render(self, amount: float) -> Image.Image:
        """The enlargement, the truth, and the curve; a pure function. Raises ValueError for an amount that is not from 0 to 1."""
        made = self.enlarged(amount)
        psnr, detail = self.measures(made)
        pictures = {f"amount {amount:.2f}": grid(made, zoom=ZOOM), "truth": grid(self.truth, zoom=ZOOM),
                    f"{psnr:.2f} dB, detail error {detail:.2f}": self.chart.dotted(psnr, detail)}  # fmt: skip
        return titled(f"× {self.factor}", *(titled(name, picture) for name, picture in pictures.items()))


def wipe_sliders(view: WipeView) -> ipywidgets.VBox:
    """The choice of a method and of a factor and the slider of the wipe, above the two pictures."""
    method = ipywidgets.Dropdown(options=list(view.methods), value=list(view.methods)[-1], description="method")
    factor = ipywidgets.SelectionSlider(options=list(FACTORS), value=4, description="factor")
    wipe = ipywidgets.FloatSlider(0.5, min=0, max=1, step=0.02, description="wipe")
    return live(view.render, {"method": method, "factor": factor, "wipe": wipe}, "wipe")


def blend_slider(view: BlendView) -> ipywidgets.VBox:
    """The slider of the amount, above the enlargement, the truth and the curve."""
    amount = ipywidgets.FloatSlider(0.5, min=0, max=1, step=0.05, description="amount", continuous_update=False)
    return live(view.render, {"amount": amount}, "blend")
