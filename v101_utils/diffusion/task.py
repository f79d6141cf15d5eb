"""Diffusion as a task of the training loop."""

import torch
from torch.nn import functional as F

from v101_utils.diffusion.denoiser import Denoiser, target
from v101_utils.training.task import Task, adamw


def add_noise(schedule, x0: torch.Tensor, t: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """x_t = alpha(t) x0 + sigma(t) eps, in one jump (Ho et al. 2020, eq. 4). x0, eps (B, ...); t (B,) or a number."""
    alpha, sigma = schedule.levels(t, x0)
    return alpha * x0 + sigma * eps


def stratified(count: int, device=None) -> torch.Tensor:
    """`count` times in [0, 1], one in each of `count` equal parts: even in every batch, so the loss is less noisy."""
    return (torch.arange(count, device=device) + torch.rand(count, device=device)) / count


def drop_labels(labels: torch.Tensor, null: int, share: float) -> torch.Tensor:
    """Labels (B,) of which each is replaced by `null` with probability `share` (Ho & Salimans 2022, alg. 1).

    Of prompts (B, words) as many are dropped whole, and then as many single words, so that half a prompt is known too.
    """
    each = len(labels), *[1] * (labels.ndim - 1)  # (B,), or (B, 1) for prompts
    labels = torch.where(torch.rand(each, device=labels.device) < share, null, labels)
    if labels.ndim == 1:
        return labels
    return torch.where(torch.rand(labels.shape, device=labels.device) < share, null, labels)


class DiffusionTask(Task):
    """Trains `model` on images, or on (images, labels): the mean squared error of what it predicts, L_simple for eps.

    drop: the share of labels (and of single words, as `drop_labels` says) that are replaced by the null label, so that one
    network also learns the unconditional.
    """

    def __init__(self, model: Denoiser, lr: float = 2e-3, drop: float = 0.15):
        super().__init__()
        if not 0 <= drop <= 1:
            raise ValueError(f"drop {drop}: it should be a share, from 0 to 1")
        self.model, self.drop = model, drop
        self.optimisers = {"model": adamw(model.parameters(), lr)}

    def training_step(self, batch, minimise):
        # (B, C, H, W) in [-1, 1], and perhaps labels (B,) or prompts (B, words)
        x0, *rest = batch if isinstance(batch, (tuple, list)) else (batch,)
        labels = drop_labels(rest[0], self.model.classes, self.drop) if rest and self.model.classes else None
        t, eps = stratified(len(x0), x0.device), torch.randn_like(x0)
        x = add_noise(self.model.schedule, x0, t, eps)
        wanted = target(self.model.predicts, x0, eps, *self.model.schedule.levels(t, x0))
        loss = F.mse_loss(self.model.network(x, t, labels).float(), wanted)
        minimise(loss, self.optimisers["model"])
        return {"loss": loss}
