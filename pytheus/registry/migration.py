"""Moving collectors from one registry to another, with the values they have.

Rules:

- All move or none. While they move both registries hold them, so that a metric that is defined again meanwhile finds
  itself in either.
- What a registry takes without an error and does not hold, while another collector has the name, it has refused.
- Layers are looked through: what moves is what was registered, not what a layer makes of it.
- Nobody is told here which registry serves; the proxy changes that between `move` and `empty`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytheus.definitions import Definition
from pytheus.exceptions import ConflictError, NotRegisteredError
from pytheus.registry.contract import Collector, Registry, collector_name
from pytheus.registry.lookup import find_collector
from pytheus.registry.traversal import definition_of, originals, walk, wrapped_registries

if TYPE_CHECKING:
    import logging

__all__ = ["bring", "empty", "move", "refuse_taken_names"]


def move(present: Registry, chosen: Registry) -> list[Collector]:
    """Register in `chosen` all that `present` holds, or nothing; gives what it registered.

    `present` holds it still. Raises what `chosen` raises, and `ConflictError` for what it silently refuses.
    """
    # Kept until the end, so that an id means one object.
    before = originals(chosen)
    there_before = {id(collector) for collector in before}
    moved: list[Collector] = []
    try:
        for collector in originals(present):
            if id(collector) not in there_before:
                chosen.register(collector)
                moved.append(collector)
        _refuse_silent_refusals(moved, chosen)
    except BaseException:
        for collector in reversed(moved):
            _let_go(chosen, collector)
        raise
    return moved


def _refuse_silent_refusals(moved: list[Collector], chosen: Registry) -> None:
    """Raise `ConflictError` for the first that another's name has kept out; takes all such out of `moved`."""
    held = {id(collector) for collector in originals(chosen)}
    refusal: ConflictError | None = None
    for collector in moved.copy():
        definition = definition_of(collector)
        # A registry that keeps nothing, such as `none`, has refused nothing.
        if id(collector) not in held and definition is not None:
            for name in definition.occupied_names:
                incumbent = find_collector(chosen, name)
                if incumbent is not None and definition_of(incumbent) is not definition:
                    moved[:] = [other for other in moved if other is not collector]
                    refusal = refusal or _conflict(
                        definition, incumbent, name, "unregister one of them, or leave all behind with migrate=False"
                    )
                    break
    if refusal is not None:
        raise refusal


def empty(former: Registry, chosen: Registry, moved: list[Collector]) -> None:
    """Rid `former` of what has `moved` to `chosen`, and of what came meanwhile, which moves as well.

    What is held by a registry that stands below both has not moved, and stays there.
    """
    holders = _holders(former)
    apart = [holder for holder in holders if all(holder is not other for other in _holders(chosen))]
    held = [*moved, *originals(chosen)]
    known = {id(collector) for collector in held}
    for collector in originals(former):
        if id(collector) not in known:
            try:
                chosen.register(collector)
            except Exception as error:
                # It came from another thread, or an earlier call: no error of this caller's. An equal metric's
                # own thread is about to see the same, and to share the other's values.
                if not (isinstance(error, ConflictError) and _alike(collector, error.incumbent)):
                    _log().error(
                        "collector %r came while the registry changed, and the new one refused it",
                        collector_name(collector),
                        exc_info=True,
                    )
        # Only now, so that a metric that is defined again meanwhile finds it in one of them.
        if len(apart) == len(holders):
            _let_go(former, collector)
        else:
            # Not through its layers, which would also take it from what stands below both.
            for holder in apart:
                if _holds(holder, collector):
                    _let_go(holder, collector)


def _holders(registry: Registry) -> list[Registry]:
    return [each for each in walk(registry, resolve=True) if not wrapped_registries(each, resolve=True)]


def bring(collector: Collector, former: Registry, chosen: Registry) -> None:
    """Move `collector`, which reached `former` when `chosen` had replaced it."""
    try:
        if not _holds(chosen, collector):
            chosen.register(collector)
    finally:
        if _holds(former, collector):
            _let_go(former, collector)


def refuse_taken_names(collector: Collector, former: Registry) -> None:
    """Raise `ConflictError` where `collector` would take a name that another one brings along from `former`."""
    definition = definition_of(collector)
    if definition is not None:
        for name in definition.occupied_names:
            incumbent = find_collector(former, name)
            if incumbent is not None and definition_of(incumbent) not in (None, definition):
                raise _conflict(
                    definition, incumbent, name, "rename one of them, or define both alike to share their values"
                )


def _conflict(definition: Definition, incumbent: Collector, name: str, remedy: str) -> ConflictError:
    holder = definition_of(incumbent) or collector_name(incumbent)
    return ConflictError(
        f"{definition} conflicts with {holder}: both expose the name {name!r}; {remedy}", name=name, incumbent=incumbent
    )


def _alike(collector: object, other: object) -> bool:
    mine, theirs = definition_of(collector), definition_of(other)
    return mine is not None and theirs is not None and mine.matches(theirs)


def _holds(registry: Registry, collector: Collector) -> bool:
    return any(held is collector for held in originals(registry))


def _let_go(registry: Registry, collector: Collector) -> None:
    try:
        registry.unregister(collector)
    except NotRegisteredError:
        pass  # another thread, which moves the same collectors, was quicker
    except Exception:
        _log().warning(
            "%r would not unregister collector %r while collectors moved between registries",
            registry,
            collector_name(collector),
            exc_info=True,
        )


def _log() -> logging.Logger:
    import logging  # loaded late: it costs more to import than the rest of the package

    return logging.getLogger("pytheus.registry")
