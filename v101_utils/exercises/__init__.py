"""Exercises that say right or wrong."""

import torch


def check(answer, *inputs, truth=None) -> None:
    """Prints whether `answer(*inputs)` equals `truth(*inputs)`, and where it does not, how it differs.

    Tensors among the inputs are copied for it. truth: None is what stands under the answer's name in `exercises.answers`.
    Raises ValueError where nothing does.
    """
    truth = truth or _expected(answer.__name__)
    reason = "it gave no tensor and no number: write your line where the three dots are"
    try:
        given = answer(*(x.clone() if isinstance(x, torch.Tensor) else x for x in inputs))  # an answer may work in place
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


def _expected(name: str):
    from v101_utils.exercises import answers  # here: it needs much of the package

    if not hasattr(answers, name):
        raise ValueError(f"no exercise is called {name}: leave the function's name as the chapter has it, or give a truth")
    return getattr(answers, name)
