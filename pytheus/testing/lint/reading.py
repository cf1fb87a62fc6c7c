"""The reader of an exposition that reports every fault with its line, and goes on with the next line.

Rules:

- Faults are those that Prometheus or a parser of the format refuses. A line with one is left out.
- All else is read as Prometheus reads it (`pytheus.testing.parse_leniently`).
- A line of OpenMetrics has no white space of its own choice (`pytheus.testing.lint.openmetrics_lines`).
- A number that 64 bits cannot hold is a fault, because Prometheus refuses it and does not take it as infinite.
"""

from __future__ import annotations

import math
import re
from typing import Final

from pytheus.samples import Exemplar
from pytheus.testing.lint.family import LintFamily, lint_family
from pytheus.testing.lint.faults import Faults
from pytheus.testing.lint.finding import Finding, shown_text
from pytheus.testing.lint.openmetrics_lines import wrong_form
from pytheus.testing.parse_leniently import LenientParser
from pytheus.testing.parsed import ParsedFamily

__all__ = ["read_exposition"]

_HEADER: Final = re.compile(r'[ \t]*#[ \t]+(HELP|TYPE|UNIT)(?:[ \t]+("(?:[^"\\]|\\.)*"|\S+))?(?:[ \t]+(.*))?')
_LEGACY_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_WRONG_ESCAPE: Final = re.compile(r'(?:[^\\]|^)(?:\\\\)*\\[^\\n"]')
_WRONG_ESCAPE_IN_HELP: Final = re.compile(r"(?:[^\\]|^)(?:\\\\)*\\(?:[^\\n]|$)")
_TEXT_TYPES: Final = ("counter", "gauge", "histogram", "summary", "untyped")
_OPENMETRICS_TYPES: Final = (
    *("counter", "gauge", "histogram", "summary", "unknown"),
    *("gaugehistogram", "info", "stateset"),
)
_MILLISECONDS: Final = re.compile(r"([+-]?)0*([0-9]+)", re.ASCII)
# Milliseconds are a signed number of 64 bits.
_MILLISECONDS_BELOW: Final = 2**63
_WITH_EXEMPLARS: Final = ("_total", "_bucket")
_TRAILING: Final = re.compile(r"[ \t]$", re.MULTILINE)
_PROTOBUF: Final = "application/vnd.google.protobuf"
_OPENMETRICS: Final = "application/openmetrics-text"


def read_exposition(body: bytes, content_type: str, faults: Faults) -> list[LintFamily]:
    """Return the families of an exposition in their order, and add its faults to `faults`.

    Raises `ValueError` for a `content_type` that is not an exposition's, and for damaged protobuf.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == _PROTOBUF:
        return _read_protobuf(body, faults)
    if media_type not in ("text/plain", "", _OPENMETRICS):
        raise ValueError(f"a lint reads text/plain, {_OPENMETRICS} and {_PROTOBUF} but got {content_type!r:.200}")
    return _Reader(media_type == _OPENMETRICS, faults).read(body)


def _read_protobuf(body: bytes, faults: Faults) -> list[LintFamily]:
    from pytheus.testing.parse_protobuf import protobuf_families

    families: dict[str, ParsedFamily] = {}
    for family in protobuf_families(body, strict=False):
        known = families.setdefault(family.name, family)
        if known is not family:
            message = "it occurs twice, each time with its TYPE"
            remedy = "expose the metric once, by one collector"
            faults.add(Finding("duplicate-metadata", family.name, message, remedy))
            known.samples += family.samples
        for sample in family.samples:
            faults.check_sample(sample, family.name)
    return [lint_family(family) for family in families.values()]


class _Reader(LenientParser):
    def __init__(self, is_openmetrics: bool, faults: Faults) -> None:
        super().__init__(is_openmetrics)
        self._faults: Final = faults
        self._types: Final = _OPENMETRICS_TYPES if is_openmetrics else _TEXT_TYPES
        # The line of each header, by kind and name.
        self._headers: Final[dict[tuple[str, str], int]] = {}
        self._first_lines: Final[dict[str, int]] = {}
        self._padded: Final[set[int]] = set()
        # By line: the fault of its form, and the remedy.
        self._wrong_forms: Final[dict[int, tuple[str, str]]] = {}
        # The line of the last fault of the syntax.
        self._wrong = 0
        self._last = ""
        self._left: Final[set[str]] = set()
        self._split: Final[set[str]] = set()

    def read(self, body: bytes) -> list[LintFamily]:
        """Return the families in `body`."""
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            text = body.decode("utf-8", "replace")
            for number, line in enumerate(body.split(b"\n"), 1):
                if line.decode("utf-8", "ignore").encode() != line:
                    self._fault("syntax-error", "the line is not UTF-8", "encode it as UTF-8", line=number)
        if "\r" in text:
            number = text[: text.index("\r")].count("\n") + 1
            remedy = "end lines with a line feed alone"
            self._fault("syntax-error", "the line has a carriage return", remedy, line=number)
        if self.is_openmetrics:
            self._check_forms(text)
        elif _TRAILING.search(text):
            # Parsers allow white space there, but after a timestamp not all do.
            lines = text.split("\n")
            self._padded.update(number for number, line in enumerate(lines, 1) if line.endswith((" ", "\t")))
        self.parse(text)
        # A family whose only line has a fault is not known, nor one that has a help text alone.
        families = [
            self._made(family)
            for name, family in self.families.items()
            if family.samples or ("TYPE", name) in self._headers or family.unit
        ]
        if not self.is_openmetrics and text and not text.endswith("\n"):
            last = text.count("\n") + 1
            self._fault("truncated-exposition", "the last line has no line feed", "end it with one", line=last)
        return families

    def _check_forms(self, text: str) -> None:
        """Check the white space of OpenMetrics, and its end."""
        lines = text.removesuffix("\n").split("\n")
        for number, line in enumerate(lines, 1):
            stripped = line.strip(" \t\r")
            if stripped == "# EOF":
                break
            if stripped:
                wrong = wrong_form(line.removesuffix("\r"))  # which is a fault of its own
                if wrong is not None:
                    self._wrong_forms[number] = wrong
            elif text:
                self._fault("syntax-error", "the line is empty", "leave it out", line=number)
        else:
            remedy = "send the whole response, whose last line is '# EOF'"
            last = text.count("\n") + 1
            self._fault("truncated-exposition", "the line '# EOF' is missing", remedy, line=last)
            return
        if line.removesuffix("\r") != stripped:
            self._fault("syntax-error", "white space is around '# EOF'", "leave it out", line=number)
        if number < len(lines):
            self._fault("syntax-error", "a line follows '# EOF'", "put '# EOF' last", line=number + 1)

    def _made(self, family: ParsedFamily) -> LintFamily:
        made = lint_family(family, is_openmetrics=self.is_openmetrics)
        if ("TYPE", family.name) not in self._headers:
            made.type = ""
        elif family.type == "unknown":
            made.type = "untyped"
        if ("HELP", family.name) not in self._headers:
            made.help = None
        lines = [self._headers.get((kind, family.name)) for kind in ("TYPE", "HELP")]
        made.line = next((line for line in lines if line), self._first_lines.get(family.name, 0))
        return made

    def _fault(self, rule: str, message: str, remedy: str, metric: str = "", line: int = 0) -> None:
        line = line or self.number
        if rule == "syntax-error":
            self._wrong = line
        self._faults.add(Finding(rule, metric, message, remedy, "", line))

    # Lines ------------------------------------------------------------------------------------------------------------

    def read_header(self, line: str) -> None:
        match = _HEADER.fullmatch(line)
        if match is None or (match[1] == "UNIT" and not self.is_openmetrics):
            if match is None and self.is_openmetrics:
                self._fault("syntax-error", f"{shown_text(line)} is neither HELP, TYPE nor UNIT", "leave it out")
            return
        kind, name, rest = match[1], match[2] or "", match[3] or ""
        is_quoted = len(name) > 2 and name[0] == name[-1] == '"'
        plain = name[1:-1] if is_quoted else name
        if not is_quoted and not _LEGACY_NAME.fullmatch(name):
            self._fault("syntax-error", f"{kind} has no valid name: {shown_text(line)}", "write the metric's name")
            return
        first = self._headers.get((kind, plain))
        if first is not None:
            self._fault(
                "duplicate-metadata",
                f"it has a second {kind}; the first is on line {first}",
                "expose the metric once, by one collector",
                plain,
            )
            return
        if kind == "TYPE":
            # White space before or after the type is a fault of the form there.
            if (rest.strip(" \t") if self.is_openmetrics else rest) not in self._types:
                types = ", ".join(self._types)
                self._fault("unknown-type", f"{shown_text(rest)} is not a type", f"write one of {types}", plain)
            elif plain in self._first_lines:
                message = f"its TYPE comes after samples, which begin on line {self._first_lines[plain]}"
                self._fault("metadata-after-samples", message, "write TYPE before the samples", plain)
        elif kind == "HELP" and not self.is_openmetrics and _WRONG_ESCAPE_IN_HELP.search(rest):
            self._fault("syntax-error", f"HELP has a wrong escape: {shown_text(rest)}", r"write \\ or \n", plain)
        self._headers[kind, plain] = self.number
        self._enter(plain)
        super().read_header(line)

    def read_line(self, line: str) -> None:
        try:
            super().read_line(line)
        except ValueError as error:
            reason = str(error).partition(" ")[2].partition(" ")[2]
            self._fault("syntax-error", f"the line {reason}", 'write NAME{LABEL="VALUE"} NUMBER')
        wrong = self._wrong_forms.get(self.number)
        if wrong is not None and self._wrong != self.number:
            self._fault("syntax-error", *wrong)

    def read_sample(self, line: str) -> ParsedFamily:
        if not self.is_openmetrics and "\\" in line and _WRONG_ESCAPE.search(line.partition("{")[2]):
            self.refuse("has a backslash before another character than a backslash, a quote or an n")
        family = super().read_sample(line)
        name = family.name
        sample = family.samples[-1]
        self._first_lines.setdefault(name, self.number)
        self._enter(name)
        if any(label == "__name__" for label, _ in sample.labels):
            family.samples.pop()
            self.refuse("has the label '__name__', which is the metric's own name")
        if sample.exemplar is not None and not sample.name.endswith(_WITH_EXEMPLARS):
            family.samples.pop()
            self.refuse("has an exemplar, but its name ends with neither _total nor _bucket")
        self._faults.check_sample(sample, name, self.number)
        return family

    def _enter(self, name: str) -> None:
        """Note that the present line belongs to the family `name`."""
        if name == self._last:
            return
        self._left.add(self._last)
        self._last = name
        if name in self._left and name not in self._split:
            self._split.add(name)
            message = "its lines are in several places of the exposition"
            self._fault("split-family", message, "expose all lines of a metric as one group", name)

    def read_timestamp(self, text: str) -> float:
        if self.is_openmetrics:
            return self._seconds(super().read_timestamp(text))
        match = _MILLISECONDS.fullmatch(text)
        if match is None:
            self.refuse(f"has the timestamp {shown_text(text)}, which is not a whole number of milliseconds")
        # Python refuses to read some thousands of digits.
        if len(match[2]) > 19 or not -_MILLISECONDS_BELOW <= int(match[1] + match[2]) < _MILLISECONDS_BELOW:
            self.refuse(f"has the timestamp {shown_text(text)}, which is not a number of 64 bits")
        if self.number in self._padded:
            self._fault("syntax-error", "white space follows the timestamp", "leave it out")
        return super().read_timestamp(text)

    def _seconds(self, seconds: float) -> float:
        if not math.isfinite(seconds):
            self.refuse(f"has the timestamp {seconds}, which is not a number of seconds")
        if abs(seconds) * 1000 >= _MILLISECONDS_BELOW:
            self.refuse(f"has the timestamp {seconds}, whose milliseconds are not a number of 64 bits")
        return seconds

    def read_number(self, text: str) -> float:
        number = super().read_number(text)
        if math.isinf(number) and "n" not in text.lower():
            self.refuse(f"has {shown_text(text)}, which a number of 64 bits cannot be")
        return number

    def read_exemplar(self, text: str) -> Exemplar:
        if not self.is_openmetrics:
            self.refuse("has an exemplar, which the text format does not have")
        exemplar = super().read_exemplar(text)
        if exemplar.timestamp is not None:
            self._seconds(exemplar.timestamp)
        return exemplar
