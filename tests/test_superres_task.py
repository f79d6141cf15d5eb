"""Training to undo a shrink: what a step computes, against the same written out, and that it learns."""

import math

import pytest
import torch

from v101_utils.runtime import Plan
from v101_utils.superres import ESPCN, SRCNN, RestorationTask, SRResNet, enlarge, rgb_to_ycbcr, shrink
from v101_utils.superres.task import charbonnier
from v101_utils.training import fit

MODELS = {"srcnn": lambda: SRCNN(3, (16, 8)), "espcn": lambda: ESPCN((8, 6)), "srresnet": lambda: SRResNet(8, 2)}


def made(name: str, seed=0):
    torch.manual_seed(seed)
    return MODELS[name]()


def waves(count=4, side=24) -> torch.Tensor:
    """Crops (B, 3, side, side) of slanted waves with hard edges, so that a bicubic enlargement is not perfect."""
    random = torch.Generator().manual_seed(0)
    turns = torch.rand(count, 3, 1, 1, generator=random) * 0.2 + 0.25
    slant = torch.rand(count, 3, 1, 1, generator=random) * 0.6 - 0.3
    x = torch.arange(side).float()
    return 0.8 * torch.sign(torch.sin(turns * x[:, None] + slant * x + 6 * slant))


@torch.no_grad()
def error(task, crops, factor) -> float:
    low, truth = task.pair(crops, factor)
    return task.loss(task.model(low, factor), truth).item()


def step_of(task, crops, seed=1, minimise=lambda loss, optimiser: None) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return task.training_step((crops,), minimise)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("name", MODELS)
def test_a_step_compares_with_the_truth(name, factor):
    model, crops = made(name), waves()
    truth = crops if name == "srresnet" else rgb_to_ycbcr(crops)[:, :1]
    error = (model(shrink(truth, factor), factor) - truth).square()
    peak = 2 if name == "srresnet" else 1
    found = step_of(RestorationTask(model, (factor,)), crops)
    assert set(found) == {"loss", "psnr"}
    torch.testing.assert_close(found["loss"], error.mean())
    torch.testing.assert_close(found["psnr"], (10 * (peak**2 / error.mean((1, 2, 3))).log10()).mean().detach())
    found = step_of(RestorationTask(model, (factor,), loss="charbonnier"), crops)
    torch.testing.assert_close(found["loss"], (error + 1e-6).sqrt().mean())


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_given_what_it_is_for(name):
    task, crops = RestorationTask(made(name)), waves()
    low, truth = task.pair(crops, 3)
    assert low.shape == (4, task.model.channels, 8, 8) and truth.shape == (4, task.model.channels, 24, 24)
    torch.testing.assert_close(low, shrink(crops if name == "srresnet" else rgb_to_ycbcr(crops)[:, :1], 3))


def test_charbonnier_is_nearly_the_absolute_error():
    truth = torch.zeros(4)
    difference = torch.tensor([3.0, -1.0, 0.0, 2.0], requires_grad=True)
    loss = charbonnier(difference, truth)
    assert loss.item() == pytest.approx(6 / 4, abs=1e-3) and charbonnier(truth, truth).item() == pytest.approx(1e-3)
    loss.backward()
    torch.testing.assert_close(difference.grad, torch.tensor([0.25, -0.25, 0.0, 0.25]), atol=1e-5, rtol=0)


def test_factors_are_drawn_from_torchs_randomness(monkeypatch):
    task, drawn = RestorationTask(made("espcn")), []
    monkeypatch.setattr(task.model, "forward", lambda low, factor: drawn.append(factor) or enlarge(low, factor))
    for seed in range(60):
        step_of(task, waves(1, 12), seed)
    again = drawn.copy()
    drawn.clear()
    for seed in range(60):
        step_of(task, waves(1, 12), seed)
    assert drawn == again and all(again.count(factor) >= 10 for factor in (2, 3, 4))
    task.factors = (2, 4)
    drawn.clear()
    for seed in range(20):
        step_of(task, waves(1, 12), seed)
    assert set(drawn) == {2, 4}


@pytest.mark.parametrize("name", MODELS)
def test_last_layers_have_a_tenth_of_the_rate(name):
    """Dong et al. 2016, sec. 3.3; and each weight is trained once."""
    task = RestorationTask(made(name), lr=0.02)
    rates = {id(p): group["lr"] for group in task.optimisers["model"].param_groups for p in group["params"]}
    assert len(rates) == len(list(task.model.parameters()))
    for key, parameter in task.model.named_parameters():
        assert rates[id(parameter)] == pytest.approx(0.002 if key.split(".")[0] == "last" else 0.02)


def test_a_perfect_copy_has_a_finite_psnr():
    task = RestorationTask(made("srcnn"))  # as it begins: the enlargement
    found = step_of(task, torch.full((2, 3, 12, 12), 0.3))
    assert math.isfinite(found["psnr"]) and found["psnr"] > 90


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_has_a_gradient_at_each_step(name):
    """Also those of other factors, zero: processes that drew different factors average the same parameters."""
    task = RestorationTask(made(name), (2, 3, 4))
    step_of(task, waves(2), minimise=lambda loss, optimiser: loss.backward())
    torch.manual_seed(1)
    drawn = str((2, 3, 4)[int(torch.randint(3, ()))])
    layers = task.model.up if name == "srresnet" else task.model.last
    assert all(p.grad is not None for p in task.model.parameters())
    for factor, layer in layers.items():
        if factor != drawn:
            assert not any(p.grad.any() for p in layer.parameters())
    if name != "srresnet":  # whose last layer is zero and lets nothing through, at first
        assert any(p.grad.any() for p in layers[drawn].parameters())


@pytest.mark.parametrize("loss", ["squared", "charbonnier"])
@pytest.mark.parametrize("name", MODELS)
def test_training_lowers_the_loss(name, loss):
    crops, task = waves(), RestorationTask(made(name), lr=2e-3, loss=loss)
    before = {factor: error(task, crops, factor) for factor in (2, 3, 4)}
    list(fit(task, lambda step: crops, 60, plan=Plan(), progress=False))
    for factor, was in before.items():
        assert error(task, crops, factor) < 0.98 * was, factor


@pytest.mark.parametrize("name", MODELS)
def test_training_repeats(name):
    """The same to the last bit, whatever the caller draws between two steps; another seed draws other factors."""
    results = []
    for seed, between in ((0, 0), (0, 7), (1, 0)):
        task = RestorationTask(made(name))
        for _ in fit(task, lambda step: (waves(2, 12),), 6, seed=seed, plan=Plan(), progress=False):
            torch.rand(between)
        results.append(torch.cat([p.detach().flatten() for p in task.parameters()]))
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])


@pytest.mark.parametrize("shape", [(2, 3, 18, 24), (2, 3, 24, 20), (2, 1, 24, 24), (3, 24, 24), (2, 3, 0, 12)])
def test_other_crops_are_refused(shape):
    with pytest.raises(ValueError, match=r"crops have shape .*\(B, 3, S, S\), S a multiple of 12"):
        step_of(RestorationTask(made("espcn")), torch.zeros(shape))


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="loss 'l1': it should be one of squared, charbonnier"):
        RestorationTask(made("espcn"), loss="l1")
    for factors in ((2, 5), ()):
        with pytest.raises(ValueError, match=r"one or more of the model's, \(2, 3, 4\)"):
            RestorationTask(made("espcn"), factors)
    with pytest.raises(ValueError, match=r"factors \(2, 3, 4\): .* the model's, \(3,\)"):
        RestorationTask(ESPCN(factors=(3,)))
