"""The knobs of latent diffusion: the words of a prompt and their guidance, and the channels of a latent."""

import ipywidgets
import torch
from PIL import Image

from v101_utils.data.prompts import CHOICES, describe, parse
from v101_utils.view.pictures import grid, rows
from v101_utils.widgets.chart import titled
from v101_utils.widgets.live import live

ANY = "any"


def channel_pictures(latents: torch.Tensor) -> torch.Tensor:
    """Latents (B, C, s, s) as grey pictures (B * C, 1, s, s) in [-1, 1]: black is -3 standard deviations, white is 3."""
    return (latents / 3).clamp(-1, 1).flatten(0, 1)[:, None]


class PromptView:
    """What a latent diffusion model draws for a prompt, from the same noise each time."""

    def __init__(self, model, count: int = 16, steps: int = 15, seed: int = 0):
        self.model, self.count, self.steps, self.seed = model, count, steps, seed

    def render(self, scale: float, **words: str) -> Image.Image:
        """The images; a pure function. words: one of each of CHOICES, by factor, or "any". Raises ValueError for another."""
        prompt = parse(" ".join(word for word in words.values() if word != ANY))
        images = self.model.sample(self.count, self.seed, labels=prompt[None], steps=self.steps, guidance=scale)
        return titled(f"“{describe(prompt) or 'anything'}”   guidance {scale:.2f}   {self.steps} steps", grid(images))


class ChannelView:
    """One picture's latent, channel by channel, and what it decodes to when one channel is turned up or down."""

    def __init__(self, autoencoder, image: torch.Tensor):
        """`image` (1, C, H, W) in [-1, 1]."""
        self.autoencoder, self.image = autoencoder, image.to(autoencoder.mean.device)
        self.latents = autoencoder.to_latents(self.image)

    def render(self, channel: int, factor: float) -> Image.Image:
        """The picture; a pure function. Raises ValueError for a channel that there is not."""
        channels = self.latents.shape[1]
        if channel not in range(channels):
            raise ValueError(f"channel {channel}: it should be from 0 to {channels - 1}")
        latents = self.latents.clone()
        latents[:, channel] *= factor
        decoded = torch.cat([self.image, self.autoencoder.to_images(latents)])
        sheet = rows({"image, decoded": decoded}, zoom=140 / self.image.shape[-1])
        maps = grid(channel_pictures(latents), columns=channels, zoom=140 / latents.shape[-1])
        return titled(f"channel {channel} times {factor:.1f}", sheet, maps)


def prompt_sliders(view: PromptView) -> ipywidgets.VBox:
    """A choice of words for each factor and the slider of the guidance, above their picture."""
    scale = ipywidgets.FloatSlider(3, min=1, max=8, step=0.5, description="guidance", continuous_update=False)
    first = {"size": "large", "colour": "red", "shape": "square", "turn": "rotated"}
    words = {factor: ipywidgets.Dropdown(options=[ANY, *options], value=first[factor], description=factor)
             for factor, options in CHOICES.items()}  # fmt: skip
    return live(view.render, {"scale": scale, **words}, "prompt")


def channel_sliders(view: ChannelView) -> ipywidgets.VBox:
    """The choice of a channel and the slider of its factor, above the channels and the picture they decode to."""
    channel = ipywidgets.Dropdown(options=list(range(view.latents.shape[1])), description="channel")
    factor = ipywidgets.FloatSlider(1, min=-2, max=3, step=0.1, description="factor")
    return live(view.render, {"channel": channel, "factor": factor}, "channel")
