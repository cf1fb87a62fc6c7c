"""Writers under test: what a receiver got from them, and waiting without a guess."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from pytheus.push import OtlpExporter, RemoteWriter
from pytheus.registry import CollectorRegistry
from tests.push.receivers import Answer, Received, Receiver, answering
from tests.push.remote_schema import parsed_1, parsed_2, series_of
from tests.push.snappy_reader import decoded

__all__ = ["PATIENCE_SECONDS", "WRITTEN", "Writer", "first", "hanging", "numbers_in", "otlp", "remote", "until"]

Writer: TypeAlias = RemoteWriter | OtlpExporter

PATIENCE_SECONDS: Final = 60
WRITTEN: Final = answering(204, X_Prometheus_Remote_Write_Samples_Written="1000")
"""The answer of a receiver of 2.0."""


def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition` is true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.005)


def numbers_in(requests: list[Received], name: str = "orders_total") -> list[float]:
    """The numbers of a series in requests of remote write, in their order."""
    found: list[float] = []
    for request in requests:
        is_2 = "v2" in request.headers["content-type"]
        message: Any = (parsed_2 if is_2 else parsed_1)(decoded(request.body))
        for labels, series in series_of(message):
            if labels["__name__"] == name:
                found += [sample.value for sample in series.samples]
    return found


def first(*answers: Answer) -> Answer:
    """The answers of a receiver to its first requests; the last one answers all others."""
    rest = list(answers)

    def answer(connection: socket.socket, request: Received) -> None:
        (rest.pop(0) if len(rest) > 1 else rest[0])(connection, request)

    return answer


def hanging(receiver: list[Receiver]) -> Answer:
    """The answer of the receiver that `receiver` will contain: none until its end."""
    return lambda connection, request: receiver[0].released.wait(PATIENCE_SECONDS)


def remote(url: str, registry: CollectorRegistry, **options: Any) -> Writer:
    """A writer of remote write 1.0 that reads all the time."""
    return RemoteWriter(url, registry, version="1.0", labels={}, interval_seconds=0.05, **options)


def otlp(url: str, registry: CollectorRegistry, **options: Any) -> Writer:
    """An exporter that reads all the time."""
    return OtlpExporter(url, registry, interval_seconds=0.05, **options)
