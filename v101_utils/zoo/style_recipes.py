"""Fast style transfer: one network for several styles, trained on crops of photographs."""

import torch

from v101_utils.data.crops import HELD_OUT, PhotoCrops
from v101_utils.data.photos import photo
from v101_utils.data.styles import any_style
from v101_utils.style import FastStyleTask, FilterBank, StyleNetwork, StyleStatistics, content_loss, grey
from v101_utils.training import Task

FAST_STYLES = ("mosaic", "strokes", "waves", "woodcut")  # in the network's order
WEIGHTS = {"style_weight": 4.0, "palette_weight": 12.0, "smoothness": 0.2}  # of the losses; the content's is 1
SIDE = 256  # pixels of a style picture, and of the pictures that the network is measured on


def style_pictures(names=FAST_STYLES, side: int = SIDE) -> list[torch.Tensor]:
    """Each style's picture (1, 3, H, W): a photograph of that name, or drawn."""
    return [any_style(name, side) for name in names]


def style_features() -> FilterBank:
    """What the styles are measured on: few filters and strides, for it is most of a step's work."""
    return FilterBank((3, 9, 17, 25), 32, strided=True)


def content_features() -> FilterBank:
    return FilterBank((11,), 32, seed=1, strided=True)


def style_network() -> StyleNetwork:
    return StyleNetwork(len(FAST_STYLES))


def style_task(model: StyleNetwork, names=FAST_STYLES, **options) -> Task:
    """Trains `model` in the styles `names`; `options` are those of `FastStyleTask`."""
    return FastStyleTask(model, style_pictures(names), style_features(), content_features(), **WEIGHTS | options)


def photo_crops(seed: int, device, size: int = 2) -> PhotoCrops:
    return PhotoCrops(size, 96, seed, device=device)


@torch.no_grad()
def style_figures(model: StyleNetwork) -> dict[str, float]:
    """Means over the held-out photographs: losses of what the network makes, by style; the style losses of the photographs
    themselves; and the content loss that another photograph has, which shows nothing of the content."""
    contents, features = [photo(name, side=SIDE) for name in HELD_OUT], content_features()
    smallest = min(content.shape[2] for content in contents)
    contents = torch.cat([content[:, :, :smallest] for content in contents])  # both are 256 wide
    statistics, rows = StyleStatistics(style_pictures(), style_features()), torch.eye(len(FAST_STYLES))

    def content_of(images, weights):  # relative to the photographs, with the brightness of a style
        return content_loss(features(grey(images)), features(statistics.as_bright(contents, weights))).item()

    other = statistics.as_bright(contents.flip(0), rows[:1].expand(2, -1))  # for each style the same: both get its contrast
    figures = {"content_loss_of_another_photograph": content_of(other, rows[:1].expand(2, -1))}
    for style, weights in zip(FAST_STYLES, rows):
        weights = weights.expand(len(contents), -1)
        made = model(contents, weights)
        figures[f"style_loss_{style}"] = statistics.losses(made, weights)["style"].item()
        figures[f"style_loss_{style}_of_photographs"] = statistics.losses(contents, weights)["style"].item()
        figures[f"palette_loss_{style}"] = statistics.losses(made, weights)["palette"].item()
        figures[f"content_loss_{style}"] = content_of(made, weights)
    return figures
