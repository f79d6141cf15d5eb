"""A training to be killed: python train_small_vae.py CHECKPOINT OUT SECONDS_PER_STEP. It prints each step it has done."""

import sys
import time

import torch
from torch import nn

from v101_utils.data import Batches
from v101_utils.runtime import Plan
from v101_utils.training import Ema, fit, warmup_cosine
from v101_utils.vae import VAETask, reparameterise

STEPS = 40


class NoisyVAE(nn.Module):
    """With all that makes resuming hard: dropout, BatchNorm's running statistics and counter, posterior noise."""

    betas = None

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.SiLU(), nn.Dropout(0.2), nn.Linear(16, 8))
        self.decoder = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))

    def forward(self, images, beta):
        mean, log_var = self.encoder(images).chunk(2, dim=1)
        return self.decoder(reparameterise(mean, log_var)), mean, log_var


if __name__ == "__main__":
    checkpoint, out, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    task = VAETask(NoisyVAE(), beta=1.0)
    ema = Ema(task.model, 0.99)
    batches = Batches(torch.rand(60, 1, 8, 8) * 2 - 1, size=16)
    torch.manual_seed(time.time_ns())  # what a run draws elsewhere is not what another draws
    for step in fit(task, batches, STEPS, lr_schedule=warmup_cosine(STEPS, 5), ema=ema, clip=5.0, accumulate=2, plan=Plan(),
                    checkpoint=checkpoint, checkpoint_every=3, resume=True, progress=False):  # fmt: skip
        print(step.number, flush=True)
        time.sleep(seconds)
    torch.save({"weights": task.state_dict(), "ema": ema.state_dict()}, out)
