"""Rules of Prometheus, and the YAML of a file of them.

Every text is a quoted scalar: in single quotes if it is printable ASCII, otherwise in double quotes with escapes for
all characters that a reader of YAML refuses or changes, such as line ends.
https://yaml.org/spec/1.2.2/#73-flow-scalar-styles
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

__all__ = ["Rule", "rule_file", "scalar", "template_text"]

_PLAIN: Final = re.compile(r"[ -~]*")
# Beside the controls: line ends, the byte order mark, surrogates and the two noncharacters.
_ESCAPED: Final = re.compile('[\\\\"\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]')
_TEMPLATE: Final = re.compile(r"\{\{|\}\}")


class Rule(NamedTuple):
    """One rule: `name` is that of the recorded series, or of the alert if there is a `duration`, its ``for``.

    The texts of `labels` and `annotations` are templates.
    """

    name: str
    expression: str
    labels: Mapping[str, str]
    duration: str = ""
    annotations: Mapping[str, str] = {}


def rule_file(groups: Mapping[str, Sequence[Rule]]) -> str:
    """Return the file with `groups` of rules by their names; a group without rules is left out.

    >>> print(rule_file({"shop": [Rule("job:up:sum", "sum by (job) (up)", {})]}), end="")
    groups:
    - name: 'shop'
      rules:
      - record: 'job:up:sum'
        expr: 'sum by (job) (up)'
    """
    lines = ["groups:"]
    for name, rules in groups.items():
        if rules:
            lines += [f"- name: {scalar(name)}", "  rules:"]
            for rule in rules:
                lines += _lines(rule)
    return "\n".join([*lines, ""])


def _lines(rule: Rule) -> Iterator[str]:
    yield f"  - {'alert' if rule.duration else 'record'}: {scalar(rule.name)}"
    yield f"    expr: {scalar(rule.expression)}"
    if rule.duration:
        yield f"    for: {rule.duration}"
    for key, texts in (("labels", rule.labels), ("annotations", rule.annotations)):
        if texts:
            yield f"    {key}:"
            for name, text in texts.items():
                yield f"      {name}: {scalar(text)}"


def scalar(text: str) -> str:
    """Return `text` as a scalar of YAML.

    >>> print(scalar('up{job="shop"}'), scalar("two\\nlines"))
    'up{job="shop"}' "two\\nlines"

    A lone surrogate, which is not a character, becomes U+FFFD.
    """
    if _PLAIN.fullmatch(text):
        return "'" + text.replace("'", "''") + "'"
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character in '\\"':
        return "\\" + character
    if character == "\n":
        return "\\n"
    code = ord(character)
    return "\\ufffd" if 0xD800 <= code < 0xE000 else f"\\u{code:04x}"


def template_text(text: str) -> str:
    """Return `text` so that a template of Prometheus shows it as it is.

    >>> print(template_text("in {{braces"))
    in {{ "{{" }}braces

    https://prometheus.io/docs/prometheus/latest/configuration/template_reference/
    """
    return _TEMPLATE.sub(lambda braces: f'{{{{ "{braces[0]}" }}}}', text)
