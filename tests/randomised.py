"""Networks as if trained, for tests of layers that start at zero."""

import torch
from torch import nn


def randomised(module: nn.Module, seed=0) -> nn.Module:
    """The module with no weight left at zero, as if it had been trained."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return module
