"""The VAE as a task of the training loop."""

import torch
from torch import nn

from v101_utils.training.task import Task, adamw
from v101_utils.vae.objective import gaussian_nll, kl_to_prior


def beta_vae_loss(model, images: torch.Tensor, beta) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Loss, distortion and rate, each (B,), nats: distortion + beta * rate (Higgins et al. 2017, eq. 4).

    The rate is in float32 also under autocast: exp(v) - 1 - v cancels.
    """
    reconstructions, mean, log_var = model(images, beta)
    distortion, rate = gaussian_nll(images, reconstructions), kl_to_prior(mean.float(), log_var.float()).sum(1)
    return distortion + beta * rate, distortion, rate


class VAETask(Task):
    """Trains `model` at one beta or, if beta is None, at all of model.betas: each image draws its own, log-uniformly.

    Over a range of betas the loss is divided by sqrt(beta), so that large betas do not drown the small ones: at a given
    beta that changes the step, not the optimum.
    """

    def __init__(self, model: nn.Module, beta: float | None = 1.0, lr: float = 2e-3):
        super().__init__()
        if beta is None and model.betas is None:
            raise ValueError("beta=None trains a range of betas: build the model with betas=(lowest, highest)")
        self.model, self.beta = model, beta
        self.optimisers = {"model": adamw(model.parameters(), lr)}

    def _betas(self, images: torch.Tensor):
        if self.beta is not None:
            return self.beta
        low, high = torch.tensor(self.model.betas, device=images.device).log()
        return (low + (high - low) * torch.rand(len(images), device=images.device)).exp()

    def training_step(self, batch, minimise):
        images = batch[0]  # (B, C, H, W) in [-1, 1]
        beta = self._betas(images)
        loss, distortion, rate = beta_vae_loss(self.model, images, beta)
        scaled = (loss / beta**0.5).mean() if self.beta is None else loss.mean()
        minimise(scaled, self.optimisers["model"])
        return {"loss": scaled, "distortion": distortion.mean(), "rate": rate.mean()}


class Ensemble(Task):
    """Several VAEs side by side on the same batches, each at a beta of its own and with its own weights.

    Their losses are summed: the gradient of each network is its own loss's alone, and AdamW works parameter by
    parameter, so each is trained as it would be by itself (but for what `fit(clip=...)` would share).
    """

    def __init__(self, models: list[nn.Module], betas: list[float], lr: float = 2e-3):
        super().__init__()
        if len(models) != len(betas):
            raise ValueError(f"{len(models)} models and {len(betas)} betas: there should be one for each")
        self.model, self.betas = nn.ModuleList(models), betas
        self.optimisers = {"models": adamw(self.model.parameters(), lr)}

    def training_step(self, batch, minimise):
        terms = [beta_vae_loss(m, batch[0], b) for m, b in zip(self.model, self.betas, strict=True)]
        loss, distortion, rate = (torch.stack(term).mean(1) for term in zip(*terms))  # each (networks,)
        minimise(loss.sum(), self.optimisers["models"])
        return {"loss": loss.sum(), "distortion": distortion.mean(), "rate": rate.mean()}
