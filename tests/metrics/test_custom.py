"""Collectors that users write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from pytheus import CustomCollector, Gauge, generate_metrics
from pytheus.metrics import Family, Metric, Sample
from pytheus.registry import Collector, CollectorRegistry


class Queues(CustomCollector):
    def collect(self) -> Iterator[Family]:
        yield Family("queue_length", "gauge", "Jobs waiting.", [Sample("", {"queue": "mail"}, 3.0)])


class Cycle:
    def collect(self) -> Iterator[Collector]:
        yield self


def test_its_families_are_exposed(registry: CollectorRegistry) -> None:
    registry.register(Queues())
    assert generate_metrics(registry) == (
        '# HELP queue_length Jobs waiting.\n# TYPE queue_length gauge\nqueue_length{queue="mail"} 3.0\n'
    )


def test_it_must_say_how_it_collects() -> None:
    class Nothing(CustomCollector):
        pass

    with pytest.raises(TypeError, match="collect"):
        Nothing()  # type: ignore[abstract]  # the very thing that is tested


def test_its_name_is_its_classs_unless_it_says_otherwise() -> None:
    class Named(Queues):
        @property
        def name(self) -> str:
            return "the queues"

    assert Queues().name == "Queues"
    assert Named().name == "the queues"


def test_any_object_with_collect_will_do(registry: CollectorRegistry) -> None:
    class Plain:
        def collect(self) -> list[Family]:
            return [Family("level", "gauge", "Level.", [Sample("", {}, 1.0)])]

    registry.register(Plain())
    assert generate_metrics(registry).endswith("\nlevel 1.0\n")


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
    class Metrics:
        def collect(self) -> Iterator[Metric]:
            level = Gauge("level", "Level.", ["a"], registry=None)
            level.labels("x").set(2)
            yield level

    registry.register(Metrics())
    assert generate_metrics(registry).endswith('\nlevel{a="x"} 2.0\n')
    assert generate_metrics(registry).endswith('\nlevel{a="x"} 2.0\n')


def test_it_may_yield_collectors_that_yield_collectors(registry: CollectorRegistry) -> None:
    class Outer:
        def collect(self) -> Iterator[Collector | Family]:
            yield Family("outer", "gauge", "Outer.", [Sample("", {}, 1.0)])
            yield Inner()

    class Inner:
        def collect(self) -> Iterator[Collector | Family]:
            yield Queues()

    registry.register(Outer())
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
    registry.register(Cycle())
    Gauge("level", "Level.", registry=registry).set(1)
    text = generate_metrics(registry)
    assert "\nlevel 1.0\n" in text
    assert '\npytheus_collector_errors_total{collector="Cycle"} 1.0\n' in text
    assert "does one yield itself?" in caplog.text
