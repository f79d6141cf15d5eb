"""Latent diffusion (Rombach et al. 2022): an encoder, a denoiser of latents and a decoder, as one thing to sample from."""

import torch
from torch import nn

from v101_utils.data.labels import check_count
from v101_utils.data.prompts import CHOICES, NULL, every_prompt, parse
from v101_utils.diffusion.denoiser import Denoiser
from v101_utils.vae.autoencoder import Autoencoder


class LatentDiffusion(nn.Module):
    """`denoiser` draws latents, `autoencoder` makes images of them. The autoencoder is trained first and then left alone.

    Raises ValueError where the denoiser draws something other than the autoencoder's latents, is bounded as images are, or
    takes labels that are not `data.prompts`.
    """

    def __init__(self, autoencoder: Autoencoder, denoiser: Denoiser):
        super().__init__()
        if denoiser.shape != autoencoder.latent_shape or denoiser.bounded:
            raise ValueError(f"the denoiser draws {denoiser.shape}, bounded: {denoiser.bounded}; it should draw the "
                             f"autoencoder's latents, {autoencoder.latent_shape}, not bounded")
        if (denoiser.label_shape, denoiser.classes) != ((len(CHOICES),), NULL):
            raise ValueError(f"labels of shape {denoiser.label_shape}, {denoiser.classes} words in all; it should be "
                             f"{(len(CHOICES),)} and {NULL}, those of prompts")
        self.autoencoder, self.denoiser = autoencoder.requires_grad_(False), denoiser
        self.shape, self.classes, self.label_shape = autoencoder.shape, denoiser.classes, denoiser.label_shape

    def sample(self, count: int, seed: int = 0, *, labels=None, steps: int | None = None, sampler="dpm",
               eta: float | None = None, guidance: float = 1.0, progress: bool = False) -> torch.Tensor:  # fmt: skip
        """`count` images (N, C, H, W) in [-1, 1]; a pure function of its arguments.

        labels: as `labels_for` takes them. steps: None is 20, or 1 for "ode". The rest is as in `Denoiser.sample`, which
        draws the latents.
        """
        labels = self.labels_for(labels, count)
        steps = 20 if steps is None and sampler != "ode" else steps
        latents = self.denoiser.sample(
            count, seed, labels=labels, steps=steps, sampler=sampler, eta=eta, guidance=guidance, progress=progress)
        return self.autoencoder.to_images(latents)

    def labels_for(self, labels, count: int) -> torch.Tensor | None:
        """The prompts (N, words) of `count` samples, or None for "none", no words at all.

        labels: text, several prompts with semicolons between; a list of texts; tokens (n, words); None for a mix of all
        whole prompts. Fewer than `count` are repeated. Raises ValueError for anything else.
        """
        check_count(count)
        if labels is None:
            every = every_prompt()
            labels = every[torch.arange(count) * 37 % len(every)]  # 37 and 96 have no common factor: all, well mixed
        if isinstance(labels, str):
            if labels.strip().lower() == "none":
                return None
            labels = [text for text in labels.split(";") if text.strip()] or [""]
        if isinstance(labels, (list, tuple)) and labels and all(isinstance(text, str) for text in labels):
            labels = torch.stack([parse(text) for text in labels])
        return self.denoiser.labels_for(labels, count)
