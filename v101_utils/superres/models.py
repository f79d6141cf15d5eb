"""Networks that enlarge a picture by 2, 3 or 4 (SRCNN, ESPCN, SRResNet), and the one that judges what they made (SRGAN)."""

import torch
from torch import nn

from v101_utils.superres.resize import FACTORS, enlarge


def _convolution(channels_in: int, channels_out: int, side: int) -> nn.Conv2d:
    """A convolution with a kernel of odd side that keeps the picture's size."""
    return nn.Conv2d(channels_in, channels_out, side, padding=side // 2)


def _rectified(channels_in: int, channels_out: int, side: int, activation=nn.ReLU) -> list[nn.Module]:
    """A convolution and its activation; its first weights keep a signal's strength through ReLU (He et al. 2015, eq. 10)."""
    convolution = _convolution(channels_in, channels_out, side)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    nn.init.zeros_(convolution.bias)
    return [convolution, activation()]


GREY = 0.5  # taken from the Y that convolutions see: round zero they learn faster, and padding then means grey, not black


def _zeros(convolution: nn.Conv2d) -> nn.Conv2d:
    """With weights and bias at zero: a network that ends so, added to an enlargement, begins as that enlargement."""
    nn.init.zeros_(convolution.weight)
    nn.init.zeros_(convolution.bias)
    return convolution


class Restorer(nn.Module):
    """What the networks have in common: channels, the factors they were made for, and a check of what they are given.

    One network serves all its factors: a body that they share and a last layer each (as Lim et al. 2017, sec. 3.3, has
    it; the older papers train a network for each factor). Raises ValueError for factors other than 2, 3 and 4.
    """

    bicubic_first = False  # whether the convolutions look at the bicubic enlargement instead of the picture itself

    def __init__(self, channels: int, factors=FACTORS):
        super().__init__()
        if not factors or not set(factors) <= set(FACTORS):
            raise ValueError(f"factors {tuple(factors)}: they should be one or more of {FACTORS}")
        self.channels, self.factors = channels, tuple(factors)

    def check(self, low: torch.Tensor, factor: int) -> None:
        """Raises ValueError for a factor this network was not made for, or pictures not (B, channels, h, w)."""
        if not isinstance(factor, int) or factor not in self.factors:
            raise ValueError(f"factor {factor}: this network enlarges by a factor from {self.factors}")
        if low.ndim != 4 or low.shape[1] != self.channels:
            raise ValueError(f"low has shape {tuple(low.shape)}; it should be (B, {self.channels}, h, w)")

    def layers(self, factor: int) -> tuple[list[nn.Module], list[nn.Module]]:
        """What works at the low resolution and what at the high one, in order: how far a pixel reaches follows from it."""
        raise NotImplementedError(f"{type(self).__name__} does not say which layers work at which resolution")


class Bicubic(Restorer):
    """The bicubic enlargement in the form of a network: RGB (B, 3, h, w) in [-1, 1] -> (B, 3, h * factor, w * factor)."""

    def __init__(self):
        super().__init__(3)

    def layers(self, factor):
        return [], []

    def forward(self, low: torch.Tensor, factor: int) -> torch.Tensor:
        """Raises ValueError for another factor or shape."""
        self.check(low, factor)
        return enlarge(low, factor)


class SRCNN(Restorer):
    """Three convolutions on the bicubic enlargement (Dong et al. 2014, sec. 3.1).

    Y (B, 1, h, w), in the units of `luma`, -> (B, 1, h * factor, w * factor). The convolutions see the
    enlarged picture, so the work grows with its size.

    middle: the second kernel's side. The paper's long version (Dong et al. 2016, sec. 4.3.2) has 9-1-5, 9-3-5 and 9-5-5: a
    larger one is better and slower. residual: the network adds to the enlargement and begins as it (the last layer is zero).
    That is our addition, so that it trains in minutes; False is the paper's. We pad with zeros, where the paper trains
    without padding.
    Raises ValueError for a middle other than 1, 3 and 5, other factors, another number of channels.
    """

    bicubic_first = True

    def __init__(self, middle: int = 1, widths=(64, 32), factors=FACTORS, residual: bool = True):
        super().__init__(1, factors)
        if middle not in (1, 3, 5):
            raise ValueError(f"middle {middle}: it should be 1, 3 or 5, for a network 9-1-5, 9-3-5 or 9-5-5")
        (first, second), self.residual = widths, residual
        self.body = nn.Sequential(*_rectified(1, first, 9), *_rectified(first, second, middle))
        start = _zeros if residual else nn.Identity()
        self.last = nn.ModuleDict({str(factor): start(_convolution(second, 1, 5)) for factor in self.factors})

    def layers(self, factor):
        return [], [self.body, self.last[str(factor)]]

    def forward(self, low: torch.Tensor, factor: int) -> torch.Tensor:
        """Raises ValueError for another factor or shape."""
        self.check(low, factor)
        large = enlarge(low, factor)  # (B, 1, h * factor, w * factor)
        found = self.last[str(factor)](self.body(large - GREY))
        return large + found if self.residual else found


class ESPCN(Restorer):
    """Three convolutions on the small picture, 5-3-3, the last to factor^2 channels, which a shuffle lays out as pixels.

    Y (B, 1, h, w), in the units of `luma`, -> (B, 1, h * factor, w * factor). Shi et al. 2016, sec. 3. All of the work is at
    the low resolution: factor^2 times less than SRCNN would have.

    residual, activation: as in `SRCNN`, for trainings of minutes; the paper's are False and nn.Tanh, which it found the better
    one, after far longer training. Raises ValueError for other factors, another number of channels.
    """

    def __init__(self, widths=(64, 32), factors=FACTORS, residual: bool = True, activation=nn.ReLU):
        super().__init__(1, factors)
        (first, second), self.residual = widths, residual
        start = _zeros if residual else nn.Identity()
        self.body = nn.Sequential(*_rectified(1, first, 5, activation), *_rectified(first, second, 3, activation))
        self.last = nn.ModuleDict({
            str(factor): nn.Sequential(start(_convolution(second, factor**2, 3)), nn.PixelShuffle(factor))
            for factor in self.factors
        })  # fmt: skip

    def layers(self, factor):
        return [self.body, self.last[str(factor)]], []

    def forward(self, low: torch.Tensor, factor: int) -> torch.Tensor:
        """Raises ValueError for another factor or shape."""
        self.check(low, factor)
        found = self.last[str(factor)](self.body(low - GREY))
        return enlarge(low, factor) + found if self.residual else found


class _Block(nn.Module):
    """x + convolution, PReLU, convolution of x, (B, width, h, w): the residual block of Ledig et al. 2017, fig. 4.

    The last convolution is zero at first, so that a block begins as x and many of them are no harder to train than few.
    """

    def __init__(self, width: int, batch_norm: bool):
        super().__init__()
        norm = (lambda: nn.BatchNorm2d(width)) if batch_norm else nn.Identity
        convolve, rectify = _rectified(width, width, 3, nn.PReLU)
        self.change = nn.Sequential(convolve, norm(), rectify, _zeros(_convolution(width, width, 3)), norm())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.change(x)


class SRResNet(Restorer):
    """Residual blocks on the small picture, then a shuffle to the large one (Ledig et al. 2017, sec. 2.1.1, fig. 4).

    RGB (B, 3, h, w) in [-1, 1] -> (B, 3, h * factor, w * factor), about [-1, 1] and not clamped. Smaller than the paper's
    (64 channels, 16 blocks), and added to the bicubic enlargement, as which it begins (the last layer is zero). As there, the
    factor 4 is two shuffles by 2: one by 4 leaves a grid of 4 x 4 pixels where a critic asks for detail.

    batch_norm: as in the paper; without, by default, because normalising takes from the network the freedom to keep a
    picture's own contrast, costs memory, and makes what comes out depend on the batch (Lim et al. 2017, sec. 3.1).
    Raises ValueError for other factors, another number of channels.
    """

    def __init__(self, width: int = 32, blocks: int = 6, factors=FACTORS, batch_norm: bool = False):
        super().__init__(3, factors)
        norm = nn.BatchNorm2d(width) if batch_norm else nn.Identity()
        self.first = nn.Sequential(*_rectified(3, width, 9, nn.PReLU))
        self.body = nn.Sequential(*[_Block(width, batch_norm) for _ in range(blocks)], _convolution(width, width, 3), norm)
        self.up = nn.ModuleDict({str(factor): self._enlarger(width, factor) for factor in self.factors})
        self.last = _zeros(_convolution(width, 3, 9))

    @staticmethod
    def _enlarger(width: int, factor: int) -> nn.Sequential:
        layers = []
        for each in {4: (2, 2)}.get(factor, (factor,)):
            convolve, rectify = _rectified(width, width * each**2, 3, nn.PReLU)
            layers += [convolve, nn.PixelShuffle(each), rectify]
        return nn.Sequential(*layers)

    def layers(self, factor):
        return [self.first, self.body, self.up[str(factor)]], [self.last]

    def forward(self, low: torch.Tensor, factor: int) -> torch.Tensor:
        """Raises ValueError for another factor or shape."""
        self.check(low, factor)
        hidden = self.first(low)  # (B, width, h, w)
        hidden = self.up[str(factor)](hidden + self.body(hidden))  # (B, width, h * factor, w * factor)
        return enlarge(low, factor) + self.last(hidden)


class PatchDiscriminator(nn.Module):
    """Images (B, channels, H, W) in [-1, 1] of any size to raw scores (B, 1, H // 2^halvings, W // 2^halvings), one a patch.

    SRGAN's critic made fully convolutional: Ledig et al. 2017, sec. 2.1.1, with the patches of Isola et al. 2017 (sec. 3.2.2)
    for its dense layers, because texture is local, and a crop and a whole picture may then be judged by the same network.
    No sigmoid, which the objective brings, and no BatchNorm: a score must belong to one image, as a gradient penalty needs.
    Raises ValueError for another number of channels or a side below 2^halvings.
    """

    def __init__(self, channels: int = 3, width: int = 32, halvings: int = 3):
        super().__init__()
        if halvings < 1:
            raise ValueError(f"halvings {halvings}: it should be at least 1")
        self.channels, self.smallest = channels, 2**halvings
        widths = [width * 2**i for i in range(halvings + 1)]
        halve = [layer for a, b in zip(widths, widths[1:]) for layer in (nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2))]
        self.layers = nn.Sequential(
            _convolution(channels, width, 3), nn.LeakyReLU(0.2), *halve, _convolution(widths[-1], 1, 3))  # fmt: skip

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Raises ValueError for images of another shape."""
        if images.ndim != 4 or images.shape[1] != self.channels or min(images.shape[2:]) < self.smallest:
            raise ValueError(f"images have shape {tuple(images.shape)}; they should be (B, {self.channels}, H, W) "
                             f"with sides of at least {self.smallest}")
        return self.layers(images)
