"""The parts of the GANs' recipes: networks, tasks, and what is measured."""

import torch
from torch import nn

from v101_utils.data import fashion_mnist, to_unit
from v101_utils.gans import R1, AdversarialTask, Discriminator, Generator, GradientPenalty
from v101_utils.metrics import recognised
from v101_utils.training import Task


def dcgan(classes: int = 0) -> Generator:
    return Generator(width=32, classes=classes)


def dcgan_task(generator: nn.Module) -> Task:
    """The recipe of Radford et al. with larger steps, which the decay to zero allows."""
    return AdversarialTask(generator, Discriminator(width=32), rates=(1e-3, 1e-3), betas=(0.5, 0.99))


def wgangp_task(generator: nn.Module) -> Task:
    """Two critic steps for each of the generator, a normalisation that looks at each image alone, and no momentum."""
    critic = Discriminator(width=32, norm="layer")
    return AdversarialTask(generator, critic, "wasserstein", GradientPenalty(10.0), critic_steps=2, rates=(1e-3, 1e-3), betas=(0.0, 0.9))


def cgan_task(generator: nn.Module) -> Task:
    judge = Discriminator(width=32, classes=generator.classes, norm="none")
    return AdversarialTask(generator, judge, constraint=R1(0.3, every=4), rates=(1.5e-3, 1.5e-3), betas=(0.0, 0.99))


def class_shares(images: torch.Tensor) -> torch.Tensor:
    """The share (10,) of images (N, 1, 28, 28) in [-1, 1] that an independent classifier takes for each class."""
    from v101_utils.zoo.store import load

    found = recognised(load("classifier-fashion", device=images.device), images)
    return found.bincount(minlength=10) / len(found)


def gan_fashion_figures(model: nn.Module) -> dict[str, float]:
    from v101_utils.zoo.recipes import fashion_frechet, label_accuracy

    images, frechet = model.sample(2000, seed=0), fashion_frechet()
    figures = {
        "frechet_2000_samples": frechet(to_unit(images)),
        "frechet_2000_test_images": frechet(to_unit(fashion_mnist("test").images[:2000])),
        "smallest_share_of_a_class": class_shares(images).min().item(),
    }
    return figures | ({"labels_right": label_accuracy(images, torch.arange(2000) % 10)} if model.classes else {})
