"""Collectors that users write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from pytheus import CustomCollector, Gauge, generate_metrics
from pytheus.metrics import Family, Sample
from pytheus.registry import Collector, CollectorRegistry
from tests.exposition.conftest import Custom


class Queues(CustomCollector):
    def collect(self) -> Iterator[Family]:
        yield Family("queue_length", "gauge", "Jobs waiting.", [Sample("", {"queue": "mail"}, 3.0)])


class Plain:
    def collect(self) -> Iterator[Family]:
        yield from Queues().collect()


@pytest.mark.parametrize("make", [Queues, Plain], ids=["CustomCollector", "any object with collect"])
def test_its_families_are_exposed(registry: CollectorRegistry, make: Callable[[], Collector]) -> None:
    registry.register(make())
    assert generate_metrics(registry) == (
        '# HELP queue_length Jobs waiting.\n# TYPE queue_length gauge\nqueue_length{queue="mail"} 3.0\n'
    )


def test_it_must_say_how_it_collects() -> None:
    class Nothing(CustomCollector):
        pass

    with pytest.raises(TypeError, match="collect"):
        Nothing()  # type: ignore[abstract]  # the very thing that is tested


def test_its_name_is_its_classs_unless_it_says_otherwise(registry: CollectorRegistry) -> None:
    class Named(Queues):
        name = "the queues"

    class Derived(Named):
        def collect(self) -> Iterator[Family]:
            raise OSError("no answer")

    class Computed(Queues):
        @property
        def name(self) -> str:  # type: ignore[override]  # one that can only be read
            return "computed"

    assert (Queues.name, Queues().name) == ("Queues", "Queues")
    assert (Named.name, Named().name, Derived().name, Computed().name) == (*["the queues"] * 3, "computed")
    derived = Derived()
    derived.name = "one of them"
    registry.register(derived)
    assert 'pytheus_collector_errors_total{collector="one of them"} 1.0' in generate_metrics(registry)


def test_it_is_collected_at_each_scrape_and_not_before(registry: CollectorRegistry) -> None:
    class Counting:
        calls = 0

        def collect(self) -> list[Family]:
            self.calls += 1
            return [Family("calls", "gauge", "Calls.", [Sample("", {}, float(self.calls))])]

    counting = Counting()
    registry.register(counting)
    assert counting.calls == 0
    generate_metrics(registry)
    assert generate_metrics(registry).endswith("\ncalls 2.0\n")


def test_it_may_yield_metrics_that_are_registered_nowhere(registry: CollectorRegistry) -> None:
    level = Gauge("level", "Level.", ["a"], registry=None)
    level.labels("x").set(2)
    registry.register(Custom(level))
    for _ in range(2):
        assert generate_metrics(registry).endswith('\nlevel{a="x"} 2.0\n')


def test_it_may_yield_collectors_that_yield_collectors(registry: CollectorRegistry) -> None:
    outer = Family("outer", "gauge", "Outer.", [Sample("", {}, 1.0)])
    registry.register(Custom(outer, Custom(Queues())))
    text = generate_metrics(registry)
    assert "\nouter 1.0\n" in text
    assert '\nqueue_length{queue="mail"} 3.0\n' in text


def test_it_may_register_metrics_while_it_is_collected(registry: CollectorRegistry) -> None:
    class Registering:
        def collect(self) -> Iterable[Family]:
            Gauge("made_while_scraped", "Made.", registry=registry).inc()
            return ()

    registry.register(Registering())
    generate_metrics(registry)
    generate_metrics(registry)
    [made] = [collector for collector in registry.collect() if isinstance(collector, Gauge)]
    assert made.value == 2.0


def test_one_that_yields_itself_fails_alone(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    cycle = Custom()
    cycle.parts = (cycle,)
    registry.register(cycle)
    Gauge("level", "Level.", registry=registry).set(1)
    text = generate_metrics(registry)
    assert "\nlevel 1.0\n" in text
    assert '\npytheus_collector_errors_total{collector="Custom"} 1.0\n' in text
    assert "does one yield itself?" in caplog.text
