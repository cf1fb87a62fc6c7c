"""The proxy: another registry behind it, changed whole or not at all."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

import pytest

import pytheus.registry.proxy as proxy_module
from pytheus import Counter, Gauge, generate_metrics
from pytheus.exceptions import ConflictError, NotARegistryError, NotRegisteredError, PytheusWarning, SelectionError
from pytheus.metrics import Family, Sample
from pytheus.registry import REGISTRY, Collector, CollectorRegistry, CollectorRegistryProxy, NullRegistry, Registry

DEADLINE_SECONDS = 120

Overtaken = Callable[[str, Callable[[], object]], AbstractContextManager[None]]


class Custom:
    def collect(self) -> Iterator[Family]:
        yield Family("custom", "gauge", "Custom.", [Sample("", {}, 1.0)])


class Plain:
    """A registry with the four members and nothing more; falsy at that."""

    def __init__(self, refuses: str = "") -> None:
        self.prefix: str | None = None
        self.held: list[Collector] = []
        self.refuses = refuses

    def register(self, collector: Collector) -> None:
        if self.refuses and getattr(collector, "name", "") == self.refuses:
            raise RuntimeError(f"no {self.refuses}")
        self.held.append(collector)

    def unregister(self, collector: Collector) -> None:
        self.held.remove(collector)

    def collect(self) -> Iterable[Collector]:
        return iter(self.held)

    def __len__(self) -> int:
        return 0


@pytest.fixture
def proxy(registry: CollectorRegistry) -> CollectorRegistryProxy:
    return CollectorRegistryProxy(registry)


def test_it_is_a_registry(proxy: CollectorRegistryProxy) -> None:
    assert isinstance(proxy, Registry)
    assert isinstance(REGISTRY, CollectorRegistryProxy)


def test_what_it_is_given_reaches_the_registry(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", registry=proxy)
    assert list(registry) == list(proxy) == list(proxy.collect()) == [hits]
    assert hits in proxy
    assert "hits_total" in proxy
    assert proxy.find("hits_total") is hits
    assert proxy.registry is registry
    proxy.unregister(hits)
    assert len(registry) == 0
    with pytest.raises(NotRegisteredError):
        proxy.unregister(hits)


def test_an_empty_registry_that_is_falsy_is_taken() -> None:
    empty = Plain()
    proxy = CollectorRegistryProxy(empty)
    assert proxy.registry is empty
    Counter("hits_total", "Hits.", registry=proxy)
    assert [getattr(collector, "name", "") for collector in empty.held] == ["hits_total"]


def test_clear_empties_the_registry(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", registry=proxy)
    proxy.clear()
    assert len(registry) == 0


def test_the_prefix_is_read_live(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", registry=proxy)
    registry.prefix = "app"
    assert proxy.prefix == "app"
    assert "\napp_hits_total 0.0\n" in generate_metrics(proxy)
    proxy.set_registry(CollectorRegistry("other"))
    assert proxy.prefix == "other"
    assert "\nother_hits_total 0.0\n" in generate_metrics(proxy)


def test_its_repr_tells_what_serves(proxy: CollectorRegistryProxy) -> None:
    assert repr(proxy) == "<CollectorRegistryProxy for <CollectorRegistry 0 collectors>>"


def test_close_closes_the_registry() -> None:
    closed: list[str] = []

    class WithClose(Plain):
        def close(self) -> None:
            closed.append("closed")

    CollectorRegistryProxy(WithClose()).close()
    assert closed == ["closed"]


def test_close_leaves_a_registry_alone_that_has_nothing_to_close(proxy: CollectorRegistryProxy) -> None:
    proxy.close()


# set_registry() -------------------------------------------------------------------------------------------------------


def test_collectors_move_with_the_values_they_have(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", registry=proxy)
    hits.inc(5)
    custom = Custom()
    proxy.register(custom)
    chosen = CollectorRegistry()
    proxy.set_registry(chosen)
    hits.inc()
    assert list(chosen) == [hits, custom]
    assert list(registry) == []
    assert "\nhits_total 6.0\n" in generate_metrics(proxy)


def test_definitions_after_the_change_share_with_those_before(proxy: CollectorRegistryProxy) -> None:
    Counter("hits_total", "Hits.", registry=proxy).inc(5)
    proxy.set_registry(CollectorRegistry())
    Counter("hits_total", "Hits.", registry=proxy).inc()
    assert generate_metrics(proxy).endswith("\nhits_total 6.0\n")


def test_they_move_between_registries_of_any_kind(proxy: CollectorRegistryProxy) -> None:
    hits = Counter("hits_total", "Hits.", registry=proxy)
    plain = Plain()
    proxy.set_registry(plain)
    assert plain.held == [hits]
    back = CollectorRegistry()
    proxy.set_registry(back)
    assert plain.held == []
    assert list(back) == [hits]


def test_the_same_registry_again_changes_nothing(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", registry=proxy)
    proxy.set_registry(registry)
    assert list(registry) == [hits]


def test_what_the_new_registry_holds_already_stays_there(proxy: CollectorRegistryProxy) -> None:
    chosen = CollectorRegistry()
    there = Gauge("there", "There.", registry=chosen)
    hits = Counter("hits_total", "Hits.", registry=proxy)
    proxy.set_registry(chosen)
    assert list(chosen) == [there, hits]


def test_what_both_hold_is_taken_as_moved(proxy: CollectorRegistryProxy) -> None:
    chosen = CollectorRegistry()
    hits = Counter("hits_total", "Hits.", registry=proxy)
    chosen.register(hits)
    proxy.set_registry(chosen)
    assert list(proxy) == [hits]


@pytest.mark.parametrize("candidate", [None, 3, object(), CollectorRegistry, logging, Plain], ids=repr)
def test_what_is_no_registry_is_refused_and_the_old_one_serves_on(
    proxy: CollectorRegistryProxy, registry: CollectorRegistry, candidate: Registry
) -> None:
    hits = Counter("hits_total", "Hits.", registry=proxy)
    with pytest.raises(NotARegistryError):
        proxy.set_registry(candidate)
    assert proxy.registry is registry
    assert list(proxy) == [hits]
    with pytest.raises(NotARegistryError), proxy.use(candidate):
        pass
    assert proxy.registry is registry


@pytest.mark.parametrize("candidate", [3, object(), CollectorRegistry, logging], ids=repr)
def test_a_proxy_for_what_is_no_registry_cannot_be_made(candidate: Registry) -> None:
    with pytest.raises(NotARegistryError):
        CollectorRegistryProxy(candidate)


def test_a_collector_that_is_refused_brings_all_the_others_back(
    proxy: CollectorRegistryProxy, registry: CollectorRegistry
) -> None:
    held = [Counter(f"hits_{letter}_total", "Hits.", registry=proxy) for letter in "abc"]
    chosen = CollectorRegistry()
    there = Gauge("hits_b", "There.", registry=chosen)
    with pytest.raises(ConflictError):
        proxy.set_registry(chosen)
    assert proxy.registry is registry
    assert list(registry) == held
    assert list(chosen) == [there]


def test_an_error_of_the_new_registrys_own_brings_all_back_as_well(
    proxy: CollectorRegistryProxy, registry: CollectorRegistry
) -> None:
    held = [Counter(f"hits_{letter}_total", "Hits.", registry=proxy) for letter in "abc"]
    chosen = Plain(refuses="hits_c_total")
    with pytest.raises(RuntimeError, match="no hits_c_total"):
        proxy.set_registry(chosen)
    assert proxy.registry is registry
    assert list(registry) == held
    assert chosen.held == []


@pytest.mark.parametrize("alike", [True, False], ids=["alike", "different"])
def test_a_collector_that_is_refused_with_a_mere_warning_brings_all_back_as_well(
    proxy: CollectorRegistryProxy, registry: CollectorRegistry, alike: bool
) -> None:
    held = [Counter(f"hits_{letter}_total", "Hits.", registry=proxy) for letter in "abc"]
    custom = Custom()
    proxy.register(custom)
    chosen = CollectorRegistry(on_conflict="warn")
    there: Collector = (
        Counter("hits_b_total", "Hits.", registry=chosen) if alike else Gauge("hits_b", "There.", registry=chosen)
    )
    with pytest.raises(ConflictError, match=r"'hits_b_total'.* conflicts with .*migrate=False") as caught:
        proxy.set_registry(chosen)
    assert caught.value.incumbent is there
    assert proxy.registry is registry
    assert list(registry) == [*held, custom]
    assert list(chosen) == [there]


def test_a_registry_that_only_warns_is_not_asked_to_let_go_of_what_it_refused(
    proxy: CollectorRegistryProxy, caplog: pytest.LogCaptureFixture
) -> None:
    class Keeping(Plain):
        """It keeps the first of a name, without a word."""

        def register(self, collector: Collector) -> None:
            if getattr(collector, "name", "") not in [getattr(held, "name", "") for held in self.held]:
                super().register(collector)

    chosen = Keeping()
    there = Counter("hits_b_total", "Hits.", registry=chosen)
    held = [Counter(f"hits_{letter}_total", "Hits.", registry=proxy) for letter in "abc"]
    with pytest.raises(ConflictError):
        proxy.set_registry(chosen)
    assert list(proxy) == held
    assert chosen.held == [there]
    assert caplog.records == []


def test_all_moves_to_a_registry_that_only_warns_where_nothing_conflicts(proxy: CollectorRegistryProxy) -> None:
    hits = Counter("hits_total", "Hits.", ["a"], registry=proxy)
    chosen = CollectorRegistry(on_conflict="warn")
    chosen.register(hits.labels("x"))
    proxy.set_registry(chosen)
    hits.labels("x").inc()
    assert generate_metrics(proxy).endswith('\nhits_total{a="x"} 1.0\n')


def test_what_keeps_nothing_has_refused_nothing(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", registry=proxy)
    proxy.set_registry(NullRegistry())
    assert list(proxy) == list(registry) == []


def test_without_migration_they_stay_behind_and_a_warning_names_them(
    proxy: CollectorRegistryProxy, registry: CollectorRegistry
) -> None:
    held = [Counter(f"hits_{letter}_total", "Hits.", registry=proxy) for letter in "ab"]
    with pytest.warns(PytheusWarning, match=r"2 collector\(s\) behind.*hits_a_total, hits_b_total") as warned:
        proxy.set_registry(CollectorRegistry(), migrate=False)
    assert warned[0].filename == __file__
    assert list(registry) == held
    assert list(proxy) == []


def test_without_migration_an_empty_registry_is_left_without_a_warning(proxy: CollectorRegistryProxy) -> None:
    proxy.set_registry(CollectorRegistry(), migrate=False)


def test_it_cannot_stand_for_itself(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    with pytest.raises(NotARegistryError, match="a proxy cannot stand for itself"):
        proxy.set_registry(proxy)
    outer = CollectorRegistryProxy(proxy)
    with pytest.raises(NotARegistryError, match="a proxy cannot stand for itself"):
        proxy.set_registry(outer)
    with pytest.raises(NotARegistryError, match="a proxy cannot stand for itself"), proxy.use(outer):
        pass
    assert proxy.registry is registry


def test_it_can_stand_for_another_proxy(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    outer = CollectorRegistryProxy(proxy)
    hits = Counter("hits_total", "Hits.", registry=outer)
    assert list(registry) == [hits]
    assert hits in outer


def test_a_metric_that_comes_while_collectors_move_is_not_lost(
    proxy: CollectorRegistryProxy, caplog: pytest.LogCaptureFixture
) -> None:
    late: list[Counter] = []

    class Slow(Plain):
        def register(self, collector: Collector) -> None:
            super().register(collector)
            if not late:
                late.append(Counter("late_total", "Late.", registry=proxy))

    Counter("hits_total", "Hits.", registry=proxy)
    proxy.set_registry(Slow())
    late[0].inc()
    assert generate_metrics(proxy).endswith("\nlate_total 1.0\n")
    assert caplog.records == []


def test_a_metric_that_reaches_a_registry_after_it_was_replaced_is_not_lost() -> None:
    chosen = CollectorRegistry()

    class Replaced(Plain):
        """Another thread changes the registry just before this one takes the collector."""

        def register(self, collector: Collector) -> None:
            moving.set_registry(chosen)
            super().register(collector)

    former = Replaced()
    moving = CollectorRegistryProxy(former)
    hits = Counter("hits_total", "Hits.", registry=moving)
    assert list(chosen) == [hits]
    assert former.held == []


def test_after_a_metric_was_brought_other_threads_can_change_the_registry() -> None:
    chosen, last = CollectorRegistry(), CollectorRegistry()

    class Replaced(Plain):
        def register(self, collector: Collector) -> None:
            moving.set_registry(chosen)
            super().register(collector)

    moving = CollectorRegistryProxy(Replaced())
    hits = Counter("hits_total", "Hits.", registry=moving)
    changing = threading.Thread(target=lambda: moving.set_registry(last), daemon=True)
    changing.start()
    changing.join(DEADLINE_SECONDS)
    assert list(last) == [hits]


def test_a_metric_whose_registry_is_back_by_the_time_it_is_brought_stays(overtaken: Overtaken) -> None:
    class Replaced(Plain):
        def register(self, collector: Collector) -> None:
            if not self.held:
                moving.set_registry(CollectorRegistry())
            super().register(collector)

    former = Replaced()
    moving = CollectorRegistryProxy(former)
    custom = Custom()
    with overtaken("_bring", lambda: moving.set_registry(former)):
        moving.register(custom)
    assert moving.registry is former
    assert former.held == [custom]


def test_a_metric_that_is_defined_again_while_it_moves_still_shares_its_values(
    caplog: pytest.LogCaptureFixture,
) -> None:
    again: list[Counter] = []

    class Redefining(CollectorRegistry):
        """Between the registries there is a moment in which the old one holds the metric no more."""

        __slots__ = ()

        def unregister(self, collector: Collector, /) -> None:
            super().unregister(collector)
            if not again:
                again.append(Counter("hits_total", "Hits.", registry=moving))

    moving = CollectorRegistryProxy(Redefining())
    first = Counter("hits_total", "Hits.", registry=moving)
    moving.set_registry(CollectorRegistry())
    first.inc()
    again[0].inc()
    assert generate_metrics(moving).endswith("\nhits_total 2.0\n")
    assert caplog.records == []


class Observed(CollectorRegistry):
    """While its collectors are looked through for the first time after it began to serve, something happens.

    At that moment a metric that came while collectors moved is still on its way to it.
    """

    __slots__ = ("happens", "late", "proxy")

    def __init__(self, proxy: CollectorRegistryProxy, happens: Callable[[], object]) -> None:
        super().__init__()
        self.proxy = proxy
        self.happens: list[Callable[[], object]] = [happens]
        self.late: list[Counter] = []

    def register(self, collector: Collector, /) -> None:
        super().register(collector)
        if not self.late:
            self.late.append(Counter("late_total", "Late.", registry=self.proxy))

    def collect(self) -> Iterator[Collector]:
        if self.happens and self.proxy.registry is self:
            assert super().find("late_total") is None
            self.happens.pop()()
        return super().collect()


def test_a_metric_that_is_on_its_way_is_found(proxy: CollectorRegistryProxy, caplog: pytest.LogCaptureFixture) -> None:
    again: list[Counter] = []
    found: list[object] = []

    def define_again() -> None:
        found.append(proxy.find("late"))
        again.append(Counter("late_total", "Late.", registry=proxy))

    Counter("hits_total", "Hits.", registry=proxy)
    chosen = Observed(proxy, define_again)
    proxy.set_registry(chosen)
    assert found == chosen.late
    for late in (*chosen.late, *again):
        late.inc()
    assert generate_metrics(proxy).endswith("\nlate_total 2.0\n")
    assert caplog.records == []


def test_the_names_of_a_metric_that_is_on_its_way_are_taken(
    proxy: CollectorRegistryProxy, caplog: pytest.LogCaptureFixture
) -> None:
    def conflict() -> None:
        with pytest.raises(ConflictError, match="both expose the name 'late'"):
            Gauge("late", "Another.", registry=proxy)

    Counter("hits_total", "Hits.", registry=proxy)
    chosen = Observed(proxy, conflict)
    proxy.set_registry(chosen)
    assert chosen.happens == []
    assert proxy.find("late") is chosen.late[0]
    assert caplog.records == []


def test_a_registry_that_was_replaced_has_no_say_any_more(
    proxy: CollectorRegistryProxy, registry: CollectorRegistry
) -> None:
    proxy.set_registry(CollectorRegistry())
    Counter("hits_total", "Hits.", registry=registry)
    assert proxy.find("hits") is None
    hits = Gauge("hits", "Hits.", registry=proxy)
    assert list(proxy) == [hits]


class ReplacedMeanwhile(CollectorRegistry):
    """Another thread changes the registry while this one is asked, and what it answers is out of date."""

    __slots__ = ("chosen", "proxy")

    def __init__(self, chosen: Registry) -> None:
        super().__init__()
        self.chosen = chosen
        self.proxy = CollectorRegistryProxy(self)

    def register(self, collector: Collector, /) -> None:
        self.proxy.set_registry(self.chosen)
        raise ConflictError("with one that came too late", name="hits", incumbent=None)

    def find(self, name: str, /) -> Collector | None:
        self.proxy.set_registry(self.chosen)
        return Gauge(name, "It came too late.", registry=None)


def test_a_conflict_with_what_came_too_late_is_none() -> None:
    chosen = CollectorRegistry()
    custom = Custom()
    ReplacedMeanwhile(chosen).proxy.register(custom)
    assert list(chosen) == [custom]


def test_what_came_too_late_is_not_found() -> None:
    chosen = CollectorRegistry()
    hits = Counter("hits_total", "Hits.", registry=chosen)
    assert ReplacedMeanwhile(chosen).proxy.find("hits") is hits


@pytest.mark.parametrize("nested", [False, True], ids=["alone", "after a change within it"])
def test_a_change_waits_until_another_threads_is_over(
    proxy: CollectorRegistryProxy, wait_until: Callable[[Callable[[], object], str], None], nested: bool
) -> None:
    last = CollectorRegistry()
    second = threading.Thread(target=lambda: proxy.set_registry(last), daemon=True)

    def waits_or_has_ended() -> bool:
        frame = sys._current_frames().get(second.ident or 0)
        while frame is not None and frame.f_code.co_name != "_begin_change":
            frame = frame.f_back
        return frame is not None or not second.is_alive()

    class Slow(Plain):
        def register(self, collector: Collector) -> None:
            super().register(collector)
            if nested:
                with pytest.raises(NotARegistryError):
                    proxy.set_registry(proxy)
            second.start()
            wait_until(waits_or_has_ended, "the second change to begin")

    hits = Counter("hits_total", "Hits.", registry=proxy)
    slow = Slow()
    proxy.set_registry(slow)
    second.join(DEADLINE_SECONDS)
    assert proxy.registry is last
    assert list(last) == [hits]
    assert slow.held == []


def test_a_change_within_a_change_is_made_at_once(proxy: CollectorRegistryProxy) -> None:
    inner = CollectorRegistry()

    class Changing(Plain):
        def register(self, collector: Collector) -> None:
            proxy.set_registry(inner)
            super().register(collector)

    hits = Counter("hits_total", "Hits.", registry=proxy)
    proxy.set_registry(Changing())
    hits.inc()
    assert generate_metrics(proxy).endswith("\nhits_total 1.0\n")


def test_a_registry_that_will_not_let_go_is_logged_and_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Clinging(Plain):
        def unregister(self, collector: Collector) -> None:
            raise OSError("mine")

    proxy = CollectorRegistryProxy(Clinging())
    hits = Counter("hits_total", "Hits.", registry=proxy)
    proxy.set_registry(CollectorRegistry())
    assert list(proxy) == [hits]
    assert "would not unregister collector 'hits_total'" in caplog.text


def test_without_a_resolver_no_registry_can_be_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_module, "_resolver", None)
    proxy = CollectorRegistryProxy("default")
    with pytest.raises(SelectionError, match="no resolver was handed in"):
        assert proxy.prefix


# use() ----------------------------------------------------------------------------------------------------------------


def test_use_swaps_for_a_block(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    before = Counter("before_total", "Before.", registry=proxy)
    tenant = CollectorRegistry("tenant")
    with proxy.use(tenant) as used:
        assert used is tenant
        within = Counter("within_total", "Within.", registry=proxy)
        assert (list(proxy), proxy.prefix, proxy.registry) == ([within], "tenant", tenant)
        assert before not in proxy
    assert (list(proxy), proxy.prefix, proxy.registry) == ([before], None, registry)
    assert list(tenant) == [within]


def test_a_block_has_its_own_metric_of_each_name(proxy: CollectorRegistryProxy) -> None:
    outside = Counter("hits_total", "Hits.", registry=proxy)
    outside.inc(5)
    tenant = CollectorRegistry()
    with proxy.use(tenant):
        assert proxy.find("hits_total") is None
        inside = Counter("hits_total", "Hits.", registry=proxy)
        assert proxy.find("hits_total") is inside
    assert inside.value == 0.0
    assert proxy.find("hits_total") is outside


def test_close_within_a_block_closes_the_blocks_registry() -> None:
    class Closing(Plain):
        closed = False

        def close(self) -> None:
            self.closed = True

    outside, inside = Closing(), Closing()
    proxy = CollectorRegistryProxy(outside)
    with proxy.use(inside):
        proxy.close()
    assert (outside.closed, inside.closed) == (False, True)


def test_membership_in_a_registry_of_any_kind_is_by_object_and_by_name() -> None:
    class EqualToAll(Custom):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]  # as Python itself has it for a class with __eq__

    proxy = CollectorRegistryProxy(Plain())
    held, other = EqualToAll(), EqualToAll()
    hits = Counter("hits_total", "Hits.", registry=proxy)
    proxy.register(held)
    assert (hits in proxy, held in proxy, other in proxy) == (True, True, False)
    assert ("hits" in proxy, "hits_created" in proxy, "misses" in proxy) == (True, True, False)


def test_clear_empties_a_registry_of_any_kind() -> None:
    class Live(Plain):
        def collect(self) -> Iterable[Collector]:
            return self.held

    live = Live()
    proxy = CollectorRegistryProxy(live)
    for letter in "abcd":
        Counter(f"hits_{letter}_total", "Hits.", registry=proxy)
    proxy.clear()
    assert live.held == []


def test_use_ends_with_an_exception_too(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match="no"), proxy.use(CollectorRegistry()):
        raise ValueError("no")
    assert proxy.registry is registry


def test_blocks_nest(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    outer, inner = CollectorRegistry(), CollectorRegistry()
    with proxy.use(outer):
        with proxy.use(inner):
            assert proxy.registry is inner
        assert proxy.registry is outer
    assert proxy.registry is registry


def test_the_same_registry_can_be_used_twice_at_once(proxy: CollectorRegistryProxy) -> None:
    tenant = CollectorRegistry()
    with proxy.use(tenant):
        with proxy.use(tenant):
            pass
        assert proxy.registry is tenant


def test_blocks_may_overlap(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    one, two = proxy.use(first), proxy.use(second)
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    assert proxy.registry is second
    two.__exit__(None, None, None)
    assert proxy.registry is registry


def test_set_registry_within_a_block_shows_after_it(proxy: CollectorRegistryProxy) -> None:
    hits = Counter("hits_total", "Hits.", registry=proxy)
    chosen, tenant = CollectorRegistry(), CollectorRegistry()
    with proxy.use(tenant):
        proxy.set_registry(chosen)
        assert proxy.registry is tenant
    assert proxy.registry is chosen
    assert list(proxy) == [hits]


def test_an_empty_falsy_registry_can_be_used(proxy: CollectorRegistryProxy) -> None:
    with proxy.use(Plain()) as tenant:
        Counter("hits_total", "Hits.", registry=proxy)
        assert len(list(tenant.collect())) == 1


def test_a_circle_of_others_is_gone_round_once(proxy: CollectorRegistryProxy) -> None:
    class Circular(Plain):
        @property
        def wrapped(self) -> tuple[Registry, ...]:
            return (self,)

    circular = Circular()
    with proxy.use(circular):
        assert proxy.registry is circular


def test_proxies_cannot_use_each_other(proxy: CollectorRegistryProxy) -> None:
    other = CollectorRegistryProxy(CollectorRegistry())
    with proxy.use(other):
        with pytest.raises(NotARegistryError, match="a proxy cannot stand for itself"), other.use(proxy):
            pass
        assert proxy.prefix is None


# none -----------------------------------------------------------------------------------------------------------------


def test_the_registry_that_keeps_nothing_takes_everything() -> None:
    quiet = NullRegistry()
    hits = Counter("hits_total", "Hits.", registry=quiet)
    Gauge("hits_total", "No conflict.", registry=quiet)
    hits.inc()
    quiet.unregister(hits)
    quiet.unregister(Custom())
    assert (hits.value, list(quiet.collect()), generate_metrics(quiet)) == (1.0, [], "")
