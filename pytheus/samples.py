"""What collectors yield and expositions read: samples, exemplars, and the families they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pytheus.exceptions import InvalidNameError
from pytheus.kinds import KINDS, MetricType
from pytheus.names import occupied_names, validate_metric_name

__all__ = ["Exemplar", "Family", "Row", "Sample"]


class Exemplar(NamedTuple):
    """One observation that points at something outside of the metrics, most often a trace.

    `labels` identify it (at most 128 characters together, names and values), `value` is what was observed, and
    `timestamp` is in seconds since the Unix epoch, or None.
    https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars
    """

    labels: Mapping[str, str]
    value: float
    timestamp: float | None = None


class Sample(NamedTuple):
    """One number of one series at the moment of collection.

    `suffix` is what follows the family's name in the sample's (``""``, ``"_bucket"``, ``"_sum"``, ``"_count"``,
    ``"_info"``), so that a prefix can be put before the name in one place. `labels` maps label names to values.
    `timestamp` is in seconds since the Unix epoch, or None for "now", which is what almost every sample should say.

        >>> Sample("_count", {"path": "/"}, 3.0)
        Sample(suffix='_count', labels={'path': '/'}, value=3.0, timestamp=None, exemplar=None)
    """

    suffix: str
    labels: Mapping[str, str]
    value: float
    timestamp: float | None = None
    exemplar: Exemplar | None = None


class Row(NamedTuple):
    """One series of a metric as its numbers lie in memory, before any format has cumulated or named them.

    `labels` has one value per label name, in the order of definition. `numbers` are doubles, by the metric's type:

    - counter, gauge: the value;
    - summary: the sum, the number of observations;
    - histogram: the sum, and for each bucket in order, the last one up to +Inf, how many fell in it (not cumulated);
    - stateset: 1.0 or 0.0 for each state in order;
    - info: none, because its labels are in `info` (None until they are set).

    `exemplars` are the latest ones, by the index of the number that they belong to.
    """

    labels: tuple[str, ...]
    numbers: list[float]
    info: Mapping[str, str] | None = None
    exemplars: Mapping[int, Exemplar] | None = None


class Family:
    """A metric family as it stands at one moment: what a collector's `collect()` yields.

    A custom collector makes them from numbers that live elsewhere:

        >>> Family("queue_depth", "gauge", "Jobs waiting.", [Sample("", {"queue": "mail"}, 7.0)])
        Family('queue_depth', 'gauge', 1 sample)

    `samples` are read once and kept. The name must be a valid metric name; the samples are checked when exposed.
    """

    __slots__ = ("description", "name", "samples", "type")

    def __init__(self, name: str, type: MetricType, description: str, samples: Iterable[Sample] = ()) -> None:
        self.name: str = validate_metric_name(name, "family")
        if type not in KINDS:
            raise InvalidNameError(f"family {name!r} has the type {type!r}; expected one of {', '.join(KINDS)}")
        self.type: MetricType = type
        self.description: str = description
        self.samples: tuple[Sample, ...] = tuple(samples)

    @property
    def occupied_names(self) -> tuple[str, ...]:
        """Every name that this family produces in some exposition format."""
        return occupied_names(self.name, self.type)

    def __repr__(self) -> str:
        count = len(self.samples)
        return f"Family({self.name!r}, {self.type!r}, {count} sample{'' if count == 1 else 's'})"
