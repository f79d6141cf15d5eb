"""Fashion-MNIST: what ships, what is found, what is refused."""

import gzip
import importlib
import struct
from importlib.resources import files

import numpy as np
import pytest
import torch
from torchvision.datasets import FashionMNIST

module = importlib.import_module("v101_utils.data.fashion_mnist")  # the attribute of the package is the function
fashion_mnist = module.fashion_mnist
STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
debian = pytest.mark.skipif(
    not module.DEBIAN.is_dir(), reason=f"the originals are not here: apt-get install dataset-fashion-mnist ({module.DEBIAN})"
)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">4B{array.ndim}i", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture(params=["", ".gz"], ids=["plain", "gzipped"])
def root(request, tmp_path, monkeypatch):
    """torchvision's folder with six small images and labels of each split; Debian's hidden."""
    monkeypatch.setattr(module, "DEBIAN", tmp_path / "no-debian")
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for stem in STEMS:
        array = rng.integers(0, 256, (6, 28, 28), np.uint8) if "idx3" in stem else rng.integers(0, 10, 6, np.uint8)
        pack = gzip.compress if request.param else bytes
        (raw / (stem + request.param)).write_bytes(pack(idx(array)))
    return tmp_path


def as_bytes(images: torch.Tensor) -> np.ndarray:
    return ((images + 1) * 127.5).round().to(torch.uint8).numpy()


@pytest.mark.parametrize(("split", "count"), [("train", 18_000), ("test", 2_000)])
def test_the_subset_is_balanced(split, count, capsys):
    found = fashion_mnist(split, source="shipped")
    assert found.images.shape == (count, 1, 28, 28)
    assert found.images.dtype == torch.float32
    assert (found.images.min(), found.images.max()) == (-1, 1)
    assert found.labels.bincount().tolist() == [count // 10] * 10
    assert f"{count:,} images from the subset in this package" in capsys.readouterr().out


def test_the_subset_is_small():
    assert (files("v101_utils.data") / "assets" / "fashion_mnist.xz").stat().st_size < 8e6


@debian
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_subset_is_of_the_originals_byte_for_byte(split):
    parts = [fashion_mnist(split, source=source) for source in ("local", "shipped")]
    originals, shipped = ({(i.tobytes(), int(n)) for i, n in zip(as_bytes(p.images), p.labels)} for p in parts)
    assert shipped <= originals
    assert len(shipped) > 0.99 * len(parts[1].labels)  # distinct, but for twins in the originals themselves


@debian
def test_debian_has_all(tmp_path, capsys):
    found = fashion_mnist("test", root=tmp_path)
    assert len(found.images) == 10_000
    assert "10,000 images from Debian's package" in capsys.readouterr().out


def test_torchvisions_folder_is_read_as_torchvision_reads_it(root, capsys):
    found = fashion_mnist("test", root=root)
    assert "6 images from torchvision's folder" in capsys.readouterr().out
    raw = root / "FashionMNIST" / "raw"
    for path in raw.glob("*.gz"):  # torchvision reads only what is unpacked
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    theirs = FashionMNIST(root, train=False)
    assert np.array_equal(as_bytes(found.images[:, 0]), theirs.data.numpy())
    assert found.labels.tolist() == theirs.targets.tolist()


def test_the_folder_is_taken_from_the_environment(root, monkeypatch):
    monkeypatch.setenv("V101_DATA", str(root))
    assert fashion_mnist("train").source == "torchvision's folder"


def damage(path, how):
    plain = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    pack = gzip.compress if path.suffix == ".gz" else bytes
    changed = {
        "cut": lambda: path.read_bytes()[:-40],
        "empty": lambda: b"",
        "text": lambda: b"<html>404</html>",
        "short": lambda: pack(plain[:-1]),
        "long": lambda: pack(plain + b"x"),
        "header alone": lambda: pack(plain[:4]),
        "a hundred dimensions": lambda: pack(plain[:3] + b"d" + plain[4:18]),
        "floats": lambda: pack(b"\0\0\x0d" + plain[3:]),
        "flipped bits": lambda: path.read_bytes()[:10] + bytes(255 - b for b in path.read_bytes()[10:90]) + path.read_bytes()[90:]
        if path.suffix == ".gz" else plain[:-9],
    }  # fmt: skip
    path.write_bytes(changed[how]())


@pytest.mark.parametrize("stem", STEMS[2:])
@pytest.mark.parametrize("how", ["cut", "empty", "text", "short", "long", "header alone", "a hundred dimensions", "floats", "flipped bits"])
def test_a_damaged_file_is_named(root, stem, how):
    (path,) = (root / "FashionMNIST" / "raw").glob(f"{stem}*")
    damage(path, how)
    with pytest.raises(ValueError, match=f"{stem}.*source='shipped'"):
        fashion_mnist("test", root=root)


def test_images_and_labels_that_differ_in_number_are_refused(root):
    (path,) = (root / "FashionMNIST" / "raw").glob(f"{STEMS[3]}*")
    pack = gzip.compress if path.suffix else bytes
    path.write_bytes(pack(idx(np.zeros(5, np.uint8))))
    with pytest.raises(ValueError, match="5"):
        fashion_mnist("test", root=root)


def test_nothing_local_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "DEBIAN", tmp_path / "no-debian")
    with pytest.raises(FileNotFoundError, match="source='shipped'"):
        fashion_mnist(source="local", root=tmp_path)
    assert fashion_mnist("test", root=tmp_path).source == "the subset in this package"


@pytest.mark.parametrize("arguments", [{"split": "validation"}, {"source": "cloud"}])
def test_other_words_are_refused(arguments):
    with pytest.raises(ValueError, match="train.*auto"):
        fashion_mnist(**arguments)
