"""Series and their values: the samples of a family, grouped so that a histogram or summary is one series.

Rules:

- A counter's or gauge's value is a number. That of a histogram or summary is a `Distribution`.
- Samples of one distribution are found by their labels without ``le`` and ``quantile``. Samples that say when a series
  began (``_created``) are left out.
- A value of another kind than the family's type announces is not an error: the series is shown as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from pytheus.native_bounds import MAX_SCHEMA, MIN_SCHEMA
from pytheus.native_buckets import NativeHistogram
from pytheus.testing.parse import ParsedFamily, ParsedSample

__all__ = ["Distribution", "FamilyInfo", "Labels", "Series", "Shape", "Snapshot", "Value", "shapes_of"]

Labels: TypeAlias = tuple[tuple[str, str], ...]


class FamilyInfo(NamedTuple):
    """A family without its samples; `type` is that of the exposition, or "untyped"."""

    name: str
    type: str
    description: str = ""
    unit: str = ""


class Series(NamedTuple):
    """The identity of a series: the names of its family and of its sample, which differ at times, and its labels.

    A histogram or summary has the name of its family.
    """

    family: str
    name: str
    labels: Labels


class Distribution(NamedTuple):
    """The value of a histogram or summary at one moment, or its increase between two moments.

    `counts` are cumulative, one per upper bound in `bounds`, which rise and end with infinity. `quantiles` are those
    that a summary tells, pairs of the quantile and its value. `native` has the native buckets.
    """

    observations: float = math.nan
    sum: float = math.nan
    bounds: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()
    quantiles: tuple[tuple[float, float], ...] = ()
    native: NativeHistogram | None = None


Value: TypeAlias = float | Distribution


class Snapshot(NamedTuple):
    """All series of one response, in its order, and their values.

    `series` is the same object as in the snapshot before if no series came or went.
    """

    families: tuple[FamilyInfo, ...]
    series: Sequence[Series]
    values: Sequence[Value]
    is_protobuf: bool = False


_NOTHING: Final = -1


class Shape:
    """Where the parts of one series are among the samples of its family; `value` puts them together."""

    __slots__ = ("_bounds", "_buckets", "_count", "_is_distribution", "_quantiles", "_sum", "series")

    def __init__(self, series: Series, *, is_distribution: bool) -> None:
        self.series: Final = series
        self._is_distribution: Final = is_distribution
        self._count = self._sum = _NOTHING
        self._buckets: list[tuple[float, int]] = []
        self._quantiles: list[tuple[float, int]] = []
        self._bounds: tuple[float, ...] = ()

    def add(self, part: str, key: float, place: int) -> None:
        """Note that the sample at `place` is a `part` of the series; `key` is the bound or quantile."""
        if part == "count":
            self._count = place
        elif part == "sum":
            self._sum = place
        else:
            (self._buckets if part == "bucket" else self._quantiles).append((key, place))

    def finish(self) -> None:
        """Order the buckets."""
        self._buckets.sort()
        self._quantiles.sort()
        self._bounds = tuple(bound for bound, _ in self._buckets)

    def value(self, numbers: Sequence[float], samples: Sequence[ParsedSample] = ()) -> Value:
        """Return the value, from the numbers of the family's samples; native buckets are those of `samples`."""
        if not self._is_distribution:
            return numbers[self._count]
        counts = tuple([numbers[place] for _, place in self._buckets])
        count = numbers[self._count] if self._count >= 0 else counts[-1] if counts else math.nan
        return Distribution(
            count,
            numbers[self._sum] if self._sum >= 0 else math.nan,
            self._bounds,
            counts,
            tuple([(quantile, numbers[place]) for quantile, place in self._quantiles]) if self._quantiles else (),
            _usable(samples[self._count].native) if samples and self._count >= 0 else None,
        )


def _usable(native: NativeHistogram | None) -> NativeHistogram | None:
    """`native`, if it is one of the schemas and thresholds that exist; a damaged one could take forever to add up."""
    if native is None or not MIN_SCHEMA <= native.schema <= MAX_SCHEMA:
        return None
    return native if 0 <= native.zero_threshold < math.inf else None


_SUFFIXES: Final = {"_bucket": "bucket", "_sum": "sum", "_gsum": "sum", "_count": "count", "_gcount": "count"}


def shapes_of(info: FamilyInfo, family: ParsedFamily) -> list[Shape]:
    """Return the series of `family` in the order of their first samples.

    >>> from pytheus.testing import parse_exposition
    >>> text = '# TYPE x summary\\nx{quantile="0.5"} 3\\nx_sum 9\\nx_count 2\\n'
    >>> family = parse_exposition(text)["x"]
    >>> [shape] = shapes_of(FamilyInfo("x", "summary"), family)
    >>> shape.value([sample.value for sample in family.samples])
    Distribution(observations=2.0, sum=9.0, bounds=(), counts=(), quantiles=((0.5, 3.0),), native=None)
    """
    if info.type not in ("histogram", "gaugehistogram", "summary"):
        shapes = list(_scalars(info, family.samples))
    else:
        found: dict[tuple[str, Labels], Shape] = {}
        for place, sample in enumerate(family.samples):
            suffix = sample.name[len(info.name) :]
            if suffix == "_created":
                continue
            part, labels, key = _SUFFIXES.get(suffix, "quantile"), sample.labels, 0.0
            if part in ("bucket", "quantile"):
                own = "le" if part == "bucket" else "quantile"
                key = _number(dict(labels).get(own, "NaN"))
                labels = tuple([pair for pair in labels if pair[0] != own])
                if math.isnan(key):  # not a part that the type has
                    found[sample.name, sample.labels] = shape = Shape(
                        Series(info.name, sample.name, sample.labels), is_distribution=False
                    )
                    shape.add("count", 0.0, place)
                    continue
            shape_or_none = found.get((info.name, labels))
            if shape_or_none is None:
                series = Series(info.name, info.name, labels)
                shape_or_none = found[info.name, labels] = Shape(series, is_distribution=True)
            shape_or_none.add(part, key, place)
        shapes = list(found.values())
    for shape in shapes:
        shape.finish()
    return shapes


def _scalars(info: FamilyInfo, samples: Iterable[ParsedSample]) -> Iterator[Shape]:
    for place, sample in enumerate(samples):
        if sample.name.endswith("_created") and sample.name != info.name and info.type == "counter":
            continue
        shape = Shape(Series(info.name, sample.name, sample.labels), is_distribution=False)
        shape.add("count", 0.0, place)
        yield shape


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
