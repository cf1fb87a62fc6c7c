"""The loop of the screen: readings and keys come in, and frames are drawn."""

from __future__ import annotations

import time

from pytheus.top.history import History
from pytheus.top.painter import Painter
from pytheus.top.polling import Failure, Poller, Read, Reading
from pytheus.top.screen import Screen, Status
from pytheus.top.state import State
from pytheus.top.table import Table
from pytheus.top.terminal import Terminal

__all__ = ["run_live"]

_TICK_SECONDS = 1.0
_SIGNAL_CODE = 128


def run_live(read: Read, target: str, state: State, *, ascii_only: bool, has_colour: bool) -> int:
    """Show the metrics that `read` returns until the user quits; returns the exit code.

    `target` is the name that is shown, without credentials. The code is 0, or 128 and the number of the signal.
    """
    terminal = Terminal()
    poller = Poller(read, terminal.wake, interval_seconds=state.interval_seconds)
    poller.start()
    history = History()
    screen = Screen(state, Table(history, ascii_only=ascii_only))
    painter = Painter(has_colour=has_colour)
    status = Status(target)
    read_at: float | None = None
    next_at = 0.0
    try:
        with terminal.opened():
            while True:
                for outcome in poller.take():
                    if isinstance(outcome, Reading):
                        history.add(outcome.at, outcome.snapshot, is_whole=outcome.is_whole)
                        read_at = time.monotonic()
                        status = Status(target, took_seconds=outcome.took_seconds)
                    else:
                        status, next_at = status._replace(error=_message(outcome)), outcome.next_at
                now = time.monotonic()
                if status.error:
                    status = status._replace(
                        retry_seconds=max(0.0, next_at - now), age_seconds=None if read_at is None else now - read_at
                    )
                columns, height = terminal.size()
                if terminal.is_stale:
                    terminal.is_stale = False
                    painter.forget()
                text = painter.paint(screen.lines(columns, height, status), columns)
                if text:
                    terminal.write(text)
                # The seconds until the next try are counted on the screen.
                keys = terminal.wait(_TICK_SECONDS if status.error and not state.is_paused else None)
                if terminal.ended_by is not None:
                    return _SIGNAL_CODE + terminal.ended_by
                for key in keys:
                    if key == "redraw":
                        terminal.is_stale = True
                    state.press(key, screen.rows, screen.page(height))
                    if state.is_over:
                        return 0
                poller.set(state.names, state.interval_seconds, is_paused=state.is_paused)
    except OSError:
        return 1  # the terminal is gone
    finally:
        poller.end()


def _message(failure: Failure) -> str:
    return " ".join(failure.message.split())
