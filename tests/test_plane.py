"""Pictures of the plane: the lattice, a function as colours, arrows and points."""

import pytest
import torch
from matplotlib import pyplot as plt

from v101_utils.view.plane import arrows, lattice, points, surface


@pytest.fixture
def axes():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_the_lattice_goes_row_by_row_from_below():
    found = lattice(1.0, 3)
    assert found.tolist() == [[x, y] for y in (-1.0, 0.0, 1.0) for x in (-1.0, 0.0, 1.0)]
    assert lattice(2.0, 60).shape == (3600, 2) and lattice(2.0).abs().max() == 2


def test_a_surface_shows_the_value_at_each_place(axes):
    surface(axes, lambda places: places[:, 0] + 10 * places[:, 1], reach=1.0, count=5)
    (image,) = axes.images
    values = torch.as_tensor(image.get_array().data)
    assert image.origin == "lower" and image.get_extent() == [-1, 1, -1, 1]
    assert (values[0, 0], values[0, -1], values[-1, 0]) == (-11, -9, 9)  # below left, below right, above left
    assert image.get_clim() == (-11, 11)
    surface(axes, lambda places: places[:, 0], count=5, limits=(-3, 4))
    assert axes.images[1].get_clim() == (-3, 4)


def test_a_surface_of_a_network_keeps_no_graph(axes):
    layer = torch.nn.Linear(2, 1)
    surface(axes, lambda places: layer(places)[:, 0])
    assert layer.weight.grad is None


def test_points_are_where_they_are(axes):
    real, fake = torch.rand(7, 2), torch.rand(4, 2) - 1
    points(axes, real, fake)
    for line, cloud, colour in zip(axes.lines, (real, fake), ("black", "crimson"), strict=True):
        torch.testing.assert_close(torch.as_tensor(line.get_xydata()).float(), cloud)
        assert line.get_color() == colour


def test_the_longest_arrow_has_the_length(axes):
    places, directions = torch.zeros(3, 2), torch.tensor([[3.0, 4.0], [0.0, -1.0], [0.0, 0.0]])
    arrows(axes, places, directions, length=0.5)
    (quiver,) = axes.collections
    drawn = torch.stack([torch.as_tensor(quiver.U), torch.as_tensor(quiver.V)], 1).float()
    torch.testing.assert_close(drawn, directions / 10)
    assert quiver.scale == 1 and quiver.angles == quiver.scale_units == "xy"
    arrows(axes, places, torch.zeros(3, 2))  # nothing moves: no arrows, and no nan
    assert not axes.collections[1].U.any()
