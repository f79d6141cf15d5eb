"""Files in and out: nothing half-written, nothing unpickled, every refusal says what would be right."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from v101_utils.files import load_images, save_images, write_atomically

SHAPE = (1, 2, 3)
GOOD = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, *SHAPE)
KILLED_WHILE_WRITING = """
import os, signal, sys
from v101_utils.files import write_atomically
with write_atomically(sys.argv[1]) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(params=[True, False], ids=["over an old file", "afresh"])
def path(request, tmp_path):
    path = tmp_path / "file"
    if request.param:
        path.write_text("old")
    return path


def test_a_write_replaces_the_file_and_leaves_nothing_else(path):
    with write_atomically(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_changes_nothing(path):
    before = [p.read_text() for p in path.parent.iterdir()]
    with pytest.raises(RuntimeError, match="midway"), write_atomically(path) as partial:
        partial.write_text("half")
        raise RuntimeError("midway")
    assert [p.read_text() for p in path.parent.iterdir()] == before


def test_a_write_that_is_killed_changes_nothing(path):
    before = path.read_text() if path.exists() else None
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(path)])
    assert killed.returncode == -signal.SIGKILL
    assert (path.read_text() if path.exists() else None) == before


def test_a_missing_folder_is_named_before_any_work(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"), write_atomically(tmp_path / "nowhere" / "file"):
        pytest.fail("the work began")


def test_images_come_back_as_they_were(tmp_path):
    save_images(tmp_path / "a.npz", GOOD, labels=[3, 1, 4, 1])
    assert np.array_equal(load_images(tmp_path / "a.npz", SHAPE), GOOD)
    with np.load(tmp_path / "a.npz") as archive:
        assert archive["images"].dtype == np.float32
        assert archive["labels"].dtype == np.int64
        assert archive["labels"].tolist() == [3, 1, 4, 1]


def test_doubles_are_read_as_float32(tmp_path):
    np.savez(tmp_path / "a.npz", images=GOOD.astype(np.float64))
    assert load_images(tmp_path / "a.npz", SHAPE).dtype == np.float32


REFUSED = {
    "a wrong shape": (GOOD[:, :, :, :2], r"shape \(4, 1, 2, 2\)"),
    "one image alone": (GOOD[0], "shape"),
    "no images": (GOOD[:0], "shape"),
    "bytes": ((GOOD * 255).astype(np.uint8), "uint8.*divide"),
    "nan": (np.where(GOOD > 0.9, np.nan, GOOD), "nan"),
    "infinity": (np.where(GOOD > 0.9, np.inf, GOOD), "inf"),
    "above one": (GOOD * 1.1, "1.1"),
    "below zero": (GOOD - 0.5, "-0.5"),
    "objects, which would be unpickled": (np.array([{"a": 1}], object), "not a readable"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_wrong_images_are_refused(tmp_path, what):
    images, reason = REFUSED[what]
    np.savez(tmp_path / "wrong.npz", images=images)
    with pytest.raises(ValueError, match=f"(?s)wrong.npz.*{reason}") as refusal:
        load_images(tmp_path / "wrong.npz", SHAPE)
    assert "float images (N, 1, 2, 3) in [0, 1]" in str(refusal.value)


def test_another_array_is_refused(tmp_path):
    np.savez(tmp_path / "wrong.npz", pictures=GOOD)
    with pytest.raises(ValueError, match="wrong.npz holds .'pictures'.*no array 'images'"):
        load_images(tmp_path / "wrong.npz", SHAPE)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.npz"):
        load_images(tmp_path / "none.npz", SHAPE)


@pytest.mark.parametrize("content", [b"", b"just text", b"PK\x03\x04", "truncated", "a bare array"])
def test_a_damaged_file_is_refused(tmp_path, content):
    path = tmp_path / "wrong.npz"
    if content == "a bare array":
        with open(path, "wb") as file:
            np.save(file, GOOD)
    elif content == "truncated":
        save_images(path, GOOD)
        path.write_bytes(path.read_bytes()[:-30])
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="wrong.npz"):
        load_images(path, SHAPE)


def test_what_is_no_plain_file_is_left_alone(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match="a device or a pipe"), write_atomically(tmp_path / "pipe"):
        pass
    with write_atomically(tmp_path / "link") as partial:
        partial.write_text("new")
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"


def test_a_long_name_is_written_as_any_other(tmp_path):
    path = tmp_path / ("a" * 250)
    with write_atomically(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new" and len(list(tmp_path.iterdir())) == 1
