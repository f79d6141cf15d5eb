"""Checkpoints: all that a training needs to go on, in one file that is either whole or not there."""

from pathlib import Path

import torch

from v101_utils.files import write_atomically

KEYS = {"step", "steps", "seconds", "seed", "plan", "task", "optimisers", "ema", "scaler"}


def save(path, state: dict) -> None:
    with write_atomically(path) as partial:
        torch.save(state, partial)


def resumed(path, resume: bool) -> dict | None:
    """The state to go on from, or None where there is no checkpoint.

    Raises FileExistsError for one that is there although nothing is to be resumed, and what `load` raises.
    """
    if not Path(path).exists():
        return None
    if not resume:
        raise FileExistsError(f"{path} is there already: pass resume=True (--resume) to go on from it, or remove it")
    return load(path)


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
