"""A U-Net that is told a noise level and, where it has classes, a label: a class, or the words of a prompt."""

import torch
from torch import nn
from torch.nn import functional as F

from v101_utils.nn.attention import CrossAttention, SelfAttention
from v101_utils.nn.residual import ResidualBlock
from v101_utils.nn.time_embedding import sinusoidal_embedding


class Level(nn.Module):
    """Residual blocks at one resolution, each followed by attention if asked: to itself and, where there are words, to them."""

    def __init__(self, channels_in: list[int], channels_out: int, condition_dim: int, attention: bool, word_dim: int = 0):
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(c, channels_out, condition_dim) for c in channels_in)
        self.attention = nn.ModuleList(SelfAttention(channels_out) if attention else nn.Identity() for _ in channels_in)
        reads = attention and word_dim > 0
        self.reading = nn.ModuleList(CrossAttention(channels_out, word_dim) for _ in channels_in) if reads else None

    def forward(self, x: torch.Tensor, condition: torch.Tensor, words, skips: list[torch.Tensor], up: bool) -> torch.Tensor:
        """Downwards each block's result is put on `skips`; upwards the last is taken off and seen beside x."""
        for i, (block, attend) in enumerate(zip(self.blocks, self.attention, strict=True)):
            x = attend(block(torch.cat([x, skips.pop()], dim=1) if up else x, condition))
            if self.reading is not None:
                x = self.reading[i](x, words)
            if not up:
                skips.append(x)
        return x


class UNet(nn.Module):
    """Down, through, and up again, with skips at equal resolution (Ronneberger et al. 2015; Ho et al. 2020, app. B).

    x (B, channels, size, size), t (B,) in [0, 1] and labels (B,) give an image of x's shape; at the start of training
    it is all zeros. Label `classes` is the null label, "any class"; None means null for the whole batch.
    words: 0 for labels that are classes, (B,); otherwise a label is a prompt of that many words, (B, words), each a number
    from 0 to `classes`, and wherever there is self-attention each position also looks at them.

    widths: channels at each resolution, halved from one to the next. blocks: residual blocks a level, each way.
    attention: which levels have it; the middle always has. fold: the side of the squares of pixels that are folded into
    channels before the first convolution. At full resolution convolutions cost most and add least, so that folding by 2
    buys a small machine three quarters of the time. `size` must be divisible by fold * 2 to the number of halvings.
    """

    def __init__(
        self, channels: int = 1, size: int = 28, widths=(32, 64), blocks: int = 1, attention=(False, False),
        fold: int = 2, classes: int = 0, condition_dim: int = 128, words: int = 0,
    ):  # fmt: skip
        super().__init__()
        if fold < 1 or blocks < 1 or classes < 0 or not widths or len(attention) != len(widths):
            raise ValueError(f"fold {fold}, blocks {blocks}, classes {classes}: they should be at least 1, 1 and 0; "
                             f"attention {attention} should have one word for each of the widths {widths}")
        if words < 0 or (words and not classes):
            raise ValueError(f"words {words}, classes {classes}: a word is a number below `classes`, so there should be some")
        multiple = fold * 2 ** (len(widths) - 1)
        if size < 1 or size % multiple:
            raise ValueError(f"size {size} should be a multiple of {multiple}: folded by {fold}, then halved {len(widths) - 1} times")
        self.shape, self.classes, self.condition_dim = (channels, size, size), classes, condition_dim
        self.label_shape = (words,) if words else ()  # of one image's label
        self.to_condition = nn.Sequential(nn.Linear(condition_dim, condition_dim), nn.SiLU(), nn.Linear(condition_dim, condition_dim))
        self.label_embedding = nn.Embedding(classes + 1, condition_dim) if classes else None
        self.first = nn.Sequential(nn.PixelUnshuffle(fold), nn.Conv2d(channels * fold**2, widths[0], 3, padding=1))
        k, last, word_dim = condition_dim, widths[-1], condition_dim if words else 0
        entering = [widths[0], *widths]  # the channels that enter each level, downwards
        self.down = nn.ModuleList(
            Level([a] + [b] * (blocks - 1), b, k, attend, word_dim) for a, b, attend in zip(entering, widths, attention))
        self.downsample = nn.ModuleList(nn.Conv2d(w, w, 3, stride=2, padding=1) for w in widths[:-1])
        self.middle = Level([last], last, k, True, word_dim)
        self.up = nn.ModuleList(Level([2 * b] * blocks, b, k, attend, word_dim) for b, attend in zip(widths, attention))
        # upsample: a 1x1 convolution, then each pixel four times; the block that follows smooths
        self.upsample = nn.ModuleList(
            nn.Sequential(nn.Conv2d(b, a, 1), nn.Upsample(scale_factor=2)) for a, b in zip(widths, widths[1:]))
        self.last = nn.Sequential(
            nn.GroupNorm(8, widths[0]), nn.SiLU(), nn.Conv2d(widths[0], channels * fold**2, 3, padding=1), nn.PixelShuffle(fold))
        nn.init.zeros_(self.last[2].weight)
        nn.init.zeros_(self.last[2].bias)

    def condition(self, t: torch.Tensor, labels: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(B, condition_dim) from noise levels (B,) and classes (B,); and the words (B, words, condition_dim) of prompts, or None."""
        vector = self.to_condition(sinusoidal_embedding(1000 * t, self.condition_dim).to(self.to_condition[0].weight.dtype))
        if self.label_embedding is None:
            return F.silu(vector), None
        null = torch.full((len(t), *self.label_shape), self.classes, device=t.device)
        embedded = self.label_embedding(null if labels is None else labels.long())  # (B, condition_dim) or (B, words, condition_dim)
        return (F.silu(vector), embedded) if self.label_shape else (F.silu(vector + embedded), None)

    def _check(self, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None) -> None:
        if tuple(x.shape[1:]) != self.shape or t.shape != x.shape[:1]:
            wanted = ", ".join(map(str, self.shape))
            raise ValueError(f"x is {tuple(x.shape)} and t {tuple(t.shape)}; they should be (B, {wanted}) and (B,)")
        if labels is None:
            return
        if not self.classes:
            raise ValueError("this U-Net has no classes: leave the labels out")
        known = labels.is_meta or ((labels >= 0) & (labels <= self.classes)).all()  # or CUDA would end the process
        if labels.shape != (len(x), *self.label_shape) or labels.is_floating_point() or not known:
            each = " times ".join(map(str, (len(x), *self.label_shape)))
            raise ValueError(f"labels {labels.tolist()}: they should be {each} integers from 0 to {self.classes}, the null label")

    def forward(self, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        self._check(x, t, labels)
        (condition, words), skips = self.condition(t, labels), []
        x = self.first(x)  # (B, widths[0], size / fold, size / fold)
        for i, level in enumerate(self.down):
            x = level(self.downsample[i - 1](x) if i else x, condition, words, skips, up=False)
        x = self.middle(x, condition, words, [], up=False)
        for i, level in reversed(list(enumerate(self.up))):
            x = level(x, condition, words, skips, up=True)
            x = self.upsample[i - 1](x) if i else x
        return self.last(x)
