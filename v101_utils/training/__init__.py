"""The one loop, and what belongs to it: tasks, EMA, checkpoints. It knows no field."""

from v101_utils.training.ema import Ema
from v101_utils.training.fit import NotFinite, Step, fit, warmup_cosine
from v101_utils.training.task import Task, adamw

__all__ = ["Ema", "NotFinite", "Step", "Task", "adamw", "fit", "warmup_cosine"]
