"""What a finalizer or a signal handler does in the middle of a change of the shard, at every step of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from pytheus import Counter, Info
from pytheus.registry import Collector
from pytheus.samples import Family, Sample
from pytheus.shards import ShardedRegistry
from pytheus_multiprocess.options import MultiprocessOptions
from pytheus_multiprocess.store import MultiprocessStore
from pytheus_multiprocess.system import System


class Interrupting(System):
    """A system in which something else happens before a certain step, once."""

    def __init__(self) -> None:
        self.left = 0
        self.happens: Callable[[], object] = lambda: None

    def step(self, what: str) -> None:
        if self.left:
            self.left -= 1
            if not self.left:
                self.happens()


class Program:
    """A process with metrics, and another view of its directory."""

    def __init__(self, directory: Path, step: int) -> None:
        self.step, self.reached = step, True
        # The smallest steps there are, so that changes often make the file grow.
        self._options = MultiprocessOptions(
            str(directory), index_step_bytes=4096, numbers_step_bytes=4096, process_metrics=False
        )
        self.system = Interrupting()
        self.registry = ShardedRegistry(MultiprocessStore(self._options, self.system))
        self._scraped = ShardedRegistry(MultiprocessStore(self._options))
        self.jobs = Counter("jobs_total", "Jobs.", ["kind"], registry=self.registry)
        self.build = Info("build", "Build.", registry=self.registry)
        self.build.info(version="1")
        for number in range(5):
            self.jobs.labels(f"kind{number}").inc(number + 1)

    def interrupted(self, change: Callable[[], object], happens: Callable[[], object]) -> None:
        """Make the change, and let the other thing happen before its step; `reached` is False if it has less."""
        self.system.happens = happens
        self.system.left = self.step
        try:
            change()
        finally:
            self.reached = not self.system.left
            self.system.left = 0

    def counts(self, *, own: bool = False) -> dict[str, float]:
        """The jobs by kind, and problems, as the other view shows them, or the process's own scrape."""
        registry = self.registry if own else self._scraped
        samples = [sample for collector in registry.collect() for sample in _samples(collector)]
        return {sample.labels.get("kind", sample.labels.get("version", "")): sample.value for sample in samples}

    def close(self) -> None:
        self._scraped.close()
        self.registry.close()


def _samples(collector: Collector) -> list[Sample]:
    return [sample for family in collector.collect() if isinstance(family, Family) for sample in family.samples]


LONG = "2" * 900


def told_again_and_again(program: Program) -> None:
    for _ in range(5):
        program.build.info(version=LONG)


# Each with the kinds that it leaves counted.
CHANGES: dict[str, tuple[Callable[[Program], object], dict[str, float | None]]] = {
    "place": (lambda program: program.jobs.labels("new").inc(7), {"new": 7.0}),
    "remove": (lambda program: program.jobs.remove("kind1"), {"kind1": None}),
    "info": (told_again_and_again, {"1": None, LONG: 1.0}),
    "exemplar": (lambda program: program.jobs.labels("kind2").inc(exemplar={"trace_id": "a"}), {"kind2": 4.0}),
}
INTERRUPTIONS: dict[str, tuple[Callable[[Program], object], dict[str, float | None]]] = {
    "remove": (lambda program: program.jobs.remove("kind3"), {"kind3": None}),
    "info": (lambda program: program.build.info(version="3"), {}),
    "exemplar": (lambda program: program.jobs.labels("kind4").inc(exemplar={"trace_id": "b"}), {"kind4": 6.0}),
    # An unshared series, see shard.py; but the other series must be correct.
    "place": (lambda program: program.jobs.labels("other").inc(), {}),
}


def programs(directory: Path) -> Iterator[Program]:
    """A program of its own for each step of what is done with it, until it has no more of them."""
    step = 1
    reached = True
    while reached:
        program = Program(directory / str(step), step)
        yield program
        program.close()
        reached = program.reached
        step += 1
    assert step > 2


@pytest.mark.parametrize("interruption", INTERRUPTIONS)
@pytest.mark.parametrize("change", CHANGES)
def test_the_shard_is_whole_after_a_change_in_the_middle_of_another(
    tmp_path: Path, change: str, interruption: str
) -> None:
    make, changed = CHANGES[change]
    happen, happened = INTERRUPTIONS[interruption]
    for program in programs(tmp_path):
        program.interrupted(partial(make, program), partial(happen, program))
        program.jobs.labels("after").inc(9)
        expected: dict[str, float | None] = {f"kind{number}": number + 1.0 for number in range(5)}
        expected |= {"1": 1.0, "after": 9.0} | changed | (happened if program.reached else {})
        found = program.counts()
        if interruption == "info" and program.reached:
            # The version of one of both, whichever was last.
            assert [found.pop(version, None) for version in ("1", LONG, "3")].count(1.0) == 1
            expected = {kind: count for kind, count in expected.items() if kind not in ("1", LONG)}
        if interruption == "place" and program.reached:
            assert found.pop("") == 1.0  # pytheus_multiprocess_unshared_series
        present = {kind: count for kind, count in expected.items() if count is not None}
        assert found == present, f"step {program.step}"


def test_a_series_that_is_made_in_the_middle_of_its_making_is_one(tmp_path: Path) -> None:
    def count(program: Program, by: float) -> None:
        program.jobs.labels("new").inc(by)

    for program in programs(tmp_path):
        program.interrupted(partial(count, program, 7), partial(count, program, 2))
        assert program.counts(own=True)["new"] == (9.0 if program.reached else 7.0)
        program.jobs.remove("new")
        assert "new" not in program.counts(own=True)


def test_a_removal_that_was_broken_off_does_not_count_again(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    for program in programs(tmp_path):
        try:
            program.interrupted(partial(program.jobs.remove, "kind1"), interrupt)
        except KeyboardInterrupt:
            program.jobs.remove("kind1")
        program.jobs.labels("kind1").inc(7)
        assert program.counts()["kind1"] == 7.0


def test_a_child_forked_in_the_middle_of_a_change_leaves_the_parents_shard_alone(tmp_path: Path) -> None:
    child = -1

    def fork(reader: int, writer: int) -> None:
        nonlocal child
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)  # so that the parent comes first

    for program in programs(tmp_path):
        reader, writer = os.pipe()
        child = -1
        status = 1
        try:
            program.interrupted(partial(program.jobs.labels, "new"), partial(fork, reader, writer))
            program.jobs.labels("new").inc()
            status = 0
        finally:
            if child == 0:
                os._exit(status)
        program.jobs.labels("later").inc(3)
        os.close(reader)
        os.close(writer)
        if program.reached:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert program.counts()["later"] == 3.0
