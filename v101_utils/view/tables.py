"""Tables of numbers as heat maps, each number in its cell."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import torch
from matplotlib import colormaps


def tables(
    named: dict[str, torch.Tensor], columns, lines, xlabel: str = "", ylabel: str = "", limits=(0.0, 1.0),
    number: Callable[[float], str] = "{:.2f}".format, colours: str = "Blues", cell: float = 0.36,
):  # fmt: skip
    """Draws each of `named`, a title and a table (len(lines), len(columns)), side by side. Returns the figure.

    columns, lines: names. limits: the values of the lightest and the darkest colour. number: what to write for a value;
    "" leaves a cell empty. cell: the side of a cell in inches. Raises ValueError for a table of another shape.
    """
    shape = (len(lines), len(columns))
    size = (len(named) * (shape[1] * cell + 0.5) + 0.8, shape[0] * cell + 1.1)
    figure, panels = plt.subplots(1, len(named), figsize=size, sharey=True, squeeze=False, layout="constrained")
    low, high = limits
    for axes, (title, table) in zip(panels[0], named.items()):
        if tuple(table.shape) != shape:
            raise ValueError(f"table {title!r} is {tuple(table.shape)}; for these names it should be {shape}")
        axes.imshow(table.cpu().numpy(), vmin=low, vmax=high, cmap=colours)
        for i, line in enumerate(table.tolist()):
            for j, value in enumerate(line):
                red, green, blue, _ = colormaps[colours]((value - low) / (high - low))
                dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
                axes.text(j, i, number(value), ha="center", va="center", fontsize=7, color="white" if dark else "black")
        axes.set(title=title, xlabel=xlabel)
        axes.grid(False)
        axes.set_xticks(range(shape[1]), columns, rotation=90 if max(map(len, columns)) > 3 else 0)
        axes.set_yticks(range(shape[0]), lines)
    panels[0, 0].set_ylabel(ylabel)
    return figure
