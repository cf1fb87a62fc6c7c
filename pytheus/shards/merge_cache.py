"""The cache of a `Merger`: families, their series, and an index of each shard.

Merged numbers are in *vectors*: one for each merge rule, with and without ended processes. Every merged series has its
place in the vector of its family. The index of a shard says, for each position in a vector, which of the shard's own
numbers belongs there. Where a shard has its series in the order of the vector, one difference says it for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, nan
from operator import itemgetter
from typing import Final, NamedTuple, cast

from pytheus.definitions import Definition
from pytheus.kinds import KINDS, MergeRule
from pytheus.names import base_name
from pytheus.registry.storage import UNSET
from pytheus.shards.bucket_series import BucketDefinition, BucketKeys
from pytheus.shards.label_blocks import LabelBlock
from pytheus.shards.layout import Layout
from pytheus.shards.merge_rules import (
    DefinitionKey,
    definition_key,
    includes_dead,
    merge_rule_of,
    series_size,
)
from pytheus.textformat import format_bound, header

__all__ = [
    "ABSENT",
    "ABSENT_NUMBERS",
    "NO_VECTOR",
    "VECTORS",
    "CachedBlock",
    "CachedFamily",
    "CachedSeries",
    "Offsets",
    "Positions",
    "ShardIndex",
    "padded",
    "vector_of",
]

VECTORS: Final = 8
"""How many vectors there are."""

NO_VECTOR: Final = -1
"""The vector of families whose numbers are not reduced: each process or info has a series of its own."""

# The number of a series that a shard does not have: it adds nothing, and is never the least or the greatest; its time
# is never the latest. These numbers follow the shard's own, so that negative indexes find them.
ABSENT_NUMBERS: Final[list[float]] = [0.0, UNSET, -inf]
ABSENT: Final = (-3, -3, -2, -2, -2, -2, -1, -1)
"""By vector: the index that finds the number of an absent series."""


def vector_of(definition: Definition) -> int:
    """The vector of this metric's numbers."""
    rule = merge_rule_of(definition)
    if rule is MergeRule.EACH or rule is MergeRule.INFO:
        return NO_VECTOR
    return 2 * rule + (1 if includes_dead(definition) else 0)


class CachedSeries:
    """One merged series."""

    __slots__ = ("block", "labels", "line", "shard_count", "start")

    def __init__(self, labels: tuple[str, ...], start: int) -> None:
        self.labels: tuple[str, ...] = labels
        self.start: int = start
        """The position of its first number in its family's vector."""
        self.shard_count: int = 0
        """How many shards have the series."""
        # Each is one object, so that numbers and their text belong together even if several threads render.
        self.line: tuple[float, str] = (nan, "")
        """For a series of one line: the number last rendered, and the line without the name."""
        self.block: tuple[str, list[float], str] | None = None
        """For a series of several lines: the family's exposed name, the numbers last rendered, and the lines."""


class CachedBlock:
    """The merged series of a block of labels, whose positions follow each other."""

    __slots__ = ("block", "series")

    def __init__(self, block: LabelBlock, series: list[CachedSeries]) -> None:
        self.block: LabelBlock = block
        self.series: list[CachedSeries] = series


class CachedFamily:
    """One merged family."""

    __slots__ = (
        "_bucket_keys",
        "_head",
        "_listing",
        "_row_definition",
        "bucket_family_key",
        "blocks",
        "bucket_heads",
        "definition",
        "has_start_times",
        "is_buckets",
        "is_each",
        "is_multiline",
        "rule",
        "series",
        "size",
        "vector",
    )

    def __init__(self, definition: Definition) -> None:
        kind = KINDS[definition.type]
        self.definition: Definition = definition
        """The definition to expose, one of several that match."""
        self.rule: MergeRule = merge_rule_of(definition)
        self.size: int = series_size(definition)
        self.vector: int = vector_of(definition)
        self.is_multiline: bool = kind.base_numbers > 1 or bool(definition.states)
        """Whether a series has several lines."""
        self.is_each: bool = self.rule is MergeRule.EACH
        """Whether each process has a series of its own."""
        self.is_buckets: bool = isinstance(definition, BucketDefinition)
        """Whether its series are native buckets of another family, which is exposed."""
        self.has_start_times: bool = kind.includes_dead and not self.is_buckets
        has_native = definition.native is not None and not self.is_buckets
        self.bucket_family_key: DefinitionKey | None = (
            definition_key(BucketDefinition(definition)) if has_native else None
        )
        """The key of the family of its native buckets."""
        bounds = (*definition.bounds, inf) if kind.reserved_label == "le" else ()
        self.bucket_heads: list[str] = [f'"{format_bound(bound)}"}} ' for bound in bounds]
        """The text between ``le=`` and the number in the lines of a histogram's buckets."""
        self.series: dict[tuple[str, ...], CachedSeries] = {}
        self.blocks: dict[int, CachedBlock] = {}
        """By the id of a block of labels; empty again when a series goes."""
        self._listing: list[CachedSeries] | None = None
        self._row_definition: tuple[Definition, Definition] | None = None
        self._bucket_keys: dict[tuple[str, ...], BucketKeys] | None = None
        self._head: tuple[str, Definition, str, str] | None = None

    def changed(self) -> None:
        """Report that `series` has changed."""
        self._listing = None
        self._bucket_keys = None

    def listing(self) -> list[CachedSeries]:
        """All series, in a list that never changes."""
        listing = self._listing
        if listing is None:
            listing = self._listing = list(self.series.values())
        return listing

    def bucket_keys(self) -> dict[tuple[str, ...], BucketKeys]:
        """By the labels of a histogram: its native buckets, which are the series of this family. Never changes."""
        found = self._bucket_keys
        if found is None:
            grouped: dict[tuple[str, ...], list[tuple[str, int]]] = {}
            for labels, series in self.series.items():
                grouped.setdefault(labels[:-1], []).append((labels[-1], series.start))
            found = self._bucket_keys = {labels: BucketKeys(keys) for labels, keys in grouped.items()}
        return found

    def row_definition(self, *, hosts: bool) -> Definition:
        """`definition` with labels for the process, of a gauge in a mode of "each".

        With `hosts`, they are two, because the processes are on several machines.
        """
        definition = self.definition
        known = self._row_definition
        if known is None or known[0] is not definition:
            labels = definition.labels
            added = (
                (_free_label("host", labels), _free_label("pid", labels)) if hosts else (_free_label("pid", labels),)
            )
            shown = Definition(
                definition.name,
                definition.type,
                definition.description,
                (*labels, *added),
                mode=definition.mode,
                location=definition.location,
                unit=definition.unit,
                names=definition.name_rules,
            )
            known = self._row_definition = (definition, shown)
        return known[1]

    def head(self, definition: Definition, prefix: str) -> tuple[str, str]:
        """The family's exposed name with that prefix, and the lines before its samples."""
        head = self._head
        if head is None or head[0] != prefix or head[1] is not definition:
            kind = definition.type
            name = definition.name if self.rule is not MergeRule.INFO else base_name(definition.name, kind) + "_info"
            name = prefix + name
            head = self._head = (prefix, definition, name, header(name, kind, definition.description))
        return head[2], head[3]


def _free_label(label: str, taken: tuple[str, ...]) -> str:
    """A label name that the metric itself does not have."""
    while label in taken:
        label = "shard_" + label
    return label


class Positions(NamedTuple):
    """Where a shard's numbers are in a vector, at one moment. Never changes."""

    first: int
    """The index of the first number, unless there is a getter; below zero if the only number is absent."""
    length: int
    getter: Callable[[list[float]], tuple[float, ...]] | None

    def gather(self, length: int, padded: list[float], absent: float) -> Sequence[float]:
        """The items of `padded` for the first `length` positions; see `padded`."""
        if self.getter is not None:
            return self.getter(padded)
        column = padded[self.first : self.first + self.length]
        return column + [absent] * (length - self.length)


class Offsets:
    """By position in one vector: the index of the shard's number.

    As long as these indexes follow each other, only the first is kept; otherwise each, in a list.
    """

    __slots__ = ("_absent", "_first", "_getter", "_listed", "_positions", "length")

    def __init__(self, absent: int) -> None:
        self._absent: int = absent
        self._first: int = 0
        self._listed: list[int] | None = None
        self._getter: Callable[[list[float]], tuple[float, ...]] | None = None
        self._positions: Positions | None = None
        self.length: int = 0
        """How many positions it has; the series at later ones are absent."""

    def has(self, position: int) -> bool:
        """Whether the shard has a number for the position."""
        if position >= self.length:
            return False
        return self._listed is None or self._listed[position] >= 0

    def has_any(self, start: int, size: int) -> bool:
        """Whether the shard has a number for any of `size` positions from `start` on."""
        if start >= self.length:
            return False
        return self._listed is None or max(self._listed[start : start + size]) >= 0

    def put(self, start: int, offset: int, size: int) -> None:
        """Let `size` positions from `start` on have the numbers from index `offset` on."""
        length = self.length
        listed = self._listed
        if listed is None:
            if not length and not start:
                self._first = offset
            if start == length and offset == self._first + length:
                self.length = length + size
                return
            listed = self._list()
        if start > length:
            listed += [self._absent] * (start - length)
        if start >= length:
            listed += range(offset, offset + size) if size > 1 else (offset,)
        else:
            listed[start : start + size] = range(offset, offset + size)
        self.length = len(listed)
        self._getter = None

    def clear(self, start: int, size: int) -> None:
        """Let the series at these positions be absent."""
        self._list()[start : start + size] = [self._absent] * size
        self._getter = None

    def _list(self) -> list[int]:
        listed = self._listed
        if listed is None:
            listed = self._listed = list(range(self._first, self._first + self.length))
        return listed

    def slice(self, length: int, numbers: Sequence[float]) -> Sequence[float] | None:
        """The shard's `numbers` for the first `length` positions; None if that needs a call of `gather`."""
        if self._listed is not None:
            return None
        column = numbers[self._first : self._first + self.length]
        if length > self.length:
            column = [*column, *[ABSENT_NUMBERS[self._absent]] * (length - self.length)]
        return column

    def gather(self, length: int, padded: list[float]) -> Sequence[float]:
        """The numbers for the first `length` positions, from those that `padded` made of the shard's."""
        listed = self._list()
        if self.length < length:
            listed += [self._absent] * (length - self.length)
            self.length = length
            self._getter = None
        getter = self._getter
        if getter is None:
            if len(listed) == 1:  # for which a getter gives no tuple
                return [padded[listed[0]]]
            made = itemgetter(*listed)
            getter = self._getter = cast(Callable[[list[float]], tuple[float, ...]], made)
        return getter(padded)

    def positions(self) -> Positions:
        """The present state, after a call of `slice` or `gather`; the same object until it changes."""
        found = self._positions
        listed = self._listed
        getter = self._getter
        first = self._first if listed is None or getter is not None else listed[0]  # the only one
        if found is None or found.getter is not getter or found.first != first or found.length != self.length:
            found = self._positions = Positions(first, self.length, getter)
        return found


def padded(numbers: Sequence[float]) -> list[float]:
    """The `numbers` of a shard, and those of absent series."""
    return [*numbers, *ABSENT_NUMBERS]


class ShardIndex:
    """Which numbers of one shard belong to which positions of the vectors."""

    __slots__ = (
        "blocks_read",
        "each_series",
        "families",
        "hidden",
        "info_series",
        "layout",
        "live",
        "offsets",
        "removals_read",
        "repeated",
        "series_counts",
        "series_read",
    )

    def __init__(self, layout: Layout, *, live: bool) -> None:
        self.live: bool = live
        self.layout: Layout = layout
        self.series_read: int = 0
        """How many series of the layout are in the index."""
        self.blocks_read: int = 0
        """How many of these series were in blocks of the layout, counted in blocks."""
        self.removals_read: int = 0
        """How many removals of the layout are in the index."""
        self.families: list[CachedFamily | None] = []
        """By definition number; None for a family that does not count."""
        self.hidden: set[int] = set()
        """The numbers of definitions that do not count for now; see `Merger.merge`."""
        self.series_counts: list[int] = []
        """By definition number: how many series it has."""
        self.offsets: list[Offsets] = [Offsets(absent) for absent in ABSENT]
        """By vector."""
        self.info_series: list[tuple[CachedFamily, int]] = []
        """The series numbers of infos."""
        self.each_series: list[tuple[CachedFamily, int]] = []
        """The series numbers of gauges in a mode of "each"."""
        self.repeated: list[int] = []
        """The numbers of series that the shard has a second time; the first one counts while it is there."""
