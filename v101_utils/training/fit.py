"""The one loop that trains everything, as a generator that hands control back after each step."""

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import (
    broadcast, broadcast_object_list, find_batch_size, patch_environment, recursively_apply, slice_tensors,
)  # fmt: skip
from tqdm import tqdm

from v101_utils.files import check_writable
from v101_utils.runtime import Plan, derive_seed, device, fastest, make_repeatable
from v101_utils.training import checkpoint as checkpoints


class Step(NamedTuple):
    """What `fit` hands back: the number of steps done (1, 2, ...) and the scalars of the last, by name."""

    number: int
    scalars: dict[str, float]


class NotFinite(ArithmeticError):
    """A scalar or a weight became infinite or nan. The message names it, the step, and the last good checkpoint."""


def warmup_cosine(steps: int, warmup: int = 100) -> Callable[[int], float]:
    """The learning rate's factor at a step: up linearly over `warmup` steps, then down a half cosine to zero."""

    def factor(step: int) -> float:
        progress = max(0.0, (step - warmup) / max(1, steps - warmup))
        return min(1.0, (step + 1) / warmup if warmup else 1.0) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return factor


def _trackers(name: str | None, folder) -> dict:
    """Keyword arguments of Accelerator for a tracker, after a check that it is installed."""
    if name is None:
        return {}
    if name not in ("tensorboard", "wandb"):
        raise ValueError(f"tracker {name!r}: it should be 'tensorboard' or 'wandb'")
    if find_spec(name) is None:
        raise ImportError(f'tracker {name!r} is not installed: pip install "v101-utils[track]"')
    if name == "wandb":
        os.environ.setdefault("WANDB_MODE", "offline")  # nothing leaves the machine unless the reader says so
    Path(folder).mkdir(parents=True, exist_ok=True)
    return {"log_with": name, "project_dir": str(folder)}


def _settle(where: torch.device) -> None:
    """Has accelerate work on that device: it would keep the device and the precision of an earlier training in this process.

    Among several processes it chooses for itself, one device for each.
    """
    alone = int(os.environ.get("WORLD_SIZE", 1)) == 1
    AcceleratorState._reset_state(reset_partial_state=alone)
    with patch_environment(accelerate_torch_device=str(where)) if alone else nullcontext():
        PartialState(cpu=where.type == "cpu")


class _Loop:
    """The mechanics of one training: everything around a task's step."""

    def __init__(self, task, batches, seed, ema, clip, accumulate, plan, tracker, log_dir):
        make_repeatable()
        where = device()
        _settle(where)
        if plan is None:  # the main process measures, the others follow it
            chosen = [asdict(fastest(task, batches(0), where))]
            plan = Plan(**broadcast_object_list(chosen)[0])
        if accumulate > 1 and plan.precision == "fp16" and len(task.optimisers) > 1:
            raise ValueError(f"accumulate {accumulate} in fp16 with {len(task.optimisers)} optimisers: one loss scale cannot serve "
                             "parts that step at different times; take precision 'bf16' or 'no', or accumulate=1")
        self.accelerator = Accelerator(
            cpu=where.type == "cpu", mixed_precision=plan.precision, gradient_accumulation_steps=accumulate,
            **_trackers(tracker, log_dir),
        )  # fmt: skip
        self.task, self.batches, self.seed, self.ema, self.clip, self.plan = task, batches, seed, ema, clip, plan
        self.accumulate, self.world = accumulate, self.accelerator.num_processes
        self.rank = self.accelerator.process_index
        task.to(self.accelerator.device, memory_format=plan.memory_format)
        if ema:
            for network in (ema.average, ema.module):  # of which the task may train a part alone
                network.to(self.accelerator.device, memory_format=plan.memory_format)
        if self.world > 1:  # everyone starts from the same weights, whatever each was seeded with
            for tensor in [*task.parameters(), *task.buffers()]:
                tensor.data.copy_(broadcast(tensor.data))
        self.prepared = {id(o): self.accelerator.prepare_optimizer(o) for o in task.optimisers.values()}
        for optimiser in task.optimisers.values():
            for group in optimiser.param_groups:
                group.setdefault("initial_lr", group["lr"])

    def minimise(self, loss: torch.Tensor, optimiser: torch.optim.Optimizer) -> bool:
        """Backward for the parameters of `optimiser` alone and, at the last micro-batch, its step. Returns whether it stepped."""
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        wrapped = self.prepared[id(optimiser)]
        with torch.autocast(self.accelerator.device.type, enabled=False):  # or it would round what was computed in float32
            self.accelerator.backward(loss, inputs=parameters)
        if self.accelerator.sync_gradients:
            if self.world > 1:  # averaged here, not by DDP, so that a task may call its networks as it likes
                for p in parameters:
                    if p.grad is not None:
                        p.grad = self.accelerator.reduce(p.grad, "mean")
            if self.clip:
                self.accelerator.unscale_gradients(wrapped)
                torch.nn.utils.clip_grad_norm_(parameters, self.clip)
            wrapped.step()
            wrapped.zero_grad()
            torch.clear_autocast_cache()  # it keeps halves of the weights, of before this step, until the whole step is over
        return self.accelerator.sync_gradients

    @contextmanager
    def _own_randomness(self, *numbers: int):
        """Random numbers that depend on (seed, *numbers) alone; the caller's own stream is left as it was."""
        where = self.accelerator.device
        with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
            # on a CPU alone, seeding its generator directly is the faster way to the same numbers
            (torch.default_generator if where.type == "cpu" else torch).manual_seed(derive_seed(self.seed, *numbers))
            yield

    def step(self, number: int, factor: float) -> dict[str, float]:
        """One optimiser step on this process's share of batch `number`, in `accumulate` parts."""
        self.accelerator.gradient_accumulation_steps = self.accumulate  # which another training in this process would have changed
        for optimiser in self.task.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * factor
        self.task.train()
        batch = self.batches(number)
        parts, size = self.world * self.accumulate, find_batch_size(batch)
        if size % parts:
            raise ValueError(
                f"a batch of {size} cannot be split evenly over {self.world} processes x {self.accumulate} parts")
        size //= parts
        found = []
        for part in range(self.rank * self.accumulate, (self.rank + 1) * self.accumulate):
            share = slice_tensors(batch, slice(part * size, (part + 1) * size))
            share = recursively_apply(self.plan.place, share, self.accelerator.device)
            with self._own_randomness(number, part), self.accelerator.accumulate(self.task), self.accelerator.autocast():
                found.append(self.task.training_step(share, self.minimise))
        scalars = [torch.stack([f[name].detach().float().to(self.accelerator.device) for name in found[0]]) for f in found]
        values = torch.stack(scalars).mean(0)
        values = self.accelerator.reduce(values, "mean") if self.world > 1 else values
        if self.ema:
            self.ema.update()
        return dict(zip(found[0], values.tolist(), strict=True))

    def save(self, path, step: int, steps: int, seconds: float) -> None:
        if self.accelerator.is_main_process:
            checkpoints.save(path, {
                "step": step, "steps": steps, "seconds": seconds, "seed": self.seed, "plan": asdict(self.plan),
                "task": self.task.state_dict(),
                "optimisers": {name: o.state_dict() for name, o in self.task.optimisers.items()},
                "ema": self.ema.state_dict() if self.ema else None,
                "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else None,
            })  # fmt: skip

    def restore(self, state: dict, path) -> tuple[int, float]:
        try:
            self.task.load_state_dict(state["task"])
            for name, optimiser in self.task.optimisers.items():
                optimiser.load_state_dict(state["optimisers"][name])
            if self.ema:
                self.ema.load_state_dict(state["ema"])
        except (RuntimeError, KeyError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"{path} is of other networks or another version ({reason}); remove it to start anew") from error
        if self.accelerator.scaler:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        return state["step"], state["seconds"]


def _check_finite(loop: _Loop, number: int, scalars: dict[str, float], saved: str, weights: bool) -> None:
    bad = [name for name, value in scalars.items() if not math.isfinite(value)]
    if weights and not bad:
        bad = [name for name, p in loop.task.named_parameters() if not p.isfinite().all()]
    if bad:
        raise NotFinite(f"step {number}: {bad[0]} is {scalars.get(bad[0], 'not finite')}. The last good checkpoint: {saved}. "
                        "Try a lower learning rate, clip=1.0, or precision 'no'.")


def fit(
    task, batches: Callable, steps: int, *, seed: int = 0, lr_schedule: Callable[[int], float] = lambda step: 1.0,
    ema=None, clip: float | None = None, accumulate: int = 1, plan: Plan | None = None, checkpoint=None,
    checkpoint_every: int = 500, resume: bool = False, tracker: str | None = None, log_dir="runs", progress=True,
) -> Iterator[Step]:  # fmt: skip
    """Trains `task` for `steps` steps on `batches(step)`, yielding a Step after each.

    Batches and randomness depend on (seed, step) alone: what the caller does between two steps changes nothing, and a
    training that is killed and resumed ends with the weights, bit for bit, of one that was not. A batch is split
    evenly over processes (`accelerate launch`) and `accumulate` parts.

    lr_schedule: step -> factor of each optimiser's own learning rate. ema: an `Ema` of one of the task's networks,
    updated after each step. clip: the largest norm of an optimiser's gradient. accumulate: parts that a batch is
    worked through in, to save memory. plan: precision and memory format; None is the fastest, measured once.
    checkpoint: a file to save to every `checkpoint_every` steps and at the end; with `resume` it goes on from there.
    tracker: "tensorboard" or "wandb" (offline), into `log_dir`. progress: a bar with the time left.

    Raises NotFinite where a scalar is not finite or, looked at before each checkpoint and at the end, a weight;
    FileExistsError rather than overwrite a checkpoint; ValueError for a checkpoint of another seed, of other networks or of more
    steps, or a batch that cannot be split evenly.
    """
    if checkpoint_every < 1 or accumulate < 1:
        raise ValueError(f"checkpoint_every {checkpoint_every}, accumulate {accumulate}: both should be at least 1")
    path = check_writable(checkpoint) if checkpoint else None
    state = checkpoints.resumed(path, resume) if path else None
    if state and state["seed"] != seed:
        raise ValueError(f"{path} was trained with seed {state['seed']}, not {seed}: pass that seed, or another file")
    if state and state["step"] > steps:
        raise ValueError(f"{path} has been trained for {state['step']} steps already, more than {steps}: pass as many, or another file")
    if state and bool(state["ema"]) != bool(ema):
        raise ValueError(f"{path} was saved {'with' if state['ema'] else 'without'} an EMA: resume it the same way")
    plan = Plan(**state["plan"]) if state else plan
    loop = _Loop(task, batches, seed, ema, clip, accumulate, plan, tracker, log_dir)
    (first, seconds), saved = (loop.restore(state, path), str(path)) if state else ((0, 0.0), "none")
    if tracker:
        config = {"task": type(task).__name__, "steps": steps, "seed": seed}
        loop.accelerator.init_trackers("vision-101", config, init_kwargs={"wandb": {"dir": str(log_dir)}})
    hidden = not (progress and loop.accelerator.is_main_process)
    bar = tqdm(total=steps, initial=first, disable=hidden, file=sys.stdout, mininterval=0.5, ncols=100)
    try:
        for number in range(first + 1, steps + 1):
            start = time.perf_counter()
            scalars = loop.step(number - 1, lr_schedule(number - 1))
            seconds += time.perf_counter() - start
            due = number == steps or (path is not None and number % checkpoint_every == 0)
            _check_finite(loop, number, scalars, saved, weights=due)
            if due and path:
                loop.save(path, number, steps, seconds)
                saved = f"{path} (step {number})"
            bar.set_postfix({name: f"{value:.4g}" for name, value in scalars.items()}, refresh=False)
            bar.update()
            if tracker:
                loop.accelerator.log(scalars, step=number)
            yield Step(number, scalars)
    finally:
        bar.close()
        if tracker:
            loop.accelerator.end_training()
