"""Training a network to do in one pass what Gatys' method does in hundreds of steps: the same losses, once for all pictures."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from v101_utils.style.colours import grey, palette
from v101_utils.style.features import Features
from v101_utils.style.statistics import content_loss, gram, style_loss, total_variation
from v101_utils.training.task import Task, adamw


class StyleStatistics(nn.Module):
    """The Gram matrices and palettes of some style pictures, computed once, and how far other pictures are from them.

    pictures: one (1, 3, H, W) in [-1, 1] a style, of any sizes. features: what is measured.
    Raises ValueError for no pictures.
    """

    def __init__(self, pictures: Sequence[torch.Tensor], features: Features):
        super().__init__()
        if not len(pictures):
            raise ValueError("no style pictures: there should be one at least, (1, 3, H, W) each")
        self.features, self.styles = features, len(pictures)
        with torch.no_grad():
            found = [self.measure(picture) for picture in pictures]
        for name in found[0]:
            self.register_buffer(name, torch.cat([each[name] for each in found]))  # (styles, ...)
        bright = [grey(picture)[:, 0] for picture in pictures]
        self.register_buffer("brightness", torch.stack([torch.stack([b.mean(), b.std()]) for b in bright]))  # (styles, 2)

    def measure(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """{layer: Gram matrices (B, C, C)} and {"palette": (B, 16, 64)} of images (B, 3, H, W)."""
        return {layer: gram(found) for layer, found in self.features(images).items()} | {"palette": palette(images)}

    def as_bright(self, images: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Grey images, each with the mean and the deviation of its style's brightness: what of a content should stay."""
        mean, deviation = (weights @ self.brightness)[..., None, None, None].unbind(1)  # (B, 1, 1, 1) each
        images = grey(images)
        own_deviation, own_mean = torch.std_mean(images[:, :1], (1, 2, 3), keepdim=True)
        return (images - own_mean) * (deviation / own_deviation.clamp(min=1e-4)) + mean

    def losses(self, images: torch.Tensor, weights: torch.Tensor) -> dict[str, torch.Tensor]:
        """How far images (B, 3, H, W) are from the styles of weights (B, styles): "style", of all Gram matrices, and "palette".

        Each is a `style_loss`, every image in units of its own style. The statistics of a blend are the blend of the statistics:
        for Gram matrices, those of a picture that is partly of one style and partly of another.
        """
        found, wanted = {}, {}
        for name, value in self.measure(images).items():
            aim = (weights[:, :, None, None] * self.get_buffer(name)).sum(1)  # (B, C, D); a product of matrices, autocast would round
            unit = aim.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-4)
            found[name], wanted[name] = value / unit, aim / unit
        colours = {"palette": found.pop("palette")}, {"palette": wanted.pop("palette")}
        return {"style": style_loss(found, wanted), "palette": style_loss(*colours)}


class FastStyleTask(Task):
    """Trains `model`, a `StyleNetwork`, on pictures of anything: (B, 3, H, W) in [-1, 1], first of a tuple or alone.

    Each picture is given a style at random, a few of them (a share of `mixes`) a random blend of two. What is minimised is
    content + style_weight * style + palette_weight * palette + smoothness * total variation (Johnson et al. 2016, sec. 3.2; the
    palette is ours: filters of mean 0 do not see how bright a picture is).
    The content loss compares features of brightness alone, after the content has been given the mean and deviation of the
    style's, so that a style may bring its own colours and contrast.

    pictures: one a style, (1, 3, H, W). style: features whose Gram matrices are the style; content: those that should stay in
    place. Scalars: loss, style, palette, content, variation.
    Raises ValueError for another number of pictures than the model has styles, negative weights, mixes outside [0, 1].
    """

    def __init__(self, model: nn.Module, pictures: Sequence[torch.Tensor], style: Features, content: Features,
                 style_weight: float = 4.0, palette_weight: float = 12.0, smoothness: float = 0.2, mixes: float = 0.2,
                 lr: float = 4e-3):  # fmt: skip
        super().__init__()
        if len(pictures) != model.styles:
            raise ValueError(f"{len(pictures)} style pictures; the model has {model.styles} styles, and needs one for each")
        self.factors = {"content": 1.0, "style": style_weight, "palette": palette_weight, "variation": smoothness}
        if min(self.factors.values()) < 0 or not 0 <= mixes <= 1:
            raise ValueError(f"weights {self.factors}, mixes {mixes}: the weights should be 0 or above, mixes from 0 to 1")
        self.model, self.style, self.content = model, StyleStatistics(pictures, style), content
        self.mixes = mixes
        own = ("gamma", "beta", "tint", "shade")  # a style's own: few numbers, and larger than those of a convolution
        rows, shared = ([p for name, p in model.named_parameters() if name.endswith(own) == kind] for kind in (True, False))
        self.optimisers = {"model": adamw([{"params": shared}, {"params": rows, "lr": 4 * lr}], lr)}

    def choose(self, count: int) -> torch.Tensor:
        """Weights (count, styles) by torch's randomness: one style each, or now and then a blend of two."""
        first, second = (F.one_hot(torch.randint(self.model.styles, (count,)), self.model.styles) for _ in range(2))
        share = (torch.rand(count) * (torch.rand(count) < self.mixes))[:, None]
        return torch.lerp(first.float(), second.float(), share)

    def training_step(self, batch, minimise):
        images = batch[0] if isinstance(batch, (tuple, list)) else batch
        weights = self.choose(len(images)).to(images.device)
        made = self.model(images, weights).float()
        losses = self.style.losses(made, weights)
        losses["content"] = content_loss(self.content(grey(made)), self.content(self.style.as_bright(images, weights)))
        losses["variation"] = total_variation(made)
        loss = sum(factor * losses[name] for name, factor in self.factors.items())
        minimise(loss, self.optimisers["model"])
        return {"loss": loss} | losses
