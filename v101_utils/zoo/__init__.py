"""Trained networks that ship, a card beside each, and the recipe that makes each again."""

from v101_utils.zoo.recipes import RECIPES, Recipe, recipe
from v101_utils.zoo.store import card, load, names
from v101_utils.zoo.train import train

__all__ = ["RECIPES", "Recipe", "card", "load", "names", "recipe", "train"]
