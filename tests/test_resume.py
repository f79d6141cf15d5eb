"""A training that is killed at any moment and resumed ends, bit for bit, as one that was not."""

import random
import subprocess
import sys
import time
from pathlib import Path

import torch

SCRIPT = Path(__file__).with_name("train_small_vae.py")
KILLS = 3


def start(folder: Path, name: str, seconds: float) -> subprocess.Popen:
    command = [sys.executable, str(SCRIPT), str(folder / f"{name}.pt"), str(folder / f"{name}.out"), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def flat(value, name="") -> dict[str, torch.Tensor]:
    if not isinstance(value, dict):
        return {name: torch.as_tensor(value)}
    return {key: tensor for k, v in value.items() for key, tensor in flat(v, f"{name}.{k}").items()}


def test_a_killed_training_ends_as_one_that_was_not(tmp_path):
    whole = start(tmp_path, "whole", 0)
    chance, first_steps = random.Random(time.time_ns()), []  # any moment must do, so each run tries others
    for _ in range(KILLS):
        with start(tmp_path, "killed", 0.02) as training:
            for line in training.stdout:
                first_steps += [int(line)]
                break
            for _ in range(chance.randint(2, 9)):
                training.stdout.readline()
            time.sleep(chance.uniform(0, 0.03))
            training.kill()
    with start(tmp_path, "killed", 0) as training:
        first_steps += [int(training.stdout.readline())]
        training.communicate()
    whole.communicate()
    assert (whole.returncode, training.returncode) == (0, 0)
    assert first_steps[0] == 1
    assert first_steps[-1] > 1, f"nothing was resumed: {first_steps}"

    expected, found = (flat(torch.load(tmp_path / f"{name}.out")) for name in ("whole", "killed"))
    assert expected.keys() == found.keys()
    assert any("num_batches_tracked" in name for name in found)
    for name in expected:
        assert torch.equal(found[name], expected[name]), f"{name} differs; the runs began at steps {first_steps}"
