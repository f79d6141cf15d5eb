"""The labels that samples are asked for."""

import numpy as np
import torch


def check_count(count: int) -> None:
    """Raises ValueError for a number of samples below 1."""
    if count < 1:
        raise ValueError(f"count {count}: it should be at least 1")


def labels_for(labels, count: int, classes: int) -> torch.Tensor | None:
    """The labels (N,) of `count` samples, or None where there are no classes.

    labels: integers, repeated if there are fewer than `count`; None is a fair mix of all. Raises ValueError for anything
    else, for labels where there are no classes, or a count below 1.
    """
    check_count(count)
    if labels is not None and not classes:
        raise ValueError("this network was trained without labels: leave them out")
    if not classes:
        return None
    labels = range(classes) if labels is None else labels.cpu() if isinstance(labels, torch.Tensor) else labels
    labels = np.asarray(labels)
    whole = labels.ndim == 1 and labels.size and labels.dtype.kind in "iu"
    if not whole or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels {labels.tolist()}: they should be integers from 0 to {classes - 1}")
    return torch.from_numpy(np.resize(labels, count).astype(np.int64))
