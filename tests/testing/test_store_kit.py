"""The kit for stores of shards, on sound stores and on ones that are broken on purpose."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

import pytest

from pytheus.shards import MemoryBackend, MemoryShardStore, ShardStore
from pytheus.testing import ShardStoreConformance, run_conformance
from pytheus.testing.checks import store_processes
from tests.testing import broken_stores
from tests.testing.broken_stores import BrokenStore


class MemoryConformance(ShardStoreConformance):
    crosses_processes = False
    kind: ClassVar[type[MemoryShardStore]] = MemoryShardStore
    publishing: ClassVar[bool] = False

    def make_place(self) -> Callable[[], ShardStore]:
        backend = MemoryBackend()
        return lambda: self.kind(backend, publishing=self.publishing)

    def kill(self, store: ShardStore) -> None:
        assert isinstance(store, MemoryShardStore)
        store.kill()


class TestMemoryShardStore(MemoryConformance):
    pass


class TestMemoryShardStoreThatPublishes(MemoryConformance):
    publishing = True


BROKEN = [
    kind
    for kind in vars(broken_stores).values()
    if isinstance(kind, type) and issubclass(kind, BrokenStore) and kind is not BrokenStore
]


def failures(broken: type[BrokenStore]) -> dict[str, str]:
    class Conformance(MemoryConformance):
        kind = broken
        publishing = broken.publishes

    return {outcome.check: outcome.message for outcome in run_conformance(Conformance) if outcome.status == "failed"}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_store_fails_the_check_meant_for_it(broken: type[BrokenStore]) -> None:
    found = failures(broken)
    assert list(found) == [broken.check], found
    assert broken.message in found[broken.check]


@pytest.mark.parametrize("step", range(1, 12))
def test_a_step_after_the_end_of_an_operation_leaves_the_process_as_it_was(step: int) -> None:
    def stop() -> None:
        raise store_processes._Killed

    before = sys.getprofile(), gc.isenabled()

    with suppress(store_processes._Killed), store_processes._at_step((step, 0), stop):
        len("two")

    assert (sys.getprofile(), gc.isenabled()) == before
