"""Brightness and palettes: what a style does to colours, and how a picture can keep its own."""

import torch

from v101_utils.data.images import LUMA
from v101_utils.style.statistics import sliced


def grey(images: torch.Tensor) -> torch.Tensor:
    """Brightness alone, still of three channels: (B, 3, H, W) -> (B, 3, H, W)."""
    return torch.einsum("bchw,c->bhw", images, images.new_tensor(LUMA))[:, None].expand_as(images)


def palette(images: torch.Tensor) -> torch.Tensor:
    """Which colours, and how much of each: sorted along directions through RGB. (B, 3, H, W) -> (B, 16, 64)."""
    return sliced(images, directions=16, points=64)


def as_bright(images: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Grey `images` with the mean and the deviation of brightness of `like` (Gatys et al. 2017, sec. 5.1). (B, 3, H, W).

    The deviation is 0.1 at least, or of `images` nothing could be seen.
    """
    images, like = grey(images), grey(like)
    return (images - images.mean()) * (like.std().clamp(min=0.1) / images.std().clamp(min=1e-4)) + like.mean()


def with_colours(images: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    """The brightness of `images` and the colours of `of` (Gatys et al. 2017, sec. 5.1, who use YIQ). (B, 3, H, W) in [-1, 1].

    In YIQ and its like, to replace the brightness Y and keep the two others is to add the change of Y to R, G and B alike.
    """
    return (of + grey(images) - grey(of)).clamp(-1, 1)
