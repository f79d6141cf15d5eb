"""Sliders: each a pure render function, values in and a picture out, in a thin ipywidgets shell."""

from v101_utils.widgets.diffusion import GuidanceView, NoiseView, StepsView, guidance_sliders, noise_slider, steps_sliders
from v101_utils.widgets.live import live
from v101_utils.widgets.vae import BetaView, LatentView, vae_sliders

__all__ = [
    "BetaView", "GuidanceView", "LatentView", "NoiseView", "StepsView", "guidance_sliders", "live", "noise_slider",
    "steps_sliders", "vae_sliders",
]  # fmt: skip
