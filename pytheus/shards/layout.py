"""Where in a shard's numbers each series lies.

Rules:

- A shard's numbers are one flat run of doubles. A layout says which series has which part of it, and grows only: things
  are added, and slots are marked as gone, but nothing changes its number or moves. So what was read once is known.
- A slot that is gone leaves its part of the numbers to a later one. Whoever reads a shard that is being written reads
  the layout, then the numbers, and then again how the layout has grown: if a slot went meanwhile, all over again.
- Labels and offsets are kept in columns, not in an object for each slot: there may be millions.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pytheus.definitions import Definition
from pytheus.samples import Exemplar
from pytheus.shards.combining import series_size

__all__ = ["Layout", "SeriesEntry"]


class SeriesEntry(NamedTuple):
    """One series in a layout.

    Its numbers are ``numbers[offset : offset + size]``, in the order that `pytheus.samples.Row` tells; of a gauge in
    the mode "last" they are the value and when it was set, in seconds since the Unix epoch.
    """

    definition: Definition
    labels: tuple[str, ...]
    """One value per label name, in the order of definition."""
    offset: int
    size: int


class Layout:
    """Which series a shard has, and where their numbers lie.

        >>> layout = Layout()
        >>> hits = layout.add_definition(Definition("hits_total", "counter", "Hits.", ("code",)))
        >>> layout.add_series(hits, ("200",), 0)
        0
        >>> layout.entry(0).labels, layout.size
        (('200',), 1)

    Definitions and slots are numbered from 0 in the order in which they were added.
    Not to be changed by two threads at once; may be read meanwhile.
    """

    __slots__ = (
        "_found",
        "_of",
        "definition_numbers",
        "definitions",
        "exemplars",
        "info",
        "removed",
        "labels",
        "offsets",
        "size",
    )

    def __init__(self) -> None:
        self.size: int = 0
        """How many doubles the shard's numbers are: no slot reaches beyond."""
        self.definitions: list[Definition] = []
        # Columns, by slot number.
        self.definition_numbers: array[int] = array("l")
        self.labels: list[tuple[str, ...]] = []
        self.offsets: array[int] = array("q")
        self.removed: list[int] = []
        """The numbers of the slots that are gone, in the order in which they went; their offset is -1."""
        self.info: dict[int, Mapping[str, str]] = {}
        """By slot number: the facts of an info."""
        self.exemplars: dict[int, dict[int, Exemplar]] = {}
        """By slot number, and then by index of the number: the latest exemplar."""
        # By identity, then by labels: what `define` and `find` answer from. Made when they are first asked.
        self._of: dict[int, int] = {}
        self._found: dict[tuple[int, tuple[str, ...]], int] | None = None

    def __len__(self) -> int:
        """How many slots there were ever, those that are gone included."""
        return len(self.labels)

    def add_definition(self, definition: Definition) -> int:
        """Add a definition, if the very object is not there yet; gives its number."""
        number = self._of.get(id(definition))
        if number is None:
            number = len(self.definitions)
            self.definitions.append(definition)
            self._of[id(definition)] = number
        return number

    def find_definition(self, definition: Definition) -> int | None:
        """The number of a definition that was added, told by identity, or None."""
        return self._of.get(id(definition))

    def add_series(self, definition: int, labels: tuple[str, ...], offset: int) -> int:
        """Add a slot for a series of the definition of that number; gives the slot's number.

        Nothing is checked: `LayoutReader` does that with what comes from elsewhere.
        """
        number = len(self.labels)
        end = offset + series_size(self.definitions[definition])
        self.definition_numbers.append(definition)
        self.offsets.append(offset)
        self.labels.append(labels)
        if self._found is not None:
            self._found[definition, labels] = number
        if end > self.size:
            self.size = end
        return number

    def remove_series(self, number: int) -> None:
        """Mark a slot as gone, with its facts and exemplars. One that is gone already is left so."""
        if self.offsets[number] < 0:
            return
        if self._found is not None:
            self._found.pop((self.definition_numbers[number], self.labels[number]), None)
        self.offsets[number] = -1
        self.removed.append(number)
        self.info.pop(number, None)
        self.exemplars.pop(number, None)

    def set_info(self, number: int, info: Mapping[str, str]) -> None:
        """Let the facts of an info's slot be these."""
        self.info[number] = info

    def set_exemplar(self, number: int, slot: int, exemplar: Exemplar) -> None:
        """Let the latest exemplar of a slot's number `index` be this one."""
        self.exemplars.setdefault(number, {})[slot] = exemplar

    def entry(self, number: int) -> SeriesEntry | None:
        """The slot of that number, or None if it is gone."""
        offset = self.offsets[number]
        if offset < 0:
            return None
        definition = self.definitions[self.definition_numbers[number]]
        return SeriesEntry(definition, self.labels[number], offset, series_size(definition))

    def entries(self) -> Iterator[tuple[int, SeriesEntry]]:
        """Number and slot of all that are not gone."""
        for number in range(len(self.labels)):
            slot = self.entry(number)
            if slot is not None:
                yield number, slot

    def find_series(self, definition: int, labels: tuple[str, ...]) -> int | None:
        """The number of the slot of that definition's number with these labels, or None; the newest if several."""
        found = self._found
        if found is None:
            found = self._found = {}
            for number, labels_there in enumerate(self.labels):
                if self.offsets[number] >= 0:
                    found[self.definition_numbers[number], labels_there] = number
        return found.get((definition, labels))

    def copy(self) -> Layout:
        """A layout like this one, with the same numbers, that grows by itself."""
        other = Layout()
        other.size = self.size
        other.definitions = self.definitions[:]
        other.definition_numbers = self.definition_numbers[:]
        other.labels = self.labels[:]
        other.offsets = self.offsets[:]
        other.removed = self.removed[:]
        other.info = self.info.copy()
        other.exemplars = {slot: exemplars.copy() for slot, exemplars in self.exemplars.items()}
        other._of = self._of.copy()
        return other

    def __repr__(self) -> str:
        return f"<Layout of {len(self.labels) - len(self.removed)} series, {self.size} numbers>"
