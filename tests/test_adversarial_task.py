"""The adversarial game: who takes which step on what, and that a training learns, repeats, and can be resumed."""

import pytest
import torch
import train_small_gan
from test_processes import launch
from torch import nn
from torch.nn import functional as F
from train_small_gan import task, train

from v101_utils.data import Batches
from v101_utils.gans import (
    R1, AdversarialTask, Clip, Constraint, Discriminator, Generator, GradientPenalty, GrowingTask, SpectralNorm,
    StyleDiscriminator, StyleGenerator, grow_by,
)  # fmt: skip
from v101_utils.runtime import Plan, fastest
from v101_utils.training import Ema, fit, warmup_cosine

IMAGES = torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
LABELS = torch.arange(24) % 3


def pair(classes=0, norm="batch", seed=0, channels=1):
    torch.manual_seed(seed)
    return Generator(channels, 8, 4, 4, classes), Discriminator(channels, 8, 4, classes, norm)


def weights_of(module) -> dict:
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(before: dict, after: dict) -> list[str]:
    assert before.keys() == after.keys()
    return [name for name in before if not torch.equal(before[name], after[name])]


class SpyGenerator(nn.Module):
    """Latents (B, 2) to images (B, 2); remembers how many, their labels, and whether with gradients."""

    def __init__(self, classes=0):
        super().__init__()
        self.latent_dim, self.classes, self.calls = 2, classes, []
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, latents, labels=None):
        self.calls.append((len(latents), labels, torch.is_grad_enabled()))
        return self.scale * latents + 10


class SpyDiscriminator(nn.Module):
    """Images (B, 2) to scores; remembers what it was given."""

    def __init__(self):
        super().__init__()
        self.weight, self.calls = nn.Parameter(torch.tensor([0.3, -0.2])), []

    def forward(self, images, labels=None):
        self.calls.append((images, labels))
        return images @ self.weight


# Its step


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("critic_steps", [1, 3])
def test_who_steps_when_and_on_what(critic_steps, classes):
    """The discriminator on each part of the batch, beside as many fakes; then the generator, on the last fakes again."""
    game, order = AdversarialTask(SpyGenerator(classes), SpyDiscriminator(), critic_steps=critic_steps), []
    images, labels = torch.arange(12.0).view(6, 2), torch.tensor([0, 1, 2, 0, 1, 2])
    scalars = game.training_step((images, labels), lambda loss, optimiser: order.append((loss, optimiser)))
    names = {id(optimiser): name for name, optimiser in game.optimisers.items()}
    assert [names[id(optimiser)] for _, optimiser in order] == ["discriminator"] * critic_steps + ["generator"]
    assert order[-1][0] is scalars["generator"]
    assert scalars.keys() == {"generator", "discriminator", "real", "fake", "penalty"}

    size, calls = 6 // critic_steps, game.discriminator.calls
    asked = [part if classes else None for part in labels.split(size)]
    assert len(calls) == 2 * critic_steps + 1
    for i, (part, wanted) in enumerate(zip(images.split(size), asked)):
        (real, real_labels), (fake, fake_labels) = calls[2 * i : 2 * i + 2]
        assert torch.equal(real, part) and fake.shape == part.shape and not fake.requires_grad
        assert (real_labels is fake_labels is None) if wanted is None else torch.equal(real_labels, wanted)
        assert (fake_labels is None) if wanted is None else torch.equal(fake_labels, wanted)
    assert torch.equal(calls[-1][0], calls[-2][0]) and calls[-1][0].requires_grad
    assert [grad for _, _, grad in game.generator.calls] == [False] * (critic_steps - 1) + [True]
    assert [count for count, _, _ in game.generator.calls] == [size] * critic_steps
    assert int(game.done) == critic_steps


def test_the_losses_are_the_objectives():
    game, losses = AdversarialTask(SpyGenerator(), SpyDiscriminator(), "hinge"), []
    scalars = game.training_step(torch.randn(6, 2), lambda loss, optimiser: losses.append(loss.item()))
    real, fake, again = (images @ game.discriminator.weight for images, _ in game.discriminator.calls)
    expected = (F.relu(1 - real).mean() + F.relu(1 + fake).mean()).item()
    assert losses[0] == scalars["discriminator"].item() == pytest.approx(expected)
    assert losses[1] == scalars["generator"].item() == pytest.approx(-again.mean().item())
    assert (scalars["real"].item(), scalars["fake"].item()) == pytest.approx((real.mean().item(), fake.mean().item()))
    assert scalars["penalty"] == 0


def test_half_of_the_fakes_are_real_images_under_wrong_labels():
    judge, losses = SpyDiscriminator(), []
    game = AdversarialTask(SpyGenerator(3), judge, "hinge", mismatched=0.5)
    images, labels = torch.randn(24, 2, generator=torch.Generator().manual_seed(3)), LABELS
    scalars = game.training_step((images, labels), lambda loss, optimiser: losses.append(loss.item()))
    (real, told), (drawn, asked), (again, wrong), (last, _) = judge.calls
    assert torch.equal(again, real) and torch.equal(real, images) and torch.equal(told, labels) and torch.equal(asked, labels)
    assert wrong.dtype == labels.dtype and {*wrong.tolist()} == {0, 1, 2} and (wrong != labels).all()
    fakes = torch.cat([drawn, images]) @ judge.weight
    expected = (F.relu(1 - images @ judge.weight).mean() + F.relu(1 + fakes).mean()).item()
    assert losses[0] == scalars["discriminator"].item() == pytest.approx(expected)
    assert scalars["fake"].item() == pytest.approx((drawn @ judge.weight).mean().item())
    assert torch.equal(last, drawn)  # the generator is scored under its own labels alone


def test_each_wrong_label_is_as_likely_as_another():
    game, labels = AdversarialTask(*pair(classes=5), mismatched=0.5), torch.tensor([0, 3]).repeat(5000)
    torch.manual_seed(0)
    found = game.wrong(labels).view(-1, 2)
    for column, right in ((0, 0), (1, 3)):
        shares = found[:, column].bincount(minlength=5) / len(found)
        assert shares[right] == 0
        assert shares[torch.arange(5) != right].sub(0.25).abs().max() < 0.02


def test_in_bf16_each_step_sees_the_weights_of_the_one_before():
    """Autocast keeps halves of the weights; the same images, twice in a batch, must not get the same scores twice."""
    game, seen = AdversarialTask(*pair(norm="none"), critic_steps=2, rates=(0.1, 0.1)), []
    game.discriminator.register_forward_hook(lambda network, images, scores: seen.append(scores.detach().float().clone()))
    list(fit(game, lambda step: (IMAGES[:8].repeat(2, 1, 1, 1),), 1, plan=Plan("bf16"), progress=False))
    assert not torch.allclose(seen[0], seen[2], atol=0.05)
    assert not torch.allclose(seen[3], seen[4], atol=0.05)  # the last fakes, before the last step and after


@pytest.mark.parametrize("batch", [IMAGES, (IMAGES,), [IMAGES, LABELS], (IMAGES, torch.rand(24, 6))])
def test_labels_and_factors_are_left_out_where_there_are_no_classes(batch):
    AdversarialTask(*pair()).training_step(batch, lambda loss, optimiser: None)


def test_each_player_changes_itself_alone():
    """Looked at within a step: before and after each call of `minimise`."""
    game, found = AdversarialTask(*pair(norm="none"), critic_steps=2, rates=(1e-2, 1e-2)), []

    def watched(loss, optimiser):
        before = weights_of(game)
        optimiser.zero_grad()
        loss.backward(inputs=[p for group in optimiser.param_groups for p in group["params"]])
        others = [p for o in game.optimisers.values() if o is not optimiser for p in o.param_groups[0]["params"]]
        found.append(all(p.grad is None for p in others))  # nothing was computed for the other player
        optimiser.step()
        optimiser.zero_grad()
        found.append({name.split(".")[0] for name in changed(before, weights_of(game))} - {"done"})

    game.training_step((IMAGES,), watched)
    assert found == [True, {"discriminator"}, True, {"discriminator"}, True, {"generator"}]


def test_rates_and_betas():
    game = AdversarialTask(*pair(), rates=(1e-3, 4e-3), betas=(0, 0.9))
    groups = {name: optimiser.param_groups[0] for name, optimiser in game.optimisers.items()}
    assert {name: (group["lr"], group["betas"]) for name, group in groups.items()} == {
        "generator": (1e-3, (0.0, 0.9)), "discriminator": (4e-3, (0.0, 0.9))}  # fmt: skip
    assert {id(p) for p in groups["generator"]["params"]} == {id(p) for p in game.generator.parameters()}
    assert {id(p) for p in groups["discriminator"]["params"]} == {id(p) for p in game.discriminator.parameters()}


def test_latents_are_normal_and_fresh():
    game, drawn = AdversarialTask(SpyGenerator(), SpyDiscriminator()), []
    game.generator.forward = lambda latents: drawn.append(latents) or latents
    list(fit(game, lambda step: torch.zeros(500, 2), 2, plan=Plan(), progress=False))
    assert drawn[0].shape == (500, 2) and not torch.equal(*drawn)
    assert abs(drawn[0].mean()) < 0.15 and drawn[0].std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("size", "critic_steps"), [(8, 3), (2, 4)])
def test_a_batch_that_cannot_be_cut_is_refused(size, critic_steps):
    with pytest.raises(ValueError, match=f"a batch of {size} cannot be cut into {critic_steps} parts"):
        AdversarialTask(*pair(), critic_steps=critic_steps).training_step((IMAGES[:size],), lambda loss, optimiser: None)


def test_what_is_no_game_is_refused():
    with pytest.raises(ValueError, match="critic_steps 0: it should be at least 1"):
        AdversarialTask(*pair(), critic_steps=0)
    with pytest.raises(ValueError, match="no objective is called 'gan'"):
        AdversarialTask(*pair(), "gan")
    for classes, share in ((0, 0.5), (3, 1.0), (3, -0.1), (3, float("nan"))):
        with pytest.raises(ValueError, match=f"mismatched {share} with {classes} classes"):
            AdversarialTask(*pair(classes=classes), mismatched=share)
    with pytest.raises(ValueError, match="3 classes: labels should be given"):
        AdversarialTask(*pair(classes=3)).training_step((IMAGES,), lambda loss, optimiser: None)


# Its training


def recipe(name, seed=0):
    """A task with all that makes resuming hard, and the batches it trains on."""
    torch.manual_seed(seed)
    labelled = Batches(IMAGES, LABELS, size=8)
    if name == "growing":
        networks = StyleGenerator(1, 4, (4, 4)), StyleDiscriminator(1, (4, 4))
        return GrowingTask(*networks, grow_by(2, 3, 2), constraint=R1(1.0, every=2), critic_steps=2), Batches(IMAGES, size=8)
    norm, constraint, options = {
        "batch norm": ("batch", Constraint(), {}),
        "lazy R1": ("none", R1(1.0, every=4), {"betas": (0.0, 0.99)}),
        "gradient penalty": ("layer", GradientPenalty(), {"critic_steps": 2}),
        "spectral norm": ("batch", SpectralNorm(), {"critic_steps": 2}),
        "clipping": ("batch", Clip(0.02), {}),
        "mismatched": ("batch", Constraint(), {"mismatched": 0.3}),
    }[name]
    return AdversarialTask(*pair(3, norm, seed), "hinge", constraint, rates=(1e-2, 1e-2), **options), labelled


RECIPES = ("batch norm", "lazy R1", "gradient penalty", "spectral norm", "clipping", "mismatched", "growing")


def run(name, steps=10, seed=0, stop=None, disturb=0, plan=Plan(), **options):  # noqa: B008
    game, batches = recipe(name, seed)
    ema = Ema(game.generator, 0.9)
    training = fit(game, batches, steps, plan=plan, ema=ema, lr_schedule=warmup_cosine(steps, 2), progress=False, **options)
    scalars = {}
    for step in training:
        scalars[step.number] = step.scalars
        torch.manual_seed(step.number + disturb)  # what else is drawn changes nothing
        if step.number == stop:
            training.close()
    return {**weights_of(game), **{f"ema {k}": v for k, v in weights_of(ema.average).items()}}, scalars


@pytest.mark.parametrize("name", RECIPES)
def test_a_resumed_training_ends_as_one_that_was_not(name, tmp_path):
    """Killed at step 6 of 10, it goes on from step 4's checkpoint, even where other weights were drawn at first."""
    whole, expected = run(name)
    run(name, stop=6, checkpoint=tmp_path / "c", checkpoint_every=4)
    resumed, found = run(name, seed=1, disturb=5, checkpoint=tmp_path / "c", checkpoint_every=4, resume=True)
    assert min(found) == 5 and changed(whole, resumed) == []
    assert found == {number: scalars for number, scalars in expected.items() if number > 4}
    assert int(whole["done"]) == 10 * (2 if name in ("gradient penalty", "spectral norm", "growing") else 1)


def test_seeds():
    first, again, other = (run("lazy R1", 2, seed)[0] for seed in (0, 0, 1))
    assert changed(first, again) == [] and len(changed(first, other)) > 10


@pytest.mark.parametrize("name", RECIPES)
def test_in_bf16_it_stays_finite(name):
    weights, scalars = run(name, 4, plan=Plan("bf16"))
    assert all(value.isfinite().all() for value in weights.values())
    plain = run(name, 4)[1]
    for number in plain:
        assert scalars[number] == pytest.approx(plain[number], abs=0.15, rel=0.15)


def test_the_average_carries_what_is_no_weight():
    weights, _ = run("batch norm", 3)
    statistics = [key for key in weights if key.startswith("ema ") and ("running" in key or "tracked" in key)]
    assert len(statistics) >= 3
    for key in statistics:
        assert torch.equal(weights[key], weights[key.replace("ema ", "generator.")])
    assert weights["ema layers.1.num_batches_tracked"] == 3
    weights, _ = run("growing", 4)
    for name in ("growth", "w_average"):
        assert torch.equal(weights[f"ema {name}"], weights[f"generator.{name}"])
    assert weights["ema growth"] == 0.5 and weights["ema w_average"].any()


@pytest.mark.parametrize("name", ["lazy R1", "growing"])
def test_a_plan_is_measured_on_a_copy(name, tmp_path, monkeypatch):
    monkeypatch.setenv("V101_PROFILE", "laptop")
    game, batches = recipe(name)
    before = weights_of(game)
    assert isinstance(fastest(game, batches(0), torch.device("cpu"), tmp_path / "plans.json"), Plan)
    assert changed(before, weights_of(game)) == []
    assert all(p.grad is None for p in game.parameters())


# Accumulation and processes


def test_accumulated_parts_are_one_step():
    """`done`, and with it growth and lazy penalties, counts steps and not their parts."""
    game, growths = GrowingTask(StyleGenerator(1, 4, (4, 4)), StyleDiscriminator(1, (4, 4)), grow_by(2, 2, 2)), []
    for step in fit(game, lambda step: (IMAGES[:8],), 4, accumulate=2, plan=Plan(), progress=False):
        growths.append(step.scalars["growth"])
    assert growths == [0.0, 0.0, 0.5, 1.0] and int(game.done) == 4
    lazy = AdversarialTask(*pair(norm="none"), constraint=R1(1.0, every=2))
    training = fit(lazy, lambda step: (IMAGES,), 4, accumulate=2, plan=Plan(), progress=False)
    assert [step.scalars["penalty"] > 0 for step in training] == [True, False, True, False]


def test_the_discriminators_gradient_is_that_of_the_whole_batch():
    """With fakes that do not depend on latents, in two parts as in one."""
    ends = []
    for accumulate in (1, 2):
        game = task()
        nn.init.zeros_(game.generator.layers[0].weight)
        ends.append(train(game, 1, accumulate=accumulate)[0])
    for name in ends[0]:
        if name.startswith("discriminator"):
            torch.testing.assert_close(ends[0][name], ends[1][name])


def test_critic_steps_do_not_go_with_accumulation():
    game = AdversarialTask(*pair(), critic_steps=2)
    with pytest.raises(ValueError, match="critic_steps above 1 cannot go with accumulate"):
        list(fit(game, lambda step: (IMAGES,), 1, accumulate=2, plan=Plan(), progress=False))


def test_parts_in_fp16_do_not_go_with_two_players():
    with pytest.raises(ValueError, match="accumulate 2 in fp16 with 2 optimisers"):
        list(fit(AdversarialTask(*pair()), lambda step: (IMAGES,), 1, accumulate=2, plan=Plan("fp16"), progress=False))


def test_two_processes_hold_one_game(tmp_path):
    """The same weights in both at every step; and the first of the discriminator is that of one process in two parts."""
    launch(train_small_gan.__file__, tmp_path / "two", 3)
    first, second = (torch.load(tmp_path / f"two.{rank}") for rank in (0, 1))
    for ours, theirs in zip(first, second, strict=True):
        assert changed(ours, theirs) == []
    (alone,) = train(task(), 1, accumulate=2)
    for name, value in alone.items():
        if name.startswith("discriminator"):
            torch.testing.assert_close(first[0][name], value)
    assert changed(first[0], first[2])


# It learns


@pytest.mark.parametrize(("objective", "constraint", "critic_steps"), [
    ("non-saturating", R1(0.1), 1), ("wasserstein", GradientPenalty(1.0), 3), ("hinge", SpectralNorm(), 1),
])  # fmt: skip
def test_pictures_of_two_pixels_are_learned(objective, constraint, critic_steps):
    """Real ones are (a, -a) with a from 0.2 to 1, so the pixels cancel: a line that points are to be drawn onto."""
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 2))
    generator.latent_dim = 2
    layers = nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1), nn.Flatten(0)
    game = AdversarialTask(
        generator, nn.Sequential(*layers), objective, constraint, critic_steps=critic_steps, rates=(5e-3, 1e-2), betas=(0.0, 0.9))
    a = 0.2 + 0.8 * torch.rand(4096, 1, generator=torch.Generator().manual_seed(1))
    ema, batches = Ema(generator, 0.98), Batches(torch.cat([a, -a], 1), size=64 * critic_steps)
    list(fit(game, batches, 400, ema=ema, lr_schedule=warmup_cosine(400, 20), plan=Plan(), progress=False))
    drawn = ema.average(torch.randn(2000, 2, generator=torch.Generator().manual_seed(2)))
    assert drawn.sum(1).abs().mean() < 0.1
    assert drawn[:, 0].mean().item() == pytest.approx(0.6, abs=0.08)
    assert drawn[:, 0].std().item() == pytest.approx(0.8 / 12**0.5, abs=0.1)
