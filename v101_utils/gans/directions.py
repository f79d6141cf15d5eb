"""Directions in which a generator's latents change its pictures most, in closed form (SeFa: Shen & Zhou 2021)."""

from collections.abc import Callable

import torch


@torch.no_grad()
def matrix_of(first: Callable, latent_dim: int, device="cpu") -> torch.Tensor:
    """The matrix A (features, latent_dim) of an affine map latents (B, latent_dim) -> (B, ...): what it makes of unit vectors.

    Raises ValueError for a map that is not affine, such as one with an activation, or a normalisation in training mode.
    """
    units = torch.eye(latent_dim, device=device)
    probe = torch.cat([torch.zeros_like(units[:1]), units, 2 * units[:1] - 3 * units[-1:]])
    zero, *columns, mixed = first(probe).flatten(1)  # each (features,)
    matrix = torch.stack(columns, dim=1) - zero[:, None]
    if not torch.allclose(zero + 2 * matrix[:, 0] - 3 * matrix[:, -1], mixed, rtol=1e-3, atol=1e-3 * float(mixed.abs().max())):
        raise ValueError("the map is not affine: it should end before the first activation and be in eval mode")
    return matrix


def factorise(matrix: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `count` unit directions n (count, latent_dim) of largest |A n|, orthogonal, and these lengths (count,), falling.

    They are the eigenvectors of A^T A (Shen & Zhou 2021, eq. 5). The sign of each is free: its largest entry is made positive.
    Raises ValueError for a count that is not from 1 to latent_dim.
    """
    if matrix.ndim != 2 or not 1 <= count <= matrix.shape[1]:
        raise ValueError(f"count {count}, matrix {tuple(matrix.shape)}: there should be from 1 to latent_dim directions "
                         "of a matrix (features, latent_dim)")
    values, vectors = torch.linalg.eigh(matrix.double().T @ matrix.double())  # rising
    directions, values = vectors.T.flip(0)[:count], values.flip(0)[:count]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    return (directions * largest.sign()).float(), values.clamp(min=0).sqrt().float()
