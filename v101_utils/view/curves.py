"""Curves in one style."""

import matplotlib.pyplot as plt
import torch
from matplotlib.ticker import LogLocator, NullLocator


def use_style() -> None:
    """The style of every figure: small, sharp, no more ink than needed."""
    plt.style.use("v101_utils.view.chapters")


def running_mean(values, width: int = 20) -> torch.Tensor:
    """The mean of each value and those before it, `width` in all, or as many as there are: (N,) of numbers (N,), N at least 1.

    ValueError if there are none, or `width` is below 1.
    """
    values = torch.as_tensor(values, dtype=torch.float64)
    if width < 1 or values.ndim != 1 or not len(values):
        raise ValueError(f"values of shape {tuple(values.shape)}, width {width}: should be (N,) with N > 0, and at least 1")
    return torch.stack([values[max(0, end - width) : end].mean() for end in range(1, len(values) + 1)])


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
