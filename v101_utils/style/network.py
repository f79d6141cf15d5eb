"""A network that paints: one pass for a whole picture, several styles in one set of convolutions, and blends of them."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from v101_utils.nn import ReflectConv
from v101_utils.runtime import generator

NOISE = 4  # channels of it


class ConditionalInstanceNorm(nn.Module):
    """Instance normalisation with a scale and a shift for each style, blended by weights (Dumoulin et al. 2017, eq. 5).

    features (B, C, h, w), weights (B, styles) -> (B, C, h, w): each channel of each image to mean 0 and variance 1 over its
    own places, then times gamma plus beta, both the weighted sums of the styles' rows. The rows start around 1 and 0, apart
    from each other: from equal ones the styles would part only slowly.
    """

    def __init__(self, channels: int, styles: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(styles, channels) + 0.3 * torch.randn(styles, channels))
        self.beta = nn.Parameter(0.3 * torch.randn(styles, channels))

    def forward(self, features: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        gamma, beta = (weights @ rows for rows in (self.gamma, self.beta))  # (B, C)
        return torch.addcmul(beta[..., None, None], F.instance_norm(features), gamma[..., None, None])


class StyledConvolution(nn.Module):
    """Convolution, conditional instance norm, ReLU: (B, in, h, w) -> (B, out, h * up / stride, w * up / stride).

    Borders reflect: zeros would be a frame that every layer sees. up: the features are enlarged `up` times before
    the convolution, so that the same number of weights makes every pixel of the result; a transposed convolution whose
    size is no multiple of its stride gives a checkerboard instead (Odena et al. 2016).
    """

    def __init__(self, channels_in: int, channels_out: int, styles: int, stride: int = 1, up: int = 1, relu: bool = True):
        super().__init__()
        self.up, self.relu = up, relu
        # No bias: the normalisation would take it away again.
        self.convolution = ReflectConv(channels_in, channels_out, 3, stride, bias=False)
        self.norm = ConditionalInstanceNorm(channels_out, styles)

    def forward(self, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        x = F.interpolate(x, scale_factor=self.up, mode="bilinear") if self.up > 1 else x
        x = self.norm(self.convolution(x), weights)
        return x.relu() if self.relu else x


class StyledResidual(nn.Module):
    """Two styled convolutions, the second without ReLU, and the input added (Johnson et al. 2016, supplement, sec. 1)."""

    def __init__(self, channels: int, styles: int):
        super().__init__()
        self.first = StyledConvolution(channels, channels, styles)
        self.second = StyledConvolution(channels, channels, styles, relu=False)

    def forward(self, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return x + self.second(self.first(x, weights), weights)


class StyleNetwork(nn.Module):
    """Pictures in one of `styles` styles, or in a blend of them, by one forward pass.

    The network of Johnson et al. 2016 (supplement, table 1), made small: pixels are folded by 2 (`pixel_unshuffle`) before the
    first convolution, so that nothing is computed at full resolution but the last layer; fewer channels; enlargement
    before convolutions (Odena et al. 2016); and for each style a row of scales and shifts (Dumoulin et al. 2017), which is all
    that a style has of its own. The last layer adds to the picture itself, whose colours each style first maps to its own (`tint`
    and `shade`, 12 numbers), and tanh bounds the sum. With the picture goes noise (Ulyanov et al. 2016, sec. 3): of a plain area
    convolutions make a plain area, and noise is what they can make strokes of there. It is drawn anew in training, and fixed
    in eval mode.

    width: channels at half resolution; three times as many at a quarter, where the `blocks` residual blocks are.
    Raises ValueError for no styles, width or blocks below 1.
    """

    smallest = 16  # the least height and width of a picture: 4x4 places at a quarter are few enough for a mean and a variance

    def __init__(self, styles: int = 1, width: int = 16, blocks: int = 4):
        super().__init__()
        if min(styles, width, blocks) < 1:
            raise ValueError(f"styles {styles}, width {width}, blocks {blocks}: each should be 1 at least")
        self.styles = styles
        self.down = nn.ModuleList([StyledConvolution(12 + NOISE, width, styles),
                                   StyledConvolution(width, 3 * width, styles, stride=2)])  # fmt: skip
        self.blocks = nn.ModuleList(StyledResidual(3 * width, styles) for _ in range(blocks))
        self.up = StyledConvolution(3 * width, width, styles, up=2)
        self.last = ReflectConv(width, 3, 5)
        self.tint = nn.Parameter(torch.eye(3).repeat(styles, 1, 1))  # of each style: RGB to RGB
        self.shade = nn.Parameter(torch.zeros(styles, 3))

    def _rows(self, images: torch.Tensor, weights) -> torch.Tensor:
        """The weights as (B, styles), checked; None is the first style alone, where there is no other."""
        if images.ndim != 4 or images.shape[1] != 3 or len(images) == 0 or min(images.shape[2:]) < self.smallest:
            shape, least = tuple(images.shape), self.smallest
            raise ValueError(f"images have shape {shape}; they should be (B, 3, H, W), H and W at least {least}")
        if weights is None and self.styles > 1:
            raise ValueError(f"no weights: of {self.styles} styles, say how much of each; (B, {self.styles}) or ({self.styles},)")
        rows = torch.ones(1) if weights is None else torch.as_tensor(weights)
        rows = rows.to(images.device, self.last.weight.dtype)
        if rows.shape not in ((self.styles,), (1, self.styles), (len(images), self.styles)):
            raise ValueError(f"weights have shape {tuple(rows.shape)}; for {len(images)} images and {self.styles} styles they "
                             f"should be ({len(images)}, {self.styles}) or ({self.styles},)")  # fmt: skip
        sums = rows.sum(-1)
        if not torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
            raise ValueError(f"weights sum to {sums.flatten().tolist()}; each row should sum to 1")
        return rows.expand(len(images), self.styles)

    def _noise(self, like: torch.Tensor) -> torch.Tensor:
        """(B, NOISE, h, w) for features (B, C, h, w): its own for each picture in training, else one and the same for all."""
        count, _, height, width = like.shape
        if self.training:
            return torch.randn(count, NOISE, height, width, device=like.device, dtype=like.dtype)
        fixed = torch.randn(1, NOISE, height, width, generator=generator(0, height, width))
        return fixed.to(like).expand(count, -1, -1, -1)

    def forward(self, images: torch.Tensor, weights: torch.Tensor | Sequence[float] | None = None) -> torch.Tensor:
        """images (B, 3, H, W) in [-1, 1], weights (B, styles) or (styles,) -> (B, 3, H, W) in [-1, 1].

        H and W are any from 16 up. The weights of a picture sum to 1: one style has a single 1; below 0 is away from a style.
        Raises ValueError for other shapes or sums.
        """
        weights, (height, width) = self._rows(images, weights), images.shape[2:]
        images = F.pad(images, (0, -width % 4, 0, -height % 4), mode="reflect")  # to multiples of 4
        x = F.pixel_unshuffle(images, 2)  # (B, 12, H / 2, W / 2)
        x = torch.cat([x, self._noise(x)], 1)
        for layer in (*self.down, *self.blocks, self.up):
            x = layer(x, weights)
        x = self.last(F.interpolate(x, scale_factor=2, mode="bilinear"))
        tint = torch.einsum("bs,sij->bij", weights, self.tint)
        tinted = torch.einsum("bij,bjhw->bihw", tint, images) + (weights @ self.shade)[..., None, None]
        return (tinted + x).tanh()[..., :height, :width]
