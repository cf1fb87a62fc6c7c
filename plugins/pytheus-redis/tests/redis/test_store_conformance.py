"""The store keeps the contract of a store of shards, between real processes that are really killed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import pytest

from pytheus.shards import ShardedRegistry, ShardIdentity, ShardStore
from pytheus.testing import ShardStoreConformance
from pytheus_redis.store import RedisStore

if TYPE_CHECKING:
    from tests.redis.conftest import Server

_numbers = itertools.count()


# Each of some hundred forks copies the page tables of a process that has run thousands of tests.
pytestmark = pytest.mark.timeout(600)


class TestRedisStore(ShardStoreConformance):
    server: ClassVar[Server]
    namespace: str

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _redis(cls, shared_server: Server) -> None:
        cls.server = shared_server

    def make_place(self) -> Callable[[], ShardStore]:
        self.namespace = f"store-kit-{os.getpid()}-{next(_numbers)}"
        # A busy machine may delay an answer; that is not a failure.
        options = self.server.options(
            namespace=self.namespace,
            interval_seconds=60,
            expiry_seconds=600,
            timeout_seconds=20,
            scrape_seconds=60,
            exit_seconds=20,
        )
        return lambda: RedisStore(options)

    def make_registry(self, store: ShardStore) -> ShardedRegistry:
        assert isinstance(store, RedisStore)
        registry = ShardedRegistry(store, hosts=True)
        store.start(registry.shared_metrics)
        return registry

    def notice_death(self, identity: ShardIdentity) -> None:
        self.server.silence(self.namespace, identity.token)
