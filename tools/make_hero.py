"""Makes the picture at the top of README.md, docs/hero.png, from the networks that ship.

    python tools/make_hero.py
"""

from pathlib import Path

import torch

from v101_utils import zoo
from v101_utils.data import fashion_mnist
from v101_utils.data.shapes import draw, sample_factors
from v101_utils.diffusion import Guided, ddim, trajectory
from v101_utils.files import write_atomically
from v101_utils.runtime import generator
from v101_utils.view import rows


@torch.no_grad()
def hero():
    """Samples of diffusion and how one comes to be; of GANs; of a VAE, a walk between its codes; reconstructions as beta grows."""
    ddpm, fashion, shapes = zoo.load("ddpm-fashion"), zoo.load("vae-fashion"), zoo.load("vae-shapes")
    noise = torch.randn(1, 1, 28, 28, generator=generator(2))
    film = trajectory(Guided(ddpm, 2.0), noise, ddim(), 16, labels=torch.tensor([9]))  # a boot
    test = fashion_mnist("test", source="shipped")
    chosen = torch.cat([test.images[test.labels == c][:1] for c in (9, 1, 2, 3, 8)])  # boot, trouser, pullover, dress, bag
    corners = fashion.encode(chosen)[0]
    weights = torch.linspace(0, 1, 5)[:-1, None]
    walk = torch.cat([a + weights * (b - a) for a, b in zip(corners, corners[1:])])
    pictures = draw(sample_factors(14, 5))
    return rows({
        "clothes drawn\nby diffusion": ddpm.sample(32, seed=1, guidance=2.0), "out of noise": torch.cat([state.x for state in film]),
        "clothes drawn\nby a GAN": zoo.load("cgan-fashion").sample(16, seed=1),
        "shapes drawn\nby a StyleGAN": zoo.load("stylegan-shapes").sample(14, seed=1),
        "clothes drawn\nby a VAE": fashion.sample(16, seed=1), "a walk between\nfive codes": fashion.decode(walk),
        "drawn shapes": pictures, "remembered\nby another": shapes.reconstruct(pictures, 0.1),
        "with a shorter\nmemory": shapes.reconstruct(pictures, 2.0),
    }, columns=16, zoom=1.6, label_width=130)  # fmt: skip


if __name__ == "__main__":
    target = Path(__file__).parent.parent / "docs" / "hero.png"
    with write_atomically(target) as partial:
        hero().save(partial, "PNG")
    print(target)
