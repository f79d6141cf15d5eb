"""Super-resolution: a small picture in, the same picture with more pixels out, and what it is measured by."""

from v101_utils.superres.adversarial import SRGANTask, blend
from v101_utils.superres.luma import luma_psnr, luma_ssim, rgb_to_ycbcr, ycbcr_to_rgb
from v101_utils.superres.measure import detail_error, score, score_folder
from v101_utils.superres.models import ESPCN, SRCNN, Bicubic, PatchDiscriminator, Restorer, SRResNet
from v101_utils.superres.resize import FACTORS, crop_to_multiple, enlarge, resize, shrink
from v101_utils.superres.restore import restore
from v101_utils.superres.task import RestorationTask
from v101_utils.superres.tiles import in_tiles, receptive_radius

__all__ = [
    "Bicubic", "ESPCN", "FACTORS", "PatchDiscriminator", "RestorationTask", "Restorer", "SRCNN", "SRGANTask", "SRResNet", "blend",
    "crop_to_multiple", "detail_error", "enlarge", "in_tiles", "luma_psnr", "luma_ssim", "receptive_radius", "resize", "restore",
    "rgb_to_ycbcr", "score", "score_folder", "shrink", "ycbcr_to_rgb",
]  # fmt: skip
