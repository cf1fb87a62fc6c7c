"""Finding the collector that occupies a name, and registering a metric that may exist already.

Rules:

- `register_or_share` asks a registry twice: for the collector that has the name, then to register. That is not enough
  where another thread is between the same two steps, and the registry keeps the first of two equal metrics without an
  error; or where the registry behind a proxy changes meanwhile. `Overlap` notices both, and only then it asks again.
- No lock is taken, because foreign code runs meanwhile, and a signal handler or finalizer may define metrics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Self, TypeGuard

from pytheus.definitions import Definition
from pytheus.exceptions import ConflictError, NotARegistryError, PytheusError, SelectionError
from pytheus.registry.capabilities import Lookup
from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.contract import Collector, Registry, check_registry, collector_name
from pytheus.registry.traversal import (
    Proxy,
    definition_of,
    is_predecessor,
    originals,
    registered_collectors,
    wrapped_registries,
)

__all__ = ["Overlap", "find_collector", "find_conflict", "register_or_share", "replace_collector"]


def find_collector(registry: Registry, name: str) -> Collector | None:
    """Return the collector in `registry` that occupies `name`, or None.

    Asks a registry that offers `Lookup`; searches the collectors of any other. A method `find` with another meaning is
    harmless: if it raises, or returns an object that does not occupy the name, the collectors are searched. Its None is
    believed, because that is the answer for almost every new name, and each search takes as long as the capability
    saves.
    """
    # A proxy calls this function with its target.
    if isinstance(registry, CollectorRegistry | Proxy):
        return registry.find(name)
    if isinstance(registry, Lookup):
        try:
            found: object = registry.find(name)
        except (SelectionError, NotARegistryError):
            raise  # the registry could not be created, and another attempt would take as long
        except Exception:
            pass  # a registry that is broken raises again when it is searched
        else:
            if found is None:
                return None
            # A wrapper knows pytheus, and may return a collector that has another name below it.
            if _occupies(found, name) or (wrapped_registries(registry, resolve=False) and isinstance(found, Collector)):
                return found
    for collector in registered_collectors(registry):
        if _occupies(collector, name):
            return collector
    return None


def _occupies(candidate: object, name: str) -> TypeGuard[Collector]:
    definition = definition_of(candidate)
    return definition is not None and name in definition.occupied_names and isinstance(candidate, Collector)


def find_conflict(registry: Registry, definition: Definition, remedy: str) -> ConflictError | None:
    """Return the error about the first name of `definition` that another collector in `registry` occupies, or None."""
    for name in definition.occupied_names:
        incumbent = find_collector(registry, name)
        if incumbent is not None and (holder := definition_of(incumbent)) is not definition:
            return ConflictError(
                f"{definition} conflicts with {holder or collector_name(incumbent)}: both expose the name {name!r};"
                f" {remedy}",
                name=name,
                incumbent=incumbent,
            )
    return None


def register_or_share(registry: Registry, metric: Collector, name: str, share: Callable[[object], bool]) -> None:
    """Register `metric`, which is being defined, unless `share` accepts the collector that has its name.

    `share` gets a collector that has `name`, or None, and returns whether `metric` uses its values from now on. Raises
    the errors of `registry`, and `NotARegistryError` if it is not a registry.
    """
    try:
        with Overlap() as overlap:
            incumbent = find_collector(registry, name)
            if incumbent is None or not share(incumbent):
                registry.register(metric)
                if overlap.noticed:
                    share(find_collector(registry, name))
    except ConflictError as error:
        # Another thread defined the same metric first.
        if not share(error.incumbent):
            raise
    except PytheusError:
        raise
    except (AttributeError, TypeError):
        # Checked only now, so that the check costs nothing where it succeeds.
        check_registry(registry, f"registry=... of {metric}")
        raise


def replace_collector(registry: Registry, collector: Collector) -> None:
    """Register `collector` in `registry` in the place of one of the same class and name, if there is one.

    If `registry` refuses it, the old one is registered again, and the error is raised.
    """
    if isinstance(registry, CollectorRegistry | Proxy):
        registry.replace(collector)
        return
    replaced = [held for held in originals(registry) if is_predecessor(held, collector)]
    for held in replaced:
        registry.unregister(held)
    try:
        registry.register(collector)
    except BaseException:
        for held in replaced:
            registry.register(held)
        raise


# Those of other threads stay in the child of a fork: metrics are then looked up once more, which does no harm.
_overlaps: Final[set[Overlap]] = set()


class Overlap:
    """A context manager that notices whether another thread, or a nested call, is in one at the same time."""

    __slots__ = ("noticed",)

    def __enter__(self) -> Self:
        self.noticed: bool = False
        _overlaps.add(self)
        if len(_overlaps) > 1:
            # Copied in one step. Of two that enter at once, at least one is in the other's copy, and marks both.
            for other in _overlaps.copy():
                if other is not self:
                    self.noticed = other.noticed = True
        return self

    def __exit__(self, type_: object, error: object, traceback: object) -> None:
        _overlaps.remove(self)
