"""The package's own source, shown so that a chapter never pastes (and never drifts from) it."""

import inspect

from IPython.display import Code


def source(thing) -> Code:
    """A highlighted listing of a function, method or class."""
    return Code(inspect.cleandoc("\n" + inspect.getsource(thing)), language="python")
