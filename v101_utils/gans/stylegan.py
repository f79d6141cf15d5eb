"""StyleGAN's generator (Karras et al. 2019), whole, in a size for small machines; and the layer that came after AdaIN (2020)."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from v101_utils.data.labels import check_count
from v101_utils.gans.dcgan import check_psi
from v101_utils.gans.equalised import EqualisedConv, EqualisedLinear, upsample
from v101_utils.gans.growing import Growth
from v101_utils.runtime import generator as random_generator

SLOPE = 0.2  # of every leaky ReLU


class Mapping(nn.Module):
    """Latents z (B, latent_dim) to w (B, latent_dim): z scaled to length sqrt(latent_dim), then eight layers.

    They learn at a hundredth of the rate of the others, or the long chain would not be stable (sec. 4, app. C).
    """

    def __init__(self, latent_dim: int, depth: int = 8, rate: float = 0.01):
        super().__init__()
        self.layers = nn.ModuleList(EqualisedLinear(latent_dim, latent_dim, gain=math.sqrt(2), rate=rate) for _ in range(depth))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
        return x


class AdaIN(nn.Module):
    """Each channel of each image is normalised, then scaled and shifted by what an affine map reads from w (eq. 1)."""

    def __init__(self, channels: int, latent_dim: int):
        super().__init__()
        self.to_style = EqualisedLinear(latent_dim, 2 * channels)

    def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        scale, shift = self.to_style(w)[:, :, None, None].chunk(2, dim=1)  # each (B, C, 1, 1)
        return (1 + scale) * F.instance_norm(x) + shift


class StyledLayer(nn.Module):
    """A convolution with its bias (neither at the start), noise per pixel and leaky ReLU, then a style from w.

    The noise is one number a pixel, the same for all channels, each of which has learned how much of it to take.
    """

    begin = torch.ones  # what the generator's constant is before training

    def __init__(self, channels_in: int | None, channels: int, latent_dim: int, up: bool = False):
        super().__init__()
        self.up, self.conv = up, EqualisedConv(channels_in, channels) if channels_in else None
        self.noise_strength = nn.Parameter(torch.zeros(channels, 1, 1))
        self.style = AdaIN(channels, latent_dim)

    def forward(self, x: torch.Tensor, w: torch.Tensor, noise) -> torch.Tensor:
        x = upsample(x) if self.up else x
        x = self.conv(x) if self.conv else x
        x = x + self.noise_strength * noise((len(x), 1, *x.shape[2:])).to(x)
        return self.style(F.leaky_relu(x, SLOPE), w)


class ModulatedLayer(nn.Module):
    """StyleGAN2's layer (Karras et al. 2020, sec. 2.2): w scales the channels that enter the convolution, then noise, leaky ReLU.

    Inputs of deviation 1, scaled by s, would leave the convolution with deviation sqrt(sum (s * weight)^2), by which its output
    is divided ("demodulation"). So it takes away the deviation that a style would be expected to bring, where AdaIN takes
    away the mean and deviation that this picture has. Arguments are those of `StyledLayer`; without channels_in, at the
    start, there is a convolution all the same.
    """

    begin = torch.randn

    def __init__(self, channels_in: int | None, channels: int, latent_dim: int, up: bool = False):
        super().__init__()
        self.up, self.conv = up, EqualisedConv(channels_in or channels, channels)
        self.to_style = EqualisedLinear(latent_dim, channels_in or channels)
        self.noise_strength = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: torch.Tensor, w: torch.Tensor, noise) -> torch.Tensor:
        x, scale = upsample(x) if self.up else x, 1 + self.to_style(w)  # scale: (B, in)
        weight = self.conv.weight * self.conv.scale  # (out, in, 3, 3)
        expected = (scale.square() @ weight.square().sum((2, 3)).T + 1e-8).sqrt()  # (B, out)
        x = F.conv2d(x * scale[:, :, None, None], weight, padding=1) * (math.sqrt(2) / expected)[:, :, None, None]
        x = x + self.conv.bias[:, None, None] + self.noise_strength * noise((len(x), 1, *x.shape[2:])).to(x)
        return F.leaky_relu(x, SLOPE)


class StyleGenerator(nn.Module, Growth):
    """Latents (B, latent_dim) to images (B, channels, size, size), about in [-1, 1], by way of w and two styles a resolution.

    widths: channels at 4x4, 8x8, ... up to `size`. Every layer of `layers` takes a w of its own, so that coarse and fine
    may come from different latents: `mixing` is the share of training images for which they do (sec. 3.1). `w_average`
    follows the mean of w, towards which `psi` below 1 draws a sample (truncation, app. B). layer: how w acts on a
    layer, `StyledLayer` (AdaIN) or `ModulatedLayer`.
    """

    def __init__(self, channels: int = 3, latent_dim: int = 64, widths=(64, 48, 32, 16), mixing: float = 0.9, layer=StyledLayer):
        super().__init__()
        self.init_growth(len(widths))
        size = 4 * 2 ** (self.levels - 1)
        self.latent_dim, self.mixing, self.shape = latent_dim, mixing, (channels, size, size)
        self.mapping = Mapping(latent_dim)
        self.start = nn.Parameter(layer.begin(1, widths[0], 4, 4))  # the same for every picture
        layers = [layer(None, widths[0], latent_dim), layer(widths[0], widths[0], latent_dim)]
        for a, b in zip(widths, widths[1:]):
            layers += [layer(a, b, latent_dim, up=True), layer(b, b, latent_dim)]
        self.layers = nn.ModuleList(layers)
        self.to_rgb = nn.ModuleList(EqualisedConv(w, channels, kernel=1, gain=1.0) for w in widths)
        self.register_buffer("w_average", torch.zeros(latent_dim))

    def synthesise(self, ws: torch.Tensor, noise=torch.randn) -> torch.Tensor:
        """Images of ws (B, layers, latent_dim); `noise` gives a tensor of the shape it is called with."""
        (level, fade), x, before = self.stage(), self.start.expand(len(ws), -1, -1, -1), None
        for i, layer in enumerate(self.layers[: 2 * level + 2]):
            if i == 2 * level:
                before = x
            x = layer(x, ws[:, i], lambda shape: noise(shape).to(ws.device))
        images = self.to_rgb[level](x)
        if fade < 1:
            smaller = upsample(self.to_rgb[level - 1](before))
            images = torch.lerp(smaller, images.to(smaller), fade)  # on CUDA, autocast enlarges in float32
        return images

    def mixed(self, w: torch.Tensor) -> torch.Tensor:
        """ws (B, layers, latent_dim): w in every layer or, for a share `mixing` of the images, another's from some layer on."""
        other = self.mapping(torch.randn_like(w))
        used = 2 * self.stage()[0] + 2
        cut = torch.randint(1, used, (len(w), 1), device=w.device)
        cut = torch.where(torch.rand(len(w), 1, device=w.device) < self.mixing, cut, used)  # (B, 1)
        return torch.where((torch.arange(len(self.layers), device=w.device) < cut)[:, :, None], w[:, None], other[:, None])

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        w = self.mapping(latents)
        if self.training:
            self.w_average.lerp_(w.detach().float().mean(0), 0.005)
            return self.synthesise(self.mixed(w))
        return self.synthesise(self.spread(w))

    def spread(self, w: torch.Tensor) -> torch.Tensor:
        """The same w (B, latent_dim) for every layer: (B, layers, latent_dim)."""
        return w[:, None].expand(-1, len(self.layers), -1)

    def styles(self, latents: torch.Tensor, psi: float = 1.0) -> torch.Tensor:
        """w (B, latent_dim) of latents, drawn towards the mean w: 1 is not at all, 0 the mean itself, below 0 beyond it."""
        check_psi(psi)
        return torch.lerp(self.w_average, self.mapping(latents.to(self.w_average.device)).to(self.w_average), psi)

    @torch.no_grad()
    def draw(self, ws: torch.Tensor, seed: int = 0, strength: float = 1.0) -> torch.Tensor:
        """Images (N, C, size, size) in [-1, 1] of w (N, latent_dim), or of ws (N, layers, latent_dim) with one w a layer.

        The noise is a pure function of the seed and of how many images are drawn together; `strength` multiplies it.
        """
        ws = (ws if ws.ndim == 3 else self.spread(ws)).to(self.w_average.device)
        draw, parts = random_generator(seed, 1), []
        for part in ws.split(250):
            parts.append(self.synthesise(part, lambda shape: strength * torch.randn(shape, generator=draw)).clamp(-1, 1))
        return torch.cat(parts)

    def mix(self, coarse: torch.Tensor, fine: torch.Tensor, crossover: int) -> torch.Tensor:
        """ws (B, layers, latent_dim) with `coarse` (B, latent_dim) in the first `crossover` layers and `fine` in the rest."""
        if not 0 <= crossover <= len(self.layers):
            raise ValueError(f"crossover {crossover}: it should be from 0, all fine, to {len(self.layers)}, all coarse")
        ws = self.spread(fine).clone()
        ws[:, :crossover] = coarse[:, None]
        return ws

    def latents(self, count: int, seed: int = 0) -> torch.Tensor:
        """(count, latent_dim) normal numbers; a pure function of the seed."""
        check_count(count)
        return torch.randn(count, self.latent_dim, generator=random_generator(seed))

    @torch.no_grad()
    def sample(self, count: int, seed: int = 0, *, psi: float = 1.0) -> torch.Tensor:
        """`count` images (N, C, size, size) in [-1, 1]; a pure function of its arguments. Raises ValueError for a psi beyond ±2."""
        return self.draw(self.styles(self.latents(count, seed), psi), seed)
