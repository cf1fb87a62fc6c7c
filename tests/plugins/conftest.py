"""Distributions made in a temporary folder, as an installer would leave them, and a place without configuration."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

from pytheus import REGISTRY
from pytheus.exceptions import PytheusError
from pytheus.plugins import refresh_plugins, resolve_registry
from pytheus.registry import CollectorRegistryProxy, Registry
from pytheus.samples import Family

PRELUDE = """
from dataclasses import dataclass
from pytheus.plugins import hookimpl


class Memory:
    def __init__(self, prefix=None):
        self.prefix = prefix
        self.collectors = []
        self.closed = False

    def __len__(self):
        return 0

    def register(self, collector):
        if collector not in self.collectors:
            self.collectors.append(collector)

    def unregister(self, collector):
        self.collectors.remove(collector)

    def collect(self):
        return list(self.collectors)

    def close(self):
        self.closed = True
"""
"""What every plugin made here begins with: a registry that knows nothing of pytheus, and is always falsy."""

COUNTING = """
made = []

@hookimpl
def pytheus_make_registry(options):
    made.append(Memory(prefix="counting"))
    return made[-1]
"""
"""A factory that keeps the registries that it made."""

FACTORY = """
@hookimpl
def pytheus_make_registry(options):
    return Memory()
"""
"""A factory that takes no options."""

PREFIXING = """
from pytheus.compose import prefixed

@hookimpl
def pytheus_wrap_registry(registry):
    return prefixed(registry, "{prefix}")
"""
"""A plugin that puts a prefix before the registry."""


class Site:
    """A folder on `sys.path` that holds installed distributions."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        folder.mkdir(exist_ok=True)

    def module(self, name: str, source: str) -> None:
        (self.folder / f"{name}.py").write_text(textwrap.dedent(source), "utf-8")
        importlib.invalidate_caches()

    def distribution(
        self, name: str, entry_points: Mapping[str, str], *, version: str = "1.0", group: str = "pytheus"
    ) -> Path:
        """The metadata of a distribution with these entry points."""
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
        lines = [f"{key} = {value}\n" for key, value in entry_points.items()]
        (info / "entry_points.txt").write_text(f"[{group}]\n{''.join(lines)}", "utf-8")
        refresh_plugins()
        return info

    def plugin(self, name: str, body: str = FACTORY, *, value: str | None = None) -> None:
        """The distribution ``NAME-dist`` 1.0 whose entry point NAME is ``NAME_module``, made of the prelude and `body`.

        `value` is what the entry point names instead of the module.
        """
        self.module(f"{name}_module", PRELUDE + textwrap.dedent(body))
        self.distribution(f"{name}-dist", {name: value or f"{name}_module"})

    def active(self, name: str, body: str) -> None:
        """As `plugin`, and PYTHEUS_PLUGINS names it."""
        self.plugin(name, body)
        self._monkeypatch.setenv("PYTHEUS_PLUGINS", name)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, with no variable of pytheus set and nothing remembered of earlier scans."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("PYTHEUS_REGISTRY", "PYTHEUS_CONFIG", "PYTHEUS_PLUGINS", "PYTHEUS_STRICT", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    refresh_plugins()
    yield folder
    refresh_plugins()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty `Site`; what is imported from it is forgotten with the test."""
    site = Site(tmp_path / "site", monkeypatch)
    monkeypatch.syspath_prepend(str(site.folder))
    yield site
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


AUDIT = """
events = []


@hookimpl
def pytheus_collector_registered(collector, registry):
    events.append(("registered", collector, registry))


@hookimpl
def pytheus_collector_unregistered(collector, registry):
    events.append(("unregistered", collector, registry))


@hookimpl
def pytheus_collector_rejected(collector, registry, error):
    events.append(("rejected", collector, registry, error))


@hookimpl
def pytheus_collect_error(collector, error):
    events.append(("failed", collector, error))
"""
"""A plugin that notes down what every observer is told."""


class Audit:
    """What the plugin "audit" has noted down."""

    @property
    def events(self) -> list[tuple[object, ...]]:
        events: list[tuple[object, ...]] = sys.modules["audit_module"].events
        return events

    @property
    def names(self) -> list[tuple[str, str]]:
        """Each event with the collector's name."""
        return [
            (str(event), getattr(collector, "name", type(collector).__name__)) for event, collector, *_ in self.events
        ]

    def clear(self) -> None:
        self.events.clear()


@pytest.fixture
def audit(site: Site) -> Audit:
    """The plugin "audit", installed and named."""
    site.active("audit", AUDIT)
    return Audit()


@pytest.fixture
def pyproject(home: Path) -> Path:
    """The configuration file, which is not written yet."""
    return home / "pyproject.toml"


@pytest.fixture
def serving() -> Iterator[Registry]:
    """The registry behind `REGISTRY`, which is put back afterwards, without what came meanwhile."""
    before = REGISTRY.registry
    held = list(before.collect())
    yield before
    REGISTRY.set_registry(before)
    for collector in list(before.collect()):
        if not any(collector is other for other in held):
            before.unregister(collector)


ENTRY = "entry point 'memory = memory_module' of memory-dist 1.0"

Error = TypeVar("Error", bound=PytheusError)


def refused(kind: type[Error], choice: str | None = "memory") -> Error:
    """The error of exactly this kind that the choice raises."""
    with pytest.raises(kind) as caught:
        resolve_registry(choice)
    assert type(caught.value) is kind
    return caught.value


def made(module: str = "memory_module") -> list[Registry]:
    """The registries that the factory `COUNTING` of this module made."""
    registries: list[Registry] = sys.modules[module].made
    return registries


# For the proxy --------------------------------------------------------------------------------------------------------

THREADS = 8


WAITS = """
import threading
begun, go_on, calls = threading.Event(), threading.Event(), []

@hookimpl
def pytheus_make_registry(options):
    calls.append(None)
    if len(calls) == 1:
        begun.set()
        assert go_on.wait(120)
        {then}
    return Memory(prefix="second" if len(calls) > 1 else None)
"""
"""A factory whose first call waits for `go_on` before it goes on with `then`."""


class Depth:
    """A collector that is no metric."""

    def collect(self) -> Iterator[Family]:
        yield Family("queue_depth", "gauge", "Jobs waiting.")


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


def proxy_of(site: Site, choice: str | None) -> CollectorRegistryProxy:
    """A proxy that the plugin finds as ``memory_proxy.proxy``."""
    site.module("memory_proxy", PROXY_MODULE.format(choice=choice))
    proxy: CollectorRegistryProxy = importlib.import_module("memory_proxy").proxy
    return proxy
