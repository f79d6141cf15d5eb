"""A number, such as the noise level, as a vector that a network can use."""

import torch


def sinusoidal_embedding(t: torch.Tensor, dim: int, longest: float = 10_000.0) -> torch.Tensor:
    """Cosines, then sines, of t at frequencies from 1 down to almost 1 / longest (Vaswani et al. 2017, sec. 3.5).

    t: (B,), integer or float, on any device. Returns (B, dim), floating; an odd `dim` leaves the last sine out. Raises
    ValueError where t is no vector or dim is below 1.
    """
    if t.ndim != 1 or dim < 1:
        raise ValueError(f"t has shape {tuple(t.shape)} and dim is {dim}; they should be (B,) and at least 1")
    t = t.to(torch.promote_types(t.dtype, torch.float32))
    count = (dim + 1) // 2
    frequencies = longest ** (-torch.arange(count, device=t.device, dtype=t.dtype) / count)
    angles = t[:, None] * frequencies  # (B, count)
    return torch.cat([angles.cos(), angles.sin()], dim=1)[:, :dim]
