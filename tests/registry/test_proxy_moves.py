"""`set_registry`: collectors move to the new registry, all or none."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import pytest

import pytheus.registry.proxy as proxy_module
from pytheus import Counter, Gauge, generate_metrics
from pytheus.compose import union
from pytheus.exceptions import ConflictError, NotARegistryError, PytheusWarning, SelectionError
from pytheus.registry import Collector, CollectorRegistry, CollectorRegistryProxy, NullRegistry, Registry
from tests.registry.conftest import Custom, Keeping, Plain, Replaced

DEADLINE_SECONDS = 120

Overtaken = Callable[[str, Callable[[], object]], AbstractContextManager[None]]


# set_registry() -------------------------------------------------------------------------------------------------------


@pytest.mark.pitfall
def test_collectors_move_with_their_values(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
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


def test_collectors_move_between_registries_of_any_kind(proxy: CollectorRegistryProxy) -> None:
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


@pytest.mark.pitfall
@pytest.mark.parametrize("candidate", [None, 3, ..., CollectorRegistry, logging, Plain], ids=repr)
def test_an_invalid_registry_is_refused_and_the_current_one_stays_in_use(
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


@pytest.mark.parametrize("candidate", [3, ..., CollectorRegistry, logging], ids=repr)
def test_a_proxy_for_an_invalid_registry_is_refused(candidate: Registry) -> None:
    with pytest.raises(NotARegistryError):
        CollectorRegistryProxy(candidate)


WARNING = partial(CollectorRegistry, on_conflict="warn")
REFUSED_SILENTLY = r"'hits_b_total'.* conflicts with .*migrate=False"


@pytest.mark.parametrize(
    ("make", "there", "message"),
    [
        (CollectorRegistry, Gauge("hits_b", "There.", registry=None), "both expose the name 'hits_b'"),
        (WARNING, Gauge("hits_b", "There.", registry=None), REFUSED_SILENTLY),
        (WARNING, Counter("hits_b_total", "Hits.", registry=None), REFUSED_SILENTLY),
        (partial(Plain, refuses="hits_c_total"), Custom(), "no hits_c_total"),
    ],
    ids=["conflict", "warning", "warning about an equal metric", "error"],
)
def test_if_one_collector_is_refused_none_moves(
    proxy: CollectorRegistryProxy,
    registry: CollectorRegistry,
    make: Callable[[], CollectorRegistry | Plain],
    there: Collector,
    message: str,
) -> None:
    held = [Counter(f"hits_{letter}_total", "Hits.", registry=proxy) for letter in "abc"]
    custom, chosen = Custom(), make()
    proxy.register(custom)
    chosen.register(there)
    with pytest.raises((ConflictError, RuntimeError), match=message) as caught:
        proxy.set_registry(chosen)
    if isinstance(caught.value, ConflictError):
        assert caught.value.incumbent is there
    assert proxy.registry is registry
    assert list(registry) == [*held, custom]
    assert list(chosen.collect()) == [there]


def test_a_registry_is_not_asked_to_unregister_a_collector_that_it_refused_silently(
    proxy: CollectorRegistryProxy, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = Keeping()
    there = Counter("hits_b_total", "Hits.", registry=chosen)
    held = [Counter(f"hits_{letter}_total", "Hits.", registry=proxy) for letter in "abc"]
    with pytest.raises(ConflictError):
        proxy.set_registry(chosen)
    assert list(proxy) == held
    assert chosen.held == [there]
    # The two that it accepted.
    assert chosen.calls.count("unregister") == 2
    assert caplog.records == []


def test_all_collectors_move_to_a_registry_that_warns_if_none_conflicts(proxy: CollectorRegistryProxy) -> None:
    hits = Counter("hits_total", "Hits.", ["a"], registry=proxy)
    chosen = CollectorRegistry(on_conflict="warn")
    chosen.register(hits.labels("x"))
    proxy.set_registry(chosen)
    hits.labels("x").inc()
    assert generate_metrics(proxy).endswith('\nhits_total{a="x"} 1.0\n')


def test_the_null_registry_has_refused_no_collector(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", registry=proxy)
    proxy.set_registry(NullRegistry())
    assert list(proxy) == list(registry) == []


def test_without_migration_a_warning_names_the_collectors_that_stay(
    proxy: CollectorRegistryProxy, registry: CollectorRegistry
) -> None:
    held = [Counter(f"hits_{letter}_total", "Hits.", registry=proxy) for letter in "ab"]
    with pytest.warns(
        PytheusWarning, match=r"left 2 collector\(s\) in the former registry.*hits_a_total, hits_b_total"
    ) as warned:
        proxy.set_registry(CollectorRegistry(), migrate=False)
    assert warned[0].filename == __file__
    assert list(registry) == held
    assert list(proxy) == []


def test_without_migration_an_empty_registry_causes_no_warning(proxy: CollectorRegistryProxy) -> None:
    proxy.set_registry(CollectorRegistry(), migrate=False)


def test_a_proxy_cannot_be_behind_itself(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    with pytest.raises(NotARegistryError, match="a proxy cannot be the registry behind itself"):
        proxy.set_registry(proxy)
    outer = CollectorRegistryProxy(proxy)
    with pytest.raises(NotARegistryError, match="a proxy cannot be the registry behind itself"):
        proxy.set_registry(outer)
    with pytest.raises(NotARegistryError, match="a proxy cannot be the registry behind itself"), proxy.use(outer):
        pass
    assert proxy.registry is registry


def test_a_proxy_can_be_behind_another_proxy(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    outer = CollectorRegistryProxy(proxy)
    hits = Counter("hits_total", "Hits.", registry=outer)
    assert list(registry) == [hits]
    assert hits in outer


def test_a_latecomer_stays_if_its_registry_is_in_use_again_before_it_moves(overtaken: Overtaken) -> None:
    former = Replaced(CollectorRegistry())
    custom = Custom()
    with overtaken("_move_latecomer", lambda: former.proxy.set_registry(former)):
        former.proxy.register(custom)
    assert former.proxy.registry is former
    assert former.held == [custom]


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


def test_without_a_resolver_no_registry_can_be_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_module, "_resolver", None)
    proxy = CollectorRegistryProxy("default")
    with pytest.raises(SelectionError, match="no resolver is set"):
        assert proxy.prefix


def test_a_registry_that_was_made_for_a_choice_is_closed_if_the_move_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closing(Plain):
        def close(self) -> None:
            self.calls.append("close")

    made = Closing(refuses="hits_total")
    proxy = CollectorRegistryProxy()

    def resolver(choice: str | None) -> Registry:
        Counter("hits_total", "Hits.", registry=proxy)
        return made

    monkeypatch.setattr(proxy_module, "_resolver", resolver)
    with pytest.raises(RuntimeError, match="no hits_total"):
        assert proxy.prefix
    assert made.calls[-1] == "close"


@pytest.mark.parametrize("migrate", [True, False])
def test_a_proxy_beside_the_registry_in_use_is_not_resolved(
    proxy: CollectorRegistryProxy, registry: CollectorRegistry, migrate: bool
) -> None:
    hits = Counter("hits_total", "Hits.", registry=proxy)
    both = union(CollectorRegistryProxy("missing"), registry)
    proxy.set_registry(both, migrate=migrate)
    proxy.set_registry(registry, migrate=migrate)
    assert list(proxy) == [hits]
