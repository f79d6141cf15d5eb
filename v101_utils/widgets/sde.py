"""The knobs of score-based diffusion: the time along the score's field, and the strength of the corrector."""

from functools import cached_property

import ipywidgets
import matplotlib.pyplot as plt
import torch
from PIL import Image

from v101_utils.diffusion import GaussianMixture, Schedule, heun, predictor_corrector, sample, score, trajectory
from v101_utils.metrics import energy_distance
from v101_utils.runtime import generator
from v101_utils.view.plane import arrows, lattice, points, surface
from v101_utils.widgets.chart import picture_of, titled
from v101_utils.widgets.live import live

MOMENTS, STEPS = 50, (5, 10, 20, 30, 50)  # times between 0 and 1 at which the particles are kept; steps to choose from
MOST = 0.6  # of the corrector's signal-to-noise ratio


def start_of(schedule: Schedule, count: int, seed: int) -> torch.Tensor:
    """(count, 2) points of the noise that a schedule ends with, a pure function of the seed."""
    return torch.randn(count, 2, generator=generator(seed), dtype=torch.float64) * schedule.sigma(1.0)


class FieldView:
    """A mixture in the plane under a schedule: its noised density, the score as arrows, and particles that flow along it."""

    def __init__(self, mixture: GaussianMixture, schedule: Schedule, count: int = 300, reach: float = 2.6, seed: int = 0):
        self.mixture, self.schedule, self.reach = mixture, schedule, reach
        self.denoiser, self.start = mixture.denoiser(schedule), start_of(schedule, count, seed)

    @cached_property
    def particles(self) -> list[torch.Tensor]:
        """Where the particles (count, 2) are at times 0, 1 / 50, ..., 1."""
        times = [i / MOMENTS for i in reversed(range(MOMENTS + 1))]
        return [self.start, *(state.x for state in trajectory(self.denoiser, self.start, heun(), times))][::-1]

    def levels(self, t: float) -> tuple[torch.Tensor, torch.Tensor]:
        """alpha and sigma. Raises ValueError for a time that is not above 0 and at most 1."""
        if not 0 < t <= 1:
            raise ValueError(f"t {t}: it should be above 0, where there is no noise to have a score, and at most 1")
        return self.schedule.alpha(t), self.schedule.sigma(t)

    def draw(self, axes, t: float) -> None:
        """Draws the moment t on matplotlib's axes. Raises ValueError as `levels`."""
        levels = self.levels(t)
        surface(axes, lambda x: self.mixture.log_prob(x, *levels).logsumexp(1).exp(), self.reach, 80, colours="Blues")
        places = lattice(self.reach * 0.92, 14).double()
        arrows(axes, places, score(self.denoiser, places, t), length=self.reach / 6)
        points(axes, self.particles[round(t * MOMENTS)], colours=("crimson",))

    def render(self, t: float) -> Image.Image:
        """The picture at time t; a pure function. Raises ValueError as `levels`."""
        alpha, sigma = self.levels(t)
        figure, axes = plt.subplots(figsize=(4.6, 4.6), dpi=100, layout="constrained")
        self.draw(axes, t)
        return titled(f"t {t:.2f}   α {alpha:.3f}   σ {sigma:.3f}", picture_of(figure))


class CorrectorView:
    """What a predictor and its Langevin corrector make of noise in a few steps, beside exact samples of the mixture."""

    def __init__(self, mixture: GaussianMixture, schedule: Schedule, count: int = 500, reach: float = 2.0, seed: int = 0):
        self.denoiser, self.seed, self.reach = mixture.denoiser(schedule), seed, reach
        self.start, self.exact = start_of(schedule, count, seed), mixture.sample(count, generator(seed, 1))[0]

    def samples(self, steps: int, snr: float) -> torch.Tensor:
        """(count, 2) points; snr 0 is the predictor alone. Raises ValueError for fewer steps than 1 or an snr outside [0, 0.6]."""
        if not 0 <= snr <= MOST:
            raise ValueError(f"snr {snr}: it should be from 0, no correction, to {MOST:g}")
        return sample(self.denoiser, self.start, predictor_corrector(snr), steps, generator=generator(self.seed, 2))

    def render(self, steps: int, snr: float) -> Image.Image:
        """The picture; a pure function. Raises ValueError as `samples`."""
        drawn = self.samples(steps, snr)
        figure, axes = plt.subplots(figsize=(4.6, 4.6), dpi=100, layout="constrained")
        points(axes, self.exact, drawn)
        axes.set(xticks=[], yticks=[], xlim=(-self.reach, self.reach), ylim=(-self.reach, self.reach), aspect="equal")
        calls = 2 * steps - 1 if snr else steps
        return titled(f"{calls} calls   energy distance {energy_distance(drawn, self.exact):.4f}", picture_of(figure))


def field_slider(view: FieldView) -> ipywidgets.VBox:
    """The slider of the time, from noise on the left to data on the right, above the field."""
    t = ipywidgets.SelectionSlider(options=[i / MOMENTS for i in reversed(range(1, MOMENTS + 1))], value=0.5, description="t")
    return live(view.render, {"t": t}, "field")


def corrector_sliders(view: CorrectorView) -> ipywidgets.VBox:
    """The sliders of the number of steps and of the corrector's strength, above the samples."""
    steps = ipywidgets.SelectionSlider(options=STEPS, value=20, description="steps")
    snr = ipywidgets.FloatSlider(0.0, min=0, max=MOST, step=0.02, description="strength")
    return live(view.render, {"steps": steps, "snr": snr}, "corrector")
