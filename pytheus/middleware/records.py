"""Creates the metrics of a profile, and the functions that count an exchange in each of them.

Whatever the options decide is decided here, once: a request then calls these functions, each of which looks up one
series and writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from operator import attrgetter
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

from pytheus.exceptions import ConflictError
from pytheus.metrics import Counter, Gauge, Histogram, Summary
from pytheus.metrics.label_types import LabelValue, LabelValues
from pytheus.middleware.exchange import Exchange
from pytheus.middleware.options import MiddlewareOptions
from pytheus.middleware.profiles import Measure, Profile
from pytheus.registry import REGISTRY

__all__ = ["Record", "Records", "values_of"]

S = TypeVar("S", bound=MutableMapping[str, object])

Record: TypeAlias = "Callable[[Exchange[S]], None]"
"""Counts an exchange in one metric."""

Values: TypeAlias = "Callable[[Exchange[S]], tuple[LabelValue, ...]]"
"""Returns the labels of an exchange in one metric."""


class Records(Generic[S]):
    """Creates the metrics of a profile, with the options of the middleware."""

    def __init__(
        self,
        options: MiddlewareOptions[S],
        profile: Profile,
        custom: list[str],
        exemplar_of: Callable[[], LabelValues | None] | None,
        failed: Callable[[str], None],
    ) -> None:
        self._options: Final = options
        self._profile: Final = profile
        prefix = options.get("prefix", profile.prefix)
        self._prefix: Final = f"{prefix}_" if prefix else ""
        self._custom: Final = custom
        self._registry: Final = options.get("registry", REGISTRY)
        self._exemplar_of: Final = exemplar_of
        self._failed: Final = failed
        self._metrics: Final[list[Counter | Gauge | Histogram | Summary]] = []

    def create(
        self, measures: Iterable[Measure], stream: Measure | None
    ) -> tuple[tuple[Gauge, Values[S]] | None, list[Record[S]], Record[S] | None]:
        """Create the metrics; returns the parts of `active`, and the functions for `measures` and for `stream`.

        After a `ConflictError`, no metric of this object is registered.
        """
        try:
            active = self.active()
            records = [self.record(measure) for measure in measures]
            return active, records, None if stream is None else self.record(stream)
        except ConflictError:
            self.unregister()
            raise

    def unregister(self) -> None:
        """Remove the metrics from the registry, except those that share the values of a metric from before."""
        for collector in list(self._registry.collect()):
            if any(collector is metric for metric in self._metrics):
                self._registry.unregister(collector)
        self._metrics.clear()

    def active(self) -> tuple[Gauge, Values[S]] | None:
        """Return the gauge of requests in progress, and the function that returns its labels, if it is wanted."""
        name, description, attributes = self._profile.active
        options: Mapping[str, Any] = self._options  # Any, as in `Recorder`
        if not options.get("in_progress", self._profile.has_active):
            return None
        labels, labels_of = list(attributes), values_of(tuple(attributes.values()))
        app_name = self._options.get("app_name", self._profile.app_name)
        if app_name:
            labels.append(self._profile.app_label)
            own = labels_of
            labels_of = lambda exchange: (*own(exchange), app_name)  # noqa: E731  # like the others
        gauge = Gauge(self._prefix + name, description, labels, registry=self._registry)
        self._metrics.append(gauge)
        return gauge, labels_of

    def record(self, measure: Measure) -> Record[S]:
        """Create the metric of `measure`; returns the function that counts an exchange in it."""
        name = self._prefix + measure.name
        labels = [*measure.labels, *self._custom]
        value_of = attrgetter(measure.value) if measure.value else None
        labels_of = values_of(tuple(measure.labels.values()), bool(self._custom))
        if measure.type == "counter":
            counter = Counter(name, measure.description, labels, registry=self._registry)
            self._metrics.append(counter)
            count: Record[S] = _counting(counter, labels_of, value_of)
            return _if_raised(count) if measure.only_if == "raised" else count
        assert value_of is not None, measure
        metric: Histogram | Summary
        if measure.type == "summary":
            metric = Summary(name, measure.description, labels, registry=self._registry)
            self._metrics.append(metric)
            return _observing(metric, labels_of, value_of)
        options: Mapping[str, Any] = self._options  # Any, as in `Recorder`
        buckets = options.get("buckets", measure.buckets) if measure.is_main else measure.buckets
        native = options.get("native", False) if measure.is_main else False
        metric = Histogram(name, measure.description, labels, buckets=buckets, native=native, registry=self._registry)
        self._metrics.append(metric)
        if measure.value == "seconds" and self._exemplar_of is not None:
            return _observing_with_exemplars(metric, labels_of, value_of, self._exemplar_of, self._failed)
        return _observing(metric, labels_of, value_of)


def values_of(attributes: tuple[str, ...], has_custom: bool = False) -> Callable[[object], tuple[LabelValue, ...]]:
    """Return a function that returns these attributes of an exchange, and its custom labels."""
    if has_custom:
        own = values_of(attributes)
        return lambda exchange: own(exchange) + cast("Exchange[MutableMapping[str, object]]", exchange).custom
    if len(attributes) > 1:
        return attrgetter(*attributes)
    if not attributes:
        return lambda exchange: ()
    get = attrgetter(attributes[0])
    return lambda exchange: (get(exchange),)


def _counting(counter: Counter, labels_of: Values[S], value_of: Callable[[object], float] | None) -> Record[S]:
    if value_of is None:
        return lambda exchange: counter.labels(*labels_of(exchange)).inc()
    return lambda exchange: counter.labels(*labels_of(exchange)).inc(value_of(exchange))


def _observing(metric: Histogram | Summary, labels_of: Values[S], value_of: Callable[[object], float]) -> Record[S]:
    return lambda exchange: metric.labels(*labels_of(exchange)).observe(value_of(exchange))


def _observing_with_exemplars(
    histogram: Histogram,
    labels_of: Values[S],
    value_of: Callable[[object], float],
    exemplar_of: Callable[[], LabelValues | None],
    failed: Callable[[str], None],
) -> Record[S]:
    def observe(exchange: Exchange[S]) -> None:
        series, value = histogram.labels(*labels_of(exchange)), value_of(exchange)
        try:
            series.observe(value, exemplar_of())
        except Exception:
            # A histogram refuses an exemplar before it counts.
            failed("exemplars")
            series.observe(value)

    return observe


def _if_raised(record: Record[S]) -> Record[S]:
    def record_if_raised(exchange: Exchange[S]) -> None:
        if exchange.raised:
            record(exchange)

    return record_if_raised
