"""Failures of collectors: counted for each registry, logged once."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Iterable, Iterator
from functools import partial

import pytest

from pytheus import Counter, Gauge, generate_metrics
from pytheus.exceptions import InvalidNameError
from pytheus.metrics import Family, Sample
from pytheus.registry import Collector, CollectorRegistry
from tests.exposition.conftest import Custom


class Broken:
    """Raises after it has yielded something."""

    def collect(self) -> Iterator[Family]:
        yield Family("half", "gauge", "Half.", [Sample("", {}, 1.0)])
        raise ValueError("sensor lost")


class BrokenAsWell(Broken):
    pass


class Moody:
    fails = True

    def collect(self) -> Iterator[Family]:
        if self.fails:
            raise OSError("not now")
        yield Family("mood", "gauge", "Mood.", [Sample("", {}, 1.0)])


class Named(Broken):
    def __init__(self, name: object) -> None:
        self.name = name


class Nameless(Broken):
    @property
    def name(self) -> str:
        raise RuntimeError("no name, either")


def _errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("pytheus_collector_errors_total")]


def test_only_the_first_failure_of_a_collector_is_logged(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    registry.register(Broken())
    registry.register(BrokenAsWell())
    for _ in range(3):
        generate_metrics(registry)
    assert [(record.name, record.levelno) for record in caplog.records] == [("pytheus.exposition", logging.ERROR)] * 2
    assert [record.args for record in caplog.records] == [("Broken",), ("BrokenAsWell",)]
    assert "sensor lost" in caplog.text


def test_the_others_are_served_whole(registry: CollectorRegistry) -> None:
    Gauge("before", "Before.", registry=registry).set(1)
    registry.register(Broken())
    Gauge("after", "After.", registry=registry).set(2)
    text = generate_metrics(registry)
    assert "\nbefore 1.0\n" in text
    assert "\nafter 2.0\n" in text
    assert "half" not in text


def test_a_collector_that_recovers_is_served_again(registry: CollectorRegistry) -> None:
    moody = Moody()
    registry.register(moody)
    generate_metrics(registry)
    moody.fails = False
    text = generate_metrics(registry)
    assert "\nmood 1.0\n" in text
    assert _errors(text) == ['pytheus_collector_errors_total{collector="Moody"} 1.0']


def test_a_gauges_function_that_raises_spoils_nothing_else(registry: CollectorRegistry) -> None:
    def fail() -> float:
        raise ZeroDivisionError

    Gauge("level", "Level.", registry=registry).set_function(fail)
    Gauge("other", "Other.", registry=registry).set(1)
    text = generate_metrics(registry)
    assert "level" not in text.replace('collector="level"', "")
    assert "\nother 1.0\n" in text
    assert _errors(text) == ['pytheus_collector_errors_total{collector="level"} 1.0']


@pytest.mark.parametrize(
    ("collector", "shown"),
    [
        (Broken(), "Broken"),
        (Nameless(), "Nameless"),
        (Named('a"\n'), 'a\\"\\n'),
        (Named("\ud800"), "?"),
        (Named(7), "Named"),
        (Named(""), "Named"),
        (Named(None), "Named"),
    ],
    ids=["class", "name that raises", "escaped", "surrogate", "no text", "empty", "None"],
)
def test_any_name_can_be_shown(registry: CollectorRegistry, collector: Collector, shown: str) -> None:
    registry.register(collector)
    for count in (1.0, 2.0, 3.0):
        assert _errors(generate_metrics(registry)) == [
            f'pytheus_collector_errors_total{{collector="{shown}"}} {count!r}'
        ]


def test_the_prefix_precedes_their_name(registry: CollectorRegistry) -> None:
    registry.prefix = "app"
    registry.register(Broken())
    assert "\napp_pytheus_collector_errors_total{" in generate_metrics(registry)


def test_each_registry_has_its_own() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    first.register(Broken())
    generate_metrics(first)
    assert generate_metrics(second) == ""


def test_its_name_is_taken_from_the_start(registry: CollectorRegistry) -> None:
    for make in (partial(Counter, "pytheus_collector_errors_total"), partial(Gauge, "pytheus_collector_errors")):  # type: ignore[pytheus-name]  # on purpose
        with pytest.raises(InvalidNameError, match="which counts failed collectors"):
            make("Mine.", registry=registry)
    assert len(registry) == 0
    registry.register(Custom(Family("pytheus_collector_errors_total", "counter", "Mine.", [Sample("", {}, 7.0)])))
    assert _errors(generate_metrics(registry)) == ['pytheus_collector_errors_total{collector="Custom"} 1.0']


def test_they_keep_no_registry_alive(caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry()
    registry.register(Broken())
    # Not logged, for pytest keeps the records, and with them the traceback and all its frames.
    with caplog.at_level(logging.CRITICAL, logger="pytheus.exposition"):
        generate_metrics(registry)
    watch = weakref.ref(registry)
    del registry
    gc.collect()
    assert watch() is None


class Slotted:
    """A registry without weak references."""

    __slots__ = ("gone", "held")
    prefix = None

    def __init__(self, gone: list[str], *held: Collector) -> None:
        self.gone = gone
        self.held = held

    def register(self, collector: Collector, /) -> None: ...
    def unregister(self, collector: Collector, /) -> None: ...
    def collect(self) -> Iterable[Collector]:
        return self.held

    def __del__(self) -> None:
        self.gone.append("gone")


def test_a_registry_without_weak_references_is_not_kept_alive_by_a_scrape() -> None:
    gone: list[str] = []
    generate_metrics(Slotted(gone))
    gc.collect()
    assert gone == ["gone"]


def test_a_registry_without_weak_references_counts_its_failures_too() -> None:
    registry = Slotted([], Broken())
    generate_metrics(registry)
    assert _errors(generate_metrics(registry)) == ['pytheus_collector_errors_total{collector="Broken"} 2.0']


def test_collectors_that_change_their_names_are_counted_in_a_bounded_number_of_series(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    class Changing:
        scrapes = 0

        @property
        def name(self) -> str:
            self.scrapes += 1
            return f"scrape {self.scrapes} " + "x" * 100_000

        def collect(self) -> Iterator[Family]:
            raise OSError("sensor lost")

    registry.register(Broken())
    registry.register(Changing())
    for _ in range(599):
        generate_metrics(registry)
    errors = _errors(generate_metrics(registry))
    assert len(errors) == 257
    assert sum(float(line.rpartition(" ")[2]) for line in errors) == 1200.0
    assert 'pytheus_collector_errors_total{collector="Broken"} 600.0' in errors
    assert any('collector="(others)"' in line for line in errors)
    assert max(map(len, errors)) < 400
    assert len(caplog.records) == 257
