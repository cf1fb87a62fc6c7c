"""The lenient parser of the text formats, which reads all that Prometheus reads.

Rules:

- A sample belongs to the family of its name, wherever that was announced: a type of its own decides, then the suffixes
  of a histogram and others, such as ``_bucket``. Without any, its family has the type "untyped".
- White space may be wherever Prometheus allows it, lines may be empty, and the last one needs no line feed.
- Of a second type, help text or unit, the last one counts. A series that occurs twice is kept twice.
- A backslash is itself before another character than a backslash, a quote and an n:
  https://github.com/prometheus/prometheus/blob/main/model/textparse/promparse.go
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

from pytheus.samples import Exemplar
from pytheus.testing.parsed import ParsedFamily, ParsedSample

__all__ = ["LenientParser", "parse_leniently"]

_SPACE: Final = r"[ \t]*"
_NAME: Final = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL: Final = r"[a-zA-Z_][a-zA-Z0-9_]*"
_QUOTED: Final = r'"(?:[^"\\\n]|\\.)*"'
# Anything in braces, in which a quoted text may have braces, too.
_BRACES: Final = rf'\{{((?:[^"{{}}\n]|{_QUOTED})*)\}}'
_SAMPLE: Final = re.compile(
    rf'({_NAME})?(?:{_SPACE}{_BRACES}{_SPACE}|[ \t]+)([^\s#{{}}"]+)(?:[ \t]+([^\s#]+))?(?:[ \t]+#{_SPACE}(.*))?',
    re.ASCII,
)
_EXEMPLAR: Final = re.compile(rf"{_BRACES}{_SPACE}(\S+)(?:[ \t]+(\S+))?", re.ASCII)
_ITEM: Final = re.compile(
    rf"{_SPACE}(?:(?:({_LABEL}|{_QUOTED}){_SPACE}={_SPACE}({_QUOTED}))|({_QUOTED})){_SPACE}(?:,|$)", re.ASCII
)
_HEADER: Final = re.compile(rf"[ \t]*#[ \t]+(HELP|TYPE|UNIT)[ \t]+({_NAME}|{_QUOTED})(?:[ \t](.*))?", re.ASCII)
_ESCAPE: Final = re.compile(r'\\[\\n"]')
_ESCAPES: Final = {"\\\\": "\\", "\\n": "\n", '\\"': '"'}
_NUMBER: Final = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf(?:inity)?|nan", re.I | re.ASCII
)
_SHOWN_CHARACTERS: Final = 120

_SUFFIXES: Final[dict[str, tuple[str, ...]]] = {
    "counter": ("_total", "_created"),
    "gauge": (),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount"),
    "summary": ("_sum", "_count", "_created"),
    "info": ("_info",),
    "stateset": (),
    "unknown": (),
    "untyped": (),
}


def parse_leniently(text: str, *, is_openmetrics: bool = False) -> dict[str, ParsedFamily]:
    """Return the families of `text` by name; raises `ValueError` with the number of a line that is neither.

    >>> parse_leniently("hits 3").popitem()
    ('hits', ParsedFamily('hits', 'untyped', 1 samples))
    """
    return LenientParser(is_openmetrics).parse(text)


class LenientParser:
    """The state of one parse. A subclass that overrides `read_line`, or a part of it, sees each line."""

    def __init__(self, is_openmetrics: bool) -> None:
        self.is_openmetrics: Final = is_openmetrics
        self.families: Final[dict[str, ParsedFamily]] = {}
        # By the name of a sample.
        self._owners: Final[dict[str, ParsedFamily]] = {}
        self._line = ""
        self.number: int = 0

    def parse(self, text: str) -> dict[str, ParsedFamily]:
        """Return the families in `text`."""
        if "\r" in text and text.count("\r\n") == text.count("\n"):  # not in a help text, but from another system
            text = text.replace("\r\n", "\n")
        for number, line in enumerate(text.split("\n"), 1):
            stripped = line.strip(" \t\r")
            if not stripped:
                continue
            self._line = stripped
            self.number = number
            if self.is_openmetrics and stripped == "# EOF":
                break
            # A help text may end with blanks.
            self.read_line(line if stripped[0] == "#" else stripped)
        # A help text alone is not a family.
        return {name: family for name, family in self.families.items() if family.type or family.samples}

    def read_line(self, line: str) -> None:
        """Read a line that is not empty."""
        if line.lstrip(" \t")[0] == "#":
            self.read_header(line)
        else:
            self.read_sample(line)

    def refuse(self, reason: str) -> NoReturn:
        """Raise `ValueError` about the present line."""
        line = self._line
        shown = repr(line if len(line) <= _SHOWN_CHARACTERS else line[:_SHOWN_CHARACTERS] + "...")
        raise ValueError(f"line {self.number} {reason}: {shown}")

    def read_header(self, line: str) -> None:
        """Read a line that begins with "#"."""
        match = _HEADER.fullmatch(line)
        if match is None:
            return  # a comment
        kind, name, rest = match[1], _unquoted(match[2]), match[3] or ""
        family = self.families.get(name)
        if family is None:
            family = self.families[name] = ParsedFamily(name, "", "")
        if kind == "HELP":
            family.description = _unescaped(rest)
        elif kind == "UNIT":
            family.unit = rest.strip()
        else:
            rest = rest.strip()
            family.type = rest if rest in _SUFFIXES else "untyped"
            self._owners[name] = family
            for suffix in _SUFFIXES[family.type]:
                self._owners.setdefault(name + suffix, family)

    def read_sample(self, line: str) -> ParsedFamily:
        """Read a sample; returns its family, whose last sample it is."""
        match = _SAMPLE.fullmatch(line)
        if match is None:
            self.refuse("is not a sample")
        name, braces, value, timestamp, exemplar = match.groups()
        labels: tuple[tuple[str, str], ...] = ()
        if braces:
            quoted, labels = self._read_labels(braces)
            if name and quoted:
                self.refuse("has two names")
            name = name or quoted
        if not name:
            self.refuse("is not a sample" if braces is None else "has no name")
        family = self._owners.get(name)
        if family is None:
            family = self.families.get(name)
            if family is None:
                family = self.families[name] = ParsedFamily(name, "", "")
            family.type = family.type or "untyped"
            self._owners[name] = family
        moment = None
        if timestamp is not None:
            moment = self.read_timestamp(timestamp)
        found = None if exemplar is None else self.read_exemplar(exemplar)
        family.samples.append(ParsedSample(name, tuple(sorted(labels)), self.read_number(value), moment, found))
        return family

    def read_timestamp(self, text: str) -> float:
        """Return the seconds that `text` means."""
        return self.read_number(text) / (1 if self.is_openmetrics else 1000)

    def _read_labels(self, braces: str) -> tuple[str | None, tuple[tuple[str, str], ...]]:
        quoted: str | None = None
        labels: dict[str, str] = {}
        place = 0
        while place < len(braces):
            match = _ITEM.match(braces, place)
            if match is None:
                if not braces[place:].strip(" \t"):
                    break
                self.refuse('has other labels than NAME="TEXT", separated by commas')
            label, value, metric = match.groups()
            if metric is not None:
                quoted = _unquoted(metric)
            else:
                label = _unquoted(label)
                if label in labels:
                    self.refuse(f"has the label {label!r} twice")
                labels[label] = _unescaped(value[1:-1])
            place = match.end()
        return quoted, tuple(labels.items())

    def read_exemplar(self, text: str) -> Exemplar:
        """Return the exemplar of a sample."""
        match = _EXEMPLAR.fullmatch(text)
        if match is None:
            self.refuse("has an exemplar that is not '{LABELS} VALUE TIMESTAMP'")
        braces, value, timestamp = match.groups()
        _, labels = self._read_labels(braces)
        moment = None if timestamp is None else self.read_number(timestamp)
        return Exemplar(dict(labels), self.read_number(value), moment)

    def read_number(self, text: str) -> float:
        """Return the number that `text` is."""
        if _NUMBER.fullmatch(text) is None:
            self.refuse(f"has {text[:_SHOWN_CHARACTERS]!r}, which is not a number")
        return float(text)


def _unquoted(text: str) -> str:
    return _unescaped(text[1:-1]) if text.startswith('"') else text


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda escape: _ESCAPES[escape[0]], text) if "\\" in text else text
