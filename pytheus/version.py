"""Which pytheus this is: its version, and whether the hot modules run compiled or as Python."""

from __future__ import annotations

from typing import Final

from pytheus.metrics import counter

__all__ = ["COMPILED", "__version__"]

__version__: Final = "1.0.0"

COMPILED: Final[bool] = not (counter.__file__ or "").endswith((".py", ".pyc"))
"""Whether the metrics run compiled by mypyc (True) or as plain Python (False); both behave alike."""
