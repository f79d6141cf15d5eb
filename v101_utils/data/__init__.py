"""Images in. Inside the project an image is a float tensor (B, C, H, W) in [-1, 1]."""

from v101_utils.data.batches import Batches
from v101_utils.data.fashion_mnist import CLASSES, fashion_mnist
from v101_utils.data.images import to_signed, to_unit

__all__ = ["Batches", "CLASSES", "fashion_mnist", "to_signed", "to_unit"]
