"""The machine: device, profile, seeds, and the fastest way to run a model on it."""

import json
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from v101_utils import __version__
from v101_utils.files import write_atomically

PROFILES = ("ci", "laptop", "gpu")


def device() -> torch.device:
    """The fastest device here: CUDA (the one of this process), MPS, or the CPU. `V101_DEVICE` overrides it.

    Raises ValueError where that is no device, or none of this machine.
    """
    if name := os.environ.get("V101_DEVICE"):
        try:
            where = torch.device(name)
        except RuntimeError as error:
            raise ValueError(f"V101_DEVICE is {name!r}; it should be cpu, cuda, a certain one such as cuda:1, or mps") from error
        here = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}.get(where.type, 1)
        if (where.index or 0) >= here:
            raise ValueError(f"V101_DEVICE is {name!r}, but torch finds {here} devices of that kind here; cpu is always there")
        return where
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def device_of(network) -> torch.device:
    """Where the parameters of a network are; the CPU for anything without."""
    parameters = network.parameters() if isinstance(network, torch.nn.Module) else ()
    return next((p.device for p in parameters), torch.device("cpu"))


def wait_for(where: torch.device) -> None:
    """Until CUDA has done all that it was given, which a clock should wait for; a CPU is done already."""
    if where.type == "cuda":
        torch.cuda.synchronize(where)


def profile() -> str:
    """How much work to do: `V101_PROFILE` if set, else "gpu" where there is CUDA and "laptop" where there is not.

    Raises ValueError for any other word.
    """
    name = os.environ.get("V101_PROFILE") or ("gpu" if device().type == "cuda" else "laptop")
    if name not in PROFILES:
        raise ValueError(f"V101_PROFILE is {name!r}; it must be one of {', '.join(PROFILES)}")
    return name


def pick(*, ci, laptop, gpu):
    """The value for this machine's profile: the one place where "reduced step counts" live."""
    return {"ci": ci, "laptop": laptop, "gpu": gpu}[profile()]


def derive_seed(*numbers: int) -> int:
    """One well-mixed 63-bit seed from several numbers, such as (seed, step), so that no state need be kept.

    Raises ValueError for a number below 0.
    """
    if wrong := [number for number in numbers if number < 0]:
        raise ValueError(f"seed {wrong[0]}: it should be 0 or above")
    counted = (len(numbers), *numbers)  # SeedSequence pads with zeros: (s, step) and (s, step, 0) would be one seed
    return int(np.random.SeedSequence(counted).generate_state(1, np.uint64)[0] >> 1)


def generator(*numbers: int) -> torch.Generator:
    """A CPU random generator seeded by `derive_seed`. What it draws is the same on every device."""
    return torch.Generator().manual_seed(derive_seed(*numbers))


def machine() -> str:
    """What runs the networks, in words."""
    where = device()
    if where.type == "cuda":
        return torch.cuda.get_device_name(where)
    return f"{platform.machine()} {where.type.upper()}, {torch.get_num_threads()} threads"


def make_repeatable() -> None:
    """Has CUDA give the same numbers for the same seed; a CPU does so of itself.

    Many of its kernels add in whatever order their threads finish, and auto-tuning may choose another algorithm on the next
    run. Where torch has no other kernel it warns, and goes on.
    """
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    if device().type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it at its first product
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # a check that costs time
        for attention in ("mem_efficient", "flash", "cudnn"):  # the plain one repeats, and pictures here are small enough for it
            getattr(torch.backends.cuda, f"enable_{attention}_sdp")(False)


def set_up(seed: int = 0) -> None:
    """What a chapter calls first: seeds torch, makes a GPU both fast and repeatable, says in one line what is here.

    Fast is TF32: three digits of a product, for several times the speed.
    """
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high")
    make_repeatable()
    print(f"Vision-101 {__version__}, torch {torch.__version__} · {machine()} · profile {profile()} · seed {seed}")


@dataclass(frozen=True)
class Plan:
    """How to run a network: `precision` is accelerate's word ("no", "bf16", "fp16")."""

    precision: str = "no"
    channels_last: bool = False

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def place(self, tensor: torch.Tensor, where: torch.device) -> torch.Tensor:
        """`tensor` on the device, in this plan's memory format where it has one (images: (B, C, H, W))."""
        tensor = tensor.to(where)
        return tensor.contiguous(memory_format=self.memory_format) if tensor.ndim == 4 else tensor


@torch.no_grad()
def multiply_adds(network: Callable, *inputs) -> int:
    """Those of one call of a network: its matrix products, convolutions and attention.

    The counter calls each two operations, and knows the plain way to compute attention best.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(*inputs)
    return counter.get_total_flops() // 2


def _plans(where: torch.device) -> list[Plan]:
    """The plans worth measuring, the simplest first (it wins where others are less than 5% faster)."""
    if where.type == "mps":
        return [Plan()]  # autocast and channels_last still cost more than they gain there
    if where.type == "cpu" and torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2"):
        return [Plan("no", last) for last in (False, True)]  # bf16 is emulated there: a single step can take a minute
    emulated = where.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)  # as on a T4
    half = "fp16" if emulated else "bf16"
    return [Plan(precision, last) for precision in ("no", half) for last in (False, True)]


def _seconds(task, batch, plan: Plan, where: torch.device, repeats: int = 3) -> float:
    """The least seconds of a forward and backward pass of a copy of `task`, so that the original is untouched."""
    from accelerate.utils import recursively_apply  # heavy, and `v101 --help` need not wait for it

    task = deepcopy(task).to(where, memory_format=plan.memory_format)
    batch = recursively_apply(plan.place, batch, where)
    dtype = torch.float16 if plan.precision == "fp16" else torch.bfloat16
    times = []
    for _ in range(repeats + 1):  # the first warms up
        wait_for(where)
        start = time.perf_counter()
        with torch.autocast(where.type, dtype, enabled=plan.precision != "no"):
            task.training_step(batch, lambda loss, optimiser: loss.backward())
        wait_for(where)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def fastest(task, batch, where: torch.device | None = None, cache: Path | None = None) -> Plan:
    """The fastest `Plan` for training `task` on batches like `batch`, measured once and remembered.

    Remembering keeps a promise: the same seed gives the same numbers on the same machine, so the choice may not
    waver between runs. Under the profile "ci" nothing is measured.
    """
    if profile() == "ci":
        return Plan()
    where = where or device()
    cache = cache or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "v101" / "plans.json"
    shapes = [tuple(t.shape) for t in (batch if isinstance(batch, (tuple, list)) else [batch])]
    size = sum(p.numel() for p in task.parameters())
    key = f"{type(task).__name__} {size} {shapes} {machine()} torch {torch.__version__}"
    try:
        known = {name: Plan(**plan) for name, plan in json.loads(cache.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError):  # not there, or damaged: measure again
        known = {}
    if key not in known:
        with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
            seconds = {plan: _seconds(task, batch, plan, where) for plan in _plans(where)}
        simplest = next(iter(seconds))
        best = min(seconds, key=seconds.get)
        known[key] = best if seconds[best] < 0.95 * seconds[simplest] else simplest
        with suppress(OSError):  # where nothing can be written, it is measured each time
            cache.parent.mkdir(parents=True, exist_ok=True)
            with write_atomically(cache) as partial:
                partial.write_text(json.dumps({name: asdict(plan) for name, plan in known.items()}, indent=1))
    return known[key]
