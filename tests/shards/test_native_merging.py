"""Native buckets of several processes, merged."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from math import inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.definitions import Definition
from pytheus.exceptions import ShardFormatError
from pytheus.native_bounds import bucket_index
from pytheus.native_buckets import NativeBuckets, NativeHistogram, bucket_key
from pytheus.samples import Exemplar, Row
from pytheus.shards import (
    Archive,
    Layout,
    LayoutReader,
    Merger,
    ShardIdentity,
    Snapshot,
    encode_layout,
    fold,
)
from pytheus.shards.bucket_series import BucketDefinition
from pytheus.shards.layout_codec import DefinitionRecord, NativeOptions, _record
from tests.shards.conftest import merged

OPTIONS = NativeBuckets(growth=1.1, zero_threshold=1e-3)
SIZES = Definition("sizes", "histogram", "Sizes.", ("path",), native=OPTIONS)
BOTH = Definition("both", "histogram", "Both.", ("path",), bounds=(1.0, 10.0), native=OPTIONS)

VALUES = st.one_of(
    st.floats(allow_infinity=True, allow_nan=False),
    st.integers(-40, 40).map(float),
    st.integers(-30, 30).map(lambda exponent: 2.0**exponent),
    st.just(nan),
)

Part = tuple[int, float, list[float]]
"""The schema and the zero threshold of a process at one time, and the values that it observed then."""


@st.composite
def processes(draw: st.DrawFn) -> list[list[Part]]:
    """Of each process the parts of its life, in which it halved its resolution or widened its zero bucket."""
    made: list[list[Part]] = []
    for _ in range(draw(st.integers(1, 4))):
        schema, threshold = OPTIONS.schema, OPTIONS.zero_threshold
        parts: list[Part] = []
        for _ in range(draw(st.integers(1, 3))):
            parts.append((schema, threshold, draw(st.lists(VALUES, max_size=8))))
            schema = draw(st.integers(-4, schema))
            threshold = max(threshold, draw(st.sampled_from([1e-3, 0.5, 1.0, 1.5, 8.0])))
        made.append(parts)
    return made


def key_of(value: float, schema: int, threshold: float) -> str:
    if isnan(value):
        return "nan"
    if abs(value) <= threshold:
        return bucket_key((schema, threshold), 0, 0)
    return bucket_key((schema, threshold), 1 if value > 0 else -1, bucket_index(value, schema))


def keys_of(parts: Sequence[Part]) -> dict[str, int]:
    """The buckets that a process has at the end; it takes part with its threshold before it has observed anything."""
    keys: Tally[str] = Tally()
    for schema, threshold, values in parts:
        keys.update({bucket_key((schema, threshold), 0, 0): 0})
        keys.update(key_of(value, schema, threshold) for value in values)
    return dict(keys)


def shard(
    rank: int,
    buckets: Mapping[str, float],
    *,
    path: str = "/",
    definition: Definition = SIZES,
    live: bool = True,
    exemplars: Mapping[str, Exemplar] | None = None,
    numbers: Sequence[float] = (),
) -> Snapshot:
    layout = Layout()
    own = list(numbers) or [0.0, *[0.0] * (len(definition.bounds) + 1)]
    layout.add_series(layout.add_definition(definition), (path,), 0, 1.0)
    bucket_definition = layout.add_definition(BucketDefinition(definition))
    for key, count in buckets.items():
        number = layout.add_series(bucket_definition, (path, key), len(own))
        own.append(count)
        if exemplars and key in exemplars:
            layout.set_exemplar(number, 0, exemplars[key])
    return Snapshot(ShardIdentity("web-1", rank, rank, f"{rank:016x}"), live, layout, own)


def row_of(snapshots: Sequence[Snapshot], archive: Archive | None = None, merger: Merger | None = None) -> Row:
    (family,) = (Merger() if merger is None else merger).merge(snapshots, Archive() if archive is None else archive)
    (row,) = family.rows()
    return row


def native_of(snapshots: Sequence[Snapshot], archive: Archive | None = None) -> NativeHistogram:
    native = row_of(snapshots, archive).native
    assert native is not None
    return native


def seen_at_once(values: Sequence[float], like: NativeHistogram) -> NativeHistogram:
    """The histogram that one process has that observes all values, with the schema and threshold of another."""
    positive: Tally[int] = Tally()
    negative: Tally[int] = Tally()
    zeros = nans = 0
    for value in values:
        if isnan(value):
            nans += 1
        elif abs(value) <= like.zero_threshold:
            zeros += 1
        else:
            (positive if value > 0 else negative)[bucket_index(value, like.schema)] += 1
    return NativeHistogram(like.schema, like.zero_threshold, zeros, positive, negative, nans)


@pytest.mark.property
@given(processes(), st.data())
def test_a_merged_histogram_is_one_that_saw_everything(made: list[list[Part]], data: st.DataObject) -> None:
    live = [data.draw(st.booleans()) for _ in made]
    snapshots = [shard(rank, keys_of(parts), live=live[rank - 1]) for rank, parts in enumerate(made, 1)]
    values = [value for parts in made for _, _, several in parts for value in several]
    merged_native = native_of(snapshots)
    assert merged_native == seen_at_once(values, merged_native)
    assert merged_native.total == len(values)
    used = [(schema, threshold) for parts in made for schema, threshold, several in parts if several]
    assert merged_native.schema >= min((schema for schema, _ in used), default=OPTIONS.schema)
    assert merged_native.zero_threshold >= max((threshold for _, threshold in used), default=OPTIONS.zero_threshold)
    # The dead count as before, in whatever order and grouping they are folded.
    archive = Archive()
    rest = list(snapshots)
    for snapshot in data.draw(st.permutations([each for each in snapshots if not each.live])):
        archive = fold(archive, [snapshot])
        rest.remove(snapshot)
        if data.draw(st.booleans()):
            archive = Archive.decode(archive.encode())
        assert native_of(rest, archive) == merged_native if rest or len(archive.layout) else True


@pytest.mark.property
@given(processes())
def test_records_of_native_buckets_survive(made: list[list[Part]]) -> None:
    snapshots = [shard(rank, keys_of(parts)) for rank, parts in enumerate(made, 1)]
    again = []
    for snapshot in snapshots:
        reader = LayoutReader()
        reader.feed(encode_layout(snapshot.layout))
        again.append(snapshot._replace(layout=reader.layout))
    assert native_of(again) == native_of(snapshots)


@pytest.mark.property
@given(st.lists(st.lists(VALUES, max_size=5), min_size=1, max_size=6))
def test_a_merger_sees_new_buckets_from_scrape_to_scrape(steps: list[list[float]]) -> None:
    first, second = Layout(), Layout()
    merger = Merger()
    numbers: list[list[float]] = [[], []]
    seen: list[float] = []
    for step, values in enumerate(steps):
        layout, own = (first, second)[step % 2], numbers[step % 2]
        if not own:
            layout.add_series(layout.add_definition(SIZES), ("/",), 0)
            own += [0.0, 0.0]
        buckets = layout.add_definition(BucketDefinition(SIZES))
        for value in values:
            key = key_of(value, 3 - step % 3, 1e-3)
            number = layout.find_series(buckets, ("/", key))
            if number is None:
                number = layout.add_series(buckets, ("/", key), len(own))
                own.append(0.0)
            own[layout.offsets[number]] += 1.0
        seen += values
        snapshots = [
            Snapshot(ShardIdentity("web-1", rank, rank, f"{rank:016x}"), True, each, tuple(some))
            for rank, (each, some) in enumerate(zip((first, second), numbers, strict=True), 1)
        ]
        native = row_of(snapshots, None, merger).native
        assert native is not None
        assert native == native_of(snapshots)
        assert native == seen_at_once(seen, native)


@pytest.mark.parametrize(
    "key", ["", "p", "p3", "p3:", "p99:1", "q3:1", "p3:x", "p3:1:x", "p3:1:1.0:1", "z:-1.0", "z:inf", "z:nan", "NaN"]
)
def test_a_key_that_makes_no_sense_costs_itself(key: str) -> None:
    assert native_of([shard(1, {"p3:1": 2.0, key: 7.0})]) == native_of([shard(1, {"p3:1": 2.0})])


@pytest.mark.parametrize("count", [nan, inf, -inf, -3.0])
def test_a_damaged_count_costs_itself(count: float) -> None:
    native = native_of([shard(1, {"p3:1": 2.0, "p3:2": count, "z:0.001": count, "nan": count})])
    assert native == NativeHistogram(3, 1e-3, 0, {1: 2}, {}, 0)


def test_a_series_without_observations_has_its_options() -> None:
    assert native_of([shard(1, {})]) == NativeHistogram(3, 1e-3, 0, {}, {}, 0)


def test_buckets_of_a_series_that_no_shard_has_are_not_exposed() -> None:
    one, other = shard(1, {"p3:1": 2.0}), shard(2, {"p3:1": 5.0}, path="/gone")
    other.layout.remove_series(0)
    (family,) = Merger().merge([one, other], Archive())
    assert [row.labels for row in family.rows()] == [("/",)]
    other.layout.remove_series(1)
    assert native_of([one, other]).total == 2


def test_native_buckets_alone_are_exposed_as_classic_ones_in_text() -> None:
    merger = Merger()
    snapshots = [shard(1, {"p0:1": 2.0, "p0:3": 1.0, "z:0.001": 1.0}, numbers=[9.5, 4.0]), shard(2, {"p3:1": 1.0})]
    for _ in range(2):
        assert merged(snapshots, merger=merger) == [
            'sizes_bucket{path="/",le="0.001"} 1.0',
            'sizes_bucket{path="/",le="1.0"} 1.0',
            'sizes_bucket{path="/",le="2.0"} 4.0',
            'sizes_bucket{path="/",le="4.0"} 4.0',
            'sizes_bucket{path="/",le="8.0"} 5.0',
            'sizes_bucket{path="/",le="+Inf"} 5.0',
            'sizes_sum{path="/"} 9.5',
            'sizes_count{path="/"} 5.0',
        ]
    more = snapshots[1]._replace(numbers=[1.0, 1.0, 3.0])
    assert merged([snapshots[0], more], merger=merger)[-1] == 'sizes_count{path="/"} 7.0'


def test_classic_buckets_beside_native_ones_are_exposed_in_text() -> None:
    snapshot = shard(1, {"p0:1": 2.0}, definition=BOTH, numbers=[3.0, 1.0, 1.0, 0.0])
    assert merged([snapshot]) == [
        'both_bucket{path="/",le="1.0"} 1.0',
        'both_bucket{path="/",le="10.0"} 2.0',
        'both_bucket{path="/",le="+Inf"} 2.0',
        'both_sum{path="/"} 3.0',
        'both_count{path="/"} 2.0',
    ]


def test_samples_never_show_more_in_a_bucket_than_in_all() -> None:
    # Three observations are in the classic buckets, and two of them in the native ones so far.
    snapshot = shard(1, {"p0:1": 2.0}, definition=BOTH, numbers=[3.0, 1.0, 2.0, 0.0])
    ((family,),) = (merged_family.collect() for merged_family in Merger().merge([snapshot], Archive()))
    assert [(sample.suffix, sample.value) for sample in family.samples] == [
        ("_bucket", 1.0),
        ("_bucket", 2.0),
        ("_bucket", 2.0),
        ("_sum", 3.0),
        ("_count", 2.0),
    ]
    assert family.samples[-1].native == NativeHistogram(0, 1e-3, 0, {1: 2}, {}, 0)
    assert family.samples[-1].created == 1.0


def test_the_newest_exemplars_are_shown() -> None:
    keys = [f"p3:{index}" for index in range(14)]
    old = {key: Exemplar({"trace": f"old {key}"}, 1.0, 100.0 + rank) for rank, key in enumerate(keys)}
    new = {key: Exemplar({"trace": f"new {key}"}, 1.0, 200.0) for key in keys[3:5]}
    snapshots = [shard(1, dict.fromkeys(keys, 1.0), exemplars=old), shard(2, dict.fromkeys(keys, 1.0), exemplars=new)]
    row = row_of(snapshots)
    assert len(row.native_exemplars) == 10
    assert list(row.native_exemplars[-2:]) == list(new.values())
    assert row.native_exemplars[:-2] == tuple(old[key] for key in keys[6:])


def test_buckets_are_those_of_their_own_histogram() -> None:
    other = Definition("sizes", "histogram", "Sizes.", ("path",), native=NativeBuckets(growth=2))
    snapshots = [shard(1, {"p3:1": 2.0}), shard(2, {"p0:7": 5.0}, definition=other)]
    merger = Merger()
    assert row_of(snapshots, None, merger).native == NativeHistogram(0, 2.0**-128, 0, {7: 5}, {}, 0)
    assert [str(left_out) for _, left_out in merger.conflicts] == [str(SIZES)]


def test_buckets_expire_with_their_histogram() -> None:
    first = shard(1, {"p3:1": 2.0, "p3:2": 1.0}, live=False)
    later = shard(2, {"p3:1": 3.0}, live=False)
    archive = fold(fold(Archive(), [first], now=100.0), [later], now=200.0)
    assert archive.expire(150.0, []) is archive
    assert archive.expire(300.0, [shard(3, {"p3:9": 1.0})]) is archive
    assert (
        archive.expire(300.0, [], lambda definition: definition is not SIZES and definition.native is None) is archive
    )
    assert len(archive.expire(300.0, []).layout) == 0


def test_a_selection_for_expiry_sees_the_histogram_alone() -> None:
    asked: list[Definition] = []
    archive = fold(Archive(), [shard(1, {"p3:1": 2.0}, live=False)], now=100.0)

    def selects(definition: Definition) -> bool:
        asked.append(definition)
        return True

    archive.expire(200.0, [], selects)
    assert all(definition.labels == ("path",) for definition in asked)


@pytest.mark.parametrize(
    ("labels", "native"),
    [((), (1.1, 160, 3600.0, 0.0, 0.0)), (("path",), (1.1, 160, 3600.0, 0.0, 0.0)), (("le",), None)],
)
def test_a_definition_of_buckets_that_makes_no_sense_is_refused(
    labels: tuple[str, ...], native: tuple[float, int, float, float, float] | None
) -> None:
    options = None if native is None else NativeOptions(*native)
    record = DefinitionRecord("a", "histogram", "", labels, (), (), "native buckets", "", "", options)
    with pytest.raises(ShardFormatError, match="native buckets with the labels"):
        LayoutReader().feed(_record(record, "histogram", "a"))


def test_options_of_native_buckets_that_make_no_sense_are_refused() -> None:
    record = DefinitionRecord("a", "histogram", "", (), (), (), "", "", "", NativeOptions(0.5, 160, 0.0, 0.0, 0.0))
    with pytest.raises(ShardFormatError, match="growth"):
        LayoutReader().feed(_record(record, "histogram", "a"))
