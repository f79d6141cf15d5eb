"""Diffusion in continuous time (Song et al. 2021): three forward equations, and the ways back by their scores.

A `Schedule` is such an equation, dx = f x dt + g dw. Each rule here walks back from t to s, as those of `samplers` do:
down the reverse equation dx = (f x - g^2 score) dt + g dw, or along the probability-flow equation, without noise.
"""

import math
from collections.abc import Callable

import torch

from v101_utils.diffusion.guidance import Wrapped
from v101_utils.diffusion.samplers import State, check_falling, levels
from v101_utils.diffusion.schedule import Schedule, spread


def vp(first: float = 0.1, last: float = 20.0) -> Schedule:
    """Variance preserving: beta grows linearly from `first` to `last` (eq. 32 and 33), DDPM's in the limit of many steps."""
    return Schedule(_linear_beta(first, last), "VP")


def sub_vp(first: float = 0.1, last: float = 20.0) -> Schedule:
    """As VP, with less noise on the way: sigma = 1 - alpha_bar, at most that of VP (eq. 29)."""
    log_alpha_bar = _linear_beta(first, last)
    return Schedule(log_alpha_bar, "sub-VP", lambda t: torch.expm1(log_alpha_bar(t)).square())


def ve(low: float = 0.01, high: float = 50.0) -> Schedule:
    """Variance exploding: the image stays, and noise is heaped on it, from `low` geometrically up to `high` (eq. 30)."""
    if not 0 < low < high < math.inf:
        raise ValueError(f"low {low}, high {high}: it should be 0 < low < high")
    return Schedule(lambda t: 0.0 * t, "VE", lambda t: low**2 * torch.expm1(2 * math.log(high / low) * t))


def _linear_beta(first: float, last: float) -> Callable:
    if not 0 < first <= last < math.inf:
        raise ValueError(f"first {first}, last {last}: they should be 0 < first <= last")
    return lambda t: -first * t - 0.5 * (last - first) * t.square()  # minus the integral of beta


class Rescheduled(Wrapped):
    """A denoiser that was made for one schedule, for another: the same noise, looked at in other units.

    What a network has to know is how much noise there is for the image, sigma / alpha. So x at time t of `schedule` is
    scaled to what it would have been under the old one, at the old time of the same ratio; image and noise are as found.
    Raises ValueError where the new schedule ends with more noise for the image than the old one knows.
    """

    def __init__(self, denoiser, schedule: Schedule):
        super().__init__(denoiser)
        new, known = schedule.log_snr(1.0).item(), denoiser.schedule.log_snr(1.0).item()
        if new < known - 1e-6:
            raise ValueError(f"{schedule.name} ends with {math.exp(-new / 2):.4g} times as much noise as image, and the denoiser was "
                             f"made for {math.exp(-known / 2):.4g} at most: choose a schedule that ends earlier")
        self.schedule, self.shape = schedule, getattr(denoiser, "shape", None)

    def forward(self, x: torch.Tensor, t, labels: torch.Tensor | None = None):
        old, t = self.denoiser.schedule, t.detach().cpu().double() if isinstance(t, torch.Tensor) else t
        old_t = old.time_at(self.schedule.log_snr(t))  # a number or (B,), in float64
        return self.denoiser(x * spread(old.alpha(old_t) / self.schedule.alpha(t), x), old_t, labels)


def score(denoiser, x: torch.Tensor, t, labels: torch.Tensor | None = None) -> torch.Tensor:
    """The gradient of log p_t at x (B, ...): minus the noise in it, over its standard deviation (Vincent 2011). t above 0."""
    return -denoiser(x, t, labels).eps / denoiser.schedule.levels(t, x)[1]


def euler_maruyama() -> Callable:
    """The reverse equation in straight strides (Song et al. 2021, eq. 6); the last one, to no noise at all, adds none."""

    def rule(denoise, state: State, s: float, noise) -> State:
        (_, sigma_t, _, sigma_s), x = levels(denoise.schedule, state.t, s), state.x
        check_falling("euler_maruyama", state.t, s, sigma_t, sigma_s)
        f, g, h = denoise.schedule.drift(state.t).item(), denoise.schedule.diffusion(state.t).item(), state.t - s
        x0, eps = denoise(x, state.t)
        x = x - h * (f * x + g**2 / sigma_t * eps)  # the score is -eps / sigma
        return State(x + g * h**0.5 * noise() if sigma_s else x, s, x0, state.t)

    return rule


def predictor_corrector(snr: float = 0.16, corrections: int = 1, predictor: Callable | None = None) -> Callable:
    """A step of `predictor`, Euler-Maruyama if none is given, then Langevin steps at the new time (alg. 1, 4 and 5).

    snr: how large a Langevin step is, as the ratio of what the score moves to what its noise does, each a mean length over
    the batch. The corrector knows only the marginal at s, and pulls back to it what the predictor has misplaced.
    """
    if not (0 <= snr < math.inf and corrections >= 0):
        raise ValueError(f"snr {snr}, corrections {corrections}: both should be 0 or more; 0 is no correction")
    predictor = predictor or euler_maruyama()

    def rule(denoise, state: State, s: float, noise) -> State:
        a_t, sigma_t, a_s, sigma_s = levels(denoise.schedule, state.t, s)
        after = predictor(denoise, state, s, noise)
        if sigma_s == 0 or snr == 0:
            return after
        x = after.x
        for _ in range(corrections):
            pull, z = -denoise(x, s).eps / sigma_s, noise()
            of_noise, of_pull = (v.flatten(1).norm(dim=1).mean() for v in (z, pull))
            size = 2 * (a_t / a_s) ** 2 * (snr * of_noise / of_pull) ** 2
            x = x + size * pull + (2 * size).sqrt() * z
        return after._replace(x=x)

    return rule


# The probability-flow equation dx = (f x - g^2 score / 2) dt has the same marginals, without noise (eq. 13). In the
# variables u = x / alpha and rho = sigma / alpha it is du = eps d rho: one equation for every schedule. DDIM is Euler there.


def heun() -> Callable:
    """Heun's second-order method along the probability flow, two calls a step (Karras et al. 2022, alg. 1); times may rise.

    A step to no noise at all is Euler's, with one call.
    """

    def rule(denoise, state: State, s: float, noise) -> State:
        a_t, sigma_t, a_s, sigma_s = levels(denoise.schedule, state.t, s)
        x0, eps = denoise(state.x, state.t)
        u, stride = state.x / a_t, sigma_s / a_s - sigma_t / a_t
        if sigma_s:
            eps = (eps + denoise(a_s * (u + stride * eps), s).eps) / 2
        return State(a_s * (u + stride * eps), s, x0, state.t)

    return rule


def flow_slope(denoise) -> Callable:
    """du / d rho at (rho, u), a number and (B, ...): the noise in x = alpha u."""

    def slope(rho, u):
        t = denoise.schedule.time_at(-2 * torch.tensor(float(rho), dtype=torch.float64).log()).item()
        return denoise(denoise.schedule.alpha(t).item() * u, t).eps

    return slope


def ode(rtol: float = 1e-4, atol: float = 1e-4) -> Callable:
    """The probability flow from t to s by an adaptive solver, Dormand and Prince's of order 5 (torchdiffeq): one stride will do.

    Raises ArithmeticError where the field is so rough that no step is small enough.
    """
    if not (0 < rtol < 1 and 0 < atol < math.inf):
        raise ValueError(f"rtol {rtol}, atol {atol}: they should be small positive numbers, such as 1e-4")

    def rule(denoise, state: State, s: float, noise) -> State:
        from torchdiffeq import odeint

        a_t, sigma_t, a_s, sigma_s = levels(denoise.schedule, state.t, s)
        ends = torch.tensor([sigma_t / a_t, sigma_s / a_s], dtype=torch.float64)
        start, ends = state.x / a_t, ends.to(state.x.dtype).to(state.x.device)
        try:
            u = odeint(flow_slope(denoise), start, ends, rtol=rtol, atol=atol, method="dopri5")[-1]
        except AssertionError as error:  # its way to say that no step is small enough
            raise ArithmeticError(f"the solver came to a halt ({error}): the field is not smooth there; try larger tolerances") from error
        return State(a_s * u, s)

    return rule
