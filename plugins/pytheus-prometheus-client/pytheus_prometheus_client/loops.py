"""Which bridges the current scrape is within, so that bridges into each other come to an end.

A bridge is left out of a scrape if it is being collected already, or if the registry that it reads holds a bridge which
is: that registry is being scraped already, and its metrics would appear twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

__all__ = ["collecting", "is_loop"]

# A context variable, because a scrape passes its context on to the threads that call collectors for it.
_active: Final[ContextVar[tuple[object, ...]]] = ContextVar("pytheus_prometheus_client_active", default=())


@contextmanager
def collecting(bridge: object) -> Iterator[None]:
    """Note that `bridge` is being collected while the block runs.

    Not around a `yield` of a generator, whose reader would be within the block, too.
    """
    token = _active.set((*_active.get(), bridge))
    try:
        yield
    finally:
        _active.reset(token)


def is_loop(bridge: object, read: Iterable[object]) -> bool:
    """Return whether collecting `bridge`, which reads the collectors in `read`, would go round in a circle.

    The collectors are compared by identity, because theirs may be equal or have no hash.
    """
    active = _active.get()
    if not active:
        return False
    held = {id(collector) for collector in read}
    return any(current is bridge or id(current) in held for current in active)
