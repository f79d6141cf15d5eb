"""The residual block of diffusion's U-Nets."""

import torch
from torch import nn
from torch.nn import functional as F

from v101_utils.nn.conditional_norm import ConditionalNorm


class ResidualBlock(nn.Module):
    """Twice (normalise, SiLU, 3x3 convolution), and the input added: (B, in, H, W) -> (B, out, H, W).

    The condition sets scale and shift of the second normalisation. The second convolution starts at zero, so that the
    block begins as the identity (or, where the channels change, as a 1x1 convolution).
    """

    def __init__(self, channels_in: int, channels_out: int, condition_dim: int = 0, groups: int = 8):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm2 = ConditionalNorm(channels_out, condition_dim, groups)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        hidden = self.conv1(F.silu(self.norm1(x)))
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(hidden, condition)))
