"""Curves in one style."""

import matplotlib.pyplot as plt
import torch
from matplotlib.ticker import LogLocator, NullLocator
from torch.nn import functional as F


def use_style() -> None:
    """The style of every figure: small, sharp, no more ink than needed."""
    plt.style.use("v101_utils.view.chapters")


def running_mean(values, width: int = 20) -> torch.Tensor:
    """The mean of each value and those before it, `width` in all, or as many as there are: (N,) of numbers (N,)."""
    if width < 1:
        raise ValueError(f"width {width}: it should be at least 1")
    values = torch.as_tensor(values, dtype=torch.float64)
    last = torch.arange(1, len(values) + 1)
    first, sums = (last - width).clamp(min=0), F.pad(values.cumsum(0), (1, 0))
    return (sums[last] - sums[first]) / (last - first)


def curves(x, lines: dict, xlabel: str, ylabel: str, title: str = "", axes=None, log: str = "", marker: str = ""):
    """Draws each of `lines`, a name and its y values over x; `log` holds "x", "y" or both. Returns the axes."""
    axes = axes or plt.subplots()[1]
    for name, y in lines.items():
        axes.plot(x, y, label=name, marker=marker)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    for letter in log:
        getattr(axes, f"set_{letter}scale")("log")
        axis = getattr(axes, f"{letter}axis")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter("{x:g}")  # 20, not 2 x 10^1
    if "x" in log and len(x) <= 10:  # a few chosen values: name just these
        axes.set_xticks([float(value) for value in x])
    if len(lines) > 1:
        axes.legend()
    return axes
