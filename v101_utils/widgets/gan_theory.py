"""The knob of GAN theory: how far two densities lie apart, and what three distances make of it."""

from functools import cached_property

import ipywidgets
import matplotlib.pyplot as plt
import torch
from PIL import Image

from v101_utils.metrics.divergences import jensen_shannon, kl_divergence, log_gaussian, wasserstein
from v101_utils.widgets.chart import GAP, Chart, picture_of, titled
from v101_utils.widgets.live import live

DISTANCES = {"Jensen-Shannon": jensen_shannon, "KL(data || fake)": kl_divergence, "Wasserstein": wasserstein}


class DistanceView:
    """Data N(0, std^2) and fakes N(separation, std^2): the two densities, and three distances with their slopes.

    The slope of a distance by the separation is what it would tell a generator: how much is gained by a step towards the data.
    """

    def __init__(self, std: float = 0.5, largest: float = 6.0, points: int = 61):
        """The separation goes from 0 to `largest`. Raises ValueError unless both are above 0, and std no less than largest / 500."""
        if not (largest > 0 and std >= largest / 500):  # the grid would step over a narrower density
            raise ValueError(f"std {std}, largest separation {largest}: both should be above 0, and std at least {largest / 500:g}")
        self.std, self.largest = std, largest
        self.separations = torch.linspace(0, largest, points, dtype=torch.float64)
        self.x = torch.linspace(-8 * std, largest + 8 * std, 4001, dtype=torch.float64)  # the grid of all integrals

    def measure(self, separation) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Each distance and its slope at the separations (N,), by name; float64, on a grid. Raises ValueError outside [0, largest]."""
        separation = torch.as_tensor(separation, dtype=torch.float64).reshape(-1).requires_grad_()
        if not ((separation >= 0) & (separation <= self.largest)).all():
            raise ValueError(f"separation {separation.tolist()}: it should be from 0 to {self.largest:g}")
        data, fake = (log_gaussian(self.x, mean, self.std) for mean in (0 * separation[:, None], separation[:, None]))
        values = {name: f(data, fake, float(self.x[1] - self.x[0])) for name, f in DISTANCES.items()}
        return {name: (v.detach(), torch.autograd.grad(v.sum(), separation, retain_graph=True)[0]) for name, v in values.items()}

    @cached_property
    def _charts(self) -> dict[str, Chart]:
        found = self.measure(self.separations)
        return {name: Chart(self.separations, values, "separation", name) for name, (values, _) in found.items()}

    def densities(self, separation: float, width: int) -> Image.Image:
        """Data in black and fakes in red over the line, `width` pixels wide."""
        figure, axes = plt.subplots(figsize=(width / 100, 1.9), dpi=100, layout="constrained")
        for mean, colour, name in ((0.0, "black", "data"), (separation, "crimson", "fakes")):
            height = log_gaussian(self.x, mean, self.std).exp()
            axes.fill_between(self.x, height, color=colour, alpha=0.15, lw=0)
            axes.plot(self.x, height, color=colour, label=name)
        axes.set(xlabel="x", ylabel="density", xlim=(-3 * self.std, self.largest + 3 * self.std), ylim=(0, None))
        axes.legend(loc="upper right")
        return picture_of(figure)

    def render(self, separation: float) -> Image.Image:
        """The picture at a separation; a pure function. Raises ValueError outside [0, largest]."""
        found = {name: (v.item(), slope.item()) for name, (v, slope) in self.measure(separation).items()}
        text = "   ".join(f"{name} {v:.3f}, slope {slope:.3f}" for name, (v, slope) in found.items())
        below = titled(text, *(chart.dotted(separation, found[name][0]) for name, chart in self._charts.items()))
        above = self.densities(separation, below.width)
        sheet = Image.new("RGB", (below.width, above.height + GAP + below.height), "white")
        sheet.paste(above, (0, 0))
        sheet.paste(below, (0, above.height + GAP))
        return sheet


def distance_slider(view: DistanceView) -> ipywidgets.VBox:
    """The slider of the separation, above its picture."""
    separation = ipywidgets.FloatSlider(view.largest / 3, min=0, max=view.largest, step=0.05, description="separation")
    return live(view.render, {"separation": separation}, "distance")
