"""Shuffled batches without a loader: the whole data set is one tensor on the device, and a batch is an index."""

import torch

from v101_utils.runtime import generator


class Batches:
    """A function step -> tuple of tensors (size, ...): an epoch after another, each shuffled afresh.

    The answer depends on (seed, step) alone, so a training that resumes at step s sees what it would have seen.
    """

    def __init__(self, *tensors: torch.Tensor, size: int, seed: int = 0):
        count = len(tensors[0])
        if any(len(t) != count for t in tensors):
            raise ValueError(f"the tensors have {[len(t) for t in tensors]} rows; they should have equally many")
        if not 1 <= size <= count:
            raise ValueError(f"batch size {size}: it should be between 1 and the {count} examples there are")
        self.tensors, self.size, self.seed = tensors, size, seed
        self._epoch, self._order = -1, None

    def __call__(self, step: int) -> tuple[torch.Tensor, ...]:
        epoch, place = divmod(step, len(self.tensors[0]) // self.size)  # a last, smaller batch is left out
        if epoch != self._epoch:
            order = torch.randperm(len(self.tensors[0]), generator=generator(self.seed, epoch))
            self._epoch, self._order = epoch, order.to(self.tensors[0].device)
        rows = self._order[place * self.size : (place + 1) * self.size]
        return tuple(tensor[rows] for tensor in self.tensors)
