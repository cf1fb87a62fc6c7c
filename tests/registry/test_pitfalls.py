"""Known defects of the registries of other libraries, which must not occur here."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from pytheus import Counter, Gauge, Histogram, generate_metrics
from pytheus.exceptions import BucketError
from pytheus.metrics import Family, Sample
from pytheus.registry import Collector, CollectorRegistry, CollectorRegistryProxy
from tests.registry.conftest import Plain

pytestmark = pytest.mark.pitfall


def _gauge(name: str) -> Family:
    return Family(name, "gauge", "A gauge.", [Sample("", {}, 1.0)])


def test_a_registry_whose_length_is_0_is_not_dropped() -> None:
    empty, another = Plain(), Plain(prefix="other")
    proxy = CollectorRegistryProxy(empty)
    Counter("x_total", "X.", registry=proxy).inc()
    assert (len(empty.held), proxy.registry) == (1, empty)
    proxy.set_registry(another)
    assert (proxy.registry, proxy.prefix) == (another, "other")
    assert "\nother_x_total 1.0\n" in generate_metrics(another)


def test_a_collector_that_creates_a_metric_inside_collect_does_not_deadlock(
    registry: CollectorRegistry, together: Callable[..., None]
) -> None:
    class Creating:
        def collect(self) -> Iterator[Family]:
            Counter("made_total", "Made.", registry=registry).inc()
            yield _gauge("x")

    def work() -> None:
        registry.register(Creating())
        generate_metrics(registry, strict=True)

    # In a thread, so that a deadlock fails this test and does not stop the others.
    together(work)
    made = registry.find("made_total")
    assert isinstance(made, Counter)
    assert made.value == 1.0


def test_metrics_that_are_registered_while_a_scrape_runs_do_not_break_it(registry: CollectorRegistry) -> None:
    class Registering:
        number = 0

        def collect(self) -> Iterator[Family]:
            for _ in range(100):
                Registering.number += 1
                Gauge(f"made_{self.number}", "Made.", registry=registry)
            yield _gauge("x")

    Gauge("first", "First.", registry=registry)
    registry.register(Registering())
    Gauge("last", "Last.", registry=registry)
    text = generate_metrics(registry, strict=True)
    assert "\nfirst 0.0\n" in text
    assert "\nlast 0.0\n" in text


def test_series_that_are_made_while_a_metric_is_collected_do_not_break_it(registry: CollectorRegistry) -> None:
    counter = Counter("x_total", "X.", ["a"], registry=registry)
    counter.labels("0")
    for family in counter.collect():
        for number, _ in enumerate(family.samples):
            counter.labels(str(number + 1))
    assert generate_metrics(registry).count("x_total{") == 2


def test_a_metric_is_registered_only_when_it_is_complete(registry: CollectorRegistry) -> None:
    for buckets in ([3, 1], [1, 1], [], ["a"]):
        with pytest.raises(BucketError):
            Histogram("x", "X.", buckets=buckets, registry=registry)  # type: ignore[arg-type]  # "a" is a mistake
    assert generate_metrics(registry, strict=True) == ""
    Histogram("x", "X.", buckets=[1, 3], registry=registry).observe(2)
    assert generate_metrics(registry).endswith("\nx_count 1.0\n")


def test_selecting_by_name_needs_only_the_protocol() -> None:
    plain = Plain()
    wanted = Counter("wanted_total", "Wanted.", registry=plain)
    Counter("other_total", "Other.", registry=plain)

    class Selected:
        """A filter that uses only the protocol: collectors, and their definitions."""

        prefix: str | None = None

        def register(self, collector: Collector) -> None: ...
        def unregister(self, collector: Collector) -> None: ...
        def collect(self) -> Iterable[Collector]:
            return [held for held in plain.collect() if getattr(held, "name", "") == wanted.name]

    text = generate_metrics(Selected())
    assert "\nwanted_total 0.0\n" in text
    assert "other" not in text


def test_a_module_that_runs_twice_raises_no_error_and_loses_no_values(tmp_path: Path) -> None:
    path = tmp_path / "its_metrics.py"
    path.write_text(
        "from pytheus import Counter, Histogram\n"
        "def define(registry):\n"
        "    Counter('x_total', 'X.', ['a'], registry=registry).labels('1').inc()\n"
        "    Histogram('h', 'H.', buckets=(1, 2), registry=registry).observe(1)\n",
        encoding="utf-8",
    )
    registry = CollectorRegistry()
    for _ in range(3):
        spec = importlib.util.spec_from_file_location("its_metrics", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.define(registry)
    text = generate_metrics(registry)
    assert '\nx_total{a="1"} 3.0\n' in text
    assert text.endswith("\nh_count 3.0\n")
