"""Training a network to undo a shrink: small pictures are made of large ones, so that the truth is always known."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from v101_utils.superres.luma import rgb_to_ycbcr
from v101_utils.superres.resize import FACTORS, shrink
from v101_utils.training.task import Task, adamw


def charbonnier(made: torch.Tensor, truth: torch.Tensor, eps: float = 1e-3) -> torch.Tensor:
    """The mean of sqrt(difference^2 + eps^2): an absolute error that is smooth at 0, at least eps (Lai et al. 2017, sec. 3.2)."""
    return ((made - truth).square() + eps**2).sqrt().mean()


LOSSES = {"squared": F.mse_loss, "charbonnier": charbonnier}


def check_factors(model: nn.Module, factors) -> tuple[int, ...]:
    """The factors to train with, if the model, a `Restorer`, was made for each of them. Raises ValueError if not."""
    if not factors or not set(factors) <= set(model.factors):
        raise ValueError(f"factors {tuple(factors)}: they should be one or more of the model's, {model.factors}")
    return tuple(factors)


def check_crops(crops: torch.Tensor) -> None:
    """Raises ValueError unless every one of FACTORS divides the sides of crops (B, 3, S, S)."""
    multiple = math.lcm(*FACTORS)
    if crops.ndim != 4 or crops.shape[1] != 3 or any(side == 0 or side % multiple for side in crops.shape[2:]):
        raise ValueError(f"crops have shape {tuple(crops.shape)}; they should be (B, 3, S, S), S a multiple of {multiple}")


def _groups(model: nn.Module, lr: float) -> list[dict]:
    """The model's parameters, those of its last layers at a tenth of the rate: Dong et al. 2016 (sec. 3.3) found that it matters.

    A sum over hundreds of features moves far at each step, and such a network has but small corrections to make.
    """
    parts = {False: [], True: []}
    for name, parameter in model.named_parameters():
        parts[name.startswith("last.")].append(parameter)
    return [{"params": parts[False], "lr": lr}, {"params": parts[True], "lr": lr / 10}]


class RestorationTask(Task):
    """Shrinks crops by a factor drawn anew at each step, and trains `model`, a `Restorer`, to give them back.

    A batch is high-resolution crops (B, 3, S, S) in [-1, 1], first of a tuple or alone; S is a multiple of 12, so that each of
    2, 3 and 4 divides it. A model of one channel learns the Y of them in the units of `luma`, one of three RGB.

    lr: the learning rate of all layers but the last, which has a tenth of it. loss: "squared", the mean squared error and so
    PSNR itself, or "charbonnier", which forgives single wrong pixels more.
    Scalars: the loss; psnr, in dB, the mean over whole crops: borders count, so it is one to watch, not one to report.
    Raises ValueError for factors that the model was not made for, another loss, crops of another shape.
    """

    def __init__(self, model: nn.Module, factors=FACTORS, lr: float = 1e-3, loss: str = "squared"):
        super().__init__()
        self.factors = check_factors(model, factors)
        if loss not in LOSSES:
            raise ValueError(f"loss {loss!r}: it should be one of {', '.join(LOSSES)}")
        self.model, self.loss = model, LOSSES[loss]
        self.peak = 1.0 if model.channels == 1 else 2.0  # Y has a byte's 255 at 1; RGB runs from -1 to 1
        self.optimisers = {"model": adamw(_groups(model, lr), lr)}

    def pair(self, crops: torch.Tensor, factor: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What the model is given, (B, C, S / factor, S / factor), and should give back, (B, C, S, S), of RGB crops (B, 3, S, S).

        Raises ValueError for crops of another shape.
        """
        check_crops(crops)
        truth = rgb_to_ycbcr(crops)[:, :1] if self.model.channels == 1 else crops
        return shrink(truth, factor), truth

    def training_step(self, batch, minimise):
        crops = batch[0] if isinstance(batch, (tuple, list)) else batch
        factor = self.factors[int(torch.randint(len(self.factors), ()))]
        low, truth = self.pair(crops, factor)
        made = self.model(low, factor).float()  # (B, C, S, S)
        loss = self.loss(made, truth)
        error = (made.detach() - truth).square().mean((1, 2, 3)).clamp(min=1e-10)  # (B,), so that psnr stays finite
        # The layers of the other factors get gradients of zero: each process then has the same to average with the others.
        idle = sum(p.sum() for p in self.model.parameters() if p.requires_grad)
        minimise(loss + 0 * idle, self.optimisers["model"])
        return {"loss": loss, "psnr": 10 * (self.peak**2 / error).log10().mean()}
