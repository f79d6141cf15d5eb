"""A network that has learned to see the image behind the noise, and what it predicts: eps, x0 or v."""

from typing import NamedTuple

import torch
from torch import nn
from tqdm import tqdm

from v101_utils.data.labels import check_count, labels_for
from v101_utils.diffusion.guidance import Clipped, Guided
from v101_utils.diffusion.sample import rule_of, trajectory
from v101_utils.diffusion.schedule import Schedule
from v101_utils.runtime import device_of, generator

PREDICTS = ("eps", "x0", "v")


class Prediction(NamedTuple):
    """What a denoiser sees in x_t: the image `x0` and the noise `eps`, both of x_t's shape; x_t = alpha x0 + sigma eps."""

    x0: torch.Tensor
    eps: torch.Tensor


def check_predicts(word: str) -> None:
    if word not in PREDICTS:
        raise ValueError(f"predicts {word!r}; it should be one of {PREDICTS}")


def both(predicts: str, output: torch.Tensor, x: torch.Tensor, alpha, sigma) -> Prediction:
    """x0 and eps from one of three ways to predict them.

    eps: the noise (Ho et al. 2020). x0: the image. v = alpha eps - sigma x0 (Salimans & Ho 2022, sec. 4 and app. D). Where
    a division would be by zero (eps at pure noise, x0 at none) the divisor is 1e-4.
    """
    check_predicts(predicts)
    if predicts == "eps":
        return Prediction((x - sigma * output) / alpha.clamp(min=1e-4), output)
    if predicts == "x0":
        return Prediction(output, (x - alpha * output) / sigma.clamp(min=1e-4))
    return Prediction(alpha * x - sigma * output, sigma * x + alpha * output)


def target(predicts: str, x0: torch.Tensor, eps: torch.Tensor, alpha, sigma) -> torch.Tensor:
    """What the network's output should be."""
    check_predicts(predicts)
    return {"eps": lambda: eps, "x0": lambda: x0, "v": lambda: alpha * eps - sigma * x0}[predicts]()


class Denoiser(nn.Module):
    """`network(x, t, labels)` with a schedule and the word for what it predicts.

    Called with x (B, ...), a time t (a number or (B,)) and labels (B,) or None, it returns a `Prediction`. This, with
    `schedule` and `classes` (the number of labels, which is also the null label), is all that samplers and guidance
    know of a denoiser, so that exact ones and wrapped ones serve as well. bounded: whether what it draws lies in [-1, 1], as
    images do and latents do not.
    """

    def __init__(self, network: nn.Module, schedule: Schedule, predicts: str = "v", bounded: bool = True):
        super().__init__()
        check_predicts(predicts)
        self.network, self.schedule, self.predicts, self.bounded = network, schedule, predicts, bounded
        self.classes, self.shape = getattr(network, "classes", 0), getattr(network, "shape", None)
        self.label_shape = getattr(network, "label_shape", ())  # of one image's label: () for a class, (words,) for a prompt

    def forward(self, x: torch.Tensor, t, labels: torch.Tensor | None = None) -> Prediction:
        alpha, sigma = self.schedule.levels(t, x)
        t = torch.as_tensor(t, dtype=x.dtype, device=x.device).expand(len(x))  # (B,)
        output = self.network(x, t, labels).to(x.dtype)  # a half under autocast
        return both(self.predicts, output, x, alpha, sigma)

    def sample(self, count: int, seed: int = 0, *, labels=None, steps: int | None = None, sampler="dpm",
               eta: float | None = None, guidance: float = 1.0, progress: bool = False) -> torch.Tensor:  # fmt: skip
        """`count` images (N, C, H, W), in [-1, 1] if `bounded`; a pure function of its arguments.

        labels: as `labels_for` takes them. sampler: one of SAMPLERS, or a rule; eta, from 0 on, for "ddim" alone. steps: None
        is 50, or 1 for "ode", which chooses its own within each.
        guidance: from 0 on, 1 is none. progress: show a bar of all steps. Raises ValueError for anything else, before any
        work.
        """
        if self.shape is None:
            raise ValueError("the network should say the shape of an image: `network.shape`, such as (1, 28, 28)")
        steps = steps if steps is not None else 1 if sampler == "ode" else 50
        chosen, times = self.labels_for(labels, count), self.schedule.times(steps)
        if chosen is None and guidance != 1:
            raise ValueError(f"guidance {guidance:g} needs labels: without them there is nothing to guide to")
        rule, denoiser = rule_of(sampler, eta), self if guidance == 1 else Guided(self, guidance)
        if self.bounded and sampler != "ode":  # an adaptive solver takes ever smaller steps over the kinks of a clipped field
            denoiser = Clipped(denoiser)
        draws = {start: generator(seed, start) for start in range(0, count, 250)}  # each batch has its own noise
        device, parts = device_of(self), []
        with tqdm(total=steps * len(draws), desc="sampling", unit="step", disable=not progress) as bar:
            for start, draw in draws.items():
                noise = torch.randn(min(250, count - start), *self.shape, generator=draw).to(device) * self.schedule.sigma(1.0).item()
                mine = None if chosen is None else chosen[start : start + 250].to(device)
                for state in trajectory(denoiser, noise, rule, times, labels=mine, generator=draw):
                    bar.update()
                parts.append(state.x.clamp(-1, 1) if self.bounded else state.x)
        return torch.cat(parts)

    def labels_for(self, labels, count: int) -> torch.Tensor | None:
        """The labels (N,) of `count` samples, or None where the network is to see none.

        labels: integers, repeated if there are fewer than `count`; None for a fair mix of all classes, or for no words where
        labels are prompts (n, words); or "none" for the null label. Raises ValueError for anything else, or a count below 1.
        """
        silent = labels is None and self.label_shape  # a prompt that was not given says nothing
        if self.classes and (silent or isinstance(labels, str) and labels == "none"):
            check_count(count)
            return None
        return labels_for(labels, count, self.classes, *self.label_shape)
