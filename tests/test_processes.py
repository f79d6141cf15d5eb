"""Several processes (`accelerate launch`, gloo on the CPU) compute what one does."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SCRIPT = Path(__file__).with_name("train_line.py")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def launch(*command, **environment) -> None:
    """Runs `command` in two processes."""
    flags = ["--multi_gpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *flags, f"--main_process_port={free_port()}", *map(str, command)],
        env=os.environ | {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "", "V101_DEVICE": "cpu", "OMP_NUM_THREADS": "1"} | environment,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("parts", [1, 2])
def test_two_processes_end_where_one_does(tmp_path, parts):
    subprocess.run([sys.executable, str(SCRIPT), str(tmp_path / "one"), "5", str(parts)], check=True)
    launch(SCRIPT, tmp_path / "two", 5, parts)
    one, *two = (torch.load(tmp_path / name) for name in ("one.0", "two.0", "two.1"))
    for found in two:
        for name, value in one["weights"].items():
            torch.testing.assert_close(found["weights"][name], value, atol=1e-6, rtol=1e-6)
        assert found["scalars"]["loss"] == pytest.approx(one["scalars"]["loss"], rel=1e-5)
        assert found["scalars"]["rows"] == one["scalars"]["rows"] / 2  # each had half the batch


def test_the_command_line_trains_in_two_processes(tmp_path):
    launch("-m", "v101_utils", "train", "vae-fashion", "--profile", "ci", "--steps", 3, "--out", tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["vae-fashion.json", "vae-fashion.safetensors"]
    assert all(tensor.isfinite().all() for tensor in load_file(tmp_path / "vae-fashion.safetensors").values())
