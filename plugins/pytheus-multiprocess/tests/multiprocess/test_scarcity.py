"""Few descriptors, no inodes, and file systems that lack operations."""

from __future__ import annotations

import errno
import mmap
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytheus import Counter, generate_metrics
from pytheus.shards import ShardedRegistry
from pytheus_multiprocess import multiprocess_registry
from pytheus_multiprocess import system as system_module
from pytheus_multiprocess.options import MultiprocessOptions
from pytheus_multiprocess.store import MultiprocessStore
from pytheus_multiprocess.system import System

if TYPE_CHECKING:
    from tests.multiprocess.conftest import Scrape, Shards, Start

MANY = 90


def test_a_scrape_of_many_processes_needs_few_descriptors(worker: Start, shards: Shards, scrape: Scrape) -> None:
    parent, one = worker(), worker()
    parent.do(f"""
children = []
reader, writer = os.pipe()
for n in range({MANY}):
    child = os.fork()
    if child == 0:
        jobs.labels('mail').inc(2)
        os.write(writer, b'x')
        signal.pause()
        os._exit(0)
    children.append(child)
begun = 0
while begun < {MANY}: begun += len(os.read(reader, {MANY}))
""")
    before = one.do("""
import logging, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (48, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
answer = len(os.listdir('/proc/self/fd'))
""")
    assert isinstance(before, int)
    for _ in range(2):
        found = one.scrape()
        assert found['jobs_total{kind="mail"}'] == 2.0 * MANY
        assert "pytheus_shards_skipped" not in found
        assert one.do("answer = len(os.listdir('/proc/self/fd'))") == before + 48 // 8
    parent.do("for child in children: os.kill(child, signal.SIGKILL), os.waitpid(child, 0)")
    for _ in range(2):
        assert one.scrape()['jobs_total{kind="mail"}'] == 2.0 * MANY
        assert len(shards()) == 2  # of the parent and of this one; all others are folded
    assert scrape()['jobs_total{kind="mail"}'] == 2.0 * MANY


class Lacking(System):
    """A system in which operations fail."""

    def __init__(self) -> None:
        self.error: int | None = None

    def open(self, name: str, flags: int, mode: int = 0o600, *, directory: int | None = None) -> int:
        if self.error is not None and flags & os.O_CREAT:
            raise OSError(self.error, os.strerror(self.error))
        return super().open(name, flags, mode, directory=directory)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.EROFS])
def test_without_inodes_or_descriptors_a_process_counts_by_itself_and_says_so(tmp_path: Path, error: int) -> None:
    system = Lacking()
    system.error = error
    options = MultiprocessOptions(str(tmp_path), process_metrics=False)
    with closing(ShardedRegistry(MultiprocessStore(options, system))) as registry:
        early = Counter("early_total", "E.", registry=registry)
        early.inc(2)
        text = generate_metrics(registry)
        assert "early_total 2.0" in text
        assert "pytheus_multiprocess_unshared_series 1.0" in text
        assert "pytheus_shards_skipped 1.0" in text
        assert os.strerror(error) in registry.store.read().skipped[0].reason
        system.error = None
        late = Counter("late_total", "L.", registry=registry)
        late.inc(3)
        with closing(multiprocess_registry(tmp_path, process_metrics=False)) as other:
            assert "late_total 3.0" in generate_metrics(other)
    with closing(multiprocess_registry(tmp_path, process_metrics=False)) as other:
        assert "late_total 3.0" in generate_metrics(other)
        assert not [name for name in os.listdir(tmp_path) if name.endswith(".shard")]


@pytest.mark.parametrize("error", [errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_without_fallocate_zeros_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    def fail(descriptor: int, offset: int, size: int) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "posix_fallocate", fail)
    with closing(multiprocess_registry(tmp_path, process_metrics=False)) as registry:
        jobs = Counter("jobs_total", "Jobs.", ["kind"], registry=registry)
        for number in range(5000):
            jobs.labels(str(number)).inc()
        (name,) = [name for name in os.listdir(tmp_path) if name.endswith(".shard")]
        status = (tmp_path / name).stat()
        assert status.st_blocks * 512 >= status.st_size > 100_000
        with closing(multiprocess_registry(tmp_path, process_metrics=False)) as other:
            assert generate_metrics(other).count("\njobs_total{") == 5000


@pytest.mark.parametrize(
    ("module", "function", "operation"),
    [pytest.param(mmap, "mmap", "shared mappings", id="mmap"), pytest.param(os, "pwrite", "", id="no space")],
)
def test_a_file_system_that_lacks_an_operation_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    module: object,
    function: str,
    operation: str,
) -> None:
    code = errno.ENODEV if operation else errno.ENOSPC

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    if not operation:
        monkeypatch.setattr(os, "posix_fallocate", fail)
    monkeypatch.setattr(module, function, fail)
    if operation:
        monkeypatch.setattr(system_module, "_Map", fail)  # which Python before 3.13 needs
    with closing(multiprocess_registry(tmp_path, process_metrics=False)) as registry:
        Counter("jobs_total", "Jobs.", registry=registry).inc(2)
        assert "jobs_total 2.0" in generate_metrics(registry)
        monkeypatch.undo()
    expected = f"the file system has no {operation}" if operation else os.strerror(errno.ENOSPC)
    assert expected in caplog.text
