"""Checks of a registry while it is scraped, and of the exposition."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from pytheus.exposition.formats import RenderRequest
from pytheus.exposition.openmetrics import CONTENT_TYPE, OpenMetricsEncoder
from pytheus.exposition.text import generate_metrics
from pytheus.exposition.walk import scrape
from pytheus.metrics.counter import Counter
from pytheus.metrics.gauge import Gauge
from pytheus.metrics.histogram import Histogram
from pytheus.metrics.info import Info
from pytheus.metrics.metric import Metric
from pytheus.metrics.stateset import StateSet
from pytheus.metrics.summary import Summary
from pytheus.names import prefix_lead, validate_prefix
from pytheus.registry.contract import Collector, Registry
from pytheus.samples import Exemplar, Family, Sample
from pytheus.testing.checks.base import Declarations, Probe, check, promised
from pytheus.testing.parse import ParsedSample, parse_exposition

__all__ = ["ScrapeChecks", "one_of_each"]

_NASTY = 'quote " backslash \\ line\nfeed, brace } and ünïcode'


class _Raising(Probe):
    def collect(self) -> Iterator[Family | Collector]:
        raise ConnectionError("away")


class _Creating(Probe):
    """A collector that creates a metric, and registers it, while it is collected."""

    def __init__(self, probe: str, registry: Registry) -> None:
        super().__init__(probe)
        self.registry = registry

    def collect(self) -> Iterator[Family | Collector]:
        Gauge(f"{self.probe}_made", "Made while collected.", registry=self.registry)
        yield from super().collect()


class _Detailed(Probe):
    """A collector of two families, whose samples have everything that a sample can have."""

    def collect(self) -> Iterator[Family | Collector]:
        exemplar = Exemplar({"trace_id": "4bf92f35"}, 1 / 3, 1_790_000_000.125)
        samples = [
            Sample("", {"kind": "third"}, 1 / 3, 1_790_000_000.25, exemplar),
            Sample("", {"kind": "none"}, float("nan")),
            Sample("", {"kind": _NASTY}, float("-inf")),
        ]
        yield Family(f"{self.probe}_total", "counter", _NASTY, samples)
        yield Family(self.probe, "gauge", "", [Sample("", {}, 5e-324)])


class ScrapeChecks(Declarations):
    """Snapshots, collectors of every kind, prefixes, and the round trip through a parser."""

    @check(
        "test_what_collect_gives_belongs_to_the_caller", "test_collect_keeps_the_order_of_registration", needs=["kept"]
    )
    def test_an_iteration_is_a_snapshot(self) -> None:
        """Registrations while `collect()` is read neither break the iteration nor show in it."""
        promise = "collect() is a snapshot, which changes during its iteration neither break nor show in"
        probes = [Probe(f"kit_{letter}") for letter in "abc"]
        registry = self.filled(*probes)
        given: list[Collector] = []

        def iterate() -> None:
            with promised(promise):
                for collector in self.listing(registry):
                    given.append(collector)
                    self.write_to(registry).register(Probe(f"kit_late_{len(given)}"))
                    if len(given) == 1:
                        self.write_to(registry).unregister(probes[2])

        self.unless_it_hangs(iterate, promise)
        self.require_same(given, probes, promise)

    @check("test_an_iteration_is_a_snapshot")
    def test_a_collector_may_create_metrics_while_collected(self) -> None:
        """Also when the registry collects it by itself, at registration."""
        promise = "a collector may create and register metrics while it is collected"
        registry = self.fresh()
        creating = _Creating("kit_creating", self.write_to(registry))

        def scrape() -> None:
            with promised(promise):
                self.write_to(registry).register(creating)
                generate_metrics(self.scraped(registry), strict=True)

        self.unless_it_hangs(scrape, promise)
        if not any(self._family(collector).endswith("kit_creating_made") for collector in self.held(registry)):
            raise AssertionError(f"{promise}: the metric that it made is not registered")

    @check("test_collect_does_not_collect_the_collectors")
    def test_a_raising_collector_costs_only_itself(self) -> None:
        """It can be registered, and the others are exposed whole."""
        promise = "a collector that raises costs only itself"
        raising, counter = _Raising("kit_raising"), Counter("kit_hits_total", "Hits.", registry=None)
        registry = self.fresh()
        log = logging.getLogger("pytheus.exposition")
        disabled, log.disabled = log.disabled, True  # the failure that it logs is expected here
        try:
            with promised(promise):
                self.write_to(registry).register(raising)
                self.write_to(registry).register(counter)
                families = parse_exposition(generate_metrics(self.scraped(registry)))
        finally:
            log.disabled = disabled
        if self.exposed(registry, "kit_hits_total") not in families:
            raise AssertionError(f"{promise}: another one was not exposed with it")

    @check("test_collect_does_not_collect_the_collectors", "test_collect_is_repeatable", needs=["kept"])
    def test_a_generator_collector_is_collected_each_time(self) -> None:
        """Its numbers are those at the time of the scrape."""
        probe = Probe("kit_probe")
        registry = self.filled(probe)
        for value in (1.0, 2.0):
            probe.value = value
            self._require_value(registry, "kit_probe", value, "a collector is collected at each scrape")

    @check("test_collect_is_repeatable", needs=["kept"])
    def test_values_are_kept(self) -> None:
        """A metric's value before its registration is exposed, and so are later changes."""
        counter = Counter("kit_hits_total", "Hits.", registry=None)
        counter.inc(2)
        registry = self.filled(counter)
        self._require_value(registry, "kit_hits_total", 2.0, "a metric keeps its value when it is registered")
        counter.inc()
        self._require_value(registry, "kit_hits_total", 3.0, "a metric keeps counting after its registration")

    def _require_value(self, registry: Registry, name: str, value: float, promise: str) -> None:
        family = parse_exposition(self._scraped(registry)).get(self.exposed(registry, name))
        got = [sample.value for sample in family.samples] if family is not None else []
        if got != [value]:
            raise AssertionError(f"{promise}: expected {value:g} but got {', '.join(map(str, got)) or 'nothing'}")

    def _scraped(self, registry: Registry) -> str:
        with promised("a registry can be scraped"):
            return generate_metrics(self.scraped(registry), strict=True)

    @check("test_values_are_kept", needs=["prefixes"])
    def test_an_empty_prefix_is_none(self) -> None:
        """With a prefix of None or "" the names are exposed as they are."""
        for prefix in (None, ""):
            self._require_lead(prefix, "", f"with the prefix {prefix!r} a name is exposed as it is")

    @check("test_values_are_kept", needs=["prefixes"])
    def test_a_prefix_applies_once(self) -> None:
        """The prefix is put before each family name once, for metrics and custom collectors."""
        self._require_lead("kitchen", "kitchen_", "each family name has the prefix once")

    def _require_lead(self, prefix: str | None, lead: str, promise: str) -> None:
        registry = self.fresh_prefixed(prefix)
        with promised(promise):
            for collector in (Probe("kit_probe"), Counter("kit_hits_total", "Hits.", registry=None)):
                self.write_to(registry).register(collector)
            given = validate_prefix(registry.prefix)
        if prefix_lead(given) + self.inner_prefix != lead + self.inner_prefix:
            raise AssertionError(f"{promise}: 'prefix' is {given!r}")
        names = sorted(parse_exposition(self._scraped(registry)))
        expected = [f"{lead}{self.inner_prefix}kit_{name}" for name in ("hits_total", "probe")]
        if names != expected:
            raise AssertionError(f"{promise}: expected {expected} but got {names}")

    @check("test_values_are_kept", needs=["derived"])
    def test_derived_collectors_tell_the_same(self) -> None:
        """Types, descriptions, labels, values, timestamps and exemplars are those of the registered collectors."""
        promise = "derived collectors tell the same as the registered ones"
        histogram = Histogram("kit_size_bytes", "", buckets=(1.0, 10.0), registry=None)
        collectors: list[Collector] = [*one_of_each("kit_each"), histogram, _Detailed("kit_detailed")]
        registry = self.filled(*collectors)
        self.require_held(registry, collectors, promise)
        histogram.observe(1 / 3, exemplar={"trace_id": "4bf92f35"})
        self.require_held(registry, collectors, promise)

    @check("test_values_are_kept")
    def test_what_is_exposed_can_be_parsed_back(self) -> None:
        """Every type, and labels that need escaping, come back from a parser as they went in, also in OpenMetrics."""
        metrics = one_of_each("kit")
        # Before the registration, because that must not change them.
        families = [family for metric in metrics for family in metric.collect()]
        registry = self.filled(*metrics)
        parsed = parse_exposition(self._scraped(registry)).values()
        got = {sample for family in parsed for sample in family.samples}
        with promised("a registry can be scraped in the format OpenMetrics"):
            open_metrics = scrape(self.scraped(registry), OpenMetricsEncoder(RenderRequest()), strict=True)
        also = parse_exposition("".join(open_metrics), CONTENT_TYPE).values()
        other = [sample for family in also for sample in family.samples]
        # Only these metrics, because a registry may count something of its own between two scrapes.
        names = tuple([self.exposed(registry, family.name) for family in families])
        differing = sorted(map(str, _plain(other, names) ^ _plain(got, names)))
        if differing:
            raise AssertionError(f"every format exposes the same series: {differing[0]} is not in both")
        for family in families:
            for sample in family.samples:
                name = self.exposed(registry, family.name) + sample.suffix
                # The label of a state set has the name of its family.
                labels = {name if label == family.name else label: value for label, value in sample.labels.items()}
                wanted = ParsedSample.of(name, {**labels, **self.constant_labels}, sample.value)
                if wanted not in got:
                    raise AssertionError(f"an exposition can be parsed back: {wanted} is missing")


def _plain(samples: Iterable[ParsedSample], names: tuple[str, ...]) -> set[tuple[str, frozenset[tuple[str, str]], str]]:
    """Return the samples whose names begin with one of `names`, without exemplars."""
    return {
        (sample.name, frozenset(sample.labels), repr(sample.value))
        for sample in samples
        if sample.name.startswith(names)
    }


def one_of_each(lead: str, registry: Registry | None = None) -> list[Metric]:
    """Return a metric of each type, with values; `lead` begins their names. Defined again, they count on."""
    counter = Counter(f"{lead}_hits_total", _NASTY, ["path"], registry=registry)
    counter.labels(_NASTY).inc(1.5)
    gauge = Gauge(f"{lead}_depth", "Depth.", registry=registry)
    gauge.set(float("-inf"))
    histogram = Histogram(f"{lead}_wait_seconds", "Wait.", ["queue"], buckets=(0.1, 1.0), registry=registry)
    histogram.labels("mail").observe(0.5, exemplar={"trace_id": "4bf92f35"})
    summary = Summary(f"{lead}_size_bytes", "Size.", registry=registry)
    summary.observe(1e300)
    info = Info(f"{lead}_build", "Build.", registry=registry)
    info.info(version="1")
    stateset = StateSet(f"{lead}_door", "Door.", states=["open", "shut"], registry=registry)
    stateset.state("open")
    return [counter, gauge, histogram, summary, info, stateset]
