"""GANs here beside well-known scripts: quality for the same training seconds, and the time of a training step.

    python benchmarks/gans.py [--only PART] [--seconds N] [--threads N]   # the parts: steps, quality, seeds

quality: the recipe of pytorch/examples' dcgan is trained for as many seconds as each of the zoo's GANs was, by its card,
and judged on the same features: on networks as the script has them, convolutions alone, at the size and width of the zoo's,
and on those of `dcgan-fashion` themselves, which have a hidden layer. Run it with as many threads as the cards say.
steps: one training step of a DCGAN, and one of a WGAN-GP critic, in this project's loop and as the scripts have them, on
the same networks and batch; the critic with a penalty at every step, as there, and at every other, as `wgangp-fashion` has it.
seeds: the recipes' first steps, as many as their chapters take, from five starts: does any of them run away?
"""

import argparse
import time

import torch
from diffusion import median_seconds, run_parts
from gan_peers import pytorch_examples_dcgan, pytorch_gan_wgan_gp
from torch.nn import functional as F

from v101_utils import runtime, zoo
from v101_utils.data import Batches, fashion_mnist, to_unit
from v101_utils.data.shapes import draw, sample_factors
from v101_utils.gans import AdversarialTask, Discriminator, Generator, GradientPenalty
from v101_utils.training import Ema, fit
from v101_utils.zoo.gan_recipes import class_shares, dcgan_task
from v101_utils.zoo.recipes import fashion_frechet, label_accuracy, recipe

BATCH, COUNT = 64, 2000
OURS = ("dcgan-fashion", "wgangp-fashion", "cgan-fashion")
CHAPTERS = {"dcgan-fashion": 1000, "wgangp-fashion": 600, "cgan-fashion": 400, "stylegan-shapes": 1200}  # steps of their live trainings


NETWORKS = {
    "its own networks": lambda: (Generator(width=32), Discriminator(width=32)),
    "those of dcgan-fashion": lambda: (made := recipe("dcgan-fashion").build(), dcgan_task(made).discriminator),
}


def train_peer(networks: str, moments: list[float], judge) -> dict[float, float]:
    """The Frechet distance of pytorch/examples' recipe after each of `moments`, in seconds of training."""
    torch.manual_seed(0)
    where = runtime.device()
    generator, discriminator = (network.to(where) for network in NETWORKS[networks]())
    images, step = fashion_mnist("train", device=where).images, pytorch_examples_dcgan(generator, discriminator)
    batches = Batches(images, size=BATCH)
    spent, number, found = 0.0, 0, {}
    for moment in sorted(set(moments)):
        while spent < moment:
            start = time.perf_counter()
            step(batches(number)[0])
            spent, number = spent + time.perf_counter() - start, number + 1
        with torch.no_grad():  # as the script draws: in training mode
            images = torch.cat([generator(torch.randn(250, generator.latent_dim, device=where)) for _ in range(COUNT // 250)])
        found[moment] = judge(to_unit(images))
        print(f"pytorch/examples dcgan on {networks}, {number} steps, {spent:.0f} s: Frechet {found[moment]:.1f}, smallest share of "
              f"a class {class_shares(images).min():.3f}", flush=True)  # fmt: skip
    return found


def quality(seconds: float | None) -> None:
    judge, cards = fashion_frechet(), {name: zoo.card(name) for name in OURS}
    moments = {name: seconds or card["seconds"] for name, card in cards.items()}
    theirs = [train_peer(networks, list(moments.values()), judge) for networks in NETWORKS]
    for name, card in cards.items():
        model = zoo.load(name)
        print(f"{name}, {card['steps']} steps, {card['seconds']} s on {card['machine']}:", flush=True)
        for psi in (1.0, 0.75) if model.classes else (1.0,):
            images = model.sample(COUNT, seed=0, psi=psi)
            ours, (own, same) = judge(to_unit(images)), (found[moments[name]] for found in theirs)
            right = f", labels right {label_accuracy(images, torch.arange(COUNT) % 10):.3f}" if model.classes else ""
            print(f"  psi {psi:g}: Frechet {ours:.1f}, smallest share of a class {class_shares(images).min():.3f}{right}; ratio to "
                  f"the peer {ours / own:.2f} (at most 0.5 is asked), on the same networks {ours / same:.2f}", flush=True)  # fmt: skip


class CriticAlone(AdversarialTask):
    """The critic's step of an adversarial task, and no other."""

    def training_step(self, batch, minimise):
        with torch.no_grad():
            fake = self.generate(len(batch[0]))
        return self.discriminator_step(batch[0], fake, None, minimise)


def pairs(size: int, channels: int, norm: str):
    """The same initial pair, twice: for the peer and for this project."""
    def pair():
        torch.manual_seed(0)
        return Generator(channels, size, 100, 64), Discriminator(channels, size, 64, norm=norm)

    return pair(), pair()


def steps(few: int = 2) -> None:
    """`few` is even: a penalty at every other step then falls into each of the times that are taken."""
    where, wasserstein = runtime.device(), {"objective_": "wasserstein"}
    for size, channels in ((28, 1), (64, 3)):
        images = torch.randn(BATCH, channels, size, size, device=where).clamp(-1, 1)
        for name, norm, peer, task, options, asked in (
            ("DCGAN step", "batch", pytorch_examples_dcgan, AdversarialTask, {}, 2.0),
            ("WGAN-GP critic step", "layer", pytorch_gan_wgan_gp, CriticAlone,
             wasserstein | {"constraint": GradientPenalty(10.0)}, 1.5),
            ("WGAN-GP critic step, a penalty at every other", "layer", pytorch_gan_wgan_gp, CriticAlone,
             wasserstein | {"constraint": GradientPenalty(10.0, every=2)}, 1.5),
        ):  # fmt: skip
            theirs, ours = pairs(size, channels, norm)
            step, made = peer(*(network.to(where) for network in theirs)), task(*ours, **options)
            plan = runtime.fastest(made, (images,))
            training = fit(made, lambda _: (images,), 10**9, plan=plan, progress=False)
            runs = {
                "theirs": lambda: [step(images) for _ in range(few)],
                "ours": lambda: [next(training) for _ in range(few)],
            }
            seconds = median_seconds(runs)
            print(f"{name}, {size}x{size}x{channels}, batch {BATCH}: theirs {seconds['theirs'] / few:.3f} s, ours "
                  f"{seconds['ours'] / few:.3f} s ({plan.precision}, channels_last {plan.channels_last}); "
                  f"{seconds['theirs'] / seconds['ours']:.2f} times as fast (at least {asked:g} is asked)", flush=True)  # fmt: skip


def seeds(count: int = 5) -> None:
    """The distance of the averaged generator's samples after the first steps, and the same before any, for each seed.

    Of drawn shapes, which no classifier of clothes can judge, it is the distance to the nearest real one.
    """
    frechet = fashion_frechet(18_000)
    for name, steps in CHAPTERS.items():
        found, made, judge = [], recipe(name), nearest_shapes if name.endswith("shapes") else frechet
        for seed in range(count):
            torch.manual_seed(runtime.derive_seed(seed, 1))
            model = made.build()
            before, ema = judge(to_unit(model.sample(COUNT))), Ema(model, 0.99)
            batches, plan = made.batches(seed, runtime.device()), runtime.Plan()
            for step in fit(made.task(model), batches, steps, seed=seed, ema=ema, plan=plan, progress=False):
                pass  # it ends with NotFinite where a scalar or a weight is not
            scores = step.scalars["real"], step.scalars["fake"]
            found.append((before, judge(to_unit(ema.average.sample(COUNT))), *scores))
        print(f"{name}, {steps} steps, seeds 0 to {count - 1}: before, after; last scores of real and of drawn: " + "; ".join(
            f"{before:.4g}, {after:.4g}; {real:.2g}, {fake:.2g}" for before, after, real, fake in found), flush=True)  # fmt: skip


def nearest_shapes(images: torch.Tensor) -> float:
    """The mean squared distance of images (N, 3, S, S) in [0, 1] to the nearest of 5,000 real ones, at the side that they have."""
    real = to_unit(torch.cat([draw(sample_factors(1000, 22, part)) for part in range(5)]))
    real = F.adaptive_avg_pool2d(real, images.shape[-1]).flatten(1)
    return torch.cdist(images.cpu().flatten(1), real).min(1).values.square().mean().item() / real.shape[1]


def main(only: str | None, seconds: float | None, threads: int | None) -> None:
    run_parts({"steps": steps, "quality": lambda: quality(seconds), "seeds": seeds}, only, threads)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--only", choices=["steps", "quality", "seeds"])
    arguments.add_argument("--seconds", type=float, help="of the peer's training, instead of those on the cards")
    arguments.add_argument("--threads", type=int)
    main(**vars(arguments.parse_args()))
