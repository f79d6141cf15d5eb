"""Fashion-MNIST (Xiao et al. 2017, MIT licence): 28x28 grey pictures of ten kinds of clothes."""

import gzip
import lzma
import math
import os
import zlib
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from v101_utils.data.images import to_signed

CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
SOURCES = ("auto", "local", "shipped")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package dataset-fashion-mnist
PREFIX = {"train": "train", "test": "t10k"}
SHIPPED = {"train": 18_000, "test": 2_000}  # how many images of each split the package itself holds
PIXELS = 28 * 28


class Labelled(NamedTuple):
    """Images (N, 1, 28, 28), float in [-1, 1]; labels (N,), int64 in 0..9; and where they came from."""

    images: torch.Tensor
    labels: torch.Tensor
    source: str


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array of an IDX file (LeCun's format), gzipped or not. Raises ValueError if it is damaged."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read ({error}): fetch it again, or pass source='shipped'") from error
    ndim = raw[3] if raw[:3] == b"\x00\x00\x08" and len(raw) > 4 else 0  # two zeros, type 8 (uint8), dimensions
    start = 4 + 4 * ndim
    shape = np.frombuffer(raw[4:start], ">u4").tolist() if len(raw) >= start else []
    if not shape or len(raw) != start + math.prod(shape):
        raise ValueError(f"{path} is no whole IDX file of bytes: fetch it again, or pass source='shipped'")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def _local(split: str, root) -> tuple[np.ndarray, np.ndarray, str] | None:
    """The first local copy: torchvision's folder under `root` (or $V101_DATA, or ./data), then Debian's."""
    for folder in (Path(root or os.environ.get("V101_DATA", "data")) / "FashionMNIST" / "raw", DEBIAN):
        stems = [folder / f"{PREFIX[split]}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
        found = [next((p for p in (s, s.with_suffix(".gz")) if p.is_file()), None) for s in stems]
        if all(found):
            images, labels = map(read_idx, found)
            if images.shape != (*labels.shape, 28, 28):
                raise ValueError(f"{found[0]} holds {images.shape}, {found[1]} {labels.shape}: they should be (N, 28, 28), (N,)")
            return images, labels, "Debian's package" if folder == DEBIAN else "torchvision's folder"
    return None


def _shipped(split: str) -> tuple[np.ndarray, np.ndarray, str]:
    """The class-balanced subset in the package: images then labels, of train then test, as xz of raw bytes."""
    raw = lzma.decompress((files("v101_utils.data") / "assets" / "fashion_mnist.xz").read_bytes())
    start = 0 if split == "train" else SHIPPED["train"] * (PIXELS + 1)
    middle = start + SHIPPED[split] * PIXELS
    images = np.frombuffer(raw[start:middle], np.uint8).reshape(-1, 28, 28)
    labels = np.frombuffer(raw[middle : middle + SHIPPED[split]], np.uint8)
    return images, labels, "the subset in this package"


def fashion_mnist(split="train", *, source="auto", root=None, download=False, device="cpu") -> Labelled:
    """Fashion-MNIST as one tensor on `device`; prints which copy it used.

    source: "local" (torchvision's folder under `root`, or Debian's package: 60,000 and 10,000 images), "shipped"
    (18,000 and 2,000 of them, in this package), or "auto": local, else torchvision's download if `download`, else
    shipped. Raises ValueError for another word or a damaged file, FileNotFoundError if "local" finds nothing.
    """
    if split not in PREFIX or source not in SOURCES:
        raise ValueError(f"split {split!r}, source {source!r}: they should be one of {list(PREFIX)}, {SOURCES}")
    found = None if source == "shipped" else _local(split, root)
    if found is None and source == "auto" and download:
        from torchvision.datasets import FashionMNIST

        FashionMNIST(root or os.environ.get("V101_DATA", "data"), train=split == "train", download=True)
        found = _local(split, root)
    if found is None and source == "local":
        raise FileNotFoundError("no local Fashion-MNIST: pass root=FOLDER, source='auto' with download=True, or source='shipped'")
    images, labels, where = found or _shipped(split)
    print(f"Fashion-MNIST {split}: {len(images):,} images from {where}")
    images = to_signed(torch.from_numpy(images.copy()).to(device))[:, None]  # (N, 1, 28, 28)
    return Labelled(images, torch.from_numpy(labels.astype(np.int64)).to(device), where)
