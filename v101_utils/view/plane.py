"""The plane: a function as colours, arrows that say where points are pushed, and points."""

import torch
from matplotlib import colormaps


def lattice(reach: float = 1.6, count: int = 60) -> torch.Tensor:
    """A square lattice of points (count * count, 2) over [-reach, reach]^2, row by row from below."""
    line = torch.linspace(-reach, reach, count)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], dim=-1).view(-1, 2)


def surface(axes, function, reach: float = 1.6, count: int = 60, limits=None, colours: str = "RdBu_r") -> None:
    """Draws function(points (N, 2)) -> (N,) as colours over the plane; `limits`: the values of the darkest two."""
    with torch.no_grad():
        values = function(lattice(reach, count)).view(count, count).cpu()
    low, high = limits or (float(values.min()), float(values.max()))
    axes.imshow(values.numpy(), origin="lower", extent=(-reach, reach, -reach, reach), vmin=low, vmax=high,
                cmap=colormaps[colours], alpha=0.7, interpolation="bilinear")  # fmt: skip
    axes.set(xticks=[], yticks=[], xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")


def points(axes, *clouds: torch.Tensor, colours=("black", "crimson")) -> None:
    """Draws clouds of points (N, 2) as dots: data in black, generated in crimson."""
    for cloud, colour in zip(clouds, colours):
        axes.plot(*cloud.detach().cpu().T, ".", ms=3, color=colour, alpha=0.6)


def arrows(axes, places: torch.Tensor, directions: torch.Tensor, length: float = 0.15) -> None:
    """Draws directions (N, 2) at places (N, 2), the longest `length` long."""
    directions = directions * (length / directions.norm(dim=1).max().clamp(min=1e-12))
    axes.quiver(*places.detach().cpu().T, *directions.detach().cpu().T, angles="xy", scale_units="xy", scale=1, width=0.004, color="black")
