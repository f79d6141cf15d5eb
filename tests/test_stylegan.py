"""StyleGAN's parts against torch's own and by hand, its two networks, and what a latent does."""

import math

import pytest
import torch
from scipy import ndimage, stats
from torch.nn import functional as F

from v101_utils.gans import (
    AdaIN, EqualisedConv, EqualisedLinear, Mapping, ModulatedLayer, StyledLayer, StyleDiscriminator, StyleGenerator, blur,
    minibatch_deviation,
)  # fmt: skip
from v101_utils.gans.equalised import downsample, upsample


def normal(*shape, seed=0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def randomised(network, seed=0):
    """The network with no weight left at zero, so that noise is used, and a mean w that is none."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.2 * torch.randn_like(p))
        if hasattr(network, "w_average"):
            network.w_average.copy_(network.mapping(normal(500, network.latent_dim)).mean(0))
    return network


def small(seed=0, widths=(8, 8, 4), **options) -> StyleGenerator:
    torch.manual_seed(seed)
    return randomised(StyleGenerator(3, 6, widths, **options)).eval()


# Layers


def test_an_equalised_layer_keeps_the_variance():
    """Weights of N(0, 1) are scaled in use to those of He et al., so that what goes in with variance 1 comes out with gain^2."""
    torch.manual_seed(0)
    for gain in (1.0, math.sqrt(2)):
        assert EqualisedLinear(256, 400, gain=gain)(normal(300, 256, seed=1)).std().item() == pytest.approx(gain, rel=0.03)
    inner = EqualisedConv(64, 64)(normal(8, 64, 8, 8, seed=1))[..., 1:-1, 1:-1]  # where no zeros of the border are seen
    assert inner.std().item() == pytest.approx(math.sqrt(2), rel=0.04)
    for layer in (EqualisedLinear(64, 64), EqualisedConv(16, 16)):
        assert stats.kstest(layer.weight.detach().flatten().numpy(), stats.norm.cdf).pvalue > 1e-3
        assert not layer.bias.any()
    assert EqualisedConv(2, 3, stride=2)(normal(1, 2, 8, 8)).shape == (1, 3, 4, 4)


def test_rate_is_a_factor_of_the_learning_rate():
    """The function is that of rate 1; a step of Adam, which is as long for any weight, moves it a hundredth as far."""
    moved = []
    for rate in (1.0, 0.01):
        torch.manual_seed(0)
        layer, x = EqualisedLinear(32, 32, bias=0.5, rate=rate), normal(4, 32)
        before = layer(x).detach()
        moved.append(before)
        optimiser = torch.optim.Adam(layer.parameters(), 1e-3)
        layer(x).sum().backward()
        optimiser.step()
        moved.append((layer(x) - before).norm().item())
    torch.testing.assert_close(moved[0], moved[2])
    assert moved[3] / moved[1] == pytest.approx(0.01, rel=0.02)


def test_the_mapping_sees_a_latents_direction_alone():
    mapping, z = Mapping(16), normal(5, 16)
    torch.testing.assert_close(mapping(z), mapping(7 * z), atol=1e-5, rtol=1e-4)
    assert (mapping(z) - mapping(-z)).abs().max() > 0.1
    inputs = []
    mapping.layers[0].register_forward_pre_hook(lambda m, args: inputs.append(args[0]))
    mapping(z)
    torch.testing.assert_close(inputs[0], F.normalize(z) * 4)
    assert len(mapping.layers) == 8 and all(layer.rate == 0.01 for layer in mapping.layers)


def test_adain_sets_mean_and_deviation_of_each_channel():
    layer, x, w = AdaIN(5, 6), 3 * normal(4, 5, 8, 8) + 2, normal(4, 6, seed=1)
    scale, shift = layer.to_style(w).chunk(2, 1)
    out = layer(x, w)
    torch.testing.assert_close(out.mean((2, 3)), shift, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(out.std((2, 3), correction=0), (1 + scale).abs(), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(layer(7 * x - 4, w), out, atol=1e-3, rtol=1e-3)  # what came in does not matter


def test_noise_is_one_number_a_pixel_in_each_channels_measure():
    layer, x, w, noise = StyledLayer(3, 4, 6), normal(2, 3, 8, 8), normal(2, 6), normal(2, 1, 8, 8, seed=3)
    assert torch.equal(layer(x, w, lambda shape: 1e3 * torch.ones(shape)), layer(x, w, torch.randn))  # strength begins at zero
    with torch.no_grad():
        layer.noise_strength.copy_(torch.tensor([0.0, 1.0, -2.0, 0.5]).view(4, 1, 1))
    shapes = []
    found = layer(x, w, lambda shape: shapes.append(tuple(shape)) or noise)
    sums = layer.conv(x) + torch.stack([noise[:, 0] * k for k in (0.0, 1.0, -2.0, 0.5)], 1)
    torch.testing.assert_close(found, layer.style(F.leaky_relu(sums, 0.2), w))
    assert shapes == [(2, 1, 8, 8)]


def test_demodulation_is_one_convolution_a_picture_with_weights_of_its_own():
    """The grouped convolution of Karras et al. 2020, eq. 1 to 3: of the batch as one picture with B times as many channels."""
    layer, x, w = randomised(ModulatedLayer(3, 4, 6, up=True)), normal(2, 3, 8, 8), normal(2, 6)
    weights = layer.conv.weight * (1 + layer.to_style(w))[:, None, :, None, None]  # (B, out, in, 3, 3)
    weights = weights * (weights.square().sum((2, 3, 4), keepdim=True) + 1e-8 / layer.conv.scale**2).rsqrt()
    out = F.conv2d(upsample(x).view(1, 6, 16, 16), weights.view(8, 3, 3, 3), padding=1, groups=2).view(2, 4, 16, 16)
    noise = normal(2, 1, 16, 16, seed=3)
    out = F.leaky_relu(2**0.5 * out + layer.conv.bias.view(4, 1, 1) + layer.noise_strength * noise, 0.2)
    torch.testing.assert_close(layer(x, w, lambda shape: noise), out, atol=1e-5, rtol=1e-4)


def test_whatever_the_style_demodulated_noise_has_one_deviation():
    layer, x = ModulatedLayer(16, 8, 6), normal(50, 16, 32, 32)
    for loudness in (1.0, 100.0):
        out = layer(x, loudness * normal(1, 6, seed=4).expand(50, -1), torch.zeros)
        torch.testing.assert_close(out.square().mean((0, 2, 3)), torch.full((8,), 1.04), atol=0.1, rtol=0)  # (1 + 0.2^2) / 2 of 2


# Sampling and blur


def test_blur_is_scipys():
    x = normal(2, 3, 7, 5)
    weights = [0.25, 0.5, 0.25]
    expected = ndimage.convolve1d(ndimage.convolve1d(x.numpy(), weights, axis=2, mode="nearest"), weights, axis=3, mode="nearest")
    torch.testing.assert_close(blur(x), torch.from_numpy(expected), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(blur(torch.full((1, 2, 4, 4), 0.3)), torch.full((1, 2, 4, 4), 0.3))  # at the border too
    checkers = (torch.arange(8) % 2 * 2.0 - 1).expand(1, 1, 8, 8)
    assert blur(checkers)[..., 1:-1].abs().max() < 1e-6  # the highest frequency is taken away


def test_upsampling_is_pixels_four_times_then_blur():
    x = normal(2, 3, 4, 4)
    torch.testing.assert_close(upsample(x), blur(x.repeat_interleave(2, 2).repeat_interleave(2, 3)), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(downsample(x.repeat_interleave(2, 2).repeat_interleave(2, 3)), x)


# The minibatch's deviation


def deviations(x, group=4) -> torch.Tensor:
    out = minibatch_deviation(x, group)
    assert torch.equal(out[:, :-1], x) and out.shape == (len(x), x.shape[1] + 1, *x.shape[2:])
    assert torch.equal(out[:, -1], out[:, -1:, :1, :1][:, 0].expand_as(out[:, -1]))  # the same everywhere
    return out[:, -1, 0, 0]


def test_the_minibatchs_deviation_by_hand():
    """Of eight images in groups of four: 0, 2, 4, 6 and 1, 3, 5, 7."""
    x = normal(8, 3, 2, 2)
    even, odd = (x[start::2].numpy().std(0).mean() for start in (0, 1))
    torch.testing.assert_close(deviations(x), torch.tensor([even, odd] * 4), atol=1e-5, rtol=1e-4)
    assert abs(even - odd) > 1e-2


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_a_batch_that_four_does_not_divide_is_one_group(count):
    x = normal(count, 3, 2, 2)
    torch.testing.assert_close(deviations(x), torch.full((count,), float(x.numpy().std(0).mean())), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_equal_images_have_no_deviation_and_a_finite_gradient(dtype):
    x = torch.ones(4, 3, 2, 2, dtype=dtype, requires_grad=True)
    out = minibatch_deviation(x)
    assert out.dtype == dtype and out[:, -1].abs().max() < 1e-3
    out.float().square().sum().backward()
    assert x.grad.isfinite().all()


# The networks


@pytest.mark.parametrize("layer", [StyledLayer, ModulatedLayer])
def test_shapes_at_every_growth(layer):
    generator, discriminator = small(widths=(8, 6, 4), layer=layer), randomised(StyleDiscriminator(3, (8, 6, 4)))
    assert generator.shape == (3, 16, 16) and len(generator.layers) == 6 and generator.growth == 2
    for growth, side in ((0.0, 4), (0.5, 8), (1.0, 8), (1.25, 16), (2.0, 16)):
        for network in (generator, discriminator):
            network.growth.fill_(growth)
        images = generator(normal(4, 6))
        assert images.shape == (4, 3, side, side) and discriminator(images).shape == (4,)
        with pytest.raises(ValueError, match=f"at growth {growth:g} their side should be {side}"):
            discriminator(torch.zeros(4, 3, 2 * side, 2 * side))


def test_the_discriminator_by_hand():
    """At 8x8: from colours to channels, a convolution, the blurred half of its side, and the head with the deviation."""
    network, images = randomised(StyleDiscriminator(3, (8, 6))), normal(4, 3, 8, 8)
    x = F.leaky_relu(network.first[0](F.leaky_relu(network.from_rgb[1](images), 0.2)), 0.2)
    x = F.leaky_relu(network.second[0](blur(x)), 0.2)
    x = F.leaky_relu(network.last(torch.cat([x, x.std(0, correction=0).mean().expand(4, 1, 4, 4)], 1)), 0.2)
    expected = network.to_score(F.leaky_relu(network.hidden(x.flatten(1)), 0.2))[:, 0]
    torch.testing.assert_close(network(images), expected, atol=1e-4, rtol=1e-4)


def test_gradients_reach_every_weight():
    generator, discriminator = small().train(), randomised(StyleDiscriminator(3, (8, 8, 4)))
    discriminator(generator(normal(8, 6))).square().sum().backward()
    for network in (generator, discriminator):
        idle = {".".join(name.split(".")[:2]) for name, p in network.named_parameters() if p.grad is None or not p.grad.any()}
        assert idle == ({"to_rgb.0", "to_rgb.1"} if network is generator else {"from_rgb.0", "from_rgb.1"})  # grown out of


@pytest.mark.parametrize("level", [0, 1])
def test_fading_in_begins_and_ends_without_a_jump(level):
    """Just above a level a network is that level's, enlarged; at the next it is the larger one."""
    generator, discriminator = small(), randomised(StyleDiscriminator(3, (8, 8, 4)))
    ws, images = generator.spread(generator.styles(normal(4, 6))), normal(4, 3, 8 * 2**level, 8 * 2**level)

    def at(growth):
        for network in (generator, discriminator):
            network.growth.fill_(growth)
        side = 4 * 2 ** math.ceil(growth)
        seen = images if images.shape[-1] == side else downsample(images)
        with torch.no_grad():
            return generator.synthesise(ws, torch.zeros), discriminator(seen)

    (low, low_score), (above, above_score) = at(level), at(level + 1e-4)
    (below, below_score), (high, high_score) = at(level + 1 - 1e-4), at(level + 1)
    torch.testing.assert_close(above, upsample(low), atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(below, high, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(above_score, low_score, atol=5e-3, rtol=5e-3)
    torch.testing.assert_close(below_score, high_score, atol=5e-3, rtol=5e-3)
    half, half_score = at(level + 0.5)
    torch.testing.assert_close(half, (above + below) / 2, atol=2e-3, rtol=1e-3)  # the colours are mixed, nothing else
    assert (half - high).abs().max() > 0.05 and (half_score - high_score).abs().max() > 0.01


# Styles


@pytest.mark.parametrize("mixing", [0.0, 0.5, 1.0])
def test_styles_are_mixed_as_often_as_it_says(mixing):
    """From a layer on that is any but the first, evenly, and only among the layers in use."""
    generator, w = small(widths=(4, 4, 4), mixing=mixing), normal(6000, 6)
    generator.growth.fill_(1.0)  # four of six layers
    torch.manual_seed(0)
    ws = generator.mixed(w)
    own = (ws == w[:, None]).all(2)
    used = own[:, :4]
    assert used[:, 0].all()  # the first layer has always its own
    assert torch.equal(used, used.cummin(1).values)  # and one crossing is all there is
    mixed = ~used.all(1)
    assert mixed.float().mean().item() == pytest.approx(mixing, abs=0.02)
    if mixing:
        assert stats.chisquare(used[mixed].sum(1).bincount(minlength=4)[1:].numpy()).pvalue > 1e-3
        assert torch.equal(ws[mixed][:, 5], ws[mixed][:, 3])


def test_training_mixes_and_follows_the_mean_w_and_evaluation_does_neither():
    generator, z = small(mixing=1.0), normal(64, 6)
    before, w = generator.w_average.clone(), generator.mapping(z)
    assert generator(z).shape == (64, 3, 16, 16) and torch.equal(generator.w_average, before)
    generator.train()
    seen = []
    generator.synthesise = lambda ws: seen.append(ws)
    generator(z)
    torch.testing.assert_close(generator.w_average, 0.995 * before + 0.005 * w.mean(0))
    assert not torch.equal(seen[0], generator.spread(w))
    generator.eval()(z)
    assert torch.equal(seen[1], generator.spread(w))


def test_mix_takes_coarse_layers_from_one_and_fine_from_the_other():
    generator = small()
    a, b = normal(3, 6), normal(3, 6, seed=1)
    for crossover in range(7):
        ws = generator.mix(a, b, crossover)
        assert ws.shape == (3, 6, 6)
        assert all(torch.equal(ws[:, i], a if i < crossover else b) for i in range(6))
    torch.testing.assert_close(generator.draw(generator.mix(a, b, 6)), generator.draw(a))
    torch.testing.assert_close(generator.draw(generator.mix(a, b, 0)), generator.draw(b))
    for wrong in (-1, 7):
        with pytest.raises(ValueError, match=f"crossover {wrong}: it should be from 0, all fine, to 6"):
            generator.mix(a, b, wrong)


def test_truncation():
    """1 is the mapping itself, 0 is the mean, whatever the latent: one picture, but for noise."""
    generator, z = small(), normal(5, 6)
    torch.testing.assert_close(generator.styles(z), generator.mapping(z))
    torch.testing.assert_close(generator.styles(z, 0.0), generator.w_average.expand(5, 6))
    torch.testing.assert_close(generator.styles(z, 0.7) - generator.w_average, 0.7 * (generator.mapping(z) - generator.w_average))
    pictures = generator.draw(generator.styles(z, 0.0), strength=0.0)
    torch.testing.assert_close(pictures, pictures[:1].expand_as(pictures))
    assert (generator.draw(generator.styles(z), strength=0.0)[0] - pictures[0]).abs().max() > 0.1
    assert not torch.allclose(generator.draw(generator.styles(z, 0.0)), pictures, atol=1e-3)
    for psi in (2.5, -3.0, math.nan):
        with pytest.raises(ValueError, match="it should be from -2 to 2"):
            generator.sample(2, psi=psi)


def test_samples_are_a_pure_function_whatever_the_mode():
    generator, random = small(), torch.get_rng_state()
    state, samples = {k: v.clone() for k, v in generator.state_dict().items()}, generator.sample(5, seed=2)
    assert samples.shape == (5, 3, 16, 16) and samples.abs().max() <= 1 and not samples.requires_grad
    assert torch.equal(generator.train().sample(5, seed=2), samples)
    assert not torch.equal(generator.sample(5, seed=3), samples)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(v, state[k]) for k, v in generator.state_dict().items())
    latents = generator.latents(5, 2)
    torch.testing.assert_close(samples, generator.draw(generator.styles(latents), 2))
    assert torch.equal(generator.latents(5, 2), latents) and not torch.equal(generator.latents(5, 1), latents)
    with pytest.raises(ValueError, match="count 0"):
        generator.sample(0)


def test_noise_is_a_function_of_its_seed_and_strength():
    generator = small()
    w = generator.styles(normal(3, 6))
    assert torch.equal(generator.draw(w, seed=1), generator.draw(w, seed=1))
    still, other, wild = (generator.draw(w, seed=1, strength=k) for k in (0.0, 0.01, 1.0))
    assert torch.equal(still, generator.draw(w, seed=2, strength=0.0))
    assert 0 < (other - still).abs().mean() < (wild - still).abs().mean()
    many = generator.draw(generator.styles(normal(260, 6)))  # in parts, each with noise of its own
    assert many.shape[0] == 260
