"""A registry that keeps the whole contract, written so that a subclass can break each part by itself."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import ClassVar, cast

from pytheus.definitions import Definition
from pytheus.exceptions import ConflictError, NotRegisteredError
from pytheus.registry import Collector, Registry
from pytheus.testing import RegistryConformance


def conformance(
    make: Callable[[], Registry], prefixed: Callable[[str | None], Registry] | None = None, **members: object
) -> type[RegistryConformance]:
    """Return a class that checks the registries of `make`, and of `prefixed`, with further declarations."""
    members["make_registry"] = lambda self: make()
    if prefixed is not None:
        members["make_prefixed_registry"] = lambda self, prefix: prefixed(prefix)
    return cast(type[RegistryConformance], type("Conformance", (RegistryConformance,), members))


def definition_of(collector: object) -> Definition | None:
    definition = getattr(collector, "definition", None)
    return definition if isinstance(definition, Definition) else None


def names_of(collector: object) -> tuple[str, ...]:
    definition = definition_of(collector)
    return () if definition is None else definition.occupied_names


class Twin:
    """Tells what another collector tells, and is not it."""

    def __init__(self, original: Collector) -> None:
        self.name = getattr(original, "name", "twin")
        self.definition = definition_of(original)
        self.collect = original.collect


_alive: weakref.WeakSet[Sound] = weakref.WeakSet()


def _after_fork() -> None:
    for registry in list(_alive):
        registry.after_fork()


os.register_at_fork(after_in_child=_after_fork)


class Sound:
    """A registry that keeps the contract, written so that each part of it can be broken by itself."""

    check: ClassVar[str] = ""
    """The one check that fails."""

    message: ClassVar[str] = ""
    """What the failure says, among other things."""

    patience_seconds: ClassVar[float] = 30.0
    """How long that check waits; less for one that certainly hangs."""

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = prefix
        self.lock = threading.RLock()
        _alive.add(self)
        self.held: list[Collector] = []
        self.closed = False
        # For the broken ones.
        self.plain = threading.Lock()
        self.remembered: list[Collector] = []
        self.known: set[object] = set()
        self.claims: dict[str, Collector] = {}

    def register(self, collector: Collector, /) -> None:
        with self.lock:
            if self.holder(collector) is not None:
                return
            incumbent = self.conflicting(collector)
            if incumbent is not None:
                self.refuse(collector, incumbent)
                return
            self.add(collector)

    def holder(self, collector: Collector) -> Collector | None:
        """What is held and is `collector`, or a handle on the same metric."""
        definition = definition_of(collector)
        for held in self.held:
            if held is collector or (definition is not None and definition_of(held) is definition):
                return held
        return None

    def conflicting(self, collector: Collector) -> Collector | None:
        names = set(names_of(collector))
        return next((held for held in self.held if not names.isdisjoint(names_of(held))), None)

    def refuse(self, collector: Collector, incumbent: Collector) -> None:
        raise ConflictError("taken", name=names_of(incumbent)[0], incumbent=incumbent)

    def add(self, collector: Collector) -> None:
        self.held = [*self.held, collector]

    def unregister(self, collector: Collector, /) -> None:
        with self.lock:
            held = self.holder(collector)
            if held is None:
                raise NotRegisteredError("not held")
            self.remove(held)

    def remove(self, collector: Collector) -> None:
        self.held = [held for held in self.held if held is not collector]

    def collect(self) -> Iterable[Collector]:
        return list(self.held)

    def find(self, name: str, /) -> Collector | None:
        return next((held for held in self.held if name in names_of(held)), None)

    def close(self) -> None:
        self.closed = True

    def after_fork(self) -> None:
        self.lock = threading.RLock()
