"""Registries that push their numbers and expose none: their collectors move, are found and are never lost silently."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest

from pytheus import Counter, generate_metrics
from pytheus.compose import prefixed, union
from pytheus.exceptions import ConflictError, PytheusWarning
from pytheus.exposition import expose
from pytheus.registry import (
    Collector,
    CollectorRegistry,
    CollectorRegistryProxy,
    HoldsCollectors,
    NullRegistry,
    Registry,
)
from pytheus.registry.lookup import find_collector


class Silent:
    """Holds collectors, and shows none; the contract's members alone."""

    prefix: str | None = None

    def __init__(self) -> None:
        self.held: list[Collector] = []

    def register(self, collector: Collector, /) -> None:
        if all(held is not collector for held in self.held):
            self.held.append(collector)

    def unregister(self, collector: Collector, /) -> None:
        self.held = [held for held in self.held if held is not collector]

    def collect(self) -> tuple[Collector, ...]:
        return ()


class Pushing(Silent):
    """Says what it holds."""

    def registered_collectors(self) -> list[Collector]:
        return list(self.held)


class Deriving(Pushing):
    """Shows objects that it makes of the collectors."""

    def collect(self) -> tuple[Collector, ...]:
        return tuple(Counter(f"derived_{number}_total", "D.", registry=None) for number, _ in enumerate(self.held))


@pytest.mark.parametrize("kind", [Pushing, Deriving])
def test_collectors_move_to_it_and_away(kind: type[Pushing]) -> None:
    proxy = CollectorRegistryProxy(CollectorRegistry())
    hits = Counter("hits_total", "Hits.", registry=proxy)
    hits.inc(2)
    pushing, back = kind(), CollectorRegistry()
    assert isinstance(pushing, HoldsCollectors)
    proxy.set_registry(pushing)
    late = Counter("late_total", "Late.", registry=proxy)
    assert hits in proxy
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        proxy.set_registry(back)
    assert list(back) == [hits, late]
    assert pushing.held == []
    assert "\nhits_total 2.0\n" in generate_metrics(back)


def test_they_move_from_below_a_layer() -> None:
    pushing, back = Pushing(), CollectorRegistry()
    proxy = CollectorRegistryProxy(prefixed(pushing, "shop"))
    hits = Counter("hits_total", "Hits.", registry=proxy)
    proxy.set_registry(back)
    assert (list(back), pushing.held) == ([hits], [])


def test_all_move_away_or_none() -> None:
    pushing, taken = Pushing(), CollectorRegistry()
    proxy = CollectorRegistryProxy(pushing)
    metrics = [Counter(f"{name}_total", "N.", registry=proxy) for name in "abc"]
    Counter("b_total", "Another.", registry=taken)
    with pytest.raises(ConflictError):
        proxy.set_registry(taken)
    assert proxy.registry is pushing
    assert pushing.held == metrics
    assert len(taken) == 1


def test_a_metric_defined_twice_shares_its_values() -> None:
    pushing = Pushing()
    first = Counter("hits_total", "Hits.", registry=pushing)
    second = Counter("hits_total", "Hits.", registry=pushing)
    second.inc()
    assert first.value == 1.0
    assert pushing.held == [first]
    assert find_collector(pushing, "hits_total") is first


def test_leaving_them_behind_names_them() -> None:
    proxy = CollectorRegistryProxy(Pushing())
    Counter("hits_total", "Hits.", registry=proxy)
    with pytest.warns(PytheusWarning, match="hits_total"):
        proxy.set_registry(CollectorRegistry(), migrate=False)


def test_clear_reaches_them() -> None:
    pushing = Pushing()
    proxy = CollectorRegistryProxy(pushing)
    Counter("hits_total", "Hits.", registry=proxy)
    proxy.clear()
    assert pushing.held == []


@pytest.mark.parametrize("kind", [Silent, NullRegistry])
@pytest.mark.parametrize("way", ["defined", "moved"])
def test_collectors_that_cannot_move_are_told(kind: type[Silent | NullRegistry], way: str) -> None:
    proxy = CollectorRegistryProxy(kind() if way == "defined" else CollectorRegistry())
    Counter("hits_total", "Hits.", registry=proxy)
    if way == "moved":
        proxy.set_registry(kind())
    with pytest.warns(PytheusWarning, match=r"returned none of the collectors.*registered_collectors\(\)"):
        proxy.set_registry(CollectorRegistry())
    assert isinstance(proxy.registry, CollectorRegistry)


def test_nothing_is_told_where_nothing_was_registered() -> None:
    proxy = CollectorRegistryProxy(Silent())
    hits = Counter("hits_total", "Hits.", registry=proxy)
    proxy.unregister(hits)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        proxy.set_registry(CollectorRegistry())
        proxy.set_registry(NullRegistry())
        proxy.set_registry(CollectorRegistry())


@pytest.mark.parametrize("wrap", [lambda registry: registry, CollectorRegistryProxy, lambda one: prefixed(one, "shop")])
def test_its_text_says_why_it_is_empty(wrap: Callable[[Registry], Registry]) -> None:
    pushing = Pushing()
    assert generate_metrics(wrap(pushing)) == ""
    Counter("hits_total", "Hits.", registry=pushing)
    comment = "# Pushing holds 1 collector(s) and exposes none of them, because it sends their numbers elsewhere.\n"
    assert generate_metrics(wrap(pushing)) == comment
    assert expose(wrap(pushing), "text/plain")[0].decode() == comment
    assert expose(wrap(pushing), "application/openmetrics-text")[0] == b"# EOF\n"


def test_a_registry_that_exposes_something_has_no_comment() -> None:
    pushing, shown = Pushing(), CollectorRegistry()
    Counter("sent_total", "Sent.", registry=pushing)
    Counter("hits_total", "Hits.", registry=shown)
    assert "# Pushing" not in generate_metrics(union(shown, pushing))
    deriving = Deriving()
    Counter("hits_total", "Hits.", registry=deriving)
    assert expose(deriving, "text/plain", names=["other"])[0] == b""
