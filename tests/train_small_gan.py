"""A small GAN, trained from fixed weights by `accelerate launch`: python train_small_gan.py OUT STEPS."""

import sys

import torch
from torch import nn

from v101_utils.gans import R1, AdversarialTask, PointDiscriminator, PointGenerator
from v101_utils.runtime import Plan
from v101_utils.training import fit

POINTS = torch.randn(16, 2, generator=torch.Generator().manual_seed(0))


def task(seed: int = 0) -> nn.Module:
    """Plain gradient descent, which does not hide the size of a gradient as Adam does."""
    torch.manual_seed(seed)
    made = AdversarialTask(PointGenerator(hidden=8), PointDiscriminator(hidden=8), constraint=R1(0.5, every=2))
    networks = {"generator": made.generator, "discriminator": made.discriminator}
    made.optimisers = {name: torch.optim.SGD(network.parameters(), 0.1) for name, network in networks.items()}
    return made


def train(made, steps: int, **options) -> list[dict]:
    """The weights after each step."""
    training = fit(made, lambda step: (POINTS,), steps, plan=Plan(), progress=False, **options)
    return [{name: value.clone() for name, value in made.state_dict().items()} for _ in training]


if __name__ == "__main__":
    from accelerate import PartialState

    weights = train(task(PartialState(cpu=True).process_index), int(sys.argv[2]))
    torch.save(weights, f"{sys.argv[1]}.{PartialState().process_index}")
    PartialState().destroy_process_group()
