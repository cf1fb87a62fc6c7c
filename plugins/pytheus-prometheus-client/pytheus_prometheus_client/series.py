"""The dict in which a metric of prometheus_client has its series, which tells of each that comes and goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["Series"]

T = TypeVar("T")
_Values = tuple[str, ...]


class Series(dict[_Values, T]):
    """The series of a metric by their label values.

    prometheus_client changes it under the metric's lock. Only what changes it is slower than in a plain dict.
    """

    def __init__(self, added: Callable[[_Values, T], None], removed: Callable[[_Values], None]) -> None:
        super().__init__()
        self._added = added
        self._removed = removed

    def __setitem__(self, values: _Values, child: T, /) -> None:
        self._added(values, child)
        super().__setitem__(values, child)

    def __delitem__(self, values: _Values, /) -> None:
        super().__delitem__(values)
        self._removed(values)

    def pop(self, values: _Values, default: T | None = None, /) -> T | None:  # type: ignore[override]  # as it is called
        """Remove a series and return it, or `default`."""
        found = super().pop(values, default)
        self._removed(values)
        return found
