"""Merges the numbers of all shards.

Rules:

- The index of a layout is kept, and only the growth of the layout is read. So a scrape gathers and reduces whole
  vectors (see `merge_cache.py`), and looks at no single series.
- Shards are merged in the order in which they began, whatever order they came in.
- A shard that is not live counts as if the archive had it. A shard whose token the archive has is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Final

from pytheus.definitions import Definition
from pytheus.kinds import MergeRule
from pytheus.names import RESERVED_NAMES
from pytheus.registry.storage import is_unset
from pytheus.shards.archive import Archive, DeadValue
from pytheus.shards.merge_cache import VECTORS, CachedFamily, ShardIndex, padded
from pytheus.shards.merge_rules import definition_key
from pytheus.shards.merged_family import ExtraSample, MergedFamily, MergeResult
from pytheus.shards.merged_start_times import MergedStartTimes, StartTimesColumn
from pytheus.shards.native_family import MergedNativeFamily
from pytheus.shards.reduce import reduce_columns
from pytheus.shards.shard_indexes import ShardIndexes
from pytheus.shards.snapshot import ShardIdentity, Snapshot

__all__ = ["Conflict", "Merger"]

Conflict = tuple[Definition | None, Definition]
"""The definition that is exposed (None: the name is reserved), and the one that is left out."""

_SUM_WITH_DEAD: Final = 1
"""The vector of sums that include ended processes."""

_VECTORS_WITH_UNSET: Final = (2 * MergeRule.MIN, 2 * MergeRule.MIN + 1, 2 * MergeRule.MAX, 2 * MergeRule.MAX + 1)
"""The vectors of gauges that no process may have set."""

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
        self._all_plain: bool = True
        self._conflicts: list[Conflict] = []
        self._indexes: Final = ShardIndexes()
        self._start_times: Final = MergedStartTimes()
        self._columns: list[StartTimesColumn] = []

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
        own_tokens: Collection[str] = (),
        withheld: Sequence[Definition] = (),
        joined: Sequence[Definition] = (),
    ) -> list[MergedFamily]:
        """The families of all `snapshots` and `archive`.

        No two of them share a name, and none has a name of `reserved`. Those of `local` come first, in that order, also
        without series; the others, if they have any, follow by name. Where processes define a name differently, `local`
        decides, then the newest shard; `conflicts` has the rest.

        The shards with `own_tokens` are those of the process that defines `local`. They count only for the definitions
        of `local` that are not `withheld`, and those that have `joined` from another shard, because any other is just
        being added to them or removed from them.
        """
        present = self._present(snapshots, archive)
        indexes = self._indexes
        indexes.update(present, archive)
        indexes.hide_series([*local, *joined], own_tokens, withheld)
        if self._dead_values is not archive.dead_values:
            self._dead_values = archive.dead_values
            indexes.have_changed = True
        self._choose_families(list(local), list(reserved))
        totals = self._totals(present, archive)
        extra = self._info_samples(present)
        self._add_each_samples(present, archive, extra)
        present_indexes = [indexes.by_token[snapshot.identity.token] for snapshot in present]
        columns = self._start_times_columns([*present_indexes, indexes.of_archive])
        length = indexes.lengths[_SUM_WITH_DEAD]
        result = MergeResult(totals, present_indexes, lambda: self._start_times.vector(columns, length))
        if self._all_plain:
            return [
                MergedFamily(family.definition, family, result, family.listing(), extra.get(id(family), _NO_SAMPLES))
                for family in self._exposed
            ]
        families: list[MergedFamily] = []
        for family in self._exposed:
            definition = family.row_definition(hosts=self._hosts) if family.is_each else family.definition
            samples = extra.get(id(family), _NO_SAMPLES)
            if family.bucket_family_key is None:
                families.append(MergedFamily(definition, family, result, family.listing(), samples))
            elif definition.native is not None:
                buckets = indexes.families.get(family.bucket_family_key)
                listing, options = family.listing(), definition.native
                families.append(MergedNativeFamily(definition, family, result, listing, samples, options, buckets))
        return families

    def _start_times_columns(self, indexes: Sequence[ShardIndex]) -> list[StartTimesColumn]:
        """Where the start times of all series are: the columns of the merge before, as far as nothing has changed."""
        former = self._columns
        columns: list[StartTimesColumn] = []
        for index in indexes:
            offsets = index.offsets[_SUM_WITH_DEAD]
            if offsets.length:
                layout = index.layout
                positions, replaced = offsets.positions(), layout.start_times.replaced
                column = former[len(columns)] if len(columns) < len(former) else None
                if (
                    column is None
                    or column.positions is not positions
                    or column.series_count != index.series_read
                    or column.replaced is not replaced
                ):
                    column = StartTimesColumn(layout, positions, index.series_read, replaced)
                columns.append(column)
        self._columns = columns
        return columns

    def _present(self, snapshots: Sequence[Snapshot], archive: Archive) -> list[Snapshot]:
        present: list[Snapshot] = []
        seen = set(archive.folded_tokens)
        for snapshot in sorted(snapshots, key=_age):
            token = snapshot.identity.token
            if token not in seen:
                seen.add(token)
                present.append(snapshot)
        return present

    # Families ---------------------------------------------------------------------------------------------------------

    def _choose_families(self, local: list[Definition], reserved: list[str]) -> None:
        """Decide which families are exposed, and in which order."""
        if not self._indexes.have_changed and local == self._local and reserved == self._reserved:
            return
        self._local = local
        self._reserved = reserved
        claimed: dict[str, Definition | None] = dict.fromkeys((*RESERVED_NAMES, *reserved))
        exposed: list[CachedFamily] = []
        conflicts: list[Conflict] = []
        local_ids: set[int] = set()
        for definition in local:
            family = self._indexes.family(definition)
            family.definition = definition
            local_ids.add(id(family))
            if not family.is_buckets and _claim(family, claimed, conflicts):
                exposed.append(family)
        newest: dict[int, int] = {}
        others: list[CachedFamily] = []
        # From the oldest shard to the newest.
        for rank, family, definition in self._defined():
            if id(family) not in local_ids and not family.is_buckets:
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
        # The most frequent case, in which each family is the same kind of object.
        self._all_plain = all(not family.is_each and family.bucket_family_key is None for family in self._exposed)
        self._conflicts = conflicts
        used_ids = local_ids.union(newest)
        for index in [self._indexes.of_archive, *self._indexes.by_token.values()]:
            used_ids.update(map(id, index.families))
        self._indexes.families = {
            key: family for key, family in self._indexes.families.items() if id(family) in used_ids
        }
        self._indexes.have_changed = False

    def _defined(self) -> Iterator[tuple[int, CachedFamily, Definition]]:
        """The definitions of all series, with the shard's rank (0: the archive)."""
        for value in self._dead_values:
            yield 0, self._indexes.family(value.definition), value.definition
        for rank, index in enumerate([self._indexes.of_archive, *self._indexes.by_token.values()]):
            for family, count, definition in zip(
                index.families, index.series_counts, index.layout.definitions, strict=False
            ):
                if family is not None and count:
                    yield rank, family, definition

    # Numbers ----------------------------------------------------------------------------------------------------------

    def _totals(self, present: list[Snapshot], archive: Archive) -> list[list[float]]:
        """By vector: the merged numbers of all shards and the archive."""
        columns: list[list[Sequence[float]]] = [[] for _ in range(VECTORS)]
        for snapshot in present:
            index = self._indexes.by_token[snapshot.identity.token]
            self._gather(index, snapshot.numbers, columns)
            base = snapshot.base
            if base is not None:
                self._gather_sums(index, [-number for number in base], columns)
        self._gather(self._indexes.of_archive, archive.numbers, columns)
        for remainder in archive.remainders:
            self._gather_sums(self._indexes.of_archive, remainder, columns)
        totals = [reduce_columns(MergeRule(vector // 2), gathered) for vector, gathered in enumerate(columns)]
        for vector in _VECTORS_WITH_UNSET:
            totals[vector] = [0.0 if number != number and is_unset(number) else number for number in totals[vector]]
        return totals

    def _gather(self, index: ShardIndex, numbers: Sequence[float], columns: list[list[Sequence[float]]]) -> None:
        several: list[float] | None = None
        for vector in range(VECTORS):
            offsets = index.offsets[vector]
            if offsets.length:
                length = self._indexes.lengths[vector]
                column = offsets.slice(length, numbers)
                if column is None:
                    if several is None:
                        several = padded(numbers)
                    column = offsets.gather(length, several)
                columns[vector].append(column)

    def _gather_sums(self, index: ShardIndex, numbers: Sequence[float], columns: list[list[Sequence[float]]]) -> None:
        offsets = index.offsets[_SUM_WITH_DEAD]
        if offsets.length:
            length = self._indexes.lengths[_SUM_WITH_DEAD]
            all_numbers = [*numbers, *[0.0] * (index.layout.size - len(numbers))]
            column = offsets.slice(length, all_numbers) or offsets.gather(length, padded(all_numbers))
            columns[_SUM_WITH_DEAD].append(column)

    # Series of a single process or info -------------------------------------------------------------------------------

    def _info_samples(self, present: list[Snapshot]) -> dict[int, list[ExtraSample]]:
        """By family: each different set of an info's labels once."""
        samples: dict[int, list[ExtraSample]] = {}
        seen: set[tuple[int, tuple[tuple[str, str], ...]]] = set()
        for snapshot in present:
            index = self._indexes.by_token[snapshot.identity.token]
            for family, number in index.info_series:
                info = index.layout.info.get(number)
                if info is None:
                    continue
                labels = dict(zip(family.definition.labels, index.layout.labels[number], strict=True))
                labels |= info
                key = (id(family), tuple(sorted(labels.items())))
                if key not in seen:
                    seen.add(key)
                    samples.setdefault(id(family), []).append(ExtraSample(labels, 1.0, info=info))
        return samples

    def _add_each_samples(
        self, present: list[Snapshot], archive: Archive, samples: dict[int, list[ExtraSample]]
    ) -> None:
        """Add the numbers of gauges in a mode of "each", with labels for the process."""
        found: dict[tuple[int, tuple[str, ...], str, str], tuple[float, str]] = {}
        set_series: set[tuple[int, tuple[str, ...]]] = set()
        families: dict[int, CachedFamily] = {}
        entries: list[tuple[bool, int, str, CachedFamily, tuple[str, ...], ShardIdentity, float]] = []
        for dead in archive.dead_values:
            identity = dead.identity
            family = self._indexes.families[definition_key(dead.definition)]
            entries.append((False, identity.started_ns, identity.token, family, dead.labels, identity, dead.value))
        for snapshot in present:
            identity = snapshot.identity
            index = self._indexes.by_token[identity.token]
            for family, series in index.each_series:
                value = snapshot.numbers[index.layout.offsets[series]]
                labels_ = index.layout.labels[series]
                entries.append((snapshot.live, identity.started_ns, identity.token, family, labels_, identity, value))
        # Of two processes with the same pid the newer one is shown, and a live one before one that has ended. If they
        # live in different containers, the pid alone does not say which is which.
        entries.sort(key=itemgetter(0, 1, 2))
        ambiguous = _ambiguous_pids(present) if entries and not self._hosts else set()
        for live, _, token, family, values, identity, number in entries:
            families[id(family)] = family
            pid = f"{identity.pid}-{token[:8]}" if identity.pid in ambiguous else str(identity.pid)
            process = (id(family), values, self._host(identity), pid)
            if not is_unset(number):
                set_series.add((id(family), values))
                found[process] = number, token
            elif live:
                found.setdefault(process, (number, token))
        for (key, values, host, pid), (number, token) in found.items():
            if is_unset(number):
                if (key, values) in set_series:
                    continue  # a process that never set it takes no part
                number = 0.0
            names = families[key].row_definition(hosts=self._hosts).labels
            process_labels = (*values, host, pid) if self._hosts else (*values, pid)
            labels = dict(zip(names, process_labels, strict=True))
            samples.setdefault(key, []).append(ExtraSample(labels, number, values, token))

    def _host(self, identity: ShardIdentity) -> str:
        return identity.host if self._hosts else ""


def _age(snapshot: Snapshot) -> tuple[int, str]:
    return snapshot.identity.started_ns, snapshot.identity.token


def _ambiguous_pids(snapshots: list[Snapshot]) -> set[int]:
    """The pids that live processes of several hosts have."""
    processes = {(snapshot.identity.pid, snapshot.identity.host) for snapshot in snapshots if snapshot.live}
    pids = [pid for pid, _ in processes]
    return {pid for pid in pids if pids.count(pid) > 1} if len(set(pids)) < len(pids) else set()


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
