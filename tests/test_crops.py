"""Random crops: which photographs they are of, what is done to them, and that (seed, step) says it all."""

from itertools import permutations

import pytest
import torch

from v101_utils.data import crops
from v101_utils.data.crops import DETAIL, HELD_OUT, TRAIN, TRIES, PhotoCrops
from v101_utils.data.photos import PHOTOS, photo
from v101_utils.runtime import generator

GREY = ("brick", "grass", "gravel", "camera")


def brightness(images: torch.Tensor) -> torch.Tensor:
    """(N, P, P) of (N, 3, P, P)."""
    return torch.einsum("nchw,c->nhw", images, torch.tensor([0.299, 0.587, 0.114]))


def found_in(whole: torch.Tensor, part: torch.Tensor) -> bool:
    """Whether `part` (3, P, P) is somewhere in `whole` (3, H, W)."""
    height, width = part.shape[1:]
    starts = whole[:, : whole.shape[1] - height + 1, : whole.shape[2] - width + 1] == part[:, :1, :1]
    return any(torch.equal(whole[:, y : y + height, x : x + width], part) for y, x in starts.all(0).nonzero().tolist())


@pytest.fixture
def scene(monkeypatch):
    """Puts given levels, each (3, H, W), in the place of every photograph."""
    return lambda *levels: monkeypatch.setattr(crops, "_levels", lambda name: levels)


def test_the_batch_is_a_function_of_seed_and_step():
    first, again = PhotoCrops(6, 32, seed=3), PhotoCrops(6, 32, seed=3)
    first(0)
    (images,) = first(7)
    assert torch.equal(images, again(7)[0])
    assert images.shape == (6, 3, 32, 32) and images.dtype == torch.float32 and images.abs().max() <= 1
    assert not torch.equal(images, first(8)[0])
    assert not torch.equal(images, PhotoCrops(6, 32, seed=4)(7)[0])
    assert len({image.numpy().tobytes() for image in images}) == 6


def test_a_batch_is_the_readers_own():
    PhotoCrops(4, 32)(0)[0].zero_()
    assert PhotoCrops(4, 32)(0)[0].abs().max() > 0


def test_what_is_held_out_is_not_trained_on():
    assert not set(HELD_OUT) & set(TRAIN)
    assert set(HELD_OUT + TRAIN) <= set(PHOTOS) and len(set(TRAIN)) == len(TRAIN)
    assert not {"retina", "ihc", "hubble_deep_field"} & set(TRAIN)


def test_the_default_names_are_the_training_set(monkeypatch):
    asked = []
    monkeypatch.setattr(crops, "_levels", lambda name: asked.append(name) or (torch.zeros(3, 40, 40),))
    PhotoCrops(1, 32)
    assert set(asked) == set(TRAIN)


@pytest.mark.parametrize("name", ["chelsea", "camera"])
def test_a_crop_is_a_part_of_its_photograph(name, monkeypatch):
    monkeypatch.setattr(crops, "SCALES", (1.0,))
    crops._levels.cache_clear()
    try:
        (images,) = PhotoCrops(4, 40, names=(name,))(0)
    finally:
        crops._levels.cache_clear()
    whole = photo(name)[0]
    for image in images:
        turned = [image.rot90(k, (1, 2)).flip(axes) for k in range(4) for axes in ([], [2])]
        ways = [way[list(order)] for way in turned for order in permutations(range(3))]
        assert any(found_in(whole, way) for way in ways)


def test_every_turn_mirror_and_order_of_colours(scene):
    ramp = torch.linspace(-1, 1, 3 * 16).view(3, 4, 4)  # every pixel unlike the others
    scene(ramp)
    (images,) = PhotoCrops(4000, 4, names=("camera",))(0)
    turned = [ramp.rot90(k, (1, 2)) for k in range(4)]
    turned += [way.flip(2) for way in turned]
    count = torch.zeros(8, 6)
    for i, way in enumerate(turned):
        for j, order in enumerate(permutations(range(3))):
            count[i, j] = (images == way[list(order)]).flatten(1).all(1).sum()
    assert count.sum() == 4000
    assert (count.sum(1) / 4000 - 1 / 8).abs().max() < 0.03
    orders = count.sum(0) / 4000
    assert abs(orders[0] - 1 / 2) < 0.04 and (orders[1:] - 1 / 10).abs().max() < 0.03


def test_every_place_and_scale(scene):
    levels = [torch.rand(3, side, side + 1, generator=generator(side)) * 2 - 1 for side in (9, 7)]
    scene(*levels)
    (images,) = PhotoCrops(3000, 7, names=("camera",))(0)
    values = images.sort(1).values.flatten(1).sum(1)  # neither turns nor permuted colours change it
    places = [part for level in levels for part in level.unfold(1, 7, 1).unfold(2, 7, 1).flatten(1, 2).transpose(0, 1)]
    expected = torch.stack([part.sum() for part in places])
    shares = ((values[:, None] - expected).abs() < 1e-3).float().mean(0)
    assert len(places) == 3 * 4 + 1 * 2 and shares.sum() == pytest.approx(1, abs=1e-3)
    assert (shares[:12] - 1 / 24).abs().max() < 0.02 and (shares[12:] - 1 / 4).abs().max() < 0.04


def test_the_levels_are_the_photograph_shrunk():
    levels = crops._levels("rocket")
    assert torch.equal(levels[0], photo("rocket")[0])
    assert [tuple(level.shape) for level in levels] == [(3, 427, 640), (3, 359, 538), (3, 303, 454), (3, 252, 378), (3, 214, 320)]
    assert all(level.mean().item() == pytest.approx(levels[0].mean().item(), abs=0.01) for level in levels)
    assert crops._levels("rocket") is levels  # read once


def test_a_crop_uses_the_scales_that_hold_it():
    sides = [min(level.shape[1:]) for level in PhotoCrops(1, 260, names=("rocket",)).photos[0]]
    assert sides == [427, 359, 303]


def test_flat_crops_are_drawn_again(scene):
    half = torch.zeros(3, 20, 400)
    half[..., 200:] = torch.rand(3, 20, 200, generator=generator(0)) * 2 - 1
    scene(half)
    batches = PhotoCrops(200, 20, names=("camera",))
    deviation = brightness(batches(0)[0]).flatten(1).std(1, correction=0)
    assert deviation.min() >= DETAIL  # half of the first draws are flat; ten in a row hardly ever
    assert torch.equal(batches(0)[0], PhotoCrops(200, 20, names=("camera",))(0)[0])


def test_a_flat_photograph_ends_the_search(scene, monkeypatch):
    scene(torch.full((3, 20, 20), 0.3))
    batches, drawn = PhotoCrops(2, 8, names=("camera",)), []
    draw = batches._draw
    monkeypatch.setattr(batches, "_draw", lambda random: drawn.append(1) or draw(random))
    assert torch.equal(batches(0)[0], torch.full((2, 3, 8, 8), 0.3))
    assert len(drawn) == 2 * TRIES


def test_colour_without_brightness_is_flat(scene, monkeypatch):
    """Detail is that of brightness as the eye has it, not of the mean of the channels."""
    scene(torch.tensor([0.587, -0.299, 0.0])[:, None, None] * torch.tensor([1.0, -1.0]).repeat(20, 10))
    batches, drawn = PhotoCrops(1, 8, names=("camera",)), []
    monkeypatch.setattr(crops, "ORDERS", ((0, 1, 2),))
    draw = batches._draw
    monkeypatch.setattr(batches, "_draw", lambda random: drawn.append(1) or draw(random))
    batches(0)
    assert len(drawn) == TRIES


def test_photographs_are_as_likely_as_each_other(monkeypatch):
    flat = {name: torch.full((3, 8, 8), i / 10) for i, name in enumerate(TRAIN)}
    monkeypatch.setattr(crops, "_levels", lambda name: (flat[name],))
    monkeypatch.setattr(crops, "TRIES", 1)
    shares = torch.bincount((PhotoCrops(2000, 8)(0)[0][:, 0, 0, 0] * 10).round().long()) / 2000
    assert len(shares) == len(TRAIN) and (shares - 1 / len(TRAIN)).abs().max() < 0.04


def test_a_grey_photograph_stays_grey():
    (images,) = PhotoCrops(8, 24, names=GREY)(0)
    assert torch.equal(images[:, :1].expand(-1, 3, -1, -1), images)


def test_the_held_out_can_be_asked_for():
    assert PhotoCrops(2, 160, names=HELD_OUT)(0)[0].shape == (2, 3, 160, 160)


@pytest.mark.parametrize("names", [(), ("chelsea", "mona_lisa"), "camera"])
def test_names_that_are_no_photographs_are_refused(names):
    with pytest.raises(ValueError, match="of the photographs astronaut, chelsea"):
        PhotoCrops(1, 32, names=names)


def test_a_crop_larger_than_a_photograph_is_refused():
    with pytest.raises(ValueError, match="chelsea is 300 x 451: a crop of it should be at most 300, not 301"):
        PhotoCrops(1, 301, names=("coffee", "chelsea"))
    assert PhotoCrops(1, 300, names=("chelsea",))(0)[0].shape == (1, 3, 300, 300)


@pytest.mark.parametrize(("size", "crop"), [(0, 32), (4, 0), (-1, 8)])
def test_empty_batches_are_refused(size, crop):
    with pytest.raises(ValueError, match="both should be 1 at least"):
        PhotoCrops(size, crop)
