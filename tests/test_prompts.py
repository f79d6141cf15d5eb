"""Prompts: the words say what is drawn, and the judge answers in words."""

import pytest
import torch
from scipy import stats
from torch.distributions import Categorical

from v101_utils.data.prompts import CHOICES, NULL, UNSEEN, WORDS, PromptBatches, describe, every_prompt, factors_of, parse
from v101_utils.data.shapes import ANGLE, SHAPES, draw
from v101_utils.metrics import measure_shapes
from v101_utils.metrics.prompts import PromptClassifier, PromptTask, words_right
from v101_utils.runtime import Plan
from v101_utils.training import fit

DEGREES = {"red": 0, "yellow": 60, "green": 120, "cyan": 180, "blue": 240, "magenta": 300}  # of hue
MANY = every_prompt().repeat(10, 1)


def column(prompts: torch.Tensor, factor: str) -> list[str]:
    return [WORDS[token] for token in prompts[:, list(CHOICES).index(factor)].tolist()]


def as_set(prompts: torch.Tensor) -> set[tuple]:
    return set(map(tuple, prompts.tolist()))


def off_hue(images: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
    """Degrees between the hue of each picture and that of its prompt's colour."""
    named = torch.tensor([DEGREES[word] for word in column(prompts, "colour")])
    return (measure_shapes(images)[:, 0] * 360 - named + 180) % 360 - 180


# Words and tokens


def test_every_prompt_is_read_back():
    for prompt in every_prompt():
        assert torch.equal(parse(describe(prompt)), prompt)


def test_a_prompt_is_a_sentence():
    tokens = torch.tensor([WORDS.index(word) for word in ("large", "red", "square", "rotated")])
    assert describe(tokens) == "a large red square, rotated"
    assert torch.equal(parse("Rotated and  RED, the large\nsquare"), tokens)


@pytest.mark.parametrize("left_out", range(1, 16))
def test_prompts_with_words_left_out_are_read_back(left_out):
    missing = torch.tensor([bool(left_out >> i & 1) for i in range(4)])
    for prompt in every_prompt():
        partial = prompt.masked_fill(missing, NULL)
        assert torch.equal(parse(describe(partial)), partial)


@pytest.mark.parametrize(("text", "words"), [
    ("", {}), ("a", {}), ("red", {1: "red"}), ("a cross", {2: "cross"}), ("upright", {3: "upright"}),
    ("an ellipse, small", {0: "small", 2: "ellipse"}),
])  # fmt: skip
def test_what_is_not_named_is_null(text, words):
    assert parse(text).tolist() == [WORDS.index(words[i]) if i in words else NULL for i in range(4)]


def test_no_word_has_the_null_token():
    assert len(set(WORDS)) == len(WORDS) == NULL == 14
    assert every_prompt().max() < NULL


def test_an_unknown_word_is_refused():
    with pytest.raises(ValueError, match="'purple' in 'a purple square' is not known; there are small, large, red"):
        parse("a purple square")


@pytest.mark.parametrize(("text", "message"), [
    ("a red blue square", "two words for the colour: 'red' and 'blue'"), ("red red", "two words for the colour: 'red' and 'red'"),
    ("small large", "the size: 'small' and 'large'"), ("a cross square", "the shape: 'cross' and 'square'"),
    ("upright, rotated", "the turn: 'upright' and 'rotated'"),
])  # fmt: skip
def test_two_words_of_a_factor_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


# Which prompts there are


def test_there_are_96_prompts():
    assert every_prompt().shape == (96, 4) and len(as_set(every_prompt())) == 96


def test_a_sixth_is_held_out():
    seen, unseen = every_prompt(unseen=False), every_prompt(unseen=True)
    assert len(unseen) == 16 and len(seen) == 80
    assert as_set(seen) | as_set(unseen) == as_set(every_prompt())
    assert set(zip(column(unseen, "colour"), column(unseen, "shape"))) == set(UNSEEN)
    assert not set(zip(column(seen, "colour"), column(seen, "shape"))) & set(UNSEEN)


def test_every_word_is_seen():
    assert set(every_prompt(unseen=False).flatten().tolist()) == set(range(len(WORDS)))


# What is drawn


def test_factors_are_in_range_and_a_function_of_the_seeds():
    found = factors_of(MANY, 1, 2)
    assert found.shape == (960, 6) and found.min() >= 0 and found.max() <= 1
    assert torch.equal(found, factors_of(MANY, 1, 2))
    assert not torch.equal(found, factors_of(MANY, 2, 1))
    assert factors_of(MANY[:0], 0).shape == (0, 6)


def test_the_shape_is_the_words():
    found = (factors_of(MANY, 0)[:, 0] * len(SHAPES)).long().tolist()
    assert [SHAPES[i] for i in found] == column(MANY, "shape")


def test_the_hue_that_is_drawn_is_the_words():
    off = off_hue(draw(factors_of(MANY, 0), 64), MANY)
    assert off.abs().max() < 8.2
    for colour in DEGREES:
        mine = off[torch.tensor([word == colour for word in column(MANY, "colour")])]
        assert mine.max() - mine.min() > (4 if colour in ("red", "magenta") else 15)  # the range of hues cuts these two


def test_the_size_is_the_words_third():
    size, large = factors_of(MANY, 0)[:, 2], torch.tensor([word == "large" for word in column(MANY, "size")])
    for third, start in ((size[~large], 0), (size[large], 2 / 3)):
        assert stats.kstest(third.numpy(), stats.uniform(start, 1 / 3).cdf).pvalue > 1e-3
        assert start <= third.min() and third.max() <= start + 1 / 3 + 1e-6


def test_the_degrees_are_the_words():
    degrees = ANGLE[0] + factors_of(MANY, 0)[:, 3] * (ANGLE[1] - ANGLE[0])
    rotated = torch.tensor([word == "rotated" for word in column(MANY, "turn")])
    upright, turned = degrees[~rotated], degrees[rotated]
    assert stats.kstest(upright.numpy(), stats.uniform(-6, 12).cdf).pvalue > 1e-3 and upright.abs().max() < 6.001
    assert stats.kstest(turned.abs().numpy(), stats.uniform(20, 20).cdf).pvalue > 1e-3 and turned.abs().min() > 19.999
    assert 0.4 < (turned > 0).float().mean() < 0.6


def test_the_place_is_anywhere():
    assert min(stats.kstest(place.numpy(), "uniform").pvalue for place in factors_of(MANY, 0)[:, 4:].T) > 1e-3


@pytest.mark.parametrize("wrong", [
    every_prompt()[0], every_prompt()[:, :3], every_prompt()[:, :1], every_prompt()[None], every_prompt().flip(1),
    parse("a red square")[None], torch.full((1, 4), NULL), torch.full((1, 4), -1),
])  # fmt: skip
def test_prompts_that_are_not_whole_are_refused(wrong):
    with pytest.raises(ValueError, match=r"they should be whole, \(N, 4\)|is not whole: it should have a word of each"):
        factors_of(wrong, 0)


def test_batches_depend_on_seed_and_step_alone():
    one, other = (PromptBatches(8, every_prompt(), seed=3) for _ in range(2))
    for step in (5, 0, 5, 2):
        torch.rand(1)
        images, prompts = one(step)
        assert torch.equal(images, other(step)[0]) and torch.equal(prompts, other(step)[1])
    assert not torch.equal(one(0)[0], one(1)[0])
    assert not torch.equal(one(0)[0], PromptBatches(8, every_prompt(), seed=4)(0)[0])


def test_batches_draw_all_of_the_given_prompts_and_no_other():
    given = every_prompt(unseen=True)
    batches = PromptBatches(64, given, pixels=16)
    assert as_set(torch.cat([batches(step)[1] for step in range(5)])) == as_set(given)


def test_pictures_of_a_batch_are_of_their_prompts():
    images, prompts = PromptBatches(100, every_prompt())(0)
    assert images.shape == (100, 3, 64, 64) and prompts.shape == (100, 4) and images.abs().max() <= 1
    assert off_hue(images, prompts).abs().max() < 8.2
    assert PromptBatches(2, every_prompt(), pixels=32)(0)[0].shape == (2, 3, 32, 32)


# The judge


class Recites(PromptClassifier):
    """Sees the given prompts, whatever the pictures."""

    def __init__(self, prompts):
        super().__init__()
        self.prompts = prompts

    def forward(self, images):
        return torch.zeros(len(images), len(WORDS)).scatter(1, self.prompts, 1.0)


def test_the_judge_reads_a_word_of_each_factor():
    torch.manual_seed(0)
    read = PromptClassifier().eval().read(torch.rand(20, 3, 64, 64) * 2 - 1)
    assert read.shape == (20, 4) and as_set(read) <= as_set(every_prompt())
    assert torch.equal(Recites(every_prompt()).read(torch.zeros(96, 3, 64, 64)), every_prompt())


def test_the_words_that_are_right():
    asked = every_prompt()
    seen = asked.clone()
    seen[::2, 1] = WORDS.index("red")
    assert torch.equal(words_right(Recites(seen), torch.zeros(96, 3, 64, 64), asked), seen == asked)


@pytest.mark.parametrize("shape", [(2, 4), (3, 3), (4,), (3, 4, 1)])
def test_a_prompt_for_each_image_is_asked_for(shape):
    with pytest.raises(ValueError, match=r"for 3 images: they should be \(3, 4\)"):
        words_right(PromptClassifier().eval(), torch.zeros(3, 3, 64, 64), torch.zeros(shape, dtype=torch.long))


def test_the_judges_loss_is_torchs():
    torch.manual_seed(0)
    task, (images, prompts) = PromptTask(PromptClassifier()).eval(), PromptBatches(6, every_prompt())(0)
    logits, expected, start = task.model(images), 0, 0
    for i, words in enumerate(CHOICES.values()):
        expected -= Categorical(logits=logits[:, start : start + len(words)]).log_prob(prompts[:, i] - start).mean()
        start += len(words)
    torch.testing.assert_close(task.training_step((images, prompts), lambda loss, optimiser: None)["loss"], expected)


def test_the_judge_learns():
    torch.manual_seed(0)
    batch = PromptBatches(16, every_prompt())(0)
    steps = fit(PromptTask(PromptClassifier()), lambda step: batch, 10, plan=Plan(), progress=False)
    found = [step.scalars["loss"] for step in steps]
    assert found[-1] < 0.8 * found[0]


@pytest.mark.parametrize("wander", [0.0, 0.5])
def test_the_place_wanders_as_far_from_the_middle_as_asked(wander):
    free, held = factors_of(MANY, 3), factors_of(MANY, 3, wander=wander)
    assert torch.equal(free[:, :4], held[:, :4])  # nothing else changes
    torch.testing.assert_close(held[:, 4:] - 0.5, wander * (free[:, 4:] - 0.5))
    images, prompts = PromptBatches(8, every_prompt(), seed=1, wander=wander)(0)
    assert torch.equal(images, draw(factors_of(prompts, 1, 0, wander=wander), 64))


def test_a_place_cannot_wander_beyond_the_picture():
    with pytest.raises(ValueError, match="wander 1.5: it should be from 0"):
        factors_of(MANY, 0, wander=1.5)
