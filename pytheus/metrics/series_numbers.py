"""The numbers of every series of a metric at once, for senders that keep everything else of a series as bytes.

Each is in the order of `pytheus.samples.Row.numbers`, without an object for each series. Labels never change, so a
sender recognizes a series by its owner, and reads the labels only when that is new.
"""

from __future__ import annotations

from typing import cast

from pytheus.atomic import LOCKED
from pytheus.compilation import vec
from pytheus.metrics.counter import Counter
from pytheus.metrics.distribution import Distribution
from pytheus.metrics.metric import Metric
from pytheus.metrics.scalar import Scalar
from pytheus.samples import Exemplar
from pytheus.textformat import PART_SIZE
from pytheus.yielding import Yielder

__all__ = ["SeriesNumbers", "series_numbers"]


class SeriesNumbers:
    """The numbers of the series of one metric.

    `owners` are the series, `starts` their start times in seconds since the Unix epoch, 0.0 for none, and `numbers`
    those of the first series, of the second and so on. `exemplars` are by label values and slot.
    """

    __slots__ = ("exemplars", "_known_starts", "numbers", "owners", "starts")

    def __init__(
        self,
        owners: list[object],
        starts: list[float],
        numbers: list[float],
        exemplars: dict[tuple[tuple[str, ...], int], Exemplar],
    ) -> None:
        self.owners: list[object] = owners
        self.starts: list[float] = starts
        self.numbers: list[float] = numbers
        self.exemplars: dict[tuple[tuple[str, ...], int], Exemplar] = exemplars
        # Compared without an object for each.
        self._known_starts: vec[float] = vec[float](starts)

    def labels(self, begin: int = 0, end: int | None = None) -> list[tuple[str, ...]]:
        """Return the label values of each series from one place to another, by default of all."""
        return [cast("tuple[str, ...]", cast(Metric, owner)._labels) for owner in self.owners[begin:end]]

    def with_numbers(
        self, numbers: list[float], exemplars: dict[tuple[tuple[str, ...], int], Exemplar]
    ) -> SeriesNumbers:
        """Return other numbers of the same series, with the same lists of owners and starts."""
        other = SeriesNumbers(self.owners, [], numbers, exemplars)
        other.starts = self.starts
        other._known_starts = self._known_starts
        return other


def series_numbers(metric: Metric, former: SeriesNumbers | None = None) -> SeriesNumbers | None:
    """Return the numbers of `metric`, or None if only its rows have all of them.

    A gauge whose function fails is left out, as in a scrape. `former` are earlier ones, whose lists of owners and
    starts are used again if the series are the same. May be called from any thread, by several at once.
    """
    series = metric._series
    if series.has_native:
        return None
    if isinstance(metric, Scalar):
        scalars = cast("list[Scalar]", list(series.children.values()))
        if former is not None and _are_same(scalars, former):
            return former.with_numbers([child._value for child in scalars], dict(series.exemplars))
        return _of_scalars(metric, scalars)
    if isinstance(metric, Distribution):
        return _of_distributions(metric)
    return None


def _are_same(scalars: list[Scalar], former: SeriesNumbers) -> bool:
    """Return whether the series are those of `former`, and have their numbers in themselves."""
    owners = former.owners
    starts = former._known_starts
    if len(owners) != len(scalars) or LOCKED:
        return False
    has_start = len(scalars) > 0 and isinstance(scalars[0], Counter)
    for place, child in enumerate(scalars):
        if child is not owners[place] or child._view is not None:
            return False
        if has_start and cast(Counter, child)._created != starts[place]:
            return False
    return True


def _of_scalars(metric: Scalar, scalars: list[Scalar]) -> SeriesNumbers:
    owners: list[object] = []
    starts: list[float] = []
    numbers: list[float] = []
    yielder = Yielder()
    for place, child in enumerate(scalars):
        number = child._value if child._view is None and not LOCKED else metric._number_of(child)
        if number is not None:
            owners.append(child)
            numbers.append(number)
            starts.append(child._start_time())
        if place % PART_SIZE == 0:
            yielder.offer()
    return SeriesNumbers(owners, starts, numbers, dict(metric._series.exemplars))


def _of_distributions(metric: Distribution) -> SeriesNumbers:
    owners: list[object] = []
    starts: list[float] = []
    numbers: list[float] = []
    yielder = Yielder()
    for place, child in enumerate(cast("list[Distribution]", list(metric._series.children.values()))):
        total, counts = child._read()
        owners.append(child)
        starts.append(child._created)
        numbers.append(total)
        for count in counts[1:]:
            numbers.append(float(count))
        if place % PART_SIZE == 0:
            yielder.offer()
    return SeriesNumbers(owners, starts, numbers, dict(metric._series.exemplars))
