"""Texts for a terminal: harmless, and as wide as they say.

Rules:

- No character of a label, name or help text reaches the terminal if it could change it: control characters, those that
  turn the direction of text, invisible ones, unassigned ones, surrogates and those of private use are shown as escapes.
- A character is one column wide, two if Unicode calls it wide, and none if it combines with the one before. Of those,
  two follow a character at most; more are shown as escapes.
- Widths are estimates, because terminals differ. So the parts of a line are placed by columns (`pytheus.top.painter`).
- A terminal that is not of UTF-8 gets ASCII alone.

https://www.unicode.org/reports/tr11/
"""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["cut", "fitted", "safe", "width"]

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_COMBINING: Final = frozenset({"Mn", "Me"})
_COMBINING_AT_MOST: Final = 2
_NAMED: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", "\x1b": "\\e"}
# Characters that have no ink but a place: Hangul fillers, and the blank of braille.
_BLANK: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def safe(text: str, *, ascii_only: bool = False, at_most: int = 1000) -> str:
    r"""Return `text` without characters that could change a terminal; a long one ends with an ellipsis.

    >>> safe("a\x1b[2Jb\n"), safe("z\u00fcrich", ascii_only=True)
    ('a\\e[2Jb\\n', 'z\\xfcrich')
    """
    if len(text) > at_most:
        text = text[:at_most] + "..."
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    shown: list[str] = []
    combining = _COMBINING_AT_MOST  # none at the beginning
    for character in text:
        if " " <= character <= "~":
            shown.append(_NAMED.get(character, character))
            combining = 0
            continue
        category = unicodedata.category(character)
        if category in _COMBINING and not ascii_only and combining < _COMBINING_AT_MOST:
            combining += 1
            shown.append(character)
            continue
        if ascii_only or category in _HIDDEN or category in _COMBINING or character in _BLANK or category == "Zs":
            shown.append(_escape(character))
            combining = _COMBINING_AT_MOST
        else:
            shown.append(character)
            combining = 0
    return "".join(shown)


def _escape(character: str) -> str:
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def width(text: str) -> int:
    """Return the columns of a safe `text`.

    >>> width("abc"), width("\u4e2d\u6587"), width("e\u0301")
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(map(_width, text))


def _width(character: str) -> int:
    if character <= "~":
        return 1
    if unicodedata.category(character) in _COMBINING:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, columns: int, *, ascii_only: bool = False) -> str:
    r"""Return `text`, or as much of it as fits into `columns` with an ellipsis.

    >>> cut("abcdef", 4, ascii_only=True), cut("\u4e2d\u6587\u5b57", 4)
    ('abc~', '中…')
    """
    if width(text) <= columns:
        return text
    if columns <= 0:
        return ""
    kept, used = 0, 0
    for character in text:
        used += _width(character)
        if used > columns - 1:
            break
        kept += 1
    return text[:kept] + ("~" if ascii_only else "…")


def fitted(text: str, columns: int, *, right: bool = False, ascii_only: bool = False) -> str:
    """Return `text` in exactly `columns`, cut or filled with spaces, which come first if `right`."""
    shown = cut(text, columns, ascii_only=ascii_only)
    space = " " * (columns - width(shown))
    return space + shown if right else shown + space
