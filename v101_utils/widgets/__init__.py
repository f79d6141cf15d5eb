"""Sliders: each a pure render function, values in and a picture out, in a thin ipywidgets shell."""

from v101_utils.widgets.class_mix import ClassMixView, class_mix_sliders
from v101_utils.widgets.critic import CriticView, critic_slider
from v101_utils.widgets.diffusion import GuidanceView, NoiseView, StepsView, guidance_sliders, noise_slider, steps_sliders
from v101_utils.widgets.fast_style import StyleBlendView, style_blend_sliders
from v101_utils.widgets.gan_theory import DistanceView, distance_slider
from v101_utils.widgets.latent import ChannelView, PromptView, channel_sliders, prompt_sliders
from v101_utils.widgets.latents import LatentWalkView, walk_sliders
from v101_utils.widgets.live import live
from v101_utils.widgets.sde import CorrectorView, FieldView, corrector_sliders, field_slider
from v101_utils.widgets.stylegan import CrossoverView, TruncationView, crossover_sliders, truncation_sliders
from v101_utils.widgets.superres import BlendView, WipeView, blend_slider, wipe_sliders
from v101_utils.widgets.transfer import TransferView, WeightView, transfer_controls, weight_slider
from v101_utils.widgets.vae import BetaView, LatentView, vae_sliders

__all__ = [
    "BetaView", "BlendView", "ChannelView", "ClassMixView", "CorrectorView", "CriticView", "CrossoverView", "DistanceView",
    "FieldView", "GuidanceView", "LatentView", "LatentWalkView", "NoiseView", "PromptView", "StepsView", "StyleBlendView",
    "TransferView", "TruncationView", "WeightView", "WipeView", "blend_slider", "channel_sliders", "class_mix_sliders",
    "corrector_sliders", "critic_slider", "crossover_sliders", "distance_slider", "field_slider", "guidance_sliders",
    "live", "noise_slider", "prompt_sliders", "steps_sliders", "style_blend_sliders", "transfer_controls",
    "truncation_sliders", "vae_sliders", "walk_sliders", "weight_slider", "wipe_sliders",
]  # fmt: skip
