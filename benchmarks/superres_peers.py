"""The peer of `benchmarks/superres.py`: the network of a well-known script, in this project's interface."""

import torch
from torch import nn

from v101_utils.superres import Restorer


class PytorchExamples(Restorer):
    """pytorch/examples/super_resolution/model.py: 5x5 to 64 channels, 3x3 to 64, 3x3 to 32, 3x3 to factor^2, a shuffle; ReLU.

    Y (B, 1, h, w) -> (B, 1, h * factor, w * factor). Shi et al.'s idea with one layer more and another activation, its weights
    orthogonal at first, with the gain of ReLU but in the last layer; made for one factor.
    """

    def __init__(self, factor: int):
        super().__init__(1, (factor,))
        smaller = [nn.Conv2d(a, b, 3, padding=1) for a, b in ((64, 64), (64, 32), (32, factor**2))]
        first, second, third, last = convolutions = [nn.Conv2d(1, 64, 5, padding=2), *smaller]
        for convolution in convolutions[:3]:
            nn.init.orthogonal_(convolution.weight, nn.init.calculate_gain("relu"))
        nn.init.orthogonal_(last.weight)
        self.network = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third, nn.ReLU(), last, nn.PixelShuffle(factor))

    def layers(self, factor: int):
        return [self.network], []

    def forward(self, low: torch.Tensor, factor: int) -> torch.Tensor:
        self.check(low, factor)
        return self.network(low)
