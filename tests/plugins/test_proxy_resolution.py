"""The proxy and the choice by name: resolved once, at first use, with everything kept, whatever fails."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from pytheus import Counter
from pytheus.exceptions import ConflictError, NotARegistryError, PluginLoadError, PytheusWarning, UnknownRegistryError
from pytheus.registry import REGISTRY, CollectorRegistry, CollectorRegistryProxy, NullRegistry, Registry
from pytheus.samples import Family

if TYPE_CHECKING:
    from tests.plugins.conftest import Site

THREADS = 8

COUNTING = """
made = []

@hookimpl
def pytheus_make_registry(options):
    made.append(Memory(prefix="counting"))
    return made[-1]
"""

FAILS_ONCE = """
made = []

@hookimpl
def pytheus_make_registry(options):
    made.append(None)
    if len(made) == 1:
        raise ConnectionError("nobody answers")
    return Memory()
"""


class Depth:
    """A collector that is no metric."""

    def collect(self) -> Iterator[Family]:
        yield Family("queue_depth", "gauge", "Jobs waiting.")


def in_threads(act: Callable[[], object]) -> list[BaseException]:
    """What the threads that all call `act` at once raise."""
    start, raised = threading.Barrier(THREADS), list[BaseException]()

    def run() -> None:
        start.wait()
        try:
            act()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def made(module: str) -> list[Registry]:
    registries: list[Registry] = sys.modules[module].made
    return registries


def test_nothing_is_resolved_before_the_first_use(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("memory", COUNTING)
    monkeypatch.setenv("PYTHEUS_REGISTRY", "memory")
    proxy = CollectorRegistryProxy()
    assert repr(proxy) == "<CollectorRegistryProxy for a registry not resolved yet>"
    proxy.close()
    assert "memory_module" not in sys.modules


NO_REGISTRY = """
made = []

@hookimpl
def pytheus_make_registry(options):
    made.append({})
    return made[-1]
"""


def test_a_metric_tells_which_plugin_gave_no_registry_and_asks_it_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin("memory", NO_REGISTRY)
    monkeypatch.setenv("PYTHEUS_REGISTRY", "memory")
    with pytest.raises(NotARegistryError, match=r"^registry plugin 'memory' \(from PYTHEUS_REGISTRY\), entry point"):
        Counter("jobs_total", "Jobs.", registry=CollectorRegistryProxy())
    assert len(made("memory_module")) == 1


@pytest.mark.parametrize("use", ["prefix", "collect", "register", "unregister", "find"])
def test_the_first_use_resolves_and_the_next_do_not(use: str, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("memory", COUNTING)
    monkeypatch.setenv("PYTHEUS_REGISTRY", "memory")
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
    assert len(made("memory_module")) == 1


def test_a_later_change_of_the_variable_changes_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("memory", COUNTING)
    monkeypatch.setenv("PYTHEUS_REGISTRY", "memory")
    proxy = CollectorRegistryProxy()
    assert proxy.prefix == "counting"
    monkeypatch.setenv("PYTHEUS_REGISTRY", "none")
    assert proxy.registry is made("memory_module")[0]


def test_a_proxy_of_a_name_resolves_that_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.plugin("memory", COUNTING)
    monkeypatch.setenv("PYTHEUS_REGISTRY", "surely_not_installed")
    assert CollectorRegistryProxy("memory").prefix == "counting"


def test_threads_that_come_at_once_get_one_registry(site: Site) -> None:
    site.plugin("memory", COUNTING)
    proxy = CollectorRegistryProxy("memory")
    seen: list[Registry] = []
    assert in_threads(lambda: seen.append(proxy.registry)) == []
    assert seen == made("memory_module") * THREADS


def test_threads_that_register_at_once_lose_nothing(site: Site) -> None:
    site.plugin("memory", COUNTING)
    proxy = CollectorRegistryProxy("memory")
    depths: list[Depth] = []

    def register() -> None:
        depth = Depth()
        depths.append(depth)
        proxy.register(depth)

    assert in_threads(register) == []
    assert {id(depth) for depth in proxy.collect()} == {id(depth) for depth in depths}
    assert len(made("memory_module")) == 1


def test_a_definition_does_not_wait_for_another_threads_resolution(site: Site) -> None:
    site.plugin(
        "memory",
        """
        import threading
        begun, go_on = threading.Event(), threading.Event()

        @hookimpl
        def pytheus_make_registry(options):
            begun.set()
            assert go_on.wait(120)
            return Memory()
        """,
    )
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


PROXY_MODULE = """
from pytheus.registry import CollectorRegistryProxy
proxy = CollectorRegistryProxy({choice!r})
"""

CREATES_METRICS = """
from memory_proxy import proxy

class Depth:
    def collect(self):
        return []

at_import = Depth()
proxy.register(at_import)

@hookimpl
def pytheus_make_registry(options):
    global at_call
    at_call = Depth()
    proxy.register(at_call)
    return Memory()
"""


FAILS_ONCE_AFTER_THAT = """
failures = [ConnectionError("nobody answers")]

@hookimpl
def pytheus_make_registry(options):
    if failures:
        raise failures.pop()
    return Memory()
"""


def proxy_of(site: Site, choice: str | None) -> CollectorRegistryProxy:
    """A proxy that the plugin finds as ``memory_proxy.proxy``."""
    site.module("memory_proxy", PROXY_MODULE.format(choice=choice))
    proxy: CollectorRegistryProxy = importlib.import_module("memory_proxy").proxy
    return proxy


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
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
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


def test_a_failure_is_raised_and_the_next_use_tries_again(site: Site) -> None:
    site.plugin("memory", FAILS_ONCE)
    proxy, depth = CollectorRegistryProxy("memory"), Depth()
    with pytest.raises(PluginLoadError, match="ConnectionError: nobody answers"):
        proxy.register(depth)
    proxy.register(depth)
    assert list(proxy.collect()) == [depth]


def test_a_thread_that_waits_for_a_resolution_that_fails_tries_again(
    site: Site, wait_until: Callable[[Callable[[], object], str], None]
) -> None:
    site.plugin(
        "memory",
        """
        import threading
        begun, go_on, calls = threading.Event(), threading.Event(), []

        @hookimpl
        def pytheus_make_registry(options):
            calls.append(None)
            if len(calls) == 1:
                begun.set()
                assert go_on.wait(120)
                raise ConnectionError("nobody answers")
            return Memory(prefix="second")
        """,
    )
    memory_module = importlib.import_module("memory_module")
    proxy = CollectorRegistryProxy("memory")
    prefixes: list[str | None] = []
    failures: list[BaseException] = []

    def fail() -> None:
        try:
            assert proxy.prefix
        except PluginLoadError as error:
            failures.append(error)

    first = threading.Thread(target=fail, daemon=True)
    second = threading.Thread(target=lambda: prefixes.append(proxy.prefix), daemon=True)
    first.start()
    assert memory_module.begun.wait(120)
    second.start()

    def waits() -> bool:
        frame = sys._current_frames().get(second.ident or 0)
        while frame is not None and frame.f_code.co_name != "_resolved":
            frame = frame.f_back
        return frame is not None

    wait_until(waits, "the second thread to wait for the first")
    memory_module.go_on.set()
    for thread in (first, second):
        thread.join(120)
    assert (len(failures), prefixes) == (1, ["second"])


def test_a_failure_keeps_what_was_registered_meanwhile(site: Site) -> None:
    site.plugin("memory", CREATES_METRICS + FAILS_ONCE_AFTER_THAT)
    proxy = proxy_of(site, "memory")
    with pytest.raises(PluginLoadError):
        list(proxy.collect())
    assert list(proxy.collect()) == [sys.modules["memory_module"].at_import]


def test_every_thread_hears_of_a_failure_or_tries_again(site: Site) -> None:
    site.plugin("memory", FAILS_ONCE)
    proxy = CollectorRegistryProxy("memory")
    raised = in_threads(lambda: proxy.registry)
    assert [type(error) for error in raised] == [PluginLoadError]
    assert len(made("memory_module")) == 2


def test_a_registry_is_set_by_name(site: Site) -> None:
    site.plugin("memory", COUNTING)
    proxy, depth = CollectorRegistryProxy(CollectorRegistry()), Depth()
    proxy.register(depth)
    proxy.set_registry("memory")
    assert proxy.prefix == "counting"
    assert list(made("memory_module")[0].collect()) == [depth]


def test_a_registry_is_used_for_a_block_by_name() -> None:
    former: Registry = CollectorRegistry()
    proxy = CollectorRegistryProxy(former)
    with proxy.use("none") as registry:
        assert type(registry) is NullRegistry
        assert proxy.registry is registry
    assert proxy.registry is former


def test_after_a_failed_choice_the_former_registry_serves_on(site: Site) -> None:
    site.plugin("memory", "raise RuntimeError")
    former, depth = CollectorRegistry(), Depth()
    proxy = CollectorRegistryProxy(former)
    proxy.register(depth)
    for choice in ("memory", "surely_not_installed"):
        with pytest.raises((PluginLoadError, UnknownRegistryError)):
            proxy.set_registry(choice)
    assert proxy.registry is former
    assert list(proxy.collect()) == [depth]


def test_after_a_conflict_in_the_new_registry_the_former_one_serves_on(site: Site) -> None:
    site.plugin(
        "memory",
        """
        from pytheus.exceptions import ConflictError

        class Full(Memory):
            def register(self, collector):
                if self.collectors:
                    raise ConflictError("full", name="x", incumbent=None)
                super().register(collector)

        made = []

        @hookimpl
        def pytheus_make_registry(options):
            made.append(Full())
            return made[0]
        """,
    )
    former, depths = CollectorRegistry(), [Depth(), Depth()]
    proxy = CollectorRegistryProxy(former)
    for depth in depths:
        proxy.register(depth)
    with pytest.raises(ConflictError):
        proxy.set_registry("memory")
    assert proxy.registry is former
    assert list(proxy.collect()) == depths
    assert list(made("memory_module")[0].collect()) == []


CLOSES = """
closed, made = [], []

class Full(Memory):
    def register(self, collector):
        raise MemoryError("full")

    def close(self):
        closed.append(self)

@hookimpl
def pytheus_make_registry(options):
    made.append(Full())
    return made[-1]
"""


def test_a_registry_that_was_made_for_a_change_that_fails_is_closed(site: Site) -> None:
    site.plugin("memory", CLOSES)
    proxy = CollectorRegistryProxy(CollectorRegistry())
    proxy.register(Depth())
    with pytest.raises(MemoryError):
        proxy.set_registry("memory")
    plugin = sys.modules["memory_module"]
    assert plugin.closed == plugin.made != []


def test_a_registry_that_was_made_for_a_resolution_that_fails_is_closed(site: Site) -> None:
    site.plugin(
        "memory",
        "from memory_proxy import proxy\n" + CLOSES.replace("    made", "    proxy.register(Memory())\n    made"),
    )
    proxy = proxy_of(site, "memory")
    with pytest.raises(MemoryError):
        list(proxy.collect())
    plugin = sys.modules["memory_module"]
    assert plugin.closed == plugin.made != []


def test_a_registry_that_was_handed_in_is_left_open_when_the_change_fails(site: Site) -> None:
    site.plugin("memory", CLOSES)
    plugin = importlib.import_module("memory_module")
    proxy = CollectorRegistryProxy(CollectorRegistry())
    proxy.register(Depth())
    with pytest.raises(MemoryError):
        proxy.set_registry(plugin.Full())
    assert plugin.closed == []


def test_what_is_left_behind_is_warned_of() -> None:
    proxy = CollectorRegistryProxy(CollectorRegistry())
    proxy.register(Depth())
    with pytest.warns(PytheusWarning, match="Depth"):
        proxy.set_registry("none", migrate=False)


def test_the_global_registry_resolves_names_too() -> None:
    with REGISTRY.use("default://?prefix=shop"):
        assert REGISTRY.prefix == "shop"
