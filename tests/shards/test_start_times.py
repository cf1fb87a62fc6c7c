"""When series began: in the records of shards, and in what is merged."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus import generate_metrics
from pytheus.definitions import Definition
from pytheus.registry import NullRegistry
from pytheus.samples import Row
from pytheus.shards import (
    Archive,
    LabelBlocks,
    Layout,
    LayoutReader,
    MergedFamily,
    Merger,
    ShardIdentity,
    Snapshot,
    encode_definition,
    encode_layout,
    encode_removal,
    encode_series,
    encode_series_run,
    encode_start_time,
    fold,
)
from pytheus.shards.layout_codec import SeriesRunRecord
from pytheus.shards.start_times import StartTimes, encoded_start_times, start_times_of

HITS = Definition("hits_total", "counter", "Hits.", ("code",))
WAIT = Definition("wait_seconds", "histogram", "Wait.", bounds=(0.5, 1.0))
JOBS = Definition("jobs", "gauge", "Jobs.", ("queue",))

NOON = 1_790_000_000.0

TIMES = st.one_of(st.just(0), st.integers(1, 1 << 47), st.integers(0, 5000).map(lambda ms: int(NOON * 1000) + ms))


def shard(
    rank: int, started: dict[str, float], *, live: bool = True, definition: Definition = HITS, number: float = 1.0
) -> Snapshot:
    """A shard with a series of each label, which began at these times."""
    layout = Layout()
    for code, created in started.items():
        layout.add_series(layout.add_definition(definition), (code,), layout.size, created)
    identity = ShardIdentity("web-1", rank, rank, f"{rank:016x}")
    return Snapshot(identity, live, layout, [number] * layout.size)


def rows(families: Sequence[MergedFamily]) -> list[Row]:
    return [row for family in families for row in family.rows()]


def started(snapshots: Sequence[Snapshot], archive: Archive | None = None, merger: Merger | None = None) -> object:
    """By code: when the merged series began."""
    merged = (Merger() if merger is None else merger).merge(snapshots, Archive() if archive is None else archive)
    return {row.labels[0]: row.created for row in rows(merged)}


def read_again(layout: Layout) -> Layout:
    reader = LayoutReader()
    reader.feed(encode_layout(layout))
    assert not reader.pending_bytes
    return reader.layout


@given(st.lists(TIMES, max_size=30))
def test_a_column_of_start_times_survives_its_encoding(times: list[int]) -> None:
    assert start_times_of(encoded_start_times(times), len(times)) == times


@pytest.mark.property
@given(
    st.lists(st.tuples(st.sampled_from([HITS, WAIT, JOBS]), TIMES), max_size=60),
    st.integers(0, 40),
    st.sets(st.integers(0, 99), max_size=10),
)
def test_start_times_survive_the_records_of_a_layout(
    each: list[tuple[Definition, int]], run: int, removed: set[int]
) -> None:
    layout = Layout()
    each += [(HITS, int(NOON * 1000) + number // 3) for number in range(run)]
    for number, (definition, time) in enumerate(each):
        labels = tuple(f"{number} {'x' * 40}" for _ in definition.labels)
        layout.add_series(layout.add_definition(definition), labels, layout.size, time / 1000)
    for number in removed:
        if number < len(layout):
            layout.remove_series(number)
    again = read_again(layout)
    expected = [
        time for number, (definition, time) in enumerate(each) if number not in removed and definition is not JOBS
    ]
    times = again.start_times.pick(range(len(again)))
    kept = [
        time
        for time, number in zip(times, again.definition_numbers, strict=True)
        if again.definitions[number].name != JOBS.name
    ]
    assert kept == expected
    assert read_again(again.copy()).start_times.pick(range(len(again))) == times


def test_equal_labels_are_recognized_whenever_their_series_began() -> None:
    labels = [(f"{number:0>20}",) for number in range(50)]
    blocks = LabelBlocks()
    layouts: list[Layout] = []
    for second in range(2):
        reader = LayoutReader(blocks)
        reader.feed(encode_definition(HITS))
        for record in encode_series_run(0, labels, 0, 1, [NOON + second + number / 1000 for number in range(50)]):
            reader.feed(record)
        layouts.append(reader.layout)
    (_, one), (_, other) = (layout.blocks[0] for layout in layouts)
    assert one is other
    assert [layout.start_times.pick([49])[0] for layout in layouts] == [1_790_000_000_049, 1_790_000_001_049]


def test_a_start_time_takes_at_most_nine_bytes_of_an_index() -> None:
    assert len(encode_series(0, ("200",), 0, NOON)) - len(encode_series(0, ("200",), 0)) <= 9
    labels = [(f"{number}",) for number in range(1000)]
    at_once = sum(map(len, encode_series_run(0, labels, 0, 1, [NOON] * 1000)))
    scattered = sum(
        map(len, encode_series_run(0, labels, 0, 1, [NOON + number % 7 * 86_400 for number in range(1000)]))
    )
    without = sum(map(len, encode_series_run(0, labels, 0, 1)))
    assert at_once - without < 20
    assert scattered - without <= 9 * 1000


@pytest.mark.parametrize(
    "column",
    [[5000], [5000, 1, 1, 1], [5000, -6000, 2], [1 << 48, 0, 0], -1, 1 << 60, [1 << 63] * 3],
    ids=str,
)
def test_start_times_that_make_no_sense_are_unknown(column: object) -> None:
    labels = ["x" * 200, "y" * 200, "z"]
    payload = msgspec.msgpack.encode(
        SeriesRunRecord(0, msgspec.Raw(msgspec.msgpack.encode(labels)), 0, msgspec.Raw(msgspec.msgpack.encode(column)))
    )
    from pytheus.shards.layout_codec import _framed

    reader = LayoutReader()
    reader.feed(encode_definition(HITS) + _framed(payload) + encode_series(0, ("200",), 3, NOON))
    snapshot = Snapshot(ShardIdentity("web-1", 1, 1, "1" * 16), True, reader.layout, [1.0] * 4)
    assert started([snapshot]) == {"x" * 200: None, "y" * 200: None, "z": None, "200": NOON}


def test_a_merged_series_began_with_the_first_of_all_processes() -> None:
    snapshots = [
        shard(1, {"200": NOON + 2, "500": NOON + 3}),
        shard(2, {"404": 0.0, "200": NOON + 1}),
        shard(3, {"200": 0.0, "500": NOON + 9}),
    ]
    assert started(snapshots) == {"200": NOON + 1, "500": NOON + 3, "404": None}


def test_a_merged_start_time_is_the_same_after_the_process_was_folded() -> None:
    first, second = shard(1, {"200": NOON, "404": NOON + 5}, live=False), shard(2, {"404": NOON + 4, "200": NOON + 1})
    expected = {"200": NOON, "404": NOON + 4}
    assert started([first, second]) == expected
    archive = Archive.decode(fold(Archive(), [first]).encode())
    assert started([second], archive) == expected
    archive = fold(archive, [second])
    assert started([], archive) == expected
    assert started([], Archive.decode(archive.encode())) == expected
    assert started([], archive.age()) == expected


def test_a_start_time_moves_when_the_archive_forgets_a_series() -> None:
    gone = shard(1, {"200": NOON, "404": NOON}, live=False)
    archive = fold(Archive(), [gone], now=NOON + 9).expire(NOON + 10, [])
    assert started([shard(2, {"200": NOON + 100})], archive) == {"200": NOON + 100}
    kept = fold(Archive(), [gone], now=NOON + 9).expire(NOON + 10, [shard(2, {"404": NOON + 100})])
    assert started([], kept) == {"404": NOON}


def test_a_series_that_was_removed_and_created_again_has_a_newer_start() -> None:
    reader = LayoutReader()
    reader.feed(encode_definition(HITS) + encode_series(0, ("200",), 0, NOON))
    snapshot = Snapshot(ShardIdentity("web-1", 1, 1, "1" * 16), True, reader.layout, [1.0, 0.0])
    merger = Merger()
    assert started([snapshot], None, merger) == {"200": NOON}
    reader.feed(encode_removal(0) + encode_series(0, ("200",), 0, NOON + 5))
    assert started([snapshot], None, merger) == {"200": NOON + 5}
    reader.feed(encode_start_time(1, NOON + 7))
    assert started([snapshot], None, merger) == {"200": NOON + 7}
    again = read_again(reader.layout)
    assert again.start_times.pick(range(len(again))) == [1_790_000_007_000]


def test_samples_have_the_start_times_of_the_rows() -> None:
    layout = Layout()
    layout.add_series(layout.add_definition(HITS), ("200",), 0, NOON)
    layout.add_series(layout.add_definition(WAIT), (), 1, NOON + 1)
    layout.add_series(layout.add_definition(JOBS), ("mail",), 5, NOON + 2)
    snapshot = Snapshot(ShardIdentity("web-1", 1, 1, "1" * 16), True, layout, [1.0] * 6)
    families = [family for merged in Merger().merge([snapshot], Archive()) for family in merged.collect()]
    assert {
        family.name + sample.suffix: sample.created
        for family in families
        for sample in family.samples
        if sample.suffix != "_bucket"
    } == {"hits_total": NOON, "wait_seconds_sum": None, "wait_seconds_count": NOON + 1, "jobs": None}


class Unread(StartTimes):
    """Start times that no format asks for."""

    def read(self, first: int, end: int, parts_read: int = 0) -> tuple[list[int], int]:
        raise AssertionError("the start times were read")


def test_the_text_format_reads_no_start_times() -> None:
    snapshot = shard(1, {"200": NOON})
    snapshot.layout.start_times = Unread()

    class Merged(NullRegistry):
        def collect(self) -> list[MergedFamily]:  # type: ignore[override]  # a list is an iterable of collectors
            return Merger().merge([snapshot], Archive())

    assert generate_metrics(Merged(), strict=True).endswith('hits_total{code="200"} 1.0\n')
    with pytest.raises(AssertionError, match="were read"):
        started([snapshot])


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[int, str, int, bool]]:
    """Shard, label and start time of new series, and whether they replace one of that label."""
    return draw(
        st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abcd"), TIMES, st.booleans()), min_size=1, max_size=15)
    )


@pytest.mark.property
@given(changes(), st.data())
def test_a_merger_has_the_same_start_times_as_one_that_sees_everything_at_once(
    made: list[tuple[int, str, int, bool]], data: st.DataObject
) -> None:
    readers = [LayoutReader() for _ in range(3)]
    for reader in readers:
        reader.feed(encode_definition(HITS))
    numbers: list[dict[str, int]] = [{} for _ in range(3)]
    expected: list[dict[str, int]] = [{} for _ in range(3)]
    merger = Merger()
    for rank, label, time, replaces in made:
        reader, known = readers[rank], numbers[rank]
        if label in known:
            if not replaces:
                reader.feed(encode_start_time(known[label], time / 1000))
                expected[rank][label] = time
                continue
            reader.feed(encode_removal(known[label]))
        offset = reader.layout.size
        if data.draw(st.booleans()):
            reader.feed(encode_series(0, (label,), offset, time / 1000))
        else:
            filler = [(f"{number}{'-' * 300}",) for number in range(2)]
            reader.feed(b"".join(encode_series_run(0, [(label,), *filler], offset, 1, [time / 1000, 0, 0])))
            for number in range(2):
                reader.feed(encode_removal(len(reader.layout) - 2 + number))
        known[label] = len(reader.layout) - (1 if len(reader.layout.labels[-1][0]) == 1 else 3)
        expected[rank][label] = time
        snapshots = [
            Snapshot(ShardIdentity("web-1", at, at, f"{at:016x}"), True, each.layout, [1.0] * each.layout.size)
            for at, each in enumerate(readers, 1)
        ]
        if data.draw(st.booleans()):
            earliest = {
                name: min((times[name] for times in expected if times.get(name)), default=0) / 1000 or None
                for name in {name for times in expected for name in times}
            }
            assert started(snapshots, None, merger) == earliest
            assert started(snapshots) == earliest
