"""Moving collectors from one registry to another, with their values.

Rules:

- All collectors move, or none. During the move both registries hold them, so that a metric that is defined again
  meanwhile is found in either.
- A registry that accepts a collector without an error, does not hold it, and holds another one of that name, has
  refused it.
- Wrappers are looked through: the collectors that were registered move, not those that a wrapper derives from them.
- Which registry is in use is not known here; the proxy changes that between `prepare` and `commit`.
"""

from __future__ import annotations

from typing import Final

from pytheus.exceptions import ConflictError, NotRegisteredError
from pytheus.lazy import logger
from pytheus.registry.capabilities import HoldsCollectors
from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.contract import Collector, Registry, collector_name
from pytheus.registry.lookup import find_conflict
from pytheus.registry.traversal import definition_of, originals, walk, wrapped_registries

__all__ = ["Migration", "move_latecomer", "refuse_taken_names"]


class Migration:
    """The move of all collectors of the registry `former` to the registry `chosen`."""

    __slots__ = ("_chosen", "_former", "is_blind", "moved")

    def __init__(self, former: Registry, chosen: Registry) -> None:
        self._former: Final = former
        self._chosen: Final = chosen
        self.moved: list[Collector] = []
        """The collectors that `prepare` has registered in `chosen`."""
        self.is_blind: bool = False
        """Whether `former` returns no collectors and may hold some all the same."""

    def prepare(self) -> None:
        """Register in `chosen` all collectors of `former`, which keeps them, or none.

        Raises the error of `chosen`, and `ConflictError` for a collector that `chosen` refuses without an error.
        """
        try:
            # Kept until the end, so that an id means one object.
            before = originals(self._chosen)
            known = {id(collector) for collector in before}
            moving = originals(self._former)
            self.is_blind = not moving and not all(
                isinstance(holder, CollectorRegistry | HoldsCollectors) for holder in _holders(self._former)
            )
            for collector in moving:
                if id(collector) not in known:
                    self._chosen.register(collector)
                    self.moved.append(collector)
            self._raise_silent_refusal()
        except BaseException:
            self.roll_back()
            raise

    def _raise_silent_refusal(self) -> None:
        held = {id(collector) for collector in originals(self._chosen)}
        refusal: ConflictError | None = None
        accepted: list[Collector] = []
        for collector in self.moved:
            definition = None if id(collector) in held else definition_of(collector)
            # A registry that keeps no collectors, such as `none`, has refused none.
            conflict = None
            if definition is not None:
                remedy = "unregister one of them, or leave all in the former registry with migrate=False"
                conflict = find_conflict(self._chosen, definition, remedy)
            if conflict is None:
                accepted.append(collector)
            refusal = refusal or conflict
        # `chosen` is not asked to unregister a collector that it has refused.
        self.moved = accepted
        if refusal is not None:
            raise refusal

    def roll_back(self) -> None:
        """Remove from `chosen` the collectors that `prepare` registered there."""
        for collector in reversed(self.moved):
            _unregister(self._chosen, collector)

    def commit(self) -> None:
        """Remove all collectors from `former`; one that was registered there after `prepare` moves first.

        A registry that is below both keeps its collectors.
        """
        holders = _holders(self._former)
        chosen_holders = _holders(self._chosen)
        emptied = [holder for holder in holders if all(holder is not other for other in chosen_holders)]
        held = [*self.moved, *originals(self._chosen)]
        known = {id(collector) for collector in held}
        for collector in originals(self._former):
            if id(collector) not in known:
                self._move_latecomer(collector)
            # Only now, so that a metric that is defined again meanwhile finds it in one of the registries.
            if len(emptied) == len(holders):
                _unregister(self._former, collector)
            else:
                # Not through the wrappers, which would also remove it from a registry that is below both.
                for holder in emptied:
                    if _holds(holder, collector):
                        _unregister(holder, collector)

    def _move_latecomer(self, collector: Collector) -> None:
        try:
            self._chosen.register(collector)
        except Exception as error:
            # Another thread or an earlier call registered it, so its error is not raised here. In case of an equal
            # metric, the thread that defines it sees the same conflict, and shares the other's values.
            if not (isinstance(error, ConflictError) and _are_equal(collector, error.incumbent)):
                logger("pytheus.registry").error(
                    "collector %r was registered while the registry changed, and the new registry refused it",
                    collector_name(collector),
                    exc_info=True,
                )


def move_latecomer(collector: Collector, former: Registry, chosen: Registry) -> None:
    """Move `collector`, which was registered in `former` after `chosen` had replaced it."""
    try:
        if not _holds(chosen, collector):
            chosen.register(collector)
    finally:
        if _holds(former, collector):
            _unregister(former, collector)


def refuse_taken_names(collector: Collector, former: Registry) -> None:
    """Raise `ConflictError` if `collector` has a name of another collector, which moves from `former`."""
    definition = definition_of(collector)
    if definition is not None:
        conflict = find_conflict(former, definition, "rename one of them, or define both alike to share their values")
        if conflict is not None:
            raise conflict


def _are_equal(collector: object, other: object) -> bool:
    mine, theirs = definition_of(collector), definition_of(other)
    return mine is not None and theirs is not None and mine.matches(theirs)


def _holders(registry: Registry) -> list[Registry]:
    """Return the registries below `registry` that hold collectors themselves; itself if it wraps no other."""
    return [each for each in walk(registry, resolve=True) if not wrapped_registries(each, resolve=True)]


def _holds(registry: Registry, collector: Collector) -> bool:
    return any(held is collector for held in originals(registry))


def _unregister(registry: Registry, collector: Collector) -> None:
    try:
        registry.unregister(collector)
    except NotRegisteredError:
        pass  # another thread that moves the same collectors was faster
    except Exception:
        logger("pytheus.registry").warning(
            "%r did not unregister collector %r while collectors moved between registries",
            registry,
            collector_name(collector),
            exc_info=True,
        )
