"""Variational autoencoders: objective, network, task; and the autoencoder of latent diffusion."""

from v101_utils.vae.autoencoder import Autoencoder, AutoencoderTask
from v101_utils.vae.model import VAE
from v101_utils.vae.objective import elbo, gaussian_nll, importance_weighted_bound, kl_to_prior, reparameterise
from v101_utils.vae.task import Ensemble, VAETask

__all__ = [
    "Autoencoder", "AutoencoderTask", "Ensemble", "VAE", "VAETask", "elbo", "gaussian_nll", "importance_weighted_bound",
    "kl_to_prior", "reparameterise",
]  # fmt: skip
