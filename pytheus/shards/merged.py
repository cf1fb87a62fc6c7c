"""A family that is merged of several processes' shards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from pytheus.definitions import Definition
from pytheus.kinds import MergeRule
from pytheus.samples import Exemplar, Family, Sample
from pytheus.shards.column import Column
from pytheus.shards.states import FamilyState, SeriesState
from pytheus.textformat import PART_SIZE, format_labels, format_number, number_line
from pytheus.turns import Turns

__all__ = ["Apart", "MergedFamily", "Scrape"]

_INFINITY: Final = float("inf")

_Exemplars = dict[tuple[str, ...], dict[int, Exemplar]]


class Apart:
    """What of a family is not gathered in a lane: a series with labels of its own, that one process or fact has."""

    __slots__ = ("labels", "value")

    def __init__(self, labels: Mapping[str, str], value: float) -> None:
        self.labels: Mapping[str, str] = labels
        self.value: float = value


class Scrape:
    """What the families of one scrape share."""

    __slots__ = ("_columns", "_exemplars", "totals")

    def __init__(self, totals: list[list[float]], columns: Sequence[Column]) -> None:
        self.totals: list[list[float]] = totals
        """By lane: the merged numbers."""
        self._columns = columns
        self._exemplars: dict[int, _Exemplars] | None = None

    def exemplars(self, state: FamilyState) -> _Exemplars:
        """The newest exemplar of each number of each series of a family."""
        found = self._exemplars
        if found is None:
            found = {}
            for column in self._columns:
                layout = column.layout
                for slot, exemplars in layout.exemplars.copy().items():
                    family = column.families[layout.definition_numbers[slot]]
                    if family is not None:
                        newest = found.setdefault(id(family), {}).setdefault(layout.labels[slot], {})
                        for index, exemplar in exemplars.copy().items():
                            present = newest.get(index)
                            if present is None or (exemplar.timestamp or 0.0) >= (present.timestamp or 0.0):
                                newest[index] = exemplar
            self._exemplars = found
        return found.get(id(state), {})


class MergedFamily:
    """One family as all processes together had it at the moment of the scrape: a collector of that one family.

    It can be read for as long as one likes, from any thread, and does not change.
    """

    __slots__ = ("_apart", "_listing", "_scrape", "_state", "definition")

    def __init__(
        self, definition: Definition, state: FamilyState, scrape: Scrape, listing: list[SeriesState], apart: list[Apart]
    ) -> None:
        self.definition: Definition = definition
        self._state = state
        self._scrape = scrape
        self._listing = listing
        self._apart = apart

    @property
    def name(self) -> str:
        """The family's name, without prefix."""
        return self.definition.name

    # Samples ----------------------------------------------------------------------------------------------------------

    def collect(self) -> Iterator[Family]:
        """The family."""
        definition = self.definition
        yield Family(definition.name, definition.type, definition.description, self._samples())

    def _samples(self) -> list[Sample]:
        state = self._state
        suffix = "_info" if state.way is MergeRule.INFO else ""
        samples = [Sample(suffix, apart.labels, apart.value) for apart in self._apart]
        if self._listing:
            totals = self._scrape.totals[state.lane]
            exemplars = self._scrape.exemplars(state)
            for series in self._listing:
                numbers = totals[series.cell : series.cell + state.size]
                samples += self._series_samples(series.labels, numbers, exemplars.get(series.labels, {}))
        return samples

    def _series_samples(
        self, values: tuple[str, ...], numbers: list[float], exemplars: Mapping[int, Exemplar]
    ) -> list[Sample]:
        definition = self.definition
        labels = dict(zip(definition.labels, values, strict=True))
        kind = definition.type
        if kind == "stateset":
            states = zip(definition.states, numbers, strict=True)
            return [Sample("", {**labels, definition.name: state}, number) for state, number in states]
        if kind == "summary":
            return [Sample("_sum", labels, numbers[0]), Sample("_count", labels, numbers[1])]
        if kind != "histogram":
            return [Sample("", labels, numbers[0], None, exemplars.get(0))]
        counts = list(accumulate(numbers[1:]))
        samples = [
            Sample("_bucket", {**labels, "le": format_number(bound)}, count, None, exemplars.get(index))
            for index, (bound, count) in enumerate(zip((*definition.bounds, _INFINITY), counts, strict=True), 1)
        ]
        return [*samples, Sample("_sum", labels, numbers[0]), Sample("_count", labels, counts[-1])]

    # The text format --------------------------------------------------------------------------------------------------

    def text_parts(self, prefix: str, /) -> list[str]:
        """The whole family in the text format, in a few pieces; `prefix` is "" or ends with "_"."""
        state = self._state
        name, head = state.head(self.definition, prefix)
        parts = [head]
        if self._apart:
            lines = [""]
            for apart in self._apart:
                lines.append(_line(format_labels(apart.labels.items()), apart.value))
            parts.append(name.join(lines))
        if self._listing:
            if state.in_blocks:
                self._add_blocks(name, parts)
            else:
                self._add_lines(name, parts)
        return parts

    def _add_lines(self, name: str, parts: list[str]) -> None:
        """Series that are one line each, which begins with the name."""
        totals = self._scrape.totals[self._state.lane]
        label_names = self.definition.labels
        listing = self._listing
        if len(listing) == 1:  # as most families have, so that it is worth a way of its own
            parts.append(name + _shown(listing[0], label_names, totals))
            return
        turns = Turns()
        for start in range(0, len(listing), PART_SIZE):
            # The name goes between the lines, and so before each of them: the first "line" is empty.
            lines = [""]
            for series in listing[start : start + PART_SIZE]:
                lines.append(_shown(series, label_names, totals))
            parts.append(name.join(lines))
            turns.offer()

    def _add_blocks(self, name: str, parts: list[str]) -> None:
        """Series that are several lines each, with the name in every one."""
        totals = self._scrape.totals[self._state.lane]
        size = self._state.size
        texts: list[str] = []
        turns = Turns()
        at_most = PART_SIZE // size + 1
        for series in self._listing:
            cell = series.cell
            numbers = totals[cell : cell + size]
            block = series.block
            if block is not None and block[1] == numbers and block[0] == name:
                texts.append(block[2])
            else:
                text = self._block(name, series.labels, numbers)
                series.block = (name, numbers, text)
                texts.append(text)
            if len(texts) >= at_most:
                parts.append("".join(texts))
                texts = []
                turns.offer()
        parts.append("".join(texts))

    def _block(self, name: str, values: tuple[str, ...], numbers: list[float]) -> str:
        definition = self.definition
        labels = format_labels(zip(definition.labels, values, strict=True))
        lines: list[str] = []
        if definition.type == "stateset":
            for state, number in zip(definition.states, numbers, strict=True):
                pair = format_labels([(definition.name, state)])
                lines.append(name + _line(f"{labels},{pair}" if labels else pair, number))
            return "".join(lines)
        if definition.type == "summary":
            return f"{name}_sum{_line(labels, numbers[0])}{name}_count{_line(labels, numbers[1])}"
        head = f"{name}_bucket{{{labels},le=" if labels else f"{name}_bucket{{le="
        count = 0.0
        for index, bound in enumerate(self._state.bounds, 1):
            count += numbers[index]
            lines.append(number_line(head + bound, count))
        lines.append(f"{name}_sum{_line(labels, numbers[0])}{name}_count{_line(labels, count)}")
        return "".join(lines)

    def __repr__(self) -> str:
        return f"<MergedFamily {self.definition}>"


def _shown(series: SeriesState, label_names: tuple[str, ...], totals: list[float]) -> str:
    """The line of a series that is one number, without the name."""
    value = totals[series.cell]
    shown, line = series.line
    if shown != value:
        # All up to the last space stays the same.
        head = line[: line.rfind(" ") + 1] or _head(format_labels(zip(label_names, series.labels, strict=True)))
        line = number_line(head, value)
        series.line = (value, line)
    return line


def _head(labels: str) -> str:
    return "{" + labels + "} " if labels else " "


def _line(labels: str, value: float) -> str:
    return number_line(_head(labels), value)
