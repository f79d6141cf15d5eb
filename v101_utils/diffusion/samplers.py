"""Sampler step rules: each takes x at one noise level to x at the next, and nothing else.

A rule is a pure function `rule(denoise, state, s, noise) -> State`. `denoise(x, t)` gives a `Prediction`; `noise()` gives
fresh normal noise of x's shape. `sample` walks a rule along a list of times.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

VARIANCES = ("posterior", "beta")


class State(NamedTuple):
    """Where a sampler is: x (B, ...) at time t, and the last guess of the image, made at the earlier time guessed_at."""

    x: torch.Tensor
    t: float
    guess: torch.Tensor | None = None
    guessed_at: float | None = None


def levels(schedule, *times: float) -> list[float]:
    """alpha and sigma of each time, as numbers."""
    return [level(t).item() for t in times for level in (schedule.alpha, schedule.sigma)]


def stride_variance(a_t: float, sigma_t: float, a_s: float, sigma_s: float) -> float:
    """The variance of x_t given x_s: beta_t, for a stride of any length; 1 - (a_t / a_s)^2 where variance is preserved."""
    return max(0.0, sigma_t**2 - (a_t / a_s * sigma_s) ** 2)


def check_falling(name: str, t: float, s: float, sigma_t: float, sigma_s: float) -> None:
    if not 0 <= sigma_s <= sigma_t or sigma_t == 0:
        raise ValueError(f"from t = {t:g} to {s:g} the noise goes from {sigma_t:.3g} to {sigma_s:.3g}: "
                         f"{name} can only take noise away; ddim at eta 0 goes both ways")


def ddim(eta: float = 0.0) -> Callable:
    """DDIM (Song et al. 2020, eq. 12 and 16): eta 0 is deterministic, eta 1 is ancestral sampling, for any stride.

    At eta 0 the times may also rise: an image is then taken to the noise it comes from.
    """
    if not 0 <= eta < math.inf:
        raise ValueError(f"eta {eta}: it should be 0 (no fresh noise) or more; 1 is ancestral sampling")

    def rule(denoise, state: State, s: float, noise) -> State:
        a_t, sigma_t, a_s, sigma_s = levels(denoise.schedule, state.t, s)
        x0, eps = denoise(state.x, state.t)
        fresh = 0.0  # the standard deviation of the new noise, which at most is all the noise there is
        if eta:
            check_falling(f"ddim at eta {eta:g}", state.t, s, sigma_t, sigma_s)
            fresh = min(sigma_s, eta * (sigma_s / sigma_t) * stride_variance(a_t, sigma_t, a_s, sigma_s) ** 0.5)
        x = a_s * x0 + (sigma_s**2 - fresh**2) ** 0.5 * eps
        return State(x + fresh * noise() if fresh else x, s, x0, state.t)

    return rule


def ancestral(variance: str = "posterior") -> Callable:
    """DDPM's ancestral sampling (Ho et al. 2020, eq. 7 and sec. 3.2), for any stride.

    variance: "posterior", exact for data that are a single point, or "beta", the stride's own beta_t, exact for normal data.
    The noise level of the last step is zero, and then no noise is added.
    """
    if variance not in VARIANCES:
        raise ValueError(f"variance {variance!r}; it should be one of {VARIANCES}")

    def rule(denoise, state: State, s: float, noise) -> State:
        a_t, sigma_t, a_s, sigma_s = levels(denoise.schedule, state.t, s)
        check_falling("ancestral sampling", state.t, s, sigma_t, sigma_s)
        x0 = denoise(state.x, state.t).x0
        a = a_t / a_s  # the stride's own alpha: not that of one of a thousand steps
        beta = stride_variance(a_t, sigma_t, a_s, sigma_s)
        mean = (a_s * beta * x0 + a * sigma_s**2 * state.x) / sigma_t**2
        if sigma_s == 0:
            return State(mean, s, x0, state.t)
        spread = beta if variance == "beta" else beta * (sigma_s / sigma_t) ** 2
        return State(mean + spread**0.5 * noise(), s, x0, state.t)

    return rule


def dpm() -> Callable:
    """DPM-Solver++(2M) (Lu et al. 2022, alg. 2): deterministic, second order, one call of the denoiser a step.

    The guess of the image is extrapolated in log(alpha / sigma) from the last two. The first step, and the last to no
    noise at all, are first order, which is DDIM.
    """

    def rule(denoise, state: State, s: float, noise) -> State:
        schedule = denoise.schedule
        _, sigma_t, a_s, sigma_s = levels(schedule, state.t, s)
        check_falling("dpm", state.t, s, sigma_t, sigma_s)
        x0 = denoise(state.x, state.t).x0
        lam_t, lam_s = (0.5 * schedule.log_snr(t).item() for t in (state.t, s))
        h, guess = lam_s - lam_t, x0
        if state.guess is not None and sigma_s > 0:
            before = lam_t - 0.5 * schedule.log_snr(state.guessed_at).item()
            if before > 0:
                guess = x0 + h / (2 * before) * (x0 - state.guess)
        x = (sigma_s / sigma_t) * state.x - a_s * math.expm1(-h) * guess
        return State(x, s, x0, state.t)

    return rule
