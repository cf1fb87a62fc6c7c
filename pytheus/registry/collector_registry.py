"""The registry that keeps its collectors in this process.

Rules:

- An entry is found by identity, never by equality or hash, which the collector's author may define.
- The names that entries occupy are the keys of one dict, so that a conflict shows in either order of registration.
- A registration is validated completely, then committed in one uninterruptible step (see `pytheus.atomic`). No lock is
  held while foreign code runs, and on CPython with the GIL no lock is taken at all, so that a signal handler, a
  finalizer or a forked child that defines a metric cannot deadlock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from pytheus.atomic import LOCKED, lock_for
from pytheus.exceptions import ConflictError, NotRegisteredError
from pytheus.lazy import logger
from pytheus.names import validate_prefix
from pytheus.registry.contract import Collector, RefusesPeers, check_collector, collector_name
from pytheus.registry.traversal import definition_of, is_predecessor

__all__ = ["CollectorRegistry"]


class _Entry:
    __slots__ = ("collector", "definition", "names")

    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        self.definition = definition_of(collector)
        self.names = self.definition.occupied_names if self.definition is not None else ()

    def __str__(self) -> str:
        # Only an entry with names can conflict, and so be in a message.
        return str(self.definition)


class CollectorRegistry(RefusesPeers):
    """The default registry, which holds its collectors in this process's memory.

    `prefix` comes before the name of every exposed family (``prefix_name``), ``process_*`` and ``python_*`` included,
    which common dashboards expect without one. `on_conflict` decides about a collector with a name that is taken:
    "raise" refuses it with `ConflictError`, "warn" logs the conflict and keeps the first.

        >>> from pytheus import Counter
        >>> registry = CollectorRegistry(prefix="shop")
        >>> orders = Counter("orders_total", "Orders placed.", registry=registry)
        >>> orders in registry, "orders_total" in registry, len(registry)
        (True, True, 1)

    It has a length, so an empty one is falsy: test registries with ``is None``. All methods may be called from any
    thread, signal handler or finalizer.
    """

    __slots__ = ("__weakref__", "_claims", "_entries", "_on_conflict", "_prefix", "_version")

    def __init__(self, prefix: str | None = None, on_conflict: Literal["raise", "warn"] = "raise") -> None:
        if on_conflict not in ("raise", "warn"):
            raise ValueError(f"on_conflict must be 'raise' or 'warn' but got {on_conflict!r}")
        self._prefix = validate_prefix(prefix)
        self._on_conflict: Final = on_conflict
        self._entries: dict[int, _Entry] = {}
        self._claims: dict[str, _Entry] = {}
        self._version = 0

    @property
    def prefix(self) -> str | None:
        """The text before ``_name`` in every exposed family name, or None. A change shows in the next scrape."""
        return self._prefix

    @prefix.setter
    def prefix(self, prefix: str | None) -> None:
        self._prefix = validate_prefix(prefix)

    def register(self, collector: Collector, /) -> None:
        """Hold `collector` until it is unregistered; see `Registry.register`.

        Raises `ConflictError` if it would expose a name that is occupied (with ``on_conflict="warn"``: logs that
        instead), and `NotACollectorError` if it is not a collector. A handle that shares the values of a registered
        metric counts as registered.
        """
        self._hold(collector, replaces=False)

    def replace(self, collector: Collector, /) -> None:
        """Register `collector` in the place of one of the same class and name, if there is one.

        For code that is run again and makes its collectors again, such as a notebook cell. One step: a scrape shows the
        old one or the new one. Raises the errors of `register`, and then the old one stays.

            >>> from pytheus import Counter
            >>> registry = CollectorRegistry()
            >>> registry.replace(Counter("orders_total", "Orders.", ["method"], registry=None))
            >>> registry.replace(Counter("orders_total", "Orders.", ["method", "country"], registry=None))
            >>> len(registry)
            1
        """
        self._hold(collector, replaces=True)

    def _hold(self, collector: Collector, *, replaces: bool) -> None:
        entry = _Entry(collector)
        # What has a definition is a metric of pytheus or was derived from one.
        if entry.definition is None or isinstance(collector, type) or not callable(getattr(collector, "collect", None)):
            check_collector(collector)
        while True:
            version = self._version
            claims = self._claims
            if id(collector) in self._entries:
                return
            replaced = self._predecessors(collector) if replaces else ()
            if replaced:
                claims = {name: held for name, held in claims.copy().items() if held not in replaced}
            for name in entry.names:
                incumbent = claims.get(name)
                if incumbent is not None:
                    if incumbent.definition is entry.definition:
                        return
                    self._refuse(entry, incumbent, name)
                    return
            added = dict.fromkeys(entry.names, entry)
            if replaced:
                if self._replace(version, claims | added, self._entries_with(entry, replaced)):
                    return
            elif self._commit(version, entry, added):
                return

    def _predecessors(self, collector: Collector) -> tuple[_Entry, ...]:
        held = self._entries.copy().values()
        return tuple(entry for entry in held if is_predecessor(entry.collector, collector))

    def _entries_with(self, entry: _Entry, replaced: tuple[_Entry, ...]) -> dict[int, _Entry]:
        """Return the entries, with `entry` at the place of the first of the `replaced`."""
        entries: dict[int, _Entry] = {}
        for held in self._entries.copy().values():
            if held is replaced[0]:
                entries[id(entry.collector)] = entry
            elif held not in replaced:
                entries[id(held.collector)] = held
        return entries

    def _commit(self, version: int, entry: _Entry, added: dict[str, _Entry]) -> bool:
        if LOCKED:
            with lock_for(self):
                return self._commit_plainly(version, entry, added)
        return self._commit_plainly(version, entry, added)

    def _commit_plainly(self, version: int, entry: _Entry, added: dict[str, _Entry]) -> bool:
        key = id(entry.collector)
        # atomic: the version that was validated against is still the current one
        if self._version == version:
            self._version = version + 1
            self._claims |= added
            self._entries[key] = entry
            return True
        return False

    def _refuse(self, newcomer: _Entry, incumbent: _Entry, name: str) -> None:
        mine, theirs = newcomer.definition, incumbent.definition
        if mine is not None and theirs is not None and mine.matches(theirs):
            remedy = (
                "they are equal but were defined apart, each with its own numbers; define the second in this registry"
            )
        else:
            remedy = (
                "rename one of them, or define both alike to share their values; to replace the first one, as in a"
                f" notebook, call REGISTRY.unregister(old) before, where old is REGISTRY.find({name!r})"
            )
        message = f"{newcomer} conflicts with {incumbent}: both expose the name {name!r}; {remedy}"
        if self._on_conflict == "warn":
            logger("pytheus.registry").warning(
                "%s. The first one stays registered and the second is not exposed.", message
            )
            return
        raise ConflictError(message, name=name, incumbent=incumbent.collector)

    def unregister(self, collector: Collector, /) -> None:
        """Remove `collector`, or the metric that it shares its values with; see `Registry.unregister`.

        Raises `NotRegisteredError` if it is not registered; a metric that was refused never removes the one that it
        conflicted with.
        """
        while True:
            version = self._version
            entry = self._entry_of(collector)
            if entry is None:
                raise NotRegisteredError(
                    f"collector {collector_name(collector)!r} is not registered here, so it cannot be unregistered;"
                    f" registered: {', '.join(collector_name(held) for held in self.collect()) or 'nothing'}"
                )
            # Copied in one step, because another thread may be adding to them.
            claims = self._claims.copy()
            entries = self._entries.copy()
            for name in entry.names:
                claims.pop(name, None)
            entries.pop(id(entry.collector), None)
            if self._replace(version, claims, entries):
                return

    def clear(self) -> None:
        """Remove every collector."""
        while not self._replace(self._version, {}, {}):
            pass

    def _replace(self, version: int, claims: dict[str, _Entry], entries: dict[int, _Entry]) -> bool:
        if LOCKED:
            with lock_for(self):
                return self._replace_plainly(version, claims, entries) is not None
        return self._replace_plainly(version, claims, entries) is not None

    def _replace_plainly(
        self, version: int, claims: dict[str, _Entry], entries: dict[int, _Entry]
    ) -> tuple[dict[str, _Entry], dict[int, _Entry]] | None:
        # The caller gets the old dicts, so that no finalizer of an object in them runs between the assignments.
        old = (self._claims, self._entries)
        # atomic: as in _commit_plainly; readers hold either the old dicts or the new ones
        if self._version == version:
            self._version = version + 1
            self._claims = claims
            self._entries = entries
            return old
        return None

    def _entry_of(self, collector: object) -> _Entry | None:
        entry = self._entries.get(id(collector))
        if entry is None:
            definition = definition_of(collector)
            if definition is not None:
                claimed = self._claims.get(definition.name)
                if claimed is not None and claimed.definition is definition:
                    entry = claimed
        return entry

    def collect(self) -> Iterator[Collector]:
        """Return the collectors in the order of their registration: a snapshot, see `Registry.collect`."""
        return iter([entry.collector for entry in list(self._entries.values())])

    def find(self, name: str, /) -> Collector | None:
        """Return the collector that occupies `name`, by its own name or one that it produces, or None.

        Names are without the registry's prefix. Custom collectors, whose names show only in a scrape, are not found.
        """
        entry = self._claims.get(name)
        return None if entry is None else entry.collector

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Collector]:
        return self.collect()

    def __contains__(self, subject: object) -> bool:
        if isinstance(subject, str):
            return subject in self._claims
        return self._entry_of(subject) is not None

    def __repr__(self) -> str:
        prefix = "" if self._prefix is None else f"prefix={self._prefix!r}, "
        return f"<CollectorRegistry {prefix}{len(self._entries)} collectors>"
