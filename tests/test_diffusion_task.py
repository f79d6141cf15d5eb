"""Diffusion as a task: its loss by hand, what it draws at random, and that it trains."""

import pytest
import torch
from scipy import stats
from torch import nn

from v101_utils.data import Batches
from v101_utils.diffusion import PREDICTS, Denoiser, DiffusionTask, add_noise, cosine, drop_labels, linear, stratified
from v101_utils.nn import UNet
from v101_utils.runtime import Plan
from v101_utils.training import Ema, fit, warmup_cosine

IMAGES = torch.rand(16, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
LABELS = torch.arange(16) % 3


def small(predicts="v", seed=0, classes=3, width=8) -> Denoiser:
    torch.manual_seed(seed)
    return Denoiser(UNet(size=4, widths=(width,), attention=(False,), condition_dim=16, classes=classes), cosine(), predicts)


def run(task, batches, steps, **options):
    return list(fit(task, batches, steps, plan=Plan(), progress=False, **options))


class Spy(nn.Module):
    """A network that remembers what it was given, and says w x."""

    classes, shape = 3, (1, 4, 4)

    def __init__(self):
        super().__init__()
        self.weight, self.given = nn.Parameter(torch.tensor(0.3)), []

    def forward(self, x, t, labels):
        self.given.append((x, t, labels))
        return self.weight * x


# Its parts


def test_times_are_stratified():
    torch.manual_seed(0)
    draws = torch.stack([stratified(16) for _ in range(200)])
    assert torch.equal((draws * 16).floor().long(), torch.arange(16).expand(200, 16))
    assert stats.kstest((draws * 16 % 1).flatten().numpy(), "uniform").pvalue > 1e-3


def test_the_share_of_dropped_labels_is_right():
    torch.manual_seed(0)
    labels = torch.arange(30_000) % 10
    dropped = drop_labels(labels, 10, 0.15)
    gone = dropped == 10
    assert gone.float().mean().item() == pytest.approx(0.15, abs=0.008)
    assert torch.equal(dropped[~gone], labels[~gone])
    assert stats.chisquare(labels[gone].bincount().numpy()).pvalue > 1e-3  # of every label alike
    assert torch.equal(drop_labels(labels, 10, 0.0), labels)
    assert (drop_labels(labels, 10, 1.0) == 10).all()


@pytest.mark.parametrize("schedule", [linear(), cosine()])
def test_noise_in_one_jump_is_noise_step_by_step(schedule):
    """Step by step x <- sqrt(1 - beta) x + sqrt(beta) noise: the mean and the variance, which are numbers."""
    x0, mean, variance = torch.tensor([[0.7]], dtype=torch.float64), 0.7, 0.0
    for i in range(1, 1001):
        keep = (schedule.alpha_bar(i / 1000) / schedule.alpha_bar((i - 1) / 1000)).item()
        mean, variance = keep**0.5 * mean, keep * variance + 1 - keep
        if i in (1, 10, 500, 1000):
            assert add_noise(schedule, x0, i / 1000, torch.zeros_like(x0)).item() == pytest.approx(mean, rel=1e-9)
            assert add_noise(schedule, 0 * x0, i / 1000, torch.ones_like(x0)).item() == pytest.approx(variance**0.5, rel=1e-9)


def test_each_image_may_have_its_own_noise_level():
    eps, t = torch.randn_like(IMAGES), torch.rand(16)
    alone = torch.cat([add_noise(linear(), IMAGES[i : i + 1], t[i].item(), eps[i : i + 1]) for i in range(16)])
    torch.testing.assert_close(add_noise(linear(), IMAGES, t, eps), alone)
    with pytest.raises(ValueError, match="batch of 16"):
        add_noise(linear(), IMAGES, t[:4], eps)


# Its step


@pytest.mark.parametrize("predicts", PREDICTS)
def test_the_loss_is_the_one_computed_by_hand(predicts):
    spy, losses = Spy(), []
    task = DiffusionTask(Denoiser(spy, cosine(), predicts), drop=0.0)
    torch.manual_seed(3)
    scalars = task.training_step((IMAGES, LABELS), lambda loss, optimiser: losses.append((loss, optimiser)))
    ((x, t, labels),) = spy.given
    alpha, sigma = cosine().alpha(t).view(-1, 1, 1, 1), cosine().sigma(t).view(-1, 1, 1, 1)
    eps = (x - alpha * IMAGES) / sigma  # the noise it must have added
    wanted = {"eps": eps, "x0": IMAGES, "v": alpha * eps - sigma * IMAGES}[predicts]
    assert scalars["loss"].item() == pytest.approx((0.3 * x - wanted).square().mean().item(), rel=1e-4)
    assert losses == [(scalars["loss"], task.optimisers["model"])]
    assert torch.equal(labels, LABELS)
    assert torch.equal((t * 16).floor(), torch.arange(16.0))
    assert stats.kstest(eps.flatten().numpy(), stats.norm.cdf).pvalue > 1e-3


def test_labels_are_dropped_while_training():
    spy = Spy()
    run(DiffusionTask(Denoiser(spy, cosine()), drop=0.25), Batches(IMAGES, LABELS, size=16), 300)
    seen = torch.cat([labels for _, _, labels in spy.given])
    assert (seen == 3).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert seen.unique().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("classes", "batch"), [
    (3, (IMAGES,)), (0, (IMAGES, LABELS)), (0, (IMAGES,)), (3, IMAGES), (3, [IMAGES, LABELS]),
])  # fmt: skip
def test_labels_are_used_where_there_are_some(classes, batch):
    losses = []
    DiffusionTask(small(classes=classes)).training_step(batch, lambda loss, optimiser: losses.append(loss))
    assert losses[0].item() == pytest.approx(0.5, abs=0.4)


def test_a_label_that_there_is_not_stops_it():
    with pytest.raises(ValueError, match="16 integers from 0 to 3"):
        run(DiffusionTask(small(), drop=0.0), lambda step: (IMAGES, LABELS + 5), 1)


@pytest.mark.parametrize("drop", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(drop):
    with pytest.raises(ValueError, match=f"drop {drop}"):
        DiffusionTask(small(), drop=drop)


# Its training


@pytest.mark.parametrize("predicts", PREDICTS)
def test_two_images_are_learned_by_heart_and_drawn_by_label(predicts):
    """Whatever it predicts. The images are bars, upright or not."""
    bars = torch.full((2, 1, 4, 4), -1.0)
    bars[0, :, :2], bars[1, :, :, :2] = 1, 1
    model, images, labels = small(predicts, classes=2, width=16), bars.repeat(16, 1, 1, 1), torch.arange(32) % 2
    found = run(DiffusionTask(model, lr=5e-3), lambda step: (images, labels), 150,
                lr_schedule=warmup_cosine(150, 20), clip=1.0)  # fmt: skip
    first, last = (sum(step.scalars["loss"] for step in part) for part in (found[:10], found[-10:]))
    assert last < 0.6 * first, last / first
    noisy = add_noise(model.schedule, images, 0.4, torch.randn(images.shape, generator=torch.Generator().manual_seed(9)))
    guess = model.requires_grad_(False)(noisy, 0.4, labels).x0
    assert (guess - images).square().mean() < 0.15  # 1 for a grey picture
    if predicts != "eps":  # at t = 1 the noise says next to nothing of the image; to draw by it takes a longer training
        drawn = model.sample(8, labels=[0, 1], steps=10)
        own, other = ((drawn - images[:8].roll(shift, 0)).square().mean((1, 2, 3)) for shift in (0, 1))
        assert (own < 0.4 * other).all(), own / other


def test_a_resumed_training_ends_as_one_that_was_not(tmp_path):
    def train(name, seed, stop=None):
        task = DiffusionTask(small(seed=seed))
        ema, batches = Ema(task.model, 0.9), Batches(IMAGES, LABELS, size=8)
        training = fit(task, batches, 12, plan=Plan(), progress=False, ema=ema, accumulate=2, lr_schedule=warmup_cosine(12, 3),
                       checkpoint=tmp_path / name, checkpoint_every=4, resume=True)  # fmt: skip
        numbers = []
        for step in training:
            torch.manual_seed(step.number + seed)  # what else is drawn changes nothing
            numbers.append(step.number)
            if step.number == stop:
                training.close()
        return {**task.state_dict(), **{f"ema {k}": v for k, v in ema.average.state_dict().items()}}, numbers

    (whole, _), (_, first), (resumed, rest) = train("whole", 0), train("killed", 0, stop=6), train("killed", 1)
    assert (first, rest) == (list(range(1, 7)), list(range(5, 13)))
    assert whole.keys() == resumed.keys()
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []
