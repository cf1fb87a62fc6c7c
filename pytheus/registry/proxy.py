"""The proxy: one registry for the whole program, which passes each call on to a registry chosen by name at first use.

Rules:

- Until the choice is made, collectors are kept in a `CollectorRegistry` of the proxy, with all its checks. They move
  to the chosen registry as between any two registries.
- The first thread that needs the choice makes it, once, and no lock is held while plugin code runs. A thread that only
  defines a metric meanwhile registers it in the proxy's own registry and continues; one that needs the answer waits.
- Validate, then change: after a failure the previous registry stays in use, with all its collectors.
- How a name becomes a registry is not known here: `pytheus` sets that function.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator
from typing import Final

from pytheus.exceptions import ConflictError, NotARegistryError, PytheusWarning, SelectionError
from pytheus.registry.capabilities import Closable
from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.contract import Collector, Registry, check_registry, collector_name
from pytheus.registry.lookup import Overlap, find_collector, replace_collector
from pytheus.registry.migration import Migration, move_latecomer, refuse_taken_names
from pytheus.registry.traversal import BlockObserver, Proxy, leads_to, originals
from pytheus.version import COMPILED

__all__ = ["REGISTRY", "CollectorRegistryProxy", "set_resolver"]

if COMPILED and "REGISTRY" in globals():
    raise ImportError(
        "pytheus.registry.proxy cannot be reloaded, because compiled modules would go on using the first REGISTRY;"
        " start a new process, or install the pure build (PYTHEUS_PURE=1)",
        name=__name__,
    )

Resolver = Callable[[str | None], Registry]
"""Returns the registry for a name or URL, or for None the one that the environment and configuration choose."""

_resolver: Resolver | None = None
_proxies: Final[weakref.WeakSet[CollectorRegistryProxy]] = weakref.WeakSet()


def set_resolver(resolver: Resolver) -> None:
    """Set the function that turns a name into a registry, in every proxy."""
    global _resolver
    _resolver = resolver


def _resolve(choice: str | None) -> Registry:
    if _resolver is None:
        raise SelectionError("no resolver is set, so no registry can be chosen by name; import pytheus first")
    return _resolver(choice)


class CollectorRegistryProxy(Proxy):
    """A registry that passes each call on to another one, which configuration can choose and the program can change.

    `REGISTRY`, the default of every metric, is one. Without an argument the registry behind it is chosen at first use
    (register, unregister, collect, prefix): ``PYTHEUS_REGISTRY``, then the configuration file, then ``default``. With a
    name, that plugin's registry is chosen; with a registry, it is used at once.

        >>> proxy = CollectorRegistryProxy(CollectorRegistry(prefix="shop"))
        >>> proxy.prefix
        'shop'
        >>> proxy.set_registry(CollectorRegistry(prefix="store"))
        >>> proxy.prefix
        'store'

    All methods may be called from any thread. While another thread makes the choice, `register`, `find` and the
    definition of metrics do not wait for it; all other calls do.
    """

    __slots__ = (
        "__weakref__",
        "_base",
        "_blocks",
        "_change_ended",
        "_changer",
        "_choice",
        "_formers",
        "_observers",
        "_passed_on",
        "_unresolved",
    )

    def __init__(self, registry: Registry | str | None = None) -> None:
        self._base: Registry | None = None
        self._choice = registry if isinstance(registry, str) else None
        # Keeps the collectors until `_base` is chosen.
        self._unresolved = CollectorRegistry()
        # The blocks of `use`, the one that was entered last at the end: a token each, and the registry.
        self._blocks: tuple[tuple[object, Registry], ...] = ()
        self._observers: weakref.WeakSet[BlockObserver] = weakref.WeakSet()
        # Registries that were just replaced and may have collectors that must still move.
        self._formers: tuple[Registry, ...] = ()
        # How many collectors `_base` has got from this proxy; needed if it cannot tell which ones it holds.
        self._passed_on = 0
        self._change_ended = threading.Condition(threading.RLock())
        # The thread that chooses or changes `_base`.
        self._changer: int | None = None
        if registry is not None and not isinstance(registry, str):
            self._base = check_registry(registry, "CollectorRegistryProxy(...)")
        _proxies.add(self)

    # The registry behind the proxy ------------------------------------------------------------------------------------

    @property
    def registry(self) -> Registry:
        """The registry in use, chosen now if it was not yet."""
        used = self._used_in_block()
        if used is not None:
            return used
        base = self._base
        return base if base is not None else self._resolved(wait=True)

    def _targets(self, *, resolve: bool) -> tuple[Registry, ...]:
        if resolve:
            return (self.registry,)
        used = tuple(registry for _, registry in reversed(self._blocks))
        return used if self._base is None else (*used, self._base)

    def _used_in_block(self) -> Registry | None:
        """The registry of the innermost block of `use`, or None. Read once, because a block may end at any time."""
        blocks = self._blocks
        return blocks[-1][1] if blocks else None

    def _resolved(self, *, wait: bool) -> Registry:
        """The base registry. If another thread is choosing it: waits, or returns the proxy's own registry."""
        me = threading.get_ident()
        with self._change_ended:
            while self._base is None and self._changer is not None:
                if self._changer == me or not wait:
                    return self._unresolved
                self._change_ended.wait()
            if self._base is not None:
                return self._base
            change = self._begin_change()
        with change:
            chosen = self._checked(_resolve(self._choice))
            if self._base is None:  # otherwise the plugin itself set a registry, and that explicit choice wins
                self._migrate(self._unresolved, chosen, made_here=True)
        return self._base if self._base is not None else chosen

    def set_registry(self, registry: Registry | str, *, migrate: bool = True) -> None:
        """Use `registry`, an object or a plugin's name or URL, from now on.

        Every collector of the current registry moves to it with its values, all or none: if one is refused, the error
        is raised, and the current registry stays in use with all its collectors. A `registry` that only logs a conflict
        refuses as well, because the collector would be in neither. With ``migrate=False`` all collectors stay in the
        current registry, and a `PytheusWarning` names them. If the current registry returns none of its collectors and
        is not `HoldsCollectors`, they cannot move, and a `PytheusWarning` says so. Raises `NotARegistryError` for an
        object that is not a registry, `SelectionError` for a name whose registry could not be created, and
        `ConflictError` for a collector whose name is taken in `registry`.
        """
        left_behind: tuple[str, ...] = ()
        is_lost = False
        with self._begin_change():
            # Within the change, so that metrics that the plugin defines during its import wait for it, and do not start
            # the configured choice.
            chosen = self._checked(_resolve(registry) if isinstance(registry, str) else registry)
            current = self._base if self._base is not None else self._unresolved
            if leads_to(chosen, current, resolve=False) or leads_to(current, chosen, resolve=False):
                # Wrappers were added or removed, and the registry below them keeps its collectors.
                if chosen is not current:
                    self._base = chosen
            elif migrate:
                is_lost = self._migrate(current, chosen, made_here=isinstance(registry, str))
            else:
                left_behind = tuple(collector_name(collector) for collector in originals(current))
                self._base = chosen
                self._passed_on = 0
        if is_lost:
            import warnings

            warnings.warn(
                f"the former registry, {current!r}, returned none of the collectors that were registered in it, so they"
                " did not move and are not in the new one; a registry whose collect() does not return its collectors"
                " offers registered_collectors(), see pytheus.registry.HoldsCollectors",
                PytheusWarning,
                stacklevel=2,
            )
        if left_behind:
            import warnings

            warnings.warn(
                f"set_registry(..., migrate=False) left {len(left_behind)} collector(s) in the former registry, where"
                f" they are no longer exposed: {', '.join(left_behind)}",
                PytheusWarning,
                stacklevel=2,
            )

    def _begin_change(self) -> _Change:
        """Become the one thread that may change `_base`, until the result is left as a context."""
        me = threading.get_ident()
        with self._change_ended:
            while self._changer is not None and self._changer != me:
                self._change_ended.wait()
            change = _Change(self, self._changer)
            self._changer = me
        return change

    def _end_change(self, outer: int | None) -> None:
        with self._change_ended:
            self._changer = outer
            self._change_ended.notify_all()

    def _migrate(self, former: Registry, chosen: Registry, *, made_here: bool) -> bool:
        """Use `chosen` in place of `former`, and move the collectors; a failed move closes a registry made for it.

        Returns whether `former` was given collectors and returned none of them.
        """
        migration = Migration(former, chosen)
        try:
            migration.prepare()
        except BaseException:
            if made_here and isinstance(chosen, Closable):
                chosen.close()
            raise
        self._formers += (former,)
        try:
            self._base = chosen
            migration.commit()
        finally:
            self._formers = self._formers[:-1]
        is_lost = migration.is_blind and self._passed_on > 0
        self._passed_on = len(migration.moved)
        return is_lost

    def _checked(self, candidate: object) -> Registry:
        # The check imports `inspect`, which takes a tenth of the time until the first scrape.
        registry = candidate if type(candidate) is CollectorRegistry else check_registry(candidate)
        if leads_to(registry, self, resolve=False):
            raise NotARegistryError(
                "a proxy cannot be the registry behind itself, directly or below wrappers, because it would look up its"
                " registry without end; pass the registry that it should use, or wrappers of that one"
            )
        return registry

    def use(self, registry: Registry | str) -> RegistryBlock:
        """Use `registry` within a block, as in a test or for one tenant.

        No collector moves: one that is registered within the block stays in `registry`, and those from before are back
        after the block. The block applies to the whole process, other threads included. Blocks may nest and overlap;
        the registry of the block that was entered last is in use. The result is a decorator as well.

            >>> from pytheus import Counter
            >>> with REGISTRY.use(CollectorRegistry()) as registry:
            ...     jobs = Counter("jobs_total", "Jobs done.")
            >>> jobs in registry, jobs in REGISTRY
            (True, False)
        """
        return RegistryBlock(self, registry)

    def _begin_block(self, registry: Registry | str, token: object) -> Registry:
        chosen = self._checked(_resolve(registry) if isinstance(registry, str) else registry)
        for observer in list(self._observers):
            observer.block_begins(chosen)
        with self._change_ended:
            self._blocks += ((token, chosen),)
        return chosen

    def _end_block(self, token: object) -> None:
        with self._change_ended:
            ended = [registry for found, registry in self._blocks if found is token]
            self._blocks = tuple(block for block in self._blocks if block[0] is not token)
        for observer in list(self._observers):
            for registry in ended:
                observer.block_ends(registry)

    def observe_blocks(self, observer: BlockObserver, *, on: bool = True) -> None:
        """Tell `observer` of each block of `use` from now on, as long as it exists, or with ``on=False`` no longer.

        For a check of a test's metrics, which would otherwise not see a registry whose block has ended.
        """
        (self._observers.add if on else self._observers.discard)(observer)

    # The methods of a registry ----------------------------------------------------------------------------------------

    @property
    def prefix(self) -> str | None:
        """The prefix of the registry in use, read each time."""
        return self.registry.prefix

    def register(self, collector: Collector, /) -> None:
        """Register `collector` in the registry in use; see `Registry.register`."""
        self._pass_on(collector, _register)

    def replace(self, collector: Collector, /) -> None:
        """Register `collector` in the place of one of the same class and name; see `CollectorRegistry.replace`.

        For a notebook cell that is run again. Works with any registry in use; a scrape of one that is not a
        `CollectorRegistry` may show neither of the two.
        """
        self._pass_on(collector, replace_collector)

    def _pass_on(self, collector: Collector, register: Callable[[Registry, Collector], None]) -> None:
        used = self._used_in_block()
        if used is not None:
            register(used, collector)
            return
        while True:
            current = self._base
            if current is None:
                current = self._resolved(wait=False)
            for former in self._formers:
                refuse_taken_names(collector, former)  # its collectors came first, although they must still move
            try:
                register(current, collector)
                self._passed_on += 1
                break
            except ConflictError:
                # If the registry changed meanwhile, the incumbent was registered too late, and does not stay.
                if self._base is None or self._base is current:
                    raise
        if self._base is not None and self._base is not current:
            self._move_latecomer(collector, current)

    def _move_latecomer(self, collector: Collector, former: Registry) -> None:
        """Move `collector`, which was registered in `former` after that had been replaced."""
        with self._begin_change():
            base = self._base
            if base is not None and base is not former:
                move_latecomer(collector, former, base)

    def unregister(self, collector: Collector, /) -> None:
        """Unregister `collector` from the registry in use; see `Registry.unregister`."""
        self.registry.unregister(collector)
        if self._passed_on and self._used_in_block() is None:
            self._passed_on -= 1

    def collect(self) -> Iterator[Collector]:
        """Return the collectors of the registry in use; see `Registry.collect`."""
        return iter(self.registry.collect())

    def find(self, name: str, /) -> Collector | None:
        """Return the collector that occupies `name` in the registry in use, or None; works with any registry."""
        used = self._used_in_block()
        if used is not None:
            return find_collector(used, name)
        while True:
            current = self._base
            found = find_collector(self._resolved(wait=False) if current is None else current, name)
            for former in self._formers:
                if found is None:
                    found = find_collector(former, name)
            # Otherwise the registry changed meanwhile, and the collector may be one that does not stay.
            if self._base is current:
                return found

    def clear(self) -> None:
        """Unregister every collector of the registry in use."""
        registry = self.registry
        for collector in originals(registry):
            registry.unregister(collector)

    def close(self) -> None:
        """Close the registry in use if it is `Closable`; makes no choice if none was made yet."""
        used = self._used_in_block()
        registry: object = self._base if used is None else used
        if isinstance(registry, Closable):
            registry.close()

    def __iter__(self) -> Iterator[Collector]:
        return self.collect()

    def __contains__(self, subject: object) -> bool:
        registry = self.registry
        if isinstance(registry, CollectorRegistry | CollectorRegistryProxy):
            return subject in registry
        if isinstance(subject, str):
            return find_collector(registry, subject) is not None
        return any(collector is subject for collector in originals(registry))

    def __repr__(self) -> str:
        used = self._used_in_block()
        registry = self._base if used is None else used
        return f"<CollectorRegistryProxy for {'a registry not resolved yet' if registry is None else repr(registry)}>"

    def _after_fork(self) -> None:
        # The thread that held the lock, or was changing the registry, may not exist in this process.
        self._change_ended = threading.Condition(threading.RLock())
        if self._changer is not None and self._changer != threading.get_ident():
            self._changer = None
            self._formers = ()


def _register(registry: Registry, collector: Collector) -> None:
    registry.register(collector)


class _Change(Overlap):
    """A change of the registry behind `proxy`, within another one if `outer` is not None."""

    __slots__ = ("_outer", "_proxy")

    def __init__(self, proxy: CollectorRegistryProxy, outer: int | None) -> None:
        self._proxy = proxy
        self._outer = outer

    def __exit__(self, type_: object, error: object, traceback: object) -> None:
        super().__exit__(type_, error, traceback)
        self._proxy._end_change(self._outer)


def _after_fork_in_child() -> None:
    for proxy in list(_proxies):
        proxy._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class RegistryBlock(ContextDecorator):
    """A block in which a proxy uses another registry; see `CollectorRegistryProxy.use`.

    May be entered several times, also inside of its own block and from several threads.
    """

    def __init__(self, proxy: CollectorRegistryProxy, registry: Registry | str) -> None:
        self._proxy: Final = proxy
        self._registry: Final = registry
        self._tokens: Final[list[object]] = []

    def __enter__(self) -> Registry:
        token = object()
        chosen = self._proxy._begin_block(self._registry, token)
        self._tokens.append(token)
        return chosen

    def __exit__(self, type_: object, error: object, traceback: object) -> None:
        self._proxy._end_block(self._tokens.pop())


REGISTRY: Final = CollectorRegistryProxy()
"""The registry of every metric that is defined without one; see `CollectorRegistryProxy`."""
