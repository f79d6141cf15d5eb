"""Style transfer: features, and statistics of them that are a style."""

from v101_utils.style.blend import describe_blend, parse_blend
from v101_utils.style.colours import as_bright, grey, palette, with_colours
from v101_utils.style.fast import FastStyleTask, StyleStatistics
from v101_utils.style.features import SQUEEZENET_LAYERS, VGG, VGG_LAYERS, Features, FilterBank, SqueezeNet
from v101_utils.style.gatys import Aim, Stylised, coarse_to_fine, last, stylise
from v101_utils.style.network import StyleNetwork
from v101_utils.style.statistics import content_loss, gram, moments, sliced, style_loss, total_variation

__all__ = [
    "Aim", "FastStyleTask", "Features", "FilterBank", "SQUEEZENET_LAYERS", "SqueezeNet", "StyleNetwork", "StyleStatistics",
    "Stylised", "VGG", "VGG_LAYERS", "as_bright", "coarse_to_fine", "content_loss", "describe_blend", "gram", "grey", "last",
    "moments", "palette", "parse_blend", "sliced", "style_loss", "stylise", "total_variation", "with_colours",
]  # fmt: skip
