"""The series of a metric of prometheus_client, and where their numbers are."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias, cast

from prometheus_client import Counter as TheirCounter
from prometheus_client import Enum
from prometheus_client import Gauge as TheirGauge
from prometheus_client import Histogram as TheirHistogram
from prometheus_client import Info as TheirInfo
from prometheus_client import Summary as TheirSummary

from pytheus.exceptions import NotANumberError
from pytheus.metrics import Counter, Gauge, Histogram, Info, Metric, StateSet, Summary
from pytheus_prometheus_client.numbers import LocalNumber, SeparateNumber, SharedNumber
from pytheus_prometheus_client.refusals import TheirMetric, named

__all__ = ["Part", "is_from_before", "is_plain", "kind_of", "numbers_of", "series_of"]

_KINDS: Final[dict[type[TheirMetric], type[Metric[Any, Any, Any]]]] = {
    TheirCounter: Counter,
    TheirGauge: Gauge,
    TheirHistogram: Histogram,
    TheirSummary: Summary,
    TheirInfo: Info,
    Enum: StateSet,
}
_READERS: Final = ("collect", "_samples", "_multi_samples", "_child_samples")


# The attributes of a metric, or the list of its buckets, and the name or index of a number there.
_Place: TypeAlias = Any
_Key: TypeAlias = str | int


class Part(NamedTuple):
    """A series of a metric: its label values, its object unless it has ended, and where its numbers are."""

    values: tuple[str, ...]
    theirs: TheirMetric | None
    attributes: dict[str, Any]
    places: list[tuple[_Place, _Key]]

    @property
    def numbers(self) -> list[Any]:
        """The numbers, in the order of a row."""
        return [place[key] for place, key in self.places]


def is_plain(collector: object) -> bool:
    """Return whether `collector` is a metric whose numbers are all that it shows."""
    for base in _KINDS:
        if isinstance(collector, base):
            return all(getattr(type(collector), name) is getattr(base, name) for name in _READERS)
    return False


def numbers_of(theirs: TheirMetric) -> list[tuple[_Place, _Key]]:
    """Return where a series has its numbers, in the order of a row: dicts or lists, and the key of each in it."""
    attributes = vars(theirs)
    kind = kind_of(theirs)
    if kind is TheirCounter or kind is TheirGauge:
        return [(attributes, "_value")]
    if kind is TheirSummary:
        return [(attributes, "_sum"), (attributes, "_count")]
    if kind is TheirHistogram:
        buckets = attributes["_buckets"]
        return [(attributes, "_sum"), *[(buckets, index) for index in range(len(buckets))]]
    return []


def is_from_before(theirs: TheirMetric) -> bool:
    """Return whether the metric, or the series, has a number from before the installation.

    Raises `NotANumberError` for one that is neither prometheus_client's nor ours.
    """
    is_found = False
    for child in [theirs] if theirs._labelvalues else [child for _, child in series_of(theirs)]:
        for place, key in numbers_of(child):
            kind = type(place[key])
            if kind not in (LocalNumber, SharedNumber, SeparateNumber):
                is_found = True
                if kind.__module__.partition(".")[0] != "prometheus_client":
                    raise NotANumberError(
                        f"{named(theirs)} takes numbers of prometheus_client but got {kind.__module__}."
                        f"{kind.__qualname__}; remove the program's own prometheus_client.values.ValueClass"
                    )
    return is_found


def kind_of(theirs: TheirMetric) -> type[TheirMetric]:
    """Return the class of prometheus_client that the metric has or is derived from."""
    # Not by isinstance, which takes a microsecond for each of their classes, because these are protocols.
    kind = type(theirs)
    return kind if kind in _KINDS else next(base for base in _KINDS if base in kind.__mro__)


def series_of(theirs: TheirMetric) -> list[tuple[tuple[str, ...], TheirMetric]]:
    """Return the series of a metric with their label values."""
    if not theirs._labelnames:
        return [((), theirs)]
    return list(cast("dict[tuple[str, ...], TheirMetric]", theirs._metrics).copy().items())
