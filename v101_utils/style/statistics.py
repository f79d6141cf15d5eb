"""What is kept of features when places are forgotten: that is a style. And the losses on features and pictures."""

import torch
from torch.nn import functional as F

from v101_utils.runtime import generator


class _Outer(torch.autograd.Function):
    """X X^T of (B, C, N): (B, C, C). Its gradient is (G + G^T) X, one product; `X @ X.mT` would take two and add them up."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x @ x.mT

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return (gradient + gradient.mT) @ x


def gram(features: torch.Tensor) -> torch.Tensor:
    """How strongly channels answer together, on average over the places: each image's Gram matrix (Gatys et al. 2016, eq. 3).

    (B, C, h, w) -> (B, C, C), symmetric. Per image: folding the batch into the channels, `view(b * c, h * w)`, would
    correlate one image with another.
    """
    places = features.shape[2] * features.shape[3]
    with torch.autocast(features.device.type, enabled=False):  # a sum over so many places is beyond the range of fp16
        return _Outer.apply(features.flatten(2).to(torch.promote_types(features.dtype, torch.float32))) / places


def moments(features: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
    """Mean and standard deviation of each channel (Huang & Belongie 2017, eq. 5 and 6). (B, C, h, w) -> (B, 2, C).

    `mean, deviation = moments(features).unbind(1)`. The variance is over all h * w places and has `eps` added, as in their
    eq. 6, or a channel that never fires would have an infinite gradient.
    """
    variance, mean = torch.var_mean(features, dim=(2, 3), correction=0)
    return torch.stack([mean, (variance + eps).sqrt()], dim=1)


def sliced(features: torch.Tensor, directions: int = 64, points: int = 256, seed: int = 0) -> torch.Tensor:
    """Whole distributions, seen along random directions: sorted projections. (B, C, h, w) -> (B, directions, points).

    The mean squared difference of two of these is a sliced Wasserstein distance (Heitz et al. 2021, eq. 4 and 5), so
    `style_loss` of them is one. Where Gram matrices only know second moments, this knows all. It keeps `points` quantiles,
    between neighbours linearly, so that pictures of different sizes can be compared; the directions are fixed by the seed,
    where Heitz et al. draw new ones at each step. Raises ValueError for no directions or fewer than 2 points.
    """
    if directions < 1 or points < 2:
        raise ValueError(f"directions {directions}, points {points}: they should be at least 1 and at least 2")
    axes = torch.randn(directions, features.shape[1], generator=generator(seed))
    axes = (axes / axes.norm(dim=1, keepdim=True)).to(features)  # (D, C), each of length 1
    ordered = torch.einsum("dc,bcn->bdn", axes, features.flatten(2)).sort(dim=2).values  # (B, D, h * w)
    rank = torch.linspace(0, ordered.shape[2] - 1, points, device=features.device)
    low, high = ordered[..., rank.floor().long()], ordered[..., rank.ceil().long()]
    return low + (high - low) * rank.frac().to(features)


def _relative_error(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean over layers of the mean squared difference, in units of `wanted`'s own mean square; both hold the same layers."""
    if not wanted or found.keys() != wanted.keys():
        raise ValueError(f"found has layers {list(found)}, wanted {list(wanted)}; they should be the same, one or more")
    errors = []
    for layer, aim in wanted.items():
        if found[layer].shape[1:] != aim.shape[1:] or len(aim) not in (1, len(found[layer])):
            shapes = f"found {tuple(found[layer].shape)}, wanted {tuple(aim.shape)}"
            raise ValueError(f"{layer}: {shapes}; the shapes should be the same, or wanted's first dimension 1")
        unit = aim.square().mean().clamp(min=1e-8)  # features of a plain picture may be all 0
        errors.append(F.mse_loss(found[layer], aim.expand_as(found[layer])) / unit)
    return torch.stack(errors).mean()


def style_loss(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> torch.Tensor:
    """How far the statistics of some images are from a style's (Gatys et al. 2016, eq. 4 and 5). A scalar, 0 or more.

    found: {layer: (B, ...)} of any of the statistics above; wanted: the same, B or 1. Each layer is weighed by one over the
    mean square of `wanted`: where Gatys et al. choose w_l by hand, here layers of any scale count alike, and 1 is an error
    as large as the statistics themselves. Raises ValueError for other layers or shapes.
    """
    return _relative_error(found, wanted)


def content_loss(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> torch.Tensor:
    """How far features are from a content's, place by place (Gatys et al. 2016, eq. 1). A scalar, 0 or more.

    found: {layer: (B, C, h, w)}; wanted: the same, B or 1; weighed as in `style_loss`. Raises ValueError as it does.
    """
    return _relative_error(found, wanted)


def total_variation(images: torch.Tensor) -> torch.Tensor:
    """Mean squared step to the pixel below plus that to the right (Mahendran & Vedaldi 2015, eq. 4 with beta 2). A scalar.

    images: (B, C, H, W), H and W at least 2. A smooth picture has little of it.
    """
    return images.diff(dim=2).square().mean() + images.diff(dim=3).square().mean()
