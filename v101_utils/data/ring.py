"""Eight clouds of points on a ring: the usual test of whether a generator covers every mode."""

import math

import torch

from v101_utils.runtime import generator


class Ring:
    """`modes` Gaussians of standard deviation `std`, evenly on a circle of radius 1. Points are (N, 2)."""

    def __init__(self, modes: int = 8, std: float = 0.05):
        if modes < 1 or not std > 0:
            raise ValueError(f"modes {modes}, std {std}: they should be at least 1 and above 0")
        angles = torch.arange(modes) * (2 * math.pi / modes)
        self.std, self.centres = std, torch.stack([angles.cos(), angles.sin()], dim=1)  # (modes, 2)

    def sample(self, count: int, *seeds: int) -> torch.Tensor:
        """`count` points, a pure function of the seeds."""
        draw = generator(*seeds)
        chosen = torch.randint(len(self.centres), (count,), generator=draw)
        return self.centres[chosen] + self.std * torch.randn(count, 2, generator=draw)

    def batches(self, size: int, seed: int = 0, device="cpu"):
        """A function step -> (points (size, 2),): fresh ones at each step."""
        return lambda step: (self.sample(size, seed, step).to(device),)
