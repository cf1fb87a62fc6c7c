"""The indexes of all shards, kept from scrape to scrape; see `merge_cache.py`.

Rules:

- Only the growth of a layout is read: new definitions, new series, removals.
- The series of a family have a position in a vector while any shard has them. A position that was left stays unused
  until the whole cache is built again.
- A block of labels that several shards share is looked up once, as long as its series have positions in a row.
- A shard of the process that merges counts only with the metrics that the process shows (see `Merger.merge`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from pytheus.definitions import Definition
from pytheus.kinds import MergeRule
from pytheus.shards.archive import Archive
from pytheus.shards.label_blocks import LabelBlock
from pytheus.shards.merge_cache import NO_VECTOR, VECTORS, CachedBlock, CachedFamily, CachedSeries, ShardIndex
from pytheus.shards.merge_rules import DefinitionKey, definition_key, includes_dead
from pytheus.shards.snapshot import Snapshot

__all__ = ["ShardIndexes"]

_MAX_UNUSED: Final = 1024
"""How many positions of a vector may be unused before the cache is built again, unless more than half are in use."""


class ShardIndexes:
    """The index of each shard and of the archive, and the families that they have."""

    def __init__(self) -> None:
        self._counted_for: list[Definition] = []
        self._reset()

    def _reset(self) -> None:
        """Discard the whole cache, and with it the positions of removed series."""
        self.families: dict[DefinitionKey, CachedFamily] = {}
        self.by_token: dict[str, ShardIndex] = {}
        self.of_archive: ShardIndex = ShardIndex(Archive().layout, live=False)
        # By vector.
        self.lengths: list[int] = [0] * VECTORS
        self._unused: list[int] = [0] * VECTORS
        self.have_changed: bool = True
        """Whether any shard has other families than when this was last set to False."""
        # The ids of the families that count in this process's shards, with `_counted_for` as its definitions.
        self._counted: set[int] | None = None

    def update(self, present: list[Snapshot], archive: Archive) -> None:
        """Update the indexes to those of the present shards and the archive."""
        if any(
            unused > max(_MAX_UNUSED, length // 2) for unused, length in zip(self._unused, self.lengths, strict=True)
        ):
            self._reset()
        former = self.by_token
        indexes: dict[str, ShardIndex] = {}
        dropped: list[ShardIndex] = []
        for snapshot in present:
            token = snapshot.identity.token
            index = former.pop(token, None)
            if index is None or index.layout is not snapshot.layout or index.live != snapshot.live:
                if index is not None:
                    dropped.append(index)
                index = ShardIndex(snapshot.layout, live=snapshot.live)
                self.have_changed = True
            indexes[token] = index
            self._update_index(index)
        dropped += former.values()
        self.by_token = indexes
        if self.of_archive.layout is not archive.layout:
            dropped.append(self.of_archive)
            self.of_archive = ShardIndex(archive.layout, live=False)
            self.have_changed = True
        self._update_index(self.of_archive)
        # Last, so that a series that another shard has keeps its position.
        for index in dropped:
            self._drop(index)

    def _update_index(self, index: ShardIndex) -> None:
        """Read the growth of the layout."""
        layout = index.layout
        definitions = layout.definitions
        if len(index.families) < len(definitions):
            for definition in definitions[len(index.families) :]:
                counts = index.live or includes_dead(definition)
                index.families.append(self.family(definition) if counts else None)
                index.series_counts.append(0)
        removed = layout.removed
        while index.removals_read < len(removed):
            number = removed[index.removals_read]
            index.removals_read += 1
            if number < index.series_read:
                self._remove_series(index, number)
        first = index.series_read
        index.series_read = len(layout.offsets)
        blocks = layout.blocks[index.blocks_read :]
        index.blocks_read += len(blocks)
        for start, block in blocks:
            self._add_each(index, first, start)
            first = start + len(block.labels)
            if not self._add_block(index, start, block):
                self._add_each(index, start, first)
        self._add_each(index, first, index.series_read)

    def _add_each(self, index: ShardIndex, first: int, end: int) -> None:
        """Add the series with these numbers to the index, one by one."""
        if first >= end:
            return
        layout = index.layout
        # As lists, because there may be millions.
        offsets: list[int] = layout.offsets[first:end].tolist()
        definition_numbers: list[int] = layout.definition_numbers[first:end].tolist()
        for step, offset in enumerate(offsets):
            definition_number = definition_numbers[step]
            family = index.families[definition_number]
            if offset >= 0 and family is not None and self._add_series(index, family, first + step, offset):
                self._count(index, definition_number, 1)

    def _count(self, index: ShardIndex, definition_number: int, added: int) -> None:
        if not index.series_counts[definition_number]:
            self.have_changed = True
        index.series_counts[definition_number] += added

    def _add_block(self, index: ShardIndex, first: int, block: LabelBlock) -> bool:
        """Add the series of a block, all at once; False, without any of them, if they have to be added one by one."""
        layout = index.layout
        definition_number = layout.definition_numbers[first]
        family = index.families[definition_number]
        count = len(block.labels)
        if family is None:
            return True
        if family.vector == NO_VECTOR or (layout.removed and min(layout.offsets[first : first + count]) < 0):
            return False
        cached = family.blocks.get(id(block)) or self._cached_block(family, block)
        if cached is None:
            return False
        start = cached.series[0].start
        offsets = index.offsets[family.vector]
        if offsets.has_any(start, count * family.size):
            return False
        offsets.put(start, layout.offsets[first], count * family.size)
        for series in cached.series:
            series.shard_count += 1
        self._count(index, definition_number, count)
        return True

    def _cached_block(self, family: CachedFamily, block: LabelBlock) -> CachedBlock | None:
        """The merged series of a block, new ones if the family has none of them; None unless they are in a row."""
        known = family.series
        labels_of = block.labels
        series: list[CachedSeries] = []
        if known.keys().isdisjoint(labels_of):
            if len(set(labels_of)) < len(labels_of):
                return None
            start = self.lengths[family.vector]
            for labels in labels_of:
                each = known[labels] = CachedSeries(labels, start)
                series.append(each)
                start += family.size
            self.lengths[family.vector] = start
            family.changed()
        else:
            for labels in labels_of:
                found = known.get(labels)
                if found is None or (series and found.start != series[-1].start + family.size):
                    return None
                series.append(found)
        cached = family.blocks[id(block)] = CachedBlock(block, series)
        return cached

    def hide_series(
        self, local: Sequence[Definition], own_tokens: Collection[str], withheld: Sequence[Definition]
    ) -> None:
        """Remove from the indexes of this process's shards all series that do not count."""
        if not own_tokens:
            return
        if self._counted is None or local != self._counted_for or withheld:
            families = {id(self.family(definition)) for definition in local}
            self._counted = families.difference(id(self.family(definition)) for definition in withheld)
            self._counted_for = [] if withheld else list(local)
        counted = self._counted
        for token in own_tokens:
            index = self.by_token.get(token)
            if index is None:
                continue
            definitions = index.layout.definitions
            if any(id(self.family(definitions[number])) in counted for number in index.hidden):
                # Their registration has ended, so they count from now on.
                former = index
                index = self.by_token[token] = ShardIndex(former.layout, live=former.live)
                self._update_index(index)
                self._drop(former)
            for number, family in enumerate(index.families):
                if family is not None and id(family) not in counted and index.series_counts[number]:
                    self._hide_definition(index, number)

    def _hide_definition(self, index: ShardIndex, definition_number: int) -> None:
        layout = index.layout
        numbers = layout.definition_numbers[: index.series_read].tolist()
        for number, owner in enumerate(numbers):
            if owner == definition_number and layout.offsets[number] >= 0:
                self._remove_series(index, number)
        index.families[definition_number] = None
        index.hidden.add(definition_number)

    def family(self, definition: Definition) -> CachedFamily:
        key = definition_key(definition)
        family = self.families.get(key)
        if family is None:
            family = self.families[key] = CachedFamily(definition)
        return family

    def _add_series(self, index: ShardIndex, family: CachedFamily, number: int, offset: int) -> bool:
        """Add a series to the index; False if the shard has that series already."""
        if family.vector == NO_VECTOR:
            (index.info_series if family.rule is MergeRule.INFO else index.each_series).append((family, number))
            return True
        labels_of = index.layout.labels
        labels = labels_of[number]
        vector = family.vector
        size = family.size
        series = family.series.get(labels)
        if series is None:
            series = family.series[labels] = CachedSeries(labels, self.lengths[vector])
            self.lengths[vector] += size
            family.changed()
        elif series.labels is not labels:
            labels_of[number] = series.labels  # an equal tuple, so that all shards share one object
        offsets = index.offsets[vector]
        start = series.start
        if offsets.has(start):
            # A series twice in a shard: the first one counts until it is removed.
            index.repeated.append(number)
            return False
        offsets.put(start, offset, size)
        series.shard_count += 1
        return True

    def _remove_series(self, index: ShardIndex, number: int) -> None:
        """Remove a series from the index."""
        layout = index.layout
        definition_number = layout.definition_numbers[number]
        family = index.families[definition_number]
        if family is None:
            return
        if number in index.repeated:
            index.repeated.remove(number)
            return
        if family.rule is MergeRule.INFO:
            index.info_series = [entry for entry in index.info_series if entry[1] != number]
        elif family.rule is MergeRule.EACH:
            index.each_series = [entry for entry in index.each_series if entry[1] != number]
        elif not self._vacate(index, family, layout.labels[number]):
            return
        index.series_counts[definition_number] -= 1
        if not index.series_counts[definition_number]:
            self.have_changed = True
        for other in index.repeated.copy():
            # Its twin is gone, so it counts now, unless it was removed as well.
            if (
                layout.labels[other] == layout.labels[number]
                and index.families[layout.definition_numbers[other]] is family
                and layout.offsets[other] >= 0
            ):
                index.repeated.remove(other)
                if self._add_series(index, family, other, layout.offsets[other]):
                    index.series_counts[layout.definition_numbers[other]] += 1
                    self.have_changed = True

    def _drop(self, index: ShardIndex) -> None:
        """Remove the series that only this shard has."""
        labels_of = index.layout.labels
        for number, definition_number in enumerate(index.layout.definition_numbers[: index.series_read].tolist()):
            family = index.families[definition_number]
            if family is not None and family.vector != NO_VECTOR:
                self._vacate(index, family, labels_of[number])
        self.have_changed = True

    def _vacate(self, index: ShardIndex, family: CachedFamily, labels: tuple[str, ...]) -> bool:
        """Mark a series as absent in the index; False if it is absent already."""
        series = family.series.get(labels)
        if series is None:
            return False
        vector = family.vector
        offsets = index.offsets[vector]
        if not offsets.has(series.start):
            return False
        offsets.clear(series.start, family.size)
        series.shard_count -= 1
        if series.shard_count == 0:
            del family.series[labels]
            family.blocks.clear()
            family.changed()
            self._unused[vector] += family.size
        return True
