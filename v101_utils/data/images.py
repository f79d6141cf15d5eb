"""The only place where the range of an image changes: [-1, 1] inside, [0, 1] at the edges (files, figures, metrics)."""

import torch

LUMA = (0.299, 0.587, 0.114)  # brightness of R, G, B (ITU-R BT.601)


def to_signed(images: torch.Tensor) -> torch.Tensor:
    """Bytes 0..255, or floats in [0, 1], as floats in [-1, 1]. Raises TypeError for other integer types."""
    if images.dtype == torch.uint8:
        return images.float().div_(127.5).sub_(1)
    if not images.is_floating_point():
        raise TypeError(f"images are {images.dtype}; they should be uint8 in 0..255 or float in [0, 1]")
    return images * 2 - 1


def to_unit(images: torch.Tensor) -> torch.Tensor:
    """Floats in [-1, 1] as floats in [0, 1]; what a network drew beyond the range is clamped. Raises TypeError for integers."""
    if not images.is_floating_point():
        raise TypeError(f"images are {images.dtype}; they should be float in [-1, 1] (`to_signed` makes them so)")
    return ((images + 1) / 2).clamp(0, 1)
