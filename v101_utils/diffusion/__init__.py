"""Diffusion as three independent choices: a noise schedule, a denoiser, a sampler. Guidance wraps a denoiser and is one."""

from v101_utils.diffusion.denoiser import PREDICTS, Denoiser, Prediction
from v101_utils.diffusion.guidance import Clipped, Guided
from v101_utils.diffusion.mixture import GaussianMixture
from v101_utils.diffusion.sample import SAMPLERS, sample, trajectory
from v101_utils.diffusion.samplers import State, ancestral, ddim, dpm
from v101_utils.diffusion.schedule import Schedule, cosine, from_betas, linear
from v101_utils.diffusion.task import DiffusionTask, add_noise, drop_labels, stratified

__all__ = [
    "Clipped", "Denoiser", "DiffusionTask", "GaussianMixture", "Guided", "PREDICTS", "Prediction", "SAMPLERS", "Schedule",
    "State", "add_noise", "ancestral", "cosine", "ddim", "dpm", "drop_labels", "from_betas", "linear", "sample",
    "stratified", "trajectory",
]  # fmt: skip
