"""The indexes of all shards, kept from scrape to scrape; see `merge_cache.py`.

Rules:

- Only the growth of a layout is read: new definitions, new series, removals.
- The series of a family have a position in a vector while any shard has them. A position that was left stays unused
  until the whole cache is built again.
- A shard of the process that merges counts only with the metrics that the process shows (see `Merger.merge`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from pytheus.definitions import Definition
from pytheus.kinds import MergeRule
from pytheus.shards.archive import Archive
from pytheus.shards.merge_cache import ABSENT, NO_VECTOR, VECTORS, CachedFamily, CachedSeries, ShardIndex
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
        if first < len(layout.labels):
            # As lists, and from one moment, because there may be millions.
            offsets: list[int] = layout.offsets[first:].tolist()
            definition_numbers: list[int] = layout.definition_numbers[first:].tolist()
            index.series_read = first + len(offsets)
            for step, offset in enumerate(offsets):
                definition_number = definition_numbers[step]
                family = index.families[definition_number]
                if offset >= 0 and family is not None and self._add_series(index, family, first + step, offset):
                    if not index.series_counts[definition_number]:
                        self.have_changed = True
                    index.series_counts[definition_number] += 1

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
        length = len(offsets)
        if start == length:
            offsets += range(offset, offset + size) if size > 1 else (offset,)
        else:
            if start + size > length:
                offsets += [ABSENT[vector]] * (start + size - length)
            elif offsets[start] >= 0:
                # A series twice in a shard: the first one counts until it is removed.
                index.repeated.append(number)
                return False
            for step in range(size):
                offsets[start + step] = offset + step
        index.changed(vector)
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
        start = series.start
        offsets = index.offsets[vector]
        if start >= len(offsets) or offsets[start] < 0:
            return False
        for step in range(family.size):
            offsets[start + step] = ABSENT[vector]
        index.changed(vector)
        series.shard_count -= 1
        if series.shard_count == 0:
            del family.series[labels]
            family.changed()
            self._unused[vector] += family.size
        return True
