"""A large picture piece by piece: exactly what the network makes of the whole, in a fixed amount of memory."""

import math

import torch
from torch import nn

BICUBIC_RADIUS = 2  # of the four pixels a side that it weighs, the farthest is two pixels away (Keys 1981)


def _reach(modules) -> int:
    """How many pixels to each side a chain of modules looks. Raises ValueError for a convolution that changes the size."""
    total = 0
    for convolution in (part for module in modules for part in module.modules() if isinstance(part, nn.Conv2d)):
        if convolution.stride != (1, 1):
            raise ValueError(f"{convolution} has stride {convolution.stride}; only convolutions of stride 1 have a radius here")
        total += max(d * (k - 1) // 2 for d, k in zip(convolution.dilation, convolution.kernel_size))
    return total


def receptive_radius(model, factor: int | None = None) -> int:
    """How many low-resolution pixels away a pixel may be and still matter to what `model`, a `Restorer`, makes of another.

    The sum of its kernels' radii; those that work at the high resolution count 1 / factor. factor None: the largest of all
    its factors. Raises ValueError for a factor that the model was not made for, or a convolution with a stride.
    """
    if factor is None:
        return max(receptive_radius(model, each) for each in model.factors)
    if factor not in model.factors:
        raise ValueError(f"factor {factor}: this network enlarges by a factor from {model.factors}")
    low, high = model.layers(factor)
    radius = _reach(low) + math.ceil(_reach(high) / factor)
    return radius + BICUBIC_RADIUS if model.bicubic_first else max(radius, BICUBIC_RADIUS)


@torch.no_grad()
def in_tiles(model, low: torch.Tensor, factor: int, side: int = 128) -> torch.Tensor:
    """What `model(low, factor)` makes of pictures (B, C, h, w), (B, C, h * factor, w * factor), up to float rounding (1e-5).

    The picture is worked through in squares of `side` low-resolution pixels, each with as many neighbours as the network
    looks at and no more. At the picture's edges a piece ends too, so that the network pads where it would for the whole.
    The model is in eval mode meanwhile. Pieces go to its device, and back. Raises ValueError for a side below 1, another
    factor, another shape.
    """
    if side < 1:
        raise ValueError(f"side {side}: a tile should have at least 1 pixel")
    model.check(low, factor)
    radius, (height, width), training = receptive_radius(model, factor), low.shape[2:], model.training
    model.eval()
    try:
        rows = [[_tile(model, low, factor, (top, min(top + side, height)), (left, min(left + side, width)), radius)
                 for left in range(0, width, side)] for top in range(0, height, side)]  # fmt: skip
    finally:
        model.train(training)
    return torch.cat([torch.cat(row, dim=3) for row in rows], dim=2)


def _tile(model, low: torch.Tensor, factor: int, rows: tuple[int, int], columns: tuple[int, int], radius: int) -> torch.Tensor:
    """The enlarged pixels of `rows` and `columns`, from those and `radius` more on each side, as far as there are any."""
    (top, bottom), (left, right) = rows, columns
    above, before = min(radius, top), min(radius, left)
    piece = low[:, :, top - above : bottom + radius, left - before : right + radius]
    large = model(piece.to(next(model.parameters(), low).device), factor)  # without parameters, where it is
    y, x = above * factor, before * factor
    return large[:, :, y : y + (bottom - top) * factor, x : x + (right - left) * factor].to(low.device)
