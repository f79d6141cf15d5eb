"""The knobs of diffusion: the noise level, the steps and eta of DDIM, and the guidance scale of a class."""

from functools import cached_property

import ipywidgets
import numpy as np
import torch
from PIL import Image

from v101_utils.data import CLASSES, to_unit
from v101_utils.diffusion import Clipped, add_noise
from v101_utils.runtime import device_of, generator
from v101_utils.view.pictures import grid, rows
from v101_utils.widgets.chart import Chart, titled
from v101_utils.widgets.live import live

STEPS = (2, 3, 5, 8, 10, 15, 20, 30, 50)


def squared_error(guess: torch.Tensor, images: torch.Tensor) -> float:
    """The mean squared error per pixel of images in [0, 1], both given in [-1, 1]."""
    return (to_unit(guess) - to_unit(images)).square().mean().item()


class NoiseView:
    """What one denoiser sees behind the noise at a time t: images, noisy images, its guesses, and how wrong they are."""

    def __init__(self, denoiser, images: torch.Tensor, labels: torch.Tensor | None = None, shown: int = 8, points: int = 26):
        """`images` (N, C, H, W) in [-1, 1], of which the first `shown` are drawn and all measure the curve; labels (N,)."""
        self.denoiser, self.shown, images = Clipped(denoiser), shown, images.to(device_of(denoiser))
        self.images, self.labels = images, None if labels is None else labels.to(images.device)
        self.noise = torch.randn(images.shape, generator=generator(7)).to(images)
        self.times = np.linspace(0, 1, points)

    @torch.no_grad()
    def guess(self, t: float, first: int = 0, last: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """x_t and the guess of x0, in [-1, 1], of the images from `first` to `last`."""
        some = slice(first, last)
        x = add_noise(self.denoiser.schedule, self.images[some], t, self.noise[some])  # (B, C, H, W)
        return x, self.denoiser(x, t, None if self.labels is None else self.labels[some]).x0

    @cached_property
    def curve(self) -> np.ndarray:
        """(points,): the squared error of the guesses of all images at each of `times`."""
        starts = range(0, len(self.images), 250)
        guesses = (torch.cat([self.guess(t, start, start + 250)[1] for start in starts]) for t in self.times.tolist())
        return np.array([squared_error(guess, self.images) for guess in guesses])

    @cached_property
    def _chart(self) -> Chart:
        return Chart(self.times, self.curve, "time t", "squared error per pixel of the guess")

    def render(self, t: float) -> Image.Image:
        """The picture at time `t`; a pure function. Raises ValueError outside [0, 1]."""
        if not 0 <= t <= 1:
            raise ValueError(f"t {t}: it should be from 0, the image, to 1, pure noise")
        images, (noisy, guess) = self.images[: self.shown], self.guess(t, 0, self.shown)
        groups = {"image": images, "noisy xₜ": noisy, "the guess of x₀": guess}
        sheet = rows(groups, columns=self.shown, zoom=56 / images.shape[-1])
        alpha, sigma = (level(t).item() for level in (self.denoiser.schedule.alpha, self.denoiser.schedule.sigma))
        text = f"t {t:.2f}   α {alpha:.3f}   σ {sigma:.3f}   squared error of these guesses {squared_error(guess, images):.4f}"
        return titled(text, sheet, self._chart.dotted(t, np.interp(t, self.times, self.curve)))


class StepsView:
    """What DDIM draws from the same noise in few steps or many, with fresh noise on the way (eta) or none."""

    def __init__(self, denoiser, labels=None, count: int = 16, seed: int = 0, scale: float = 1.0):
        """labels: as those of `Denoiser.sample`, None for a fair mix of all classes. scale: the guidance; 1 is none."""
        self.denoiser, self.labels, self.count, self.seed, self.scale = denoiser, labels, count, seed, scale

    def render(self, steps: int, eta: float) -> Image.Image:
        """The images; a pure function. Raises ValueError for fewer steps than 1, or an eta that is negative or no number."""
        images = self.denoiser.sample(
            self.count, self.seed, labels=self.labels, steps=steps, sampler="ddim", eta=eta, guidance=self.scale)
        calls = steps if self.scale == 1 else 2 * steps  # guidance asks with the label and without
        return titled(f"{steps} steps   η {eta:.1f}   calls of the network for an image: {calls}", grid(images))


class GuidanceView:
    """What the guidance scale does to the images of one class, drawn from the same noise each time."""

    def __init__(self, denoiser, count: int = 16, steps: int = 15, sampler: str = "dpm", seed: int = 0, names=CLASSES):
        """names: of the classes, in the labels' order. Raises ValueError unless there is one for each class."""
        if len(names) != denoiser.classes:
            raise ValueError(f"{len(names)} names for {denoiser.classes} classes: there should be one for each")
        self.denoiser, self.count, self.steps, self.sampler, self.seed = denoiser, count, steps, sampler, seed
        self.names = names

    def render(self, label: int, scale: float) -> Image.Image:
        """The images; a pure function. Raises ValueError for a label or a guidance scale that there is not."""
        images = self.denoiser.sample(
            self.count, self.seed, labels=[label], steps=self.steps, sampler=self.sampler, guidance=scale)
        return titled(f"{self.names[label]}   guidance {scale:.2f}   {self.steps} steps", grid(images))


def noise_slider(view: NoiseView) -> ipywidgets.VBox:
    """The slider of the time t, above its picture."""
    t = ipywidgets.FloatSlider(0.5, min=0.02, max=1, step=0.02, description="t")
    return live(view.render, {"t": t}, "noise")


def steps_sliders(view: StepsView) -> ipywidgets.VBox:
    """The sliders of steps and eta, above their picture, which is drawn when a slider is let go."""
    steps = ipywidgets.SelectionSlider(options=STEPS, value=10, description="steps", continuous_update=False)
    eta = ipywidgets.FloatSlider(0, min=0, max=1, step=0.1, description="η", continuous_update=False, readout_format=".1f")
    return live(view.render, {"steps": steps, "eta": eta}, "steps")


def guidance_sliders(view: GuidanceView) -> ipywidgets.VBox:
    """The choice of a class and the slider of its guidance, above their picture, which is drawn when the slider is let go."""
    label = ipywidgets.Dropdown(options=[(name, i) for i, name in enumerate(view.names)], description="class")
    scale = ipywidgets.FloatSlider(2, min=0, max=10, step=0.25, description="guidance", continuous_update=False)
    return live(view.render, {"label": label, "scale": scale}, "guidance")
