"""Pictures in files, enlarged: whatever Pillow reads goes in, its alpha included; PNG, JPEG and a few more come out."""

import math

import torch
from PIL import Image, ImageFilter
from tqdm import tqdm

from v101_utils.data.images import to_unit
from v101_utils.data.photos import open_picture, pixels_of
from v101_utils.files import check_kind, save_picture
from v101_utils.superres.models import Bicubic, Restorer
from v101_utils.superres.restore import restore
from v101_utils.superres.tiles import in_tiles

OPAQUE = ("JPEG", "BMP")
LONGEST = {"JPEG": 65_500, "WEBP": 16_383}  # pixels a side, at most
MOST = 1_000_000_000  # pixels: four bytes each, the most that TIFF and BMP can count


class _InBytes(Restorer):
    """What `model` makes of RGB (B, 3, h, w) in [-1, 1], as bytes: pieces of a large picture then take a quarter of the room."""

    def __init__(self, model: Restorer):
        super().__init__(3, model.factors)
        self.model, self.bicubic_first = model, model.bicubic_first
        self.train(model.training)  # `in_tiles` brings the mode back that it finds here

    def layers(self, factor):
        return self.model.layers(factor)

    def forward(self, low: torch.Tensor, factor: int) -> torch.Tensor:
        return (to_unit(restore(self.model, low, factor, side=max(low.shape))) * 255).round().byte()


def _spread(picture: Image.Image) -> Image.Image:
    """An RGBA picture whose wholly transparent pixels have their neighbours' colours instead of what happened to be there.

    Often that is black, and an enlargement would mix it into the edges of what is seen.
    """
    spread = picture.convert("RGBa").filter(ImageFilter.BoxBlur(3)).convert("RGBA")  # RGBa: colours weighted by alpha
    spread.paste(picture, mask=picture.getchannel("A").point(lambda alpha: 255 * (alpha > 0)))
    return spread


def _large(part: Image.Image, factor: int, model: Restorer, side: int, progress: bool) -> Image.Image:
    """A picture of mode L or RGB, enlarged in tiles; its mode stays."""
    count = math.ceil(part.width / side) * math.ceil(part.height / side)
    with tqdm(total=count, unit="tile", desc="enlarging", disable=not progress or count == 1) as bar:
        network = _InBytes(model)

        def count_tile(*_):  # gives nothing back, for what a hook gives back takes the place of the output
            bar.update()

        network.register_forward_hook(count_tile)
        found = in_tiles(network, pixels_of(part.convert("RGB")), factor, side)
    return Image.fromarray(found[0].permute(1, 2, 0).numpy()).convert(part.mode)


def upscale(picture: Image.Image, factor: int, model: Restorer, side: int = 256, progress: bool = False) -> Image.Image:
    """An 8-bit picture of mode L, LA, RGB or RGBA, `factor` times as wide and high; its mode stays.

    The model enlarges the colours, and bicubic interpolation the alpha. side: of a tile, in pixels of the picture. progress: a
    bar, if there is more than one tile. Raises ValueError for another mode, or a factor that the model was not made for.
    """
    if picture.mode not in ("L", "LA", "RGB", "RGBA"):
        raise ValueError(f"the picture's mode is {picture.mode}; it should be L, LA, RGB or RGBA")
    colours, clear = picture, picture.mode.endswith("A")
    if clear:
        colours = _spread(picture.convert("RGBA"))
    large = _large(colours.convert(picture.mode.removesuffix("A")), factor, model, side, progress)
    if clear:
        large.putalpha(_large(picture.getchannel("A"), factor, Bicubic(), side, progress=False))
    return large


def _check_fits(picture: Image.Image, target, kind: str, factor: int) -> None:
    width, height = picture.width * factor, picture.height * factor
    if picture.mode.endswith("A") and kind in OPAQUE:
        raise ValueError(f"{target}: the picture has transparent parts, which {kind} cannot keep; write a .png, .webp or .tif")
    if width * height > MOST:
        raise ValueError(f"{target} would be {width} x {height}; a picture should have at most {MOST // 10**6:,} million pixels")
    if max(width, height) > (longest := LONGEST.get(kind, MOST)):
        raise ValueError(f"{target} would be {width} x {height}; {kind} has at most {longest:,} pixels a side: write a .png")


def upscale_file(source, target, factor: int, model: Restorer, progress: bool = False) -> tuple[int, int]:
    """Enlarges the picture in the file `source` into the file `target`, and returns the new width and height.

    The format is that of the ending of `target`, one of `files.KINDS`; 8 bits a channel; a colour profile is kept, other metadata are
    not. Everything that can be refused is refused before any work: raises ValueError for another ending or factor,
    transparency in a format without it, too large a picture, and what `open_picture` and `check_kind` raise.
    """
    kind = check_kind(target)
    if factor not in model.factors:
        raise ValueError(f"factor {factor}: this network enlarges by a factor from {model.factors}")
    picture = open_picture(source)
    _check_fits(picture, target, kind, factor)
    large = upscale(picture, factor, model, progress=progress)
    profile = {"icc_profile": found} if (found := picture.info.get("icc_profile")) else {}
    save_picture(target, large, **profile)
    return large.size
