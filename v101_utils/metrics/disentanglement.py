"""Does each latent stand for one factor? The mutual information gap (Chen et al. 2018, sec. 4.1)."""

import torch


def _bins(values: torch.Tensor, count: int) -> torch.Tensor:
    """Equal-width bins over the range of each column: (N, D) -> int64 (N, D) in 0..count-1."""
    low, high = values.amin(0), values.amax(0)
    return ((values - low) / (high - low).clamp(min=1e-12) * count).long().clamp(max=count - 1)


def mutual_information(a: torch.Tensor, b: torch.Tensor, bins: int = 20) -> torch.Tensor:
    """I(a_i; b_j) in nats, (A, B), of the columns of a (N, A) and b (N, B), each cut into `bins` equal-width bins.

    With b = a the diagonal is the entropy of each column. The estimate is biased upwards by about
    (bins - 1)^2 / 2N nats (Miller 1955): use thousands of rows.
    """
    if len(a) != len(b) or a.ndim != 2 or b.ndim != 2:
        raise ValueError(f"shapes {tuple(a.shape)} and {tuple(b.shape)}; they should be (N, A) and (N, B)")
    a, b = _bins(a, bins), _bins(b, bins)
    pairs = a[:, :, None] * bins + b[:, None, :]  # (N, A, B), the cell of the joint histogram
    joint = torch.stack([torch.bincount(pair, minlength=bins**2) for pair in pairs.flatten(1).T])
    joint = (joint.double() / len(a)).view(a.shape[1], b.shape[1], bins, bins)
    independent = joint.sum(3, keepdim=True) * joint.sum(2, keepdim=True)
    return torch.special.xlogy(joint, joint / independent.clamp(min=1e-300)).sum((2, 3))


def mutual_information_gap(latents: torch.Tensor, factors: torch.Tensor, bins: int = 20) -> tuple[float, torch.Tensor]:
    """MIG in [0, 1], and each factor's gap (K,): how far the best latent leads the second best, over the entropy.

    latents: (N, L) posterior means, L at least 2; factors: (N, K). 1 is one latent for each factor; 0 is a code where
    two latents tell as much. Raises ValueError for a factor that never varies, of which nothing can be told, and for other latents.
    """
    if latents.ndim != 2 or latents.shape[1] < 2 or not latents.isfinite().all():
        raise ValueError(f"latents are {tuple(latents.shape)}: they should be (N, L), L at least 2, and finite")
    information = mutual_information(latents, factors, bins)  # (L, K)
    entropy = mutual_information(factors, factors, bins).diagonal()  # (K,)
    if (entropy <= 0).any():
        raise ValueError(f"factor {entropy.argmin().item()} has one value alone; each of the {len(entropy)} should vary")
    best, second = information.topk(2, dim=0).values
    gaps = (best - second) / entropy
    return gaps.mean().item(), gaps
