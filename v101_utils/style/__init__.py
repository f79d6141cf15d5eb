"""Style transfer: features, and statistics of them that are a style."""

from v101_utils.style.features import VGG, VGG_LAYERS, Features, FilterBank
from v101_utils.style.statistics import content_loss, gram, moments, sliced, style_loss, total_variation

__all__ = [
    "Features", "FilterBank", "VGG", "VGG_LAYERS", "content_loss", "gram", "moments", "sliced", "style_loss", "total_variation",
]  # fmt: skip
