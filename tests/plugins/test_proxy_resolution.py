"""The proxy and the choice by name: resolved once, at first use, with everything kept, whatever fails."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable
from functools import partial

import pytest

from pytheus import Counter
from pytheus.exceptions import NotARegistryError, PytheusWarning
from pytheus.registry import REGISTRY, CollectorRegistry, CollectorRegistryProxy, NullRegistry, Registry
from tests.plugins.conftest import COUNTING, CREATES_METRICS, THREADS, WAITS, Depth, Site, made, proxy_of


@pytest.fixture
def counting(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin "memory", installed and chosen by the variable, keeps the registries that it made."""
    site.plugin("memory", COUNTING)
    monkeypatch.setenv("PYTHEUS_REGISTRY", "memory")


@pytest.mark.usefixtures("counting")
def test_nothing_is_resolved_before_the_first_use() -> None:
    proxy = CollectorRegistryProxy()
    assert repr(proxy) == "<CollectorRegistryProxy for a registry not resolved yet>"
    proxy.close()
    assert "memory_module" not in sys.modules


def test_a_metric_tells_which_plugin_gave_no_registry_and_asks_it_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin("memory", COUNTING.replace('Memory(prefix="counting")', "{}"))
    monkeypatch.setenv("PYTHEUS_REGISTRY", "memory")
    with pytest.raises(NotARegistryError, match=r"^registry plugin 'memory' \(from PYTHEUS_REGISTRY\), entry point"):
        Counter("jobs_total", "Jobs.", registry=CollectorRegistryProxy())
    assert len(made()) == 1


@pytest.mark.usefixtures("counting")
@pytest.mark.parametrize("use", ["prefix", "collect", "register", "unregister", "find"])
def test_the_first_use_resolves_and_the_next_do_not(use: str) -> None:
    proxy, depth = CollectorRegistryProxy(), Depth()
    if use == "prefix":
        assert proxy.prefix == "counting"
    elif use == "collect":
        assert list(proxy.collect()) == []
    elif use == "register":
        proxy.register(depth)
    elif use == "find":
        assert proxy.find("queue_depth") is None
    else:
        with pytest.raises(ValueError, match="not in list"):
            proxy.unregister(depth)
    assert proxy.prefix == "counting"
    assert len(made()) == 1


@pytest.mark.usefixtures("counting")
def test_a_later_change_of_the_variable_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = CollectorRegistryProxy()
    assert proxy.prefix == "counting"
    monkeypatch.setenv("PYTHEUS_REGISTRY", "none")
    assert proxy.registry is made()[0]


@pytest.mark.usefixtures("counting")
def test_a_proxy_of_a_name_resolves_that_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_REGISTRY", "surely_not_installed")
    assert CollectorRegistryProxy("memory").prefix == "counting"


@pytest.mark.usefixtures("counting")
def test_threads_that_come_at_once_get_one_registry_and_lose_nothing(together: Callable[..., None]) -> None:
    proxy = CollectorRegistryProxy()
    seen: list[Registry] = []
    depths = [Depth() for _ in range(THREADS)]
    together(*[lambda: seen.append(proxy.registry)] * THREADS, *[partial(proxy.register, depth) for depth in depths])
    assert seen == made() * THREADS
    assert len(made()) == 1
    assert {id(depth) for depth in proxy.collect()} == {id(depth) for depth in depths}


def test_a_definition_does_not_wait_for_another_threads_resolution(site: Site) -> None:
    site.plugin("memory", WAITS.format(then="pass"))
    memory_module = importlib.import_module("memory_module")
    proxy, depth = CollectorRegistryProxy("memory"), Depth()
    resolving = threading.Thread(target=lambda: proxy.registry)
    resolving.start()
    assert memory_module.begun.wait(120)
    assert proxy.find("queue_depth") is None  # would never return if it waited
    proxy.register(depth)  # nor would this
    memory_module.go_on.set()
    resolving.join()
    assert list(proxy.collect()) == [depth]


def test_what_a_plugin_registers_while_it_is_imported_is_kept(site: Site) -> None:
    site.plugin("memory", CREATES_METRICS)
    proxy = proxy_of(site, "memory")
    registry = proxy.registry
    plugin = sys.modules["memory_module"]
    assert list(registry.collect()) == [plugin.at_import, plugin.at_call]
    assert list(proxy.collect()) == [plugin.at_import, plugin.at_call]


def test_what_a_plugin_that_is_set_by_name_registers_does_not_resolve_the_default(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin("memory", CREATES_METRICS)
    site.plugin("costly", COUNTING)
    monkeypatch.setenv("PYTHEUS_REGISTRY", "costly")
    proxy = proxy_of(site, None)
    proxy.set_registry("memory")
    plugin = sys.modules["memory_module"]
    assert list(proxy.collect()) == [plugin.at_import, plugin.at_call]
    assert "costly_module" not in sys.modules


def test_a_plugin_that_reads_the_proxy_meanwhile_does_not_wait_for_itself(site: Site) -> None:
    curious = "from memory_proxy import proxy\nassert proxy.prefix is None\nassert not list(proxy.collect())\n"
    site.plugin("memory", curious + COUNTING)
    assert proxy_of(site, "memory").prefix == "counting"


def test_what_a_plugin_sets_itself_meanwhile_wins_over_what_it_gives(site: Site) -> None:
    site.plugin(
        "memory",
        """
        from memory_proxy import proxy

        explicit = Memory(prefix="explicit")

        @hookimpl
        def pytheus_make_registry(options):
            proxy.set_registry(explicit)
            return Memory(prefix="given")
        """,
    )
    proxy, depth = proxy_of(site, "memory"), Depth()
    assert [proxy.prefix, proxy.prefix] == ["explicit"] * 2
    proxy.register(depth)
    assert list(proxy.collect()) == list(sys.modules["memory_module"].explicit.collect()) == [depth]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a Unix system")
def test_a_process_that_a_plugin_forks_is_still_within_the_resolution(site: Site) -> None:
    site.plugin(
        "memory",
        """
        import os
        from memory_proxy import proxy

        forked = []

        @hookimpl
        def pytheus_make_registry(options):
            if forked:
                return Memory(prefix="resolved_again")
            forked.append(os.fork())
            if not forked[0]:
                status = 1
                try:
                    status = 0 if proxy.prefix is None else 2
                finally:
                    os._exit(status)
            forked.append(os.waitstatus_to_exitcode(os.waitpid(forked[0], 0)[1]))
            return Memory()
        """,
    )
    assert list(proxy_of(site, "memory").collect()) == []
    assert sys.modules["memory_module"].forked[1] == 0


@pytest.mark.usefixtures("counting")
def test_a_registry_is_set_by_name() -> None:
    proxy, depth = CollectorRegistryProxy(CollectorRegistry()), Depth()
    proxy.register(depth)
    proxy.set_registry("memory")
    assert proxy.prefix == "counting"
    assert list(made()[0].collect()) == [depth]


def test_a_registry_is_used_for_a_block_by_name() -> None:
    former: Registry = CollectorRegistry()
    proxy = CollectorRegistryProxy(former)
    with proxy.use("none") as registry:
        assert type(registry) is NullRegistry
        assert proxy.registry is registry
    assert proxy.registry is former


def test_what_is_left_behind_is_warned_of() -> None:
    proxy = CollectorRegistryProxy(CollectorRegistry())
    proxy.register(Depth())
    with pytest.warns(PytheusWarning, match="Depth"):
        proxy.set_registry("none", migrate=False)


def test_the_global_registry_resolves_names_too() -> None:
    with REGISTRY.use("default://?prefix=shop"):
        assert REGISTRY.prefix == "shop"
