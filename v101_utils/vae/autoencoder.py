"""An autoencoder whose latents are a small picture: the first half of latent diffusion."""

import torch
from torch import nn
from torch.nn import functional as F

from v101_utils.nn.attention import SelfAttention
from v101_utils.nn.residual import ResidualBlock
from v101_utils.training.task import Task, adamw
from v101_utils.vae.objective import kl_to_prior, reparameterise


def _ending(width: int, channels: int) -> list[nn.Module]:
    return [nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1)]


class Autoencoder(nn.Module):
    """Images (B, C, S, S) in [-1, 1] to latents (B, latents, S / down, S / down) and back (Rombach et al. 2022, sec. 3.1).

    The image is folded by 2 and then halved once less than there are widths, so `down` is 4 for two widths and 8 for three.
    `encode` and `decode` speak of the posterior as it was trained; `to_latents` and `to_images` of latents with mean 0 and
    standard deviation 1 in each channel, which is what diffusion wants (app. G, with one deviation for
    all channels). That mean and deviation are measured while
    the network is trained, and kept with the weights.
    """

    def __init__(self, channels: int = 3, size: int = 64, latents: int = 4, widths=(32, 64)):
        super().__init__()
        self.down = 2 ** len(widths)
        if size % self.down:
            raise ValueError(f"size {size} cannot be halved {len(widths)} times; it should be a multiple of {self.down}")
        self.shape, self.latent_shape = (channels, size, size), (latents, size // self.down, size // self.down)
        first, last, pairs = widths[0], widths[-1], list(zip(widths, widths[1:]))
        halve = [layer for a, b in pairs for layer in (nn.Conv2d(a, b, 3, stride=2, padding=1), ResidualBlock(b, b))]
        double = [layer for a, b in pairs[::-1]
                  for layer in (nn.Conv2d(b, a, 1), nn.Upsample(scale_factor=2), ResidualBlock(a, a))]  # fmt: skip
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(2), nn.Conv2d(4 * channels, first, 3, padding=1), ResidualBlock(first, first), *halve,
            SelfAttention(last), ResidualBlock(last, last), *_ending(last, 2 * latents))  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(latents, last, 3, padding=1), ResidualBlock(last, last), SelfAttention(last), ResidualBlock(last, last),
            *double, *_ending(first, 4 * channels), nn.PixelShuffle(2))  # fmt: skip
        self.register_buffer("mean", torch.zeros(latents, 1, 1))
        self.register_buffer("deviation", torch.ones(latents, 1, 1))

    def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log-variance of q(z|x), each (B, latents, s, s). Raises ValueError for images of another shape."""
        if tuple(images.shape[1:]) != self.shape:
            raise ValueError(f"images have shape {tuple(images.shape)}; they should be (B, {', '.join(map(str, self.shape))})")
        mean, log_var = self.encoder(images).chunk(2, dim=1)
        return mean, log_var.clamp(-20, 10)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """The image (B, C, S, S) of latents as `encode` has them. Raises ValueError for latents of another shape."""
        self._check_latents(latents)
        return self.decoder(latents)

    def _check_latents(self, latents: torch.Tensor) -> None:
        if tuple(latents.shape[1:]) != self.latent_shape:
            wanted = ", ".join(map(str, self.latent_shape))
            raise ValueError(f"latents have shape {tuple(latents.shape)}; they should be (B, {wanted})")

    def forward(self, images: torch.Tensor, noisy: bool = True):
        """Reconstructions of sampled latents, or of their means if not `noisy`, and the posterior's mean and log-variance."""
        mean, log_var = self.encode(images)
        return self.decode(reparameterise(mean, log_var) if noisy else mean), mean, log_var

    @torch.no_grad()
    def track(self, latents: torch.Tensor, keep: float = 0.99) -> None:
        """Moves the measured mean and deviation of each channel towards those of latents (B, latents, s, s): some 500 calls."""
        deviation, mean = torch.std_mean(latents.float(), dim=(0, 2, 3))
        self.mean.lerp_(mean[:, None, None], 1 - keep)
        self.deviation.lerp_(deviation[:, None, None], 1 - keep)

    @torch.no_grad()
    def to_latents(self, images: torch.Tensor) -> torch.Tensor:
        """The posterior means, at mean 0 and standard deviation 1 in each channel."""
        return torch.cat([(self.encode(part)[0] - self.mean) / self.deviation for part in images.split(250)])

    @torch.no_grad()
    def to_images(self, latents: torch.Tensor) -> torch.Tensor:
        """The images, in [-1, 1], of latents as `to_latents` gives them. Raises ValueError for latents of another shape."""
        self._check_latents(latents)
        return torch.cat([self.decode(part * self.deviation + self.mean).clamp(-1, 1) for part in latents.split(250)])

    def reconstruct(self, images: torch.Tensor) -> torch.Tensor:
        """Images, encoded and decoded, (N, C, S, S) in [-1, 1]; no noise, so the same each time."""
        return self.to_images(self.to_latents(images))


class AutoencoderTask(Task):
    """Squared error per pixel, a KL divergence per pixel times `kl`, and a perceptual term where there are features.

    kl: small; it buys latents that a little noise does not spoil, and that are near each other. 0 is none: the latents are
    then the encoder's mean. features: a network whose features (B, ...) of the image and of its copy should agree, in mean
    squared error times `perceptual`.
    """

    def __init__(self, model: Autoencoder, kl: float = 1e-2, features: nn.Module | None = None, perceptual: float = 0.1, lr=2e-3):
        super().__init__()
        if kl < 0 or perceptual < 0:
            raise ValueError(f"kl {kl}, perceptual {perceptual}: they should be 0 or above")
        self.model, self.kl, self.perceptual = model, kl, perceptual
        self.features = None if features is None else features.eval().requires_grad_(False)
        self.optimisers = {"model": adamw(model.parameters(), lr)}

    def train(self, mode: bool = True):
        """As any module, but the features stay as they were trained: no dropout, no new statistics."""
        super().train(mode)
        if self.features is not None:
            self.features.eval()
        return self

    def training_step(self, batch, minimise):
        images = batch[0]  # (B, C, S, S) in [-1, 1]
        copies, mean, log_var = self.model(images, noisy=self.kl > 0)
        copies = copies.float()
        rate = kl_to_prior(mean.float(), log_var.float()).flatten(1).sum(1).mean()  # nats an image
        terms = {"error": F.mse_loss(copies, images), "rate": rate}
        loss = terms["error"] + self.kl * rate / images[0].numel()
        if self.features is not None:
            terms["perceptual"] = F.mse_loss(self.features(copies), self.features(images))
            loss = loss + self.perceptual * terms["perceptual"]
        self.model.track(mean)
        minimise(loss, self.optimisers["model"])
        return {"loss": loss, **terms}
