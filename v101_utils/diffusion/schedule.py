"""How much of the image and how much noise there is at a time t: x_t = alpha(t) x_0 + sigma(t) noise."""

import math
from collections.abc import Callable
from numbers import Integral

import torch

SPACINGS = ("uniform", "quadratic", "log_snr")


def spread(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A number or (B,) in `like`'s dtype and on its device, shaped to multiply `like` (B, ...). Else raises ValueError."""
    if values.ndim and values.shape != like.shape[:1]:
        raise ValueError(f"a batch of {len(like)} should have one number for all or ({len(like)},), not {tuple(values.shape)}")
    values = values.to(like.dtype).to(like.device)  # in this order: MPS has no float64
    return values.view(-1, *[1] * (like.ndim - 1)) if values.ndim else values


def _as_time(t) -> torch.Tensor:
    """A time as a float tensor, a number in float64. Raises ValueError outside [0, 1], unless on an accelerator."""
    t = t if isinstance(t, torch.Tensor) else torch.tensor(t, dtype=torch.float64)
    t = t if t.is_floating_point() else t.float()
    if t.device.type == "cpu" and not ((t >= 0) & (t <= 1)).all():  # elsewhere a look would wait for all that is still at work
        raise ValueError(f"times from {t.min():g} to {t.max():g}: they should be in [0, 1]; step i of T is i / T")
    return t


def _slope(function: Callable, t) -> torch.Tensor:
    """d function / dt, of t's shape."""
    with torch.enable_grad():
        t = _as_time(t).detach().requires_grad_()
        return torch.autograd.grad(function(t).sum(), t, allow_unused=True, materialize_grads=True)[0]


class Schedule:
    """A noise schedule for t from 0 (image) to 1 (noise), variance-preserving unless it is told otherwise.

    It is given by log alpha_bar(t), a function of a float tensor of any shape; alpha_bar = alpha^2 in the terms of Ho et
    al. 2020. In logarithms nothing is lost to rounding at either end. `variance`: sigma^2(t), another such function; None
    is 1 - alpha_bar. A time is a number or a tensor, and what is returned has its shape; a plain number is worked out in
    float64. A time outside [0, 1] raises ValueError, unless it is on an accelerator.

    The same schedule is also a stochastic differential equation, dx = drift(t) x dt + diffusion(t) dw, whose marginals are
    alpha(t) x_0 + sigma(t) noise (Song et al. 2021, eq. 5 and 29).
    """

    def __init__(self, log_alpha_bar: Callable[[torch.Tensor], torch.Tensor], name: str = "schedule", variance=None):
        self._log_alpha_bar, self.name, self._variance = log_alpha_bar, name, variance

    def log_alpha_bar(self, t) -> torch.Tensor:
        """log alpha_bar(t), at most 0."""
        return self._log_alpha_bar(_as_time(t))

    def variance(self, t) -> torch.Tensor:
        """sigma^2(t), the variance of the noise."""
        return torch.expm1(self.log_alpha_bar(t)).abs() if self._variance is None else self._variance(_as_time(t))

    def alpha_bar(self, t) -> torch.Tensor:
        """The share of the variance that is still image, in [0, 1]."""
        return self.log_alpha_bar(t).exp()

    def alpha(self, t) -> torch.Tensor:
        """The factor of the image."""
        return (0.5 * self.log_alpha_bar(t)).exp()

    def sigma(self, t) -> torch.Tensor:
        """The factor of the noise, which is its standard deviation."""
        return self.variance(t).sqrt()

    def log_snr(self, t) -> torch.Tensor:
        """log(alpha^2 / sigma^2), the signal-to-noise ratio's logarithm; infinite where there is no noise."""
        return self.log_alpha_bar(t) - self.variance(t).log()

    def drift(self, t) -> torch.Tensor:
        """f(t) of the forward equation dx = f x dt + g dw: the slope of log alpha, by autograd."""
        return 0.5 * _slope(self.log_alpha_bar, t)

    def diffusion(self, t) -> torch.Tensor:
        """g(t) of the forward equation, from g^2 = d sigma^2 / dt - 2 f sigma^2 (Song et al. 2021, app. A)."""
        return (_slope(self.variance, t) - 2 * self.drift(t) * self.variance(t)).clamp(min=0).sqrt()

    def levels(self, t, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """alpha and sigma at t, a number or (B,), each as `spread` gives it, to multiply `like` (B, ...)."""
        return spread(self.alpha(t), like), spread(self.sigma(t), like)

    def times(self, steps: int, spacing: str = "uniform", end: float = 1e-3) -> list[float]:
        """steps + 1 times from 1 down to 0, for a sampler to walk along.

        spacing: "uniform" in t; "quadratic", denser where there is little noise (Song 2020, app. D.2); "log_snr", as
        much signal-to-noise from each to the next, down to t = `end` and then 0. Raises ValueError for another word, fewer
        steps than 1, or "log_snr" where the ratio at t = 1 or at `end` is no finite number.
        """
        if spacing not in SPACINGS:
            raise ValueError(f"spacing {spacing!r}: it should be one of {SPACINGS}")
        if not isinstance(steps, Integral) or steps < 1:
            raise ValueError(f"{steps} steps: it should be a whole number, at least 1")
        if spacing == "log_snr":
            low, high = self.log_snr(1.0).item(), self.log_snr(end).item()
            if not math.isfinite(high - low):
                raise ValueError(f"log_snr is {low:g} at t = 1 and {high:g} at the end {end:g}; both should be finite")
            return [1.0, *self.time_at(torch.linspace(low, high, steps, dtype=torch.float64)[1:]).tolist(), 0.0]
        power = 2 if spacing == "quadratic" else 1
        return [(1 - i / steps) ** power for i in range(steps + 1)]

    def time_at(self, log_snr) -> torch.Tensor:
        """The first time at which the signal-to-noise ratio's logarithm is down to `log_snr`, by bisection, in float64."""
        log_snr = torch.as_tensor(log_snr, dtype=torch.float64)
        low, high = torch.zeros_like(log_snr), torch.ones_like(log_snr)
        for _ in range(50):
            middle = (low + high) / 2
            above = self.log_snr(middle) > log_snr
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        return high


def cosine(offset: float = 0.008, floor: float = 1e-5) -> Schedule:
    """alpha_bar = cos^2 of t's share of a right angle (Nichol & Dhariwal 2021, eq. 17), but never below `floor`."""
    if not (offset >= 0 and 0 < floor < 1):
        raise ValueError(f"offset {offset}, floor {floor}: offset should be 0 or more, and floor between 0 and 1")
    first = offset / (1 + offset) * (math.pi / 2)  # the angle at t = 0

    def log_alpha_bar(t):
        turn = t / (1 + offset) * (math.pi / 2)
        lost = 2 * (turn / 2).sin().square() + turn.sin() * math.tan(first)  # 1 - cos(first + turn) / cos(first)
        return (2 * torch.log1p(-lost.clamp(max=1 - 1e-7))).clamp(math.log(floor), 0)

    return Schedule(log_alpha_bar, "cosine")


def from_betas(betas: torch.Tensor, name: str = "betas") -> Schedule:
    """The discrete schedule of `betas` (T,): step i of 1..T is t = i / T, and t = 0 is the image itself.

    alpha_bar at step i is the product of (1 - beta) up to i (Ho et al. 2020, sec. 2). Between steps its logarithm is
    interpolated linearly. Raises ValueError where a beta is not in (0, 1).
    """
    betas = torch.as_tensor(betas.cpu() if isinstance(betas, torch.Tensor) else betas, dtype=torch.float64)
    if betas.ndim != 1 or not len(betas) or not ((betas > 0) & (betas < 1)).all():
        raise ValueError(f"betas {tuple(betas.shape)}, {betas.flatten()[:4].tolist()}...: should be (T,), each between 0 and 1")
    table = torch.cat([torch.zeros(1, dtype=torch.float64), torch.log1p(-betas).cumsum(0)])  # (T + 1,)

    def log_alpha_bar(t):
        known = table.to(t.dtype).to(t.device)
        place = (t * len(betas)).clamp(0, len(betas))
        left = place.floor().clamp(max=len(betas) - 1).long()
        return torch.lerp(known[left], known[left + 1], place - left)

    return Schedule(log_alpha_bar, name)


def linear(steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Schedule:
    """Betas that grow linearly (Ho et al. 2020, sec. 4)."""
    return from_betas(torch.linspace(first, last, steps, dtype=torch.float64), "linear")
