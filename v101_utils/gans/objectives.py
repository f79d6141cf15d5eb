"""What discriminator and generator minimise. Both see raw scores: no sigmoid stands before any of these."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn import functional as F


class Objective(NamedTuple):
    """`discriminator(real, fake)` and `generator(fake)`: scores (B,) to a loss that is to be minimised.

    real, fake: what the discriminator says of real and of generated images, higher meaning "more real".
    """

    name: str
    discriminator: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    generator: Callable[[torch.Tensor], torch.Tensor]


def _cross_entropy(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """-E log D(x) - E log(1 - D(G(z))), where D = sigmoid(score): softplus keeps it exact where a sigmoid saturates."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


# E log(1 - D(G(z))): the game as it is written (Goodfellow 2014, eq. 1); its gradient vanishes where D is sure
minimax = Objective("minimax", _cross_entropy, lambda fake: -F.softplus(fake).mean())
# -E log D(G(z)): the same optimum for D, and a gradient where D is sure (Goodfellow 2014, sec. 3)
non_saturating = Objective("non-saturating", _cross_entropy, lambda fake: F.softplus(-fake).mean())
least_squares = Objective(  # Mao 2017, eq. 9, with targets 1 and 0
    "least-squares",
    lambda real, fake: ((real - 1).square().mean() + fake.square().mean()) / 2,
    lambda fake: (fake - 1).square().mean() / 2,
)
# the critic maximises E D(x) - E D(G(z)), so it minimises the negative (Arjovsky 2017, alg. 1)
wasserstein = Objective("wasserstein", lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean())
hinge = Objective(  # Lim & Ye 2017; Miyato 2018, eq. 16 and 17
    "hinge", lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(), lambda fake: -fake.mean()
)

OBJECTIVES = {o.name: o for o in (minimax, non_saturating, least_squares, wasserstein, hinge)}


def objective(name: str | Objective) -> Objective:
    """The objective of that name; an objective itself is given back. Raises ValueError that lists the names there are."""
    if isinstance(name, Objective):
        return name
    if name not in OBJECTIVES:
        raise ValueError(f"no objective is called {name!r}; there are {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]
