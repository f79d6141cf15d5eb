"""Styles by name, and blends of them: "mosaic", "mosaic,waves", "mosaic:0.7,waves:0.3"."""

import math
from collections.abc import Sequence

import torch


def parse_blend(text: str, names: Sequence[str]) -> torch.Tensor:
    """Weights (styles,) that sum to 1, from names with commas between, each with `:weight` after it or with 1.

    names: the styles, in the network's order. Only the ratio of the weights counts. Raises ValueError for an unknown or
    repeated name, a weight that is no number from 0 up, and weights that are all 0.
    """
    there = f"there are {', '.join(names)}, alone or blended, as in {names[0]}:0.7,{names[-1]}:0.3"
    weights = torch.zeros(len(names))
    seen = set()
    for part in text.split(","):
        name, colon, number = (word.strip() for word in part.partition(":"))
        if name not in names:
            raise ValueError(f"no style is called {name!r}; {there}")
        if name in seen:
            raise ValueError(f"{name} is there twice in {text!r}; it should be there once")
        seen.add(name)
        try:
            weight = float(number) if colon else 1.0
        except ValueError:
            weight = math.nan
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"{part.strip()!r}: the weight should be a number, 0 or above, as in {name}:0.7")
        weights[names.index(name)] = weight
    if not weights.sum():
        raise ValueError(f"the weights in {text!r} are all 0; one at least should be above")
    return weights / weights.sum()


def describe_blend(weights: torch.Tensor, names: Sequence[str]) -> str:
    """Weights (styles,) in words: "mosaic 70%, waves 30%"; those that are 0 are left out."""
    return ", ".join(f"{name} {weight:.0%}" for name, weight in zip(names, weights.tolist(), strict=True) if weight)
