"""Slerp, path length and separability, against closed forms, scipy and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial import geometric_slerp
from sklearn.linear_model import LogisticRegression

from v101_utils.metrics.latent_space import conditional_entropy, path_length, separability, slerp


def normal(*shape, seed=0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# Slerp


@pytest.mark.parametrize("t", [0.0, 0.3, 0.5, 1.0])
def test_slerp_is_scipys_on_the_sphere(t):
    a, b = (v / v.norm(dim=1, keepdim=True) for v in (normal(5, 8).double(), normal(5, 8, seed=1).double()))
    expected = np.stack([geometric_slerp(p, q, t) for p, q in zip(a.numpy(), b.numpy())])
    torch.testing.assert_close(slerp(a, b, t), torch.from_numpy(expected), atol=1e-9, rtol=1e-7)


def test_slerp_interpolates_lengths_and_takes_a_place_for_each_path():
    a, b, t = normal(5, 8), 3 * normal(5, 8, seed=1), torch.tensor([[0.0], [0.25], [0.5], [0.75], [1.0]])
    found = slerp(a, b, t)
    torch.testing.assert_close(found.norm(dim=1), torch.lerp(a.norm(dim=1), b.norm(dim=1), t[:, 0]))
    torch.testing.assert_close(found[0], a[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found[4], b[4], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found[1], slerp(a, b, 0.25)[1])


def test_slerp_between_equal_and_parallel_vectors():
    a = normal(5, 8)
    torch.testing.assert_close(slerp(a, a, 0.3), a, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(slerp(a, 2 * a, 0.5), 1.5 * a, atol=1e-4, rtol=1e-4)
    assert slerp(a, -a, 0.5).isfinite().all()


# Path length


def test_path_length_of_a_linear_map():
    """|M (b - a)|^2 whatever t, for straight paths."""
    m, a, b = normal(12, 4), normal(6, 4, seed=1), normal(6, 4, seed=2)
    found = path_length(lambda z: (z @ m.T).view(-1, 1, 3, 4), a, b)
    torch.testing.assert_close(found, ((b - a) @ m.T).square().sum(1), rtol=2e-3, atol=1e-3)


def test_path_length_of_a_curve_is_its_mean_squared_speed():
    """t^2 runs at the speed 2t, whose mean square is 4 / 3; at an epsilon e, (2t + e)^2 has the mean 4/3 + 2e + e^2."""
    a, b = torch.zeros(200_000, 1), torch.ones(200_000, 1)
    for epsilon in (0.01, 0.5):
        found = path_length(torch.square, a, b, epsilon=epsilon, generator=torch.Generator().manual_seed(0)).mean().item()
        assert found == pytest.approx(4 / 3 + 2 * epsilon + epsilon**2, rel=0.01)


def test_path_length_along_a_great_circle():
    """Unit vectors at a right angle: the arc has the length pi / 2, at a constant speed."""
    a, b = torch.eye(2).double()[:1], torch.eye(2).double()[1:]
    assert path_length(lambda z: z, a, b, slerp).item() == pytest.approx((math.pi / 2) ** 2, rel=1e-3)
    assert path_length(lambda z: z, a, b).item() == pytest.approx(2, rel=1e-3)  # the chord


def test_path_length_repeats_by_its_generator():
    a, b = normal(6, 4), normal(6, 4, seed=1)
    first, again, other = (path_length(torch.sin, a, b, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


# Separability


def entropy(labels) -> float:
    share = labels.double().mean().item()
    return -(share * math.log(share) + (1 - share) * math.log(1 - share))


@pytest.mark.parametrize("noise", [0.1, 1.0, 3.0])
def test_conditional_entropy_is_that_of_scikit_learns_regression(noise):
    points = normal(3000, 6) * torch.tensor([1.0, 10, 0.1, 1, 1, 1]) + torch.tensor([0.0, 3, 0, 0, -1, 0])  # of any scale
    labels = points[:, 0] - 5 * points[:, 2] + noise * normal(3000, seed=1) > 0.4
    scaled = ((points - points.mean(0)) / points.std(0)).numpy()
    side = torch.from_numpy(LogisticRegression(C=1.0).fit(scaled, labels.numpy()).predict(scaled))
    expected = sum((side == s).double().mean().item() * entropy(labels[side == s]) for s in (False, True))
    assert conditional_entropy(points, labels) == pytest.approx(expected, abs=0.01)


def test_conditional_entropy_at_its_ends():
    points = normal(4000, 3)
    assert conditional_entropy(points, points[:, 1] > 0.3) == pytest.approx(0, abs=0.01)
    labels = normal(4000, seed=1) > 0.8
    assert conditional_entropy(points, labels) == pytest.approx(entropy(labels), abs=0.01)
    assert conditional_entropy(points, torch.ones(4000, dtype=torch.bool)) == 0
    ring = points.square().sum(1) > 2.4  # no plane can tell inside from outside
    assert conditional_entropy(points, ring) == pytest.approx(entropy(ring), abs=0.02)


def test_separability_is_the_exponential_of_the_sum():
    points = normal(2000, 3)
    attributes = torch.stack([points[:, 0] > 0, points[:, 1] + normal(2000, seed=2) > 0, normal(2000, seed=1) > 0], 1)
    entropies = [conditional_entropy(points, attributes[:, i]) for i in range(3)]
    assert separability(points, attributes) == pytest.approx(math.exp(sum(entropies)), rel=1e-5)
    assert separability(points, attributes[:, :1]) < 1.05
    with torch.no_grad():
        assert separability(points, attributes[:, 2:]) == pytest.approx(2, abs=0.05)


def test_labels_that_are_no_booleans_and_nan_are_refused():
    points, labels = torch.randn(20, 2), torch.arange(20) % 2 == 0
    for wrong in ((points, labels.long()), (points * float("nan"), labels)):
        with pytest.raises(ValueError, match="booleans"):
            conditional_entropy(*wrong)
