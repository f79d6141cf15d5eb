"""A method is a task: networks, their optimisers, and what one step does."""

from collections.abc import Callable, Iterable

import torch
from torch import nn


def adamw(parameters: Iterable[nn.Parameter], lr: float, betas=(0.9, 0.99)) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019) with little weight decay: the optimiser of most tasks here."""
    return torch.optim.AdamW(parameters, lr, betas=betas, weight_decay=1e-4)


class Task(nn.Module):
    """Networks are submodules; `optimisers` names the optimisers; `training_step` says what is minimised, in order.

    The step is given `minimise(loss, optimiser)`, which does all the rest (backward, precision, accumulation, averaging
    over processes, clipping, the optimiser's step) for the parameters of that optimiser alone. A task may call it more
    than once, as a GAN does. It returns False where a batch is accumulated in parts and the step is yet to come.
    """

    optimisers: dict[str, torch.optim.Optimizer]

    def training_step(self, batch, minimise: Callable) -> dict[str, torch.Tensor]:
        """One step on `batch`. Returns scalars to watch, by name; each must be finite, or the training stops."""
        raise NotImplementedError(f"{type(self).__name__} does not say what a training step is")
