"""No scrape sees a half-done registration, move or removal, whatever store keeps the shards."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry, ShardStore
from tests.conftest import FULL
from tests.shards.interleaving import InterleavingMachine, Steps

pytestmark = [pytest.mark.property, pytest.mark.filterwarnings("ignore:counter .* has no suffix")]

_SETTINGS = settings(max_examples=200 if FULL else 25, stateful_step_count=15, deadline=None)


class MemoryMachine(InterleavingMachine):
    def __init__(self) -> None:
        super().__init__()
        self.backend = MemoryBackend()

    def make_store(self) -> ShardStore:
        return MemoryShardStore(self.backend)


class PublishingMachine(MemoryMachine):
    publishes = True

    def make_store(self) -> ShardStore:
        return MemoryShardStore(self.backend, publishing=True)


class MultiprocessMachine(InterleavingMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()

    def make_store(self) -> ShardStore:
        from pytheus_multiprocess.options import MultiprocessOptions
        from pytheus_multiprocess.store import MultiprocessStore

        return MultiprocessStore(MultiprocessOptions(self.directory.name, process_metrics=False))

    def teardown(self) -> None:
        super().teardown()
        self.directory.cleanup()


class RedisMachine(InterleavingMachine):
    """The store's own thread publishes only when a machine begins, and otherwise each scrape."""

    publishes = True
    port = 0
    begun = 0

    def __init__(self) -> None:
        super().__init__()
        RedisMachine.begun += 1
        self.namespace = f"machine-{RedisMachine.begun}"

    def make_store(self) -> ShardStore:
        from pytheus_redis import RedisOptions, RedisStore

        options = RedisOptions(port=self.port, namespace=self.namespace, interval_seconds=3600, expiry_seconds=4 * 3600)
        return RedisStore(options)

    def make_registry(self, steps: Steps | None = None) -> ShardedRegistry:
        from pytheus_redis import RedisStore

        registry = super().make_registry(steps)
        assert isinstance(registry.store, RedisStore)
        registry.store.start(registry.shared_metrics)
        return registry


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server here")
def test_redis(unused_port: Callable[[], int], wait_until: Callable[..., None]) -> None:
    port = RedisMachine.port = unused_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: _is_open(port), "redis-server answers")
            run_state_machine_as_test(RedisMachine, settings=settings(_SETTINGS, max_examples=60 if FULL else 10))
        finally:
            server.kill()


def _is_open(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


TestMemory = MemoryMachine.TestCase
TestMemory.settings = _SETTINGS
TestPublishing = PublishingMachine.TestCase
TestPublishing.settings = _SETTINGS
TestMultiprocess = MultiprocessMachine.TestCase
TestMultiprocess.settings = _SETTINGS
