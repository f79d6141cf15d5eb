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


def _to_rgb(picture: Image.Image) -> Image.Image:
    """8-bit RGB, upright: EXIF rotation applied, alpha laid on white, 16 bits scaled to 8, grey and palettes spread."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # 16-bit (PIL's "I;16" and, for some files, "I") would clip, not scale
        deep = np.asarray(picture).astype(np.float64)
        top = 65535 if picture.mode != "I" or deep.max() > 255 else 255  # "I" alone may hold bytes
        picture = Image.fromarray((deep / top * 255).round().astype(np.uint8))
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def photo(source, side: int | None = None) -> torch.Tensor:
    """A picture as a tensor (1, 3, H, W) in [-1, 1]; its longer side scaled to `side` pixels if given.

    source: a name in PHOTOS, a path, or a file's bytes (an upload). Raises FileNotFoundError for an unknown name or
    path, ValueError for what is empty, no image, truncated, or too large to open safely (a decompression bomb).
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
                picture = _to_rgb(opened)
    except UnidentifiedImageError as error:
        raise ValueError(f"{label} is not an image that Pillow knows; try a PNG or JPEG file") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = f"{Image.MAX_IMAGE_PIXELS / 1e6:.0f} million pixels"
        raise ValueError(f"{label} is too large to open safely: shrink it below {limit}") from error
    except (OSError, SyntaxError, EOFError, ValueError) as error:
        raise ValueError(f"{label} is damaged or truncated ({error}); save it again") from error
    if side:
        scale = side / max(picture.size)
        picture = picture.resize([max(1, round(s * scale)) for s in picture.size], Image.Resampling.LANCZOS)
    return to_signed(torch.from_numpy(np.array(picture))).permute(2, 0, 1)[None]
