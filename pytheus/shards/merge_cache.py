"""The cache of a `Merger`: families, their series, and an index of each shard.

Merged numbers are in *vectors*: one for each merge rule, with and without ended processes. Every merged series has its
place in the vector of its family. The index of a shard says, for each position in a vector, which of the shard's own
numbers belongs there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, nan
from operator import itemgetter
from typing import Final, cast

from pytheus.definitions import Definition
from pytheus.kinds import KINDS, MergeRule
from pytheus.names import base_name
from pytheus.registry.storage import UNSET
from pytheus.shards.layout import Layout
from pytheus.shards.merge_rules import includes_dead, merge_rule_of, series_size
from pytheus.textformat import format_number, header

__all__ = ["ABSENT", "NO_VECTOR", "VECTORS", "CachedFamily", "CachedSeries", "ShardIndex", "vector_of"]

VECTORS: Final = 8
"""How many vectors there are."""

NO_VECTOR: Final = -1
"""The vector of families whose numbers are not reduced: each process or info has a series of its own."""

# The number of a series that a shard does not have: it adds nothing, and is never the least or the greatest; its time
# is never the latest. These numbers follow the shard's own, so that negative indexes find them.
_ABSENT_NUMBERS: Final[list[float]] = [0.0, UNSET, -inf]
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


class CachedFamily:
    """One merged family."""

    __slots__ = ("_head", "_listing", "bucket_heads", "definition", "is_multiline", "rule", "series", "size", "vector")

    def __init__(self, definition: Definition) -> None:
        kind = KINDS[definition.type]
        self.definition: Definition = definition
        """The definition to expose, one of several that match."""
        self.rule: MergeRule = merge_rule_of(definition)
        self.size: int = series_size(definition)
        self.vector: int = vector_of(definition)
        self.is_multiline: bool = kind.base_numbers > 1 or bool(definition.states)
        """Whether a series has several lines."""
        bounds = (*definition.bounds, inf) if kind.reserved_label == "le" else ()
        self.bucket_heads: list[str] = [f'"{format_number(bound)}"}} ' for bound in bounds]
        """The text between ``le=`` and the number in the lines of a histogram's buckets."""
        self.series: dict[tuple[str, ...], CachedSeries] = {}
        self._listing: list[CachedSeries] | None = None
        self._head: tuple[str, Definition, str, str] | None = None

    def changed(self) -> None:
        """Report that `series` has changed."""
        self._listing = None

    def listing(self) -> list[CachedSeries]:
        """All series, in a list that never changes."""
        listing = self._listing
        if listing is None:
            listing = self._listing = list(self.series.values())
        return listing

    def head(self, definition: Definition, prefix: str) -> tuple[str, str]:
        """The family's exposed name with that prefix, and the lines before its samples."""
        head = self._head
        if head is None or head[0] != prefix or head[1] is not definition:
            kind = definition.type
            name = definition.name if self.rule is not MergeRule.INFO else base_name(definition.name, kind) + "_info"
            name = prefix + name
            head = self._head = (prefix, definition, name, header(name, kind, definition.description))
        return head[2], head[3]


class ShardIndex:
    """Which numbers of one shard belong to which positions of the vectors."""

    __slots__ = (
        "_getters",
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
        self.removals_read: int = 0
        """How many removals of the layout are in the index."""
        self.families: list[CachedFamily | None] = []
        """By definition number; None for a family that does not count."""
        self.hidden: set[int] = set()
        """The numbers of definitions that do not count for now; see `Merger.merge`."""
        self.series_counts: list[int] = []
        """By definition number: how many series it has."""
        self.offsets: list[list[int]] = [[] for _ in range(VECTORS)]
        """By vector, then by position in it: the index of the shard's number."""
        self.info_series: list[tuple[CachedFamily, int]] = []
        """The series numbers of infos."""
        self.each_series: list[tuple[CachedFamily, int]] = []
        """The series numbers of gauges in a mode of "each"."""
        self.repeated: list[int] = []
        """The numbers of series that the shard has a second time; the first one counts while it is there."""
        self._getters: list[Callable[[list[float]], tuple[float, ...]] | None] = [None] * VECTORS

    def changed(self, vector: int) -> None:
        """Report that the `offsets` of that vector have changed."""
        self._getters[vector] = None

    def padded(self, numbers: Sequence[float]) -> list[float]:
        """The shard's `numbers` in the form that `gather` takes."""
        return [*numbers, *_ABSENT_NUMBERS]

    def gather(self, vector: int, length: int, padded: list[float]) -> tuple[float, ...] | None:
        """The numbers for all positions of a vector; None if the shard has none."""
        offsets = self.offsets[vector]
        if not offsets:
            return None
        if len(offsets) < length:
            offsets += [ABSENT[vector]] * (length - len(offsets))
            self._getters[vector] = None
        getter = self._getters[vector]
        if getter is None:
            # The last one twice, because a getter of a single item gives no tuple; positions past the end are not read.
            made = itemgetter(*offsets, offsets[-1])
            getter = self._getters[vector] = cast(Callable[[list[float]], tuple[float, ...]], made)
        return getter(padded)
