"""Borders of pictures that mirror what stands before them."""

import torch
from torch import nn


def reflect(images: torch.Tensor, border: int) -> torch.Tensor:
    """(B, C, H, W) to (B, C, H + 2 border, W + 2 border): what stands beyond an edge mirrors what stands before it.

    It is `F.pad` in the mode "reflect", whose gradient on CUDA adds in any order, and so is another on each run.
    """
    for dim in (2, 3):
        size = images.shape[dim]
        first, last = images.narrow(dim, 1, border), images.narrow(dim, size - 1 - border, border)
        images = torch.cat([first.flip(dim), images, last.flip(dim)], dim)
    return images


class ReflectConv(nn.Conv2d):
    """`nn.Conv2d` with a square kernel of an odd side that keeps the size (or divides it by `stride`), and borders that `reflect`."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, bias: bool = True):
        super().__init__(inputs, outputs, kernel, stride, kernel // 2, bias=bias, padding_mode="reflect")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.padding_mode != "reflect":
            return super().forward(x)
        return nn.functional.conv2d(reflect(x, self.padding[0]), self.weight, self.bias, self.stride)
