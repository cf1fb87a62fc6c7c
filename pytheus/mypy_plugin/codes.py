"""The codes of what is reported, by which a line can be silenced: ``# type: ignore[pytheus-label]``."""

from __future__ import annotations

from typing import Final

from mypy.errorcodes import ErrorCode

__all__ = ["LABEL", "NAME"]

LABEL: Final = ErrorCode("pytheus-label", "Labels that do not fit the metric", "pytheus")
NAME: Final = ErrorCode("pytheus-name", "A metric or label name that Prometheus does not allow", "pytheus")
