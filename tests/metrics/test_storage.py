"""Metrics whose numbers are in a registry's storage."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import pytest

from pytheus import Counter, Gauge, Histogram, Info, generate_metrics
from pytheus.exceptions import PytheusError
from pytheus.registry import CollectorRegistry, FloatBuffer
from pytheus.samples import Row
from tests.metrics.conftest import Arena, Written, write
from tests.metrics.written_metrics import rows_of


@pytest.fixture
def hits() -> Counter:
    return Counter("hits_total", "Hits.", ["code"], registry=None)


@pytest.fixture
def sizes() -> Histogram:
    return Histogram("sizes", "Sizes.", buckets=(1,), registry=None)


@pytest.fixture
def gauge() -> Gauge:
    return Gauge("g", "G.", registry=None)


# Storage --------------------------------------------------------------------------------------------------------------


def test_numbers_go_along_and_every_later_write_lands_in_memory(arena: Arena, hits: Counter) -> None:
    hits.labels("200").inc(3)
    hits.attach_storage(arena)
    hits.labels("200").inc()
    hits.labels("500").inc(2)
    assert (arena["200",], arena["500",]) == ([4.0], [2.0])
    assert hits.labels("200").value == 4.0


def test_every_type_writes_to_its_storage_and_keeps_its_numbers_when_it_leaves(written: Written, arena: Arena) -> None:
    metric = written.make(registry=None)
    write(metric, written.first)
    before = metric.rows()
    metric.attach_storage(arena)
    assert metric.rows() == before
    write(metric, written.second)
    name, value = written.attribute
    assert arena[()] == written.numbers
    assert getattr(metric, name) == value
    assert rows_of(metric) == [Row((), written.numbers)]
    metric.detach_storage(arena)
    arena.doubles[0] += 99  # which is not the metric's any more
    assert rows_of(metric) == [Row((), written.numbers)]
    assert getattr(metric, name) == value


def test_an_infos_facts_are_told(arena: Arena) -> None:
    build = Info("build", "Build.", registry=None)
    build.info(version="1")
    build.attach_storage(arena)
    assert arena.told == {(): {"version": "1"}}
    build.info(version="2")
    assert arena.told == {(): {"version": "2"}}


def test_exemplars_are_told_those_there_were_and_those_that_come(arena: Arena) -> None:
    sizes = Histogram("sizes", "Sizes.", buckets=(1, 5), registry=None)
    sizes.observe(0.5, {"trace_id": "a"})
    sizes.attach_storage(arena)
    sizes.observe(3, {"trace_id": "b"})
    assert {place[1]: exemplar.labels["trace_id"] for place, exemplar in arena.exemplars.items()} == {1: "a", 2: "b"}


def test_without_carrying_everything_starts_at_zero(arena: Arena, hits: Counter, sizes: Histogram) -> None:
    hits.labels("200").inc(3, {"trace_id": "a"})
    sizes.observe(2)
    hits.attach_storage(arena, carry=False)
    other = Arena()
    sizes.attach_storage(other, carry=False)
    assert hits.rows() == []
    assert rows_of(sizes) == [Row((), [0.0, 0.0, 0.0])]
    assert not arena.exemplars
    hits.labels("200").inc()
    assert rows_of(hits) == [Row(("200",), [1.0])]
    assert arena["200",] == [1.0]


def test_numbers_move_from_one_memory_to_another(sizes: Histogram) -> None:
    first, second = Arena(), Arena()
    hits = Counter("hits_total", "Hits.", registry=None)
    hits.attach_storage(first)
    hits.inc(2)
    hits.attach_storage(second)
    hits.inc()
    assert (first[()], second[()]) == ([0.0], [3.0])
    sizes.attach_storage(third := Arena())
    sizes.observe(2)
    sizes.attach_storage(fourth := Arena())
    sizes.observe(0)
    assert (third[()], fourth[()]) == ([0.0, 0.0, 0.0], [2.0, 1.0, 1.0])


class Passing(Arena):
    """A storage that the metric leaves, as by another thread, just when a series is created in it."""

    def __init__(self, leave: Callable[[Passing], object]) -> None:
        super().__init__()
        self.detach_storage: Callable[[Passing], object] | None = leave

    def buffer(self, labels: tuple[str, ...], numbers: array[float], created: float = 0.0, /) -> FloatBuffer:
        leave, self.detach_storage = self.detach_storage, None
        if leave is not None:
            leave(self)
        return super().buffer(labels, numbers, created)


def test_a_series_that_is_made_while_the_memory_changes_is_in_the_new_one(hits: Counter) -> None:
    second = Arena()
    first = Passing(lambda _: hits.attach_storage(second))
    hits.attach_storage(first)
    hits.labels("200").inc(2)
    assert second["200",] == [2.0]
    assert first.views == {}


def test_a_series_that_is_made_while_the_memory_is_left_is_in_none() -> None:
    sizes = Histogram("sizes", "Sizes.", ["kind"], buckets=(1,), registry=None)
    first = Passing(sizes.detach_storage)
    sizes.attach_storage(first)
    sizes.labels("big").observe(2)
    assert first.views == {}
    assert rows_of(sizes) == [Row(("big",), [2.0, 0.0, 1.0])]
    sizes.attach_storage(second := Arena())
    assert second["big",] == [2.0, 0.0, 1.0]


def test_keeping_in_the_same_memory_again_changes_nothing(arena: Arena, sizes: Histogram) -> None:
    sizes.observe(2)
    sizes.attach_storage(arena)
    sizes.attach_storage(arena)
    assert arena[()] == [2.0, 0.0, 1.0]


def test_leaving_takes_the_numbers_back(arena: Arena, hits: Counter) -> None:
    hits.attach_storage(arena)
    hits.labels("200").inc(3)
    before = arena.views["200",]
    hits.detach_storage(arena)
    hits.labels("200").inc()
    hits.labels("500").inc()
    assert [row.numbers for row in hits.rows()] == [[4.0], [1.0]]
    assert before.tolist() == [3.0]
    assert arena.forgotten == [("200",)]


def test_leaving_a_memory_that_the_metric_is_not_in_changes_nothing() -> None:
    arena, other = Arena(), Arena()
    hits = Counter("hits_total", "Hits.", registry=None)
    hits.attach_storage(arena)
    hits.detach_storage(other)
    hits.inc()
    assert arena[()] == [1.0]


def test_a_removed_series_is_forgotten_and_its_handles_write_elsewhere(arena: Arena, hits: Counter) -> None:
    hits.attach_storage(arena)
    old = hits.labels("200")
    old.inc(3)
    view = arena.views["200",]
    assert hits.remove("200")
    old.inc()
    assert view.tolist() == [3.0]
    assert arena.forgotten == [("200",)]
    hits.labels("200").inc()
    assert arena["200",] == [1.0]


def test_clearing_forgets_every_series(arena: Arena) -> None:
    hits = Counter("hits_total", "Hits.", ["code"], labels_from={"code": ["200"]}, registry=None)
    hits.attach_storage(arena)
    hits.labels("200").inc(3)
    hits.labels("500").inc(3)
    hits.clear()
    assert sorted(arena.forgotten) == [("200",), ("500",)]
    assert rows_of(hits) == [Row(("200",), [0.0])]
    assert list(arena.views) == [("200",)]


def test_a_function_writes_to_memory_when_it_is_refreshed(arena: Arena, gauge: Gauge) -> None:
    gauge.set_function(lambda: 7.0)
    gauge.attach_storage(arena)
    assert arena[()] == [0.0]
    gauge.refresh()
    assert arena[()] == [7.0]
    assert gauge.value == 7.0
    with pytest.raises(PytheusError, match="takes its number from a function"):
        gauge.set(1)
    gauge.set_function(None)
    gauge.set(2)
    assert arena[()] == [2.0]


def test_a_function_set_in_memory_leaves_with_the_gauge(arena: Arena, gauge: Gauge) -> None:
    gauge.attach_storage(arena)
    gauge.set_function(lambda: 7.0)
    gauge.refresh()
    gauge.detach_storage(arena)
    assert gauge.rows() == [Row((), [7.0])]
    gauge.set_function(None)
    gauge.set(3)
    assert arena.doubles[0] == 7.0


@pytest.mark.parametrize("first", [True, False], ids=["memory first", "second definition first"])
def test_a_metric_that_is_defined_twice_writes_to_the_same_memory(
    first: bool, arena: Arena, registry: CollectorRegistry
) -> None:
    hits = Counter("hits_total", "Hits.", registry=registry)
    if first:
        hits.attach_storage(arena)
    again = Counter("hits_total", "Hits.", registry=registry)
    again.inc()
    hits.attach_storage(arena)
    again.inc()
    hits.inc()
    assert arena[()] == [3.0]
    labelled = Counter("views_total", "Views.", ["page"], registry=registry)
    second = Counter("views_total", "Views.", ["page"], registry=registry)
    labelled.attach_storage(other := Arena())
    second.labels("a").inc()
    assert other["a",] == [1.0]


def test_what_is_in_memory_is_exposed_as_before(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", ["code"], registry=registry)
    sizes = Histogram("sizes", "Sizes.", buckets=(1,), registry=registry)
    hits.labels("200").inc(3)
    sizes.observe(2)
    before = generate_metrics(registry)
    hits.attach_storage(Arena())
    sizes.attach_storage(Arena())
    assert generate_metrics(registry) == before
    hits.labels("200").inc()
    sizes.observe(0.5)
    assert 'hits_total{code="200"} 4.0' in generate_metrics(registry)
    assert 'sizes_bucket{le="1.0"} 1.0' in generate_metrics(registry)
