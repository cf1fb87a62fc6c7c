"""Metrics that are one number per series: what counters and gauges have in common.

Each series keeps its line of the text format, without the family's name, together with the number that it shows. A
scrape formats only the lines whose number has changed, and puts the name before all of them in one `str.join`. So the
lines do not depend on the prefix, and several registries can expose the same metric at once.
"""

from __future__ import annotations

from array import array
from typing import Self, cast

from pytheus.atomic import LOCKED
from pytheus.metrics.guard import guard
from pytheus.metrics.metric import Metric
from pytheus.metrics.series import Doubles
from pytheus.samples import Sample
from pytheus.textformat import format_number, header

__all__ = ["Scalar"]


class Scalar(Metric):
    """The base of `Counter` and `Gauge`; not for use by itself."""

    __slots__ = ("_line", "_shown", "_value")

    _value: float
    _line: str
    _shown: float

    def _reset(self) -> None:
        view = self._view
        if view is not None and len(view) > 0:
            view[0] = 0.0
            return
        self._value = 0.0
        self._shown = 0.0
        self._line = ""

    def _share(self, incumbent: Self) -> None:
        view = incumbent._view
        if view is None:
            shared = cast(Doubles, array("d", (0.0,)))
            # atomic: the number goes along, and no increment comes between
            shared[0] = incumbent._value
            incumbent._view = shared
            view = shared
        self._view = view
        self._line = ""
        self._shown = 0.0

    def _number(self) -> float:
        """This series' number as it stands now."""
        view = self._view
        return self._value if view is None else view[0]

    @property
    def value(self) -> float:
        """The number as it stands now; raises `LabelError` where a label is missing."""
        return self._bound()._number()

    def _samples(self) -> list[Sample]:
        key = cast("tuple[str, ...]", self._labels)
        return [Sample("", self._label_dict(), self._number(), None, self._series.exemplars.get((key, 0)))]

    def text(self, prefix: str) -> str:
        """The whole family in the text format; `prefix` is "" or ends with "_"."""
        series = self._series
        definition = series.definition
        name = prefix + definition.name
        # The name goes between the lines, and so before each of them: the first stands after the header.
        lines = [header(name, definition.type, definition.description)]
        for child in cast("list[Scalar]", list(series.children.values())):
            value = child._value if child._view is None else child._number()
            line = child._line
            if value != child._shown or not line:
                line = child._render(value)
            lines.append(line)
        return name.join(lines)

    def _render(self, value: float) -> str:
        line = self._line
        if line:
            head = line[: line.rindex(" ") + 1]
        else:
            labels = self._series.text(cast("tuple[str, ...]", self._labels))
            head = "{" + labels + "} " if labels else " "
        line = head + format_number(value) + "\n"
        # atomic: a line and the number that it shows belong together, whoever else is rendering
        self._line = line
        self._shown = value
        return line


if LOCKED:
    guard(Scalar, "_reset", "_share", "_number", "text")
