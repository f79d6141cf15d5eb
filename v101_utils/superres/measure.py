"""How good an enlargement is: the protocol of the papers' benchmarks, on any pictures."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch.nn import functional as F

from v101_utils.data.photos import photo
from v101_utils.files import KINDS
from v101_utils.superres.luma import luma_psnr, luma_ssim, rgb_to_ycbcr
from v101_utils.superres.resize import crop_to_multiple, shrink

_WINDOW, _FLOOR = 8, 1 / 255  # side of a place; the contrast, a byte's step, below which two places look alike


def _contrasts(y: torch.Tensor) -> torch.Tensor:
    """The contrast (N, 6, ...) of Y (N, 1, H, W) in each window of 8 x 8, half overlapping: three directions, two sizes.

    Each is the root of the mean square of a Haar wavelet's details (Mallat 1989): how pairs of neighbours, or of 2 x 2 blocks
    of them, differ across, down and both.
    """
    across, down = torch.tensor([[1.0, -1.0], [1.0, -1.0]]), torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    filters = torch.stack([across, down, across * down])[:, None].to(y) / 4  # (3, 1, 2, 2)
    details = []
    for size in (1, 2):
        wide = filters.repeat_interleave(size, 2).repeat_interleave(size, 3) / size**2
        details.append(F.avg_pool2d(F.conv2d(y, wide).square(), _WINDOW, _WINDOW // 2).sqrt())
    height, width = details[-1].shape[2:]  # of the wider filter, whose details are fewer
    return torch.cat([each[..., :height, :width] for each in details], dim=1)


def detail_error(images: torch.Tensor, truth: torch.Tensor, border: int) -> torch.Tensor:
    """By how many octaves the fine contrast of places of the images (N, 3, H, W) in [-1, 1] is off that of the truth, (N,).

    The mean of |log2| of the ratio of both's contrasts (see `_contrasts`) in the Y: 0 where every place has as much fine
    detail as in the truth, 1 where it has half or twice as much. Unlike PSNR it asks how much detail there is and not
    whether each pixel is where it was, which no method can know at 4 times the size; so blur is a large error here
    and a small one there, and misplaced texture the other way round (Blau & Michaeli 2018, sec. 2). It is a stand-in for
    measures such as LPIPS, which need a network trained on a million photographs. border: as in `luma_psnr`.
    Raises ValueError for shapes that differ or are not (N, 3, H, W), or a border that leaves less than 12 x 12 pixels.
    """
    if images.shape != truth.shape or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images {tuple(images.shape)}, truth {tuple(truth.shape)}: they should be of one shape, (N, 3, H, W)")
    height, width = images.shape[2:]
    if border < 0 or min(height, width) - 2 * border < _WINDOW + 4:
        raise ValueError(f"border {border} of images of {height} x {width}: {_WINDOW + 4} x {_WINDOW + 4} pixels should be left")
    inside = (..., slice(border, height - border), slice(border, width - border))
    made, real = (_contrasts(rgb_to_ycbcr(each)[:, :1][inside]) + _FLOOR for each in (images, truth))
    return (made / real).log2().abs().mean((1, 2, 3))


@torch.no_grad()
def score(restore: Callable, images: Iterable[torch.Tensor], factor: int) -> dict[str, float]:
    """What `restore` (small RGB pictures, factor -> large ones) makes of pictures that are shrunk first, against the pictures.

    images: pictures (N, 3, H, W) in [-1, 1], of any sizes: a list of such, or one. Each is cropped so that `factor` divides
    its sides and shrunk as MATLAB does; what comes back is compared in its Y, without a border as wide as the factor (Dong
    et al. 2014, sec. 4; Lim et al. 2017, sec. 4.1). Returns the means over the pictures: "psnr_db", "ssim", "detail_error".
    Raises ValueError for no pictures, other shapes or factors, or an answer of another size.
    """
    found = {"psnr_db": [], "ssim": [], "detail_error": []}
    for image in [images] if isinstance(images, torch.Tensor) else images:
        truth = crop_to_multiple(image, factor)
        made = restore(shrink(truth, factor), factor)
        for name, measure in zip(found, (luma_psnr, luma_ssim, detail_error)):
            found[name].append(measure(made, truth, factor))
    if not found["ssim"]:
        raise ValueError("no pictures: there should be at least one to compare with")
    return {name: torch.cat(values).mean().item() for name, values in found.items()}


def score_folder(restore: Callable, folder, factor: int) -> dict[str, float]:
    """`score` of the pictures in a folder, such as one with Set5 or the validation set of DIV2K; its subfolders are left out.

    Raises FileNotFoundError if there is no such folder, ValueError if no picture is in it or one is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; it should hold pictures of full size, such as Set5's five PNG files")
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in KINDS)
    if not paths:
        raise ValueError(f"{folder} holds no pictures; there should be files that end with {', '.join(KINDS)}")
    return score(restore, (photo(path) for path in paths), factor)
