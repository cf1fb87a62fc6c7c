"""Closing the built-in server, forks of its process, and the end of the program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pytheus import start_http_server
from pytheus.exposition.server import MetricsServer
from pytheus.registry import CollectorRegistry
from tests.exposition.conftest import Gate, WaitUntil, get, open_to, own_threads, read

_PATIENCE_SECONDS = 120


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with `arguments`; what the program printed is in the result."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=_PATIENCE_SECONDS)


# What is left of it --------------------------------------------------------------------------------------------------


def test_nothing_is_left_once_closed(shop: CollectorRegistry) -> None:
    before = threading.enumerate()
    server = start_http_server(0, registry=shop)
    get(server, "/metrics")

    server.close()

    assert [thread.name for thread in threading.enumerate() if thread not in before] == []
    with pytest.raises(ConnectionRefusedError):
        open_to(server)


def test_closing_again_does_nothing(shop: CollectorRegistry) -> None:
    server = start_http_server(0, registry=shop)
    server.close()

    server.close()

    assert "closed" in repr(server)


def test_the_port_can_be_taken_again(shop: CollectorRegistry) -> None:
    with start_http_server(0, registry=shop) as first:
        get(first, "/metrics")

    with start_http_server(first.port, registry=shop) as second:
        assert get(second, "/metrics")[0] == 200


def test_closing_cuts_off_who_has_not_asked_yet(shop: CollectorRegistry, wait_until: WaitUntil) -> None:
    server = start_http_server(0, registry=shop)
    with open_to(server) as connection:
        wait_until(lambda: list(server._arrivals), "the connection to be accepted")

        server.close()

        assert read(connection) == b""
    assert own_threads() == []


def test_closing_finishes_the_answers_under_way(shop: CollectorRegistry) -> None:
    gate = Gate()
    shop.register(gate)
    server = start_http_server(0, registry=shop)
    with open_to(server) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert gate.waiting.acquire(timeout=_PATIENCE_SECONDS)
        closing = threading.Thread(target=server.close)
        closing.start()

        gate.open.set()

        assert b"# TYPE shop_gate gauge" in read(connection)
        closing.join()
    assert own_threads() == []


def test_its_threads_block_the_signals_that_belong_to_the_program(server: MetricsServer) -> None:
    masks: list[str] = []
    for thread in threading.enumerate():
        if thread.name == "pytheus-metrics":
            status = Path(f"/proc/self/task/{thread.native_id}/status")
            if not status.exists():
                pytest.skip("no /proc here to read a thread's signal mask from")
            masks += [line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigBlk:")]

    assert len(masks) == 1
    assert int(masks[0], 16) >> (signal.SIGTERM - 1) & 1


_FORKING = """
import os, sys, threading, urllib.request
from pytheus import start_http_server
from pytheus.registry import CollectorRegistry

server = start_http_server(0, registry=CollectorRegistry())
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
reading, writing = os.pipe()
forked, begun = os.pipe()
pid = os.fork()
if pid == 0:
    os.close(writing)
    os.write(begun, b"1")  # after the hooks that give the listener back in the child
    left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    sockets = []
    for descriptor in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []:
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
        if target.startswith("socket:"):
            sockets.append(target)
    server.close()
    os.write(1, f"{left} {sockets}\\n".encode())
    os.read(reading, 1)  # until the parent has looked
    os._exit(0)
assert opener.open(server.url).status == 200
os.read(forked, 1)
server.close()
try:
    opener.open(server.url)
except OSError as error:
    print("refused" if "refused" in str(error) else error)
os.close(writing)
os.waitpid(pid, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_forked_child_holds_nothing_of_it_and_the_parent_serves_on(tmp_path: Path) -> None:
    ended = run(tmp_path, "-c", _FORKING)

    assert sorted(ended.stdout.splitlines()) == ["[] []", "refused"], ended.stderr


_FORKING_UNDER_LOAD = """
import os, threading, urllib.request
from pytheus import start_http_server
from pytheus.registry import CollectorRegistry

server = start_http_server(0, registry=CollectorRegistry())
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
done = threading.Event()

def scrape():
    while not done.is_set():
        assert opener.open(server.url).status == 200

def fork():
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

scraping = threading.Thread(target=scrape)
forking = [threading.Thread(target=fork) for _ in range(3)]
for thread in (scraping, *forking):
    thread.start()
for thread in forking:
    thread.join()
done.set()
scraping.join()
print(opener.open(server.url).status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_forks_in_several_threads_while_it_serves(tmp_path: Path) -> None:
    ended = run(tmp_path, "-W", "ignore::DeprecationWarning", "-c", _FORKING_UNDER_LOAD)

    assert (ended.stdout, ended.stderr) == ("200\n", "")


_SHORT_OF_DESCRIPTORS = """
import os, resource, urllib.request
from pytheus import start_http_server
from pytheus.registry import CollectorRegistry

start_http_server(0, registry=CollectorRegistry()).close()  # so that all modules are loaded
taken = [os.open(os.devnull, os.O_RDONLY)]
resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 20, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
try:
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
for _ in range(3):  # the listener, and the two that wake its thread
    os.close(taken.pop())
server = start_http_server(0, registry=CollectorRegistry())
for descriptor in taken:
    os.close(descriptor)
print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(server.url, timeout=60).status)
"""


@pytest.mark.skipif(os.name != "posix", reason="this system has no such limit")
def test_its_thread_takes_no_descriptor_which_may_be_the_one_too_many(tmp_path: Path) -> None:
    ended = run(tmp_path, "-c", _SHORT_OF_DESCRIPTORS)

    assert (ended.stdout, ended.stderr) == ("200\n", "")


def test_a_program_that_forgets_to_close_ends_quietly(tmp_path: Path) -> None:
    ended = run(tmp_path, "-X", "dev", "-W", "error", "-c", "import pytheus; pytheus.start_http_server(0)")

    assert (ended.returncode, ended.stderr) == (0, "")


def test_loading_it_does_not_load_the_standard_librarys_server(tmp_path: Path) -> None:
    program = (
        "import sys, pytheus.exposition.server; print(sys.modules.keys() & {'http', 'email', 'asyncio', 'logging'})"
    )

    ended = run(tmp_path, "-c", program)

    assert ended.stdout == "set()\n"
