"""Makes a network of the zoo from its recipe."""

import datetime
import os
from pathlib import Path

import torch

from v101_utils import __version__
from v101_utils.runtime import derive_seed, device, machine, profile
from v101_utils.training import checkpoint as checkpoints
from v101_utils.training import Ema, fit, warmup_cosine
from v101_utils.zoo.recipes import recipe
from v101_utils.zoo.store import save


def train(name: str, out, *, steps: int | None = None, seed: int = 0, resume: bool = False, progress: bool = True) -> Path | None:
    """Trains NAME and writes NAME.safetensors and its card into the folder `out`, which is made if need be.

    A checkpoint stands there while it trains, and with `resume` the training goes on from it. Returns the weights'
    path, or None in a process other than the main one.
    """
    made, out = recipe(name), Path(out)
    steps = made.steps[profile()] if steps is None else steps
    if steps < 1:
        raise ValueError(f"steps is {steps}; it should be at least 1")
    torch.manual_seed(derive_seed(seed, 1))
    model = made.build()
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / f"{name}.checkpoint.pt"
    state = checkpoints.resumed(checkpoint, resume)  # refused before a recipe's data are made
    if resume and state is None:
        print(f"there is no checkpoint in {out}: {name} is trained from its first step")
    if state and state["steps"] != steps:
        raise ValueError(f"{checkpoint} is of a training of {state['steps']} steps, for which its learning rates are made, not of {steps}: "
                         f"resume it with --steps {state['steps']}")
    ema = Ema(model, made.ema) if made.ema else None
    for _ in fit(
        made.task(model), made.batches(seed, device()), steps, seed=seed, lr_schedule=warmup_cosine(steps), ema=ema,
        checkpoint=checkpoint, resume=resume, progress=progress,
    ):  # fmt: skip
        pass
    if int(os.environ.get("RANK", 0)) != 0:
        return None
    model = (ema.average if ema else model).cpu().eval().requires_grad_(False).to(memory_format=torch.contiguous_format)
    flags = f" --profile {profile()}" + f" --steps {steps}" * (steps != made.steps[profile()]) + f" --seed {seed}" * (seed != 0)
    path = save(model, name, out, {
        "name": name, "what": made.text, "data": made.data, "parameters": sum(p.numel() for p in model.parameters()),
        "steps": steps, "seconds": round(checkpoints.load(checkpoint)["seconds"]), "machine": machine(), "seed": seed,
        "date": datetime.date.today().isoformat(), "torch": torch.__version__, "vision101": __version__,
        "figures": {key: round(value, 5) for key, value in made.figures(model).items()},
        "command": f"v101 train {name}{flags} --out FOLDER",
    })  # fmt: skip
    checkpoint.unlink()
    return path
