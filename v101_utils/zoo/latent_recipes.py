"""Latent diffusion of drawn shapes: autoencoder and judge, which ship, and a denoiser of its latents to train."""

import torch
from torchmetrics.functional.image import peak_signal_noise_ratio

from v101_utils.data import Batches, to_unit
from v101_utils.data.prompts import WORDS, PromptBatches, every_prompt, factors_of
from v101_utils.data.shapes import draw
from v101_utils.diffusion import Denoiser, DiffusionTask, LatentDiffusion, cosine
from v101_utils.metrics.prompts import PromptClassifier, words_right
from v101_utils.nn import UNet
from v101_utils.training import Task
from v101_utils.vae import Autoencoder

BATCH = 32  # latents in a step of a denoiser


def prompt_batches(seed: int, device, size: int = 16) -> PromptBatches:
    return PromptBatches(size, every_prompt(), seed, device=device)


def held_out_pictures(count: int = 960) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures (count, 3, 64, 64) that no training sees, of every prompt by turns, and the prompts (count, 4)."""
    every = every_prompt()
    prompts = every[torch.arange(count) % len(every)]
    return draw(factors_of(prompts, 1_000_003), 64), prompts


def psnr(images: torch.Tensor, copies: torch.Tensor) -> float:
    """Peak signal-to-noise ratio in dB, of all pixels of images in [-1, 1] together."""
    return peak_signal_noise_ratio(to_unit(copies), to_unit(images), data_range=1.0).item()


def autoencoder_figures(model: Autoencoder) -> dict[str, float]:
    images, _ = held_out_pictures()
    latents = model.to_latents(images)
    noisy = latents + 0.3 * torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    return {
        "psnr_db": psnr(images, model.reconstruct(images)), "psnr_db_latents_with_noise_0.3": psnr(images, model.to_images(noisy)),
        "latent_mean": latents.mean().item(), "latent_standard_deviation": latents.std().item(),
    }  # fmt: skip


def judge_figures(model: PromptClassifier) -> dict[str, float]:
    return {"all_words_right": words_right(model, *held_out_pictures()).all(1).float().mean().item()}


def shapes_ldm() -> LatentDiffusion:
    """A denoiser whose places attend to each other and to the words, around the autoencoder that ships.

    It predicts x0: what a latent of drawn shapes can be is little beside what noise can be, and little is easier to learn
    (Li & He 2025, "Back to basics: let denoising generative models denoise").
    """
    from v101_utils.zoo.store import load

    autoencoder = load("autoencoder-shapes")
    channels, size, _ = autoencoder.latent_shape
    network = UNet(channels, size, (48, 96), attention=(True, True), fold=2, classes=len(WORDS), words=4)
    return LatentDiffusion(autoencoder, Denoiser(network, cosine(), predicts="x0", bounded=False))


def ldm_task(model: LatentDiffusion) -> Task:
    """Trains the denoiser alone, on `cached_latents`; a tenth of the prompts say nothing."""
    return DiffusionTask(model.denoiser, lr=3e-3, drop=0.1)


def cached_latents(seed: int, device, size: int = BATCH, count: int | None = None) -> Batches:
    """Latents and prompts of `count` pictures (None: by profile), each encoded once; none has a held-out pair of words.

    The shapes are in the middle, for prompts say no place, and a network that need not learn places learns shapes in minutes.
    """
    from v101_utils.runtime import pick
    from v101_utils.zoo.store import load

    autoencoder = load("autoencoder-shapes", device=device)
    pictures, parts = PromptBatches(250, every_prompt(unseen=False), seed, device=device, wander=0.0), []
    count = pick(ci=250, laptop=16_000, gpu=100_000) if count is None else count
    for step in range(max(1, count // 250)):
        images, prompts = pictures(step)
        parts.append((autoencoder.to_latents(images), prompts))
    return Batches(*(torch.cat(part) for part in zip(*parts)), size=size, seed=seed)


def ldm_figures(model: LatentDiffusion, count: int = 480) -> dict[str, float]:
    """The share of `count` pictures that an independent reader finds as asked in every word, by guidance, for both kinds of prompts."""
    from v101_utils.zoo.store import load

    judge, found = load("classifier-shapes"), {}
    for kind, prompts in (("seen", every_prompt(unseen=False)), ("unseen", every_prompt(unseen=True))):
        asked = prompts[torch.arange(count) % len(prompts)]
        for scale in (1.0, 3.0, 5.0):
            right = words_right(judge, model.sample(count, seed=0, labels=asked, guidance=scale), asked)  # (count, 4)
            found[f"all_words_right_{kind}_guidance_{scale:g}"] = right.all(1).float().mean().item()
    return found
