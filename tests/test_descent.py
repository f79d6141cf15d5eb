"""Adam on a pyramid and L-BFGS, on losses whose lowest point is known; against torch's own Adam and scipy's L-BFGS."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from v101_utils.runtime import generator
from v101_utils.style.descent import adam, lbfgs


def picture(seed=0, side=12) -> torch.Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8


def towards(target, seen=None):
    def aim(image, shift=(0, 0)):
        if seen is not None:
            seen.append(shift)
        return {"loss": (image - target).square().mean()}

    return aim


def last_of(steps):
    *_, found = steps
    return found


@pytest.mark.parametrize("levels", [0, 3])
def test_adam_reaches_the_lowest_point(levels):
    losses, found = last_of(adam(towards(picture(1)), picture(0), 400, 0.1, generator(0), levels))
    assert losses["loss"] < 1e-4 and (found - picture(1)).abs().max() < 0.1


def test_on_bare_pixels_it_is_torch_s_adam():
    pixels = picture(0).requires_grad_()
    optimiser = torch.optim.Adam([pixels], betas=(0.9, 0.99))
    for step in range(10):
        optimiser.param_groups[0]["lr"] = 0.05 * (1 + np.cos(np.pi * step / 10)) / 2
        optimiser.zero_grad()
        towards(picture(1))(pixels)["loss"].backward()
        optimiser.step()
    found = last_of(adam(towards(picture(1)), picture(0), 10, 0.05, generator(0), levels=0))[1]
    torch.testing.assert_close(found, pixels.detach())


def test_a_pyramid_moves_large_patches_faster_and_has_less_grain():
    target = torch.full((1, 3, 16, 16), 0.7)
    ends = {levels: last_of(adam(towards(target), -target, 8, 0.05, generator(0), levels))[1] for levels in (0, 3)}
    far = {levels: towards(target)(found)["loss"] for levels, found in ends.items()}
    assert far[3] < 0.7 * far[0]
    noise = torch.randn(1, 3, 16, 16, generator=generator(1))

    def noisy(image, shift):  # whose gradient is mostly grain
        return {"loss": (image * noise).mean()}

    grain = [last_of(adam(noisy, target * 0, 8, 0.05, generator(0), levels))[1].diff(dim=3).std() for levels in (0, 3)]
    assert grain[1] < 0.7 * grain[0]


@pytest.mark.parametrize("way", [adam, lbfgs])
def test_what_is_yielded_stays_within_the_range_and_begins_at_the_picture(way):
    steps = list(way(towards(picture(1) * 3), picture(0), 20, 0.5, generator(0)))
    assert steps[0][0]["loss"].item() == pytest.approx(towards(picture(1) * 3)(picture(0))["loss"].item(), rel=1e-5)
    for _, found in steps:
        assert found.abs().max() <= 1 and not found.requires_grad
    far = [(found - (picture(1) * 3).clamp(-1, 1)).abs().mean() for found in (picture(0), steps[-1][1])]
    assert far[1] < 0.6 * far[0]


def test_shifts_lie_below_the_reach_and_come_from_the_source():
    found = []
    for seed in (0, 0, 1):
        seen = []
        aim = towards(picture(1), seen)
        aim.reach = 5
        list(adam(aim, picture(0), 30, 0.1, generator(seed)))
        found.append(seen)
    assert {value for shift in found[0] for value in shift} == set(range(5))
    assert found[0] == found[1] != found[2]
    seen = []
    list(lbfgs(towards(picture(1), seen), picture(0), 5, 1.0))
    assert set(seen) == {(0, 0)}


def test_l_bfgs_needs_as_few_steps_as_scipy_s():
    """A badly scaled valley, where steepest descent would need thousands of steps."""
    scale = torch.logspace(0, 3, 3 * 8 * 8).view(1, 3, 8, 8)

    def valley(image, shift=(0, 0)):
        return {"loss": (scale * (image - picture(1, 8)).square()).sum()}

    mine = [losses["loss"].item() for losses, _ in lbfgs(valley, picture(0, 8), 40, 1.0)]
    s, lowest, start = (x.double().numpy().ravel() for x in (scale, picture(1, 8), picture(0, 8)))
    theirs = minimize(lambda x: (s * (x - lowest) ** 2).sum(), start, jac=lambda x: 2 * s * (x - lowest), method="L-BFGS-B",
                      options={"maxiter": 40})  # fmt: skip
    assert mine[-1] < 100 * max(theirs.fun, 1e-4) and mine[-1] < 1e-3 * mine[0]
