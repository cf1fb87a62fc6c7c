"""Mechanical defects that nobody can notice, by their names, each with the reason."""

from __future__ import annotations

from typing import Final

__all__ = ["EQUIVALENTS"]

EQUIVALENTS: Final[dict[str, str]] = {}
