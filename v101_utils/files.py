"""Files in and out: nothing half-written, nothing unpickled, every refusal says what would be right."""

import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np

KINDS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}
SETTINGS = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}


def check_writable(path) -> Path:
    """`path`, a link followed, if a file can be written there; call it before long work. Raises FileNotFoundError, or OSError."""
    path = Path(path)
    path = path.resolve() if path.is_symlink() else path  # or the link itself would be replaced
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {path.parent} does not exist")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise OSError(f"cannot write {path}: {'it is a folder' if path.is_dir() else 'its folder is read-only'}")
    if path.exists() and not path.is_file():
        raise OSError(f"cannot write {path}: it is a device or a pipe, and would be replaced by a file")
    return path


@contextmanager
def write_atomically(path):
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it does not."""
    path = check_writable(path)
    partial = path.with_name(f".{path.name[:40]}.{os.getpid()}.partial")
    try:
        yield partial
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def save_images(path, images, labels=None) -> None:
    """Writes `images`, float32 (N, C, H, W) in [0, 1], and int64 `labels`, (N,) or (N, words), if given, as an .npz file."""
    arrays = {"images": np.asarray(images, np.float32)}
    if labels is not None:
        arrays["labels"] = np.asarray(labels, np.int64)
    with write_atomically(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **arrays)


def load_images(path, shape: tuple[int, int, int]) -> np.ndarray:
    """Reads `images`, float32 (N, C, H, W) in [0, 1], from an .npz file, checked against `shape` (C, H, W).

    Raises FileNotFoundError, or ValueError naming the file and what it should hold.
    """
    path, want = Path(path), "float images (N, {}, {}, {}) in [0, 1]".format(*shape)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; it should be an .npz with an array 'images', {want}")
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            names = archive.files
            images = archive["images"] if "images" in names else None
    except Exception as error:  # zip, header and object-array damage each raise a type of their own
        raise ValueError(f"{path} is not a readable .npz file ({error}); it should hold 'images', {want}") from error
    if images is None:
        raise ValueError(f"{path} holds {sorted(names)}, but no array 'images', {want}")
    if images.ndim != 4 or images.shape[1:] != tuple(shape) or len(images) == 0:
        raise ValueError(f"{path}: 'images' has shape {images.shape}; it should be {want}")
    if images.dtype.kind != "f":
        raise ValueError(f"{path}: 'images' is {images.dtype}; it should be {want} (divide bytes by 255)")
    if not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1):
        raise ValueError(f"{path}: 'images' spans [{images.min():g}, {images.max():g}]; it should be {want}")
    return images.astype(np.float32)


def check_kind(target) -> str:
    """The format that the ending of `target` asks for, if a file can be written there.

    Raises ValueError for another ending, FileNotFoundError or OSError for a place where nothing can be written.
    """
    suffix = Path(target).suffix.lower()
    if suffix not in KINDS:
        raise ValueError(f"{target}: its ending says the format, and should be one of {', '.join(KINDS)}")
    check_writable(target)
    return KINDS[suffix]


def save_picture(target, picture, **more) -> None:
    """Writes a `PIL.Image` in the format of the ending of `target`, atomically; `more` is for its `save`.

    Raises what `check_kind` does.
    """
    kind = check_kind(target)
    with write_atomically(target) as partial:
        picture.save(partial, kind, **SETTINGS.get(kind, {}), **more)
