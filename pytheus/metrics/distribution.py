"""Metrics that take observations: what histograms and summaries have in common."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import ParamSpec, Self, TypeVar, cast

from pytheus.atomic import LOCKED
from pytheus.metrics.around import Timer
from pytheus.metrics.guard import guard
from pytheus.metrics.metric import Metric
from pytheus.metrics.number import Number
from pytheus.metrics.series import UNBOUND, Doubles
from pytheus.textformat import header

__all__ = ["Distribution"]

P = ParamSpec("P")
R = TypeVar("R")


class Distribution(Metric):
    """The base of `Histogram` and `Summary`; not for use by itself.

    All numbers of a series stand in one array, which is read in one step: a scrape never sees half an observation.
    """

    __slots__ = ("_shown", "_text")

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

    def _reset(self) -> None:
        view = self._view
        zeros = array("d", bytes(8 * self._size()))
        if view is None or view is UNBOUND:
            self._view = cast(Doubles, zeros)
        else:
            view[:] = zeros
        self._text = ""
        self._shown = None

    def _share(self, incumbent: Self) -> None:
        self._view = incumbent._view
        self._text = ""
        self._shown = None

    def _numbers(self) -> list[float]:
        """All numbers of this series as they stood at one moment."""
        view = self._view
        assert view is not None
        return view.tolist()

    def text(self, prefix: str) -> str:
        """The whole family in the text format; `prefix` is "" or ends with "_"."""
        series = self._series
        definition = series.definition
        name = prefix + definition.name
        first = self._first(name)
        texts = [header(name, definition.type, definition.description)]
        for child in cast("list[Self]", list(series.children.values())):
            numbers = child._numbers()
            text = child._text
            if numbers != child._shown or not text.startswith(first):
                text = child._render(name, numbers)
                # atomic: a text and the numbers that it shows belong together, whoever else is rendering
                child._text = text
                child._shown = numbers
            texts.append(text)
        return "".join(texts)

    def time(self) -> Timer:
        """A context manager and decorator that observes the seconds that its block or function took.

        Also when the block raised. Coroutines and generators are timed until they have ended.
        """
        self._bound()
        return Timer(self.observe)

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """As a decorator: observe the seconds that each call takes."""
        return self.time()(function)


if LOCKED:
    guard(Distribution, "_reset", "_share", "_numbers", "text")
