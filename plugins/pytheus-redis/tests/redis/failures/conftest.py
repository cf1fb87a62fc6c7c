"""A process with a registry of its own, and a server of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

import pytest

from pytheus import Counter, generate_metrics
from pytheus_redis import RedisOptions, RedisStore, redis_registry

if TYPE_CHECKING:
    from tests.redis.conftest import Server, Servers, WaitUntil


class Process:
    """A registry with its thread, and a counter in it."""

    def __init__(self, port: int, namespace: str, **options: object) -> None:
        quick: dict[str, object] = {
            "interval_seconds": 0.05,
            "retry_seconds": 0.1,
            "timeout_seconds": 20.0,
            "scrape_seconds": 60.0,
            "exit_seconds": 0.2,
        }
        made = cast(Callable[..., RedisOptions], RedisOptions)
        self.registry = redis_registry(made(**quick | {"port": port, "namespace": namespace} | options))
        self.counter = Counter("orders_total", "Orders.", registry=self.registry)

    @property
    def store(self) -> RedisStore:
        store = self.registry.store
        assert isinstance(store, RedisStore)
        return store

    def exposed(self) -> dict[str, float]:
        """Every sample of an exposition, by its name with labels."""
        lines = [line for line in generate_metrics(self.registry).splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def seen(self, name: str = "orders_total") -> float | None:
        return self.exposed().get(name)

    def failures(self, reason: str, *, step: str = "") -> float:
        """How often a step failed for this reason, or any step."""
        head, tail = f'pytheus_shard_failures_total{{step="{step}', f'reason="{reason}"}}'
        return sum(count for name, count in self.exposed().items() if name.startswith(head) and name.endswith(tail))


Processes = Callable[..., Process]
Pair = tuple[Process, Process]


@pytest.fixture
def process(namespace: str) -> Iterator[Callable[..., Process]]:
    """Call it with a port, and options: it makes a process; all are closed in the end."""
    made: list[Process] = []

    def make(port: int, **options: object) -> Process:
        made.append(Process(port, namespace, **options))
        return made[-1]

    yield make
    for each in made:
        each.registry.close()


@pytest.fixture
def pair(server: Server, process: Processes, wait_until: WaitUntil) -> Pair:
    """Two processes of the test's own server: one has counted 5, the other 6, and both see both."""
    one, other = process(server.port), process(server.port)
    one.counter.inc(5)
    other.counter.inc(6)
    wait_until(lambda: one.seen() == other.seen() == 11, "both to be seen")
    return one, other


@pytest.fixture
def server(servers: Servers) -> Iterator[Server]:
    """A server of the test's own."""
    made = servers()
    yield made
    made.kill()
