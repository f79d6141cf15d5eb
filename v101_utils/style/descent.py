"""Two ways downhill on the pixels of a picture: Adam on its pyramid, and L-BFGS."""

import math
from collections.abc import Callable, Iterator

import torch
from torch.nn import functional as F

_FINEST = 0.2  # of the learning rate, for single pixels; twice as much on each coarser level, up to 1


class _Pyramid:
    """A picture as a sum of levels, each of half the size of the one before; all but the first begin at 0.

    Adam moves each number by about the learning rate, whatever its gradient. On bare pixels, each of which goes its own way,
    that is grain; a number of a coarse level moves a whole patch. (Kolkin et al. 2019, sec. 2.5, optimise a Laplacian pyramid.)
    """

    def __init__(self, picture: torch.Tensor, levels: int, lr: float):
        self.size = picture.shape[2:]
        sizes = [[max(1, round(side / 2**i)) for side in self.size] for i in range(1, levels + 1)]
        self.levels = [picture.detach().clone(), *(picture.new_zeros(1, 3, *size) for size in sizes)]
        rates = [lr * min(1.0, _FINEST * 2**i) for i in range(levels + 1)] if levels else [lr]
        self.groups = [{"params": [level.requires_grad_()], "lr": rate} for level, rate in zip(self.levels, rates)]

    def picture(self) -> torch.Tensor:
        return self.levels[0] + sum(F.interpolate(level, self.size, mode="bilinear") for level in self.levels[1:])

    @torch.no_grad()
    def clamp(self) -> torch.Tensor:
        """Takes from the finest level what is beyond [-1, 1]; returns the picture."""
        picture = self.picture()
        inside = picture.clamp(-1, 1)
        self.levels[0] += inside - picture
        return inside


Losses = dict[str, torch.Tensor]


def adam(aim: Callable[..., Losses], picture: torch.Tensor, steps: int, lr: float, source: torch.Generator,
         levels: int = 3) -> Iterator[tuple[Losses, torch.Tensor]]:  # fmt: skip
    """Adam (Kingma & Ba 2015): yields the losses before each step and the picture (1, 3, H, W) in [-1, 1] after it.

    aim: picture and shift -> losses, of which "loss" is lowered. Each step has another shift, by `source`, of less than
    `aim.reach` pixels, where it has such. The learning rate falls as a half cosine. levels: of the pyramid; 0 is bare pixels.
    """
    pyramid = _Pyramid(picture, levels, lr)
    optimiser, reach = torch.optim.Adam(pyramid.groups, betas=(0.9, 0.99)), getattr(aim, "reach", 1)
    decay = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    for _ in range(steps):
        losses = aim(pyramid.picture(), tuple(torch.randint(reach, (2,), generator=source).tolist()))
        optimiser.zero_grad()
        losses["loss"].backward()
        optimiser.step()
        decay.step()
        yield losses, pyramid.clamp()


def lbfgs(aim: Callable[..., Losses], picture: torch.Tensor, steps: int, lr: float, source: torch.Generator | None = None,
          ) -> Iterator[tuple[Losses, torch.Tensor]]:  # fmt: skip
    """L-BFGS with a line search (Nocedal & Wright 2006, algorithms 3.5 and 7.4); it yields what `adam` does.

    It compares gradients of different steps. So every step has the same shift, none, and pixels are clamped only in what is
    yielded: a loss that changed, or a picture that was moved by others, would tell it of a curvature that is not there.
    """
    pixels = picture.detach().clone(memory_format=torch.contiguous_format).requires_grad_()  # as LBFGS needs it
    optimiser = torch.optim.LBFGS([pixels], lr, max_iter=1, max_eval=20, history_size=20, line_search_fn="strong_wolfe")
    for _ in range(steps):
        asked = []

        def closure():
            asked.append(aim(pixels))
            optimiser.zero_grad()
            asked[-1]["loss"].backward()
            return asked[-1]["loss"]

        optimiser.step(closure)
        yield asked[0], pixels.detach().clamp(-1, 1)
