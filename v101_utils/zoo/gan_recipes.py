"""The parts of the GANs' recipes: networks, tasks, and what is measured."""

import torch
from torch import nn

from v101_utils.data import fashion_mnist, to_unit
from v101_utils.data.shapes import draw, sample_factors
from v101_utils.gans import (
    R1, AdversarialTask, Discriminator, Generator, GradientPenalty, GrowingTask, ModulatedLayer, StyleDiscriminator,
    StyleGenerator, grow_by,
)  # fmt: skip
from v101_utils.metrics import MEASURED, measure_shapes, path_length, recognised, separability, slerp
from v101_utils.runtime import generator as random_generator
from v101_utils.training import Task


def dcgan(classes: int = 0) -> Generator:
    return Generator(width=32, classes=classes, hidden=128)


def dcgan_task(generator: nn.Module) -> Task:
    """The recipe of Radford et al. with larger steps, which the decay to zero allows."""
    return AdversarialTask(generator, Discriminator(width=32, hidden=256), rates=(1e-3, 1e-3), betas=(0.5, 0.99))


def wgangp_task(generator: nn.Module) -> Task:
    """One critic step for each of the generator, as of Karras et al. 2018, and a penalty at every other: more steps in the time.

    The normalisation looks at each image alone, for so does the penalty; no momentum, for the critic's goal moves.
    """
    critic = Discriminator(width=32, norm="layer", hidden=256)
    return AdversarialTask(generator, critic, "wasserstein", GradientPenalty(10.0, every=2), rates=(1e-3, 1e-3), betas=(0.0, 0.99))


def cgan_task(generator: nn.Module) -> Task:
    """R1 in the place of a normalisation, projection on the features of all places, and real pictures under wrong labels."""
    judge = Discriminator(width=32, classes=generator.classes, norm="none")
    return AdversarialTask(
        generator, judge, constraint=R1(0.3, every=4), rates=(1.5e-3, 1.5e-3), betas=(0.0, 0.99), mismatched=0.4
    )


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
    if not model.classes:
        return figures
    truncated, labels = model.sample(2000, seed=0, psi=0.75), torch.arange(2000) % 10
    return figures | {
        "labels_right": label_accuracy(images, labels),
        "frechet_2000_samples_psi_0.75": frechet(to_unit(truncated)),
        "labels_right_psi_0.75": label_accuracy(truncated, labels),
    }


def stylegan() -> StyleGenerator:
    """With the later layer: trained as long, one with AdaIN gives outlines that are neither round nor straight."""
    return StyleGenerator(layer=ModulatedLayer)


def stylegan_task(generator: nn.Module) -> Task:
    """Rates ten times those of the paper, since the pictures are a hundredth as many; at full size after 3,000 steps."""
    growths = grow_by(fade=400, hold=600, levels=generator.levels)
    constraint = R1(0.1, every=8)
    return GrowingTask(generator, StyleDiscriminator(), growths, constraint=constraint, rates=(1e-2, 1e-2), betas=(0.0, 0.99))


@torch.no_grad()
def stylegan_shapes_figures(model: nn.Module) -> dict[str, float]:
    """How near the factors of drawn pictures are to those of real ones, and how straight Z and W are, all on pixels."""
    z = model.latents(2000, seed=0)
    w = model.styles(z)
    drawn, real = measure_shapes(model.draw(w)), measure_shapes(draw(sample_factors(2000, 1_000_003)))
    halves = drawn > drawn.median(0).values  # (2000, 4), an attribute for each factor: more of it than most
    ends = model.latents(500, seed=1), model.latents(500, seed=2)

    def at(w):
        return model.draw(w, strength=0.0)

    lengths = {
        "z": path_length(lambda points: at(model.styles(points)), *ends, slerp, generator=random_generator(3)),
        "w": path_length(at, *map(model.styles, ends), generator=random_generator(3)),
    }
    shifts, spreads = (drawn.mean(0) - real.mean(0)) / real.std(0), drawn.std(0) / real.std(0)
    return {
        **{f"shift_of_{name}_in_standard_deviations": shift.item() for name, shift in zip(MEASURED, shifts)},
        **{f"spread_of_{name}_to_that_of_real": spread.item() for name, spread in zip(MEASURED, spreads)},
        **{f"separability_{space}": separability(points, halves) for space, points in (("z", z), ("w", w))},
        **{f"path_length_{space}": length.mean().item() for space, length in lengths.items()},
    }
