"""The view of the user, and how each key changes it.

Rules:

- The cursor follows its row, wherever sorting moves it, until it is moved to the top.
- Escape goes back one step: from the details, then from a family, then from a filter.
- No key ends the program but ``q`` and Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

from pytheus.top.table import COLUMNS, WINDOWS, RowKey
from pytheus.top.values import Series

__all__ = ["INTERVALS", "KEYS", "State", "View"]

View: TypeAlias = Literal["series", "families", "family", "details", "help"]

INTERVALS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""The seconds between two readings that ``+`` and ``-`` choose from."""

KEYS: Final = (
    ("up down j k", "move; PgUp PgDn Home End, g G"),
    ("left right", "scroll long names"),
    ("Enter", "details of a series; series of a family"),
    ("Esc Backspace", "back; clear the filter"),
    ("Tab", "families or series"),
    ("f", "the family of the series"),
    ("/", "filter: words, !word excludes"),
    ("s < >", "sort by the next or previous column"),
    ("r", "reverse the order"),
    ("w", "window of rates and quantiles"),
    ("+ -", "read less or more often"),
    ("p Space", "pause, continue"),
    ("Ctrl-L", "draw the screen again"),
    ("?", "this help"),
    ("q Ctrl-C", "quit"),
)
"""Keys and their effects."""

_FILTER_CHARACTERS_AT_MOST: Final = 200
_SCROLL_COLUMNS: Final = 10


class State:
    """The state of the screen. Not thread-safe.

    >>> state = State()
    >>> rows = [Series("a", "a", ()), Series("b", "b", ())]
    >>> for key in ["down", "enter"]:
    ...     state.press(key, rows, page=10)
    >>> state.view, state.series
    ('details', Series(family='b', name='b', labels=()))
    """

    def __init__(self, *, interval_seconds: float = 1.0, filtered: str = "", sort: str = "name") -> None:
        self.view: View = "series"
        self.family: str | None = None
        """The family that is looked at."""
        self.series: Series | None = None
        """The series that is looked at."""
        self.cursor: RowKey | None = None
        """The chosen row; None for the first."""
        self.top: int = 0
        """The first row, or line of details, that is shown."""
        self.scrolled: int = 0
        """The columns by which long names are scrolled."""
        self.filtered: str = filtered
        self.is_editing: bool = False
        """Whether the filter is being typed."""
        self.sort: str = sort
        self.is_reversed: bool = False
        self.is_paused: bool = False
        self.interval_seconds: float = interval_seconds
        self.window_seconds: float = WINDOWS[0]
        self.is_over: bool = False
        self._before_edit = ""
        self._before_help: View = "series"
        # The view and cursor that Escape goes back to.
        self._path: list[tuple[View, str | None, RowKey | None, int]] = []
        self._actions: Final[dict[str, Callable[[], None]]] = {
            "q": self._quit,
            "interrupt": self._quit,
            "?": self._toggle_help,
            "h": self._toggle_help,
            "/": self._edit,
            "escape": self._back,
            "backspace": self._back,
            "tab": self._toggle_families,
            "backtab": self._toggle_families,
            "s": lambda: self._sort(1),
            ">": lambda: self._sort(1),
            "<": lambda: self._sort(-1),
            "r": self._reverse,
            "w": self._next_window,
            "p": self._pause,
            " ": self._pause,
            "+": lambda: self._change_interval(1),
            "=": lambda: self._change_interval(1),
            "-": lambda: self._change_interval(-1),
            "left": lambda: self._scroll(-1),
            "right": lambda: self._scroll(1),
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The families that are read; none for all."""
        view = self._before_help if self.view == "help" else self.view
        if view == "details" and self.series is not None:
            return (self.series.family,)
        return (self.family,) if view == "family" and self.family is not None else ()

    def press(self, key: str, rows: Sequence[RowKey], page: int) -> None:
        """Carry out the effect of `key`; `rows` are those of the table, and `page` is the rows that a page moves by."""
        if self.is_editing:
            self._type(key)
            return
        if self.view == "help" and key not in ("q", "interrupt"):
            self._toggle_help()
            return
        action = self._actions.get(key)
        if action is not None:
            action()
        elif key in ("enter", "f") and self.view in ("series", "families", "family"):
            self._open(rows, family=key == "f")
        elif key == "f" and self.view == "details" and self.series is not None:
            self._enter("family", self.series.family)
        else:
            self._move(key, rows, max(1, page))

    def position(self, rows: Sequence[RowKey]) -> int:
        """Return the place of the cursor in `rows`; 0 if its row is not there."""
        if self.cursor is None:
            return 0
        try:
            return rows.index(self.cursor)
        except ValueError:
            return 0

    def _move(self, key: str, rows: Sequence[RowKey], page: int) -> None:
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -page, "pagedown": page, "home": 0, "g": 0}
        if key in ("end", "G"):
            steps[key] = 1_000_000_000
        if key not in steps:
            return
        if self.view == "details":
            self.top = 0 if steps[key] == 0 else max(0, self.top + steps[key])
            return
        if not rows:
            return
        place = 0 if steps[key] == 0 else min(len(rows) - 1, max(0, self.position(rows) + steps[key]))
        self.cursor = rows[place] if place else None

    def _open(self, rows: Sequence[RowKey], *, family: bool) -> None:
        if not rows:
            return
        row = rows[self.position(rows)]
        if isinstance(row, str):
            self._enter("family", row)
        elif family:
            if self.view != "family":
                self._enter("family", row.family)
                self.cursor = row
        else:
            self._enter("details", self.family)
            self.series = row

    def _enter(self, view: View, family: str | None) -> None:
        self._path.append((self.view, self.family, self.cursor, self.top))
        del self._path[:-20]
        self.view, self.family, self.cursor, self.top, self.scrolled = view, family, None, 0, 0

    def _back(self) -> None:
        if self._path:
            self.view, self.family, self.cursor, self.top = self._path.pop()
            self.scrolled = 0
        elif self.filtered:
            self.filtered, self.top = "", 0
        else:
            self.cursor, self.top = None, 0

    def _quit(self) -> None:
        self.is_over = True

    def _toggle_help(self) -> None:
        if self.view == "help":
            self.view = self._before_help
        else:
            self._before_help, self.view = self.view, "help"

    def _toggle_families(self) -> None:
        self._path.clear()
        self.view = "series" if self.view == "families" else "families"
        self.family = self.cursor = None
        self.top = self.scrolled = 0
        if self.view == "series" and self.sort == "series":
            self.sort = "name"

    def _sort(self, step: int) -> None:
        columns = [column for column in COLUMNS[:-1] if column != "series" or self.view == "families"]
        place = columns.index(self.sort) if self.sort in columns else 0
        self.sort = columns[(place + step) % len(columns)]
        self.is_reversed = False

    def _reverse(self) -> None:
        self.is_reversed = not self.is_reversed

    def _next_window(self) -> None:
        self.window_seconds = WINDOWS[(WINDOWS.index(self.window_seconds) + 1) % len(WINDOWS)]

    def _pause(self) -> None:
        self.is_paused = not self.is_paused

    def _change_interval(self, step: int) -> None:
        slower = [seconds for seconds in INTERVALS if seconds > self.interval_seconds]
        faster = [seconds for seconds in INTERVALS if seconds < self.interval_seconds]
        if step > 0 and slower:
            self.interval_seconds = slower[0]
        elif step < 0 and faster:
            self.interval_seconds = faster[-1]

    def _scroll(self, step: int) -> None:
        self.scrolled = max(0, min(1000, self.scrolled + step * _SCROLL_COLUMNS))

    def _edit(self) -> None:
        if self.view != "details":
            self.is_editing, self._before_edit = True, self.filtered

    def _type(self, key: str) -> None:
        if key in ("enter", "up", "down"):
            self.is_editing = False
        elif key == "escape":
            self.is_editing, self.filtered = False, self._before_edit
        elif key == "interrupt":
            self._quit()
        elif key == "backspace":
            if not self.filtered:
                self.is_editing = False
            self.filtered = self.filtered[:-1]
        elif key == "clear":
            self.filtered = ""
        elif key == "word":
            self.filtered = self.filtered.rstrip().rpartition(" ")[0]
        elif len(key) == 1 and len(self.filtered) < _FILTER_CHARACTERS_AT_MOST:
            self.filtered += key
        self.cursor, self.top = None, 0
