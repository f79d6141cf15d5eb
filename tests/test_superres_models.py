"""Networks for super-resolution: what the papers say of them, what they begin as, and a picture in tiles against the whole."""

import pytest
import torch
from torch import nn

from v101_utils.gans.constraints import image_gradients
from v101_utils.superres import ESPCN, SRCNN, PatchDiscriminator, Restorer, SRResNet, enlarge, in_tiles, receptive_radius

MODELS = {
    "9-1-5": lambda **kwargs: SRCNN(1, (8, 6), **kwargs), "9-5-5": lambda **kwargs: SRCNN(5, (8, 6), **kwargs),
    "espcn": lambda **kwargs: ESPCN((8, 6), **kwargs), "srresnet": lambda **kwargs: SRResNet(8, 2, **kwargs),
}  # fmt: skip


def awake(name: str, seed=0, **kwargs) -> Restorer:
    """A small network whose last layers are not zero, so that everything in it counts."""
    torch.manual_seed(seed)
    model = MODELS[name](**kwargs)
    for part in model.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.normal_(part.weight, std=1 / part.weight[0].numel() ** 0.5)
            nn.init.normal_(part.bias, std=0.1)
    return model


def picture(height=7, width=9, channels=1, count=2) -> torch.Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def weights(model: nn.Module) -> int:
    return sum(part.weight.numel() for part in model.modules() if isinstance(part, nn.Conv2d))


# What the papers say


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_pixel_shuffle_is_the_papers_formula(factor):
    """Shi et al. 2016, eq. 4: x runs to the right, y down. With one channel torch's order of channels is theirs."""
    x = torch.randn(2, factor**2, 3, 5)
    expected = torch.empty(2, 1, 3 * factor, 5 * factor)
    for down in range(3 * factor):
        for right in range(5 * factor):
            channel = factor * (down % factor) + right % factor
            expected[:, 0, down, right] = x[:, channel, down // factor, right // factor]
    shuffle = ESPCN((8, 6)).last[str(factor)][1]
    assert torch.equal(shuffle(x), expected)


@pytest.mark.parametrize(("middle", "count"), [(1, 8_032), (3, 24_416), (5, 57_184)])
def test_srcnn_has_as_many_weights_as_in_the_paper(middle, count):
    """Dong et al. 2016, sec. 4.3.2, for one factor; each further factor has a last layer of its own, 32 x 5 x 5."""
    assert weights(SRCNN(middle, factors=(3,))) == count
    assert weights(SRCNN(middle)) == count + 2 * 32 * 25


def test_espcn_is_5_3_3_with_tanh():
    model = ESPCN(factors=(3,), activation=nn.Tanh)
    shapes = [tuple(part.weight.shape) for part in model.modules() if isinstance(part, nn.Conv2d)]
    assert shapes == [(64, 1, 5, 5), (32, 64, 3, 3), (9, 32, 3, 3)]
    assert [type(part) for part in model.body] == [nn.Conv2d, nn.Tanh, nn.Conv2d, nn.Tanh]
    model, low = awake("espcn", residual=False, activation=nn.Tanh), picture()
    hidden = torch.tanh(model.body[2](torch.tanh(model.body[0](low - 0.5))))
    torch.testing.assert_close(model(low, 3), nn.functional.pixel_shuffle(model.last["3"][0](hidden), 3))


def test_srresnet_is_added_to_the_enlargement():
    """Fig. 4 of Ledig et al. 2017, written out."""
    model, low = awake("srresnet"), picture(channels=3)
    first = hidden = model.first(low)
    for block in model.body[:2]:
        convolve, _, prelu, again, _ = block.change
        hidden = hidden + again(prelu(convolve(hidden)))
    hidden = first + model.body[2](hidden)
    convolve, shuffle, prelu = model.up["2"]
    expected = enlarge(low, 2) + model.last(prelu(shuffle(convolve(hidden))))
    torch.testing.assert_close(model(low, 2), expected)


def test_batch_norm_is_asked_for():
    normed = SRResNet(8, 2, batch_norm=True)
    assert sum(isinstance(part, nn.BatchNorm2d) for part in normed.modules()) == 2 * 2 + 1
    assert not any(isinstance(part, nn.BatchNorm2d) for part in SRResNet(8, 2).modules())
    assert normed(picture(channels=3), 2).shape == (2, 3, 14, 18)


# What goes in and out


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("name", MODELS)
def test_shapes(name, factor):
    model = MODELS[name]()
    made = model(picture(channels=model.channels), factor)
    assert made.shape == (2, model.channels, 7 * factor, 9 * factor) and made.dtype == torch.float32


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("name", MODELS)
def test_untrained_is_the_bicubic_enlargement(name, factor):
    model = MODELS[name]()
    low = picture(channels=model.channels)
    assert torch.equal(model(low, factor), enlarge(low, factor))


@pytest.mark.parametrize("name", ["9-1-5", "espcn"])
def test_residual_is_what_is_added(name):
    """The same weights with and without; without, an untrained network is not the enlargement, nor zero."""
    with_, without, low = awake(name), awake(name, residual=False), picture()
    torch.testing.assert_close(with_(low, 2), enlarge(low, 2) + without(low, 2))
    assert MODELS[name](residual=False)(low, 2).abs().max() > 0


@pytest.mark.parametrize("name", MODELS)
def test_each_factor_has_a_layer_of_its_own(name):
    model = awake(name)
    low = picture(channels=model.channels)
    others = {factor: model(low, factor) for factor in (2, 4)}
    for part in (model.up if name == "srresnet" else model.last)["3"].parameters():
        nn.init.zeros_(part)
    for factor, before in others.items():
        assert torch.equal(model(low, factor), before)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("factor", [1, 5, 2.0, "2"])
def test_another_factor_is_refused(name, factor):
    model = MODELS[name]()
    with pytest.raises(ValueError, match=rf"factor {factor}: .*\(2, 3, 4\)"):
        model(picture(channels=model.channels), factor)
    with pytest.raises(ValueError, match=r"factor 3: .*\(2, 4\)"):
        MODELS[name](factors=(2, 4))(picture(channels=model.channels), 3)


@pytest.mark.parametrize("name", MODELS)
def test_another_shape_is_refused(name):
    model = MODELS[name]()
    for low in (picture(channels=4 - model.channels), picture(channels=model.channels)[0]):
        with pytest.raises(ValueError, match=rf"low has shape .*\(B, {model.channels}, h, w\)"):
            model(low, 2)


@pytest.mark.parametrize("make", MODELS.values())
@pytest.mark.parametrize("factors", [(), (2, 5), (1,)])
def test_factors_that_no_network_has_are_refused(make, factors):
    with pytest.raises(ValueError, match=r"one or more of \(2, 3, 4\)"):
        make(factors=factors)


@pytest.mark.parametrize("middle", [0, 2, 7])
def test_another_middle_is_refused(middle):
    with pytest.raises(ValueError, match=f"middle {middle}: it should be 1, 3 or 5"):
        SRCNN(middle)


# The critic


def test_the_critic_scores_patches_of_any_size():
    critic = PatchDiscriminator(width=4)
    assert critic(picture(32, 44, 3)).shape == (2, 1, 4, 5)
    assert critic(picture(8, 8, 3)).shape == (2, 1, 1, 1)
    assert PatchDiscriminator(1, 4, halvings=2)(picture(12, 16)).shape == (2, 1, 3, 4)


def test_a_score_is_raw_and_of_one_image_alone():
    torch.manual_seed(0)
    critic, images = PatchDiscriminator(width=4), picture(16, 16, 3, count=3)
    scores = critic(images)
    assert critic(1000 * images).abs().max() > 1  # no sigmoid
    torch.testing.assert_close(critic(images[1:2]), scores[1:2])
    torch.testing.assert_close(image_gradients(critic, images)[1:2], image_gradients(critic, images[1:2]))


def test_a_score_is_of_a_patch():
    """A pixel in one corner changes the scores near it, and not those far away."""
    torch.manual_seed(0)
    critic, images = PatchDiscriminator(width=4), picture(64, 64, 3, count=1)
    changed = images.clone()
    changed[:, :, 0, 0] += 1
    difference = (critic(changed) - critic(images)).abs()[0, 0]
    assert difference[0, 0] > 0 and difference[3:].max() == difference[:, 3:].max() == 0


@pytest.mark.parametrize("shape", [(2, 1, 16, 16), (2, 3, 7, 16), (2, 3, 16, 7), (3, 16, 16)])
def test_other_images_are_refused_by_the_critic(shape):
    with pytest.raises(ValueError, match=r"images have shape .*\(B, 3, H, W\) with sides of at least 8"):
        PatchDiscriminator(width=4)(torch.zeros(shape))
    with pytest.raises(ValueError, match="halvings 0: it should be at least 1"):
        PatchDiscriminator(halvings=0)


# In tiles


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("name", MODELS)
def test_the_radius_is_what_a_pixel_can_reach(name, factor):
    """The gradient of a pixel's enlarged square, down to the pixels it depends on: the radius is at most 1 too much."""
    model, side = awake(name).double(), 41
    for part in model.modules():  # so that no pixel is lost by chance, where a ReLU is shut or contributions cancel
        if isinstance(part, nn.Conv2d):
            part.weight.data.abs_()
            part.bias.data.fill_(0.5)
        if isinstance(part, nn.Tanh):
            part.forward = nn.functional.softplus
    low = torch.rand(1, model.channels, side, side, dtype=torch.float64).requires_grad_(True)
    middle = slice(side // 2 * factor, (side // 2 + 1) * factor)
    model(low, factor)[:, :, middle, middle].sum().backward()
    matters = low.grad[0].abs().sum(0) > 0
    found = (matters.any(0).nonzero() - side // 2).abs().max()
    assert found <= receptive_radius(model, factor) <= found + 1


@pytest.mark.parametrize(("model", "radii"), [
    (SRCNN(1), {2: 5, 3: 4, 4: 4}), (SRCNN(5), {2: 6, 3: 5, 4: 4}), (ESPCN(), {2: 4, 3: 4, 4: 4}),
    (SRResNet(8, 6), {2: 20, 3: 20, 4: 20}),
])  # fmt: skip
def test_radii_counted_by_hand(model, radii):
    """SRCNN 9-1-5: 4 + 0 + 2 large pixels, 3 small ones at factor 2, and 2 of the bicubic. SRResNet: 4 + 12 + 1 + 1, at 4 one more of twice the size; 4 large."""
    assert {factor: receptive_radius(model, factor) for factor in radii} == radii
    assert receptive_radius(model) == max(radii.values())


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("height", "width", "side"), [(41, 29, 16), (24, 24, 12), (17, 12, 7), (1, 3, 2), (9, 6, 128)])
def test_tiles_are_the_whole(name, factor, height, width, side):
    model = awake(name)
    low = picture(height, width, model.channels, count=1)
    with torch.no_grad():
        whole = model(low, factor)
    found = in_tiles(model, low, factor, side)
    assert whole.std() > 0.05 and not found.requires_grad
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=1e-5)


def test_tiles_are_no_larger_than_they_need_be():
    model, seen = awake("espcn"), []
    model.register_forward_pre_hook(lambda module, given: seen.append(tuple(given[0].shape[2:])))
    in_tiles(model, picture(50, 50), 2, side=20)
    assert seen == [(h, w) for h in (24, 28, 14) for w in (24, 28, 14)]  # 4 pixels more, on the sides that have any


def test_tiles_are_made_in_eval_mode():
    """With batch norm a tile's statistics would not be the whole's; what mode it was in comes back."""
    model, low = awake("srresnet", batch_norm=True), picture(20, 20, 3)
    model(low, 2)  # running statistics other than 0 and 1
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = in_tiles(model.train(), low, 2, side=8)
    assert model.training and all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    torch.testing.assert_close(found, model.eval()(low, 2).detach(), atol=1e-5, rtol=1e-5)
    in_tiles(model, low, 2, side=8)
    assert not model.training


def test_wrong_tiles_are_refused():
    model = awake("espcn")
    with pytest.raises(ValueError, match="side 0: a tile should have at least 1 pixel"):
        in_tiles(model, picture(), 2, side=0)
    with pytest.raises(ValueError, match="factor 5"):
        in_tiles(model, picture(), 5)
    with pytest.raises(ValueError, match="factor 5"):
        receptive_radius(model, 5)
    with pytest.raises(ValueError, match="low has shape"):
        in_tiles(model, picture(channels=3), 2)
    model.body[0] = nn.Conv2d(1, 8, 3, stride=2)
    with pytest.raises(ValueError, match=r"stride \(2, 2\)"):
        receptive_radius(model, 2)


def test_a_network_says_which_layers_work_where():
    with pytest.raises(NotImplementedError, match="Restorer does not say which layers"):
        Restorer(1).layers(2)
