"""Diffusion in latents of drawn shapes beside diffusion in pixels: the same prompts, and two levels more for the pixels.

    python benchmarks/latent.py [--only PART] [--seconds 1800] [--count 480] [--threads N]

sampling: seconds to draw 16 pictures, with the numbers that a picture has and the multiply-adds of a call of each network.
quality: each is trained from nothing for --seconds, and an independent judge reads what it draws for prompts, --count of
those that it was trained on and a third as many whose colour and shape it never saw together. The latent model's seconds
include the encoding of its pictures, but not the training of the autoencoder, which the zoo's card has: it is there already,
for any number of denoisers. With V101_PROFILE=ci it encodes a few pictures only, for a trial.
"""

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from diffusion import Clock, fresh_plan, median_seconds, run_parts, train_until
from torch import nn

from v101_utils import runtime, zoo
from v101_utils.data.prompts import WORDS, PromptBatches, every_prompt
from v101_utils.diffusion import Denoiser, DiffusionTask, cosine
from v101_utils.metrics.prompts import words_right
from v101_utils.nn import UNet
from v101_utils.runtime import multiply_adds
from v101_utils.training import Ema
from v101_utils.zoo import latent_recipes

EMA = 0.998
DRAWING = {"steps": 20, "guidance": 3.0, "sampler": "dpm"}


class Rival(NamedTuple):
    """`build()` what draws pictures, `task(it)` to train it on `batches(seed, device)`: the parts of a recipe that differ."""

    build: Callable[[], nn.Module]
    task: Callable[[nn.Module], nn.Module]
    batches: Callable


def pixel_model() -> Denoiser:
    """The denoiser of latents, for pixels: two levels more, without attention, to come down to the same 8x8 places."""
    network = UNet(3, 64, (32, 48, 64, 96), attention=(False, False, True, True), fold=2, classes=len(WORDS), words=4)
    return Denoiser(network, cosine(), predicts="x0")


def pixel_batches(seed: int, device) -> PromptBatches:
    return PromptBatches(latent_recipes.BATCH, every_prompt(unseen=False), seed, device=device, wander=0.0)


RIVALS = {
    "latents": Rival(latent_recipes.shapes_ldm, latent_recipes.ldm_task, latent_recipes.cached_latents),
    "pixels": Rival(pixel_model, lambda model: DiffusionTask(model, lr=3e-3, drop=0.1), pixel_batches),
}


def describe_sizes(name: str, denoiser: Denoiser) -> int:
    """Prints how large a picture and a call of the network are; returns the multiply-adds of the call."""
    where = next(denoiser.parameters()).device
    x, t = torch.zeros(1, *denoiser.shape, device=where), torch.ones(1, device=where)
    work = multiply_adds(denoiser.network, x, t, every_prompt()[:1].to(where))
    shape, size = "x".join(map(str, denoiser.shape)), sum(p.numel() for p in denoiser.parameters())
    print(f"{name}: a picture is {shape} = {x.numel():,} numbers; the network has {size:,} parameters and needs "
          f"{work / 1e6:,.1f} million multiply-adds a call", flush=True)  # fmt: skip
    return work


def sampling(count: int = 16) -> None:
    """Seconds to draw, and the work that this is. Both networks are untrained: that costs the same time."""
    where, prompts = runtime.device(), every_prompt()[:count]
    ours, theirs = latent_recipes.shapes_ldm().to(where).eval(), pixel_model().to(where).eval()
    works = describe_sizes("latents", ours.denoiser), describe_sizes("pixels", theirs)
    decoding = multiply_adds(ours.autoencoder.decode, torch.zeros(1, *ours.autoencoder.latent_shape, device=where))
    runs = {name: lambda model=model: model.sample(count, labels=prompts, **DRAWING).cpu()
            for name, model in {"latents": ours, "pixels": theirs}.items()}  # fmt: skip
    seconds = median_seconds(runs)
    print(f"the decoder, once a picture: {decoding / 1e6:,.1f} million multiply-adds", flush=True)
    how = f"{count} pictures, {DRAWING['steps']} steps, guidance {DRAWING['guidance']:g}"
    print(f"sampling, {how}: latents {seconds['latents']:.2f} s, pixels {seconds['pixels']:.2f} s; latents are "
          f"{seconds['pixels'] / seconds['latents']:.1f} times as fast, at "
          f"1/{works[1] / works[0]:.1f} of the multiply-adds a call", flush=True)  # fmt: skip


def train(rival: Rival, seconds: float) -> tuple[nn.Module, int, float]:
    """The averaged model after `seconds` in all, preparations included; the steps done, and the seconds spent."""
    start = time.perf_counter()
    torch.manual_seed(runtime.derive_seed(0, 1))
    model, batches = rival.build(), rival.batches(0, runtime.device())
    ema, task = Ema(model, EMA), rival.task(model)
    plan = fresh_plan(task, batches(0))
    clock = Clock(seconds - (time.perf_counter() - start))  # begins here, lest it take the preparations for a slow step
    train_until(clock, task, batches, ema, plan)
    return ema.average, clock.number, time.perf_counter() - start


def judge(model: nn.Module, count: int) -> dict[str, float]:
    """The shares of `count` seen prompts, and of a third as many unseen, drawn with every word right; seconds a picture."""
    reader, figures, spent = zoo.load("classifier-shapes", device=runtime.device()), {}, 0.0
    amounts = {"seen": count, "unseen": max(1, count // 3)}
    for name, amount in amounts.items():
        known = every_prompt(unseen=name == "unseen")
        prompts, start = known[torch.arange(amount) % len(known)], time.perf_counter()
        images = model.sample(amount, seed=1, labels=prompts, **DRAWING).cpu()
        spent += time.perf_counter() - start
        figures[name] = words_right(reader, images.to(runtime.device()), prompts).all(1).float().mean().item()
    return figures | {"seconds a picture": spent / sum(amounts.values())}


def ratio(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.2f}" if theirs else "none, for theirs is 0"


def quality(seconds: float, count: int) -> None:
    """Both models in as many seconds of training, by the judge."""
    zoo.load("classifier-shapes")  # whose absence should not come to light after an hour
    found = {}
    for name, rival in RIVALS.items():
        model, steps, spent = train(rival, seconds)
        found[name] = mine = {"steps": steps, **judge(model, count)}
        print(f"{name}, trained for {spent:.0f} s: {steps} steps; every word right in {mine['seen']:.3f} of {count} seen, "
              f"{mine['unseen']:.3f} of {max(1, count // 3)} unseen; {mine['seconds a picture']:.4f} s a picture", flush=True)
    ratios = (f"{key} {ratio(ours, found['pixels'][key])}" for key, ours in found["latents"].items())
    print("ratios, latents to pixels: " + "; ".join(ratios), flush=True)


def main(seconds: float, count: int, only: str | None, threads: int | None) -> None:
    run_parts({"sampling": sampling, "quality": lambda: quality(seconds, count)}, only, threads)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seconds", type=float, default=1800, help="of training, for each")
    arguments.add_argument("--count", type=int, default=480, help="of seen prompts that are judged; of unseen ones a third")
    arguments.add_argument("--only", choices=["sampling", "quality"])
    arguments.add_argument("--threads", type=int)
    main(**vars(arguments.parse_args()))
