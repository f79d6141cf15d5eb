"""Confusion, diversity within a class, and tables as pictures."""

import matplotlib.pyplot as plt
import pytest
import torch
from torch.nn import functional as F

from v101_utils.metrics.labelled import class_diversity, confusion
from v101_utils.view.tables import tables


def test_confusion_counts_shares_of_each_asked_class():
    found, asked = torch.tensor([0, 1, 1, 2, 2, 2]), torch.tensor([0, 0, 1, 1, 1, 1])
    assert confusion(found, asked, 3).tolist() == [[0.5, 0.5, 0], [0, 0.25, 0.75], [0, 0, 0]]


def test_confusion_refuses_what_does_not_go_together():
    with pytest.raises(ValueError, match=r"found \(3,\), asked \(4,\)"):
        confusion(torch.zeros(3).long(), torch.zeros(4).long())


def test_diversity_is_the_mean_over_all_pairs_of_each_class():
    torch.manual_seed(0)
    features, labels = torch.randn(40, 6) + 1, torch.arange(40) % 2
    for c, diversity in enumerate(class_diversity(features, labels, 2)):
        u = F.normalize(features[labels == c])
        assert diversity.item() == pytest.approx((1 - u @ u.T)[~torch.eye(20, dtype=torch.bool)].mean().item(), rel=1e-4)


def test_images_all_alike_have_no_diversity_and_lengths_do_not_matter():
    features, labels = torch.arange(1, 5)[:, None] * torch.ones(1, 6), torch.zeros(4).long()
    assert class_diversity(features, labels, 1).item() == pytest.approx(0, abs=1e-6)


def test_diversity_needs_two_of_each():
    with pytest.raises(ValueError, match=r"classes \[1, 2\].*at least 2"):
        class_diversity(torch.ones(3, 2), torch.tensor([0, 0, 1]), 3)


def test_tables_write_each_number_in_its_cell():
    figure = tables({"one": torch.tensor([[0.1, 0.9]]), "two": torch.tensor([[0.0, 1.0]])}, ["a", "b"], ["x"], "across", "down")
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [["0.10", "0.90"], ["0.00", "1.00"]]
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"] and figure.axes[0].get_ylabel() == "down"
    plt.close(figure)


def test_a_table_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"table 'one' is \(1, 3\).*\(1, 2\)"):
        tables({"one": torch.zeros(1, 3)}, ["a", "b"], ["x"])
    plt.close()


@pytest.mark.parametrize(("found", "asked"), [([10, 0], [0, 1]), ([0, 1], [10, 1]), ([-1, 0], [0, 1])])
def test_classes_that_there_are_not_are_refused(found, asked):
    with pytest.raises(ValueError, match="beyond 0 to 9"):
        confusion(torch.tensor(found), torch.tensor(asked))
