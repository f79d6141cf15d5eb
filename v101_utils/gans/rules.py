"""DCGAN's rules (Radford et al. 2016, sec. 3 and 4), broken: what an honest comparison with and without each needs."""

import math
from collections.abc import Callable

import torch
from torch import nn

from v101_utils.gans.dcgan import Discriminator, Generator, dcgan_weights

Pair = tuple[nn.Module, nn.Module]  # a generator and a discriminator


def exchange(layers: nn.Sequential, change: Callable[[nn.Module], list[nn.Module]]) -> nn.Sequential:
    """A new chain in which each layer has given way to those of `change(layer)`."""
    return nn.Sequential(*[new for layer in layers for new in change(layer)])


def pool(generator: Generator, discriminator: Discriminator) -> Pair:
    """Sides change by max pooling and by repeating pixels, each beside a 3x3 convolution that leaves them as they are."""

    def change(layer: nn.Module) -> list[nn.Module]:
        if getattr(layer, "stride", None) != (2, 2):
            return [layer]
        same = nn.Conv2d(layer.in_channels, layer.out_channels, 3, 1, 1, bias=layer.bias is not None)
        dcgan_weights(same)
        return [nn.Upsample(scale_factor=2), same] if isinstance(layer, nn.ConvTranspose2d) else [same, nn.MaxPool2d(2)]

    generator.layers = exchange(generator.layers, change)
    discriminator.features = exchange(discriminator.features, change)
    return generator, discriminator


def normalise_everywhere(generator: Generator, discriminator: Discriminator) -> Pair:
    """Batch normalisation also of the generator's output and of the discriminator's first layer."""
    first = discriminator.features[0]
    generator.layers = exchange(
        generator.layers, lambda layer: [nn.BatchNorm2d(generator.shape[0]), layer] if isinstance(layer, nn.Tanh) else [layer])
    discriminator.features = exchange(
        discriminator.features, lambda layer: [layer, nn.BatchNorm2d(layer.out_channels)] if layer is first else [layer])
    return generator, discriminator


@torch.no_grad()
def rescale_weights(factor: float, *networks: nn.Module) -> tuple[nn.Module, ...]:
    """Multiplies the weights of convolutions and linear layers: by 10, and N(0, 0.02) becomes N(0, 0.2)."""
    for network in networks:
        for part in network.modules():
            if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                part.weight.mul_(factor)
    return networks


class _Flat(nn.Module):
    """Rows of numbers (B, D) from one pixel each (B, D, 1, 1), and back: what a dense layer needs before it."""

    def __init__(self, *shape: int):
        super().__init__()
        self.shape = shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(len(x), *self.shape)


def dense_pair(hidden: int = 512) -> Pair:
    """The same two networks without a convolution: fully connected, with the same norms and activations."""
    generator, discriminator = Generator(width=8), Discriminator(width=8)
    pixels, latent = math.prod(generator.shape), generator.latent_dim

    def block(a: int, b: int, norm: bool, activation: nn.Module) -> list[nn.Module]:
        return [nn.Linear(a, b), *([nn.BatchNorm1d(b)] if norm else []), activation]

    generator.layers = nn.Sequential(
        _Flat(latent), *block(latent, hidden, True, nn.ReLU()), *block(hidden, hidden, True, nn.ReLU()),
        nn.Linear(hidden, pixels), nn.Tanh(), _Flat(*generator.shape),
    )  # fmt: skip
    discriminator.features = nn.Sequential(
        nn.Flatten(), *block(pixels, hidden, False, nn.LeakyReLU(0.2)), *block(hidden, hidden, True, nn.LeakyReLU(0.2)))
    discriminator.to_score = nn.Linear(hidden, 1)
    dcgan_weights(generator)
    dcgan_weights(discriminator)
    return generator, discriminator
