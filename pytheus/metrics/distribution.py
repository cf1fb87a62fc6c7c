"""Metrics that take observations: what histograms and summaries have in common."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import ParamSpec, Self, TypeVar, cast

from pytheus.atomic import LOCKED
from pytheus.compilation import mypyc_attr
from pytheus.metrics.around import Timer
from pytheus.metrics.doubles import UNBOUND
from pytheus.metrics.guard import guard
from pytheus.metrics.metric import Metric
from pytheus.metrics.number import Number
from pytheus.textformat import PART_SIZE, header
from pytheus.turns import Turns

__all__ = ["Distribution"]

P = ParamSpec("P")
R = TypeVar("R")


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)
class Distribution(Metric):
    """The base of `Histogram` and `Summary`; not for use by itself.

    All numbers of a series stand in one list, which is read in one step: a scrape never sees half an observation.
    """

    __slots__ = ("_numbers", "_shown", "_text")

    # A list rather than an array of doubles: compiled code reads and writes it directly. Zeros are one shared object.
    _numbers: list[float]
    _text: str
    _shown: list[float] | None

    def _size(self) -> int:
        """How many doubles a series has."""
        raise NotImplementedError

    def _render(self, name: str, numbers: list[float]) -> str:
        """The series' lines; each begins with `name`, and the first with `_first(name)`."""
        raise NotImplementedError

    def _first(self, name: str) -> str:
        """What a text that was made for `name`, and for no other name, begins with."""
        raise NotImplementedError

    def observe(self, value: Number) -> None:
        """Count `value` in."""
        raise NotImplementedError

    def _begin(self) -> None:
        self._numbers = []

    def _reset(self) -> None:
        view = self._view
        if view is not None:
            view[:] = array("d", bytes(8 * self._size()))
        elif self._numbers:
            # In place and in one step, for another handle may share them.
            self._numbers[:] = [0.0] * self._size()
        else:
            self._numbers = [0.0] * self._size()
        self._text = ""
        self._shown = None

    def _share(self, incumbent: Metric) -> None:
        assert isinstance(incumbent, Distribution)
        self._numbers = incumbent._numbers
        self._view = incumbent._view
        self._text = ""
        self._shown = None

    def _read(self) -> list[float]:
        """All numbers of this series as they stood at one moment."""
        view = self._view
        return self._numbers.copy() if view is None else view.tolist()

    def _take(self, seconds: float) -> None:
        self.observe(seconds)

    def text_parts(self, prefix: str) -> list[str]:
        """The whole family in the text format, in a few pieces; `prefix` is "" or ends with "_"."""
        series = self._series
        definition = series.definition
        name = prefix + definition.name
        first = self._first(name)
        turns = Turns()
        parts = [header(name, definition.type, definition.description)]
        texts: list[str] = []
        for child in cast("list[Self]", list(series.children.values())):
            numbers = child._read()
            text = child._text
            if numbers != child._shown or not text.startswith(first):
                text = child._render(name, numbers)
                # atomic: a text and the numbers that it shows belong together, whoever else is rendering
                child._text = text
                child._shown = numbers
            texts.append(text)
            if len(texts) * len(numbers) > PART_SIZE:
                parts.append("".join(texts))
                texts = []
                turns.offer()
        parts.append("".join(texts))
        return parts

    def time(self) -> Timer:
        """A context manager and decorator that observes the seconds that its block or function took.

        Also when the block raised. Coroutines and generators are timed until they have ended.
        """
        if self._view is UNBOUND:
            self._bound()  # raises now, rather than after the work, if a label is missing
        return Timer(self)

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """As a decorator: observe the seconds that each call takes."""
        return self.time()(function)


if LOCKED:
    guard(Distribution, "_reset", "_share", "_read", "text_parts")
