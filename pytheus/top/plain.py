"""The table as plain text, for pipes and terminals that cannot be drawn on.

Rules:

- Numbers come first and the series last, so that columns are aligned and no name is cut.
- A number that a series does not have is "-", so that each line has as many fields.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from pytheus.top.history import History
from pytheus.top.polling import Read, Target
from pytheus.top.state import State
from pytheus.top.table import RowKey, Table

__all__ = ["plain_lines", "read_lines"]

_COLUMNS: Final = {"value": "VALUE", "rate": "RATE/s", "p50": "P50", "p90": "P90", "p99": "P99"}


def read_lines(read: Read, state: State, *, rates: bool = False, ascii_only: bool = False) -> list[str]:
    """Read a target once, or with `rates` twice, an interval apart, and return the lines of its table.

    Raises `PytheusError`, and `ValueError` if the target is not an exposition.
    """
    history, target = History(), Target(read)
    reading = target.read()
    history.add(reading.at, reading.snapshot)
    if rates:
        time.sleep(max(0.0, reading.at + state.interval_seconds - time.monotonic()))
        reading = target.read()
        history.add(reading.at, reading.snapshot)
    table = Table(history, ascii_only=ascii_only)
    table.window = state.window_seconds
    return list(plain_lines(table, table.keys(filtered=state.filtered, sort=state.sort)))


def plain_lines(table: Table, rows: list[RowKey]) -> Iterator[str]:
    """Yield the lines of `rows`, after one with the names of the columns."""
    names = list(_COLUMNS)
    lines = [[*_COLUMNS.values(), "SERIES"]]
    for key in rows:
        # A time since has a space.
        texts = [text.removesuffix(" ago") or "-" for text in table.cells(key, names)]
        lines.append([*texts, table.title(key)])
    widths = [max(len(line[place]) for line in lines) for place in range(len(names))]
    for line in lines:
        numbers = [text.rjust(size) for text, size in zip(line, widths, strict=False)]
        yield "  ".join([*numbers, line[-1]])
