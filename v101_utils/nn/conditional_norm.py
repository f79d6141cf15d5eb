"""Normalisation whose scale and shift a condition may set."""

import torch
from torch import nn


class ConditionalNorm(nn.Module):
    """Group normalisation, then a scale and a shift per channel: learned constants, or linear in a condition.

    With a condition it is FiLM (Perez et al. 2018, sec. 2) on a normalised input: one network then serves a family of
    tasks. x: (B, C) or (B, C, H, W); condition: (B, condition_dim), or None where condition_dim is 0.
    """

    def __init__(self, channels: int, condition_dim: int = 0, groups: int = 8):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, affine=condition_dim == 0)
        self.film = nn.Linear(condition_dim, 2 * channels) if condition_dim else None

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        given = None if condition is None else tuple(condition.shape)
        wanted = None if self.film is None else (len(x), self.film.in_features)
        if given != wanted:
            raise ValueError(f"the condition is {given}; it should be {wanted}")
        x = self.norm(x)
        if self.film is None:
            return x
        scale, shift = self.film(condition).view(*x.shape[:1], -1, *[1] * (x.ndim - 2)).chunk(2, dim=1)
        return x * (1 + scale) + shift
