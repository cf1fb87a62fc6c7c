"""A metric that is defined twice shares its values; one that conflicts is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, generate_metrics
from pytheus.exceptions import ConflictError
from pytheus.metrics import Metric
from pytheus.registry import CollectorRegistry
from pytheus.samples import Row
from tests.metrics.conftest import Written, write
from tests.metrics.written_metrics import rows_of

# Counters without the suffix have one name, by which they conflict with other types.
pytestmark = pytest.mark.filterwarnings("ignore:counter .* has no suffix")


@pytest.mark.parametrize("labels", [[], ["a"]], ids=["without labels", "with labels"])
def test_counters_share(registry: CollectorRegistry, labels: list[str]) -> None:
    first, second, third = (Counter("hits_total", "Hits.", labels, registry=registry) for _ in range(3))
    values = ["x"] * len(labels)
    first.labels(*values).inc(1)
    second.labels(*values).inc(2)
    third.labels(*values).inc(4)
    assert first.labels(*values).value == second.labels(*values).value == third.labels(*values).value == 7.0
    assert generate_metrics(registry).endswith(" 7.0\n")
    assert len(registry) == 1


def test_what_was_counted_before_the_second_definition_is_kept(registry: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", registry=registry).inc(5)
    assert Counter("hits_total", "Hits.", registry=registry).value == 5.0


def test_a_gauges_function_is_shared(registry: CollectorRegistry) -> None:
    first, second = (Gauge("level", "Level.", registry=registry) for _ in range(2))
    second.set_function(lambda: 9)
    assert first.value == 9.0
    first.set_function(None)
    second.inc()
    assert first.value == second.value == 1.0


def test_a_gauge_defined_again_keeps_its_function(registry: CollectorRegistry) -> None:
    Gauge("level", "Level.", registry=registry).set_function(lambda: 9)
    assert Gauge("level", "Level.", registry=registry).value == 9.0
    assert generate_metrics(registry).endswith("\nlevel 9.0\n")


def test_infos_share(registry: CollectorRegistry) -> None:
    first, second = (Info("build", "Build.", registry=registry) for _ in range(2))
    first.info(version="1")
    second.info(version="2")
    assert generate_metrics(registry).count("\nbuild_info{") == 1
    assert 'version="2"' in generate_metrics(registry)


def test_every_type_shares(registry: CollectorRegistry, written: Written) -> None:
    first, second = (written.make(registry=registry) for _ in range(2))
    write(first, written.first)
    write(second, written.second)
    name, value = written.attribute
    assert rows_of(first) == rows_of(second) == [Row((), written.numbers)]
    assert getattr(first, name) == getattr(second, name) == value


def test_clear_clears_for_both(registry: CollectorRegistry) -> None:
    first, second = (Counter("hits_total", "Hits.", registry=registry) for _ in range(2))
    first.inc()
    second.clear()
    assert first.value == 0.0
    first.inc(2)
    assert second.value == 2.0


def test_remove_removes_for_both(registry: CollectorRegistry) -> None:
    first, second = (Counter("hits_total", "Hits.", ["a"], registry=registry) for _ in range(2))
    first.labels("x").inc()
    assert second.remove("x")
    assert first.labels("x").value == 0.0


def test_descriptions_may_differ_and_the_first_one_stays(registry: CollectorRegistry) -> None:
    Counter("hits_total", "The first.", registry=registry)
    assert Counter("hits_total", "The second.", registry=registry).description == "The first."
    assert generate_metrics(registry).startswith("# HELP hits_total The first.\n")


def test_each_definition_keeps_its_own_default_labels(registry: CollectorRegistry) -> None:
    first = Counter("hits_total", "Hits.", ["a"], default_labels={"a": "x"}, registry=registry)
    second = Counter("hits_total", "Hits.", ["a"], default_labels={"a": "y"}, registry=registry)
    first.inc()
    second.inc(2)
    assert generate_metrics(registry).splitlines()[2:] == ['hits_total{a="x"} 1.0', 'hits_total{a="y"} 2.0']


CONFLICTS: list[tuple[str, Callable[[CollectorRegistry], Metric], Callable[[CollectorRegistry], Metric]]] = [
    ("type", lambda r: Counter("x", "X.", registry=r), lambda r: Gauge("x", "X.", registry=r)),
    ("labels", lambda r: Counter("x", "X.", ["a"], registry=r), lambda r: Counter("x", "X.", ["b"], registry=r)),
    ("no labels", lambda r: Counter("x", "X.", ["a"], registry=r), lambda r: Counter("x", "X.", registry=r)),
    (
        "buckets",
        lambda r: Histogram("x", "X.", buckets=(1,), registry=r),
        lambda r: Histogram("x", "X.", buckets=(2,), registry=r),
    ),
    (
        "states",
        lambda r: StateSet("x", "X.", states=["a"], registry=r),
        lambda r: StateSet("x", "X.", states=["b"], registry=r),
    ),
]


@pytest.mark.parametrize("conflict", CONFLICTS, ids=[name for name, _, _ in CONFLICTS])
def test_a_definition_that_differs_is_refused_and_names_both_places(
    registry: CollectorRegistry,
    conflict: tuple[str, Callable[[CollectorRegistry], Metric], Callable[[CollectorRegistry], Metric]],
) -> None:
    _, make_first, make_second = conflict
    first = make_first(registry)
    with pytest.raises(ConflictError) as caught:
        make_second(registry)
    message = str(caught.value)
    assert message.count("test_sharing.py:") == 2
    assert caught.value.name == "x"
    assert caught.value.incumbent is first
    assert list(registry) == [first]


def test_a_refused_metric_still_counts_for_itself_alone(registry: CollectorRegistry) -> None:
    first = Counter("x", "X.", registry=registry)
    with pytest.raises(ConflictError):
        Gauge("x", "X.", registry=registry)
    first.inc()
    assert generate_metrics(registry).endswith("\nx 1.0\n")


def test_metrics_in_different_registries_share_nothing() -> None:
    first = Counter("hits_total", "Hits.", registry=CollectorRegistry())
    second = Counter("hits_total", "Hits.", registry=CollectorRegistry())
    first.inc()
    assert second.value == 0.0


def test_one_defined_again_after_unregistering_starts_at_zero(registry: CollectorRegistry) -> None:
    first = Counter("hits_total", "Hits.", registry=registry)
    first.inc()
    registry.unregister(first)
    assert Counter("hits_total", "Hits.", registry=registry).value == 0.0


def test_either_handle_unregisters_the_metric(registry: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", registry=registry)
    second = Counter("hits_total", "Hits.", registry=registry)
    assert second in registry
    registry.unregister(second)
    assert len(registry) == 0
    assert "hits_total" not in registry


def test_it_works_in_a_registry_that_offers_no_lookup() -> None:
    class Plain:
        prefix: str | None = None

        def __init__(self) -> None:
            self.held: list[object] = []

        def register(self, collector: object) -> None:
            self.held.append(collector)

        def unregister(self, collector: object) -> None:
            self.held.remove(collector)

        def collect(self) -> list[Metric]:
            return [held for held in self.held if isinstance(held, Metric)]

    registry = Plain()
    first, second = (Counter("hits_total", "Hits.", registry=registry) for _ in range(2))
    first.inc()
    second.inc()
    assert len(registry.held) == 1
    assert generate_metrics(registry).endswith("\nhits_total 2.0\n")
