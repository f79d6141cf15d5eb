"""Curves in one style."""

import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, NullLocator


def use_style() -> None:
    """The style of every figure: small, sharp, no more ink than needed."""
    plt.style.use("v101_utils.view.chapters")


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
