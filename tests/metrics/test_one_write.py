"""A write is made once, in one series, whichever handle it goes through: of a second definition, with defaults."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from pytheus import Counter, Gauge, Histogram, Summary, exemplar
from pytheus.exceptions import BucketError, NotANumberError
from pytheus.metrics import NativeBuckets
from pytheus.registry import CollectorRegistry
from tests.conftest import wait_until


class Cents(Counter[Any]):
    def inc(self, amount: Any = 1, exemplar: Any = None) -> None:
        super().inc(amount * 100, exemplar)


class CentsLevel(Gauge[Any]):
    def inc(self, amount: Any = 1) -> None:
        super().inc(amount * 100)

    def dec(self, amount: Any = 1) -> None:
        super().dec(amount * 100)

    def set(self, value: Any) -> None:
        super().set(value * 100)


class Milliseconds(Histogram[Any]):
    def observe(self, value: Any, exemplar: Any = None) -> None:
        super().observe(value * 1000, exemplar)


class Kilobytes(Summary[Any]):
    def observe(self, value: Any) -> None:
        super().observe(value * 1000)


WAYS = pytest.mark.parametrize("way", ["alone", "second definition", "default labels", "source"])


def made(way: str, kind: Any, registry: CollectorRegistry, **options: Any) -> Any:
    """A metric that is written without `labels`."""
    if way == "second definition":
        kind("m_total", "M.", registry=registry, **options)
    if way in ("default labels", "source"):
        options |= {"required_labels": ["a"], "default_labels": {"a": "x" if way == "default labels" else lambda: "x"}}
    return kind("m_total", "M.", registry=registry, **options)


@WAYS
@pytest.mark.parametrize(
    ("kind", "write", "expected"),
    [
        (Cents, lambda metric: metric.inc(), 100.0),
        (CentsLevel, lambda metric: metric.inc(), 100.0),
        (CentsLevel, lambda metric: metric.dec(), -100.0),
        (CentsLevel, lambda metric: metric.set(2), 200.0),
        (Milliseconds, lambda metric: metric.observe(0.5), 500.0),
        (Kilobytes, lambda metric: metric.observe(0.5), 500.0),
    ],
)
def test_the_method_of_a_subclass_is_called_once(
    registry: CollectorRegistry, way: str, kind: Any, write: Callable[[Any], object], expected: float
) -> None:
    metric = made(way, kind, registry)
    write(metric)
    write(metric)
    [row] = metric.rows()
    assert row.numbers[0] == (expected if "set" in write.__code__.co_names else 2 * expected)


@WAYS
@pytest.mark.parametrize("native", [False, True])
def test_a_given_exemplar_comes_before_that_of_the_context(registry: CollectorRegistry, way: str, native: bool) -> None:
    counter = made(way, Counter, registry)
    with exemplar(trace_id="context"):
        counter.inc(exemplar={"trace_id": "given"})
    [row] = counter.rows()
    assert [one.labels for one in (row.exemplars or {}).values()] == [{"trace_id": "given"}]

    histogram = made(way, Histogram, CollectorRegistry(), native=native)
    with exemplar(trace_id="context"):
        histogram.observe(0.3, exemplar={"trace_id": "given"})
        histogram.observe(1e300, exemplar={"trace_id": "given"})
    [family] = histogram.collect()
    found = [sample.exemplar for sample in family.samples if sample.exemplar]
    found += [one for sample in family.samples for one in sample.exemplars]
    assert {one.labels["trace_id"] for one in found} == {"given"}
    assert histogram.count == 2


def test_a_source_is_asked_once_for_a_write_with_an_exemplar() -> None:
    asked: list[str] = []

    def tenant() -> str:
        asked.append("asked")
        return f"t{len(asked)}"

    counter = Counter("hits_total", "Hits.", ["tenant"], default_labels={"tenant": tenant}, registry=None)
    histogram = Histogram("seconds", "S.", ["tenant"], default_labels={"tenant": tenant}, registry=None)
    counter.inc(1, {"trace_id": "a"})
    histogram.observe(1, {"trace_id": "a"})
    assert len(asked) == 2
    [row] = counter.rows()
    assert (row.labels, row.numbers, list(row.exemplars or {})) == (("t1",), [1.0], [0])


def test_what_a_second_definition_makes_ahead_stays(registry: CollectorRegistry) -> None:
    first = Counter("hits_total", "Hits.", ["a"], labels_from={"a": ["w"]}, registry=registry)
    second = Counter("hits_total", "Hits.", ["a"], labels_from={"a": ["w", "x"]}, registry=registry)
    third = Counter("hits_total", "Hits.", ["a"], labels_from={"a": ["y"]}, registry=registry)
    for metric in first, second, third:
        metric.clear()
        assert sorted(row.labels for row in first.rows()) == [("w",), ("x",), ("y",)]
    for now in 0.0, 10.0, 20.0:
        assert second.expire_series(5.0, now) == 0


def test_a_gauge_that_counts_blocks_of_a_second_definition_does_not_end(registry: CollectorRegistry) -> None:
    first = Gauge("busy", "Busy.", ["a"], registry=registry)
    second = Gauge("busy", "Busy.", ["a"], default_labels={"a": "x"}, registry=registry)
    first.labels("x")
    with second.track_inprogress():
        for now in 0.0, 10.0, 20.0:
            assert first.expire_series(5.0, now) == 0
    assert first.labels("x").value == 0.0


@pytest.mark.parametrize("end", [lambda metric: metric.remove("x"), lambda metric: metric.clear()])
@pytest.mark.parametrize("kind", [Counter, Histogram, Summary])
def test_a_series_that_is_made_again_begins_a_new_time_without_a_write(
    registry: CollectorRegistry, kind: Any, end: Callable[[Any], object]
) -> None:
    metric = kind("m_total", "M.", ["a"], registry=registry)

    def write() -> None:
        (metric.labels("x").inc if kind is Counter else metric.labels("x").observe)(1)

    write()
    assert metric.expire_series(5.0, 0.0) == 0
    end(metric)
    write()
    assert metric.expire_series(5.0, 6.0) == 0
    assert metric.expire_series(5.0, 11.0) == 1


def test_a_function_that_still_runs_does_not_overwrite_the_next_number(registry: CollectorRegistry) -> None:
    gauge = Gauge("depth", "Depth.", registry=registry)
    running, go_on = threading.Event(), threading.Event()

    def slow() -> float:
        running.set()
        go_on.wait(60)
        return 1.0

    gauge.set_function(slow)
    scrape = threading.Thread(target=gauge.refresh)
    scrape.start()
    wait_until(running.is_set, "the function")
    gauge.set_function(None)
    gauge.set(5)
    go_on.set()
    scrape.join()
    assert gauge.value == 5.0


class Foreign:
    """As numpy's scalars and arrays of one are."""

    def __init__(self, kind: str) -> None:
        self.dtype = type("dtype", (), {"kind": kind})()

    def __float__(self) -> float:
        return 3.0


@pytest.mark.parametrize("kind", ["c", "S", "U", "V"])
def test_a_number_of_numpy_that_is_text_or_complex_is_refused(kind: str) -> None:
    gauge = Gauge("g", "G.", registry=None)
    with pytest.raises(NotANumberError):
        gauge.set(Foreign(kind))
    gauge.set(Foreign("f"))
    assert gauge.value == 3.0


@pytest.mark.parametrize("options", [{"growth": 10**400}, {"min_reset_seconds": 10**400}, {"growth": Decimal(2)}])
def test_a_native_option_that_is_too_large_for_a_double_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BucketError, match="finite number"):
        NativeBuckets(**options)
