"""Frames as the bytes that change a terminal from one to the next.

Rules:

- Only lines that differ are written, each from its own position, so that an error of one line does not move another.
- A part of a line that follows characters of uncertain width is placed by its column.
- Colour is left out where it is not wanted; bold, dim and reverse text is not colour (https://no-color.org).

https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pytheus.top.cells import width
from pytheus.top.lines import Line, Style, text_of

__all__ = ["ENTER", "LEAVE", "Painter"]

ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[0m\x1b[2J"
"""Changes to the other screen, hides the cursor and does not wrap lines."""

LEAVE: Final = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
"""Ends all that `ENTER` began."""

_COLOURS: Final[dict[Style, str]] = {
    "": "",
    "bold": "1",
    "dim": "2",
    "reverse": "7",
    "error": "1;31",
    "warning": "33",
    "good": "32",
    "name": "",
    "label": "36",
}
_PLAIN: Final[dict[Style, str]] = {
    style: code if ";" not in code and len(code) < 2 else "1" for style, code in _COLOURS.items()
}


class Painter:
    """Draws frames on one terminal.

    >>> from pytheus.top.lines import Span
    >>> Painter(has_colour=False).paint([(Span(0, "hits", "bold"),)], 80)
    '\\x1b[1;1H\\x1b[1mhits\\x1b[0m\\x1b[K'
    """

    def __init__(self, *, has_colour: bool) -> None:
        self._codes: Final = _COLOURS if has_colour else _PLAIN
        self._shown: list[Line] = []
        self._columns = 0

    def forget(self) -> None:
        """Draw the whole next frame, because the terminal may show something else."""
        self._shown, self._columns = [], 0

    def paint(self, lines: Sequence[Line], columns: int) -> str:
        """Return the text that changes the terminal, of so many columns, to `lines`."""
        shown = self._shown
        parts: list[str] = []
        if columns != self._columns or len(lines) != len(shown):
            if shown:
                parts.append("\x1b[0m\x1b[2J")
            shown = [()] * len(lines)
        for row, (line, before) in enumerate(zip(lines, shown, strict=True), 1):
            if line != before or not self._shown:
                parts.append(f"\x1b[{row};1H{self._line(line, before, columns)}")
        self._shown, self._columns = list(lines), columns
        return "".join(parts)

    def _line(self, line: Line, before: Line, columns: int) -> str:
        parts: list[str] = []
        if not (text_of(before).isascii() and text_of(line).isascii()):
            # Widths may differ from the estimate, and something of the old line could be left.
            parts.append("\x1b[2K")
        used, is_certain = 0, True
        for span in line:
            if not span.text:
                continue
            if not is_certain:
                parts.append(f"\x1b[{span.column + 1}G")
            elif span.column > used:
                parts.append(" " * (span.column - used))
            code = self._codes[span.style]
            parts.append(f"\x1b[{code}m{span.text}\x1b[0m" if code else span.text)
            used, is_certain = span.column + width(span.text), span.text.isascii()
        if used < columns:
            if not is_certain:
                parts.append(f"\x1b[{used + 1}G")
            parts.append("\x1b[K")
        return "".join(parts)
