"""The knob of a conditional GAN: shares of two classes, at latents that stay as they are."""

import ipywidgets
import torch
from PIL import Image, ImageDraw
from torch import nn

from v101_utils.data import CLASSES
from v101_utils.runtime import device_of
from v101_utils.view.pictures import font, grid
from v101_utils.widgets.chart import titled
from v101_utils.widgets.live import live

LINE, BAR, NAMES = 26, 170, 84  # pixels: the height of a bar's line, the length of a probability of 1, the room for names


class ClassMixView:
    """Images of a mixture of two classes, and what a classifier takes them for, on average.

    The generator reads its labels as a row of numbers, `Generator.embedding`; a mixture is a point on the line between two.
    """

    def __init__(self, generator: nn.Module, judge: nn.Module, count: int = 16, names=CLASSES):
        """judge: images to logits (B, classes). names: of the classes. Raises ValueError unless there is one for each."""
        if len(names) != generator.classes:
            raise ValueError(f"{len(names)} names for {generator.classes} classes: there should be one for each")
        self.generator, self.judge, self.count, self.names = generator, judge, count, names

    def shares(self, first: int, second: int, share: float) -> torch.Tensor:
        """(classes,): `share` of the class `second`, the rest of `first`. Raises ValueError outside [0, 1], or for no class."""
        if not 0 <= share <= 1:
            raise ValueError(f"share {share}: it should be from 0, all of the first class, to 1, all of the second")
        ends = nn.functional.one_hot(self.generator.labels_for([first, second], 2), len(self.names)).float()  # (2, classes)
        return (1 - share) * ends[0] + share * ends[1]

    def images(self, first: int, second: int, share: float, seed: int = 0) -> torch.Tensor:
        """(count, C, H, W) in [-1, 1]: the same latents, those of `seed`, whatever the classes. Raises ValueError for a seed below 0."""
        if seed < 0:
            raise ValueError(f"seed {seed}: it should be 0 or above")
        shares = self.shares(first, second, share).expand(self.count, -1)
        return self.generator.draw(self.generator.latents(self.count, seed), shares)

    @torch.no_grad()
    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """(classes,): the classifier's probabilities, averaged over the images."""
        return self.judge(images.to(device_of(self.judge))).softmax(1).mean(0).cpu()

    def bars(self, probabilities: torch.Tensor, asked: tuple[int, int]) -> Image.Image:
        """A bar for each class, those that were asked for in red."""
        sheet = Image.new("RGB", (NAMES + BAR + 50, LINE * len(self.names)), "white")
        pen = ImageDraw.Draw(sheet)
        for i, (name, p) in enumerate(zip(self.names, probabilities.tolist(), strict=True)):
            middle = LINE * i + LINE / 2
            pen.text((NAMES - 8, middle), name, "black", font(), anchor="rm")
            pen.rectangle((NAMES, LINE * i + 5, NAMES + BAR * p, LINE * i + LINE - 5), "crimson" if i in asked else "darkgrey")
            pen.text((NAMES + BAR * p + 6, middle), f"{p:.2f}", "black", font(), anchor="lm")
        return sheet

    def render(self, first: int, second: int, share: float, seed: int) -> Image.Image:
        """The images, and the bars beside them; a pure function. Raises ValueError as `shares` and `images` do."""
        images = self.images(first, second, share, seed)
        bars = self.bars(self.probabilities(images), (first, second))
        text = f"{1 - share:.2f} {self.names[first]} + {share:.2f} {self.names[second]}   latents {seed}"
        return titled(text, grid(images, columns=4, zoom=64 / images.shape[-1]), bars)


def class_mix_sliders(view: ClassMixView, first: int = 3, second: int = 0) -> ipywidgets.VBox:
    """The choice of two classes, the slider of the share between them and that of the latents' seed, above their picture."""
    options, last = [(name, i) for i, name in enumerate(view.names)], len(view.names) - 1
    sliders = {
        "first": ipywidgets.Dropdown(options=options, value=min(first, last), description="from"),
        "second": ipywidgets.Dropdown(options=options, value=min(second, last), description="to"),
        "share": ipywidgets.FloatSlider(0.5, min=0, max=1, step=0.05, description="share"),
        "seed": ipywidgets.IntSlider(0, min=0, max=20, description="latents"),
    }
    return live(view.render, sliders, "class-mix")
