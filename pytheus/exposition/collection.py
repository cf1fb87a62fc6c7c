"""One collection for HTTP clients: shared by those who wait, carried out by threads of pytheus, ended at a deadline.

Rules:

- `pytheus.exposition.collection_lanes` says when a collection begins, and who shares it.
- One thread encodes the collectors, the metrics before custom collectors. If a collector takes long, another thread
  goes on with the next ones, and the first ends with its collector. So a slow one delays the others by a moment.
- At the deadline the collection ends without the collectors that have not finished. Each is counted as failed, and is
  not called again until it has returned.
- Where threads are scarce, no custom collector is called.
- Those who wait call `Collection.tend` at short intervals, which keeps the deadline. No thread waits between scrapes.
"""

from __future__ import annotations

import contextvars
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from operator import itemgetter, length_hint
from typing import Final

from pytheus.definitions import Definition
from pytheus.exposition.collector_threads import (
    STALL_SECONDS,
    Work,
    call_each_until,
    hanging,
    start,
    threads_are_scarce,
)
from pytheus.exposition.failures import record_failure
from pytheus.exposition.formats import render
from pytheus.exposition.response import Choice, Response, failed_response, late_response, metrics_response
from pytheus.exposition.standard import AnyWalk, StandardFormat
from pytheus.foreign_calls import NotReturnedError, calling_by
from pytheus.lazy import logger
from pytheus.names import shown
from pytheus.registry.contract import Collector, Registry, collector_name
from pytheus.registry.traversal import FailedCollector, FailedSeries

__all__ = ["Collection"]

_SINCE_EARLIER: Final = "it has not returned since an earlier scrape"


class _Leg:
    """The part of a collection that one thread carries out."""

    def __init__(self, *, is_restricted: bool) -> None:
        self.is_restricted: Final = is_restricted
        self.parts: Final[list[str | bytes]] = []
        # The places in the registry of the collectors that were called, and the end of the parts of each that returned.
        self.places: Final[list[int]] = []
        self.ends: Final[list[int]] = []
        self.is_superseded = False
        self.has_ended = False
        # The key in `hanging` if this leg was given up.
        self.lost: object = None
        self.thread_id = 0
        self.seen_count = -1
        self.seen_at = 0.0


class Collection:
    """One collection of `registry` as `choice` says, which several clients share.

    `ahead` returns the collections that run while this one waits, `former` the one of them that answers the same
    question, if any, and `end` is called when this one has ended.
    """

    def __init__(
        self,
        registry: Registry,
        choice: Choice,
        ahead: Callable[[], tuple[Collection, ...]],
        former: Callable[[], Collection | None],
        end: Callable[[Collection], object],
    ) -> None:
        self._choice: Final = choice
        self._registry: Final = registry
        self._ahead: Final = ahead
        self._former: Final = former
        self._end: Final = end
        standard = choice.format if isinstance(choice.format, StandardFormat) else None
        self._standard: Final = standard
        # What may hang besides a collector: the registry, in every standard format alike, or another format.
        self._culprit: Final = (id(registry), None if standard is not None else id(choice.format))
        # Of the client that asked first, as if its thread called the collectors.
        self._context: Final = contextvars.copy_context()
        self._lock: Final = threading.Lock()
        self._walk: AnyWalk | None = None
        # The places of the collectors that are still to be called.
        self._remaining: Iterator[int] = iter(())
        self._foreign_count = 0
        self._legs: Final[list[_Leg]] = []
        self._skipped: Final[list[tuple[Collector, Exception]]] = []
        self._is_closed = False
        self._has_begun = False
        self._codings: Final[set[str]] = set()
        # When each client wants its response, until the collection begins.
        self._waits: list[tuple[float, float]] = []
        self._deadline = float("inf")
        self._latest = float("inf")
        self._listeners: list[Callable[[], object]] = []
        # By coding; the clients have them, and this collection only until then, because a thread of it may hang.
        self._responses: dict[str, Response] = {}
        self._has_response = False

    # Those who wait ---------------------------------------------------------------------------------------------------

    def expect(self, coding: str, deadline: float, latest: float) -> Mapping[str, Response]:
        """Prepare a response in `coding` at `deadline`, in any case before `latest`.

        Returns the mapping that has it under `coding` then. Call it before the start.
        """
        self._codings.add(coding)
        self._waits.append((deadline, latest))
        self._hurry_former(deadline, latest)
        return self._responses

    def hurry(self, deadline: float, latest: float) -> None:
        """End the collection at `deadline` if it would take longer."""
        with self._lock:
            if self._has_begun:
                self._deadline = min(self._deadline, deadline)
                self._latest = min(self._latest, latest)
                return
            self._waits.append((deadline, latest))
        self._hurry_former(deadline, latest)

    def _hurry_former(self, deadline: float, latest: float) -> None:
        """End the collection that runs before this one in time for this one to begin and end."""
        former = self._former()
        if former is not None and former is not self:
            former.hurry(2 * deadline - latest, deadline)

    def subscribe(self, listener: Callable[[], object]) -> None:
        """Call `listener` once there is a response, from any thread; now if there is one."""
        with self._lock:
            if not self._has_response:
                self._listeners.append(listener)
                return
        listener()

    @property
    def has_response(self) -> bool:
        """Whether there is a response."""
        return self._has_response

    def tend(self, now: float) -> None:
        """Keep the deadline, and go on beside a collector that takes long. Call it at short intervals."""
        if not self._has_begun:
            for running in self._ahead():
                running.tend(now)
            return
        is_due = False
        successor: _Leg | None = None
        with self._lock:
            if self._has_response or not self._legs:
                return
            is_lost = now >= self._latest
            if not self._is_closed:
                if now >= self._deadline:
                    self._is_closed = is_due = True
                    self._give_up()
                else:
                    successor = self._successor(now)
        if is_lost:
            self._publish(dict.fromkeys(self._codings, late_response()))
        elif is_due:
            self._start(self._finish)
        elif successor is not None:
            self._start(partial(self._run, successor), successor)

    def _successor(self, now: float) -> _Leg | None:
        """Return a leg that goes on beside the last one if that one has not moved since it was seen before."""
        leg = self._legs[-1]
        count = len(leg.places)
        if count != leg.seen_count:
            leg.seen_count, leg.seen_at = count, now
            return None
        if leg.has_ended or now - leg.seen_at < STALL_SECONDS or not length_hint(self._remaining):
            return None
        leg.is_superseded = True
        successor = _Leg(is_restricted=threads_are_scarce())
        self._legs.append(successor)
        return successor

    def _give_up(self) -> None:
        """Leave out the collectors that have not returned, and those that were not called yet."""
        walk = self._walk
        for leg in self._legs:
            returned = len(leg.ends)
            if leg.has_ended or (walk is not None and len(leg.places) == returned):
                continue
            error = NotReturnedError("it takes longer than a scrape")
            frame = sys._current_frames().get(leg.thread_id)
            if frame is not None:
                error.add_note("It waits here, most recent call last:\n" + "".join(traceback.format_stack(frame)))
            if walk is None:
                leg.lost = self._culprit
                hanging[self._culprit] = self._registry
                self._skipped.append((self._itself(), error))
            else:
                collector = walk.collectors[leg.places[returned]]
                leg.lost = id(collector)
                hanging[id(collector)] = collector
                self._skipped.append((collector, error))
        if walk is not None and self._has_metrics:
            for place in self._remaining:
                late = NotReturnedError("the time of the scrape was over before its turn")
                self._skipped.append((walk.collectors[place], late))

    def _itself(self) -> Collector:
        """Return a collector for the count of failures where no collector but the registry or the format hangs."""
        culprit: object = self._registry if self._standard is not None else self._choice.format
        return FailedCollector(collector_name(culprit), NotReturnedError())

    @property
    def _has_metrics(self) -> bool:
        """Whether all collectors that are not custom were called."""
        return length_hint(self._remaining) <= self._foreign_count

    # The threads ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the collection. Call it once."""
        leg = _Leg(is_restricted=threads_are_scarce())
        now = time.monotonic()
        with self._lock:
            self._has_begun = True
            # Without the clients that have waited for their turn in vain.
            waits = [wait for wait in self._waits if wait[1] > now]
            self._waits = []
            if waits:
                self._deadline, self._latest = map(min, zip(*waits, strict=True))
                self._legs.append(leg)
            is_hanging = self._culprit in hanging
        if not waits:
            self._publish(dict.fromkeys(self._codings, late_response()))
        elif is_hanging:
            self._skipped.append((self._itself(), NotReturnedError(_SINCE_EARLIER)))
            self._start(self._finish)
        else:
            self._start(partial(self._run, leg), leg)

    def _start(self, work: Callable[[], object], leg: _Leg | None = None) -> None:
        start(
            Work(
                run=work,
                has_ended=lambda: self.has_response,
                is_stuck=lambda: leg is not None and not leg.has_ended and (leg.is_superseded or leg.lost is not None),
            ),
            self._context,
        )

    def _run(self, leg: _Leg) -> None:
        leg.thread_id = threading.get_ident()
        body: list[bytes] | None = None
        try:
            if self._standard is None:
                body = render(self._choice.format, self._registry, self._choice.request)
            else:
                with FailedSeries() as failed:
                    walk = self._walk
                    if walk is None:
                        with calling_by(partial(call_each_until, self._calls_deadline)):
                            walk = self._begin(self._standard)
                    walk.encode(self._steps(walk, leg), leg.parts, failed)
        except BaseException:
            # Of any kind, because an error in a thread of pytheus does not interrupt the program.
            _log_failure(self._registry)
            self._publish(dict.fromkeys(self._codings, failed_response()))
        finally:
            with self._lock:
                hanging.pop(leg.lost, None)
                leg.has_ended = True
                is_last = not self._is_closed and all(each.has_ended for each in self._legs)
                self._is_closed |= is_last
        if is_last:
            self._finish(body)

    def _calls_deadline(self) -> float:
        """Return when the registry goes on without the foreign code that it calls; there must be time for the rest."""
        with self._lock:
            return self._deadline - 2 * (self._latest - self._deadline)

    def _begin(self, standard: StandardFormat) -> AnyWalk:
        walk = standard.begin(self._registry, self._choice.request)
        own: list[int] = []
        foreign: list[int] = []
        for place, definition in enumerate(walk.definitions):
            (foreign if definition is None else own).append(place)
        self._foreign_count = len(foreign)
        self._remaining = iter(own + foreign)
        self._walk = walk
        return walk

    def _steps(self, walk: AnyWalk, leg: _Leg) -> Iterator[tuple[Collector, Definition | None]]:
        while not (leg.is_superseded or self._is_closed):
            with self._lock:
                place = next(self._remaining, None)
            if place is None:
                return
            collector = walk.collectors[place]
            if id(collector) in hanging:
                self._skipped.append((collector, NotReturnedError(_SINCE_EARLIER)))
            elif leg.is_restricted and walk.definitions[place] is None:
                self._skipped.append((collector, NotReturnedError("too many threads wait for other collectors")))
            else:
                leg.places.append(place)
                yield collector, walk.definitions[place]
                leg.ends.append(len(leg.parts))

    # The response -----------------------------------------------------------------------------------------------------

    def _finish(self, body: list[bytes] | None = None) -> None:
        """Publish the response with the collectors that have returned, or with `body`."""
        response = failed_response()
        responses: dict[str, Response] = {}
        try:
            for collector, error in self._skipped.copy():
                record_failure(self._registry, collector, error)
            if body is None and self._walk is not None and self._has_metrics:
                assert self._standard is not None  # because there is a walk
                body = self._standard.joined(self._stitched(self._walk))
            if body is None:
                response = late_response()
            else:
                for coding in self._codings:
                    responses[coding] = metrics_response(body, self._choice, coding)
        except BaseException:
            _log_failure(self._registry)
        self._publish(dict.fromkeys(self._codings, response) | responses)

    def _stitched(self, walk: AnyWalk) -> Iterable[str | bytes]:
        """Return the parts of all legs in the order of the registry; may be called once."""
        first = self._legs[0]
        if len(self._legs) == 1 and len(first.ends) == len(first.places) and first.places == sorted(first.places):
            return chain(_taken_from(first.parts), walk.encode_end())
        ranges: list[tuple[int, int, int, list[str | bytes]]] = []
        for leg in self._legs:
            start = 0
            for place, end in zip(leg.places, leg.ends, strict=False):
                ranges.append((place, start, end, leg.parts))
                start = end
        ranges.sort(key=itemgetter(0))
        stitched: list[str | bytes] = []
        for _, start, end, parts in ranges:
            stitched += parts[start:end]
        for leg in self._legs:
            leg.parts.clear()  # the thread of one may hang
        stitched += walk.encode_end()
        return stitched

    def _publish(self, responses: dict[str, Response]) -> None:
        with self._lock:
            if self._has_response:
                return
            self._responses.update(responses)
            self._responses = {}
            self._has_response = True
            self._is_closed = True
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()
        self._end(self)


def _taken_from(parts: list[str | bytes]) -> Iterator[str | bytes]:
    """Return the parts and forget each, so that the text of a large registry is not in memory twice."""
    remaining = parts[::-1]
    parts.clear()
    while remaining:
        yield remaining.pop()


def _log_failure(registry: Registry) -> None:
    logger("pytheus.exposition").exception("the metrics of the %s cannot be exposed", shown(registry))
