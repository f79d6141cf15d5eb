"""Batches: each epoch visits each row once, and an answer depends on (seed, step) alone."""

import pytest
import torch

from v101_utils.data import Batches

ROWS, SIZE = 12, 4


def batches(seed=0, size=SIZE):
    return Batches(torch.arange(ROWS), torch.arange(ROWS) * 10, size=size, seed=seed)


def epoch(source, number):
    return torch.cat([source(number * 3 + step)[0] for step in range(3)]).tolist()


def test_an_epoch_visits_each_row_once():
    for number in range(4):
        assert sorted(epoch(batches(), number)) == list(range(ROWS))


def test_epochs_and_seeds_differ():
    orders = [epoch(batches(seed), number) for seed in range(3) for number in range(3)]
    assert len(set(map(tuple, orders))) == len(orders)


def test_a_batch_depends_on_seed_and_step_alone():
    forward = [batches()(step)[0] for step in range(9)]
    source = batches()
    for step in (8, 0, 5, 5, 2, 7, 1, 6, 3, 4):
        torch.rand(3)
        assert torch.equal(source(step)[0], forward[step])


def test_tensors_stay_together():
    images, labels = batches()(5)
    assert torch.equal(labels, images * 10)


def test_a_last_smaller_batch_is_left_out():
    source = batches(size=5)
    assert all(len(source(step)[0]) == 5 for step in range(10))
    assert len(set(torch.cat([source(0)[0], source(1)[0]]).tolist())) == 10


@pytest.mark.parametrize("size", [0, -1, ROWS + 1])
def test_a_size_that_cannot_be_is_refused(size):
    with pytest.raises(ValueError, match=f"size {size}.*{ROWS}"):
        batches(size=size)


def test_tensors_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match=r"\[4, 5\]"):
        Batches(torch.zeros(4), torch.zeros(5), size=2)
