"""An exponential moving average of a network's weights."""

from copy import deepcopy

import torch
from torch import nn


class Ema:
    """`average`: a copy of `module`, each of whose parameters trails behind the module's.

    The decay warms up, (1 + n) / (10 + n) up to `decay`, so that the random initial weights are soon forgotten.
    Buffers (BatchNorm's statistics, counters) are not averaged but copied: they are averages already, or integers.
    """

    def __init__(self, module: nn.Module, decay: float = 0.999):
        if not 0 <= decay < 1:
            raise ValueError(f"decay {decay}: it should be at least 0 and below 1")
        self.module, self.decay, self.updates = module, decay, 0
        self.average = deepcopy(module).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self) -> None:
        """Moves the average towards the module as it is now."""
        self.updates += 1
        keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for average, current in zip(self.average.parameters(), self.module.parameters(), strict=True):
            average.lerp_(current, 1 - keep)
        for average, current in zip(self.average.buffers(), self.module.buffers(), strict=True):
            average.copy_(current)

    def state_dict(self) -> dict:
        return {"average": self.average.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict) -> None:
        self.average.load_state_dict(state["average"])
        self.updates = state["updates"]
