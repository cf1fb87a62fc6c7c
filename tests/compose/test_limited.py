"""`limited`: metrics with a limited number of series."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from pytheus import Counter, Gauge, Histogram, generate_metrics
from pytheus.compose import filtered, labelled, limited, prefixed, union
from pytheus.exceptions import OutOfRangeError
from pytheus.registry import Collector, CollectorRegistry, CollectorRegistryProxy, Registry
from pytheus.shards import MemoryShardStore, ShardedRegistry


def visits_of(registry: Registry) -> Counter:
    return Counter("visits_total", "V.", ["user"], registry=registry)


def series_after(visits: Counter, users: str) -> int:
    """The number of series after a visit of each user, whose name is one letter."""
    for user in users:
        visits.labels(user).inc()
    return visits.series_count


def users_of(visits: Counter) -> set[str]:
    return {sample.labels["user"] for family in visits.collect() for sample in family.samples}


def test_a_metric_has_at_most_its_limit_of_series() -> None:
    visits = visits_of(limited(CollectorRegistry(), max_series_per_metric=10))
    for number in range(1000):
        visits.labels(str(number)).inc()
    assert visits.series_count == 11
    assert visits.labels("overflow").value == 990.0
    assert visits.labels("9").value == 1.0


def test_all_metrics_together_have_at_most_the_limit_of_series() -> None:
    registry = limited(CollectorRegistry(), max_series=5)
    depth = Gauge("depth", "Depth.", registry=registry)
    waits = [Histogram(f"wait_{name}", "Wait.", ["queue"], registry=registry) for name in "ab"]
    for number in range(20):
        waits[number % 2].labels(str(number)).observe(1)
    assert depth.series_count + sum(wait.series_count for wait in waits) == 5 + 2
    assert sum(wait.labels("overflow").count for wait in waits if wait.series_count > 1) > 0


def test_limits_nest() -> None:
    inner = limited(CollectorRegistry(), max_series_per_metric=2)
    visits = visits_of(prefixed(limited(inner, max_series=100), "app"))
    assert series_after(visits, "abcdefgh") == 3


def test_removed_series_no_longer_count() -> None:
    visits = visits_of(limited(CollectorRegistry(), max_series_per_metric=1))
    visits.labels("ann").inc()
    visits.remove("ann")
    visits.labels("bob").inc()
    assert users_of(visits) == {"bob"}


def test_existing_series_stay(below: CollectorRegistry) -> None:
    visits = Counter("visits_total", "V.", ["user"], labels_from={"user": ["a", "b", "c"]}, registry=below)
    registry = limited(below, max_series_per_metric=1)
    generate_metrics(registry)
    visits.labels("d").inc()
    assert visits.series_count == 4
    assert visits.labels("overflow").value == 1.0


def test_a_metric_that_shares_its_values_is_limited_too() -> None:
    registry = limited(CollectorRegistry(), max_series_per_metric=1)
    first = visits_of(registry)
    second = visits_of(registry)
    second.labels("a").inc()
    second.labels("b").inc()
    first.labels("c").inc()
    assert first.labels("overflow").value == 2.0


def test_metrics_that_move_to_it_are_limited() -> None:
    proxy = CollectorRegistryProxy(CollectorRegistry())
    visits = visits_of(proxy)
    proxy.set_registry(labelled(limited(CollectorRegistry(), max_series_per_metric=1), region="eu"))
    assert series_after(visits, "abc") == 2


def test_an_unregistered_metric_is_no_longer_limited() -> None:
    registry = limited(CollectorRegistry(), max_series_per_metric=1)
    visits = visits_of(registry)
    registry.unregister(visits)
    assert series_after(visits, "abc") == 3


def test_a_metric_unregistered_below_is_no_longer_limited_after_a_scrape(below: CollectorRegistry) -> None:
    registry = limited(below, max_series_per_metric=1)
    visits = visits_of(registry)
    below.unregister(visits)
    generate_metrics(registry)
    assert series_after(visits, "abc") == 3


@pytest.mark.parametrize(
    "layered",
    [
        lambda below: labelled(below, region="eu"),
        lambda below: filtered(below, names=["others_total"]),
        lambda below: union(CollectorRegistry(prefix="app"), below),
        lambda below: CollectorRegistryProxy(labelled(below, region="eu")),
        lambda below: ShardedRegistry(MemoryShardStore()),
    ],
    ids=["labelled", "filtered", "union", "proxy", "shards"],
)
def test_layers_below_make_no_difference_after_a_scrape(layered: Callable[[Registry], Registry]) -> None:
    registry = limited(layered(CollectorRegistry()), max_series_per_metric=1)
    visits = visits_of(registry)
    generate_metrics(registry)
    assert series_after(visits, "abc") == 2


def test_a_metric_that_a_layer_hides_is_limited_after_a_scrape(below: CollectorRegistry) -> None:
    visits = visits_of(below)
    generate_metrics(limited(filtered(below, names=["others_total"]), max_series_per_metric=1))
    assert series_after(visits, "abc") == 2


class _Failing(CollectorRegistry):
    def collect(self) -> Iterator[Collector]:
        raise OSError("out of order")


def test_after_a_member_has_failed_its_metrics_are_still_limited() -> None:
    registry = limited(union(_Failing(), CollectorRegistry()), max_series_per_metric=1)
    visits = visits_of(registry)
    generate_metrics(registry)
    assert series_after(visits, "abc") == 2


def test_a_metric_defined_during_a_scrape_is_limited() -> None:
    came: list[Counter] = []

    class Slow(CollectorRegistry):
        def collect(self) -> Iterator[Collector]:
            held = list(super().collect())
            if not came:
                came.append(visits_of(registry))
            return iter(held)

    registry = limited(Slow(), max_series_per_metric=1)
    generate_metrics(registry)
    assert series_after(came[0], "abc") == 2


def test_removed_series_no_longer_count_if_there_is_an_overflow_series() -> None:
    visits = visits_of(limited(CollectorRegistry(), max_series_per_metric=1))
    series_after(visits, "ab")
    visits.remove("a")
    visits.labels("c").inc()
    assert users_of(visits) == {"overflow", "c"}


def test_a_metric_that_is_cleared_may_have_its_limit_of_series_again() -> None:
    visits = visits_of(limited(CollectorRegistry(), max_series_per_metric=2))
    for _ in range(2):
        visits.clear()
        assert series_after(visits, "abcd") == 3


def test_overflow_series_do_not_count() -> None:
    registry = limited(CollectorRegistry(), max_series=1)
    visits, orders = (Counter(name, "V.", ["user"], registry=registry) for name in ("visits_total", "orders_total"))
    series_after(visits, "ab")
    visits.remove("a")
    orders.labels("c").inc()
    assert users_of(orders) == {"c"}


def test_many_threads_lose_no_increment(together: Callable[..., None]) -> None:
    visits = visits_of(limited(CollectorRegistry(), max_series_per_metric=20))

    def visit(thread: int) -> None:
        for number in range(200):
            visits.labels(f"{thread}-{number}").inc()

    together(*(partial(visit, thread) for thread in range(8)))
    assert 21 <= visits.series_count <= 21 + 8
    assert sum(sample.value for family in visits.collect() for sample in family.samples) == 1600.0


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "1"])
def test_invalid_limits_are_refused(limit: int) -> None:
    with pytest.raises(OutOfRangeError, match="max_series"):
        limited(CollectorRegistry(), max_series=limit)
