"""StyleGAN's sliders: truncation with noise, and the crossover of two styles."""

import math

import pytest
import torch
from PIL import Image
from sliders import check_redraws, pixels

from v101_utils.gans import StyleGenerator
from v101_utils.widgets import CrossoverView, TruncationView, crossover_sliders, truncation_sliders
from v101_utils.widgets.stylegan import STRENGTH


@pytest.fixture(scope="module")
def generator():
    """An untrained one with noise in every layer and a mean w that is none of the mapping's."""
    torch.manual_seed(0)
    network = StyleGenerator(widths=(16, 8, 8), latent_dim=8)
    with torch.no_grad():
        for layer in network.layers:
            layer.noise_strength.fill_(0.3)
        network.w_average.copy_(torch.linspace(-1, 1, 8))
    return network.requires_grad_(False).eval()


# Truncation and noise


def test_truncation_renders_purely_and_by_every_value(generator):
    view, random = TruncationView(generator, count=8), torch.get_rng_state()
    values = {"psi": 0.7, "strength": 1.0, "noise": 0}
    drawn = pixels(view.render(**values))
    assert drawn.shape == (24 + 72, 8 * 74 - 2, 3)
    for name, other in (("psi", -0.7), ("strength", 2.0), ("noise", 1)):
        assert (pixels(view.render(**values | {name: other})) != drawn)[24:].any()
    assert (pixels(view.render(**values)) == drawn).all()
    assert torch.equal(torch.get_rng_state(), random)


def test_at_psi_one_are_the_generators_own_samples_and_at_zero_one_picture(generator):
    view = TruncationView(generator, count=6, seed=3)
    torch.testing.assert_close(view.images(1.0, noise=3), generator.sample(6, seed=3))
    torch.testing.assert_close(view.images(0.6, noise=3), generator.sample(6, seed=3, psi=0.6))
    mean = view.images(0.0, strength=0.0)
    torch.testing.assert_close(mean, mean[:1].expand_as(mean))
    assert (view.images(0.0)[0] - view.images(0.0)[1]).abs().max() > 1e-3  # noise is all that differs
    assert torch.equal(view.images(1.0, 0.0, noise=1), view.images(1.0, 0.0, noise=2))


@pytest.mark.parametrize(("values", "message"), [
    ({"psi": 2.1}, "psi 2.1: it should be from -2 to 2"), ({"psi": -2.5}, "psi -2.5"), ({"psi": math.nan}, "psi nan"),
    ({"strength": -0.1}, "strength -0.1: it should be from 0"), ({"strength": 3.1}, "to 3"), ({"strength": math.nan}, "strength nan"),
    ({"noise": -1}, "noise -1.*0 or above"),
])  # fmt: skip
def test_wrong_values_of_truncation_are_refused(generator, values, message):
    with pytest.raises(ValueError, match=message):
        TruncationView(generator).render(**{"psi": 1.0, "strength": 1.0, "noise": 0} | values)


# Crossover


def test_crossover_takes_the_first_layers_from_above(generator):
    view = CrossoverView(generator, count=4)
    coarse, mixed, fine = view.images(6)
    assert coarse.shape == mixed.shape == fine.shape == (4, 3, 16, 16)
    torch.testing.assert_close(mixed, coarse)
    torch.testing.assert_close(view.images(0)[1], fine)
    styles = [generator.styles(generator.latents(4, seed)) for seed in (0, 1)]
    torch.testing.assert_close(view.images(2)[1], generator.draw(generator.mix(*styles, 2)))
    again, middle, _ = view.images(3)
    assert torch.equal(again, coarse) and (middle - coarse).abs().max() > 1e-3 and (middle - fine).abs().max() > 1e-3


def test_pairs_share_no_latents(generator):
    view = CrossoverView(generator, count=3)
    seen = [images for pair in (0, 1, 2) for images in view.images(3, pair)[::2]]
    assert all((a - b).abs().max() > 1e-3 for i, a in enumerate(seen) for b in seen[:i])


def test_crossover_renders_purely(generator):
    view, random = CrossoverView(generator, count=4), torch.get_rng_state()
    drawn = pixels(view.render(3, 0))
    assert all((pixels(view.render(*other)) != drawn)[24:].any() for other in ((0, 0), (5, 0), (3, 1)))
    assert (pixels(view.render(3, 0)) == drawn).all() and torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize(("crossover", "pair", "message"), [
    (-1, 0, "crossover -1: it should be from 0, all fine, to 6"), (7, 0, "crossover 7"), (3, -1, "pair -1.*0 or above"),
])  # fmt: skip
def test_a_wrong_crossover_is_refused(generator, crossover, pair, message):
    with pytest.raises(ValueError, match=message):
        CrossoverView(generator).render(crossover, pair)


# The sliders


@pytest.mark.parametrize(("make", "view", "name", "moves"), [
    (truncation_sliders, TruncationView, "truncation", {"psi": 0.5, "strength": 2.0, "noise": 4}),
    (crossover_sliders, CrossoverView, "crossover", {"crossover": 5, "pair": 3}),
])  # fmt: skip
def test_setting_a_slider_redraws(generator, make, view, name, moves):
    view = view(generator)
    check_redraws(make(view), view, name, moves)


def test_the_sliders_ends_are_all_allowed(generator):
    for box, view in ((truncation_sliders(TruncationView(generator)), TruncationView(generator)),
                      (crossover_sliders(CrossoverView(generator)), CrossoverView(generator))):  # fmt: skip
        *sliders, _ = box.children
        for values in ([s.min for s in sliders], [s.max for s in sliders]):
            assert isinstance(view.render(*values), Image.Image)
    assert truncation_sliders(TruncationView(generator)).children[1].max == STRENGTH
    assert crossover_sliders(CrossoverView(generator)).children[0].max == 6
