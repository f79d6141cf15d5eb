"""Random crops of the photographs that come with scikit-image: super-resolution's training set, with no download."""

from functools import lru_cache
from itertools import permutations

import torch

from v101_utils.data.images import LUMA
from v101_utils.data.photos import PHOTOS, photo
from v101_utils.runtime import generator

HELD_OUT = ("chelsea", "coffee")  # for measuring; never trained on
# Not among them: retina and ihc (medical: a disc on black; stained cells, both without the edges and textures of a scene) and
# hubble_deep_field (points and noise on black). The grey ones stay: half of these few scenes, they bring most of the
# texture, and a picture's detail is in its brightness anyway.
TRAIN = ("astronaut", "rocket", "motorcycle_left", "motorcycle_right", "brick", "grass", "gravel", "camera")
# Without brick, grass and gravel, whose grain is nearly noise: nobody can restore it once it is shrunk, yet it would be most of the
# squared error, and networks that enlarge pictures learn edges sooner from these five.
SCENES = ("astronaut", "rocket", "motorcycle_left", "motorcycle_right", "camera")
SCALES = (1.0, 0.84, 0.71, 0.59, 0.5)  # each fourth root of 2 smaller than the one before
DETAIL = 0.04  # the least standard deviation of brightness in [-1, 1] (5 of 255) that a crop should have
TRIES = 10  # crops drawn at most for one with such detail
_SAME, *_OTHERS = permutations(range(3))
ORDERS = (*[_SAME] * len(_OTHERS), *_OTHERS)  # of colour channels: one in two leaves them as they are


@lru_cache(maxsize=None)
def _levels(name: str) -> tuple[torch.Tensor, ...]:
    """The photograph at each of SCALES, each (3, H, W) in [-1, 1]."""
    whole = photo(name)
    longer = max(whole.shape[2:])
    return (whole[0], *(photo(name, side=round(longer * scale))[0] for scale in SCALES[1:]))


class PhotoCrops:
    """A function step -> (images (size, 3, crop, crop),) in [-1, 1]: fresh random crops of photographs.

    names: of PHOTOS, each as likely as another. A crop is of the photograph at one of SCALES (those at which it fits), turned
    and mirrored in one of 8 ways, its colour channels permuted half of the time: more scenes than there are, by the means of
    Dong et al. 2016 (FSRCNN, sec. 4.1: scales, turns) and Yoo et al. 2020 (table 1: permuted channels). One that shows
    hardly more than a flat surface (see DETAIL) is drawn again, up to TRIES times in all; then the last one is taken.

    The answer depends on (seed, step) alone, whatever the device, so a training that resumes at step s sees what it would
    have seen. Raises ValueError for no names, one that is not in PHOTOS, a size or crop below 1, or a photograph smaller than
    the crop.
    """

    def __init__(self, size: int, crop: int, seed: int = 0, names=TRAIN, device="cpu"):
        if size < 1 or crop < 1:
            raise ValueError(f"{size} crops of {crop} pixels: both should be 1 at least")
        if isinstance(names, str) or not names or not set(names) <= set(PHOTOS):
            raise ValueError(f"names {names!r}: they should be a tuple of some of the photographs {', '.join(PHOTOS)}")
        self.size, self.crop, self.seed, self.device = size, crop, seed, device
        self.photos = [[level for level in _levels(name) if min(level.shape[1:]) >= crop] for name in names]
        if small := [name for name, levels in zip(names, self.photos) if not levels]:
            height, width = _levels(small[0])[0].shape[1:]
            raise ValueError(f"{small[0]} is {height} x {width}: a crop of it should be at most {min(height, width)}, not {crop}")

    def _draw(self, random: torch.Generator) -> torch.Tensor:
        """One crop (3, crop, crop)."""
        chance = iter(torch.rand(6, generator=random).tolist())

        def below(count: int) -> int:
            return int(next(chance) * count)  # Python's floats are wide enough never to round up to `count`

        levels = self.photos[below(len(self.photos))]
        level = levels[below(len(levels))]
        top, left = (below(side - self.crop + 1) for side in level.shape[1:])
        turn, order = below(8), ORDERS[below(len(ORDERS))]
        image = level[list(order), top : top + self.crop, left : left + self.crop]
        image = image.rot90(turn % 4, (1, 2))
        return image.flip(2) if turn >= 4 else image

    def _draw_detailed(self, random: torch.Generator) -> torch.Tensor:
        for _ in range(TRIES):
            image = self._draw(random)
            if torch.tensordot(torch.tensor(LUMA), image, 1).std(correction=0) >= DETAIL:
                break
        return image

    def __call__(self, step: int) -> tuple[torch.Tensor]:
        random = generator(self.seed, step)
        return (torch.stack([self._draw_detailed(random) for _ in range(self.size)]).to(self.device),)
