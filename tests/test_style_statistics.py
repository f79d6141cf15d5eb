"""Statistics of style against loops, numpy and scipy; what they forget (places) and what they must not mix (images)."""

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from v101_utils.style import FilterBank, content_loss, gram, moments, sliced, style_loss, total_variation

STATISTICS = (gram, moments, sliced)


def random(*shape, seed=0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def features():
    return random(3, 4, 5, 6) + 0.5


# Each of them


def test_gram_against_a_loop(features):
    found = gram(features)
    assert found.shape == (3, 4, 4)
    for b in range(3):
        for c in range(4):
            for d in range(4):
                expected = (features[b, c] * features[b, d]).mean()
                torch.testing.assert_close(found[b, c, d], expected)


def test_gram_against_numpy(features):
    rows = features.numpy().reshape(3, 4, 30)
    expected = torch.from_numpy(np.stack([r @ r.T / 30 for r in rows]))
    torch.testing.assert_close(gram(features), expected)


def test_the_folded_gram_mixes_images(features):
    """Errata 4.1.2: view(b * c, h * w) correlates channels of different images; per image they are the diagonal blocks."""
    b, c, h, w = features.shape
    rows = features.view(b * c, h * w)
    folded = torch.mm(rows, rows.t()) / (h * w)
    assert folded.shape == (b * c, b * c) != gram(features).shape
    blocks = folded.view(b, c, b, c)
    torch.testing.assert_close(torch.stack([blocks[i, :, i] for i in range(b)]), gram(features))
    assert blocks[0, :, 1].abs().max() > 0.1  # image 0 with image 1, which no style has


def test_gram_s_gradients_against_differences():
    features = random(2, 3, 4, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(gram, features) and torch.autograd.gradgradcheck(gram, features)
    weights = random(3, 3, seed=1).double()  # not symmetric

    def weighed(image):
        return (gram(image[None]) * weights).sum()

    weighed_one_by_one = torch.autograd.grad(sum(weighed(image) for image in features), features)[0]
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(weighed))(features.detach()), weighed_one_by_one)


def test_gram_s_gradient_is_one_product_as_gram_is(features):
    with FlopCounterMode(display=False) as forward:
        found = gram(features.requires_grad_())
    with FlopCounterMode(display=False) as backward:
        found.square().sum().backward()
    assert forward.get_total_flops() == backward.get_total_flops() == 2 * 3 * 4 * 4 * 30


def test_gram_s_gradient_after_autocast(features):
    wanted, found = features.clone().requires_grad_(), features.clone().requires_grad_()
    gram(wanted).sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        loss = gram(found).sum()
    loss.backward()
    torch.testing.assert_close(found.grad, wanted.grad, atol=1e-2, rtol=1e-2)  # in float32, but G was rounded to 8 bits


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_batch_is_each_image_apart(statistic, features):
    torch.testing.assert_close(statistic(features), torch.cat([statistic(image[None]) for image in features]))


@pytest.mark.parametrize("statistic", STATISTICS)
def test_places_are_forgotten(statistic):
    features = random(2, 4, 16, 16)
    shuffled = features.flatten(2)[..., torch.randperm(256, generator=torch.Generator().manual_seed(1))].view_as(features)
    torch.testing.assert_close(statistic(shuffled), statistic(features), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(statistic(features.roll((3, 5), (2, 3))), statistic(features), atol=1e-5, rtol=1e-4)
    other = features[:, :, :8]  # but not what is there
    assert (statistic(other) - statistic(features)).abs().max() > 0.01


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_shifted_image_without_borders_has_the_same_statistics(statistic):
    """Filters on a torus: the image wraps, and the features shift as it does."""
    bank, image = FilterBank((3, 7), 8), random(1, 3, 24, 24)

    def layer(picture, k):
        return F.conv2d(F.pad(picture, [k // 2] * 4, mode="circular"), bank.get_buffer(f"filters{k}")).relu()

    for k in bank.sizes:
        shifted = layer(image.roll((5, -9), (2, 3)), k)
        torch.testing.assert_close(statistic(shifted), statistic(layer(image, k)), atol=1e-5, rtol=1e-4)


def test_moments_against_torch(features):
    variance, mean = torch.var_mean(features, dim=(2, 3), correction=0)
    found = moments(features)
    assert found.shape == (3, 2, 4)
    torch.testing.assert_close(found[:, 0], mean)
    torch.testing.assert_close(found[:, 1], variance.sqrt(), atol=1e-4, rtol=1e-4)


def test_moments_of_a_silent_channel_have_a_gradient():
    features = torch.zeros(1, 2, 4, 4, requires_grad=True)
    moments(features).sum().backward()
    assert features.grad.isfinite().all()


def test_sliced_is_zero_for_a_permutation(features):
    order = torch.randperm(30, generator=torch.Generator().manual_seed(2))
    shuffled = features.flatten(2)[..., order].view_as(features)
    assert (sliced(features) - sliced(shuffled)).abs().max() < 1e-6
    assert (sliced(features) - sliced(features + 0.1)).square().mean() > 1e-4


def test_sliced_is_the_wasserstein_distance_along_a_direction():
    one, other = random(1, 1, 20, 20), random(1, 1, 20, 20, seed=1).exp()
    gap = (sliced(one, 1, 400) - sliced(other, 1, 400)).abs().mean().item()
    assert gap == pytest.approx(wasserstein_distance(one.flatten(), other.flatten()), abs=1e-5)


def test_sliced_keeps_quantiles_whatever_the_size():
    small, large = random(1, 2, 30, 30), random(1, 2, 90, 80, seed=1)
    found = sliced(small, directions=7, points=50), sliced(large, directions=7, points=50)
    assert found[0].shape == found[1].shape == (1, 7, 50)
    torch.testing.assert_close(found[0][..., 5:-5], found[1][..., 5:-5], atol=0.3, rtol=0)  # both are normal
    ends = sliced(small, 1, 2, seed=3)[0, 0]
    middle = sliced(small, 1, 3, seed=3)[0, 0]
    assert torch.equal(middle[::2], ends) and ends[0] < middle[1] < ends[1]


def test_sliced_knows_what_gram_does_not():
    signs = random(1, 1, 40, 40).sign()
    bell = random(1, 1, 40, 40, seed=1)
    bell = bell / bell.square().mean().sqrt()
    torch.testing.assert_close(gram(signs), gram(bell))
    assert (sliced(signs) - sliced(bell)).square().mean() > 0.1


def test_sliced_is_a_function_of_the_seed(features):
    state = torch.get_rng_state()
    assert torch.equal(sliced(features), sliced(features)) and not torch.equal(sliced(features), sliced(features, seed=1))
    assert torch.equal(torch.get_rng_state(), state)
    for wrong in ({"directions": 0}, {"points": 1}):
        with pytest.raises(ValueError, match="at least 1 and at least 2"):
            sliced(features, **wrong)


# Losses


@pytest.mark.parametrize("loss", [style_loss, content_loss])
def test_losses_are_relative_errors_averaged_over_layers(loss):
    wanted = {"a": random(1, 3, 3), "b": 100 * random(1, 5, 5, seed=1)}
    found = {"a": wanted["a"] * 1.1, "b": wanted["b"] * 3}
    torch.testing.assert_close(loss(found, wanted), torch.tensor((0.1**2 + 2**2) / 2))
    assert loss(wanted, wanted) == 0
    batch = {name: torch.cat([value, wanted[name]]) for name, value in found.items()}  # one aim for a batch
    torch.testing.assert_close(loss(batch, wanted), loss(found, wanted) / 2)


@pytest.mark.parametrize("loss", [style_loss, content_loss])
def test_a_plain_picture_s_zeros_are_an_aim(loss):
    assert loss({"a": torch.full((1, 2, 2), 0.1)}, {"a": torch.zeros(1, 2, 2)}).isfinite()


@pytest.mark.parametrize("loss", [style_loss, content_loss])
def test_losses_refuse_other_layers_and_shapes(loss):
    some = {"a": torch.ones(2, 3)}
    for found, wanted in (({}, {}), (some, {}), (some, {"b": torch.ones(2, 3)}), (some, some | {"b": torch.ones(2, 3)})):
        with pytest.raises(ValueError, match="should be the same, one or more"):
            loss(found, wanted)
    for shape in ((2, 4), (3, 3), (2, 3, 1)):  # (1, 3) would do
        with pytest.raises(ValueError, match="a: found .* wanted"):
            loss(some, {"a": torch.ones(shape)})


def test_total_variation():
    assert total_variation(torch.full((1, 3, 5, 7), 0.4)) == 0
    ramp = torch.arange(6.0).mul(0.1).expand(1, 3, 4, 6)
    torch.testing.assert_close(total_variation(ramp), torch.tensor(0.01))
    image, expected = random(1, 1, 3, 4), []
    for pairs in ([(image[0, 0, y, x], image[0, 0, y + 1, x]) for y in range(2) for x in range(4)],
                  [(image[0, 0, y, x], image[0, 0, y, x + 1]) for y in range(3) for x in range(3)]):  # fmt: skip
        expected.append(sum((a - b) ** 2 for a, b in pairs) / len(pairs))
    torch.testing.assert_close(total_variation(image), sum(expected))
