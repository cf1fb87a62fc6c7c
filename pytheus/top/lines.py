"""Lines of a screen: texts with their styles, each at its column."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeAlias

from pytheus.top.cells import cut, width

__all__ = ["Line", "Span", "Style", "clipped", "text_of", "wrapped"]

Style: TypeAlias = Literal["", "bold", "dim", "reverse", "error", "warning", "good", "name", "label"]
"""How a text looks; each is readable without colour, too."""

_WORD_SPACES: Final = " "


class Span(NamedTuple):
    """A text that begins at a column, counted from zero."""

    column: int
    text: str
    style: Style = ""


Line: TypeAlias = tuple[Span, ...]


def text_of(line: Line) -> str:
    """Return the characters of a line, as a terminal shows them.

    >>> text_of((Span(0, "hits"), Span(6, "3")))
    'hits  3'
    """
    text = ""
    used = 0
    for span in line:
        text += _WORD_SPACES * (span.column - used) + span.text
        used = max(used, span.column) + width(span.text)
    return text


def clipped(line: Line, columns: int, *, ascii_only: bool = False) -> Line:
    """Return the part of a line that is within `columns`.

    >>> clipped((Span(0, "hits"), Span(6, "3")), 3)
    (Span(column=0, text='hi…', style=''),)
    """
    if not line or line[-1].column + width(line[-1].text) <= columns:
        return line
    return tuple(
        [
            span._replace(text=cut(span.text, columns - span.column, ascii_only=ascii_only))
            for span in line
            if span.column < columns
        ]
    )


def wrapped(text: str, columns: int, *, at_most: int = 1000, ascii_only: bool = False) -> list[str]:
    """Return a safe `text` in lines of `columns`, broken at spaces where that is possible; the last one may be cut.

    >>> wrapped("one two three", 8)
    ['one two', 'three']
    """
    columns = max(columns, 1)
    lines: list[str] = []
    line = ""
    for word in _words(text, columns):
        candidate = f"{line} {word}" if line else word
        if line and width(candidate) > columns:
            lines.append(line)
            line = word
        else:
            line = candidate
    if line:
        lines.append(line)
    if len(lines) > at_most:
        lines = lines[:at_most]
        if lines:
            lines[-1] = cut(lines[-1] + " " * columns, columns, ascii_only=ascii_only)
    return lines


def _words(text: str, columns: int) -> Iterable[str]:
    for word in text.split(_WORD_SPACES):
        while width(word) > columns:
            kept = 0
            used = 0
            for character in word:
                used += width(character)
                if used > columns and kept:
                    break
                kept += 1
            yield word[:kept]
            word = word[kept:]
        yield word
