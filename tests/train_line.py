"""One training without noise from fixed weights, for `accelerate launch`: python train_line.py OUT STEPS PARTS."""

import sys

import torch
from torch import nn
from torch.nn import functional as F

from v101_utils.runtime import Plan
from v101_utils.training import Task, fit


class Line(Task):
    def __init__(self):
        super().__init__()
        self.model = nn.Linear(5, 1)
        self.optimisers = {"model": torch.optim.SGD(self.model.parameters(), 0.1)}

    def training_step(self, batch, minimise):
        loss = F.mse_loss(self.model(batch[0]), batch[1])
        minimise(loss, self.optimisers["model"])
        return {"loss": loss, "rows": torch.tensor(float(len(batch[0])))}


if __name__ == "__main__":
    out, steps, parts = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    data = torch.Generator().manual_seed(0)
    x, y = torch.randn(16, 5, generator=data), torch.randn(16, 1, generator=data)
    torch.manual_seed(0)
    task = Line()
    found = list(fit(task, lambda step: (x, y), steps, accumulate=parts, clip=1.0, plan=Plan(), progress=False))
    from accelerate import PartialState

    state = PartialState()
    torch.save({"weights": task.state_dict(), "scalars": found[-1].scalars}, f"{out}.{state.process_index}")
    state.destroy_process_group()
