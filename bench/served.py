"""A scrape over a socket, from the library's own HTTP server in this process.

Rules:

- The client opens a connection for each scrape, as some servers close theirs, asks for gzip and reads to the end. It
  does the same with every library, and reads everything that arrives without looking at it.
- The CPU of the server is that of the process without that of the client's thread.
- The best of many scrapes counts, of the time and of the CPU each.
"""

from __future__ import annotations

import socket
import zlib
from collections.abc import Callable
from time import perf_counter, process_time, thread_time
from typing import NamedTuple

from bench.workload import Series

__all__ = ["Scrape", "request", "served", "text_of"]

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"


class Scrape(NamedTuple):
    """One scrape: the seconds until its last byte, those of the server's CPU, and the bytes."""

    seconds: float
    cpu_seconds: float
    answer: bytes


def request(port: int) -> Scrape:
    """Scrape the server at `port`."""
    process, thread, start = process_time(), thread_time(), perf_counter()
    parts = []
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(REQUEST)
        while part := connection.recv(1 << 20):
            parts.append(part)
    seconds = perf_counter() - start
    cpu_seconds = (process_time() - process) - (thread_time() - thread)
    return Scrape(seconds, cpu_seconds, b"".join(parts))


def text_of(answer: bytes) -> bytes:
    """The text in an answer; raises `RuntimeError` if it is not in gzip."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"content-encoding: gzip" not in head.lower():
        raise RuntimeError(f"expected an answer in gzip but got {head!r}")
    if b"transfer-encoding: chunked" in head.lower():
        body, rest = b"", body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return zlib.decompress(body, wbits=31)


def served(series: Series, budget_seconds: float, before: Callable[[], object]) -> dict[str, float]:
    """The rows of a scrape from the library's server; none if it has no server. `before` comes before each scrape."""
    server = series.serve()
    if server is None:
        return {}
    try:
        begun = perf_counter()
        before()
        scrape = request(server.port)
        best, cpu = scrape.seconds, scrape.cpu_seconds
        while perf_counter() - begun < budget_seconds:
            before()
            scrape = request(server.port)
            best, cpu = min(best, scrape.seconds), min(cpu, scrape.cpu_seconds)
        if text_of(scrape.answer) != series.render():
            raise RuntimeError("the server answered with another text than the library renders")
        return {"served_gzip": best * 1e3, "served_gzip_cpu": cpu * 1e3}
    finally:
        server.close()
