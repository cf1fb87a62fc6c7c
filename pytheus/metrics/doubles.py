"""Where the numbers of a series live."""

from __future__ import annotations

from array import array
from typing import Final, cast

from pytheus.registry.storage import FloatBuffer

__all__ = ["UNBOUND", "FloatBuffer"]

UNBOUND: Final = cast(FloatBuffer, array("d"))
"""Stands where the numbers would be in a handle that has none of its own: some of its labels are missing."""
