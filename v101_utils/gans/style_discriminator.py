"""The discriminator that StyleGAN grows beside its generator (Karras et al. 2018, table 2)."""

import torch
from torch import nn
from torch.nn import functional as F

from v101_utils.gans.equalised import EqualisedConv, EqualisedLinear, blur, downsample
from v101_utils.gans.growing import Growth
from v101_utils.gans.stylegan import SLOPE


def minibatch_deviation(x: torch.Tensor, group: int = 4) -> torch.Tensor:
    """x (B, C, H, W) and one more channel: how much the images of a group differ (Karras 2018, sec. 3).

    The standard deviation over the group, averaged over channels and places: a generator that draws one picture only is
    found out by it. Groups are of `group` images or, where they do not divide the batch, of the whole batch.
    """
    group = group if len(x) % group == 0 else len(x)
    y = x.float().view(group, -1, *x.shape[1:])  # (G, B / G, C, H, W); 1e-8 would be zero in fp16, and the root's gradient nan
    deviation = (y.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3)).to(x.dtype)  # (B / G,)
    return torch.cat([x, deviation.repeat(group)[:, None, None, None].expand(-1, 1, *x.shape[2:])], dim=1)


class StyleDiscriminator(nn.Module, Growth):
    """Images (B, channels, side, side), of the side that it has grown to, to raw scores (B,).

    widths: channels at 4x4, 8x8, ..., as the generator's.
    """

    def __init__(self, channels: int = 3, widths=(64, 48, 32, 16)):
        super().__init__()
        self.init_growth(len(widths))
        self.from_rgb = nn.ModuleList(EqualisedConv(channels, w, kernel=1) for w in widths)
        blocks = [(a, EqualisedConv(b, b), EqualisedConv(b, a, stride=2)) for a, b in zip(widths, widths[1:])]
        self.first = nn.ModuleList(first for _, first, _ in blocks)  # at index i: from level i + 1 ...
        self.second = nn.ModuleList(second for _, _, second in blocks)  # ... to level i
        self.last = EqualisedConv(widths[0] + 1, widths[0])
        self.hidden = EqualisedLinear(widths[0] * 16, widths[0], gain=2**0.5)
        self.to_score = EqualisedLinear(widths[0], 1)

    def _enter(self, images: torch.Tensor, level: int) -> torch.Tensor:
        return F.leaky_relu(self.from_rgb[level](images), SLOPE)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        level, fade = self.stage()
        if images.shape[-1] != 4 * 2**level:
            raise ValueError(f"images are {tuple(images.shape)}; at growth {float(self.growth):g} their side should be {4 * 2**level}")
        x = self._enter(images, level)
        for i in reversed(range(level)):
            x = F.leaky_relu(self.first[i](x), SLOPE)
            x = F.leaky_relu(self.second[i](blur(x)), SLOPE)
            if i == level - 1 and fade < 1:
                x = torch.lerp(self._enter(downsample(images), level - 1), x, fade)
        x = F.leaky_relu(self.last(minibatch_deviation(x)), SLOPE)  # (B, widths[0], 4, 4)
        return self.to_score(F.leaky_relu(self.hidden(x.flatten(1)), SLOPE))[:, 0]
