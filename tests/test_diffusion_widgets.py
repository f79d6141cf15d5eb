"""The knobs of diffusion, as pure functions and as callbacks; tests/browser drives one in a page."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from v101_utils import zoo
from v101_utils.data import CLASSES, fashion_mnist, to_unit
from v101_utils.diffusion import Denoiser, cosine
from v101_utils.nn import UNet
from v101_utils.widgets import GuidanceView, NoiseView, StepsView, guidance_sliders, noise_slider, steps_sliders
from v101_utils.widgets.diffusion import squared_error


@pytest.fixture(scope="module")
def data():
    found = fashion_mnist("test", source="shipped")
    return found.images[:64], found.labels[:64]


@pytest.fixture(scope="module")
def untrained():
    """As quick as a denoiser gets. Its last layer is not zero, so that its output depends on everything it is given."""
    torch.manual_seed(0)
    network = UNet(classes=10, widths=(16, 16), condition_dim=32)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return Denoiser(network, cosine()).requires_grad_(False).eval()


@pytest.fixture(scope="module")
def views(untrained, data):
    return {
        "noise": NoiseView(untrained, *data, shown=4, points=6),
        "steps": StepsView(untrained, count=4),
        "guidance": GuidanceView(untrained, count=4, steps=3),
    }


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def images_of(picture: Image.Image) -> np.ndarray:
    """The picture less its line of text, which tells the values whatever the network does."""
    return pixels(picture)[24:]


# Pure functions


@pytest.mark.parametrize(("name", "values", "changes"), [
    ("noise", {"t": 0.4}, [{"t": 0.7}]),
    ("steps", {"steps": 4, "eta": 0.0}, [{"steps": 5}, {"eta": 0.7}]),
    ("steps", {"steps": 4, "eta": 0.7}, [{"eta": 1.0}]),
    ("guidance", {"label": 3, "scale": 2.0}, [{"label": 8}, {"scale": 5.0}, {"scale": 0.0}]),
])  # fmt: skip
def test_render_is_pure_and_depends_on_every_value(views, name, values, changes):
    render = views[name].render
    first = images_of(render(**values))
    for change in changes:
        other = images_of(render(**values | change))
        assert other.shape == first.shape and (other != first).any()
    assert (images_of(render(**values)) == first).all()


def test_render_leaves_the_callers_randomness_alone(views):
    before = torch.get_rng_state()
    views["noise"].render(0.5)
    views["steps"].render(2, 1.0)
    views["guidance"].render(0, 3.0)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_noise_view_adds_what_the_schedule_says(views):
    """x_t = alpha x0 + sigma noise with the same noise at each t, which is standard normal."""
    view = views["noise"]
    for t in (0.02, 0.5, 1.0):
        alpha, sigma = (level(t).item() for level in (view.denoiser.schedule.alpha, view.denoiser.schedule.sigma))
        noisy, guess = view.guess(t)
        torch.testing.assert_close(noisy, alpha * view.images + sigma * view.noise)
        assert guess.shape == view.images.shape and guess.abs().max() <= 1
    assert abs(view.noise.mean()) < 0.02 and view.noise.std() == pytest.approx(1, abs=0.02)


def test_the_noise_view_uses_the_labels(untrained, data):
    images, labels = data
    with_labels, without = NoiseView(untrained, images, labels), NoiseView(untrained, images)
    assert torch.equal(with_labels.guess(0.5)[0], without.guess(0.5)[0])
    assert not torch.equal(with_labels.guess(0.5)[1], without.guess(0.5)[1])


def test_the_curve_is_of_all_images_and_measured_once(untrained, data):
    view = NoiseView(untrained, *data, shown=2, points=3)
    view.images, view.labels = view.images.repeat(5, 1, 1, 1), view.labels.repeat(5)  # more than one batch
    view.noise = view.noise.repeat(5, 1, 1, 1)
    expected = [(to_unit(view.guess(t)[1]) - to_unit(view.images)).square().mean().item() for t in (0.0, 0.5, 1.0)]
    assert view.curve == pytest.approx(expected, rel=1e-4)
    assert view.curve is view.curve
    assert view.curve[1] != pytest.approx(squared_error(view.guess(0.5, 0, 2)[1], view.images[:2]), rel=1e-3)


def test_the_marker_stands_at_t(views):
    """The only crimson on the page is the dot; a step of t takes it right by the same number of pixels each time."""
    across = []
    for t in (0.2, 0.5, 0.8):
        red = np.argwhere(abs(pixels(views["noise"].render(t)) - [220, 20, 60]).sum(2) < 5)
        assert len(red) > 50
        across.append(red[:, 1].mean())
    assert across[1] - across[0] == pytest.approx(across[2] - across[1], abs=1.5) and across[1] - across[0] > 40


@pytest.mark.parametrize(("scale", "per_step"), [(1.0, 1), (3.0, 2)])
def test_as_many_calls_as_the_text_says(untrained, scale, per_step, monkeypatch):
    """Guidance asks twice, in one batch of twice the size."""
    sizes, forward = [], untrained.network.forward
    monkeypatch.setattr(untrained.network, "forward", lambda x, *rest: sizes.append(len(x)) or forward(x, *rest))
    StepsView(untrained, count=4, scale=scale).render(5, 0.5)
    assert sizes == [4 * per_step] * 5


def test_steps_start_from_the_same_noise(untrained, monkeypatch):
    seen, forward = [], untrained.network.forward
    monkeypatch.setattr(untrained.network, "forward", lambda x, *rest: seen.append(x) or forward(x, *rest))
    view = StepsView(untrained, count=4)
    for steps, eta in ((2, 0.0), (3, 1.0)):
        view.render(steps, eta)
    assert torch.equal(seen[0], seen[2])


# Refusals


@pytest.mark.parametrize(("name", "values", "message"), [
    ("noise", {"t": -0.1}, "t -0.1.*from 0"), ("noise", {"t": 1.01}, "t 1.01.*from 0"), ("noise", {"t": np.nan}, "t nan"),
    ("steps", {"steps": 0, "eta": 0.0}, "0 steps.*at least 1"), ("steps", {"steps": -3, "eta": 0.0}, "-3 steps"),
    ("steps", {"steps": 3, "eta": -0.1}, "eta -0.1"), ("steps", {"steps": 3, "eta": np.nan}, "eta nan"),
    ("steps", {"steps": 3, "eta": np.inf}, "eta inf"),
    ("guidance", {"label": 10, "scale": 1.0}, "10.*from 0 to 9"), ("guidance", {"label": -1, "scale": 1.0}, "-1.*from 0 to 9"),
    ("guidance", {"label": "dress", "scale": 1.0}, "dress.*from 0 to 9"),
    ("guidance", {"label": 1.5, "scale": 1.0}, "1.5.*from 0 to 9"),
    ("guidance", {"label": 1, "scale": -1.0}, "guidance -1"), ("guidance", {"label": 1, "scale": np.nan}, "guidance nan"),
    ("guidance", {"label": 1, "scale": np.inf}, "guidance inf"),
])  # fmt: skip
def test_wrong_values_are_refused(views, name, values, message):
    with pytest.raises(ValueError, match=message):
        views[name].render(**values)


def test_a_name_for_each_class(untrained):
    with pytest.raises(ValueError, match="2 names for 10 classes"):
        GuidanceView(untrained, names=("cat", "dog"))
    with pytest.raises(ValueError, match="10 names for 0 classes"):
        GuidanceView(Denoiser(UNet(widths=(8, 8)), cosine()))


# Sliders


@pytest.mark.parametrize(("make", "name", "moves"), [
    (noise_slider, "noise", [(0, 0.9)]), (steps_sliders, "steps", [(0, 3), (1, 0.8)]),
    (guidance_sliders, "guidance", [(0, 8), (1, 6.0)]),
])  # fmt: skip
def test_setting_a_slider_redraws(views, make, name, moves):
    box = make(views[name])
    assert f"v101-{name}" in box._dom_classes
    picture = box.children[-1]
    for i, value in moves:
        before = picture.value
        box.children[i].value = value
        assert picture.value != before
        assert Image.open(io.BytesIO(picture.value)).format == "PNG"


def test_the_sliders_offer_what_can_be_drawn(views):
    t = noise_slider(views["noise"]).children[0]
    assert (t.min, t.max) == (0.02, 1)
    steps, eta, _ = steps_sliders(views["steps"]).children
    assert steps.options == (2, 3, 5, 8, 10, 15, 20, 30, 50) and (eta.min, eta.max) == (0, 1)
    label, scale, _ = guidance_sliders(views["guidance"]).children
    assert label.options == tuple((name, i) for i, name in enumerate(CLASSES)) and (scale.min, scale.max) == (0, 10)
    assert not (steps.continuous_update or eta.continuous_update or scale.continuous_update)


# The shipped network


@pytest.fixture(scope="module")
def shipped():
    return zoo.load("ddpm-fashion")


def test_the_shipped_guess_grows_worse_with_noise(shipped, data):
    """Under pure noise the best guess is the mean of the class, whose error is the variance within it."""
    images, labels = data
    error = NoiseView(shipped, images, labels, points=9).curve
    assert (np.diff(error) > 0).all() and error[0] < 1e-3
    within = sum((images[labels == k] - images[labels == k].mean(0)).square().sum() for k in labels.unique())
    assert error[-1] < 1.5 * within / 4 / images.numel()  # 4: the curve is of images in [0, 1], half as far apart


def test_more_steps_come_closer_to_the_limit(shipped):
    """Without fresh noise DDIM is a solver of one equation: its error falls with the step."""
    few, more, many, limit = (shipped.sample(16, steps=steps, sampler="ddim") for steps in (3, 10, 30, 150))
    error = [(images - limit).square().mean().item() for images in (few, more, many)]
    assert error[0] > 2 * error[1] > 4 * error[2]


def test_guidance_makes_the_class_clearer(shipped):
    """Scale 0 ignores the class; the more guidance, the surer a classifier is of it."""
    judge, labels = zoo.load("classifier-fashion"), torch.arange(60) % 10
    sure = []
    for scale in (0.0, 1.0, 3.0):
        images = shipped.sample(60, labels=labels, steps=15, guidance=scale)
        sure.append(judge(images).softmax(1)[torch.arange(60), labels].mean().item())
    assert sure[0] < 0.3 and sure[0] + 0.3 < sure[1] < sure[2]


def test_a_move_of_the_guidance_slider_costs_a_call_a_step(shipped):
    """16 images with their label and without, in one batch; what that takes in seconds, `benchmarks/diffusion.py` measures."""
    sizes, hook = [], shipped.network.register_forward_hook(lambda module, given, output: sizes.append(len(output)))
    GuidanceView(shipped).render(3, 2.0)
    hook.remove()
    assert sizes == [32] * 15
