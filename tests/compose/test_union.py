"""`union`: several registries as one."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from pytheus import Counter, Gauge, Histogram, StateSet, generate_metrics
from pytheus.compose import prefixed, union
from pytheus.exceptions import ConflictError, NotARegistryError, NotRegisteredError
from pytheus.registry import Collector, CollectorRegistry, NullRegistry, Registry
from tests.compose.conftest import Queue, fill
from tests.registry.conftest import EqualRegistry


class Failing:
    """A registry whose backend is not available."""

    prefix: str | None = None

    def register(self, collector: Collector) -> None:
        raise ConnectionError("away")

    unregister = register

    def collect(self) -> Iterator[Collector]:
        raise ConnectionError("away")

    def close(self) -> None:
        raise ConnectionError("away")


class FailingMidway(CollectorRegistry):
    __slots__ = ()

    def collect(self) -> Iterator[Collector]:
        yield from list(super().collect())[:1]
        raise ConnectionError("away")


def test_members_are_shown_in_order() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    b = Counter("b_total", "B.", registry=second)
    a = Counter("a_total", "A.", registry=first)
    assert list(union(first, second).collect()) == [a, b]


def test_a_member_with_a_prefix_is_exposed_as_it_is_alone() -> None:
    member = CollectorRegistry(prefix="shop")
    fill(member)
    member.register(Queue(queue="mail"))
    assert generate_metrics(union(member), strict=True) == generate_metrics(member, strict=True)


def test_a_member_s_prefix_is_read_at_each_scrape() -> None:
    member = CollectorRegistry(prefix="old")
    Counter("hits_total", "Hits.", registry=member)
    both = union(member)
    generate_metrics(both)
    member.prefix = "new"
    assert "new_hits_total 0.0" in generate_metrics(both, strict=True)


def test_members_with_different_prefixes_may_have_the_same_names() -> None:
    first, second = CollectorRegistry(prefix="a"), CollectorRegistry(prefix="b")
    for member in (first, second):
        Counter("hits_total", "Hits.", registry=member)
    samples = [line for line in generate_metrics(union(first, second), strict=True).splitlines() if line[0] != "#"]
    assert samples == ["a_hits_total 0.0", "b_hits_total 0.0"]


def test_a_collector_of_several_members_shows_once() -> None:
    first, second, third = CollectorRegistry(), CollectorRegistry(), CollectorRegistry()
    counter, queue = Counter("hits_total", "Hits.", ["path"], registry=first), Queue()
    for collector in (counter, queue):
        second.register(collector)
    for collector in (queue, counter.labels("/")):
        third.register(collector)
    assert list(union(first, second, third).collect()) == [counter, queue]


def test_a_custom_collector_is_registered_if_another_member_holds_others() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    second.register(Queue())
    queue = Queue()
    union(first, second).register(queue)
    assert list(first) == [queue]


def test_find_compares_the_names_that_would_be_exposed() -> None:
    first, second, third = CollectorRegistry(), CollectorRegistry("shop"), CollectorRegistry()
    hits = Counter("hits_total", "Hits.", registry=second)
    depth = Gauge("depth", "Depth.", registry=third)
    every = union(first, second, third)
    assert every.find("shop_hits_created") is hits
    assert every.find("depth") is depth
    for name in ("hits_total", "mail_hits_total", "shop_depth"):
        assert every.find(name) is None
    other_way = union(second, first, third)
    assert other_way.find("hits_total") is hits
    assert other_way.find("depth") is None


def test_two_metrics_of_one_exposed_name_conflict_in_the_scrape_alone() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    Counter("hits_total", "Hits.", registry=first).inc()
    Counter("hits_total", "Hits.", registry=second).inc(5)
    text = generate_metrics(union(first, second))
    assert "\nhits_total 1.0\n" in text
    assert 'pytheus_collector_errors_total{collector="hits_total"} 1.0' in text


def test_a_new_collector_is_registered_in_the_first_member() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    counter = Counter("hits_total", "Hits.", registry=union(first, second))
    assert counter in first
    assert counter not in second


def test_a_name_that_another_member_exposes_is_refused() -> None:
    first, second = CollectorRegistry(prefix="shop"), CollectorRegistry()
    incumbent = Histogram("shop_wait_seconds", "Wait.", registry=second)
    with pytest.raises(
        ConflictError, match=r"conflicts with histogram 'shop_wait_seconds'.* 'shop_wait_seconds_count'"
    ) as caught:
        Gauge("wait_seconds_count", "Waits.", registry=union(first, second))
    assert caught.value.incumbent is incumbent
    assert len(first) == 0


def test_a_metric_that_another_member_has_is_shared() -> None:
    first, second = CollectorRegistry(prefix="shop"), CollectorRegistry(prefix="shop")
    both = union(first, second)
    Counter("hits_total", "Hits.", registry=second).inc()
    Counter("hits_total", "Hits.", registry=both).inc()
    assert len(first) == 0
    assert generate_metrics(both, strict=True).endswith("shop_hits_total 2.0\n")


def test_a_collector_of_another_member_counts_as_registered() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    counter, queue = Counter("hits_total", "Hits.", ["path"], registry=second), Queue()
    second.register(queue)
    both = union(first, second)
    for collector in (counter, counter.labels("/"), queue):
        both.register(collector)
    assert list(first) == []
    assert list(second) == [counter, queue]


def test_it_unregisters_from_every_member_that_holds_the_collector() -> None:
    first, second, third = CollectorRegistry(), NullRegistry(), CollectorRegistry(prefix="x")
    counter = Counter("hits_total", "Hits.", registry=third)
    first.register(counter)
    union(first, second, third).unregister(counter)
    assert (len(first), len(third)) == (0, 0)


def test_a_derived_collector_is_unregistered_from_its_own_member_only() -> None:
    first, second = CollectorRegistry(prefix="a"), CollectorRegistry(prefix="b")
    counter = Counter("hits_total", "Hits.", registry=first)
    second.register(counter)
    both = union(first, second)
    of_second = list(both.collect())[1]
    both.unregister(of_second)
    assert counter in first
    assert counter not in second


def test_an_unknown_collector_raises() -> None:
    with pytest.raises(NotRegisteredError, match=r"'hits_total' is in none of the 2 registries"):
        union(CollectorRegistry(), CollectorRegistry()).unregister(Counter("hits_total", "Hits.", registry=None))


@pytest.mark.parametrize("failing", [Failing, FailingMidway])
def test_a_failing_member_affects_no_other_member(failing: type[Failing], caplog: pytest.LogCaptureFixture) -> None:
    healthy = CollectorRegistry()
    Counter("hits_total", "Hits.", registry=healthy).inc()
    both = union(failing(), prefixed(healthy, "shop"))
    with caplog.at_level(logging.ERROR, "pytheus.exposition"):
        first, second = generate_metrics(both), generate_metrics(both)
    name = f"union member 1, {failing.__qualname__}"
    assert "\nshop_hits_total 1.0\n" in first
    assert f'pytheus_collector_errors_total{{collector="{name}"}} 1.0' in first
    assert f'pytheus_collector_errors_total{{collector="{name}"}} 2.0' in second
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ConnectionError]


def test_a_member_that_recovers_is_shown_again() -> None:
    class Flaky(CollectorRegistry):
        away = True

        def collect(self) -> Iterator[Collector]:
            if self.away:
                raise ConnectionError("away")
            return super().collect()

    member = Flaky()
    Counter("hits_total", "Hits.", registry=member)
    both = union(member)
    assert "\nhits_total" not in generate_metrics(both)
    member.away = False
    assert "\nhits_total 0.0\n" in generate_metrics(both)


def test_a_failing_member_does_not_keep_the_others_from_registrations() -> None:
    healthy = CollectorRegistry()
    both = union(healthy, Failing())
    counter = Counter("hits_total", "Hits.", registry=both)
    both.register(Queue())
    assert len(healthy) == 2
    both.unregister(counter)
    assert len(healthy) == 1


def test_the_error_of_a_failing_member_is_raised_if_no_other_held_the_collector() -> None:
    with pytest.raises(ConnectionError):
        union(CollectorRegistry(), Failing()).unregister(Queue())


def test_all_members_are_closed_even_if_one_fails() -> None:
    closed: list[str] = []

    class Closing(CollectorRegistry):
        def close(self) -> None:
            closed.append("closed")

    with pytest.raises(ConnectionError):
        union(Failing(), Closing()).close()
    assert closed == ["closed"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "at least one"),
        ([CollectorRegistry(), CollectorRegistry], r"argument 2 of union\(\.\.\.\)"),
        ([CollectorRegistry()] * 2, "twice"),
    ],
)
def test_other_members_are_refused(members: list[Registry], message: str) -> None:
    with pytest.raises(NotARegistryError, match=message):
        union(*members)


def test_members_are_compared_by_identity() -> None:
    assert len(union(EqualRegistry(), EqualRegistry()).wrapped) == 2


@pytest.mark.parametrize("prefix", ["a:b", "__x", "_", "plain"])
def test_a_state_set_whose_name_is_no_name_of_a_label(prefix: str) -> None:
    member = CollectorRegistry(prefix=prefix)
    StateSet("door", "Door.", states=["open", "shut"], registry=member).state("open")
    assert generate_metrics(union(member), strict=True) == generate_metrics(member, strict=True)
