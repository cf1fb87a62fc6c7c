"""No scrape sees a half-done registration, move or removal, whatever store keeps the shards."""

from __future__ import annotations

import pytest
from hypothesis import settings

from pytheus.shards import MemoryBackend, MemoryShardStore, ShardStore
from tests.shards.interleaving import InterleavingMachine

pytestmark = pytest.mark.property


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


TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
TestPublishing = PublishingMachine.TestCase
TestPublishing.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
