"""Weights as safetensors, a card (JSON) beside each."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import nn

from v101_utils.files import write_atomically
from v101_utils.zoo.recipes import RECIPES, recipe

SHIPPED = Path(__file__).parent / "weights"


def names(folder=SHIPPED) -> list[str]:
    """The networks whose weights are in `folder`, in the recipes' order."""
    return [name for name in RECIPES if (Path(folder) / f"{name}.safetensors").exists()]


def save(model: nn.Module, name: str, folder, card: dict) -> Path:
    """Writes NAME.safetensors, floats as float16 (half the size, no visible difference), and NAME.json, the card."""
    path = Path(folder) / f"{name}.safetensors"
    tensors = {k: (t.half() if t.is_floating_point() else t).contiguous() for k, t in model.state_dict().items()}
    with write_atomically(path) as partial:
        partial.write_bytes(to_bytes({k: t.cpu() for k, t in tensors.items()}))
    with write_atomically(path.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(card, indent=1) + "\n")
    return path


def card(name: str, folder=SHIPPED) -> dict:
    """How a network was made and what it measured."""
    recipe(name)
    return json.loads((Path(folder) / f"{name}.json").read_text())


def load(name: str, folder=SHIPPED, device="cpu") -> nn.Module:
    """The trained network, in eval mode. Raises KeyError for an unknown name, FileNotFoundError, ValueError if damaged."""
    made = recipe(name)
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn, and the caller's randomness is left alone
        model = made.build()
    path = Path(folder) / f"{name}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no weights there; make them with: v101 train {name} --out {folder}")
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path} is damaged or of another version ({reason}); make it again with: v101 train {name}") from error
    return model.requires_grad_(False).eval().to(device, memory_format=made.layout)
