"""The strict parser of the text formats, small, and written from the specifications alone.

It shares no code with the encoders of the formats, so that it can serve as an independent check. It reads the text
format, with UTF-8 names in quotes as in version 1.0.0, and OpenMetrics 1.0.0.
https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Final, NoReturn

from pytheus.samples import Exemplar
from pytheus.testing.parsed import ParsedFamily, ParsedSample

__all__ = ["OpenMetricsParser", "TextParser"]

_NAME: Final = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL: Final = r"[a-zA-Z_][a-zA-Z0-9_]*"
_QUOTED: Final = r'"(?:[^"\\\n]|\\[\\n"])*"'
_PAIR: Final = rf"({_LABEL}|{_QUOTED})=({_QUOTED})"
# The quoted name of a metric is the first item in the braces.
_ITEM: Final = rf"(?:(?:{_LABEL}|{_QUOTED})={_QUOTED}|{_QUOTED})"
_BRACES: Final = rf"\{{((?:{_ITEM}(?:,{_ITEM})*,?)?)\}}"
_HEADER: Final = re.compile(rf"# (HELP|TYPE|UNIT) ({_NAME}|{_QUOTED})(?: (.*))?", re.ASCII)
_SAMPLE: Final = re.compile(rf"({_NAME})?(?:{_BRACES})? (\S+)(?: ([^ #]\S*))?(?: # (.*))?", re.ASCII)
_EXEMPLAR: Final = re.compile(rf"{_BRACES} (\S+)(?: (\S+))?", re.ASCII)
_ITEMS: Final = re.compile(rf"(?:{_PAIR}|({_QUOTED})),?", re.ASCII)
_NUMBER: Final = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf(?:inity)?|nan", re.I | re.ASCII
)
_MILLISECONDS: Final = re.compile(r"-?[0-9]+", re.ASCII)
_ESCAPES: Final = {"\\\\": "\\", "\\n": "\n", '\\"': '"'}

_TEXT_SUFFIXES: Final[dict[str, tuple[str, ...]]] = {
    "counter": ("",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("", "_sum", "_count"),
    "untyped": ("",),
}
_OPENMETRICS_SUFFIXES: Final[dict[str, tuple[str, ...]]] = {
    "counter": ("_total", "_created"),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount"),
    "summary": ("", "_sum", "_count", "_created"),
    "info": ("_info",),
    "stateset": ("",),
    "unknown": ("",),
}
_WITH_EXEMPLARS: Final = {"counter": "_total", "histogram": "_bucket", "gaugehistogram": "_bucket"}
_EXEMPLAR_CHARACTERS: Final = 128


class TextParser:
    """The rules of the text format, and the state of one parse."""

    headers: tuple[str, ...] = ("HELP", "TYPE")
    suffixes: dict[str, tuple[str, ...]] = _TEXT_SUFFIXES

    def __init__(self) -> None:
        self.families: dict[str, ParsedFamily] = {}
        self.family: ParsedFamily | None = None
        # The headers of the present family.
        self.seen_headers: set[str] = set()
        self.seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
        self.number: int = 0

    def parse(self, text: str) -> dict[str, ParsedFamily]:
        """Return the families in `text`."""
        for line in self.lines(text):
            self.number += 1
            if line.startswith("#"):
                self.header(line)
            else:
                self.sample(line)
        self.end_family()
        return self.families

    def lines(self, text: str) -> list[str]:
        if text and not text.endswith("\n"):
            raise ValueError("an exposition ends with a line feed, but this one does not")
        return text.split("\n")[:-1]

    def refuse(self, message: str) -> NoReturn:
        raise ValueError(f"line {self.number}{message}")

    def comment(self, line: str) -> None:
        """Handle a line that begins with "#" and has no header."""

    def header(self, line: str) -> None:
        match = _HEADER.fullmatch(line)
        if match is None or match[1] not in self.headers:
            self.comment(line)
            return
        kind, rest = match[1], match[3] or ""
        name = _unquoted(match[2])
        family = self.family
        if family is None or family.name != name:
            self.end_family()
            if name in self.families:
                self.refuse(f": a second {kind} of {name!r}, whose samples are not in one place")
            family = self.family = ParsedFamily(name, "", "")
            self.seen_headers = set()
        if kind in self.seen_headers:
            if kind == "TYPE":
                self.refuse(f": a second TYPE of {name!r}, or an unknown type: {line!r}")
            self.refuse(f": a second {kind} of {name!r}")
        if family.samples:
            self.refuse(f": {kind} of {name!r} after its samples")
        self.seen_headers.add(kind)
        if kind == "TYPE":
            if rest not in self.suffixes:
                self.refuse(f": a second TYPE of {name!r}, or an unknown type: {line!r}")
            family.type = rest
            self.families[name] = family
        elif kind == "UNIT":
            family.unit = rest
        else:
            family.description = self.description(rest)

    def description(self, text: str) -> str:
        return re.sub(r"\\[\\n]", lambda escape: _ESCAPES[escape[0]], text)

    def end_family(self) -> None:
        """Check the family that is complete."""

    def sample(self, line: str) -> None:
        match = _SAMPLE.fullmatch(line)
        if match is None:
            self.refuse(f" is not a sample: {line!r}")
        plain, braces, value, timestamp, exemplar = match.groups()
        quoted, labels = self.labels(braces or "", line)
        if (plain is None) == (quoted is None):
            self.refuse(f" is not a sample: {line!r}")
        sample = ParsedSample.of(
            plain or _unquoted(quoted or ""),
            labels,
            self.value(value),
            None if timestamp is None else self.timestamp(timestamp),
            None if exemplar is None else self.exemplar(exemplar, line),
        )
        family = self.family
        suffixes = () if family is None else self.suffixes.get(family.type, ())
        if family is None or sample.name not in [family.name + suffix for suffix in suffixes]:
            self.refuse(f": {sample.name!r} is outside of its family")
        if sample[:2] in self.seen:
            self.refuse(f": the series {sample} occurs twice")
        self.seen.add(sample[:2])
        family.samples.append(sample)
        self.check(family, sample)

    def check(self, family: ParsedFamily, sample: ParsedSample) -> None:
        """Check a sample for itself."""

    def labels(self, braces: str, line: str) -> tuple[str | None, dict[str, str]]:
        """Return the quoted name of the metric, if there is one, and the labels."""
        quoted: str | None = None
        labels: dict[str, str] = {}
        for position, (name, value, metric) in enumerate(_ITEMS.findall(braces)):
            if metric:
                if position:
                    self.refuse(f" is not a sample: {line!r}")
                quoted = metric
                continue
            label = _unquoted(name)
            if label in labels:
                self.refuse(f" has a label twice: {line!r}")
            labels[label] = _unquoted(value)
        return quoted, labels

    def value(self, text: str) -> float:
        if _NUMBER.fullmatch(text) is None:
            self.refuse(f": {text!r} is not a number: could not convert it to a float")
        return float(text)

    def timestamp(self, text: str) -> float:
        if _MILLISECONDS.fullmatch(text) is None:
            self.refuse(f": the timestamp {text!r} is not a whole number of milliseconds")
        return int(text) / 1000

    def exemplar(self, text: str, line: str) -> Exemplar:
        self.refuse(f" is not a sample: {line!r}")


class OpenMetricsParser(TextParser):
    headers: tuple[str, ...] = ("HELP", "TYPE", "UNIT")
    suffixes: dict[str, tuple[str, ...]] = _OPENMETRICS_SUFFIXES

    def lines(self, text: str) -> list[str]:
        lines = text.removesuffix("\n").split("\n")
        if lines[-1] != "# EOF":
            raise ValueError("an exposition in OpenMetrics ends with the line '# EOF', but this one does not")
        return lines[:-1]

    def comment(self, line: str) -> None:
        self.refuse(f" is neither HELP, TYPE nor UNIT: {line!r}")

    def description(self, text: str) -> str:
        return _unescaped(text)

    def timestamp(self, text: str) -> float:
        seconds = self.value(text)
        if not math.isfinite(seconds):
            self.refuse(f": the timestamp {text!r} is not a number of seconds")
        return seconds

    def exemplar(self, text: str, line: str) -> Exemplar:
        match = _EXEMPLAR.fullmatch(text)
        if match is None:
            self.refuse(f" has an exemplar that is not '{{LABELS}} VALUE TIMESTAMP': {line!r}")
        braces, value, timestamp = match.groups()
        quoted, labels = self.labels(braces, line)
        if quoted is not None:
            self.refuse(f" has an exemplar with a name: {line!r}")
        length = sum(len(name) + len(text) for name, text in labels.items())
        if length > _EXEMPLAR_CHARACTERS:
            self.refuse(f" has an exemplar with {length} characters; at most {_EXEMPLAR_CHARACTERS} are allowed")
        return Exemplar(labels, self.value(value), None if timestamp is None else self.timestamp(timestamp))

    def check(self, family: ParsedFamily, sample: ParsedSample) -> None:
        kind, suffix, labels = family.type, sample.name[len(family.name) :], dict(sample.labels)
        if sample.exemplar is not None and suffix != _WITH_EXEMPLARS.get(kind, None):
            self.refuse(f": a {kind} has no exemplar of {sample.name!r}")
        if kind == "stateset" and (family.name not in labels or sample.value not in (0.0, 1.0)):
            self.refuse(f": a state has a label {family.name!r}, and is 0 or 1")
        if kind == "info" and sample.value != 1.0:
            self.refuse(": the value of an info is 1")
        if kind == "counter" and suffix == "_total" and not sample.value >= 0:
            self.refuse(": a counter is a number of at least 0")
        if suffix == "_bucket":
            bound = self.value(labels.get("le", ""))
            if sample.exemplar is not None and not sample.exemplar.value <= bound:
                self.refuse(f": the exemplar's value {sample.exemplar.value} is not in the bucket")

    def end_family(self) -> None:
        family = self.family
        if family is None:
            return
        unit = family.unit
        if unit and (family.type in ("info", "stateset") or not family.name.endswith("_" + unit)):
            self.refuse(f": the name of {family.type} {family.name!r} before it does not end with its unit {unit!r}")
        if family.type in ("histogram", "gaugehistogram"):
            self._check_buckets(family, "_gcount" if family.type == "gaugehistogram" else "_count")

    def _check_buckets(self, family: ParsedFamily, count_suffix: str) -> None:
        subject = f": {family.type} {family.name!r} before it"
        buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        counts: dict[tuple[tuple[str, str], ...], float] = {}
        for sample in family.samples:
            if sample.name == family.name + "_bucket":
                labels = dict(sample.labels)
                bound = float(labels.pop("le"))
                buckets.setdefault(tuple(sorted(labels.items())), []).append((bound, sample.value))
            elif sample.name == family.name + count_suffix:
                counts[sample.labels] = sample.value
        for series, pairs in buckets.items():
            if any(not (low[0] < high[0] and low[1] <= high[1]) for low, high in pairwise(pairs)):
                self.refuse(f"{subject} has buckets {dict(series)} whose bounds or counts do not rise")
            if pairs[-1][0] != math.inf:
                self.refuse(f"{subject} has buckets {dict(series)} without one up to +Inf")
            if series in counts and counts[series] != pairs[-1][1]:
                self.refuse(f"{subject} has buckets {dict(series)} that do not add up to its count")
        for series in counts.keys() - buckets.keys():
            self.refuse(f"{subject} has a count {dict(series)} without buckets")


def _unquoted(text: str) -> str:
    """Return a name or value without its quotes, if it has some."""
    return _unescaped(text[1:-1]) if text.startswith('"') else text


def _unescaped(text: str) -> str:
    return re.sub(r'\\[\\n"]', lambda escape: _ESCAPES[escape[0]], text)
