"""The store keeps the contract of a store of shards, between real processes that are really killed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pytheus.shards import ShardStore
from pytheus.testing import ShardStoreConformance, run_conformance
from pytheus_multiprocess.options import MultiprocessOptions
from pytheus_multiprocess.store import MultiprocessStore

# Each of some hundred forks copies the page tables of a process that has run thousands of tests.
pytestmark = pytest.mark.timeout(600)


class TestMultiprocessStore(ShardStoreConformance):
    @pytest.fixture(autouse=True)
    def _in_a_directory(self, tmp_path: Path) -> None:
        self._parent = str(tmp_path)

    def make_place(self) -> Callable[[], ShardStore]:
        options = MultiprocessOptions(tempfile.mkdtemp(dir=self._parent), process_metrics=False)
        return lambda: MultiprocessStore(options)


class DeletesOnClose(MultiprocessStore):
    def close(self) -> None:
        os.unlink(os.path.join(self._path, f"{self.identity.token}.shard"))
        super().close()


class ForgetsTheFork(MultiprocessStore):
    def leave_parent(self) -> None:
        pass

    def after_fork_in_child(self) -> None:
        pass


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (DeletesOnClose, "test_what_a_closed_store_counted_stays"),
        (ForgetsTheFork, "test_the_child_of_a_fork_has_a_shard_of_its_own"),
    ],
)
def test_a_broken_store_of_real_processes_is_noticed(
    tmp_path: Path, broken: type[MultiprocessStore], check: str
) -> None:
    class Conformance(ShardStoreConformance):
        # Kills take seconds, and find the same here.
        test_a_reader_may_be_killed_at_any_step = None  # type: ignore[assignment]  # not a check of this class
        test_a_writer_may_be_killed_at_any_step = None  # type: ignore[assignment]  # as above
        test_a_closing_process_may_be_killed_at_any_step = None  # type: ignore[assignment]  # as above

        def make_place(self) -> Callable[[], ShardStore]:
            options = MultiprocessOptions(tempfile.mkdtemp(dir=tmp_path), process_metrics=False)
            return lambda: broken(options)

    assert [each.check for each in run_conformance(Conformance) if each.status == "failed"] == [check]
