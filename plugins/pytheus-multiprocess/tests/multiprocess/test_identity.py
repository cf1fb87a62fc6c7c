"""Who a process is, when something happened, and which files are whose, also where pid, clock or user mislead."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytheus import Counter, Gauge, generate_metrics
from pytheus_multiprocess import multiprocess_registry
from pytheus_multiprocess import shard_file as shard_file_module
from pytheus_multiprocess.origin import ProcessOrigin

if TYPE_CHECKING:
    from tests.multiprocess.conftest import Scrape, Start

# Forks that Python does not notice -----------------------------------------------------------------------------------

C_FORKS = """
import ctypes
c_library = ctypes.{library}(None)
{before}
def c_forked(function):
    child = c_library.fork()
    if child == 0:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    return child
def count():
    for n in range(1000): {count}
children = [c_forked(count) for n in range(3)]
answer = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
assert answer == [0, 0, 0], answer
"""


@pytest.mark.parametrize("library", ["PyDLL", "CDLL"])
@pytest.mark.parametrize(
    ("before", "count", "series", "expected"),
    [
        pytest.param(
            "mail = jobs.labels('mail'); mail.inc(5)", "mail.inc()", 'jobs_total{kind="mail"}', 3005.0, id="inc"
        ),
        pytest.param("seconds.observe(9)", "seconds.observe(2)", "seconds_count", 3001.0, id="observe"),
        pytest.param(
            "jobs.labels('0').inc()", "jobs.labels(str(n % 10)).inc()", 'jobs_total{kind="0"}', 301.0, id="new series"
        ),
    ],
)
def test_children_of_a_fork_by_c_code_count_for_themselves(
    worker: Start, scrape: Scrape, library: str, before: str, count: str, series: str, expected: float
) -> None:
    one = worker()
    one.do(C_FORKS.format(library=library, before=before, count=count))
    for found in (scrape(), one.scrape()):
        assert found[series] == expected
        assert found.get("pytheus_shards_skipped", 0.0) == 0.0


def test_a_fork_by_c_code_that_is_noticed_late_is_told_and_leaves_the_parents_shard_alone(worker: Start) -> None:
    one = worker()
    one.do(
        """
from pytheus.shards import c_forks
import ctypes
c_forks._forking.add(threading.get_ident())  # so that the handler does nothing, as in other threads than the main one
jobs.labels('mail').inc()
reader, writer = os.pipe()
child = ctypes.PyDLL(None).fork()
if child == 0:
    jobs.labels('new').inc()  # needs an entry in the file's index
    os.write(writer, generate_metrics(registry).encode())
    jobs.labels('late').inc(2)
    os._exit(0)
os.waitpid(child, 0)
text = os.read(reader, 1 << 16).decode()
assert 'pytheus_shard_failures_total{step="fork",reason="unnoticed"} 1.0' in text, text
"""
    )
    found = one.scrape()
    assert (found['jobs_total{kind="mail"}'], found['jobs_total{kind="late"}']) == (1.0, 2.0)
    assert found.get("pytheus_shards_skipped", 0.0) == 0.0


# Pids, and their namespaces ------------------------------------------------------------------------------------------

CONTAINER = """
import os, sys
from pytheus import Counter, Gauge, generate_metrics
from pytheus_multiprocess import multiprocess_registry
registry = multiprocess_registry(sys.argv[1])
Gauge("level", "L.", mode="each", registry=registry).set(float(sys.argv[2]))
Counter("jobs_total", "Jobs.", registry=registry).inc()
print(os.getpid(), flush=True)
sys.stdin.read()
"""


def test_processes_with_one_pid_in_two_namespaces_are_both_shown(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unshare = shutil.which("unshare")
    command = [str(unshare), "--pid", "--fork", "--kill-child", sys.executable, "-P", "-c", CONTAINER, str(directory)]
    if unshare is None or subprocess.run([unshare, "--pid", "--fork", "true"], check=False).returncode:
        pytest.skip("this user cannot make PID namespaces")
    containers = [
        subprocess.Popen([*command, value], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for value in ("1", "2")
    ]
    registry = multiprocess_registry(directory)
    Gauge("level", "L.", mode="each", registry=registry).set(3)
    try:
        for each in containers:
            assert each.stdout is not None
            assert each.stdout.readline() == "1\n"
        text = generate_metrics(registry)
        levels = sorted(line for line in text.splitlines() if line.startswith("level{"))
        assert [line.split()[-1] for line in levels if 'pid="1-' in line] in (["1.0", "2.0"], ["2.0", "1.0"])
        assert f'level{{pid="{os.getpid()}"}} 3.0' in levels
        assert "jobs_total 2.0" in text
        # Not the figures of process 1 of this namespace.
        assert [line for line in text.splitlines() if line.startswith("process_open_fds{")] == [
            line for line in text.splitlines() if line.startswith(f'process_open_fds{{pid="{os.getpid()}"}}')
        ]
        assert "is in another PID namespace" in caplog.text
    finally:
        for each in containers:
            each.communicate()
    assert "jobs_total 2.0" in generate_metrics(registry)
    registry.close()


def test_a_process_that_took_over_a_pid_is_not_taken_for_the_owner(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        shard_file_module,
        "ProcessOrigin",
        type("Earlier", (), {"of_this_process": lambda: _earlier(ProcessOrigin.of_this_process())}),
    )
    registry = multiprocess_registry(directory)
    Counter("jobs_total", "Jobs.", registry=registry).inc()
    text = generate_metrics(registry)
    assert "jobs_total 1.0" in text
    assert "process_" not in text
    registry.close()


def _earlier(origin: ProcessOrigin) -> ProcessOrigin:
    return ProcessOrigin(origin.boot, origin.pid_namespace, origin.start_ticks - 1, origin.start_seconds)


def test_all_observers_expose_one_start_of_a_process_also_after_the_clock_was_set(worker: Start) -> None:
    one = worker()
    one.do("jobs.labels('mail').inc()")
    starts: set[str] = set()
    for offset in (0.0, 0.5, -3600.0):
        other = worker()
        text = other.do(f"""
import time
now = time.time
time.time = lambda: now() + {offset}
answer = generate_metrics(multiprocess_registry(sys.argv[1]))
""")
        starts |= {
            line for line in str(text).splitlines() if line.startswith(f'process_start_time_seconds{{pid="{one.pid}"')
        }
    assert len(starts) == 1
    (start,) = starts
    assert abs(float(start.split()[-1]) - time.time()) < 600


# Clocks --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [-3600.0, -1e9])
def test_the_gauge_that_was_set_last_is_shown_although_the_clock_went_back(
    worker: Start, scrape: Scrape, offset: float
) -> None:
    one, other = worker(), worker()
    one.do("seen.set(1)")
    other.do(f"now = time.time; time.time = lambda: now() + {offset}; seen.set(2)")
    assert scrape()["seen"] == 2.0
    one.do("seen.set(3)")
    assert scrape()["seen"] == 3.0


def test_after_a_start_of_the_machine_earlier_sets_are_older(worker: Start, scrape: Scrape) -> None:
    one = worker()
    one.do("""
from pytheus_multiprocess import archive_file, origin, shard_reader
origin.boot_id = archive_file.boot_id = shard_reader.boot_id = lambda: "another start of the machine"
origin._origin_of.cache_clear()
latest, other = (Gauge(name, "L.", mode="last", processes="all", registry=registry) for name in ("latest", "other"))
from pytheus_multiprocess import store
store.machine_clock = lambda: 1e9
registry = multiprocess_registry(sys.argv[1], process_metrics=False)
latest, other = (Gauge(name, "L.", mode="last", processes="all", registry=registry) for name in ("latest", "other"))
latest.set(1); other.set(5)
""")
    one.end()
    for value in (2, 3):
        found = scrape()
        assert (found["latest"], found["other"]) == ((1.0, 5.0) if value == 2 else (2.0, 5.0))
        two = worker()
        two.do("latest = Gauge('latest', 'L.', mode='last', processes='all', registry=registry)")
        two.do(f"latest.set({value})")
        two.end()
    assert scrape()["latest"] == 3.0


# Users and modes -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_process_that_gives_its_directory_and_itself_to_another_user_sees_its_numbers(
    worker: Start,
) -> None:
    one = worker()
    one.do("for n in range(100): jobs.labels(f'kind{n}').inc()")
    one.do("os.chown(sys.argv[1], 65534, 65534); os.setuid(65534)")
    one.do("jobs.labels('kind0').inc(); jobs.labels('new').inc()")
    found = one.scrape()
    assert (found['jobs_total{kind="kind0"}'], found['jobs_total{kind="new"}']) == (2.0, 1.0)
    assert len([name for name in found if name.startswith("jobs_total")]) == 101


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can begin as another user")
def test_a_shard_of_changed_mode_is_told_by_others_and_seen_by_its_owner(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    os.chown(directory, 65534, 65534)
    directory.parent.chmod(0o755)
    for parent in directory.parents:
        if parent == Path(tempfile.gettempdir()):
            break
        parent.chmod(parent.stat().st_mode | 0o011)
    script = """
import os, sys
from pytheus import Counter, generate_metrics
from pytheus_multiprocess import multiprocess_registry
warm = multiprocess_registry(sys.argv[2], process_metrics=False)  # because Python's own files may be root's alone
Counter("jobs_total", "Jobs.", registry=warm).inc()
open(sys.argv[2] + "/0123456789abcdef.shard", "w").close()
generate_metrics(warm)
os.setuid(65534)
one, other = (multiprocess_registry(sys.argv[1], process_metrics=False) for _ in range(2))
Counter("jobs_total", "Jobs.", registry=one).inc(4)
(name,) = [name for name in os.listdir(sys.argv[1]) if name.endswith(".shard")]
os.chmod(os.path.join(sys.argv[1], name), 0)
assert "jobs_total 4.0" in generate_metrics(one)
seen = generate_metrics(other)
assert "jobs_total" not in seen and "pytheus_shards_skipped 1.0" in seen, seen
"""
    subprocess.run([sys.executable, "-P", "-c", script, str(directory), str(directory.parent / "warm")], check=True)
