"""Stores of shards that break the contract, each in one point, as real ones do."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NoReturn

from pytheus.definitions import Definition
from pytheus.registry import FloatBuffer, HasRows, NumberStorage
from pytheus.samples import Exemplar
from pytheus.shards import Archive, MemoryBackend, MemoryShardStore, Reading, ShardIdentity, Snapshot, fold
from pytheus.shards.bucket_series import BUCKET_MODE
from pytheus.shards.memory_store import BackendStorage
from pytheus.shards.start_times import StartTimes


class BrokenStore(MemoryShardStore):
    check: ClassVar[str] = ""
    """The one check that fails."""

    message: ClassVar[str] = ""
    """What the failure says, among other things."""

    publishes: ClassVar[bool] = False

    def dead(self) -> list[Snapshot]:
        """Return the shards of killed processes."""
        return [self._snapshot(shard) for shard in self.backend.shards.values() if not shard.live]

    def forget(self, dead: Sequence[Snapshot]) -> None:
        for snapshot in dead:
            self.backend.shards.pop(snapshot.identity.token, None)


# What it holds --------------------------------------------------------------------------------------------------------


class CannotRead(BrokenStore):
    check = "test_a_process_sees_its_own_numbers"
    message = "a process can read the place: raised NotImplementedError"

    def read(self) -> NoReturn:
        raise NotImplementedError


class LeavesItselfOut(BrokenStore):
    check = "test_a_process_sees_its_own_numbers"
    message = "a process sees its own numbers: expected a 2 but got nothing"

    def read(self) -> Reading:
        reading = super().read()
        return reading._replace(snapshots=[one for one in reading.snapshots if one.identity != self.identity])


class OnePlaceForAll(BrokenStore):
    check = "test_places_are_independent"
    message = "a new place holds nothing of one made before: expected nothing but got a"

    everything: ClassVar[MemoryBackend] = MemoryBackend()

    def __init__(self, backend: MemoryBackend, *, publishing: bool) -> None:
        if not any(shard.live for shard in self.everything.shards.values()):
            type(self).everything = MemoryBackend()  # those of an earlier check are over
        super().__init__(self.everything, publishing=publishing)


class SharesNothing(BrokenStore):
    check = "test_processes_share_their_numbers"
    message = "processes on one place share their numbers: expected a 3, b 4 but got a 1"

    def read(self) -> Reading:
        reading = super().read()
        return reading._replace(snapshots=[one for one in reading.snapshots if one.identity == self.identity])


class ReadsOnce(BrokenStore):
    check = "test_processes_share_their_numbers"
    message = "processes on one place share their numbers"

    def read(self) -> Reading:
        known: Reading | None = getattr(self, "known", None)
        if known is None or not any(map(len, (one.layout for one in known.snapshots))):
            known = self.known = super().read()
        return known


class OneTokenForAll(BrokenStore):
    check = "test_each_process_has_a_shard_of_its_own"
    message = "each store has a shard with a token of its own: both have '0000000000000000'"

    def _begin(self, identity: ShardIdentity) -> None:
        super()._begin(identity._replace(token="0" * 16))


class ShowsItselfTwice(BrokenStore):
    check = "test_each_process_has_a_shard_of_its_own"
    message = "a reading has each shard once: it has ["

    def read(self) -> Reading:
        reading = super().read()
        own = [one for one in reading.snapshots if one.identity == self.identity]
        return reading._replace(snapshots=[*reading.snapshots, *own])


class AddsAtEachPublication(BrokenStore):
    """It writes differences, and forgets that it has written them."""

    check = "test_numbers_count_once"
    message = "a number counts once, however often it is published: expected a 1 but got a"
    publishes = True

    def publish(self, metrics: Sequence[HasRows], /, *, last: bool = False) -> None:
        before = self.shard.numbers()
        super().publish(metrics, last=last)
        now = self.shard.numbers()
        # The first publications look right.
        self.publications = getattr(self, "publications", 0) + 1
        if self.publications > 6 and len(before) == len(now):
            self.shard.views = [array("d", [one + other for one, other in zip(before, now, strict=True)])]


class RoundsNumbers(BrokenStore):
    check = "test_every_type_is_shared"
    message = "kit_each_size_bytes_sum is inf instead of 1e+300"

    def _snapshot(self, shard: object) -> Snapshot:
        snapshot = super()._snapshot(shard)  # type: ignore[arg-type]  # a shard of the backend
        rounded = [number if abs(number) < 3e38 else number * float("inf") for number in snapshot.numbers]
        return snapshot._replace(numbers=rounded)


class LosesInfo(BrokenStore):
    check = "test_every_type_is_shared"
    message = "the description of 'kit_each_build' is '' instead of 'Build.'"

    def storage(self, definition: Definition, /) -> NumberStorage | None:
        return _WithoutInfo(self, definition)


class _WithoutInfo(BackendStorage):
    def set_info(self, labels: tuple[str, ...], info: Mapping[str, str], /) -> None:
        pass


class LosesExemplars(BrokenStore):
    check = "test_every_type_is_shared"
    message = "the exemplar of kit_each_wait_seconds_bucket"

    def storage(self, definition: Definition, /) -> NumberStorage | None:
        return _WithoutExemplars(self, definition)


class _WithoutExemplars(BackendStorage):
    def set_exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None:
        pass


class KeepsBucketsToItself(BrokenStore):
    """It takes the definition of native buckets for that of their histogram, which is there already."""

    check = "test_native_buckets_are_shared"
    message = "as one that saw everything: expected ["

    def storage(self, definition: Definition, /) -> NumberStorage | None:
        return None if definition.mode == BUCKET_MODE else super().storage(definition)


class LosesStartTimes(BrokenStore):
    check = "test_start_times_are_the_earliest"
    message = "a series began when the first process began it: expected"

    def storage(self, definition: Definition, /) -> NumberStorage | None:
        return _WithoutStartTimes(self, definition)


class _WithoutStartTimes(BackendStorage):
    def buffer(self, labels: tuple[str, ...], numbers: array[float], created: float = 0.0, /) -> FloatBuffer:
        return super().buffer(labels, numbers)


class LosesStartTimesOfTheDead(BrokenStore):
    check = "test_start_times_of_the_dead_stay"
    message = "a series began when a process began it that is dead by now: expected"

    def read(self) -> Reading:
        for snapshot in self.dead():
            snapshot.layout.start_times = StartTimes()
        return super().read()


class KeepsRemovedSeries(BrokenStore):
    check = "test_a_removed_series_is_gone"
    message = "a removed series is gone for all, and begins at zero if it comes back: expected b 2 but got a 1, b 2"

    def storage(self, definition: Definition, /) -> NumberStorage | None:
        return _Keeping(self, definition)


class _Keeping(BackendStorage):
    def release(self, labels: tuple[str, ...], /) -> None:
        if len(self._store.shard.views) < 2:  # all of them go when the metric is unregistered
            super().release(labels)


class KeepsOldNumbers(BrokenStore):
    """A series that comes back has the numbers that it had."""

    check = "test_a_removed_series_is_gone"
    message = "begins at zero if it comes back: expected a 4, b 2 but got b 2, a 5"

    def storage(self, definition: Definition, /) -> NumberStorage | None:
        return _Remembering(self, definition)


class _Remembering(BackendStorage):
    def __init__(self, store: MemoryShardStore, definition: Definition) -> None:
        super().__init__(store, definition)
        self._former: dict[tuple[str, ...], list[float]] = {}

    def buffer(self, labels: tuple[str, ...], numbers: array[float], created: float = 0.0, /) -> FloatBuffer:
        buffer = super().buffer(labels, numbers, created)
        for index, number in enumerate(self._former.pop(labels, ())):
            buffer[index] = number
        return buffer

    def release(self, labels: tuple[str, ...], /) -> None:
        self._former[labels] = super().buffer(labels, array("d", [0.0])).tolist()
        super().release(labels)


# The dead -------------------------------------------------------------------------------------------------------------


class DropsTheDead(BrokenStore):
    check = "test_the_dead_still_count"
    message = "the counts of a killed process still count: expected a 1 but got nothing"

    def read(self) -> Reading:
        self.forget(self.dead())
        return super().read()


class NoticesNoDeath(BrokenStore):
    check = "test_gauges_of_the_dead_do_not_count"
    message = "a gauge of a killed process no longer counts: expected alive 1 but got alive 2"

    def kill(self) -> None:
        pass


class CountsTheDeadTwice(BrokenStore):
    """A reading that folds shows what it has folded as well."""

    check = "test_the_dead_still_count"
    message = "the counts of a killed process still count: expected a 1 but got a 2"

    def read(self) -> Reading:
        dead = self.dead()
        reading = super().read()
        return reading._replace(snapshots=[*reading.snapshots, *dead])


class EachReaderFolds(BrokenStore):
    """Each store folds the shards that it sees die, although another may have done so."""

    check = "test_the_dead_still_count"
    message = "the counts of a killed process still count: expected a 1 but got a 2"

    def read(self) -> Reading:
        folded: set[str] = self.__dict__.setdefault("folded", set())
        dead = self.dead()
        new = [snapshot for snapshot in dead if snapshot.identity.token not in folded]
        self.backend.archive = fold(self.backend.archive, new).forget_tokens([one.identity.token for one in new])
        folded.update(one.identity.token for one in new)
        live = [self._snapshot(shard) for shard in self.backend.shards.values() if shard.live]
        return Reading(live, self.backend.archive)


class FoldsThree(BrokenStore):
    """Its archive has space for three processes."""

    check = "test_the_dead_count_once"
    message = "each killed process counts once, also if several processes fold: expected a 4, only 1 1"

    def read(self) -> Reading:
        folded: int = getattr(self.backend, "folded", 0)
        dead = self.dead()
        if folded >= 3:
            self.forget(dead)
        vars(self.backend)["folded"] = folded + len(dead)
        return super().read()


# Steps ----------------------------------------------------------------------------------------------------------------


class DeletesBeforeItFolds(BrokenStore):
    check = "test_a_reader_may_be_killed_at_any_step"
    message = "a process may be killed at any step of 'read': killed before its call"

    def read(self) -> Reading:
        dead = self.dead()
        self.forget(dead)
        archive = fold(self.backend.archive, dead)
        self.backend.archive = archive.forget_tokens([one.identity.token for one in dead])
        return super().read()


class FoldsWithoutTokens(BrokenStore):
    """Killed between the archive and the deletion, it has a shard in both."""

    check = "test_a_reader_may_be_killed_at_any_step"
    message = "a process may be killed at any step of 'read': killed before its call"

    def read(self) -> Reading:
        dead = self.dead()
        archive = fold(self.backend.archive, dead).forget_tokens([one.identity.token for one in dead])
        self.backend.archive = archive
        self.forget(dead)
        return super().read()


class ReplacesItsShardToClose(BrokenStore):
    check = "test_a_closing_process_may_be_killed_at_any_step"
    message = "a process may be killed at any step of 'close': killed before its call"

    def close(self) -> None:
        shard = self.backend.shards.pop(self.identity.token, None)
        if shard is not None:
            shard.numbers().sort()
            shard.live = False
            self.backend.shards[self.identity.token] = shard


class WritesRecordsFirst(BrokenStore):
    """A series is in the layout before its numbers have space."""

    check = "test_a_writer_may_be_killed_at_any_step"
    message = "a process can read the place: raised IndexError"

    def storage(self, definition: Definition, /) -> NumberStorage | None:
        return _RecordFirst(self, definition)


class _RecordFirst(BackendStorage):
    def buffer(self, labels: tuple[str, ...], numbers: array[float], created: float = 0.0, /) -> FloatBuffer:
        shard = self._store.shard
        known = len(shard.views)
        buffer = super().buffer(labels, numbers, created)
        if len(shard.views) > known:
            views = [shard.views.pop()]
            shard.views.extend(views)
        return buffer


# The end, and forks ---------------------------------------------------------------------------------------------------


class DeletesOnClose(BrokenStore):
    check = "test_what_a_closed_store_counted_stays"
    message = "close() leaves the counts of the process to the others: expected a 1 but got nothing"

    def close(self) -> None:
        self.backend.shards.pop(self.identity.token, None)


class ClosesOnce(BrokenStore):
    check = "test_a_store_may_be_closed_twice"
    message = "close() may be called twice: raised OSError: closed already"

    def close(self) -> None:
        if not self.shard.live:
            raise OSError("closed already")
        super().close()


class ClosesAll(BrokenStore):
    check = "test_a_store_may_be_closed_twice"
    message = "close() of one store leaves the others as they are: expected a 2 but got"

    def close(self) -> None:
        if not self.shard.live:
            self.backend.shards.clear()
            self.backend.archive = Archive()
        super().close()


class ForgetsTheFork(BrokenStore):
    check = "test_the_child_of_a_fork_has_a_shard_of_its_own"
    message = "the child of a fork begins a shard of its own, at zero: its token is that of the parent"

    after_fork_in_child: ClassVar[Callable[[], None] | None] = None  # type: ignore[assignment]  # the very defect


class InheritsNumbers(BrokenStore):
    check = "test_the_child_of_a_fork_has_a_shard_of_its_own"
    message = "at zero: 1 of the parent and 2 of the child came to [4.0]"

    def after_fork_in_child(self) -> None:
        parent = self.shard
        super().after_fork_in_child()
        self.inherited = parent

    def read(self) -> Reading:
        reading = super().read()
        parent = getattr(self, "inherited", None)
        if parent is None:
            return reading
        copy = self._snapshot(parent)
        return reading._replace(
            snapshots=[*reading.snapshots, copy._replace(identity=copy.identity._replace(token="f" * 16))]
        )


class ForgetsTheParent(BrokenStore):
    check = "test_the_child_of_a_fork_has_a_shard_of_its_own"
    message = "at zero: 1 of the parent and 2 of the child came to [2.0]"

    def after_fork_in_child(self) -> None:
        self.backend.shards = {}
        super().after_fork_in_child()
