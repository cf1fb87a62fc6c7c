"""Defects of the registry in memory."""

from __future__ import annotations

from mutation.mutant import Mutant
from mutation.suites import COLLECTOR_REGISTRY

__all__ = ["MUTANTS"]

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "version-not-checked-when-adding",
        "registry/collector_registry.py",
        "Two threads that validated at the same time both add what they have.",
        """
        if self._version == version:
            self._version = version + 1
            self._claims |= added
        """,
        """
        if version <= self._version:
            self._version = version + 1
            self._claims |= added
        """,
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "version-not-raised-when-adding",
        "registry/collector_registry.py",
        "Nobody sees that something was added after they validated.",
        """
        self._version = version + 1
        self._claims |= added
        """,
        "self._claims |= added",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "version-not-checked-when-replacing",
        "registry/collector_registry.py",
        "An unregistration undoes what was registered meanwhile.",
        """
        if self._version == version:
            self._version = version + 1
            self._claims = claims
        """,
        """
        if version <= self._version:
            self._version = version + 1
            self._claims = claims
        """,
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "version-not-raised-when-replacing",
        "registry/collector_registry.py",
        "Nobody sees that something was unregistered after they validated.",
        """
        self._version = version + 1
        self._claims = claims
        """,
        "self._claims = claims",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "lock-dropped-when-adding",
        "registry/collector_registry.py",
        "Without the GIL, two threads can add at the same moment.",
        """
        with lock_for(self):
            return self._commit_plainly(version, entry, added)
        """,
        "return self._commit_plainly(version, entry, added)",
        COLLECTOR_REGISTRY,
        locked=True,
    ),
    Mutant(
        "lock-dropped-when-replacing",
        "registry/collector_registry.py",
        "Without the GIL, two threads can replace at the same moment.",
        """
        with lock_for(self):
            return self._replace_plainly(version, claims, entries) is not None
        """,
        "return self._replace_plainly(version, claims, entries) is not None",
        COLLECTOR_REGISTRY,
        locked=True,
    ),
    Mutant(
        "call-within-the-atomic-stretch",
        "registry/collector_registry.py",
        "Another thread can come between a registration's two stores.",
        """
        self._claims |= added
        self._entries[key] = entry
        """,
        """
        self._claims.update(added)
        self._entries[key] = entry
        """,
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "stores-swapped",
        "registry/collector_registry.py",
        "The entry is stored before its names are claimed.",
        """
        self._claims |= added
        self._entries[key] = entry
        """,
        """
        self._entries[key] = entry
        self._claims |= added
        """,
        COLLECTOR_REGISTRY,
        equivalent="the whole stretch is executed at once, see pytheus.atomic, so that nobody comes between the two",
    ),
    Mutant(
        "names-claimed-before-all-are-checked",
        "registry/collector_registry.py",
        "A collector that is refused leaves claims behind.",
        """
        self._refuse(entry, incumbent, name)
        return
        """,
        """
            self._refuse(entry, incumbent, name)
            return
        claims[name] = entry
        """,
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "names-replaced-not-added",
        "registry/collector_registry.py",
        "A registration forgets the names of all others.",
        "self._claims |= added",
        "self._claims = added",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "names-not-claimed",
        "registry/collector_registry.py",
        "A metric's names stay free.",
        "self._claims |= added",
        "",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "entry-not-stored",
        "registry/collector_registry.py",
        "A metric's names are claimed, and it is not held.",
        "self._entries[key] = entry",
        "",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "own-name-alone-is-claimed",
        "registry/collector_registry.py",
        "The names that a metric produces beside its own stay free.",
        "added = dict.fromkeys(entry.names, entry)",
        "added = dict.fromkeys(entry.names[:1], entry)",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "own-name-alone-is-checked",
        "registry/collector_registry.py",
        "A metric may produce a name that another one has.",
        """
        for name in entry.names:
            incumbent = claims.get(name)
        """,
        """
        for name in entry.names[:1]:
            incumbent = claims.get(name)
        """,
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "last-name-is-not-checked",
        "registry/collector_registry.py",
        "Off by one.",
        """
        for name in entry.names:
            incumbent = claims.get(name)
        """,
        """
        for name in entry.names[:-1]:
            incumbent = claims.get(name)
        """,
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "handle-conflicts-with-its-metric",
        "registry/collector_registry.py",
        "A handle on a registered metric is refused.",
        """
        if incumbent.definition is entry.definition:
            return
        """,
        "",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "equal-definition-counts-as-registered",
        "registry/collector_registry.py",
        "A second metric of the same definition is dropped without a word.",
        """
        if incumbent.definition is entry.definition:
            return
        """,
        """
        if entry.definition is not None and entry.definition.matches(incumbent.definition):
            return
        """,
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "conflict-in-silence",
        "registry/collector_registry.py",
        "A collector whose name is taken is dropped without a word.",
        """
        self._refuse(entry, incumbent, name)
        return
        """,
        "return",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "conflict-with-a-warning-registers",
        "registry/collector_registry.py",
        'With on_conflict="warn" the second one is held as well.',
        """
        self._refuse(entry, incumbent, name)
        return
        """,
        "self._refuse(entry, incumbent, name)",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "warning-policy-raises",
        "registry/collector_registry.py",
        'on_conflict="warn" raises, too.',
        """
            "%s. The first one stays and the second is not exposed.", message
        )
        return
        """,
        """
            "%s. The first one stays and the second is not exposed.", message
        )
        """,
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "warning-policy-is-silent",
        "registry/collector_registry.py",
        'on_conflict="warn" drops the second one without a word.',
        """
        logging.getLogger("pytheus.registry").warning(
            "%s. The first one stays and the second is not exposed.", message
        )
        return
        """,
        "return",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "policies-swapped",
        "registry/collector_registry.py",
        '"raise" warns, and "warn" raises.',
        'if self._on_conflict == "warn":',
        'if self._on_conflict == "raise":',
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "incumbent-is-the-newcomer",
        "registry/collector_registry.py",
        "The error hands out the wrong collector.",
        "raise ConflictError(message, name=name, incumbent=incumbent.collector)",
        "raise ConflictError(message, name=name, incumbent=newcomer.collector)",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "any-policy-is-taken",
        "registry/collector_registry.py",
        "A misspelt on_conflict raises nothing.",
        """
        if on_conflict not in ("raise", "warn"):
            raise ValueError(f"on_conflict must be 'raise' or 'warn' but got {on_conflict!r}")
        """,
        "",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "class-is-taken-for-a-collector",
        "registry/collector_registry.py",
        "A class is registered in place of its object.",
        'if isinstance(collector, type) or not callable(getattr(collector, "collect", None)):',
        'if not callable(getattr(collector, "collect", None)):',
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "anything-is-a-collector",
        "registry/collector_registry.py",
        "What has no collect() breaks the next scrape.",
        'if isinstance(collector, type) or not callable(getattr(collector, "collect", None)):',
        "if isinstance(collector, type):",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "foreign-definition-is-believed",
        "registry/collector_registry.py",
        "Any attribute called definition is taken for one of pytheus.",
        "self.definition = definition if isinstance(definition, Definition) else None",
        "self.definition = definition",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "entries-found-by-equality",
        "registry/collector_registry.py",
        "A collector that equals another one counts as it.",
        """
        if id(collector) in self._entries:
            return
        """,
        """
        if any(entry.collector == collector for entry in self._entries.values()):
            return
        """,
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "custom-collector-is-listed-by-class",
        "registry/collector_registry.py",
        "One collector of each class, unless it is a metric.",
        "key = id(entry.collector)",
        "key = id(entry.collector) if entry.names else id(type(entry.collector))",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "collector-is-tried-out",
        "registry/collector_registry.py",
        "A registration scrapes the collector.",
        """
        entry = _Entry(collector)
        while True:
            version = self._version
            claims = self._claims
        """,
        """
        entry = _Entry(collector)
        list(collector.collect())
        while True:
            version = self._version
            claims = self._claims
        """,
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "names-stay-claimed",
        "registry/collector_registry.py",
        "The names of an unregistered metric are never free again.",
        """
        for name in entry.names:
            claims.pop(name, None)
        """,
        "",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "first-name-alone-is-freed",
        "registry/collector_registry.py",
        "The other names of an unregistered metric are never free again.",
        """
        for name in entry.names:
            claims.pop(name, None)
        """,
        """
        for name in entry.names[:1]:
            claims.pop(name, None)
        """,
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "entry-is-not-removed",
        "registry/collector_registry.py",
        "An unregistered collector is still scraped.",
        "entries.pop(id(entry.collector), None)",
        "",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "unregister-changes-the-live-names",
        "registry/collector_registry.py",
        "An unregistration that is overtaken has changed something.",
        "claims = self._claims.copy()",
        "claims = self._claims",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "unregister-changes-the-live-entries",
        "registry/collector_registry.py",
        "A dictionary changes while others iterate over it.",
        "entries = self._entries.copy()",
        "entries = self._entries",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "unknown-is-unregistered-in-silence",
        "registry/collector_registry.py",
        "Unregistering what is not held raises nothing.",
        """
        if entry is None:
            raise NotRegisteredError(
        """,
        """
        if entry is None:
            return
        if entry is None:
            raise NotRegisteredError(
        """,
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "refused-metric-removes-the-first",
        "registry/collector_registry.py",
        "Unregistering goes by name.",
        "if claimed is not None and claimed.definition is definition:",
        "if claimed is not None:",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "equal-metric-removes-the-first",
        "registry/collector_registry.py",
        "Unregistering goes by equal definition.",
        "if claimed is not None and claimed.definition is definition:",
        "if claimed is not None and definition.matches(claimed.definition):",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "handle-is-unknown",
        "registry/collector_registry.py",
        "A metric's handle is not known to be registered.",
        "if isinstance(definition, Definition):",
        "if definition is None:",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "clear-keeps-the-names",
        "registry/collector_registry.py",
        "After clear() no metric can be made again.",
        "while not self._replace(self._version, {}, {}):",
        "while not self._replace(self._version, self._claims, {}):",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "clear-keeps-the-entries",
        "registry/collector_registry.py",
        "clear() frees the names, and everything is scraped on.",
        "while not self._replace(self._version, {}, {}):",
        "while not self._replace(self._version, {}, self._entries):",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "collect-is-no-snapshot",
        "registry/collector_registry.py",
        "An iteration breaks when something is registered meanwhile.",
        "return iter([entry.collector for entry in list(self._entries.values())])",
        "return (entry.collector for entry in self._entries.values())",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "collect-in-reverse",
        "registry/collector_registry.py",
        "The newest comes first.",
        "return iter([entry.collector for entry in list(self._entries.values())])",
        "return iter([entry.collector for entry in reversed(list(self._entries.values()))])",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "find-knows-own-names-alone",
        "registry/collector_registry.py",
        "What a metric produces is not found.",
        "return None if entry is None else entry.collector",
        "return None if entry is None or name != entry.names[0] else entry.collector",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "membership-by-name-is-lost",
        "registry/collector_registry.py",
        '"name" in registry is always False.',
        """
        if isinstance(subject, str):
            return subject in self._claims
        """,
        "",
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "prefix-is-not-validated-at-first",
        "registry/collector_registry.py",
        "A prefix that Prometheus refuses is taken.",
        """
        self._prefix = validate_prefix(prefix)
        self._on_conflict: Final = on_conflict
        """,
        """
        self._prefix = prefix
        self._on_conflict: Final = on_conflict
        """,
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "prefix-is-not-validated-later",
        "registry/collector_registry.py",
        "A prefix that Prometheus refuses is taken when it is changed.",
        """
        def prefix(self, prefix: str | None) -> None:
            self._prefix = validate_prefix(prefix)
        """,
        """
        def prefix(self, prefix: str | None) -> None:
            self._prefix = prefix
        """,
        COLLECTOR_REGISTRY,
    ),
    Mutant(
        "prefix-changes-before-it-is-validated",
        "registry/collector_registry.py",
        "A prefix that is refused is in force all the same.",
        """
        def prefix(self, prefix: str | None) -> None:
            self._prefix = validate_prefix(prefix)
        """,
        """
        def prefix(self, prefix: str | None) -> None:
            self._prefix = prefix
            self._prefix = validate_prefix(prefix)
        """,
        COLLECTOR_REGISTRY,
    ),
)
