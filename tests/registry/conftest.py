"""A proxy, a registry that has only the members of the contract, and collectors without a definition."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

import pytest

from pytheus.exceptions import NotRegisteredError
from pytheus.metrics import Family, Sample
from pytheus.registry import Collector, CollectorRegistry, CollectorRegistryProxy, Registry


class Custom:
    """A collector of one family, without a definition."""

    def __init__(self, family: str = "custom") -> None:
        self.family = family

    def collect(self) -> Iterator[Family]:
        yield Family(self.family, "gauge", "Custom.", [Sample("", {}, 1.0)])


class EqualToAll(Custom):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]  # as in every class with __eq__


class Plain:
    """A registry with only the four members, no check of names, and a length of 0; notes its calls in `calls`."""

    def __init__(self, *held: Collector, prefix: str | None = None, refuses: str = "") -> None:
        self.prefix = prefix
        self.held = list(held)
        self.refuses = refuses
        self.calls: list[str] = []

    def register(self, collector: Collector) -> None:
        self.calls.append("register")
        if self.refuses and getattr(collector, "name", "") == self.refuses:
            raise RuntimeError(f"no {self.refuses}")
        self.held.append(collector)

    def unregister(self, collector: Collector) -> None:
        self.calls.append("unregister")
        if not any(held is collector for held in self.held):
            raise NotRegisteredError("not held")
        self.held = [held for held in self.held if held is not collector]

    def collect(self) -> Iterable[Collector]:
        self.calls.append("collect")
        return list(self.held)

    def __len__(self) -> int:
        return 0


class EqualRegistry(Plain):
    """As `Plain`, and equal to every object."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]  # as in every class with __eq__


class Replaced(Plain):
    """Another thread replaces it behind `proxy` with `chosen` just before it registers a collector."""

    def __init__(self, chosen: Registry) -> None:
        super().__init__()
        self.chosen = chosen
        self.proxy = CollectorRegistryProxy(self)

    def register(self, collector: Collector) -> None:
        if not self.held:
            self.proxy.set_registry(self.chosen)
        super().register(collector)


class Keeping(Plain):
    """It keeps the first collector of a name, and raises no error."""

    def register(self, collector: Collector) -> None:
        if getattr(collector, "name", "") not in [getattr(held, "name", "") for held in self.held]:
            super().register(collector)


def same(found: Iterable[object], expected: Iterable[object]) -> bool:
    """Whether both have the same objects in the same order, even if all objects are equal."""
    return list(map(id, found)) == list(map(id, expected))


@pytest.fixture
def proxy(registry: CollectorRegistry) -> CollectorRegistryProxy:
    return CollectorRegistryProxy(registry)


@contextmanager
def _overtaken(step: str, act: Callable[[], object]) -> Iterator[None]:
    def trace(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == step:
            sys.settrace(None)
            act()

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(former)


@pytest.fixture
def overtaken() -> Callable[[str, Callable[[], object]], AbstractContextManager[None]]:
    """``with overtaken("step", act)``: `act` is done just before the next call of `step`, once.

    As another thread would do it that came between two instructions, and at the same place each time.
    """
    return _overtaken
