"""Images side by side, as one picture."""

from functools import cache
from pathlib import Path

import matplotlib
import torch
from PIL import Image, ImageDraw, ImageFont

from v101_utils.data.images import to_unit

GAP = 2  # white pixels between images


@cache
def font(size: int = 13) -> ImageFont.FreeTypeFont:
    """The font of matplotlib's figures: it is always there, and has Greek letters."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def grid(images: torch.Tensor, columns: int = 8, zoom: float = 2) -> Image.Image:
    """Images (N, C, H, W) in [-1, 1], C 1 or 3, row by row, each `zoom` times its size."""
    if images.ndim != 4 or images.shape[1] not in (1, 3) or len(images) == 0:
        raise ValueError(f"images have shape {tuple(images.shape)}; it should be (N, 1 or 3, H, W)")
    count, _, height, width = images.shape
    height, width = round(height * zoom), round(width * zoom)
    columns = min(columns, count)
    lines = -(-count // columns)
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, lines * (height + GAP) - GAP), "white")
    pixels = (to_unit(images).expand(-1, 3, -1, -1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    for i, image in enumerate(pixels):
        place = (i % columns * (width + GAP), i // columns * (height + GAP))
        sheet.paste(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC), place)
    return sheet


def rows(groups: dict[str, torch.Tensor], columns: int = 10, zoom: float = 2, label_width: int = 110) -> Image.Image:
    """A `grid` for each name of `groups`, one below the other, the name to its left."""
    grids = [grid(images, columns, zoom) for images in groups.values()]
    tops = [sum(g.height + 3 * GAP for g in grids[:i]) for i in range(len(grids) + 1)]
    sheet = Image.new("RGB", (label_width + max(g.width for g in grids), tops[-1] - 3 * GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for name, picture, top in zip(groups, grids, tops):
        pen.text((label_width - 8, top + picture.height / 2), name, "black", font(), anchor="rm", align="right")
        sheet.paste(picture, (label_width, top))
    return sheet
