"""How well a latent space is laid out: path length and linear separability (Karras et al. 2019, sec. 4)."""

from collections.abc import Callable

import torch
from torch.nn import functional as F


def slerp(a: torch.Tensor, b: torch.Tensor, t) -> torch.Tensor:
    """From a to b (B, D) along the great circle, at t (a number or (B, 1)), lengths interpolated: for normal latents.

    Straight lines between normal vectors pass too close to the origin, where no latent ever lies.
    """
    lengths = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    u, v = a / lengths[0], b / lengths[1]
    angle = (u * v).sum(1, keepdim=True).clamp(-1 + 1e-6, 1 - 1e-6).acos()  # (B, 1)
    along = (torch.sin((1 - t) * angle) * u + torch.sin(t * angle) * v) / angle.sin()
    return along * torch.lerp(lengths[0], lengths[1], torch.as_tensor(t, dtype=a.dtype, device=a.device))


def path_length(images_at: Callable, a: torch.Tensor, b: torch.Tensor, interpolate=torch.lerp, epsilon: float = 1e-2,
                generator=None) -> torch.Tensor:  # fmt: skip
    """E |image(t + epsilon) - image(t)|^2 / epsilon^2 at a random t of each path from a to b, (B,); smooth paths are short.

    images_at: points (B, D) -> images (B, ...), without randomness. The squared difference of pixels stands in for the
    perceptual distance of eq. 2, so these figures compare with each other alone.
    """
    t = torch.rand(len(a), 1, generator=generator).to(a)
    before, after = (images_at(interpolate(a, b, place)).flatten(1) for place in (t, t + epsilon))
    return (after - before).square().sum(1) / epsilon**2


def conditional_entropy(points: torch.Tensor, labels: torch.Tensor, steps: int = 60) -> float:
    """H(label | side of the best plane) in nats, of points (N, D) and boolean labels (N,); 0 is perfectly separable.

    The plane is a logistic regression's, fitted by L-BFGS on standardised points (Karras 2019 use a linear SVM).
    Raises ValueError for other labels, and for points that are not finite.
    """
    if labels.dtype != torch.bool or not points.isfinite().all():
        raise ValueError(f"labels are {labels.dtype} and should be booleans; points should be finite")
    points = F.pad(((points - points.mean(0)) / points.std(0).clamp(min=1e-6)).double(), (0, 1), value=1.0)
    labels = labels.to(points.device)
    wanted, plane = labels.double(), torch.zeros_like(points[0]).requires_grad_()
    optimiser = torch.optim.LBFGS([plane], max_iter=steps, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = F.binary_cross_entropy_with_logits(points @ plane, wanted) + 1e-4 * plane.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    side = (points @ plane.detach() > 0).long()
    joint = torch.bincount(2 * side + labels.long(), minlength=4).double().view(2, 2) / len(labels)  # (side, label)
    return -torch.special.xlogy(joint, joint / joint.sum(1, keepdim=True).clamp(min=1e-300)).sum().item()


def separability(points: torch.Tensor, attributes: torch.Tensor) -> float:
    """exp of the summed conditional entropies (sec. 4.2) of boolean attributes (N, A): 1 is perfect, higher is worse."""
    return float(torch.tensor([conditional_entropy(points, column) for column in attributes.T]).sum().exp())
