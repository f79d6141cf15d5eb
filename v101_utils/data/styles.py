"""Styles to transfer: dense textures drawn from a seed, in the manner of several crafts. Nothing is downloaded."""

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy.spatial import KDTree  # comes with scikit-image

from v101_utils.data.images import to_signed
from v101_utils.data.photos import PHOTOS, photo

_FINER = 2  # drawn this many times larger and then shrunk: smooth edges
_SMALLEST = 16


def _colours(text: str) -> np.ndarray:
    """Hexadecimal colours, in the order in which neighbours blend well, as (N, 3) floats in 0..255."""
    return np.array([list(bytes.fromhex(word)) for word in text.split()], np.float64)


TESSERAE = _colours("0b3c5d 1d6fa5 2a9d8f 8ab17d f2e8cf e9c46a f4a261 e76f51 c1121f 6d1a36")
NIGHT = _colours("0d1b3e 16306b 1f4e9c 3f7cc4 7fb2dd d8e6e0 f5e6a3 f2c14e d98e2b 7a5a2e")
SEA = _colours("10243e 1b3f6b 2b5f95 5d92bd a9c9d9 efe6cf f6efdf")
DOTS = _colours("24406e 3c6fa8 4b9b8e 7fb069 d9d36a f4c95d ef8354 d65a5a 9b5094 5c4b8a")
GLASS = _colours("0b2fa8 0f6bd6 12a5a0 1f9e4b 9ccc3c ffd23f ff8c1a e0202b b0126a 5e1d9c")
INK = _colours("1c1713 f3e6c8 b5432f")  # ink, paper, and one accent


def _field(rng, side: int, cells: int) -> np.ndarray:
    """A smooth random field (side, side) that takes every value in [0, 1] equally often; about `cells` bumps across."""
    coarse = Image.fromarray(rng.standard_normal((cells + 3, cells + 3)).astype(np.float32))
    edge = 1.5  # cut away, or the borders would be flat
    smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC, (edge, edge, cells + edge, cells + edge)))
    return smooth.ravel().argsort().argsort().reshape(side, side) / (side * side - 1)


def _blend(palette: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Colours (..., 3) at `place` in [0, 1] along the palette, neighbours blended."""
    place = np.clip(place, 0, 1) * (len(palette) - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, len(palette) - 1)
    return palette[low] + (palette[high] - palette[low]) * (place - low)[..., None]


def _cells(rng, side: int, across: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Voronoi cells of about `across` jittered points a side (Worley 1996), at each pixel: which cell, a number below 1
    that is random by cell, and in units of the grid how far the pixel is from its point and from the next cell."""
    rows, columns = np.meshgrid(range(-2, across + 2), range(-2, across + 2), indexing="ij")  # some lie beyond the picture
    points = np.stack([rows, columns], -1).reshape(-1, 2) + rng.uniform(0.05, 0.95, (rows.size, 2))
    pixels = (np.stack(np.meshgrid(range(side), range(side), indexing="ij"), -1) + 0.5) * across / side
    far, who = KDTree(points).query(pixels, k=2)  # each (side, side, 2): the nearest point and the second
    apart = np.linalg.norm(points[who[..., 1]] - points[who[..., 0]], axis=-1)
    return who[..., 0], far[..., 0], (far[..., 1] ** 2 - far[..., 0] ** 2) / (2 * apart)


def _ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, linear between; with an axis for colours."""
    return np.clip((value - low) / (high - low), 0, 1)[..., None]


def _each(draw, boxes: np.ndarray, colours: np.ndarray, *breadths: np.ndarray) -> None:
    """Pillow's `draw` for each box (..., 4), in its colour (..., 3), one over another."""
    colours = colours.round().clip(0, 255).astype(int).reshape(-1, 3).tolist()
    for box, colour, *breadth in zip(boxes.reshape(-1, 4).tolist(), colours, *(b.ravel().tolist() for b in breadths)):
        draw(box, tuple(colour), *breadth)


def _mosaic(rng, side: int) -> np.ndarray:
    """Tesserae: small stones whose colours follow a smooth field, each a little off, with dark grout between."""
    cell, _, border = _cells(rng, side, 26)
    stones = cell.max() + 1
    field = _field(rng, side, 4)
    mean = np.bincount(cell.ravel(), field.ravel(), stones) / np.bincount(cell.ravel(), minlength=stones).clip(min=1)
    stone = _blend(TESSERAE, mean + rng.normal(0, 0.1, stones)) * rng.uniform(0.82, 1.12, stones)[:, None]
    grout = np.array([34.0, 30.0, 33.0])
    return grout + (stone[cell] - grout) * _ramp(border, 0.06, 0.16)


def _glass(rng, side: int) -> np.ndarray:
    """Stained glass: large panes, lighter in the middle, in broad black lead."""
    cell, far, border = _cells(rng, side, 13)
    pane = _blend(GLASS, rng.uniform(0, 1, cell.max() + 1))[cell]
    streaks = 0.82 + 0.36 * _field(rng, side, 24)[..., None]
    light = pane * streaks + (255 - pane) * 0.45 * np.clip(1 - far / 0.6, 0, 1)[..., None] ** 2
    return light * _ramp(border, 0.06, 0.1)


def _strokes(rng, side: int) -> np.ndarray:
    """Impressionist: thousands of short strokes along a flow, over each other, in the colours of a starry night."""
    angle, tone = 2 * np.pi * 1.5 * _field(rng, side, 3), _field(rng, side, 5)
    picture = Image.new("RGB", (side, side), tuple(NIGHT[1].astype(int)))
    brush, count = ImageDraw.Draw(picture), 7000
    middle = rng.uniform(0, side, (count, 1, 2))
    row, column = middle[:, 0].astype(int).T
    along = np.stack([np.sin(angle[row, column]), np.cos(angle[row, column])], -1)[:, None]  # (count, 1, 2), y before x
    across, length = side * rng.uniform(0.004, 0.009, (count, 1, 1)), side * rng.uniform(0.02, 0.045, (count, 1, 1))
    hairs = np.array([-1, 0, 1])[:, None]  # a brush leaves darker and lighter traces
    hair = middle + hairs * across * 0.7 * along[..., ::-1] * [-1, 1]  # (count, 3, 2)
    ends = np.concatenate([hair - along * length / 2, hair + along * length / 2], -1)[..., [1, 0, 3, 2]]
    colours = _blend(NIGHT, tone[row, column] + rng.normal(0, 0.09, count))[:, None] * (1 + 0.13 * hairs)
    breadth = across.round().astype(int).repeat(3, 1)
    _each(brush.line, ends, colours, breadth)
    return np.asarray(picture)


def _waves(rng, side: int) -> np.ndarray:
    """Ukiyo-e: bands of indigo and foam, ink lines between them."""
    y, x = np.meshgrid(*[np.linspace(0, 1, side)] * 2, indexing="ij")
    phase = 5 * y + 1.5 * x + 5.5 * _field(rng, side, 3) + 1.2 * _field(rng, side, 7)
    band = np.floor(phase * 4)
    tint = SEA[(rng.permutation(4 * len(SEA)) % len(SEA))[band.astype(int) % (4 * len(SEA))]]
    line = np.abs(phase * 4 - band - 0.5) * 2  # 1 at a border
    slope = np.hypot(*np.gradient(phase * 4)) * side / 200  # so that lines are of one breadth
    return SEA[0] + (tint - SEA[0]) * (1 - _ramp(line, 1 - 0.75 * slope, 1 - 0.45 * slope))


def _dots(rng, side: int) -> np.ndarray:
    """Pointillism: dense dots, each of a colour near its neighbours' or opposite to it."""
    tone = _field(rng, side, 4)
    picture = Image.new("RGB", (side, side), (236, 224, 196))
    brush, count = ImageDraw.Draw(picture), 9000
    middle, radius = rng.uniform(0, side, (count, 2)), side * rng.uniform(0.006, 0.0095, (count, 1))
    row, column = middle.astype(int).T
    place = tone[row, column] + 0.5 * (rng.random(count) < 0.15) + rng.normal(0, 0.1, count)
    colours = _blend(DOTS, place % 1) * rng.uniform(0.85, 1.15, (count, 1))
    _each(brush.ellipse, np.concatenate([middle - radius, middle + radius], -1)[..., [1, 0, 3, 2]], colours)
    return np.asarray(picture)


def _woodcut(rng, side: int) -> np.ndarray:
    """A woodcut: cut lines, broad where it is dark, on paper, with some of them in red."""
    y, x = np.meshgrid(*[np.linspace(0, 1, side)] * 2, indexing="ij")
    phase, tone = 30 * (y + 0.35 * x) + 11 * _field(rng, side, 3), _field(rng, side, 4)
    ridge = np.abs(phase % 1 - 0.5) * 2  # 0 in the middle of a line
    ink = np.where(_field(rng, side, 3)[..., None] > 0.8, INK[2], INK[0])
    return ink + (INK[1] - ink) * _ramp(ridge - (0.12 + 0.8 * tone), -0.1, 0.1)


_CRAFTS = {"mosaic": _mosaic, "strokes": _strokes, "waves": _waves, "dots": _dots, "glass": _glass, "woodcut": _woodcut}
STYLES = tuple(_CRAFTS)


def style_picture(name: str, side: int = 256, seed: int = 0) -> torch.Tensor:
    """A style, (1, 3, side, side) in [-1, 1]. The same seed draws the same picture; `side` only makes it finer.

    name: one of STYLES. A photograph may be a style too, best one that is full of detail: `photo("ihc")`.
    Raises ValueError for an unknown name, a side below 16 or a negative seed.
    """
    if name not in STYLES:
        raise ValueError(f"no style is called {name!r}; there are {', '.join(STYLES)}")
    if side < _SMALLEST or seed < 0:
        raise ValueError(f"side {side}, seed {seed}: they should be at least {_SMALLEST} and at least 0")
    drawn = _CRAFTS[name](np.random.default_rng([STYLES.index(name), seed]), side * _FINER)
    picture = Image.fromarray(drawn.round().clip(0, 255).astype(np.uint8)).resize((side, side), Image.Resampling.BOX)
    return to_signed(torch.from_numpy(np.array(picture))).permute(2, 0, 1)[None]


def any_style(source, side: int = 256) -> torch.Tensor:
    """A drawn style, where `source` is one of STYLES, or a picture whose longer side is `side`. (1, 3, H, W) in [-1, 1].

    source: else a name in PHOTOS, or a file. Raises FileNotFoundError that lists the names, and what `photo` raises.
    """
    try:
        return style_picture(source, side) if source in STYLES else photo(source, side=side)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{source}: no such style; give a file, or one of {', '.join(STYLES + PHOTOS)}") from error
