"""Reads a layout from the records of `layout_codec`, as they arrive.

A record is validated as a whole before it changes anything, as if a user had given it, because a mistake of another
process must not reach an exposition. Only start times are read later (see `start_times.py`). After the first wrong
record nothing more is read; the layout keeps the records before it.
"""

from __future__ import annotations

from itertools import pairwise
from math import isfinite
from typing import Final
from zlib import crc32

import msgspec

from pytheus.definitions import Definition
from pytheus.exceptions import PytheusError, ShardFormatError
from pytheus.kinds import KINDS, MergeRule
from pytheus.names import (
    reserved_label,
    validate_label_name,
    validate_label_names,
    validate_metric_name,
    validate_text,
    validate_unit,
)
from pytheus.native_buckets import NativeBuckets
from pytheus.samples import Exemplar
from pytheus.shards.bucket_series import BUCKET_LABEL, BUCKET_MODE, BucketDefinition
from pytheus.shards.label_blocks import LabelBlocks, split_labels
from pytheus.shards.layout import Layout
from pytheus.shards.layout_codec import (
    HEAD,
    MAX_RECORD_BYTES,
    RECORD_KINDS,
    DefinitionRecord,
    ExemplarRecord,
    InfoRecord,
    Record,
    RemovalRecord,
    ScatteredRecord,
    SeriesRecord,
    SeriesRunRecord,
    StartTimeRecord,
)
from pytheus.shards.merge_rules import merge_rule_of, series_size
from pytheus.shards.start_times import start_times_of

__all__ = ["LayoutReader"]

_CHECKSUM_SIZE: Final = 4

# Records of series that are at least this long are decoded in two steps.
_LONG_BYTES: Final = 256
_SERIES_TAG: Final = b"\xa1s"

_decoder: Final[msgspec.msgpack.Decoder[Record]] = msgspec.msgpack.Decoder(
    DefinitionRecord | SeriesRecord | ScatteredRecord | RemovalRecord | InfoRecord | ExemplarRecord | StartTimeRecord
)
_run_decoder: Final = msgspec.msgpack.Decoder(SeriesRunRecord)


def _decode(payload: bytes) -> Record | None:
    """The content of a record; None for a kind of a later version."""
    try:
        if len(payload) >= _LONG_BYTES and payload[1:3] == _SERIES_TAG:
            return _run_decoder.decode(payload)
        return _decoder.decode(payload)
    except msgspec.ValidationError:
        try:
            items = msgspec.msgpack.decode(payload, type=list[object])
        except msgspec.MsgspecError:
            items = []
        if items and isinstance(items[0], str) and items[0] not in RECORD_KINDS:
            return None
        raise


class LayoutReader:
    """Builds a layout from records as they arrive.

        >>> from pytheus.shards import encode_definition
        >>> reader = LayoutReader()
        >>> record = encode_definition(Definition("hits_total", "counter", "Hits."))
        >>> reader.feed(record[:5])
        >>> reader.feed(record[5:])
        >>> reader.layout.definitions
        [<Definition of counter 'hits_total'>]

    Bytes may be cut anywhere between two calls of `feed`; an incomplete record waits for its rest. Readers of several
    shards share `blocks`, so that equal labels are decoded and kept once.
    """

    __slots__ = ("_blocks", "_failure", "_repeated", "_rest", "consumed_bytes", "layout")

    def __init__(self, blocks: LabelBlocks | None = None) -> None:
        self._blocks = LabelBlocks() if blocks is None else blocks
        self.layout: Layout = Layout()
        self.consumed_bytes: int = 0
        """How many bytes were complete records that are now in the layout."""
        self._rest = b""
        self._repeated = 0
        self._failure: str | None = None

    def repeat(self, count: int) -> None:
        """Expect the latest `count` series once more, as the next series; they are compared instead of added."""
        self._repeated = count

    @property
    def missing_series(self) -> int:
        """How many of the series that `repeat` said have not come again."""
        return self._repeated

    @property
    def pending_bytes(self) -> int:
        """How many bytes belong to a record that is not complete yet."""
        return len(self._rest)

    @property
    def has_failed(self) -> bool:
        """Whether a record could not be read, so that nothing more is."""
        return self._failure is not None

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add the records in `data` to the layout.

        Raises `ShardFormatError` for a record that is malformed or makes no sense, and for everything after it; the
        layout then has all records before it.
        """
        if self._failure is not None:
            raise ShardFormatError(self._failure)
        buffered = self._rest + bytes(data) if self._rest else bytes(data)
        position = 0
        try:
            while len(buffered) - position >= HEAD.size:
                checksum, length = HEAD.unpack_from(buffered, position)
                if length > MAX_RECORD_BYTES:
                    raise ShardFormatError(f"it would be {length} bytes long, but the maximum is {MAX_RECORD_BYTES}")
                end = position + HEAD.size + length
                if end > len(buffered):
                    break
                if crc32(buffered[position + _CHECKSUM_SIZE : end]) != checksum:
                    raise ShardFormatError("its checksum is wrong")
                self._take_payload(buffered[position + HEAD.size : end])
                self.consumed_bytes += end - position
                position = end
        except (PytheusError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._failure = f"the record at byte {self.consumed_bytes} cannot be read: {error}"
            self._rest = b""
            raise ShardFormatError(self._failure) from error
        self._rest = buffered[position:]

    def _take_payload(self, payload: bytes) -> None:
        layout = self.layout
        definition = self._blocks.definition(payload)
        # Not the same object twice, because a layout would take the second one for the first.
        if definition is not None and layout.find_definition(definition) is None:
            layout.add_definition(definition)
            return
        content = _decode(payload)
        if isinstance(content, DefinitionRecord):
            definition = _checked_definition(content)
            layout.add_definition(definition)
            self._blocks.keep_definition(payload, definition)
        elif content is not None:
            self._take(content)

    def _take(self, payload: Record) -> None:
        layout = self.layout
        if self._repeated and isinstance(payload, SeriesRecord | SeriesRunRecord | ScatteredRecord):
            self._take_repeated(payload)
        elif isinstance(payload, SeriesRecord):
            definition = self._definition(payload.definition)
            offset = payload.offset
            each = split_labels(payload.labels, definition.labels)
            if payload.start_times is not None:
                layout.start_times.put_times(len(layout), start_times_of(payload.start_times, len(each)))
            for labels in each:
                layout.add_series(payload.definition, labels, offset)
                offset += series_size(definition)
        elif isinstance(payload, SeriesRunRecord):
            names = self._definition(payload.definition).labels
            block = self._blocks.decode(bytes(payload.labels), names)
            layout.add_block(payload.definition, block, payload.offset, bytes(payload.start_times))
        elif isinstance(payload, ScatteredRecord):
            self._check_scattered(payload)
            layout.add_scattered(payload.definitions, payload.labels, payload.offsets, bytes(payload.start_times))
        elif isinstance(payload, RemovalRecord):
            if payload.series >= len(layout):
                raise ShardFormatError(f"it removes series {payload.series}, which does not exist")
            layout.remove_series(payload.series)
        elif isinstance(payload, InfoRecord):
            definition = self._definition_of(payload.series)
            if merge_rule_of(definition) is not MergeRule.INFO:
                raise ShardFormatError(f"it sets info labels of {definition}, which is not an info")
            for name in payload.info:
                subject = f"info {definition.name!r}"
                if validate_label_name(name, subject, names=definition.name_rules) in definition.labels:
                    raise ShardFormatError(f"it sets the info label {name!r}, which is a label of {definition}")
            layout.set_info(payload.series, payload.info)
        elif isinstance(payload, StartTimeRecord):
            self._definition_of(payload.series)
            layout.start_times.replace(payload.series, payload.milliseconds / 1000)
        elif isinstance(payload, ExemplarRecord):
            definition = self._definition_of(payload.series)
            if payload.slot >= series_size(definition):
                raise ShardFormatError(f"it is an exemplar of number {payload.slot} of {definition}, which has fewer")
            for name in payload.labels:
                validate_label_name(name, f"an exemplar of {definition.name!r}", names="legacy")
            exemplar = Exemplar(payload.labels, payload.value, payload.timestamp)
            layout.set_exemplar(payload.series, payload.slot, exemplar)

    def _check_scattered(self, payload: ScatteredRecord) -> None:
        widths = [len(self._definition(number).labels) for number in payload.definitions]
        if sum(widths) != len(payload.labels) or len(widths) != len(payload.offsets):
            raise ShardFormatError(
                f"it has {len(payload.labels)} values and {len(payload.offsets)} offsets for {len(widths)} series"
            )

    def _take_repeated(self, payload: SeriesRecord | SeriesRunRecord | ScatteredRecord) -> None:
        """Compare the series with those that are there already, and add the others."""
        other = LayoutReader(self._blocks)
        other.layout = self.layout.without_series()
        other._take(payload)
        added, layout = other.layout, self.layout
        first = len(layout) - self._repeated
        repeated = min(self._repeated, len(added))
        for number in range(repeated):
            present = layout.offsets[first + number]
            if (
                layout.labels[first + number] != added.labels[number]
                or layout.definition_numbers[first + number] != added.definition_numbers[number]
                or (present >= 0 and present != added.offsets[number])
            ):
                raise ShardFormatError(f"it has the series {added.labels[number]!r:.80} in the place of another")
        self._repeated -= repeated
        times, _ = added.start_times.read(repeated, len(added))
        if any(times):
            layout.start_times.put_times(len(layout), times)
        for number in range(repeated, len(added)):
            layout.add_series(added.definition_numbers[number], added.labels[number], added.offsets[number])

    def _definition(self, number: int) -> Definition:
        definitions = self.layout.definitions
        if number >= len(definitions):
            raise ShardFormatError(f"it is a series of definition {number}, which does not exist")
        return definitions[number]

    def _definition_of(self, series: int) -> Definition:
        layout = self.layout
        if series >= len(layout) or layout.offsets[series] < 0:
            raise ShardFormatError(f"it refers to series {series}, which does not exist")
        return layout.definitions[layout.definition_numbers[series]]


def _checked_definition(payload: DefinitionRecord) -> Definition:
    names = payload.names
    name = validate_metric_name(payload.name, payload.kind, names)
    subject = f"{payload.kind} {name!r}"
    reserved = reserved_label(name, payload.kind)
    if KINDS[payload.kind].reserved_label == "":  # a state's label has the metric's name
        validate_label_name(name, subject, names=names)
        if not payload.states or len(set(payload.states)) != len(payload.states):
            raise ShardFormatError(f"{subject} has the states {payload.states!r:.80}")
    bounds = payload.bounds
    if any(not isfinite(bound) for bound in bounds) or any(low >= high for low, high in pairwise(bounds)):
        raise ShardFormatError(f"{subject} has the buckets {bounds!r:.80}")
    labels, mode = payload.labels, payload.mode
    has_buckets = payload.kind == "histogram" and mode == BUCKET_MODE
    if has_buckets:
        if payload.native is None or labels[-1:] != (BUCKET_LABEL,):
            raise ShardFormatError(f"{subject} has native buckets with the labels {labels!r:.80}")
        labels, mode = labels[:-1], ""
    definition = Definition(
        name,
        payload.kind,
        validate_text(payload.description, subject),
        validate_label_names(labels, subject, reserved, names),
        bounds=bounds,
        states=payload.states,
        mode=mode,
        location=payload.location,
        unit=validate_unit(payload.unit, name, payload.kind, subject),
        native=None if payload.native is None else NativeBuckets(**msgspec.structs.asdict(payload.native)),
        names=names,
    )
    return BucketDefinition(definition) if has_buckets else definition
