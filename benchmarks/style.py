"""Style transfer beside its peers: the same network, the same picture, seconds a step.

    python benchmarks/style.py [--only PART] [--side 128] [--threads N]

gatys: one step on the pixels (forward, backward, Adam), beside PyTorch's tutorial on neural style transfer, whose layers that
compute the losses are put into the network. Both on VGG-19 up to its fifth convolution, with random weights: that costs the same
time and needs no download. And this project's own random filters, at its own settings.
fast: one pass of the network that ships for a photograph of 256 x 256 pixels, beside 300 steps of that optimisation in the same
style: seconds, and the losses that both reach, by the optimisation's own measure.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from diffusion import median_seconds, run_parts
from torch import nn
from torch.nn import functional as F
from torchvision.models import vgg19

from v101_utils import runtime, zoo
from v101_utils.data.photos import photo
from v101_utils.data.styles import style_picture
from v101_utils.style import VGG, Aim, last, stylise
from v101_utils.style.descent import adam
from v101_utils.zoo.style_recipes import FAST_STYLES, style_pictures

LAYERS = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")  # the tutorial's conv_1 to conv_5; the content is its conv_4
DEPTH = 11  # of torchvision's layers, up to conv3_1


class ContentLoss(nn.Module):
    """As in the tutorial: keeps the loss of what passes through."""

    def __init__(self, target):
        super().__init__()
        self.target = target.detach()

    def forward(self, features):
        self.loss = F.mse_loss(features, self.target)
        return features


class StyleLoss(nn.Module):
    """As in the tutorial, with its Gram matrix of the whole batch."""

    def __init__(self, target):
        super().__init__()
        self.target = self.matrix(target).detach()

    @staticmethod
    def matrix(features):
        a, b, c, d = features.size()
        flat = features.view(a * b, c * d)
        return torch.mm(flat, flat.t()).div(a * b * c * d)

    def forward(self, features):
        self.loss = F.mse_loss(self.matrix(features), self.target)
        return features


def tutorial_steps(layers, mean, deviation, content, style):
    """A generator of steps as the tutorial takes them, but by Adam, so that a step is one evaluation in both."""
    network, losses, passing = nn.Sequential(), [], ((content - mean) / deviation, (style - mean) / deviation)
    convolutions = 0
    for i, layer in enumerate(layers):
        layer = nn.ReLU(inplace=False) if isinstance(layer, nn.ReLU) else layer
        network.add_module(str(i), layer)
        with torch.no_grad():
            passing = [layer(x) for x in passing]
        if isinstance(layer, nn.Conv2d):
            convolutions += 1
            for made, weight in [(StyleLoss(passing[1]), 1e6)] + [(ContentLoss(passing[0]), 1.0)] * (convolutions == 4):
                network.add_module(f"loss {len(losses)}", made)
                losses.append((made, weight))
    picture = content.clone().requires_grad_()
    optimiser = torch.optim.Adam([picture], 0.02)
    while True:
        with torch.no_grad():
            picture.clamp_(0, 1)
        optimiser.zero_grad()
        network((picture - mean) / deviation)
        sum(weight * made.loss for made, weight in losses).backward()
        optimiser.step()
        yield


def random_vgg() -> tuple[nn.Sequential, VGG]:
    """torchvision's VGG-19 up to conv3_1, of random weights, and this project's of the same weights."""
    torch.manual_seed(0)
    layers = vgg19(weights=None).features[:DEPTH].requires_grad_(False).eval()
    with tempfile.TemporaryDirectory() as folder:
        torch.save(layers.state_dict(), Path(folder, "vgg.pth"))
        return layers, VGG(LAYERS, Path(folder, "vgg.pth"))


def gatys(side: int) -> None:
    """Seconds a step, here and there."""
    where = runtime.device()
    content = F.interpolate(photo("astronaut").to(where), (side, side), mode="bicubic", antialias=True).clamp(-1, 1)
    style = style_picture("mosaic", side).to(where)
    layers, ours = (network.to(where) for network in random_vgg())
    same = Aim(content, style, ours, ("conv2_2",), colours=True, palette_weight=0)
    theirs = tutorial_steps(layers, ours.mean, ours.deviation, (content + 1) / 2, (style + 1) / 2)
    source = runtime.generator(0)
    generators = {
        "the tutorial": theirs,
        "this project, bare pixels": adam(same, content, 10**6, 0.1, source, levels=0),
        "this project, pyramid": adam(same, content, 10**6, 0.1, source),
        "this project, pyramid and random filters": adam(Aim(content, style), content, 10**6, 0.1, source),
    }
    seconds = median_seconds({name: lambda steps=steps: next(steps) for name, steps in generators.items()})
    for name, found in seconds.items():
        share = found / seconds["the tutorial"]
        print(f"gatys, {side} x {side}, {name}: {found:.3f} s a step, {share:.2f} of the tutorial's", flush=True)


def fast(side: int = 256, steps: int = 300) -> None:
    """One pass of the network beside `steps` steps on the pixels."""
    where, name = runtime.device(), FAST_STYLES[0]
    network, content = zoo.load("style-fast", device=where), photo("astronaut", side=side).to(where)
    style, weights = style_pictures()[0].to(where), torch.eye(len(FAST_STYLES))[0]
    start = time.perf_counter()
    optimised = last(stylise(content, style, steps=steps)).picture
    spent, aim = time.perf_counter() - start, Aim(content, style)
    with torch.no_grad():
        passed = network(content, weights)
        seconds = median_seconds({name: lambda: network(content, weights).cpu()}, rounds=20)[name]
        for kind, picture in {"photograph": content, "network": passed, f"{steps} steps": optimised}.items():
            losses = ", ".join(f"{part} {loss.item():.3f}" for part, loss in aim(picture).items())
            print(f"fast, {name}, {kind}: {losses}", flush=True)
    print(f"fast, {side} x {side}: a pass {seconds * 1000:.0f} ms, {steps} steps {spent:.1f} s; the network is "
          f"{spent / seconds:.0f} times as fast (at least 300 is asked)", flush=True)


PARTS = {"gatys": gatys, "fast": lambda side: fast()}


def main(side: int, only: str | None, threads: int | None) -> None:
    run_parts({name: lambda part=part: part(side) for name, part in PARTS.items()}, only, threads)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--side", type=int, default=128, help="pixels of the picture, for gatys")
    arguments.add_argument("--only", choices=list(PARTS))
    arguments.add_argument("--threads", type=int)
    main(**vars(arguments.parse_args()))
