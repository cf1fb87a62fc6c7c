"""Layouts as records: what was written is read, in whatever pieces, and nothing else is."""

from __future__ import annotations

import gc
import struct
from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.definitions import Definition
from pytheus.native_buckets import NativeBuckets
from pytheus.samples import Exemplar
from pytheus.shards import (
    MAX_RECORD_BYTES,
    LabelBlocks,
    Layout,
    LayoutReader,
    ShardFormatError,
    encode_definition,
    encode_exemplar,
    encode_info,
    encode_layout,
    encode_removal,
    encode_series,
    encode_series_run,
    encode_several_series,
    series_size,
)
from pytheus.shards.bucket_series import BucketDefinition

HITS = Definition("hits_total", "counter", "Hits.", ("code",), location="app.py:3")
LATENCY = Definition("latency_seconds", "histogram", "Latency.", bounds=(0.1, 1.0))
DOOR = Definition("door", "stateset", "The door.", states=("open", "closed"))
LAST = Definition("backup_time", "gauge", "The last backup.", mode="last of all")
BUILD = Definition("build", "info", "What runs here.", ("arch",))
ALL = (HITS, LATENCY, DOOR, LAST, BUILD)


def whole() -> Layout:
    layout = Layout()
    for definition in ALL:
        layout.add_series(layout.add_definition(definition), tuple("x" for _ in definition.labels), layout.size)
    layout.set_info(4, {"version": "1.2"})
    layout.set_exemplar(1, 2, Exemplar({"trace": "a"}, 0.5, 12.25))
    return layout


def described(layout: Layout) -> list[object]:
    return [
        (
            str(entry.definition),
            entry.definition.description,
            entry.labels,
            entry.offset,
            entry.size,
            layout.info.get(number),
        )
        for number, entry in layout.entries()
    ]


def read(data: bytes) -> Layout:
    reader = LayoutReader()
    reader.feed(data)
    assert reader.pending_bytes == 0
    assert reader.consumed_bytes == len(data)
    return reader.layout


def record(*payload: object) -> bytes:
    data = msgspec.msgpack.encode(payload)
    data = struct.pack("<I", len(data)) + data
    return struct.pack("<I", crc32(data)) + data


def test_a_layout_is_read_as_it_was_written() -> None:
    layout = read(encode_layout(whole()))
    assert described(layout) == described(whole())
    assert layout.exemplars == {1: {2: Exemplar({"trace": "a"}, 0.5, 12.25)}}
    assert all(one.matches(other) for one, other in zip(layout.definitions, ALL, strict=True))


@given(st.lists(st.integers(0, 400), max_size=10))
def test_it_may_come_in_any_pieces(cuts: list[int]) -> None:
    data = encode_layout(whole())
    reader = LayoutReader()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in zip(places, places[1:], strict=False):
        reader.feed(data[start:end])
        assert reader.consumed_bytes + reader.pending_bytes == end
    assert described(reader.layout) == described(whole())


@pytest.mark.parametrize("count", [1, 2, 30, 1024, 1025, 5000])
@pytest.mark.parametrize("definition", [HITS, LATENCY, BUILD])
def test_series_in_a_row_are_read_as_if_written_one_by_one(definition: Definition, count: int) -> None:
    labels = [(f"value {number}",) if definition.labels else () for number in range(count)]
    head, size = encode_definition(definition), series_size(definition)
    records = encode_series_run(0, labels, 7, size)
    assert len(records) <= (count + 1023) // 1024 or not definition.labels
    one_by_one = [encode_series(0, each, 7 + number * size) for number, each in enumerate(labels)]
    layout = read(head + b"".join(records))
    assert described(layout) == described(read(head + b"".join(one_by_one)))
    assert layout.find_series(0, labels[-1]) == count - 1
    layout.remove_series(0)
    assert described(read(encode_layout(layout))) == described(layout)


def test_a_record_of_many_series_is_never_too_long() -> None:
    labels = [("\N{GRINNING FACE}" * number,) for number in (100_000, 1, 200_000, 65_536, 260_000)]
    records = encode_series_run(0, labels, 0, 1)
    assert read(encode_definition(HITS) + b"".join(records)).labels == labels
    assert max(map(len, records)) <= MAX_RECORD_BYTES + 8


def test_series_of_several_definitions_are_read_in_the_order_in_which_they_were_written() -> None:
    layout = Layout()
    definitions = [layout.add_definition(definition) for definition in ALL]
    for number in range(3000):
        definition = definitions[number % 3 if number % 100 < 50 else 0]
        labels = (f"value {number}",) * len(ALL[definition].labels)
        layout.add_series(definition, labels, layout.size + (number % 7 == 0))
    records = encode_several_series(layout, range(len(layout)))
    assert len(records) < 200
    again = read(b"".join([*map(encode_definition, ALL), *records]))
    assert described(again) == described(layout)


def test_series_that_are_repeated_are_compared_and_not_added() -> None:
    reader = LayoutReader()
    reader.feed(BEFORE)
    reader.repeat(2)
    labels = [("x",), ("404",)]
    reader.feed(encode_series(0, ("200",), 0) + encode_series_run(1, labels, 1, 0)[0])
    assert reader.missing_series == 0
    assert reader.layout.labels == [("200",), ("x",), ("404",)]
    reader.repeat(1)
    with pytest.raises(ShardFormatError, match=r"\('405',\) in the place of another"):
        reader.feed(encode_series(1, ("405",), 1))
    assert reader.layout.labels == [("200",), ("x",), ("404",)]


def test_readers_share_the_labels_of_records_that_are_equal() -> None:
    blocks = LabelBlocks()
    labels = [(f"value {number}",) for number in range(1500)]

    def layout_of(definition: int) -> Layout:
        reader = LayoutReader(blocks)
        reader.feed(encode_definition(LATENCY) * definition + encode_definition(HITS))
        reader.feed(b"".join(encode_series_run(definition, labels, 100 * definition, 1)))
        return reader.layout

    one, other = layout_of(0), layout_of(1)
    assert one.labels == other.labels == labels
    assert all(mine is theirs for mine, theirs in zip(one.labels, other.labels, strict=True))
    assert [block for _, block in one.blocks] == [block for _, block in other.blocks]
    before = list(one.labels)
    other.add_series(1, ("more",), 0)
    other.labels[0] = ("changed",)
    assert one.labels == before
    del one, other
    gc.collect()
    assert not blocks._blocks


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_it_may_come_as_any_bytes(kind: type[bytes | bytearray | memoryview]) -> None:
    reader = LayoutReader()
    reader.feed(kind(encode_layout(whole())))
    assert described(reader.layout) == described(whole())


def test_a_removed_series_is_not_encoded_again() -> None:
    layout = whole()
    layout.remove_series(0)
    again = read(encode_layout(layout))
    assert [entry.definition.name for _, entry in again.entries()] == [
        "latency_seconds",
        "door",
        "backup_time",
        "build",
    ]
    assert again.info == {3: {"version": "1.2"}}


def test_a_series_that_was_forgotten_can_come_again() -> None:
    records = [encode_definition(HITS), encode_series(0, ("200",), 0), encode_removal(0), encode_series(0, ("200",), 1)]
    layout = read(b"".join(records))
    assert [(number, entry.offset) for number, entry in layout.entries()] == [(1, 1)]
    assert layout.find_series(0, ("200",)) == 1
    assert layout.removed == [0]


def test_later_infos_and_exemplars_replace_earlier_ones() -> None:
    records = [
        encode_definition(BUILD),
        encode_series(0, ("x86",), 0),
        encode_info(0, {"version": "1"}),
        encode_info(0, {"version": "2"}),
        encode_definition(LATENCY),
        encode_series(1, (), 0),
        encode_exemplar(1, 1, Exemplar({}, 1.0)),
        encode_exemplar(1, 1, Exemplar({}, float("inf"))),
    ]
    layout = read(b"".join(records))
    assert layout.info == {0: {"version": "2"}}
    assert layout.exemplars == {1: {1: Exemplar({}, float("inf"))}}


@given(st.integers(0), st.integers(1, 255))
def test_a_byte_that_changed_is_found_and_what_came_before_it_stays(position: int, change: int) -> None:
    first = encode_definition(HITS) + encode_series(0, ("200",), 0)
    data = bytearray(first + encode_series(0, ("500",), 1))
    data[len(first) + position % (len(data) - len(first))] ^= change
    reader = LayoutReader()
    try:
        reader.feed(data)
    except ShardFormatError:
        with pytest.raises(ShardFormatError):
            reader.feed(b"")
    else:
        assert reader.pending_bytes  # the length grew, so that it seems to be cut off
    assert [entry.labels for _, entry in reader.layout.entries()] == [("200",)]
    assert reader.consumed_bytes == len(first)


BEFORE = (
    encode_definition(HITS)
    + encode_series(0, ("200",), 0)
    + encode_definition(BUILD)
    + encode_series(1, ("x",), 1)
    + encode_definition(Definition("bytes_total", "counter", "Bytes.", ("code", "method")))
)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (b"\xff" * 8, "bytes long"),
        (struct.pack("<II", 7, 1) + b"x", "checksum"),
        (record(7), "Expected `str`"),
        (record("s", 0, ["200"]), "of at least length"),
        (record("s", 0, ["200"], -1), ">= 0"),
        (record("s", 0, ["200"], 1 << 60), "<="),
        (record("s", 7, ["200"], 0), "definition 7, which does not exist"),
        (record("s", 0, [], 0), "for the labels"),
        (record("s", 2, [], 0), "for the labels"),
        (record("s", 2, ["200", "GET", "404"], 0), "for the labels"),
        (record("s", 2, ["200", "GET"] * 200 + ["404"], 0), "for the labels"),
        (record("s", 0, ["200"] * 200 + [404], 0), "Expected `str`"),
        (record("s", 7, ["200"] * 200, 0), "definition 7, which does not exist"),
        (record("m", [0, 7], ["404", "500"], [0, 1]), "definition 7, which does not exist"),
        (record("m", [0, 0], ["404"], [0, 1]), "1 values and 2 offsets for 2 series"),
        (record("m", [0, 0], ["404", "500"], [0]), "2 values and 1 offsets for 2 series"),
        (record("m", [0], ["404"], [-1]), ">= 0"),
        (record("f", 9), "series 9, which does not exist"),
        (record("i", 9, {}), "series 9, which does not exist"),
        (record("i", 0, {}), "which is not an info"),
        (record("i", 1, {"arch": "arm"}), "which is a label of"),
        (record("i", 1, {"a b": "arm"}), "does not allow"),
        (record("e", 0, 1, {}, 1.0, None), "exemplar of number 1"),
        (record("e", 0, 0, {"a b": ""}, 1.0, None), "does not allow"),
        (record("d", "a b", "gauge", "", [], [], [], "", ""), "not allowed by Prometheus"),
        (record("d", "a", "meter", "", [], [], [], "", ""), "meter"),
        (record("d", "a", "gauge", "", ["b", "b"], [], [], "", ""), "twice"),
        (record("d", "a", "histogram", "", ["le"], [1.0], [], "", ""), "its own exposition"),
        (record("d", "a", "histogram", "", [], [2.0, 1.0], [], "", ""), "buckets"),
        (record("d", "a", "histogram", "", [], [float("inf")], [], "", ""), "buckets"),
        (record("d", "a", "stateset", "", [], [], [], "", ""), "states"),
        (record("d", "a:b", "stateset", "", [], [], ["x"], "", ""), "label name"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(wrong: bytes, message: str) -> None:
    reader = LayoutReader()
    reader.feed(BEFORE)
    before = described(reader.layout)
    with pytest.raises(ShardFormatError, match=f"byte {len(BEFORE)} cannot be read: .*{message}"):
        reader.feed(wrong)
    assert described(reader.layout) == before
    assert len(reader.layout.definitions) == 3


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(record("u", 0, 1_790_000_000.5), id="number of a series"),
        pytest.param(record("block", {"labels": [["a", "b"]]}, b"\0" * 80), id="block of columns"),
    ],
)
def test_kinds_of_records_of_later_versions_are_skipped(later: bytes) -> None:
    reader = LayoutReader()
    reader.feed(BEFORE + later + encode_series(0, ("404",), 2))
    assert [entry.labels for _, entry in reader.layout.entries()] == [("200",), ("x",), ("404",)]
    assert reader.consumed_bytes == len(BEFORE) + len(later) + len(encode_series(0, ("404",), 2))


def test_further_items_of_later_versions_are_ignored() -> None:
    reader = LayoutReader()
    reader.feed(BEFORE + record("s", 0, ["404"], 2, 1_790_000_000_500, 0.5))
    assert [entry.labels for _, entry in reader.layout.entries()] == [("200",), ("x",), ("404",)]


def test_no_flipped_bit_of_a_record_is_silent() -> None:
    for bit in range(len(BEFORE) * 8):
        data = bytearray(BEFORE)
        data[bit // 8] ^= 1 << bit % 8
        reader = LayoutReader()
        try:
            reader.feed(data)
        except ShardFormatError:
            continue
        assert reader.pending_bytes, bit  # the length grew, so that it seems to be cut off


def test_what_is_too_long_for_a_record_is_refused_when_it_is_written() -> None:
    with pytest.raises(ShardFormatError, match="shorten"):
        encode_series(0, ("x" * MAX_RECORD_BYTES,), 0)


def test_a_copy_of_a_layout_grows_by_itself() -> None:
    layout = whole()
    copy = layout.copy()
    copy.add_series(0, ("other",), copy.size)
    copy.remove_series(1)
    assert described(layout) == described(whole())
    assert layout.find_series(0, ("other",)) is None
    assert copy.find_series(0, ("other",)) == 5


def test_definitions_with_the_same_record_are_one_object() -> None:
    blocks = LabelBlocks()
    readers = [LayoutReader(blocks) for _ in range(2)]
    sizes = Definition("sizes", "histogram", "Sizes.", native=NativeBuckets())
    records = b"".join(map(encode_definition, (HITS, sizes, BucketDefinition(sizes), HITS)))
    for reader in readers:
        reader.feed(records + encode_series(3, ("a",), 0) + encode_series(2, ("p3:1",), 1))
        assert [each.name for each in reader.layout.definitions] == ["hits_total", "sizes", "sizes", "hits_total"]
        assert reader.layout.definition_numbers.tolist() == [3, 2]
    one, other = (reader.layout.definitions for reader in readers)
    assert [each is that for each, that in zip(one, other, strict=True)] == [True, True, True, False]
    assert isinstance(other[2], BucketDefinition)
