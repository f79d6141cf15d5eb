"""Makes the subset of Fashion-MNIST that ships: the first 1,800 training and 200 test images of each class.

    python tools/make_fashion_subset.py [FOLDER with the four original .gz files]
"""

import lzma
import sys
from pathlib import Path

import numpy as np

from v101_utils.data.fashion_mnist import DEBIAN, PREFIX, SHIPPED, read_idx
from v101_utils.files import write_atomically


def subset(folder: Path, split: str) -> bytes:
    images = read_idx(folder / f"{PREFIX[split]}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{PREFIX[split]}-labels-idx1-ubyte.gz")
    first = [np.flatnonzero(labels == c)[: SHIPPED[split] // 10] for c in range(10)]
    rows = np.sort(np.concatenate(first))  # in the original order, so that classes stay mixed
    return images[rows].tobytes() + labels[rows].tobytes()


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DEBIAN
    raw = subset(folder, "train") + subset(folder, "test")
    target = Path(__file__).parent.parent / "v101_utils" / "data" / "assets" / "fashion_mnist.xz"
    with write_atomically(target) as partial:
        partial.write_bytes(lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME))
    print(f"{target}: {target.stat().st_size:,} bytes")
