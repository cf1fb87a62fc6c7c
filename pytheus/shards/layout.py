"""Where in a shard's numbers each series is.

Rules:

- A shard's numbers are one flat sequence of doubles. A layout says which series has which part of it. It only grows:
  definitions and series are added, and series are marked as removed, but none changes its number or its offset. So a
  reader looks only at new items.
- A removed series leaves its part of the numbers to a later series. A reader of a shard that is being written reads
  the layout, then the numbers, and then the layout's growth; if a series was removed meanwhile, it starts again.
- Labels and offsets are in columns instead of one object for each series, because there may be millions of them.
- Series that were added as one block are remembered as such, so that a merge handles all of them at once.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pytheus.definitions import Definition
from pytheus.samples import Exemplar
from pytheus.shards.bucket_series import BucketDefinition
from pytheus.shards.label_blocks import LabelBlock
from pytheus.shards.merge_rules import definition_key, series_size
from pytheus.shards.start_times import NO_START_TIMES, StartTimes

__all__ = ["Layout", "SeriesEntry"]


def _identity(definition: Definition) -> int:
    """A number that equal native buckets of one histogram share, and no other definition that the layout has."""
    return ~id(definition.histogram) if isinstance(definition, BucketDefinition) else id(definition)


class SeriesEntry(NamedTuple):
    """One series in a layout.

    Its numbers are ``numbers[offset : offset + size]``, in the order of `pytheus.samples.Row`; those of a gauge in the
    mode "last" are the value and the time of its last set by the store's clock (see `HasClock`), 0 if it was never set.
    """

    definition: Definition
    labels: tuple[str, ...]
    """One value per label name, in the order of definition."""
    offset: int
    size: int


class Layout:
    """The series of a shard, and where their numbers are.

        >>> layout = Layout()
        >>> hits = layout.add_definition(Definition("hits_total", "counter", "Hits.", ("code",)))
        >>> layout.add_series(hits, ("200",), 0)
        0
        >>> layout.entry(0).labels, layout.size
        (('200',), 1)

    Definitions and series are numbered from 0, in the order in which they are added. One thread at a time may change a
    layout; others may read it meanwhile.
    """

    __slots__ = (
        "_definition_numbers_by_id",
        "_series_numbers",
        "_series_sizes",
        "blocks",
        "definition_numbers",
        "definitions",
        "exemplars",
        "info",
        "labels",
        "offsets",
        "removed",
        "size",
        "start_times",
    )

    def __init__(self) -> None:
        self.size: int = 0
        """How many doubles the shard has: no series reaches beyond."""
        self.definitions: list[Definition] = []
        # By definition number.
        self._series_sizes: list[int] = []
        # Columns, by series number.
        self.definition_numbers: array[int] = array("l")
        self.labels: list[tuple[str, ...]] = []
        self.offsets: array[int] = array("q")
        self.blocks: list[tuple[int, LabelBlock]] = []
        """The blocks that were added, each with the number of its first series."""
        self.removed: list[int] = []
        """The numbers of the removed series, in the order of their removal; their offset is -1."""
        self.start_times: StartTimes = StartTimes()
        """By series number: when each began."""
        self.info: dict[int, Mapping[str, str]] = {}
        """By series number: the labels that an info has been set to."""
        self.exemplars: dict[int, dict[int, Exemplar]] = {}
        """By series number, then by slot: the latest exemplar."""
        self._definition_numbers_by_id: dict[int, int] = {}
        # Built when `find_series` is first called.
        self._series_numbers: dict[tuple[int, tuple[str, ...]], int] | None = None

    def __len__(self) -> int:
        """How many series there have been, the removed ones included."""
        return len(self.labels)

    def add_definition(self, definition: Definition) -> int:
        """Add a definition unless this very object is in the layout; gives its number."""
        number = self._definition_numbers_by_id.get(_identity(definition))
        if number is None:
            number = len(self.definitions)
            self._series_sizes.append(series_size(definition))
            self.definitions.append(definition)
            self._definition_numbers_by_id[_identity(definition)] = number
        return number

    def find_definition(self, definition: Definition) -> int | None:
        """The number of this very definition object, or of the native buckets of the same histogram; or None."""
        return self._definition_numbers_by_id.get(_identity(definition))

    def add_series(self, definition: int, labels: tuple[str, ...], offset: int, created: float = 0.0) -> int:
        """Add a series of the definition with that number; gives the series' number.

        `created` is when it began at zero, in seconds since the Unix epoch; 0.0 if that is unknown. Nothing is checked:
        `LayoutReader` checks whatever comes from another process.
        """
        number = len(self.labels)
        if created:
            self.start_times.put(number, created)
        end = offset + self._series_sizes[definition]
        self.definition_numbers.append(definition)
        self.offsets.append(offset)
        self.labels.append(labels)
        if self._series_numbers is not None:
            self._series_numbers[definition, labels] = number
        if end > self.size:
            self.size = end
        return number

    def add_block(self, definition: int, block: LabelBlock, offset: int, start_times: bytes = NO_START_TIMES) -> None:
        """Add a series for each labels of `block`; their numbers lie one after the other from `offset` on.

        `start_times` are as in a record. Otherwise as `add_series`.
        """
        first = len(self.labels)
        count = len(block.labels)
        # Before the series, which other threads may read as soon as they are there.
        self.start_times.put_encoded(first, count, start_times)
        size = self._series_sizes[definition]
        end = offset + size * count
        self.definition_numbers.extend(array("l", [definition]) * count)
        self.offsets.extend(array("q", range(offset, end, size) if size else [offset] * count))
        self.labels += block.labels
        self.blocks.append((first, block))
        if self._series_numbers is not None:
            for number, labels in enumerate(block.labels, first):
                self._series_numbers[definition, labels] = number
        if end > self.size:
            self.size = end

    def add_scattered(
        self, definitions: list[int], values: list[str], offsets: list[int], start_times: bytes = NO_START_TIMES
    ) -> None:
        """Add series of several definitions; `values` has the label values of all. Otherwise as `add_block`."""
        self.start_times.put_encoded(len(self.labels), len(definitions), start_times)
        widths = [len(definition.labels) for definition in self.definitions]
        start = 0
        for number, definition in enumerate(definitions):
            end = start + widths[definition]
            self.add_series(definition, tuple(values[start:end]), offsets[number])
            start = end

    def remove_series(self, number: int) -> None:
        """Mark a series as removed, and drop its info and exemplars. Idempotent."""
        if self.offsets[number] < 0:
            return
        if self._series_numbers is not None:
            self._series_numbers.pop((self.definition_numbers[number], self.labels[number]), None)
        self.offsets[number] = -1
        self.removed.append(number)
        self.info.pop(number, None)
        self.exemplars.pop(number, None)

    def set_info(self, number: int, info: Mapping[str, str]) -> None:
        """Set the labels of an info's series."""
        self.info[number] = info

    def set_exemplar(self, number: int, slot: int, exemplar: Exemplar) -> None:
        """Set the latest exemplar of the number at index `slot` of a series."""
        self.exemplars.setdefault(number, {})[slot] = exemplar

    def entry(self, number: int) -> SeriesEntry | None:
        """The series with that number, or None if it was removed."""
        offset = self.offsets[number]
        if offset < 0:
            return None
        definition = self.definition_numbers[number]
        return SeriesEntry(self.definitions[definition], self.labels[number], offset, self._series_sizes[definition])

    def entries(self) -> Iterator[tuple[int, SeriesEntry]]:
        """Number and entry of each series that was not removed."""
        for number in range(len(self.labels)):
            entry = self.entry(number)
            if entry is not None:
                yield number, entry

    def find_series(self, definition: int, labels: tuple[str, ...]) -> int | None:
        """The number of the newest series of a definition with these labels, or None."""
        found = self._series_numbers
        if found is None:
            found = self._series_numbers = {}
            for number, present_labels in enumerate(self.labels):
                if self.offsets[number] >= 0:
                    found[self.definition_numbers[number], present_labels] = number
        return found.get((definition, labels))

    def rearrange(self, other: Layout, numbers: Sequence[float]) -> list[float]:
        """The `numbers` of `other` in this layout's order, zeros where it has none."""
        entries = {(definition_key(entry.definition), entry.labels): entry for _, entry in other.entries()}
        rearranged = [0.0] * self.size
        for _, entry in self.entries():
            found = entries.get((definition_key(entry.definition), entry.labels))
            if found is not None:
                rearranged[entry.offset : entry.offset + entry.size] = numbers[found.offset : found.offset + found.size]
        return rearranged

    def without_series(self) -> Layout:
        """A layout with the same definitions."""
        other = Layout()
        other.definitions = self.definitions
        other._series_sizes = self._series_sizes
        return other

    def copy(self) -> Layout:
        """A layout with the same content and numbers that grows by itself."""
        other = Layout()
        other.size = self.size
        other.definitions = self.definitions[:]
        other._series_sizes = self._series_sizes[:]
        other.definition_numbers = self.definition_numbers[:]
        other.labels = self.labels[:]
        other.offsets = self.offsets[:]
        other.blocks = self.blocks[:]
        other.removed = self.removed[:]
        other.start_times = self.start_times.copy(len(self.labels))
        other.info = self.info.copy()
        other.exemplars = {number: exemplars.copy() for number, exemplars in self.exemplars.items()}
        other._definition_numbers_by_id = self._definition_numbers_by_id.copy()
        return other

    def __repr__(self) -> str:
        return f"<Layout of {len(self.labels) - len(self.removed)} series, {self.size} numbers>"
