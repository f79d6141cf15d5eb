"""Layers with an equalised learning rate (Karras 2018, sec. 4.1)."""

import math

import torch
from torch import nn
from torch.nn import functional as F


class EqualisedLinear(nn.Module):
    """A linear layer whose weights are drawn from N(0, 1) and scaled to He's standard deviation as they are used.

    Adam moves every weight by about the learning rate, whatever its size: with all of them of size 1, all layers learn
    at one speed. `rate` multiplies the layer's learning rate (Karras 2019: 0.01 in the mapping network). x: (B, inputs).
    """

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, gain: float = 1.0, rate: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.scale, self.rate = gain * rate / math.sqrt(inputs), rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class EqualisedConv(nn.Module):
    """A convolution that keeps the side, or halves it by stride 2, with an equalised learning rate. x: (B, inputs, H, W)."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, gain: float = math.sqrt(2), stride: int = 1):
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / math.sqrt(inputs * kernel**2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, self.stride, padding=self.weight.shape[-1] // 2)


def blur(x: torch.Tensor) -> torch.Tensor:
    """Each channel through the binomial filter [1 2 1] x [1 2 1] / 16: what lies above half the sampling rate is damped.

    The border is repeated, so that a flat picture stays flat. x: (B, C, H, W).
    """
    line = x.new_tensor([1.0, 2.0, 1.0]) / 4
    kernel = (line[:, None] * line).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=x.shape[1])


def upsample(x: torch.Tensor) -> torch.Tensor:
    """Twice the side: each pixel four times, then `blur`. In one step: that is bilinear interpolation."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def downsample(x: torch.Tensor) -> torch.Tensor:
    """Half the side, the mean of four pixels."""
    return F.avg_pool2d(x, 2)
