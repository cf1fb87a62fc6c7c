"""A family merged from the shards of several processes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import accumulate
from math import copysign, inf

from pytheus.compilation import with_end
from pytheus.definitions import Definition
from pytheus.escaping import is_legacy_label
from pytheus.kinds import KINDS, MergeRule
from pytheus.names import state_label
from pytheus.samples import Exemplar, Family, Row, Sample
from pytheus.shards.merge_cache import CachedFamily, CachedSeries, ShardIndex
from pytheus.textformat import PART_SIZE, format_bound, format_labels, number_end
from pytheus.yielding import Yielder

__all__ = ["ExtraSample", "MergeResult", "MergedFamily", "sample_line"]

_Exemplars = dict[tuple[str, ...], dict[int, Exemplar]]
"""By label values, then by slot."""


class ExtraSample:
    """A sample that is not in a vector, of one process or one info.

    `series` and `token` say which series of which shard it is, if it is of one process. `info` are the labels that an
    info was set to, which are among `labels`.
    """

    __slots__ = ("info", "labels", "series", "token", "value")

    def __init__(
        self,
        labels: Mapping[str, str],
        value: float,
        series: tuple[str, ...] = (),
        token: str = "",
        info: Mapping[str, str] | None = None,
    ) -> None:
        self.labels: Mapping[str, str] = labels
        self.value: float = value
        self.series: tuple[str, ...] = series
        self.token: str = token
        self.info: Mapping[str, str] | None = info


class MergeResult:
    """The merged numbers and exemplars that the families of one scrape share."""

    __slots__ = ("_exemplars", "_indexes", "start_times", "totals")

    def __init__(
        self,
        totals: list[list[float]],
        indexes: Sequence[ShardIndex],
        start_times: Callable[[], list[float]],
    ) -> None:
        self.totals: list[list[float]] = totals
        """By vector: the merged numbers."""
        self._indexes = indexes
        self.start_times: Callable[[], list[float]] = start_times
        """Computes when the series began; see `MergedStartTimes.vector`."""
        self._exemplars: dict[int, _Exemplars] | None = None

    def exemplars(self, family: CachedFamily) -> _Exemplars:
        """The newest exemplar of each number of each series of a family."""
        found = self._exemplars
        if found is None:
            found = {}
            for index in self._indexes:
                layout = index.layout
                for number, exemplars in layout.exemplars.copy().items():
                    owner = index.families[layout.definition_numbers[number]]
                    if owner is not None:
                        newest = found.setdefault(id(owner), {}).setdefault(layout.labels[number], {})
                        for slot, exemplar in exemplars.copy().items():
                            present = newest.get(slot)
                            if present is None or (exemplar.timestamp or 0.0) >= (present.timestamp or 0.0):
                                newest[slot] = exemplar
            self._exemplars = found
        return found.get(id(family), {})


class MergedFamily:
    """A collector of one family, with the merged numbers of one scrape.

    It never changes, and may be read at any time from any thread. A start time is the earliest that any process or the
    archive has.
    """

    __slots__ = ("_extra", "_family", "_listing", "_result", "definition")

    def __init__(
        self,
        definition: Definition,
        family: CachedFamily,
        result: MergeResult,
        listing: list[CachedSeries],
        extra: list[ExtraSample],
    ) -> None:
        self.definition: Definition = definition
        """The definition of the rows, which have labels for the process in a mode of "each"."""
        self._family = family
        self._result = result
        self._listing = listing
        self._extra = extra

    @property
    def name(self) -> str:
        """The family's name, without prefix."""
        return self.definition.name

    @property
    def merged(self) -> Definition:
        """The definition of the metrics that the latest merge has merged, whose labels tell no process."""
        return self._family.definition

    def without(self, labels: Collection[tuple[str, ...]], tokens: Collection[str]) -> MergedFamily:
        """The family without the series of these labels; in a mode of "each", without those of the shards `tokens`."""
        listing = [series for series in self._listing if series.labels not in labels]
        extra = [extra for extra in self._extra if extra.series not in labels or extra.token not in tokens]
        return MergedFamily(self.definition, self._family, self._result, listing, extra)

    # Rows and samples -------------------------------------------------------------------------------------------------

    def rows(self) -> list[Row]:
        """The numbers of every series; see `pytheus.registry.HasRows`."""
        family = self._family
        if self._extra:
            width = len(self.definition.labels)
            return [
                Row(tuple(extra.labels.values())[:width], [extra.value] if extra.info is None else [], extra.info)
                for extra in self._extra
            ]
        listing = self._listing
        if not listing:
            return []
        totals = self._result.totals[family.vector]
        exemplars = self._result.exemplars(family)
        starts = self._result.start_times() if family.has_start_times else None
        size = 1 if family.rule is MergeRule.LAST else family.size
        rows: list[Row] = []
        for series in listing:
            start = series.start
            labels = series.labels
            created: float | None = None
            if starts is not None and starts[start] != inf:
                created = starts[start] / 1000
            rows.append(Row(labels, totals[start : start + size], None, exemplars.get(labels), True, created))
        return rows

    def series_labels(self) -> list[tuple[str, ...]]:
        """The label values of every series; see `pytheus.registry.HasSeriesLabels`."""
        if self._extra:
            width = len(self.definition.labels)
            return [tuple(extra.labels.values())[:width] for extra in self._extra]
        return [series.labels for series in self._listing]

    def refresh(self) -> None:
        """Do nothing, because the processes called their gauges' functions before."""

    def collect(self) -> Iterator[Family]:
        """The family."""
        definition = self.definition
        yield Family(
            definition.name,
            definition.type,
            definition.description,
            self._samples(),
            unit=definition.unit,
            names="utf8",
        )

    def _samples(self) -> list[Sample]:
        if self._extra:
            suffix = KINDS[self.definition.type].own_suffix if self._family.rule is MergeRule.INFO else ""
            return [Sample(suffix, extra.labels, extra.value) for extra in self._extra]
        samples: list[Sample] = []
        for row in self.rows():
            samples += self._series_samples(row)
        return samples

    def _series_samples(self, row: Row) -> list[Sample]:
        definition = self.definition
        numbers, exemplars, created = row.numbers, row.exemplars or {}, row.created
        labels = dict(zip(definition.labels, row.labels, strict=True))
        if not self._family.is_multiline:
            return [Sample("", labels, numbers[0], None, exemplars.get(0), created)]
        if definition.states:
            states = zip(definition.states, numbers, strict=True)
            return [Sample("", {**labels, definition.name: state}, number) for state, number in states]
        if not self._family.bucket_heads:
            return [Sample("_sum", labels, numbers[0]), Sample("_count", labels, numbers[1], None, None, created)]
        buckets = self._buckets(row)
        samples = [
            Sample("_bucket", {**labels, "le": format_bound(bound)}, float(count), None, exemplars.get(slot))
            for slot, (bound, count) in enumerate(buckets, 1)
        ]
        return [
            *samples,
            Sample("_sum", labels, numbers[0]),
            Sample("_count", labels, samples[-1].value, None, None, created, row.native, row.native_exemplars),
        ]

    def _buckets(self, row: Row) -> list[tuple[float, float]]:
        """The bounds of a histogram's buckets, with cumulative counts."""
        return list(zip((*self.definition.bounds, inf), accumulate(row.numbers[1:]), strict=True))

    def has_plain_text(self) -> bool:
        """Whether OpenMetrics has the lines of `text_parts`; see `pytheus.registry.HasPlainText`."""
        family = self._family
        definition = self.definition
        if definition.name_rules != "legacy" or self._result.exemplars(family):
            return False
        if family.rule is MergeRule.INFO:
            return all(is_legacy_label(name) for extra in self._extra for name in extra.labels)
        if KINDS[definition.type].base_numbers < 2:
            return True
        if definition.bounds[0] < 0 if definition.bounds else definition.native is not None:
            return False
        totals = self._result.totals[family.vector] if self._listing else []
        return all(totals[series.start] >= 0 for series in self._listing)

    # The text format --------------------------------------------------------------------------------------------------

    def text_parts(self, prefix: str, /) -> list[str]:
        """The family in the text format; `prefix` is "" or ends with "_"."""
        family = self._family
        name, head = family.head(self.definition, prefix)
        parts = [head]
        if self._extra:
            lines = [""]
            for extra in self._extra:
                lines.append(sample_line(format_labels(extra.labels.items()), extra.value))
            parts.append(name.join(lines))
        if self._listing:
            if family.is_multiline:
                self._add_blocks(name, parts)
            else:
                self._add_lines(name, parts)
        return parts

    def _add_lines(self, name: str, parts: list[str]) -> None:
        """Add series of one line each, which begins with the name."""
        totals = self._result.totals[self._family.vector]
        label_names = self.definition.labels
        listing = self._listing
        if len(listing) == 1:  # the most frequent case
            parts.append(name + _shown(listing[0], label_names, totals))
            return
        yielder = Yielder()
        for start in range(0, len(listing), PART_SIZE):
            # `join` puts the name between the lines, and so before each line: the first "line" is empty.
            lines = [""]
            for series in listing[start : start + PART_SIZE]:
                lines.append(_shown(series, label_names, totals))
            parts.append(name.join(lines))
            yielder.offer()

    def _add_blocks(self, name: str, parts: list[str]) -> None:
        """Add series of several lines each, with the name in every line."""
        totals = self._result.totals[self._family.vector]
        size = self._family.size
        texts: list[str] = []
        yielder = Yielder()
        at_most = PART_SIZE // size + 1
        for series in self._listing:
            start = series.start
            numbers = totals[start : start + size]
            block = series.block
            # Only the first number, a sum, can be -0.0, which is equal to 0.0 and has another text.
            if (
                block is not None
                and block[1] == numbers
                and block[0] == name
                and copysign(1.0, block[1][0]) == copysign(1.0, numbers[0])
            ):
                texts.append(block[2])
            else:
                text = self._block(name, series.labels, numbers)
                series.block = (name, numbers, text)
                texts.append(text)
            if len(texts) >= at_most:
                parts.append("".join(texts))
                texts = []
                yielder.offer()
        parts.append("".join(texts))

    def _block(self, name: str, values: tuple[str, ...], numbers: list[float]) -> str:
        definition = self.definition
        labels = format_labels(zip(definition.labels, values, strict=True))
        lines: list[str] = []
        if definition.states:
            own_label = state_label(name)
            for state, number in zip(definition.states, numbers, strict=True):
                pair = format_labels([(own_label, state)])
                lines.append(name + sample_line(f"{labels},{pair}" if labels else pair, number))
            return "".join(lines)
        bucket_heads = self._family.bucket_heads
        if not bucket_heads:
            return f"{name}_sum{sample_line(labels, numbers[0])}{name}_count{sample_line(labels, numbers[1])}"
        head = f"{name}_bucket{{{labels},le=" if labels else f"{name}_bucket{{le="
        count = 0.0
        for slot, bucket_head in enumerate(bucket_heads, 1):
            count += numbers[slot]
            lines.append(head + bucket_head + number_end(count))
        lines.append(f"{name}_sum{sample_line(labels, numbers[0])}{name}_count{sample_line(labels, count)}")
        return "".join(lines)

    def __repr__(self) -> str:
        return f"<MergedFamily {self.definition}>"


def _shown(series: CachedSeries, label_names: tuple[str, ...], totals: list[float]) -> str:
    """The line of a series of one number, without the name."""
    value = totals[series.start]
    shown, line = series.line
    # 0.0 and -0.0 are equal, but their texts differ.
    if shown != value or (not value and copysign(1.0, value) != copysign(1.0, shown)):
        if line:
            line = with_end(line, number_end(value))
        else:
            line = sample_line(format_labels(zip(label_names, series.labels, strict=True)), value)
        series.line = (value, line)
    return line


def sample_line(labels: str, value: float) -> str:
    """The rest of a sample's line, after the name."""
    return f"{{{labels}}} {number_end(value)}" if labels else " " + number_end(value)
