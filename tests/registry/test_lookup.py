"""Finding the collector that occupies a name, and defining a metric, in registries of all kinds."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

import pytheus.registry.lookup as lookup_module
import pytheus.registry.proxy as proxy_module
from pytheus import Counter, Gauge
from pytheus.compose import prefixed, union
from pytheus.exceptions import ConflictError, NotARegistryError, SelectionError
from pytheus.registry import Collector, CollectorRegistry, CollectorRegistryProxy, Registry
from pytheus.registry.lookup import Overlap, find_collector
from tests.registry.conftest import Keeping, Plain, Replaced


class Finds(Plain):
    """A registry whose method `find` returns or raises `gives`."""

    gives: object = None

    def find(self, name: str, /) -> Collector | None:
        self.calls.append("find")
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives  # type: ignore[return-value]  # a mistake


@pytest.mark.parametrize("name", ["hits_total", "hits", "hits_created"])
@pytest.mark.parametrize("make", [CollectorRegistry, Plain], ids=lambda make: make.__name__)
def test_each_name_that_a_metric_produces_finds_it(make: type[CollectorRegistry | Plain], name: str) -> None:
    registry: Registry = make()
    Gauge("depth", "Depth.", registry=registry)
    hits = Counter("hits_total", "Hits.", registry=registry)
    assert find_collector(registry, name) is hits
    assert find_collector(registry, "hits_sum") is None


def test_the_result_of_find_is_used_without_a_search() -> None:
    registry = Finds()
    registry.gives = hits = Counter("hits_total", "Hits.", registry=None)
    assert find_collector(registry, "hits") is hits
    assert "collect" not in registry.calls


def test_after_none_from_find_there_is_no_search() -> None:
    registry = Finds()
    registry.held.append(Counter("hits_total", "Hits.", registry=None))
    assert find_collector(registry, "hits_total") is None
    assert "collect" not in registry.calls


@pytest.mark.parametrize(
    "gives",
    [
        -1,
        "hits_total",
        [],
        True,
        Gauge("depth", "Depth.", registry=None),
        Counter("hits_total", "Hits.", registry=None).definition,
        Counter,
        TypeError("find() missing 1 required positional argument: 'pattern'"),
        KeyError("hits_total"),
    ],
    ids=repr,
)
def test_a_find_with_another_meaning_is_ignored(gives: object) -> None:
    registry = Finds()
    hits = Counter("hits_total", "Hits.", registry=None)
    registry.held.append(hits)
    registry.gives = gives
    assert find_collector(registry, "hits_total") is hits
    assert find_collector(registry, "misses_total") is None
    again = Counter("hits_total", "Hits.", registry=registry)
    again.inc()
    assert (registry.held, hits.value) == ([hits], 1.0)


def test_layers_may_find_a_metric_that_has_another_name_below() -> None:
    shop = CollectorRegistry(prefix="shop")
    hits = Counter("hits_total", "Hits.", registry=shop)
    assert find_collector(union(CollectorRegistry(), shop), "shop_hits_total") is hits


def test_a_choice_that_failed_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    choices: list[str | None] = []

    def resolver(choice: str | None) -> Registry:
        choices.append(choice)
        raise SelectionError("not installed")

    monkeypatch.setattr(proxy_module, "_resolver", resolver)
    with pytest.raises(SelectionError, match="not installed"):
        find_collector(prefixed(CollectorRegistryProxy("missing"), "app"), "hits")
    assert choices == ["missing"]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No definition is in progress: a test of another module may have left a thread that never ends in one."""
    monkeypatch.setattr(lookup_module, "_overlaps", set())


# register_or_share() --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "asked"),
    [(Plain, ["collect", "register"]), (Finds, ["find", "register"])],
    ids=["without find", "with find"],
)
@pytest.mark.usefixtures("alone")
def test_a_new_metric_asks_its_registry_twice_and_an_existing_one_once(make: type[Plain], asked: list[str]) -> None:
    registry = make()
    first = Counter("hits_total", "Hits.", registry=registry)
    assert registry.calls == asked
    registry.calls.clear()
    if isinstance(registry, Finds):
        registry.gives = first
    second = Counter("hits_total", "Hits.", registry=registry)
    assert registry.calls == asked[:1]
    first.inc()
    assert second.value == 1.0


class Raising(Plain):
    """A registry that raises `ConflictError` without a method `find`."""

    def register(self, collector: Collector) -> None:
        if self.held:
            raise ConflictError("taken", name="hits_total", incumbent=self.held[0])
        super().register(collector)


@pytest.mark.parametrize("base", [Keeping, Raising])
def test_a_metric_that_another_thread_defines_at_the_same_time_is_shared(base: type[Plain]) -> None:
    first: list[Counter] = []

    class Overtaken(base):  # type: ignore[misc, valid-type]  # a base that a test chooses
        def collect(self) -> Iterable[Collector]:
            held = list(super().collect())
            if not first:
                first.append(Counter("hits_total", "Hits.", registry=None))
                first[0] = Counter("hits_total", "Hits.", registry=self)
            return held

    registry = Overtaken()
    second = Counter("hits_total", "Hits.", registry=registry)
    first[0].inc()
    second.inc()
    assert registry.held == first
    assert second.value == 2.0


def test_a_metric_that_meets_an_equal_one_in_the_next_registry_of_a_proxy_is_shared(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chosen = CollectorRegistry(on_conflict="warn")
    first = Counter("hits_total", "Hits.", registry=chosen)
    former = Replaced(chosen)
    second = Counter("hits_total", "Hits.", registry=former.proxy)
    second.inc()
    assert first.value == 1.0
    assert (former.held, list(chosen)) == ([], [first])


def test_an_object_that_is_not_a_registry_is_named_with_the_metric() -> None:
    with pytest.raises(NotARegistryError, match=r"registry=\.\.\. of counter 'hits_total' gave int 3"):
        Counter("hits_total", "Hits.", registry=3)  # type: ignore[arg-type]  # a mistake


def test_a_type_error_of_a_registry_is_raised() -> None:
    class Broken(Plain):
        def register(self, collector: Collector) -> None:
            raise TypeError("broken")

    with pytest.raises(TypeError, match="broken"):
        Counter("hits_total", "Hits.", registry=Broken())


@pytest.mark.usefixtures("alone")
def test_overlaps_are_noticed_by_both_and_forgotten() -> None:
    with Overlap() as outer:
        assert not outer.noticed
        with Overlap() as inner:
            assert (outer.noticed, inner.noticed) == (True, True)
    with Overlap() as later:
        assert not later.noticed
