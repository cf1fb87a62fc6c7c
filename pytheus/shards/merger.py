"""Brings the numbers of all shards together.

Rules:

- What was found out about a layout is kept, and only what it has grown by is looked at. Every series has a place of
  its own in a *lane*, the run of all numbers that are combined in the same way; every shard has a *column*, which says
  where its own number for each place lies. So a scrape gathers and combines whole columns, and asks nothing of single
  series.
- Shards are taken in the order in which they began, whatever order they came in.
- A shard that is not live is treated as if the archive had it. One whose token the archive has is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Final

from pytheus.definitions import Definition
from pytheus.kinds import MergeRule
from pytheus.names import RESERVED_NAMES
from pytheus.shards.archive import Archive, DeadValue
from pytheus.shards.bulk import combined
from pytheus.shards.column import LANES, PADS, Column
from pytheus.shards.combining import Shape, includes_dead, shape_of
from pytheus.shards.identity import ShardIdentity
from pytheus.shards.merged import Apart, MergedFamily, Scrape
from pytheus.shards.snapshot import Snapshot
from pytheus.shards.states import NO_LANE, FamilyState, SeriesState

__all__ = ["Merger"]

_ADDED_WITH_THE_GONE: Final = 1
"""The lane of what adds up, those that are gone included."""

# Stands before all processes, so that it never decides between two definitions.
_ARCHIVE: Final = ShardIdentity("", 0, -1, "")

_UNUSED_AT_MOST: Final = 1024

_NOTHING: Final[list[Apart]] = []


class Merger:
    """Merges shards, scrape after scrape, and keeps what it found out about their layouts.

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

    `hosts` says that the shards are of several machines: gauges of the mode "each" then have a label `host` besides
    `pid`. Not to be used by two threads at once.
    """

    def __init__(self, *, hosts: bool = False) -> None:
        self._hosts: Final = hosts
        self._families: dict[Shape, FamilyState] = {}
        self._columns: dict[str, Column] = {}
        self._archive_column = Column(_ARCHIVE, False, Archive().layout)
        self._left: Sequence[DeadValue] = ()
        # By lane.
        self._cells: list[int] = [0] * LANES
        self._unused: list[int] = [0] * LANES
        self._local: list[Definition] = []
        self._reserved: list[str] = []
        self._arranged = False
        self._exposed: list[FamilyState] = []
        self._conflicts: list[tuple[Definition | None, Definition]] = []

    @property
    def conflicts(self) -> Sequence[tuple[Definition | None, Definition]]:
        """What the last merge left out: the definition that is exposed (None: the name is reserved), and this one."""
        return self._conflicts

    def merge(
        self,
        snapshots: Sequence[Snapshot],
        archive: Archive,
        *,
        local: Sequence[Definition] = (),
        reserved: Iterable[str] = (),
    ) -> list[MergedFamily]:
        """The families of all `snapshots` and `archive`, none of which exposes a name of another, or of `reserved`.

        Those of `local` come first, in that order, also without series; the others, if they have any, follow by name.
        Where two processes have defined a name differently, `local` decides, then the newest shard; `conflicts` tells
        what was left out.
        """
        present = self._present(snapshots, archive)
        self._follow(present, archive)
        self._arrange(list(local), list(reserved))
        totals = self._totals(present, archive)
        apart = self._facts(present)
        self._each(present, archive, apart)
        scrape = Scrape(totals, [self._columns[snapshot.identity.token] for snapshot in present])
        return [
            MergedFamily(state.definition, state, scrape, state.listing(), apart.get(id(state), _NOTHING))
            for state in self._exposed
        ]

    # Layouts ----------------------------------------------------------------------------------------------------------

    def _present(self, snapshots: Sequence[Snapshot], archive: Archive) -> list[Snapshot]:
        present: list[Snapshot] = []
        seen = set(archive.folded_tokens)
        for snapshot in sorted(snapshots, key=_age):
            token = snapshot.identity.token
            if token not in seen:
                seen.add(token)
                present.append(snapshot)
        return present

    def _follow(self, present: list[Snapshot], archive: Archive) -> None:
        """Let there be a column for each shard that is present, and none for others, each as its layout stands."""
        if any(
            unused > max(_UNUSED_AT_MOST, cells // 2) for unused, cells in zip(self._unused, self._cells, strict=True)
        ):
            self._start_over()
        former = self._columns
        columns: dict[str, Column] = {}
        retired: list[Column] = []
        for snapshot in present:
            token = snapshot.identity.token
            column = former.pop(token, None)
            if column is None or column.layout is not snapshot.layout or column.live != snapshot.live:
                if column is not None:
                    retired.append(column)
                column = Column(snapshot.identity, snapshot.live, snapshot.layout)
                self._arranged = False
            columns[token] = column
            self._apply(column)
        retired += former.values()
        self._columns = columns
        if self._archive_column.layout is not archive.layout:
            retired.append(self._archive_column)
            self._archive_column = Column(_ARCHIVE, False, archive.layout)
            self._arranged = False
        self._apply(self._archive_column)
        if self._left is not archive.dead_values:
            self._left = archive.dead_values
            self._arranged = False
        # Last, so that a series that others have keeps its place.
        for column in retired:
            self._retire(column)

    def _start_over(self) -> None:
        """Forget everything, so that places of series that are gone are not gathered for ever."""
        self._families = {}
        self._columns = {}
        self._archive_column = Column(_ARCHIVE, False, Archive().layout)
        self._cells = [0] * LANES
        self._unused = [0] * LANES
        self._arranged = False

    def _apply(self, column: Column) -> None:
        """See what has become of the layout since the last time."""
        layout = column.layout
        definitions = layout.definitions
        if len(column.families) < len(definitions):
            for definition in definitions[len(column.families) :]:
                counts = column.live or includes_dead(definition)
                column.families.append(self._family(definition) if counts else None)
                column.present.append(0)
        gone = layout.removed
        while column.withdrawn < len(gone):
            slot = gone[column.withdrawn]
            column.withdrawn += 1
            if slot < column.applied:
                self._withdraw(column, slot)
        first = column.applied
        if first < len(layout.labels):
            # As lists, and from one moment, for there may be millions of them.
            offsets: list[int] = layout.offsets[first:].tolist()
            numbers: list[int] = layout.definition_numbers[first:].tolist()
            column.applied = first + len(offsets)
            for index, offset in enumerate(offsets):
                number = numbers[index]
                state = column.families[number]
                if offset >= 0 and state is not None and self._include(column, state, first + index, offset):
                    if not column.present[number]:
                        self._arranged = False
                    column.present[number] += 1

    def _family(self, definition: Definition) -> FamilyState:
        shape = shape_of(definition)
        state = self._families.get(shape)
        if state is None:
            state = self._families[shape] = FamilyState(definition)
        return state

    def _include(self, column: Column, state: FamilyState, slot: int, offset: int) -> bool:
        """Take a slot in; False where the shard has that series already."""
        if state.lane == NO_LANE:
            (column.facts if state.way is MergeRule.INFO else column.each).append((state, slot))
            return True
        labels_of = column.layout.labels
        labels = labels_of[slot]
        lane = state.lane
        size = state.size
        series = state.series.get(labels)
        if series is None:
            series = state.series[labels] = SeriesState(labels, self._cells[lane])
            self._cells[lane] += size
            state.listed = None
        elif series.labels is not labels:
            labels_of[slot] = series.labels  # which are equal, so that there is one object for all shards
        offsets = column.offsets[lane]
        cell = series.cell
        length = len(offsets)
        if cell == length:
            offsets += range(offset, offset + size) if size > 1 else (offset,)
        else:
            if cell + size > length:
                offsets += [PADS[lane]] * (cell + size - length)
            elif offsets[cell] >= 0:
                return False  # which no shard should have; the first one counts
            for index in range(size):
                offsets[cell + index] = offset + index
        column.changed(lane)
        series.presence += 1
        return True

    def _withdraw(self, column: Column, slot: int) -> None:
        """Take a slot's place away."""
        layout = column.layout
        definition_number = layout.definition_numbers[slot]
        state = column.families[definition_number]
        if state is None:
            return
        if state.way is MergeRule.INFO:
            column.facts = [entry for entry in column.facts if entry[1] != slot]
        elif state.way is MergeRule.EACH:
            column.each = [entry for entry in column.each if entry[1] != slot]
        else:
            if not self._leave(column, state, layout.labels[slot]):
                return
        column.present[definition_number] -= 1
        if not column.present[definition_number]:
            self._arranged = False

    def _retire(self, column: Column) -> None:
        """Let a shard's series go that no other has."""
        labels_of = column.layout.labels
        for slot, number in enumerate(column.layout.definition_numbers[: column.applied].tolist()):
            state = column.families[number]
            if state is not None and state.lane != NO_LANE:
                self._leave(column, state, labels_of[slot])
        self._arranged = False

    def _leave(self, column: Column, state: FamilyState, labels: tuple[str, ...]) -> bool:
        """Take a series' place in a column away; False where it has none."""
        series = state.series.get(labels)
        if series is None:
            return False
        lane = state.lane
        cell = series.cell
        offsets = column.offsets[lane]
        if cell >= len(offsets) or offsets[cell] < 0:
            return False
        for index in range(state.size):
            offsets[cell + index] = PADS[lane]
        column.changed(lane)
        series.presence -= 1
        if series.presence == 0:
            del state.series[labels]
            state.listed = None
            self._unused[lane] += state.size
        return True

    # Names ------------------------------------------------------------------------------------------------------------

    def _arrange(self, local: list[Definition], reserved: list[str]) -> None:
        """Decide which families are exposed, in which order."""
        if self._arranged and local == self._local and reserved == self._reserved:
            return
        self._local = local
        self._reserved = reserved
        claimed: dict[str, Definition | None] = dict.fromkeys((*RESERVED_NAMES, *reserved))
        exposed: list[FamilyState] = []
        conflicts: list[tuple[Definition | None, Definition]] = []
        held: set[int] = set()
        for definition in local:
            state = self._family(definition)
            state.definition = definition
            if _claim(state, claimed, conflicts):
                exposed.append(state)
            held.add(id(state))
        newest: dict[int, int] = {}
        others: list[FamilyState] = []
        # From the oldest to the newest.
        for rank, found, definition in self._defined():
            if id(found) not in held:
                if id(found) not in newest:
                    others.append(found)
                newest[id(found)] = rank
                found.definition = definition
        others.sort(key=lambda state: (newest[id(state)], shape_of(state.definition)), reverse=True)
        accepted: list[FamilyState] = []
        for state in others:
            # What only processes that are gone had defined is no conflict, but what an older version left.
            if _claim(state, claimed, conflicts if newest[id(state)] else []):
                accepted.append(state)
        accepted.sort(key=lambda state: state.definition.name)
        self._exposed = exposed + accepted
        self._conflicts = conflicts
        kept = held.union(newest)
        for column in [self._archive_column, *self._columns.values()]:
            kept.update(map(id, column.families))
        self._families = {shape: state for shape, state in self._families.items() if id(state) in kept}
        self._arranged = True

    def _defined(self) -> Iterator[tuple[int, FamilyState, Definition]]:
        """Each definition that any shard has series of, with its family, and which shard it is: 0 is the archive."""
        for value in self._left:
            yield 0, self._family(value.definition), value.definition
        for rank, column in enumerate([self._archive_column, *self._columns.values()]):
            for state, count, definition in zip(
                column.families, column.present, column.layout.definitions, strict=False
            ):
                if state is not None and count:
                    yield rank, state, definition

    # Numbers ----------------------------------------------------------------------------------------------------------

    def _totals(self, present: list[Snapshot], archive: Archive) -> list[list[float]]:
        """By lane: the numbers of all shards and the archive brought together."""
        gathered: list[list[tuple[float, ...]]] = [[] for _ in range(LANES)]
        for snapshot in present:
            column = self._columns[snapshot.identity.token]
            self._gather(column, snapshot.numbers, gathered)
            base = snapshot.base
            if base is not None:
                self._gather_sums(column, [-number for number in base], gathered)
        self._gather(self._archive_column, archive.numbers, gathered)
        for remainder in archive.remainders:
            self._gather_sums(self._archive_column, remainder, gathered)
        return [combined(MergeRule(lane // 2), columns) for lane, columns in enumerate(gathered)]

    def _gather(self, column: Column, numbers: Sequence[float], gathered: list[list[tuple[float, ...]]]) -> None:
        padded = column.padded(numbers)
        for lane in range(LANES):
            if self._cells[lane]:
                found = column.gather(lane, self._cells[lane], padded)
                if found is not None:
                    gathered[lane].append(found)

    def _gather_sums(self, column: Column, numbers: Sequence[float], gathered: list[list[tuple[float, ...]]]) -> None:
        lane = _ADDED_WITH_THE_GONE
        if self._cells[lane]:
            padding = [0.0] * (column.layout.size - len(numbers))
            found = column.gather(lane, self._cells[lane], column.padded([*numbers, *padding]))
            if found is not None:
                gathered[lane].append(found)

    def _facts(self, present: list[Snapshot]) -> dict[int, list[Apart]]:
        """By family: each different set of facts once."""
        apart: dict[int, list[Apart]] = {}
        seen: set[tuple[int, tuple[tuple[str, str], ...]]] = set()
        for snapshot in present:
            column = self._columns[snapshot.identity.token]
            for state, slot in column.facts:
                facts = column.layout.info.get(slot)
                if facts is None:
                    continue
                labels = dict(zip(state.definition.labels, column.layout.labels[slot], strict=True))
                labels |= facts
                key = (id(state), tuple(sorted(labels.items())))
                if key not in seen:
                    seen.add(key)
                    apart.setdefault(id(state), []).append(Apart(labels, 1.0))
        return apart

    def _each(self, present: list[Snapshot], archive: Archive, apart: dict[int, list[Apart]]) -> None:
        """By family: each process's number by itself, with labels that say whose it is."""
        found: dict[tuple[int, tuple[str, ...], str, int], float] = {}
        states: dict[int, FamilyState] = {}
        entries: list[tuple[bool, int, str, FamilyState, tuple[str, ...], ShardIdentity, float]] = []
        for left in archive.dead_values:
            identity = left.identity
            state = self._families[shape_of(left.definition)]
            entries.append((False, identity.started_ns, identity.token, state, left.labels, identity, left.value))
        for snapshot in present:
            identity = snapshot.identity
            column = self._columns[identity.token]
            for state, slot in column.each:
                number = snapshot.numbers[column.layout.offsets[slot]]
                labels_ = column.layout.labels[slot]
                entries.append((snapshot.live, identity.started_ns, identity.token, state, labels_, identity, number))
        # Of two processes that had the same pid the newer one is shown, and what lives before what is gone.
        entries.sort(key=itemgetter(0, 1, 2))
        for _, _, _, state, values, identity, number in entries:
            states[id(state)] = state
            found[id(state), values, self._host(identity), identity.pid] = number
        for (key, values, host, pid), number in found.items():
            definition = states[key].definition
            labels = dict(zip(definition.labels, values, strict=True))
            if self._hosts:
                labels[_free("host", definition.labels)] = host
            labels[_free("pid", definition.labels)] = str(pid)
            apart.setdefault(key, []).append(Apart(labels, number))

    def _host(self, identity: ShardIdentity) -> str:
        return identity.host if self._hosts else ""


def _age(snapshot: Snapshot) -> tuple[int, str]:
    return snapshot.identity.started_ns, snapshot.identity.token


def _claim(
    state: FamilyState, claimed: dict[str, Definition | None], conflicts: list[tuple[Definition | None, Definition]]
) -> bool:
    """Let a family have its names, if they are free."""
    definition = state.definition
    names = definition.occupied_names
    for name in names:
        if name in claimed:
            conflicts.append((claimed[name], definition))
            return False
    for name in names:
        claimed[name] = definition
    return True


def _free(label: str, taken: tuple[str, ...]) -> str:
    """A label's name that the metric does not have itself."""
    while label in taken:
        label = "shard_" + label
    return label
