"""Shapes: drawn RGB images whose true factors are known and independent, after dSprites (Matthey et al. 2017)."""

import math

import torch

from v101_utils.runtime import generator

FACTORS = ("shape", "hue", "size", "rotation", "x", "y")
SHAPES = ("square", "ellipse", "triangle", "cross")
BACKGROUND = 0.12  # a dark grey, in [0, 1]
HUE = (0.0, 0.83)  # red to magenta, so that the two ends of the circle do not meet
RADIUS = (0.24, 0.44)  # of half the picture's side
ANGLE = (-40.0, 40.0)  # degrees: inside the symmetry of a square and a cross, so the angle can be told
PLACE = (-0.5, 0.5)  # of half the picture's side


def _distance(shape: int, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Signed distance (about) of points (u, v) to a shape of radius 1; negative inside. Consumes u and v."""
    if shape == 1:
        return u.div_(1.15).square_().add_(v.div_(0.6).square_()).sqrt_().sub_(1).mul_(0.75)
    u.abs_()
    if shape == 2:
        return torch.maximum(u.mul_(math.sqrt(3)).add_(v).mul_(0.5), v.neg_()).sub_(0.55)
    v.abs_()
    if shape == 0:
        return torch.maximum(u, v).sub_(0.78)
    return torch.maximum(torch.minimum(u, v).sub_(0.33), torch.maximum(u, v).sub_(1.0))


def _span(fraction: torch.Tensor, ends: tuple[float, float]) -> torch.Tensor:
    return ends[0] + fraction * (ends[1] - ends[0])


def draw(factors: torch.Tensor, pixels: int = 32) -> torch.Tensor:
    """Images (N, 3, pixels, pixels) in [-1, 1], anti-aliased, from factors (N, 6) in [0, 1], in FACTORS' order.

    `shape` is the fraction along SHAPES (0 to 0.25 a square, ...). Raises ValueError for another shape or range.
    """
    if factors.ndim != 2 or factors.shape[1] != len(FACTORS):
        raise ValueError(f"factors have shape {tuple(factors.shape)}; it should be (N, {len(FACTORS)}): {FACTORS}")
    if len(factors) and not (0 <= factors.min() and factors.max() <= 1):
        raise ValueError(f"factors span [{factors.min():g}, {factors.max():g}]; they should lie in [0, 1]")
    factors = factors.float()
    grid = (torch.arange(pixels, device=factors.device) + 0.5) * (2 / pixels) - 1  # pixel centres
    images = torch.empty(len(factors), 3, pixels, pixels, device=factors.device)
    kinds = (factors[:, 0] * len(SHAPES)).long().clamp(max=len(SHAPES) - 1)
    for kind in range(len(SHAPES)):
        for rows in (kinds == kind).nonzero()[:, 0].split(max(1, 2**17 // pixels**2)):  # a chunk fits the cache
            _, hue, size, turn, x, y = factors[rows].T[:, :, None, None]  # each (n, 1, 1)
            radius, angle = _span(size, RADIUS), _span(turn, ANGLE).deg2rad()
            dx, dy = grid - _span(x, PLACE), grid[:, None] - _span(y, PLACE)  # (n, 1, P), (n, P, 1)
            cos, sin = angle.cos() / radius, angle.sin() / radius
            distance = _distance(kind, cos * dx + sin * dy, cos * dy - sin * dx)  # (n, P, P)
            inside = distance.mul_(-radius * pixels / 2).add_(0.5).clamp_(0, 1)  # 1 inside, a ramp of one pixel
            offsets = torch.tensor([0.0, 4.0, 2.0], device=factors.device)
            color = ((_span(hue[:, :, 0], HUE) * 6 + offsets) % 6 - 3).abs().sub(1).clamp(0, 1)  # HSV to RGB
            images[rows] = torch.addcmul(
                torch.full((), 2 * BACKGROUND - 1, device=factors.device),
                inside[:, None], 2 * (color - BACKGROUND)[:, :, None, None],
            )
    return images


def sample_factors(count: int, *seeds: int) -> torch.Tensor:
    """Factors (count, 6), independent and uniform in [0, 1), a pure function of the seeds."""
    return torch.rand(count, len(FACTORS), generator=generator(*seeds))


class ShapeBatches:
    """A function step -> (images (size, 3, P, P), factors (size, 6)): fresh pictures at each step, never repeated."""

    def __init__(self, size: int, seed: int = 0, pixels: int = 32, device="cpu"):
        self.size, self.seed, self.pixels, self.device = size, seed, pixels, device

    def __call__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        factors = sample_factors(self.size, self.seed, step).to(self.device)
        return draw(factors, self.pixels), factors
