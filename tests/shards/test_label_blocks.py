"""Series that were added as blocks are merged as if they had been added one by one, whatever happens to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.definitions import Definition
from pytheus.shards import Archive, Layout, Merger, ShardIdentity, Snapshot, fold, series_size
from pytheus.shards.label_blocks import LabelBlock

pytestmark = pytest.mark.property

DEFINITIONS = (
    Definition("hits_total", "counter", "Hits.", ("code",)),
    Definition("latency_seconds", "histogram", "Latency.", ("code",), bounds=(0.5, 1.0)),
    Definition("lowest", "gauge", "Lowest.", ("code",), mode="min"),
    Definition("latest", "gauge", "Latest.", ("code",), mode="last of all"),
    Definition("each", "gauge", "Each.", ("code",), mode="each"),
    Definition("build", "info", "Build.", ("code",)),
)
# Some overlap, some are in another order, and one has labels twice, as that of a damaged shard may.
BLOCKS = [LabelBlock([(code,) for code in codes]) for codes in ("abc", "defgh", "bc", "cb", "a", "efx", "yy", "gfed")]


class Twins:
    """A shard twice: with blocks, and with the same series one by one."""

    def __init__(self, number: int) -> None:
        self.identity = ShardIdentity("web-1", number, number, f"{number:016x}")
        self.layouts = (Layout(), Layout())
        self.live = True

    def add(self, definition: Definition, block: LabelBlock, gap: int) -> None:
        offset = self.layouts[0].size + gap
        with_blocks, one_by_one = self.layouts
        with_blocks.add_block(with_blocks.add_definition(definition), block, offset)
        for labels in block.labels:
            one_by_one.add_series(one_by_one.add_definition(definition), labels, offset)
            offset += series_size(definition)

    def remove(self, number: int) -> None:
        for layout in self.layouts:
            if len(layout):
                layout.remove_series(number % len(layout))

    def snapshot(self, twin: int) -> Snapshot:
        layout = self.layouts[twin]
        numbers = [float(self.identity.pid * 1000 + offset) for offset in range(layout.size)]
        return Snapshot(self.identity, self.live, layout, numbers)


def shown(merger: Merger, snapshots: list[Snapshot], archive: Archive) -> str:
    return "".join(part for family in merger.merge(snapshots, archive) for part in family.text_parts(""))


STEPS = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(DEFINITIONS), st.sampled_from(BLOCKS), st.integers(0, 1)),
    st.tuples(st.just("add"), st.sampled_from(DEFINITIONS), st.sampled_from(BLOCKS[:2]), st.just(0)),
    st.tuples(st.just("remove"), st.integers(0, 9)),
    st.tuples(st.just("end")),
    st.tuples(st.just("fold")),
    st.tuples(st.just("merge")),
)


@given(st.lists(st.tuples(st.integers(0, 2), STEPS), max_size=25))
def test_blocks_are_merged_as_series_one_by_one(steps: list[tuple[int, tuple[object, ...]]]) -> None:
    shards = [Twins(number) for number in range(1, 4)]
    mergers = (Merger(), Merger())
    archives = [Archive(), Archive()]
    made = len(shards)

    def compare() -> None:
        texts = []
        for twin, merger in enumerate(mergers):
            snapshots = [shard.snapshot(twin) for shard in shards]
            texts += [shown(merger, snapshots, archives[twin]), shown(Merger(), snapshots, archives[twin])]
        assert texts[0] == texts[2]
        # Series are exposed in the order in which the merger saw them.
        assert sorted(texts[0].splitlines()) == sorted(texts[1].splitlines())
        assert texts[1] == texts[3]

    for number, (name, *details) in steps:
        shard = shards[number]
        if name == "add":
            definition, block, gap = details
            assert isinstance(definition, Definition)
            assert isinstance(block, LabelBlock)
            assert isinstance(gap, int)
            shard.add(definition, block, gap)
        elif name == "remove":
            assert isinstance(details[0], int)
            shard.remove(details[0])
        elif name == "end":
            shard.live = False
        elif name == "fold":
            archives = [fold(archive, [shard.snapshot(twin)]) for twin, archive in enumerate(archives)]
            made += 1
            shards[number] = Twins(made)
        else:
            compare()
    compare()
