"""Metrics of prometheus_client in a registry of pytheus, and the other way round."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import prometheus_client
import pytest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    StateSetMetricFamily,
    SummaryMetricFamily,
    UntypedMetricFamily,
)
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics_of
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector as TheirBase

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus.collectors import GCCollector, PlatformCollector, ProcessCollector
from pytheus.compose import prefixed, union
from pytheus.exceptions import CollectorError, NotACollectorError, NotARegistryError
from pytheus.exposition import expose
from pytheus.registry import CollectorRegistry, CollectorRegistryProxy, Registry
from pytheus_prometheus_client import PeerCollector, PytheusCollector

Found = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Found:
    """Return the samples of a text, without the times of creation, which are no series here."""
    found: Found = {}
    for family in parse_text(text):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in found
                found[key] = sample.value
    return found


def theirs_text(registry: prometheus_client.CollectorRegistry) -> str:
    return prometheus_client.generate_latest(registry).decode()


def open_metrics_text(registry: prometheus_client.CollectorRegistry) -> str:
    body: bytes = open_metrics_of(registry)  # type: ignore[no-untyped-call]  # theirs has no types here
    return body.decode()


class Custom(TheirBase):
    def __init__(self, *families: prometheus_client.Metric) -> None:
        self.families = families

    def collect(self) -> Iterator[prometheus_client.Metric]:
        yield from self.families


class Broken(TheirBase):
    def collect(self) -> Iterator[prometheus_client.Metric]:
        yield GaugeMetricFamily("before", "Before.", 1)
        raise OSError("no answer")


def every_type() -> prometheus_client.CollectorRegistry:
    registry = prometheus_client.CollectorRegistry(target_info={"env": "test"})
    prometheus_client.Counter("hits", "Hits.", ["code"], registry=registry).labels(200).inc(3, {"trace_id": "a"})
    prometheus_client.Gauge("depth", "Depth.", registry=registry).set(-2)
    prometheus_client.Histogram("wait_seconds", "Wait.", registry=registry, unit="seconds").observe(0.3)
    prometheus_client.Summary("size", "Size.", registry=registry).observe(7)
    prometheus_client.Info("build", "Build.", registry=registry).info({"version": "1"})
    prometheus_client.Info("os_info", "Twice.", registry=registry).info({"version": "2"})
    prometheus_client.Enum("door", "Door.", ["side"], states=["open", "shut"], registry=registry).labels("a")
    prometheus_client.Gauge("job:rate:sum", "A name of a rule.", registry=registry).set(1)
    gauge_histogram = GaugeHistogramMetricFamily("ages", "Ages.", [("1.0", 1), ("+Inf", 2)], 5)
    summary = SummaryMetricFamily("rpc", "Calls.", 3, 4.5)
    summary.add_sample("rpc", {"quantile": "0.5"}, 1.5)
    stamped = GaugeMetricFamily("stamped", "At a time.", labels=["a"])
    stamped.add_metric(["x"], 1, timestamp=1_700_000_000.5)
    registry.register(
        Custom(
            gauge_histogram,
            summary,
            stamped,
            UntypedMetricFamily("other", "Other.", 4),
            InfoMetricFamily("machine", "Machine.", {"arch": "x"}),
            StateSetMetricFamily("light", "Light.", {"on": True, "off": False}),
            CounterMetricFamily("sent_total", "Sent.", 5, created=123.0),
        )
    )
    return registry


def bridged(peer: prometheus_client.CollectorRegistry) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(PeerCollector(peer))
    return registry


# Theirs in ours -------------------------------------------------------------------------------------------------------


def test_every_type_has_the_same_samples_in_the_text_format() -> None:
    peer = every_type()
    assert samples(generate_metrics(bridged(peer), strict=True)) == samples(theirs_text(peer))


def test_every_type_has_the_same_families_in_openmetrics() -> None:
    peer = every_type()
    ours = expose(bridged(peer), "application/openmetrics-text").body.decode()

    def families(text: str) -> dict[str, tuple[str, str, str, list[str]]]:
        return {
            family.name: (
                family.type,
                family.unit,
                family.documentation,
                sorted(
                    repr((sample.name, sorted(sample.labels.items()), sample.value, sample.timestamp, sample.exemplar))
                    for sample in family.samples
                    if not sample.name.endswith("_created")
                ),
            )
            for family in parse_open_metrics(text)  # type: ignore[no-untyped-call]  # theirs has no types here
        }

    # Their format writes the samples of this name, and not its family, with underscores.
    its = families(open_metrics_text(peer).replace("job_rate_sum", "job:rate:sum"))
    mine = families(ours)
    assert mine == its


def test_times_of_creation_are_start_times() -> None:
    families = {family.name: family for family in PeerCollector(every_type()).collect()}
    assert families["sent_total"].samples[0].created == 123.0
    assert (families["hits_total"].samples[0].created or 0) > 1e9
    assert any(sample.created for sample in families["wait_seconds"].samples if sample.suffix == "_count")


def test_utf8_names_are_kept() -> None:
    peer = prometheus_client.CollectorRegistry()
    prometheus_client.Gauge("häuser.zahl", "Number.", ["größe"], registry=peer).labels("5").set(1)
    [family] = PeerCollector(peer).collect()
    assert (family.name, dict(family.samples[0].labels)) == ("häuser.zahl", {"größe": "5"})
    assert samples(generate_metrics(bridged(peer), strict=True)) == samples(theirs_text(peer))


def test_a_failure_costs_one_collector_and_is_counted() -> None:
    peer = prometheus_client.CollectorRegistry()
    peer.register(Broken())
    bad = GaugeMetricFamily("bad", "Bad.", labels=["a"])
    bad.add_metric([5], 1)  # type: ignore[list-item]  # the mistake
    peer.register(Custom(bad, GaugeMetricFamily("good", "Good.", 2)))
    prometheus_client.Gauge("fine", "Fine.", registry=peer).set(3)
    ours = bridged(peer)
    text = generate_metrics(ours)
    assert {name for name, _ in samples(text)} == {"before", "good", "fine", "pytheus_collector_errors_total"}
    assert 'pytheus_collector_errors_total{collector="prometheus_client"} 1.0' in text
    with pytest.raises(CollectorError, match="2 parts of prometheus_client cannot be exposed"):
        generate_metrics(ours, strict=True)
    with pytest.raises(ExceptionGroup) as caught:
        PeerCollector(peer).collect()
    assert [str(error).partition(":")[0] for error in caught.value.exceptions] == [
        "no answer",
        "'bad' of prometheus_client cannot be exposed",
    ]


def test_an_error_that_is_alone_is_reported_as_it_is() -> None:
    with pytest.raises(OSError, match="no answer"):
        PeerCollector(Broken()).collect()


def test_a_collector_that_wants_to_end_the_program_is_a_failure() -> None:
    class Ending(TheirBase):
        def collect(self) -> Iterator[prometheus_client.Metric]:
            raise SystemExit

    peer = prometheus_client.CollectorRegistry()
    peer.register(Ending())
    prometheus_client.Gauge("fine", "Fine.", registry=peer)
    assert {name for name, _ in samples(generate_metrics(bridged(peer)))} == {"fine", "pytheus_collector_errors_total"}


def test_a_derived_registry_is_collected_in_its_own_way() -> None:
    class Chosen(prometheus_client.CollectorRegistry):
        def collect(self) -> Iterator[prometheus_client.Metric]:
            yield from (metric for metric in super().collect() if metric.name != "hidden")

    peer = Chosen()
    for name in "shown", "hidden":
        prometheus_client.Gauge(name, "G.", registry=peer)
    assert samples(generate_metrics(bridged(peer))) == {("shown", frozenset()): 0.0}


def test_samples_that_a_type_does_not_have_are_shown_all_the_same() -> None:
    peer = prometheus_client.CollectorRegistry()
    odd = prometheus_client.Metric("odd", "Odd.", "counter")
    odd.add_sample("odd", {}, 1)
    odd.add_sample("else", {"a": "b"}, 2)
    peer.register(Custom(odd))
    assert samples(generate_metrics(bridged(peer), strict=True)) == {
        ("odd", frozenset()): 1.0,
        ("else", frozenset({("a", "b")})): 2.0,
    }


def test_equal_families_of_several_collectors_are_one() -> None:
    peer = prometheus_client.CollectorRegistry()
    for name in "a", "b":
        family = GaugeMetricFamily("part", "Part.", labels=["of"])
        family.add_metric([name], 1)
        peer.register(Custom(family))
    assert samples(generate_metrics(bridged(peer), strict=True)) == samples(theirs_text(peer))


def test_names_of_pytheus_win_and_cost_no_other_family() -> None:
    peer = every_type()
    ours = bridged(peer)
    for collector in ProcessCollector(), PlatformCollector(), GCCollector():
        ours.register(collector)
    prometheus_client.ProcessCollector(registry=peer)
    prometheus_client.PlatformCollector(registry=peer)
    prometheus_client.GCCollector(registry=peer)
    Gauge("depth", "Ours.", registry=ours).set(99)
    text = generate_metrics(ours, strict=True)
    assert samples(text)[("depth", frozenset())] == 99
    assert text.count("# TYPE process_open_fds ") == 1
    assert text.count("# TYPE python_info ") == 1
    assert ("hits_total", frozenset({("code", "200")})) in samples(text)


def test_one_collector_alone_can_be_bridged() -> None:
    ours = CollectorRegistry()
    collector = PeerCollector(Custom(GaugeMetricFamily("depth", "Depth.", 1)))
    ours.register(collector)
    assert collector.name == "Custom"
    assert PeerCollector(Custom(), name="queue").name == "queue"
    assert samples(generate_metrics(ours)) == {("depth", frozenset()): 1.0}


def test_a_restricted_registry_is_bridged_as_it_is() -> None:
    restricted = every_type().restricted_registry(["depth", "target_info"])
    ours = CollectorRegistry()
    ours.register(PeerCollector(restricted))
    assert {name for name, _ in samples(generate_metrics(ours))} == {"depth", "target_info"}


@pytest.mark.parametrize("wrong", [object(), prometheus_client.Counter, CollectorRegistry(), None])
def test_what_is_no_registry_of_theirs_is_refused(wrong: object) -> None:
    with pytest.raises(NotACollectorError, match="PeerCollector takes a registry or collector of prometheus_client"):
        PeerCollector(wrong)  # type: ignore[arg-type]  # the mistake


# Ours in theirs -------------------------------------------------------------------------------------------------------


def every_type_of_ours() -> CollectorRegistry:
    registry = CollectorRegistry(prefix="shop")
    Counter("hits_total", "Hits.", ["code"], registry=registry).labels(200).inc(3, {"trace_id": "a"})
    Gauge("depth", "Depth.", registry=registry).set(-2)
    Histogram("wait_seconds", "Wait.", unit="seconds", registry=registry).observe(0.3)
    Summary("size", "Size.", registry=registry).observe(7)
    Info("build", "Build.", registry=registry).info({"version": "1"})
    StateSet("door", "Door.", states=["open", "shut"], registry=registry).state("open")
    return registry


def test_ours_have_the_same_samples_in_theirs() -> None:
    ours = every_type_of_ours()
    theirs = prometheus_client.CollectorRegistry(auto_describe=True)
    theirs.register(PytheusCollector(ours))
    assert samples(theirs_text(theirs)) == samples(generate_metrics(ours))
    assert {metric.name: metric.type for metric in theirs.collect()} == {
        "shop_hits": "counter",
        "shop_depth": "gauge",
        "shop_wait_seconds": "histogram",
        "shop_size": "summary",
        "shop_build": "info",
        "shop_door": "stateset",
    }
    assert "trace_id" in open_metrics_text(theirs)
    assert theirs.get_sample_value("shop_hits_total", {"code": "200"}) == 3


def test_names_known_ahead_conflict_at_once_and_no_collector_is_called() -> None:
    class Asked:
        def collect(self) -> Iterator[Gauge]:
            raise AssertionError("called within the other registry's lock")

    ours = every_type_of_ours()
    ours.register(Asked())
    theirs = prometheus_client.CollectorRegistry(auto_describe=True)
    bridge = PytheusCollector(ours)
    theirs.register(bridge)
    assert "shop_hits_total" in theirs._collector_to_names[bridge]
    with pytest.raises(ValueError, match="shop_hits"):
        prometheus_client.Counter("shop_hits", "Hits.", registry=theirs)
    theirs.unregister(bridge)
    assert theirs_text(theirs) == ""


def test_names_are_told_ahead_where_they_are_certain() -> None:
    ours = every_type_of_ours()
    names = ["shop_hits", "shop_depth", "shop_wait_seconds", "shop_size", "shop_build", "shop_door"]
    assert [metric.name for metric in PytheusCollector(CollectorRegistryProxy(ours)).describe()] == names
    for layered in union(ours, CollectorRegistry()), prefixed(ours, "outer"):
        assert PytheusCollector(CollectorRegistryProxy(layered)).describe() == []


@pytest.mark.parametrize("theirs_first", [True, False])
def test_a_name_that_both_have_is_shown_once_by_theirs(theirs_first: bool) -> None:
    theirs, ours = prometheus_client.CollectorRegistry(auto_describe=True), CollectorRegistry()
    bridge = PytheusCollector(ours, beside=theirs)
    if not theirs_first:
        theirs.register(bridge)
    prometheus_client.Counter("hits", "Hits.", registry=theirs).inc(5)
    Counter("hits_total", "Hits.", registry=ours).inc(2)
    Gauge("depth", "Depth.", registry=ours).set(1)
    if theirs_first:
        theirs.register(bridge)
    assert samples(theirs_text(theirs)) == {("hits_total", frozenset()): 5.0, ("depth", frozenset()): 1.0}


def test_theirs_of_the_process_come_before_ours() -> None:
    theirs = prometheus_client.CollectorRegistry(auto_describe=True)
    prometheus_client.ProcessCollector(registry=theirs)
    prometheus_client.PlatformCollector(registry=theirs)
    ours = CollectorRegistry()
    for collector in ProcessCollector(), PlatformCollector(), GCCollector():
        ours.register(collector)
    theirs.register(PytheusCollector(ours, beside=theirs))
    text = theirs_text(theirs)
    assert text.count("# TYPE process_open_fds ") == 1
    assert text.count("# TYPE python_info ") == 1
    assert "python_gc_objects_collected_total" in text  # which theirs does not have here
    alone = prometheus_client.CollectorRegistry()
    alone.register(PytheusCollector(ours))
    assert "process_open_fds" in theirs_text(alone)


def test_a_failing_collector_of_ours_is_counted_in_theirs() -> None:
    class Fails:
        name = "fails"

        def collect(self) -> list[Gauge]:
            raise OSError("no answer")

    ours = every_type_of_ours()
    ours.register(Fails())
    theirs = prometheus_client.CollectorRegistry()
    theirs.register(PytheusCollector(ours))
    assert theirs.get_sample_value("shop_pytheus_collector_errors_total", {"collector": "fails"}) == 1


def test_what_is_no_registry_of_ours_is_refused() -> None:
    with pytest.raises(NotARegistryError, match="PytheusCollector"):
        PytheusCollector(prometheus_client.CollectorRegistry())  # type: ignore[arg-type]  # the mistake


# Circles --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theirs_first", [True, False])
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("restricted", [False, True])
def test_bridges_into_each_other_end_with_each_metric_once(theirs_first: bool, wrapped: bool, restricted: bool) -> None:
    theirs, inner = prometheus_client.CollectorRegistry(), CollectorRegistry()
    ours: Registry = union(inner, CollectorRegistry()) if wrapped else inner
    peer = theirs.restricted_registry(["theirs", "ours"]) if restricted else theirs
    out, back = PeerCollector(peer), PytheusCollector(ours)
    if theirs_first:
        theirs.register(back)
        inner.register(out)
    else:
        inner.register(out)
        theirs.register(back)
    prometheus_client.Gauge("theirs", "Theirs.", registry=theirs)
    Gauge("ours", "Ours.", registry=inner).set(0)
    expected = {("theirs", frozenset[tuple[str, str]]()): 0.0, ("ours", frozenset[tuple[str, str]]()): 0.0}
    assert samples(generate_metrics(ours, strict=True)) == expected
    assert samples(theirs_text(theirs)) == expected


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_circle_of_four_registries_ends_with_each_metric_once(order: tuple[int, ...]) -> None:
    first, second = prometheus_client.CollectorRegistry(), prometheus_client.CollectorRegistry()
    one, two = CollectorRegistry(), CollectorRegistry()
    steps = [
        lambda: one.register(PeerCollector(first)),
        lambda: first.register(PytheusCollector(two)),
        lambda: two.register(PeerCollector(second)),
        lambda: second.register(PytheusCollector(one)),
    ]
    for step in order:
        steps[step]()
    prometheus_client.Gauge("first", "First.", registry=first)
    prometheus_client.Gauge("second", "Second.", registry=second)
    Gauge("one", "One.", registry=one).set(0)
    Gauge("two", "Two.", registry=two).set(0)
    for text in (
        generate_metrics(one, strict=True),
        generate_metrics(union(two, CollectorRegistry()), strict=True),
        theirs_text(first),
        theirs_text(second),
    ):
        assert sorted(name for name, _ in samples(text)) == ["first", "one", "second", "two"]


def test_a_prefix_holds_in_both_directions() -> None:
    theirs, ours = prometheus_client.CollectorRegistry(), CollectorRegistry()
    prometheus_client.Gauge("depth", "Depth.", registry=theirs)
    ours.register(PeerCollector(theirs))
    outer = prometheus_client.CollectorRegistry()
    outer.register(PytheusCollector(prefixed(ours, "shop")))
    assert [metric.name for metric in outer.collect()] == ["shop_depth"]
