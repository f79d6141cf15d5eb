"""Progressive growing: small pictures first, larger ones faded in (Karras 2018, sec. 2)."""

import math

import torch

from v101_utils.gans.equalised import downsample, upsample
from v101_utils.gans.task import AdversarialTask


class Growth:
    """How far a network has grown, as one number: 0 is 4x4 pixels, 1 is 8x8, 2 is 16x16; 1.3 is 16x16 faded in by 0.3.

    A mix-in for a network with a buffer `growth` that starts at `levels - 1`, fully grown. A buffer, so that weights,
    checkpoints and moving averages carry it with them.
    """

    def init_growth(self, levels: int) -> None:
        self.levels = levels
        self.register_buffer("growth", torch.tensor(float(levels - 1)))

    def stage(self) -> tuple[int, float]:
        """The level of the largest pictures, and how much of it is faded in, in (0, 1]."""
        growth = float(self.growth)
        level = math.ceil(growth)
        return level, 1.0 - (level - growth)


def shrink(images: torch.Tensor, growth: float) -> torch.Tensor:
    """Images (B, C, S, S) as a network of this growth should see them: of its side, and as coarse as it is still blind."""
    level = math.ceil(growth)
    while images.shape[-1] > 4 * 2**level:
        images = downsample(images)
    return images if level == growth else torch.lerp(upsample(downsample(images)), images, 1.0 - (level - growth))


class GrowingTask(AdversarialTask):
    """An adversarial task whose networks grow: `growths(step)` says how far (see `Growth`), and real images shrink to match."""

    def __init__(self, generator, discriminator, growths, *args, **options):
        super().__init__(generator, discriminator, *args, **options)
        self.growths = growths

    def training_step(self, batch, minimise):
        images, *rest = batch if isinstance(batch, (tuple, list)) else (batch,)
        for network in (self.generator, self.discriminator):
            network.growth.fill_(self.growths(int(self.done) // self.critic_steps))
        growth = float(self.generator.growth)  # as the networks see it, in float32: rounding may reach the next level
        return super().training_step((shrink(images, growth), *rest), minimise) | {"growth": self.generator.growth}


def grow_by(fade: int, hold: int, levels: int):
    """step -> growth: `hold` steps at each level, `fade` steps from one to the next."""
    if fade < 1 or hold < 0 or levels < 1:
        raise ValueError(f"fade {fade}, hold {hold}, levels {levels}: they should be at least 1, 0 and 1")

    def growth(step: int) -> float:
        level, place = divmod(step, fade + hold)
        return min(levels - 1.0, level + max(0, place + 1 - hold) / fade)

    return growth
