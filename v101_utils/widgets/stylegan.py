"""The knobs of StyleGAN: truncation, noise, and the layer at which one style gives way to another."""

import ipywidgets
import torch
from PIL import Image

from v101_utils.gans import StyleGenerator
from v101_utils.view.pictures import grid, rows
from v101_utils.widgets.chart import titled
from v101_utils.widgets.live import live

STRENGTH = 3.0  # the most that a slider multiplies the noise by
SIDE = 72  # pixels of a picture as it is shown


class TruncationView:
    """`count` pictures of one generator, w drawn towards the mean by psi, the noise multiplied by a strength."""

    def __init__(self, generator: StyleGenerator, count: int = 16, seed: int = 0):
        self.generator, self.latents = generator, generator.latents(count, seed)  # (count, latent_dim)

    @torch.no_grad()
    def images(self, psi: float, strength: float = 1.0, noise: int = 0) -> torch.Tensor:
        """(count, C, S, S) in [-1, 1]: the same latents always; `noise` is the seed of the noise per pixel.

        Raises ValueError for a psi beyond ±2, a strength outside [0, 3], or a seed below 0.
        """
        if not 0 <= strength <= STRENGTH:
            raise ValueError(f"strength {strength}: it should be from 0, no noise, to {STRENGTH:g}; 1 is as it was trained")
        if noise < 0:
            raise ValueError(f"noise {noise}: it is a seed, and should be 0 or above")
        return self.generator.draw(self.generator.styles(self.latents, psi), noise, strength)

    def render(self, psi: float, strength: float, noise: int) -> Image.Image:
        """The pictures; a pure function. Raises ValueError as `images`."""
        images = self.images(psi, strength, noise)
        return titled(f"ψ {psi:.2f}   noise × {strength:.2f}", grid(images, zoom=SIDE / images.shape[-1]))


class CrossoverView:
    """Two rows of sources, and between them their mixtures: the first layers from above, the others from below."""

    def __init__(self, generator: StyleGenerator, count: int = 8):
        self.generator, self.count = generator, count

    @torch.no_grad()
    def images(self, crossover: int, pair: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Coarse sources, mixtures and fine sources, each (count, C, S, S) in [-1, 1], all with the same noise.

        pair: which latents. Raises ValueError for a crossover beyond the layers, or a pair below 0.
        """
        if pair < 0:
            raise ValueError(f"pair {pair}: it should be 0 or above")
        coarse, fine = (self.generator.styles(self.generator.latents(self.count, seed)) for seed in (2 * pair, 2 * pair + 1))
        return tuple(self.generator.draw(ws) for ws in (coarse, self.generator.mix(coarse, fine, crossover), fine))

    def render(self, crossover: int, pair: int) -> Image.Image:
        """The three rows; a pure function. Raises ValueError as `images`."""
        coarse, mixed, fine = self.images(crossover, pair)
        layers = len(self.generator.layers)
        sheet = rows({"coarse from": coarse, "mixed": mixed, "fine from": fine}, self.count, SIDE / mixed.shape[-1])
        return titled(f"layers 0 to {crossover - 1} from above, the rest from below" if 0 < crossover < layers else
                      f"all layers from {'above' if crossover else 'below'}", sheet)  # fmt: skip


def truncation_sliders(view: TruncationView) -> ipywidgets.VBox:
    """Sliders of psi, of the noise's strength, and of its seed, above the pictures."""
    sliders = {
        "psi": ipywidgets.FloatSlider(1, min=-2, max=2, step=0.05, description="ψ"),
        "strength": ipywidgets.FloatSlider(1, min=0, max=STRENGTH, step=0.1, description="noise ×"),
        "noise": ipywidgets.IntSlider(0, min=0, max=20, description="noise no."),
    }
    return live(view.render, sliders, "truncation")


def crossover_sliders(view: CrossoverView) -> ipywidgets.VBox:
    """Sliders of the layer at which the styles change over, and of the pair of rows, above the pictures."""
    layers = len(view.generator.layers)
    sliders = {
        "crossover": ipywidgets.IntSlider(layers // 2, min=0, max=layers, description="crossover"),
        "pair": ipywidgets.IntSlider(0, min=0, max=20, description="pair"),
    }
    return live(view.render, sliders, "crossover")
