"""A program may close every file descriptor and use the numbers again: ours are not touched afterwards."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from pytheus.exposition.own_socket import LostSocketError, OwnSocket
from pytheus.exposition.server import MetricsServer, start_http_server
from pytheus.registry import CollectorRegistry

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there a socket is not a descriptor of the program")


class Reused(NamedTuple):
    """A socket whose descriptor now has a socket of the program, and the other end of that one."""

    lost: OwnSocket
    program: socket.socket
    peer: socket.socket


@pytest.fixture
def reused() -> Iterator[Callable[[OwnSocket], Reused]]:
    """Call it with a socket to lose."""
    made: list[Reused] = []

    def reuse(own: OwnSocket) -> Reused:
        ends = socket.socketpair()
        number = own.fileno()
        os.dup2(ends[0].fileno(), number)
        ends[0].close()
        made.append(Reused(own, socket.socket(fileno=number), ends[1]))
        return made[-1]

    yield reuse
    for each in made:
        each.program.close()
        each.peer.close()


USES = [
    lambda own: own.recv(1),
    lambda own: own.send(b"ours"),
    lambda own: own.sendall(b"ours"),
    lambda own: own.shutdown(socket.SHUT_RDWR),
    lambda own: own.accept(),
    lambda own: own.close(),
]


@pytest.mark.parametrize("use", USES, ids=["recv", "send", "sendall", "shutdown", "accept", "close"])
@pytest.mark.parametrize("timeout", [None, 0.0, 5.0])
def test_no_use_reaches_a_socket_of_the_program(
    use: Callable[[OwnSocket], object], timeout: float | None, reused: Callable[[OwnSocket], Reused]
) -> None:
    ours, other = socket.socketpair()
    own = OwnSocket.of(ours)
    own.settimeout(timeout)
    lost, program, peer = reused(own)
    peer.sendall(b"theirs")

    try:
        use(lost)
    except LostSocketError:
        assert lost.fileno() == -1  # and so the end of the object closes nothing
    lost.close()

    assert program.recv(16) == b"theirs"
    program.sendall(b"answer")
    assert peer.recv(16) == b"answer"
    other.close()


@pytest.mark.parametrize("use", [lambda own: own.recv(16), lambda own: own.sendall(bytes(1 << 22))])
def test_a_socket_can_be_lost_while_it_waits(
    use: Callable[[OwnSocket], object], reused: Callable[[OwnSocket], Reused]
) -> None:
    ours, other = socket.socketpair()
    own = OwnSocket.of(ours)
    own.settimeout(60)
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            use(own)
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while Path(f"/proc/self/task/{thread.native_id}/wchan").exists() and _is_running(thread):
        time.sleep(0.01)
    _, program, peer = reused(own)
    peer.sendall(b"theirs")
    other.close()  # what it waited for ends
    thread.join(60)

    assert [type(error) for error in errors] == [LostSocketError]
    assert program.recv(16) == b"theirs"
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.recv(1)


def _is_running(thread: threading.Thread) -> bool:
    state = Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "S"


def test_what_works_is_as_with_any_socket() -> None:
    with OwnSocket.of(socket.create_server(("127.0.0.1", 0))) as listener:
        client = socket.create_connection(listener.getsockname())
        connection, address = listener.accept()
    assert address == client.getsockname()
    connection.settimeout(0.01)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    client.sendall(b"asked")
    assert connection.recv(16) == b"asked"
    connection.settimeout(60)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.extend(iter(lambda: client.recv(1 << 16), b"")))
    reader.start()
    connection.sendall(bytes(range(256)) * (1 << 14))
    connection.shutdown(socket.SHUT_WR)
    reader.join(60)
    assert b"".join(received) == bytes(range(256)) * (1 << 14)
    connection.close()
    client.close()


# The server -----------------------------------------------------------------------------------------------------------


def _descriptors(server: MetricsServer) -> list[int]:
    return [own.fileno() for own in (server._listener, server._waker, server._woken)]


def _scrape_lost(server: MetricsServer) -> None:
    """Wake the acceptor, so that it ends: while it waits for the listener, that still exists."""
    with suppress(ConnectionError), socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert client.recv(1) == b""
    assert server._acceptor is not None
    server._acceptor.join(60)
    assert not server._acceptor.is_alive()


@pytest.mark.parametrize("action", ["nothing", "fork", "scrape"])
def test_a_server_whose_descriptors_are_reused_leaves_them_alone(action: str, caplog: pytest.LogCaptureFixture) -> None:
    server = start_http_server(0, registry=CollectorRegistry())
    numbers = _descriptors(server)
    programs: list[socket.socket] = []
    peers: list[socket.socket] = []
    for number in numbers:
        program, peer = socket.socketpair()
        os.dup2(program.fileno(), number)
        program.close()
        programs.append(socket.socket(fileno=number))
        peers.append(peer)
        peer.sendall(b"theirs")
    begun = time.monotonic()
    if action == "scrape":
        _scrape_lost(server)
        assert "the program has closed the descriptors of the metrics server" in caplog.text
    elif action == "fork":
        child = os.fork()
        if child == 0:
            os._exit(0 if all(os.fstat(number) for number in numbers) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert time.monotonic() - begun < 60  # it does not wait for a thread that cannot be woken
    server.close()
    if action != "scrape":
        _scrape_lost(server)
    for program, peer in zip(programs, peers, strict=True):
        assert program.recv(16) == b"theirs"
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(1)
        program.close()
        peer.close()
