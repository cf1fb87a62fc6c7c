"""What dead processes leave."""

from __future__ import annotations

import pytest

from pytheus.definitions import Definition
from pytheus.shards import MAX_DEAD_VALUES, Archive, ShardFormatError, fold
from tests.shards.conftest import Shards, merged

HITS = Definition("hits_total", "counter", "Hits.", ("code",))
LATENCY = Definition("latency_seconds", "histogram", "Latency.", bounds=(1.0,))
PEAK = Definition("peak", "gauge", "The peak.", mode="max of all")
LOW = Definition("low", "gauge", "The low.", mode="min of all")
LAST = Definition("last", "gauge", "The last.", mode="last of all")
EACH = Definition("each", "gauge", "Each.", mode="each of all")
SUM = Definition("total", "gauge", "All.", mode="sum of all")
LIVE = Definition("live", "gauge", "Live ones.")
BUILD = Definition("build", "info", "What runs.")
DOOR = Definition("door", "stateset", "The door.", states=("open", "closed"))


def test_counts_of_the_dead_add_up(shards: Shards) -> None:
    archive = fold(Archive(), [shards((HITS, {("200",): [3.0], ("500",): [1.0]}), (LATENCY, {(): [0.5, 1.0, 0.0]}))])
    archive = fold(archive, [shards((HITS, {("200",): [4.0]}), (LATENCY, {(): [2.5, 0.0, 2.0]}))])
    assert merged([], archive) == [
        'hits_total{code="200"} 7.0',
        'hits_total{code="500"} 1.0',
        'latency_seconds_bucket{le="1.0"} 1.0',
        'latency_seconds_bucket{le="+Inf"} 3.0',
        "latency_seconds_sum 3.0",
        "latency_seconds_count 3.0",
    ]


def test_gauges_of_all_processes_stay_as_their_mode_says(shards: Shards) -> None:
    dead = [
        shards((PEAK, {(): [value]}), (LOW, {(): [value]}), (SUM, {(): [value]}), (LAST, {(): [value, time]}))
        for value, time in [(2.0, 30.0), (5.0, 10.0), (-1.0, 20.0)]
    ]
    assert merged([], fold(Archive(), dead)) == ["last 2.0", "low -1.0", "peak 5.0", "total 6.0"]


def test_what_counts_while_its_process_lives_is_dropped(shards: Shards) -> None:
    archive = fold(Archive(), [shards((LIVE, {(): [3.0]}), (BUILD, {(): []}), (DOOR, {(): [1.0, 0.0]}))])
    assert merged([], archive) == []
    assert len(archive.layout) == 0


def test_each_process_keeps_its_own_number(shards: Shards) -> None:
    dead = [shards((EACH, {(): [value]})) for value in (2.0, 5.0)]
    assert merged([], fold(Archive(), dead)) == ['each{pid="1"} 2.0', 'each{pid="2"} 5.0']


def test_of_each_gauge_the_oldest_processes_are_dropped_in_the_end(shards: Shards) -> None:
    dead = [shards((EACH, {(): [0.0]})) for _ in range(MAX_DEAD_VALUES + 2)]
    archive = fold(fold(Archive(), dead[5:]), dead[:5])
    assert [value.identity.pid for value in archive.dead_values] == list(range(3, MAX_DEAD_VALUES + 3))


def test_a_shard_is_folded_once(shards: Shards) -> None:
    shard = shards((HITS, {("200",): [3.0]}))
    archive = fold(Archive(), [shard, shard])
    assert archive.numbers == [3.0]
    assert archive.folded_tokens == {shard.identity.token}
    assert fold(archive, [shard]) is archive


def test_folding_changes_no_archive(shards: Shards) -> None:
    first = fold(Archive(), [shards((HITS, {("200",): [3.0]}))])
    before = first.encode()
    fold(first, [shards((HITS, {("200",): [1.0], ("500",): [1.0]}))])
    assert first.encode() == before


def test_a_token_is_forgotten_and_the_numbers_stay(shards: Shards) -> None:
    shard = shards((HITS, {("200",): [3.0]}))
    archive = fold(Archive(), [shard]).forget_tokens([shard.identity.token, "another"])
    assert archive.folded_tokens == frozenset()
    assert archive.numbers == [3.0]
    assert archive.forget_tokens(["another"]) is archive


def test_what_was_folded_before_is_subtracted(shards: Shards) -> None:
    archive = fold(Archive(), [shards((HITS, {("200",): [3.0]}))])
    archive = fold(archive, [shards((HITS, {("200",): [5.0]}), base=[3.0])])
    assert merged([], archive) == ['hits_total{code="200"} 5.0']


def test_sums_are_exact_over_any_number_of_processes(shards: Shards) -> None:
    archive = Archive()
    for _ in range(10):
        archive = fold(archive, [shards((HITS, {("200",): [0.1]}))])
    assert archive.remainders
    assert merged([], archive) == ['hits_total{code="200"} 1.0']


def test_it_is_read_as_it_was_written(shards: Shards) -> None:
    dead = [
        shards((HITS, {("200",): [0.1], ("500",): [1e20]}), (EACH, {(): [2.0]}), (LAST, {(): [1.0, 5.0]}))
        for _ in "abc"
    ]
    archive = fold(Archive(), dead, now=12.5)
    again = Archive.decode(archive.encode())
    assert merged([], again) == merged([], archive)
    assert again.folded_tokens == archive.folded_tokens
    assert list(again.folded_at) == [12.5] * 3
    assert again.encode() == archive.encode()


def test_an_empty_one_is_read_as_it_was_written() -> None:
    assert Archive.decode(Archive().encode()).encode() == Archive().encode()


def test_no_flipped_bit_of_an_archive_is_silent(shards: Shards) -> None:
    data = fold(Archive(), [shards((HITS, {("200",): [3.0]}), (EACH, {(): [2.0]}))]).encode()
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ShardFormatError):
            Archive.decode(flipped)


def test_an_archive_of_another_start_of_the_machine_is_older_than_any_that_follows(shards: Shards) -> None:
    late = fold(Archive(), [shards((LAST, {(): [1.0, 1e8]})), shards((HITS, {("200",): [3.0]}))])
    aged = late.age().age()
    assert merged([], aged) == ['hits_total{code="200"} 3.0', "last 1.0"]
    assert merged([], fold(aged, [shards((LAST, {(): [2.0, 5.0]}))])) == ['hits_total{code="200"} 3.0', "last 2.0"]
    assert merged([], fold(late, [shards((LAST, {(): [2.0, 5.0]}))])) == ['hits_total{code="200"} 3.0', "last 1.0"]


@pytest.mark.parametrize("data", [b"", b"something else", Archive().encode()[:-1], Archive().encode() + b"x"])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises(ShardFormatError):
        Archive.decode(data)


def test_a_later_version_is_refused() -> None:
    with pytest.raises(ShardFormatError, match="not an archive of this version"):
        Archive.decode(Archive().encode().replace(b"archive 1\n", b"archive 2\n"))


def test_series_that_nothing_was_folded_into_expire(shards: Shards) -> None:
    archive = fold(Archive(), [shards((HITS, {("200",): [0.1], ("500",): [1.0]}))], now=10)
    archive = fold(archive, [shards((HITS, {("200",): [0.2]}))], now=20)
    expired = archive.expire(15, [])
    assert merged([], expired) == ['hits_total{code="200"} 0.30000000000000004']
    assert merged([], archive.expire(25, [])) == []
    assert archive.expire(5, []) is archive


def test_what_a_shard_has_does_not_expire(shards: Shards) -> None:
    archive = fold(Archive(), [shards((HITS, {("200",): [3.0], ("500",): [1.0]}))], now=10)
    living = shards((HITS, {("200",): [1.0]}))
    assert merged([living], archive.expire(15, [living])) == ['hits_total{code="200"} 4.0']
