"""What is attached: where it is defined, when it began, its exemplars, and metrics that share a series."""

from __future__ import annotations

import gc
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from weakref import ref

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry as TheirRegistry
from prometheus_client import values

from pytheus import Counter, Gauge, Histogram
from pytheus.exceptions import ConflictError, PytheusWarning
from pytheus.metrics import Metric, exemplar
from pytheus.registry import CollectorRegistry, Registry
from pytheus.samples import Row
from pytheus.settings import set_strict
from pytheus_multiprocess import multiprocess_registry
from pytheus_prometheus_client import install, uninstall
from pytheus_prometheus_client.installed import INSTALLED

Shown = Callable[[Registry, str], list[str]]
Peer = prometheus_client


@pytest.fixture
def late() -> Iterator[Callable[[], CollectorRegistry]]:
    """A function that installs the seam in a new registry."""

    def installed() -> CollectorRegistry:
        registry = CollectorRegistry()
        install(registry)
        return registry

    yield installed
    uninstall()


def rows(registry: CollectorRegistry, name: str) -> list[Row]:
    metric = registry.find(name)
    assert isinstance(metric, Metric)
    return metric.rows()


# Places --------------------------------------------------------------------------------------------------------------


def _this_line() -> int:
    import sys

    return sys._getframe(1).f_lineno


def test_a_metric_is_defined_where_the_program_does(ours: CollectorRegistry, theirs: TheirRegistry) -> None:
    counter, line = Peer.Counter("seam_jobs", "Jobs.", registry=theirs), _this_line()
    with pytest.raises(ConflictError, match=f"defined at {__file__}:{line}"):
        Counter("seam_jobs_total", "Jobs.", ["a"], registry=ours)
    enum, line = Peer.Enum("seam_door", "Door.", states=["open"], registry=theirs), _this_line()
    with pytest.raises(ConflictError, match=f"defined at {__file__}:{line}"):
        Counter("seam_door", "Jobs.", ["a"], registry=ours)
    assert (counter._name, enum._name) == ("seam_jobs", "seam_door")


def test_a_warning_is_issued_where_the_program_defines(ours: CollectorRegistry) -> None:
    held = TheirRegistry(), TheirRegistry()
    Peer.Counter("seam_jobs", "Jobs.", registry=held[0])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _, line = Peer.Counter("seam_jobs", "Jobs.", ["a"], registry=held[1]), _this_line()
    (warning,) = caught
    assert (warning.filename, warning.lineno, warning.category) == (__file__, line, PytheusWarning)


def test_a_warning_may_use_the_metric_that_it_is_about(
    ours: CollectorRegistry, theirs: TheirRegistry, monkeypatch: pytest.MonkeyPatch, shown: Shown
) -> None:
    counter = Peer.Counter("seam_warnings", "Warnings.", ["text"], registry=theirs)

    def count(message: object, *_: object) -> None:
        counter.labels("new series").inc()

    monkeypatch.setattr(warnings, "showwarning", count)
    before = set_strict(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            counter.labels("\ud800").inc(5)
    finally:
        set_strict(before)
    assert shown(ours, "seam_warnings") == ['seam_warnings_total{text="new series"} 1.0']
    assert theirs.get_sample_value("seam_warnings_total", {"text": "\ud800"}) == 5.0


def test_uninstalled_the_peer_is_a_caller_as_others(theirs: TheirRegistry) -> None:
    install(CollectorRegistry())
    uninstall()
    from pytheus.definitions import NOT_CALLERS

    assert {"pytheus"} == NOT_CALLERS


# Start times ---------------------------------------------------------------------------------------------------------


def test_series_begin_with_theirs(ours: CollectorRegistry, theirs: TheirRegistry) -> None:
    before = time.time()
    child = Peer.Counter("seam_jobs", "Jobs.", ["a"], registry=theirs).labels("x")
    (row,) = rows(ours, "seam_jobs_total")
    assert before <= child._created <= (row.created or 0.0) <= time.time()


def test_what_came_before_keeps_its_start_time(theirs: TheirRegistry, late: Callable[[], CollectorRegistry]) -> None:
    counter = Peer.Counter("seam_jobs", "Jobs.", ["a"], registry=theirs)
    histogram = Peer.Histogram("seam_wait", "Wait.", registry=theirs)
    summary = Peer.Summary("seam_size", "Size.", registry=theirs)
    children = counter.labels("x"), histogram, summary
    for age, child in enumerate(children, 1):
        vars(child)["_created"] -= 1000 * age
    ours = late()
    found = [rows(ours, name)[0].created for name in ("seam_jobs_total", "seam_wait", "seam_size")]
    created = [vars(child)["_created"] for child in children]
    assert found == created
    counter.labels("x").inc()
    counter.labels("x").reset()
    assert (rows(ours, "seam_jobs_total")[0].created or 0.0) > created[0] + 500


def test_an_installation_runs_no_code_of_other_objects() -> None:
    class Lazy:  # as Django's settings
        @property
        def __class__(self) -> type:
            raise RuntimeError("not configured")

        @__class__.setter
        def __class__(self, to: type) -> None:
            raise RuntimeError("not configured")

    lazy = [Lazy()]
    install(CollectorRegistry())
    uninstall()
    assert len(lazy) == 1


def test_what_came_before_is_found_among_frozen_objects(
    theirs: TheirRegistry, late: Callable[[], CollectorRegistry], shown: Shown
) -> None:
    Peer.Counter("seam_jobs", "Jobs.", registry=theirs).inc()
    gc.freeze()
    try:
        assert shown(late(), "seam_jobs") == ["seam_jobs_total 1.0"]
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_what_came_before_shares_with_an_equal_metric(theirs: TheirRegistry) -> None:
    ours = CollectorRegistry()
    Counter("seam_jobs_total", "Jobs.", registry=ours).inc()
    counter = Peer.Counter("seam_jobs", "Jobs.", registry=theirs)
    counter.inc(2)
    install(ours)
    try:
        counter.inc(4)
        assert rows(ours, "seam_jobs_total")[0].numbers == [7.0]
    finally:
        uninstall()
    assert rows(ours, "seam_jobs_total")[0].numbers == [7.0]


def test_a_function_leaves_the_gauge_that_the_program_has_itself(theirs: TheirRegistry) -> None:
    ours = CollectorRegistry()
    own = Gauge("seam_depth", "Depth.", registry=ours)
    install(ours)
    try:
        gauge = Peer.Gauge("seam_depth", "Depth.", registry=theirs, multiprocess_mode="livesum")
        gauge.set_function(lambda: 7)
        assert own.value == 7.0
    finally:
        uninstall()
    own.set(3)
    assert (own.value, theirs.get_sample_value("seam_depth")) == (3.0, 7.0)


def test_a_metric_from_before_that_is_registered_later(
    theirs: TheirRegistry, late: Callable[[], CollectorRegistry], shown: Shown
) -> None:
    counter = Peer.Counter("seam_jobs", "Jobs.", registry=None)
    depth = Peer.Gauge("seam_depth", "Depth.", ["a"], registry=None)
    counter.inc(3)
    depth.labels("x").set(4)
    vars(counter)["_created"] -= 1000
    ours = late()
    for metric in (counter, depth):
        theirs.register(metric)
    counter.inc()
    depth.labels("x").inc()
    depth.labels("y").set(1)
    assert shown(ours, "seam_jobs") == ["seam_jobs_total 4.0"]
    assert shown(ours, "seam_depth") == ['seam_depth{a="x"} 5.0', 'seam_depth{a="y"} 1.0']
    assert rows(ours, "seam_jobs_total")[0].created == counter._created


@pytest.mark.parametrize("labels", [[], ["a"]])
def test_numbers_of_another_library_stay_there(
    theirs: TheirRegistry, late: Callable[[], CollectorRegistry], shown: Shown, labels: list[str]
) -> None:
    class Number(values.MutexValue):
        pass

    before = values.ValueClass
    values.ValueClass = Number
    try:
        counter = Peer.Counter("seam_jobs", "Jobs.", labels, registry=None)
        series = counter.labels("x") if labels else counter
    finally:
        values.ValueClass = before
    ours = late()
    with pytest.warns(PytheusWarning, match=r"counter 'seam_jobs' stays .* but got .*Number; remove the program's own"):
        theirs.register(counter)
    series.inc()
    assert type(series._value) is Number
    assert ours.find("seam_jobs_total") is None


def test_a_series_with_a_number_of_another_library_stays_there(ours: CollectorRegistry, theirs: TheirRegistry) -> None:
    counter = Peer.Counter("seam_jobs", "Jobs.", ["a"], registry=theirs)
    values.ValueClass = values.MutexValue
    with pytest.warns(PytheusWarning, match=r"series \('x',\) of 'seam_jobs' stays .*ValueClass; remove that"):
        counter.labels("x").inc()
    assert rows(ours, "seam_jobs_total") == []
    assert theirs.get_sample_value("seam_jobs_total", {"a": "x"}) == 1.0


# Exemplars -----------------------------------------------------------------------------------------------------------


def test_exemplars_of_the_context(ours: CollectorRegistry, theirs: TheirRegistry) -> None:
    counter = Peer.Counter("seam_jobs", "Jobs.", registry=theirs)
    histogram = Peer.Histogram("seam_wait", "Wait.", buckets=[1, 2], registry=theirs)
    gauge = Peer.Gauge("seam_depth", "Depth.", registry=theirs)
    with exemplar(trace_id="a"):
        counter.inc(3)
        histogram.observe(1.5)
        histogram.observe(9)
        histogram.observe(float("nan"))
        gauge.inc()
        histogram.observe(0.5, {"trace_id": "b"})
    found = {
        (name, slot): (dict(each.labels), each.value)
        for name in ("seam_jobs_total", "seam_wait", "seam_depth")
        for slot, each in (rows(ours, name)[0].exemplars or {}).items()
    }
    assert found == {
        ("seam_jobs_total", 0): ({"trace_id": "a"}, 3.0),
        ("seam_wait", 1): ({"trace_id": "b"}, 0.5),
        ("seam_wait", 2): ({"trace_id": "a"}, 1.5),
        ("seam_wait", 3): ({"trace_id": "a"}, 9.0),
    }


def test_an_exemplar_that_pytheus_refuses_stays_theirs(ours: CollectorRegistry, theirs: TheirRegistry) -> None:
    counter = Peer.Counter("seam_jobs", "Jobs.", registry=theirs)
    counter.inc(1, {"trace id": "x"})
    assert counter._value.get_exemplar() is not None
    (row,) = rows(ours, "seam_jobs_total")
    assert (row.numbers, row.exemplars) == ([1.0], None)


# Several registries of theirs ----------------------------------------------------------------------------------------


def test_a_series_that_one_of_two_removes(ours: CollectorRegistry, shown: Shown) -> None:
    held = TheirRegistry(), TheirRegistry()
    one, two = (Peer.Counter("seam_jobs", "Jobs.", ["a"], registry=each) for each in held)
    one.labels("x").inc(1)
    two.labels("x").inc(10)
    one.labels("y").inc(100)
    one.remove("x")
    assert shown(ours, "seam_jobs") == ['seam_jobs_total{a="x"} 10.0', 'seam_jobs_total{a="y"} 100.0']
    one.remove("x")  # it has none any more
    two.labels("x").inc()
    assert held[1].get_sample_value("seam_jobs_total", {"a": "x"}) == 11.0
    assert shown(ours, "seam_jobs")[0] == 'seam_jobs_total{a="x"} 11.0'
    two.clear()
    assert shown(ours, "seam_jobs") == ['seam_jobs_total{a="y"} 100.0']


@pytest.mark.parametrize("first", [0, 1])
def test_registries_end_in_any_order(ours: CollectorRegistry, shown: Shown, first: int) -> None:
    held = [TheirRegistry(), TheirRegistry()]
    Peer.Counter("seam_jobs", "Jobs.", registry=held[0]).inc(1)
    Peer.Counter("seam_jobs", "Jobs.", registry=held[1]).inc(2)
    assert shown(ours, "seam_jobs") == ["seam_jobs_total 3.0"]
    del held[first]
    gc.collect()
    assert shown(ours, "seam_jobs") == [f"seam_jobs_total {2.0 - first}"]
    held.clear()
    gc.collect()
    assert shown(ours, "seam_jobs") == []


@pytest.mark.parametrize("labels", [[], ["queue"]])
def test_a_metric_counts_on_when_its_registry_has_ended(
    ours: CollectorRegistry, shown: Shown, labels: list[str]
) -> None:
    jobs = Peer.Counter("seam_jobs", "Jobs.", labels, registry=TheirRegistry())
    other = TheirRegistry()
    twin = Peer.Counter("seam_jobs", "Jobs.", labels, registry=other)
    gc.collect()
    for counter, number in ((jobs, 1), (twin, 2)):
        (counter.labels("mail") if labels else counter).inc(number)
    assert [line.rpartition(" ")[2] for line in shown(ours, "seam_jobs")] == ["3.0"]
    jobs.itself = jobs  # type: ignore[attr-defined]  # the garbage collector ends it
    del jobs, counter
    gc.collect()
    assert [line.rpartition(" ")[2] for line in shown(ours, "seam_jobs")] == ["2.0"]
    other.unregister(twin)
    assert shown(ours, "seam_jobs") == []


def test_stored_numbers_outlive_a_registry(tmp_path: Path, shown: Shown) -> None:
    ours = multiprocess_registry(tmp_path / "shards", process_metrics=False)
    install(ours)
    try:
        registry = TheirRegistry()
        Peer.Counter("seam_jobs", "Jobs.", ["a"], registry=registry).labels("x").inc(2)
        Peer.Gauge("seam_depth", "Depth.", registry=registry, multiprocess_mode="livesum").set(7)
        Peer.Gauge("seam_never", "Never.", ["a"], registry=registry)
        del registry
        gc.collect()
        assert shown(ours, "seam_") == ['seam_jobs_total{a="x"} 2.0', "seam_depth 7.0"]
        registry = TheirRegistry()
        Peer.Counter("seam_jobs", "Jobs.", ["a"], registry=registry).labels("x").inc(3)
        depth = Peer.Gauge("seam_depth", "Depth.", registry=registry, multiprocess_mode="livesum")
        depth.set(5)
        assert shown(ours, "seam_") == ['seam_jobs_total{a="x"} 5.0', "seam_depth 5.0"]
        registry.unregister(depth)
        assert shown(ours, "seam_") == ['seam_jobs_total{a="x"} 5.0']
        del registry
        gc.collect()
        assert shown(ours, "seam_") == ['seam_jobs_total{a="x"} 5.0']
    finally:
        uninstall()
    assert shown(ours, "seam_") == []
    ours.close()


def test_a_metric_that_is_unregistered_after_the_installation_ends(theirs: TheirRegistry) -> None:
    install(CollectorRegistry())
    counter = Peer.Counter("seam_jobs", "Jobs.", registry=theirs)
    uninstall()
    theirs.unregister(counter)
    ended = ref(counter)
    del counter
    gc.collect()
    assert ended() is None


def test_a_registry_that_ends_during_a_change(ours: CollectorRegistry, shown: Shown) -> None:
    registry = TheirRegistry()
    Peer.Counter("seam_jobs", "Jobs.", registry=registry).inc()
    with INSTALLED[0].changing():
        del registry
        gc.collect()
        assert shown(ours, "seam_jobs") == ["seam_jobs_total 1.0"]
    assert shown(ours, "seam_jobs") == []


def test_a_registry_that_ends_while_another_thread_changes(ours: CollectorRegistry, shown: Shown) -> None:
    registries = [TheirRegistry()]
    Peer.Counter("seam_jobs", "Jobs.", registry=registries[0]).inc()

    def end() -> None:
        registries.clear()
        gc.collect()

    with INSTALLED[0].changing():
        thread = threading.Thread(target=end)
        thread.start()
        thread.join()  # without waiting for the lock
    assert shown(ours, "seam_jobs") == []


def test_threads_set_gauges_that_share_a_series(ours: CollectorRegistry, shown: Shown) -> None:
    held = TheirRegistry(), TheirRegistry()
    gauges = [Peer.Gauge("seam_depth", "Depth.", registry=each, multiprocess_mode="sum") for each in held]

    def work(gauge: prometheus_client.Gauge) -> None:
        for number in range(2000):
            gauge.set(number)
            gauge.inc(2)

    threads = [threading.Thread(target=work, args=(gauge,)) for gauge in gauges * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    own = [registry.get_sample_value("seam_depth") for registry in held]
    assert shown(ours, "seam_depth") == [f"seam_depth {sum(value or 0.0 for value in own)}"]


def test_a_histogram_without_series_has_its_bounds(ours: CollectorRegistry, theirs: TheirRegistry) -> None:
    labelled = Peer.Histogram("seam_wait", "Wait.", ["a"], buckets=[0.5, 2, float("inf")], registry=theirs)
    metric = ours.find("seam_wait")
    assert isinstance(metric, Histogram)
    assert metric.definition.bounds == (0.5, 2.0)
    labelled.labels("x").observe(1)
    assert metric.labels("x").rows()[0].numbers == [1.0, 0.0, 1.0, 0.0]
    Peer.Histogram("seam_default", "Wait.", registry=theirs)
    default = ours.find("seam_default")
    assert isinstance(default, Histogram)
    assert len(default.definition.bounds) == 14
