"""Super-resolution by a factor of 3: ESPCN beside SRCNN, and both beside the network of pytorch/examples.

    python benchmarks/superres.py [--only PART] [--seconds 120] [--threads N]

speed: seconds to enlarge a brightness of 171 x 171 pixels to 513 x 513, and the multiply-adds of it. Untrained networks: that
costs the same time. SRCNN's seconds include the bicubic enlargement that it starts from.
quality: each is trained from nothing for --seconds, by the same loop on the same crops, and enlarges the photographs that
nothing trains on; PSNR of the brightness, borders of 3 pixels left out, above that of bicubic interpolation.
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch
from diffusion import Clock, fresh_plan, median_seconds, run_parts, train_until
from superres_peers import PytorchExamples

from v101_utils import runtime
from v101_utils.data.crops import HELD_OUT, SCENES, PhotoCrops
from v101_utils.data.photos import photo
from v101_utils.runtime import multiply_adds
from v101_utils.superres import ESPCN, SRCNN, RestorationTask, Restorer, restore, score
from v101_utils.training import Ema

FACTOR, SIDE = 3, 171  # 171 * 3 is the first multiple of 3 from 512 on
NETWORKS: dict[str, Callable[[], Restorer]] = {
    "ESPCN": lambda: ESPCN(factors=(FACTOR,)), "SRCNN 9-1-5": lambda: SRCNN(1, factors=(FACTOR,)),
    "SRCNN 9-5-5": lambda: SRCNN(5, factors=(FACTOR,)), "pytorch/examples": lambda: PytorchExamples(FACTOR),
}  # fmt: skip


@torch.no_grad()
def speed() -> None:
    """Seconds and multiply-adds of each network for one picture, and how many times those of ESPCN they are."""
    where = runtime.device()
    low = torch.rand(1, 1, SIDE, SIDE, generator=runtime.generator(0)).to(where)
    networks = {name: build().to(where).eval() for name, build in NETWORKS.items()}
    seconds = median_seconds({name: lambda net=net: net(low, FACTOR).cpu() for name, net in networks.items()}, rounds=10)
    works = {name: multiply_adds(net, low, FACTOR) for name, net in networks.items()}
    for name in NETWORKS:
        print(f"{name}: {seconds[name] * 1000:.1f} ms, {works[name] / 1e6:,.0f} million multiply-adds; ESPCN is "
              f"{seconds[name] / seconds['ESPCN']:.1f} times as fast, with 1/{works[name] / works['ESPCN']:.1f} of them",
              flush=True)  # fmt: skip
    print(f"ratio of seconds, SRCNN 9-1-5 to ESPCN: {seconds['SRCNN 9-1-5'] / seconds['ESPCN']:.1f} (at least 5 is asked)")


def train(build: Callable[[], Restorer], seconds: float) -> tuple[Restorer, int]:
    """The averaged network after `seconds` of training, and the steps done."""
    torch.manual_seed(runtime.derive_seed(0, 1))
    model, batches = build(), PhotoCrops(16, 72, names=SCENES, device=runtime.device())
    ema, task = Ema(model, 0.995), RestorationTask(model, factors=(FACTOR,))
    plan = fresh_plan(task, batches(0))
    clock = Clock(seconds)
    train_until(clock, task, batches, ema, plan)
    return ema.average, clock.number


def gain(model: Restorer, name: str) -> float:
    """How many dB the network is above bicubic interpolation on the photograph called `name`."""
    truth = photo(name).to(runtime.device())
    ours, bicubic = (score(partial(restore, which), truth, FACTOR)["psnr_db"] for which in (model, None))
    return ours - bicubic


def quality(seconds: float) -> None:
    """Each network in as many seconds of training, by its gain over bicubic."""
    found = {}
    for name, build in NETWORKS.items():
        model, steps = train(build, seconds)
        gains = {held: gain(model, held) for held in HELD_OUT}
        found[name] = sum(gains.values()) / len(gains)
        each = ", ".join(f"{held} {db:+.2f}" for held, db in gains.items())
        print(f"{name}, trained for {seconds:.0f} s ({steps} steps): {found[name]:+.2f} dB on bicubic ({each})", flush=True)
    print(f"ESPCN above pytorch/examples' network: {found['ESPCN'] - found['pytorch/examples']:+.2f} dB")


def main(seconds: float, only: str | None, threads: int | None) -> None:
    run_parts({"speed": speed, "quality": lambda: quality(seconds)}, only, threads)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seconds", type=float, default=120, help="of training, for each")
    arguments.add_argument("--only", choices=["speed", "quality"])
    arguments.add_argument("--threads", type=int)
    main(**vars(arguments.parse_args()))
