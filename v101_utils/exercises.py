"""Exercises that say right or wrong."""

import torch


def check(answer, *inputs: torch.Tensor, truth) -> None:
    """Prints whether `answer(*inputs)` equals `truth(*inputs)`, and where it does not, how it differs."""
    reason = "it gave no tensor and no number: write your line where the three dots are"
    try:
        given = answer(*(x.clone() for x in inputs))  # an answer may work in place
        mine = None if given is None else torch.as_tensor(given)
    except Exception as error:  # whatever the reader's code raises belongs on the page, not in a traceback
        mine, reason = None, f"it raised {type(error).__name__}: {error}"
    right = truth(*inputs)
    if isinstance(mine, torch.Tensor):
        reason = f"its shape is {tuple(mine.shape)} and should be {tuple(right.shape)}"
        if mine.shape == right.shape:
            same = torch.allclose(mine.double(), right.double(), atol=1e-5)
            reason = "" if same else "its shape is right, its numbers are not"
    print(f"{answer.__name__}: {f'not yet; {reason}' if reason else 'right'}")
