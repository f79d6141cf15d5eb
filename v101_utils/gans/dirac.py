"""The simplest GAN there is: all data at 0, all fakes at theta, a discriminator psi * x (Dirac-GAN, Mescheder 2018, sec. 2)."""

from collections.abc import Callable

import torch

from v101_utils.gans.objectives import Objective, objective


class DiracGame:
    """A player is one number each, so a state of the game is a point (theta, psi) of the plane; at rest it is (0, 0).

    penalty: what is added to the discriminator's loss, a function of psi, which is the score's gradient at every x.
    bound: psi is put back into [-bound, bound] after each step (weight clipping).
    """

    def __init__(self, objective_: str | Objective = "non-saturating", penalty: Callable = torch.zeros_like,
                 bound: float = float("inf")):  # fmt: skip
        self.objective, self.penalty, self.bound = objective(objective_), penalty, bound

    def field(self, state: torch.Tensor) -> torch.Tensor:
        """Where each player's own gradient descent pushes it: states (..., 2) to -(dL_G / dtheta, dL_D / dpsi), (..., 2)."""
        state = state if state.requires_grad else state.detach().requires_grad_()
        theta, psi = state.unbind(-1)
        fake = psi * theta  # the score of the fakes; that of the data is psi * 0
        losses = self.objective.generator(fake), self.objective.discriminator(torch.zeros_like(fake), fake)  # means over states
        (down,) = torch.autograd.grad(losses[0] * fake.numel(), theta, create_graph=True)
        (slope,) = torch.autograd.grad(losses[1] * fake.numel() + self.penalty(psi).sum(), psi, create_graph=True)
        return -torch.stack([down, slope], dim=-1)

    def step(self, state: torch.Tensor, rate: float, alternating: bool = False) -> torch.Tensor:
        """One step of gradient descent of both players at once or, alternating, of psi first and then of theta."""
        theta, psi = state.unbind(-1)
        push = self.field(state).detach()
        psi = (psi + rate * push[..., 1]).clamp(-self.bound, self.bound)
        if alternating:
            push = self.field(torch.stack([theta, psi], dim=-1)).detach()
        return torch.stack([theta + rate * push[..., 0], psi], dim=-1)

    def walk(self, start: torch.Tensor, steps: int, rate: float = 0.1, alternating: bool = False) -> torch.Tensor:
        """The states (steps + 1, ..., 2) that gradient descent visits."""
        states = [start]
        for _ in range(steps):
            states.append(self.step(states[-1], rate, alternating))
        return torch.stack(states)
