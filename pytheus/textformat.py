"""The grammar of Prometheus's text format: escapes, numbers and label pairs.

Version 0.0.4, https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format. Lines end with ``\\n`` on
every system. A line is ``name{label="value",...} number``; in label values a backslash, a double quote and a line feed
are escaped, in help texts a backslash and a line feed, so that neither can forge a line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pytheus.kinds import KINDS
from pytheus.version import COMPILED

__all__ = [
    "PART_SIZE",
    "escape_help",
    "escape_label_value",
    "format_labels",
    "format_number",
    "header",
    "number_line",
    "whole_end",
]

PART_SIZE: Final = 1024
"""The number of series in one piece of the text. Between pieces, other threads may run."""

# The repr of a float has an exponent from 1e16 on.
_WHOLE_BELOW: Final = 1e16

# The ends of lines with small whole numbers, each made when it is first needed.
_SMALL_BELOW: Final = 1024
_SMALL_ENDS: Final[list[str]] = [""] * _SMALL_BELOW


def escape_help(text: str) -> str:
    """Return `text` escaped for the line ``# HELP name``."""
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def escape_label_value(value: str) -> str:
    """Return `value` escaped for the quotes of a label."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value


def format_labels(pairs: Iterable[tuple[str, str]]) -> str:
    """Return ``a="x",b="y"`` without braces; "" for no labels.

    Names and values must be valid.
    """
    return ",".join([name + '="' + escape_label_value(value) + '"' for name, value in pairs])


def format_number(value: float) -> str:
    """Return the shortest text that parses to the same double.

    Infinities are ``+Inf`` and ``-Inf``, not a number is ``NaN``.
    """
    if COMPILED and -_WHOLE_BELOW < value < _WHOLE_BELOW:
        # The digits of the integer are the same text as the repr, except for -0.0, and faster in native code.
        whole = int(value)
        if whole == value and whole != 0:
            return f"{whole}.0"
    text = repr(value)
    if text[-1] in "fn":
        return "NaN" if text == "nan" else "-Inf" if text == "-inf" else "+Inf"
    return text


def number_line(head: str, value: float) -> str:
    """Return `head`, the number and the line's end.

    A scrape calls this for every changed number.
    """
    if COMPILED and -_WHOLE_BELOW < value < _WHOLE_BELOW:
        whole = int(value)
        if whole == value and whole != 0:
            return head + whole_end(whole) if 0 < whole < _SMALL_BELOW else f"{head}{whole}.0\n"
    text = repr(value)
    if text[-1] in "fn":
        text = format_number(value)
    return f"{head}{text}\n"


def whole_end(whole: int) -> str:
    """Return the whole number, which is not negative, and the line's end."""
    if whole >= _SMALL_BELOW:
        return f"{whole}.0\n"
    end = _SMALL_ENDS[whole]
    if not end:
        end = _SMALL_ENDS[whole] = f"{whole}.0\n"
    return end


def header(name: str, type_: str, description: str) -> str:
    """Return the two lines before the samples of a family."""
    return f"# HELP {name} {escape_help(description)}\n# TYPE {name} {KINDS[type_].text_type}\n"
