"""How each network of the zoo is made: data, network, task, steps, and what is measured at the end."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from v101_utils.data import Batches, fashion_mnist, to_unit
from v101_utils.data.shapes import SHAPES as DRAWN
from v101_utils.data.shapes import ShapeBatches, draw, sample_factors
from v101_utils.diffusion import Denoiser, DiffusionTask, cosine
from v101_utils.metrics import Classifier, ClassifierTask, FrechetDistance, accuracy, mutual_information_gap
from v101_utils.metrics.prompts import PromptClassifier, PromptTask
from v101_utils.nn import UNet
from v101_utils.superres import ESPCN, SRCNN, SRResNet
from v101_utils.vae import VAE, Autoencoder, AutoencoderTask, Ensemble, VAETask
from v101_utils.zoo import gan_recipes as gans
from v101_utils.zoo import latent_recipes as latents
from v101_utils.zoo import style_recipes as style
from v101_utils.zoo import superres_recipes as superres

BETAS, SHAPES_BETAS = (0.1, 100.0), (0.02, 10.0)  # the ranges that beta-conditioned networks are trained for
FIXED_BETAS = (0.1, 1.0, 10.0)  # each has a network of its own, for comparison
SWEEP_BETAS, SWEEP_SEEDS = (0.1, 0.5, 2.0, 8.0), (0, 1, 2)
SWEEP = [(beta, seed) for beta in SWEEP_BETAS for seed in SWEEP_SEEDS]  # a network of `vae-shapes-sweep` for each


class Recipe(NamedTuple):
    """`build()` the network, `task(network)` to train it on `batches(seed, device)`, then `figures(network)`."""

    text: str
    data: str
    build: Callable[[], nn.Module]
    task: Callable[[nn.Module], nn.Module]
    batches: Callable
    steps: dict[str, int]  # by profile; the network that ships had the laptop's
    figures: Callable[[nn.Module], dict[str, float]]
    ema: float = 0.0  # the decay of the average whose weights are kept instead of the last ones; 0 is no average
    layout: torch.memory_format = torch.contiguous_format  # of the weights where it draws; in training the plan says


def fashion_batches(seed: int, device, size: int = 128) -> Batches:
    found = fashion_mnist("train", device=device)
    return Batches(found.images, found.labels, size=size, seed=seed)


def fashion_vae(betas=None) -> VAE:
    return VAE(latent_dim=16, widths=(32, 64), hidden=256, betas=betas)


def shapes_vae(betas=None, hidden: int = 64) -> VAE:
    return VAE(channels=3, size=32, latent_dim=10, widths=(32, 32, 32), hidden=hidden, betas=betas)


def fashion_frechet(count: int | None = None) -> FrechetDistance:
    """The distance from the training images that ship (or the first `count` of them): one scale on every machine."""
    from v101_utils.zoo.store import load

    return FrechetDistance(to_unit(fashion_mnist("train", source="shipped").images[:count]), load("classifier-fashion"))


def vae_fashion_figures(model: nn.Module) -> dict[str, float]:
    images, frechet = fashion_mnist("test").images, fashion_frechet()
    errors = {f"test_error_per_pixel_beta_{b:g}": model.measure(images, b)[1] for b in (0.1, 1.0, 10.0)}
    return errors | {
        "frechet_2000_samples_beta_1": frechet(to_unit(model.sample(2000, seed=0))),
        "frechet_2000_test_images": frechet(to_unit(images[:2000])),
    }


@torch.no_grad()
def shapes_mig(model: VAE, beta: float = 1.0, count: int = 10_000) -> float:
    """The mutual information gap of a VAE's means on `count` fresh shapes."""
    factors = sample_factors(count, 1_000_003)
    latents = torch.cat([model.encode(draw(part), beta)[0] for part in factors.split(500)])
    factors[:, 0] = (factors[:, 0] * len(DRAWN)).floor()  # what the picture shows of the first factor: one of four shapes
    return mutual_information_gap(latents, factors)[0]


def shapes_figures(model: VAE) -> dict[str, float]:
    images = draw(sample_factors(2000, 1_000_003))
    errors = {f"error_per_pixel_beta_{b:g}": model.measure(images, b)[1] for b in (0.02, 0.1, 1.0)}
    return errors | {f"mig_beta_{b:g}": shapes_mig(model, b) for b in (0.02, 0.1, 1.0)}


def build_sweep() -> nn.ModuleList:
    """A network for each (beta, seed); a seed fixes the initial weights, so that betas differ in beta alone."""
    return nn.ModuleList(shapes_vae() for _, seed in SWEEP if torch.default_generator.manual_seed(seed))


def sweep_figures(models: nn.ModuleList) -> dict[str, float]:
    pairs = zip(models, SWEEP, strict=True)
    return {f"mig_beta_{beta:g}_seed_{seed}": shapes_mig(m) for m, (beta, seed) in pairs}


def fashion_ddpm() -> Denoiser:
    return Denoiser(UNet(classes=10, widths=(32, 96)), cosine(), predicts="v")


def label_accuracy(images: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of images (N, 1, 28, 28) in [-1, 1] that an independent classifier takes for what was asked for."""
    from v101_utils.zoo.store import load

    return accuracy(load("classifier-fashion"), images, labels)


def ddpm_fashion_figures(model: Denoiser) -> dict[str, float]:
    frechet, labels = fashion_frechet(), torch.arange(2000) % 10
    drawn = {scale: model.sample(2000, seed=0, labels=labels, guidance=scale) for scale in (1.0, 2.0, 3.0)}
    return {
        **{f"frechet_2000_samples_guidance_{scale:g}": frechet(to_unit(images)) for scale, images in drawn.items()},
        **{f"labels_right_guidance_{scale:g}": label_accuracy(images, labels) for scale, images in drawn.items()},
        "frechet_2000_samples_null_label": frechet(to_unit(model.sample(2000, seed=0, labels="none"))),
        "frechet_2000_test_images": frechet(to_unit(fashion_mnist("test").images[:2000])),
    }


def fixed_recipe(beta: float) -> Recipe:
    """A VAE for one beta: the layers of the one for all, less the part that listens to beta."""
    return Recipe(
        f"VAE of Fashion-MNIST for beta {beta:g} alone", FASHION, fashion_vae, lambda m: VAETask(m, beta), fashion_batches,
        {"ci": 20, "laptop": 3000, "gpu": 60_000},
        lambda m: {"test_error_per_pixel": m.measure(fashion_mnist("test").images)[1]},
    )  # fmt: skip


FASHION, SHAPES = "Fashion-MNIST, 28x28 grey", "drawn shapes, 32x32 RGB, fresh at each step"
PROMPTED = "drawn shapes with prompts, 64x64 RGB, fresh at each step"
LATENTS = "latents of 16,000 drawn shapes with prompts, in the middle of 64x64 RGB; four pairs of colour and shape held out"
crops_of = "crops of {} photographs, RGB, shrunk 2, 3 or 4 times; two photographs held out".format
RECIPES: dict[str, Recipe] = {
    "classifier-fashion": Recipe(
        "classifier of Fashion-MNIST, whose features judge generated images", FASHION,
        Classifier, ClassifierTask, fashion_batches, {"ci": 20, "laptop": 3000, "gpu": 8000},
        lambda m: {"test_accuracy": accuracy(m, *fashion_mnist("test")[:2])},
    ),
    "vae-fashion": Recipe(
        "VAE of Fashion-MNIST for every beta from 0.1 to 100", FASHION,
        lambda: fashion_vae(BETAS), lambda m: VAETask(m, beta=None), fashion_batches,
        {"ci": 20, "laptop": 12_000, "gpu": 60_000}, vae_fashion_figures,
    ),
    "ddpm-fashion": Recipe(
        "diffusion model of Fashion-MNIST, with labels or without", FASHION,
        fashion_ddpm, DiffusionTask, fashion_batches, {"ci": 10, "laptop": 18_000, "gpu": 60_000}, ddpm_fashion_figures,
        ema=0.9995, layout=torch.channels_last,  # a U-Net draws a quarter faster so, on a CPU
    ),
    "dcgan-fashion": Recipe(
        "DCGAN of Fashion-MNIST", FASHION, gans.dcgan, gans.dcgan_task, lambda seed, device: fashion_batches(seed, device, 64),
        {"ci": 10, "laptop": 15_000, "gpu": 60_000}, gans.gan_fashion_figures, ema=0.999,
    ),
    "wgangp-fashion": Recipe(
        "WGAN-GP of Fashion-MNIST", FASHION, gans.dcgan, gans.wgangp_task, lambda seed, device: fashion_batches(seed, device, 64),
        {"ci": 10, "laptop": 13_000, "gpu": 60_000}, gans.gan_fashion_figures, ema=0.999,
    ),
    "cgan-fashion": Recipe(
        "conditional GAN of Fashion-MNIST", FASHION, lambda: gans.dcgan(classes=10), gans.cgan_task,
        lambda seed, device: fashion_batches(seed, device, 64), {"ci": 10, "laptop": 12_000, "gpu": 60_000},
        gans.gan_fashion_figures, ema=0.999,
    ),
    "stylegan-shapes": Recipe(
        "StyleGAN of drawn shapes", SHAPES, gans.stylegan, gans.stylegan_task,
        lambda seed, device: ShapeBatches(16, seed, device=device), {"ci": 10, "laptop": 16_000, "gpu": 120_000},
        gans.stylegan_shapes_figures, ema=0.999,
    ),
    "classifier-shapes": Recipe(
        "reader of drawn shapes, which says what a prompt of each would be", PROMPTED,
        PromptClassifier, PromptTask, lambda seed, device: latents.prompt_batches(seed, device, 64),
        {"ci": 10, "laptop": 2000, "gpu": 6000}, latents.judge_figures,
    ),
    "autoencoder-shapes": Recipe(
        "autoencoder of drawn shapes, for diffusion in its latents", PROMPTED,
        Autoencoder, AutoencoderTask, latents.prompt_batches, {"ci": 10, "laptop": 3000, "gpu": 20_000}, latents.autoencoder_figures,
    ),
    "ldm-shapes": Recipe(
        "latent diffusion of drawn shapes from prompts", LATENTS, latents.shapes_ldm, latents.ldm_task, latents.cached_latents,
        {"ci": 10, "laptop": 6000, "gpu": 60_000}, latents.ldm_figures, ema=0.999,
    ),
    "srcnn": Recipe(
        "SRCNN, which enlarges the brightness of pictures 2, 3 or 4 times", crops_of("five"), SRCNN, superres.srcnn_task,
        superres.crops, {"ci": 5, "laptop": 12_000, "gpu": 60_000}, superres.figures,
    ),
    "espcn": Recipe(
        "ESPCN, which does so at the small size", crops_of("five"), ESPCN, superres.espcn_task,
        lambda seed, device: superres.crops(seed, device, 16, 72), {"ci": 5, "laptop": 15_000, "gpu": 100_000}, superres.figures,
    ),
    "srresnet": Recipe(
        "SRResNet, which enlarges pictures 2, 3 or 4 times", crops_of("five"), SRResNet, superres.srresnet_task,
        superres.crops, {"ci": 2, "laptop": 8000, "gpu": 100_000}, superres.figures,
    ),
    "srgan": Recipe(
        "SRGAN, whose critic asks for detail: SRResNet, trained on", crops_of("eight"), superres.srgan,
        superres.srgan_task, superres.grainy_crops, {"ci": 2, "laptop": 2000, "gpu": 100_000}, superres.figures, ema=0.99,
    ),
    "style-fast": Recipe(
        "fast style transfer in several styles and their blends", "photographs of scikit-image, 96x96 RGB crops; drawn styles",
        style.style_network, style.style_task, style.photo_crops, {"ci": 3, "laptop": 1400, "gpu": 40_000}, style.style_figures,
        ema=0.99,
    ),
    **{f"vae-fashion-beta{beta:g}": fixed_recipe(beta) for beta in FIXED_BETAS},
    "vae-shapes": Recipe(
        "VAE of drawn shapes for every beta from 0.02 to 10", SHAPES,
        lambda: shapes_vae(SHAPES_BETAS, hidden=128), lambda m: VAETask(m, beta=None),
        lambda seed, device: ShapeBatches(128, seed, device=device), {"ci": 20, "laptop": 6000, "gpu": 60_000},
        shapes_figures,
    ),
    "vae-shapes-sweep": Recipe(
        "twelve VAEs of drawn shapes: beta 0.1, 0.5, 2, 8, three seeds each", SHAPES,
        build_sweep, lambda m: Ensemble(list(m), [beta for beta, _ in SWEEP]),
        lambda seed, device: ShapeBatches(64, seed, device=device), {"ci": 5, "laptop": 2000, "gpu": 60_000},
        sweep_figures,
    ),
}  # fmt: skip


def recipe(name: str) -> Recipe:
    """The recipe of that name. Raises KeyError that lists the names there are."""
    if name not in RECIPES:
        raise KeyError(f"no network is called {name!r}; there are {', '.join(RECIPES)}")
    return RECIPES[name]
