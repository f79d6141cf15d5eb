"""The knobs of a generator without knobs: a latent, moved along chosen directions."""

import ipywidgets
import torch
from PIL import Image

from v101_utils.view.pictures import grid, rows
from v101_utils.widgets.chart import titled
from v101_utils.widgets.live import live

REACH = 4.0  # how far a slider goes to either side, in standard deviations of a latent's entries


class LatentWalkView:
    """One latent z of any generator with `latents(count, seed)` and `draw(latents)`, and z + d1 n1 + d2 n2 + ...

    directions n: (K, latent_dim), unit vectors, K sliders d1 to dK.
    """

    def __init__(self, generator, seed: int, directions: torch.Tensor, neighbours: int = 7):
        """Raises ValueError unless the directions are unit vectors of the latents' size, and neighbours an odd number above 1;
        and for a generator that draws styles w, not latents.
        """
        if hasattr(generator, "styles"):
            raise ValueError(f"{type(generator).__name__} draws styles w, not latents z: these sliders are not for it")
        self.generator, self.start, directions = generator, generator.latents(1, seed), directions.cpu()  # (1, latent_dim), (K, latent_dim)
        if directions.ndim != 2 or directions.shape[1:] != self.start.shape[1:] or len(directions) == 0:
            raise ValueError(f"directions are {tuple(directions.shape)}; they should be (K, {self.start.shape[1]})")
        if not torch.allclose(directions.norm(dim=1), torch.ones(len(directions)), atol=1e-3):
            raise ValueError("directions should have length 1: divide each by its norm")
        if neighbours < 3 or neighbours % 2 == 0:
            raise ValueError(f"neighbours {neighbours}: it should be odd and at least 3, with the picture itself in the middle")
        self.directions, self.names = directions, [f"d{i + 1}" for i in range(len(directions))]
        self.places = torch.linspace(-REACH, REACH, neighbours)

    def latent(self, **values: float) -> torch.Tensor:
        """(1, latent_dim): the latent with `d1=1.5` and so on; what is left out is 0. Raises ValueError for others than these."""
        unknown = [name for name in values if name not in self.names]
        if unknown or not all(-REACH <= value <= REACH for value in values.values()):
            known = ", ".join(self.names)
            raise ValueError(f"values {values}: they should be some of {known}, each from {-REACH:g} to {REACH:g}")
        steps = torch.tensor([float(values.get(name, 0.0)) for name in self.names])
        return self.start + steps @ self.directions

    def along(self, name: str = "d1", **values: float) -> torch.Tensor:
        """Images (neighbours, C, H, W): one value at each of `places`, the others as they are."""
        latents = [self.latent(**values | {name: place}) for place in self.places.tolist()]
        return self.generator.draw(torch.cat(latents))

    def render(self, **values: float) -> Image.Image:
        """The picture, and beside it its neighbours along the first direction; a pure function. Raises ValueError as `latent`."""
        image, line = self.generator.draw(self.latent(**values)), self.along(**values)
        text = "   ".join(f"{name} {values.get(name, 0.0):+.1f}" for name in self.names)
        words = f"{text}      right: the same with d1 from {-REACH:g} to {REACH:g}"
        return titled(words, grid(image, zoom=168 / image.shape[-1]), grid(line, len(line), zoom=84 / image.shape[-1]))

    def strip(self) -> Image.Image:
        """What each slider does by itself: a row for each direction, the picture at 0 in the middle."""
        lines = {name: self.along(name) for name in self.names}
        return rows(lines, len(self.places), zoom=64 / lines[self.names[0]].shape[-1], label_width=40)


def walk_sliders(view: LatentWalkView) -> ipywidgets.VBox:
    """A slider for each direction, above the picture."""
    sliders = {name: ipywidgets.FloatSlider(0, min=-REACH, max=REACH, step=0.25, description=name) for name in view.names}
    return live(view.render, sliders, "latent-walk")
