"""Does a generator cover every mode of its data?"""

import torch


def mode_coverage(points: torch.Tensor, centres: torch.Tensor, std: float) -> tuple[int, float]:
    """The number of modes covered, and the share of points that lie within 3 `std` of a centre.

    points: (N, D); centres: (K, D). A mode is covered if at least a tenth of its fair share of the points, N / K, lies
    within 3 `std` of its centre. Raises ValueError for other shapes.
    """
    if points.ndim != 2 or centres.ndim != 2 or points.shape[1] != centres.shape[1] or len(points) == 0:
        raise ValueError(f"points {tuple(points.shape)}, centres {tuple(centres.shape)}: they should be (N, D) and (K, D)")
    distance, nearest = torch.cdist(points, centres.to(points)).min(dim=1)
    near = distance <= 3 * std
    counts = nearest[near].bincount(minlength=len(centres))
    return int((counts >= 0.1 * len(points) / len(centres)).sum()), near.float().mean().item()
