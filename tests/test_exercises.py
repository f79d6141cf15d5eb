"""Exercises: what the check says of an answer, and that every chapter's exercises have one to be compared with."""

import inspect
import re
from collections import Counter
from pathlib import Path

import pytest
import torch

from v101_utils.exercises import answers, check
from v101_utils.vae import kl_to_prior

CHAPTERS = sorted((Path(__file__).parent.parent / "notebooks").glob("[0-9][0-9]_*.py"))


def asked(chapter: Path) -> list[str]:
    """The names that a chapter's exercises check, its solutions left out."""
    return re.findall(r"^check\((\w+)", chapter.read_text(encoding="utf-8").partition("\n# ## Solutions")[0], re.M)


def test_check_tells_right_from_wrong(capsys):
    def truth(mean):
        return kl_to_prior(mean, torch.zeros_like(mean)).sum(1)

    def right(mean):
        return 0.5 * mean.square().sum(1)

    def wrong(mean):
        return mean.square().sum(1)

    def misshapen(mean):
        return mean

    def empty(mean): ...

    def broken(mean):
        return mean.no_such_thing

    for answer, word in ((right, "right"), (wrong, "numbers"), (misshapen, "shape is"), (empty, "no tensor"), (broken, "raised")):
        check(answer, torch.randn(5, 3), truth=truth)
        assert word in capsys.readouterr().out
    check(lambda n: n / 2, torch.tensor([3, 4]), truth=lambda n: n // 2)
    assert "numbers" in capsys.readouterr().out


def test_an_answer_that_works_in_place_is_judged_by_what_it_was_given(capsys):
    def doubled(x):
        x *= 2
        return x

    def emptied(x):
        return x.zero_()

    x = torch.ones(3)
    check(doubled, x, truth=lambda x: 2 * x)
    check(emptied, x, truth=lambda x: x**2)
    assert capsys.readouterr().out.splitlines() == ["doubled: right", "emptied: not yet; its shape is right, its numbers are not"]
    assert (x == 1).all()


def test_each_exercise_has_one_answer_and_each_answer_an_exercise():
    every = Counter(name for chapter in CHAPTERS for name in asked(chapter))
    own = {n for n, f in inspect.getmembers(answers, inspect.isfunction) if f.__module__ == answers.__name__}
    assert len(every) == 3 * len(CHAPTERS) > 0 and set(every.values()) == {1}  # one name in two chapters would have one answer
    assert all(callable(getattr(answers, name, None)) for name in every)
    assert own <= set(every), f"no chapter asks for {own - set(every)}"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem[:2])
def test_no_exercise_gives_its_answer_away(chapter):
    exercises = chapter.read_text(encoding="utf-8").partition("\n# ## Exercises")[2].partition("\n# ## Summary")[0]
    assert len(asked(chapter)) == 3 and "truth=" not in exercises and "answers" not in exercises


def test_a_name_without_an_exercise_is_refused():
    def adian(x, scale, shift): ...

    with pytest.raises(ValueError, match="no exercise is called adian"):
        check(adian, torch.ones(1))


def test_an_answer_is_found_by_its_name(capsys):
    def fewer(side, down, channels):
        return side**2 * 3 / ((side / down) ** 2 * channels)

    check(fewer, torch.tensor(512.0), torch.tensor(8.0), torch.tensor(4.0))
    assert capsys.readouterr().out == "fewer: right\n"
