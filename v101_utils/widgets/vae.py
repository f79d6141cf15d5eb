"""The knobs of a VAE: beta, and the latents of one image."""

import math
from functools import cached_property

import ipywidgets
import numpy as np
import torch
from PIL import Image

from v101_utils.runtime import device_of, generator
from v101_utils.vae import kl_to_prior
from v101_utils.view.pictures import rows
from v101_utils.widgets.chart import Chart, titled
from v101_utils.widgets.live import live


class BetaView:
    """What beta does to one beta-conditioned VAE: reconstructions, samples, and the rate-distortion point."""

    def __init__(self, model, images: torch.Tensor, shown: int = 8, points: int = 19):
        """`images` (N, C, H, W) in [-1, 1], of which the first `shown` are drawn and all measure the curve.

        Raises ValueError for a model of a single beta.
        """
        if model.betas is None:
            raise ValueError("this network was trained for one beta alone; build it with betas=(lowest, highest)")
        self.model, self.images, self.shown = model, images.to(device_of(model)), shown
        self.noise = torch.randn(2 * shown, model.latent_dim, generator=generator(7)).to(device_of(model))
        self.betas = np.geomspace(*model.betas, points)

    @cached_property
    def curve(self) -> np.ndarray:
        """(points, 2): rate and error at each of `betas`."""
        return np.array([self.model.measure(self.images, beta) for beta in self.betas])

    def point(self, beta: float) -> tuple[float, float]:
        """Rate and error at any beta, between the measured points of the curve."""
        return tuple(np.interp(math.log(beta), np.log(self.betas), column) for column in self.curve.T)

    @cached_property
    def _chart(self) -> Chart:
        return Chart(*self.curve.T, "rate: KL, nats an image", "squared error per pixel")

    @torch.no_grad()
    def render(self, beta: float) -> Image.Image:
        """The picture at `beta`; a pure function. Raises ValueError outside the model's range."""
        images = self.images[: self.shown]
        samples = self.model.decode(self.noise, beta)
        sheet = rows({
            "data": images, "reconstructed": self.model.reconstruct(images, beta), "samples": samples,
        }, columns=self.shown, zoom=56 / images.shape[-1])  # fmt: skip
        rate, error = self.point(beta)
        text = f"β {beta:.3g}   rate {rate:.1f} nats   squared error {error:.4f}"
        return titled(text, sheet, self._chart.dotted(rate, error))


class LatentView:
    """One image's posterior mean, with the latents that carry most information laid open."""

    @torch.no_grad()
    def __init__(self, model, image: torch.Tensor, beta: float = 1.0, knobs: int = 6):
        """`image` (1, C, H, W) in [-1, 1]; `knobs`: how many latents, the ones of largest KL first."""
        self.model, self.image, self.beta = model, image.to(device_of(model)), beta
        self.mean, log_var = model.encode(self.image, beta)  # (1, L)
        self.order = kl_to_prior(self.mean, log_var)[0].argsort(descending=True)[:knobs].tolist()

    @torch.no_grad()
    def render(self, **values: float) -> Image.Image:
        """The image, and what its latents decode to with some of them set: z3=1.5 sets latent 3. A pure function.

        Raises ValueError for another name.
        """
        latents = self.mean.clone()
        if unknown := set(values) - {f"z{i}" for i in range(latents.shape[1])}:
            raise ValueError(f"{sorted(unknown)}: the latents are z0 to z{latents.shape[1] - 1}")
        for name, value in values.items():
            latents[0, int(name[1:])] = value
        pair = {"image": self.image, "decoded": self.model.decode(latents, self.beta)}
        return rows(pair, zoom=140 / self.image.shape[-1], label_width=80)


def vae_sliders(beta_view: BetaView, latent_view: LatentView) -> ipywidgets.VBox:
    """The beta slider and the latent sliders, each set above its picture."""
    low, high = np.log10(beta_view.model.betas)
    beta = ipywidgets.FloatLogSlider(1.0, min=low, max=high, step=0.02, description="β", readout_format=".2f")
    means = {f"z{i}": round(latent_view.mean[0, i].item(), 2) for i in latent_view.order}
    knobs = {
        name: ipywidgets.FloatSlider(mean, min=min(-4, mean), max=max(4, mean), step=0.05, description=name)
        for name, mean in means.items()
    }
    return ipywidgets.VBox([live(beta_view.render, {"beta": beta}, "beta"), live(latent_view.render, knobs, "latents")])
