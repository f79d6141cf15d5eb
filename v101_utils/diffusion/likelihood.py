"""How likely a denoiser finds an image, exactly: along the probability flow density changes as volume does."""

import math

import torch

from v101_utils.diffusion.sample import Labelled
from v101_utils.diffusion.sde import flow_slope
from v101_utils.runtime import generator

BINS = 127.5  # 8-bit levels for each unit of [-1, 1]


def divergence(outputs: torch.Tensor, inputs: torch.Tensor, probes: torch.Tensor) -> torch.Tensor:
    """The trace of each Jacobian d outputs / d inputs, (B,), as the mean of v J v over probes v (P, B, ...).

    With random signs, or any v of covariance I, that is right on average (Hutchinson 1989); with the unit vectors, scaled by
    the root of their number, it is exact.
    """
    total = torch.zeros(len(inputs), dtype=inputs.dtype, device=inputs.device)
    for v in probes:
        total += (torch.autograd.grad(outputs, inputs, v, retain_graph=True)[0] * v).flatten(1).sum(1)
    return total / len(probes)


def _probes(x: torch.Tensor, count: int | None, seed: int) -> torch.Tensor:
    """Random signs (count, B, ...), or the scaled unit vectors where count is None."""
    if count is None:
        size = x[0].numel()
        return (size**0.5 * torch.eye(size)).to(x).view(size, 1, *x.shape[1:]).expand(-1, *x.shape)
    if count < 1:
        raise ValueError(f"probes {count}: it should be at least 1, or None for the exact trace")
    return (torch.randint(0, 2, (count, *x.shape), generator=generator(seed, 2)) * 2 - 1).to(x)


def log_likelihood(denoiser, x: torch.Tensor, *, labels: torch.Tensor | None = None, probes: int | None = 1, seed: int = 0,
                   rtol: float = 1e-4, atol: float = 1e-4) -> torch.Tensor:  # fmt: skip
    """log p (B,) in nats of x (B, ...), by the probability flow from x to noise (Song et al. 2021, sec. 4.3 and app. D.2).

    In u = x / alpha and rho = sigma / alpha the flow is du = eps d rho, and the density along it falls by the divergence of
    eps. probes: how many vectors of random signs, a function of the seed, estimate it; None is exact, at a cost that grows
    with the number of dimensions. rtol, atol: of the adaptive solver. Raises ValueError if x is empty or not finite.
    """
    from torchdiffeq import odeint

    if not x.numel() or not x.isfinite().all():
        raise ValueError(f"images of shape {tuple(x.shape)} hold nothing, or NaN or infinity; they should be finite, about in [-1, 1]")
    labels = None if labels is None else torch.as_tensor(labels, device=x.device)
    slope, vectors = flow_slope(Labelled(denoiser, labels)), _probes(x, probes, seed)

    def slopes(rho, state):
        with torch.enable_grad():
            u = state[0].detach().requires_grad_()
            eps = slope(rho, u)
            return eps.detach(), divergence(eps, u, vectors)

    schedule = denoiser.schedule
    ends = torch.stack([schedule.sigma(t) / schedule.alpha(t) for t in (0.0, 1.0)]).to(x.dtype).to(x.device)
    start = x / schedule.alpha(0.0).item(), torch.zeros(len(x), dtype=x.dtype, device=x.device)
    u, fallen = (part[-1] for part in odeint(slopes, start, ends, rtol=rtol, atol=atol, method="dopri5"))
    size, rho = x[0].numel(), ends[1].item()
    log_prior = -0.5 * u.flatten(1).square().sum(1) / rho**2 - size * (math.log(rho) + 0.5 * math.log(2 * math.pi))
    return log_prior + fallen - size * schedule.log_alpha_bar(0.0).item() / 2


def dequantise(images: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """8-bit images in [-1, 1] spread evenly over their bins, of width 1 / 127.5, so that they have a density."""
    levels = ((images + 1) * BINS).round()
    return (levels - 0.5 + torch.rand(images.shape, generator=generator(seed, 3)).to(images)) / BINS - 1


def bits_per_dimension(log_p: torch.Tensor, size: int) -> torch.Tensor:
    """log p in nats of `dequantise`d images of `size` numbers as bits for each number of the 8-bit image; 8 is no knowledge."""
    return -log_p / (size * math.log(2)) + math.log2(BINS)
