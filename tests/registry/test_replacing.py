"""`replace`: a collector takes the place of the one that the same code made before."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pytheus import Counter, Gauge, generate_metrics
from pytheus.compose import labelled
from pytheus.exceptions import ConflictError, NotACollectorError
from pytheus.registry import Collector, CollectorRegistry, CollectorRegistryProxy, Registry
from pytheus.samples import Family, Sample
from pytheus.shards import MemoryShardStore, ShardedRegistry
from tests.testing.sound_registry import Sound

CELL = """
class Queue:
    name = {name!r}
    def collect(self):
        yield Family("queue_length", "gauge", "Jobs.", [Sample("", {{}}, {value})])
"""


def run_cell(value: float, name: str = "queue") -> Collector:
    """Run the cell of a notebook, which defines its class again."""
    names: dict[str, object] = {"Family": Family, "Sample": Sample, "__name__": "__main__"}
    exec(CELL.format(value=value, name=name), names)
    made: Callable[[], Collector] = names["Queue"]  # type: ignore[assignment]  # a class
    return made()


@pytest.fixture(params=["own", "proxy", "block", "plain", "layer", "shards"])
def registry(request: pytest.FixtureRequest) -> Iterator[CollectorRegistryProxy | CollectorRegistry]:
    own = CollectorRegistry()
    if request.param == "own":
        yield own
    elif request.param == "block":
        proxy = CollectorRegistryProxy(CollectorRegistry())
        with proxy.use(own):
            yield proxy
    else:
        registries: dict[str, Registry] = {
            "proxy": own,
            "plain": Sound(),
            "layer": labelled(own),
            "shards": ShardedRegistry(MemoryShardStore()),
        }
        yield CollectorRegistryProxy(registries[request.param])


def shown(registry: CollectorRegistryProxy | CollectorRegistry) -> list[str]:
    return [line for line in generate_metrics(registry, strict=True).splitlines() if line[0] != "#"]


def test_a_cell_that_is_run_again_replaces_its_collector(registry: CollectorRegistry) -> None:
    for value in (1.0, 2.0, 3.0):
        registry.replace(run_cell(value))
    assert shown(registry) == ["queue_length 3.0"]


def test_a_collector_of_another_name_or_class_stays(registry: CollectorRegistry) -> None:
    class Other:
        name = "queue"

        def collect(self) -> list[Family]:
            return [Family("other", "gauge", "Other.", [Sample("", {}, 1.0)])]

    registry.register(Other())
    registry.register(run_cell(1.0, "mail"))
    registry.register(Gauge("queue", "A metric.", registry=None))
    newcomer = run_cell(2.0, "queue")
    registry.replace(newcomer)
    held = list(registry.collect())
    assert len(held) == 4
    registry.replace(newcomer)
    assert len(list(registry.collect())) == 4


def test_a_metric_with_other_labels_replaces_the_one_of_its_name(registry: CollectorRegistry) -> None:
    Counter("orders_total", "Orders.", ["method"], registry=registry).labels("card").inc()
    orders = Counter("orders_total", "Orders.", ["method", "country"], registry=None)
    orders.labels("card", "at").inc(2)
    with pytest.raises(ConflictError):
        registry.register(orders)
    registry.replace(orders)
    assert shown(registry) == ['orders_total{method="card",country="at"} 2.0']


def test_a_refusal_changes_nothing(registry: CollectorRegistry) -> None:
    old = Counter("orders_total", "Orders.", registry=registry)
    old.inc()
    Gauge("orders_count", "In the way.", registry=registry)
    before = shown(registry)
    with pytest.raises(ConflictError):
        registry.replace(Gauge("orders_total", "Of another type.", registry=None))
    assert sorted(shown(registry)) == sorted(before)


def test_an_object_that_is_not_a_collector_is_refused() -> None:
    registry = CollectorRegistry()
    with pytest.raises(NotACollectorError):
        registry.replace(object())  # type: ignore[arg-type]  # a mistake
    assert len(registry) == 0


def test_it_keeps_its_place() -> None:
    registry = CollectorRegistry()
    first, last = Gauge("first", "F.", registry=registry), Gauge("last", "L.", registry=None)
    registry.register(run_cell(1.0))
    registry.register(last)
    second = run_cell(2.0)
    registry.replace(second)
    assert list(registry) == [first, second, last]


def test_a_conflict_says_how_to_replace_the_first() -> None:
    registry = CollectorRegistry()
    old = Counter("orders_total", "Orders.", ["method"], registry=registry)
    with pytest.raises(
        ConflictError, match=r"REGISTRY\.unregister\(old\) before, where old is REGISTRY\.find\('orders_t"
    ):
        Counter("orders_total", "Orders.", ["method", "country"], registry=registry)
    found = registry.find("orders_total")
    assert found is not None
    assert found is old
    registry.unregister(found)
    Counter("orders_total", "Orders.", ["method", "country"], registry=registry)
