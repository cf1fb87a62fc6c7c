"""A thread that reads the target again and again.

Rules:

- Protobuf is read first, because it alone has native histograms. Without any, text is read from then on, which is
  parsed faster, and protobuf again when other histograms appear, and from time to time.
- Two readings begin `interval_seconds` apart; a target that takes longer is left alone for as long as it took.
- After a failure the pause is doubled, up to half a minute. It is that of the interval again after a reading.
- The thread ends with the program and does not keep it running.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, TypeAlias

from pytheus.exceptions import PytheusError
from pytheus.top.incremental import IncrementalParser
from pytheus.top.values import Distribution, Snapshot

__all__ = ["Failure", "Format", "Poller", "Read", "Reading", "Response", "Target"]

Format: TypeAlias = Literal["text", "protobuf"]

_PAUSE_SECONDS_AT_MOST: Final = 30.0
_PROBE_SECONDS: Final = 60.0


class Response(NamedTuple):
    """An exposition and its content type."""

    body: bytes
    content_type: str


Read: TypeAlias = Callable[[tuple[str, ...], Format], Response]
"""Returns the exposition of the families of these names, or of all, in the format if the target has it.

Raises `PytheusError` if that fails.
"""


class Reading(NamedTuple):
    """A reading: all series or those of the families that were asked for, and the moment by the monotonic clock."""

    at: float
    snapshot: Snapshot
    is_whole: bool
    took_seconds: float
    size_bytes: int


class Failure(NamedTuple):
    """Why a reading failed, and the moment at which the next one begins."""

    message: str
    next_at: float


class Target:
    """Reads one target in the format that suits it. Not thread-safe."""

    def __init__(self, read: Read) -> None:
        self._read: Final = read
        self._parsers: dict[tuple[tuple[str, ...], Format], IncrementalParser] = {}
        self._format: Format = "protobuf"
        self._probe_at = 0.0
        self._histograms: frozenset[str] | None = None

    def read(self, names: tuple[str, ...] = ()) -> Reading:
        """Return a reading. Raises `PytheusError`, and `ValueError` if the response is not an exposition."""
        format_ = self._format
        begun = time.monotonic()
        response = self._read(names, format_)
        took = time.monotonic() - begun
        key = (names, format_)
        parser = self._parsers.pop(key, None) or IncrementalParser()
        snapshot = parser.parse(response.body, response.content_type)
        self._parsers[key] = parser
        while len(self._parsers) > 4:
            del self._parsers[next(iter(self._parsers))]
        is_whole = not names or any(family.name not in names for family in snapshot.families)
        if is_whole:
            self._choose(snapshot, begun)
        return Reading(begun + took / 2, snapshot, is_whole, took, len(response.body))

    def _choose(self, snapshot: Snapshot, now: float) -> None:
        """Choose the format of the next reading."""
        histograms = frozenset(
            [family.name for family in snapshot.families if family.type in ("histogram", "gaugehistogram")]
        )
        if self._format == "text":
            if histograms and (histograms != self._histograms or now >= self._probe_at):
                self._format = "protobuf"
        elif not (snapshot.is_protobuf and any(map(_is_native, snapshot.values))):
            self._format = "text"
            self._probe_at = now + _PROBE_SECONDS
        self._histograms = histograms


def _is_native(value: float | Distribution) -> bool:
    return isinstance(value, Distribution) and value.native is not None


class Poller:
    """A thread that reads a target and keeps the outcomes until `take`; `wake` is called when there is something."""

    def __init__(self, read: Read, wake: Callable[[], None], *, interval_seconds: float = 1.0) -> None:
        self._target: Final = Target(read)
        self._wake: Final = wake
        self._outcomes: deque[Reading | Failure] = deque(maxlen=100)
        self._changed: Final = threading.Condition()
        self._interval_seconds = interval_seconds
        self._names: tuple[str, ...] = ()
        self._is_paused = False
        self._is_ended = False
        self._is_due = False
        self._thread: Final = threading.Thread(target=self._run, name="pytheus-top", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def set(self, names: tuple[str, ...], interval_seconds: float, *, is_paused: bool) -> None:
        """Change which families are read, how often, and whether at all; other families are read at once."""
        with self._changed:
            if (names, interval_seconds, is_paused) == (self._names, self._interval_seconds, self._is_paused):
                return
            self._is_due = self._is_due or names != self._names
            self._names, self._interval_seconds, self._is_paused = names, interval_seconds, is_paused
            self._changed.notify()

    def take(self) -> list[Reading | Failure]:
        """Return the outcomes since the last call."""
        taken: list[Reading | Failure] = []
        while self._outcomes:
            taken.append(self._outcomes.popleft())
        return taken

    def end(self) -> None:
        """Stop reading; a reading that has begun is not waited for."""
        with self._changed:
            self._is_ended = True
            self._changed.notify()

    def _run(self) -> None:
        failures = 0
        while True:
            begun = time.monotonic()
            outcome: Reading | Failure
            try:
                outcome = self._target.read(self._names)
                failures = 0
            except (PytheusError, ValueError, OSError) as error:
                failures += 1
                outcome = Failure(str(error) or type(error).__name__, 0.0)
            ended = time.monotonic()
            if isinstance(outcome, Failure):
                outcome = outcome._replace(next_at=self._next_at(begun, ended, failures))
            self._outcomes.append(outcome)
            self._wake()
            if not self._wait(begun, ended, failures):
                return

    def _next_at(self, begun: float, ended: float, failures: int) -> float:
        interval, took = self._interval_seconds, ended - begun
        if failures:
            return ended + min(max(1.0, interval) * 2.0 ** min(failures - 1, 10), max(interval, _PAUSE_SECONDS_AT_MOST))
        return max(begun + interval, ended + min(took, _PAUSE_SECONDS_AT_MOST))

    def _wait(self, begun: float, ended: float, failures: int) -> bool:
        """Wait for the next reading; returns False at the end."""
        with self._changed:
            while not self._is_ended:
                if self._is_paused:
                    self._changed.wait()
                    continue
                # Its options may have changed.
                left = self._next_at(begun, ended, failures) - time.monotonic()
                if left <= 0 or (self._is_due and not failures):
                    break
                self._changed.wait(left)
            self._is_due = False
            return not self._is_ended
