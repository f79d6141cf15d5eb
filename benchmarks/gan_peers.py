"""The peers of `benchmarks/gans.py`: training steps as well-known scripts have them, on this project's networks.

Each is a function (generator, discriminator) -> step(images), images (B, C, H, W) in [-1, 1]; all run in fp32, as the
scripts do on a CPU. Only the networks are handed in, so that both sides of a comparison work on the same layers.
"""

import numpy as np
import torch
from torch import nn


def pytorch_examples_dcgan(generator: nn.Module, discriminator: nn.Module):
    """pytorch/examples/dcgan/main.py: a sigmoid and BCELoss, two backward passes for the discriminator, Adam 2e-4, 0.5."""
    criterion = nn.BCELoss()
    optimiser_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimiser_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def step(real: torch.Tensor) -> None:
        discriminator.zero_grad()
        label = torch.full((len(real),), 1.0, device=real.device)
        criterion(torch.sigmoid(discriminator(real)).view(-1), label).backward()
        fake = generator(torch.randn(len(real), generator.latent_dim, device=real.device))
        label.fill_(0.0)
        criterion(torch.sigmoid(discriminator(fake.detach())).view(-1), label).backward()
        optimiser_d.step()
        generator.zero_grad()
        label.fill_(1.0)
        criterion(torch.sigmoid(discriminator(fake)).view(-1), label).backward()
        optimiser_g.step()

    return step


def pytorch_gan_wgan_gp(generator: nn.Module, discriminator: nn.Module):
    """The critic's step of eriklindernoren/PyTorch-GAN, wgan_gp.py: the fakes keep their graph. Adam 2e-4, 0.5."""
    optimiser = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimiser_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def penalty(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        alpha = torch.tensor(np.random.random((len(real), 1, 1, 1)), dtype=torch.float32, device=real.device)
        between = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
        scores = discriminator(between)
        gradients = torch.autograd.grad(
            outputs=scores, inputs=between, grad_outputs=torch.ones_like(scores), create_graph=True, retain_graph=True,
            only_inputs=True)[0]  # fmt: skip
        return ((gradients.view(len(real), -1).norm(2, dim=1) - 1) ** 2).mean()

    def step(real: torch.Tensor) -> None:
        optimiser.zero_grad()
        latents = np.random.normal(0, 1, (len(real), generator.latent_dim))
        fake = generator(torch.tensor(latents, dtype=torch.float32, device=real.device))
        loss = -discriminator(real).mean() + discriminator(fake).mean() + 10 * penalty(real.data, fake.data)
        loss.backward()
        optimiser.step()
        optimiser_g.zero_grad()

    return step
