"""`vae-fashion` beside the VAE of pytorch/examples, as its script has it: 784-400-20-400-784, BCE + KL, 10 epochs.

    python benchmarks/vae.py [--epochs 10] [--count 2000]

Both are judged on Fashion-MNIST by the same classifier's features, the same reference and the same number of samples.
"""

import argparse
import time

import torch
from torch import nn
from torch.nn import functional as F

from v101_utils import runtime, zoo
from v101_utils.data import Batches, fashion_mnist, to_unit
from v101_utils.vae import kl_to_prior, reparameterise
from v101_utils.widgets import BetaView
from v101_utils.widgets.live import png
from v101_utils.zoo.recipes import fashion_frechet


class Peer(nn.Module):
    """The network of pytorch/examples/vae/main.py, on images (B, 1, 28, 28) in [0, 1]."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
        self.decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid())

    def decode(self, latents):
        return self.decoder(latents).view(-1, 1, 28, 28)


def train_peer(images: torch.Tensor, epochs: int) -> Peer:
    """Adam 1e-3, batches of 128, summed BCE and KL: the script's defaults."""
    peer = Peer()
    optimiser, batches = torch.optim.Adam(peer.parameters(), 1e-3), Batches(images, size=128)
    for step in range(epochs * (len(images) // 128)):
        (x,) = batches(step)
        mean, log_var = peer.encoder(x).chunk(2, 1)
        decoded = peer.decode(reparameterise(mean, log_var))
        loss = F.binary_cross_entropy(decoded, x, reduction="sum") + kl_to_prior(mean, log_var).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return peer.requires_grad_(False)


def main(epochs: int, count: int) -> None:
    runtime.set_up(seed=0)
    train, test = fashion_mnist("train"), fashion_mnist("test")
    start = time.perf_counter()
    peer = train_peer(to_unit(train.images), epochs)
    seconds = time.perf_counter() - start
    model, frechet, unit = zoo.load("vae-fashion"), fashion_frechet(), to_unit(test.images)
    theirs = frechet(peer.decode(torch.randn(count, 20, generator=runtime.generator(0))))
    ours = frechet(to_unit(model.sample(count, seed=0)))
    error = (peer.decode(peer.encoder(unit).chunk(2, 1)[0]) - unit).square().mean().item()
    print(f"pytorch/examples vae, {epochs} epochs ({seconds:.0f} s): Frechet {theirs:.1f}, error {error:.4f}")
    for beta in (0.1, 1.0):
        print(f"vae-fashion, beta {beta:g}: error per pixel {model.measure(test.images, beta)[1]:.4f}")
    print(f"vae-fashion, beta 1: Frechet {ours:.1f}; real test images {frechet(unit[:count]):.1f}; {count} samples each")
    print(f"ratio of Frechet distances, ours to the peer's: {ours / theirs:.2f} (at most 0.7 is asked)")
    view = BetaView(model, test.images[:500])
    view.render(1.0)
    start = time.perf_counter()
    for beta in view.betas:
        png(view.render(float(beta)))
    print(f"the beta slider: {(time.perf_counter() - start) / len(view.betas) * 1000:.0f} ms a move")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--epochs", type=int, default=10)
    arguments.add_argument("--count", type=int, default=2000)
    main(**vars(arguments.parse_args()))
