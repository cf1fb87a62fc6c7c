"""Merges the numbers of all shards.

Rules:

- The index of a layout is kept, and only the growth of the layout is read. So a scrape gathers and reduces whole
  vectors (see `merge_cache.py`), and looks at no single series.
- Shards are merged in the order in which they began, whatever order they came in.
- A shard that is not live counts as if the archive had it. A shard whose token the archive has is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Final

from pytheus.definitions import Definition
from pytheus.kinds import MergeRule
from pytheus.names import RESERVED_NAMES
from pytheus.shards.archive import Archive, DeadValue
from pytheus.shards.merge_cache import ABSENT, NO_VECTOR, VECTORS, CachedFamily, CachedSeries, ShardIndex
from pytheus.shards.merge_rules import DefinitionKey, definition_key, includes_dead
from pytheus.shards.merged_family import ExtraSample, MergedFamily, MergeResult
from pytheus.shards.reduce import reduce_columns
from pytheus.shards.snapshot import ShardIdentity, Snapshot

__all__ = ["Conflict", "Merger"]

Conflict = tuple[Definition | None, Definition]
"""The definition that is exposed (None: the name is reserved), and the one that is left out."""

_SUM_WITH_DEAD: Final = 1
"""The vector of sums that include ended processes."""

_MAX_UNUSED: Final = 1024
"""How many positions of a vector may be unused before the cache is built again, unless more than half are in use."""

_NO_SAMPLES: Final[list[ExtraSample]] = []


class Merger:
    """Merges shards, scrape after scrape, and keeps an index of their layouts.

        >>> from pytheus.shards import Layout
        >>> layout = Layout()
        >>> layout.add_series(layout.add_definition(Definition("hits_total", "counter", "Hits.")), (), 0)
        0
        >>> shards = [Snapshot(ShardIdentity("web-1", pid, pid, str(pid)), True, layout, [2.0]) for pid in (71, 72)]
        >>> for family in Merger().merge(shards, Archive()):
        ...     print("".join(family.text_parts("")), end="")
        # HELP hits_total Hits.
        # TYPE hits_total counter
        hits_total 4.0

    With `hosts`, the shards are on several machines: gauges of the mode "each" then have a label `host` besides `pid`.
    One thread at a time may use a merger.
    """

    def __init__(self, *, hosts: bool = False) -> None:
        self._hosts: Final = hosts
        self._dead_values: Sequence[DeadValue] = ()
        self._local: list[Definition] = []
        self._reserved: list[str] = []
        self._exposed: list[CachedFamily] = []
        self._conflicts: list[Conflict] = []
        self._reset()

    def _reset(self) -> None:
        """Discard the whole cache, and with it the positions of removed series."""
        self._families: dict[DefinitionKey, CachedFamily] = {}
        self._indexes: dict[str, ShardIndex] = {}
        self._archive_index = ShardIndex(Archive().layout, live=False)
        # By vector.
        self._lengths: list[int] = [0] * VECTORS
        self._unused: list[int] = [0] * VECTORS
        self._is_chosen = False

    @property
    def conflicts(self) -> Sequence[Conflict]:
        """The definitions that the last merge left out."""
        return self._conflicts

    def merge(
        self,
        snapshots: Sequence[Snapshot],
        archive: Archive,
        *,
        local: Sequence[Definition] = (),
        reserved: Iterable[str] = (),
    ) -> list[MergedFamily]:
        """The families of all `snapshots` and `archive`.

        No two of them share a name, and none has a name of `reserved`. Those of `local` come first, in that order, also
        without series; the others, if they have any, follow by name. Where processes define a name differently, `local`
        decides, then the newest shard; `conflicts` has the rest.
        """
        present = self._present(snapshots, archive)
        self._update_indexes(present, archive)
        self._choose_families(list(local), list(reserved))
        totals = self._totals(present, archive)
        extra = self._info_samples(present)
        self._add_each_samples(present, archive, extra)
        result = MergeResult(totals, [self._indexes[snapshot.identity.token] for snapshot in present])
        return [
            MergedFamily(family.definition, family, result, family.listing(), extra.get(id(family), _NO_SAMPLES))
            for family in self._exposed
        ]

    # Indexes ----------------------------------------------------------------------------------------------------------

    def _present(self, snapshots: Sequence[Snapshot], archive: Archive) -> list[Snapshot]:
        present: list[Snapshot] = []
        seen = set(archive.folded_tokens)
        for snapshot in sorted(snapshots, key=_age):
            token = snapshot.identity.token
            if token not in seen:
                seen.add(token)
                present.append(snapshot)
        return present

    def _update_indexes(self, present: list[Snapshot], archive: Archive) -> None:
        """Update the indexes to those of the present shards and the archive."""
        if any(
            unused > max(_MAX_UNUSED, length // 2) for unused, length in zip(self._unused, self._lengths, strict=True)
        ):
            self._reset()
        former = self._indexes
        indexes: dict[str, ShardIndex] = {}
        dropped: list[ShardIndex] = []
        for snapshot in present:
            token = snapshot.identity.token
            index = former.pop(token, None)
            if index is None or index.layout is not snapshot.layout or index.live != snapshot.live:
                if index is not None:
                    dropped.append(index)
                index = ShardIndex(snapshot.layout, live=snapshot.live)
                self._is_chosen = False
            indexes[token] = index
            self._update_index(index)
        dropped += former.values()
        self._indexes = indexes
        if self._archive_index.layout is not archive.layout:
            dropped.append(self._archive_index)
            self._archive_index = ShardIndex(archive.layout, live=False)
            self._is_chosen = False
        self._update_index(self._archive_index)
        if self._dead_values is not archive.dead_values:
            self._dead_values = archive.dead_values
            self._is_chosen = False
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
                index.families.append(self._family(definition) if counts else None)
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
                        self._is_chosen = False
                    index.series_counts[definition_number] += 1

    def _family(self, definition: Definition) -> CachedFamily:
        key = definition_key(definition)
        family = self._families.get(key)
        if family is None:
            family = self._families[key] = CachedFamily(definition)
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
            series = family.series[labels] = CachedSeries(labels, self._lengths[vector])
            self._lengths[vector] += size
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
                return False  # a series twice in a shard is a mistake of its writer; the first one counts
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
        if family.rule is MergeRule.INFO:
            index.info_series = [entry for entry in index.info_series if entry[1] != number]
        elif family.rule is MergeRule.EACH:
            index.each_series = [entry for entry in index.each_series if entry[1] != number]
        elif not self._vacate(index, family, layout.labels[number]):
            return
        index.series_counts[definition_number] -= 1
        if not index.series_counts[definition_number]:
            self._is_chosen = False

    def _drop(self, index: ShardIndex) -> None:
        """Remove the series that only this shard has."""
        labels_of = index.layout.labels
        for number, definition_number in enumerate(index.layout.definition_numbers[: index.series_read].tolist()):
            family = index.families[definition_number]
            if family is not None and family.vector != NO_VECTOR:
                self._vacate(index, family, labels_of[number])
        self._is_chosen = False

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

    # Families ---------------------------------------------------------------------------------------------------------

    def _choose_families(self, local: list[Definition], reserved: list[str]) -> None:
        """Decide which families are exposed, and in which order."""
        if self._is_chosen and local == self._local and reserved == self._reserved:
            return
        self._local = local
        self._reserved = reserved
        claimed: dict[str, Definition | None] = dict.fromkeys((*RESERVED_NAMES, *reserved))
        exposed: list[CachedFamily] = []
        conflicts: list[Conflict] = []
        local_ids: set[int] = set()
        for definition in local:
            family = self._family(definition)
            family.definition = definition
            if _claim(family, claimed, conflicts):
                exposed.append(family)
            local_ids.add(id(family))
        newest: dict[int, int] = {}
        others: list[CachedFamily] = []
        # From the oldest shard to the newest.
        for rank, family, definition in self._defined():
            if id(family) not in local_ids:
                if id(family) not in newest:
                    others.append(family)
                newest[id(family)] = rank
                family.definition = definition
        others.sort(key=lambda family: (newest[id(family)], definition_key(family.definition)), reverse=True)
        accepted: list[CachedFamily] = []
        for family in others:
            # A definition that only the archive has is left from an older version: not a conflict to report.
            if _claim(family, claimed, conflicts if newest[id(family)] else []):
                accepted.append(family)
        accepted.sort(key=lambda family: family.definition.name)
        self._exposed = exposed + accepted
        self._conflicts = conflicts
        used_ids = local_ids.union(newest)
        for index in [self._archive_index, *self._indexes.values()]:
            used_ids.update(map(id, index.families))
        self._families = {key: family for key, family in self._families.items() if id(family) in used_ids}
        self._is_chosen = True

    def _defined(self) -> Iterator[tuple[int, CachedFamily, Definition]]:
        """The definitions of all series, with the shard's rank (0: the archive)."""
        for value in self._dead_values:
            yield 0, self._family(value.definition), value.definition
        for rank, index in enumerate([self._archive_index, *self._indexes.values()]):
            for family, count, definition in zip(
                index.families, index.series_counts, index.layout.definitions, strict=False
            ):
                if family is not None and count:
                    yield rank, family, definition

    # Numbers ----------------------------------------------------------------------------------------------------------

    def _totals(self, present: list[Snapshot], archive: Archive) -> list[list[float]]:
        """By vector: the merged numbers of all shards and the archive."""
        columns: list[list[tuple[float, ...]]] = [[] for _ in range(VECTORS)]
        for snapshot in present:
            index = self._indexes[snapshot.identity.token]
            self._gather(index, snapshot.numbers, columns)
            base = snapshot.base
            if base is not None:
                self._gather_sums(index, [-number for number in base], columns)
        self._gather(self._archive_index, archive.numbers, columns)
        for remainder in archive.remainders:
            self._gather_sums(self._archive_index, remainder, columns)
        return [reduce_columns(MergeRule(vector // 2), gathered) for vector, gathered in enumerate(columns)]

    def _gather(self, index: ShardIndex, numbers: Sequence[float], columns: list[list[tuple[float, ...]]]) -> None:
        padded = index.padded(numbers)
        for vector in range(VECTORS):
            if self._lengths[vector]:
                column = index.gather(vector, self._lengths[vector], padded)
                if column is not None:
                    columns[vector].append(column)

    def _gather_sums(self, index: ShardIndex, numbers: Sequence[float], columns: list[list[tuple[float, ...]]]) -> None:
        vector = _SUM_WITH_DEAD
        if self._lengths[vector]:
            padding = [0.0] * (index.layout.size - len(numbers))
            column = index.gather(vector, self._lengths[vector], index.padded([*numbers, *padding]))
            if column is not None:
                columns[vector].append(column)

    # Series of a single process or info -------------------------------------------------------------------------------

    def _info_samples(self, present: list[Snapshot]) -> dict[int, list[ExtraSample]]:
        """By family: each different set of an info's labels once."""
        samples: dict[int, list[ExtraSample]] = {}
        seen: set[tuple[int, tuple[tuple[str, str], ...]]] = set()
        for snapshot in present:
            index = self._indexes[snapshot.identity.token]
            for family, number in index.info_series:
                info = index.layout.info.get(number)
                if info is None:
                    continue
                labels = dict(zip(family.definition.labels, index.layout.labels[number], strict=True))
                labels |= info
                key = (id(family), tuple(sorted(labels.items())))
                if key not in seen:
                    seen.add(key)
                    samples.setdefault(id(family), []).append(ExtraSample(labels, 1.0))
        return samples

    def _add_each_samples(
        self, present: list[Snapshot], archive: Archive, samples: dict[int, list[ExtraSample]]
    ) -> None:
        """Add the numbers of gauges in a mode of "each", with labels for the process."""
        found: dict[tuple[int, tuple[str, ...], str, int], float] = {}
        families: dict[int, CachedFamily] = {}
        entries: list[tuple[bool, int, str, CachedFamily, tuple[str, ...], ShardIdentity, float]] = []
        for dead in archive.dead_values:
            identity = dead.identity
            family = self._families[definition_key(dead.definition)]
            entries.append((False, identity.started_ns, identity.token, family, dead.labels, identity, dead.value))
        for snapshot in present:
            identity = snapshot.identity
            index = self._indexes[identity.token]
            for family, series in index.each_series:
                value = snapshot.numbers[index.layout.offsets[series]]
                labels_ = index.layout.labels[series]
                entries.append((snapshot.live, identity.started_ns, identity.token, family, labels_, identity, value))
        # Of two processes with the same pid the newer one is shown, and a live one before one that has ended.
        entries.sort(key=itemgetter(0, 1, 2))
        for _, _, _, family, values, identity, number in entries:
            families[id(family)] = family
            found[id(family), values, self._host(identity), identity.pid] = number
        for (key, values, host, pid), number in found.items():
            definition = families[key].definition
            labels = dict(zip(definition.labels, values, strict=True))
            if self._hosts:
                labels[_free_label("host", definition.labels)] = host
            labels[_free_label("pid", definition.labels)] = str(pid)
            samples.setdefault(key, []).append(ExtraSample(labels, number))

    def _host(self, identity: ShardIdentity) -> str:
        return identity.host if self._hosts else ""


def _age(snapshot: Snapshot) -> tuple[int, str]:
    return snapshot.identity.started_ns, snapshot.identity.token


def _claim(family: CachedFamily, claimed: dict[str, Definition | None], conflicts: list[Conflict]) -> bool:
    """Claim the names of a family if all are free; otherwise add a conflict."""
    definition = family.definition
    names = definition.occupied_names
    for name in names:
        if name in claimed:
            conflicts.append((claimed[name], definition))
            return False
    for name in names:
        claimed[name] = definition
    return True


def _free_label(label: str, taken: tuple[str, ...]) -> str:
    """A label name that the metric itself does not have."""
    while label in taken:
        label = "shard_" + label
    return label
