"""`install` and `uninstall`: where the numbers of prometheus_client's metrics are, and who shows them."""

from __future__ import annotations

import gc
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry as TheirRegistry
from prometheus_client import metrics, multiprocess, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics_of

from pytheus import Counter, Gauge, generate_metrics
from pytheus.exceptions import PytheusWarning, SelectionError
from pytheus.registry import CollectorRegistry
from pytheus.testing import parse_exposition
from pytheus_prometheus_client import PytheusCollector, install, uninstall

Lines = Callable[[str | bytes], list[str]]
Shown = Callable[[CollectorRegistry, str], list[str]]


def everything(registry: TheirRegistry) -> list[Any]:
    counter = prometheus_client.Counter("seam_jobs", "Jobs.", ["queue"], registry=registry)
    counter.labels("mail").inc()
    counter.labels(queue="print").inc(2.5)
    gauge = prometheus_client.Gauge("seam_depth", "Depth.", registry=registry)
    gauge.set(7)
    gauge.dec(2)
    histogram = prometheus_client.Histogram("seam_wait", "Wait.", ["queue"], buckets=[0.1, 1, 10], registry=registry)
    for value in (0.05, 0.1, 3, 30):
        histogram.labels("mail").observe(value)
    summary = prometheus_client.Summary("seam_size", "Size.", registry=registry)
    summary.observe(3)
    info = prometheus_client.Info("seam_build", "Build.", registry=registry)
    info.info({"version": "1"})
    enum = prometheus_client.Enum("seam_door", "Door.", states=["open", "shut"], registry=registry)
    enum.state("shut")
    function = prometheus_client.Gauge("seam_items", "Items.", registry=registry)
    function.set_function(lambda: 4)
    return [counter, gauge, histogram, summary, info, enum, function]


def test_both_show_the_same_samples(ours: CollectorRegistry, theirs: TheirRegistry, shown: Shown, lines: Lines) -> None:
    everything(theirs)
    their_lines = [line for line in lines(prometheus_client.generate_latest(theirs)) if line.startswith("seam_")]
    assert sorted(shown(ours, "seam_")) == sorted(their_lines)
    assert len(their_lines) == 15


def test_what_came_before_moves_with_its_values(theirs: TheirRegistry, shown: Shown, lines: Lines) -> None:
    held = everything(theirs)
    child = held[0].labels("mail")
    before = lines(prometheus_client.generate_latest(theirs))
    registry = CollectorRegistry()
    install(registry)
    try:
        assert sorted(shown(registry, "seam_")) == sorted(before)
        child.inc()  # a handle from before
        assert 'seam_jobs_total{queue="mail"} 2.0' in shown(registry, "seam_jobs")
    finally:
        uninstall()
    assert shown(registry, "seam_") == []
    after = lines(prometheus_client.generate_latest(theirs))
    assert [line for line in after if line not in before] == ['seam_jobs_total{queue="mail"} 2.0']
    child.inc()
    held[2].labels("mail").observe(5)
    assert theirs.get_sample_value("seam_jobs_total", {"queue": "mail"}) == 3.0


def test_installation_and_its_end_leave_the_classes_as_they_were() -> None:
    names = ("clear", "remove", "remove_by_labels", "labels")
    before = [getattr(metrics.MetricWrapperBase, name) for name in names], values.ValueClass, TheirRegistry.register
    install(CollectorRegistry())
    uninstall()
    assert before == (
        [getattr(metrics.MetricWrapperBase, name) for name in names],
        values.ValueClass,
        TheirRegistry.register,
    )
    uninstall()


def test_a_second_installation(ours: CollectorRegistry) -> None:
    install(ours)
    with pytest.raises(SelectionError, match="uninstall"):
        install(CollectorRegistry())


def test_series_that_are_removed(ours: CollectorRegistry, theirs: TheirRegistry, shown: Shown) -> None:
    counter = prometheus_client.Counter("seam_jobs", "Jobs.", ["queue", "code"], registry=theirs)
    for queue in "abc":
        for code in (1, 2):
            counter.labels(queue, code).inc()
    counter.remove("a", 1)
    counter.remove_by_labels({"code": "2"})
    assert shown(ours, "seam_jobs") == [
        'seam_jobs_total{code="1",queue="b"} 1.0',
        'seam_jobs_total{code="1",queue="c"} 1.0',
    ]
    former = counter.labels("b", 1)
    counter.clear()
    former.inc(7)
    assert shown(ours, "seam_jobs") == []
    counter.labels("b", 1).inc(3)
    assert shown(ours, "seam_jobs") == ['seam_jobs_total{code="1",queue="b"} 3.0']


def _emptied(series: dict[Any, Any]) -> None:
    while series:
        series.popitem()


@pytest.mark.parametrize("empty", [lambda series: series.clear(), _emptied])
def test_series_that_the_program_takes_out_of_their_dict(
    ours: CollectorRegistry, theirs: TheirRegistry, shown: Shown, empty: Callable[[Any], None]
) -> None:
    counter = prometheus_client.Counter("seam_jobs", "Jobs.", ["queue"], registry=theirs)
    counter.labels("a").inc(5)
    empty(counter._metrics)
    assert shown(ours, "seam_jobs") == []
    counter.labels("a").inc()
    assert shown(ours, "seam_jobs") == ['seam_jobs_total{queue="a"} 1.0']
    assert theirs.get_sample_value("seam_jobs_total", {"queue": "a"}) == 1.0


def test_series_that_the_program_puts_into_their_dict(
    ours: CollectorRegistry, theirs: TheirRegistry, shown: Shown
) -> None:
    counter = prometheus_client.Counter("seam_jobs", "Jobs.", ["queue"], registry=theirs)
    other = prometheus_client.Counter("seam_other", "Jobs.", ["queue"], registry=None)
    made = {(queue,): other.labels(queue) for queue in "abc"}
    series: Any = counter._metrics
    series.update({("a",): made["a",]})
    series |= [(("b",), made["b",])]
    assert series.setdefault(("c",), made["c",]) is series.setdefault(("c",), made["a",])
    for number, queue in enumerate("abc", 1):
        counter.labels(queue).inc(number)
    assert shown(ours, "seam_jobs") == [
        'seam_jobs_total{queue="a"} 1.0',
        'seam_jobs_total{queue="b"} 2.0',
        'seam_jobs_total{queue="c"} 3.0',
    ]


@pytest.mark.parametrize("change", ["labels", "remove", "clear"])
def test_a_dict_that_the_program_puts_in_the_place_of_theirs(
    ours: CollectorRegistry, theirs: TheirRegistry, shown: Shown, change: str
) -> None:
    counter = prometheus_client.Counter("seam_jobs", "Jobs.", ["queue"], registry=theirs)
    for queue in "abc":
        counter.labels(queue).inc(5)
    series: Any = dict(counter._metrics)
    del series["b",]
    counter._metrics = series
    if change == "labels":
        counter.labels("b").inc()
    elif change == "remove":
        counter.remove("a")
    else:
        counter.clear()
        counter.labels("b").inc()
    expected = {"labels": {"a": 5.0, "b": 1.0, "c": 5.0}, "remove": {"c": 5.0}, "clear": {"b": 1.0}}[change]
    lines = [f'seam_jobs_total{{queue="{queue}"}} {number}' for queue, number in expected.items()]
    assert sorted(shown(ours, "seam_jobs")) == lines
    found = {queue: theirs.get_sample_value("seam_jobs_total", {"queue": queue}) for queue in expected}
    assert found == expected


def test_removal_needs_no_warning_where_it_works(
    ours: CollectorRegistry, theirs: TheirRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    counter = prometheus_client.Counter("seam_jobs", "Jobs.", ["queue"], registry=theirs)
    counter.labels("a").inc()
    counter.remove("a")
    counter.clear()
    with pytest.raises(ValueError, match="Incorrect label count"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counter.remove("a", "b")
    assert list(tmp_path.iterdir()) == []


def test_a_metric_that_is_not_registered_stays_theirs(ours: CollectorRegistry, shown: Shown) -> None:
    counter = prometheus_client.Counter("seam_alone", "Alone.", registry=None)
    counter.inc()
    assert shown(ours, "seam_alone") == []
    TheirRegistry().register(counter)
    registry = TheirRegistry()
    registry.register(counter)
    assert shown(ours, "seam_alone") == ["seam_alone_total 1.0"]
    registry.unregister(counter)
    assert shown(ours, "seam_alone") == []
    counter.inc()
    assert counter._value.get() == 2.0


def test_equal_definitions_share_in_either_order(ours: CollectorRegistry, theirs: TheirRegistry, shown: Shown) -> None:
    first = Counter("seam_one_total", "One.", ["a"], registry=ours)
    first.labels("x").inc()
    prometheus_client.Counter("seam_one", "One.", ["a"], registry=theirs).labels("x").inc()
    prometheus_client.Counter("seam_two", "Two.", registry=theirs).inc()
    Counter("seam_two_total", "Two.", registry=ours).inc()
    assert shown(ours, "seam_") == ['seam_one_total{a="x"} 2.0', "seam_two_total 2.0"]


def test_a_conflict_is_a_warning_and_no_error(ours: CollectorRegistry, theirs: TheirRegistry, shown: Shown) -> None:
    Gauge("seam_depth", "Depth.", registry=ours).set(1)
    with pytest.warns(PytheusWarning, match="seam_depth.*stays in prometheus_client alone"):
        gauge = prometheus_client.Gauge("seam_depth", "Depth.", ["a"], registry=theirs)
    gauge.labels("x").set(2)
    assert theirs.get_sample_value("seam_depth", {"a": "x"}) == 2.0
    assert shown(ours, "seam_depth") == ["seam_depth 1.0"]


def test_two_registries_each_show_their_own_and_pytheus_the_sum(ours: CollectorRegistry, shown: Shown) -> None:
    one, two = TheirRegistry(), TheirRegistry()
    counters = [prometheus_client.Counter("seam_jobs", "Jobs.", ["q"], registry=each) for each in (one, two)]
    counters[0].labels("a").inc()
    counters[1].labels("a").inc(10)
    counters[0].labels("a").inc()
    assert one.get_sample_value("seam_jobs_total", {"q": "a"}) == 2.0
    assert two.get_sample_value("seam_jobs_total", {"q": "a"}) == 10.0
    assert shown(ours, "seam_jobs") == ['seam_jobs_total{q="a"} 12.0']
    counters[1].labels("a").reset()
    assert shown(ours, "seam_jobs") == ['seam_jobs_total{q="a"} 2.0']


def test_a_registry_that_is_gone_takes_its_metrics_along(ours: CollectorRegistry, shown: Shown) -> None:
    registry = TheirRegistry()
    prometheus_client.Counter("seam_jobs", "Jobs.", registry=registry).inc()
    assert shown(ours, "seam_jobs") == ["seam_jobs_total 1.0"]
    del registry
    gc.collect()
    assert shown(ours, "seam_jobs") == []


def test_a_function_provides_a_number(ours: CollectorRegistry, theirs: TheirRegistry, shown: Shown) -> None:
    items: list[int] = [1, 2]
    gauge = prometheus_client.Gauge("seam_items", "Items.", ["a"], registry=theirs)
    gauge.labels("x").set_function(lambda: len(items))
    gauge.labels("x").set(100)  # without effect, as there
    items.append(3)
    assert shown(ours, "seam_items") == ['seam_items{a="x"} 3.0']


def test_a_counter_that_is_reset_begins_again(ours: CollectorRegistry, theirs: TheirRegistry) -> None:
    counter = prometheus_client.Counter("seam_jobs", "Jobs.", registry=theirs)
    counter.inc(5)
    metric = ours.find("seam_jobs_total")
    assert isinstance(metric, Counter)
    (before,) = metric.rows()
    counter.reset()
    (after,) = metric.rows()
    assert (before.numbers, after.numbers) == ([5.0], [0.0])
    assert before.created is not None
    assert after.created is not None
    assert after.created > before.created


def test_exemplars(ours: CollectorRegistry, theirs: TheirRegistry) -> None:
    prometheus_client.Counter("seam_jobs", "Jobs.", registry=theirs).inc(2, {"trace_id": "a"})
    histogram = prometheus_client.Histogram("seam_wait", "Wait.", buckets=[1], registry=theirs)
    histogram.observe(3, {"trace_id": "b"})
    from pytheus.exposition import expose

    answer = expose(ours, "application/openmetrics-text; version=1.0.0")
    families = parse_exposition(answer.body, answer.content_type)
    found = [
        (sample.name, dict(sample.exemplar.labels), sample.exemplar.value)
        for family in families.values()
        for sample in family.samples
        if sample.exemplar is not None
    ]
    assert sorted(found) == [("seam_jobs_total", {"trace_id": "a"}, 2.0), ("seam_wait_bucket", {"trace_id": "b"}, 3.0)]
    text: bytes = open_metrics_of(theirs)  # type: ignore[no-untyped-call]  # theirs has no types here
    assert 'trace_id="b"' in text.decode()


class _Queue:
    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("seam_queue", "Queue.", value=3)


def test_custom_collectors_of_their_default_registry_are_bridged(
    ours: CollectorRegistry, theirs: TheirRegistry, shown: Shown
) -> None:
    queue, other = _Queue(), _Queue()
    prometheus_client.REGISTRY.register(queue)
    theirs.register(other)
    try:
        assert shown(ours, "seam_queue") == ["seam_queue 3.0"]
        assert len(shown(ours, "process_start_time_seconds")) == 1
    finally:
        prometheus_client.REGISTRY.unregister(queue)
    assert shown(ours, "seam_queue") == []


def test_a_bridge_ends_with_their_default_registry_alone(
    ours: CollectorRegistry, theirs: TheirRegistry, shown: Shown
) -> None:
    queue = _Queue()
    prometheus_client.REGISTRY.register(queue)
    try:
        theirs.register(queue)
        theirs.unregister(queue)
        assert shown(ours, "seam_queue") == ["seam_queue 3.0"]
    finally:
        prometheus_client.REGISTRY.unregister(queue)
    assert shown(ours, "seam_queue") == []


def test_facts_that_pytheus_refuses_leave_the_former_ones(
    ours: CollectorRegistry, theirs: TheirRegistry, shown: Shown
) -> None:
    info = prometheus_client.Info("seam_build", "Build.", registry=theirs)
    info.info({"version": "1"})
    with pytest.warns(PytheusWarning, match="the latest value of info 'seam_build' stays in prometheus_client alone"):
        info.info({"bad-name": "2"})
    assert shown(ours, "seam_build") == ['seam_build_info{version="1"} 1.0']


def test_the_collector_of_several_processes_shows_the_registry(
    ours: CollectorRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    metrics_of_app = TheirRegistry()
    prometheus_client.Counter("seam_jobs", "Jobs.", ["q"], registry=metrics_of_app).labels("a").inc()
    endpoint = TheirRegistry()
    multiprocess.MultiProcessCollector(endpoint)  # type: ignore[no-untyped-call]  # theirs has no types here
    assert endpoint.get_sample_value("seam_jobs_total", {"q": "a"}) == 1.0
    multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]  # theirs has no types here
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]  # theirs has no types here


def test_a_bridge_to_the_registry_is_not_bridged_back(ours: CollectorRegistry, shown: Shown) -> None:
    bridge = PytheusCollector(ours)
    prometheus_client.REGISTRY.register(bridge)
    try:
        Counter("seam_jobs_total", "Jobs.", registry=ours).inc()
        assert prometheus_client.REGISTRY.get_sample_value("seam_jobs_total") == 1.0
        assert shown(ours, "seam_jobs") == ["seam_jobs_total 1.0"]
    finally:
        prometheus_client.REGISTRY.unregister(bridge)


def test_subclasses(ours: CollectorRegistry, theirs: TheirRegistry, shown: Shown) -> None:
    class Named(prometheus_client.Counter):
        def inc(self, amount: float = 1, exemplar: dict[str, str] | None = None) -> None:
            super().inc(amount * 2, exemplar)

    counter = Named("seam_jobs", "Jobs.", ["a"], registry=theirs)
    counter.labels("x").inc()
    assert shown(ours, "seam_jobs") == ['seam_jobs_total{a="x"} 2.0']
    assert type(counter.labels("x")) is Named


def test_threads_lose_nothing(ours: CollectorRegistry, theirs: TheirRegistry, shown: Shown) -> None:
    counter = prometheus_client.Counter("seam_jobs", "Jobs.", ["a"], registry=theirs)
    histogram = prometheus_client.Histogram("seam_wait", "Wait.", registry=theirs)

    def work() -> None:
        for number in range(2000):
            counter.labels(number % 7).inc()
            histogram.observe(0.5)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(float(line.split()[-1]) for line in shown(ours, "seam_jobs")) == 8000
    assert shown(ours, "seam_wait_count") == ["seam_wait_count 8000.0"]


@pytest.mark.parametrize("mode", sorted(prometheus_client.Gauge._MULTIPROC_MODES))
def test_gauge_modes(ours: CollectorRegistry, theirs: TheirRegistry, mode: Any, shown: Shown) -> None:
    gauge = prometheus_client.Gauge("seam_depth", "Depth.", registry=theirs, multiprocess_mode=mode)
    assert shown(ours, "seam_depth") == ["seam_depth 0.0"]
    gauge.set(3)
    assert shown(ours, "seam_depth") == ["seam_depth 3.0"]
    assert theirs.get_sample_value("seam_depth") == 3.0


def test_names_of_any_character(ours: CollectorRegistry, theirs: TheirRegistry) -> None:
    prometheus_client.Counter("seam.jobs", "Jobs.", ["a b"], registry=theirs).labels("x").inc()
    (family,) = [family for name, family in parse_exposition(generate_metrics(ours)).items() if "seam" in name]
    assert family.samples[0].value == 1.0
