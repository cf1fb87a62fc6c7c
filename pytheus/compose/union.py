"""Several registries as one.

Rules:

- The union has no prefix of its own. The prefix of each member comes before that member's families.
- The members are asked in each call, so that a change in a member shows at once.
- In place of a member that fails, one scrape gets a collector that raises the member's error. So the exposition logs
  and counts it as any collector that fails, and exposes all other members.
- Names are compared as they are exposed, including the prefix.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, NoReturn

from pytheus.compose.base import Composition, checked_layer, refuse_cycle
from pytheus.compose.derived import DerivedCollectors, redefined
from pytheus.definitions import Definition
from pytheus.exceptions import ConflictError, NotARegistryError, NotRegisteredError
from pytheus.interruption import is_interruption
from pytheus.names import prefix_lead
from pytheus.registry.capabilities import Closable
from pytheus.registry.contract import Collector, Registry, collector_name
from pytheus.registry.lookup import find_collector
from pytheus.registry.traversal import FailedCollector, definition_of
from pytheus.samples import Family, Sample

__all__ = ["UnionRegistry", "union"]


def union(*registries: Registry) -> UnionRegistry:
    """Return all `registries` as one, each with its own prefix; `register` uses the first.

        >>> from pytheus import Counter, generate_metrics
        >>> from pytheus.registry import CollectorRegistry
        >>> shop, library = CollectorRegistry(), CollectorRegistry(prefix="library")
        >>> both = union(shop, library)
        >>> Counter("orders_total", "Orders placed.", registry=shop).inc()
        >>> Counter("calls_total", "Calls.", registry=library).inc(3)
        >>> print(generate_metrics(both), end="")
        # HELP orders_total Orders placed.
        # TYPE orders_total counter
        orders_total 1.0
        # HELP library_calls_total Calls.
        # TYPE library_calls_total counter
        library_calls_total 3.0

    A collector that several members hold under the same prefix is exposed once; two different ones with the same
    exposed name conflict, and the exposition leaves the second out and counts it. A metric that is defined through the
    union with the same definition as a metric of any member shares that metric's values. A member that raises is left
    out of that scrape, logged, and counted in ``pytheus_collector_errors_total``. Raises `NotARegistryError` without
    arguments, and for an argument that is not a registry or that is passed twice.
    """
    return UnionRegistry(registries)


class UnionRegistry(Composition):
    """The result of `union`. May be used from any thread."""

    __slots__ = ("_derived", "_members")

    def __init__(self, registries: tuple[Registry, ...]) -> None:
        if not registries:
            raise NotARegistryError(
                "union(...) needs at least one registry but got no argument; pass CollectorRegistry() for an empty one"
            )
        members: list[Registry] = []
        for position, candidate in enumerate(registries, 1):
            member = checked_layer(candidate, f"argument {position} of union(...)")
            if any(member is earlier for earlier in members):
                raise NotARegistryError(f"union(...) got {member!r:.80} twice; pass each registry once")
            members.append(member)
        self._members: Final = tuple(members)
        self._derived: Final = tuple(DerivedCollectors() for _ in members)

    @property
    def wrapped(self) -> tuple[Registry, ...]:
        """The members, in order."""
        return self._members

    @property
    def prefix(self) -> str | None:
        """Always None: each member's families have that member's own prefix."""
        return None

    def register(self, collector: Collector, /) -> None:
        """Register `collector` in the first member; see `Registry.register`.

        Raises `ConflictError` also if it would expose a name that is occupied in another member. A collector of any
        member counts as registered. A member that raises when it is searched is skipped.
        """
        origin, _ = self._origin(collector)
        definition = definition_of(origin)
        if definition is not None:
            lead = prefix_lead(self._members[0].prefix)
            for name in definition.occupied_names:
                incumbent = self._find_in_others(lead, name)
                if incumbent is not None:
                    if incumbent is origin or definition_of(incumbent) is definition:
                        return
                    _refuse(origin, definition, incumbent, lead + name)
        elif any(held is origin for member in self._members[1:] for held in _held_by(member)):
            return
        self._members[0].register(origin)

    def unregister(self, collector: Collector, /) -> None:
        """Unregister `collector` from every member that holds it; see `Registry.unregister`.

        Raises `NotRegisteredError` if no member does. If a member raises, the others are asked nevertheless, and its
        error is raised if none of them held the collector.
        """
        origin, holder = self._origin(collector)
        members = self._members if holder is None else (holder,)
        removed = False
        failure: Exception | None = None
        for member in members:
            try:
                member.unregister(origin)
            except NotRegisteredError:
                continue
            except Exception as error:
                failure = error if failure is None else failure
            else:
                removed = True
        for derived in self._derived:
            derived.forget(origin)
        if not removed:
            if failure is not None:
                raise failure
            raise NotRegisteredError(
                f"collector {collector_name(origin)!r} is in none of the {len(self._members)} registries of this union,"
                " so it cannot be unregistered"
            )

    def _origin(self, collector: Collector) -> tuple[Collector, Registry | None]:
        """Return the origin of `collector` and its member; itself and None if this union did not derive it."""
        for member, derived in zip(self._members, self._derived, strict=True):
            origin = derived.origin(collector)
            if origin is not collector:
                return origin, member
        return collector, None

    def collect(self) -> Iterator[Collector]:
        """Return the collectors of all members, member by member; see `Registry.collect`."""
        refuse_cycle(self)
        collected: list[Collector] = []
        # Keeps the objects alive, so that an id means one object.
        seen: dict[tuple[int, str], object] = {}
        for position, (member, derived) in enumerate(zip(self._members, self._derived, strict=True), 1):
            try:
                lead = prefix_lead(member.prefix)
                held = list(member.collect())
            except BaseException as error:
                if is_interruption(error):
                    raise
                collected.append(FailedCollector(f"union member {position}, {type(member).__qualname__}", error))
                continue
            fresh: list[tuple[Collector, _Lead | None]] = []
            for collector in held:
                definition = definition_of(collector)
                subject: object = collector if definition is None else definition
                if (id(subject), lead) not in seen:
                    seen[id(subject), lead] = subject
                    fresh.append((collector, _Lead(lead) if lead else None))
            collected += derived.derive(fresh)
        return iter(collected)

    def find(self, name: str, /) -> Collector | None:
        """Return the collector that exposes the name that `name` gets in the first member; see `Lookup.find`."""
        first = self._members[0]
        found = find_collector(first, name)
        return found if found is not None else self._find_in_others(prefix_lead(first.prefix), name)

    def _find_in_others(self, lead: str, name: str) -> Collector | None:
        exposed = lead + name
        for member in self._members[1:]:
            try:
                their_lead = prefix_lead(member.prefix)
                if exposed.startswith(their_lead):
                    found = find_collector(member, exposed[len(their_lead) :])
                    if found is not None:
                        return found
            except Exception:
                continue  # the next scrape reports the error
        return None

    def close(self) -> None:
        """Close every member that is `Closable`, also if one of them raises; then raises the first error."""
        failure: Exception | None = None
        for member in self._members:
            candidate: object = member
            if isinstance(candidate, Closable):
                try:
                    candidate.close()
                except Exception as error:
                    failure = error if failure is None else failure
        if failure is not None:
            raise failure

    def __repr__(self) -> str:
        return f"<union of {', '.join(map(repr, self._members))}>"


def _held_by(member: Registry) -> list[Collector]:
    try:
        return list(member.collect())
    except Exception:
        return []  # the next scrape reports the error


def _refuse(newcomer: Collector, definition: Definition, incumbent: Collector, exposed: str) -> NoReturn:
    holder = definition_of(incumbent) or collector_name(incumbent)
    raise ConflictError(
        f"{definition} conflicts with {holder} in another registry of this union: both expose the name {exposed!r};"
        " rename one of them, or define both alike to share their values",
        name=exposed,
        incumbent=incumbent,
    )


class _Lead(NamedTuple):
    """The change of a union: a member's prefix becomes part of the names."""

    lead: str

    def name(self, name: str) -> str:
        return self.lead + name

    def definition(self, definition: Definition) -> Definition:
        return redefined(definition, name=self.lead + definition.name)

    def family(self, family: Family) -> Family:
        name = self.lead + family.name
        samples: Iterable[Sample] = family.samples
        if family.type == "stateset":  # its states are in a label of its name
            samples = [
                sample._replace(
                    labels={name if label == family.name else label: value for label, value in sample.labels.items()}
                )
                for sample in samples
            ]
        return Family(
            name,
            family.type,
            family.description,
            samples,
            unit=family.unit,
            names=family.names,
        )
