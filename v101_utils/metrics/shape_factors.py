"""What a picture of `data.shapes` shows, measured on its pixels: no network judges."""

import torch

from v101_utils.data.images import to_unit
from v101_utils.data.shapes import BACKGROUND

MEASURED = ("hue", "size", "x", "y")


def measure_shapes(images: torch.Tensor) -> torch.Tensor:
    """Factors (N, 4), MEASURED, of images (N, 3, P, P) in [-1, 1]: hue in turns from red, 0 to 1; size, the share of the
    picture that is covered; x and y of the centre, from -1 (left, top) to 1.

    Raises ValueError for another shape.
    """
    if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3] or not len(images):
        raise ValueError(f"images are {tuple(images.shape)}; they should be (N, 3, P, P), at least one")
    light = to_unit(images) - BACKGROUND  # (N, 3, P, P): where a share s of a pixel is inside, s (colour - BACKGROUND)
    cover = light.amax(1).clamp(min=0) / (1 - BACKGROUND)  # (N, P, P), s: the brightest channel of a drawn colour is 1
    total = cover.sum((1, 2)).clamp(min=1e-6)
    colour = light.sum((2, 3)) / total[:, None]  # (N, 3), less the background: a hue is told by differences
    high, low = colour.amax(1), colour.amin(1)
    red, green, blue = colour.T
    spread = (high - low).clamp(min=1e-6)
    turns = torch.where(high == red, (green - blue) / spread % 6,
                        torch.where(high == green, (blue - red) / spread + 2, (red - green) / spread + 4)) / 6  # fmt: skip
    line = (torch.arange(images.shape[-1], device=images.device) + 0.5) * (2 / images.shape[-1]) - 1
    x, y = (cover.sum(1) * line).sum(1) / total, (cover.sum(2) * line).sum(1) / total
    return torch.stack([turns, total / cover[0].numel(), x, y], dim=1)
