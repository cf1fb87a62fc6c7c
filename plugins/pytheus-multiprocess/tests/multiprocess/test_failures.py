"""Invalid files, missing descriptors, a full disk: logged, counted, and everything else is exposed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytheus import Counter, generate_metrics
from pytheus.registry import Registry
from pytheus_multiprocess import multiprocess_registry
from pytheus_multiprocess.file_format import HEADER_SIZE

if TYPE_CHECKING:
    from tests.multiprocess.conftest import Scrape, Shards, Start, WaitUntil


def test_what_is_no_shard_is_left_out_logged_once_and_counted(
    worker: Start, scrape: Scrape, directory: Path, caplog: pytest.LogCaptureFixture, registry: Registry
) -> None:
    worker().do("jobs.labels('mail').inc()")
    (directory / "0123456789abcdef.shard").write_bytes(b"not of ours" * 1000)
    for _ in range(3):
        found = scrape()
        assert (found['jobs_total{kind="mail"}'], found["pytheus_shards_skipped"]) == (1.0, 1.0)
    assert len([record for record in caplog.records if "0123456789abcdef" in record.getMessage()]) == 1


def test_a_shard_that_was_cut_short_is_left_out(worker: Start, scrape: Scrape, directory: Path, shards: Shards) -> None:
    one = worker()
    one.do("jobs.labels('mail').inc()")
    one.end()
    (name,) = shards()
    os.truncate(directory / name, 5000)
    found = scrape()
    assert not any(series.startswith("jobs") for series in found)
    assert found["pytheus_shards_skipped"] == 1.0


def test_a_live_shard_that_could_not_be_read_is_looked_at_again(
    worker: Start, scrape: Scrape, directory: Path, shards: Shards
) -> None:
    worker().do("jobs.labels('mail').inc()")
    (name,) = shards()
    status = os.stat(directory / name)
    # As its owner would write it, whose stores in the mapping show in no time of change.
    with open(directory / name, "r+b") as file:
        begun = os.pread(file.fileno(), 8, HEADER_SIZE)
        os.pwrite(file.fileno(), (77).to_bytes(8, "little"), HEADER_SIZE)
        os.utime(file.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
        assert scrape()["pytheus_shards_skipped"] == 1.0
        os.pwrite(file.fileno(), begun, HEADER_SIZE)
        os.utime(file.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
    found = scrape()
    assert (found['jobs_total{kind="mail"}'], found["pytheus_shards_skipped"]) == (1.0, 0.0)


def test_shards_that_a_process_has_no_descriptors_for_are_read_when_it_has(worker: Start) -> None:
    for _ in range(3):
        worker().do("jobs.labels('mail').inc()")
    one = worker()
    # Two that are free are enough to list the directory, but each shard keeps one at least.
    one.do("""
import logging, resource  # both while there are descriptors to load them with
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
taken = []
try:
    while True: taken.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    os.close(taken.pop()), os.close(taken.pop())
generate_metrics(registry)
for descriptor in taken: os.close(descriptor)
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
""")
    assert one.scrape()['jobs_total{kind="mail"}'] == 3.0


def test_a_process_whose_file_was_removed_is_told(worker: Start, directory: Path, shards: Shards) -> None:
    one = worker()
    one.do("jobs.labels('mail').inc()")
    assert "pytheus_shards_skipped" not in one.scrape()
    for name in shards():
        (directory / name).unlink()
    assert one.scrape()["pytheus_shards_skipped"] == 1.0


def test_a_program_that_closes_all_descriptors_has_its_own_files_left_alone(worker: Start, tmp_path: Path) -> None:
    one = worker()
    one.do("jobs.labels('mail').inc()")
    source = f"""
def closing():
    os.closerange(3, 256)
    files = [open(f"{tmp_path}/{{n}}", "w+b", buffering=0) for n in range(20)]
    for n in range(3000): jobs.labels(f'kind{{n}}').inc()
    assert [file.seek(0, os.SEEK_END) for file in files] == [0] * 20
    for file in files: file.close()
answer = forked(closing)
"""
    assert one.do(source) == 0


def test_a_child_of_a_program_that_closed_all_descriptors_is_seen(worker: Start, scrape: Scrape) -> None:
    one = worker()
    one.do("""
def closing():
    os.closerange(3, 256)
    files = [open(os.devnull) for n in range(20)]
    assert forked(lambda: (jobs.labels('mail').inc(), files[10].read()) and None) == 0
answer = forked(closing)
assert answer == 0
""")
    assert scrape()['jobs_total{kind="mail"}'] == 1.0


def test_series_that_do_not_fit_show_in_their_own_process_and_can_be_removed(worker: Start, scrape: Scrape) -> None:
    one = worker()
    one.do("""
registry = multiprocess_registry(sys.argv[1], process_metrics=False, max_size_bytes=1 << 16)
jobs = Counter("small_total", "S.", ["kind"], registry=registry)
for n in range(10_000): jobs.labels(f'kind{n}').inc()
""")
    own = one.scrape()
    assert len([name for name in own if name.startswith("small")]) == 10_000
    assert sum(value for name, value in own.items() if name.startswith("small")) == 10_000.0
    seen = scrape()
    shared = len([name for name in seen if name.startswith("small")])
    assert 100 < shared < 10_000
    assert seen["pytheus_multiprocess_unshared_series"] == 10_000 - shared
    one.do("for n in range(10_000): jobs.remove(f'kind{n}')")
    one.do("jobs.labels('one').inc()")
    left = {name: value for name, value in one.scrape().items() if name.startswith("small")}
    assert left == {'small_total{kind="one"}': 1.0}


def test_a_full_disk_ends_no_process(worker: Start, scrape: Scrape) -> None:
    one = worker()
    # The kernel refuses to let a file grow any further, as it does where no block is free.
    one.do("""
import resource
jobs.labels('early').inc()
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, resource.RLIM_INFINITY))
for n in range(20_000): jobs.labels(f'kind{n}').inc()
jobs.labels('early').inc()
""")
    own, seen = one.scrape(), scrape()
    assert own['jobs_total{kind="early"}'] == seen['jobs_total{kind="early"}'] == 2.0
    assert sum(value for name, value in own.items() if name.startswith("jobs")) == 20_002.0
    assert seen["pytheus_multiprocess_unshared_series"] > 1000
    one.do("resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))")
    one.do("jobs.labels('late').inc()")
    assert scrape()['jobs_total{kind="late"}'] == 1.0


@pytest.mark.parametrize("more_die", [False, True])
def test_series_expire_that_no_process_adds_to(
    worker: Start, directory: Path, wait_until: WaitUntil, more_die: bool
) -> None:
    living, one = worker(), worker()
    living.do("jobs.labels('living').inc()")
    one.do("jobs.labels('old').inc(); jobs.labels('living').inc()")
    one.end()
    registry = multiprocess_registry(directory, process_metrics=False, retention_seconds=0.2)
    assert 'jobs_total{kind="old"} 1.0' in generate_metrics(registry)

    def is_gone() -> bool:
        if more_die:
            other = worker()
            other.do("jobs.labels('new').inc()")
            other.end()
        return 'kind="old"' not in generate_metrics(registry)

    wait_until(is_gone, "the series to expire")
    assert 'jobs_total{kind="living"} 2.0' in generate_metrics(registry)
    registry.close()


def test_a_scrape_reads_what_a_scraping_process_counts_itself(registry: Registry) -> None:
    mine = Counter("mine_total", "M.", registry=registry)
    mine.inc(3)
    assert "mine_total 3.0" in generate_metrics(registry)


_REUSES = """
import os, sys
from pytheus import Counter, generate_metrics
from pytheus_multiprocess import multiprocess_registry
from pytheus_multiprocess.file_format import HEADER_SIZE

registry = multiprocess_registry(sys.argv[1])
jobs = Counter("jobs_total", "Jobs done.", ["kind"], registry=registry)
jobs.labels("mail").inc()
generate_metrics(registry)

os.closerange(3, 256)
os.mkdir("own")
# Every number of ours is a directory of the program, or a file.
opened = [os.open("own", os.O_RDONLY) if n % 2 else os.open(f"file{n}", os.O_RDWR | os.O_CREAT) for n in range(3, 60)]
if "files" in sys.argv:
    opened = [os.dup2(os.open("file4", os.O_RDWR), n) for n in opened]
inodes = [os.fstat(each).st_ino for each in opened]

def check(step):
    assert [os.fstat(each).st_ino for each in opened] == inodes, step
    assert os.listdir("own") == [], step
    assert all(os.path.getsize(name) == 0 for name in os.listdir() if name.startswith("file")), step

def work(step):
    for number in range(3000):
        jobs.labels(str(number)).inc()
    check(step)
    assert 'jobs_total{kind="7"} ' in generate_metrics(registry), step
    check(step)

work("program")
child = os.fork()
if child == 0:
    try:
        work("child")
        registry.close()
        check("end of the child")
        os._exit(0)
    finally:
        os._exit(1)
assert os.waitpid(child, 0)[1] == 0
check("fork")
registry.close()
check("end")
print("unharmed")
"""


@pytest.mark.parametrize("reused_by", ["directories and files", "files"])
def test_descriptors_that_the_program_has_closed_and_uses_again_are_left_alone(
    reused_by: str, directory: Path, tmp_path: Path
) -> None:
    (tmp_path / "program").mkdir()
    ended = subprocess.run(
        [sys.executable, "-P", "-c", _REUSES, str(directory), reused_by],
        cwd=tmp_path / "program",
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.stdout == "unharmed\n", ended.stderr
