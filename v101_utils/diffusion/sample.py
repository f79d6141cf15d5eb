"""The one sampling loop: any rule, on any denoiser, along any times."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from numbers import Real

import torch

from v101_utils.diffusion.samplers import State, ancestral, ddim, dpm
from v101_utils.diffusion.sde import euler_maruyama, ode, predictor_corrector

SAMPLERS = ("ddpm", "ddim", "dpm", "em", "pc", "ode")


def rule_of(name, eta: float | None = None) -> Callable:
    """The rule of that name; a rule itself is given back. Raises ValueError for another name, or an eta it does not have."""
    if not callable(name) and name not in SAMPLERS:
        raise ValueError(f"no sampler is called {name!r}; there are {', '.join(SAMPLERS)}")
    if eta is not None and name != "ddim":
        raise ValueError(f"eta belongs to the sampler 'ddim'; {name!r} has none: leave it out")
    if callable(name):
        return name
    rules = {"ddpm": ancestral, "ddim": lambda: ddim(eta or 0.0), "dpm": dpm, "em": euler_maruyama, "pc": predictor_corrector, "ode": ode}
    return rules[name]()


def check_labels(labels: torch.Tensor, classes: int, count: int, words=()) -> None:
    """Raises ValueError unless labels are (count, *words) integers from 0 to `classes`, the null label."""
    if not classes:
        raise ValueError("this denoiser knows no labels: leave them out")
    if labels.shape != (count, *words) or labels.is_floating_point() or not ((labels >= 0) & (labels <= classes)).all():
        each = " times ".join(map(str, (count, *words)))
        raise ValueError(f"labels {labels.tolist()}: they should be {each} integers, one for each image, "
                         f"from 0 to {classes - 1}, or {classes}, the null label")


class Labelled:
    """A denoiser with its labels filled in."""

    def __init__(self, denoiser, labels):
        self.denoiser, self.labels, self.schedule = denoiser, labels, denoiser.schedule

    def __call__(self, x, t):
        return self.denoiser(x, t, self.labels)


@torch.no_grad()
def trajectory(
    denoiser, x: torch.Tensor, sampler, steps: int | Sequence[float] = 50, *, labels=None, generator=None,
) -> Iterator[State]:  # fmt: skip
    """Yields a `State` after each step: x, its time, and the guess of the image that led there.

    x: (B, ...) at the first time, pure noise as a rule. sampler: a rule of `samplers`, or the name of one. steps: a number,
    for uniform times from 1 to 0, or the times themselves. labels: (B,), or prompts (B, words). generator: where a rule's fresh
    noise comes from, a CPU generator, so that the same seed gives the same noise on every device; None is torch's own.
    Raises ValueError, at the first step, for times that are not such and labels that there are not.
    """
    rule, times = rule_of(sampler), denoiser.schedule.times(steps) if isinstance(steps, Real) else [float(t) for t in steps]
    if len(times) < 2 or not all(0 <= t <= 1 for t in times) or any(t == s for t, s in pairwise(times)):
        raise ValueError(f"times {times}: they should be two or more, between 0 and 1, each another than the last")
    if labels is not None:
        labels = torch.as_tensor(labels, device=x.device)
        check_labels(labels, denoiser.classes, len(x), getattr(denoiser, "label_shape", ()))

    def noise():
        return torch.randn(x.shape, generator=generator).to(x.device, x.dtype)

    denoise, state = Labelled(denoiser, labels), State(x, times[0])
    for s in times[1:]:
        state = rule(denoise, state, s, noise)
        yield state


def sample(denoiser, x: torch.Tensor, sampler, steps: int | Sequence[float] = 50, *, labels=None, generator=None) -> torch.Tensor:
    """The x at which the `trajectory` of the same arguments ends."""
    for state in trajectory(denoiser, x, sampler, steps, labels=labels, generator=generator):
        pass
    return state.x
