"""Moving collectors between registries of all kinds: all or none, and without losing one."""

from __future__ import annotations

import logging

import pytest

from pytheus import Counter, Gauge, Histogram
from pytheus.compose import filtered, labelled, prefixed, union
from pytheus.exceptions import ConflictError
from pytheus.registry import Collector, CollectorRegistry, Registry
from pytheus.registry.migration import Migration, move_latecomer, refuse_taken_names
from tests.registry.conftest import EqualToAll, Plain, same


class Refusing(Plain):
    """Accepts the number of collectors in `takes`."""

    def __init__(self, takes: int, error: BaseException, *held: Collector) -> None:
        super().__init__(*held)
        self.takes = takes
        self.error = error

    def register(self, collector: Collector) -> None:
        if self.takes == 0:
            raise self.error
        self.takes -= 1
        super().register(collector)


def gauges(names: str) -> list[Gauge]:
    return [Gauge(name, "G.", registry=None) for name in names]


def prepared(former: Registry, chosen: Registry) -> list[Collector]:
    migration = Migration(former, chosen)
    migration.prepare()
    return migration.moved


# prepare() and roll_back() --------------------------------------------------------------------------------------------


def test_both_registries_hold_the_collectors_until_commit() -> None:
    held = gauges("abc")
    present, chosen = Plain(*held), Plain()
    assert same(prepared(present, chosen), held)
    assert same(present.held, held)
    assert same(chosen.held, held)


@pytest.mark.parametrize("error", [ValueError("full"), KeyboardInterrupt(), SystemExit()], ids=repr)
@pytest.mark.parametrize("takes", [0, 1, 2])
def test_after_any_error_the_new_registry_is_unchanged(takes: int, error: BaseException) -> None:
    held, there = gauges("abc"), gauges("x")
    present, chosen = Plain(*held), Refusing(takes, error, *there)
    with pytest.raises(type(error)):
        prepared(present, chosen)
    assert same(present.held, held)
    assert same(chosen.held, there)


def test_a_collector_of_both_stays_in_the_new_registry_after_an_error() -> None:
    first, second, third = gauges("abc")
    chosen = Refusing(1, ValueError("full"), first)
    with pytest.raises(ValueError, match="full"):
        prepared(Plain(first, second, third), chosen)
    assert same(chosen.held, [first])


def test_a_collector_of_both_is_not_registered_again() -> None:
    first, second = gauges("ab")
    former, chosen = Plain(first, second), Plain(first)
    migration = Migration(former, chosen)
    migration.prepare()
    assert same(migration.moved, [second])
    assert chosen.calls.count("register") == 1
    migration.commit()
    assert (former.held, chosen.held) == ([], [first, second])


def test_collectors_are_compared_by_identity() -> None:
    first, second, there = EqualToAll(), EqualToAll(), EqualToAll()
    chosen = Plain(there)
    assert same(prepared(Plain(first, second), chosen), [first, second])
    assert same(chosen.held, [there, first, second])


def test_the_originals_move_from_below_all_layers_and_each_once() -> None:
    hits, misses = Counter("hits_total", "H.", registry=None), Counter("misses_total", "M.", registry=None)
    first, second = CollectorRegistry("a"), CollectorRegistry("b")
    for registry in (first, second):
        registry.register(hits)
    second.register(misses)
    chosen = Plain()
    prepared(prefixed(labelled(union(first, filtered(second, names=[])), region="eu"), "app"), chosen)
    assert same(chosen.held, [hits, misses])


def test_a_collector_below_layers_of_the_new_registry_is_not_registered_again() -> None:
    hits = Counter("hits_total", "H.", registry=None)
    below = CollectorRegistry()
    below.register(hits)
    assert prepared(Plain(hits), labelled(below, region="eu")) == []


@pytest.mark.parametrize("name", ["h", "h_bucket", "h_sum", "h_count"])
def test_a_silent_refusal_for_any_name_is_an_error(name: str) -> None:
    chosen = CollectorRegistry(on_conflict="warn")
    there = Gauge(name, "G.", registry=chosen)
    before, after = gauges("xy")
    histogram = Histogram("h", "H.", registry=None)
    with pytest.raises(ConflictError, match=f"both expose the name '{name}'") as caught:
        prepared(Plain(before, histogram, after), chosen)
    assert (caught.value.name, caught.value.incumbent) == (name, there)
    assert list(chosen) == [there]


def test_the_error_is_about_the_first_of_several_silent_refusals() -> None:
    chosen = CollectorRegistry(on_conflict="warn")
    for name in "ab":
        Counter(f"{name}_total", "There.", registry=chosen)
    with pytest.raises(ConflictError, match="'b_total'"):
        prepared(Plain(*gauges("cba")), chosen)
    assert len(chosen) == 2


def test_a_registry_that_drops_collectors_without_a_conflict_has_refused_none() -> None:
    class Forgetful(Plain):
        def register(self, collector: Collector) -> None:
            pass

    held: list[Collector] = [*gauges("ab"), EqualToAll()]
    assert same(prepared(Plain(*held), Forgetful()), held)


# commit() -------------------------------------------------------------------------------------------------------------


def test_commit_empties_the_old_registry() -> None:
    held = gauges("ab")
    former, chosen = Plain(*held), Plain()
    migration = Migration(former, chosen)
    migration.prepare()
    migration.commit()
    assert former.held == []
    assert same(chosen.held, held)
    assert chosen.calls.count("register") == 2


def test_a_latecomer_is_registered_before_it_is_unregistered() -> None:
    late = Gauge("late", "L.", registry=None)

    class Former(Plain):
        def unregister(self, collector: Collector) -> None:
            assert any(held is collector for held in chosen.held)
            super().unregister(collector)

    former, chosen = Former(late), Plain()
    Migration(former, chosen).commit()
    assert former.held == []
    assert same(chosen.held, [late])


def test_a_latecomer_that_is_refused_is_logged_and_removed(caplog: pytest.LogCaptureFixture) -> None:
    late, later = gauges("ab")
    former, chosen = Plain(late, later), Refusing(0, ValueError("full"))
    Migration(former, chosen).commit()
    assert former.held == []
    assert [(record.levelno, record.name) for record in caplog.records] == [(logging.ERROR, "pytheus.registry")] * 2
    assert "collector 'a' was registered while the registry changed, and the new registry refused it" in caplog.text
    assert "ValueError: full" in caplog.text


def test_a_conflict_of_a_latecomer_is_logged_unless_the_metrics_are_equal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chosen = CollectorRegistry()
    for name in "ab":
        Gauge(name, "G.", registry=chosen)
    equal, different = Gauge("a", "G.", registry=None), Counter("b_total", "C.", registry=None)
    Migration(Plain(equal, different), chosen).commit()
    assert ["'b_total'" in record.getMessage() for record in caplog.records] == [True]


def test_a_collector_that_another_thread_unregistered_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Quicker(Plain):
        def unregister(self, collector: Collector) -> None:
            super().unregister(collector)
            super().unregister(collector)

    former = Quicker(*gauges("ab"))
    Migration(former, Plain()).commit()
    assert former.held == []
    assert caplog.records == []


def test_a_collector_that_cannot_be_unregistered_is_logged_and_the_others_are_unregistered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = gauges("ab")

    class Clinging(Plain):
        def unregister(self, collector: Collector) -> None:
            if collector is first:
                raise OSError("mine")
            super().unregister(collector)

    former = Clinging(first, second)
    Migration(former, Plain()).commit()
    assert same(former.held, [first])
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "did not unregister collector 'a'" in caplog.text
    assert "OSError: mine" in caplog.text


# move_latecomer() -----------------------------------------------------------------------------------------------------


def test_a_latecomer_moves_to_the_new_registry() -> None:
    late = EqualToAll()
    former, chosen = Plain(late), Plain(EqualToAll())
    move_latecomer(late, former, chosen)
    assert former.held == []
    assert same(chosen.held[1:], [late])


def test_a_latecomer_that_another_thread_moved_is_not_moved_again() -> None:
    late = EqualToAll()
    former, chosen = Plain(EqualToAll()), Plain(late)
    move_latecomer(late, former, chosen)
    assert set(former.calls + chosen.calls) == {"collect"}


def test_a_latecomer_that_the_new_registry_refuses_leaves_the_old_one() -> None:
    late = EqualToAll()
    former = Plain(late)
    with pytest.raises(ValueError, match="full"):
        move_latecomer(late, former, Refusing(0, ValueError("full")))
    assert former.held == []


# refuse_taken_names() -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [CollectorRegistry, Plain], ids=lambda make: make.__name__)
def test_the_name_of_a_moving_metric_is_refused(make: type[CollectorRegistry | Plain]) -> None:
    former: Registry = make()
    hits = Counter("hits_total", "H.", ["a"], registry=former)
    refuse_taken_names(hits.labels("x"), former)
    refuse_taken_names(Gauge("misses", "M.", registry=None), former)
    refuse_taken_names(EqualToAll(), former)
    with pytest.raises(ConflictError, match="both expose the name 'hits'; rename one of them") as caught:
        refuse_taken_names(Gauge("hits", "H.", registry=None), former)
    assert (caught.value.name, caught.value.incumbent) == ("hits", hits)
