"""The machine: profiles, seeds, and the fastest plan."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from v101_utils.nn import SelfAttention
from v101_utils.runtime import Plan, derive_seed, device, fastest, generator, multiply_adds, pick, profile
from v101_utils.training import Task


class Blur(Task):
    """A small network with a buffer (BatchNorm) and noise (dropout), to see that measuring disturbs neither."""

    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.5))
        self.optimisers = {"model": torch.optim.SGD(self.model.parameters(), 0.1)}

    def training_step(self, batch, minimise):
        loss = self.model(batch[0]).square().mean()
        minimise(loss, self.optimisers["model"])
        return {"loss": loss}


@pytest.fixture
def batch(monkeypatch):
    monkeypatch.setenv("V101_PROFILE", "laptop")  # under "ci" nothing is measured
    monkeypatch.setenv("V101_DEVICE", "cpu")
    return (torch.rand(4, 1, 8, 8),)


def test_a_device_that_there_is_not_is_named(monkeypatch):
    monkeypatch.setenv("V101_DEVICE", "gpu")
    with pytest.raises(ValueError, match="V101_DEVICE is 'gpu'; it should be cpu, cuda"):
        device()


@pytest.mark.parametrize("word", ["ci", "laptop", "gpu"])
def test_pick_follows_the_profile(monkeypatch, word):
    monkeypatch.setenv("V101_PROFILE", word)
    assert profile() == word
    assert pick(ci="ci", laptop="laptop", gpu="gpu") == word


def test_an_unknown_profile_is_refused(monkeypatch):
    monkeypatch.setenv("V101_PROFILE", "huge")
    with pytest.raises(ValueError, match="huge.*ci, laptop, gpu"):
        pick(ci=1, laptop=2, gpu=3)


def test_a_seed_is_a_pure_function_of_its_numbers():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = torch.rand(5, generator=generator(3, 4))
    torch.rand(7)
    assert torch.equal(first, torch.rand(5, generator=generator(3, 4)))
    torch.set_rng_state(before)
    generator(1).seed()
    assert torch.equal(torch.get_rng_state(), before)


def test_no_two_lists_of_numbers_share_a_seed():
    """Also where one is the other and a zero: the noise of part 0 of a step is not that of its batch."""
    lists = [(a,) for a in range(50)] + [(a, b) for a in range(50) for b in range(50)]
    lists += [(a, b, c) for a in range(9) for b in range(9) for c in range(9)]
    assert len({derive_seed(*numbers) for numbers in lists}) == len(lists)


def test_neighbouring_seeds_are_unrelated():
    draws = np.stack([torch.rand(2000, generator=generator(0, step)).numpy() for step in range(20)])
    correlations = np.corrcoef(draws)[np.triu_indices(20, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(2000)


def test_measuring_disturbs_neither_task_nor_randomness(batch, tmp_path):
    task = Blur()
    weights = {name: value.clone() for name, value in task.state_dict().items()}
    state = torch.get_rng_state()
    fastest(task, batch, cache=tmp_path / "plans.json")
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, weights[name]) for name, value in task.state_dict().items())
    assert all(p.grad is None for p in task.parameters())


def test_a_plan_is_measured_on_batches_as_it_would_place_them(batch, tmp_path):
    class Looks(Blur):
        def training_step(self, batch, minimise):
            seen.append(batch[0].is_contiguous(memory_format=torch.channels_last))
            return super().training_step(batch, minimise)

    seen = []
    batch = (torch.rand(4, 3, 8, 8),)
    task = Looks()
    task.model[0] = nn.Conv2d(3, 8, 3)
    fastest(task, batch, cache=tmp_path / "plans.json")
    assert set(seen) == {False, True}


def test_the_choice_is_remembered(batch, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    chosen, task = fastest(Blur(), batch), Blur()
    assert fastest(task, batch) == chosen
    (cache,) = tmp_path.rglob("*.json")
    other = {"precision": "bf16", "channels_last": not chosen.channels_last}
    cache.write_text(json.dumps(dict.fromkeys(json.loads(cache.read_text()), other)))
    assert fastest(task, batch) == Plan(**other)  # read, not measured again
    assert len(json.loads(cache.read_text())) == 1
    fastest(task, (torch.rand(2, 1, 8, 8),))
    assert len(json.loads(cache.read_text())) == 2  # another batch is another question


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", "\x00\xff", "entry"])
def test_a_damaged_cache_is_made_anew(batch, tmp_path, damage):
    cache, task = tmp_path / "plans.json", Blur()
    chosen = fastest(task, batch, cache=cache)
    known = json.loads(cache.read_text())
    cache.write_text(json.dumps(dict.fromkeys(known, 3)) if damage == "entry" else damage)
    assert isinstance(fastest(task, batch, cache=cache), type(chosen))
    assert json.loads(cache.read_text()).keys() == known.keys()


def test_where_no_cache_can_be_written_it_still_answers(batch, tmp_path):
    (tmp_path / "file").write_text("in the way of a folder")
    assert isinstance(fastest(Blur(), batch, cache=tmp_path / "file" / "plans.json"), Plan)


def test_the_package_imports_fast():
    code = "import torch, time; start = time.perf_counter(); import v101_utils; print(time.perf_counter() - start)"

    def seconds():
        return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)

    assert any(seconds() < 0.3 for _ in range(3))


def test_multiply_adds_are_those_of_products_convolutions_and_attention():
    assert multiply_adds(nn.Linear(3, 5), torch.zeros(2, 3)) == 2 * 3 * 5
    assert multiply_adds(nn.Conv2d(3, 8, 3, padding=1), torch.zeros(1, 3, 16, 16)) == 16 * 16 * 8 * 3 * 9
    projections, places = 4 * 16 * 16 * 36, 36 * 36 * 16  # to q, k, v and out, at each of 6x6 places; each place with each
    assert multiply_adds(SelfAttention(16), torch.zeros(1, 16, 6, 6)) == projections + 2 * places


def test_a_device_that_is_not_here_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for name, there in (("cpu", True), ("cuda", True), ("cuda:0", True), ("cuda:1", False)):
        monkeypatch.setenv("V101_DEVICE", name)
        if there:
            assert device() == torch.device(name)
        else:
            with pytest.raises(ValueError, match="'cuda:1', but torch finds 1 devices of that kind here"):
                device()
