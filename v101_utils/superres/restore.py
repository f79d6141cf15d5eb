"""A colour picture made larger by any of the methods: by a network of its brightness, by one of its colours, or by neither."""

import torch

from v101_utils.superres.luma import rgb_to_ycbcr, ycbcr_to_rgb
from v101_utils.superres.models import Bicubic, Restorer
from v101_utils.superres.resize import enlarge
from v101_utils.superres.tiles import in_tiles


def restore(model: Restorer | None, images: torch.Tensor, factor: int, side: int = 128) -> torch.Tensor:
    """RGB pictures (B, 3, h, w) in [-1, 1] made `factor` times larger, (B, 3, h * factor, w * factor), in [-1, 1].

    model: None is `Bicubic`. A network of one channel is given the Y, and Cb and Cr are enlarged bicubically:
    the eye sees little detail in colour (Dong et al. 2014, sec. 4.1). One of three is given the picture. Worked through in
    tiles of `side` pixels (see `in_tiles`), without gradients. Raises ValueError for another factor or shape.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images have shape {tuple(images.shape)}; they should be (B, 3, h, w)")
    model = Bicubic() if model is None else model
    if model.channels == 3:
        return in_tiles(model, images, factor, side).clamp(-1, 1)
    y, colours = rgb_to_ycbcr(images).split((1, 2), dim=1)
    return ycbcr_to_rgb(torch.cat([in_tiles(model, y, factor, side), enlarge(colours, factor)], dim=1))
