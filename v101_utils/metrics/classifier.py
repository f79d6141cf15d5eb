"""A small classifier, an independent judge of generated images."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from v101_utils.runtime import device_of
from v101_utils.training.task import Task, adamw


class Classifier(nn.Module):
    """Images (B, channels, size, size) in [-1, 1] to logits (B, classes), by way of `features` (B, 128).

    The image is folded by 2, then each of `strides` is a convolution to as many channels as `widths` says. Raises
    ValueError where `size` is not a multiple of 2 times the strides.
    """

    num_features = 128  # the name that torchmetrics looks for

    def __init__(self, channels: int = 1, size: int = 28, classes: int = 10, widths=(32, 64, 64), strides=(1, 2, 1), dropout=0.3):
        super().__init__()
        if size % (2 * math.prod(strides)):
            raise ValueError(f"size {size} should be a multiple of {2 * math.prod(strides)}: folded by 2, then strides {strides}")

        def block(a, b, stride):
            return [nn.Conv2d(a, b, 3, stride, 1), nn.BatchNorm2d(b), nn.ReLU()]

        side, entering = size // (2 * math.prod(strides)), [4 * channels, *widths[:-1]]
        layers = [layer for a, b, stride in zip(entering, widths, strides, strict=True) for layer in block(a, b, stride)]
        self.features = nn.Sequential(
            nn.PixelUnshuffle(2), *layers,  # (B, widths[-1], side, side)
            nn.Flatten(), nn.Dropout(dropout), nn.Linear(widths[-1] * side**2, self.num_features), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(self.num_features, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images))


class ClassifierTask(Task):
    """Cross-entropy on batches (images, labels)."""

    def __init__(self, model: nn.Module, lr: float = 4e-3):
        super().__init__()
        self.model = model
        self.optimisers = {"model": adamw(model.parameters(), lr)}

    def training_step(self, batch, minimise):
        images, labels = batch
        logits = self.model(images)
        loss = F.cross_entropy(logits, labels)
        minimise(loss, self.optimisers["model"])
        return {"loss": loss, "accuracy": (logits.argmax(1) == labels).float().mean()}


@torch.no_grad()
def recognised(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The class (N,) that `model` takes each of the images (N, 1, 28, 28) in [-1, 1] for."""
    return torch.cat([model(part.to(device_of(model))).argmax(1) for part in images.split(500)])


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The fraction of images (N, 1, 28, 28) in [-1, 1] that `model` labels right."""
    return recognised(model, images).cpu().eq(labels.cpu()).float().mean().item()
