"""The metrics of a pytheus registry in a registry of prometheus_client.

Rules:

- A scrape of pytheus with another encoder: prefix, order, failures and conflicts are those of its formats.
- `describe()` returns the names of collectors with a definition. It calls no collector and chooses no registry, because
  prometheus_client holds its lock meanwhile.
- A collector that has a precedence, such as those of the process and of Python, gives way to the names that the other
  registry has.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

import prometheus_client
from prometheus_client import Metric
from prometheus_client import samples as theirs
from prometheus_client.registry import Collector as PeerCollectorBase

from pytheus.definitions import Definition
from pytheus.exposition.checked import CheckedFamily, checked_families
from pytheus.exposition.walk import scrape
from pytheus.names import base_name, prefix_lead, text_name
from pytheus.registry import Collector, Registry, check_registry
from pytheus.registry.capabilities import HasDefinition
from pytheus.registry.traversal import definition_of, originals, registered_collectors, walk, wrapped_registries
from pytheus.samples import Exemplar
from pytheus_prometheus_client.loops import collecting, is_loop

__all__ = ["PytheusCollector"]

_STARTED: Final = {"counter": "_total", "histogram": "_count", "summary": "_count"}
_DEFAULT_NAMES: Final = ("process_", "python_")


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

    `beside` is the registry of prometheus_client in which it is registered, whose collectors of the process and of
    Python come before those of pytheus. The numbers are those of a scrape of `registry`: of all processes, if it has
    several. May be called from any thread. Raises `NotARegistryError` if `registry` is not a registry.
    """

    def __init__(
        self, registry: Registry, *, beside: prometheus_client.CollectorRegistry = prometheus_client.REGISTRY
    ) -> None:
        self.registry: Final = check_registry(registry, "PytheusCollector(...)")
        self._beside: Final = beside

    def describe(self) -> list[Metric]:
        """Return the metrics whose names are known now, without samples. Blocks on nothing and calls no collector."""
        described: list[Metric] = []
        for current in walk(self.registry, resolve=False):
            if wrapped_registries(current, resolve=False):
                continue
            for collector in registered_collectors(current):
                definition = definition_of(collector)
                if definition is not None:
                    name = prefix_lead(self.registry.prefix) + definition.name
                    described.append(_metric(name, definition.type, definition.description, ""))
        return list({metric.name: metric for metric in described}.values())

    def collect(self) -> list[Metric]:
        """Return the current metrics, with the names and samples that prometheus_client gives its own."""
        if is_loop(self, originals(self.registry)):
            return []
        with collecting(self):
            metrics = scrape(self.registry, _ENCODER)
        taken = self._names_beside()
        return [metric for metric in metrics if not _is_taken(metric, taken)] if taken else metrics

    def _names_beside(self) -> frozenset[str]:
        """Return the names of the process and of Python that other collectors beside this one have."""
        if self not in self._beside._collector_to_names:
            return frozenset()
        held = self._beside._names_to_collectors.copy()
        return frozenset(
            name for name, collector in held.items() if collector is not self and name.startswith(_DEFAULT_NAMES)
        )

    def __repr__(self) -> str:
        return f"PytheusCollector({self.registry!r})"


class _MetricEncoder:
    """Encodes families as metrics of prometheus_client."""

    def supports(self, collector: Collector, /) -> bool:
        return callable(getattr(collector, "text_parts", None))

    def encode_collector(self, collector: HasDefinition, definition: Definition, lead: str, /) -> Iterable[Metric]:
        families = checked_families(cast(Collector, collector), lead, "allow-utf-8")
        return [self.encode_family(family) for family in families]

    def encode_family(self, family: CheckedFamily, /) -> Metric:
        metric = _metric(family.name, family.type, family.description, family.unit)
        base = base_name(family.name, family.type)
        plain = text_name(family.name, family.type)
        start = _STARTED.get(metric.type)
        with_created = _shows_created()
        for sample in family.samples:
            name = base + sample.suffix if sample.suffix else plain
            labels = dict(sample.labels)
            metric.add_sample(name, labels, sample.value, sample.timestamp, _exemplar(sample.exemplar))
            if with_created and sample.created is not None and start is not None and name == base + start:
                metric.add_sample(base + "_created", labels, sample.created, sample.timestamp)
        return metric

    def encode_end(self) -> tuple[Metric, ...]:
        return ()


_ENCODER: Final = _MetricEncoder()


def _is_taken(metric: Metric, taken: frozenset[str]) -> bool:
    return metric.name in taken or any(sample.name in taken for sample in metric.samples)


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
