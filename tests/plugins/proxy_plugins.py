"""Plugins for tests of how the proxy resolves a name."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from pytheus.registry import CollectorRegistryProxy
from pytheus.samples import Family
from tests.plugins.conftest import Site

THREADS = 8


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
