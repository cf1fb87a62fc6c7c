"""The benchmark of servers: what counts as a response, and the figures of a burst."""

from __future__ import annotations

import socket
import sys
import threading

import pytest

from bench import endpoint
from bench.libraries import LIBRARIES

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

_PYTHEUS = next(library for library in LIBRARIES if library.key == "pytheus")


def test_a_burst_is_served_and_counted() -> None:
    with endpoint.started(_PYTHEUS, sys.executable, 300) as server:
        burst = server.burst(20, 60)

        assert burst.is_complete
        assert 0 < burst.p50 <= burst.p99 == max(burst.seconds)
        assert burst.peak_bytes > 0
        assert server.peak_of_idle(3, 60) > 0


def test_clients_without_a_response_are_not_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for response in (b"HTTP/1.1 503 Busy\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n1\n", b""):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1024)
                    connection.sendall(response)

        thread = threading.Thread(target=serve)
        thread.start()
        seconds, _ = endpoint.scrape_at_once(listener.getsockname()[1], 3, 60)
        thread.join()

    assert len(seconds) == 1


def test_the_best_of_complete_bursts_counts() -> None:
    slow, quick = endpoint.Burst(2, [0.1, 0.2], 0.06, 0), endpoint.Burst(2, [0.05, 0.1], 0.02, 0)

    assert endpoint.time_cell([slow, quick], "p99") == "100.0 ms"
    assert endpoint.cpu_cell([slow, quick]) == "20.00 ms"
    assert endpoint.time_cell([quick, endpoint.Burst(2, [0.05], 0.02, 0)], "p99") == "1 of 2 served in 60 s"
