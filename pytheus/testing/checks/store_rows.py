"""Checks of the rows that a store of shards gives to formats: native buckets and start times."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Sequence
from typing import Final, cast

from pytheus.native_bounds import bucket_index
from pytheus.testing.checks.check import check
from pytheus.testing.checks.store_processes import StoreProcess
from pytheus.testing.checks.stores import StoreChecks

__all__ = ["StoreRowChecks"]

_SIMULATED_KILLS: Final = 60


class StoreRowChecks(StoreChecks):
    """Native buckets and start times of several processes are merged, those of the dead included.

    They need nothing of a store that it does not do for all series, unless it takes the series of native buckets for
    those of their histogram, or a series without its start time.
    """

    @check("test_numbers_count_once")
    def test_native_buckets_are_shared(self) -> None:
        """Another process shows the histogram of all observations, whose buckets are as wide as the widest of any."""
        promise = "another process shows the native buckets of all processes as one that saw everything"
        start = self.place()
        first, second, third = start(), start(), start()
        seen: list[float] = []
        observations = (
            (first, [0.5, 3.0, -1.0]),
            (second, [1.0, 2.0, 4.0, 8.0, 1e-30, 1e60, 0.0]),  # more than it has buckets
            (first, [1e9]),
        )
        for process, values in observations:
            process.do("observe", values)
            seen += values
            self._require_native(third, seen, promise)

    @check("test_native_buckets_are_shared", "test_the_dead_still_count")
    def test_native_buckets_of_the_dead_still_count(self) -> None:
        """The native buckets of a killed process stay, of whatever width they are."""
        start = self.place()
        first, second = start(), start()
        first.do("observe", [1.0, 2.0, 4.0, 8.0, 16.0])
        second.do("observe", [1.0, 5.0])
        first.die()
        seen = [1.0, 2.0, 4.0, 8.0, 16.0, 1.0, 5.0]
        for process in (second, start()):
            self._require_native(process, seen, "the native buckets of a killed process still count")

    def _require_native(self, process: StoreProcess, values: Sequence[float], promise: str) -> None:
        for _ in range(2):
            found = cast("list[object]", process.do("native"))
            if not found:
                raise AssertionError(f"{promise}: a scrape has none")
            schema = cast(int, found[0])
            positive, negative = (
                sorted(Tally(bucket_index(value, schema) for value in values if sign * value > 0).items())
                for sign in (1, -1)
            )
            expected = [positive, negative, sum(value == 0 for value in values), 0]
            pairs = [[tuple(each) for each in cast("list[list[int]]", counts)] for counts in found[2:4]]
            got = [*pairs, *found[4:]]
            if got != expected:
                raise AssertionError(f"{promise}: expected {expected} but got {got}")

    @check("test_numbers_count_once")
    def test_start_times_are_the_earliest(self) -> None:
        """A merged series began with the first process that has it."""
        start = self.place()
        first, second = start(), start()
        began = self._begin_one_after_the_other(first, second)
        promise = "a series began when the first process began it"
        for process in (first, second, start()):
            self._require_start(process, began, promise)

    @check("test_start_times_are_the_earliest", "test_the_dead_still_count")
    def test_start_times_of_the_dead_stay(self) -> None:
        """A series began with a process that is dead by now."""
        start = self.place()
        first, second = start(), start()
        began = self._begin_one_after_the_other(first, second)
        first.die()
        for process in (second, start(), second):
            self._require_start(process, began, "a series began when a process began it that is dead by now")

    @staticmethod
    def _begin_one_after_the_other(first: StoreProcess, second: StoreProcess) -> float:
        first.do("count", "a", 1)
        began = cast(float, first.do("start_time", "a", True))
        second.do("count", "a", 1)
        while cast(float, second.do("start_time", "a", True)) < began + 0.002:
            second.do("remove", "a")
            second.do("count", "a", 1)
        return began

    @staticmethod
    def _require_start(process: StoreProcess, began: float, promise: str) -> None:
        got = cast("float | None", process.do("start_time", "a", False))
        if got is None or abs(got - began) > 0.001:
            raise AssertionError(f"{promise}: expected {began:.3f} but got {got}")

    @check("test_native_buckets_are_shared", "test_a_writer_may_be_killed_at_any_step")
    def test_an_observer_may_be_killed_at_any_step(self) -> None:
        """A process that is killed while it adds a native bucket loses nothing that it had published."""
        self._killed_at_steps("observe", ([1.0],), lambda start: None, {}, _SIMULATED_KILLS)
