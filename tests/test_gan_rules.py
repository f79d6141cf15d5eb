"""DCGAN's rules, broken: the surgery does what its name says, and nothing else."""

import torch
from torch import nn

from v101_utils.gans import AdversarialTask, Discriminator, Generator
from v101_utils.gans.rules import dense_pair, exchange, normalise_everywhere, pool, rescale_weights


def pair():
    torch.manual_seed(0)
    return Generator(width=8), Discriminator(width=8)


def kinds(network: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in network]


def test_every_broken_pair_still_plays():
    for broken in (pair(), pool(*pair()), normalise_everywhere(*pair()), rescale_weights(10, *pair()), dense_pair()):
        task = AdversarialTask(*broken)

        def minimise(loss, optimiser):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

        scalars = task.training_step(torch.rand(8, 1, 28, 28) * 2 - 1, minimise)
        assert all(value.isfinite() for value in scalars.values())
        assert task.generator.eval().sample(3).shape == (3, 1, 28, 28) and task.score(torch.zeros(2, 1, 28, 28)).shape == (2,)


def test_pooling_leaves_no_stride():
    generator, discriminator = pool(*pair())
    assert all(m.stride == (1, 1) for m in generator.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)))
    assert all(m.stride == (1, 1) for m in discriminator.modules() if isinstance(m, nn.Conv2d))
    assert kinds(generator.layers).count("Upsample") == 2 and kinds(discriminator.features).count("MaxPool2d") == 2
    assert kinds(discriminator.features).count("BatchNorm2d") == kinds(pair()[1].features).count("BatchNorm2d")


def test_batch_norm_stands_at_both_ends():
    generator, discriminator = normalise_everywhere(*pair())
    assert kinds(generator.layers)[-2:] == ["BatchNorm2d", "Tanh"]
    assert kinds(discriminator.features)[:2] == ["Conv2d", "BatchNorm2d"]
    assert kinds(generator.layers)[:-2] + ["Tanh"] == kinds(pair()[0].layers)


def test_weights_are_rescaled_and_norms_are_not():
    (generator, _), (before, _) = rescale_weights(10, *pair()), pair()
    assert torch.equal(generator.layers[0].weight, 10 * before.layers[0].weight)
    assert torch.equal(generator.layers[1].weight, before.layers[1].weight)


def test_no_convolution_in_the_dense_pair():
    assert not any(isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)) for network in dense_pair() for m in network.modules())


def test_exchange_keeps_what_is_not_changed():
    layers = nn.Sequential(nn.ReLU(), nn.Tanh())
    assert list(exchange(layers, lambda layer: [layer])) == list(layers)
    assert kinds(exchange(layers, lambda layer: [layer, nn.Identity()])) == ["ReLU", "Identity", "Tanh", "Identity"]
