"""Files of shards that another process takes for abandoned while they are created."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Event, Thread

import pytest

from pytheus import Counter
from pytheus.shards import ShardedRegistry
from pytheus_multiprocess.options import MultiprocessOptions
from pytheus_multiprocess.store import MultiprocessStore
from pytheus_multiprocess.system import System


class Watched(System):
    """A system in which something happens before a step with a certain name, as often as it is set to."""

    def __init__(self) -> None:
        self.name = ""
        self.left = 0
        self.happens: Callable[[], object] = lambda: None

    def before(self, name: str, happens: Callable[[], object], *, times: int = 1) -> None:
        self.name, self.happens, self.left = name, happens, times

    def step(self, what: str) -> None:
        if self.left and what.startswith(self.name):
            self.left -= 1
            self.happens()


class Process:
    """A process's counter in a directory, without a file until it counts."""

    def __init__(self, store: MultiprocessStore, registry: ShardedRegistry) -> None:
        self.store = store
        self.jobs = Counter("jobs_total", "Jobs.", ["kind"], registry=registry)

    def count(self) -> None:
        self.jobs.labels("a").inc()

    @property
    def unshared(self) -> int:
        return self.store._shard.unshared_count


MakeProcess = Callable[[System], Process]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[MakeProcess]:
    options = MultiprocessOptions(str(tmp_path / "shards"), process_metrics=False)
    with ExitStack() as open_ones:

        def begun(system: System) -> Process:
            store = MultiprocessStore(options, system)
            return Process(store, open_ones.enter_context(closing(ShardedRegistry(store))))

        yield begun


def test_a_file_that_is_taken_for_abandoned_again_and_again_is_created_at_last(begin: MakeProcess) -> None:
    system = Watched()
    process, other = begin(system), begin(System())
    system.before("flock", other.store.fold, times=20)
    process.count()
    assert (system.left, process.unshared) == (0, 0)


def test_a_process_that_removes_an_abandoned_file_leaves_that_of_the_next_attempt(begin: MakeProcess) -> None:
    creating, folding = Watched(), Watched()
    process, other = begin(creating), begin(folding)
    creator, folder = Thread(target=process.count), Thread(target=other.store.fold)
    has_taken, is_created_again = Event(), Event()

    def fold_until_it_is_taken() -> None:
        creating.before("mmap", let_it_be_removed)
        folder.start()
        assert has_taken.wait(60)

    def wait_for_the_next_attempt() -> None:
        has_taken.set()
        assert is_created_again.wait(60)

    def let_it_be_removed() -> None:
        is_created_again.set()
        folder.join()

    creating.before("flock", fold_until_it_is_taken)
    folding.before("unlink new-", wait_for_the_next_attempt)
    creator.start()
    creator.join()
    folder.join()
    assert (creating.left, folding.left, process.unshared) == (0, 0, 0)
    assert [snapshot.numbers for snapshot in other.store.read().snapshots] == [[1.0]]
