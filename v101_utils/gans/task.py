"""The adversarial game as a task of the training loop: any objective, any constraint, any pair of networks."""

import torch
from torch import nn

from v101_utils.gans.constraints import Constraint
from v101_utils.gans.objectives import Objective, objective
from v101_utils.training.task import Task


class AdversarialTask(Task):
    """Trains `generator` (latents, labels -> images) against `discriminator` (images, labels -> raw scores).

    A batch is images, or (images, labels), and is cut into `critic_steps` parts: the discriminator takes a step on each,
    the generator one on the last. So a step of the loop is always one step of the generator.

    rates: the learning rates of generator and discriminator; two, because the discriminator may need the larger one
    (Heusel 2017). betas: Adam's; a first one of 0.5 or 0, since the game turns and momentum remembers where it went.
    mismatched: the share, from 0 to below 1, of the fakes' weight that real images under wrong labels have (Reed et al. 2016,
    algorithm 1, GAN-CLS: a half). The discriminator hears sooner of labels, and drawn images become plainer cases of their class.
    Scalars: both losses, the mean scores of real and fake, and the penalty (0 at steps that are without).
    """

    def __init__(
        self, generator: nn.Module, discriminator: nn.Module, objective_: str | Objective = "non-saturating",
        constraint: Constraint | None = None, *, critic_steps: int = 1, rates=(2e-4, 2e-4), betas=(0.5, 0.999),
        mismatched: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        classes = getattr(generator, "classes", 0)
        if not 0 <= mismatched < 1 or (mismatched and classes < 2):
            raise ValueError(f"mismatched {mismatched} with {classes} classes: it should be from 0 to below 1, and 0 without 2 classes or more")
        if critic_steps < 1:
            raise ValueError(f"critic_steps {critic_steps}: it should be at least 1")
        self.objective, self.constraint, self.critic_steps = objective(objective_), constraint or Constraint(), critic_steps
        self.classes, self.mismatched = classes, mismatched
        self.constraint.prepare(discriminator)
        self.generator, self.discriminator, betas = generator, discriminator, tuple(map(float, betas))
        self.optimisers = {
            "generator": torch.optim.Adam(generator.parameters(), rates[0], betas),
            "discriminator": torch.optim.Adam(discriminator.parameters(), rates[1], betas),
        }
        self.register_buffer("done", torch.zeros((), dtype=torch.long))  # discriminator steps, kept in checkpoints

    def generate(self, count: int, labels=None) -> torch.Tensor:
        """Images of fresh latents, with their graph."""
        latents = torch.randn(count, self.generator.latent_dim, device=self.done.device)
        return self.generator(latents) if labels is None else self.generator(latents, labels)

    def score(self, images: torch.Tensor, labels=None) -> torch.Tensor:
        return (self.discriminator(images) if labels is None else self.discriminator(images, labels)).float()

    def wrong(self, labels: torch.Tensor) -> torch.Tensor:
        """For each of labels (B,) one of the others, all equally likely."""
        return (labels + torch.randint_like(labels, 1, self.classes)) % self.classes

    def discriminator_step(self, real, fake, labels, minimise) -> dict[str, torch.Tensor]:
        """One step on real and fake images (B, C, H, W); `fake` without its graph."""
        scores = self.score(real, labels), self.score(fake, labels)
        loss, penalty = self.objective.discriminator(*scores), None
        if self.mismatched:
            wrong = self.objective.discriminator(scores[0], self.score(real, self.wrong(labels)))
            loss = torch.lerp(loss, wrong, self.mismatched)
        if int(self.done) % self.constraint.every == 0:
            penalty = self.constraint.penalty(self.discriminator, real, fake, labels)
        total = loss if penalty is None else loss + self.constraint.every * penalty
        stepped = minimise(total, self.optimisers["discriminator"]) is not False
        if not stepped and self.critic_steps > 1:
            raise ValueError("critic_steps above 1 cannot go with accumulate: it cuts the batch already; take a smaller batch")
        self.constraint.after_step(self.discriminator)
        self.done += stepped
        found = {"discriminator": loss, "real": scores[0].mean(), "fake": scores[1].mean()}
        return found | {"penalty": loss.new_zeros(()) if penalty is None else penalty}

    def training_step(self, batch, minimise):
        images, *rest = batch if isinstance(batch, (tuple, list)) else (batch,)
        labels = rest[0] if rest and self.classes else None
        if len(images) % self.critic_steps:
            raise ValueError(f"a batch of {len(images)} cannot be cut into {self.critic_steps} parts, one for each critic step")
        size = len(images) // self.critic_steps
        for start in range(0, len(images), size):
            last = start + size == len(images)
            real, mine = images[start : start + size], None if labels is None else labels[start : start + size]
            with torch.set_grad_enabled(last):  # only the last fakes also train the generator
                fake = self.generate(size, mine)
            scalars = self.discriminator_step(real, fake.detach(), mine, minimise)
        loss = self.objective.generator(self.score(fake, mine))
        minimise(loss, self.optimisers["generator"])  # goes back through the discriminator, whose weights stay
        return {"generator": loss, **scalars}
