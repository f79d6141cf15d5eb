"""Generative adversarial networks: an objective, a constraint, and a pair of networks, each chosen by itself."""

from v101_utils.gans.constraints import R1, Clip, Constraint, GradientPenalty, SpectralNorm, image_gradients
from v101_utils.gans.dcgan import Discriminator, Generator, dcgan_weights
from v101_utils.gans.equalised import EqualisedConv, EqualisedLinear, blur
from v101_utils.gans.growing import GrowingTask, Growth, grow_by, shrink
from v101_utils.gans.objectives import OBJECTIVES, Objective, objective
from v101_utils.gans.points import PointDiscriminator, PointGenerator
from v101_utils.gans.style_discriminator import StyleDiscriminator, minibatch_deviation
from v101_utils.gans.stylegan import AdaIN, Mapping, ModulatedLayer, StyledLayer, StyleGenerator
from v101_utils.gans.task import AdversarialTask

__all__ = [
    "AdaIN", "AdversarialTask", "Clip", "Constraint", "Discriminator", "EqualisedConv", "EqualisedLinear", "Generator",
    "GradientPenalty", "GrowingTask", "Growth", "Mapping", "ModulatedLayer", "OBJECTIVES", "Objective", "PointDiscriminator",
    "PointGenerator", "R1", "SpectralNorm", "StyleDiscriminator", "StyleGenerator", "StyledLayer", "blur", "dcgan_weights", "grow_by",
    "image_gradients", "minibatch_deviation", "objective", "shrink",
]  # fmt: skip
