"""Figures: pictures of images, curves, and listings of the package's own source."""

from v101_utils.view.curves import curves, running_mean, use_style
from v101_utils.view.pictures import grid, rows
from v101_utils.view.source import source

__all__ = ["curves", "grid", "rows", "running_mean", "source", "use_style"]
