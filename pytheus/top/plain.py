"""The table as plain text, for pipes and terminals that cannot be drawn on.

Rules:

- Numbers come first and the series last, so that columns are aligned and no name is cut.
- A number that a series does not have is "-", so that each line has as many fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pytheus.top.table import RowKey, Table

__all__ = ["plain_lines"]

_COLUMNS: Final = {"value": "VALUE", "rate": "RATE/s", "p50": "P50", "p90": "P90", "p99": "P99"}


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
