"""The dict in which a metric of prometheus_client has its series, which tells of each that comes and goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["Series"]

T = TypeVar("T")
_Values = tuple[str, ...]


class Series(dict[_Values, T]):
    """The series of a metric by their label values.

    prometheus_client changes it under the metric's lock. Changes take longer than those of a plain dict. A lookup is
    that of a dict, because a method of its own would make every `labels()` slower.

        >>> series: Series[int] = Series(lambda values, number: print("added", values, number), print)
        >>> series["a", "b"] = 1
        added ('a', 'b') 1
        >>> series.pop(("a", "b"))
        ('a', 'b') 1
        1
    """

    def __init__(self, added: Callable[[_Values, T], None], removed: Callable[[_Values, T], None]) -> None:
        super().__init__()
        self._added = added
        self._removed = removed

    def __setitem__(self, values: _Values, child: T, /) -> None:
        self._added(values, child)
        super().__setitem__(values, child)

    def __delitem__(self, values: _Values, /) -> None:
        self._removed(values, super().pop(values))

    def pop(self, values: _Values, default: T | None = None, /) -> T | None:  # type: ignore[override]  # as it is called
        """Remove a series and return it, or `default`."""
        if values not in self:
            return default
        child = super().pop(values)
        self._removed(values, child)
        return child
