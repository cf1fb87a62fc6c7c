"""Jobs and processes: signals, forks, and runs that overlap in threads and tasks."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from pytheus.push import job
from pytheus.registry import CollectorRegistry
from tests.push.receivers import Received, Receiver, answering
from tests.push.test_job import values

_PATIENCE_SECONDS = 120

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs the processes and signals of POSIX")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(answering(200)) as receiver:
        yield receiver


_PROGRAM = """
import os, signal, sys, threading
from pytheus import Counter
from pytheus.push import job
from pytheus.registry import CollectorRegistry

registry = CollectorRegistry()
rows = Counter("rows_total", "Rows.", registry=registry)
{before}
with job("nightly", registry, push=sys.argv[1]):
    rows.inc()
    {block}
print("after")
"""


def run(program: str, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", program, url], capture_output=True, text=True, timeout=_PATIENCE_SECONDS
    )


def test_sigterm_ends_the_job_and_then_the_process(receiver: Receiver) -> None:
    block = """
    try:
        print("begun")
        signal.raise_signal(signal.SIGTERM)
    finally:
        rows.inc()  # the block ends as by an exception
    """
    ended = run(_PROGRAM.format(before="", block=block), receiver.url)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGTERM, "begun\n", "")
    (request,) = receiver.requests
    assert request.method == "POST"
    assert values(request.body) == {
        "rows_total": 2,
        "batch_job_success": 0,
        "batch_job_duration_seconds": values(request.body)["batch_job_duration_seconds"],
    }


def test_a_handler_of_the_program_decides(receiver: Receiver) -> None:
    before = "signal.signal(signal.SIGTERM, lambda *_: print('handled'))"
    ended = run(_PROGRAM.format(before=before, block="signal.raise_signal(signal.SIGTERM)"), receiver.url)
    assert (ended.returncode, ended.stdout) == (0, "handled\nafter\n")
    assert values(receiver.requests[0].body)["batch_job_success"] == 1


def test_the_default_action_returns_after_the_block(receiver: Receiver) -> None:
    program = _PROGRAM.format(before="", block="pass") + "print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)\n"
    assert run(program, receiver.url).stdout == "after\nTrue\n"


def test_a_signal_while_metrics_are_sent_waits_for_them() -> None:
    process: list[subprocess.Popen[bytes]] = []
    has_started = threading.Event()

    def answer(connection: object, request: Received) -> None:
        has_started.wait(_PATIENCE_SECONDS)
        process[0].send_signal(signal.SIGTERM)
        answering(200)(connection, request)  # type: ignore[arg-type]  # a socket

    with Receiver(answer) as receiver:
        command = [sys.executable, "-P", "-c", _PROGRAM.format(before="", block="pass"), receiver.url]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as started:
            process.append(started)
            has_started.set()
            _, printed = started.communicate(timeout=_PATIENCE_SECONDS)
        assert (started.returncode, printed) == (-signal.SIGTERM, b"")
        assert values(receiver.requests[0].body)["batch_job_success"] == 1


def test_a_second_signal_ends_the_process_at_once() -> None:
    process: list[subprocess.Popen[bytes]] = []
    has_started = threading.Event()

    def answer(connection: object, request: Received) -> None:
        has_started.wait(_PATIENCE_SECONDS)
        while process[0].poll() is None:
            process[0].send_signal(signal.SIGTERM)
            threading.Event().wait(0.05)

    with Receiver(answer) as hanging:
        command = [sys.executable, "-P", "-c", _PROGRAM.format(before="", block="pass"), hanging.url]
        with subprocess.Popen(command) as started:
            process.append(started)
            has_started.set()
            assert started.wait(_PATIENCE_SECONDS) == -signal.SIGTERM


def test_a_process_that_was_forked_in_the_block_sends_nothing(receiver: Receiver) -> None:
    block = """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    """
    ended = run(_PROGRAM.format(before="", block=block), receiver.url)
    assert (ended.returncode, ended.stdout) == (0, "after\nafter\n")
    assert len(receiver.requests) == 1


def test_a_job_of_another_thread_leaves_signals_alone(receiver: Receiver) -> None:
    block = "pass\nthread = threading.Thread(target=job('other', registry, push=sys.argv[1])(rows.inc)); thread.start()"
    program = _PROGRAM.format(before="", block=block) + "thread.join()\n"
    assert run(program, receiver.url).returncode == 0
    assert sorted(re.sub(".*/", "", request.target) for request in receiver.requests) == ["nightly", "other"]


# Runs that overlap ---------------------------------------------------------------------------------------------------


def outcomes(receiver: Receiver) -> list[tuple[str, float]]:
    """The job and the success of each request."""
    return [(re.sub(".*/", "", each.target), values(each.body)["batch_job_success"]) for each in receiver.requests]


def durations(receiver: Receiver) -> list[float]:
    """The durations, in the order in which the runs ended."""
    return [values(each.body)["batch_job_duration_seconds"] for each in receiver.requests]


def test_one_job_measures_blocks_of_several_threads(receiver: Receiver) -> None:
    """The first block to begin is the first one to end."""
    measured = job("nightly", CollectorRegistry(), push=receiver.url)
    has_begun, ends = threading.Event(), threading.Event()

    def run_other() -> None:
        with measured:
            has_begun.set()
            assert ends.wait(_PATIENCE_SECONDS)

    other = threading.Thread(target=run_other)
    with measured:
        begin = time.perf_counter()
        time.sleep(0.05)
        other_begin = time.perf_counter()
        other.start()
        assert has_begun.wait(_PATIENCE_SECONDS)
    ends.set()
    other.join()
    first, second = durations(receiver)
    assert first >= other_begin - begin
    assert second <= time.perf_counter() - other_begin


def test_one_job_measures_blocks_of_several_tasks(receiver: Receiver) -> None:
    measured = job("nightly", CollectorRegistry(), push=receiver.url)

    async def run_other(has_begun: asyncio.Event, ends: asyncio.Event) -> None:
        with measured:
            has_begun.set()
            await ends.wait()

    async def main() -> tuple[float, float]:
        has_begun, ends = asyncio.Event(), asyncio.Event()
        with measured:
            begin = time.perf_counter()
            await asyncio.sleep(0.05)
            other_begin = time.perf_counter()
            other = asyncio.create_task(run_other(has_begun, ends))
            await has_begun.wait()
        ends.set()
        await other
        return other_begin - begin, time.perf_counter() - other_begin

    least, most = asyncio.run(main())
    first, second = durations(receiver)
    assert first >= least
    assert second <= most


def test_a_block_can_end_in_another_thread(receiver: Receiver) -> None:
    measured = job("nightly", CollectorRegistry(), push=receiver.url)
    measured.__enter__()
    thread = threading.Thread(target=measured.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    with measured:
        pass
    assert outcomes(receiver) == [("nightly", 1), ("nightly", 1)]


_OVERLAPPING = """
import asyncio, signal, sys
from pytheus.push import job
from pytheus.registry import CollectorRegistry

@job("short", CollectorRegistry(), push=sys.argv[1])
async def short(begun):
    await begun.wait()

@job("long", CollectorRegistry(), push=sys.argv[1])
async def long(begun):
    begun.set()
    await asyncio.Event().wait()

async def main():
    begun = asyncio.Event()
    tasks = asyncio.create_task(short(begun)), asyncio.create_task(long(begun))
    await tasks[0]
    {then}
    await tasks[1]

asyncio.run(main())
"""


def test_sigterm_after_one_of_two_runs_ends_the_other(receiver: Receiver) -> None:
    ended = run(_OVERLAPPING.format(then="signal.raise_signal(signal.SIGTERM)"), receiver.url)
    assert (ended.returncode, ended.stdout) == (-signal.SIGTERM, "")
    assert outcomes(receiver) == [("short", 1), ("long", 0)]


def test_sigterm_while_one_of_two_runs_is_sent_ends_the_other() -> None:
    process: list[subprocess.Popen[bytes]] = []
    has_started = threading.Event()

    def answer(connection: socket.socket, request: Received) -> None:
        has_started.wait(_PATIENCE_SECONDS)
        if request.target.endswith("/short"):
            process[0].send_signal(signal.SIGTERM)
        answering(200)(connection, request)

    with Receiver(answer) as receiver:
        with subprocess.Popen([sys.executable, "-P", "-c", _OVERLAPPING.format(then="pass"), receiver.url]) as started:
            process.append(started)
            has_started.set()
            assert started.wait(_PATIENCE_SECONDS) == -signal.SIGTERM
        assert outcomes(receiver) == [("short", 1), ("long", 0)]


def test_sigterm_ends_each_of_several_blocks(receiver: Receiver) -> None:
    block = """
    with job("inner", registry, push=sys.argv[1]):
        signal.raise_signal(signal.SIGTERM)
    """
    ended = run(_PROGRAM.format(before="", block=block), receiver.url)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGTERM, "", "")
    assert outcomes(receiver) == [("inner", 0), ("nightly", 0)]
