"""The proxy: one registry for the whole program, whose backing is chosen by name, once, at first use.

Rules:

- Until the choice is made, collectors wait in a `CollectorRegistry` of the proxy's own, with all its checks. They move
  to the chosen registry the way they move between any two.
- The choice is made once, by whichever thread comes first, and no lock is held while plugin code runs. A thread that
  only defines a metric meanwhile leaves it in the waiting room and goes on; one that needs the answer waits.
- Validate, then change: whatever fails, the registry that served before serves on, with everything it held.
- How a name becomes a registry is not known here: `pytheus` hands that function in.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from pytheus.exceptions import ConflictError, NotARegistryError, PytheusWarning, SelectionError
from pytheus.registry.capabilities import Closable
from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.contract import Collector, Registry, check_registry, collector_name
from pytheus.registry.lookup import find_collector
from pytheus.registry.migration import bring, empty, move, refuse_taken_names
from pytheus.registry.traversal import Proxy, leads_to, originals

__all__ = ["REGISTRY", "CollectorRegistryProxy", "hand_in_resolver"]

Resolver = Callable[[str | None], Registry]
"""Gives the registry of a name or URL, or for None the one that the environment and configuration choose."""

_resolver: Resolver | None = None
_proxies: Final[weakref.WeakSet[CollectorRegistryProxy]] = weakref.WeakSet()


def hand_in_resolver(resolver: Resolver) -> None:
    """Say how every proxy turns a name into a registry."""
    global _resolver
    _resolver = resolver


def _resolve(choice: str | None) -> Registry:
    if _resolver is None:
        raise SelectionError("no resolver was handed in, so no registry can be chosen by name; import pytheus first")
    return _resolver(choice)


class CollectorRegistryProxy(Proxy):
    """A registry that stands for another one, which can be chosen by configuration and changed while it runs.

    `REGISTRY`, the default of every metric, is one. Without an argument the backing registry is resolved at first use
    (register, unregister, collect, prefix): ``PYTHEUS_REGISTRY``, then the configuration file, then ``default``. With a
    name, that one is; with a registry, it is used at once.

        >>> proxy = CollectorRegistryProxy(CollectorRegistry(prefix="shop"))
        >>> proxy.prefix
        'shop'
        >>> proxy.set_registry(CollectorRegistry(prefix="store"))
        >>> proxy.prefix
        'store'

    All methods may be called from any thread. `register`, `find` and metrics never wait for a resolution that another
    thread is making; the rest do.
    """

    __slots__ = ("__weakref__", "_base", "_choice", "_changed", "_changing", "_formers", "_swapped", "_waiting_room")

    def __init__(self, registry: Registry | str | None = None) -> None:
        self._base: Registry | None = None
        self._choice = registry if isinstance(registry, str) else None
        self._waiting_room = CollectorRegistry()
        self._swapped: tuple[tuple[object, Registry], ...] = ()
        # Registries that were replaced just now and may hold collectors that came meanwhile.
        self._formers: tuple[Registry, ...] = ()
        self._changed = threading.Condition(threading.RLock())
        self._changing: int | None = None
        if registry is not None and not isinstance(registry, str):
            self._base = check_registry(registry, "CollectorRegistryProxy(...)")
        _proxies.add(self)

    # The registry behind the proxy ---------------------------------------------------------------------------------

    @property
    def registry(self) -> Registry:
        """The registry that serves now, resolved if it was not yet."""
        swapped = self._in_block()
        if swapped is not None:
            return swapped
        base = self._base
        return base if base is not None else self._resolved(wait=True)

    def _targets(self, *, resolve: bool) -> tuple[Registry, ...]:
        if resolve:
            return (self.registry,)
        swapped = tuple(registry for _, registry in reversed(self._swapped))
        return swapped if self._base is None else (*swapped, self._base)

    def _in_block(self) -> Registry | None:
        """The registry of the innermost block of `use`, or None. Read once, for a block may end at any time."""
        swapped = self._swapped
        return swapped[-1][1] if swapped else None

    def _resolved(self, *, wait: bool) -> Registry:
        """The base registry. While another thread resolves it: waits for it, or gives the waiting room."""
        me = threading.get_ident()
        with self._changed:
            while self._base is None and self._changing is not None:
                if self._changing == me or not wait:
                    return self._waiting_room
                self._changed.wait()
            if self._base is not None:
                return self._base
            self._changing = me
        try:
            chosen = self._checked(_resolve(self._choice))
            if self._base is None:  # unless the plugin itself set a registry, which was said explicitly and so wins
                with _closed_on_failure(chosen):
                    moved = move(self._waiting_room, chosen)
                self._replace(self._waiting_room, chosen, moved)
            return self._base if self._base is not None else chosen
        finally:
            self._end_change(None)

    def set_registry(self, registry: Registry | str, *, migrate: bool = True) -> None:
        """Let `registry`, an object or a plugin's name or URL, serve from now on.

        Every collector that the present one holds moves to it, with the values it has, all or none: if one is refused,
        the error is raised, and the present registry serves on with all it had. A `registry` that only logs a conflict
        makes no difference: the collector would be in neither. With ``migrate=False`` they stay behind, and a
        `PytheusWarning` names them. Raises `NotARegistryError` for what is no registry, `SelectionError` for a name
        that cannot be had, `ConflictError` for a collector whose name is taken over there.
        """
        left_behind: tuple[str, ...] = ()
        outer = self._begin_change()
        try:
            # Within the change, so that metrics that the plugin makes at its import wait for it, and do not have the
            # configured choice carried out.
            chosen = self._chosen(registry)
            present = self._base if self._base is not None else self._waiting_room
            if chosen is present:
                return
            if leads_to(chosen, present, resolve=False) or leads_to(present, chosen, resolve=False):
                self._base = chosen  # layers were put before it or taken away, and it goes on holding what it holds
            elif migrate:
                with _closed_on_failure(chosen if isinstance(registry, str) else None):
                    moved = move(present, chosen)
                self._replace(present, chosen, moved)
            else:
                left_behind = tuple(collector_name(collector) for collector in present.collect())
                self._base = chosen
        finally:
            self._end_change(outer)
        if left_behind:
            import warnings  # loaded late: only this rare path needs it

            warnings.warn(
                f"set_registry(..., migrate=False) left {len(left_behind)} collector(s) behind in the former registry,"
                f" where they are not exposed any more: {', '.join(left_behind)}",
                PytheusWarning,
                stacklevel=2,
            )

    def _begin_change(self) -> int | None:
        """Become the one thread that may change the base; gives what `_end_change` takes."""
        me = threading.get_ident()
        with self._changed:
            while self._changing is not None and self._changing != me:
                self._changed.wait()
            outer = self._changing
            self._changing = me
        return outer

    def _end_change(self, outer: int | None) -> None:
        with self._changed:
            self._changing = outer
            self._changed.notify_all()

    @contextmanager
    def use(self, registry: Registry | str) -> Iterator[Registry]:
        """Let `registry` serve for a block: for a test, for a tenant.

        Nothing moves: what the block registers stays in `registry`, and what was registered before is back after it.
        The swap holds for the whole process, other threads included. Blocks may nest and overlap; the one that was
        entered last serves.

            >>> from pytheus import Counter
            >>> with REGISTRY.use(CollectorRegistry()) as registry:
            ...     jobs = Counter("jobs_total", "Jobs done.")
            >>> jobs in registry, jobs in REGISTRY
            (True, False)
        """
        chosen = self._chosen(registry)
        token = object()
        with self._changed:
            self._swapped += ((token, chosen),)
        try:
            yield chosen
        finally:
            with self._changed:
                self._swapped = tuple(swap for swap in self._swapped if swap[0] is not token)

    def _chosen(self, registry: Registry | str) -> Registry:
        return self._checked(_resolve(registry) if isinstance(registry, str) else registry)

    def _checked(self, candidate: object) -> Registry:
        registry = check_registry(candidate)
        if leads_to(registry, self, resolve=False):
            raise NotARegistryError(
                "a proxy cannot stand for itself, directly or through layers, for then it would look up its registry"
                " for ever; hand it the registry that should serve, or layers before that one"
            )
        return registry

    def _replace(self, former: Registry, chosen: Registry, moved: list[Collector]) -> None:
        """Let `chosen` serve, and empty `former` of what has `moved` and of what came meanwhile."""
        self._formers += (former,)
        try:
            self._base = chosen
            empty(former, chosen, moved)
        finally:
            self._formers = self._formers[:-1]

    def _bring(self, collector: Collector, former: Registry) -> None:
        """Move `collector`, which reached `former` when that had been replaced."""
        outer = self._begin_change()
        try:
            base = self._base
            if base is not None and base is not former:
                bring(collector, former, base)
        finally:
            self._end_change(outer)

    # The registry that it is ---------------------------------------------------------------------------------------

    @property
    def prefix(self) -> str | None:
        """The prefix of the registry that serves now, read afresh each time."""
        return self.registry.prefix

    def register(self, collector: Collector, /) -> None:
        """Register `collector` in the registry that serves now; see `Registry.register`."""
        swapped = self._in_block()
        if swapped is not None:
            swapped.register(collector)
            return
        while True:
            present = self._base
            if present is None:
                present = self._resolved(wait=False)
            for former in self._formers:
                refuse_taken_names(collector, former)  # what is still on its way from there came first
            try:
                present.register(collector)
                break
            except ConflictError:
                # Where the registry changed meanwhile, what it conflicts with came too late, and may not stay.
                if self._base is None or self._base is present:
                    raise
        if self._base is not None and self._base is not present:
            self._bring(collector, present)

    def unregister(self, collector: Collector, /) -> None:
        """Unregister `collector` from the registry that serves now; see `Registry.unregister`."""
        self.registry.unregister(collector)

    def collect(self) -> Iterator[Collector]:
        """What the registry that serves now holds; see `Registry.collect`."""
        return iter(self.registry.collect())

    def find(self, name: str, /) -> Collector | None:
        """The collector that occupies `name` in the registry that serves now, or None; works with any registry."""
        swapped = self._in_block()
        if swapped is not None:
            return find_collector(swapped, name)
        while True:
            present = self._base
            found = find_collector(self._resolved(wait=False) if present is None else present, name)
            for former in self._formers:
                if found is None:
                    found = find_collector(former, name)
            # Otherwise the registry changed meanwhile, and what was found came too late, and may not stay.
            if self._base is present:
                return found

    def clear(self) -> None:
        """Unregister everything from the registry that serves now."""
        registry = self.registry
        for collector in list(registry.collect()):
            registry.unregister(collector)

    def close(self) -> None:
        """Close the registry that serves now, where it has something to close; one not resolved yet stays so."""
        swapped = self._in_block()
        registry: object = self._base if swapped is None else swapped
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
        swapped = self._in_block()
        serving = self._base if swapped is None else swapped
        return f"<CollectorRegistryProxy for {'a registry not resolved yet' if serving is None else repr(serving)}>"

    def _after_fork(self) -> None:
        # The thread that held the lock, or was resolving, may not exist in this process.
        self._changed = threading.Condition(threading.RLock())
        if self._changing is not None and self._changing != threading.get_ident():
            self._changing = None
            self._formers = ()


@contextmanager
def _closed_on_failure(made_here: Registry | None) -> Iterator[None]:
    """A registry that was made for a change that fails has nobody else to close it."""
    try:
        yield
    except BaseException:
        candidate: object = made_here
        if isinstance(candidate, Closable):
            candidate.close()
        raise


def _after_fork_in_child() -> None:
    for proxy in list(_proxies):
        proxy._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

REGISTRY: Final = CollectorRegistryProxy()
"""The registry of every metric that names none; see `CollectorRegistryProxy`."""
