"""Checks of a store of shards: several processes on one place, their deaths, forks and ends."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import ClassVar, Final, cast
from unittest import SkipTest

from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.traversal import flatten
from pytheus.samples import Family
from pytheus.shards.registry import ShardedRegistry
from pytheus.shards.snapshot import ShardIdentity
from pytheus.shards.store import ShardStore
from pytheus.testing.checks.check import Conformance, check, promised
from pytheus.testing.checks.comparison import family_difference
from pytheus.testing.checks.scrape import one_of_each
from pytheus.testing.checks.scraped_families import decoded
from pytheus.testing.checks.store_processes import ForkedProcess, LocalProcess, StoreProcess

__all__ = ["StoreChecks", "StoreDeclarations"]


class StoreDeclarations(Conformance):
    """The attributes and methods by which a subclass describes its store."""

    crosses_processes: ClassVar[bool] = True
    """Whether processes share the place; if not, `kill` simulates the death of one."""

    kill_points: ClassVar[int] = 16
    """At how many steps in memory, spread over an operation, a process is killed; and at as many as 60 system calls."""

    def make_place(self) -> Callable[[], ShardStore]:
        """Return a function that opens a store, each time that of another process, all on one new place.

        A place is a directory, a server's namespace, or a backend in memory. The function is called in the process that
        is to have the store; with `crosses_processes`, that is a child of this one.
        """
        raise NotImplementedError(f"{type(self).__name__} must define make_place(self) -> Callable[[], ShardStore]")

    def make_registry(self, store: ShardStore) -> ShardedRegistry:
        """Return the registry of a store. Override it for a store that the plugin does more for."""
        return ShardedRegistry(store)

    def kill(self, store: ShardStore) -> None:
        """Leave `store` as a process that is killed leaves it. Needed unless `crosses_processes`."""
        raise NotImplementedError(f"{type(self).__name__} must define kill(self, store), or share across processes")

    def notice_death(self, identity: ShardIdentity) -> None:
        """Return when others take the killed process with this shard for dead; at once unless overridden."""

    @classmethod
    def meets(cls, need: str) -> bool:
        """Return whether the class declares the ability that a check with this need tests."""
        if need == "processes":
            return cls.crosses_processes
        raise ValueError(f"a check needs {need!r}, which no declaration provides")

    # For checks -------------------------------------------------------------------------------------------------------

    def place(self) -> Callable[[], StoreProcess]:
        """Return a function that starts a process on one new place."""
        open_store = self.make_place()

        def make() -> ShardedRegistry:
            return self.make_registry(open_store())

        def start() -> StoreProcess:
            with promised("a store can be opened"):
                process: StoreProcess = (
                    ForkedProcess(make, self.notice_death, self.patience_seconds)
                    if self.crosses_processes
                    else LocalProcess(make, self.kill)
                )
            self.__dict__.setdefault("_started", []).append(process)
            return process

        return start

    def teardown_method(self) -> None:
        """End the processes that the check started."""
        for process in self.__dict__.pop("_started", []):
            process.end()

    def scrape(self, process: StoreProcess) -> list[Family]:
        """Return the kit's families in a scrape of `process`."""
        with promised("a process can read the place"):
            return decoded(process.do("scrape"))

    def totals(self, process: StoreProcess) -> dict[str, float]:
        """Return the numbers that a scrape of `process` shows of the counter, by kind, and of the living ("alive").

        The observations of the native histogram count as of the kind "during".
        """
        found: dict[str, float] = {}
        for family in self.scrape(process):
            for sample in family.samples:
                if family.name == "kit_hits_total":
                    found[sample.labels["kind"]] = sample.value
                elif family.name == "kit_alive":
                    found["alive"] = sample.value
                elif family.name == "kit_sizes" and sample.suffix == "_count":
                    found["during"] = sample.value
        return found

    def require(self, process: StoreProcess, expected: dict[str, float], promise: str) -> None:
        """Fail with `promise` unless a scrape of `process`, and the next one, show `expected`."""
        for _ in range(2):
            got = self.totals(process)
            if got != expected:
                raise AssertionError(f"{promise}: expected {_shown(expected)} but got {_shown(got)}")


_SIMULATED_KILLS: Final = 400
_CALLS: Final = 60


def _spread(steps: int, points: int) -> list[int]:
    """Return at most `points` of the numbers from 1 to `steps`, the first and the last among them."""
    return sorted({1 + point * (steps - 1) // max(1, points - 1) for point in range(points)}) if steps else []


def _step(step: tuple[int, int]) -> str:
    return f"its call {step[0]} of a function in C" if step[0] else f"its system call {step[1]}"


def _shown(totals: dict[str, float]) -> str:
    return ", ".join(f"{kind} {number:g}" for kind, number in totals.items()) or "nothing"


def _undated(family: Family) -> Family:
    samples = [
        sample._replace(exemplar=sample.exemplar and sample.exemplar._replace(timestamp=None))
        for sample in family.samples
    ]
    return Family(family.name, family.type, family.description, samples, unit=family.unit, names=family.names)


class StoreChecks(StoreDeclarations):
    """The counts of each process are there once for all, also after its death."""

    @check()
    def test_a_process_sees_its_own_numbers(self) -> None:
        """A scrape of the only process shows its counts."""
        promise = "a process sees its own numbers"
        process = self.place()()
        with promised(promise):
            process.do("count", "a", 2)
        self.require(process, {"a": 2.0}, promise)

    @check("test_a_process_sees_its_own_numbers")
    def test_places_are_independent(self) -> None:
        """Counts on one place do not show on another."""
        self.place()().do("count", "a", 2)
        self.require(self.place()(), {}, "a new place holds nothing of one made before")

    @check("test_places_are_independent")
    def test_each_process_has_a_shard_of_its_own(self) -> None:
        """Two stores have different tokens, and a reading has the shard of each once."""
        start = self.place()
        processes = [start(), start()]
        for process in processes:
            process.do("count", "a", 1)
        tokens = [cast("list[str]", process.do("identity"))[3] for process in processes]
        if len(set(tokens)) < 2:
            raise AssertionError(f"each store has a shard with a token of its own: both have {tokens[0]!r}")
        read = cast("list[str]", processes[0].do("shard_tokens"))
        if len(set(read)) < len(read):
            raise AssertionError(f"a reading has each shard once: it has {sorted(read)}")

    @check("test_each_process_has_a_shard_of_its_own")
    def test_processes_share_their_numbers(self) -> None:
        """Every process sees the sum of all counts."""
        promise = "processes on one place share their numbers"
        start = self.place()
        first, second = start(), start()
        first.do("count", "a", 1)
        second.do("count", "a", 2)
        second.do("count", "b", 4)
        for process in (first, second, start()):
            self.require(process, {"a": 3.0, "b": 4.0}, promise)
        first.do("count", "a", 8)
        self.require(second, {"a": 11.0, "b": 4.0}, promise)

    @check("test_processes_share_their_numbers")
    def test_numbers_count_once(self) -> None:
        """However often they are published and read."""
        start = self.place()
        first, second = start(), start()
        first.do("count", "a", 1)
        for _ in range(3):
            first.do("publish")
            second.do("read")
            first.do("read")
        for process in (first, second):
            self.require(process, {"a": 1.0}, "a number counts once, however often it is published")

    @check("test_numbers_count_once")
    def test_every_type_is_shared(self) -> None:
        """Another process shows metrics of every type as one registry would that counted for both."""
        promise = "another process shows every type of metric as it is"
        start = self.place()
        first, second = start(), start()
        for times, processes in ((1, [first]), (2, [first, second])):
            processes[-1].do("fill", 1)
            local = CollectorRegistry()
            for _ in range(times):
                one_of_each("kit_each", local)
            # Each process has made its exemplars at a time of its own.
            expected = [_undated(family) for metric in local.collect() for family in flatten(metric)]
            given = {family.name: _undated(family) for family in self.scrape(second)}
            told = family_difference(
                [given.get(one.name, Family(one.name, one.type, "")) for one in expected], expected
            )
            if told:
                raise AssertionError(f"{promise}: {told}")

    @check("test_numbers_count_once")
    def test_threads_of_a_process_lose_nothing(self) -> None:
        """Counts of several threads at once are there for the others."""
        start = self.place()
        first, second = start(), start()
        first.do("count_in_threads", 4, 500)
        self.require(second, {"threads": 2000.0}, "counts of several threads at once are not lost")

    @check("test_numbers_count_once")
    def test_a_removed_series_is_gone(self) -> None:
        """A series that a process removed shows in no other, and begins at zero if it comes back."""
        promise = "a removed series is gone for all, and begins at zero if it comes back"
        start = self.place()
        first, second = start(), start()
        first.do("count", "a", 1)
        first.do("count", "b", 2)
        self.require(second, {"a": 1.0, "b": 2.0}, promise)
        first.do("remove", "a")
        self.require(second, {"b": 2.0}, promise)
        first.do("count", "a", 4)
        self.require(second, {"a": 4.0, "b": 2.0}, promise)

    @check("test_numbers_count_once")
    def test_an_unregistered_metric_is_gone(self) -> None:
        """A metric that left the registry took its numbers with it, also after its process is dead."""
        promise = "a metric that leaves the registry takes its numbers with it"
        start = self.place()
        first, second = start(), start()
        first.do("count", "a", 1)
        first.do("unregister")
        self.require(second, {}, promise)
        first.die()
        self.require(second, {}, promise)

    # The dead ---------------------------------------------------------------------------------------------------------

    @check("test_numbers_count_once")
    def test_the_dead_still_count(self) -> None:
        """The counts of a killed process stay; processes that start later see them too."""
        promise = "the counts of a killed process still count"
        start = self.place()
        first, second = start(), start()
        first.do("count", "a", 1)
        first.die()
        for process in (second, start()):
            self.require(process, {"a": 1.0}, promise)
        second.do("count", "a", 2)
        second.die()
        self.require(start(), {"a": 3.0}, promise)

    @check("test_the_dead_still_count")
    def test_gauges_of_the_dead_do_not_count(self) -> None:
        """A gauge counts while its process lives."""
        promise = "a gauge of a killed process no longer counts"
        start = self.place()
        first, second = start(), start()
        for process in (first, second):
            process.do("live")
        self.require(second, {"alive": 2.0}, promise)
        first.die()
        self.require(second, {"alive": 1.0}, promise)

    @check("test_the_dead_still_count")
    def test_the_dead_count_once(self) -> None:
        """Generations of processes die while several others read, and each is counted once."""
        promise = "each killed process counts once, also if several processes fold"
        start = self.place()
        readers = [start(), start()]
        for number in range(1, 5):
            process = start()
            process.do("count", "a", 1)
            process.do("count", f"only {number}", 1)
            process.die()
            expected = {"a": float(number)} | {f"only {each}": 1.0 for each in range(1, number + 1)}
            for reader in (readers[number % 2], readers[1 - number % 2]):
                self.require(reader, expected, promise)

    # The end ----------------------------------------------------------------------------------------------------------

    @check("test_the_dead_still_count")
    def test_what_a_closed_store_counted_stays(self) -> None:
        """`close` leaves the shard to the others, also if no process is left."""
        promise = "close() leaves the counts of the process to the others"
        start = self.place()
        first, second = start(), start()
        first.do("count", "a", 1)
        with promised(promise):
            first.do("close")
        for process in (second, start()):
            self.require(process, {"a": 1.0}, promise)
        first.die()
        self.require(second, {"a": 1.0}, promise)
        second.do("close")
        self.require(start(), {"a": 1.0}, promise)

    @check("test_what_a_closed_store_counted_stays")
    def test_a_store_may_be_closed_twice(self) -> None:
        """`close()` is idempotent, and other stores on the place go on."""
        start = self.place()
        first, second = start(), start()
        second.do("count", "a", 1)
        with promised("close() may be called twice"):
            first.do("close")
            first.do("close_store")
        second.do("count", "a", 1)
        self.require(second, {"a": 2.0}, "close() of one store leaves the others as they are")

    # Forks ------------------------------------------------------------------------------------------------------------

    @check("test_numbers_count_once")
    def test_the_child_of_a_fork_has_a_shard_of_its_own(self) -> None:
        """It begins at zero, and a scrape of it adds the parent's numbers."""
        process = self.place()()
        process.do("count", "a", 1)
        token = cast("list[str]", process.do("identity"))[3]
        promise = "the child of a fork begins a shard of its own, at zero"
        with promised(promise):
            identity, scraped = cast("list[list[str]]", process.do("fork", "a", 2))
        if identity[3] == token:
            raise AssertionError(f"{promise}: its token is that of the parent")
        numbers = [sample.value for one in decoded(scraped) if one.name == "kit_hits_total" for sample in one.samples]
        if numbers != [3.0]:
            raise AssertionError(f"{promise}: 1 of the parent and 2 of the child came to {numbers}")
        if cast("list[str]", process.do("identity"))[3] != token:
            raise AssertionError("a fork changes nothing in the parent: its token is another one")

    @check("test_the_child_of_a_fork_has_a_shard_of_its_own", needs=["processes"])
    def test_parent_and_child_count_apart(self) -> None:
        """After a fork both count on, and the counts of each stay when it is killed."""
        promise = "after a fork the numbers of parent and child count once each"
        start = self.place()
        first, second = start(), start()
        first.do("count", "a", 1)
        identity, _ = cast("list[list[object]]", first.do("fork", "a", 2))
        self.require(second, {"a": 3.0}, promise)
        first.do("count", "a", 4)
        self.require(second, {"a": 7.0}, promise)
        first.do("end_child")
        self.notice_death(ShardIdentity(*cast("tuple[str, int, int, str]", identity)))
        self.require(second, {"a": 7.0}, promise)
        first.die()
        self.require(second, {"a": 7.0}, promise)

    # Killed between two steps -----------------------------------------------------------------------------------------

    @check("test_the_dead_count_once")
    def test_a_reader_may_be_killed_at_any_step(self) -> None:
        """A process that is killed while it reads and folds neither loses nor doubles anything."""

        def prepare(start: Callable[[], StoreProcess]) -> None:
            dead = start()
            dead.do("count", "dead", 1)
            dead.die()

        self._killed_at_steps("read", (), prepare, {"dead": 1.0})

    @check("test_the_dead_count_once")
    def test_a_writer_may_be_killed_at_any_step(self) -> None:
        """A process that is killed while it adds a series loses nothing that it had published."""
        self._killed_at_steps("count", ("during", 1.0), lambda start: None, {})

    @check("test_what_a_closed_store_counted_stays", "test_the_dead_count_once")
    def test_a_closing_process_may_be_killed_at_any_step(self) -> None:
        """A process that is killed while it closes its store neither loses nor doubles anything."""
        self._killed_at_steps("close", (), lambda start: None, {})

    def _killed_at_steps(
        self,
        operation: str,
        arguments: Sequence[object],
        prepare: Callable[[Callable[[], StoreProcess]], None],
        more: dict[str, float],
        simulated_kills: int = _SIMULATED_KILLS,
    ) -> None:
        # Many forks follow, and each copies the page tables of the whole process.
        gc.collect()
        start = self.place()
        prepare(start)
        sample = start()
        sample.do("count", "before", 1)
        in_memory, outside = cast("list[int]", sample.do("steps", operation, arguments))
        # Each step of a simulated process is quick, and none of them reaches outside.
        points = self.kill_points if self.crosses_processes else simulated_kills
        steps = [(step, 0) for step in _spread(in_memory, points)] + [(0, step) for step in _spread(outside, _CALLS)]
        if not steps:
            raise SkipTest(f"{operation} runs no step before which its process could be killed")
        observer = start()
        certain = 1.0
        for step in steps:
            prepare(start)
            killed = start()
            killed.do("count", "before", 1)
            killed.die_at(step, operation, *arguments)
            certain += 1
            for _ in range(2):
                got = self.totals(observer)
                begun = got.pop("during", 0.0)
                expected = {"before": certain} | {kind: certain * number for kind, number in more.items()}
                if got != expected or not 0 <= begun <= certain:
                    raise AssertionError(
                        f"a process may be killed at any step of {operation!r}: killed before {_step(step)},"
                        f" expected {_shown(expected)} but got {_shown(got)}"
                    )
