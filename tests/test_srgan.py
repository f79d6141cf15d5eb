"""SRGAN: what its two steps minimise, written out by torch's own losses; and networks between two networks."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from v101_utils.gans import R1
from v101_utils.runtime import Plan
from v101_utils.superres import PatchDiscriminator, RestorationTask, SRGANTask, SRResNet, blend, shrink
from v101_utils.superres.adversarial import feature_error
from v101_utils.training import fit


def model(seed=0, **kwargs) -> SRResNet:
    """A small network whose last layer is not zero."""
    torch.manual_seed(seed)
    made = SRResNet(8, 1, **kwargs)
    nn.init.normal_(made.last.weight, std=0.02)
    return made


def critic(seed=1) -> PatchDiscriminator:
    torch.manual_seed(seed)
    return PatchDiscriminator(width=4)


def features() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU()).requires_grad_(False)


def crops(count=2, side=24, seed=0) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8


def recorded(task, batch) -> tuple[list, dict]:
    """(loss, name of its optimiser) of each `minimise` in a step, in order, with gradients but no change; and the scalars."""
    names, calls = {id(optimiser): name for name, optimiser in task.optimisers.items()}, []

    def minimise(loss, optimiser):
        calls.append((loss.detach(), names[id(optimiser)]))
        loss.backward(inputs=[p for group in optimiser.param_groups for p in group["params"]])

    return calls, task.training_step(batch, minimise)


@pytest.mark.parametrize("as_layers", [False, True])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_what_both_steps_minimise(factor, as_layers):
    net, judge, plain, truth = model(), critic(), features(), crops()
    given = (lambda x: {"a": plain(x), "b": x}) if as_layers else plain
    task = SRGANTask(net, judge, given, pixel=0.7, content=0.3, adversarial=0.02, factors=(factor,))
    calls, scalars = recorded(task, (truth,))
    made = net(shrink(truth, factor), factor).detach()
    real, fake = judge(truth).detach(), judge(made).detach()
    bce = F.binary_cross_entropy_with_logits
    content = F.mse_loss(plain(made), plain(truth))
    content = (content + F.mse_loss(made, truth)) / 2 if as_layers else content
    parts = {"pixel": (made - truth).abs().mean(), "content": content, "adversarial": bce(fake, torch.ones_like(fake))}
    against = bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))
    assert [name for _, name in calls] == ["discriminator", "generator"]
    torch.testing.assert_close(calls[0][0], against)
    torch.testing.assert_close(calls[1][0], 0.7 * parts["pixel"] + 0.3 * content + 0.02 * parts["adversarial"])
    for name, part in parts.items():
        torch.testing.assert_close(scalars[name].detach(), part)
    torch.testing.assert_close(scalars["discriminator"].detach(), against)
    assert all(p.grad is not None for p in task.parameters() if p.requires_grad)  # those of other factors too, zero


def test_without_features_there_is_no_content():
    calls, scalars = recorded(SRGANTask(model(), critic(), factors=(2,), adversarial=0.0), crops())
    assert scalars["content"] == 0
    torch.testing.assert_close(calls[1][0], scalars["pixel"].detach())
    assert feature_error(lambda x: x, crops(), crops()) == 0


def test_both_learn_and_features_do_not():
    """The critic tells the two apart; pixels alone draw the model to the truth, as in `RestorationTask`."""
    bank, batch = features(), crops(4)
    before = [weight.clone() for weight in bank.parameters()]
    task = SRGANTask(model(), critic(), bank, pixel=1.0, content=0.1, adversarial=0.0, factors=(2,), rates=(2e-3, 2e-3))
    steps = [step.scalars for step in fit(task, lambda step: (batch,), 40, plan=Plan(), progress=False)]
    assert steps[-1]["pixel"] < 0.9 * steps[0]["pixel"] and steps[-1]["real"] > steps[-1]["fake"] + 0.1
    assert all(torch.equal(a, b) for a, b in zip(before, bank.parameters()))


def test_the_critic_moves_the_model():
    """With the adversarial part alone, and a critic that stands still, its scores of the enlargements rise."""
    task = SRGANTask(model(), critic(), pixel=0.0, adversarial=1.0, factors=(3,), rates=(1e-3, 0.0))
    steps = [step.scalars for step in fit(task, lambda step: crops(), 20, plan=Plan(), progress=False)]
    assert steps[-1]["fake"] > steps[0]["fake"] and steps[-1]["real"] == steps[0]["real"]


def test_constraints_are_those_of_gans():
    _, scalars = recorded(SRGANTask(model(), critic(), factors=(2,), constraint=R1(1.0)), crops())
    assert scalars["penalty"] > 0


def test_factors_are_drawn_as_often_as_they_are_named():
    task, given = SRGANTask(model(), critic(), factors=(2, 4, 4)), []
    task.generator.register_forward_pre_hook(lambda module, args: given.append(args[1]))
    torch.manual_seed(0)
    for _ in range(60):
        task.training_step(crops(1, 12), lambda loss, optimiser: None)
    assert set(given) == {2, 4} and 30 < given.count(4) < 50


def test_wrong_arguments_are_refused():
    for weights in ({"pixel": -1.0}, {"content": -1.0}, {"adversarial": -1e-3}):
        with pytest.raises(ValueError, match="each weight should be 0 at least"):
            SRGANTask(model(), critic(), **weights)
    with pytest.raises(ValueError, match="one or more of the model's"):
        SRGANTask(model(factors=(2,)), critic())
    with pytest.raises(ValueError, match="S a multiple of 12"):
        recorded(SRGANTask(model(), critic()), crops(side=18))


# Between two networks


def test_the_ends_are_the_networks():
    one, two = model(0), model(1)
    for amount, end in ((0, one), (1.0, two)):
        mixed = blend(one, two, amount)
        assert all(torch.equal(mixed.state_dict()[name], weight) for name, weight in end.state_dict().items())


@pytest.mark.parametrize("amount", [0.25, 0.5, 0.9])
def test_weights_are_mixed(amount):
    """Equation 4 of the paper for each weight; where the last layers alone differ, pictures are mixed alike."""
    one, two = model(0), model(1)
    mixed = blend(one, two, amount)
    for name, weight in mixed.state_dict().items():
        torch.testing.assert_close(weight, (1 - amount) * one.state_dict()[name] + amount * two.state_dict()[name])
    two.load_state_dict({**one.state_dict(), "last.weight": two.last.weight, "last.bias": two.last.bias})
    low = crops(1, 12)
    pictures = [each(low, 3).detach() for each in (blend(one, two, amount), one, two)]
    torch.testing.assert_close(pictures[0], (1 - amount) * pictures[1] + amount * pictures[2])


def test_the_networks_stay_as_they_were():
    one, two = model(0).eval(), model(1).train()
    before = [{name: weight.clone() for name, weight in each.state_dict().items()} for each in (one, two)]
    mixed = blend(one, two, 0.5)
    nn.init.zeros_(mixed.last.weight)
    for each, was in zip((one, two), before):
        assert all(torch.equal(each.state_dict()[name], weight) for name, weight in was.items())
    assert not mixed.training and not any(p.requires_grad for p in mixed.parameters()) and one.last.weight.requires_grad


def test_counts_of_batches_are_not_mixed():
    one, two = model(0, batch_norm=True), model(1, batch_norm=True)
    two.train()(crops(1, 12), 2)
    assert blend(one, two, 0.5).state_dict()["body.2.num_batches_tracked"] == 0


def test_networks_that_do_not_mix_are_refused():
    for amount in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="amount .*from 0"):
            blend(model(0), model(1), amount)
    for other in (SRResNet(8, 2), SRResNet(12, 1), model(factors=(2,)), model(batch_norm=True)):
        with pytest.raises(ValueError, match="the networks differ in .*built alike"):
            blend(model(), other, 0.5)


def test_it_starts_from_what_a_pixels_error_made():
    """The same network may be trained by one task, then the other."""
    net = model()
    list(fit(RestorationTask(net), lambda step: crops(), 2, plan=Plan(), progress=False))
    list(fit(SRGANTask(net, critic()), lambda step: crops(), 2, plan=Plan(), progress=False))
    assert all(p.isfinite().all() for p in net.parameters())
