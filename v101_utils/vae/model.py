"""A convolutional VAE, for one beta or for all of them at once."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from v101_utils.data.images import to_unit
from v101_utils.data.labels import check_count
from v101_utils.nn.conditional_norm import ConditionalNorm
from v101_utils.runtime import device_of, generator
from v101_utils.vae.objective import kl_to_prior, reparameterise


class Layers(nn.Module):
    """Layers in a row, each followed by a normalisation (conditional or not) and SiLU."""

    def __init__(self, layers: list[nn.Module], channels: list[int], condition_dim: int):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(ConditionalNorm(c, condition_dim) for c in channels)

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.silu(norm(layer(x), condition))
        return x


class VAE(nn.Module):
    """Encoder q(z|x) = N(mean, exp(log_var)) and decoder: images (B, C, S, S) in [-1, 1], latents (B, L).

    betas: None for a network that is trained at one beta, or (lowest, highest): then encoder and decoder are both
    conditioned on log beta, and one network is a VAE for each beta between them (Dosovitskiy & Djolonga 2020).
    `size` must be divisible by 2 to the number of `widths`: each of these convolutions halves the side.
    """

    def __init__(self, channels=1, size=28, latent_dim=16, widths=(32, 64), hidden=256, betas=None, condition_dim=64):
        super().__init__()
        if size % 2 ** len(widths):
            raise ValueError(f"size {size} cannot be halved {len(widths)} times; it should be a multiple of {2 ** len(widths)}")
        if betas and not 0 < betas[0] < betas[1]:
            raise ValueError(f"betas {betas}: they should be (lowest, highest), above 0")
        self.shape, self.latent_dim, self.betas = (channels, size, size), latent_dim, betas
        k = condition_dim if betas else 0
        self.embed = nn.Sequential(nn.Linear(1, k), nn.SiLU(), nn.Linear(k, k), nn.SiLU()) if betas else None
        side, chain = size // 2 ** len(widths), [channels, *widths]
        folded = (widths[-1], side, side)
        down = [nn.Conv2d(a, b, 4, 2, 1) for a, b in zip(chain, chain[1:])]
        down.append(nn.Sequential(nn.Flatten(), nn.Linear(math.prod(folded), hidden)))
        self.encoder = Layers(down, [*widths, hidden], k)
        self.to_posterior = nn.Linear(hidden, 2 * latent_dim)
        unfold = nn.Sequential(nn.Linear(hidden, math.prod(folded)), nn.Unflatten(1, folded))
        up = [nn.ConvTranspose2d(b, a, 4, 2, 1) for a, b in zip(chain[1:], chain[2:])][::-1]
        self.decoder = Layers([nn.Linear(latent_dim, hidden), unfold, *up], [hidden, *widths[::-1]], k)
        self.to_image = nn.ConvTranspose2d(widths[0], channels, 4, 2, 1)

    def _condition(self, beta, count: int, device) -> torch.Tensor | None:
        """The embedding (B, condition_dim) of log beta, scaled to [-1, 1] over the range; None for a single beta."""
        if self.betas is None:
            return None
        low, high = self.betas
        beta = torch.as_tensor(beta, dtype=torch.float32, device=device).expand(count)
        if not (beta.min() >= low * 0.999 and beta.max() <= high * 1.001):
            raise ValueError(f"beta {beta.min():g} to {beta.max():g}: this network was trained for {low:g} to {high:g}")
        return self.embed((2 * (beta / low).log() / math.log(high / low) - 1)[:, None])

    def encode(self, images: torch.Tensor, beta=1.0) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log-variance (B, L) of q(z|x). beta: a number or (B,). Raises ValueError for another shape."""
        if tuple(images.shape[1:]) != self.shape:
            raise ValueError(f"images have shape {tuple(images.shape)}; they should be (B, {', '.join(map(str, self.shape))})")
        hidden = self.encoder(images, self._condition(beta, len(images), images.device))
        return self.to_posterior(hidden).chunk(2, dim=1)

    def decode(self, latents: torch.Tensor, beta=1.0) -> torch.Tensor:
        """The mean image (B, C, S, S) in [-1, 1] of p(x|z). Raises ValueError for latents of another shape."""
        if latents.ndim != 2 or latents.shape[1] != self.latent_dim:
            raise ValueError(f"latents have shape {tuple(latents.shape)}; they should be (B, {self.latent_dim})")
        hidden = self.decoder(latents, self._condition(beta, len(latents), latents.device))
        return torch.tanh(self.to_image(hidden))

    def forward(self, images: torch.Tensor, beta=1.0):
        """Reconstructions (B, C, S, S) of sampled latents, and the posterior's mean and log-variance (B, L)."""
        mean, log_var = self.encode(images, beta)
        return self.decode(reparameterise(mean, log_var), beta), mean, log_var

    @torch.no_grad()
    def reconstruct(self, images: torch.Tensor, beta: float = 1.0) -> torch.Tensor:
        """The decoded posterior means, (N, C, S, S) in [-1, 1]: no noise, so the same each time."""
        return torch.cat([self.decode(self.encode(part, beta)[0], beta) for part in images.split(250)])

    @torch.no_grad()
    def measure(self, images: torch.Tensor, beta: float = 1.0) -> tuple[float, float]:
        """Rate (mean KL, nats an image) and distortion (mean squared error per pixel, of images in [0, 1])."""
        rates = [kl_to_prior(*self.encode(part, beta)).sum(1) for part in images.split(250)]
        error = to_unit(self.reconstruct(images, beta)) - to_unit(images)
        return torch.cat(rates).mean().item(), error.square().mean().item()

    @torch.no_grad()
    def sample(self, count: int, seed: int = 0, beta: float = 1.0) -> torch.Tensor:
        """`count` decoded draws from the prior, in [-1, 1]; a pure function of the seed. Raises ValueError for a count below 1."""
        check_count(count)
        latents = torch.randn(count, self.latent_dim, generator=generator(seed))
        latents = latents.to(device_of(self))
        return torch.cat([self.decode(part, beta) for part in latents.split(250)])
