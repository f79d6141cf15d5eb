"""What the sliders' pictures are put together from: a curve with a dot on it, and a line of text above."""

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw

from v101_utils.view.pictures import font

TITLE, GAP = 24, 20  # pixels: the height of the line of text, and between pictures


def picture_of(figure) -> Image.Image:
    """A figure of matplotlib, drawn and closed, as a picture."""
    figure.canvas.draw()
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())
    plt.close(figure)
    return picture


class Chart:
    """A curve, drawn once with its map from data to pixels: a move then costs a dot, not a plot."""

    def __init__(self, x, y, xlabel: str, ylabel: str):
        figure, axes = plt.subplots(figsize=(3.4, 3.1), dpi=100, layout="constrained")
        axes.plot(x, y, color="0.6")
        axes.set(xlabel=xlabel, ylabel=ylabel)
        self.picture = picture_of(figure)
        self.transform = axes.transData.frozen()  # as the drawing has laid it out

    def dotted(self, x: float, y: float) -> Image.Image:
        """A copy of the chart with a dot at (x, y)."""
        picture = self.picture.copy()
        x, y = self.transform.transform((x, y))
        y = picture.height - y  # pixels of a picture are counted from the top
        ImageDraw.Draw(picture).ellipse((x - 6, y - 6, x + 6, y + 6), fill="crimson")
        return picture


def titled(text: str, *pictures: Image.Image) -> Image.Image:
    """The pictures side by side under a line of text."""
    starts = [sum(p.width + GAP for p in pictures[:i]) for i in range(len(pictures))]
    width = max(starts[-1] + pictures[-1].width, 16 + round(font().getlength(text)))
    canvas = Image.new("RGB", (width, TITLE + max(p.height for p in pictures)), "white")
    for picture, start in zip(pictures, starts, strict=True):
        canvas.paste(picture, (start, TITLE))
    ImageDraw.Draw(canvas).text((8, 4), text, "black", font())
    return canvas
