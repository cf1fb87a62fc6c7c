"""The registry in memory: which collectors it accepts, and what remains after they are unregistered.

`tests/testing/test_our_registries.py` runs the conformance kit on it, whose checks are not repeated here.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus.exceptions import ConflictError, InvalidNameError, NotACollectorError, NotRegisteredError
from pytheus.registry import Closable, Collector, CollectorRegistry, HasDefinition, Lookup, Registry, collector_registry
from tests.registry.conftest import Custom, EqualToAll

# Counters without the suffix have one name, by which they conflict with other types.
pytestmark = pytest.mark.filterwarnings("ignore:counter .* has no suffix")

Overtaken = Callable[[str, Callable[[], object]], AbstractContextManager[None]]


# Membership -----------------------------------------------------------------------------------------------------------


def test_it_satisfies_the_protocols(registry: CollectorRegistry) -> None:
    assert isinstance(registry, Registry)
    assert isinstance(registry, Lookup)
    assert not isinstance(registry, Closable)
    assert isinstance(Gauge("g", "G.", registry=None), HasDefinition)
    assert isinstance(Custom(), Collector)


def test_an_empty_registry_is_falsy_and_accepts_metrics(registry: CollectorRegistry) -> None:
    assert not registry
    Counter("hits_total", "Hits.", registry=registry)
    assert len(registry) == 1


def test_collectors_are_listed_in_order_of_registration(registry: CollectorRegistry) -> None:
    first = Gauge("b", "B.", registry=registry)
    second = Custom()
    registry.register(second)
    third = Counter("a_total", "A.", registry=registry)
    assert list(registry) == list(registry.collect()) == [first, second, third]
    assert len(registry) == 3


def test_membership_is_by_object_and_by_name(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", registry=registry)
    other = Counter("hits_total", "Hits.", registry=None)
    custom = Custom()
    registry.register(custom)
    assert hits in registry
    assert "hits_total" in registry
    assert "hits" in registry
    assert custom in registry
    assert other not in registry
    assert Custom() not in registry
    assert "custom" not in registry
    assert 3 not in registry


def test_membership_is_by_identity_even_if_all_are_equal(registry: CollectorRegistry) -> None:
    first, second = EqualToAll(), EqualToAll()
    registry.register(first)
    assert second not in registry
    registry.register(second)
    assert len(registry) == 2
    registry.unregister(second)
    assert [collector is first for collector in registry] == [True]


def test_a_handle_counts_as_its_metric(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", ["a"], registry=registry)
    registry.register(hits.labels("x"))
    assert list(registry) == [hits]
    assert hits.labels("y") in registry
    registry.unregister(hits.labels("x"))
    assert len(registry) == 0


@pytest.mark.parametrize("thing", [None, 3, "name", ..., Custom, CollectorRegistry, print], ids=repr)
def test_an_object_without_collect_is_refused(registry: CollectorRegistry, thing: Collector) -> None:
    with pytest.raises(NotACollectorError, match="is not a collector"):
        registry.register(thing)
    assert len(registry) == 0


def test_repr_has_prefix_and_size(registry: CollectorRegistry) -> None:
    assert repr(registry) == "<CollectorRegistry 0 collectors>"
    assert repr(CollectorRegistry("app")) == "<CollectorRegistry prefix='app', 0 collectors>"


# Unregistration -------------------------------------------------------------------------------------------------------


def test_unregistering_frees_the_names(registry: CollectorRegistry) -> None:
    histogram = Histogram("size", "Size.", registry=registry)
    registry.unregister(histogram)
    assert list(registry) == []
    for name in ("size", "size_bucket", "size_sum", "size_count"):
        Gauge(name, "Size.", registry=registry)
    assert len(registry) == 4


def test_an_unknown_collector_cannot_be_unregistered(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", registry=registry)
    for stranger in (Counter("hits_total", "Hits.", registry=None), Custom()):
        with pytest.raises(NotRegisteredError, match="is not registered here"):
            registry.unregister(stranger)
    assert list(registry) == [hits]


@pytest.mark.pitfall
@pytest.mark.parametrize("make", [Gauge, Counter])
def test_a_metric_that_was_refused_does_not_remove_the_first(
    registry: CollectorRegistry, make: type[Gauge | Counter]
) -> None:
    first = Counter("x", "X.", registry=registry)
    rejected = make("x", "X.", registry=None)
    with pytest.raises(ConflictError):
        registry.register(rejected)
    with pytest.raises(NotRegisteredError):
        registry.unregister(rejected)
    assert list(registry) == [first]
    assert "x" in registry


def test_clear_removes_every_collector(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", registry=registry)
    registry.register(Custom())
    registry.clear()
    assert (len(registry), list(registry), "hits_total" in registry, hits in registry) == (0, [], False, False)
    registry.register(hits)
    assert list(registry) == [hits]


def test_a_metric_still_counts_after_it_was_unregistered(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", registry=registry)
    hits.inc()
    registry.unregister(hits)
    hits.inc()
    registry.register(hits)
    assert generate_metrics(registry).endswith("\nhits_total 2.0\n")


@pytest.mark.parametrize("leave", ["unregister", "clear"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: Counter("x", "X.", registry=None),
        lambda: Histogram("x", "X.", ["a"], labels_from={"a": ["1"]}, registry=None),
        lambda: Info("x", "X.", registry=None),
        lambda: StateSet("x", "X.", states=["a"], registry=None),
        lambda: Summary("x", "X.", registry=None),
        Custom,
        EqualToAll,
    ],
    ids=["counter", "histogram", "info", "stateset", "summary", "custom", "equal to everything"],
)
def test_no_reference_is_left_to_an_unregistered_collector(
    registry: CollectorRegistry, make: Callable[[], Collector], leave: str
) -> None:
    collector = make()
    gc.collect()
    references = sys.getrefcount(collector)
    registry.register(collector)
    generate_metrics(registry)
    if leave == "clear":
        registry.clear()
    else:
        registry.unregister(collector)
    gc.collect()
    assert sys.getrefcount(collector) == references


def test_messages_use_the_class_of_a_collector_without_a_usable_name(registry: CollectorRegistry) -> None:
    class Nameless(Custom):
        @property
        def name(self) -> str:
            raise ConnectionError("away")

    class Empty(Custom):
        name = ""

    for stranger in (Nameless(), Empty(), Custom()):
        message = f"{type(stranger).__qualname__}' is not registered here, .*; registered: nothing"
        with pytest.raises(NotRegisteredError, match=message):
            registry.unregister(stranger)


# Concurrent changes ---------------------------------------------------------------------------------------------------


def test_a_registration_is_refused_if_a_conflicting_one_comes_first(
    registry: CollectorRegistry, overtaken: Overtaken
) -> None:
    first, second = Gauge("x", "X.", registry=None), Counter("x_total", "X.", registry=None)
    with pytest.raises(ConflictError), overtaken("_commit", lambda: registry.register(first)):
        registry.register(second)
    assert list(registry) == [first]
    assert registry.find("x") is first


def test_a_registration_during_an_unregistration_stays(registry: CollectorRegistry, overtaken: Overtaken) -> None:
    first, second = Gauge("x", "X.", registry=registry), Gauge("y", "Y.", registry=None)
    with overtaken("_replace", lambda: registry.register(second)):
        registry.unregister(first)
    assert list(registry) == [second]
    assert ("x" in registry, "y" in registry) == (False, True)


def test_an_unregistration_during_another_one_stays(registry: CollectorRegistry, overtaken: Overtaken) -> None:
    first, second = Gauge("x", "X.", registry=registry), Gauge("y", "Y.", registry=registry)
    with overtaken("_replace", lambda: registry.unregister(second)):
        registry.unregister(first)
    assert list(registry) == []
    assert "y" not in registry


def test_an_unregistration_shows_at_once_or_not_at_all(registry: CollectorRegistry, overtaken: Overtaken) -> None:
    size = Histogram("size", "S.", registry=registry)
    seen: list[object] = []
    with overtaken("_replace", lambda: seen.extend((size in registry, "size_sum" in registry, *registry))):
        registry.unregister(size)
    assert seen == [True, True, size]


def test_an_unregistration_is_refused_if_the_same_one_comes_first(
    registry: CollectorRegistry, overtaken: Overtaken
) -> None:
    hits = Gauge("x", "X.", registry=registry)
    with pytest.raises(NotRegisteredError), overtaken("_replace", lambda: registry.unregister(hits)):
        registry.unregister(hits)


def test_a_registration_during_clear_is_removed_too(registry: CollectorRegistry, overtaken: Overtaken) -> None:
    Gauge("x", "X.", registry=registry)
    with overtaken("_replace", lambda: Gauge("y", "Y.", registry=registry)):
        registry.clear()
    assert list(registry) == []
    assert "y" not in registry


def test_without_the_gil_every_change_is_made_under_the_registrys_lock(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, int, int]] = []

    @contextmanager
    def lock_for(subject: object) -> Iterator[None]:
        before = len(registry)
        yield
        seen.append((subject is registry, before, len(registry)))

    monkeypatch.setattr(collector_registry, "LOCKED", True)
    monkeypatch.setattr(collector_registry, "lock_for", lock_for)
    hits = Gauge("x", "X.", registry=registry)
    registry.unregister(hits)
    registry.register(hits)
    registry.clear()
    assert seen == [(True, 0, 1), (True, 1, 0), (True, 0, 1), (True, 1, 0)]


# The prefix -----------------------------------------------------------------------------------------------------------


def test_the_prefix_can_be_changed_and_the_next_scrape_shows_it(registry: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", registry=registry)
    shown = []
    for prefix in ("app", None, "", "b"):
        registry.prefix = prefix
        shown.append(generate_metrics(registry).splitlines()[-1])
    assert shown == ["app_hits_total 0.0", "hits_total 0.0", "hits_total 0.0", "b_hits_total 0.0"]


@pytest.mark.parametrize("prefix", ["a-b", "1", " ", 3], ids=repr)
def test_a_bad_prefix_is_refused_and_the_old_one_stays(prefix: str) -> None:
    registry = CollectorRegistry("app")
    with pytest.raises(InvalidNameError, match="registry prefix"):
        registry.prefix = prefix
    assert registry.prefix == "app"
    with pytest.raises(InvalidNameError, match="registry prefix"):
        CollectorRegistry(prefix)
