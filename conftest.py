"""For every test and every chapter that pytest runs: the smallest amount of work. Kernels inherit it."""

import os

os.environ["V101_PROFILE"] = "ci"
