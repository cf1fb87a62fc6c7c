"""The registries below a registry, its original collectors, and the definition, families and failures of a collector.

`walk` is the only loop over registries below a registry, `definition_of` the only reader of a definition, and `flatten`
the only loop over collectors that yield collectors.
"""

import threading
from collections.abc import Iterator
from typing import Final, NamedTuple, NoReturn, Protocol, Self, TypeVar, cast

from pytheus.definitions import Definition
from pytheus.exceptions import LabelError, NotACollectorError
from pytheus.interruption import is_interruption
from pytheus.registry.capabilities import HoldsCollectors, Wrapper
from pytheus.registry.contract import Collector, RefusesPeers, Registry, collector_name, is_of_peer
from pytheus.samples import Family

__all__ = [
    "BlockObserver",
    "FailedCollector",
    "FailedSeries",
    "Proxy",
    "definition_of",
    "flatten",
    "is_predecessor",
    "leads_to",
    "originals",
    "registered_collectors",
    "report_failed_series",
    "unexposed_note",
    "walk",
    "wrapped_registries",
]

T = TypeVar("T")

# A collector that yields itself must come to an end.
_DEPTH_AT_MOST: Final = 16


class BlockObserver(Protocol):
    """An object that is told of the blocks of `use` of a proxy, in the thread of the block; it must not raise.

    A proxy keeps no reference to it that would keep it alive; see `CollectorRegistryProxy.observe_blocks`.
    """

    def block_begins(self, registry: Registry, /) -> None:
        """Called before a block uses `registry`."""

    def block_ends(self, registry: Registry, /) -> None:
        """Called after a block that used `registry`."""


class Proxy(RefusesPeers):
    """The base of a registry that passes each call on to another registry, its target, which can change."""

    __slots__ = ()

    def _targets(self, *, resolve: bool) -> tuple[Registry, ...]:
        """Return the target, chosen now if necessary; without `resolve`, all that are chosen, also for outer blocks."""
        raise NotImplementedError

    def replace(self, collector: Collector, /) -> None:
        """Register `collector` in the target in the place of its predecessor; works with any registry."""
        raise NotImplementedError

    def find(self, name: str, /) -> Collector | None:
        """Return the collector that occupies `name` in the target, or None; works with any registry."""
        raise NotImplementedError


def wrapped_registries(registry: object, *, resolve: bool) -> tuple[Registry, ...]:
    """Return the registries directly below `registry`; empty unless it is a `Wrapper` or a proxy.

    The target of a proxy is below it. With `resolve`, a proxy that has no target yet chooses one.
    """
    if isinstance(registry, Proxy):
        return registry._targets(resolve=resolve)
    wrapped: object = registry.wrapped if isinstance(registry, Wrapper) else ()
    if not isinstance(wrapped, tuple):
        return ()
    for below in wrapped:
        # An unrelated attribute may have the name `wrapped`.
        if not (callable(getattr(below, "register", None)) and callable(getattr(below, "collect", None))):
            return ()
    return wrapped


def walk(registry: Registry, *, resolve: bool) -> Iterator[Registry]:
    """Return `registry` and all registries below it, each once, a wrapper before the registries that it wraps.

    With `resolve`, a proxy that has no target yet chooses one; without, the walk ends at such a proxy. May be called
    from any thread; blocks on nothing but that choice.

        >>> from pytheus.compose import union
        >>> from pytheus.registry import CollectorRegistry
        >>> shop, stock = CollectorRegistry(prefix="shop"), CollectorRegistry(prefix="stock")
        >>> [current.prefix for current in walk(union(shop, stock), resolve=True)]
        [None, 'shop', 'stock']
    """
    pending = [registry]
    # Keeps the registries alive until the end, so that an id means one object.
    visited: dict[int, Registry] = {}
    while pending:
        current = pending.pop()
        if id(current) not in visited:
            visited[id(current)] = current
            yield current
            pending += reversed(wrapped_registries(current, resolve=resolve))


def leads_to(registry: Registry, target: Registry, *, resolve: bool) -> bool:
    """Return whether `target` is `registry` or a registry below it."""
    return any(current is target for current in walk(registry, resolve=resolve))


def originals(registry: Registry) -> list[Collector]:
    """Return the collectors as they were registered, each once; a wrapper may show others in their place, or hide some.

    Calls none of them. Resolves proxies. May be called from any thread.

        >>> from pytheus import Counter
        >>> from pytheus.compose import prefixed
        >>> from pytheus.registry import CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> orders = Counter("orders_total", "Orders placed.", registry=registry)
        >>> originals(prefixed(registry, "shop")) == [orders]
        True
    """
    found: dict[int, Collector] = {}
    for current in walk(registry, resolve=True):
        if not wrapped_registries(current, resolve=True):
            for collector in registered_collectors(current):
                found.setdefault(id(collector), collector)
    return list(found.values())


def registered_collectors(registry: Registry) -> list[Collector]:
    """Return the collectors of `registry` as they were registered if it is `HoldsCollectors`, or else `collect()`'s."""
    return list(registry.registered_collectors() if isinstance(registry, HoldsCollectors) else registry.collect())


def unexposed_note(registry: Registry) -> str:
    """Return a sentence if `registry` holds collectors and exposes none, because it sends their numbers; or else "".

    Resolves proxies, and calls no collector.

        >>> from pytheus.registry import CollectorRegistry
        >>> unexposed_note(CollectorRegistry())
        ''
    """
    for current in walk(registry, resolve=True):
        if isinstance(current, HoldsCollectors) and not any(True for _ in current.collect()):
            held = len(list(current.registered_collectors()))
            if held:
                return (
                    f"{type(current).__name__} holds {held} collector(s) and exposes none of them,"
                    " because it sends their numbers elsewhere."
                )
    return ""


def definition_of(collector: object) -> Definition | None:
    """Return the definition of `collector`, or None if it has no definition or raises an error instead.

    >>> from pytheus import Counter
    >>> definition_of(Counter("orders_total", "Orders placed.", registry=None)).type
    'counter'
    >>> definition_of(object()) is None
    True
    """
    try:
        # Without isinstance(..., HasDefinition), which executes the property on Python 3.11 and takes a microsecond.
        definition = getattr(collector, "definition", None)
    except BaseException as error:
        if is_interruption(error):
            raise
        return None
    # An unrelated attribute may have this name.
    return definition if isinstance(definition, Definition) else None


def is_predecessor(held: object, collector: object) -> bool:
    """Return whether `collector` is made by the code that made `held` before: another object of equal class and name.

    Classes are equal by their full name, because a notebook cell that is run again defines its classes again.
    """
    if held is collector:
        return False
    old, new = type(held), type(collector)
    definition = definition_of(collector)
    return (
        (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__)
        and collector_name(held) == collector_name(collector)
        and (definition is None or definition_of(held) is not definition)
    )


class FailedCollector(NamedTuple):
    """A collector that raises `error`, so that a scrape reports the error as one of the collector `name`."""

    name: str
    error: BaseException

    def collect(self) -> NoReturn:
        raise self.error


class FailedSeries:
    """A context manager: the series that fail in this thread while its block runs, each alone.

    Such as those of a gauge whose function raises. A scrape counts them, and shows the other series.
    """

    __slots__ = ("_outer", "found")

    def __enter__(self) -> Self:
        self.found: list[tuple[Collector, tuple[str, ...], BaseException]] = []
        """The collector, the label values and the error of each."""
        self._outer = _thread.failed
        _thread.failed = self
        return self

    def __exit__(self, type_: object, error: object, traceback: object) -> None:
        _thread.failed = self._outer

    def first(self) -> list[tuple[Collector, BaseException]]:
        """Return each collector with a series that failed, and its first error."""
        first: dict[int, tuple[Collector, BaseException]] = {}
        for collector, _, error in self.found:
            first.setdefault(id(collector), (collector, error))
        return list(first.values())


class _Thread(threading.local):
    """The innermost block of `FailedSeries` in this thread."""

    failed: FailedSeries | None = None


_thread: Final = _Thread()


def report_failed_series(collector: Collector, labels: tuple[str, ...], error: BaseException) -> bool:
    """Report a series that `collector` leaves out, and return whether a scrape of this thread takes note of it.

    The scrape logs `error`, counts it in `pytheus_collector_errors_total`, and exposes the families that `collector`
    returns. If no scrape takes note, as in a test that calls `collect()`, the caller raises `error`. `labels` are the
    values that the series has; empty for a whole family. Call it in the thread that called `collect()`, and not for an
    error that ends the program (`pytheus.interruption`).

        >>> from pytheus import CustomCollector, Gauge
        >>> class Disks(CustomCollector):
        ...     def collect(self):
        ...         free = Gauge("disk_free_bytes", "Free space.", ["disk"], registry=None)
        ...         for disk in ["a", "b"]:
        ...             try:
        ...                 free.labels(disk).set(free_space(disk))
        ...             except OSError as error:
        ...                 if not report_failed_series(self, (disk,), error):
        ...                     raise
        ...         return [free]
    """
    failed = _thread.failed
    if failed is None:
        return False
    failed.found.append((collector, labels, error))
    return True


def flatten(collector: Collector, *kept: type[T]) -> Iterator[Family | T]:
    """Return the families of `collector`, including those of collectors that it yields.

    Collectors of the types `kept` are returned whole. Raises `LabelError` for an object that is neither a family
    nor a collector, and `RecursionError` for collectors more than 16 levels deep.
    """
    return _flattened(collector, (Family, *kept), _DEPTH_AT_MOST)


def _flattened(collector: Collector, kept: tuple[type[Family | T], ...], depth: int) -> Iterator[Family | T]:
    if depth == 0:
        raise RecursionError(
            f"collectors yield collectors more than {_DEPTH_AT_MOST} levels deep; does one yield itself?"
        )
    given = collector.collect()
    try:
        parts = iter(given)
    except TypeError:
        raise _not_iterable(collector, given) from None
    for part in parts:
        if isinstance(part, kept):
            yield part
        elif callable(getattr(part, "collect", None)):
            yield from _flattened(cast(Collector, part), kept, depth - 1)
        else:
            raise LabelError(
                f"collect() of {collector_name(collector)!r} yielded {type(part).__name__} {part!r:.60}"
                f"{', of prometheus_client' if is_of_peer(part) else ''}; it should yield metrics or"
                " pytheus.samples.Family objects"
            )


def _not_iterable(collector: Collector, given: object) -> NotACollectorError:
    if hasattr(given, "__await__") or hasattr(given, "__aiter__"):
        close = getattr(given, "close", None)
        if callable(close):
            close()  # or Python warns that it was never awaited
        wrong = "is async, and a scrape does not await it"
    else:
        wrong = f"returned {type(given).__name__} {given!r:.60}"
    return NotACollectorError(
        f"collect() of {collector_name(collector)!r} {wrong}; it should return an iterable of metrics or"
        " pytheus.samples.Family objects"
    )
