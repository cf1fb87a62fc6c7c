"""The numbers of every series of a metric at once, for senders that keep everything else of a series as bytes.

Each is in the order of `pytheus.samples.Row.numbers`, without an object for each series. Labels never change, so a
sender recognizes a series by its owner, and reads the labels only when that is new.
"""

from __future__ import annotations

from typing import Final, cast

from pytheus.atomic import LOCKED
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

    __slots__ = ("exemplars", "numbers", "owners", "starts")

    def __init__(
        self,
        owners: list[object],
        starts: list[float],
        numbers: list[float],
        exemplars: dict[tuple[tuple[str, ...], int], Exemplar],
    ) -> None:
        self.owners: Final = owners
        self.starts: Final = starts
        self.numbers: Final = numbers
        self.exemplars: Final = exemplars

    def labels(self, begin: int = 0, end: int | None = None) -> list[tuple[str, ...]]:
        """Return the label values of each series from one place to another, by default of all."""
        return [cast("tuple[str, ...]", cast(Metric, owner)._labels) for owner in self.owners[begin:end]]


def series_numbers(metric: Metric) -> SeriesNumbers | None:
    """Return the numbers of `metric`, or None if only its rows have all of them.

    A gauge whose function fails is left out, as in a scrape. May be called from any thread, by several at once.
    """
    series = metric._series
    if series.has_native:
        return None
    owners: list[object] = []
    starts: list[float] = []
    numbers: list[float] = []
    yielder = Yielder()
    if isinstance(metric, Scalar):
        has_start = isinstance(metric, Counter)
        for position, child in enumerate(cast("list[Scalar]", list(series.children.values()))):
            number = child._value if child._view is None and not LOCKED else metric._number_of(child)
            if number is not None:
                owners.append(child)
                numbers.append(number)
                if has_start:
                    starts.append(child._start_time())
            if position % PART_SIZE == 0:
                yielder.offer()
        if not has_start:
            starts = [0.0] * len(owners)
    elif isinstance(metric, Distribution):
        for position, one in enumerate(cast("list[Distribution]", list(series.children.values()))):
            total, counts = one._read()
            owners.append(one)
            starts.append(one._created)
            numbers.append(total)
            for count in counts[1:]:
                numbers.append(float(count))
            if position % PART_SIZE == 0:
                yielder.offer()
    else:
        return None
    return SeriesNumbers(owners, starts, numbers, dict(series.exemplars))
