"""Collectors as they appear through a layer that changes them.

Rules:

- A layer returns the same derived collector for the same collector each time, with the same definition, so that
  another registry in which it is registered recognises it by identity. The layer keeps it as long as it sees the
  collector: after `unregister` below until the next `collect()`, after `unregister` through the layer no longer.
- A derived collector has a definition if and only if its origin has one.
- Families are changed in each scrape, as they arrive; no family of an origin is kept or modified.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from pytheus.compose.base import Layer
from pytheus.definitions import Definition
from pytheus.registry.capabilities import precedence_of
from pytheus.registry.contract import Collector, Registry, collector_name
from pytheus.registry.traversal import definition_of, flatten
from pytheus.samples import Family

__all__ = ["Change", "DerivedCollector", "DerivedCollectors", "DerivingLayer", "redefined"]


class Change(Protocol):
    """The change that a layer makes to collectors. Equal changes have equal results."""

    def name(self, name: str) -> str:
        """Return the collector's name in messages, given that of its origin."""
        ...

    def definition(self, definition: Definition) -> Definition:
        """Return the definition of a metric, given that of its origin."""
        ...

    def family(self, family: Family) -> Family | None:
        """Return the changed family, or None to leave it out. If it raises, the collector fails in that scrape."""
        ...


def redefined(definition: Definition, *, name: str | None = None, labels: tuple[str, ...] = ()) -> Definition:
    """Return `definition` with another name, or with more labels."""
    return Definition(
        definition.name if name is None else name,
        definition.type,
        definition.description,
        (*definition.labels, *(label for label in labels if label not in definition.labels)),
        bounds=definition.bounds,
        states=definition.states,
        mode=definition.mode,
        location=definition.location,
        unit=definition.unit,
        native=definition.native,
        names=definition.name_rules,
    )


class DerivedCollector:
    """The collector `origin` after `change`, made by the layer whose token is `owner`."""

    __slots__ = ("__weakref__", "change", "origin", "owner")

    def __init__(self, origin: Collector, change: Change, owner: object) -> None:
        self.origin: Collector = origin
        self.change: Change = change
        self.owner: object = owner

    @property
    def name(self) -> str:
        """The name in messages."""
        return self.change.name(collector_name(self.origin))

    @property
    def precedence(self) -> int | None:
        """The precedence of the origin; see `HasPrecedence`."""
        return precedence_of(self.origin)

    def collect(self) -> Iterator[Family]:
        """Return the changed families, with current values."""
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
        if source is not None and source is not self._source:  # the metric shares another one's series since
            self._source = source
            self._definition = self.change.definition(source)
        return self._definition


class DerivedCollectors:
    """The derived collectors of one layer."""

    __slots__ = ("_made", "_owner")

    def __init__(self) -> None:
        self._made: dict[int, DerivedCollector] = {}
        self._owner: Final = object()

    def derive(self, collectors: Iterable[tuple[Collector, Change | None]]) -> list[Collector]:
        """Return each collector after its change, or itself if that is None. All others are forgotten."""
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
        """Return the origin of `collector` if this layer derived it, and `collector` itself otherwise."""
        if isinstance(collector, DerivedCollector) and collector.owner is self._owner:
            return collector.origin
        return collector

    def forget(self, collector: Collector) -> None:
        """Drop each collector derived from `collector`, or from a handle on its metric, also through layers below."""
        root = _root(collector)
        definition = definition_of(root)
        # Copied in one step, because another thread may replace it.
        for key, derived in self._made.copy().items():
            origin = _root(derived)
            if origin is root or (definition is not None and definition_of(origin) is definition):
                self._made.pop(key, None)


def _root(collector: Collector) -> Collector:
    while isinstance(collector, DerivedCollector):
        collector = collector.origin
    return collector


class DerivingLayer(Layer):
    """The base of layers around one registry that show derived collectors."""

    __slots__ = ("_derived",)

    def __init__(self, registry: Registry, source: str) -> None:
        super().__init__(registry, source)
        self._derived: Final = DerivedCollectors()

    def register(self, collector: Collector, /) -> None:
        """Register `collector`, or the origin of a derived one, in the registry below; see `Registry.register`."""
        self._registry.register(self._derived.origin(collector))

    def unregister(self, collector: Collector, /) -> None:
        """Unregister `collector`, as it was registered or as `collect()` returns it; see `Registry.unregister`."""
        origin = self._derived.origin(collector)
        self._registry.unregister(origin)
        self._derived.forget(origin)
