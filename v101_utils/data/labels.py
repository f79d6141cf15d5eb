"""The labels that samples are asked for."""

import numpy as np
import torch


def check_count(count: int) -> None:
    """Raises ValueError for a number of samples below 1."""
    if count < 1:
        raise ValueError(f"count {count}: it should be at least 1")


def labels_for(labels, count: int, classes: int, words: int = 0) -> torch.Tensor | None:
    """The labels (N,), or prompts (N, words), of `count` samples, or None where there are no classes.

    labels: integers, repeated if there are fewer than `count`; None is a fair mix of all, or prompts that say nothing.
    words: 0, or how many words a label has that is a prompt: then labels are (n, words), each a word or `classes`, which
    says nothing. Raises ValueError for anything else, for labels where there are no classes, or a count below 1.
    """
    check_count(count)
    if labels is not None and not classes:
        raise ValueError("this network was trained without labels: leave them out")
    if not classes:
        return None
    if labels is None:
        labels = [[classes] * words] if words else range(classes)
    labels = labels.cpu() if isinstance(labels, torch.Tensor) else labels
    labels = np.asarray(labels)
    whole = labels.ndim and labels.shape[1:] == ((words,) if words else ()) and labels.size and labels.dtype.kind in "iu"
    top = classes if words else classes - 1
    if not whole or labels.min() < 0 or labels.max() > top:
        each = f"(n, {words}) integers" if words else "integers"
        raise ValueError(f"labels {labels.tolist()}: they should be {each} from 0 to {top}")
    return torch.from_numpy(labels[np.arange(count) % len(labels)].astype(np.int64))
