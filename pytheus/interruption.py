"""Which errors end the program, and which are failures of the foreign code that raised them.

A scrape runs code that pytheus does not know: collectors, functions of gauges, registries, formats. Such code may raise
anything, also `SystemExit` or `asyncio.CancelledError`, and that must not end the program. A signal that arrives
meanwhile raises its error in the same code, and has to end the program.

Rules:

- An `Exception` is a failure.
- An error that passed through a signal handler is an interruption.
- `KeyboardInterrupt` and `GreenletExit` are failures if a ``raise`` statement raised them. Otherwise the interpreter or
  the hub of gevent threw them into the code. Event loops handle Ctrl-C themselves, and raise it by a statement.
- A `Timeout` of gevent or eventlet is an interruption until its block ends, because the caller began that block.
- All others, such as `SystemExit`, are failures.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Final

__all__ = ["is_interruption"]

_PACKAGES: Final = frozenset({"builtins", "greenlet", "gevent", "eventlet"})
_THROWN_INTO_CODE: Final = frozenset({"KeyboardInterrupt", "GreenletExit"})
_EVENT_LOOPS: Final = frozenset({"asyncio", "trio"})
_HAS_VARARGS: Final = 0x04  # inspect.CO_VARARGS


def is_interruption(error: BaseException) -> bool:
    """Return whether `error`, raised while foreign code ran, has to end more than that code.

    Otherwise it is a failure of the code. For the ``except BaseException`` around the call, in any thread.

        >>> try:
        ...     raise KeyboardInterrupt  # by a statement, not by Ctrl-C
        ... except BaseException as error:
        ...     print(is_interruption(error))
        False
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, BaseExceptionGroup):
        return any(map(is_interruption, error.exceptions))
    innermost: TracebackType | None = None
    for entry in _entries(error.__traceback__):
        if _is_signal_handler(entry.tb_frame):
            return True
        innermost = entry
    names = {kind.__name__ for kind in type(error).__mro__ if _package(kind.__module__) in _PACKAGES}
    if not names.isdisjoint(_THROWN_INTO_CODE):
        return innermost is None or not _is_raised_by_statement(innermost)
    return "Timeout" in names and _is_open(error)


def _package(module: str) -> str:
    return module.partition(".")[0]


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _is_signal_handler(frame: FrameType) -> bool:
    """Return whether `frame` has the arguments of a signal handler: a number and the frame that called it."""
    caller = frame.f_back
    if caller is None:
        return False
    code = frame.f_code
    variables = frame.f_locals
    arguments = [variables.get(name) for name in code.co_varnames[: code.co_argcount]]
    if code.co_flags & _HAS_VARARGS:
        rest = variables.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount])
        arguments += rest if isinstance(rest, tuple) else ()
    return any(
        isinstance(number, int) and interrupted is caller
        for number, interrupted in zip(arguments, arguments[1:], strict=False)
    )


def _is_raised_by_statement(entry: TracebackType) -> bool:
    """Return whether the error began at ``raise``, or at ``throw()`` of a generator, in this innermost entry."""
    import opcode

    if _package(str(entry.tb_frame.f_globals.get("__name__"))) in _EVENT_LOOPS:
        return False
    code = entry.tb_frame.f_code.co_code
    # The frame of a native function has no position, but its code contains a `raise`.
    if not 0 <= entry.tb_lasti < len(code):
        return False
    return opcode.opname[code[entry.tb_lasti]] in ("RAISE_VARARGS", "YIELD_VALUE")


def _is_open(timeout: BaseException) -> bool:
    """Return whether a `Timeout` of gevent or eventlet was not closed; the end of its block closes it."""
    timer: object = getattr(timeout, "timer", None)
    return timer is not None and type(timer).__name__ != "_FakeTimer"
