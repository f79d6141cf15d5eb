"""A judge of pictures of shapes: which words of a prompt does it see?"""

import torch
from torch.nn import functional as F

from v101_utils.data.prompts import CHOICES, SIZES, STARTS, WORDS
from v101_utils.metrics.classifier import Classifier
from v101_utils.training.task import Task, adamw


class PromptClassifier(Classifier):
    """Images (B, 3, 64, 64) in [-1, 1] to logits (B, words), a group of them for each factor of a prompt."""

    def __init__(self):
        super().__init__(3, 64, len(WORDS), widths=(32, 64, 64, 128), strides=(1, 2, 2, 2), dropout=0.0)

    @torch.no_grad()
    def read(self, images: torch.Tensor) -> torch.Tensor:
        """The prompts (N, 4) that it reads in images (N, 3, 64, 64): the likeliest word of each factor."""
        where = self.head.weight.device
        logits = torch.cat([self(part.to(where)) for part in images.split(500)])
        words = [group.argmax(1) + start for group, start in zip(logits.split(SIZES, dim=1), STARTS)]
        return torch.stack(words, dim=1)


class PromptTask(Task):
    """Cross-entropy of each factor's word, added up, on batches (images, prompts (B, 4))."""

    def __init__(self, model: PromptClassifier, lr: float = 2e-3):
        super().__init__()
        self.model = model
        self.optimisers = {"model": adamw(model.parameters(), lr)}

    def training_step(self, batch, minimise):
        images, prompts = batch
        groups = self.model(images).split(SIZES, dim=1)
        losses = [F.cross_entropy(group, column - start) for group, column, start in zip(groups, prompts.T, STARTS)]
        loss = torch.stack(losses).sum()
        minimise(loss, self.optimisers["model"])
        return {"loss": loss}


def words_right(judge: PromptClassifier, images: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
    """(N, 4), on the CPU: whether each word of prompts (N, 4) is the one that `judge` reads in images (N, 3, 64, 64) in [-1, 1].

    Raises ValueError unless there is a prompt for each image.
    """
    if prompts.shape != (len(images), len(CHOICES)):
        wanted = (len(images), len(CHOICES))
        raise ValueError(f"prompts {tuple(prompts.shape)} for {len(images)} images: they should be {wanted}")
    return judge.read(images).cpu() == prompts.cpu()
