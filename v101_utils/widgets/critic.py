"""The knob of a critic: how hard it is held back, be it by the weight of a penalty or by the bound of its weights."""

from copy import deepcopy
from functools import cached_property

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from torch import nn

from v101_utils.gans.constraints import image_gradients
from v101_utils.metrics.two_sample import matching_distance
from v101_utils.runtime import generator
from v101_utils.view.plane import arrows, points, surface
from v101_utils.widgets.chart import picture_of, titled
from v101_utils.widgets.live import live

LOW, HIGH = 1e-4, 1e2  # the histogram's ends; what lies beyond is counted in the last bar


class CriticView:
    """Critics of the plane that were trained beforehand, one for each setting of a knob, on the same data and fakes.

    A critic is drawn as its surface, with the data, the fakes, the push that the fakes feel, and a histogram of the norms
    of its gradient at places between data and fakes.
    """

    def __init__(self, critics: dict[float, nn.Module], real: torch.Tensor, fake: torch.Tensor, knob: str = "weight", reach: float = 1.6):
        """critics: points (B, 2) to scores (B,), by setting. real, fake: points (N, 2), as many of each.

        knob: the setting's name. Raises ValueError where no critics are given, or points of other shapes.
        """
        if not critics:
            raise ValueError("no critics: there should be at least one setting with its critic")
        if real.shape != fake.shape or real.ndim != 2 or real.shape[1] != 2:
            raise ValueError(f"points {tuple(real.shape)} and {tuple(fake.shape)}: they should be (N, 2), as many fakes as data")
        self.critics = {setting: deepcopy(critic).cpu() for setting, critic in critics.items()}  # so few points are no work for a GPU
        self.real, self.fake, self.knob, self.reach = real.cpu(), fake.cpu(), knob, reach
        self.between = torch.lerp(self.real, self.fake, torch.rand(len(real), 1, generator=generator(0)))  # one place a pair

    def critic(self, setting: float) -> nn.Module:
        """The critic of that setting. Raises ValueError that lists the settings there are."""
        if setting not in self.critics:
            there = ", ".join(f"{s:g}" for s in self.critics)
            raise ValueError(f"{self.knob} {setting}: no critic was trained for it; there are {there}")
        return self.critics[setting]

    @torch.no_grad()
    def value(self, setting: float) -> float:
        """E D(x) - E D(G(z)): what the critic makes as large as it is allowed to."""
        critic = self.critic(setting)
        return (critic(self.real).mean() - critic(self.fake).mean()).item()

    def norms(self, setting: float) -> torch.Tensor:
        """The norms (N,) of the critic's gradient between data and fakes."""
        return image_gradients(self.critic(setting), self.between).norm(dim=1).detach()

    @cached_property
    def distance(self) -> float:
        """The exact Wasserstein distance between the two clouds."""
        return matching_distance(self.real, self.fake)

    def draw_plane(self, axes, setting: float) -> None:
        """The surface, red where the critic says "data" and blue where "fake", the points, and what forty fakes feel.

        The darkest colours are the highest and the lowest score of any point: the rim, where nothing is, has no say.
        """
        critic = self.critic(setting)
        with torch.no_grad():
            scores = critic(torch.cat([self.real, self.fake]))
        surface(axes, critic, self.reach, limits=(float(scores.min()), float(scores.max())))
        points(axes, self.real[:300], self.fake[:300])
        arrows(axes, self.fake[:40], image_gradients(critic, self.fake[:40]).detach(), length=0.4)

    def draw_norms(self, axes, setting: float) -> None:
        """The histogram of gradient norms, with a line at 1."""
        norms = self.norms(setting).double().clamp(LOW, HIGH)  # in float32 LOW itself would lie below the first bar
        axes.hist(norms, bins=np.geomspace(LOW, HIGH, 61), color="C0")
        axes.axvline(1, color="black", ls=":")
        axes.set(xscale="log", xlim=(LOW, HIGH), xlabel="norm of the gradient", yticks=[])

    def render(self, setting: float) -> Image.Image:
        """The picture of a setting; a pure function. Raises ValueError for a setting that was not trained."""
        text = (f"{self.knob} {setting:g}   E D(x) - E D(G(z)) {self.value(setting):.3g}   "
                f"mean norm {self.norms(setting).mean():.3g}   exact distance {self.distance:.3f}")  # fmt: skip
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.8), dpi=100, layout="constrained")
        self.draw_plane(left, setting)
        self.draw_norms(right, setting)
        return titled(text, picture_of(figure))


def critic_slider(view: CriticView) -> ipywidgets.VBox:
    """The slider of the settings that were trained, above their picture."""
    settings = sorted(view.critics)
    slider = ipywidgets.SelectionSlider(
        options=[(f"{s:g}", s) for s in settings], value=settings[len(settings) // 2], description=view.knob)
    return live(view.render, {"setting": slider}, "critic")
