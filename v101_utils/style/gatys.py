"""Style transfer by optimising a picture (Gatys, Ecker & Bethge 2016): features like one's, their statistics like another's.

What is optimised is a picture: there is no network to train and there are no batches, and L-BFGS asks for the loss more than
once a step. So this is a loop of its own, a generator as `training.fit` is one.
"""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch.nn import functional as F
from tqdm import tqdm

from v101_utils.runtime import generator
from v101_utils.style.colours import as_bright, grey, palette, with_colours
from v101_utils.style.descent import adam, lbfgs
from v101_utils.style.features import Features, FilterBank
from v101_utils.style.statistics import content_loss, gram, style_loss, total_variation


class Stylised(NamedTuple):
    """What `stylise` hands back: steps done (1, 2, ...), the losses that the last step lowered, and the picture after it."""

    number: int
    losses: dict[str, float]
    picture: torch.Tensor  # (1, 3, H, W) in [-1, 1]


def _check_picture(name: str, image) -> None:
    if not isinstance(image, torch.Tensor) or image.ndim != 4 or image.shape[:2] != (1, 3) or not image.is_floating_point():
        found = f"{tuple(image.shape)} of {image.dtype}" if isinstance(image, torch.Tensor) else f"a {type(image).__name__}"
        raise ValueError(f"{name} is {found}; it should be one picture, (1, 3, H, W), of floats in [-1, 1]")


def _checked_styles(content, styles) -> list[torch.Tensor]:
    """The styles, of which one may stand alone, as a list on the content's device, if each of them and the content is a picture."""
    styles = [styles] if isinstance(styles, torch.Tensor) else list(styles)
    for name, image in (("content", content), *(("a style", style) for style in styles)):
        _check_picture(name, image)
    return [style.to(content) for style in styles]


def _check_weights(factors: dict[str, float], styles: int, weights: list[float]) -> None:
    if not styles or len(weights) != styles or min(weights) < 0 or not sum(weights):
        raise ValueError(f"{styles} styles of weights {weights}: there should be one style or more, and a weight each, "
                         "0 or above and not all 0")  # fmt: skip
    if not all(0 <= factor < math.inf for factor in factors.values()) or not any(factors.values()):
        raise ValueError(f"weights {factors}: they should be 0 or above, and not all 0")


def _check_masks(masks, shape: tuple[int, int, int]) -> None:
    if masks is None:
        return
    if masks.shape != shape or masks.dtype != torch.bool:
        raise ValueError(f"masks are {tuple(masks.shape)} of {masks.dtype}; they should be booleans, one of the content's size "
                         f"for each style: {shape}")  # fmt: skip
    if not masks.any((1, 2)).all():
        raise ValueError("a mask has no place in it: leave its style out")


def _region(features: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The places of features (1, C, h, w) that lie in a mask (H, W), as (1, C, n, 1); all of them where there is no mask."""
    if mask is None:
        return features
    share = F.adaptive_avg_pool2d(mask[None].to(features), features.shape[2:])[0]
    return features[:, :, share >= min(0.5, share.max())][..., None]


class Aim:
    """What a picture should be like: a content in its places, and one or more styles wherever they are.

    content: (1, 3, H, W) in [-1, 1]. styles: pictures of any size. features: what the style is measured on, by default random
    filters; content_features: what the content is measured on, by default those of middle size; or names of layers of
    `features`, which saves a pass if `colours` count. statistic: of features, such as `gram`. smoothness weighs the total
    variation. weights: how much each style counts, by default as much as any other. masks: (styles, H, W) booleans, the places
    where each counts (Gatys et al. 2017, sec. 4); None is everywhere.

    palette_weight: the colours' own share of the style, which filters of mean 0 cannot see; with VGG, 0 is as in the paper.
    colours: whether those of the content count as content. If not, its features are those of its brightness, with the mean and
    the deviation of the styles', so that a style is free to bring its own palette.
    Raises ValueError for bad shapes and weights, and for a mask without a place.
    """

    def __init__(self, content: torch.Tensor, styles: Sequence[torch.Tensor], features: Features | None = None,
                 content_features: Features | Sequence[str] | None = None, statistic: Callable = gram,
                 content_weight: float = 0.1, style_weight: float = 1.0, palette_weight: float = 3.0, smoothness: float = 0.0,
                 weights: Sequence[float] | None = None, masks: torch.Tensor | None = None, colours: bool = False):  # fmt: skip
        styles = _checked_styles(content, styles)
        weights = [1.0] * len(styles) if weights is None else list(weights)
        self.factors = {"content": content_weight, "style": style_weight, "palette": palette_weight, "variation": smoothness}
        _check_weights(self.factors, len(styles), weights)
        _check_masks(masks, (len(styles), *content.shape[2:]))
        self.features = (features or FilterBank((3, 7, 15, 23), 48, strided=True)).to(content.device)
        shared = content_features is not None and not isinstance(content_features, Features)
        self.names = tuple(content_features) if shared else None
        if shared and not (self.names and set(self.names) <= set(self.features.layers)):
            raise ValueError(f"content_features {self.names}: they should be Features or some of {', '.join(self.features.layers)}")
        own = self.features if shared else content_features or FilterBank((11,), 32, strided=True)
        self.content_features = own.to(content.device)
        self.statistic, self.masks = statistic, [None] * len(styles) if masks is None else list(masks.to(content.device))
        self.shares = [weight / sum(weights) for weight in weights]
        self.colours, self.reach = colours, max(getattr(self.features, "strides", (1,)))  # reach: of shifts, in pixels
        least = self.features.smallest + self.reach - 1  # a shift leaves out up to reach - 1 pixels
        if style_weight and min(content.shape[2:]) < least:
            raise ValueError(f"the content is {tuple(content.shape[2:])} pixels at its smallest scale; it should have {least} or more each way")
        with torch.no_grad():
            bright = sum(share * as_bright(content, style) for share, style in zip(self.shares, styles))
            self.content = self._content(content if colours else bright)
            self.styles = [self._style(self.features(style), None) for style in styles]
            self.palettes = [{"palette": palette(style)} for style in styles]

    def _content(self, picture: torch.Tensor, found: dict[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:
        found = found or self.content_features(picture if self.colours else grey(picture))
        return {name: found[name] for name in self.names or found}

    def _style(self, found: dict[str, torch.Tensor], mask: torch.Tensor | None) -> dict[str, torch.Tensor]:
        return {layer: self.statistic(_region(value, mask)) for layer, value in found.items()}

    def __call__(self, picture: torch.Tensor, shift: tuple[int, int] = (0, 0)) -> dict[str, torch.Tensor]:
        """The losses of a picture of the content's size, scalars by name; "loss" is their sum, each by its weight.

        shift: rows and columns that the style leaves out above and to the left. With a `strided` FilterBank other places are
        then measured, so that no pixel is always overlooked.
        """
        losses, (down, right) = dict.fromkeys(self.factors, picture.new_zeros(())), shift
        part = picture[..., down:, right:]
        found = self.features(part) if self.factors["style"] else {}
        if self.factors["content"]:
            shared = found if self.names and self.colours and shift == (0, 0) else None
            losses["content"] = content_loss(self._content(picture, shared), self.content)
        for style, colours, mask, share in zip(self.styles, self.palettes, self.masks, self.shares):
            mask = None if mask is None else mask[down:, right:]
            if self.factors["style"]:
                losses["style"] = losses["style"] + share * style_loss(self._style(found, mask), style)
            if self.factors["palette"]:
                losses["palette"] = losses["palette"] + share * style_loss({"palette": palette(_region(part, mask))}, colours)
        if self.factors["variation"]:
            losses["variation"] = total_variation(picture)
        return {"loss": sum(self.factors[name] * value for name, value in losses.items())} | losses


_OPTIMISERS = {"adam": (adam, 0.1), "lbfgs": (lbfgs, 1.0)}


def _resized(images: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    if tuple(size) == tuple(images.shape[2:]):
        return images
    return F.interpolate(images, tuple(size), mode="bicubic", antialias=True).clamp(-1, 1)


def _at_scale(images: torch.Tensor, scale: float) -> torch.Tensor:
    return _resized(images, [max(1, round(side * scale)) for side in images.shape[2:]])


def coarse_to_fine(side: int, smallest: int = 96) -> tuple[float, ...]:
    """Scales for a picture whose longer side has `side` pixels: halved as long as `smallest` are left. 256: (0.5, 1)."""
    halvings = max(0, int(math.log2(side / smallest)))
    return tuple(0.5**i for i in range(halvings, -1, -1))


def last(steps: Iterator[Stylised]) -> Stylised:
    """The last of the steps of `stylise`, all of which it does."""
    for step in steps:
        pass
    return step


def _first_picture(start, content: torch.Tensor, seed: int) -> torch.Tensor:
    if isinstance(start, torch.Tensor):
        _check_picture("start", start)
        if start.shape != content.shape:
            raise ValueError(f"start is {tuple(start.shape)}; it should have the content's shape, {tuple(content.shape)}")
        return start.to(content)
    if start not in ("content", "noise"):
        raise ValueError(f"start {start!r}: it should be 'content', 'noise' or a picture of the content's shape")
    noise = torch.randn(content.shape, generator=generator(seed, 0)).to(content) * 0.3
    return content if start == "content" else noise.clamp(-1, 1)


def stylise(
    content: torch.Tensor, styles: torch.Tensor | Sequence[torch.Tensor], *, steps: int = 150, optimiser: str = "adam",
    lr: float | None = None, start="content", scales: Sequence[float] = (1.0,), keep_colours: bool = False, seed: int = 0,
    progress: bool = False, masks: torch.Tensor | None = None, **aims,
) -> Iterator[Stylised]:  # fmt: skip
    """Changes a picture, step by step, until it has the content of one picture and the style of another; yields each step.

    content: (1, 3, H, W) in [-1, 1]. styles: such a picture of any size, or several, which are mixed; or each has its own
    region where there are `masks`, (styles, H, W) booleans. aims: whatever else `Aim` takes, such as content_weight.

    optimiser: "adam" or "lbfgs"; lr: by default 0.1 and 1. start: "content", "noise", or a picture. scales: coarse to fine, the
    sizes at which it works, as fractions of the content's and the styles' (Gatys et al. 2017, sec. 6); the last is the result's.
    Each has an equal part of the steps. keep_colours: only brightness is transferred, and the content's colours are laid on it.
    progress: a bar with the time left.

    Raises ValueError, before any work, for bad pictures or settings, ArithmeticError where the loss is no longer finite.
    """
    if optimiser not in _OPTIMISERS:
        raise ValueError(f"optimiser {optimiser!r}: it should be 'adam' or 'lbfgs'")
    run, usual = _OPTIMISERS[optimiser]
    lr = usual if lr is None else lr
    if not 0 < lr < math.inf or seed < 0:
        raise ValueError(f"lr {lr}, seed {seed}: the first should be above 0, the second 0 or above")
    if not scales or not all(0 < scale <= 1 for scale in scales) or steps < len(scales):
        raise ValueError(f"scales {tuple(scales)}, steps {steps}: the scales should be above 0, at most 1, with a step for each")
    styles = _checked_styles(content, styles)
    picture, original = _first_picture(start, content, seed), content
    if keep_colours:
        content, picture, styles = grey(content), grey(picture), [as_bright(style, content) for style in styles]
    stages = []
    for scale in scales:  # all at once, so that what is wrong is said before any work
        small = _at_scale(content, scale)
        inside = masks if masks is None or small is content else _at_scale(masks[None].float(), scale)[0] > 0.5
        stages.append(Aim(small, [_at_scale(style, scale) for style in styles], masks=inside, **aims))
    return _run(stages, run, picture, original, scales, steps, lr, seed, keep_colours, progress)


def _run(stages, run, picture, original, scales, steps, lr, seed, keep_colours, progress) -> Iterator[Stylised]:
    number = 0
    with tqdm(total=steps, disable=not progress, file=sys.stdout, mininterval=0.5, ncols=100, desc="stylising") as bar:
        for i, (aim, scale) in enumerate(zip(stages, scales)):
            like = _at_scale(original, scale)
            picture = _resized(picture, like.shape[2:])
            many = steps * (i + 1) // len(stages) - steps * i // len(stages)
            for found, picture in run(aim, picture, many, lr, generator(seed, 1, i)):
                number += 1
                losses = {name: value.item() for name, value in found.items()}
                if not math.isfinite(losses["loss"]):
                    raise ArithmeticError(f"the loss is {losses['loss']} at step {number}; try a smaller lr than {lr:g}")
                bar.set_postfix(loss=f"{losses['loss']:.4g}", refresh=False)
                bar.update()
                yield Stylised(number, losses, with_colours(picture, like) if keep_colours else picture.clone())
