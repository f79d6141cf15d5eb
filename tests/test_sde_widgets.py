"""The sliders of the score's field and of the corrector."""

import math

import pytest
import torch
from PIL import Image
from sliders import check_redraws, pixels

from v101_utils.diffusion import GaussianMixture, ve, vp
from v101_utils.metrics import energy_distance
from v101_utils.widgets import CorrectorView, FieldView, corrector_sliders, field_slider

MIXTURE = GaussianMixture([[-1.2, -0.4], [1.2, 0.4]], [0.25, 0.15], [0.2, 0.8])


@pytest.fixture(scope="module")
def field():
    return FieldView(MIXTURE, vp(), count=100)


@pytest.fixture(scope="module")
def corrector():
    return CorrectorView(MIXTURE, ve(high=1.5), count=1500)


def test_particles_start_as_noise_and_end_at_the_clouds(field):
    assert len(field.particles) == 51 and torch.equal(field.particles[-1], field.start)
    away = torch.cdist(field.particles[0], MIXTURE.means).min(1).values
    assert away.max() < 0.9 and away.mean() < 0.3 and field.start.std() > 0.8


@pytest.mark.parametrize(("values", "other"), [({"t": 0.5}, {"t": 0.1})])
def test_the_field_renders_purely(field, values, other):
    assert (pixels(field.render(**values)) == pixels(field.render(**values))).all()
    assert (pixels(field.render(**values)) != pixels(field.render(**other))).any()


def test_the_corrector_renders_purely_and_helps(corrector):
    assert (pixels(corrector.render(20, 0.16)) == pixels(corrector.render(20, 0.16))).all()
    for other in ((10, 0.16), (20, 0.3)):
        assert (pixels(corrector.render(20, 0.16)) != pixels(corrector.render(*other))).any()
    off = [energy_distance(corrector.samples(50, snr), corrector.exact) for snr in (0.0, 0.3)]
    assert off[1] < 0.6 * off[0]


@pytest.mark.parametrize(("view", "values", "message"), [
    ("field", (0.0,), "t 0.0: it should be above 0"), ("field", (1.2,), "t 1.2"), ("field", (math.nan,), "t nan"),
    ("corrector", (0, 0.1), "0 steps"), ("corrector", (20, -0.1), "snr -0.1"), ("corrector", (20, math.nan), "snr nan"),
    ("corrector", (20, 0.7), "to 0.6"),
])  # fmt: skip
def test_wrong_values_are_refused(request, view, values, message):
    with pytest.raises(ValueError, match=message):
        request.getfixturevalue(view).render(*values)


@pytest.mark.parametrize(("make", "view", "name", "moves"), [
    (field_slider, "field", "field", {"t": 0.3}), (corrector_sliders, "corrector", "corrector", {"steps": 10, "snr": 0.2}),
])  # fmt: skip
def test_setting_a_slider_redraws(request, make, view, name, moves):
    view = request.getfixturevalue(view)
    box = make(view)
    check_redraws(box, view, name, moves)
    for end in (0, -1):
        ends = [s.options[end] if hasattr(s, "options") else (s.min, s.max)[end] for s in box.children[:-1]]
        assert isinstance(view.render(*ends), Image.Image)
