"""Sliders, as pure functions and as callbacks; tests/browser drives them in a page."""

import io

import ipywidgets
import numpy as np
import pytest
import torch
from PIL import Image

from v101_utils import zoo
from v101_utils.data import fashion_mnist
from v101_utils.vae import VAE
from v101_utils.widgets import BetaView, LatentView, live, vae_sliders


@pytest.fixture(scope="module")
def views():
    model, images = zoo.load("vae-fashion"), fashion_mnist("test", source="shipped").images[:64]
    return BetaView(model, images, points=9), LatentView(model, images[:1])


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def test_render_is_pure_and_depends_on_beta(views):
    first, again, other = (pixels(views[0].render(beta)) for beta in (1.0, 1.0, 50.0))
    assert (first == again).all()
    assert abs(first - other).mean() > 1


def test_beta_moves_the_point_down_the_curve(views):
    """A dearer code is shorter and decodes worse: the rate falls with beta, the error rises."""
    rate, error = views[0].curve.T
    assert (np.diff(rate) < 0).all() and error[-1] > 3 * error[0]
    assert views[0].point(views[0].betas[3]) == pytest.approx(views[0].curve[3])


def test_the_marker_stands_where_the_point_is(views):
    """The only crimson on the page is the dot; at larger beta it lies further left (less rate) and higher (more error)."""
    place = []
    for beta in (0.3, 30.0):
        picture = pixels(views[0].render(beta))
        red = np.argwhere(abs(picture - [220, 20, 60]).sum(2) < 5)
        assert len(red) > 50
        place.append(red.mean(0))
    assert place[1][0] < place[0][0] - 20 and place[1][1] < place[0][1] - 20


def test_beta_outside_the_trained_range_is_refused(views):
    with pytest.raises(ValueError, match="trained for 0.1 to 100"):
        views[0].render(1000.0)


def test_setting_the_slider_redraws(views):
    beta_box, latent_box = vae_sliders(*views).children
    for box, value in ((beta_box, 40.0), (latent_box, 3.0)):
        slider, picture = box.children[0], box.children[-1]
        before = picture.value
        slider.value = value
        assert picture.value != before
        assert Image.open(io.BytesIO(picture.value)).format == "PNG"
    assert beta_box.children[0].min == pytest.approx(-1) and beta_box.children[0].max == pytest.approx(2)


def test_a_latent_changes_the_decoded_image_only(views):
    plain, moved = pixels(views[1].render()), pixels(views[1].render(**{f"z{views[1].order[0]}": 3.0}))
    half = len(plain) // 2
    assert (plain[: half - 4] == moved[: half - 4]).all() and (plain[half:] != moved[half:]).any()


def test_every_slider_of_live_is_passed_by_name():
    seen = []

    def render(a, b):
        seen.append((a, b))
        return Image.new("RGB", (4, 4))

    box = live(render, {"a": ipywidgets.IntSlider(1), "b": ipywidgets.IntSlider(2)}, "test")
    box.children[1].value = 7
    assert seen == [(1, 2), (1, 7)]
    assert "v101-test" in box._dom_classes and "v101-test-picture" in box.children[-1]._dom_classes


def test_a_slider_reaches_to_a_mean_that_is_far_out(views, monkeypatch):
    mean = views[1].mean.clone()
    mean[0, views[1].order[0]] = -5.3
    monkeypatch.setattr(views[1], "mean", mean)
    knob = vae_sliders(*views).children[1].children[0]
    assert knob.value == knob.min == pytest.approx(-5.3) and knob.max == 4


def test_latents_shown_are_those_of_largest_kl(views):
    from v101_utils.vae import kl_to_prior

    with torch.no_grad():
        kl = kl_to_prior(*views[1].model.encode(views[1].image, 1.0))[0]
    assert kl[views[1].order].min() >= kl.sort(descending=True).values[len(views[1].order) - 1]


def test_a_latent_that_there_is_not_is_refused(views):
    for name in ("a1", "z99", "foo"):
        with pytest.raises(ValueError, match="the latents are z0 to z"):
            views[1].render(**{name: 1.0})


def test_a_slider_of_beta_needs_a_range():
    with pytest.raises(ValueError, match="one beta alone"):
        BetaView(VAE(), torch.zeros(9, 1, 28, 28))
