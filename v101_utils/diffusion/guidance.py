"""Guidance: a denoiser from a denoiser."""

import math

import torch
from torch import nn

from v101_utils.diffusion.schedule import spread


class Wrapped(nn.Module):
    """A denoiser that asks another one, with its labels and, unless a subclass sets another, its schedule."""

    def __init__(self, denoiser):
        super().__init__()
        self.denoiser, self.schedule, self.classes = denoiser, denoiser.schedule, denoiser.classes
        self.label_shape = getattr(denoiser, "label_shape", ())


class Guided(Wrapped):
    """Classifier-free guidance (Ho & Salimans 2022): eps = eps_null + scale (eps_label - eps_null).

    scale 0 ignores the label, 1 is the conditional denoiser itself, above 1 exaggerates what the label adds; the paper
    writes scale = 1 + w. interval: the times (from, to) between which to guide; elsewhere the conditional prediction
    stands alone (Kynkäänniemi et al. 2024). Both predictions come from one call on a batch of twice the size.
    """

    def __init__(self, denoiser, scale: float = 3.0, interval: tuple[float, float] = (0.0, 1.0)):
        super().__init__(denoiser)
        if not denoiser.classes:
            raise ValueError("guidance needs a denoiser with labels, and this one has no classes")
        if not 0 <= scale < math.inf:
            raise ValueError(f"guidance {scale}: it should be 0 (the label is ignored) or more; 1 is none")
        if not 0 <= interval[0] < interval[1] <= 1:
            raise ValueError(f"interval {interval}: it should be two times, 0 <= from < to <= 1")
        self.scale, self.interval = scale, interval

    def forward(self, x: torch.Tensor, t, labels: torch.Tensor | None = None):
        if labels is None or labels.shape != (len(x), *self.label_shape):
            raise ValueError(f"guidance needs labels {(len(x), *self.label_shape)}, one for each image: without them there is nothing to guide to")
        inside = torch.as_tensor((self.interval[0] <= t) & (t <= self.interval[1]))  # of a number or (B,)
        if self.scale == 1 or not inside.any():
            return self.denoiser(x, t, labels)
        null = torch.full_like(labels, self.classes)
        two_t = torch.cat([t, t]) if isinstance(t, torch.Tensor) and t.ndim else t
        two = self.denoiser(torch.cat([x, x]), two_t, torch.cat([labels, null]))  # 2B
        scale = spread(1 + (self.scale - 1) * inside.to(x.dtype), x)
        return type(two)(*(torch.lerp(without, labelled, scale) for labelled, without in (part.chunk(2) for part in two)))


class Clipped(Wrapped):
    """A denoiser whose images stay in [-1, 1], with eps computed anew from the clipped image so that the two agree."""

    def forward(self, x: torch.Tensor, t, labels: torch.Tensor | None = None):
        prediction = self.denoiser(x, t, labels)
        x0 = prediction.x0.clamp(-1, 1)
        # x_t = alpha x0 + sigma eps must still hold: what the image gives up, the noise takes over
        alpha, sigma = self.schedule.levels(t, x)
        return type(prediction)(x0, prediction.eps + alpha / sigma.clamp(min=1e-4) * (prediction.x0 - x0))
