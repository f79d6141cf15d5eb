"""A pair of small networks for points in the plane, where the whole game can be drawn, and a setting that covers a ring."""

from collections.abc import Callable, Iterator

import torch
from torch import nn

from v101_utils.gans.constraints import R1, Constraint
from v101_utils.gans.objectives import Objective
from v101_utils.gans.task import AdversarialTask
from v101_utils.runtime import Plan, device_of
from v101_utils.runtime import generator as random_generator
from v101_utils.training import Ema, Step, fit, warmup_cosine

RING_STEPS = 2500  # of `train_points` with `ring_task`, after which all of its modes are covered


def mlp(inputs: int, outputs: int, hidden: int, depth: int, slope: float = 0.2) -> nn.Sequential:
    """`depth` hidden layers with leaky ReLU, of `slope` below 0, and a linear one."""
    sides = [inputs, *[hidden] * depth]
    layers = [part for a, b in zip(sides, sides[1:]) for part in (nn.Linear(a, b), nn.LeakyReLU(slope))]
    return nn.Sequential(*layers, nn.Linear(sides[-1], outputs))


class PointGenerator(nn.Module):
    """Latents (B, latent_dim) to points (B, 2).

    Its units are ReLU without a leak: a cloud of latents is in one piece, and must be torn to lie on several modes.
    """

    def __init__(self, latent_dim: int = 2, hidden: int = 128, depth: int = 3):
        super().__init__()
        self.latent_dim, self.layers = latent_dim, mlp(latent_dim, 2, hidden, depth, slope=0.0)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return self.layers(latents)

    @torch.no_grad()
    def sample(self, count: int, seed: int = 0) -> torch.Tensor:
        """`count` points (N, 2); a pure function of the seed."""
        latents = torch.randn(count, self.latent_dim, generator=random_generator(seed))
        return self(latents.to(device_of(self)))


class PointDiscriminator(nn.Module):
    """Points (B, 2) to raw scores (B,)."""

    def __init__(self, hidden: int = 128, depth: int = 3):
        super().__init__()
        self.layers = mlp(2, 1, hidden, depth)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        return self.layers(points)[:, 0]


def ring_task(
    seed: int = 0, objective: str | Objective = "non-saturating", constraint: Constraint | None = None, *,
    hidden: int = 128, rates=(1e-3, 2e-3), betas=(0.5, 0.99), critic_steps: int = 1,
) -> AdversarialTask:  # fmt: skip
    """The game on `data.Ring` in the setting that covers all eight modes, any part of which can be exchanged.

    A pure function of the seed. constraint: None is the recommended R1, `Constraint()` is none at all.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # of the CPU alone, where weights are drawn
        pair = PointGenerator(hidden=hidden), PointDiscriminator()
    constraint = R1(0.01) if constraint is None else constraint
    return AdversarialTask(*pair, objective, constraint, rates=rates, betas=betas, critic_steps=critic_steps)


def train_points(
    task: AdversarialTask, batches: Callable, steps: int = RING_STEPS, seed: int = 0
) -> Iterator[tuple[Step, PointGenerator]]:
    """Trains `task` on `batches`, such as `Ring().batches(256)`; yields what `fit` does, with the averaged generator beside it.

    The rates rise for 100 steps and then fall to zero: the players turn about each other, and come to rest as they slow down.
    """
    ema = Ema(task.generator, 0.99)
    lr_schedule, plan = warmup_cosine(steps), Plan()  # so small that no plan is worth measuring
    for step in fit(task, batches, steps, seed=seed, ema=ema, lr_schedule=lr_schedule, plan=plan, progress=False):
        yield step, ema.average
