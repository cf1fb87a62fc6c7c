"""Metrics that take observations: what histograms and summaries have in common."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import ParamSpec, Self, TypeVar, cast

from pytheus.atomic import LOCKED
from pytheus.compilation import mypyc_attr
from pytheus.metrics.around import Timer
from pytheus.metrics.doubles import UNBOUND, FloatBuffer
from pytheus.metrics.guard import guard
from pytheus.metrics.label_types import C, Complete, D, L
from pytheus.metrics.metric import Metric
from pytheus.metrics.number import Number
from pytheus.registry.storage import NumberStorage
from pytheus.samples import Exemplar, Row
from pytheus.textformat import PART_SIZE, header
from pytheus.turns import Turns

__all__ = ["Distribution"]

P = ParamSpec("P")
R = TypeVar("R")


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)
class Distribution(Metric[L, C, D]):
    """The base of `Histogram` and `Summary`; not for use by itself.

    A series has its counts in one list and its sum beside it, and both are read in one step: a scrape never sees half
    an observation. Counts are ints, of which the small ones are shared; the first place in the list is not used. Where
    a registry keeps the numbers, they stand in a view of doubles, the sum in that first place.
    """

    __slots__ = ("_counts", "_shown", "_shown_sum", "_sum", "_text")

    _counts: list[int]
    _sum: float
    _text: str
    # What `_text` shows: the number of observations, or -1 for none, and their sum.
    _shown: int
    _shown_sum: float

    def _render(self, name: str, total: float, counts: list[int]) -> str:
        """The series' lines; each begins with `name`, and the first with `_first(name)`."""
        raise NotImplementedError

    def _first(self, name: str) -> str:
        """What a text that was made for `name`, and for no other name, begins with."""
        raise NotImplementedError

    def observe(self: Distribution[Complete], value: Number) -> None:
        """Count `value` in."""
        raise NotImplementedError

    def _observe_elsewhere(self: Distribution[Complete], index: int, number: float) -> None:
        """Count `number` in at `index`, where this handle has no numbers of its own."""
        view = self._view
        if view is None or view is UNBOUND:
            self._bound().observe(number)
            return
        # atomic: as in `observe`
        view[index] += 1.0
        view[0] += number

    def _begin(self) -> None:
        self._counts = []
        self._sum = 0.0
        self._text = ""
        self._shown = -1
        self._shown_sum = 0.0

    def _reset(self) -> None:
        view = self._view
        if view is not None:
            view[:] = array("d", bytes(8 * self._size()))
        else:
            counts = [0] * self._size()
            # atomic: both at once
            self._counts = counts
            self._sum = 0.0
        self._shown = -1

    def _share(self, incumbent: Metric) -> None:
        # Each observation goes by way of the incumbent, for an int in a list and a float cannot be shared.
        self._view = UNBOUND
        self._counts = []

    def _read(self) -> tuple[float, list[int]]:
        """The sum and the counts as they stood at one moment."""
        view = self._view
        if view is None:
            # atomic: a slice, for a call could be interrupted after it
            counts = self._counts[:]
            total = self._sum
            return total, counts
        numbers = view.tolist()
        total = numbers[0]
        numbers[0] = 0.0
        return total, [int(number) for number in numbers]

    def _row(self, exemplars: Mapping[int, Exemplar] | None) -> Row:
        return Row(cast("tuple[str, ...]", self._labels), self._laid_out(), None, exemplars)

    def _laid_out(self) -> list[float]:
        total, counts = self._read()
        return [total, *[float(count) for count in counts[1:]]]

    def _move(self, storage: NumberStorage, carry: bool) -> None:
        view = storage.buffer(cast("tuple[str, ...]", self._labels), self._size())
        if view is self._view:
            return
        if not carry:
            self._lie_in(view)
            return
        moved = self._laid_out()
        view[:] = array("d", moved)
        left = self._lie_in(view)
        # What was observed between the two.
        for index, number in enumerate(left):
            if number != moved[index]:
                self._add(index, number - moved[index])

    def _lie_in(self, view: FloatBuffer | None) -> list[float]:
        """Let the numbers lie in `view` (None: here) from now on; those that lay elsewhere, as they were left."""
        size = self._size()
        fresh = [0] * size
        # atomic: whatever is observed is in one of the two
        former = self._view
        counts = self._counts
        total = self._sum
        if view is None:
            self._counts = fresh
            self._sum = 0.0
        self._view = view
        return former.tolist() if former is not None else [total, *[float(count) for count in counts[1:]]]

    def _add(self, index: int, number: float) -> None:
        count = int(number) if index else 0
        # atomic: loads, an add and a store
        view = self._view
        if view is not None:
            view[index] += number
        elif index:
            self._counts[index] = self._counts[index] + count
        else:
            self._sum += number

    def _settle(self) -> bool:
        if self._view is None:
            return False
        for index, number in enumerate(self._lie_in(None)):
            self._add(index, number)
        return True

    def _take(self: Distribution[Complete], seconds: float) -> None:
        self.observe(seconds)

    @property
    def count(self: Distribution[Complete]) -> float:
        """How many values were observed."""
        return float(sum(self._bound()._read()[1]))

    @property
    def sum(self: Distribution[Complete]) -> float:
        """The sum of all values observed."""
        return self._bound()._read()[0]

    def text_parts(self, prefix: str) -> list[str]:
        """The whole family in the text format, in a few pieces; `prefix` is "" or ends with "_"."""
        series = self._series
        definition = series.definition
        name = prefix + definition.name
        first = self._first(name)
        turns = Turns()
        parts = [header(name, definition.type, definition.description)]
        texts: list[str] = []
        at_most = PART_SIZE // self._size() + 1
        for child in cast("list[Self]", list(series.children.values())):
            total, counts = child._read()
            count = sum(counts)
            text = child._text
            # Every observation adds one to the count.
            if count != child._shown or total != child._shown_sum or not text.startswith(first):
                text = child._render(name, total, counts)
                # atomic: a text and the numbers that it shows belong together, whoever else is rendering
                child._text = text
                child._shown = count
                child._shown_sum = total
            texts.append(text)
            if len(texts) >= at_most:
                parts.append("".join(texts))
                texts = []
                turns.offer()
        parts.append("".join(texts))
        return parts

    def time(self: Distribution[Complete]) -> Timer:
        """A context manager and decorator that observes the seconds that its block or function took.

        Also when the block raised. Coroutines and generators are timed until they have ended.
        """
        if self._view is UNBOUND:
            self._bound()  # raises now, rather than after the work, if a label is missing
        return Timer(self)

    def __call__(self: Distribution[Complete], function: Callable[P, R], /) -> Callable[P, R]:
        """As a decorator: observe the seconds that each call takes."""
        return self.time()(function)


if LOCKED:
    guard(Distribution, "_reset", "_read", "_lie_in", "_add", "text_parts")
