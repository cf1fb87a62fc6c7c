"""The form of a line of OpenMetrics, as strict as the parsers of Prometheus are.

The lexer of Prometheus allows single spaces, each in its place, and no other white space:
https://github.com/prometheus/prometheus/blob/main/model/textparse/openmetricslex.l
Deviations from the specification, which are those of Prometheus 3:

- Names and label names may be in quotes.
- A backslash may be before any character, which the specification's `escaped-char` allows as well.

A comma after the last label is refused, because the specification and Prometheus until 2.x refuse it.
https://prometheus.io/docs/specs/om/open_metrics_spec/#abnf
"""

from __future__ import annotations

import re
from typing import Final

from pytheus.testing.lint.finding import shown_text

__all__ = ["wrong_form"]

_NAME: Final = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL: Final = r"[a-zA-Z_][a-zA-Z0-9_]*"
_QUOTED: Final = r'"(?:[^"\\\n]|\\.)*"'
_PAIR: Final = rf"(?:{_LABEL}|{_QUOTED})={_QUOTED}"
_ITEM: Final = rf"(?:{_PAIR}|{_QUOTED})"
_LABELS: Final = rf"\{{(?:{_ITEM}(?:,{_ITEM})*)?\}}"
_NUMBERS: Final = r" [^ \t{][^ \t]*(?: [^ \t#][^ \t]*)?"
_EXEMPLAR: Final = rf" # \{{(?:{_PAIR}(?:,{_PAIR})*)?\}}{_NUMBERS}"
_SAMPLE: Final = re.compile(rf"(?:{_NAME}(?:{_LABELS})?|{_LABELS}){_NUMBERS}(?:{_EXEMPLAR})?", re.ASCII)
_NAMED: Final = rf"(?:{_NAME}|{_QUOTED})"
_HEADER: Final = re.compile(rf"# (?:HELP {_NAMED} .*|(?:TYPE|UNIT) {_NAMED} [^ \t]*)", re.ASCII | re.DOTALL)


def wrong_form(line: str) -> tuple[str, str] | None:
    """Return the fault of the form of `line` and its remedy, or None; numbers and types may still be wrong.

    >>> wrong_form("wait_seconds 3")
    >>> wrong_form("wait_seconds  3")[0]
    "white space or a comma is where OpenMetrics has none, or is missing: 'wait_seconds  3'"
    """
    if line.lstrip(" \t").startswith("#"):
        if _HEADER.fullmatch(line):
            return None
        return f"the header has another form: {shown_text(line)}", "write # TYPE NAME TEXT, with single spaces"
    if _SAMPLE.fullmatch(line):
        return None
    message = f"white space or a comma is where OpenMetrics has none, or is missing: {shown_text(line)}"
    return message, 'write NAME{LABEL="VALUE",LABEL="VALUE"} NUMBER, with single spaces and no others'
