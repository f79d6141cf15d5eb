"""Pictures of images, listings of source, and exercises that judge."""

import numpy as np
import pytest
import torch

from v101_utils.vae import VAE
from v101_utils.view import grid, rows, running_mean, source


def test_grid_puts_each_image_in_its_place():
    images = torch.linspace(-1, 1, 6)[:, None, None, None].expand(6, 1, 5, 4)
    picture = np.asarray(grid(images, columns=3, zoom=1))
    assert picture.shape == (5 * 2 + 2, 4 * 3 + 2 * 2, 3)
    for i in range(6):
        y, x = i // 3 * 7 + 2, i % 3 * 6 + 2
        assert picture[y, x, 0] == round((i / 5) * 255)


def test_grid_refuses_what_is_no_batch_of_images():
    for shape in ((3, 4), (2, 2, 4, 4), (0, 1, 4, 4)):
        with pytest.raises(ValueError, match="should be"):
            grid(torch.zeros(shape))


def test_running_mean_is_of_each_value_and_those_before_it():
    values = torch.rand(50, generator=torch.Generator().manual_seed(0)).tolist()
    for width in (1, 7, 80):
        wanted = [np.mean(values[max(0, i + 1 - width) : i + 1]) for i in range(50)]
        np.testing.assert_allclose(running_mean(values, width), wanted, rtol=1e-12)
    for bad, width in ((values, 0), ([], 1), ([values], 1)):
        with pytest.raises(ValueError, match="should be"):
            running_mean(bad, width)


def test_columns_may_have_names():
    images = torch.full((6, 1, 28, 28), 1.0)
    plain, named = (np.asarray(grid(images, 3, heads=heads)) for heads in ((), ("one", "two", "three")))
    above = len(named) - len(plain)
    assert (named[above:] == plain).all() and (plain == 255).all()
    assert all(named[:above, start : start + 56].min() < 128 for start in (0, 58, 116))
    several = np.asarray(rows({"a": images[:3], "b": images[:3]}, label_width=20, heads=("one", "two", "three")))
    assert (several[:above, 20:] == named[:above]).all() and (several[above:, 20:] == 255).all()
    with pytest.raises(ValueError, match="2 heads for 3 columns"):
        grid(images, 3, heads=("one", "two"))


def test_rows_names_each_grid():
    picture = rows({"β": torch.ones(3, 1, 8, 8), "two": torch.ones(3, 3, 8, 8)}, zoom=2, label_width=60)
    assert picture.width == 60 + 3 * 16 + 2 * 2
    assert np.asarray(picture)[:, :60].min() < 128  # something is written to the left


def test_the_font_has_greek_letters():
    """A missing glyph would be drawn as the same box whatever the letter."""
    from v101_utils.view.pictures import font

    assert bytes(font().getmask("β")) != bytes(font().getmask("\U0010fffd"))


def test_source_is_the_package_s_own():
    text = source(VAE.forward).data
    assert text.startswith("def forward(self") and "reparameterise" in text


def test_no_columns_are_refused():
    with pytest.raises(ValueError, match="columns 0"):
        grid(torch.zeros(1, 1, 4, 4), columns=0)


def test_whole_numbers_are_no_images():
    """Bytes from 0 to 255 would be drawn white."""
    with pytest.raises(TypeError, match="torch.uint8; they should be float"):
        grid(torch.full((1, 1, 4, 4), 100, dtype=torch.uint8))
