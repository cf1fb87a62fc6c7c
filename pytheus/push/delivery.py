"""The queue of a writer, and when it sends: a state machine without clock, thread and network.

Rules:

- Items are sent in the order in which they came, one at a time.
- An item whose attempt failed is tried again, after the time that the receiver asks for, or after a pause that doubles
  with each failure in a row. An item that the receiver refuses is dropped, and the next one is due at once.
- The queue has a limit of bytes. Over it, the oldest item that is not being sent is dropped, because later numbers of
  cumulative series contain the earlier ones. The last one is kept, whatever its size.

https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/#retries-backoff and
https://opentelemetry.io/docs/specs/otlp/#otlphttp-throttling
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["LONGEST_WAIT_SECONDS", "Delivery"]

T = TypeVar("T")

FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 60.0
LONGEST_WAIT_SECONDS: Final = 3600.0
"""How long a receiver can make a writer wait."""

_JITTER: Final = 0.5


class Delivery(Generic[T]):
    """The items to send, at most `max_bytes` of them together.

    `random` returns numbers from 0.0 to 1.0, which spread the pauses of many writers. Times are in seconds on a clock
    that never goes back. One thread at a time may use it.

        >>> delivery = Delivery[str](1000, lambda: 1.0)
        >>> delivery.offer("first", 10), delivery.wait(now=5.0)
        ([], 0.0)
        >>> delivery.begin()
        'first'
        >>> delivery.fail(now=6.0)
        >>> delivery.wait(now=6.0)
        0.25
    """

    def __init__(self, max_bytes: int, random: Callable[[], float]) -> None:
        self._max_bytes: Final = max_bytes
        self._random: Final = random
        self._items: Final[deque[tuple[T, int]]] = deque()
        self._bytes = 0
        self._is_sending = False
        self._failures = 0
        self._due = float("-inf")

    @property
    def length(self) -> int:
        """The number of items, with the one being sent."""
        return len(self._items)

    @property
    def size_bytes(self) -> int:
        """The bytes of all items."""
        return self._bytes

    @property
    def failures(self) -> int:
        """How many attempts in a row have failed."""
        return self._failures

    def offer(self, item: T, size_bytes: int) -> list[T]:
        """Add an item, and return those that are dropped for it."""
        self._items.append((item, size_bytes))
        self._bytes += size_bytes
        dropped: list[T] = []
        oldest = 1 if self._is_sending else 0
        while self._bytes > self._max_bytes and len(self._items) > oldest + 1:
            former, size = self._items[oldest]
            del self._items[oldest]
            self._bytes -= size
            dropped.append(former)
        return dropped

    def wait(self, now: float) -> float | None:
        """Return the seconds until an attempt is due, or None if there is nothing to send or an attempt under way."""
        if not self._items or self._is_sending:
            return None
        return max(0.0, self._due - now)

    def begin(self) -> T:
        """Return the item to send now; `finish` or `fail` tells the outcome. Raises `RuntimeError` without one."""
        if not self._items or self._is_sending:
            raise RuntimeError("there is no item to send, or one is being sent")
        self._is_sending = True
        return self._items[0][0]

    def finish(self) -> T:
        """Remove the item that was being sent, because it was delivered or refused, and return it."""
        item = self._end()
        self._failures = 0
        self._due = float("-inf")
        _, size = self._items.popleft()
        self._bytes -= size
        return item

    def fail(self, now: float, retry_after_seconds: float | None = None) -> None:
        """Keep the item that was being sent for another attempt."""
        self._end()
        self._failures += 1
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures - 1, 16))
        pause *= 1.0 - _JITTER + _JITTER * self._random()
        if retry_after_seconds is not None:
            pause = max(pause, min(retry_after_seconds, LONGEST_WAIT_SECONDS))
        self._due = now + pause

    def again(self) -> None:
        """Keep the item that was being sent, because it has another part, or another form, to send at once."""
        self._end()
        self._failures = 0
        self._due = float("-inf")

    def _end(self) -> T:
        if not self._is_sending:
            raise RuntimeError("no item is being sent")
        self._is_sending = False
        return self._items[0][0]
