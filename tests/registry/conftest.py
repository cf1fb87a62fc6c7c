"""A proxy, a registry that has only what the contract requires, and a collector with no families."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from pytheus.metrics import Family, Sample
from pytheus.registry import Collector, CollectorRegistry, CollectorRegistryProxy


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
