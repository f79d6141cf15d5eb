"""Diffusion as three independent choices: a noise schedule, a denoiser, a sampler. Guidance wraps a denoiser and is one."""

from v101_utils.diffusion.denoiser import PREDICTS, Denoiser, Prediction
from v101_utils.diffusion.guidance import Clipped, Guided, Wrapped
from v101_utils.diffusion.latent import LatentDiffusion
from v101_utils.diffusion.likelihood import bits_per_dimension, dequantise, log_likelihood
from v101_utils.diffusion.mixture import GaussianMixture
from v101_utils.diffusion.sample import SAMPLERS, sample, trajectory
from v101_utils.diffusion.samplers import State, ancestral, ddim, dpm
from v101_utils.diffusion.schedule import Schedule, cosine, from_betas, linear
from v101_utils.diffusion.sde import Rescheduled, euler_maruyama, heun, ode, predictor_corrector, score, sub_vp, ve, vp
from v101_utils.diffusion.task import DiffusionTask, add_noise, drop_labels, stratified

__all__ = [
    "Clipped", "Denoiser", "DiffusionTask", "GaussianMixture", "Guided", "LatentDiffusion", "PREDICTS", "Prediction",
    "Rescheduled", "SAMPLERS", "Schedule", "State", "Wrapped", "add_noise", "ancestral", "bits_per_dimension", "cosine", "ddim",
    "dequantise", "dpm", "drop_labels", "euler_maruyama", "from_betas", "heun", "linear", "log_likelihood", "ode",
    "predictor_corrector", "sample", "score", "stratified", "sub_vp", "trajectory", "ve", "vp",
]  # fmt: skip
