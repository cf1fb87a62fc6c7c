"""The lines of the screen, from the state and the readings.

Rules:

- There are exactly as many lines as the terminal has, and no line is wider.
- Narrow screens leave columns out; the name of a series and its value are always there.
- Without colour and in ASCII the same is told: the chosen row begins with ">".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from pytheus.top.cells import cut, fitted, safe, width
from pytheus.top.details import family_lines, series_lines
from pytheus.top.lines import Line, Span, Style, clipped, wrapped
from pytheus.top.quantities import duration
from pytheus.top.state import KEYS, State
from pytheus.top.table import RowKey, Table

__all__ = ["Screen", "Status", "columns_for", "window_text"]

_WIDTHS: Final = {"series": 7, "value": 9, "rate": 8, "p50": 7, "p90": 7, "p99": 7}
_HEADS: Final = {"series": "SERIES", "value": "VALUE", "rate": "RATE/s", "p50": "P50", "p90": "P90", "p99": "P99"}
_ERROR_LINES_AT_MOST: Final = 4


class Status(NamedTuple):
    """How reading the target goes."""

    target: str
    error: str = ""
    """Why the last reading failed; empty if it did not."""
    retry_seconds: float = 0.0
    """When the next reading begins, if the last one failed."""
    age_seconds: float | None = None
    """The time since the last reading that did not fail."""
    took_seconds: float = 0.0
    size_bytes: int = 0
    format: str = ""


def columns_for(columns: int, *, families: bool) -> list[str]:
    """Return the columns beside the name that a screen of so many characters has.

    >>> columns_for(40, families=False), columns_for(80, families=False)
    (['value', 'rate'], ['value', 'rate', 'p50', 'p99'])
    """
    if columns < 30:
        return ["value"]
    if columns < 60:
        return ["series", "rate"] if families else ["value", "rate"]
    shown = ["value", "rate", "p50", "p99"] if columns < 100 else ["value", "rate", "p50", "p90", "p99"]
    if families:
        return ["series", *shown]
    return shown if columns < 100 else [*shown, "trend"]


def window_text(seconds: float) -> str:
    """Return a window as it is shown.

    >>> window_text(10.0), window_text(0.5), window_text(60.0), window_text(math.inf)
    ('10s', '0.5s', '1m', 'all')
    """
    if math.isinf(seconds):
        return "all"
    return f"{seconds:g}s" if seconds < 60 else duration(seconds).removesuffix("00s")


class Screen:
    """Draws a state and a table. Not thread-safe."""

    def __init__(self, state: State, table: Table) -> None:
        self.state: Final = state
        self.table: Final = table
        self._ascii: Final = table.ascii_only
        self._rows: tuple[object, list[RowKey]] = (None, [])

    @property
    def rows(self) -> list[RowKey]:
        """The rows of the table, in their order; the same list until something changes."""
        state, history = self.state, self.table.history
        self.table.window = state.window_seconds
        asked = (
            state.view in ("families", "help"),
            state.family if state.view == "family" else None,
            state.filtered,
            state.sort,
            state.is_reversed,
            state.window_seconds,
            history.number,
        )
        if self._rows[0] != asked:
            families, family, filtered, sort, is_reversed, _, _ = asked
            self._rows = (
                asked,
                self.table.keys(
                    families=families, family=family, filtered=filtered, sort=sort, is_reversed=is_reversed
                ),
            )
        return self._rows[1]

    def lines(self, columns: int, height: int, status: Status) -> list[Line]:
        """Return `height` lines of at most `columns`."""
        columns, height = max(columns, 1), max(height, 1)
        lines = [self._title(columns, status)]
        if status.error:
            lines += self._error(columns, status)
        bottom = self._bottom(columns)
        space = height - len(lines) - 1
        state = self.state
        if state.view == "help":
            body = _help(columns, ascii_only=self._ascii)
        elif not self.table.history.number:
            body = [] if status.error else [(Span(0, cut("reading ...", columns, ascii_only=self._ascii), "dim"),)]
        elif state.view == "details" and state.series is not None:
            body = series_lines(self.table, state.series, columns, max(space, 1))
            state.top = max(0, min(state.top, len(body) - space))
            body = body[state.top :]
        else:
            body = self._table(columns, space)
        lines = lines[: max(height - 1, 1)] + body[: max(space, 0)]
        lines += [()] * (height - 1 - len(lines))
        shown = [*lines[: height - 1], bottom] if height > 1 else lines[:1]
        return [clipped(line, columns, ascii_only=self._ascii) for line in shown]

    def page(self, height: int) -> int:
        """Return the rows by which a page moves."""
        return max(1, height - 4)

    def _title(self, columns: int, status: Status) -> Line:
        history, state = self.table.history, self.state
        parts: list[tuple[str, Style]] = []
        if state.is_paused:
            parts.append(("PAUSED", "warning"))
        if status.error:
            parts.append(("DOWN", "error"))
        if history.number:
            parts.append((f"{len(history.series)} series", ""))
            if status.took_seconds:
                parts.append((duration(status.took_seconds, ascii_only=self._ascii), ""))
        parts.append((f"every {window_text(state.interval_seconds)}", ""))
        name = "pytheus top  "
        target = safe(status.target, ascii_only=self._ascii)
        # Parts at the right are left out first, then the program's name.
        while parts and sum(width(text) + 2 for text, _ in parts) + min(width(target), 22) > columns:
            dropped = next((part for part in reversed(parts) if not part[1]), parts[-1])
            parts.remove(dropped)
        used = sum(width(text) + 2 for text, _ in parts)
        if len(name) + width(target) + used > columns:
            name = ""
        spans = [
            Span(0, name, "bold"),
            Span(len(name), cut(target, columns - used - len(name), ascii_only=self._ascii), "bold"),
        ]
        place = columns - used + 2
        for text, style in parts:
            spans.append(Span(place, text, style))
            place += width(text) + 2
        return tuple(spans)

    def _error(self, columns: int, status: Status) -> list[Line]:
        text = f"! {safe(status.error, ascii_only=self._ascii)}"
        lines = wrapped(text, columns, at_most=_ERROR_LINES_AT_MOST, ascii_only=self._ascii)
        told = (
            f"reading again in {window_text(math.ceil(status.retry_seconds))}"
            if status.retry_seconds > 0
            else "reading again"
        )
        if status.age_seconds is not None:
            told += f"; the numbers are {window_text(math.ceil(status.age_seconds))} old"
        shown: list[Line] = [(Span(0, line, "error"),) for line in lines]
        return [*shown, (Span(0, cut(f"  {told}", columns, ascii_only=self._ascii), "warning"),)]

    def _bottom(self, columns: int) -> Line:
        state = self.state
        if state.is_editing:
            prompt = f"filter: {safe(state.filtered, ascii_only=self._ascii)}_"
            while width(prompt) > columns and len(prompt) > 1:
                prompt = prompt[1:]
            return (Span(0, prompt, "bold"),)
        if state.view == "help":
            hints = ["any key: back", "q: quit"]
        elif state.view == "details":
            hints = ["Esc: back", "f: family", "w: window", "p: pause", "?: help", "q: quit"]
        else:
            hints = ["Enter: details", "/: filter", "s: sort", "Tab: families", "w: window", "?: help", "q: quit"]
            if state.view == "families":
                hints[0], hints[3] = "Enter: series", "Tab: series"
            elif state.view == "family":
                hints[3] = "Esc: back"
        while len(hints) > 2 and len("  ".join(hints)) > columns:
            del hints[-3]
        return (Span(0, cut("  ".join(hints), columns, ascii_only=self._ascii), "dim"),)

    def _table(self, columns: int, space: int) -> list[Line]:
        state, rows = self.state, self.rows
        lines: list[Line] = []
        if state.view == "family" and state.family is not None:
            lines += family_lines(self.table, state.family, columns, max(1, space - 6))
        total = self._total()
        shown = (
            f"sort {state.sort}{' reversed' if state.is_reversed else ''}  window {window_text(state.window_seconds)}"
        )
        if state.filtered:
            shown = f"filter {safe(state.filtered, ascii_only=self._ascii)}: {len(rows)} of {total}  {shown}"
        lines.append((Span(0, cut(shown, columns, ascii_only=self._ascii), "dim"),))
        names = columns_for(columns, families=state.view == "families")
        trend = 0
        if "trend" in names:
            trend = 16 if columns < 140 else 30
        widths = [trend if name == "trend" else _WIDTHS[name] for name in names]
        first = max(1, columns - 1 - sum(size + 1 for size in widths))
        lines.append(self._head(names, widths, first, columns))
        visible = max(0, space - len(lines))
        place = state.position(rows)
        if visible:
            state.top = max(0, min(state.top, place, len(rows) - visible))
            if place >= state.top + visible:
                state.top = place - visible + 1
        if not rows:
            text = "no series matches the filter" if state.filtered else "no metrics yet"
            lines.append((Span(1, cut(text, columns - 1, ascii_only=self._ascii), "dim"),))
        for index, key in enumerate(rows[state.top : state.top + visible], state.top):
            lines.append(self._row(key, names, widths, first, is_chosen=index == place))
        return lines

    def _total(self) -> int:
        state, history = self.state, self.table.history
        if state.view == "families":
            return len(history.families)
        return len(self.table.members(state.family)) if state.family is not None else len(history.series)

    def _head(self, names: Sequence[str], widths: Sequence[int], first: int, columns: int) -> Line:
        state = self.state
        mark = ("^" if self._ascii else "▲", "v" if self._ascii else "▼")
        title = "FAMILY" if state.view == "families" else "SERIES"
        if state.sort == "name":
            title += mark[1 if state.is_reversed else 0]
        text = " " + fitted(title, first, ascii_only=self._ascii)
        for name, size in zip(names, widths, strict=True):
            if name == "trend":
                text += " " + fitted("TREND", size)
                continue
            head = _HEADS[name] + (mark[0 if state.is_reversed else 1] if state.sort == name else "")
            text += " " + fitted(head, size, right=True, ascii_only=self._ascii)
        return (Span(0, fitted(text, columns, ascii_only=self._ascii), "reverse"),)

    def _row(self, key: RowKey, names: Sequence[str], widths: Sequence[int], first: int, *, is_chosen: bool) -> Line:
        title = self.table.title(key)
        if self.state.scrolled:
            title = _scrolled(title, min(self.state.scrolled, max(0, width(title) - first)))
        cells = self.table.cells(key, names, widths[-1])
        style: Style = "reverse" if is_chosen else ""
        spans = [
            Span(0, ">" if is_chosen else " ", style),
            Span(1, fitted(title, first, ascii_only=self._ascii), style or "name"),
        ]
        place = 1 + first
        for name, text, size in zip(names, cells, widths, strict=True):
            spans.append(Span(place, " ", style))
            spans.append(
                Span(
                    place + 1,
                    fitted(text, size, right=name != "trend", ascii_only=self._ascii),
                    style or ("good" if name == "trend" else ""),
                )
            )
            place += 1 + size
        return tuple(spans)


def _scrolled(title: str, columns: int) -> str:
    """The title without its first `columns`."""
    gone = used = 0
    for character in title:
        if used >= columns:
            break
        used += width(character)
        gone += 1
    return title[gone:]


def _help(columns: int, *, ascii_only: bool) -> list[Line]:
    lines: list[Line] = [()]
    for keys, effect in KEYS:
        lines.append(
            (
                Span(0, fitted(f" {keys}", min(18, columns), ascii_only=ascii_only), "bold"),
                Span(18, cut(effect, max(0, columns - 18), ascii_only=ascii_only)),
            )
            if columns > 18
            else (Span(0, cut(keys, columns, ascii_only=ascii_only), "bold"),)
        )
    return lines
