"""Which collections run, which wait, and which clients share one.

Rules:

- Clients that ask the same share a collection: of the same registry, in the same format and escaping, and of the same
  families. Of these, at most one collection runs and one waits. Those who ask while one runs share the waiting one, so
  that each gets numbers from after its request.
- Formats and escapings are few, but clients can select families in any number of ways. Of all selections of a registry
  together, 4 run at once and 32 wait in a queue. Who asks for another one is refused.
- A collection is not carried out if its clients have stopped waiting when its turn comes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from pytheus.escaping import Escaping
from pytheus.exposition.collection import Collection
from pytheus.exposition.response import Choice, Response
from pytheus.registry.contract import Registry

__all__ = ["join_collection"]

_RUNNING_AT_MOST: Final = 4
_WAITING_AT_MOST: Final = 32


class _Question(NamedTuple):
    """The properties of a collection that clients share; ids, because objects of others need not be hashable."""

    registry: int
    format: int
    escaping: Escaping
    names: frozenset[str]


# The id of the registry for all of its selections, or a question without one.
_Place: TypeAlias = int | _Question


class _Lane:
    """The collections that run and those that wait, in order; each keeps its registry and format alive."""

    def __init__(self) -> None:
        self.running: dict[_Question, Collection] = {}
        self.waiting: dict[_Question, Collection] = {}

    def can_run(self, question: _Question) -> bool:
        """Return whether a collection for `question` may begin now."""
        return question not in self.running and len(self.running) < _RUNNING_AT_MOST

    def ahead(self) -> tuple[Collection, ...]:
        """Return the collections that run, which those that wait tend."""
        with _lock:
            return tuple(self.running.values())


_lock = threading.RLock()  # re-entrant, because a signal handler may close a server
_lanes: Final[dict[_Place, _Lane]] = {}


def join_collection(
    registry: Registry, choice: Choice, coding: str, deadline: float, latest: float
) -> tuple[Collection, Mapping[str, Response]] | None:
    """Return the collection of `registry` as `choice` says that begins next: now, or when it is its turn.

    Its response, in the compression `coding`, comes into the mapping at `deadline`, in any case before `latest`; both
    are times of `time.monotonic`. Returns None if too many other selections of families wait.
    """
    question = _Question(id(registry), id(choice.format), choice.request.escaping, choice.request.names)
    place: _Place = id(registry) if question.names else question
    with _lock:
        lane = _lanes.get(place)
        if lane is None:
            lane = _lanes[place] = _Lane()
        collection = lane.waiting.get(question)
        begins = collection is None and lane.can_run(question)
        if collection is None:
            if not begins and len(lane.waiting) >= _WAITING_AT_MOST:
                return None
            collection = Collection(
                registry,
                choice,
                ahead=lane.ahead,
                former=partial(lane.running.get, question),
                end=partial(_advance, place, question),
            )
            (lane.running if begins else lane.waiting)[question] = collection
        responses = collection.expect(coding, deadline, latest)
    if begins:
        collection.start()
    return collection, responses


def _advance(place: _Place, question: _Question, ended: Collection) -> None:
    """Start the collections that waited for the end of `ended`."""
    following: list[Collection] = []
    with _lock:
        lane = _lanes.get(place)
        if lane is None or lane.running.get(question) is not ended:
            return  # the process has forked since
        del lane.running[question]
        for waiting in list(lane.waiting):
            if lane.can_run(waiting):
                collection = lane.running[waiting] = lane.waiting.pop(waiting)
                following.append(collection)
        if not lane.running:
            del _lanes[place]
    for collection in following:
        collection.start()


def _after_fork_in_child() -> None:
    """Forget the collections, whose threads do not exist in this process."""
    global _lock
    _lock = threading.RLock()
    _lanes.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
