"""Photographs: those that come with scikit-image, and the reader's own."""

import io
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from v101_utils.data.images import to_signed

PHOTOS = tuple(  # those that are in scikit-image's wheel; its other pictures would download
    "astronaut chelsea coffee rocket motorcycle_left motorcycle_right hubble_deep_field retina ihc brick grass gravel camera".split())


def _in_bytes(picture: Image.Image) -> Image.Image:
    """Upright and of 8 bits: EXIF rotation applied, 16 bits scaled, palettes spread. Its mode is L, LA, RGB or RGBA."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode == "F":
        raise ValueError("floating-point numbers, whose range is not known")
    if picture.mode.startswith("I"):  # 16-bit (PIL's "I;16" and, for some files, "I") would clip, not scale
        deep = np.asarray(picture).astype(np.float64)
        if deep.min() < 0 or deep.max() > 65535:
            raise ValueError(f"whole numbers from {deep.min():g} to {deep.max():g}; they should be from 0 to 65535, of 8 or 16 bits")
        top = 65535 if picture.mode != "I" or deep.max() > 255 else 255  # "I" alone may hold bytes
        picture = Image.fromarray((deep / top * 255).round().astype(np.uint8))
    if picture.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        picture.info.pop("icc_profile", None)  # it describes the channels that are about to go
    grey = picture.mode in ("1", "L", "LA", "La")
    if picture.has_transparency_data:
        return picture.convert("LA" if grey else "RGBA")
    return picture.convert("L" if grey else "RGB")


def _to_rgb(picture: Image.Image) -> Image.Image:
    """8-bit RGB, alpha laid on white."""
    if picture.mode in ("LA", "RGBA"):
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def open_picture(source) -> Image.Image:
    """A picture as it is stored, upright and with 8 bits a channel: of mode L, LA, RGB or RGBA. Of an animation, the first frame.

    source: a name in PHOTOS, a path, or a file's bytes (an upload). Raises FileNotFoundError for an unknown name or
    path, ValueError for what is empty, no image, truncated, of floats, or too large to open safely (a decompression bomb).
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        label, file = "the upload", io.BytesIO(source)
        empty = len(source) == 0
    else:
        label = str(source)
        if label in PHOTOS:
            import skimage.data

            source = next(Path(skimage.data.__file__).parent.glob(f"{label}.*"))
        file = Path(source)
        if not file.is_file():
            raise FileNotFoundError(f"{label}: no such picture; give a file, or one of {', '.join(PHOTOS)}")
        empty = file.stat().st_size == 0
    if empty:
        raise ValueError(f"{label} is empty; it should be a picture, such as a PNG or JPEG file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of a damaged file before it refuses it
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as opened:
                return _in_bytes(opened)
    except UnidentifiedImageError as error:
        raise ValueError(f"{label} is not an image that Pillow knows; try a PNG or JPEG file") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = f"{Image.MAX_IMAGE_PIXELS / 1e6:.0f} million pixels"
        raise ValueError(f"{label} is too large to open safely: shrink it below {limit}") from error
    except (OSError, SyntaxError, EOFError, ValueError, RuntimeError) as error:
        raise ValueError(f"{label} is damaged, truncated or of a kind not read here ({error}); save it again as a PNG") from error


def pixels_of(picture: Image.Image) -> torch.Tensor:
    """The channels of an 8-bit picture, (1, C, H, W) in [-1, 1]."""
    pixels = np.array(picture).reshape(picture.height, picture.width, -1)
    return to_signed(torch.from_numpy(pixels)).permute(2, 0, 1)[None]


def photo(source, side: int | None = None) -> torch.Tensor:
    """A picture as a tensor (1, 3, H, W) in [-1, 1], alpha laid on white; its longer side scaled to `side` pixels if given.

    source: as of `open_picture`, which raises the same errors. Raises ValueError for a side below 1.
    """
    if side is not None and side < 1:
        raise ValueError(f"side {side}: it should be at least 1 pixel")
    picture = _to_rgb(open_picture(source))
    if side:
        scale = side / max(picture.size)
        picture = picture.resize([max(1, round(s * scale)) for s in picture.size], Image.Resampling.LANCZOS)
    return pixels_of(picture)
