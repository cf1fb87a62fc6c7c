"""The process collector, against what the operating system says by other ways."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytheus.collectors import ProcessCollector
from pytheus.collectors import process as process_module

on_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no Linux /proc here")


def run(program: str) -> str:
    """What `program` prints in a process of its own; there, `read(name)` gives a value of that process."""
    reading = (
        "from pytheus.collectors import ProcessCollector\n"
        "collector = ProcessCollector()\n"
        "def read(name): return {f.name: f.samples[0].value for f in collector.collect()}[f'process_{name}']\n"
    )
    command = [sys.executable, "-P", "-c", reading + program]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout


def values() -> dict[str, float]:
    return {family.name: family.samples[0].value for family in ProcessCollector().collect()}


@on_linux
def test_all_that_other_clients_tell_is_there() -> None:
    assert list(values()) == [
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_max_fds",
        "process_virtual_memory_bytes",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    ]


def test_cpu_time_grows_with_work() -> None:
    before = values()["process_cpu_seconds_total"]
    while time.process_time() <= before:
        pass

    assert values()["process_cpu_seconds_total"] > before


def test_an_open_descriptor_counts_as_one() -> None:
    before = values()["process_open_fds"]

    with socket.socket():
        assert values()["process_open_fds"] == before + 1


@on_linux
def test_descriptors_are_those_that_are_open() -> None:
    program = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (123, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
        "print(read('open_fds'), read('max_fds'))"
    )

    assert run(program) == "3.0 123.0\n"


@on_linux
def test_memory_grows_with_what_is_held() -> None:
    # In a process of its own, which has no memory left over from other tests.
    program = (
        "before = read('resident_memory_bytes')\n"
        "held = bytearray(b'1') * 64_000_000\n"
        "print(read('resident_memory_bytes') - before, read('virtual_memory_bytes') - read('resident_memory_bytes'))"
    )

    grown, others = map(float, run(program).split())

    assert grown > 60_000_000
    assert others >= 0


@on_linux
def test_the_start_is_before_now_and_after_the_parents() -> None:
    # The kernel counts in hundredths of a second.
    before = time.time() - 0.02
    start = float(run("print(read('start_time_seconds'))"))

    assert before <= start <= time.time()


@on_linux
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_forked_child_tells_its_own() -> None:
    program = """
import os, time
mine = read("start_time_seconds")
while time.time() < mine + 0.05:
    pass
pid = os.fork()
if pid == 0:
    os._exit(0 if read("start_time_seconds") > mine else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), read("start_time_seconds") == mine)
"""
    assert run(program) == "0 True\n"


def test_without_proc_the_rest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "_stat_fields", lambda: None)

    assert "process_cpu_seconds_total" in values()
    assert "process_resident_memory_bytes" not in values()
    assert "process_start_time_seconds" not in values()


@on_linux
def test_a_command_with_parentheses_and_spaces_is_no_obstacle() -> None:
    program = (
        "import pathlib; from pytheus.collectors import process;"
        "pathlib.Path('/proc/self/comm').write_text('a) (b 1 2'); print(process._stat_fields()[0])"
    )

    assert run(program) == "R\n"  # the state: running
