"""How far apart two densities on the line are, by three measures that disagree about what "far" means.

All take log densities (..., N) on a grid of `spacing`, which should cover both, and give nats, or for `wasserstein` the
units of the grid. All are sums, so autograd goes through them.
"""

import math

import torch


def kl_divergence(log_p: torch.Tensor, log_q: torch.Tensor, spacing: float) -> torch.Tensor:
    """KL(p || q) = E_p log p/q: from 0 to infinity, not symmetric."""
    return (log_p.exp() * (log_p - log_q)).sum(-1) * spacing


def jensen_shannon(log_p: torch.Tensor, log_q: torch.Tensor, spacing: float) -> torch.Tensor:
    """The mean of KL(p || m) and KL(q || m), where m = (p + q) / 2: from 0 to log 2, which it has where p and q do not meet."""
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    return (kl_divergence(log_p, log_m, spacing) + kl_divergence(log_q, log_m, spacing)) / 2


def wasserstein(log_p: torch.Tensor, log_q: torch.Tensor, spacing: float) -> torch.Tensor:
    """The least mean distance that p's mass must travel to become q: on the line, the area between the distribution functions."""
    return (log_p.exp() - log_q.exp()).cumsum(-1).abs().sum(-1) * spacing**2


def log_gaussian(x: torch.Tensor, mean: torch.Tensor | float, std: float) -> torch.Tensor:
    """The log density of N(mean, std^2) at x."""
    return -0.5 * ((x - mean) / std).square() - math.log(std * math.sqrt(2 * math.pi))
