"""A small classifier of Fashion-MNIST, an independent judge of generated images."""

import torch
from torch import nn
from torch.nn import functional as F

from v101_utils.training.task import Task, adamw


class Classifier(nn.Module):
    """Images (B, 1, 28, 28) in [-1, 1] to logits (B, 10), by way of `features` (B, 128)."""

    num_features = 128  # the name that torchmetrics looks for

    def __init__(self):
        super().__init__()

        def block(a, b, stride):
            return [nn.Conv2d(a, b, 3, stride, 1), nn.BatchNorm2d(b), nn.ReLU()]

        self.features = nn.Sequential(
            nn.PixelUnshuffle(2), *block(4, 32, 1), *block(32, 64, 2), *block(64, 64, 1),  # (B, 64, 7, 7)
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 49, self.num_features), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(self.num_features, 10)

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
    return torch.cat([model(part).argmax(1) for part in images.split(500)])


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The fraction of images (N, 1, 28, 28) in [-1, 1] that `model` labels right."""
    return recognised(model, images).eq(labels).float().mean().item()
