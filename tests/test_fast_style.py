"""Fast style transfer: the network against formulas written out, the losses, training, blends by name, and what ships."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from v101_utils import zoo
from v101_utils.cli import main
from v101_utils.data.photos import photo
from v101_utils.data.styles import style_picture
from v101_utils.runtime import Plan
from v101_utils.style import FilterBank, gram
from v101_utils.style.blend import describe_blend, parse_blend
from v101_utils.style.colours import as_bright, grey, palette
from v101_utils.style.fast import FastStyleTask, StyleStatistics
from v101_utils.style.network import ConditionalInstanceNorm, StyledConvolution, StyleNetwork
from v101_utils.training import fit
from v101_utils.zoo.style_recipes import FAST_STYLES, style_features, style_pictures


def random(*shape, seed=0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def network(styles=3, seed=0) -> StyleNetwork:
    """A small one, whose styles differ."""
    torch.manual_seed(seed)
    made = StyleNetwork(styles, width=4, blocks=2)
    for name, rows in made.named_parameters():
        if name.endswith(("gamma", "beta")):
            torch.nn.init.normal_(rows, 1 if name.endswith("gamma") else 0, 0.5)
    return made.eval()


def one_hot(style: int, styles: int = 3) -> torch.Tensor:
    return torch.eye(styles)[style]


# The network


def test_instance_norm_is_that_of_torch_with_a_style_s_scale_and_shift():
    norm, x = ConditionalInstanceNorm(5, 3), random(4, 5, 6, 7)
    torch.nn.init.normal_(norm.gamma), torch.nn.init.normal_(norm.beta)
    weights = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, 1, 0], [0.2, 0.3, 0.5]])
    found = norm(x, weights)
    for i, style in ((0, 0), (1, 2), (2, 1)):
        plain = torch.nn.InstanceNorm2d(5, affine=True)
        plain.weight, plain.bias = torch.nn.Parameter(norm.gamma[style]), torch.nn.Parameter(norm.beta[style])
        torch.testing.assert_close(found[i : i + 1], plain(x[i : i + 1]))
    mean, variance = x[3].mean((1, 2)), x[3].var((1, 2), correction=0)
    gamma, beta = weights[3] @ norm.gamma, weights[3] @ norm.beta
    by_hand = (x[3] - mean[:, None, None]) / (variance + 1e-5).sqrt()[:, None, None] * gamma[:, None, None] + beta[:, None, None]
    torch.testing.assert_close(found[3], by_hand)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 18), (19, 32), (33, 21), (64, 48)])
def test_pictures_of_any_size_keep_it(height, width):
    made = network()(random(2, 3, height, width), one_hot(1))
    assert made.shape == (2, 3, height, width) and made.abs().max() <= 1 and made.isfinite().all()


def test_a_size_that_is_no_multiple_of_4_is_padded_by_reflection():
    model, image = network(), random(1, 3, 30, 33)
    padded = torch.from_numpy(np.pad(image.numpy(), ((0, 0), (0, 0), (0, 2), (0, 3)), mode="reflect"))
    assert torch.equal(model(image, one_hot(0)), model(padded, one_hot(0))[..., :30, :33])


def test_each_picture_has_its_own_style_whatever_its_neighbours():
    model, images = network(), random(3, 3, 20, 24)
    together = model(images, torch.eye(3))
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], model(images[i : i + 1], one_hot(i)), atol=1e-5, rtol=1e-4)
    assert (model(images[:1], one_hot(0)) - model(images[:1], one_hot(1))).abs().mean() > 0.01


def test_weights_are_a_row_for_all_a_row_each_or_a_list():
    model, images = network(), random(2, 3, 16, 16)
    row = torch.tensor([0.25, 0.25, 0.5])
    wanted = model(images, row)
    for same in (row[None], row.expand(2, 3), [0.25, 0.25, 0.5], np.array([0.25, 0.25, 0.5])):
        torch.testing.assert_close(model(images, same), wanted)
    assert (wanted - model(images, [0.0, 0.5, 0.5])).abs().max() > 1e-3
    alone = network(1)
    assert torch.equal(alone(images), alone(images, [1.0]))


@pytest.mark.parametrize(
    ("shape", "weights", "message"),
    [
        ((1, 3, 15, 40), [1.0, 0, 0], r"\(1, 3, 15, 40\).*at least 16"), ((1, 1, 20, 20), [1.0, 0, 0], r"\(B, 3, H, W\)"),
        ((3, 20, 20), [1.0, 0, 0], r"\(B, 3, H, W\)"), ((0, 3, 20, 20), [1.0, 0, 0], r"\(B, 3, H, W\)"),
        ((2, 3, 20, 20), [0.5, 0.5], r"weights have shape \(2,\).*\(2, 3\) or \(3,\)"),
        ((2, 3, 20, 20), torch.eye(3), r"\(3, 3\).*\(2, 3\)"), ((2, 3, 20, 20), None, "3 styles, say how much of each"),
        ((1, 3, 20, 20), [0.5, 0.2, 0.2], "sum to .*should sum to 1"), ((2, 3, 20, 20), torch.ones(2, 3), "should sum to 1"),
    ],
)  # fmt: skip
def test_wrong_images_or_weights_are_refused(shape, weights, message):
    with pytest.raises(ValueError, match=message):
        network()(torch.zeros(shape), weights)


@pytest.mark.parametrize("wrong", [{"styles": 0}, {"width": 0}, {"blocks": -1}])
def test_no_such_network(wrong):
    with pytest.raises(ValueError, match="should be 1 at least"):
        StyleNetwork(**wrong)


def test_enlarging_treats_every_pixel_alike():
    """A level goes in, a level comes out: no checkerboard and no frame, whatever the weights."""
    torch.manual_seed(0)
    layer = StyledConvolution(3, 5, 1, up=2)
    flat = layer.convolution(F.interpolate(torch.full((1, 3, 8, 8), 0.7), scale_factor=2))
    torch.testing.assert_close(flat, flat[..., :1, :1].expand_as(flat))
    transposed = torch.nn.ConvTranspose2d(3, 5, 3, stride=2)(torch.full((1, 3, 8, 8), 0.7))
    assert transposed[..., 4:-4, 4:-4].std((2, 3)).min() > 1e-3


def test_noise_is_fixed_for_use_and_fresh_in_training():
    model, images = network(1), random(1, 3, 24, 24).expand(2, -1, -1, -1)
    state = torch.get_rng_state()
    made = model(images)
    assert torch.equal(made, model(images)) and torch.equal(made[0], made[1])
    assert torch.equal(torch.get_rng_state(), state)
    drawn = [model.train()(images) for _ in range(2)]
    assert (drawn[0] - drawn[1]).abs().mean() > 1e-3 and (drawn[0][0] - drawn[0][1]).abs().mean() > 1e-3


def test_noise_makes_something_of_a_plain_area():
    assert network()(torch.full((1, 3, 32, 32), 0.2), one_hot(0)).std((2, 3)).min() > 0.01


def test_what_is_added_to_is_the_picture_in_the_style_s_colours():
    model, image = network(2), random(2, 3, 20, 21)
    torch.nn.init.zeros_(model.last.weight), torch.nn.init.zeros_(model.last.bias)
    torch.testing.assert_close(model(image, [0.0, 1.0]), image.tanh())  # as it begins
    torch.nn.init.normal_(model.tint), torch.nn.init.normal_(model.shade)
    for weights in ((0.0, 1.0), (0.25, 0.75)):
        tint, shade = (sum(w * row for w, row in zip(weights, rows)) for rows in (model.tint, model.shade))
        wanted = (image.movedim(1, -1) @ tint.T + shade).tanh().movedim(-1, 1)
        torch.testing.assert_close(model(image, weights), wanted)


# The losses


def test_gram_and_palette_against_the_same_written_out():
    bank, pictures = FilterBank((3, 7), 4, strided=True), [random(1, 3, 24, 24, seed=i) * (i + 1) / 3 for i in range(3)]
    statistics, images = StyleStatistics(pictures, bank), random(2, 3, 20, 22, seed=9)
    weights = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
    losses, errors = statistics.losses(images, weights), {"style": [], "palette": []}
    for image, row in zip(images, weights):
        for layer in bank.layers:
            aim = sum(w * gram(bank(picture)[layer]) for w, picture in zip(row, pictures))
            found = gram(bank(image[None])[layer])
            errors["style"].append((found - aim).square().sum() / aim.square().sum())
        aim = sum(w * palette(picture) for w, picture in zip(row, pictures))
        errors["palette"].append((palette(image[None]) - aim).square().sum() / aim.square().sum())
    for name, each in errors.items():
        torch.testing.assert_close(losses[name], torch.stack(each).mean())


def test_a_style_picture_has_no_distance_from_itself_and_shuffled_pixels_keep_the_palette():
    picture = style_picture("mosaic", 32)
    statistics = StyleStatistics([picture, style_picture("waves", 32)], FilterBank((3, 7), 8))
    own = statistics.losses(picture, torch.eye(2)[:1])
    assert own["style"] < 1e-10 and own["palette"] < 1e-10
    places = torch.randperm(32 * 32, generator=torch.Generator().manual_seed(0))
    shuffled = statistics.losses(picture.flatten(2)[..., places].view_as(picture), torch.eye(2)[:1])
    assert shuffled["palette"] < 1e-10 and shuffled["style"] > 0.05
    other = statistics.losses(picture, torch.eye(2)[1:])
    assert other["style"] > 0.05 and other["palette"] > 0.05


def test_grey_is_brightness_as_pillow_has_it():
    from PIL import Image

    photograph = photo("chelsea", side=64)
    pixels = ((photograph[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    wanted = torch.from_numpy(np.array(Image.fromarray(pixels).convert("L"))) / 127.5 - 1
    found = grey(photograph)
    assert found.shape == photograph.shape and torch.equal(found[:, 0], found[:, 2])
    torch.testing.assert_close(found[0, 0], wanted, atol=0.01, rtol=0)


def test_the_content_gets_the_brightness_of_its_style():
    pictures, images = [style_picture(name, 48) for name in ("mosaic", "waves")], random(3, 3, 20, 24) * 0.3 + 0.2
    statistics = StyleStatistics(pictures, FilterBank((3,), 2))
    found = statistics.as_bright(images, torch.tensor([[1.0, 0], [0, 1], [0.5, 0.5]]))
    for image, picture, mine in zip(images, pictures, found):
        torch.testing.assert_close(mine[None], as_bright(image[None], picture), atol=2e-3, rtol=2e-3)
    mean, deviation = (sum(f(grey(picture)[:, 0]) for picture in pictures) / 2 for f in (torch.mean, torch.std))
    assert found[2].mean() == pytest.approx(mean.item(), abs=1e-4)
    assert found[2, 0].std() == pytest.approx(deviation.item(), abs=1e-4)


# The task


def task(styles=2, **options) -> FastStyleTask:
    pictures = [style_picture(name, 48) for name in ("mosaic", "waves")][:styles]
    banks = FilterBank((3, 7), 8, strided=True), FilterBank((7,), 8, seed=1, strided=True)
    return FastStyleTask(network(styles), pictures, *banks, **options)


def test_the_loss_is_the_weighted_sum_and_its_gradient_is_the_model_s():
    made, crops, seen = task(style_weight=3.0, palette_weight=2.0, smoothness=0.7), random(3, 3, 32, 32), []
    found = made.training_step((crops,), lambda loss, optimiser: seen.append((loss, optimiser)))
    assert set(found) == {"loss", "style", "palette", "content", "variation"}
    torch.testing.assert_close(
        found["loss"], 3 * found["style"] + 2 * found["palette"] + found["content"] + 0.7 * found["variation"])
    ((loss, optimiser),) = seen
    loss.backward()
    assert optimiser is made.optimisers["model"]
    owned = {id(p) for group in optimiser.param_groups for p in group["params"]}
    assert owned == {id(p) for p in made.model.parameters()}
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.model.parameters())


def test_styles_are_drawn_evenly_and_a_share_is_blended():
    made = task(mixes=0.5)
    torch.manual_seed(0)
    weights = made.choose(4000)
    torch.testing.assert_close(weights.sum(1), torch.ones(4000))
    assert weights.min() >= 0 and (weights.mean(0) - 0.5).abs().max() < 0.03
    blended = (weights.max(1).values < 1).float().mean()  # half of those drawn for it have the same style twice
    assert abs(blended - 0.25) < 0.03
    made.mixes = 0.0
    assert (made.choose(100).max(1).values == 1).all()


def test_training_lowers_both_losses_of_every_style():
    made, crops = task(lr=5e-3, mixes=0.0), random(4, 3, 32, 32) * 0.3
    made.eval()
    weights = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])

    @torch.no_grad()
    def measure():
        return torch.stack([made.style.losses(made.model(crops, rows), rows)[name]
                            for rows in (weights[:1].expand(4, 2), weights[3:].expand(4, 2)) for name in ("style", "palette")])

    before = measure()
    list(fit(made, lambda step: crops, 60, plan=Plan(), progress=False))
    made.eval()
    assert (measure() < 0.8 * before).all()


def test_training_repeats():
    results = []
    for between in (0, 5):
        made = task()
        for _ in fit(made, lambda step: (random(2, 3, 24, 24, seed=step),), 4, plan=Plan(), progress=False):
            torch.rand(between)
        results.append(torch.cat([p.detach().flatten() for p in made.model.parameters()]))
    assert torch.equal(*results)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="1 style pictures; the model has 2 styles"):
        FastStyleTask(network(2), [style_picture("mosaic", 32)], FilterBank((3,), 2), FilterBank((3,), 2))
    for wrong in ({"style_weight": -1.0}, {"smoothness": -0.1}, {"mixes": 1.5}):
        with pytest.raises(ValueError, match="should be 0 or above, mixes from 0 to 1"):
            task(**wrong)
    with pytest.raises(ValueError, match="no style pictures"):
        StyleStatistics([], FilterBank((3,), 2))


# Blends by name

NAMES = ("mosaic", "waves", "ihc")


@pytest.mark.parametrize(
    ("text", "weights"),
    [("waves", (0, 1, 0)), ("mosaic:0.7,waves:0.3", (0.7, 0.3, 0)), (" ihc , mosaic ", (0.5, 0, 0.5)),
     ("ihc:3,waves:1", (0, 0.25, 0.75)), ("mosaic:0,waves", (0, 1, 0))],
)  # fmt: skip
def test_a_blend_is_read(text, weights):
    torch.testing.assert_close(parse_blend(text, NAMES), torch.tensor(weights, dtype=torch.float32))


@pytest.mark.parametrize(
    ("text", "message"),
    [("cubism", "'cubism'; there are mosaic, waves, ihc"), ("", "''; there are"), ("mosaic,", "no style is called ''"),
     ("mosaic:x", "'mosaic:x': the weight should be"), ("mosaic:-1", "0 or above"), ("mosaic:nan", "0 or above"),
     ("mosaic:inf", "0 or above"), ("mosaic:", "0 or above"), ("mosaic:0", "are all 0"), ("mosaic,mosaic", "twice")],
)  # fmt: skip
def test_a_wrong_blend_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_blend(text, NAMES)


def test_a_blend_in_words():
    assert describe_blend(torch.tensor([0.7, 0.0, 0.3]), NAMES) == "mosaic 70%, ihc 30%"
    assert describe_blend(torch.zeros(3), NAMES) == ""


# What ships, and the command


@pytest.fixture(scope="module")
def shipped() -> StyleNetwork:
    return zoo.load("style-fast")


def test_every_style_comes_closer_to_its_own_picture_than_the_photograph_was(shipped):
    """And the content stays: closer to the photograph than another photograph is."""
    figures = zoo.card("style-fast")["figures"]
    for style in FAST_STYLES:
        assert figures[f"style_loss_{style}"] < 0.5 * figures[f"style_loss_{style}_of_photographs"]
        assert figures[f"content_loss_{style}"] < 0.8 * figures["content_loss_of_another_photograph"]
    measured = zoo.recipe("style-fast").figures(shipped)
    for name, value in figures.items():
        assert measured[name] == pytest.approx(value, rel=0.05, abs=0.005)


def test_each_style_is_nearest_to_what_is_made_in_it(shipped):
    statistics, content = StyleStatistics(style_pictures(), style_features()), photo("chelsea", side=128)
    for i, rows in enumerate(torch.eye(len(FAST_STYLES))):
        made = shipped(content, rows)
        losses = [statistics.losses(made, other[None])["palette"].item() for other in torch.eye(len(FAST_STYLES))]
        assert min(range(len(losses)), key=losses.__getitem__) == i


def run(*words) -> int:
    return main([str(word) for word in words])


def test_the_command_paints_as_the_network_does(tmp_path, shipped):
    blend = f"{FAST_STYLES[0]}:3,{FAST_STYLES[1]}:1"
    for style, weights in ((FAST_STYLES[1], [0.0, 1.0]), (blend, [0.75, 0.25])):
        assert run("stylize", "chelsea", style, tmp_path / "out.png", "--method", "fast", "--size", 100) == 0
        wanted = shipped(photo("chelsea", side=100), weights + [0.0] * (len(FAST_STYLES) - 2))
        assert (photo(tmp_path / "out.png") - wanted).abs().max() < 0.01


@pytest.mark.parametrize(
    ("style", "more", "message"),
    [("cubism", (), f"no style is called 'cubism'; there are {', '.join(FAST_STYLES)}"),
     (f"{FAST_STYLES[0]}:x", (), "should be a number"),
     (FAST_STYLES[0], ("--steps", 5), "--method fast does not take --steps"),
     (FAST_STYLES[0], ("--content-weight", 5), "does not take --content-weight")],
)  # fmt: skip
def test_the_command_refuses(style, more, message, tmp_path, capsys):
    assert run("stylize", "chelsea", style, tmp_path / "out.png", "--method", "fast", *more) == 1
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())
