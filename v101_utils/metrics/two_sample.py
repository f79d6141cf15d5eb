"""Whether two sets of points could come from one distribution, and how far apart they are."""

import torch
from scipy.optimize import linear_sum_assignment  # comes with scikit-image


def _energies(distances: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    """The energy distance for each row of `first` (R, N), which marks the points of one set; distances (N, N)."""
    a = first.to(distances) / first.sum(1, keepdim=True)  # (R, N), each row the weights of one set
    b = (~first).to(distances) / (~first).sum(1, keepdim=True)
    return -((a - b) @ distances * (a - b)).sum(1)  # 2 E|a - b| - E|a - a'| - E|b - b'|


def _check(a: torch.Tensor, b: torch.Tensor) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not len(a) or not len(b):
        raise ValueError(f"points are {tuple(a.shape)} and {tuple(b.shape)}: they should be (N, D) and (M, D), at least one of each")
    if not (a.isfinite().all() and b.isfinite().all()):
        raise ValueError("some points are infinite or nan: nothing can be said of them")


def _together(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All distances (N + M, N + M) of points (N, D) and (M, D), and which rows are of the first (N + M,)."""
    _check(a, b)
    both = torch.cat([a, b]).double()
    return torch.cdist(both, both), torch.arange(len(both), device=both.device) < len(a)


def energy_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """2 E|a - b| - E|a - a'| - E|b - b'| of points (N, D) and (M, D); 0 for equal distributions alone (Székely & Rizzo 2004).

    Raises ValueError for other shapes, and for points that are not finite.
    """
    distances, first = _together(a, b)
    return _energies(distances, first[None]).item()


def matching_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """The mean way of the cheapest matching of points (N, D) with as many others: the exact Wasserstein-1 distance of the sets.

    The best plan between equally many equal grains moves each grain whole (Peyré & Cuturi 2019, prop. 2.1). Raises
    ValueError for other shapes, and for points that are not finite.
    """
    if a.shape != b.shape:
        raise ValueError(f"points are {tuple(a.shape)} and {tuple(b.shape)}: they should be (N, D), as many of each")
    _check(a, b)
    ways = torch.cdist(a.double(), b.double()).cpu().numpy()  # (N, N)
    return float(ways[linear_sum_assignment(ways)].mean())


def two_sample_test(a: torch.Tensor, b: torch.Tensor, shuffles: int = 200, generator=None) -> float:
    """The share of random regroupings of a (N, D) and b (M, D) whose energy distance is at least that found: a p-value.

    Below 0.05 the two are told apart; for one distribution it is uniform. Raises ValueError as `energy_distance` does.
    """
    if shuffles < 1:
        raise ValueError(f"shuffles {shuffles}: it should be at least 1")
    distances, first = _together(a, b)
    shuffled = (first[torch.randperm(len(first), generator=generator).to(first.device)] for _ in range(shuffles))
    found = _energies(distances, torch.stack([first, *shuffled]))
    return ((found[1:] >= found[0]).sum().item() + 1) / (shuffles + 1)
