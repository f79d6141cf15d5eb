"""Watches every training of a chapter from inside its kernel: steps, seconds, and operations a step.

`tools/notebook_run.py` installs it before the chapter's first cell. What it counts is what the GPU estimate rests on.
"""

import functools
import importlib
import json
import sys
import time
from contextlib import nullcontext
from copy import deepcopy

FITS = []  # one dictionary a training
COUNTING = [0.0]  # seconds spent on counting, which are not the chapter's


class OneModule(nullcontext):
    """In the place of torch's own tracker of modules, whose hooks fail at a gradient within a step (a gradient penalty)."""

    parents = {"Global"}


def flops_of_step(task, batches) -> int:
    """Floating-point operations of one step's matrix products and convolutions, forward and backward.

    A copy of the task takes the step and the random numbers are put back: the training is what it would have been.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from v101_utils.runtime import device

    with torch.random.fork_rng():
        copy, batch = deepcopy(task).to(device()).train(), batches(0)
        counter = FlopCounterMode(display=False)
        counter.mod_tracker = OneModule()
        with counter:
            copy.training_step(batch, lambda loss, optimiser: loss.backward())
    return counter.get_total_flops()


def metered(fit):
    """`fit`, which also keeps a record. The seconds are its own, without what the chapter does between two steps."""

    @functools.wraps(fit)
    def watched(task, batches, *args, **options):
        start = time.perf_counter()
        record = {"steps": 0, "flops": flops_of_step(task, batches), "seconds": 0.0}
        COUNTING[0] += time.perf_counter() - start
        FITS.append(record)
        training = fit(task, batches, *args, **options)
        try:
            while True:
                start = time.perf_counter()
                try:
                    step = next(training)
                except StopIteration:
                    return
                finally:
                    record["seconds"] += time.perf_counter() - start
                record["steps"] += 1
                yield step
        finally:
            training.close()

    return watched


def install() -> None:
    """Puts the metered `fit` in the real one's place, for all who import it from now on."""
    package = importlib.import_module("v101_utils.training")
    package.fit = sys.modules["v101_utils.training.fit"].fit = metered(package.fit)


def report() -> None:
    print(json.dumps({"counting": COUNTING[0], "fits": FITS}))
