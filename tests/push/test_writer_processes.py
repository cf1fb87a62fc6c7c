"""Writers and processes: ends and starts, forks, and one writer for several processes."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytheus import Counter
from pytheus.push import RemoteWriter
from pytheus.push.leadership import Leadership
from pytheus.registry import CollectorRegistry
from tests.push.receivers import Received, Receiver, answering
from tests.push.writing import PATIENCE_SECONDS, Writer, first, hanging, numbers_in, otlp, remote, until


@pytest.fixture
def orders(registry: CollectorRegistry) -> Counter:
    counter = Counter("orders_total", "Orders.", registry=registry)
    counter.inc(3)
    return counter


PROGRAM = """
import os, sys
from pytheus import Counter, REGISTRY
from pytheus.push import RemoteWriter
orders = Counter("orders_total", "Orders.")
orders.inc(3)
writer = RemoteWriter(sys.argv[1], version="1.0", labels={}, interval_seconds=0.05, close_seconds=float(sys.argv[2]))
writer.start()
"""


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)


@pytest.mark.once
def test_a_program_that_ends_sends_its_last_numbers() -> None:
    with Receiver(answering(204)) as receiver:
        result = _run(PROGRAM + "orders.inc(4)", receiver.url, "5")
        numbers = numbers_in(receiver.requests)
    assert (result.returncode, result.stderr) == (0, "")
    assert numbers[-2] == 7.0
    assert math.isnan(numbers[-1])


@pytest.mark.once
def test_a_program_ends_although_the_receiver_hangs() -> None:
    receivers: list[Receiver] = []
    with Receiver(hanging(receivers)) as receiver:
        receivers.append(receiver)
        begin = time.monotonic()
        result = _run(PROGRAM, receiver.url, "0.2")
        assert time.monotonic() - begin < 30
    assert result.returncode == 0
    assert "did not send its last numbers within 0.2 seconds" in result.stderr or "did not answer" in result.stderr


@pytest.mark.parametrize("make", [remote, otlp])
def test_starting_again_before_the_thread_has_ended(
    registry: CollectorRegistry, orders: Counter, make: Callable[..., Writer]
) -> None:
    answered = threading.Event()

    def answer(connection: socket.socket, request: Received) -> None:
        answered.wait(PATIENCE_SECONDS)
        answering(200)(connection, request)

    with Receiver(answer) as receiver:
        writer = make(receiver.url, registry, close_seconds=0.1, timeout_seconds=PATIENCE_SECONDS).start()
        until(lambda: len(receiver.requests) == 1)
        writer.close()
        assert "not running" in repr(writer)
        writer.start()
        assert "not running" not in repr(writer)
        answered.set()
        until(lambda: len(receiver.requests) > 5)
        writer.close()


@pytest.mark.once
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_the_child_of_a_fork_writes_nothing() -> None:
    """And the parent goes on."""
    program = PROGRAM + (
        "import time, warnings\n"
        "while not writer.status.delivered: time.sleep(0.01)\n"
        "warnings.simplefilter('error')\n"
        "for _ in range(5):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        orders.inc(1000)\n"
        "        writer.close()\n"
        "        sys.exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "before = writer.status.delivered\n"
        "while writer.status.delivered < before + 2: time.sleep(0.01)\n"
    )
    with Receiver(answering(204)) as receiver:
        result = _run(program, receiver.url, "5")
        numbers = numbers_in(receiver.requests)
    assert (result.returncode, result.stderr) == (0, "")
    assert set(numbers[:-1]) == {3.0}


@pytest.mark.once
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_the_child_of_a_fork_can_start_a_writer() -> None:
    """It writes its own numbers, and not those that wait in the parent's queue."""
    program = PROGRAM + (
        "import time\n"
        "while writer.status.failures < 1 or writer.status.queued < 3: time.sleep(0.01)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    orders.inc(1000)\n"
        "    writer.start()\n"
        "    assert writer.status.queued == 0\n"
        "    sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    with Receiver(first(answering(503, Retry_After="3000"), answering(204))) as receiver:
        result = _run(program, receiver.url, "5")
        numbers = numbers_in(receiver.requests[1:])
    assert result.returncode == 0, result.stderr
    child = numbers[: next(place for place, number in enumerate(numbers) if math.isnan(number))]
    assert set(child) == {1003.0}
    assert set(numbers[len(child) + 1 : -1]) == {3.0}


@pytest.mark.once
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.skipif(not hasattr(ctypes, "PyDLL") or os.name != "posix", reason="there is no fork in C")
def test_the_child_of_a_fork_in_c_can_start_a_writer(tmp_path: Path) -> None:
    """Python is not told of such a fork. The child can take the lock over."""
    lock = str(tmp_path / "lock")
    program = PROGRAM.replace("close_seconds", f"lock_file={lock!r}, close_seconds") + (
        "import ctypes, time\n"
        "while not writer.status.delivered: time.sleep(0.01)\n"
        "child = ctypes.PyDLL(None).fork()\n"
        "if child == 0:\n"
        "    assert 'not running' in repr(writer), writer\n"
        "    orders.inc(1000)\n"
        "    writer.start()\n"
        "    while not writer.status.delivered: time.sleep(0.01)\n"
        "    os._exit(0)\n"
        "writer.close()\n"
        "os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    with Receiver(answering(204)) as receiver:
        result = _run(program, receiver.url, "5")
        numbers = numbers_in(receiver.requests)
    assert result.returncode == 0, result.stderr
    assert numbers[0] == 3.0
    assert numbers[-1] == 1003.0


@pytest.mark.skipif(os.name != "posix", reason="there are no locks of files")
def test_a_lock_that_was_released_is_not_taken_by_a_late_thread(tmp_path: Path) -> None:
    one, other = Leadership(tmp_path / "lock"), Leadership(tmp_path / "lock")
    assert not one.acquire()
    one.begin()
    other.begin()
    assert (one.acquire(), other.acquire()) == (True, False)
    one.release()
    assert not one.acquire()
    assert other.acquire()
    other.release()


@pytest.mark.skipif(os.name != "posix", reason="there are no locks of files")
def test_one_of_several_writers_holds_the_lock(registry: CollectorRegistry, orders: Counter, tmp_path: Path) -> None:
    """The other takes over when it ends, and series go on."""
    with Receiver(answering(204)) as receiver:
        one, other = (
            RemoteWriter(
                receiver.url,
                registry,
                version="1.0",
                labels={"writer": name},
                interval_seconds=0.05,
                lock_file=tmp_path / "lock",
            )
            for name in ("first", "second")
        )
        one.start()
        until(lambda: one.status.delivered > 0)
        other.start()
        before = one.status.delivered
        until(lambda: one.status.delivered > before + 3)
        assert other.status.delivered == 0
        one.close()
        until(lambda: other.status.delivered > 0)
        other.close()
        numbers = numbers_in(receiver.requests)
    assert set(numbers) == {3.0}  # no series has ended


@pytest.mark.once
@pytest.mark.skipif(os.name != "posix", reason="there are no signals")
def test_the_lock_of_a_killed_process_is_free(registry: CollectorRegistry, orders: Counter, tmp_path: Path) -> None:
    lock = str(tmp_path / "lock")
    with Receiver(answering(204)) as receiver:
        program = PROGRAM.replace("close_seconds", f"lock_file={lock!r}, close_seconds") + "import time; time.sleep(99)"
        holder = subprocess.Popen([sys.executable, "-c", program, receiver.url, "5"])
        try:
            until(lambda: len(receiver.requests) > 0)
            writer = remote(receiver.url, registry, lock_file=lock).start()
            holder.send_signal(signal.SIGKILL)
            until(lambda: writer.status.delivered > 0)
            writer.close()
        finally:
            holder.kill()
            holder.wait(PATIENCE_SECONDS)


def test_importing_reads_nothing_heavy() -> None:
    program = (
        "import sys, pytheus, pytheus.push; print([name for name in sys.modules if name in ('ssl', 'http.client')])"
    )
    assert _run(program).stdout.strip() == "[]"
