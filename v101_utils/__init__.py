"""Vision-101: the package that the chapters import. Each room's docstring says what it holds."""

__version__ = "0.1.0"
