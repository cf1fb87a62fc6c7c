"""Exemplars by context, and from the spans of OpenTelemetry."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from pytheus import Counter, Gauge, Histogram, exemplar
from pytheus.exceptions import InvalidNameError, LabelError, PytheusWarning
from pytheus.metrics import exemplars, exemplars_from_opentelemetry
from pytheus.registry.traversal import flatten
from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry


@pytest.fixture
def hits() -> Counter:
    return Counter("hits_total", "Hits.", registry=None)


@pytest.fixture
def latency() -> Histogram:
    return Histogram("latency_seconds", "Latency.", buckets=[0.1, 1.0], registry=None)


@pytest.fixture(autouse=True)
def nothing_stays_in_use() -> Iterator[None]:
    yield
    assert not exemplars.CONTEXTS.in_use


def kept(metric: Counter | Histogram) -> dict[int, dict[str, str]]:
    """The labels of the exemplars of the only series, by slot."""
    (row,) = metric.rows()
    return {slot: dict(each.labels) for slot, each in (row.exemplars or {}).items()}


def trace_of(metric: Counter | Histogram) -> str | None:
    return kept(metric).get(0, {}).get("trace_id")


def test_everything_counted_in_the_block_gets_it(hits: Counter, latency: Histogram) -> None:
    before = time.time()
    with exemplar(trace_id="4bf92f35") as labels:
        assert labels == {"trace_id": "4bf92f35"}
        hits.inc(2)
        latency.observe(0.5)
        latency.observe(5)
    (row,) = latency.rows()
    assert row.exemplars is not None
    assert sorted(row.exemplars) == [2, 3]
    found = row.exemplars[2]
    assert found[:2] == ({"trace_id": "4bf92f35"}, 0.5)
    assert found.timestamp is not None
    assert before <= found.timestamp <= time.time()
    (row,) = hits.rows()
    assert row.exemplars is not None
    assert row.exemplars[0][:2] == ({"trace_id": "4bf92f35"}, 2.0)


def test_outside_of_blocks_none_is_kept(hits: Counter, latency: Histogram) -> None:
    with exemplar(trace_id="a"):
        pass
    hits.inc()
    latency.observe(1)
    assert (kept(hits), kept(latency)) == ({}, {})


def _timed(latency: Histogram) -> None:
    with latency.time():
        pass


def _decorated(latency: Histogram) -> None:
    latency(lambda: None)()


def _bound_before(latency: Histogram) -> Callable[[], None]:
    observe = latency.observe
    return lambda: observe(0.01)


@pytest.mark.parametrize("measure", [_timed, _decorated])
def test_a_timer_gets_it(measure: Callable[[Histogram], None], latency: Histogram) -> None:
    with exemplar(trace_id="a"):
        measure(latency)
    assert kept(latency) == {1: {"trace_id": "a"}}


def test_a_method_that_was_bound_before_gets_it(latency: Histogram) -> None:
    observe = _bound_before(latency)
    with exemplar(trace_id="a"):
        observe()
    assert kept(latency) == {1: {"trace_id": "a"}}


def test_counted_exceptions_get_it(hits: Counter) -> None:
    with exemplar(trace_id="a"), pytest.raises(ValueError, match="broken"), hits.count_exceptions():
        raise ValueError("broken")
    assert trace_of(hits) == "a"


def test_a_handle_whose_series_does_not_exist_yet_gets_it() -> None:
    hits = Counter("hits_total", "Hits.", ["path"], default_labels={"path": "/"}, registry=None)
    latency = Histogram("latency_seconds", "Latency.", ["path"], registry=None)
    with exemplar(trace_id="a"):
        hits.inc()
        latency.labels("/").observe(1)
    assert trace_of(hits) == "a"
    assert len(kept(latency)) == 1


def test_native_buckets_keep_them() -> None:
    latency = Histogram("latency_seconds", "Latency.", native=True, buckets=(), registry=None)
    with exemplar(trace_id="a"):
        latency.observe(0.5)
        latency.observe(0.5)
        _timed(latency)
        latency.observe(0.0)
    latency.observe(0.7)
    (row,) = latency.rows()
    assert row.native is not None
    assert row.native.total == 5
    assert {each.value for each in row.native_exemplars} >= {0.5}
    assert {each.labels["trace_id"] for each in row.native_exemplars} == {"a"}


def test_an_explicit_one_comes_first(hits: Counter) -> None:
    with exemplar(trace_id="block"):
        hits.inc(exemplar={"trace_id": "explicit"})
    assert trace_of(hits) == "explicit"


def test_the_innermost_block_counts_and_the_outer_one_after_it(hits: Counter) -> None:
    seen = []
    with exemplar(trace_id="outer"):
        with exemplar(trace_id="inner"):
            hits.inc()
            seen.append(trace_of(hits))
        hits.inc()
        seen.append(trace_of(hits))
    assert seen == ["inner", "outer"]


def test_one_object_can_be_entered_in_its_own_block(hits: Counter) -> None:
    block = exemplar(trace_id="a")
    with block, exemplar(trace_id="b"), block:
        hits.inc()
    assert trace_of(hits) == "a"
    assert repr(block) == "<exemplar {'trace_id': 'a'}>"


def test_an_error_ends_the_block(hits: Counter) -> None:
    with pytest.raises(ValueError, match="broken"), exemplar(trace_id="a"):
        raise ValueError("broken")
    hits.inc()
    assert kept(hits) == {}


def test_a_thread_has_its_own(hits: Counter, together: Callable[..., None]) -> None:
    others = Counter("others_total", "Others.", registry=None)
    with exemplar(trace_id="a"):
        thread = threading.Thread(target=others.inc)
        thread.start()
        thread.join()
        hits.inc()
    assert (trace_of(hits), trace_of(others)) == ("a", None)

    def count(trace_id: str) -> None:
        own = Counter("own_total", "Own.", registry=None)
        for number in range(300):
            with exemplar(trace_id=f"{trace_id}{number}"):
                own.inc()
                assert trace_of(own) == f"{trace_id}{number}"

    together(*[lambda trace_id=trace_id: count(trace_id) for trace_id in "abcd"])


def test_a_task_has_its_own() -> None:
    metrics = {name: Counter(f"{name}_total", "Counts.", registry=None) for name in "abc"}

    async def count(name: str) -> None:
        with exemplar(trace_id=name):
            await asyncio.sleep(0)
            await asyncio.create_task(child(name))

    async def child(name: str) -> None:
        await asyncio.sleep(0)
        metrics[name].inc()

    async def main() -> None:
        await asyncio.gather(*map(count, metrics))

    asyncio.run(main())
    assert {name: trace_of(metric) for name, metric in metrics.items()} == {name: name for name in "abc"}


def test_a_block_may_end_in_another_context(hits: Counter) -> None:
    # As that of an asynchronous generator that the event loop closes.
    import contextvars

    stack = ExitStack()
    contextvars.copy_context().run(stack.enter_context, exemplar(trace_id="a"))
    with exemplar(trace_id="b"):
        stack.close()
        hits.inc()
    assert trace_of(hits) == "b"


def test_labels_are_given_as_a_mapping_or_by_name(hits: Counter) -> None:
    with exemplar({"trace_id": "a", "shard": 7}, span_id="b"):
        hits.inc()
    assert kept(hits) == {0: {"trace_id": "a", "shard": "7", "span_id": "b"}}


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        ({"trace_id": "x" * 121}, LabelError, r"exemplar\(...\) has 129 characters in its labels \('trace_id',\)"),
        ({"__name__": "x"}, InvalidNameError, "reserved for Prometheus"),
        ({"": "x"}, InvalidNameError, "does not allow"),
    ],
)
def test_invalid_labels_raise_before_the_block(labels: dict[str, str], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        exemplar(labels)


def test_128_characters_are_allowed(hits: Counter) -> None:
    with exemplar(trace_id="é" * 120):
        hits.inc()
    assert trace_of(hits) == "é" * 120


def test_a_value_of_another_type_is_converted_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.warns(PytheusWarning, match="label 'ratio'"), exemplar(ratio=0.5) as labels:  # type: ignore[arg-type]  # as said
        assert labels == {"ratio": "0.5"}


def test_gauges_have_none() -> None:
    gauge = Gauge("carts", "Carts.", registry=None)
    with exemplar(trace_id="a"):
        gauge.inc()
    (row,) = gauge.rows()
    assert not row.exemplars


def test_other_processes_see_it() -> None:
    backend = MemoryBackend()
    registry, other = (ShardedRegistry(MemoryShardStore(backend)) for _ in range(2))
    hits = Counter("hits_total", "Hits.", registry=registry)
    with exemplar(trace_id="a"):
        hits.inc()

    found = [
        sample.exemplar
        for collector in other.collect()
        for family in flatten(collector)
        for sample in family.samples
        if sample.exemplar is not None
    ]
    assert [each.labels for each in found] == [{"trace_id": "a"}]


# OpenTelemetry -------------------------------------------------------------------------------------------------------


@pytest.fixture
def from_spans() -> Iterator[None]:
    pytest.importorskip("opentelemetry")
    exemplars_from_opentelemetry()
    yield
    exemplars_from_opentelemetry(False)


def in_span(call: Callable[[], object], *, is_sampled: bool = True, trace_id: int = 0x4BF92F35) -> None:
    from opentelemetry import trace

    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if is_sampled else trace.TraceFlags.DEFAULT)
    context = trace.SpanContext(trace_id, 0xABC, is_remote=False, trace_flags=flags)
    with trace.use_span(trace.NonRecordingSpan(context)):
        call()


@pytest.mark.usefixtures("from_spans")
def test_a_sampled_span_is_referred_to(hits: Counter, latency: Histogram) -> None:
    labels = {"trace_id": "0000000000000000000000004bf92f35", "span_id": "0000000000000abc"}

    def count() -> None:
        hits.inc()
        latency.observe(0.5)

    in_span(count)
    assert (kept(hits), kept(latency)) == ({0: labels}, {2: labels})
    in_span(hits.inc, trace_id=1)
    assert trace_of(hits) == f"{1:032x}"


@pytest.mark.usefixtures("from_spans")
def test_no_other_span_is_referred_to(hits: Counter) -> None:
    hits.inc()
    in_span(hits.inc, is_sampled=False)
    in_span(hits.inc, trace_id=0)
    assert kept(hits) == {}


@pytest.mark.usefixtures("from_spans")
def test_a_block_comes_before_the_span(hits: Counter) -> None:
    def count() -> None:
        with exemplar(trace_id="block"):
            hits.inc()

    in_span(count)
    assert trace_of(hits) == "block"


def test_spans_are_referred_to_on_request_alone(hits: Counter) -> None:
    pytest.importorskip("opentelemetry")
    in_span(hits.inc)
    exemplars_from_opentelemetry()
    exemplars_from_opentelemetry(False)
    in_span(hits.inc)
    assert kept(hits) == {}


def test_without_opentelemetry_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytheus.metrics.spans", None)
    with pytest.raises(ImportError, match="pip install opentelemetry-api"):
        exemplars_from_opentelemetry()
