"""A series that fails is missing alone, and counted: gauges' functions, through every layer and format."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from pytheus import Counter, Gauge, Histogram, generate_metrics
from pytheus.compose import filtered, labelled, limited, prefixed, read_only, union
from pytheus.definitions import Definition
from pytheus.exceptions import CollectorError
from pytheus.exposition.checked import CheckedFamily
from pytheus.exposition.walk import scrape
from pytheus.metrics import Family, Sample
from pytheus.registry import Collector, CollectorRegistry, Registry
from pytheus.registry.capabilities import HasRows
from tests.exposition.conftest import Custom


def _divide() -> float:
    return 1 / 0


def _exit() -> float:
    sys.exit(1)


def _cancel() -> float:
    raise asyncio.CancelledError


def _text() -> float:
    return "7"  # type: ignore[return-value]  # on purpose


FAILING: list[Callable[[], float]] = [_divide, _exit, _cancel, _text, lambda: 10**400]


def _level(registry: Registry | None, function: Callable[[], float] = _divide) -> Gauge:
    level = Gauge("level", "Level.", ["tank"], registry=registry)
    level.labels("a").set(1)
    level.labels("b").set_function(function)
    level.labels("c").set_function(lambda: 3)
    return level


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


COUNTED = 'pytheus_collector_errors_total{collector="level"} 1.0'


@pytest.mark.parametrize("function", FAILING)
def test_the_others_are_shown_and_it_is_counted(registry: CollectorRegistry, function: Callable[[], float]) -> None:
    _level(registry, function)
    Counter("hits_total", "Hits.", registry=registry).inc()
    assert _lines(generate_metrics(registry)) == [
        'level{tank="a"} 1.0',
        'level{tank="c"} 3.0',
        "hits_total 1.0",
        COUNTED,
    ]


def test_it_is_counted_once_for_each_scrape_and_logged_once(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    level = _level(registry)
    level.labels("d").set_function(_divide)
    for count in (1.0, 2.0):
        assert _lines(generate_metrics(registry))[-1] == f'pytheus_collector_errors_total{{collector="level"}} {count}'
    assert [(record.levelno, record.getMessage().partition(";")[0]) for record in caplog.records] == [
        (logging.ERROR, "a series of collector 'level' failed and is left out of the scrape")
    ]
    assert caplog.records[0].exc_info is not None


def test_it_comes_back(registry: CollectorRegistry) -> None:
    level = _level(registry)
    generate_metrics(registry)
    level.labels("b").set_function(lambda: 2)
    assert _lines(generate_metrics(registry))[:3] == [f'level{{tank="{tank}"}} {number}.0' for tank, number in
                                                      (("a", 1), ("b", 2), ("c", 3))]  # fmt: skip


def test_strict_raises_its_error(registry: CollectorRegistry) -> None:
    _level(registry)
    with pytest.raises(CollectorError, match="a series of collector 'level' failed: division by zero") as caught:
        generate_metrics(registry, strict=True)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


LAYERS: dict[str, Callable[[CollectorRegistry], Registry]] = {
    "filtered": lambda registry: filtered(registry, predicate=lambda head: True),
    "limited": lambda registry: limited(registry, max_series=100),
    "prefixed": lambda registry: prefixed(registry, "x"),
    "labelled": lambda registry: labelled(registry, host="h"),
    "read_only": read_only,
    "union": lambda registry: union(registry, CollectorRegistry()),
    "labelled, prefixed": lambda registry: labelled(prefixed(registry, "x"), host="h"),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_through_a_layer(registry: CollectorRegistry, layer: Callable[[CollectorRegistry], Registry]) -> None:
    _level(registry)
    above = layer(registry)
    lines = _lines(generate_metrics(above))
    assert [line.rpartition(" ")[2] for line in lines] == ["1.0", "3.0", "1.0"]
    assert "pytheus_collector_errors_total" in lines[-1]
    assert not any('tank="b"' in line for line in lines)


def test_in_a_custom_collector_beside_others(registry: CollectorRegistry) -> None:
    ages = Family("age", "gauge", "Age.", [Sample("", {}, 4.0)])
    registry.register(Custom(Custom(_level(None), ages), Histogram("h", "H.", buckets=[1], registry=None)))
    lines = _lines(generate_metrics(registry))
    assert lines[:3] == ['level{tank="a"} 1.0', 'level{tank="c"} 3.0', "age 4.0"]
    assert lines[-1] == 'pytheus_collector_errors_total{collector="Custom"} 1.0'


class _RowEncoder:
    def supports(self, collector: Collector, /) -> bool:
        return isinstance(collector, HasRows)

    def encode_collector(self, collector: HasRows, definition: Definition, lead: str, /) -> Iterator[str]:
        collector.refresh()
        for row in collector.rows():
            yield f"{definition.name} {'/'.join(row.labels)} {row.numbers}"

    def encode_family(self, family: CheckedFamily, /) -> str:
        return family.name

    def encode_end(self) -> tuple[str, ...]:
        return ()


def test_in_a_format_that_reads_rows(registry: CollectorRegistry) -> None:
    level = _level(registry)
    assert scrape(registry, _RowEncoder())[:-1] == ["level a [1.0]", "level c [3.0]"]
    level.labels("b").set_function(lambda: 2)
    assert scrape(registry, _RowEncoder())[:3] == ["level a [1.0]", "level b [2.0]", "level c [3.0]"]


def test_a_metric_with_nothing_else_to_show_is_missing_as_a_whole(registry: CollectorRegistry) -> None:
    Gauge("level", "Level.", registry=registry).set_function(_divide)
    text = generate_metrics(registry)
    assert _lines(text) == [COUNTED]
    assert "# TYPE level" not in text


def test_outside_of_a_scrape_its_error_is_raised() -> None:
    level = _level(None)
    reads: list[Callable[[], object]] = [
        lambda: list(level.collect()),
        lambda: level.text_parts(""),
        level.refresh,
        lambda: level.labels("b").value,
    ]
    for read in reads:
        with pytest.raises(ZeroDivisionError):
            read()


def test_a_scrape_in_a_scrape_keeps_its_own_failures(registry: CollectorRegistry) -> None:
    inner = CollectorRegistry()
    _level(inner)

    class Nested:
        def collect(self) -> Iterator[Family]:
            text = generate_metrics(inner)
            yield Family("lines", "gauge", "Lines.", [Sample("", {}, float(len(_lines(text))))])

    registry.register(Nested())
    Gauge("late", "Late.", ["a"], registry=registry).labels("x").set_function(_divide)
    assert _lines(generate_metrics(registry)) == [
        "lines 3.0",
        'pytheus_collector_errors_total{collector="late"} 1.0',
    ]


def test_a_signal_to_the_program_still_ends_it(registry: CollectorRegistry) -> None:
    import signal

    def interrupt() -> float:
        signal.raise_signal(signal.SIGINT)
        return 1.0

    _level(registry, interrupt)
    with pytest.raises(KeyboardInterrupt):
        generate_metrics(registry)


@pytest.mark.parametrize("make", [partial(Gauge, mode="max"), partial(Gauge, mode="each"), Gauge])
def test_gauges_of_every_mode(registry: CollectorRegistry, make: Callable[..., Gauge]) -> None:
    level = make("level", "Level.", ["tank"], registry=registry)
    level.labels("a").set(1)
    level.labels("b").set_function(_divide)
    assert _lines(generate_metrics(registry)) == ['level{tank="a"} 1.0', COUNTED]
