"""Super-resolution's recipes: networks that enlarge photographs 2, 3 or 4 times, and what is measured of them."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from v101_utils.data.crops import HELD_OUT, SCENES, TRAIN, PhotoCrops
from v101_utils.data.photos import photo
from v101_utils.gans import R1
from v101_utils.style.features import FilterBank
from v101_utils.superres import FACTORS, Bicubic, PatchDiscriminator, RestorationTask, Restorer, SRResNet, restore, score
from v101_utils.superres.adversarial import SRGANTask
from v101_utils.training import Task

METHODS = ("bicubic", "srcnn", "espcn", "srresnet", "srgan")


def restorer(name: str, device="cpu") -> Restorer:
    """One of METHODS: "bicubic" needs no weights, the others are the zoo's networks. Raises ValueError for another name."""
    from v101_utils.zoo.store import load

    if name not in METHODS:
        raise ValueError(f"method {name!r}: it should be one of {', '.join(METHODS)}")
    return Bicubic() if name == "bicubic" else load(name, device=device)


def method(name: str, device="cpu") -> Callable[[torch.Tensor, int], torch.Tensor]:
    """One of METHODS as a function: RGB pictures (B, 3, h, w) in [-1, 1] and a factor to pictures that much larger.

    Raises ValueError for another name.
    """
    return partial(restore, restorer(name, device))


def crops(seed: int, device, size: int = 8, crop: int = 48, names=SCENES) -> PhotoCrops:
    return PhotoCrops(size, crop, seed, names, device)


def grainy_crops(seed: int, device) -> PhotoCrops:
    """With brick, grass and gravel: their grain, which no network can restore, is what a critic can teach one to make up."""
    return crops(seed, device, names=TRAIN)


def srcnn_task(model: nn.Module) -> Task:
    return RestorationTask(model, lr=5e-3)


def espcn_task(model: nn.Module) -> Task:
    return RestorationTask(model, lr=1e-2)


def srresnet_task(model: nn.Module) -> Task:
    return RestorationTask(model, lr=1e-3, loss="charbonnier")


def srgan() -> SRResNet:
    """With the weights of the network that was trained by a pixels' error, where they ship."""
    from v101_utils.zoo.store import load

    return load("srresnet").requires_grad_(True).train()


def srgan_task(model: nn.Module) -> Task:
    """The critic's say is a hundred times the paper's, as features of random filters ask for less texture than those of VGG-19.

    The penalty is weak: without any the enlargements get a grid of dots, and with a hundred times as much no detail.
    """
    critic, features = PatchDiscriminator(width=16), FilterBank((3, 5, 7), 16)
    penalty = R1(0.01, every=4)
    return SRGANTask(model, critic, features, adversarial=0.1, factors=(2, 3, 4, 4), constraint=penalty, rates=(2e-4, 3e-4))


def figures(model: nn.Module) -> dict[str, float]:
    """Of the photographs that nothing trains on: the gain over bicubic in dB, SSIM, and the error of detail, by factor."""
    pictures, found = [photo(name) for name in HELD_OUT], {}
    for factor in FACTORS:
        base, ours = (score(partial(restore, network), pictures, factor) for network in (None, model))
        found |= {
            f"x{factor}_psnr_db": ours["psnr_db"], f"x{factor}_psnr_db_above_bicubic": ours["psnr_db"] - base["psnr_db"],
            f"x{factor}_ssim": ours["ssim"], f"x{factor}_ssim_bicubic": base["ssim"],
            f"x{factor}_detail_error": ours["detail_error"], f"x{factor}_detail_error_bicubic": base["detail_error"],
        }  # fmt: skip
    return found
