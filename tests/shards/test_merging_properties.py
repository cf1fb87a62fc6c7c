"""Neither order nor grouping shows in what is merged, and folding changes nothing that is seen."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.definitions import Definition
from pytheus.shards import (
    Archive,
    Layout,
    LayoutReader,
    Merger,
    ShardIdentity,
    Snapshot,
    encode_layout,
    fold,
    series_size,
)

pytestmark = pytest.mark.property

HITS = Definition("hits_total", "counter", "Hits.", ("code",))
LATENCY = Definition("latency_seconds", "histogram", "Latency.", bounds=(0.5, 1.0))
WEIGHT = Definition("weight", "summary", "Weights.")
DOOR = Definition("door", "stateset", "The door.", states=("open", "closed"))
GAUGES = [
    Definition(f"g{number}", "gauge", "G.", mode=mode)
    for number, mode in enumerate(
        ["", "min", "max", "last", "each", *[f"{mode} of all" for mode in ("sum", "min", "max", "last", "each")]]
    )
]
DEFINITIONS = (HITS, LATENCY, WEIGHT, DOOR, *GAUGES)
GROWING = (HITS, LATENCY, WEIGHT)

AMOUNTS = st.one_of(st.integers(0, 1000).map(float), st.floats(0, 1e15))
VALUES = st.one_of(st.integers(-9, 9).map(float), st.floats(width=32))
TIMES = st.integers(0, 9).map(float)

Seen = dict[tuple[str, str, frozenset[tuple[str, str]]], float]


@st.composite
def shards(draw: st.DrawFn, at_most: int = 6) -> list[Snapshot]:
    """Of processes that began one after the other, some of which share a pid."""
    made: list[Snapshot] = []
    for rank in range(draw(st.integers(1, at_most))):
        layout = Layout()
        numbers: list[float] = []
        for definition in draw(st.lists(st.sampled_from(DEFINITIONS), unique=True)):
            number = layout.add_definition(definition)
            for labels in (
                draw(st.lists(st.sampled_from("abc"), unique=True, min_size=1)) if definition is HITS else [""]
            ):
                layout.add_series(number, (labels,) if labels else (), len(numbers))
                numbers += draw(numbers_of(definition))
        identity = ShardIdentity("web-1", draw(st.integers(1, 3)), rank + 1, f"{rank:016x}")
        made.append(Snapshot(identity, draw(st.booleans()), layout, numbers))
    return made


def numbers_of(definition: Definition) -> st.SearchStrategy[list[float]]:
    size = series_size(definition)
    if definition.type == "gauge":
        # NaN has no place among values that were set at the same time.
        return st.tuples(VALUES if size == 1 else VALUES.filter(lambda value: not isnan(value)), TIMES).map(
            lambda pair: list(pair[:size])
        )
    if definition.type == "stateset":
        return st.lists(st.sampled_from([0.0, 1.0]), min_size=size, max_size=size)
    return st.lists(AMOUNTS, min_size=size, max_size=size)


def seen(snapshots: Sequence[Snapshot], archive: Archive | None = None, merger: Merger | None = None) -> Seen:
    """Every sample of a merge."""
    families = (Merger() if merger is None else merger).merge(snapshots, Archive() if archive is None else archive)
    return {
        (family.name, sample.suffix, frozenset(sample.labels.items())): sample.value
        for merged in families
        for family in merged.collect()
        for sample in family.samples
    }


def same(one: Seen, other: Seen) -> bool:
    return one.keys() == other.keys() and all(
        value == other[key] or (isnan(value) and isnan(other[key])) for key, value in one.items()
    )


def text(snapshots: Sequence[Snapshot], archive: Archive) -> str:
    families = Merger().merge(snapshots, archive)
    return "".join(part for family in families for part in family.text_parts(""))


@given(shards())
def test_the_order_of_shards_does_not_show(made: list[Snapshot]) -> None:
    assert text(made, Archive()) == text(made[::-1], Archive())


@given(shards(), st.data())
def test_folding_what_is_gone_changes_nothing_that_is_seen(made: list[Snapshot], data: st.DataObject) -> None:
    before = seen(made)
    merger = Merger()
    archive = Archive()
    rest = list(made)
    for snapshot in data.draw(st.permutations([snapshot for snapshot in made if not snapshot.live])):
        archive = fold(archive, [snapshot])
        if data.draw(st.booleans()):
            archive = Archive.decode(archive.encode())
        if data.draw(st.booleans()):
            archive = archive.forget_tokens([snapshot.identity.token])
            rest = [other for other in rest if other is not snapshot]
        elif data.draw(st.booleans()):
            rest = [other for other in rest if other is not snapshot]
        assert same(seen(rest, archive), before)
        assert same(seen(rest, archive, merger), before)


@given(shards(), st.data())
def test_the_order_and_grouping_of_folding_do_not_show(made: list[Snapshot], data: st.DataObject) -> None:
    at_once = fold(Archive(), made, now=0)
    one_by_one = Archive()
    for snapshot in data.draw(st.permutations(made)):
        one_by_one = fold(one_by_one, [snapshot], now=0)
    assert same(seen([], one_by_one), seen([], at_once))
    assert one_by_one.folded_tokens == at_once.folded_tokens
    # Also what is not seen, the exact sums.
    assert exact(one_by_one) == exact(at_once)


def exact(archive: Archive) -> dict[tuple[str, tuple[str, ...]], list[list[float]]]:
    return {
        (entry.definition.name, entry.labels): [
            list(part[entry.offset : entry.offset + entry.size]) for part in (archive.numbers, *archive.remainders)
        ]
        for _, entry in archive.layout.entries()
        if entry.definition in GROWING
    }


@given(shards(), st.data())
def test_counters_never_go_back_when_processes_die_and_are_folded(made: list[Snapshot], data: st.DataObject) -> None:
    growing = {definition.name for definition in GROWING}
    merger = Merger()
    archive = Archive()
    alive = list(made)
    before: Seen = {}
    for _ in range(data.draw(st.integers(1, 6))):
        now = {key: value for key, value in seen(alive, archive, merger).items() if key[0] in growing}
        assert all(now[key] >= value for key, value in before.items())
        before = now
        dying = [snapshot for snapshot in alive if data.draw(st.booleans())]
        archive = fold(archive, dying)
        alive = [
            snapshot._replace(numbers=[number + data.draw(AMOUNTS) for number in snapshot.numbers])
            for snapshot in alive
            if snapshot not in dying
        ]


@given(shards(at_most=3), st.data())
def test_a_process_that_was_folded_and_comes_back_counts_once(made: list[Snapshot], data: st.DataObject) -> None:
    growing = {definition.name for definition in GROWING}
    paused, *others = made
    archive = fold(Archive(), [paused])
    identity = paused.identity._replace(started_ns=99, token="back")
    later = [number + data.draw(AMOUNTS) for number in paused.numbers]
    back = Snapshot(identity, True, paused.layout, later, paused.numbers)
    expected = seen([paused._replace(numbers=later, live=True), *others])
    found = seen([back, *others], archive)
    assert {key: value for key, value in found.items() if key[0] in growing} == {
        key: value for key, value in expected.items() if key[0] in growing
    }


@given(shards())
def test_a_merger_sees_the_same_from_scrape_to_scrape(made: list[Snapshot]) -> None:
    merger = Merger()
    for number in range(len(made)):
        several = made[number:] + made[: number // 2]
        assert same(seen(several, None, merger), seen(several))


@given(shards(at_most=2))
def test_layouts_survive_their_records(made: list[Snapshot]) -> None:
    again = []
    for snapshot in made:
        reader = LayoutReader()
        reader.feed(encode_layout(snapshot.layout))
        again.append(snapshot._replace(layout=reader.layout))
    assert text(again, Archive()) == text(made, Archive())
