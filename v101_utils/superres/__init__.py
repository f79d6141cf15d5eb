"""Super-resolution: a small picture in, the same picture with more pixels out, and what it is measured by."""

from v101_utils.superres.luma import luma_psnr, luma_ssim, rgb_to_ycbcr, ycbcr_to_rgb
from v101_utils.superres.models import ESPCN, SRCNN, PatchDiscriminator, Restorer, SRResNet
from v101_utils.superres.resize import FACTORS, crop_to_multiple, enlarge, resize, shrink
from v101_utils.superres.task import RestorationTask
from v101_utils.superres.tiles import in_tiles, receptive_radius

__all__ = [
    "ESPCN", "FACTORS", "PatchDiscriminator", "RestorationTask", "Restorer", "SRCNN", "SRResNet", "crop_to_multiple", "enlarge",
    "in_tiles", "luma_psnr", "luma_ssim", "receptive_radius", "resize", "rgb_to_ycbcr", "shrink", "ycbcr_to_rgb",
]  # fmt: skip
