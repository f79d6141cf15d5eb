"""Prompts: a shape described in words, such as "a large red square, rotated", each word a token."""

import re

import torch

from v101_utils.data.shapes import ANGLE, HUE, SHAPES, draw
from v101_utils.runtime import generator

COLOURS = ("red", "yellow", "green", "cyan", "blue", "magenta")  # evenly round the circle of hues
CHOICES = {"size": ("small", "large"), "colour": COLOURS, "shape": SHAPES, "turn": ("upright", "rotated")}
WORDS = tuple(word for words in CHOICES.values() for word in words)  # a token is a place in this list
NULL = len(WORDS)  # the token of a word that was left out
UNSEEN = (("blue", "square"), ("red", "ellipse"), ("green", "triangle"), ("yellow", "cross"))  # never trained on together
SIZES = tuple(len(words) for words in CHOICES.values())  # how many words each factor has
STARTS = tuple(WORDS.index(words[0]) for words in CHOICES.values())  # the first token of each factor


def parse(text: str) -> torch.Tensor:
    """The tokens (4,) of a prompt, one of each of CHOICES in their order; a factor that is not named is NULL.

    The words may stand in any order; "a", "an", "the" and "and" say nothing. Raises ValueError for another word, or for
    two words of one factor.
    """
    tokens = torch.full((len(CHOICES),), NULL)
    for word in re.findall(r"[^\s,.]+", text.lower()):
        if word in ("a", "an", "the", "and"):
            continue
        place = next((i for i, words in enumerate(CHOICES.values()) if word in words), None)
        if place is None:
            raise ValueError(f"the word {word!r} in {text!r} is not known; there are {', '.join(WORDS)}")
        if tokens[place] != NULL:
            raise ValueError(f"{text!r} has two words for the {list(CHOICES)[place]}: {WORDS[tokens[place]]!r} and {word!r}")
        tokens[place] = WORDS.index(word)
    return tokens


def describe(tokens: torch.Tensor) -> str:
    """The prompt of tokens (4,): "a large red square, rotated". What `parse` reads back."""
    size, colour, shape, turn = (None if token == NULL else WORDS[token] for token in tokens.tolist())
    words = [word for word in (size, colour, shape) if word]
    return " ".join(["an" if words[0][0] in "aeiou" else "a", *words]) + (f", {turn}" if turn else "") if words else turn or ""


def every_prompt(unseen: bool | None = None) -> torch.Tensor:
    """The tokens (N, 4) of all 96 whole prompts; with `unseen`, those whose colour and shape were (or were not) held out."""
    ranges = [torch.arange(len(words)) + start for words, start in zip(CHOICES.values(), STARTS)]
    prompts = torch.cartesian_prod(*ranges)
    held_out = torch.zeros(len(prompts), dtype=torch.bool)
    for colour, shape in UNSEEN:
        held_out |= (prompts[:, 1] == WORDS.index(colour)) & (prompts[:, 2] == WORDS.index(shape))
    return prompts if unseen is None else prompts[held_out == unseen]


def factors_of(prompts: torch.Tensor, *seeds: int, wander: float = 1.0) -> torch.Tensor:
    """Factors (N, 6) for `data.shapes.draw`, drawn at random from what whole prompts (N, 4) allow; a function of the seeds.

    wander: how far from the middle the place may be, of which prompts say nothing: from 0, not at all, to 1, as far as ever.

    Between the words there are gaps, so that each picture has one right name: small is the lowest third of sizes, large the
    highest; upright is within 6 degrees, rotated 20 to 40 either way; a hue is within 8 degrees of its colour's. Raises
    ValueError for another shape, a token that is not one of its factor's, or a `wander` outside [0, 1].
    """
    if not 0 <= wander <= 1:
        raise ValueError(f"wander {wander}: it should be from 0, always in the middle, to 1, anywhere")
    if prompts.ndim != 2 or prompts.shape[1] != len(CHOICES):
        raise ValueError(f"prompts {tuple(prompts.shape)}: they should be whole, (N, {len(CHOICES)}) tokens")
    choice = prompts.cpu() - torch.tensor(STARTS)  # (N, 4), which of each factor's words
    if len(wrong := prompts[((choice < 0) | (choice >= torch.tensor(SIZES))).any(1).to(prompts.device)]):
        raise ValueError(f"the prompt {wrong[0].tolist()} is not whole: it should have a word of each of {', '.join(CHOICES)}")
    size, colour, shape, turn = choice.float().T
    free = torch.rand(len(prompts), 7, generator=generator(*seeds))
    hue = ((colour / len(COLOURS) + (2 * free[:, 0] - 1) * 8 / 360) / HUE[1]).clamp(0, 1)
    degrees = torch.where(turn == 0, 12 * free[:, 2] - 6, (20 + 20 * free[:, 2]) * torch.where(free[:, 3] < 0.5, -1, 1))
    rotation = (degrees - ANGLE[0]) / (ANGLE[1] - ANGLE[0])
    place = 0.5 + wander * (free[:, 4:6] - 0.5)
    return torch.cat([torch.stack([(shape + 0.5) / len(SHAPES), hue, (2 * size + free[:, 1]) / 3, rotation], dim=1), place], dim=1)


class PromptBatches:
    """A function step -> (images (size, 3, P, P) in [-1, 1], prompts (size, 4)): fresh pictures of `prompts`, by turns.

    prompts: (N, 4), such as `every_prompt(unseen=False)`; each batch draws among them at random. wander: as in `factors_of`.
    """

    def __init__(self, size: int, prompts: torch.Tensor, seed: int = 0, pixels: int = 64, device="cpu", wander: float = 1.0):
        self.size, self.prompts, self.seed, self.pixels, self.device, self.wander = size, prompts, seed, pixels, device, wander

    def __call__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = self.prompts[torch.randint(len(self.prompts), (self.size,), generator=generator(self.seed, step, 1))]
        factors = factors_of(chosen, self.seed, step, wander=self.wander)
        return draw(factors.to(self.device), self.pixels), chosen.to(self.device)
