"""Diffusion here beside its peers: quality for time, training speed on one network, sampling speed, a slider's move.

    python benchmarks/diffusion.py [--seconds 600] [--count 2000] [--only PART] [--out FOLDER] [--threads N]

quality: each is trained from nothing for --seconds, and draws --count images at 50 steps, which one classifier's features
judge. throughput: diffusers' network, trained by its example's loop and by this project's. sampling, slider: seconds.
walks: the ways back from noise beside each other, at equal calls of the network.
"""

import argparse
import json
import math
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")  # read when tqdm is imported; some peers' bars have no other switch

import torch
from diffusion_peers import PEERS, Diffusers, Unet2DNetwork, check_installed
from torch.utils.data import DataLoader

from v101_utils import runtime, zoo
from v101_utils.data import Batches, fashion_mnist, to_signed, to_unit
from v101_utils.diffusion import Denoiser, DiffusionTask, cosine, heun
from v101_utils.files import write_atomically
from v101_utils.nn import UNet
from v101_utils.training import Ema, fit, warmup_cosine
from v101_utils.view.pictures import grid
from v101_utils.zoo.recipes import fashion_frechet, recipe

BATCH, DRAWN = 128, 250  # images in a batch that trains, and in one that is drawn


class Clock:
    """Ends a training in time, and foresees its number of steps for a learning rate that is to have decayed by then.

    The forecast begins after 20 steps and is corrected at each, because other work on the machine changes the pace.
    """

    def __init__(self, seconds: float):
        self.start, self.seconds = time.perf_counter(), seconds
        self.number, self.steps = 0, 10**9  # steps done, and in all: at first unknown, which is in time for a warm-up

    def tick(self) -> bool:
        """Counts a step. False if another might end too late."""
        self.number += 1
        now = time.perf_counter()
        if self.number == 1:
            self.first = now  # the first step is slow, and is no measure of the others
        each = (now - self.first) / (self.number - 1) if self.number > 1 else now - self.start
        left = self.seconds - (now - self.start)
        if self.number >= 20:
            self.steps = self.number + max(0, int(left / each))
        return left > 1.5 * each

    @property
    def spent(self) -> float:
        return time.perf_counter() - self.start


def fresh_plan(task, batch) -> runtime.Plan:
    """The plan that `fit` would choose, measured now: neither another run's, nor free of charge."""
    with tempfile.TemporaryDirectory() as folder:
        return runtime.fastest(task, batch, cache=Path(folder) / "plans.json")


def train_until(clock: Clock, task, batches, ema: Ema, plan: runtime.Plan) -> None:
    """Trains `task` and its average until the clock says stop, with a learning rate that has decayed by then."""
    for _ in fit(
        task, batches, 10**9, ema=ema, plan=plan, progress=False,
        lr_schedule=lambda step: warmup_cosine(clock.steps)(step),
    ):  # fmt: skip
        if not clock.tick():
            break


def train_ours(clock: Clock) -> tuple[Denoiser, str]:
    made = recipe("ddpm-fashion")
    torch.manual_seed(runtime.derive_seed(0, 1))
    model, batches = made.build(), made.batches(0, runtime.device())
    ema, task = Ema(model, made.ema), made.task(model)
    plan = fresh_plan(task, batches(0))
    train_until(clock, task, batches, ema, plan)
    return ema.average, f"{plan.precision}, channels_last {plan.channels_last}"


def batched(draw, count: int) -> torch.Tensor:
    return torch.cat([draw(min(DRAWN, count - start)).cpu() for start in range(0, count, DRAWN)])


class Record:
    """What the quality part has found, printed at once and kept in FOLDER/diffusion.json, with a picture of each."""

    def __init__(self, out: Path | None, **settings):
        self.out, self.found = out, {"machine": runtime.machine(), **settings}

    def add(self, name: str, distance: float, images: torch.Tensor | None = None, **more) -> None:
        details = ", ".join(f"{key} {value}" for key, value in more.items())
        print(f"{name}: Frechet {distance:.2f}" + (f" ({details})" if details else ""), flush=True)
        self.found[name] = {"frechet": distance, **more}
        if self.out:
            with write_atomically(self.out / "diffusion.json") as partial:
                partial.write_text(json.dumps(self.found, indent=1))
            if images is not None:
                grid(to_signed(images[:60]), columns=10).save(self.out / f"{name.replace(' ', '-').replace(',', '')}.png")


def quality(seconds: float, count: int, out: Path | None) -> None:
    check_installed(*PEERS)
    train, test, frechet = fashion_mnist("train"), fashion_mnist("test"), fashion_frechet()
    record = Record(out, seconds=seconds, count=count, torch=torch.__version__)
    record.add(f"{count} real test images", frechet(to_unit(test.images[:count])))
    ours = judge_ours(record, frechet, seconds, count)
    theirs = {}
    for name, peer in PEERS.items():
        torch.manual_seed(0)
        clock = Clock(seconds)
        trained = peer()
        for _ in trained.training(DataLoader(train.images, BATCH, shuffle=True, drop_last=True), clock):
            if not clock.tick():
                break
        spent, start = clock.spent, time.perf_counter()
        images = batched(trained.draw, count)
        theirs[name] = frechet(images)
        record.add(name, theirs[name], images, steps=clock.number, seconds=round(spent),
                   seconds_an_image=round((time.perf_counter() - start) / count, 4))  # fmt: skip
    best = min(theirs, key=theirs.get)
    ratios = ", ".join(f"{how} 1/{theirs[best] / distance:.1f}" for how, distance in ours.items())
    print(f"ratios of Frechet distances to that of the best peer ({best}): {ratios} (at most 1/12 is asked)", flush=True)


def judge_ours(record: Record, frechet, seconds: float, count: int) -> dict[str, float]:
    """Trains ours and adds its distances to the record: with a fair mix of labels, with none, and guided."""
    clock = Clock(seconds)
    model, plan = train_ours(clock)
    spent, distances = clock.spent, {}
    for name, how in {"unguided": {}, "null label": {"labels": "none"}, "guidance 2.5": {"guidance": 2.5}}.items():
        start = time.perf_counter()
        images = to_unit(model.sample(count, **how)).cpu()
        distances[name] = frechet(images)
        record.add(f"ours, {name}", distances[name], images, steps=clock.number, seconds=round(spent), plan=plan,
                   seconds_an_image=round((time.perf_counter() - start) / count, 4))  # fmt: skip
    return distances


def median_seconds(runs: dict, rounds: int = 5) -> dict[str, float]:
    """The median seconds of each of `runs`, in alternating rounds, so that a slow minute of the machine hits all."""
    seconds = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            runtime.wait_for(runtime.device())
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(found) for name, found in seconds.items()}


def throughput(steps: int = 2) -> None:
    """Images a second of training: diffusers' network in two loops, and this project's of the same layers."""
    check_installed("diffusers")
    images = fashion_mnist("train").images
    batches, clock, theirs = Batches(images.to(runtime.device()), size=BATCH), Clock(math.inf), Diffusers()
    trainings = {"diffusers' loop": theirs.training(DataLoader(images, BATCH, shuffle=True, drop_last=True), clock)}
    own = UNet(fold=1, widths=(32, 64, 128), blocks=2, attention=(False, True, True))
    for name, network in {"this project's loop": Unet2DNetwork(), "this project's loop and network": own}.items():
        task = DiffusionTask(Denoiser(network, cosine()))
        plan, ema = fresh_plan(task, batches(0)), Ema(task.model)
        size = sum(p.numel() for p in network.parameters())
        print(f"{name}: {size:,} parameters, precision {plan.precision}, channels_last {plan.channels_last}", flush=True)
        trainings[name] = fit(task, batches, 10**9, ema=ema, plan=plan, progress=False)
    runs = {name: lambda training=training: [next(training) for _ in range(steps)] for name, training in trainings.items()}
    speed = {name: steps * BATCH / seconds for name, seconds in median_seconds(runs).items()}
    print("training, images a second: " + "; ".join(f"{name} {images:.0f}" for name, images in speed.items()))
    plain, ours, whole = speed.values()
    print(f"ratio on diffusers' network, this loop to its own: {ours / plain:.2f} (at least 2 is asked); "
          f"with this project's network: {whole / plain:.2f}", flush=True)  # fmt: skip


def ours_for_speed() -> Denoiser:
    """The network of the zoo, or one of the same size: untrained weights cost the same time."""
    try:
        return zoo.load("ddpm-fashion").to(runtime.device())
    except (FileNotFoundError, KeyError):
        print("ddpm-fashion has no weights here: untrained ones are timed")
        return recipe("ddpm-fashion").build().to(runtime.device()).eval()


def sampling(few: int = 5) -> None:
    """Seconds an image at 50 steps in a batch of 250; of diffusers' network a few steps are timed, and scaled."""
    check_installed("diffusers")
    model, theirs = ours_for_speed(), Diffusers()
    runs = {"ours": lambda: model.sample(DRAWN, steps=50).cpu(), "theirs": lambda: theirs.draw(DRAWN, steps=few)}
    seconds = median_seconds(runs, rounds=3)
    ours, theirs = seconds["ours"] / DRAWN, seconds["theirs"] / DRAWN * 50 / few
    print(f"sampling, 50 steps, a batch of {DRAWN}: ours {ours:.4f} s an image (at most 0.03 is asked); diffusers, DDIM, "
          f"scaled from {few} steps, {theirs:.4f}; ratio {ours / theirs:.3f} (at most 0.1 is asked)", flush=True)  # fmt: skip


def walks(count: int) -> None:
    """The Frechet distance of every way back from noise, with `ddpm-fashion`, at about equal calls of the network."""
    model, frechet = ours_for_speed(), fashion_frechet()
    for calls in (20, 50, 100):
        rules = {"em": ("em", calls), "pc": ("pc", (calls + 1) // 2), "ancestral": ("ddpm", calls), "ddim": ("ddim", calls),
                 "heun": (heun(), (calls + 1) // 2), "dpm": ("dpm", calls)}  # fmt: skip
        found = {name: frechet(to_unit(model.sample(count, steps=steps, sampler=rule))) for name, (rule, steps) in rules.items()}
        print(f"{calls} calls: " + ", ".join(f"{name} {distance:.1f}" for name, distance in found.items()), flush=True)
    print(f"adaptive ode: {frechet(to_unit(model.sample(count, sampler='ode'))):.1f}", flush=True)


def slider(moves: int = 5) -> None:
    """Seconds a move of the guidance slider, with its 16 images."""
    from v101_utils.widgets.diffusion import GuidanceView
    from v101_utils.widgets.live import png

    view = GuidanceView(ours_for_speed())
    seconds = median_seconds({"move": lambda: png(view.render(8, 3.0))}, rounds=moves)["move"]
    print(f"the guidance slider: {seconds:.2f} s a move (under 0.8 is asked)", flush=True)


def run_parts(parts: dict, only: str | None, threads: int | None) -> None:
    """Runs the part called `only`, or all of them, with so many threads (None: as many as there are)."""
    if threads:
        torch.set_num_threads(threads)
    runtime.set_up(seed=0)
    for name, part in parts.items():
        if only in (None, name):
            part()


def main(seconds: float, count: int, only: str | None, out: Path | None, threads: int | None) -> None:
    if out:
        out.mkdir(parents=True, exist_ok=True)
    parts = {"slider": slider, "sampling": sampling, "throughput": throughput, "walks": lambda: walks(count),
             "quality": lambda: quality(seconds, count, out)}  # fmt: skip
    run_parts(parts, only, threads)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seconds", type=float, default=600, help="of training, for each")
    arguments.add_argument("--count", type=int, default=2000, help="of images that are judged, of each")
    arguments.add_argument("--only", choices=["quality", "throughput", "sampling", "slider", "walks"])
    arguments.add_argument("--out", type=Path, help="a folder for the figures of the quality part, and its pictures")
    arguments.add_argument("--threads", type=int)
    main(**vars(arguments.parse_args()))
