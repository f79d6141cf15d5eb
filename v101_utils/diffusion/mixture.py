"""Data for which the best possible denoiser is known exactly: a mixture of round normal clouds."""

import math

import torch

from v101_utils.diffusion.denoiser import Prediction
from v101_utils.diffusion.sample import check_labels
from v101_utils.diffusion.schedule import Schedule


class GaussianMixture:
    """sum_k weights_k N(means_k, stds_k^2 I) in D dimensions. means (K, D); stds and weights (K,) or a number.

    Raises ValueError for other shapes, and stds or weights that are not positive.
    """

    def __init__(self, means, stds, weights=1.0):
        means, stds, weights = (torch.as_tensor(v, dtype=torch.float64) for v in (means, stds, weights))
        count = means.shape[:1]
        if means.ndim != 2 or not means.numel() or any(v.ndim and v.shape != count for v in (stds, weights)):
            raise ValueError(f"means {tuple(means.shape)}, stds {tuple(stds.shape)}, weights {tuple(weights.shape)}: "
                             "they should be (K, D), and the others (K,) or a number")
        if not means.isfinite().all() or not all(((v > 0) & v.isfinite()).all() for v in (stds, weights)):
            raise ValueError(f"stds {stds.tolist()}, weights {weights.tolist()}: they should be positive, and all numbers finite")
        self.means, self.stds = means, stds.expand(count)
        self.weights = weights.expand(count) / weights.expand(count).sum()

    def _like(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """means, stds and weights in the dtype and on the device of x (N, D). Raises ValueError for another x."""
        if x.ndim != 2 or x.shape[1] != self.means.shape[1] or not x.is_floating_point():
            raise ValueError(f"x is {tuple(x.shape)}, {x.dtype}; it should be (N, {self.means.shape[1]}), floating")
        return tuple(v.to(x.dtype).to(x.device) for v in (self.means, self.stds, self.weights))

    def sample(self, count: int, generator=None) -> tuple[torch.Tensor, torch.Tensor]:
        """Exact draws (N, D), float64, and the cloud (N,) that each is from."""
        which = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn(count, self.means.shape[1], generator=generator, dtype=torch.float64)
        return self.means[which] + self.stds[which, None] * noise, which

    def log_prob(self, x: torch.Tensor, alpha=1.0, sigma=0.0) -> torch.Tensor:
        """The log density (N, K) at x (N, D) of each noised and weighted cloud; `.logsumexp(1)` is the mixture's.

        alpha and sigma: numbers or (N,), as of a schedule; the clouds are N(alpha mean, (alpha std)^2 + sigma^2).
        """
        means, stds, weights = self._like(x)
        alpha, sigma = (torch.as_tensor(v, dtype=x.dtype, device=x.device).view(-1, 1) for v in (alpha, sigma))  # (N or 1, 1)
        variance = (alpha * stds).square() + sigma.square()  # (N or 1, K)
        distance = (x[:, None] - alpha[..., None] * means).square().sum(2)  # (N, K)
        return weights.log() - 0.5 * distance / variance - 0.5 * x.shape[1] * (2 * math.pi * variance).log()

    def denoiser(self, schedule: Schedule) -> "ExactDenoiser":
        """The denoiser that a perfect network would become."""
        return ExactDenoiser(self, schedule)


class ExactDenoiser:
    """E[x0 | x_t] of a mixture, in closed form; a label says which cloud, and label K (or none) leaves it open."""

    def __init__(self, mixture: GaussianMixture, schedule: Schedule):
        self.mixture, self.schedule, self.classes = mixture, schedule, len(mixture.means)

    def __call__(self, x: torch.Tensor, t, labels: torch.Tensor | None = None) -> Prediction:
        means, stds, _ = self.mixture._like(x)
        alpha, sigma = (level.view(-1, 1) for level in self.schedule.levels(t, x))  # (N or 1, 1)
        logits = self.mixture.log_prob(x, alpha, sigma)  # (N, K)
        if labels is not None:
            check_labels(labels, self.classes, len(x))
            other = torch.arange(self.classes, device=x.device) != labels[:, None]
            logits = logits.masked_fill(other & (labels[:, None] < self.classes), -torch.inf)
        shares = logits.softmax(1)  # (N, K): how likely x comes from each cloud
        off = (x[:, None] - alpha[..., None] * means) / ((alpha * stds) ** 2 + sigma**2)[..., None]  # (N, K, D)
        x0 = (shares[..., None] * (means + (alpha * stds**2)[..., None] * off)).sum(1)  # E[x0 | x_t, cloud], averaged
        return Prediction(x0, (shares[..., None] * sigma[..., None] * off).sum(1))  # no division by sigma, which may be 0
