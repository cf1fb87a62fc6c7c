"""Which pytheus this is: its version, and whether the hot modules run compiled or as Python."""

from __future__ import annotations

from types import FunctionType
from typing import Final

__all__ = ["COMPILED", "__version__"]

__version__: Final = "1.0.0"


def _probe() -> None:
    """A function of this module, to see what became of it."""


def _is_native(probe: object) -> bool:
    return not isinstance(probe, FunctionType)


# This module is among those that are compiled, all together or not at all, so it can speak for them.
COMPILED: Final[bool] = _is_native(_probe)
"""Whether the metrics run compiled by mypyc (True) or as plain Python (False); both take and expose the
same; docs/explanation/speed.md tells what differs."""
