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

__all__ = ["PART_SIZE", "escape_help", "escape_label_value", "format_labels", "format_number", "header", "number_line"]

PART_SIZE: Final = 1024
"""How many series make a piece of the text; between pieces other threads get their turn."""

# From 1e16 on a repr has an exponent.
_WHOLE_BELOW: Final = 1e16


def escape_help(text: str) -> str:
    """`text` as it stands after ``# HELP name``."""
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def escape_label_value(value: str) -> str:
    """`value` as it stands between the quotes of a label."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value


def format_labels(pairs: Iterable[tuple[str, str]]) -> str:
    """``a="x",b="y"``, without braces; empty for no labels. Takes names and values that were checked."""
    return ",".join([name + '="' + escape_label_value(value) + '"' for name, value in pairs])


def format_number(value: float) -> str:
    """The shortest text that reads back as the same double; ``+Inf``, ``-Inf`` and ``NaN`` for what has no digits."""
    if COMPILED and -_WHOLE_BELOW < value < _WHOLE_BELOW:
        # A whole number by its integer's digits: the same text as its repr, but for -0.0, and quicker in native code.
        whole = int(value)
        if whole == value and whole != 0:
            return f"{whole}.0"
    text = repr(value)
    if text[-1] in "fn":
        return "NaN" if text == "nan" else "-Inf" if text == "-inf" else "+Inf"
    return text


def number_line(head: str, value: float) -> str:
    """`head`, the number, and the line's end; the busiest part of a scrape."""
    if COMPILED and -_WHOLE_BELOW < value < _WHOLE_BELOW:
        whole = int(value)
        if whole == value and whole != 0:
            return f"{head}{whole}.0\n"
    text = repr(value)
    if text[-1] in "fn":
        text = format_number(value)
    return f"{head}{text}\n"


def header(name: str, type_: str, description: str) -> str:
    """The two lines before a family's samples."""
    return f"# HELP {name} {escape_help(description)}\n# TYPE {name} {KINDS[type_].text_type}\n"
