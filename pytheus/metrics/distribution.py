"""The common base of histograms and summaries, which take observations.

Each series keeps the text of its numbers, and its labels once: the lines of the buckets without their common beginning,
then the labels and the sum. The buckets' text has a mark in the place of that beginning, which a scrape inserts in one
`str.replace`. So the text does not depend on the registry's prefix, and takes a quarter of the memory of whole lines.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, ParamSpec, Self, TypeVar, cast

from pytheus.atomic import LOCKED
from pytheus.compilation import i64, mypyc_attr, vec
from pytheus.metrics.instrument import Timer
from pytheus.metrics.label_types import C, Complete, D, L
from pytheus.metrics.locking import lock_methods
from pytheus.metrics.metric import Metric
from pytheus.metrics.number import Number
from pytheus.metrics.series import UNBOUND, start_time
from pytheus.protobufformat import HISTOGRAM, SUMMARY, KeptMessage, label_pairs, metric_message, varint
from pytheus.registry.storage import FloatBuffer, NumberStorage
from pytheus.samples import Exemplar, Row
from pytheus.textformat import PART_SIZE, format_number, header, number_end, whole_end
from pytheus.version import COMPILED
from pytheus.yielding import Yielder

__all__ = ["HEAD_MARK", "Distribution", "numbers_of"]

HEAD_MARK: Final = "\0"
"""The mark in the place of the beginning of a bucket's line; no bound and no number has it."""

_MAX_MOVES: Final = 100
"""How often numbers that another thread changes meanwhile are moved as a whole."""

_NO_COUNTS: Final = vec[i64]()

P = ParamSpec("P")
R = TypeVar("R")


def _counts(numbers: list[float]) -> vec[i64]:
    """Return the counts among the numbers of a view."""
    counts = [0]  # the sum is not one, and may be NaN
    counts += [int(number) for number in numbers[1:]]
    return vec[i64](counts)


def numbers_of(total: float, counts: vec[i64]) -> list[float]:
    """Return the numbers of a series as a view has them."""
    numbers = [total]
    numbers += [float(count) for count in counts[1:]]
    return numbers


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)
class Distribution(Metric[L, C, D]):
    """The base of `Histogram` and `Summary`; use one of them."""

    # A series has its counts in one array and its sum in an attribute, and both are read in one step, so a scrape never
    # sees half an observation. Counts are ints, because Python shares the small ones; the first item is not used. In
    # a registry's storage the numbers are a view of doubles with the sum as the first.

    __slots__ = ("_counts", "_created", "_message", "_sum", "_text", "_text_count", "_text_sum")

    _created: float
    _counts: vec[i64]
    _sum: float
    _text: str
    # The number of observations in `_text`, or -1 if there is no text, and their sum.
    _text_count: int
    _text_sum: float
    _message: KeptMessage | None

    def _buckets_text(self, counts: vec[i64]) -> str:
        """Return the lines of the buckets, each with `HEAD_MARK` before its bound; "" if there are no buckets."""
        return ""

    def _message_of(self, total: float, counts: vec[i64], count: int) -> bytes:
        """Return the numbers in the protobuf format; `count` is that of all observations."""
        raise NotImplementedError

    def observe(self: Distribution[Complete], value: Number) -> None:
        """Count `value`."""
        raise NotImplementedError

    def observe_many(self: Distribution[Complete], values: Iterable[Number]) -> None:
        """Count each of `values`, or none of them if it raises as `observe` does."""
        raise NotImplementedError

    def _add_observations(self, index: int, count: int, total: float) -> None:
        """Add `count` observations in bucket `index`, whose sum is `total`."""
        # atomic: as in `observe`
        view = self._view
        if view is None:
            counts = self._counts
            counts[index] = counts[index] + count
            self._sum += total
        elif view is UNBOUND:  # the series has ended
            self._bound()._add_observations(index, count, total)
        else:
            view[index] += count
            view[0] += total

    def _observe_in_view(self: Distribution[Complete], index: int, number: float) -> None:
        """Count `number` in bucket `index` of a handle without own numbers."""
        view = self._view
        if view is None or view is UNBOUND:
            self._bound()._add_observations(index, 1, number)  # not `observe`, which a subclass may have
            return
        # atomic: as in `observe`
        view[index] += 1.0
        view[0] += number

    def _init_handle(self) -> None:
        self._counts = _NO_COUNTS
        self._created = 0.0
        self._sum = 0.0
        self._text = ""
        self._text_count = -1
        self._message = None
        self._text_sum = 0.0

    def _reset(self) -> None:
        view = self._view
        if view is not None:
            view[:] = array("d", bytes(8 * self._size()))
        else:
            counts = self._series.zeros[:]
            # atomic: both at once
            self._counts = counts
            self._sum = 0.0
        self._created = start_time(self._created or self._series.ended_at[0])
        self._text_count = -1
        self._message = None

    def _start_time(self) -> float:
        return self._created

    def _mark(self) -> object:
        return sum(self._read()[1])

    def _is_idle(self, mark: object) -> bool:
        return sum(self._read()[1]) == mark

    def _leave(self, mark: object) -> bool:
        view = self._view
        total, counts = self._read()
        if sum(counts) != mark:
            return False
        numbers = array("d", numbers_of(total, counts))
        # atomic: an observation comes before, and the series stays, or after, and begins a new one
        if self._view is not view or (self._counts != counts if view is None else view != numbers):
            return False
        if view is not None:
            self._counts = counts
            self._sum = total
        self._view = UNBOUND
        return True

    def _share_with(self, incumbent: Metric) -> None:
        # Each observation goes to the incumbent, because ints and floats cannot be shared.
        self._view = UNBOUND
        self._counts = _NO_COUNTS

    def _read(self) -> tuple[float, vec[i64]]:
        """Return the sum and the counts of one moment."""
        view = self._view
        if view is None or view is UNBOUND:
            # atomic: a slice, because a call could be interrupted after it
            counts = self._counts[:]
            total = self._sum
            return total, counts
        numbers = view.tolist()
        return numbers[0], _counts(numbers)

    def _row(self, exemplars: Mapping[int, Exemplar] | None) -> Row:
        return Row(cast("tuple[str, ...]", self._labels), self._row_numbers(), None, exemplars, True, self._created)

    def _row_numbers(self) -> list[float]:
        total, counts = self._read()
        return numbers_of(total, counts)

    def _move_to(self, storage: NumberStorage, carry: bool) -> None:
        zeros = array("d", bytes(8 * self._size()))
        # Numbers in another storage move in one step below, so that a reader of both never sees them twice.
        first = array("d", self._row_numbers()) if carry and self._view is None else zeros
        view = storage.buffer(cast("tuple[str, ...]", self._labels), first, self._created)
        if view is self._view:
            return
        # Numbers of another place may have the same count and sum.
        self._text_count = -1
        self._message = None
        if not carry:
            self._view = view
            return
        for _ in range(_MAX_MOVES):
            if self._move_numbers(view, array("d", self._row_numbers()), zeros):
                return
        self._add_differences(self._row_numbers(), view)

    def _move_back(self) -> bool:
        if self._view is None:
            return False
        for _ in range(_MAX_MOVES):
            total, counts = self._read()
            if self._take_back(total, counts, array("d", numbers_of(total, counts))):
                return True
        self._add_differences([0.0] * self._size(), None)
        return True

    def _move_numbers(self, view: FloatBuffer, numbers: array[float], zeros: array[float]) -> bool:
        """Use `view` if `numbers` are still the present ones; return whether they are."""
        whole = slice(None)
        expected: Any = numbers
        total = numbers[0]
        counts = _counts(numbers.tolist())
        fresh = self._series.zeros[:]
        # atomic: no observation between the comparison and the change of the view, and none is in both places
        former = self._view
        if former is None:
            if self._counts == counts and self._sum == total:
                view[whole] = numbers
                self._view = view
                self._counts = fresh
                self._sum = 0.0
                return True
        elif former == expected:
            view[whole] = numbers
            former[whole] = zeros
            self._view = view
            return True
        return False

    def _take_back(self, total: float, counts: vec[i64], numbers: array[float]) -> bool:
        """Use the attributes if `numbers` are still the present ones; return whether they are."""
        expected: Any = numbers
        # atomic: as in `_move_numbers`
        if self._view == expected:
            self._counts = counts
            self._sum = total
            self._view = None
            return True
        return False

    def _add_differences(self, moved: list[float], view: FloatBuffer | None) -> None:
        """Use `view`, or the attributes, and add the observations that are not among `moved`.

        Until that is done a reader misses them. It is for numbers that changed at every attempt to move them as a
        whole, and for sums that are NaN, which equal nothing.
        """
        if view is not None:
            view[:] = array("d", moved)
        for index, number in enumerate(self._use_view(view)):
            if number != moved[index]:
                self._add(index, number - moved[index])

    def _use_view(self, view: FloatBuffer | None) -> list[float]:
        """Use `view` for the numbers; None for the attributes.

        Returns the last numbers of the former place.
        """
        fresh = self._series.zeros[:]
        # atomic: each observation is in one of the two
        former = self._view
        counts = self._counts
        total = self._sum
        if view is None:
            self._counts = fresh
            self._sum = 0.0
        self._view = view
        return former.tolist() if former is not None else numbers_of(total, counts)

    def _begin(self, created: float) -> None:
        self._created = created

    def _add(self, index: int, number: float) -> None:
        count = int(number) if index else 0
        # atomic: loads, an add and a store
        view = self._view
        if view is UNBOUND:  # the series has ended
            self._bound()._add(index, number)
        elif view is not None:
            view[index] += number
        elif index:
            self._counts[index] = self._counts[index] + count
        else:
            self._sum += number

    def _number_at(self, index: int) -> float:
        total, counts = self._read()
        return float(counts[index]) if index else total

    def _record_seconds(self: Distribution[Complete], seconds: float) -> None:
        self.observe(seconds)

    @property
    def count(self: Distribution[Complete]) -> float:
        """The number of observed values. Raises `LabelError` if a label is missing."""
        return float(sum(self._bound()._read()[1]))

    @property
    def sum(self: Distribution[Complete]) -> float:
        """The sum of the observed values. Raises `LabelError` if a label is missing."""
        return self._bound()._read()[0]

    def text_parts(self, prefix: str) -> list[str]:
        """Return pieces of the family's text; `prefix` is "" or ends with "_"."""
        series = self._series
        definition = series.definition
        name = prefix + definition.name
        bucket_name = name + "_bucket"
        sum_name = name + "_sum"
        count_name = name + "_count"
        is_labelled = series.label_count > 0
        before_bound = ',le="' if is_labelled else '{le="'
        before_number = "} " if is_labelled else " "
        yielder = Yielder()
        parts = [header(name, definition.type, definition.description)]
        texts: list[str] = []
        at_most = 7 * PART_SIZE // self._size()
        for child in cast("list[Self]", list(series.children.values())):
            # Without a call in between, so the text and its numbers are of one moment.
            text = child._text
            count = child._text_count
            total = child._text_sum
            if not child._is_current(count, total):
                text, count = child._renew_text()
            # The labels end at the last space, and begin with the only brace that comes before a label.
            end = text.rfind(" ") + 1 - len(before_number)
            start = text.find("{") if is_labelled else end
            labels = text[start:end]
            if start:
                texts.append(text[:start].replace(HEAD_MARK, f"{bucket_name}{labels}{before_bound}"))
            # One by one, because `join` takes less time than a string for each series.
            texts.append(sum_name)
            texts.append(text[start:])
            texts.append(count_name)
            texts.append(labels)
            texts.append(before_number)
            texts.append(whole_end(count))
            if len(texts) >= at_most:
                parts.append("".join(texts))
                texts = []
                yielder.offer()
        parts.append("".join(texts))
        return parts

    def message_parts(self) -> list[bytes] | None:
        """Return pieces of the family's metrics in the protobuf format; see `Metric.message_parts`."""
        series = self._series
        definition = series.definition
        if definition.name_rules != "legacy" or series.exemplars or definition.native is not None:
            return None
        yielder = Yielder()
        parts: list[bytes] = []
        messages: list[bytes] = []
        for child in cast("list[Self]", list(series.children.values())):
            kept = child._message
            if kept is None or kept.created != child._created or not child._is_current(kept.count, kept.number):
                kept = child._renew_message(kept)
            messages.append(kept.message)
            if len(messages) >= PART_SIZE:
                parts.append(b"".join(messages))
                messages = []
                yielder.offer()
        parts.append(b"".join(messages))
        return parts

    def _renew_message(self, former: KeptMessage | None) -> KeptMessage:
        """Return the message with the present numbers, and keep it."""
        definition = self._series.definition
        values = cast("tuple[str, ...]", self._labels)
        labels = label_pairs(zip(definition.labels, values, strict=True)) if former is None else former.labels
        created = self._created
        total, counts = self._read()
        count = sum(counts)
        numbers = self._message_of(total, counts, count)
        message = metric_message(labels, HISTOGRAM if definition.type == "histogram" else SUMMARY, numbers)
        place = len(message) - len(numbers) - len(varint(len(numbers))) - 1
        kept = KeptMessage(message, total, count, place, created)
        if not LOCKED:
            self._message = kept
        return kept

    def has_plain_text(self) -> bool:
        """Return whether OpenMetrics has the lines of `text_parts`: it has no sum that is negative or not a number."""
        series = self._series
        definition = series.definition
        bounds = definition.bounds
        # OpenMetrics has no sum beside a bucket of negative values, and native buckets may be such.
        if (bounds[0] < 0 if bounds else definition.native is not None) or not super().has_plain_text():
            return False
        for child in cast("list[Self]", list(series.children.values())):
            view = child._view
            if not (child._sum if view is None or view is UNBOUND else view[0]) >= 0:
                return False
        return True

    def _is_current(self, count: int, total: float) -> bool:
        """Return whether the numbers in the kept text are the present ones. Every observation adds one to the count."""
        if LOCKED:
            return False  # kept text would need a lock, which no scrape holds
        if COMPILED and self._view is None:
            # Without a copy, because nothing interrupts native code here.
            present: i64 = 0
            number: i64
            for number in self._counts:
                present += number
            return present == count and self._sum == total
        present_sum, counts = self._read()
        return sum(counts) == count and present_sum == total

    def _renew_text(self) -> tuple[str, int]:
        """Return the text with the present numbers, and their count; keep both."""
        total, counts = self._read()
        count = sum(counts)
        former = self._text
        buckets = self._buckets_text(counts)
        if former:
            labels = former[former.find("{") : former.rfind(" ") + 1] if self._series.label_count else " "
            text = f"{buckets}{labels}{format_number(total)}\n"
        else:
            text = buckets + self._series.line(cast("tuple[str, ...]", self._labels), number_end(total))
        if not LOCKED:
            # atomic: the text and its numbers change together, even if other threads render
            self._text = text
            self._text_count = count
            self._text_sum = total
        return text, count

    def time(self) -> Timer[L]:
        """Return a context manager and decorator that observes seconds.

        It measures a block or a call, also if it raises. Coroutines and generators are timed until they end. Labels
        that are missing can be set in the block, by `Timer.labels`; a function is decorated with all labels set.
        """
        return Timer(self)

    def __call__(self: Distribution[Complete], function: Callable[P, R], /) -> Callable[P, R]:
        """Observe the seconds of each call of `function`, as a decorator."""
        return self.time()(function)


if LOCKED:
    lock_methods(Distribution, "_reset", "_read", "_use_view", "_add", "_add_observations")
    lock_methods(Distribution, "_move_numbers", "_take_back", "_leave")
