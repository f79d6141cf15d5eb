"""Images side by side, as one picture."""

from functools import cache
from pathlib import Path

import matplotlib
import torch
from PIL import Image, ImageDraw, ImageFont

from v101_utils.data.images import to_unit

GAP, HEAD = 2, 16  # pixels: white between images, and the height of a line of names above them


@cache
def font(size: int = 13) -> ImageFont.FreeTypeFont:
    """The font of matplotlib's figures: it is always there, and has Greek letters."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def grid(images: torch.Tensor, columns: int = 8, zoom: float = 2, heads=()) -> Image.Image:
    """Images (N, C, H, W) in [-1, 1], C 1 or 3, row by row, each `zoom` times its size; `heads` are the columns' names."""
    if columns < 1:
        raise ValueError(f"columns {columns}: it should be at least 1")
    if images.ndim != 4 or images.shape[1] not in (1, 3) or len(images) == 0:
        raise ValueError(f"images have shape {tuple(images.shape)}; it should be (N, 1 or 3, H, W)")
    count, _, height, width = images.shape
    height, width = round(height * zoom), round(width * zoom)
    columns = min(columns, count)
    lines = -(-count // columns)
    if len(heads) not in (0, columns):
        raise ValueError(f"{len(heads)} heads for {columns} columns: each column should have one, or none any")
    top = HEAD if heads else 0
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, top + lines * (height + GAP) - GAP), "white")
    for i, name in enumerate(heads):
        ImageDraw.Draw(sheet).text((i * (width + GAP) + width / 2, HEAD - 5), name, "black", font(9), anchor="ms")
    pixels = (to_unit(images).expand(-1, 3, -1, -1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    for i, image in enumerate(pixels):
        place = (i % columns * (width + GAP), top + i // columns * (height + GAP))
        sheet.paste(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC), place)
    return sheet


def rows(groups: dict[str, torch.Tensor], columns: int = 10, zoom: float = 2, label_width: int = 110, heads=()) -> Image.Image:
    """A `grid` for each name of `groups`, one below the other, the name to its left; `heads` are the columns' names."""
    grids = [grid(images, columns, zoom, () if i else heads) for i, images in enumerate(groups.values())]
    tops = [sum(g.height + 3 * GAP for g in grids[:i]) for i in range(len(grids) + 1)]
    sheet = Image.new("RGB", (label_width + max(g.width for g in grids), tops[-1] - 3 * GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for name, picture, top in zip(groups, grids, tops):
        pen.text((label_width - 8, top + picture.height / 2), name, "black", font(), anchor="rm", align="right")
        sheet.paste(picture, (label_width, top))
    return sheet
