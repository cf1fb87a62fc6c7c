"""Calls of foreign code, one after the other: at once, or until a deadline where the scrape has one.

A registry that calls foreign code in its `collect()`, such as the functions of gauges, does so by `call_each`. Then a
scrape over HTTP goes on without a call that hangs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeAlias

from pytheus.interruption import is_interruption

__all__ = ["Call", "NotReturnedError", "call_each", "call_one", "calling_by"]

Call: TypeAlias = tuple[object, Callable[[], object]]
"""An object, such as a collector, and the call of its foreign code."""


class NotReturnedError(TimeoutError):
    """A call has not returned in the time of the scrape, and may still run."""


Caller: TypeAlias = Callable[[Sequence[Call]], list[BaseException | None]]


def call_each(calls: Sequence[Call]) -> list[BaseException | None]:
    """Make each call; returns the error of each, or None if it had none.

    A call that has not returned in the time of the scrape has the error `NotReturnedError`. A later call of the same
    object has it at once until the first has returned.

        >>> call_each([("one", lambda: 1), ("two", lambda: 1 / 0)])
        [None, ZeroDivisionError('division by zero')]
    """
    caller = _caller.get()
    return [call_one(call) for _, call in calls] if caller is None else caller(calls)


def call_one(call: Callable[[], object]) -> BaseException | None:
    """Make one call; returns its error, or None if it had none. Raises only an error that ends the program."""
    try:
        call()
    except BaseException as error:
        if is_interruption(error):
            raise
        return error
    return None


_caller: Final[ContextVar[Caller | None]] = ContextVar("pytheus_foreign_calls", default=None)


@contextmanager
def calling_by(caller: Caller) -> Generator[None]:
    """A context in which `call_each` makes its calls by `caller`."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)
