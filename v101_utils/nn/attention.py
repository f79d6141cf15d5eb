"""Attention over the positions of a feature map, and from them to words."""

import torch
from torch import nn
from torch.nn import functional as F


def check_heads(channels: int, heads: int) -> None:
    if heads < 1 or channels % heads:
        raise ValueError(f"{channels} channels cannot be split over {heads} heads; they should be a multiple of it")


class SelfAttention(nn.Module):
    """Each position looks at all others (Vaswani et al. 2017, sec. 3.2): x (B, C, H, W) plus what it found.

    The output projection starts at zero, so that the layer begins as the identity. Raises ValueError where the
    channels cannot be split evenly over the heads.
    """

    def __init__(self, channels: int, heads: int = 2, groups: int = 8):
        super().__init__()
        check_heads(channels, heads)
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.to_out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        qkv = self.to_qkv(self.norm(x)).flatten(2).transpose(1, 2).contiguous()  # (B, HW, 3C); the fast kernels want it so
        q, k, v = qkv.view(b, h * w, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)  # each (B, heads, HW, C / heads)
        found = F.scaled_dot_product_attention(q, k, v)  # positions, not channels, attend to each other
        return x + self.to_out(found.transpose(2, 3).reshape(b, c, h, w))


class CrossAttention(nn.Module):
    """Each position looks at the words of a prompt (Rombach et al. 2022, sec. 3.3): x (B, C, H, W) plus what it found.

    Queries come from x, keys and values from the words (B, W, word_dim). The output projection starts at zero. Raises
    ValueError where the channels cannot be split evenly over the heads.
    """

    def __init__(self, channels: int, word_dim: int, heads: int = 2, groups: int = 8):
        super().__init__()
        check_heads(channels, heads)
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.to_q = nn.Conv2d(channels, channels, 1)
        self.to_kv = nn.Linear(word_dim, 2 * channels)
        self.to_out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)

    def _looks(self, x: torch.Tensor, words: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """How much each position looks at each word (B, heads, W, HW), 1 in all; and the words' values (B, heads, C / heads, W)."""
        q = self.to_q(self.norm(x)).flatten(2).unflatten(1, (self.heads, -1))  # (B, heads, C / heads, HW)
        k, v = self.to_kv(words).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, heads, W, C / heads)
        # Written out: there are so few words that scaled_dot_product_attention, which wants positions first, takes 3 times as long.
        return (k / k.shape[-1] ** 0.5 @ q).softmax(2), v.transpose(2, 3)

    def forward(self, x: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        looks, values = self._looks(x, words)  # every position asks, the words answer
        return x + self.to_out((values @ looks).reshape(x.shape))

    def weights(self, x: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """How much each position looks at each word, the mean of the heads: (B, W, H, W'), summing to 1 over the words."""
        return self._looks(x, words)[0].mean(1).unflatten(2, x.shape[2:])
