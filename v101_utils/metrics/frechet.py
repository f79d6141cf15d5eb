"""The Frechet distance between two sets of images, on the features of a classifier."""

from copy import deepcopy

import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from v101_utils.data.images import to_signed
from v101_utils.runtime import device_of


class FrechetDistance:
    """The distance of Gaussians fitted to features (Heusel et al. 2017, eq. 6) of `reference` and of other images.

    The features are those of a classifier trained on this data, not Inception's: figures compare with each other, not
    with a paper's FID. It falls as the number of images grows, so state that number; below 2,000 it is noise.
    """

    def __init__(self, reference: torch.Tensor, classifier: nn.Module):
        features = deepcopy(classifier.features).eval()
        features.num_features = classifier.num_features  # torchmetrics looks for it
        # each process measures for itself: sync_on_compute would wait for the others
        self.metric = FrechetInceptionDistance(
            features, reset_real_features=False, sync_on_compute=False, input_img_size=tuple(reference.shape[1:]))
        self.metric.to(device_of(features))
        self._add(reference, real=True)

    @torch.no_grad()
    def _add(self, images: torch.Tensor, real: bool) -> None:
        if images.ndim != 4 or len(images) < 2:
            raise ValueError(f"images are {tuple(images.shape)}; they should be (N, C, H, W) in [0, 1], N at least 2 for a covariance")
        if not (0 <= images.min() and images.max() <= 1):
            raise ValueError(f"images {tuple(images.shape)} in [{images.min():g}, {images.max():g}]; they should be (N, C, H, W) in [0, 1]")
        for part in images.split(500):
            self.metric.update(to_signed(part.to(self.metric.device)), real=real)

    def __call__(self, images: torch.Tensor) -> float:
        """The distance of images (N, C, H, W) in [0, 1], N at least 2, from the reference."""
        self.metric.reset()  # forgets the last images, keeps the reference
        self._add(images, real=False)
        return self.metric.compute().item()
