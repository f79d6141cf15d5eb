"""Checkpoints: all that a training needs to go on, in one file that is either whole or not there."""

from pathlib import Path

import torch

from v101_utils.files import write_atomically

KEYS = {"step", "steps", "seconds", "seed", "plan", "task", "optimisers", "ema", "scaler"}


def save(path, state: dict) -> None:
    with write_atomically(path) as partial:
        torch.save(state, partial)


def load(path) -> dict:
    """The state in a checkpoint, on the CPU. Raises FileNotFoundError, or ValueError if the file is damaged."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint; start without resuming, or give the file of another run")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes raise a dozen types (IndexError, KeyError, struct.error, ...)
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} is not a whole checkpoint ({reason}); remove it to start anew") from error
    if not isinstance(state, dict) or not KEYS <= set(state):
        raise ValueError(f"{path} is not a checkpoint of a training here; remove it, or give another file")
    return state
