"""Distances of two sets of points: they are scipy's, and the test's p-values are uniform where there is nothing to find."""

import pytest
import torch
from scipy import stats

from v101_utils.metrics import energy_distance, matching_distance, two_sample_test


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_in_one_dimension_it_is_that_of_scipy():
    a, b = normal(70, 1), 0.5 * normal(40, 1, seed=1) + 0.3
    assert energy_distance(a, b) == pytest.approx(stats.energy_distance(a[:, 0], b[:, 0]) ** 2, rel=1e-9)


def test_a_matching_in_one_dimension_is_scipys_wasserstein_distance():
    a, b = normal(70, 1), 0.5 * normal(70, 1, seed=1) + 0.3
    assert matching_distance(a, b) == pytest.approx(stats.wasserstein_distance(a[:, 0], b[:, 0]), rel=1e-9)


def test_points_without_partners_are_refused():
    with pytest.raises(ValueError, match="as many of each"):
        matching_distance(normal(5, 2), normal(4, 2))


def test_p_values_are_uniform_for_one_distribution_and_small_for_two():
    draw = torch.Generator().manual_seed(0)
    same = [two_sample_test(normal(60, 2, seed=i), normal(60, 2, seed=1000 + i), 99, draw) for i in range(100)]
    assert stats.kstest(same, "uniform").pvalue > 0.01
    assert two_sample_test(normal(300, 2), normal(300, 2, seed=1) + torch.tensor([0.5, 0.0]), generator=draw) < 0.01
    assert two_sample_test(normal(300, 2), 1.5 * normal(300, 2, seed=1), generator=draw) < 0.01


@pytest.mark.parametrize(("a", "b"), [((5, 2), (5, 3)), ((5,), (5, 2))])
def test_points_of_other_dimensions_are_refused(a, b):
    with pytest.raises(ValueError, match=r"should be \(N, D\) and \(M, D\)"):
        two_sample_test(torch.zeros(a), torch.zeros(b))


@pytest.mark.parametrize("measure", [energy_distance, matching_distance, two_sample_test])
def test_nothing_and_nan_are_refused(measure):
    with pytest.raises(ValueError, match="at least one of each"):
        measure(torch.zeros(0, 2), torch.zeros(0, 2))
    with pytest.raises(ValueError, match="infinite or nan"):
        measure(torch.full((3, 2), float("nan")), torch.zeros(3, 2))
