"""Bicubic resizing as MATLAB's imresize does it: how the small pictures of super-resolution's benchmarks were made.

The cubic is that of Keys 1981 ("Cubic convolution interpolation for digital image processing", sec. IV) with a = -0.5.
torch's `interpolate` has a = -0.75 and does not smooth before it shrinks; a network that learned to undo one of the two
does badly on the other. It is linear, not clamped: beside a sharp edge it overshoots [-1, 1] a little, and `to_unit`
clamps that where a picture leaves the project. In float32 on a GPU it is as exact as its matrix products (TF32: 3 digits).
"""

from functools import lru_cache

import torch

FACTORS = (2, 3, 4)  # those of the benchmarks


def keys_cubic(x: torch.Tensor) -> torch.Tensor:
    """Keys' kernel with a = -0.5 at distances x, in samples: 1 at 0, 0 at the other whole numbers and from 2 on."""
    x = x.abs()
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


@lru_cache(maxsize=64)
def _weights(old: int, new: int) -> torch.Tensor:
    """The matrix (new, old), float64, that resizes a line of `old` pixels to `new`; each row sums to 1."""
    scale = new / old
    squeeze = min(scale, 1.0)  # when shrinking, the kernel is stretched over all the pixels that one replaces
    centres = (torch.arange(new, dtype=torch.float64) + 0.5) / scale - 0.5  # (new,), where the new pixels lie among the old
    reach = int(2 / squeeze) + 2
    places = centres.floor()[:, None] + torch.arange(-reach, reach + 1)  # (new, taps)
    weights = keys_cubic((places - centres[:, None]) * squeeze)
    weights = weights / weights.sum(1, keepdim=True)
    places = places.long() % (2 * old)
    places = torch.minimum(places, 2 * old - 1 - places)  # mirrored, the edge pixel twice: c b a | a b c | c b a
    return torch.zeros(new, old, dtype=torch.float64).scatter_add_(1, places, weights)


def _check_images(images: torch.Tensor) -> None:
    if images.ndim != 4 or not images.is_floating_point() or 0 in images.shape[2:]:
        raise ValueError(f"images {tuple(images.shape)} of {images.dtype}: they should be (B, C, H, W) and float, none of H, W 0")


def _check_factor(factor: int) -> None:
    if factor not in FACTORS:
        raise ValueError(f"factor {factor}: it should be one of {', '.join(map(str, FACTORS))}")


def resize(images: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Images (B, C, H, W) in [-1, 1] at another size, (B, C, height, width): imresize(image, [height width], "bicubic").

    Each direction by itself: where it shrinks, the kernel is stretched by the factor, so that nothing aliases; the edges
    are mirrored. Raises ValueError for other shapes, integer images, or a size that is no whole number from 1.
    """
    _check_images(images)
    if not all(isinstance(side, int) and side >= 1 for side in (height, width)):
        raise ValueError(f"size {height} x {width}: height and width should be whole numbers from 1")
    rows, columns = _weights(images.shape[2], height).to(images), _weights(images.shape[3], width).to(images)
    with torch.autocast(images.device.type, enabled=False):  # it would round the pictures to 8 bits (bf16)
        return rows @ images @ columns.T  # (height, H) (B, C, H, W) (W, width)


def shrink(images: torch.Tensor, factor: int) -> torch.Tensor:
    """Images (B, C, H, W) at H / factor, W / factor, bicubic and without aliasing: the low resolution of the benchmarks.

    Raises ValueError for a factor that is not in FACTORS, or sizes that it does not divide (see `crop_to_multiple`).
    """
    _check_images(images)
    _check_factor(factor)
    height, width = images.shape[2:]
    if height % factor or width % factor:
        right = f"crop them to {height - height % factor} x {width - width % factor} (crop_to_multiple does)"
        if min(height, width) < factor:
            right = f"they should be {factor} x {factor} at least"
        raise ValueError(f"images of {height} x {width} cannot be shrunk {factor} times: {right}")
    return resize(images, height // factor, width // factor)


def enlarge(images: torch.Tensor, factor: int) -> torch.Tensor:
    """Images (B, C, H, W) at H * factor, W * factor, bicubic: what a network for super-resolution has to beat.

    Raises ValueError for a factor that is not in FACTORS.
    """
    _check_images(images)
    _check_factor(factor)
    return resize(images, images.shape[2] * factor, images.shape[3] * factor)


def crop_to_multiple(images: torch.Tensor, factor: int) -> torch.Tensor:
    """Images (B, C, H, W) without the last rows and columns, so that `factor` (12 suits every one of FACTORS) divides both sides.

    The top left stays, as in the benchmarks ("modcrop" of Dong et al. 2014, SRCNN). Raises ValueError for images smaller than
    `factor`, or a factor that is no whole number from 1.
    """
    _check_images(images)
    if not isinstance(factor, int) or factor < 1:
        raise ValueError(f"factor {factor}: it should be a whole number from 1")
    height, width = (side - side % factor for side in images.shape[2:])
    if not height or not width:
        raise ValueError(f"images of {images.shape[2]} x {images.shape[3]}: they should be {factor} x {factor} at least")
    return images[..., :height, :width]
