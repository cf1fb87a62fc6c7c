"""The metrics of a pytheus registry in a registry of prometheus_client.

Rules:

- The families are those of a scrape: prefix, order, failures and conflicts are as in the formats of pytheus.
- A name that another collector of the other registry has is left out.
- `describe()` calls no collector, because prometheus_client holds its lock meanwhile. It has the names that are sure:
  those of definitions, unless a layer of `pytheus.compose` may change or hide them. It has none where `install` was
  called: an equal metric of prometheus_client shares its number there, and must not be refused.
- Native buckets are left out, because the text format of prometheus_client would fail at them. A histogram that has no
  others shows the buckets that `pytheus.exposition` makes of them.
"""

from __future__ import annotations

from typing import Final

import prometheus_client
from prometheus_client import Metric, values
from prometheus_client import samples as theirs
from prometheus_client.registry import Collector as PeerCollectorBase

from pytheus.exposition import CheckedFamily, RenderRequest, scrape_families
from pytheus.names import base_name, occupied_names, prefix_lead
from pytheus.registry import Registry, Wrapper, check_registry, definition_of, originals, walk
from pytheus.samples import Exemplar
from pytheus_prometheus_client.loops import collecting, is_loop
from pytheus_prometheus_client.numbers import LocalNumber

__all__ = ["PytheusCollector"]

_STARTED: Final = {"counter": "", "histogram": "_count", "summary": "_count"}
"""The suffix of the sample that has the start time of a series, by type."""

_UNESCAPED: Final = RenderRequest("allow-utf-8")


class PytheusCollector(PeerCollectorBase):
    """A collector of prometheus_client with the metrics of a registry of pytheus.

        >>> import prometheus_client
        >>> from pytheus import Counter
        >>> from pytheus.registry import CollectorRegistry
        >>> theirs, ours = prometheus_client.CollectorRegistry(), CollectorRegistry(prefix="shop")
        >>> Counter("orders_total", "Orders.", registry=ours).inc()
        >>> theirs.register(PytheusCollector(ours))
        >>> [(metric.type, metric.name, metric.samples[0].name) for metric in theirs.collect()]
        [('counter', 'shop_orders', 'shop_orders_total')]

    `beside` is the registry of prometheus_client in which it is registered, whose other collectors come first: a name
    that one of them has is left out. The numbers are those of a scrape of `registry`: of all processes, if it has
    several. May be called from any thread. Raises `NotARegistryError` if `registry` is not a registry.
    """

    def __init__(
        self, registry: Registry, *, beside: prometheus_client.CollectorRegistry = prometheus_client.REGISTRY
    ) -> None:
        self.registry: Final = check_registry(registry, "PytheusCollector(...)")
        self._beside: Final = beside

    def describe(self) -> list[Metric]:
        """Return the metrics whose names are certain now, without samples. Blocks on nothing, calls no collector."""
        shares = values.ValueClass is LocalNumber
        if shares or any(isinstance(current, Wrapper) for current in walk(self.registry, resolve=True)):
            return []
        metrics: dict[str, Metric] = {}
        taken = self._names_beside()
        for collector in originals(self.registry):
            definition = definition_of(collector)
            if definition is not None:
                name = prefix_lead(self.registry.prefix) + definition.name
                if taken.isdisjoint(occupied_names(name, definition.type)):
                    metric = _metric(name, definition.type, definition.description, "")
                    metrics[metric.name] = metric
        return list(metrics.values())

    def collect(self) -> list[Metric]:
        """Return the current metrics, with the names and samples that prometheus_client gives its own."""
        if is_loop(self, originals(self.registry)):
            return []
        with collecting(self):
            families = scrape_families(self.registry, _UNESCAPED)
        taken = self._names_beside() if self in self._beside._collector_to_names else set[str]()
        kept = [family for family in families if taken.isdisjoint(occupied_names(family.name, family.type))]
        return [_metric_of(family) for family in kept]

    def _names_beside(self) -> set[str]:
        """Return the names that the other collectors of the other registry have. Takes no lock of it."""
        return {name for name, holder in self._beside._names_to_collectors.copy().items() if holder is not self}

    def __repr__(self) -> str:
        return f"PytheusCollector({self.registry!r})"


def _metric_of(family: CheckedFamily) -> Metric:
    metric = _metric(family.name, family.type, family.description, family.unit)
    start = _STARTED.get(metric.type) if _shows_created() else None
    for sample in family.samples:
        labels = dict(sample.labels)
        name = family.sample_name(sample)
        metric.add_sample(name, labels, sample.value, sample.timestamp, _exemplar(sample.exemplar))
        if sample.created is not None and sample.suffix == start:
            metric.add_sample(f"{metric.name}_created", labels, sample.created, sample.timestamp)
    return metric


def _metric(name: str, type_: str, description: str, unit: str) -> Metric:
    if type_ == "counter":
        base = base_name(name, "counter")
        if base == name:  # which prometheus_client would call `name_total`
            return Metric(name, description, "unknown")
        return Metric(base, description, type_, unit)
    return Metric(base_name(name, "info") if type_ == "info" else name, description, type_, unit)


def _exemplar(exemplar: Exemplar | None) -> theirs.Exemplar | None:
    return None if exemplar is None else theirs.Exemplar(dict(exemplar.labels), exemplar.value, exemplar.timestamp)


def _shows_created() -> bool:
    from prometheus_client import metrics

    shown: object = getattr(metrics, "_use_created", True)
    return bool(shown)
