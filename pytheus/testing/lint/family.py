"""A family as the rules see it, from a registry or from an exposition.

Rules:

- Names are those of the text format: a counter of OpenMetrics has its ``_total`` back, and an info its ``_info``.
- A metric without any series has its declared labels, so that their names are checked.
- Of a registry, a collector that raises is left out, as in a scrape.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate

from pytheus.definitions import Definition
from pytheus.exposition.checked import CheckedFamily, checked_families
from pytheus.exposition.walk import scrape
from pytheus.kinds import KINDS
from pytheus.names import base_name, state_label, text_name
from pytheus.registry.contract import Collector, Registry
from pytheus.registry.traversal import definition_of
from pytheus.samples import Row
from pytheus.testing.parsed import ParsedFamily, ParsedSample
from pytheus.textformat import format_bound

__all__ = ["Labels", "LintFamily", "bare_name", "families_of", "families_of_collector", "family_of_rows", "lint_family"]

Labels = tuple[tuple[str, str], ...]


@dataclass(eq=False, slots=True)
class LintFamily:
    """A family: its name as exposed, type, help text (None if it has no line), unit and samples.

    `type` is one of `pytheus.kinds.KINDS`, "untyped", or "" if none is declared. `labels` are declared label names,
    `is_exact` tells that the type is the registry's own, `line` and `location` are those of `Finding`.
    """

    name: str
    type: str
    help: str | None = None
    unit: str = ""
    samples: list[ParsedSample] = field(default_factory=list)
    labels: tuple[str, ...] = ()
    is_exact: bool = False
    line: int = 0
    location: str = ""

    @property
    def is_typed(self) -> bool:
        """Whether it has a type that states more than a number."""
        return self.type not in ("", "untyped", "unknown")

    @property
    def is_histogram(self) -> bool:
        """Whether it has buckets."""
        return self.type in ("histogram", "gaugehistogram")

    @property
    def is_info(self) -> bool:
        """Whether its labels are facts, as those of `build_info` are."""
        return self.type == "info" or (
            self.type in ("gauge", "", "untyped")
            and self.name.endswith("_info")
            and all(sample.value == 1 for sample in self.samples)
        )

    @property
    def own_label(self) -> str | None:
        """The label that the format writes itself: ``le``, ``quantile``, or that of a state set."""
        if self.type == "stateset" or (self.type == "gauge" and self.is_state_set()):
            return state_label(self.name)
        kind = KINDS.get(self.type)
        return kind.reserved_label or None if kind is not None else None

    def is_state_set(self) -> bool:
        """Whether the samples are those of a state set in the text format, which has no type for it."""
        label = state_label(self.name)
        return bool(self.samples) and all(
            sample.value in (0.0, 1.0) and any(name == label for name, _ in sample.labels) for sample in self.samples
        )

    def label_sets(self) -> dict[Labels, None]:
        """The distinct label sets without the own label, in order: the series of the program."""
        own = self.own_label
        if own is None:
            return dict.fromkeys(sample.labels for sample in self.samples)
        return dict.fromkeys(
            tuple([pair for pair in sample.labels if pair[0] != own]) if sample.labels else ()
            for sample in self.samples
        )


class _Encoder:
    """An exposition format whose parts are families for the rules."""

    def supports(self, collector: Collector, /) -> bool:
        return definition_of(collector) is not None

    def encode_collector(self, collector: Collector, definition: Definition, lead: str, /) -> list[LintFamily]:
        return families_of_collector(collector, lead)

    def encode_family(self, family: CheckedFamily, /) -> LintFamily:
        return _made(family, None)

    def encode_end(self) -> tuple[LintFamily, ...]:
        return ()


def families_of(registry: Registry) -> list[LintFamily]:
    """Return the families of `registry` as a scrape exposes them, its prefix included, with those that have no series.

    Collects every collector. Raises the errors of `pytheus.generate_metrics`.
    """
    return scrape(registry, _Encoder())


def families_of_collector(collector: Collector, lead: str) -> list[LintFamily]:
    """Return the families of one collector, whose names are exposed after `lead`; raises its errors."""
    definition = definition_of(collector)
    families = list(checked_families(collector, lead, "allow-utf-8"))
    if not families and definition is not None:  # a metric without series, whose name and labels are known
        name, type_ = lead + definition.name, definition.type
        families = [CheckedFamily(name, type_, definition.description, [], definition.unit)]
    return [_made(family, definition) for family in families]


def family_of_rows(definition: Definition, rows: Iterable[Row], lead: str) -> LintFamily:
    """Return the family of a metric with the series of `rows` alone; its name is exposed after `lead`."""
    name = text_name(lead + definition.name, definition.type)
    base = base_name(name, definition.type)
    samples: list[ParsedSample] = []
    for row in rows:
        labels = dict(zip(definition.labels, row.labels, strict=True))
        numbers = row.numbers
        if definition.type == "histogram":
            for bound, count in zip((*definition.bounds, math.inf), accumulate(numbers[1:]), strict=True):
                samples.append(ParsedSample.of(f"{base}_bucket", {**labels, "le": format_bound(bound)}, count))
            samples.append(ParsedSample.of(f"{base}_sum", labels, numbers[0]))
            total = ParsedSample.of(f"{base}_count", labels, math.fsum(numbers[1:]))
            samples.append(total._replace(native=row.native))
        elif definition.type == "summary":
            samples += map(ParsedSample.of, (f"{base}_sum", f"{base}_count"), (labels, labels), numbers)
        elif definition.type == "info":
            samples.append(ParsedSample.of(name, {**labels, **(row.info or {})}, 1.0))
        elif definition.type == "stateset":
            own = state_label(name)
            for state, number in zip(definition.states, numbers, strict=True):
                samples.append(ParsedSample.of(name, {**labels, own: state}, number))
        else:
            samples.append(ParsedSample.of(name, labels, numbers[0]))
    unit, type_ = definition.unit, definition.type
    return LintFamily(
        name, type_, definition.description, unit, samples, definition.labels, True, location=definition.location
    )


def _made(family: CheckedFamily, definition: Definition | None) -> LintFamily:
    samples = [
        ParsedSample.of(family.sample_name(each), each.labels, each.value, each.timestamp, each.exemplar)._replace(
            native=each.native
        )
        for each in family.samples
    ]
    return LintFamily(
        text_name(family.name, family.type),
        family.type,
        family.description,
        family.unit,
        samples,
        () if definition is None else definition.labels,
        is_exact=True,
        location="" if definition is None else definition.location,
    )


def lint_family(family: ParsedFamily, *, is_openmetrics: bool = False) -> LintFamily:
    """Return a parsed family as the rules see it; `is_openmetrics` tells that its name lacks the suffix of its type."""
    name = family.name
    suffix = {"counter": "_total", "info": "_info"}.get(family.type, "") if is_openmetrics else ""
    if suffix and not name.endswith(suffix) and not any(sample.name == name for sample in family.samples):
        name += suffix
    return LintFamily(name, family.type, family.description or None, family.unit, family.samples)


def bare_name(family: LintFamily) -> str:
    """Return the name without the suffix that its type has, so that the last word is the unit, if there is one."""
    return base_name(family.name, "counter" if family.name.endswith("_total") else "info")
