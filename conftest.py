"""For every test and every chapter that pytest runs: the smallest amount of work, on the CPU. Kernels inherit it."""

import os

os.environ["V101_PROFILE"] = "ci"
os.environ.setdefault("V101_DEVICE", "cpu")  # the same numbers wherever it runs; tests/test_cuda.py chooses for itself
