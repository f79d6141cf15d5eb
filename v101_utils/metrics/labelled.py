"""How images and their labels go together: which class is taken for which, and how various a class is."""

import torch
from torch.nn import functional as F


def confusion(found: torch.Tensor, asked: torch.Tensor, classes: int = 10) -> torch.Tensor:
    """(classes, classes): of the images asked for as class i, the share found to be class j; rows sum to 1.

    found, asked: (N,) integers. A class that nobody asked for is a row of zeros. Raises ValueError for other shapes and classes.
    """
    if found.shape != asked.shape or found.ndim != 1:
        raise ValueError(f"found {tuple(found.shape)}, asked {tuple(asked.shape)}: they should both be (N,)")
    if ((found < 0) | (found >= classes) | (asked < 0) | (asked >= classes)).any():
        raise ValueError(f"there are classes beyond 0 to {classes - 1}: say how many there are by `classes`")
    counts = (asked * classes + found).bincount(minlength=classes**2).view(classes, classes).double()
    return counts / counts.sum(1, keepdim=True).clamp(min=1)


def class_diversity(features: torch.Tensor, labels: torch.Tensor, classes: int = 10) -> torch.Tensor:
    """(classes,): how different two images of one class are, the mean over all pairs of 1 - cosine of their features.

    features: (N, D); labels: (N,). The mean over pairs of unit vectors is their variance, so no pair is looked at.
    Raises ValueError for a class of fewer than two images.
    """
    few = (labels.bincount(minlength=classes) < 2).nonzero().flatten().tolist()
    if few:
        raise ValueError(f"classes {few} have fewer than 2 images; there should be at least 2 of each, to be different")
    unit = F.normalize(features)
    return torch.stack([unit[labels == c].var(0).sum() for c in range(classes)])
