"""A process that publishes slowly, or not at all for a while, is alive for the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import pytest

from pytheus import Counter, Gauge, generate_metrics
from pytheus.shards import ShardedRegistry
from pytheus_redis import RedisStore, store
from pytheus_redis.options import RedisOptions

if TYPE_CHECKING:
    from tests.redis.conftest import Members, Server, WaitUntil

Make = Callable[..., ShardedRegistry]
EXPIRY_SECONDS: Final = 2.1


class Watcher:
    """Another process, which folds whatever it takes for dead."""

    def __init__(self, registry: ShardedRegistry, server: Server, namespace: str) -> None:
        self._registry, self._server = registry, server
        self._head = f"pytheus1:{{{namespace}}}:"

    def seen(self, name: str) -> float | None:
        for line in generate_metrics(self._registry).splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        return None

    def heartbeat_ms(self, subject: ShardedRegistry) -> float:
        assert isinstance(subject.store, RedisStore)
        token = subject.store.publisher.identity.token
        score = self._server.command("ZSCORE", f"{self._head}shards", token)
        return float(score) if isinstance(score, bytes | float | int) else 0.0


@pytest.fixture
def watcher(make_registry: Make, shared_server: Server, namespace: str) -> Watcher:
    return Watcher(make_registry(expiry_seconds=EXPIRY_SECONDS), shared_server, namespace)


def test_a_gauge_whose_function_hangs_keeps_no_number_back_and_does_not_make_its_process_dead(
    make_registry: Make, watcher: Watcher, wait_until: WaitUntil
) -> None:
    hangs, go_on = threading.Event(), threading.Event()
    registry = make_registry(expiry_seconds=EXPIRY_SECONDS)
    try:
        orders = Counter("orders_total", "Orders.", registry=registry)
        orders.inc(5)
        Gauge("depth", "Depth.", registry=registry).set(3)
        wait_until(lambda: watcher.seen("depth") == 3, "the first publication")

        def hang() -> float:
            hangs.set()
            go_on.wait(120)
            return 1.0

        Gauge("slow", "Slow.", registry=registry).set_function(hang)
        assert hangs.wait(60)
        orders.inc(2)
        wait_until(lambda: watcher.seen("orders_total") == 7, "a publication while the function hangs")
        begun = time.monotonic()
        beats = {watcher.heartbeat_ms(registry)}
        while time.monotonic() < begun + 1.5 * EXPIRY_SECONDS or len(beats) < 4:
            assert watcher.seen("depth") == 3  # a dead process's gauge is gone
            beats.add(watcher.heartbeat_ms(registry))
            assert time.monotonic() < begun + 60
        assert 0.0 not in beats
    finally:
        go_on.set()


def test_the_pause_between_publications_is_bounded_by_the_expiry(
    make_registry: Make, watcher: Watcher, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_MAX_PROCESSOR_SHARE", 1e-9)
    registry = make_registry(expiry_seconds=EXPIRY_SECONDS)
    counter = Counter("orders_total", "Orders.", registry=registry)
    for number in range(1, 3):
        counter.inc()
        wait_until(lambda number=number: watcher.seen("orders_total") == number, "the next publication")  # type: ignore[misc]  # a default binds


def test_a_heartbeat_keeps_no_shard_that_announced_its_end(members: Members) -> None:
    one, reader = members(), members()
    one.publish(a=1)
    one.store.publisher.publish(one.collectors, last=True)
    beat_once(one.store)
    assert members.command("ZSCORE", "shards", one.token) in (b"0", 0.0)
    assert reader.total("a") == 1
    assert members.command("ZCARD", "shards") == 1
    beat_once(one.store)
    assert members.command("ZCARD", "shards") == 1


def beat_once(subject: RedisStore) -> None:
    heartbeat = subject._heartbeat
    heartbeat._publisher = subject.publisher
    subject.publisher.heard_at = 0.0
    heartbeat._beaten_at = -1e9
    assert heartbeat._tick() == subject.options.expiry_seconds / 6


@pytest.mark.parametrize("interval_seconds", [0.05, 9.9])
def test_a_heartbeat_is_due_within_a_third_of_the_expiry_whatever_the_interval(
    members: Members, interval_seconds: float
) -> None:
    one = members(interval_seconds=interval_seconds, expiry_seconds=30.0)
    one.publish(a=1)
    heartbeat = one.store._heartbeat
    heartbeat._publisher = one.store.publisher
    due = heartbeat._tick()
    assert due is not None
    assert 2 * due <= RedisOptions().expiry_seconds / 3  # also if one heartbeat is lost
