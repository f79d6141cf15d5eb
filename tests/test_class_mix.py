"""The knob of a conditional GAN, as a pure function and as a callback."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from v101_utils.data import CLASSES
from v101_utils.gans import Generator
from v101_utils.metrics import Classifier
from v101_utils.view import grid
from v101_utils.widgets.class_mix import BAR, LINE, NAMES, ClassMixView, class_mix_sliders

VALUES = {"first": 3, "second": 8, "share": 0.4, "seed": 0}


@pytest.fixture(scope="module")
def view():
    """As quick as a generator gets. Its weights are large, so that its output depends on everything it is given."""
    torch.manual_seed(0)
    generator = Generator(width=8, latent_dim=8, classes=10)
    for layer in generator.layers[::3]:
        torch.nn.init.normal_(layer.weight, std=0.3)
    return ClassMixView(generator.requires_grad_(False).eval(), Classifier().requires_grad_(False).eval(), count=6)


def pixels(picture: Image.Image) -> np.ndarray:
    """Less the line of text, which tells the values whatever the network does."""
    return np.asarray(picture).astype(int)[24:]


def test_two_classes_are_enough():
    view = ClassMixView(Generator(width=4, latent_dim=8, classes=2).eval(), Classifier(classes=2).eval(), names=("a", "b"), count=2)
    first, second, *_ = class_mix_sliders(view).children
    assert (first.value, second.value) == (1, 0)


@pytest.mark.parametrize("change", [{"first": 1}, {"second": 5}, {"share": 0.6}, {"seed": 1}])
def test_render_is_pure_and_depends_on_every_value(view, change):
    first, other, again = (pixels(view.render(**values)) for values in (VALUES, VALUES | change, VALUES))
    assert other.shape == first.shape and (other != first).any() and (again == first).all()


def test_render_leaves_the_callers_randomness_alone(view):
    before = torch.get_rng_state()
    view.render(**VALUES)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("share", "label"), [(0.0, 3), (1.0, 8)])
def test_the_ends_are_the_plain_classes(view, share, label):
    plain = view.generator.sample(view.count, seed=5, labels=[label])
    torch.testing.assert_close(view.images(3, 8, share, seed=5), plain)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_class_with_itself_is_that_class(view, share):
    torch.testing.assert_close(view.images(4, 4, share), view.generator.sample(view.count, labels=[4]))


def test_shares_are_on_the_line_between_two_embeddings(view):
    shares = view.shares(3, 8, 0.25)
    assert shares.nonzero().flatten().tolist() == [3, 8] and shares[[3, 8]].tolist() == [0.75, 0.25]
    ends = view.generator.embedding(torch.tensor([3, 8]))
    torch.testing.assert_close(view.generator.embedding(shares[None])[0], 0.75 * ends[0] + 0.25 * ends[1])


def test_the_order_of_classes_is_only_a_direction(view):
    torch.testing.assert_close(view.images(3, 8, 0.25), view.images(8, 3, 0.75))


def test_probabilities_are_the_judges_mean(view):
    images = view.images(3, 8, 0.4)
    found = view.probabilities(images)
    assert found.shape == (10,) and found.sum().item() == pytest.approx(1)
    torch.testing.assert_close(found, torch.stack([view.judge(image[None]).softmax(1)[0] for image in images]).mean(0))


def test_bars_are_as_long_as_their_probability_and_red_where_asked(view):
    probabilities = torch.tensor([0.5, 0.25, *[0.25 / 8] * 8])
    picture = np.asarray(view.bars(probabilities, asked=(0, 2))).astype(int)
    for i, colour in ((0, [220, 20, 60]), (1, [169, 169, 169]), (2, [220, 20, 60])):
        line = picture[LINE * i + 7, NAMES:]
        assert (abs(line - colour).sum(1) == 0).sum() == pytest.approx(BAR * probabilities[i].item(), abs=1.5)


def test_the_picture_shows_the_images(view):
    sheet = grid(view.images(**VALUES), columns=4, zoom=64 / 28)
    assert (pixels(view.render(**VALUES))[: sheet.height, : sheet.width] == np.asarray(sheet)).all()


@pytest.mark.parametrize(("wrong", "message"), [
    ({"share": -0.1}, "share -0.1.*from 0"), ({"share": 1.1}, "share 1.1"), ({"share": np.nan}, "share nan"),
    ({"first": 10}, "10.*from 0 to 9"), ({"second": -1}, "-1.*from 0 to 9"), ({"first": 1.5}, "1.5.*from 0 to 9"),
    ({"second": "bag"}, "bag.*from 0 to 9"), ({"seed": -1}, "seed -1.*0 or above"),
])  # fmt: skip
def test_wrong_values_are_refused(view, wrong, message):
    with pytest.raises(ValueError, match=message):
        view.render(**VALUES | wrong)


def test_a_name_for_each_class(view):
    with pytest.raises(ValueError, match="2 names for 10 classes"):
        ClassMixView(view.generator, view.judge, names=("cat", "dog"))
    with pytest.raises(ValueError, match="10 names for 0 classes"):
        ClassMixView(Generator(width=8), view.judge)


@pytest.mark.parametrize(("slider", "value"), list(enumerate([1, 5, 0.9, 3])))
def test_setting_a_slider_redraws(view, slider, value):
    box = class_mix_sliders(view)
    picture, before = box.children[-1], box.children[-1].value
    assert "v101-class-mix" in box._dom_classes
    box.children[slider].value = value
    assert picture.value != before and Image.open(io.BytesIO(picture.value)).format == "PNG"


def test_the_sliders_offer_what_can_be_drawn(view):
    first, second, share, seed, _ = class_mix_sliders(view).children
    assert first.options == second.options == tuple((name, i) for i, name in enumerate(CLASSES))
    assert (share.min, share.max) == (0, 1) and seed.min == 0
