"""The grammar of Prometheus's text format: escapes, numbers and label pairs.

Version 0.0.4, https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format. Lines end with ``\\n`` on
every system. A line is ``name{label="value",...} number``; in label values a backslash, a double quote and a line feed
are escaped, in help texts a backslash and a line feed, so that neither can forge a line. A name that is not a legacy
name is in double quotes, that of a metric within the braces: ``{"http.requests","host.name"="a"} number``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pytheus.escaping import is_legacy_label, is_legacy_name
from pytheus.kinds import KINDS
from pytheus.version import COMPILED

__all__ = [
    "PART_SIZE",
    "escape_help",
    "escape_label_value",
    "format_bound",
    "format_labels",
    "format_number",
    "header",
    "line_head",
    "number_end",
    "open_metrics_header",
    "quoted_label",
    "quoted_name",
    "whole_end",
]

PART_SIZE: Final = 1024
"""The number of series in one piece of the text. Between pieces, other threads may run."""

# The repr of a float has an exponent from 1e16 on.
_WHOLE_BELOW: Final = 1e16

# The names of labels that were looked at first, because those of all samples of a custom collector are.
_LABELS_AT_MOST: Final = 256
_QUOTED_LABELS: Final[dict[str, str]] = {}

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

    Names must be as `quoted_label` returns them, and values valid.
    """
    return ",".join([name + '="' + escape_label_value(value) + '"' for name, value in pairs])


def quoted_label(name: str) -> str:
    """Return the name of a label for `format_labels`, in quotes unless it is a legacy name."""
    shown = _QUOTED_LABELS.get(name)
    if shown is None:
        shown = name if is_legacy_label(name) else f'"{escape_label_value(name)}"'
        if len(_QUOTED_LABELS) < _LABELS_AT_MOST:
            _QUOTED_LABELS[name] = shown
    return shown


def quoted_name(name: str) -> str:
    """Return the name of a family for `header`, in quotes unless it is a legacy name."""
    return name if is_legacy_name(name) else f'"{escape_label_value(name)}"'


def line_head(name: str, labels: Mapping[str, str]) -> str:
    """Return the line of a sample up to its number, with every name quoted that is not a legacy name."""
    pairs = format_labels([(quoted_label(label), value) for label, value in labels.items()])
    if is_legacy_name(name):
        return f"{name}{{{pairs}}} " if pairs else f"{name} "
    return f'{{"{escape_label_value(name)}"{"," if pairs else ""}{pairs}}} '


# Where Go's shortest form of a number begins to have an exponent; Python's does from 1e16 on.
_EXPONENT_FROM: Final = 1e6


def format_bound(bound: float) -> str:
    """Return the upper bound of a bucket, or a quantile, as the value of its label: the same text in every format.

    It is the shortest form of Prometheus's own libraries, ``1.0``, ``0.005``, ``1e+06``, and parses to the same double.
    https://prometheus.io/docs/specs/om/open_metrics_spec/#considerations-canonical-numbers
    """
    if bound - bound != 0.0 or abs(bound) < _EXPONENT_FROM:  # not a number, infinite or small
        return format_number(bound)
    text = repr(bound)
    if "e" in text:
        return text
    sign = "-" if text[0] == "-" else ""
    whole, _, fraction = text[len(sign) :].partition(".")
    digits = (whole + fraction).rstrip("0")
    mantissa = f"{digits[0]}.{digits[1:]}" if len(digits) > 1 else digits
    return f"{sign}{mantissa}e+{len(whole) - 1:02d}"


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


def number_end(value: float) -> str:
    """Return the number and the line's end.

    A scrape calls this for every changed number.
    """
    if COMPILED and -_WHOLE_BELOW < value < _WHOLE_BELOW:
        whole = int(value)
        if whole == value and whole != 0:
            return whole_end(whole) if whole > 0 else f"{whole}.0\n"
    text = repr(value)
    if text[-1] in "fn":
        text = format_number(value)
    return text + "\n"


def open_metrics_header(base: str, type_: str, description: str, unit: str) -> str:
    """Return the lines before the samples of a family in OpenMetrics; `base` is as from `quoted_name`.

    A `unit` that is not the end of the name is left out, because Prometheus rejects the whole scrape otherwise. Escapes
    may make one so.
    """
    if "\\" in description or "\n" in description or '"' in description:
        description = escape_label_value(description)
    end = "_" + unit
    unit_line = f"# UNIT {base} {unit}\n" if unit and base.endswith((end, end + '"')) else ""
    return f"# TYPE {base} {type_}\n{unit_line}# HELP {base} {description}\n"


def whole_end(whole: int) -> str:
    """Return the whole number, which is not negative, and the line's end."""
    if whole >= _SMALL_BELOW:
        return f"{whole}.0\n"
    end = _SMALL_ENDS[whole]
    if not end:
        end = _SMALL_ENDS[whole] = f"{whole}.0\n"
    return end


def header(name: str, type_: str, description: str) -> str:
    """Return the two lines before the samples of a family; `name` is as from `quoted_name`."""
    return f"# HELP {name} {escape_help(description)}\n# TYPE {name} {KINDS[type_].text_type}\n"
