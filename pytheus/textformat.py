"""The grammar of Prometheus's text format: escapes, numbers and label pairs.

Version 0.0.4, https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format. Lines end with ``\\n`` on
every system. A line is ``name{label="value",...} number``; in label values a backslash, a double quote and a line feed
are escaped, in help texts a backslash and a line feed, so that neither can forge a line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["PART_SIZE", "WHOLE_BELOW", "escape_help", "escape_label_value", "format_labels", "format_number", "header"]

PART_SIZE: Final = 1024
"""How many series are rendered at a stretch; between stretches other threads get their turn."""

WHOLE_BELOW: Final = 1e15
"""Up to here a whole number is written by its integer's digits, which is quicker and the same text as its repr."""

# In this format an info is a gauge that is always 1, a stateset a gauge of 0 and 1, and what is unknown is "untyped".
_WRITTEN_TYPES: dict[str, str] = {"info": "gauge", "stateset": "gauge", "unknown": "untyped"}


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
    if -WHOLE_BELOW < value < WHOLE_BELOW:
        whole = int(value)
        if whole == value:
            return f"{whole}.0"
        return repr(value)
    text = repr(value)
    if text[-1] in "fn":
        return "NaN" if text == "nan" else "-Inf" if text == "-inf" else "+Inf"
    return text


def header(name: str, type_: str, description: str) -> str:
    """The two lines before a family's samples."""
    return f"# HELP {name} {escape_help(description)}\n# TYPE {name} {_WRITTEN_TYPES.get(type_, type_)}\n"
