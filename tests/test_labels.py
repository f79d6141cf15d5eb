"""The labels that samples are asked for."""

import numpy as np
import pytest
import torch

from v101_utils.data.labels import labels_for


@pytest.mark.parametrize(("labels", "count", "expected"), [
    (None, 7, [0, 1, 2, 0, 1, 2, 0]), (None, 2, [0, 1]), ([2], 3, [2, 2, 2]), ((1, 0), 5, [1, 0, 1, 0, 1]),
    ([0, 1, 2], 2, [0, 1]),
    (torch.tensor([2, 1]), 2, [2, 1]), (np.array([1], np.uint8), 2, [1, 1]), (range(3), 4, [0, 1, 2, 0]),
])  # fmt: skip
def test_labels_are_repeated_to_the_count(labels, count, expected):
    found = labels_for(labels, count, 3)
    assert found.tolist() == expected and found.dtype == torch.int64


def test_no_classes_no_labels():
    assert labels_for(None, 4, 0) is None
    with pytest.raises(ValueError, match="without labels: leave them out"):
        labels_for([0], 4, 0)


@pytest.mark.parametrize("labels", [
    [3], [-1], [0, 5], [], 1, [0.0], [True], [[0, 1]], ["coat"], torch.tensor([1.0]), torch.zeros(0).long(),
])  # fmt: skip
def test_other_labels_are_refused(labels):
    with pytest.raises(ValueError, match="integers from 0 to 2"):
        labels_for(labels, 4, 3)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("count", [0, -2])
def test_a_count_below_one_is_refused(classes, count):
    with pytest.raises(ValueError, match=f"count {count}: it should be at least 1"):
        labels_for(None, count, classes)
