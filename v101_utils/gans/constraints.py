"""What keeps a discriminator tame: each limits how fast its score may change from one image to the next."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

MIXES_IMAGES = nn.modules.batchnorm._BatchNorm  # in one, two and three dimensions, and over processes


def image_gradients(discriminator, images: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
    """The gradient of each image's raw score with respect to that image, (B, D), itself differentiable.

    Where a layer looks at the whole batch (StyleGAN's minibatch deviation), what an image does to the other scores is in it, too.
    In float32 also under autocast: squared small numbers would be lost in fp16.
    """
    with torch.autocast(images.device.type, enabled=False):
        images = images.detach().float().requires_grad_(True)
        scores = discriminator(images) if labels is None else discriminator(images, labels)
        (gradients,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradients.flatten(1)


class Constraint:
    """Three occasions to hold a discriminator back; this one, the base, does nothing.

    every: a penalty is computed at every such step alone, `every` times as strong (lazy: Karras 2020, app. B).
    """

    every = 1

    def prepare(self, discriminator: nn.Module) -> None:
        """Called once, before the training. May change the module."""

    def penalty(self, discriminator, real, fake, labels=None) -> torch.Tensor | None:
        """A scalar that is added to the discriminator's loss, or None."""

    def after_step(self, discriminator: nn.Module) -> None:
        """Called after each of the discriminator's optimiser steps."""


class Clip(Constraint):
    """Every parameter is kept within [-bound, bound] (Arjovsky 2017, alg. 1): simple, and crude."""

    def __init__(self, bound: float = 0.01):
        if not bound > 0:
            raise ValueError(f"bound {bound}: it should be above 0")
        self.bound = bound

    def prepare(self, discriminator):
        self.after_step(discriminator)

    @torch.no_grad()
    def after_step(self, discriminator):
        for p in discriminator.parameters():
            p.clamp_(-self.bound, self.bound)


class _Penalty(Constraint):
    def __init__(self, weight: float, every: int = 1):
        if not weight >= 0 or every < 1:
            raise ValueError(f"weight {weight}, every {every}: they should be at least 0 and at least 1")
        self.weight, self.every = weight, every

    def prepare(self, discriminator):
        """Raises ValueError for a BatchNorm layer: it mixes the images of a batch, and a gradient would be no image's own."""
        names = [name for name, module in discriminator.named_modules() if isinstance(module, MIXES_IMAGES)]
        if names:
            raise ValueError(f"layer {names[0]!r} of the discriminator is a BatchNorm, which mixes the images of a batch; a penalty "
                             "on each image's gradient needs a discriminator without, such as one with norm='none'")


class GradientPenalty(_Penalty):
    """weight * E (|gradient| - 1)^2 between real and fake (Gulrajani 2017, alg. 1): one place, and one norm, an image."""

    def __init__(self, weight: float = 10.0, every: int = 1):
        super().__init__(weight, every)

    def penalty(self, discriminator, real, fake, labels=None):
        place = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)  # (B, 1, 1, 1): one an image, not a pixel
        between = torch.lerp(real.float(), fake.float(), place)
        return self.weight * (image_gradients(discriminator, between, labels).norm(dim=1) - 1).square().mean()


class R1(_Penalty):
    """weight / 2 * E |gradient|^2 at real images (Mescheder 2018, eq. 9): zero, not one, so that the game may come to rest."""

    def __init__(self, weight: float = 1.0, every: int = 1):
        super().__init__(weight, every)

    def penalty(self, discriminator, real, fake, labels=None):
        return self.weight / 2 * image_gradients(discriminator, real, labels).square().sum(1).mean()


class SpectralNorm(Constraint):
    """Every weight matrix is divided by its largest singular value (Miyato 2018), estimated by one power iteration a use."""

    def prepare(self, discriminator):
        """Raises ValueError where there is no layer that it knows; equalised layers are none, since they scale their own weights."""
        found = [m for m in discriminator.modules() if isinstance(m, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding))]
        if not found:
            raise ValueError(f"{type(discriminator).__name__} has no Linear, Conv2d, ConvTranspose2d or Embedding to normalise")
        for module in found:
            if not is_parametrized(module, "weight"):  # twice would be twice the work
                spectral_norm(module)
