"""The common base of counters and gauges, which have one number per series.

Each series keeps its line of the text format, without the family's name, and the number in that line. A scrape formats
only the lines whose number has changed, and inserts the name before each in one `str.join`. So the lines do not depend
on the prefix, and several registries can expose the same metric at once. From the first scrape in the protobuf format
on, a series keeps its message of that format in the same way, which has no name.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from math import copysign
from typing import Any, Final, cast

from pytheus.atomic import LOCKED
from pytheus.compilation import mypyc_attr, with_end
from pytheus.metrics.label_types import C, Complete, D, L
from pytheus.metrics.locking import lock_methods
from pytheus.metrics.metric import Metric
from pytheus.metrics.series import UNBOUND
from pytheus.protobufformat import COUNTER, GAUGE, KeptNumbers, counter_message, label_pairs, metric_message
from pytheus.registry.storage import FloatBuffer, NumberStorage, is_unset
from pytheus.samples import Exemplar, Row, Sample
from pytheus.textformat import PART_SIZE, format_number, header, number_end
from pytheus.version import COMPILED
from pytheus.yielding import Yielder

__all__ = ["NO_NUMBER", "Scalar"]


NO_NUMBER: Final = float("nan")
"""The number in the line of a series that was never rendered; equal to no number, not even to itself."""


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)
class Scalar(Metric[L, C, D]):
    """The base of `Counter` and `Gauge`; use one of them."""

    # A number in a view is in `_value` as well: only this process writes it, and reading the view before each increment
    # would take as long as the store.

    __slots__ = ("_line", "_line_value", "_value")

    _value: float
    _line: str
    _line_value: float

    def _init_handle(self) -> None:
        # Not in `_reset`, which may run while another thread renders: the head of the line never changes.
        self._line = ""
        self._line_value = NO_NUMBER

    def _reset(self) -> None:
        view = self._view
        if view is not None and len(view) > 0:
            view[0] = 0.0
        self._value = 0.0

    def _mark(self) -> object:
        return self._value

    def _is_idle(self, mark: object) -> bool:
        return self._value == mark

    def _leave(self, mark: object) -> bool:
        # atomic: a write comes before, and the series stays, or after, and begins a new one
        if self._value != mark:
            return False
        self._view = UNBOUND
        return True

    def _share_with(self, incumbent: Metric) -> None:
        # Each write goes to the incumbent, whose number may move at any time.
        self._view = UNBOUND

    def _size(self) -> int:
        return 1

    def _row(self, exemplars: Mapping[int, Exemplar] | None) -> Row:
        return Row(cast("tuple[str, ...]", self._labels), [self._stored_number()], None, exemplars)

    def _number_at(self, index: int) -> float:
        number = self._stored_number()
        return 0.0 if number != number and is_unset(number) else number

    def _stored_number(self) -> float:
        """Return this series' number without calling a function."""
        return self._number()

    def _move_to(self, storage: NumberStorage, carry: bool) -> None:
        # A number in another storage moves in one step below, so that a reader of both never sees it twice.
        first = self._value if carry and self._view is None else 0.0
        numbers = array("d", (first,))
        self._use_view(storage.buffer(cast("tuple[str, ...]", self._labels), numbers, self._start_time()), carry)

    def _use_view(self, view: FloatBuffer, carry: bool) -> None:
        # atomic: no increment between the copy and the change of the view, and no moment with the number in both
        if carry:
            former = self._view
            view[0] = self._value
            if former is not None and former is not view:
                former[0] = 0.0
        else:
            self._value = view[0]
        self._view = view

    def _move_back(self) -> bool:
        # atomic: as in `_use_view`
        view = self._view
        if view is None:
            return False
        self._value = view[0]
        self._view = None
        return True

    def _number(self) -> float:
        """Return this series' current number."""
        view = self._view
        return self._value if view is None or view is UNBOUND else view[0]

    @property
    def value(self: Scalar[Complete]) -> float:
        """The current number. Raises `LabelError` if a label is missing."""
        return self._bound()._number()

    def _samples(self) -> list[Sample]:
        key = cast("tuple[str, ...]", self._labels)
        return [Sample("", self._label_dict(), self._number(), None, self._series.exemplars.get((key, 0)))]

    def text_parts(self, prefix: str) -> list[str]:
        """Return pieces of the family's text; `prefix` is "" or ends with "_"."""
        series = self._series
        definition = series.definition
        name = prefix + definition.name
        yielder = Yielder()
        parts = [header(name, definition.type, definition.description)]
        # `join` puts the name between the lines, and so before each of them, because the first "line" is empty.
        children = cast("list[Scalar]", list(series.children.values()))
        failed = 0
        compiled = COMPILED
        for start in range(0, len(children), PART_SIZE):
            lines = [""]
            for child in children[start : start + PART_SIZE]:
                if child._view is None:
                    value = child._value
                else:
                    number = self._number_of(child)
                    if number is None:
                        failed += 1
                        continue
                    value = number
                line = child._line
                former = child._line_value
                # 0.0 and -0.0 are equal, but their texts differ. Native code has no float objects to compare first.
                if (compiled or value is not former) and (
                    value != former or (not value and copysign(1.0, value) != copysign(1.0, former))
                ):
                    if not line:
                        labels: Any = child._labels  # not a cast, which is a call in plain Python
                        line = series.line(labels, number_end(value))
                    elif compiled:
                        line = with_end(line, number_end(value))
                    else:
                        # As `number_end`, whose call takes plain Python as long as the rest. No number has a space.
                        text = repr(value)
                        if text[-1] in "fn":
                            text = format_number(value)
                        line = f"{line.rpartition(' ')[0]} {text}\n"
                    # atomic: the line and its number change together, even if other threads render
                    child._line = line
                    child._line_value = value
                lines.append(line)
            parts.append(name.join(lines))
            yielder.offer()
        return parts if not failed or failed < len(children) else []

    def message_parts(self) -> list[bytes] | None:
        """Return pieces of the family's metrics in the protobuf format; see `Metric.message_parts`."""
        series = self._series
        definition = series.definition
        if definition.name_rules != "legacy" or series.exemplars:
            return None
        key = COUNTER if definition.type == "counter" else GAUGE
        yielder = Yielder()
        parts: list[bytes] = []
        # Kept here and not in each series, so that a program without such scrapes needs no memory for them.
        kept_chunks: list[KeptNumbers] = series.messages[0]
        present_chunks: list[KeptNumbers] = []
        children = cast("list[Scalar]", list(series.children.values()))
        for start in range(0, len(children), PART_SIZE):
            chunk = children[start : start + PART_SIZE]
            at = len(present_chunks)
            former = kept_chunks[at] if at < len(kept_chunks) else None
            kept = self._kept_chunk(chunk, former, key)
            present_chunks.append(kept)
            parts.append(kept.messages)
            yielder.offer()
        # atomic: a reset meanwhile, which changes a start time, has put another list there
        if not LOCKED and series.messages[0] is kept_chunks:
            series.messages[0] = present_chunks
        return parts

    def _kept_chunk(self, chunk: list[Scalar], former: KeptNumbers | None, key: bytes) -> KeptNumbers:
        """Return the messages of the series in `chunk`; those of `former` that have not changed."""
        if former is not None and not LOCKED and former.owners == chunk:
            # Without an object for each number, because most scrapes find most of them unchanged.
            values = former.numbers
            is_same = True
            for index, child in enumerate(chunk):
                if child._view is not None:
                    break
                if is_same:
                    value = child._value
                    if value != values[index] or (not value and copysign(1.0, value) != copysign(1.0, values[index])):
                        is_same = False
            else:
                return former if is_same else former.with_numbers([child._value for child in chunk])
        shown: list[object] = []
        numbers: list[float] = []
        for child in chunk:
            number = child._value if child._view is None and not LOCKED else self._number_of(child)
            if number is not None:
                shown.append(child)
                numbers.append(number)
        if former is not None and former.belongs_to(shown):
            return former.with_numbers(numbers)
        ends: list[bytes] = []
        before = b""
        for owner in shown:
            head, tail = cast(Scalar, owner)._message_around_number(key)
            ends.append(before + head)
            before = tail
        return KeptNumbers(shown, numbers, [*ends, before])

    def _message_around_number(self, key: bytes) -> tuple[bytes, bytes]:
        """Return the bytes of this series' message before its number, and after it."""
        names = self._series.definition.labels
        labels = label_pairs(zip(names, cast("tuple[str, ...]", self._labels), strict=True))
        number = counter_message(0.0, b"", self._start_time() or None)
        message = metric_message(labels, key, number)
        place = len(message) - len(number) + 1
        return message[:place], message[place + 8 :]

    def _number_of(self, child: Scalar) -> float | None:
        """Return the number of `child`, or None if its function failed and the scrape goes on without it."""
        try:
            return child._number()
        except BaseException as error:
            self._leave_out(child, error)
            return None


if LOCKED:
    lock_methods(Scalar, "_reset", "_number", "_use_view", "_move_back", "_leave")

    def _text_parts(self: Scalar, prefix: str) -> list[str]:
        """Do as `text_parts`, but keep no lines.

        Kept lines would need a lock, which must not be held while a gauge's function runs: the function may wait for
        another thread that waits for the lock.
        """
        series = self._series
        definition = series.definition
        name = prefix + definition.name
        lines = [""]
        failed = False
        for child in cast("list[Scalar]", list(series.children.values())):
            number = self._number_of(child)
            if number is None:
                failed = True
            else:
                lines.append(series.line(cast("tuple[str, ...]", child._labels), number_end(number)))
        if failed and len(lines) == 1:
            return []
        return [header(name, definition.type, definition.description), name.join(lines)]

    setattr(Scalar, "text_parts", _text_parts)  # noqa: B010  # mypy rejects an assignment to a method
