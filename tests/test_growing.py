"""Progressive growing: the schedule, what real images shrink to, and that task and networks keep in step."""

import pytest
import torch
from torch.nn import functional as F

from v101_utils.gans import GrowingTask, StyleDiscriminator, StyleGenerator, grow_by, shrink
from v101_utils.runtime import Plan
from v101_utils.training import fit

IMAGES = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def task(growths=grow_by(2, 2, 3), **options) -> GrowingTask:  # noqa: B008
    torch.manual_seed(0)
    return GrowingTask(StyleGenerator(3, 4, (4, 4, 4)), StyleDiscriminator(3, (4, 4, 4)), growths, **options)


@pytest.mark.parametrize(("fade", "hold", "levels"), [(4, 3, 3), (1, 0, 4), (10, 1, 2), (5, 5, 1)])
def test_growth_holds_and_fades(fade, hold, levels):
    """`hold` steps at a level, then `fade` steps of equal size; it never shrinks, and ends fully grown."""
    growths = [grow_by(fade, hold, levels)(step) for step in range((fade + hold) * levels + 5)]
    expected = []
    for level in range(levels - 1):
        expected += [float(level)] * hold + [level + (i + 1) / fade for i in range(fade)]
    assert growths[: len(expected)] == pytest.approx(expected)
    assert growths[len(expected) :] == [levels - 1.0] * (len(growths) - len(expected))
    assert growths == sorted(growths)


@pytest.mark.parametrize("wrong", [(0, 3, 2), (3, -1, 2), (3, 3, 0)])
def test_a_schedule_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="fade .*, hold .*, levels .*: they should be at least 1, 0 and 1"):
        grow_by(*wrong)


def test_images_shrink_to_the_mean_of_their_pixels():
    for growth, side in ((2.0, 16), (1.0, 8), (0.0, 4)):
        torch.testing.assert_close(shrink(IMAGES, growth), F.adaptive_avg_pool2d(IMAGES, side))


@pytest.mark.parametrize("level", [0, 1])
def test_shrinking_is_continuous(level):
    """Just above a level an image is that level's, enlarged and smoothed; just below the next it is whole."""
    low, high = shrink(IMAGES, float(level)), shrink(IMAGES, level + 1.0)
    enlarged = F.interpolate(low, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(shrink(IMAGES, level + 1e-4), enlarged, atol=1e-3, rtol=0)
    torch.testing.assert_close(shrink(IMAGES, level + 1 - 1e-4), high, atol=1e-3, rtol=0)
    torch.testing.assert_close(shrink(IMAGES, level + 0.25), 0.75 * enlarged + 0.25 * high, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("critic_steps", [1, 2])
def test_both_networks_grow_with_the_steps_of_the_loop(critic_steps):
    game, seen = task(critic_steps=critic_steps), []
    game.discriminator.register_forward_pre_hook(lambda m, args: seen.append(args[0].shape[-1]))
    found = [(step.scalars["growth"], float(game.discriminator.growth)) for step in
             fit(game, lambda step: (IMAGES,), 9, plan=Plan(), progress=False)]  # fmt: skip
    expected = [0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 1.5, 2.0, 2.0]
    assert found == [(growth, growth) for growth in expected]
    sides = {0.0: 4, 0.5: 8, 1.0: 8, 1.5: 16, 2.0: 16}
    assert seen == [sides[growth] for growth in expected for _ in range(2 * critic_steps + 1)]


def test_a_growth_that_is_rounded_to_a_level_is_that_level():
    """0.1 + 0.2 + 0.7 is a little above 1, but not in float32, in which the networks know it."""
    game = task(lambda step: 1.0000000000000002)
    scalars = game.training_step((IMAGES,), lambda loss, optimiser: None)
    assert scalars["growth"] == 1
