"""The convolutional pair (Radford et al. 2016), with labels or without."""

import torch
from torch import nn

from v101_utils.data.labels import labels_for
from v101_utils.runtime import device_of
from v101_utils.runtime import generator as random_generator

CONDITIONS, NORMS = ("projection", "concatenation"), ("batch", "layer", "none")


def halvings(size: int) -> tuple[int, int]:
    """How often a side is halved, and what remains, at least 4: 64 is 4 times 2^4, 28 is 7 times 2^2.

    Raises ValueError for a side that is below 8 or cannot be halved down to 4, 5, 6 or 7.
    """
    times, side = 0, size
    while side >= 8 and side % 2 == 0:
        times, side = times + 1, side // 2
    if times == 0 or side >= 8:
        raise ValueError(f"size {size}: it should be 4, 5, 6 or 7 times a power of two, at least 8, such as 28, 32 or 64")
    return times, side


def dcgan_weights(module: nn.Module) -> None:
    """Weights from N(0, 0.02), those of normalisations around 1 (Radford 2016, sec. 4)."""
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.Embedding)):
            nn.init.normal_(part.weight, 0.0, 0.02)
            if getattr(part, "bias", None) is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.weight, 1.0, 0.02)


def _norm(kind: str, channels: int, rows: bool = False) -> nn.Module:
    """A normalisation of pictures, or of rows of numbers: over the batch, over each image by itself, or none.

    Raises ValueError for another word.
    """
    if kind not in NORMS:
        raise ValueError(f"norm {kind!r}: it should be one of {NORMS}")
    over_batch = nn.BatchNorm1d if rows else nn.BatchNorm2d
    return {"batch": lambda: over_batch(channels), "layer": lambda: nn.GroupNorm(1, channels), "none": nn.Identity}[kind]()


class Generator(nn.Module):
    """Latents (B, latent_dim) and, where there are classes, labels (B,) to images (B, channels, size, size) in [-1, 1].

    The latent becomes a picture of 4x4 pixels (7x7 for 28) with many channels; transposed convolutions of stride 2 double
    the side and halve the channels, down to `width` before the last; batch normalisation and ReLU stand between, tanh at
    the end. Labels: an embedding of as many numbers as the latent has, beside the latent (Mirza & Osindero 2014). It starts
    near zero, like all weights here: one that starts as long as the latent drowns it, and each class becomes one picture.

    hidden: the width of one more layer, fully connected, between the latent and the first picture; 0 is none.
    """

    def __init__(self, channels=1, size=28, latent_dim=64, width=64, classes=0, norm="batch", hidden=0):
        super().__init__()
        times, side = halvings(size)
        self.latent_dim, self.classes, self.shape = latent_dim, classes, (channels, size, size)
        self.embed = nn.Embedding(classes, latent_dim) if classes else None
        chain = [width * 2**i for i in reversed(range(times))]  # channels at each side, the smallest first
        entering, bias = latent_dim * (2 if classes else 1), norm == "none"
        layers = [nn.ConvTranspose2d(entering, chain[0], side, bias=bias)]
        if hidden:
            layers = [nn.Flatten(), nn.Linear(entering, hidden, bias=bias), _norm(norm, hidden, rows=True), nn.ReLU(),
                      nn.Linear(hidden, chain[0] * side**2, bias=bias), nn.Unflatten(1, (chain[0], side, side))]  # fmt: skip
        for a, b in zip(chain, chain[1:]):
            layers += [_norm(norm, a), nn.ReLU(), nn.ConvTranspose2d(a, b, 4, 2, 1, bias=bias)]
        layers += [_norm(norm, chain[-1]), nn.ReLU(), nn.ConvTranspose2d(chain[-1], channels, 4, 2, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        dcgan_weights(self)

    def embedding(self, labels: torch.Tensor) -> torch.Tensor:
        """(B, latent_dim) of labels (B,) or, for what lies between classes, of their shares (B, classes)."""
        return shares_of(labels, self.classes) @ self.embed.weight

    def forward(self, latents: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        check_labels(labels, self.classes, len(latents))
        if tuple(latents.shape[1:]) != (self.latent_dim,):
            raise ValueError(f"latents are {tuple(latents.shape)}; they should be (B, {self.latent_dim})")
        x = latents if self.embed is None else torch.cat([latents, self.embedding(labels)], dim=1)
        return self.layers(x[:, :, None, None])  # (B, latent_dim, 1, 1) -> (B, C, size, size)

    @torch.no_grad()
    def draw(self, latents: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Images (N, C, size, size) of any number of latents (N, latent_dim), in parts, on the network's device."""
        where = device_of(self)
        parts = latents.split(250)
        asked = [None] * len(parts) if labels is None else labels.split(250)
        return torch.cat([self(z.to(where), None if y is None else y.to(where)) for z, y in zip(parts, asked, strict=True)])

    def latents(self, count: int, seed: int = 0) -> torch.Tensor:
        """(count, latent_dim) normal numbers; a pure function of the seed."""
        return torch.randn(count, self.latent_dim, generator=random_generator(seed))

    def sample(self, count: int, seed: int = 0, *, labels=None, psi: float = 1.0) -> torch.Tensor:
        """`count` images (N, C, size, size) in [-1, 1]; a pure function of its arguments, in eval mode.

        labels: integers, repeated if there are fewer than `count`; None is a fair mix. psi: what the latents are multiplied
        by; below 1 images are nearer to the most typical, and less varied (truncation: Brock et al. 2019, sec. 3.1, who
        draw a latent again where it is large). Raises ValueError for other labels, and for a psi beyond ±2.
        """
        check_psi(psi)
        return self.draw(psi * self.latents(count, seed), self.labels_for(labels, count))

    def labels_for(self, labels, count: int) -> torch.Tensor | None:
        """The labels (N,) of `count` samples, or None where the network has no classes."""
        return labels_for(labels, count, self.classes)


def check_psi(psi: float) -> None:
    """Raises ValueError for a psi beyond ±2: further out no generator has seen a latent."""
    if not -2 <= psi <= 2:
        raise ValueError(f"psi {psi}: it should be from -2 to 2; 1 is no truncation, 0.7 is usual")


def shares_of(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Labels (B,) as shares of each class (B, classes); shares are given back as they are."""
    return labels if labels.is_floating_point() else nn.functional.one_hot(labels.long(), classes).float()


def check_labels(labels: torch.Tensor | None, classes: int, count: int) -> None:
    """Raises ValueError unless labels are (count,) integers below `classes`, or shares (count, classes), or rightly None."""
    if (labels is None) != (classes == 0):
        raise ValueError(f"this network has {classes} classes: labels should be {'left out' if not classes else 'given'}")
    if labels is None:
        return
    shape = (count, classes) if labels.is_floating_point() else (count,)
    known = labels.is_meta or labels.is_floating_point() or ((labels >= 0) & (labels < classes)).all()  # or CUDA would end the process
    if tuple(labels.shape) != shape or not known:
        raise ValueError(f"labels {tuple(labels.shape)} {labels.dtype}: they should be {count} integers from 0 to {classes - 1}, "
                         f"or shares of classes ({count}, {classes})")


class Discriminator(nn.Module):
    """Images (B, channels, size, size) in [-1, 1] and, where there are classes, labels (B,) to raw scores (B,).

    Convolutions of stride 2 halve the side and double the channels, with LeakyReLU and no sigmoid. `norm` stands in all
    but the first layer; a constraint that looks at each image's gradient needs norm="layer" or "none".

    hidden: the width of one more layer, fully connected, before the score; 0 is none, and the score a weighted sum over
    places. At 64 pixels four convolutions see most of an image (Radford 2016 has no such layer there); at 28 two see ten
    pixels across, and no layer would know whether a sleeve and a sole go together.

    condition: how labels enter. "projection" adds <embedding(y), features> to the score (Miyato & Koyama 2018, eq. 3);
    "concatenation" paints an embedding of y over the image as one more channel (Mirza & Osindero 2014).
    """

    def __init__(self, channels=1, size=28, width=64, classes=0, norm="batch", condition="projection", slope=0.2, hidden=0):
        super().__init__()
        if condition not in CONDITIONS:
            raise ValueError(f"condition {condition!r}: it should be one of {CONDITIONS}")
        times, side = halvings(size)
        self.shape, self.classes, self.condition = (channels, size, size), classes, condition
        concatenates = classes and condition == "concatenation"
        chain = [channels + bool(concatenates), *[width * 2**i for i in range(times)]]
        layers = []
        for i, (a, b) in enumerate(zip(chain, chain[1:])):
            kind = "none" if i == 0 else norm
            layers += [nn.Conv2d(a, b, 4, 2, 1, bias=kind == "none"), _norm(kind, b), nn.LeakyReLU(slope)]
        layers, count = [*layers, nn.Flatten()], chain[-1] * side**2
        if hidden:
            layers += [nn.Linear(count, hidden, bias=norm == "none"), _norm(norm, hidden, rows=True), nn.LeakyReLU(slope)]
            count = hidden
        self.features = nn.Sequential(*layers)
        self.to_score = nn.Linear(count, 1)
        self.embed = nn.Embedding(classes, size**2 if concatenates else count) if classes else None
        dcgan_weights(self)
        if concatenates:  # an image like any other, not a faint one
            nn.init.normal_(self.embed.weight)

    def embedding(self, labels: torch.Tensor) -> torch.Tensor:
        """A row of numbers for each of the labels (B,) or, for what lies between classes, of their shares (B, classes)."""
        return labels @ self.embed.weight if labels.is_floating_point() else self.embed(labels.long())

    def forward(self, images: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        check_labels(labels, self.classes, len(images))
        if tuple(images.shape[1:]) != self.shape:
            raise ValueError(f"images are {tuple(images.shape)}; they should be (B, {', '.join(map(str, self.shape))})")
        if labels is not None and self.condition == "concatenation":
            images = torch.cat([images, self.embedding(labels).view(-1, 1, *self.shape[1:]).to(images.dtype)], dim=1)
        features = self.features(images)  # (B, C * side * side), or (B, hidden)
        scores = self.to_score(features)[:, 0]
        if labels is not None and self.condition == "projection":
            scores = scores + (self.embedding(labels) * features).sum(1)
        return scores
