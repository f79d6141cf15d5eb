"""What "good" means, against scipy and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.metrics import mutual_info_score
from torch import nn

from v101_utils.metrics import Classifier, FrechetDistance, accuracy, mutual_information, mutual_information_gap


@pytest.fixture(scope="module")
def judge():
    """Eight features whose covariance is of full rank, as those of an untrained classifier are not."""
    torch.manual_seed(0)
    network = nn.Module()
    network.features, network.num_features = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 8), nn.Tanh()), 8
    return network.eval()


def pictures(seed: int, count=700) -> torch.Tensor:
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(seed))


def closed_form(judge, a, b) -> float:
    """|mu_a - mu_b|^2 + tr(A + B - 2 (A B)^(1/2)), from features of images in [-1, 1]."""
    with torch.no_grad():
        a, b = (judge.features(x * 2 - 1).double().numpy() for x in (a, b))
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * sqrtm(cov_a @ cov_b).real)


def test_frechet_is_the_closed_form(judge):
    distance, other = FrechetDistance(pictures(0), judge), pictures(1) ** 2
    expected = closed_form(judge, pictures(0), other)
    assert distance(other) == pytest.approx(expected, rel=1e-3)
    assert distance(other) == pytest.approx(expected, rel=1e-3)  # the first call left nothing behind
    assert abs(distance(pictures(0))) < 1e-4 * expected


def test_frechet_takes_the_classifier_and_leaves_it_as_it_was():
    torch.manual_seed(0)
    classifier = Classifier().train()
    assert FrechetDistance(pictures(0, 300), classifier)(pictures(1, 300) ** 3) > 0
    assert all(p.dtype == torch.float32 for p in classifier.parameters())
    assert classifier(pictures(0, 2)).shape == (2, 10)


@pytest.mark.parametrize("wrong", [lambda x: x * 2 - 1, lambda x: x * 255, lambda x: x * torch.nan, lambda x: x[:, 0]])
def test_frechet_refuses_another_range_or_shape(judge, wrong):
    distance = FrechetDistance(pictures(0, 200), judge)
    with pytest.raises(ValueError, match=r"\(N, C, H, W\) in \[0, 1\]"):
        distance(wrong(pictures(1, 200)))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        FrechetDistance(wrong(pictures(1, 200)), judge)


def test_mutual_information_is_scikit_learns():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 20, (3000, 3))
    b = np.stack([a[:, 0], (a[:, 1] + rng.integers(0, 5, 3000)) % 20], 1)
    a[0], a[1], b[0], b[1] = 0, 19, 0, 19  # all of the range, so that bins are the integers
    found = mutual_information(torch.tensor(a, dtype=torch.float32), torch.tensor(b, dtype=torch.float32))
    expected = [[mutual_info_score(i, j) for j in b.T] for i in a.T]
    assert found.numpy() == pytest.approx(np.array(expected), abs=1e-6)


def test_with_itself_it_is_the_entropy():
    values = torch.rand(40_000, 2, generator=torch.Generator().manual_seed(0))
    assert mutual_information(values, values).diagonal().numpy() == pytest.approx(math.log(20), abs=0.01)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 2\) and \(5, 2\)"):
        mutual_information(torch.rand(4, 2), torch.rand(5, 2))


def test_the_gap_of_a_perfect_code_is_one():
    factors = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0))
    constant = torch.zeros(len(factors), 1)
    gap, gaps = mutual_information_gap(torch.cat([constant, factors[:, [2, 0, 1]] * -5 + 3], 1), factors)
    assert gap == pytest.approx(1, abs=0.01)
    assert gaps.numpy() == pytest.approx([1] * 3, abs=0.01)


def test_a_factor_that_never_varies_has_no_gap():
    factors = torch.rand(100, 3)
    factors[:, 1] = 0.5
    with pytest.raises(ValueError, match="factor 1 has one value"):
        mutual_information_gap(torch.rand(100, 4), factors)


def test_the_gap_of_a_shared_code_is_zero():
    factors = torch.rand(20_000, 2, generator=torch.Generator().manual_seed(0))
    assert mutual_information_gap(factors.repeat(1, 2), factors)[0] == pytest.approx(0, abs=1e-9)
    turned = factors @ torch.tensor([[1.0, 1.0], [1.0, -1.0]])  # by 45 degrees: each latent tells of both
    assert mutual_information_gap(turned, factors)[0] < 0.02


def test_accuracy_counts():
    images, labels = pictures(0, 1200), torch.arange(1200) % 10

    def right_three_times_in_four(part):  # told by the first pixel, which is set below
        return torch.nn.functional.one_hot(part[:, 0, 0, 0].long(), 10).float()

    images[:, 0, 0, 0] = torch.where(torch.arange(1200) < 900, labels, (labels + 1) % 10).float()
    assert accuracy(right_three_times_in_four, images, labels) == pytest.approx(0.75)


def test_latents_of_which_nothing_can_be_told_are_refused():
    factors = torch.rand(50, 2)
    for latents in (torch.rand(50, 1), torch.full((50, 3), float("nan"))):
        with pytest.raises(ValueError, match="L at least 2, and finite"):
            mutual_information_gap(latents, factors)


@pytest.mark.parametrize("count", [0, 1])
def test_frechet_refuses_too_few_images_for_a_covariance(judge, count):
    with pytest.raises(ValueError, match="N at least 2"):
        FrechetDistance(pictures(0, 200), judge)(pictures(1)[:count])
