"""Sliders: each a pure render function, values in and a picture out, in a thin ipywidgets shell."""

from v101_utils.widgets.live import live
from v101_utils.widgets.vae import BetaView, LatentView, vae_sliders

__all__ = ["BetaView", "LatentView", "live", "vae_sliders"]
