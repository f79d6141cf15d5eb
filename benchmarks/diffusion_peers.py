"""The peers of `benchmarks/diffusion.py`, each trained and sampled as its own documentation does, on 28x28 grey images.

A peer begins untrained; `training(loader, clock)` yields after each step, `draw(count)` gives images (N, 1, 28, 28) in
[0, 1] at 50 steps. All run in fp32, as their examples do on a CPU. Where an example would put its own library at a
disadvantage here, it is not followed: batches are of 128 (two of them have 1024 and 16), and no image is mirrored, since
in Fashion-MNIST all shoes point the same way and mirrored ones would count as errors.
"""

from importlib.util import find_spec
from itertools import chain, repeat

import torch
from torch import nn
from torch.nn import functional as F

from v101_utils import runtime
from v101_utils.data import to_unit
from v101_utils.training import Ema, warmup_cosine

STEPS = 50


def forever(loader):
    """The batches of one epoch after another, on the device."""
    return (x.to(runtime.device()) for x in chain.from_iterable(repeat(loader)))


class DenoisingDiffusion:
    """lucidrains/denoising-diffusion-pytorch: the README's Unet and GaussianDiffusion (v, sigmoid schedule, 1000 steps).

    Adam's and EMA's settings and the clipping are those of its Trainer, which itself reads image files from a folder.
    """

    def __init__(self):
        from denoising_diffusion_pytorch import GaussianDiffusion, Unet
        from ema_pytorch import EMA

        unet = Unet(dim=32, dim_mults=(1, 2, 4), channels=1, flash_attn=True)
        self.network = GaussianDiffusion(unet, image_size=28, timesteps=1000, sampling_timesteps=STEPS).to(runtime.device())
        self.ema = EMA(self.network, beta=0.995, update_every=10)

    def training(self, loader, clock):
        optimiser = torch.optim.Adam(self.network.parameters(), lr=1e-4, betas=(0.9, 0.99))
        for x in forever(loader):
            loss = self.network(to_unit(x))  # it goes from [0, 1] to [-1, 1] by itself
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
            self.ema.update()
            yield loss.item()

    def draw(self, count: int) -> torch.Tensor:
        return self.ema.ema_model.eval().sample(batch_size=count).clamp(0, 1)


def unet2d() -> nn.Module:
    """diffusers' UNet2DModel as its course on 28x28 images has it, with 128 channels instead of 64 at the lowest level."""
    from diffusers import UNet2DModel

    return UNet2DModel(
        sample_size=28, in_channels=1, out_channels=1, layers_per_block=2, block_out_channels=(32, 64, 128),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    ).to(runtime.device())  # fmt: skip


class Diffusers:
    """huggingface/diffusers: AdamW, cosine decay with warm-up, clipping and EMA of train_unconditional.py.

    Its 500 steps of warm-up are a sixth of the tutorial's training; here they are a sixth too, where that is less.
    """

    def __init__(self):
        from diffusers import DDPMScheduler
        from diffusers.training_utils import EMAModel

        self.network, self.schedule = unet2d(), DDPMScheduler(num_train_timesteps=1000)
        self.ema = EMAModel(self.network.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)

    def training(self, loader, clock):
        optimiser = torch.optim.AdamW(self.network.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6)
        decay = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: warmup_cosine(clock.steps, warmup=min(500, clock.steps // 6))(step))
        for x0 in forever(loader):
            noise, t = torch.randn_like(x0), torch.randint(0, 1000, (len(x0),), device=x0.device)
            loss = F.mse_loss(self.network(self.schedule.add_noise(x0, noise, t), t).sample, noise)
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            optimiser.step()
            decay.step()
            self.ema.step(self.network.parameters())
            optimiser.zero_grad()
            yield loss.item()

    def draw(self, count: int, steps: int = STEPS) -> torch.Tensor:
        from diffusers import DDIMPipeline

        self.ema.copy_to(self.network.parameters())
        pipeline = DDIMPipeline(self.network.eval(), self.schedule)
        pipeline.set_progress_bar_config(disable=True)
        images = pipeline(batch_size=count, num_inference_steps=steps, output_type="np").images  # (N, 28, 28, 1)
        return torch.from_numpy(images).permute(0, 3, 1, 2)


class SmallDiffusion:
    """yuanchenyang/smalldiffusion: network, schedule, learning rate, EMA and `gam` of examples/fashion_mnist_unet.py.

    The example draws with 20 steps, here it has 50. Its EMA is torch_ema's, of which `Ema` has the formula.
    """

    def __init__(self):
        from smalldiffusion import Scaled, ScheduleLogLinear, Unet

        self.network = Scaled(Unet)(28, 1, 1, ch=64, ch_mult=(1, 1, 2), attn_resolutions=(14,)).to(runtime.device())
        self.schedule, self.ema = ScheduleLogLinear(sigma_min=0.01, sigma_max=20, N=800), Ema(self.network, 0.999)

    def accelerator(self):
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state()  # or it would keep the precision of a training before this one
        return Accelerator(cpu=runtime.device().type == "cpu")

    def training(self, loader, clock):
        from smalldiffusion import training_loop

        for state in training_loop(loader, self.network, self.schedule, lr=7e-4, accelerator=self.accelerator()):
            self.ema.update()
            yield state.loss.item()

    def draw(self, count: int) -> torch.Tensor:
        from smalldiffusion import samples

        sigmas = self.schedule.sample_sigmas(STEPS)
        *_, x0 = samples(self.ema.average, sigmas, gam=1.6, batchsize=count, accelerator=self.accelerator())
        return to_unit(x0)


class Unet2DNetwork(nn.Module):
    """diffusers' network as this project calls one: network(x, t, labels), t (B,) in [0, 1]."""

    classes, shape = 0, (1, 28, 28)

    def __init__(self):
        super().__init__()
        self.unet = unet2d()

    def forward(self, x: torch.Tensor, t: torch.Tensor, labels=None) -> torch.Tensor:
        return self.unet(x, 1000 * t).sample


PEERS = {"denoising-diffusion-pytorch": DenoisingDiffusion, "diffusers": Diffusers, "smalldiffusion": SmallDiffusion}


def check_installed(*names: str) -> None:
    """Ends the program, saying what to install, where a peer is not there."""
    missing = [name for name in names if find_spec(name.replace("-", "_")) is None]
    if missing:
        raise SystemExit(f"peers that are not installed: pip install {' '.join(missing)}")
