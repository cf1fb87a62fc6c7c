"""Families and samples as a parser of an exposition returns them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pytheus.native_buckets import NativeHistogram
from pytheus.samples import Exemplar

__all__ = ["ParsedFamily", "ParsedSample"]


class ParsedSample(NamedTuple):
    """One line: its name, label pairs in the order of their names, and the number.

    `timestamp` is in seconds since the Unix epoch. Only OpenMetrics and protobuf have exemplars. The other items are
    those of `pytheus.samples.Sample`, and only protobuf has them: `created` is when a counter, or the ``_count`` of a
    histogram or summary, began at zero; `native` has the native buckets of a ``_count`` or ``_gcount``, and `exemplars`
    are theirs. In protobuf, which has no lines, the samples are those of the text format.
    """

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float
    timestamp: float | None = None
    exemplar: Exemplar | None = None
    created: float | None = None
    native: NativeHistogram | None = None
    exemplars: tuple[Exemplar, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        labels: Mapping[str, str],
        value: float,
        timestamp: float | None = None,
        exemplar: Exemplar | None = None,
    ) -> ParsedSample:
        """Return a sample with sorted labels."""
        return cls(name, tuple(sorted(labels.items())), value, timestamp, exemplar)

    def __str__(self) -> str:
        labels = ",".join(f"{name}={value!r}" for name, value in self.labels)
        return f"{self.name}{{{labels}}} {self.value:g}" if labels else f"{self.name} {self.value:g}"


@dataclass(eq=False, repr=False, slots=True)
class ParsedFamily:
    """A family: its name as exposed, type, help text, unit, and samples in the order of their lines."""

    name: str
    type: str
    description: str
    unit: str = ""
    samples: list[ParsedSample] = field(default_factory=list, init=False)

    def __repr__(self) -> str:
        return f"ParsedFamily({self.name!r}, {self.type!r}, {len(self.samples)} samples)"
