"""The latest series are in the tail of a shard's file, and then in its index; readers see each of them once."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.definitions import Definition
from pytheus.shards import Reading, encode_filler, encode_series
from pytheus_multiprocess.file_format import STATE_AT, TAIL_AT, TAIL_PERIOD, TAIL_SIZE, tail_bytes, tail_value
from pytheus_multiprocess.options import MultiprocessOptions
from pytheus_multiprocess.storage import ShardStorage
from pytheus_multiprocess.store import MultiprocessStore
from pytheus_multiprocess.system import System

DEFINITIONS = (
    Definition("hits_total", "counter", "Hits.", ("path",)),
    Definition("latency_seconds", "histogram", "Latency.", ("path",), bounds=(0.5, 1.0)),
    Definition("jobs_total", "counter", "Jobs.", ("kind", "queue")),
    Definition("build", "info", "Build.", ("part",)),
)

Content = dict[tuple[str, tuple[str, ...]], tuple[list[float], object]]


class Watched(System):
    """A system that calls `look` before each step that changes a file."""

    look: Callable[[], None] | None = None

    def step(self, what: str) -> None:
        if self.look is not None and what in ("store", "copy"):
            self.look()


def content(reading: Reading) -> Content:
    assert not reading.skipped
    found: Content = {}
    for snapshot in reading.snapshots:
        for number, entry in snapshot.layout.entries():
            key = entry.definition.name, entry.labels
            assert key not in found, key
            numbers = list(snapshot.numbers[entry.offset : entry.offset + entry.size])
            found[key] = numbers, snapshot.layout.info.get(number)
    return found


class Stage:
    """A process that writes, one that reads all the time, and what both should see."""

    def __init__(self, directory: Path, system: System) -> None:
        self.directory = directory
        self.writer = self.store(system)
        self.reader = self.store(System())
        storages = [self.writer.storage(definition) for definition in DEFINITIONS]
        self.storages = [storage for storage in storages if isinstance(storage, ShardStorage)]
        self.expected: Content = {}
        self._added = 0

    def store(self, system: System) -> MultiprocessStore:
        options = MultiprocessOptions(
            str(self.directory), process_metrics=False, index_step_bytes=4096, numbers_step_bytes=4096
        )
        return MultiprocessStore(options, system)

    def seen(self) -> tuple[Content, Content]:
        """What a reader that has read before and a new one see."""
        with closing(self.store(System())) as fresh:
            return content(self.reader.read()), content(fresh.read())

    def add(self, which: int, width: int = 1) -> None:
        storage, definition = self.storages[which], DEFINITIONS[which]
        labels = tuple(f"{self._added}{name}" + "x" * width for name in definition.labels)
        self._added += 1
        if definition.type == "info":
            storage.set_info(labels, {"version": "1"})
            self.expected[definition.name, labels] = [], {"version": "1"}
            return
        numbers = array("d", [float(self._added)] * (4 if definition.bounds else 1))
        storage.buffer(labels, numbers)
        self.expected[definition.name, labels] = numbers.tolist(), None

    def remove(self, position: int) -> None:
        if self.expected:
            name, labels = list(self.expected)[position % len(self.expected)]
            which = next(at for at, definition in enumerate(DEFINITIONS) if definition.name == name)
            self.storages[which].release(labels)
            del self.expected[name, labels]

    def close(self) -> None:
        self.writer.close()
        self.reader.close()


ADD = st.tuples(st.just("add"), st.integers(0, 3), st.sampled_from([1, 1, 1, 300, 5000]))
STEP = st.one_of(
    ADD,
    ADD,
    st.tuples(st.just("many"), st.integers(0, 2), st.integers(20, 200)),
    st.tuples(st.just("remove"), st.integers(0, 99), st.just(0)),
    st.tuples(st.just("batch"), st.integers(0, 3), st.integers(0, 60)),
    st.tuples(st.just("read"), st.just(0), st.just(0)),
)


def carry_out(stage: Stage, name: str, which: int, count: int) -> None:
    if name == "add":
        stage.add(which, count)
    elif name == "many":
        for number in range(count):
            stage.add(which if number % 3 else 0)
    elif name == "remove":
        stage.remove(which)
    elif name == "batch":
        with stage.storages[0].batch():
            for number in range(count):
                stage.add((which + number) % 4)
            stage.remove(count)
    else:
        assert stage.seen() == (stage.expected, stage.expected)


@pytest.mark.property
@given(st.lists(STEP, max_size=12))
def test_readers_see_the_series_whatever_was_written_in_which_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    with closing(Stage(tmp_path_factory.mktemp("shards"), System())) as stage:
        for step in steps:
            carry_out(stage, *step)
        assert stage.seen() == (stage.expected, stage.expected)


def test_between_any_two_steps_readers_see_the_state_before_or_after(tmp_path: Path) -> None:
    system = Watched()
    with ExitStack() as stack:
        stage = stack.enter_context(closing(Stage(tmp_path, system)))
        other = stage.store(System())  # which reads now and then
        stack.callback(other.close)
        for number in range(260):
            before = dict(stage.expected)
            seen: list[Content] = []
            # Each step of those around the commits of the tail's first turns, and of some others.
            if number < 6 or number % 50 == 0 or 105 < number < 130:
                system.look = lambda seen=seen: seen.extend(stage.seen())
            if number % 40 == 39:
                stage.remove(number)
            else:
                stage.add(number % 3)
            system.look = None
            for each in seen:
                assert without_numbers(each) in (without_numbers(before), without_numbers(stage.expected))
            if number % 70 == 0:
                assert content(other.read()) == stage.expected
        assert stage.seen() == (stage.expected, stage.expected)
        assert content(other.read()) == stage.expected


def without_numbers(shown: Content) -> list[tuple[str, tuple[str, ...]]]:
    return sorted(shown)


def test_the_index_of_many_series_is_short(tmp_path: Path) -> None:
    with closing(Stage(tmp_path, System())) as stage:
        for number in range(3000):
            stage.add(number % 2)
        file = stage.writer._shard.file
        assert file is not None
        labels = sum(len(value) + 1 for _, labels in stage.expected for value in labels)
        assert file.index_bytes < labels + 3000 * 5
        assert stage.seen() == (stage.expected, stage.expected)


@pytest.mark.parametrize("used", [0, 1, TAIL_PERIOD - 1, TAIL_PERIOD, 3 * TAIL_PERIOD + 5])
def test_a_tail_is_valid_for_one_length_of_the_index(used: int) -> None:
    value = tail_value(used, TAIL_SIZE)
    assert value < 1 << 32
    assert tail_bytes(used, value) == TAIL_SIZE
    assert tail_bytes(used + 1, value) is None


def test_no_commit_makes_the_index_longer_by_a_multiple_of_the_period(tmp_path: Path) -> None:
    with closing(Stage(tmp_path, System())) as stage:
        stage.add(0)
        file = stage.writer._shard.file
        assert file is not None
        assert file._tail_bytes > 0
        began = file._tail_began
        # The tail's series again, as in its index, and others, of which the last makes it as long as that.
        records = encode_series(0, ("0path".replace("path", "pathx"),), 0) + encode_series(0, ("y" * 900_000,), 0)
        missing = TAIL_PERIOD - len(records)
        lasts = (encode_series(0, ("z" * length,), 0) for length in range(missing - 100, missing))
        file.append(records + next(last for last in lasts if len(last) == missing))
        assert file.index_bytes - began == TAIL_PERIOD + len(encode_filler())
        shown = {labels[0][:1] for _, labels in content(stage.reader.read())}
        assert shown == {"0", "y", "z"}


def test_a_reader_notices_that_another_tail_began_while_it_read_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Stage(tmp_path, System())) as stage:
        for number in range(5):
            stage.add(number % 3)
        assert content(stage.reader.read()) == stage.expected
        (reader,) = stage.reader._readers.values()
        stage.add(0)
        read, turns = reader._bytes, iter(range(2))

        def interrupted(offset: int, size: int) -> bytes:
            if TAIL_AT <= offset < STATE_AT and next(turns, None) is not None:
                for _ in range(130):  # more than a tail has, so that another begins
                    stage.add(0)
            return read(offset, size)

        monkeypatch.setattr(reader, "_bytes", interrupted)
        assert content(stage.reader.read()) == stage.expected
        assert stage.reader._readers == {reader.name: reader}  # which did not have to begin again
