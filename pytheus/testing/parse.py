"""A parser of the text format, for tests: strict, small, and written from the specification alone.

It shares no code with the renderer of the format, so that it can serve as an independent check.
https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

__all__ = ["ParsedFamily", "ParsedSample", "parse_exposition"]

_NAME: Final = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_PAIR: Final = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"'
_HEADER: Final = re.compile(rf"# (HELP|TYPE) ({_NAME}) (.*)", re.ASCII)
_SAMPLE: Final = re.compile(rf"({_NAME})(?:\{{((?:{_PAIR},?)*)\}})? (\S+)(?: (-?\d+))?", re.ASCII)
_PAIRS: Final = re.compile(_PAIR, re.ASCII)
_ESCAPES: Final = {"\\\\": "\\", "\\n": "\n", '\\"': '"'}
_TYPES: Final = ("counter", "gauge", "histogram", "summary", "untyped")
_SUFFIXES: Final = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


class ParsedSample(NamedTuple):
    """One line: its name, label pairs in the order of their names, and the number."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float

    @classmethod
    def of(cls, name: str, labels: Mapping[str, str], value: float) -> ParsedSample:
        """Return a sample with sorted labels."""
        return cls(name, tuple(sorted(labels.items())), value)

    def __str__(self) -> str:
        labels = ",".join(f"{name}={value!r}" for name, value in self.labels)
        return f"{self.name}{{{labels}}} {self.value:g}" if labels else f"{self.name} {self.value:g}"


@dataclass(eq=False, repr=False, slots=True)
class ParsedFamily:
    """A family: its name as exposed, type, help text, and samples in the order of their lines."""

    name: str
    type: str
    description: str
    samples: list[ParsedSample] = field(default_factory=list, init=False)

    def __repr__(self) -> str:
        return f"ParsedFamily({self.name!r}, {self.type!r}, {len(self.samples)} samples)"


def parse_exposition(text: str | bytes) -> dict[str, ParsedFamily]:
    """Return the families of an exposition in the text format 0.0.4, by name, in order; bytes are UTF-8.

        >>> families = parse_exposition('# TYPE hits_total counter\\nhits_total{path="/"} 3.0\\n')
        >>> print(families["hits_total"].samples[0])
        hits_total{path='/'} 3

    Raises `ValueError` with the line number for text that the format does not allow, and for errors of a registry: a
    family or a series that occurs twice, and a sample outside of its family.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if text and not text.endswith("\n"):
        raise ValueError("an exposition ends with a line feed, but this one does not")
    families: dict[str, ParsedFamily] = {}
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    helps: dict[str, str] = {}
    family: ParsedFamily | None = None
    for number, line in enumerate(text.split("\n")[:-1], 1):
        header = _HEADER.fullmatch(line)
        if header is not None:
            kind, name, rest = header.groups()
            if kind == "HELP":
                if name in helps:
                    raise ValueError(f"line {number}: a second HELP of {name!r}")
                helps[name] = _unescaped(rest)
                continue
            if name in families or rest not in _TYPES:
                raise ValueError(f"line {number}: a second TYPE of {name!r}, or an unknown type: {line!r}")
            family = families[name] = ParsedFamily(name, rest, helps.get(name, ""))
        elif not line.startswith("#"):
            sample = _sample(line, number)
            if family is None or sample.name not in [
                family.name + suffix for suffix in _SUFFIXES.get(family.type, ("",))
            ]:
                raise ValueError(f"line {number}: {sample.name!r} is outside of its family")
            if sample[:2] in seen:
                raise ValueError(f"line {number}: the series {sample} occurs twice")
            seen.add(sample[:2])
            family.samples.append(sample)
    return families


def _sample(line: str, number: int) -> ParsedSample:
    match = _SAMPLE.fullmatch(line)
    if match is None:
        raise ValueError(f"line {number} is not a sample: {line!r}")
    pairs = [(name, _unescaped(value)) for name, value in _PAIRS.findall(match[2] or "")]
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError(f"line {number} has a label twice: {line!r}")
    return ParsedSample.of(match[1], dict(pairs), float(match[5]))


def _unescaped(text: str) -> str:
    return re.sub(r'\\[\\n"]', lambda escape: _ESCAPES[escape[0]], text)
