"""Metrics that are one number per series: what counters and gauges have in common.

Each series keeps its line of the text format, without the family's name, together with the number that it shows. A
scrape formats only the lines whose number has changed, and puts the name before all of them in one `str.join`. So the
lines do not depend on the prefix, and several registries can expose the same metric at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from pytheus.atomic import LOCKED
from pytheus.compilation import mypyc_attr
from pytheus.metrics.doubles import UNBOUND, FloatBuffer
from pytheus.metrics.guard import guard
from pytheus.metrics.label_types import C, Complete, D, L
from pytheus.metrics.metric import Metric
from pytheus.registry.storage import NumberStorage
from pytheus.samples import Exemplar, Row, Sample
from pytheus.textformat import PART_SIZE, header, number_line
from pytheus.turns import Turns

__all__ = ["Scalar"]


# Equal to no number, not even to itself.
_NOTHING: Final = float("nan")


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)
class Scalar(Metric[L, C, D]):
    """The base of `Counter` and `Gauge`; not for use by itself."""

    # Where the number lies in a view, it is in `_value` as well: nobody else writes it, and to read it from the view
    # before each increment would take as long as to store it there.

    __slots__ = ("_cut", "_line", "_shown", "_value")

    _value: float
    _line: str
    _cut: int
    _shown: float

    def _begin(self) -> None:
        # Not in `_reset`, which may come while another thread renders: the place to cut is the line's for good.
        self._line = ""
        self._cut = 0
        self._shown = _NOTHING

    def _reset(self) -> None:
        view = self._view
        if view is not None and len(view) > 0:
            view[0] = 0.0
        self._value = 0.0

    def _share(self, incumbent: Metric) -> None:
        # Each write asks the incumbent, whose number may be moved at any time.
        self._view = UNBOUND

    def _size(self) -> int:
        return 1

    def _row(self, exemplars: Mapping[int, Exemplar] | None) -> Row:
        return Row(cast("tuple[str, ...]", self._labels), [self._kept()], None, exemplars)

    def _kept(self) -> float:
        """This series' number, without asking any function for it."""
        return self._number()

    def _move(self, storage: NumberStorage, carry: bool) -> None:
        self._lie_in(storage.buffer(cast("tuple[str, ...]", self._labels), 1), carry)

    def _lie_in(self, view: FloatBuffer, carry: bool) -> None:
        # atomic: the number goes along, and no increment comes between
        if carry:
            view[0] = self._value
        else:
            self._value = view[0]
        self._view = view

    def _settle(self) -> bool:
        # atomic: as in `_lie_in`
        view = self._view
        if view is None:
            return False
        self._value = view[0]
        self._view = None
        return True

    def _number(self) -> float:
        """This series' number as it stands now."""
        view = self._view
        return self._value if view is None else view[0]

    @property
    def value(self: Scalar[Complete]) -> float:
        """The number as it stands now; raises `LabelError` where a label is missing."""
        return self._bound()._number()

    def _samples(self) -> list[Sample]:
        key = cast("tuple[str, ...]", self._labels)
        return [Sample("", self._label_dict(), self._number(), None, self._series.exemplars.get((key, 0)))]

    def text_parts(self, prefix: str) -> list[str]:
        """The whole family in the text format, in a few pieces; `prefix` is "" or ends with "_"."""
        series = self._series
        definition = series.definition
        name = prefix + definition.name
        turns = Turns()
        parts = [header(name, definition.type, definition.description)]
        # The name goes between the lines, and so before each of them: the first "line" is empty.
        children = cast("list[Scalar]", list(series.children.values()))
        for start in range(0, len(children), PART_SIZE):
            lines = [""]
            for child in children[start : start + PART_SIZE]:
                value = child._value if child._view is None else child._number()
                line = child._line
                if value != child._shown:
                    line = number_line(line[: child._cut], value) if line else child._first_line(value)
                    # atomic: a line and the number that it shows belong together, whoever else is rendering
                    child._line = line
                    child._shown = value
                lines.append(line)
            parts.append(name.join(lines))
            turns.offer()
        return parts

    def _first_line(self, value: float) -> str:
        labels = self._series.text(cast("tuple[str, ...]", self._labels))
        head = "{" + labels + "} " if labels else " "
        self._cut = len(head)
        return number_line(head, value)


if LOCKED:
    guard(Scalar, "_reset", "_number", "_lie_in", "_settle")

    def _text_parts(self: Scalar, prefix: str) -> list[str]:
        """As `text_parts`, but without lines kept from before.

        Those would need a lock, and none may be held while a gauge's function runs: it may wait for another thread,
        which waits for the lock.
        """
        definition = self._series.definition
        name = prefix + definition.name
        lines = [""]
        for child in cast("list[Scalar]", list(self._series.children.values())):
            lines.append(child._first_line(child._number()))
        return [header(name, definition.type, definition.description), name.join(lines)]

    setattr(Scalar, "text_parts", _text_parts)  # noqa: B010  # a method that is assigned has a type that mypy rejects
