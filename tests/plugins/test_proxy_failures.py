"""The proxy when a resolution or a change of registry fails: nothing is lost, and nothing is left open."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable

import pytest

from pytheus.exceptions import ConflictError, PluginLoadError, UnknownRegistryError
from pytheus.registry import CollectorRegistry, CollectorRegistryProxy
from tests.plugins.conftest import CREATES_METRICS, THREADS, WAITS, Depth, Site, made, proxy_of

FAILS_ONCE = """
made = []

@hookimpl
def pytheus_make_registry(options):
    made.append(None)
    if len(made) == 1:
        raise ConnectionError("no answer")
    return Memory()
"""


def test_a_failure_is_raised_and_the_next_use_tries_again(site: Site) -> None:
    site.plugin("memory", FAILS_ONCE)
    proxy, depth = CollectorRegistryProxy("memory"), Depth()
    with pytest.raises(PluginLoadError, match="ConnectionError: no answer"):
        proxy.register(depth)
    proxy.register(depth)
    assert list(proxy.collect()) == [depth]


def test_a_thread_that_waits_for_a_resolution_that_fails_tries_again(
    site: Site, wait_until: Callable[[Callable[[], object], str], None]
) -> None:
    site.plugin("memory", WAITS.format(then="raise ConnectionError('no answer')"))
    memory_module = importlib.import_module("memory_module")
    proxy = CollectorRegistryProxy("memory")
    prefixes: list[str | None] = []
    failures: list[PluginLoadError] = []

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
    site.plugin("memory", CREATES_METRICS + FAILS_ONCE)
    proxy = proxy_of(site, "memory")
    with pytest.raises(PluginLoadError):
        list(proxy.collect())
    assert list(proxy.collect()) == [sys.modules["memory_module"].at_import]


def test_every_thread_hears_of_a_failure_or_tries_again(site: Site, together: Callable[..., None]) -> None:
    site.plugin("memory", FAILS_ONCE)
    proxy = CollectorRegistryProxy("memory")
    raised: list[PluginLoadError] = []

    def use() -> None:
        try:
            assert proxy.registry is not None
        except PluginLoadError as error:
            raised.append(error)

    together(*[use] * THREADS)
    assert len(raised) == 1
    assert len(made()) == 2


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
    assert list(made()[0].collect()) == []


CLOSES = """
made = []

class Full(Memory):
    def register(self, collector):
        raise MemoryError("full")

@hookimpl
def pytheus_make_registry(options):
    made.append(Full())
    return made[-1]
"""


def test_a_registry_is_closed_after_a_change_that_fails_unless_it_was_handed_in(site: Site) -> None:
    site.plugin("memory", CLOSES)
    full = importlib.import_module("memory_module").Full()
    proxy = CollectorRegistryProxy(CollectorRegistry())
    proxy.register(Depth())
    for choice in (full, "memory"):
        with pytest.raises(MemoryError):
            proxy.set_registry(choice)
    assert not full.closed
    assert [getattr(registry, "closed") for registry in made()] == [True]  # noqa: B009  # not in the protocol


def test_a_registry_that_was_made_for_a_resolution_that_fails_is_closed(site: Site) -> None:
    site.plugin(
        "memory",
        "from memory_proxy import proxy\n" + CLOSES.replace("    made", "    proxy.register(Memory())\n    made"),
    )
    proxy = proxy_of(site, "memory")
    with pytest.raises(MemoryError):
        list(proxy.collect())
    assert [getattr(registry, "closed") for registry in made()] == [True]  # noqa: B009  # not in the protocol
