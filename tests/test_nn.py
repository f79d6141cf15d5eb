"""The parts of networks, against torch's own and against what they promise."""

import math

import pytest
import torch
from randomised import randomised
from torch import nn
from torch.nn import functional as F

from v101_utils.nn import ConditionalNorm, ReflectConv, ResidualBlock, SelfAttention, UNet, reflect, sinusoidal_embedding


def small(**options) -> UNet:
    torch.manual_seed(0)
    return UNet(**dict({"size": 8, "widths": (8, 16), "condition_dim": 16, "classes": 3}, **options))


def noisy(count=4, channels=1, size=8) -> torch.Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(1))


# The embedding of a number


@pytest.mark.parametrize("dim", [1, 2, 3, 7, 64])
def test_the_embedding_is_cosines_then_sines(dim):
    t, half = torch.tensor([0.0, 0.3, 17.0, 999.0]), (dim + 1) // 2
    frequencies = [10_000 ** (-i / half) for i in range(half)]
    expected = [[f(x * w) for f in (math.cos, math.sin) for w in frequencies][:dim] for x in t.tolist()]
    torch.testing.assert_close(sinusoidal_embedding(t, dim), torch.tensor(expected), atol=1e-4, rtol=0)


def test_the_embedding_follows_its_input():
    steps = torch.arange(5)
    assert torch.equal(sinusoidal_embedding(steps, 6), sinusoidal_embedding(steps.float(), 6))
    assert sinusoidal_embedding(steps.half(), 6).dtype == torch.float32
    assert sinusoidal_embedding(steps.double(), 6).dtype == torch.float64
    assert sinusoidal_embedding(torch.empty(5, device="meta"), 7).device.type == "meta"


@pytest.mark.parametrize(("t", "dim"), [(torch.tensor(0.5), 8), (torch.zeros(2, 1), 8), (torch.zeros(2), 0)])
def test_another_shape_of_time_is_refused(t, dim):
    with pytest.raises(ValueError, match=r"should be \(B,\) and at least 1"):
        sinusoidal_embedding(t, dim)


# Attention


@pytest.mark.parametrize(("heads", "shape"), [(1, (2, 8, 3, 5)), (2, (2, 16, 4, 4)), (4, (3, 8, 1, 1))])
def test_attention_is_torchs_multihead_attention_over_positions(heads, shape):
    ours = randomised(SelfAttention(shape[1], heads))
    theirs = nn.MultiheadAttention(shape[1], heads, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.to_qkv.weight[:, :, 0, 0])
        theirs.in_proj_bias.copy_(ours.to_qkv.bias)
        theirs.out_proj.weight.copy_(ours.to_out.weight[:, :, 0, 0])
        theirs.out_proj.bias.copy_(ours.to_out.bias)
    x = torch.randn(shape)
    positions = ours.norm(x).flatten(2).transpose(1, 2)  # (B, HW, C)
    found, shares = theirs(positions, positions, positions)
    assert shares.shape == (shape[0], shape[2] * shape[3], shape[2] * shape[3])
    torch.testing.assert_close(ours(x), x + found.transpose(1, 2).reshape(shape), atol=1e-5, rtol=1e-4)


def test_what_a_position_looks_at_sums_to_one():
    """Where every position says the same, any weights that sum to one find just that."""
    layer, x = randomised(SelfAttention(16)), torch.randn(2, 16, 3, 4)
    with torch.no_grad():
        layer.to_qkv.weight[32:].zero_()  # the values are their bias everywhere
    said = F.conv2d(layer.to_qkv.bias[32:].view(1, 16, 1, 1), layer.to_out.weight, layer.to_out.bias)
    torch.testing.assert_close(layer(x) - x, said.expand_as(x), atol=1e-5, rtol=1e-4)


def test_permuted_positions_give_the_permuted_output():
    layer, x = randomised(SelfAttention(16)), torch.randn(2, 16, 3, 4)
    order = torch.randperm(12)
    permuted = x.flatten(2)[..., order].view_as(x)
    torch.testing.assert_close(layer(permuted), layer(x).flatten(2)[..., order].view_as(x), atol=1e-5, rtol=1e-4)
    assert (layer(x)[0, 0, 0, 0] - layer(x + 0.3 * F.one_hot(torch.tensor(11), 12).view(3, 4))[0, 0, 0, 0]).abs() > 1e-4


@pytest.mark.parametrize("heads", [0, 3])
def test_channels_that_do_not_split_are_refused(heads):
    with pytest.raises(ValueError, match=f"16 channels.*{heads} heads"):
        SelfAttention(16, heads)


# Blocks


@pytest.mark.parametrize("shape", [(3, 16), (3, 16, 4, 5)])
def test_a_condition_sets_scale_and_shift(shape):
    layer, x, condition = randomised(ConditionalNorm(16, 5)), torch.randn(shape), torch.randn(3, 5)
    scale, shift = (part.view(3, 16, *[1] * (x.ndim - 2)) for part in layer.film(condition).chunk(2, 1))
    torch.testing.assert_close(layer(x, condition), F.group_norm(x, 8) * (1 + scale) + shift)


@pytest.mark.parametrize(("dim", "condition"), [(5, None), (0, torch.zeros(3, 5)), (5, torch.zeros(1, 5)), (5, torch.zeros(3, 4))])
def test_a_condition_that_does_not_fit_is_refused(dim, condition):
    with pytest.raises(ValueError, match="the condition is .*; it should be"):
        ConditionalNorm(16, dim)(torch.zeros(3, 16), condition)


def test_blocks_and_attention_begin_as_the_identity():
    x = torch.randn(2, 16, 4, 6)
    assert torch.equal(ResidualBlock(16, 16, 5)(x, torch.randn(2, 5)), x)
    assert torch.equal(SelfAttention(16)(x), x)


def test_a_block_is_two_convolutions_and_the_input():
    block, x, condition = randomised(ResidualBlock(8, 16, 5)), torch.randn(2, 8, 4, 6), torch.randn(2, 5)
    hidden = block.conv1(F.silu(F.group_norm(x, 8, block.norm1.weight, block.norm1.bias)))
    expected = block.shortcut(x) + block.conv2(F.silu(block.norm2(hidden, condition)))
    torch.testing.assert_close(block(x, condition), expected)
    assert (block(x, condition) - block(x, -condition)).abs().max() > 1e-3


# The U-Net


@pytest.mark.parametrize("options", [
    {}, {"channels": 3}, {"fold": 1}, {"fold": 4}, {"blocks": 2}, {"classes": 0}, {"attention": (False, True)},
    {"widths": (8,), "attention": (True,)}, {"widths": (8, 16, 8), "attention": (False,) * 3}, {"condition_dim": 15},
])  # fmt: skip
def test_the_unet_gives_an_image_and_begins_at_zero(options):
    network, x = small(**options), noisy(channels=options.get("channels", 1))
    t = torch.linspace(0, 1, 4)
    assert torch.equal(network(x, t), torch.zeros_like(x))
    out = randomised(network)(x, t)
    assert out.shape == x.shape
    assert out.abs().min() > 0


def test_each_level_has_half_the_resolution_and_skips_meet_their_own():
    network, seen = small(size=16, widths=(8, 16, 24), attention=(False,) * 3, blocks=2), {}
    for name, module in network.named_modules():
        if isinstance(module, ResidualBlock):
            module.register_forward_hook(lambda m, args, out, name=name: seen.update({name: (*args[0].shape[1:3], out.shape[1])}))
    network(noisy(size=16), torch.rand(4))
    down = {f"down.{i}.blocks.{j}": ((8, 8, 16, 24)[i + j], 8 >> i, (8, 16, 24)[i]) for i in range(3) for j in range(2)}
    up = {f"up.{i}.blocks.{j}": (2 * w, 8 >> i, w) for i, w in enumerate((8, 16, 24)) for j in range(2)}
    assert seen == {
        **down, "down.1.blocks.1": (16, 4, 16), "down.2.blocks.1": (24, 2, 24), "down.0.blocks.1": (8, 8, 8),
        "middle.blocks.0": (24, 2, 24), **up,
    }  # fmt: skip


def test_skips_carry_what_the_bottom_does_not():
    network, x, t = randomised(small()), noisy(), torch.rand(4)
    nn.init.zeros_(network.upsample[0][0].weight)  # nothing comes up from below
    assert (network(x, t) - network(x.roll(1, 3), t)).abs().max() > 1e-2


def test_every_pixel_sees_every_other():
    network, x = randomised(small(size=16)), noisy(1, size=16).requires_grad_()
    network(x, torch.tensor([0.5]))[0, 0, 0, 0].backward()
    assert x.grad[0, 0, -1, -1].abs() > 1e-7


def test_every_weight_is_used():
    network = randomised(small(attention=(False, True), blocks=2))
    network(noisy(), torch.rand(4), torch.arange(4)).square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_images_of_a_batch_do_not_mix():
    network, x, t, labels = randomised(small(attention=(True, True))), noisy(), torch.rand(4), torch.arange(4)
    together = network(x, t, labels)
    alone = torch.cat([network(x[i : i + 1], t[i : i + 1], labels[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_the_unet_listens_to_time_and_label():
    network, x, t = randomised(small()), noisy(), torch.full((4,), 0.5)
    assert (network(x, t) - network(x, t + 0.01)).abs().max() > 1e-4
    assert torch.equal(network(x, t), network(x, t, torch.full((4,), 3)))  # None is the null label
    outputs = [network(x, t, torch.full((4,), label)) for label in range(4)]
    assert min((a - b).abs().max() for i, a in enumerate(outputs) for b in outputs[:i]) > 1e-4
    assert torch.equal(outputs[1], network(x, t, torch.ones(4, dtype=torch.uint8)))
    torch.testing.assert_close(network(x, t.double(), torch.ones(4).long()), outputs[1])


def test_the_unet_works_in_double_and_makes_nothing_on_another_device():
    assert small().double()(noisy().double(), torch.rand(4).double()).dtype == torch.float64
    network = small(attention=(True, True)).to("meta")  # a device that refuses all others
    assert network(noisy().to("meta"), torch.rand(4, device="meta"), torch.zeros(4, device="meta").long()).is_meta
    assert network(noisy().to("meta"), torch.rand(4, device="meta")).is_meta


@pytest.mark.parametrize("labels", [
    torch.tensor([0, 1, 2, 4]), torch.tensor([0, 1, 2, -1]), torch.tensor([0, 1]), torch.tensor([1]), torch.zeros(4),
    torch.zeros(4, 1).long(),
])  # fmt: skip
def test_labels_that_there_are_not_are_refused(labels):
    with pytest.raises(ValueError, match="should be 4 integers from 0 to 3"):
        small()(noisy(), torch.rand(4), labels)


def test_labels_without_classes_are_refused():
    with pytest.raises(ValueError, match="no classes"):
        small(classes=0)(noisy(), torch.rand(4), torch.zeros(4).long())


@pytest.mark.parametrize(("x", "t"), [
    ((4, 1, 8, 10), (4,)), ((4, 3, 8, 8), (4,)), ((1, 8, 8), (1,)), ((4, 1, 8, 8), (3,)), ((4, 1, 8, 8), ()),
    ((4, 1, 8, 8), (4, 1)),
])  # fmt: skip
def test_another_shape_is_refused(x, t):
    with pytest.raises(ValueError, match=r"should be \(B, 1, 8, 8\) and \(B,\)"):
        small()(torch.zeros(x), torch.zeros(t))


@pytest.mark.parametrize(("options", "message"), [
    ({"size": 10}, "size 10 should be a multiple of 4"), ({"size": 0}, "size 0"), ({"attention": (True,)}, "one word for each"),
    ({"blocks": 0}, "blocks 0"), ({"fold": 0}, "fold 0"), ({"classes": -1}, "classes -1"),
    ({"widths": (), "attention": ()}, "widths"),
])  # fmt: skip
def test_a_unet_that_cannot_be_built_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


# Borders


@pytest.mark.parametrize("border", [1, 2, 5])
def test_borders_mirror_as_torchs_do_and_so_do_their_gradients(border):
    gradients, found = [], []
    for pad in (lambda x: reflect(x, border), lambda x: F.pad(x, [border] * 4, mode="reflect")):
        x = noisy(2, 3, 8).requires_grad_()
        found.append(pad(x))
        (found[-1] * noisy(2, 3, 8 + 2 * border)).sum().backward()
        gradients.append(x.grad)
    assert torch.equal(*found)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(("kernel", "stride", "mode"), [(3, 1, "reflect"), (5, 2, "reflect"), (3, 2, "zeros")])
def test_a_convolution_with_mirrored_borders_is_torchs(kernel, stride, mode):
    ours, theirs = ReflectConv(3, 4, kernel, stride), nn.Conv2d(3, 4, kernel, stride, kernel // 2, padding_mode=mode)
    theirs.load_state_dict(ours.state_dict())
    ours.padding_mode = mode
    torch.testing.assert_close(ours(noisy(2, 3, 9)), theirs(noisy(2, 3, 9)))
