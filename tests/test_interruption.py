"""Errors that end the program, and those that are failures of the code that raised them."""

from __future__ import annotations

import asyncio
import functools
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

import pytest

from pytheus.interruption import is_interruption

Handler = Callable[[int, FrameType | None], object]


class Unrelated(BaseException):
    """An error that is not an `Exception`."""


def caught(work: Callable[[], object]) -> BaseException:
    """What `work` raises."""
    try:
        work()
    except BaseException as error:
        return error
    pytest.fail("nothing was raised")


def interrupt() -> None:
    """Ctrl-C in the middle of `interrupt`."""
    signal.raise_signal(signal.SIGINT)


def raising(error: BaseException | type[BaseException]) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


async def raise_later() -> None:
    await asyncio.sleep(0)
    raise KeyboardInterrupt


async def interrupt_later() -> None:
    await asyncio.sleep(0)
    interrupt()
    await asyncio.Event().wait()


def from_a_thread() -> None:
    errors: list[BaseException] = []
    thread = threading.Thread(target=lambda: errors.append(caught(raising(KeyboardInterrupt))))
    thread.start()
    thread.join()
    raise errors[0]


FAILURES: dict[str, Callable[[], object]] = {
    "sys.exit()": lambda: sys.exit(1),
    "exit()": raising(SystemExit),
    "KeyboardInterrupt": raising(KeyboardInterrupt),
    "KeyboardInterrupt in a coroutine": lambda: asyncio.run(raise_later()),
    "KeyboardInterrupt of another thread": from_a_thread,
    "CancelledError": raising(asyncio.CancelledError),
    "GeneratorExit": raising(GeneratorExit()),
    "an own class": raising(Unrelated),
    "an Exception": raising(ValueError),
    "a group": raising(BaseExceptionGroup("both", [caught(raising(KeyboardInterrupt)), SystemExit()])),
    "a division": lambda: 1 / 0,
}


@pytest.mark.parametrize("work", FAILURES.values(), ids=FAILURES.keys())
def test_an_error_that_code_raises_is_its_failure(work: Callable[[], object]) -> None:
    assert is_interruption(caught(work)) is False


def busy() -> None:
    interrupt()
    while True:
        pass


def interrupted_and_raised_again() -> None:
    try:
        interrupt()
    except KeyboardInterrupt as error:
        raise error


def interrupted_in_a_group() -> None:
    raise BaseExceptionGroup("tasks", [ValueError(), caught(interrupt)])


@pytest.mark.parametrize(
    "work",
    [interrupt, busy, interrupted_and_raised_again, interrupted_in_a_group, lambda: asyncio.run(interrupt_later())],
)
def test_ctrl_c_is_an_interruption(work: Callable[[], object]) -> None:
    assert is_interruption(caught(work)) is True


class Ending:
    def __call__(self, number: int, frame: FrameType | None) -> None:
        sys.exit(number)

    def handle(self, number: int, frame: FrameType | None) -> None:
        self(number, frame)


def raise_unrelated(number: int, frame: FrameType | None) -> None:
    raise Unrelated


def log_and_exit(text: str, number: int, frame: FrameType | None) -> None:
    sys.exit(text)


HANDLERS: dict[str, Handler] = {
    "a function": raise_unrelated,
    "a lambda": lambda *_: sys.exit(0),
    "an object": Ending(),
    "a method": Ending().handle,
    "a partial": functools.partial(log_and_exit, "bye"),
}


@pytest.mark.parametrize("handler", HANDLERS.values(), ids=HANDLERS.keys())
def test_an_error_of_a_signal_handler_is_an_interruption(handler: Handler) -> None:
    former = signal.signal(signal.SIGTERM, handler)
    try:
        error = caught(lambda: signal.raise_signal(signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, former)

    assert is_interruption(error) is True


def test_a_frame_as_an_argument_makes_no_signal_handler() -> None:
    def log(level: str, frame: FrameType) -> None:
        sys.exit(level)

    assert is_interruption(caught(lambda: log("error", sys._getframe()))) is False
