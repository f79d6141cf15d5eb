"""Noise schedules: against diffusers and against their formulas, at both ends and in between."""

import math

import pytest
import torch
from diffusers_schedulers import DDPMScheduler
from torch.utils._python_dispatch import TorchDispatchMode

from v101_utils.diffusion import Schedule, cosine, from_betas, linear

STRAIGHT = Schedule(lambda t: torch.log1p(-t), "straight")  # alpha_bar = 1 - t: all noise at t = 1, not nearly all
ALL = [linear(), linear(7), cosine(), cosine(0.0), STRAIGHT]
GRID = torch.linspace(0, 1, 1001, dtype=torch.float64)


@pytest.mark.parametrize(("ours", "theirs", "tolerance"), [
    (linear(), {"beta_schedule": "linear"}, 2e-5),  # theirs are products of up to a thousand float32 factors
    (linear(100), {"beta_schedule": "linear", "num_train_timesteps": 100}, 2e-6),
    (cosine(), {"beta_schedule": "squaredcos_cap_v2"}, 2e-4),  # and their last beta is capped
])  # fmt: skip
def test_the_schedules_are_those_of_diffusers(ours, theirs, tolerance):
    expected = DDPMScheduler(**theirs).alphas_cumprod
    times = torch.arange(1, len(expected) + 1, dtype=torch.float64) / len(expected)
    far = expected > 1e-4
    torch.testing.assert_close(ours.alpha_bar(times)[far], expected[far].double(), atol=0, rtol=tolerance)
    assert far.sum() > 0.9 * len(far)


@pytest.mark.parametrize("count", [1, 2, 3, 50, 1000])
def test_betas_are_exact_at_their_steps(count):
    betas = torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(count)) * 0.5 + 1e-4
    schedule, expected = from_betas(betas), torch.cat([torch.ones(1, dtype=torch.float64), (1 - betas).cumprod(0)]).log()
    steps = torch.arange(count + 1)
    torch.testing.assert_close(schedule.log_alpha_bar(steps.double() / count), expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(schedule.log_alpha_bar(steps / count), expected.float(), rtol=1e-4, atol=0)
    assert [schedule.log_alpha_bar(i / count).item() for i in steps.tolist()] == pytest.approx(expected.tolist(), rel=1e-12)
    middle = schedule.log_alpha_bar(0.5 / count).item()  # between two steps the logarithm is straight
    assert middle == pytest.approx(expected[1].item() / 2, rel=1e-9)


def test_the_cosine_is_its_formula_down_to_its_floor():
    f = (((GRID + 0.008) / 1.008) * math.pi / 2).cos().square()
    torch.testing.assert_close(cosine().alpha_bar(GRID), (f / f[0]).clamp(min=1e-5), rtol=1e-9, atol=0)
    assert cosine(floor=1e-2).alpha_bar(1.0).item() == pytest.approx(1e-2)


@pytest.mark.parametrize("schedule", ALL)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_two_shares_add_up_and_noise_only_grows(schedule, dtype):
    t = GRID.to(dtype).view(7, 11, 13)
    alpha, sigma, log_snr = schedule.alpha(t), schedule.sigma(t), schedule.log_snr(t)
    assert alpha.shape == t.shape
    assert {alpha.dtype, sigma.dtype, log_snr.dtype, schedule.alpha_bar(t).dtype} == {dtype}
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(t))
    torch.testing.assert_close(schedule.alpha_bar(t), alpha**2)
    torch.testing.assert_close(log_snr, 2 * (alpha.log() - sigma.log()), atol=1e-4, rtol=1e-4)
    assert (log_snr.flatten().diff() <= 0).all()
    assert (log_snr.flatten()[::10].diff()[:-1] < 0).all()


@pytest.mark.parametrize("schedule", ALL)
def test_no_noise_at_the_beginning(schedule):
    assert (schedule.alpha(0.0), schedule.sigma(0.0), schedule.log_snr(0.0)) == (1, 0, math.inf)
    assert math.copysign(1, schedule.sigma(0.0).item()) == 1


def test_a_schedule_may_end_in_noise_alone():
    assert (STRAIGHT.alpha(1.0), STRAIGHT.sigma(1.0), STRAIGHT.log_snr(1.0)) == (0, 1, -math.inf)


@pytest.mark.parametrize("schedule", ALL)
def test_little_is_lost_in_single_precision(schedule):
    """Where it could be: where there is almost no noise, and almost no image. The time is the same number in both."""
    t = torch.tensor([1e-6, 1e-4, 1e-3, 0.01, 0.5, 0.99, 0.997])
    for level, tolerance in ((schedule.sigma, 1e-6), (schedule.alpha, 3e-5)):
        torch.testing.assert_close(level(t), level(t.double()).float(), rtol=tolerance, atol=0)


class NoDouble(TorchDispatchMode):
    """A device without float64, such as MPS: whatever makes a float64 on the device "meta" fails."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        assert not (isinstance(out, torch.Tensor) and out.is_meta and out.dtype == torch.float64), function
        return out


@pytest.mark.parametrize("schedule", ALL)
def test_a_single_precision_device_never_sees_double(schedule):
    t, x = torch.rand(4, device="meta"), torch.empty(4, 1, 2, 2, device="meta")
    with NoDouble():
        found = [schedule.alpha(t), schedule.sigma(t), schedule.log_snr(t), *schedule.levels(t, x), *schedule.levels(0.5, x)]
    assert all(v.is_meta and v.dtype == torch.float32 for v in found)


@pytest.mark.parametrize("schedule", ALL)
def test_whole_numbers_are_times_too(schedule):
    assert schedule.alpha(1) == schedule.alpha(1.0)
    torch.testing.assert_close(schedule.alpha(torch.tensor([0, 1])), schedule.alpha(torch.tensor([0.0, 1.0])))


@pytest.mark.parametrize("schedule", [linear(), cosine(), STRAIGHT])
@pytest.mark.parametrize("t", [
    -0.1, 1.01, math.nan, 500, torch.tensor([0.5, 1.5]), torch.tensor([0.1, math.nan]), torch.tensor([0, 999]),
])  # fmt: skip
def test_a_time_outside_is_refused(schedule, t):
    with pytest.raises(ValueError, match=r"should be in \[0, 1\]"):
        schedule.sigma(t)


def test_levels_multiply_a_batch():
    x, t = torch.ones(3, 1, 2, 2), torch.tensor([0.1, 0.5, 0.9])
    alpha, sigma = cosine().levels(t, x)
    assert alpha.shape == sigma.shape == (3, 1, 1, 1)
    torch.testing.assert_close((alpha * x)[:, 0, 0, 0], cosine().alpha(t))
    alpha, sigma = cosine().levels(0.5, x.double())
    assert (alpha.item(), sigma.item()) == (cosine().alpha(0.5).item(), cosine().sigma(0.5).item())
    for wrong in (t[:2], t[:1], t[:, None]):
        with pytest.raises(ValueError, match=r"a batch of 3 should have one number for all or \(3,\)"):
            cosine().levels(wrong, x)


@pytest.mark.parametrize("betas", [[], 0.1, [[0.1, 0.2]], [0.1, 0.0], [0.1, 1.0], [-0.1], [0.1, math.nan]])
def test_betas_that_are_not_such_are_refused(betas):
    with pytest.raises(ValueError, match=r"should be \(T,\), each between 0 and 1"):
        from_betas(torch.tensor(betas))


@pytest.mark.parametrize("options", [{"floor": 0}, {"floor": 1}, {"floor": -1}, {"offset": -0.1}, {"offset": math.nan}])
def test_a_cosine_that_is_none_is_refused(options):
    with pytest.raises(ValueError, match="offset"):
        cosine(**options)


# Times to sample at


@pytest.mark.parametrize("schedule", [linear(), cosine()])
@pytest.mark.parametrize("spacing", ["uniform", "quadratic", "log_snr"])
@pytest.mark.parametrize("steps", [1, 2, 3, 50])
def test_times_fall_from_one_to_zero(schedule, spacing, steps):
    times = schedule.times(steps, spacing)
    assert (len(times), times[0], times[-1]) == (steps + 1, 1, 0)
    assert all(t > s for t, s in zip(times, times[1:]))


def test_times_are_spaced_as_they_say():
    assert cosine().times(4) == [1, 0.75, 0.5, 0.25, 0]
    assert cosine().times(4, "quadratic") == [1, 0.5625, 0.25, 0.0625, 0]
    for schedule in (linear(), cosine()):
        times = schedule.times(10, "log_snr", end=0.01)
        assert times[-2] == pytest.approx(0.01)
        gaps = schedule.log_snr(torch.tensor(times[:-1], dtype=torch.float64)).diff()
        torch.testing.assert_close(gaps, gaps.mean().expand_as(gaps), rtol=1e-6, atol=0)


@pytest.mark.parametrize("t", [1e-4, 0.3, 0.9])
def test_the_time_of_a_ratio_is_found_again(t):
    assert linear().time_at(linear().log_snr(t)).item() == pytest.approx(t, rel=1e-9)
    assert linear().time_at(math.inf) < 1e-12
    assert linear().time_at(-100.0) == 1


@pytest.mark.parametrize(("steps", "options", "message"), [
    (0, {}, "0 steps"), (-3, {}, "-3 steps"), (2.5, {}, "2.5 steps"), (5, {"spacing": "karras"}, "'karras'.*'uniform'"),
    (5, {"spacing": "log_snr", "end": 0.0}, "both should be finite"),
])  # fmt: skip
def test_times_that_cannot_be_are_refused(steps, options, message):
    with pytest.raises(ValueError, match=message):
        linear().times(steps, **options)
    with pytest.raises(ValueError, match="both should be finite"):
        STRAIGHT.times(3, "log_snr")
