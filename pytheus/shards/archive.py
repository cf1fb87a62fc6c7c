"""The numbers that processes which have ended left behind.

Rules:

- Sums are exact: a number is kept as parts (see `reduce.py`), most often one. The sum over everything is rounded once,
  when it is exposed, so that neither the order nor the grouping of processes shows in it.
- The start time of a series is the earliest that any process told.
- A shard is folded once: the archive keeps its token until the shard itself is deleted.
- Numbers that do not count after the end of their process (`merge_rules.py`) are dropped, and so are exemplars.
- An archive is never changed; folding gives a new archive, which shares the unchanged parts.
"""

from __future__ import annotations

import struct
import sys
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from pytheus.definitions import Definition
from pytheus.exceptions import ShardFormatError
from pytheus.kinds import MergeRule
from pytheus.registry.storage import is_unset
from pytheus.shards.bucket_series import BucketDefinition
from pytheus.shards.layout import Layout
from pytheus.shards.layout_codec import encode_layout
from pytheus.shards.layout_reader import LayoutReader
from pytheus.shards.merge_rules import DefinitionKey, definition_key, includes_dead, merge_rule_of
from pytheus.shards.reduce import is_better, parts_of
from pytheus.shards.snapshot import ShardIdentity, Snapshot

__all__ = ["MAX_DEAD_VALUES", "Archive", "DeadValue", "age_time", "fold"]

MAX_DEAD_VALUES: Final = 1000
"""How many values of ended processes a gauge in the mode "each of all" keeps; the oldest are dropped."""

_MAGIC: Final = b"pytheus archive 1\n"
_HEAD: Final = struct.Struct("<IQ")
_HEAD_SIZE: Final = len(_MAGIC) + _HEAD.size

_AGED: Final = 2.0**-32


class DeadValue(NamedTuple):
    """The last value of a gauge in the mode "each of all" in a process that has ended."""

    definition: Definition
    labels: tuple[str, ...]
    identity: ShardIdentity
    value: float


class Archive:
    """The merged numbers of the folded shards.

    Immutable by convention; may be read from any thread.

    >>> layout = Layout()
    >>> layout.add_series(layout.add_definition(Definition("hits_total", "counter", "Hits.")), (), 0)
    0
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
        dead_values: Sequence[DeadValue] = (),
        folded_at: Sequence[float] = (),
        folded_tokens: frozenset[str] = frozenset(),
    ) -> None:
        self.layout: Layout = Layout() if layout is None else layout
        """Where each series is in `numbers`. No series of it is removed."""
        self.numbers: Sequence[float] = numbers
        """The first part of each number."""
        self.remainders: Sequence[Sequence[float]] = remainders
        """Further parts to add, each sequence as long as `numbers`."""
        self.dead_values: Sequence[DeadValue] = dead_values
        """The values of gauges in the mode "each of all", oldest processes first."""
        self.folded_at: Sequence[float] = folded_at
        """By series number: when a shard with that series was last folded, in seconds since the Unix epoch."""
        self.folded_tokens: frozenset[str] = folded_tokens
        """The tokens of the shards that are in the archive."""

    def forget_tokens(self, tokens: Iterable[str]) -> Archive:
        """An archive without these tokens, whose shards have been deleted."""
        left = self.folded_tokens.difference(tokens)
        if left == self.folded_tokens:
            return self
        return Archive(self.layout, self.numbers, self.remainders, self.dead_values, self.folded_at, left)

    def expire(
        self,
        before: float,
        snapshots: Iterable[Snapshot],
        selects: Callable[[Definition], bool] | None = None,
    ) -> Archive:
        """An archive without series of metrics that `selects` into which nothing was folded since `before`.

        `before` is in seconds since the Unix epoch. A series that is in any of `snapshots` stays, so that no exposed
        counter goes back. The native buckets of a histogram's series go with it. Values of gauges in the mode "each of
        all" expire with processes that began before that time.
        """
        layout = self.layout
        owners = [_owner(definition) for definition in layout.definitions]
        selected = [selects is None or selects(owner) for owner in owners]
        numbers = layout.definition_numbers
        old = [
            number
            for number, folded_at in enumerate(self.folded_at)
            if folded_at < before and selected[numbers[number]]
        ]
        dead_values = [
            value
            for value in self.dead_values
            if value.identity.started_ns >= before * 1e9 or (selects is not None and not selects(value.definition))
        ]
        if old:
            kept = {key for snapshot in snapshots for key in _owner_keys(snapshot.layout).values()}
            keys = _owner_keys(layout)
            kept.update(keys[number] for number in keys.keys() - old if layout.definitions[numbers[number]].native)
            old = [number for number in old if keys[number] not in kept]
        if not old and len(dead_values) == len(self.dead_values):
            return self
        return self._without(frozenset(old), dead_values)

    def _without(self, dropped: frozenset[int], dead_values: Sequence[DeadValue]) -> Archive:
        layout = Layout()
        numbers: list[float] = []
        remainders: list[list[float]] = [[] for _ in self.remainders]
        folded_at: list[float] = []
        times, _ = self.layout.start_times.read(0, len(self.layout))
        for number, entry in self.layout.entries():
            if number not in dropped:
                layout.start_times.put_times(len(layout), times[number : number + 1])
                layout.add_series(layout.add_definition(entry.definition), entry.labels, len(numbers))
                part = slice(entry.offset, entry.offset + entry.size)
                numbers += self.numbers[part]
                for mine, theirs in zip(remainders, self.remainders, strict=True):
                    mine += theirs[part]
                folded_at.append(self.folded_at[number])
        return Archive(layout, numbers, remainders, dead_values, folded_at, self.folded_tokens)

    def age(self) -> Archive:
        """An archive whose "last" gauges are older than any that is set from now on.

        For stores whose clock begins at zero when the machine starts, after it has started again.
        """
        numbers = list(self.numbers)
        for _, entry in self.layout.entries():
            if merge_rule_of(entry.definition) is MergeRule.LAST:
                numbers[entry.offset + 1] = age_time(numbers[entry.offset + 1])
        return Archive(self.layout, numbers, self.remainders, self.dead_values, self.folded_at, self.folded_tokens)

    def encode(self) -> bytes:
        """The archive as bytes, with a version, their size and a checksum over everything."""
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
        return _MAGIC + _HEAD.pack(_checksum(payload), len(payload)) + payload

    @staticmethod
    def encoded_size(head: bytes) -> int:
        """The size of an archive that begins with these 64 bytes; raises `ShardFormatError` if none does.

        So that a large file of something else need not be read.
        """
        if not head.startswith(_MAGIC) or len(head) < _HEAD_SIZE:
            raise ShardFormatError(
                f"these bytes are not an archive of this version: they should begin with {_MAGIC!r} but begin with"
                f" {head[: len(_MAGIC)]!r}"
            )
        size: int = _HEAD.unpack_from(head, len(_MAGIC))[1]
        return _HEAD_SIZE + size

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> Archive:
        """The archive from bytes of `encode`; raises `ShardFormatError` for other bytes."""
        data = bytes(data)
        size = cls.encoded_size(data)
        if size != len(data):
            raise ShardFormatError(f"the archive has {len(data)} bytes, but should have {size}; is it whole?")
        payload = data[_HEAD_SIZE:]
        if _checksum(payload) != _HEAD.unpack_from(data, len(_MAGIC))[0]:
            raise ShardFormatError(f"the archive of {len(data)} bytes has a wrong checksum; is it whole?")
        try:
            encoded = msgspec.msgpack.decode(payload, type=_Encoded)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ShardFormatError(f"the archive cannot be read: {error}") from error
        layout = _decoded_layout(encoded.layout)
        numbers = _unpacked(encoded.numbers)
        remainders = [_unpacked(remainder) for remainder in encoded.remainders]
        folded_at = _unpacked(encoded.folded_at)
        definitions = _decoded_layout(encoded.definitions).definitions
        dead_values: list[DeadValue] = []
        for definition, labels, identity, value in encoded.dead_values:
            if not 0 <= definition < len(definitions) or len(labels) != len(definitions[definition].labels):
                raise ShardFormatError(f"the archive has a value of definition {definition} that does not match it")
            dead_values.append(DeadValue(definitions[definition], labels, ShardIdentity(*identity), value))
        if (
            len(numbers) < layout.size
            or any(len(remainder) != len(numbers) for remainder in remainders)
            or len(folded_at) != len(layout)
        ):
            raise ShardFormatError(f"the archive's {len(numbers)} numbers do not match its layout, {layout!r}")
        return cls(layout, numbers, remainders, dead_values, folded_at, frozenset(encoded.folded_tokens))

    def __repr__(self) -> str:
        return f"<Archive of {len(self.layout)} series, {len(self.folded_tokens)} tokens>"


class _Encoded(msgspec.Struct, array_like=True):
    layout: bytes
    numbers: bytes
    remainders: list[bytes]
    definitions: bytes
    dead_values: list[tuple[int, tuple[str, ...], tuple[str, int, int, str], float]]
    folded_at: bytes
    folded_tokens: list[str]


def _checksum(payload: bytes) -> int:
    return crc32(payload, crc32(len(payload).to_bytes(8, "little")))


def age_time(seconds: float) -> float:
    """A time of a "last" gauge that is before all times since the machine has started again.

        >>> age_time(86400.0) < age_time(86401.0) < 0.001, age_time(0.0)
        (True, 0.0)

    0 stays 0, because it says that the gauge was never set.
    """
    return max(seconds * _AGED, 5e-324) if seconds > 0 else seconds


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
    """An archive with the numbers of `archive` and `snapshots`, and their tokens.

    A snapshot whose token is already there changes nothing. Whether the process is alive does not matter, and the
    snapshot's `base` is subtracted. `now` goes into `folded_at`, in seconds since the Unix epoch; the default is this
    machine's clock.
    """
    folding = _Folding(archive, time.time() if now is None else now)
    for snapshot in snapshots:
        folding.add(snapshot)
    return folding.result()


class _Folding:
    """An archive under construction. It computes each sum once, at the end."""

    def __init__(self, archive: Archive, now: float) -> None:
        self._archive = archive
        self._now = now
        self._tokens = set(archive.folded_tokens)
        self._numbers = list(archive.numbers)
        self._folded_at = list(archive.folded_at)
        self._dead_values = list(archive.dead_values)
        self._layout = archive.layout
        self._owns_layout = False
        self._start_times, _ = archive.layout.start_times.read(0, len(archive.layout))
        self._definition_numbers: dict[DefinitionKey, int] = {
            definition_key(definition): number for number, definition in enumerate(archive.layout.definitions)
        }
        # By offset.
        self._terms: dict[int, list[float]] = {}

    def add(self, snapshot: Snapshot) -> None:
        token = snapshot.identity.token
        if token in self._tokens:
            return
        self._tokens.add(token)
        numbers = snapshot.numbers
        base = snapshot.base
        times, _ = snapshot.layout.start_times.read(0, len(snapshot.layout))
        for number, entry in snapshot.layout.entries():
            definition = entry.definition
            if not includes_dead(definition):
                continue
            rule = merge_rule_of(definition)
            if rule is MergeRule.EACH:
                value = DeadValue(definition, entry.labels, snapshot.identity, numbers[entry.offset])
                if not is_unset(value.value):
                    self._dead_values.append(value)
                continue
            offset, is_new = self._offset(definition, entry.labels, entry.size, times[number])
            start = entry.offset
            if rule is MergeRule.SUM:
                for index in range(entry.size):
                    terms = self._terms.setdefault(offset + index, [])
                    terms.append(numbers[start + index])
                    if base is not None and start + index < len(base):
                        terms.append(-base[start + index])
            elif rule is MergeRule.LAST:
                mine, theirs = self._numbers[offset : offset + 2], numbers[start : start + 2]
                if is_new or (theirs[1], theirs[0]) > (mine[1], mine[0]):
                    self._numbers[offset : offset + 2] = theirs
            elif is_new or is_better(rule, numbers[start], self._numbers[offset]):
                self._numbers[offset] = numbers[start]

    def _offset(self, definition: Definition, labels: tuple[str, ...], size: int, start_time: int) -> tuple[int, bool]:
        """The offset of the series, and whether the series is new; it has begun at `start_time` at the latest."""
        key = definition_key(definition)
        definition_number = self._definition_numbers.get(key)
        number = None if definition_number is None else self._layout.find_series(definition_number, labels)
        is_new = number is None
        if number is not None:
            self._folded_at[number] = max(self._folded_at[number], self._now)
            known = self._start_times[number]
            if not start_time or 0 < known <= start_time:
                return self._layout.offsets[number], False
        if not self._owns_layout:
            self._layout = self._layout.copy()
            self._owns_layout = True
        if number is None:
            if definition_number is None:
                definition_number = self._definition_numbers[key] = self._layout.add_definition(definition)
            number = self._layout.add_series(definition_number, labels, len(self._numbers))
            self._numbers += [0.0] * size
            self._folded_at.append(self._now)
            self._start_times.append(0)
        if start_time:
            self._layout.start_times.put_times(number, (start_time,))
            self._start_times[number] = start_time
        return self._layout.offsets[number], is_new

    def result(self) -> Archive:
        archive = self._archive
        if len(self._tokens) == len(archive.folded_tokens):
            return archive
        numbers = self._numbers
        grown = [0.0] * (len(numbers) - len(archive.numbers))
        remainders = [[*remainder, *grown] for remainder in archive.remainders]
        for offset, terms in self._terms.items():
            terms.append(numbers[offset])
            for remainder in remainders:
                terms.append(remainder[offset])
                remainder[offset] = 0.0
            parts = parts_of(terms)
            numbers[offset] = parts[0]
            for index, part in enumerate(parts[1:]):
                if index == len(remainders):
                    remainders.append([0.0] * len(numbers))
                remainders[index][offset] = part
        while remainders and not any(remainders[-1]):
            remainders.pop()
        dead_values = _youngest(self._dead_values)
        return Archive(self._layout, numbers, remainders, dead_values, self._folded_at, frozenset(self._tokens))


def _owner(definition: Definition) -> Definition:
    """The definition itself, or that of the histogram whose native buckets it defines."""
    return definition.histogram if isinstance(definition, BucketDefinition) else definition


def _owner_keys(layout: Layout) -> dict[int, tuple[DefinitionKey, tuple[str, ...]]]:
    """By series number: the key and the labels of the series, or of the histogram's series that it is a bucket of."""
    owners = [_owner(definition) for definition in layout.definitions]
    keys = [(definition_key(owner), len(owner.labels)) for owner in owners]
    found: dict[int, tuple[DefinitionKey, tuple[str, ...]]] = {}
    for number, offset in enumerate(layout.offsets):
        if offset >= 0:
            key, width = keys[layout.definition_numbers[number]]
            found[number] = key, layout.labels[number][:width]
    return found


def _youngest(values: list[DeadValue]) -> list[DeadValue]:
    """The newest `MAX_DEAD_VALUES` values of each gauge, oldest processes first."""
    values.sort(key=lambda value: (value.identity.started_ns, value.identity.token, value.labels))
    counts: dict[DefinitionKey, int] = {}
    kept: list[DeadValue] = []
    for value in reversed(values):
        key = definition_key(value.definition)
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= MAX_DEAD_VALUES:
            kept.append(value)
    kept.reverse()
    return kept
