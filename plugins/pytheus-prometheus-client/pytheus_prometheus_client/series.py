"""The dict in which a metric of prometheus_client has its series, which tells of each that comes and goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Self, TypeAlias, TypeVar

__all__ = ["Series"]

T = TypeVar("T")
_Values: TypeAlias = tuple[str, ...]
_Added: TypeAlias = Mapping[_Values, T] | Iterable[tuple[_Values, T]]


class Series(dict[_Values, T]):
    """The series of a metric by their label values.

    prometheus_client changes it under the metric's lock. Programs may change it by any method of a dict. Changes take
    longer than those of a plain dict. A lookup is that of a dict, because a method of its own would make every
    `labels()` slower.

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

    def popitem(self) -> tuple[_Values, T]:
        """Remove the latest series, and return it with its label values."""
        values, child = super().popitem()
        self._removed(values, child)
        return values, child

    def clear(self) -> None:
        """Remove every series."""
        former = list(self.items())
        super().clear()
        for values, child in former:
            self._removed(values, child)

    def setdefault(self, values: _Values, default: T, /) -> T:
        """Return a series, which is `default` if it is new."""
        if values not in self:
            self[values] = default
        return self[values]

    def update(self, others: _Added[T] = (), /) -> None:  # type: ignore[override]  # by position alone
        """Add series."""
        for values, child in dict(others).items():
            self[values] = child

    def __ior__(self, others: _Added[T], /) -> Self:  # type: ignore[override,misc]  # as `update`
        self.update(others)
        return self
