"""Series that end among several processes: no sum goes back, and Redis drops those that no process writes."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter as Tally
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pytheus import Counter, Gauge, Histogram, generate_metrics
from pytheus.compose import expiring
from pytheus.definitions import Definition
from pytheus.kinds import GaugeMode
from pytheus.native_bounds import bucket_index
from pytheus.native_buckets import NativeBuckets, NativeHistogram
from pytheus.registry import Registry
from pytheus.shards import Merger, Reading, ShardedRegistry
from pytheus.shards.published import SharedMetric
from pytheus_redis.client import Answer, Call, RedisClient
from pytheus_redis.errors import RedisStoreError
from pytheus_redis.options import RedisOptions
from pytheus_redis.scripts import RETIRE

if TYPE_CHECKING:
    from tests.redis.conftest import Member, Members, Server, WaitUntil

Make = Callable[..., ShardedRegistry]
EXPIRY = 10.0
A = ("tally_total", ("a",))
B = ("tally_total", ("b",))


def lines_of(registry: Registry) -> list[str]:
    """The samples, sorted."""
    return sorted(line for line in generate_metrics(registry).splitlines() if not line.startswith("#"))


def of_metrics(registry: Registry, *names: str) -> list[str]:
    return [line for line in lines_of(registry) if line.startswith(names)]


def every(_: Definition) -> bool:
    return True


def settled(*registries: ShardedRegistry) -> None:
    """Let each publish, and fold the shards that have ended."""
    for _ in range(2):
        for registry in registries:
            generate_metrics(registry)


def test_the_sum_stays_while_one_of_two_processes_writes(make_registry: Make) -> None:
    idle, busy = make_registry(), make_registry()
    metrics = []
    for registry in (idle, busy):
        visits = Counter("visits_total", "V.", ["user"], registry=registry)
        waits = Histogram("waits", "W.", ["user"], buckets=[1], registry=registry)
        metrics.append((visits, waits))
        visits.labels("ann").inc(5)
        waits.labels("ann").observe(0.5)
    settled(idle, busy)
    names = ("visits", "waits")
    before = of_metrics(idle, *names)
    assert 'visits_total{user="ann"} 10.0' in before
    for metric in metrics[0]:
        assert [metric.expire_series(EXPIRY, now) for now in (0, EXPIRY)] == [0, 1]
    assert of_metrics(idle, *names) == of_metrics(busy, *names) == before

    settled(idle, busy)
    for registry in (idle, busy):
        registry.expire_ended_series(0.0, every)
        assert of_metrics(registry, *names) == before

    for metric in metrics[1]:
        assert [metric.expire_series(EXPIRY, now) for now in (0, EXPIRY)] == [0, 1]
    settled(busy, idle)
    assert of_metrics(idle, *names) == before
    idle.expire_ended_series(3600.0, every)
    assert of_metrics(idle, *names) == before
    busy.expire_ended_series(1.0, lambda definition: definition.name == "waits")
    assert of_metrics(idle, *names) == ['visits_total{user="ann"} 10.0']
    idle.expire_ended_series(1.0, every)
    assert of_metrics(busy, *names) == of_metrics(idle, *names) == []

    metrics[0][0].labels("ann").inc()
    assert of_metrics(idle, *names) == of_metrics(busy, *names) == ['visits_total{user="ann"} 1.0']


@pytest.mark.parametrize("mode", ["sum", "min", "max", "last", "each"])
def test_a_gauge_leaves_with_its_process_unless_all_count(make_registry: Make, mode: GaugeMode) -> None:
    registry, other = make_registry(), make_registry()
    jobs = Gauge("jobs", "J.", ["queue"], mode=mode, registry=registry)
    every_job = Gauge("every_job", "J.", ["queue"], mode=mode, processes="all", registry=registry)
    for gauge in (jobs, every_job):
        gauge.labels("mail").set(2)
    settled(registry, other)
    assert len(of_metrics(other, "jobs")) == 1
    before = of_metrics(other, "every_job")
    assert [line.rpartition(" ")[2] for line in before] == ["2.0"]
    for gauge in (jobs, every_job):
        assert [gauge.expire_series(EXPIRY, now) for now in (0, EXPIRY)] == [0, 1]
    for _ in range(2):
        assert of_metrics(registry, "jobs") == of_metrics(other, "jobs") == []
        assert of_metrics(registry, "every_job") == of_metrics(other, "every_job") == before
    other.expire_ended_series(1.0, every)
    assert of_metrics(registry, "every_job") == of_metrics(other, "every_job") == []
    for gauge in (jobs, every_job):
        gauge.labels("mail").set(3)
    lines = of_metrics(registry, "jobs", "every_job")
    assert [line.rpartition(" ")[2] for line in lines] == ["3.0", "3.0"]
    assert of_metrics(other, "jobs", "every_job") == lines


def test_another_process_folds_meanwhile(members: Members) -> None:
    one, other, gone = members(), members(), members()
    gone.publish(a=1)
    one.publish(a=2)
    other.publish(a=4)
    one.end_series()
    members.die(gone)
    assert other.scrape() == {A: 7}
    one.publish()
    other.end_series()
    other.publish(b=1)
    assert other.scrape() == one.scrape() == {A: 7, B: 1}
    members.die(one, other)
    assert members().scrape() == {A: 7, B: 1}


def test_many_rounds_keep_every_count(members: Members) -> None:
    one, other = members(), members()
    counts: dict[tuple[str, tuple[str, ...]], float] = {}
    for turn in range(12):
        for number in range(turn % 4 + 1):
            for member in (one, other):
                member.count(f"{number}", by=0.1)
                counts["tally_total", (f"{number}",)] = counts.get(("tally_total", (f"{number}",)), 0) + 0.1
        (one if turn % 2 else other).end_series()
        one.publish()
        if turn == 5:
            members.die(one)
        for member in (other, one):
            assert member.scrape() == pytest.approx(counts)
    assert not [key for key in members.key_names() if key.endswith("-ended")]


def test_a_new_shard_does_not_subtract_what_the_series_before_had(members: Members) -> None:
    one, reader = members(), members()
    one.publish(a=3)
    members.die(one)
    assert reader.scrape() == {A: 3}
    one.publish(a=1)
    one.end_series()
    one.publish()
    assert reader.scrape() == {A: 4}
    one.publish(a=1)
    assert reader.scrape() == {A: 5}
    one.store.publisher.replace(one.token)
    one.publish(b=1)
    assert reader.scrape() == {A: 5, B: 1}
    members.die(one)
    assert reader.scrape() == reader.scrape() == {A: 5, B: 1}


def test_a_redis_that_went_back_in_time_gets_the_series_again(members: Members) -> None:
    one, reader = members(), members()
    one.publish(a=3)
    saved = {key: members.command("DUMP", key) for key in members.key_names()}
    one.end_series()
    one.publish(b=1)
    assert reader.scrape() == {A: 3, B: 1}
    members.forget_everything()
    for key, data in saved.items():  # as a replica that lagged behind has them
        assert isinstance(data, bytes)
        members.command("RESTORE", key, 0, data)
    one.publish()
    assert reader.scrape() == {A: 3, B: 1}
    one.publish()
    members.die(one)
    assert reader.scrape() == reader.scrape() == {A: 3, B: 1}


class UnreliableClient(RedisClient):
    """Loses messages now and then, before or after Redis hears them."""

    def __init__(self, options: RedisOptions, chance: random.Random) -> None:
        super().__init__(options)
        self._chance = chance
        self.loses = True

    def run(self, call: Call, /) -> Answer:
        lost = self._chance.choices(["", "request", "reply"], [6, 1, 1])[0] if self.loses else ""
        if lost == "request":
            raise RedisStoreError("unreachable", "the request was lost", maybe_applied=True)
        answer = super().run(call)
        if lost == "reply":
            raise RedisStoreError("unreachable", "the reply was lost", maybe_applied=True)
        return answer


@pytest.mark.property
@pytest.mark.parametrize("seed", range(30))
def test_any_sequence_of_steps_keeps_every_count(members: Members, seed: int) -> None:
    chance = random.Random(seed)
    writers = [members(lambda options: UnreliableClient(options, chance)) for _ in range(3)]
    watcher = members()
    counts: dict[tuple[str, tuple[str, ...]], float] = {}
    seen: dict[tuple[str, tuple[str, ...]], float] = {}
    for _ in range(60):
        writer = chance.choice(writers)
        step = chance.choice(
            ["count", "count", "end", "publish", "publish", "die", "watch", "scrape", "replace", "show"]
        )
        with suppress(RedisStoreError):
            if step == "count":
                what = chance.choice("abc")
                counts["tally_total", (what,)] = counts.get(("tally_total", (what,)), 0) + 1
                writer.count(what)
            elif step == "end":
                writer.end_series()
            elif step == "publish":
                writer.publish()
            elif step == "die":
                members.die(writer)
            elif step == "scrape":
                writer.scrape()
            elif step == "replace":
                writer.store.publisher.replace(writer.store.publisher.identity.token)
            elif step == "show":
                shown = writer.scrape_without_publishing()
                assert all(shown.get(key, 0) <= counts[key] for key in counts)
        if step == "watch":
            before, seen = seen, watcher.scrape()
            assert all(seen.get(key, 0) >= number for key, number in before.items())
            assert all(seen[key] <= counts[key] for key in seen)
    for writer in writers:
        assert isinstance(writer.store.client, UnreliableClient)
        writer.store.client.loses = False
        for _ in range(3):
            writer.publish()
    assert watcher.scrape() == counts
    members.die(*writers)
    assert watcher.scrape() == watcher.scrape() == counts


NATIVE = NativeBuckets(growth=1.1, max_buckets=3, max_zero_threshold=0.01)


class Observer:
    """A histogram with native buckets of a member, which publishes it and its buckets."""

    def __init__(self, member: Member) -> None:
        self.sizes = Histogram("sizes", "Sizes.", ["of"], native=NATIVE, buckets=(), registry=None)
        self._shared = SharedMetric.of(self.sizes, self.sizes.definition, member.store, time.time, None)
        self._shared.attach(carry=True)
        member.collectors += self._shared.published_rows()
        self._now = 0.0

    def end_series(self) -> None:
        for _ in range(2):
            self._now += 2.0
            self.sizes.expire_series(1.0, self._now)


def natives(reading: Reading) -> dict[str, NativeHistogram]:
    """The native buckets of each series over everything that was read."""
    assert reading.skipped == []
    return {
        row.labels[0]: row.native
        for family in Merger().merge(reading.snapshots, reading.archive)
        for row in family.rows()
        if family.name == "sizes" and row.native is not None
    }


def seen_at_once(values: Sequence[float], like: NativeHistogram) -> NativeHistogram:
    threshold = like.zero_threshold
    positive = Tally(bucket_index(value, like.schema) for value in values if value > threshold)
    negative = Tally(bucket_index(value, like.schema) for value in values if value < -threshold)
    zeros = sum(abs(value) <= threshold for value in values)
    return NativeHistogram(like.schema, threshold, zeros, positive, negative)


@pytest.mark.property
@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_of_steps_keeps_every_native_bucket(members: Members, seed: int) -> None:
    chance = random.Random(seed)
    writers = [members(lambda options: UnreliableClient(options, chance)) for _ in range(3)]
    observers = [Observer(writer) for writer in writers]
    watcher = members()
    values: dict[str, list[float]] = {}
    seen: dict[str, float] = {}
    for _ in range(70):
        at = chance.randrange(3)
        writer, observer = writers[at], observers[at]
        step = chance.choice(
            ["observe"] * 3 + ["end", "publish", "publish", "die", "watch", "scrape", "replace", "show"]
        )
        with suppress(RedisStoreError):
            if step == "observe":
                of, value = chance.choice("ab"), chance.choice([0.0, 1.0, -1.0, 0.005, chance.lognormvariate(0, 4)])
                values.setdefault(of, []).append(value)
                observer.sizes.labels(of).observe(value)
            elif step == "end":
                observer.end_series()
            elif step == "publish":
                writer.publish()
            elif step == "die":
                members.die(writer)
            elif step == "scrape":
                writer.read()
            elif step == "replace":
                writer.store.publisher.replace(writer.store.publisher.identity.token)
            elif step == "show":
                writer.scrape_without_publishing()
        if step == "watch":
            before, seen = seen, {of: native.total for of, native in natives(watcher.read()).items()}
            assert all(seen.get(of, 0) >= count for of, count in before.items())
            assert all(count <= len(values[of]) for of, count in seen.items())
    for writer in writers:
        assert isinstance(writer.store.client, UnreliableClient)
        writer.store.client.loses = False
        for _ in range(3):
            writer.publish()
    for _ in range(2):
        found = natives(watcher.read())
        assert found == {of: seen_at_once(values[of], native) for of, native in found.items()}
        assert found.keys() == values.keys()
        members.die(*writers)


def test_what_was_staged_and_evicted_is_staged_again(members: Members) -> None:
    one, reader = members(), members()
    one.publish(a=3)
    one.end_series()
    client = one.store.client
    run = client.run
    evicted: list[str] = []

    def evict(call: Call) -> Answer:
        if call.script is RETIRE and not evicted:
            evicted.extend(key for key in members.key_names() if key.endswith("-ended"))
            for key in evicted:
                members.command("DEL", key)
        return run(call)

    setattr(client, "run", evict)  # noqa: B010  # mypy rejects an assignment to a method
    with pytest.raises(RedisStoreError, match="were deleted"):
        one.publish()
    assert evicted
    assert reader.scrape() == {A: 3}
    one.publish()
    assert reader.scrape() == {A: 3}
    members.die(one)
    assert reader.scrape() == {A: 3}


def test_a_child_of_a_fork_ends_its_own_series(make_registry: Make, wait_until: WaitUntil) -> None:
    registry = make_registry()
    visits = Counter("visits_total", "V.", ["user"], registry=registry)
    visits.labels("ann").inc(5)
    visits.labels("bob").inc(1)
    settled(registry)
    visits.expire_series(EXPIRY, 0)
    visits.expire_series(EXPIRY, EXPIRY)  # the child inherits rows that are on their way
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            visits.labels("ann").inc(2)
            generate_metrics(registry)
            ended = [visits.expire_series(EXPIRY, now) for now in (20, 20 + EXPIRY)]
            generate_metrics(registry)
            os.write(writing, bytes(ended))
            signal.pause()
        finally:
            os._exit(1)
    try:
        assert os.read(reading, 2) == bytes([0, 1])
        expected = ['visits_total{user="ann"} 7.0', 'visits_total{user="bob"} 1.0']
        wait_until(lambda: of_metrics(registry, "visits") == expected, "the numbers of the child")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert of_metrics(registry, "visits") == expected
    settled(registry)
    registry.expire_ended_series(1.0, every)
    assert of_metrics(registry, "visits") == []


def test_a_look_at_the_archive_costs_one_short_message(shared_server: Server, make_registry: Make) -> None:
    registry, other = make_registry(), make_registry()
    for each in (registry, other):
        Counter("visits_total", "V.", ["user"], registry=each).labels("ann").inc()
    settled(registry)
    other.close()
    settled(registry)

    def commands_of(idle_seconds: float) -> int:
        before = commands()
        registry.expire_ended_series(idle_seconds, every)
        return commands() - before

    def commands() -> int:
        answer = shared_server.command("INFO", "commandstats")
        found = answer.get("cmdstat_get") if isinstance(answer, dict) else None
        return int(found["calls"]) if isinstance(found, dict) else 0

    assert commands_of(3600.0) == 1  # the archive
    assert commands_of(3600.0) == 0
    assert commands_of(0.0) > 1  # it is old enough, so the shards are read; one still has the series
    assert of_metrics(registry, "visits") == ['visits_total{user="ann"} 2.0']


def test_the_layer_ends_the_series_of_several_processes(make_registry: Make, wait_until: WaitUntil) -> None:
    shared = make_registry()
    registry = expiring(shared, after_seconds=1, names=["visits_total"])
    visits = Counter("visits_total", "V.", ["user"], registry=registry)
    logins = Counter("logins_total", "L.", ["user"], registry=registry)
    pid = os.fork()
    if pid == 0:
        try:
            visits.labels("ann").inc(2)
            logins.labels("ann").inc(2)
            shared.close()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    visits.labels("ann").inc()
    names = ("visits", "logins")
    assert of_metrics(registry, *names) == ['logins_total{user="ann"} 2.0', 'visits_total{user="ann"} 3.0']
    wait_until(lambda: of_metrics(registry, *names) == ['logins_total{user="ann"} 2.0'], "the end of the series")
    assert visits.series_count == 0
    visits.labels("ann").inc()
    assert of_metrics(registry, *names)[1] == 'visits_total{user="ann"} 1.0'
