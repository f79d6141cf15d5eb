"""The one loop, against loops written out by hand, and everything it refuses."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from v101_utils.data import Batches
from v101_utils.runtime import Plan
from v101_utils.training import Ema, NotFinite, Task, fit, warmup_cosine

X = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
Y = X @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3 * torch.randn(64, 1, generator=torch.Generator().manual_seed(1))


class Line(Task):
    """Linear regression, with dropout on request; `spoil(step's task)` is called after each step."""

    def __init__(self, lr=0.1, dropout=0.0, spoil=lambda task: None):
        super().__init__()
        torch.manual_seed(0)
        self.model, self.spoil, self.calls = nn.Sequential(nn.Dropout(dropout), nn.Linear(3, 1)), spoil, 0
        self.optimisers = {"model": torch.optim.SGD(self.model.parameters(), lr)}

    def training_step(self, batch, minimise):
        self.calls += 1
        loss = F.mse_loss(self.model(batch[0]), batch[1])
        minimise(loss, self.optimisers["model"])
        self.spoil(self)
        return {"loss": loss * (torch.nan if getattr(self, "nan", False) else 1)}


def whole(step):
    return X, Y


def run(task, steps=20, batches=whole, **options):
    return list(fit(task, batches, steps, plan=Plan(), progress=False, **options))


def weights(task) -> torch.Tensor:
    return nn.utils.parameters_to_vector(task.parameters()).detach().clone()


# What it computes


def test_it_finds_the_least_squares_solution():
    task = Line()
    found = run(task, 300)
    solution = np.linalg.lstsq(np.c_[X, np.ones(64)], Y.numpy(), rcond=None)[0][:, 0]
    assert weights(task).numpy() == pytest.approx(solution, abs=1e-5)
    assert [step.number for step in found] == list(range(1, 301))
    assert found[-1].scalars["loss"] < found[0].scalars["loss"]


def test_it_is_the_loop_one_would_write():
    task, (model, schedule) = Line(), (Line().model, warmup_cosine(20, 5))
    run(task, lr_schedule=schedule)
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    for step in range(20):
        optimiser.param_groups[0]["lr"] = 0.1 * schedule(step)
        optimiser.zero_grad()
        F.mse_loss(model(X), Y).backward()
        optimiser.step()
    torch.testing.assert_close(weights(task), nn.utils.parameters_to_vector(model.parameters()).detach())


def test_what_the_caller_does_between_steps_changes_nothing():
    alone, disturbed = Line(dropout=0.5), Line(dropout=0.5)
    batches = Batches(X, Y, size=16)
    run(alone, batches=batches)
    for step in fit(disturbed, batches, 20, plan=Plan(), progress=False):
        torch.manual_seed(step.number)
        torch.rand(step.number)
        disturbed.eval()
        disturbed.model(X).sum().detach()
    assert torch.equal(weights(alone), weights(disturbed))
    other = Line(dropout=0.5)
    run(other, batches=batches, seed=1)
    assert not torch.equal(weights(alone), weights(other))


def test_the_callers_randomness_is_left_alone():
    task = Line(dropout=0.5)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    run(task, 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_parts_add_up_to_the_batch():
    one, four = Line(), Line()
    found = [run(task, 10, accumulate=parts) for task, parts in ((one, 1), (four, 4))]
    torch.testing.assert_close(weights(one), weights(four), atol=1e-6, rtol=1e-5)
    assert found[1][-1].scalars["loss"] == pytest.approx(found[0][-1].scalars["loss"], rel=1e-5)
    assert (one.calls, four.calls) == (10, 40)


@pytest.mark.parametrize(("clip", "expected"), [(0.5, 0.5), (1e6, None)])
def test_clip_bounds_the_gradient(clip, expected):
    task = Line(lr=1.0)
    before = weights(task)
    F.mse_loss(task.model(X), Y).backward()
    gradient = nn.utils.parameters_to_vector([p.grad for p in task.parameters()])
    task.zero_grad()
    run(task, 1, clip=clip)
    assert (before - weights(task)).norm().item() == pytest.approx(expected or gradient.norm().item(), rel=1e-4)
    assert F.cosine_similarity(before - weights(task), gradient, dim=0) == pytest.approx(1, abs=1e-5)


class Game(Task):
    """A GAN in small: a generator g(z) and a critic c(x) that pull against each other."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.generator, self.critic = nn.Linear(3, 3), nn.Linear(3, 1)
        parts = {"generator": self.generator, "critic": self.critic}
        self.optimisers = {name: torch.optim.SGD(part.parameters(), 0.05) for name, part in parts.items()}

    def losses(self, x):
        fake = self.generator(x.flip(0))
        yield F.softplus(self.critic(fake)).mean() + F.softplus(-self.critic(x)).mean(), "critic"
        yield F.softplus(-self.critic(fake)).mean(), "generator"

    def training_step(self, batch, minimise):
        scalars = {}
        for loss, name in self.losses(batch[0]):
            minimise(loss, self.optimisers[name])
            assert all(p.grad is None for p in self.parameters()), f"minimising for the {name} left a gradient"
            scalars[name] = loss
        return scalars


def test_two_players_each_move_by_their_own_loss():
    task, other = Game(), Game()
    run(task, 10)
    for _ in range(10):
        for loss, name in other.losses(X):
            own = list(getattr(other, name).parameters())
            gradients = torch.autograd.grad(loss, own, retain_graph=True)
            with torch.no_grad():
                for p, g in zip(own, gradients):
                    p.sub_(0.05 * g)
    torch.testing.assert_close(weights(task), weights(other))


def test_full_precision_is_kept():
    seen = []
    task = Line(spoil=lambda task: seen.append(task.model(X).dtype))
    run(task, 1)
    assert seen == [torch.float32]
    list(fit(task, whole, 1, plan=Plan("bf16"), progress=False))
    run(task, 1)  # and again, after a training in another precision
    assert seen == [torch.float32, torch.bfloat16, torch.float32]


# Its parts


def test_the_average_is_torchs():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    ours, theirs = Ema(network, 0.9), AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    theirs.update_parameters(network)  # torch's first update copies
    ours.updates = 10_000  # long past the warm-up
    for _ in range(5):
        with torch.no_grad():
            for p in network.parameters():
                p.add_(torch.randn_like(p))
        network(torch.randn(8, 3))
        ours.update()
        theirs.update_parameters(network)
    for a, b in zip(ours.average.parameters(), theirs.module.parameters()):
        torch.testing.assert_close(a, b)
    for a, b in zip(ours.average.buffers(), network.buffers()):
        assert torch.equal(a, b)  # the counter of batches (an integer) among them
    assert not any(p.requires_grad for p in ours.average.parameters())
    assert not ours.average.training


def test_the_average_warms_up():
    network = nn.Linear(1, 1, bias=False)
    ema, expected = Ema(network, 0.999), network.weight.item()
    for n in range(1, 30):
        nn.init.constant_(network.weight, n)
        ema.update()
        keep = (1 + n) / (10 + n)
        expected = keep * expected + (1 - keep) * n
    assert ema.average.weight.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2.0])
def test_a_decay_that_cannot_be_is_refused(decay):
    with pytest.raises(ValueError, match="below 1"):
        Ema(nn.Linear(1, 1), decay)


def test_warmup_cosine_is_torchs():
    steps, warmup = 50, 10
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps - warmup)
    expected = [(step + 1) / warmup for step in range(warmup)]
    for _ in range(steps - warmup):
        expected.append(cosine.get_last_lr()[0])
        optimiser.step()
        cosine.step()
    assert [warmup_cosine(steps, warmup)(step) for step in range(steps)] == pytest.approx(expected, abs=1e-6)
    assert warmup_cosine(steps, 0)(0) == 1


# What it refuses


def test_a_loss_that_is_not_finite_stops_it(tmp_path):
    path = tmp_path / "run.pt"
    task = Line(spoil=lambda task: setattr(task, "nan", task.calls == 5))
    with pytest.raises(NotFinite, match=rf"step 5: loss is nan.*{path} \(step 4\).*learning rate"):
        run(task, checkpoint=path, checkpoint_every=2)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    def poison(task):
        if task.calls == 4:
            nn.init.constant_(task.model[1].bias, torch.inf)

    path = tmp_path / "run.pt"
    with pytest.raises(NotFinite, match=r"step 4: model.1.bias.*step 2"):
        run(Line(spoil=poison), checkpoint=path, checkpoint_every=2)
    assert torch.load(path, weights_only=True)["step"] == 2


def test_weights_that_are_not_finite_at_the_end_are_said():
    def poison(task):
        if task.calls == 4:
            nn.init.constant_(task.model[1].bias, torch.nan)

    with pytest.raises(NotFinite, match="step 4: model.1.bias"):
        run(Line(spoil=poison), 4)


def test_another_training_between_two_steps_changes_nothing():
    alone, beside = Line(dropout=0.5), Line(dropout=0.5)
    run(alone, 4, accumulate=2)
    for step in fit(beside, whole, 4, plan=Plan(), progress=False, accumulate=2):
        if step.number == 2:
            run(Line(), 2, accumulate=4)
    assert torch.equal(weights(alone), weights(beside))


@pytest.mark.parametrize("wrong", [{"accumulate": 0}, {"checkpoint_every": 0}])
def test_counts_below_one_are_refused_before_any_work(wrong):
    task = Line()
    with pytest.raises(ValueError, match="should be at least 1"):
        run(task, 2, **wrong)
    assert task.calls == 0


def test_a_run_is_not_overwritten(tmp_path):
    run(Line(), 2, checkpoint=tmp_path / "run.pt")
    with pytest.raises(FileExistsError, match="run.pt.*resume=True"):
        run(Line(), 2, checkpoint=tmp_path / "run.pt")


def test_a_finished_run_resumes_to_itself(tmp_path):
    task, again = Line(), Line()
    run(task, 4, checkpoint=tmp_path / "run.pt")
    assert run(again, 4, checkpoint=tmp_path / "run.pt", resume=True) == []
    assert torch.equal(weights(task), weights(again))


def test_another_run_is_not_resumed(tmp_path):
    path = tmp_path / "run.pt"
    run(Line(), 2, checkpoint=path)
    with pytest.raises(ValueError, match="run.pt.*seed 0, not 7"):
        run(Line(), 4, checkpoint=path, resume=True, seed=7)
    task = Line()
    with pytest.raises(ValueError, match="run.pt.*without an EMA"):
        run(task, 4, checkpoint=path, resume=True, ema=Ema(task.model))
    with pytest.raises(ValueError, match="run.pt.*2 steps already, more than 1"):
        run(Line(), 1, checkpoint=path, resume=True)
    other = Line()
    other.model[1] = nn.Linear(3, 2)
    with pytest.raises(ValueError, match="run.pt is of other networks"):
        run(other, 4, checkpoint=path, resume=True)


class Trap:
    """Would make a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def damaged(how, whole, tmp_path) -> bytes:
    return {
        "truncated": lambda: whole[: len(whole) // 2],
        "its head": lambda: whole[:100],
        "empty": lambda: b"",
        "random": lambda: np.random.default_rng(0).bytes(5000),
        "text": lambda: b"nothing of the kind",
        "a stray byte": lambda: b".",
        "a trap": lambda: pickle.dumps(Trap(tmp_path / "sprung"), protocol=2),  # torch's own
        "another dictionary": lambda: (torch.save({"weights": 1}, tmp_path / "x"), (tmp_path / "x").read_bytes())[1],
    }[how]()


@pytest.mark.parametrize("how", ["truncated", "its head", "empty", "random", "text", "a stray byte", "a trap", "another dictionary"])
def test_a_damaged_checkpoint_is_named(tmp_path, how):
    path = tmp_path / "run.pt"
    run(Line(), 2, checkpoint=path)
    path.write_bytes(damaged(how, path.read_bytes(), tmp_path))
    with pytest.raises(ValueError, match="run.pt is not a.*remove it"):
        run(Line(), 4, checkpoint=path, resume=True)
    assert not (tmp_path / "sprung").exists()


def test_a_folder_that_is_not_there_is_said_before_any_work(tmp_path):
    task = Line()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        run(task, 3, checkpoint=tmp_path / "nowhere" / "run.pt", checkpoint_every=3)
    assert task.calls == 0


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="batch of 64.*1 processes x 5 parts"):
        run(Line(), accumulate=5)


# Trackers


def test_tensorboard_reads_what_was_logged(tmp_path):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard here")
    found = run(Line(), 6, tracker="tensorboard", log_dir=tmp_path / "logs")
    (events,) = [p for p in (tmp_path / "logs").rglob("*tfevents*") if p.parent.name == "vision-101"]
    accumulator = accumulators.EventAccumulator(str(events)).Reload()
    read = [(event.step, event.value) for event in accumulator.Scalars("loss")]
    assert read == [(step.number, pytest.approx(step.scalars["loss"], rel=1e-6)) for step in found]


@pytest.mark.filterwarnings("ignore:::wandb", "ignore:::pydantic")
def test_wandb_stays_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="no wandb here")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "")
    monkeypatch.delenv("WANDB_MODE")  # fit's own default is what is tested; monkeypatch puts the old one back
    monkeypatch.setenv("WANDB_SILENT", "true")
    run(Line(), 3, tracker="wandb", log_dir=tmp_path / "logs")
    (folder,) = (tmp_path / "logs" / "wandb").glob("offline-run-*")
    assert list(folder.glob("*.wandb"))


def test_another_tracker_is_refused():
    with pytest.raises(ValueError, match="'mlflow'.*'tensorboard' or 'wandb'"):
        run(Line(), tracker="mlflow")


def test_a_task_must_say_what_a_step_is():
    task = Task()
    task.optimisers = {}
    with pytest.raises(NotImplementedError, match="Task"):
        run(task)
