"""The convolutional pair: layer by layer, its weights, its labels by hand, and what it draws."""

import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

from v101_utils.gans import Discriminator, Generator
from v101_utils.gans.rules import rescale_weights


def pair(size=16, classes=0, condition="projection", norm="batch", channels=1):
    torch.manual_seed(0)
    options = {"size": size, "width": 4, "classes": classes, "norm": norm, "channels": channels}
    return Generator(latent_dim=6, **options), Discriminator(condition=condition, **options)


def shapes(network: nn.Module, kind, *inputs) -> list[tuple]:
    """What every layer of a kind gives, without the batch."""
    seen, layers = [], [m for m in network.modules() if isinstance(m, kind)]
    hooks = [layer.register_forward_hook(lambda m, args, out: seen.append(tuple(out.shape[1:]))) for layer in layers]
    network(*inputs)
    [hook.remove() for hook in hooks]
    return seen


# Shapes


def test_the_pair_of_the_paper_layer_by_layer():
    """64x64: from 4x4 and 512 channels up, and down again to where the score is read."""
    generator, discriminator = Generator(3, 64, 100, 64), Discriminator(3, 64, 64)
    up = [(512, 4, 4), (256, 8, 8), (128, 16, 16), (64, 32, 32), (3, 64, 64)]
    assert shapes(generator, nn.ConvTranspose2d, torch.randn(2, 100)) == up
    assert shapes(discriminator, nn.Conv2d, torch.randn(2, 3, 64, 64)) == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    kinds = [type(layer).__name__ for layer in generator.layers]
    assert kinds == ["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 4 + ["ConvTranspose2d", "Tanh"]
    kinds = [type(layer).__name__ for layer in discriminator.features]
    assert kinds == ["Conv2d", "Identity", "LeakyReLU"] + ["Conv2d", "BatchNorm2d", "LeakyReLU"] * 3 + ["Flatten"]
    assert [m.negative_slope for m in discriminator.modules() if isinstance(m, nn.LeakyReLU)] == [0.2] * 4


@pytest.mark.parametrize(("size", "sides"), [(28, [7, 14, 28]), (32, [4, 8, 16, 32]), (8, [4, 8]), (40, [5, 10, 20, 40])])
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_other_sizes(size, sides, norm):
    generator, discriminator = pair(size, norm=norm, channels=2)
    images = generator(torch.randn(3, 6))
    assert images.shape == (3, 2, size, size) and images.abs().max() <= 1
    assert [shape[1] for shape in shapes(generator, nn.ConvTranspose2d, torch.randn(3, 6))] == sides
    assert [shape[1] for shape in shapes(discriminator, nn.Conv2d, images)] == sides[-2::-1]
    nn.init.constant_(discriminator.to_score.bias, 5.0)
    scores = discriminator(images)
    assert scores.shape == (3,) and (scores > 4).all()  # raw, no probabilities


@pytest.mark.parametrize(("norm", "normalised"), [("batch", "BatchNorm1d"), ("layer", "GroupNorm"), ("none", "Identity")])
def test_a_hidden_layer_of_each_sees_the_image_whole(norm, normalised):
    torch.manual_seed(0)
    generator, discriminator = (kind(width=4, hidden=10, norm=norm) for kind in (Generator, Discriminator))
    kinds = [type(layer).__name__ for layer in generator.layers]
    assert kinds[:6] == ["Flatten", "Linear", normalised, "ReLU", "Linear", "Unflatten"] and "ConvTranspose2d" not in kinds[:8]
    assert shapes(generator, nn.Linear, torch.randn(3, 64)) == [(10,), (8 * 7 * 7,)]
    kinds = [type(layer).__name__ for layer in discriminator.features]
    assert kinds[-4:] == ["Flatten", "Linear", normalised, "LeakyReLU"]
    images = generator(torch.randn(3, 64))
    assert images.shape == (3, 1, 28, 28)
    assert shapes(discriminator, nn.Linear, images) == [(10,), (1,)]
    biases = [m.bias is not None for network in (generator, discriminator) for m in network.modules() if isinstance(m, nn.Linear)]
    assert biases == [norm == "none"] * 3 + [True]
    # what one corner adds depends on the other: the score is no sum over places. With weights of 0.02 it is nearly linear
    corners = torch.zeros(4, 1, 28, 28)
    corners[1::2, :, :8, :8], corners[2:, :, -8:, -8:] = 1.0, 1.0
    for hidden, together in ((10, True), (0, False)):
        torch.manual_seed(0)
        (judge,) = rescale_weights(10, Discriminator(width=4, hidden=hidden, norm="none"))
        scores = judge(corners)
        assert (abs(scores[3] - scores[1] - scores[2] + scores[0]).item() > 1e-2) == together


@pytest.mark.parametrize("size", [30, 6, 36, 9, 0])
def test_a_size_that_cannot_be_halved_is_refused(size):
    for network in (Generator, Discriminator):
        with pytest.raises(ValueError, match=f"size {size}: it should be 4, 5, 6 or 7 times a power of two, at least 8"):
            network(size=size)


@pytest.mark.parametrize("norm", ["layer", "none"])
def test_without_batch_normalisation_an_image_is_judged_by_itself(norm):
    discriminator, images = pair(norm=norm)[1], torch.randn(5, 1, 16, 16)
    torch.testing.assert_close(torch.cat([discriminator(image[None]) for image in images]), discriminator(images))
    discriminator = pair(norm="batch")[1]
    assert not torch.allclose(discriminator(images)[:3], discriminator(images[:3]), atol=1e-3)


def test_weights_begin_as_in_the_paper():
    generator, discriminator = Generator(3, 32, 64, 16), Discriminator(3, 32, 16, classes=5)
    for network in (generator, discriminator):
        for name, module in network.named_modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.Embedding)):
                assert stats.kstest(module.weight.detach().flatten().numpy(), stats.norm(0, 0.02).cdf).pvalue > 1e-3, name
            elif isinstance(module, nn.BatchNorm2d):
                assert stats.kstest(module.weight.detach().numpy(), stats.norm(1, 0.02).cdf).pvalue > 1e-3, name
            if getattr(module, "bias", None) is not None:
                assert not module.bias.any(), name
    convolutions = [m for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [m.bias is None for m in convolutions] == [True, True, True, False]  # a BatchNorm has its own


# Labels


def test_the_generator_sees_an_embedding_beside_the_latent():
    generator, latents, labels = pair(classes=3)[0].eval(), torch.randn(4, 6), torch.tensor([2, 0, 1, 2])
    expected = generator.layers(torch.cat([latents, generator.embed(labels)], 1)[..., None, None])
    torch.testing.assert_close(generator(latents, labels), expected)
    shares = F.one_hot(labels, 3).float()
    torch.testing.assert_close(generator(latents, shares), expected)
    between = 0.25 * generator.embed.weight[0] + 0.75 * generator.embed.weight[2]
    torch.testing.assert_close(generator.embedding(torch.tensor([[0.25, 0.0, 0.75]]))[0], between)


def test_projection_by_hand():
    discriminator, images, labels = pair(classes=3)[1].eval(), torch.randn(4, 1, 16, 16), torch.tensor([2, 0, 1, 2])
    features = discriminator.features(images)
    expected = features @ discriminator.to_score.weight[0] + discriminator.to_score.bias
    expected = expected + torch.stack([features[i] @ discriminator.embed.weight[label] for i, label in enumerate(labels)])
    torch.testing.assert_close(discriminator(images, labels), expected)
    torch.testing.assert_close(discriminator(images, F.one_hot(labels, 3).float()), expected)
    torch.testing.assert_close(discriminator(images, labels.to(torch.uint8)), expected)


def test_concatenation_by_hand():
    discriminator = pair(classes=3, condition="concatenation")[1].eval()
    images, labels = torch.randn(4, 1, 16, 16), torch.tensor([2, 0, 1, 2])
    painted = torch.stack([discriminator.embed.weight[label].view(1, 16, 16) for label in labels])
    expected = discriminator.to_score(discriminator.features(torch.cat([images, painted], 1)))[:, 0]
    torch.testing.assert_close(discriminator(images, labels), expected)
    torch.testing.assert_close(discriminator(images, F.one_hot(labels, 3).float()), expected)


@pytest.mark.parametrize("labels", [
    torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 2, -1]), torch.tensor([0, 1]), torch.tensor([1]), torch.zeros(4),
    torch.zeros(4, 2),
])  # fmt: skip
def test_labels_that_there_are_not_are_refused(labels):
    for network, given in zip(pair(classes=3), (torch.randn(4, 6), torch.randn(4, 1, 16, 16))):
        with pytest.raises(ValueError, match=r"4 integers from 0 to 2, or shares of classes \(4, 3\)"):
            network(given, labels)


def test_labels_are_for_networks_with_classes_and_the_other_way_round():
    for classes, labels, word in ((0, torch.zeros(4).long(), "left out"), (3, None, "given")):
        for network, given in zip(pair(classes=classes), (torch.randn(4, 6), torch.randn(4, 1, 16, 16))):
            with pytest.raises(ValueError, match=f"{classes} classes: labels should be {word}"):
                network(given, labels)


def test_other_shapes_and_words_are_refused():
    generator, discriminator = pair()
    with pytest.raises(ValueError, match=r"latents are \(4, 5\); they should be \(B, 6\)"):
        generator(torch.randn(4, 5))
    for shape in ((2, 1, 8, 8), (2, 3, 16, 16), (1, 16, 16)):
        with pytest.raises(ValueError, match=r"they should be \(B, 1, 16, 16\)"):
            discriminator(torch.randn(shape))
    with pytest.raises(ValueError, match="condition 'sum': it should be one of"):
        Discriminator(condition="sum")
    for network in (Generator, Discriminator):
        with pytest.raises(ValueError, match="norm 'group': it should be one of"):
            network(norm="group")


# Samples


def test_psi_multiplies_the_latents():
    generator = pair(classes=3)[0].eval()
    expected = generator.draw(0.5 * generator.latents(4, seed=2), torch.tensor([0, 1, 2, 0]))
    torch.testing.assert_close(generator.sample(4, seed=2, psi=0.5), expected)
    torch.testing.assert_close(generator.sample(4, seed=2, psi=1.0), generator.sample(4, seed=2))
    for psi in (2.1, -2.1, float("nan")):
        with pytest.raises(ValueError, match="psi .*: it should be from -2 to 2"):
            generator.sample(4, psi=psi)


@pytest.mark.parametrize("classes", [0, 3])
def test_samples_are_a_pure_function(classes):
    generator = pair(classes=classes)[0]
    with torch.no_grad():
        [generator(torch.randn(8, 6), torch.arange(8) % 3 if classes else None) for _ in range(5)]  # BatchNorm's statistics
    generator.eval()
    random, state = torch.get_rng_state(), {k: v.clone() for k, v in generator.state_dict().items()}
    samples = generator.sample(7, seed=3)
    assert samples.shape == (7, 1, 16, 16) and not samples.requires_grad
    assert torch.equal(samples, generator.sample(7, seed=3)) and not torch.equal(samples, generator.sample(7, seed=4))
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(v, state[k]) for k, v in generator.state_dict().items())
    latents, labels = generator.latents(7, 3), torch.arange(7) % 3 if classes else None
    one_by_one = [generator(latents[i : i + 1], labels[i : i + 1] if classes else None) for i in range(7)]
    torch.testing.assert_close(samples, torch.cat(one_by_one))
    assert stats.kstest(generator.latents(2000).flatten().numpy(), stats.norm.cdf).pvalue > 1e-3


def test_samples_by_label():
    generator = pair(classes=3)[0].eval()
    assert torch.equal(generator.sample(6), generator.sample(6, labels=[0, 1, 2, 0, 1, 2]))
    assert torch.equal(generator.sample(4, labels=[2]), generator.sample(4, labels=torch.tensor([2, 2, 2, 2])))
    assert not torch.equal(generator.sample(1, labels=[2]), generator.sample(1, labels=[1]))
    for labels in ([3], [-1], [], [0.5]):
        with pytest.raises(ValueError, match="should be"):
            generator.sample(4, labels=labels)
    with pytest.raises(ValueError, match="without labels"):
        pair()[0].sample(4, labels=[1])
    with pytest.raises(ValueError, match="count 0"):
        generator.sample(0)


def test_many_are_drawn_in_parts_and_none_is_lost():
    generator = pair(classes=3)[0].eval()
    latents, labels = torch.randn(503, 6), torch.arange(503) % 3
    torch.testing.assert_close(generator.draw(latents, labels), generator(latents, labels).detach())
    for count in (250, 251, 500):  # too few labels
        with pytest.raises(ValueError):
            generator.draw(latents, labels[:count])
