"""Collectors as they look through a layer that changes them.

Rules:

- A layer gives the same derived collector for the same collector each time, with the same definition, so that a
  registry which that is registered in can tell it by identity. It is kept while the layer sees the collector: what was
  unregistered below is forgotten at the next `collect()`, what was unregistered through the layer at once.
- A derived collector has a definition exactly where its origin has one.
- Families are changed as they come, each scrape; nothing of an origin is ever kept or changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from pytheus.definitions import Definition
from pytheus.registry.contract import Collector, collector_name
from pytheus.registry.traversal import definition_of, flatten
from pytheus.samples import Family

__all__ = ["Change", "DerivedCollector", "DerivedCollectors", "redefined"]


class Change(Protocol):
    """What a layer makes of collectors. Two that are equal make the same."""

    def name(self, name: str) -> str:
        """What the collector is called in messages."""
        ...

    def definition(self, definition: Definition) -> Definition:
        """What a metric is defined as, behind the layer."""
        ...

    def family(self, family: Family) -> Family | None:
        """What becomes of a family; None leaves it out. May raise, and then the collector fails."""
        ...


def redefined(definition: Definition, *, name: str | None = None, labels: tuple[str, ...] = ()) -> Definition:
    """`definition` with another name, or with more labels."""
    return Definition(
        definition.name if name is None else name,
        definition.type,
        definition.description,
        (*definition.labels, *(label for label in labels if label not in definition.labels)),
        bounds=definition.bounds,
        states=definition.states,
        mode=definition.mode,
        location=definition.location,
    )


class DerivedCollector:
    """`origin` as it looks after `change`."""

    __slots__ = ("__weakref__", "change", "origin", "owner")

    def __init__(self, origin: Collector, change: Change, owner: object) -> None:
        self.origin: Collector = origin
        self.change: Change = change
        self.owner: object = owner

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.change.name(collector_name(self.origin))

    def collect(self) -> Iterator[Family]:
        """The families as they stand now, changed."""
        for family in flatten(self.origin):
            if (changed := self.change.family(family)) is not None:
                yield changed

    def __repr__(self) -> str:
        return f"<{self.origin!r} as {self.name}>"


class _DerivedMetric(DerivedCollector):
    __slots__ = ("_definition", "_source")

    def __init__(self, origin: Collector, change: Change, owner: object, definition: Definition) -> None:
        super().__init__(origin, change, owner)
        self._source = definition
        self._definition = change.definition(definition)

    @property
    def definition(self) -> Definition:
        """The origin's definition, changed."""
        source = definition_of(self.origin)
        if source is not None and source is not self._source:  # it shares another metric's series now
            self._source = source
            self._definition = self.change.definition(source)
        return self._definition


class DerivedCollectors:
    """The derived collectors that one layer gives."""

    __slots__ = ("_made", "_owner")

    def __init__(self) -> None:
        self._made: dict[int, DerivedCollector] = {}
        self._owner: Final = object()

    def derive(self, collectors: Iterable[tuple[Collector, Change | None]]) -> list[Collector]:
        """Each collector after its change, or itself where that is None. All others are forgotten."""
        before = self._made
        kept: dict[int, DerivedCollector] = {}
        result: list[Collector] = []
        for collector, change in collectors:
            if change is None:
                result.append(collector)
                continue
            derived = before.get(id(collector))
            if derived is None or derived.origin is not collector or derived.change != change:
                derived = self._new(collector, change)
            kept[id(collector)] = derived
            result.append(derived)
        self._made = kept
        return result

    def _new(self, collector: Collector, change: Change) -> DerivedCollector:
        definition = definition_of(collector)
        if definition is None:
            return DerivedCollector(collector, change, self._owner)
        return _DerivedMetric(collector, change, self._owner, definition)

    def origin(self, collector: Collector) -> Collector:
        """What `collector` was made from, if it was made here; otherwise `collector` itself."""
        if isinstance(collector, DerivedCollector) and collector.owner is self._owner:
            return collector.origin
        return collector

    def forget(self, collector: Collector) -> None:
        """Keep nothing that was made from `collector`, or from a handle on the same metric, here or in layers below."""
        root = _root(collector)
        definition = definition_of(root)
        # Copied in one step, for another thread may replace it.
        for key, derived in self._made.copy().items():
            origin = _root(derived)
            if origin is root or (definition is not None and definition_of(origin) is definition):
                self._made.pop(key, None)


def _root(collector: Collector) -> Collector:
    while isinstance(collector, DerivedCollector):
        collector = collector.origin
    return collector
