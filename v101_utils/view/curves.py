"""Curves in one style."""

import matplotlib.pyplot as plt


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
    if len(lines) > 1:
        axes.legend()
    return axes
