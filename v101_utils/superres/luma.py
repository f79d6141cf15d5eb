"""The brightness of a picture, and PSNR and SSIM on it: how the papers on super-resolution compare.

Y, Cb and Cr are those of ITU-R BT.601 (sec. 2.5) in the studio range, as MATLAB's rgb2ycbcr has them
for images of floats: in units where a byte's 255 is 1, Y runs from 16/255 (black) to 235/255 (white), Cb and Cr from
16/255 to 240/255 round 128/255 (grey). So a PSNR on Y is 20 log10(255/219) = 1.3 dB above that of a full-range brightness.
"""

import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from v101_utils.data.images import to_signed, to_unit

_MIX = torch.tensor(  # rows Y, Cb, Cr; columns R, G, B in [0, 1]; in units of a byte
    [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]], dtype=torch.float64)  # fmt: skip
_OFFSET = torch.tensor([16.0, 128.0, 128.0], dtype=torch.float64)
_WINDOW = 11  # of SSIM: a Gaussian of 1.5 pixels on 11 x 11 (Wang et al. 2004, sec. III-B)


def _check_images(images: torch.Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(f"images {tuple(images.shape)} of {images.dtype}: they should be (B, 3, H, W) and float")


def _mix(images: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Each pixel of (B, 3, H, W) times a matrix (3, 3); as a sum, so that neither autocast nor TF32 rounds it."""
    return (images[:, None] * matrix.to(images)[:, :, None, None]).sum(2)


def rgb_to_ycbcr(images: torch.Tensor) -> torch.Tensor:
    """RGB images (B, 3, H, W) in [-1, 1] as Y, Cb, Cr (B, 3, H, W): Y in 16/255..235/255, the others in 16/255..240/255.

    What is beyond [-1, 1] is clamped. Raises ValueError for other shapes or integer images.
    """
    _check_images(images)
    return _mix(to_unit(images), _MIX / 255) + (_OFFSET / 255).to(images)[:, None, None]


def ycbcr_to_rgb(images: torch.Tensor) -> torch.Tensor:
    """Y, Cb, Cr (B, 3, H, W), in the units of `rgb_to_ycbcr`, as RGB images (B, 3, H, W) in [-1, 1]; other colours are clamped.

    Raises ValueError for other shapes or integer images.
    """
    _check_images(images)
    rgb = _mix(images - (_OFFSET / 255).to(images)[:, None, None], torch.linalg.inv(_MIX / 255))
    return to_signed(rgb.clamp(0, 1))


def _luma_pair(images: torch.Tensor, truth: torch.Tensor, border: int, least: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The Y (N, 1, H - 2 border, W - 2 border) of both, if they are of one shape and at least `least` pixels stay each way."""
    if images.shape != truth.shape:
        raise ValueError(f"images {tuple(images.shape)}, truth {tuple(truth.shape)}: they should be of one shape, (N, 3, H, W)")
    _check_images(images)
    height, width = images.shape[2:]
    if not isinstance(border, int) or border < 0 or min(height, width) - 2 * border < least:
        most = (min(height, width) - least) // 2
        right = f"from 0 to {most}" if most >= 0 else f"0, and the images {least} x {least} at least"
        raise ValueError(f"border {border} of images of {height} x {width}: it should be {right}")
    inside = (..., slice(border, height - border), slice(border, width - border))
    return rgb_to_ycbcr(images)[:, :1][inside], rgb_to_ycbcr(truth)[:, :1][inside]


def luma_psnr(images: torch.Tensor, truth: torch.Tensor, border: int) -> torch.Tensor:
    """The peak signal-to-noise ratio (N,) in dB of the Y of each of the images (N, 3, H, W) in [-1, 1]; infinite where equal.

    border: how many pixels are left out on each side; the papers leave out as many as the factor. As there, the peak is a
    byte's 255 (here 1), not the 219 that Y spans; unlike there, nothing is rounded to bytes. Raises ValueError for shapes
    that differ or are not (N, 3, H, W), integer images, or a border that leaves no pixel.
    """
    y, true_y = _luma_pair(images, truth, border, least=1)
    return peak_signal_noise_ratio(y, true_y, data_range=1.0, reduction="none", dim=(1, 2, 3))


def luma_ssim(images: torch.Tensor, truth: torch.Tensor, border: int) -> torch.Tensor:
    """The structural similarity (N,), at most 1, of the Y of each of the images (N, 3, H, W) in [-1, 1].

    Wang et al. 2004 (sec. III-B), with a peak of 1. border: as in `luma_psnr`. Raises ValueError as there, or for a border
    that leaves less than the window of 11 x 11.
    """
    y, true_y = _luma_pair(images, truth, border, least=_WINDOW)
    options = dict(sigma=1.5, data_range=1.0, reduction="none", return_full_image=True)
    similar = structural_similarity_index_measure(y, true_y, **options)[1]  # (N, 1, H, W)
    margin = _WINDOW // 2  # whole windows alone count, as in the authors' own code; torchmetrics mirrors the edges
    return similar[..., margin : similar.shape[2] - margin, margin : similar.shape[3] - margin].mean((1, 2, 3))
