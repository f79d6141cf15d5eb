"""The evidence lower bound and its two terms, in nats per image: sums over pixels and latents, never means."""

import math

import torch


def reparameterise(mean: torch.Tensor, log_var: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
    """A sample of N(mean, exp(log_var)) that gradients flow through (Kingma & Welling 2014, sec. 2.4). All (B, L)."""
    noise = torch.randn_like(mean) if noise is None else noise
    return mean + (0.5 * log_var).exp() * noise


def kl_to_prior(mean: torch.Tensor, log_var: torch.Tensor) -> torch.Tensor:
    """KL(N(mean, exp(log_var)) || N(0, 1)) of each latent, in nats (Kingma & Welling 2014, app. B). (B, L) -> (B, L)."""
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var)


def gaussian_nll(images: torch.Tensor, reconstructions: torch.Tensor) -> torch.Tensor:
    """-log N(images; reconstructions, I) in nats, summed over pixels: half the squared error and a constant.

    Both (B, C, H, W) in [-1, 1]. This likelihood, unit variance on images in [-1, 1], is what gives beta its scale: a
    variance s^2 with weight beta is, up to a factor, unit variance with weight beta * s^2. Returns (B,).
    """
    pixels = images[0].numel()
    return 0.5 * (images - reconstructions).square().flatten(1).sum(1) + 0.5 * pixels * math.log(2 * math.pi)


def elbo(nll: torch.Tensor, kl: torch.Tensor) -> torch.Tensor:
    """The evidence lower bound of each image, nats: (B,) from nll (B,) and kl (B, L)."""
    return -nll - kl.sum(1)


@torch.no_grad()
def importance_weighted_bound(model, images: torch.Tensor, samples: int, beta: float = 1.0) -> torch.Tensor:
    """log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x), nats (B,): tighter than the ELBO, exact as K grows (Burda 2016, eq. 8).

    Raises ValueError for fewer than one sample.
    """
    if samples < 1:
        raise ValueError(f"samples {samples}: it should be at least 1")
    mean, log_var = model.encode(images, beta)
    log_weights = []
    for _ in range(samples):
        noise = torch.randn_like(mean)
        latents = reparameterise(mean, log_var, noise)
        log_ratio = 0.5 * (noise.square() + log_var - latents.square()).sum(1)  # log p(z) - log q(z|x)
        log_weights.append(log_ratio - gaussian_nll(images, model.decode(latents, beta)))
    return torch.stack(log_weights).logsumexp(0) - math.log(samples)
