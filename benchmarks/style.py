"""Style transfer beside its peers: the same network, the same picture, seconds a step.

    python benchmarks/style.py [--only PART] [--side 128] [--seconds 200] [--out FILE] [--threads N]

gatys: one step on the pixels (forward, backward, Adam), beside PyTorch's tutorial on neural style transfer, whose layers that
compute the losses are put into the network. Both on VGG-19 up to its fifth convolution, with random weights: that costs the same
time and needs no download. And this project's own random filters, at its own settings.
fast: one pass of the network that ships for a photograph of 256 x 256 pixels, beside 300 steps of that optimisation in the same
style: seconds, and the losses that both reach, by the optimisation's own measure.
features: what a style may be measured on where nothing is downloaded. One photograph in two styles, by the same steps, on the
random filters of `Aim`, on a small network of VGG's kind with random weights, and on the same after --seconds of training on
what ships. Each result is measured on the features of all three; --out takes the pictures.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from diffusion import Clock, fresh_plan, median_seconds, run_parts, train_until
from torch import nn
from torch.nn import functional as F
from torchvision.models import vgg19

from v101_utils import runtime, zoo
from v101_utils.data.crops import ORDERS, TRAIN
from v101_utils.data.photos import photo
from v101_utils.data.styles import STYLES, style_picture
from v101_utils.files import check_kind, save_picture
from v101_utils.style import VGG, Aim, Features, last, stylise
from v101_utils.style.descent import adam
from v101_utils.training import Ema, Task
from v101_utils.training.task import adamw
from v101_utils.view import rows
from v101_utils.zoo.style_recipes import FAST_STYLES, style_pictures

LAYERS = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")  # the tutorial's conv_1 to conv_5; the content is its conv_4
DEPTH = 11  # of torchvision's layers, up to conv3_1
CONTENT = "astronaut"  # the photograph that is stylised


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
    content = F.interpolate(photo(CONTENT).to(where), (side, side), mode="bicubic", antialias=True).clamp(-1, 1)
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
    network, content = zoo.load("style-fast", device=where), photo(CONTENT, side=side).to(where)
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


class SmallNetwork(Features):
    """Of VGG's kind: 3x3 convolutions with ReLU, between which pictures are halved by averages; "relu3" is (B, 64, h/4, w/4).

    Once told by `standardise` what is usual, it hands out each channel in units of its deviation from its mean. Else the
    means, much alike in all pictures, would make up most of a Gram matrix, and the deep layers would count for next to nothing.
    """

    def __init__(self, widths=(16, 32, 64, 64)):
        super().__init__()
        self.layers = tuple(f"relu{i}" for i, _ in enumerate(widths, 1))
        self.smallest = 2 ** len(widths)  # the borders reflect, so 2 pixels are left for the last
        self.convolutions = nn.ModuleList(
            nn.Conv2d(entering, width, 3, padding=1, padding_mode="reflect") for entering, width in zip((3, *widths), widths)
        )
        for convolution in self.convolutions:
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        self.usual = None

    @torch.no_grad()
    def standardise(self, images):
        found = {layer: torch.var_mean(value, (0, 2, 3), keepdim=True) for layer, value in self(images).items()}
        for layer, (variance, mean) in found.items():
            least = 0.01 * variance.mean()  # a channel that hardly ever fires should not drown the others when it does
            found[layer] = mean, variance.clamp(min=least).sqrt()
        self.usual = found
        return self

    def forward(self, images):
        self._check(images)
        found = {}
        for layer, convolution in zip(self.layers, self.convolutions):
            images = convolution(F.avg_pool2d(images, 2) if found else images).relu()
            found[layer] = images
        if self.usual:
            return {layer: (found[layer] - mean) / deviation for layer, (mean, deviation) in self.usual.items()}
        return found


class TurnedCrops:
    """A function step -> (crops (size, 3, crop, crop), source (size,), quarter turns (size,)).

    The sources are photographs and drawn styles; the picture to be stylised is not among them, nor are the style pictures
    themselves, but others of the same craft. Colours are permuted half of the time, and contrast is changed: neither tells.
    """

    def __init__(self, size: int, crop: int, seed: int = 0, device="cpu"):
        self.size, self.crop, self.seed, self.device = size, crop, seed, device
        names = [name for name in TRAIN if name not in (CONTENT, "motorcycle_right")]  # the latter is the left one, moved
        self.sources = [[photo(name, side=side)[0] for side in (384, 256, 160)] for name in names]
        self.sources += [[style_picture(name, side, seed)[0] for side in (256, 160) for seed in (1, 2)] for name in STYLES]

    def __call__(self, step: int):
        random = runtime.generator(self.seed, step)

        def below(count: int) -> int:
            return int(torch.randint(count, (), generator=random))

        crops, labels = [], []
        for _ in range(self.size):
            source, turn = below(len(self.sources)), below(4)
            picture = self.sources[source][below(len(self.sources[source]))]
            top, left = (below(side - self.crop + 1) for side in picture.shape[1:])
            crop = picture[list(ORDERS[below(len(ORDERS))]), top : top + self.crop, left : left + self.crop]
            contrast = 0.5 + 0.5 * torch.rand((), generator=random)
            crops.append(contrast * crop.rot90(turn, (1, 2)))
            labels.append((source, turn))
        source, turn = torch.tensor(labels, device=self.device).unbind(1)
        return torch.stack(crops).to(self.device), source, turn


class TellTask(Task):
    """To tell from the means of the last layer's features which source a crop is from, and how it was turned."""

    def __init__(self, features: SmallNetwork, sources: int):
        super().__init__()
        self.features, self.head = features, nn.Linear(features.convolutions[-1].out_channels, sources + 4)
        self.optimisers = {"all": adamw(self.parameters(), 3e-3)}

    def training_step(self, batch, minimise):
        crops, source, turn = batch
        deepest = self.features(crops)[self.features.layers[-1]]  # (B, C, h, w)
        logits = self.head(deepest.mean((2, 3)))
        guesses = {"source": (logits[:, :-4], source), "turn": (logits[:, -4:], turn)}
        loss = sum(F.cross_entropy(guess, truth) for guess, truth in guesses.values())
        minimise(loss, self.optimisers["all"])
        return {"loss": loss} | {name: (guess.argmax(1) == truth).float().mean() for name, (guess, truth) in guesses.items()}


def small_networks(seconds: float) -> tuple[SmallNetwork, SmallNetwork]:
    """The same network with its first random weights, and trained for so many seconds."""
    torch.manual_seed(0)
    where = runtime.device()
    network, batches = SmallNetwork().to(where), TurnedCrops(32, 48, device=where)
    untrained, task, trained = Ema(network).average, TellTask(network, len(batches.sources)), Ema(network, 0.995)
    plan = fresh_plan(task, batches(0))
    clock = Clock(seconds)
    train_until(clock, task, batches, trained, plan)
    with torch.no_grad():
        found = [task.training_step(batches(10**6 + i), lambda *_: None) for i in range(20)]
    told = ", ".join(f"{name} {sum(f[name].item() for f in found) / len(found):.0%}" for name in ("source", "turn"))
    print(f"features: trained for {clock.spent:.0f} s, {clock.number} steps; of fresh crops of its training pictures it "
          f"tells {told}, where chance has {1 / len(batches.sources):.0%} and 25%", flush=True)  # fmt: skip
    crops = torch.cat([batches(10**6 + i)[0] for i in range(8)])
    return untrained.standardise(crops), trained.average.standardise(crops)


@torch.no_grad()
def style_losses(aims: dict[str, Aim], picture: torch.Tensor) -> dict[str, float]:
    return {name: aim(picture)["style"].item() for name, aim in aims.items()}


def on_each(kinds: dict[str, Features | None], content: torch.Tensor, style: torch.Tensor, label: str, steps: int):
    """A result for each kind of features, with its seconds a step and what is left of the losses by each of them."""
    aims = {name: Aim(content, style, kind) for name, kind in kinds.items()}
    before, results = style_losses(aims, content), {}
    for name, kind in kinds.items():
        weight = before["random filters"] / before[name]  # each begins with the same ratio of style to content
        start = time.perf_counter()
        made = results[name] = last(stylise(content, style, steps=steps, features=kind, style_weight=weight)).picture
        seconds, after = (time.perf_counter() - start) / steps, style_losses(aims, made)
        left = ", ".join(f"{other} {after[other] / before[other]:.3f}" for other in kinds)
        print(f"features, {label}, on {name}: {seconds:.3f} s a step; content loss {aims[name](made)['content'].item():.3f}; "
              f"of the photograph's style loss is left, by {left}", flush=True)  # fmt: skip
    return results


def features(seconds: float, out: Path | None, side: int = 160, steps: int = 120) -> None:
    """One photograph in two styles, on each kind of features."""
    if out:
        check_kind(out)
    where, names = runtime.device(), FAST_STYLES[:2]
    content, styles = photo(CONTENT, side=side).to(where), [style.to(where) for style in style_pictures(names)]
    untrained, trained = small_networks(seconds)
    kinds = {"random filters": None, "untrained network": untrained, "trained network": trained}
    results = [on_each(kinds, content, style, name, steps) for name, style in zip(names, styles)]
    shown = [F.interpolate(style, content.shape[2:], mode="area") for style in styles]
    sheet = {"photograph": content, "styles": torch.cat(shown)}
    sheet |= {name.replace(" ", "\n"): torch.cat([result[name] for result in results]) for name in kinds}
    if out:
        save_picture(out, rows(sheet, zoom=1))


def main(side: int, seconds: float, out: Path | None, only: str | None, threads: int | None) -> None:
    parts = {"gatys": lambda: gatys(side), "fast": fast, "features": lambda: features(seconds, out)}
    run_parts(parts, only, threads)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--side", type=int, default=128, help="pixels of the picture, for gatys")
    arguments.add_argument("--seconds", type=float, default=200, help="of training, for features")
    arguments.add_argument("--out", type=Path, help="a file for the pictures of features")
    arguments.add_argument("--only", choices=["gatys", "fast", "features"])
    arguments.add_argument("--threads", type=int)
    main(**vars(arguments.parse_args()))
