"""The latent walk and its directions: pure functions, callbacks, and what is refused."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from v101_utils.gans import Generator
from v101_utils.gans.directions import factorise, matrix_of
from v101_utils.widgets.latents import REACH, LatentWalkView, walk_sliders


@pytest.fixture(scope="module")
def untrained():
    """A small generator whose pictures are not flat; in eval mode, with statistics of its own."""
    torch.manual_seed(0)
    generator = Generator(width=8, latent_dim=12)
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    generator(torch.randn(64, 12))
    return generator.requires_grad_(False).eval()


@pytest.fixture(scope="module")
def first(untrained):
    return lambda z: untrained.layers[:2](z[:, :, None, None])


@pytest.fixture(scope="module")
def view(untrained, first):
    return LatentWalkView(untrained, 3, factorise(matrix_of(first, 12), 4)[0])


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def images_of(picture: Image.Image) -> np.ndarray:
    """The picture less its line of text."""
    return pixels(picture)[24:]


# Directions


def test_the_matrix_is_that_of_the_affine_map(first):
    matrix, z = matrix_of(first, 12), torch.randn(5, 12, generator=torch.Generator().manual_seed(1))
    assert matrix.shape == (16 * 7 * 7, 12)
    torch.testing.assert_close(first(z).flatten(1), first(torch.zeros(1, 12)).flatten(1) + z @ matrix.T, rtol=1e-4, atol=1e-4)


def test_directions_are_orthonormal_sorted_and_the_best(first):
    matrix = matrix_of(first, 12)
    directions, lengths = factorise(matrix, 12)
    torch.testing.assert_close(directions @ directions.T, torch.eye(12), rtol=0, atol=1e-5)
    assert (lengths.diff() <= 0).all()
    torch.testing.assert_close((matrix @ directions.T).norm(dim=0), lengths, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(lengths, torch.linalg.svdvals(matrix), rtol=1e-4, atol=1e-4)
    others = torch.nn.functional.normalize(torch.randn(200, 12, generator=torch.Generator().manual_seed(2)))
    assert (matrix @ others.T).norm(dim=0).max() <= lengths[0]


def test_directions_do_not_depend_on_the_sign_of_the_matrix(first):
    matrix = matrix_of(first, 12)
    torch.testing.assert_close(factorise(matrix, 4)[0], factorise(-matrix, 4)[0])
    assert (factorise(matrix, 4)[0].abs().max(1).values == factorise(matrix, 4)[0].max(1).values).all()


@pytest.mark.parametrize("count", [0, -1, 13])
def test_a_wrong_count_of_directions_is_refused(first, count):
    with pytest.raises(ValueError, match=f"count {count}.*from 1 to latent_dim"):
        factorise(matrix_of(first, 12), count)


def test_a_map_that_is_not_affine_is_refused(untrained):
    with pytest.raises(ValueError, match="not affine"):
        matrix_of(lambda z: untrained.layers[:3](z[:, :, None, None]), 12)  # with the ReLU
    trained = Generator(width=8, latent_dim=12).train()
    with pytest.raises(ValueError, match="eval mode"):
        matrix_of(lambda z: trained.layers[:2](z[:, :, None, None] ** 3), 12)


# The view


def test_render_is_pure_and_depends_on_every_value(view):
    before = torch.get_rng_state()
    values = {"d1": 1.0, "d2": 0.0, "d3": -2.0, "d4": 0.5}
    drawn = images_of(view.render(**values))
    for name in view.names:
        other = images_of(view.render(**values | {name: 3.5}))
        assert other.shape == drawn.shape and (other != drawn).any()
    assert (images_of(view.render(**values)) == drawn).all()
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_left_out_is_zero(view):
    assert torch.equal(view.latent(), view.start)
    assert torch.equal(view.latent(d2=1.5), view.latent(d1=0, d2=1.5, d3=0, d4=0))
    torch.testing.assert_close(view.latent(d2=1.5) - view.start, 1.5 * view.directions[1:2])


def test_neighbours_have_the_picture_itself_in_the_middle(view, untrained):
    line = view.along("d3", d1=2.0)
    assert line.shape == (7, 1, 28, 28)
    torch.testing.assert_close(line[3:4], untrained.draw(view.latent(d1=2.0)))
    torch.testing.assert_close(line[-1:], untrained.draw(view.latent(d1=2.0, d3=REACH)))


def test_the_neighbours_ignore_the_first_value(view):
    """They run over all of its values, so a move of d1 changes the large picture alone."""
    assert torch.equal(view.along(d1=2.0, d2=1.0), view.along(d1=-3.0, d2=1.0))


def test_the_strip_has_a_row_for_each_direction(view):
    assert view.strip().height == 4 * 64 + 3 * 6


def test_any_generator_with_latents_and_draw_will_do():
    class Plain:
        shape = (3, 16, 16)

        def latents(self, count, seed=0):
            return torch.full((count, 2), float(seed))

        def draw(self, latents):
            return latents.mean(1)[:, None, None, None].tanh().expand(-1, 3, 16, 16)

    assert isinstance(LatentWalkView(Plain(), 0, torch.eye(2)).render(d1=1.0, d2=-1.0), Image.Image)


@pytest.mark.parametrize(("directions", "neighbours", "message"), [
    (torch.ones(12), 7, r"\(12,\).*\(K, 12\)"), (torch.eye(5), 7, r"\(5, 5\).*\(K, 12\)"),
    (torch.zeros(0, 12), 7, r"\(0, 12\)"), (2 * torch.eye(12), 7, "length 1"), (torch.eye(12), 4, "neighbours 4.*odd"),
    (torch.eye(12), 1, "neighbours 1.*at least 3"),
])  # fmt: skip
def test_wrong_directions_are_refused(untrained, directions, neighbours, message):
    with pytest.raises(ValueError, match=message):
        LatentWalkView(untrained, 0, directions, neighbours)


@pytest.mark.parametrize("values", [{"d5": 1.0}, {"d0": 0.0}, {"z": 1.0}, {"d1": 4.5}, {"d2": -5}, {"d1": float("nan")}])
def test_wrong_values_are_refused(view, values):
    with pytest.raises(ValueError, match="some of d1, d2, d3, d4, each from -4 to 4"):
        view.render(**values)


# The sliders


def test_setting_a_slider_redraws(view):
    box = walk_sliders(view)
    assert "v101-latent-walk" in box._dom_classes and len(box.children) == 5
    *sliders, picture = box.children
    assert [slider.description for slider in sliders] == view.names
    for slider in sliders:
        assert (slider.min, slider.max, slider.value) == (-REACH, REACH, 0)
        before = picture.value
        slider.value = 2.5
        assert picture.value != before
    shown = Image.open(io.BytesIO(picture.value))
    assert (pixels(shown.convert("RGB")) == pixels(view.render(d1=2.5, d2=2.5, d3=2.5, d4=2.5))).all()


def test_a_generator_that_draws_styles_is_refused():
    from v101_utils.gans import StyleGenerator

    with pytest.raises(ValueError, match="draws styles w, not latents"):
        LatentWalkView(StyleGenerator(widths=(8, 8)), 0, torch.eye(64)[:1])
