"""Style transfer by optimisation: losses by hand, gradients, both optimisers, masks, mixtures, scales, colours, refusals."""

import pytest
import torch
from torch.nn import functional as F

from v101_utils.data.photos import photo
from v101_utils.data.styles import style_picture
from v101_utils.style import FilterBank, content_loss, gram, moments, sliced, style_loss, total_variation
from v101_utils.style.colours import as_bright, grey, palette
from v101_utils.style.gatys import Aim, coarse_to_fine, last, stylise

SMALL = FilterBank((3, 7), 8)


@pytest.fixture(scope="module")
def content():
    return photo("astronaut", side=32)


@pytest.fixture(scope="module")
def style():
    return style_picture("mosaic", side=48)


def run(content, styles, **options):
    return list(stylise(content, styles, **{"features": SMALL, "content_features": SMALL, "steps": 8} | options))


# What is measured


def test_the_losses_are_those_of_the_formulas(content, style):
    picture = photo("chelsea", side=32)
    picture = F.interpolate(picture, content.shape[2:])
    found = Aim(content, style, SMALL, SMALL, content_weight=0.3, style_weight=2.0, palette_weight=0.7, smoothness=0.1)(picture)
    grams = [{name: gram(value) for name, value in SMALL(image).items()} for image in (picture, style)]
    expected = {
        "content": content_loss(SMALL(grey(picture)), SMALL(as_bright(content, style))), "style": style_loss(*grams),
        "palette": style_loss({"": palette(picture)}, {"": palette(style)}), "variation": total_variation(picture),
    }  # fmt: skip
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
    parts = 0.3 * expected["content"] + 2 * expected["style"] + 0.7 * expected["palette"] + 0.1 * expected["variation"]
    torch.testing.assert_close(found["loss"], parts)


@pytest.mark.parametrize("statistic", [gram, moments, sliced])
def test_a_style_is_like_itself_and_a_content_too(content, style, statistic):
    assert Aim(content, content, SMALL, SMALL, statistic)(content)["loss"] < 1e-10
    losses = Aim(content, style, SMALL, SMALL, statistic)(content)
    assert Aim(content, style, SMALL, SMALL, statistic)(as_bright(content, style))["content"] < 1e-10
    assert losses["style"] > 0.1 and losses["palette"] > 0.01


def test_colours_are_content_only_if_so_wished(content):
    tinted = content.flip(1) - grey(content.flip(1)) + grey(content)  # other colours of the same brightness
    free, bound = (Aim(content, content, SMALL, SMALL, colours=colours)(tinted)["content"] for colours in (False, True))
    assert free < 1e-10 and bound > 0.01


def test_one_pass_serves_both_if_colours_count(content, style):
    calls, bank = [], FilterBank((3, 7), 8)
    bank.register_forward_hook(lambda *_: calls.append(1))
    picture = F.interpolate(photo("chelsea", side=32), content.shape[2:])
    for colours, passes in ((True, 1), (False, 2)):
        aim = Aim(content, style, bank, ("7x7",), colours=colours)
        calls.clear()
        apart = Aim(content, style, SMALL, FilterBank((7,), 8), colours=colours)(picture)
        torch.testing.assert_close(aim(picture)["loss"], apart["loss"])
        assert len(calls) == passes
    with pytest.raises(ValueError, match="some of 3x3, 7x7"):
        Aim(content, style, bank, ("9x9",))


def test_weights_mix_styles(content, style):
    other = style_picture("waves", side=40)
    alone = [Aim(content, one, SMALL, SMALL)(content) for one in (style, other)]
    mixed = Aim(content, [style, other], SMALL, SMALL, weights=(3, 1))(content)
    for name in ("style", "palette"):
        torch.testing.assert_close(mixed[name], 0.75 * alone[0][name] + 0.25 * alone[1][name])


def test_a_mask_says_where_a_style_counts(content, style):
    """The gradient is 0 beyond the mask, and with all places it is that of no mask."""
    height, width = content.shape[2:]
    masks = torch.zeros(1, height, width, dtype=torch.bool)
    masks[..., : width // 2] = True
    picture = content.clone().requires_grad_()
    Aim(content, style, SMALL, SMALL, content_weight=0, masks=masks)(picture)["loss"].backward()
    assert picture.grad[..., width // 2 + 3 :].abs().max() == 0  # the largest filter reaches three pixels
    assert picture.grad[..., : width // 2].abs().min() > 0
    everywhere = torch.ones_like(masks)
    assert Aim(content, style, SMALL, SMALL, masks=everywhere)(content) == Aim(content, style, SMALL, SMALL)(content)


def test_masks_follow_strides_and_shifts(content, style):
    bank, (height, width) = FilterBank((15, 23), 4, strided=True), content.shape[2:]
    masks = torch.zeros(2, height, width, dtype=torch.bool)
    masks[0, : height // 2], masks[1, height // 2 :] = True, True
    aim = Aim(content, [style, style], bank, SMALL, masks=masks)
    for shift in ((0, 0), (3, 1), (0, 4)):
        assert torch.isfinite(aim(content, shift)["loss"])


def test_a_shift_measures_other_places(content, style):
    bank = FilterBank((23,), 8, strided=True)
    aim = Aim(content, style, bank, SMALL)
    part, wanted = (gram(bank(image)["23x23"]) for image in (content[..., 2:, 3:], style))
    torch.testing.assert_close(aim(content, (2, 3))["style"], style_loss({"": part}, {"": wanted}))
    assert aim(content, (2, 3))["style"] != aim(content)["style"]


# What it does


def test_each_optimiser_lowers_the_loss_and_keeps_the_range(content, style):
    for optimiser in ("adam", "lbfgs"):
        steps = run(content, style, optimiser=optimiser, content_weight=0.05, steps=12)
        assert [step.number for step in steps] == list(range(1, 13))
        assert steps[-1].losses["loss"] < 0.5 * steps[0].losses["loss"], optimiser
        for step in steps:
            assert step.picture.shape == content.shape and step.picture.abs().max() <= 1 and not step.picture.requires_grad


def test_the_content_weight_decides_what_is_kept(content, style):
    kept = [last(iter(run(content, style, content_weight=weight, steps=40))).losses for weight in (0.001, 10.0)]
    assert kept[0]["content"] > 2 * kept[1]["content"] and kept[0]["style"] < kept[1]["style"]


def test_the_same_seed_gives_the_same_picture(content, style):
    bank, random = FilterBank((15, 3), 4, strided=True), torch.get_rng_state()
    one, same, other = (run(content, style, features=bank, start="noise", seed=seed, steps=3)[-1].picture for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), random)


def test_the_picture_that_is_shown_is_not_the_one_that_goes_on(content, style):
    steps = stylise(content, style, features=SMALL, content_features=SMALL, steps=3)
    undisturbed = run(content, style, steps=3)[-1].picture
    for step in steps:
        found = step.picture.clone()
        step.picture.zero_()
    assert torch.equal(found, undisturbed)


def test_two_regions_take_on_their_own_palette(content):
    height, width = content.shape[2:]
    masks = torch.zeros(2, height, width, dtype=torch.bool)
    masks[0, :, : width // 2], masks[1, :, width // 2 :] = True, True
    red, blue = (torch.zeros(1, 3, 32, 32).index_fill_(1, torch.tensor(c), 0.8) for c in (0, 2))
    made = run(content, [red, blue], masks=masks, style_weight=0, content_weight=0, steps=30, lr=0.1)[-1].picture
    left, right = (part.mean((0, 2, 3)) for part in (made[..., : width // 2], made[..., width // 2 :]))
    assert left.argmax() == 0 and right.argmax() == 2 and left[0] - left[2] > 0.5 and right[2] - right[0] > 0.5


def test_it_goes_from_coarse_to_fine(content, style):
    steps = run(content, style, scales=(0.5, 0.75, 1), steps=8)
    heights = [step.picture.shape[2] for step in steps]
    assert heights == sorted(heights) and [heights.count(h) for h in (16, 24, 32)] == [2, 3, 3]
    assert [coarse_to_fine(side) for side in (64, 128, 191, 192, 256, 512)] == [
        (1,), (1,), (1,), (0.5, 1), (0.5, 1), (0.25, 0.5, 1)]  # fmt: skip


def test_colours_are_kept_if_so_wished(content, style):
    made = run(content, style, keep_colours=True, content_weight=0.01, steps=15)[-1].picture
    inside = (made.abs() < 1).all(1, keepdim=True) & (content.abs() < 1).all(1, keepdim=True)  # where nothing was clamped
    changed = (made - content)[inside.expand_as(made)].view(3, -1)
    assert inside.float().mean() > 0.3 and changed.abs().max() > 0.1
    torch.testing.assert_close(changed, changed[:1].expand_as(changed), atol=1e-5, rtol=0)  # R, G and B by the same


@pytest.mark.parametrize(("wrong", "reason"), [
    ({"optimiser": "sgd"}, "'adam' or 'lbfgs'"), ({"lr": 0}, "above 0"), ({"seed": -1}, "0 or above"),
    ({"steps": 0}, "a step for each"),
    ({"scales": ()}, "a step for each"), ({"scales": (2,)}, "at most 1"), ({"start": "middle"}, "'content', 'noise'"),
    ({"start": torch.zeros(1, 3, 5, 5)}, "content's shape"), ({"content_weight": -1}, "0 or above"),
    ({"smoothness": float("nan")}, "0 or above"), ({"weights": (1, 2)}, "a weight each"), ({"weights": (0,)}, "not all 0"),
    ({"content_weight": 0, "style_weight": 0, "palette_weight": 0}, "not all 0"),
    ({"masks": torch.ones(2, 32, 32, dtype=torch.bool)}, r"\(1, 32, 32\)"), ({"masks": torch.ones(1, 32, 32)}, "booleans"),
    ({"masks": torch.zeros(1, 32, 32, dtype=torch.bool)}, "no place"), ({"scales": (0.05, 1)}, "should have 4 or more"),
])  # fmt: skip
def test_what_is_refused_before_any_work(content, style, wrong, reason):
    options = {"features": SMALL, "content_features": SMALL} | wrong
    with pytest.raises(ValueError, match=reason):
        stylise(content, style, **options)  # not a step of it


@pytest.mark.parametrize(("height", "enough"), [(15, False), (16, True)])
def test_a_shift_must_leave_enough_of_a_thin_picture(height, enough):
    bank = FilterBank((23,), 4, strided=True)  # 12 pixels, and shifts of up to 4
    make = lambda: Aim(torch.rand(1, 3, height, 48) * 2 - 1, torch.rand(1, 3, 48, 48) * 2 - 1, bank, SMALL)
    if enough:
        assert torch.isfinite(make()(torch.zeros(1, 3, height, 48), (4, 4))["loss"])
    else:
        with pytest.raises(ValueError, match=r"content is \(15, 48\).*16 or more"):
            make()


@pytest.mark.parametrize("wrong", [torch.zeros(3, 32, 32), torch.zeros(2, 3, 32, 32), torch.zeros(1, 1, 32, 32), "astronaut",
                                   torch.zeros(1, 3, 32, 32, dtype=torch.uint8)])  # fmt: skip
def test_pictures_of_other_shapes_are_refused(content, style, wrong):
    with pytest.raises(ValueError, match=r"content is .*one picture, \(1, 3, H, W\)"):
        stylise(wrong, style)
    with pytest.raises(ValueError, match=r"a style is .*one picture"):
        stylise(content, [wrong])
    with pytest.raises(ValueError, match="one style or more"):
        stylise(content, [])


def test_a_loss_that_is_not_finite_stops_it(content, style):
    with pytest.raises(ArithmeticError, match="nan at step 1; try a smaller lr"):
        run(content * torch.nan, style)
