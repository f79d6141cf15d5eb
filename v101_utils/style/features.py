"""What a style is measured on: features of an image by layer, from random filters or from a network trained on ImageNet."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import SqueezeNet1_1_Weights, VGG19_Weights, WeightsEnum, squeezenet1_1, vgg19

from v101_utils.nn import reflect
from v101_utils.runtime import generator

VGG_LAYERS = tuple(f"{kind}{block}_{i}" for block, size in enumerate((2, 2, 4, 4, 4), 1)
                   for i in range(1, size + 1) for kind in ("conv", "relu"))  # fmt: skip
_SQUEEZENET = (None, "conv1", None, "fire2", "fire3", None, "fire4", "fire5", None, "fire6", "fire7", "fire8", "fire9")
SQUEEZENET_LAYERS = tuple(name for name in _SQUEEZENET if name)  # those of torchvision's 13 parts that are a layer


class Features(nn.Module):
    """Images (B, 3, H, W) in [-1, 1] to {layer: (B, C, h, w)}. How the images are normalised is its own affair.

    layers: the names, in order. smallest: the least height and width that it takes. Its weights are never trained.
    Gradients flow to the images. Calling it raises ValueError for images of another shape, or too small.
    """

    layers: tuple[str, ...]
    smallest: int

    def _check(self, images: torch.Tensor) -> None:
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < self.smallest:
            shape, least = tuple(images.shape), self.smallest
            raise ValueError(f"images have shape {shape}; they should be (B, 3, H, W), H and W at least {least}")


class FilterBank(Features):
    """One layer of fixed random filters and ReLU, for each of several sizes; layer "5x5" is (B, count, h, w).

    Nothing is learned or downloaded, and yet the Gram matrices of such features describe a texture (Ustyuzhaninov et al.
    2016, "Texture synthesis using shallow convolutional networks with random filters", sec. 2: many sizes side by side).
    Each filter has mean 0, so that a grey level does not count, and norm 1, so that the sizes count alike. Borders reflect.

    sizes: odd and different. The same seed gives the same filters on every device. Large filters see the whole image and
    not a shrunken one: a random filter answers to fine detail as much as to coarse, and shrinking would take that away.
    strided: evaluate a filter of size k at each max(1, k // 4)-th place alone, in both directions. Neighbouring places of a
    large filter know nearly the same, so statistics over all places hardly change, at a fraction of the work.
    Raises ValueError for sizes or a count that make no filters.
    """

    def __init__(self, sizes: Sequence[int] = (3, 5, 7, 11, 15, 23), count: int = 64, seed: int = 0, strided: bool = False):
        super().__init__()
        if not sizes or any(k < 1 or k % 2 == 0 for k in sizes) or len(set(sizes)) < len(sizes):
            raise ValueError(f"sizes {tuple(sizes)}: they should be odd, above 0 and all different, such as (3, 7, 15)")
        if count < 1:
            raise ValueError(f"count {count}: there should be at least 1 filter of each size")
        self.sizes, self.layers, self.smallest = tuple(sizes), tuple(f"{k}x{k}" for k in sizes), max(sizes) // 2 + 1
        self.strides = tuple(max(1, k // 4) if strided else 1 for k in sizes)
        for k in self.sizes:
            filters = torch.randn(count, 3, k, k, generator=generator(seed, k))  # by size: other banks do not change it
            filters -= filters.mean((1, 2, 3), keepdim=True)
            filters /= filters.flatten(1).norm(dim=1)[:, None, None, None]
            self.register_buffer(f"filters{k}", filters)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        self._check(images)
        found = {}
        for k, stride, layer in zip(self.sizes, self.strides, self.layers):
            found[layer] = F.conv2d(reflect(images, k // 2), self.get_buffer(f"filters{k}"), stride=stride).relu()  # (B, count, h, w)
        return found


def _state(called: str, published: WeightsEnum, weights: str | Path | None, download: bool) -> dict[str, torch.Tensor]:
    """A network's state dict from a file, or torchvision's from its cache, which `download` may fill first."""
    url, megabytes = published.url, published.meta["_file_size"]
    name = url.rsplit("/", 1)[1]
    path = Path(torch.hub.get_dir(), "checkpoints", name) if weights is None else Path(weights)
    if weights is None and download and not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=name.rsplit("-", 1)[1].removesuffix(".pth"))
    if not path.is_file():
        raise FileNotFoundError(
            f"no weights of {called} at {path}, and nothing is downloaded unasked: pass download=True to fetch "
            f"{megabytes:.3g} MB into {Path(torch.hub.get_dir(), 'checkpoints')}, or weights=FILE with a copy of {url}; "
            "FilterBank needs none"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes raise a dozen types
        raise ValueError(f"{path} is not a file of weights ({error}); it should be a state dict, as {name} is") from error
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()):
        raise ValueError(f"{path} holds no state dict; it should map names such as 'features.0.weight' to tensors")
    return {key.removeprefix("features."): value for key, value in state.items()}


class _Published(Features):
    """Layers of a network whose weights, trained on ImageNet, torchvision publishes. The network ends at the deepest layer.

    Its __init__ chooses, builds and loads. names: of each part of `network`, None where it is no layer.
    """

    called: str  # in messages
    known: tuple[str, ...]  # all layers that there are
    published: WeightsEnum
    names: Sequence[str | None]
    network: nn.Sequential

    def _choose(self, layers: Sequence[str]) -> None:
        if not layers or not set(layers) <= set(self.known):
            raise ValueError(f"layers {tuple(layers)}: they should be one or more of {', '.join(self.known)}")
        self.layers = tuple(name for name in self.known if name in layers)

    def _load(self, weights: str | Path | None, download: bool) -> None:
        """Fills `network` from a file of weights or from torch's cache, and fixes it."""
        state, wanted = _state(self.called, self.published, weights, download), self.network.state_dict()
        wrong = [key for key, value in wanted.items() if key not in state or state[key].shape != value.shape]
        if wrong:
            raise ValueError(f"{weights or 'the file in the cache'} lacks, or has in another shape, {', '.join(wrong)}; "
                             f"it should be the state dict of {self.called}, as {self.published.url} is")  # fmt: skip
        self.network.load_state_dict({key: state[key].float() for key in wanted}, assign=True)
        self.requires_grad_(False).eval()
        statistics = self.published.transforms()
        self.register_buffer("mean", torch.tensor(statistics.mean)[:, None, None])
        self.register_buffer("deviation", torch.tensor(statistics.std)[:, None, None])

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        self._check(images)
        x = ((images + 1) / 2 - self.mean) / self.deviation  # [-1, 1] to ImageNet's units; no clamp, for the gradients' sake
        found = {}
        for name, part in zip(self.names, self.network):
            x = part(x)  # (B, C, h, w)
            if name in self.layers:
                found[name] = x
        return found


class VGG(_Published):
    """Layers of VGG-19 (Simonyan & Zisserman 2015) trained on ImageNet: "conv4_2" before its ReLU, "relu4_2" after.

    layers: any of VGG_LAYERS; by default the five whose Gram matrices are a style (Gatys et al. 2016, sec. 2). The network
    ends at the deepest of them. average: pool by averages rather than maxima, which makes smoother pictures (sec. 2).
    weights: a file with a state dict, of the whole VGG-19 or of its `features`. Without it torchvision's file is taken
    from torch's cache; only with `download` is it fetched, 548 MB, if it is not there.

    Raises ValueError for unknown layers or a file with other weights, FileNotFoundError, saying what to do, for none.
    """

    called, known, published = "VGG-19", VGG_LAYERS, VGG19_Weights.IMAGENET1K_V1

    def __init__(self, layers: Sequence[str] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
                 weights: str | Path | None = None, download: bool = False, average: bool = False):  # fmt: skip
        super().__init__()
        self._choose(layers)
        self.network = self._build(average)
        self._load(weights, download)

    def _build(self, average: bool) -> nn.Sequential:
        """torchvision's layers up to the last that is needed, without memory for weights; fills `names` and `smallest`."""
        with torch.device("meta"):
            parts = list(vgg19(init_weights=False).features)
        names, left, pools = iter(VGG_LAYERS), len(self.layers), 0
        self.names = []  # of each part; a pooling has none
        for i, part in enumerate(parts):
            if isinstance(part, nn.MaxPool2d):
                pools += 1
                parts[i] = nn.AvgPool2d(2) if average else part
            elif isinstance(part, nn.ReLU):
                parts[i] = nn.ReLU()  # not in place, or "conv" layers would be rectified after they are taken
            self.names.append(None if isinstance(part, nn.MaxPool2d) else next(names))
            left -= self.names[-1] in self.layers
            if not left:
                break
        self.smallest = 2**pools
        return nn.Sequential(*parts[: len(self.names)])


class SqueezeNet(_Published):
    """Layers of SqueezeNet 1.1 (Iandola et al. 2016) trained on ImageNet: a download of 4.7 MB where VGG-19 takes 548.

    layers: any of SQUEEZENET_LAYERS, called as in the paper's table 1, each after its ReLU: "conv1" is what torchvision's
    `features[1]` hands on, "fire2" and "fire3" are its 3 and 4, "fire4" and "fire5" 6 and 7, "fire6" to "fire9" 9 to 12. By
    default those on which the style transfer of Stanford's course CS231n measures a style. The network ends at the deepest.
    weights, download: as of `VGG`, and so is what is raised.
    """

    called, known, published = "SqueezeNet 1.1", SQUEEZENET_LAYERS, SqueezeNet1_1_Weights.IMAGENET1K_V1

    def __init__(self, layers: Sequence[str] = ("conv1", "fire3", "fire4", "fire5"), weights: str | Path | None = None,
                 download: bool = False):  # fmt: skip
        super().__init__()
        self._choose(layers)
        with torch.device("meta"):
            parts = squeezenet1_1().features
        self.names = _SQUEEZENET[: _SQUEEZENET.index(self.layers[-1]) + 1]
        self.network = parts[: len(self.names)]
        poolings = sum(isinstance(part, nn.MaxPool2d) for part in self.network)
        self.smallest = 2 ** (poolings + 1) + 1  # the convolution makes n of 2n + 1; each pooling needs twice as many
        self._load(weights, download)
