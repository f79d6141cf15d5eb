"""SRGAN: a critic asks for the detail that a squared error averages away; and a way back towards the safe answer."""

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import nn
from torch.nn import functional as F

from v101_utils.gans.constraints import Constraint
from v101_utils.gans.objectives import Objective
from v101_utils.gans.task import AdversarialTask
from v101_utils.superres.models import PatchDiscriminator, SRResNet
from v101_utils.superres.resize import FACTORS, shrink
from v101_utils.superres.task import check_crops, check_factors


def feature_error(features: Callable, made: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The mean over layers of the mean squared difference of features: the content loss of Ledig et al. 2017, eq. 5.

    features: images (B, 3, H, W) in [-1, 1] to features (B, C, h, w), or a dictionary of such by layer.
    """
    ours, theirs = features(made), features(truth)
    if isinstance(ours, torch.Tensor):
        ours, theirs = {"": ours}, {"": theirs}
    return torch.stack([F.mse_loss(ours[layer], theirs[layer]) for layer in ours]).mean()


class SRGANTask(AdversarialTask):
    """Trains `model`, best one that was trained by a squared error first, against `critic` (Ledig et al. 2017, sec. 2.2).

    A batch is as for `RestorationTask`. The critic takes a step on truth and enlargement, then the model one on

        pixel * mean |made - truth|  +  content * feature_error  +  adversarial * (what the objective makes of the scores).

    The paper has the last two, features of VGG-19 and a weight of 1e-3; there the pixels' term is left to the training
    before. It keeps colours where they belong, as in the "Pix" term of ESRGAN (Wang et al. 2018, sec. 3.2, eq. 3).

    features: as in `feature_error`; None leaves the content out. factors: drawn from anew at each step; one named twice comes
    twice as often. rates: of model and critic. constraint: on the critic, as in `AdversarialTask`.
    Scalars: each of the model's three parts, unweighted; the critic's loss, mean scores and penalty.
    Raises ValueError for factors that the model was not made for, negative weights, crops of another shape.
    """

    def __init__(
        self, model: SRResNet, critic: PatchDiscriminator, features: nn.Module | None = None, *, pixel: float = 1.0,
        content: float = 1.0, adversarial: float = 1e-3, factors=FACTORS, objective_: str | Objective = "non-saturating",
        constraint: Constraint | None = None, rates=(1e-4, 1e-4), betas=(0.9, 0.99),
    ):  # fmt: skip
        if min(pixel, content, adversarial) < 0:
            raise ValueError(f"pixel {pixel}, content {content}, adversarial {adversarial}: each weight should be 0 at least")
        factors = check_factors(model, factors)
        super().__init__(model, critic, objective_, constraint, rates=rates, betas=betas)
        self.factors, self.features = factors, features
        self.weights = {"pixel": pixel, "content": content, "adversarial": adversarial}

    def parts(self, made: torch.Tensor, truth: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the model minimises of an enlargement (B, 3, S, S), before it is weighted."""
        return {
            "pixel": F.l1_loss(made, truth),
            "content": made.new_zeros(()) if self.features is None else feature_error(self.features, made, truth),
            "adversarial": self.objective.generator(self.score(made)),
        }

    def training_step(self, batch, minimise):
        truth = batch[0] if isinstance(batch, (tuple, list)) else batch
        check_crops(truth)
        factor = self.factors[int(torch.randint(len(self.factors), ()))]
        made = self.generator(shrink(truth, factor), factor).float()  # (B, 3, S, S)
        scalars = self.discriminator_step(truth, made.detach(), None, minimise)
        parts = self.parts(made, truth)
        idle = sum(p.sum() for p in self.generator.parameters() if p.requires_grad)  # see RestorationTask
        loss = sum(self.weights[name] * part for name, part in parts.items())
        minimise(loss + 0 * idle, self.optimisers["generator"])
        return parts | scalars


@torch.no_grad()
def blend(psnr_model: nn.Module, gan_model: nn.Module, amount: float) -> nn.Module:
    """A new network of weights (1 - amount) those of one plus amount those of the other (Wang et al. 2018, sec. 3.4, eq. 4).

    It works because the second was trained from the first, so that their weights mean the same; the pictures then go
    smoothly from few wrong pixels to crisp ones. amount: from 0, the first, to 1. In the mode of the first, without gradients.
    Raises ValueError for another amount, or networks whose weights differ in names or shapes.
    """
    if not 0 <= amount <= 1:
        raise ValueError(f"amount {amount}: it should be from 0, the first network, to 1, the second")
    first, second = psnr_model.state_dict(), gan_model.state_dict()
    wrong = [name for name in first.keys() | second.keys()
             if name not in first or name not in second or first[name].shape != second[name].shape]  # fmt: skip
    if wrong:
        right = "both should be built alike, the second trained from the first"
        raise ValueError(f"the networks differ in {sorted(wrong)[0]}; {right}")
    mixed = deepcopy(psnr_model).requires_grad_(False)
    for name, tensor in mixed.state_dict().items():
        if tensor.is_floating_point():  # not a count of batches, as BatchNorm has
            tensor.lerp_(second[name].to(tensor), amount)
    return mixed
