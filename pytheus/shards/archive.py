"""What is left of processes that are gone.

Rules:

- Sums are exact: a number is kept as parts, whose exact sum it is (`exact.py`), most often one. The sum over everything
  is rounded once, when it is exposed, so that neither the order nor the grouping of processes shows in it.
- A shard is folded once: its token is kept until its own traces are gone.
- What does not count when its process is gone (`combining.py`) is dropped, and exemplars are.
- An archive is never changed; folding gives a new one, which shares what is the same.
"""

from __future__ import annotations

import sys
import time
from array import array
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from pytheus.definitions import Definition
from pytheus.exceptions import ShardFormatError
from pytheus.kinds import MergeRule
from pytheus.shards.bulk import is_better
from pytheus.shards.combining import Shape, includes_dead, merge_rule_of, shape_of
from pytheus.shards.exact import parts_of
from pytheus.shards.identity import ShardIdentity
from pytheus.shards.layout import Layout
from pytheus.shards.records import LayoutReader, encode_layout
from pytheus.shards.snapshot import Snapshot

__all__ = ["MAX_DEAD_VALUES", "Archive", "DeadValue", "fold"]

MAX_DEAD_VALUES: Final = 1000
"""How many numbers of processes that are gone one gauge in the mode "each of all" keeps; the oldest are dropped."""

_MAGIC: Final = b"pytheus archive 1\n"


class DeadValue(NamedTuple):
    """What a gauge in the mode "each of all" was when its process was gone."""

    definition: Definition
    labels: tuple[str, ...]
    identity: ShardIdentity
    value: float


class Archive:
    """What shards that were folded add up to. Immutable by convention; may be read from any thread.

    >>> layout = Layout()
    >>> layout.add_series(layout.add_definition(Definition("hits_total", "counter", "Hits.")), (), 0)
    0
    >>> from pytheus.shards import Snapshot
    >>> gone = Snapshot(ShardIdentity("web-1", 4711, 1, "89abcdef01234567"), False, layout, [3.0])
    >>> archive = fold(Archive(), [gone])
    >>> archive.numbers, archive.folded_tokens
    ([3.0], frozenset({'89abcdef01234567'}))
    >>> fold(archive, [gone]) is archive
    True
    """

    __slots__ = ("dead_values", "folded_at", "folded_tokens", "layout", "numbers", "remainders")

    def __init__(
        self,
        layout: Layout | None = None,
        numbers: Sequence[float] = (),
        remainders: Sequence[Sequence[float]] = (),
        each: Sequence[DeadValue] = (),
        touched: Sequence[float] = (),
        folded: frozenset[str] = frozenset(),
    ) -> None:
        self.layout: Layout = Layout() if layout is None else layout
        """Where each series lies in `numbers`. No slot of it is gone."""
        self.numbers: Sequence[float] = numbers
        """The first part of each number."""
        self.remainders: Sequence[Sequence[float]] = remainders
        """Further parts, as long as `numbers`: to be added to it."""
        self.dead_values: Sequence[DeadValue] = each
        """What gauges in the mode "each of all" were, oldest processes first."""
        self.folded_at: Sequence[float] = touched
        """By slot number: when a process with that series was last folded, in seconds since the Unix epoch."""
        self.folded_tokens: frozenset[str] = folded
        """The tokens of the shards that are in it."""

    def forget_tokens(self, tokens: Iterable[str]) -> Archive:
        """Without the tokens of shards that have no traces left, so that nobody can fold them again."""
        left = self.folded_tokens.difference(tokens)
        if left == self.folded_tokens:
            return self
        return Archive(self.layout, self.numbers, self.remainders, self.dead_values, self.folded_at, left)

    def expire(self, before: float, snapshots: Iterable[Snapshot]) -> Archive:
        """Without series that nothing was folded into since `before` (seconds since the Unix epoch).

        Those that any of `snapshots` has stay, so that no counter goes back that somebody counts on. Numbers of gauges
        in the mode "each of all" go with processes that began before that.
        """
        old = [slot for slot, touched in enumerate(self.folded_at) if touched < before]
        each = [value for value in self.dead_values if value.identity.started_ns >= before * 1e9]
        if old:
            kept = {
                (shape_of(slot.definition), slot.labels)
                for snapshot in snapshots
                for _, slot in snapshot.layout.entries()
            }
            layout = self.layout
            shapes = [shape_of(definition) for definition in layout.definitions]
            old = [slot for slot in old if (shapes[layout.definition_numbers[slot]], layout.labels[slot]) not in kept]
        if not old and len(each) == len(self.dead_values):
            return self
        return self._without(frozenset(old), each)

    def _without(self, dropped: frozenset[int], each: Sequence[DeadValue]) -> Archive:
        layout = Layout()
        numbers: list[float] = []
        remainders: list[list[float]] = [[] for _ in self.remainders]
        touched: list[float] = []
        for number, slot in self.layout.entries():
            if number not in dropped:
                layout.add_series(layout.add_definition(slot.definition), slot.labels, len(numbers))
                part = slice(slot.offset, slot.offset + slot.size)
                numbers += self.numbers[part]
                for mine, theirs in zip(remainders, self.remainders, strict=True):
                    mine += theirs[part]
                touched.append(self.folded_at[number])
        return Archive(layout, numbers, remainders, each, touched, self.folded_tokens)

    def encode(self) -> bytes:
        """All of it as bytes, versioned and with a checksum."""
        definitions = Layout()
        for value in self.dead_values:
            definitions.add_definition(value.definition)
        payload = msgspec.msgpack.encode(
            _Encoded(
                encode_layout(self.layout),
                _packed(self.numbers),
                [_packed(remainder) for remainder in self.remainders],
                encode_layout(definitions),
                [
                    (
                        definitions.add_definition(value.definition),
                        value.labels,
                        (value.identity.host, value.identity.pid, value.identity.started_ns, value.identity.token),
                        value.value,
                    )
                    for value in self.dead_values
                ],
                _packed(self.folded_at),
                sorted(self.folded_tokens),
            )
        )
        return _MAGIC + crc32(payload).to_bytes(4, "little") + payload

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> Archive:
        """What `encode` made bytes of; raises `ShardFormatError` for anything else."""
        data = bytes(data)
        head = len(_MAGIC) + 4
        if not data.startswith(_MAGIC):
            raise ShardFormatError(
                f"this is no archive of this version: it should begin with {_MAGIC!r} but begins with"
                f" {data[: len(_MAGIC)]!r}"
            )
        if crc32(data[head:]) != int.from_bytes(data[len(_MAGIC) : head], "little"):
            raise ShardFormatError(f"the archive of {len(data)} bytes has a wrong checksum; is it whole?")
        try:
            encoded = msgspec.msgpack.decode(data[head:], type=_Encoded)
        except msgspec.MsgspecError as error:
            raise ShardFormatError(f"the archive cannot be read: {error}") from error
        layout = _decoded_layout(encoded.layout)
        numbers = _unpacked(encoded.numbers)
        remainders = [_unpacked(remainder) for remainder in encoded.remainders]
        touched = _unpacked(encoded.touched)
        definitions = _decoded_layout(encoded.definitions).definitions
        each: list[DeadValue] = []
        for definition, labels, identity, value in encoded.each:
            if not 0 <= definition < len(definitions) or len(labels) != len(definitions[definition].labels):
                raise ShardFormatError(f"the archive has a number of definition {definition} that does not fit it")
            each.append(DeadValue(definitions[definition], labels, ShardIdentity(*identity), value))
        if (
            len(numbers) < layout.size
            or any(len(remainder) != len(numbers) for remainder in remainders)
            or len(touched) != len(layout)
        ):
            raise ShardFormatError(f"the archive's {len(numbers)} numbers do not fit its layout, {layout!r}")
        return cls(layout, numbers, remainders, each, touched, frozenset(encoded.folded))

    def __repr__(self) -> str:
        return f"<Archive of {len(self.layout)} series, {len(self.folded_tokens)} shards not forgotten>"


class _Encoded(msgspec.Struct, array_like=True):
    layout: bytes
    numbers: bytes
    remainders: list[bytes]
    definitions: bytes
    each: list[tuple[int, tuple[str, ...], tuple[str, int, int, str], float]]
    touched: bytes
    folded: list[str]


def _packed(numbers: Sequence[float]) -> bytes:
    packed = array("d", numbers)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _unpacked(data: bytes) -> list[float]:
    if len(data) % 8:
        raise ShardFormatError(f"the archive has {len(data)} bytes where doubles should be")
    unpacked = array("d", data)
    if sys.byteorder == "big":
        unpacked.byteswap()
    return unpacked.tolist()


def _decoded_layout(data: bytes) -> Layout:
    reader = LayoutReader()
    reader.feed(data)
    if reader.pending_bytes:
        raise ShardFormatError(f"the archive's layout ends {reader.pending_bytes} bytes into a record")
    return reader.layout


def fold(archive: Archive, snapshots: Iterable[Snapshot], *, now: float | None = None) -> Archive:
    """`archive` with `snapshots` in it, and their tokens in `folded`.

    Snapshots whose tokens are in it already change nothing; whether their process is said to be alive does not matter;
    their `base` is subtracted. `now` is what `touched` becomes, in seconds since the Unix epoch, by default that of
    this machine's clock.
    """
    folding = _Folding(archive, time.time() if now is None else now)
    for snapshot in snapshots:
        folding.add(snapshot)
    return folding.result()


class _Folding:
    """An archive that is being made. Contributions to sums are gathered, so that each sum is made once."""

    def __init__(self, archive: Archive, now: float) -> None:
        self._archive = archive
        self._now = now
        self._folded = set(archive.folded_tokens)
        self._numbers = list(archive.numbers)
        self._touched = list(archive.folded_at)
        self._each = list(archive.dead_values)
        self._layout = archive.layout
        self._owns_layout = False
        self._definitions: dict[Shape, int] = {
            shape_of(definition): number for number, definition in enumerate(archive.layout.definitions)
        }
        self._added: dict[int, list[float]] = {}

    def add(self, snapshot: Snapshot) -> None:
        token = snapshot.identity.token
        if token in self._folded:
            return
        self._folded.add(token)
        numbers = snapshot.numbers
        base = snapshot.base
        for _, slot in snapshot.layout.entries():
            definition = slot.definition
            if not includes_dead(definition):
                continue
            way = merge_rule_of(definition)
            if way is MergeRule.EACH:
                self._each.append(DeadValue(definition, slot.labels, snapshot.identity, numbers[slot.offset]))
                continue
            offset, is_new = self._place(definition, slot.labels, slot.size)
            start = slot.offset
            if way is MergeRule.SUM:
                for index in range(slot.size):
                    added = self._added.setdefault(offset + index, [])
                    added.append(numbers[start + index])
                    if base is not None and start + index < len(base):
                        added.append(-base[start + index])
            elif way is MergeRule.LAST:
                mine, theirs = self._numbers[offset : offset + 2], numbers[start : start + 2]
                if is_new or (theirs[1], theirs[0]) > (mine[1], mine[0]):
                    self._numbers[offset : offset + 2] = theirs
            else:
                mine_, theirs_ = self._numbers[offset], numbers[start]
                self._numbers[offset] = theirs_ if is_new or is_better(way, theirs_, mine_) else mine_

    def _place(self, definition: Definition, labels: tuple[str, ...], size: int) -> tuple[int, bool]:
        """Where the series lies, and whether it is new there."""
        number = self._definitions.get(shape_of(definition))
        slot = None if number is None else self._layout.find_series(number, labels)
        if slot is not None:
            self._touched[slot] = self._now
            return self._layout.offsets[slot], False
        if not self._owns_layout:
            self._layout = self._layout.copy()
            self._owns_layout = True
        if number is None:
            number = self._definitions[shape_of(definition)] = self._layout.add_definition(definition)
        offset = len(self._numbers)
        self._layout.add_series(number, labels, offset)
        self._numbers += [0.0] * size
        self._touched.append(self._now)
        return offset, True

    def result(self) -> Archive:
        archive = self._archive
        if len(self._folded) == len(archive.folded_tokens):
            return archive
        numbers = self._numbers
        grown = [0.0] * (len(numbers) - len(archive.numbers))
        remainders = [[*remainder, *grown] for remainder in archive.remainders]
        for offset, added in self._added.items():
            added.append(numbers[offset])
            for remainder in remainders:
                added.append(remainder[offset])
                remainder[offset] = 0.0
            parts = parts_of(added)
            numbers[offset] = parts[0]
            for index, part in enumerate(parts[1:]):
                if index == len(remainders):
                    remainders.append([0.0] * len(numbers))
                remainders[index][offset] = part
        while remainders and not any(remainders[-1]):
            remainders.pop()
        return Archive(self._layout, numbers, remainders, _youngest(self._each), self._touched, frozenset(self._folded))


def _youngest(each: list[DeadValue]) -> Sequence[DeadValue]:
    """Those of the youngest processes, as many of each gauge as are kept, oldest first."""
    each.sort(key=_age)
    counts: dict[Shape, int] = {}
    kept: list[DeadValue] = []
    for value in reversed(each):
        shape = shape_of(value.definition)
        counts[shape] = counts.get(shape, 0) + 1
        if counts[shape] <= MAX_DEAD_VALUES:
            kept.append(value)
    kept.reverse()
    return kept


def _age(value: DeadValue) -> tuple[int, str, tuple[str, ...]]:
    return value.identity.started_ns, value.identity.token, value.labels
