"""Writers whose snapshots are several requests: each has its own outcome, and a size that the receiver takes."""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

from pytheus import CustomCollector, Gauge
from pytheus.push import OtlpExporter, RemoteWriter
from pytheus.push.writer import Writer
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family, Sample
from tests.push.receivers import Answer, Received, Receiver, answering
from tests.push.remote_schema import parsed_1, parsed_2, series_of
from tests.push.snappy_reader import decoded
from tests.push.writing import WRITTEN, first, numbers_in, until

SERIES = 2500
"""In three requests, with the limits of `desks`."""


@pytest.fixture
def desks(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> Gauge:
    # A tenth of what they are, so that the tests take a tenth of the time.
    monkeypatch.setattr("pytheus.push.remote_messages._SERIES_PER_REQUEST", 1000)
    monkeypatch.setattr("pytheus.push.otlp_messages._SERIES_PER_REQUEST", 1000)
    monkeypatch.setattr("pytheus.push.snapshot._NUMBERS_PER_BLOCK", 205)
    gauge = Gauge("desks", "Desks.", ["a"], registry=registry)
    for value in range(SERIES):
        gauge.labels(value).set(value)
    return gauge


def remote(url: str, registry: CollectorRegistry, **options: Any) -> Writer:
    return RemoteWriter(url, registry, version="1.0", labels={}, **options)


WRITERS = pytest.mark.parametrize("make", [remote, OtlpExporter])


def write_once(writer: Writer) -> None:
    """Send one snapshot, and the end of its series."""
    writer.start()
    writer.close()


def found_in(request: Received) -> dict[str, float]:
    """The desks in a request, by their label, without the ends of series."""
    if "remote" not in "".join(request.headers):
        service: Any = import_module("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")
        message = service.ExportMetricsServiceRequest.FromString(request.body)
        metrics = message.resource_metrics[0].scope_metrics[0].metrics
        points = [point for metric in metrics for point in metric.gauge.data_points]
        return {point.attributes[0].value.string_value: point.as_double for point in points}
    is_2 = "v2" in request.headers["content-type"]
    parsed: Any = (parsed_2 if is_2 else parsed_1)(decoded(request.body))
    pairs = {labels["a"]: series.samples[0].value for labels, series in series_of(parsed) if series.samples}
    return {label: number for label, number in pairs.items() if not math.isnan(number)}


def all_found(requests: list[Received]) -> dict[str, float]:
    return {label: number for request in requests for label, number in found_in(request).items()}


ALL = {str(value): float(value) for value in range(SERIES)}


@WRITERS
def test_a_refused_request_takes_no_other_with_it(
    registry: CollectorRegistry, desks: Gauge, make: Callable[..., Writer], caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver(first(answering(200), answering(400, b"too old"), answering(200))) as receiver:
        writer = make(receiver.url, registry, interval_seconds=60, close_seconds=50)
        write_once(writer)
        one, refused, *others = map(found_in, receiver.requests)
    assert len(others) >= 1
    for other in others:
        one |= other
    assert one == {label: number for label, number in ALL.items() if label not in refused}
    assert (writer.status.delivered, writer.status.dropped) == (len(one), len(refused))
    [logged] = [record.message for record in caplog.records if "dropped" in record.message]
    assert "too old" in logged


@WRITERS
def test_a_request_that_failed_is_repeated_alone(
    registry: CollectorRegistry, desks: Gauge, make: Callable[..., Writer]
) -> None:
    with Receiver(first(answering(200), answering(503), answering(200))) as receiver:
        writer = make(receiver.url, registry, interval_seconds=0.05).start()
        until(lambda: writer.status.delivered >= SERIES)
        one, failed, again, last = receiver.requests[:4]
        writer.close()
    assert failed.body == again.body
    assert all_found([one, again, last]) == ALL
    assert (writer.status.failures, writer.status.dropped) == (1, 0)


def limited(most_bytes: int, answer: Answer) -> Answer:
    """Takes requests of at most `most_bytes`."""
    too_large = answering(413, b"too large")

    def limit(connection: socket.socket, request: Received) -> None:
        (answer if int(request.headers["content-length"]) <= most_bytes else too_large)(connection, request)

    return limit


def taken(receiver: Receiver, most_bytes: int) -> list[Received]:
    return [one for one in receiver.requests if int(one.headers["content-length"]) <= most_bytes]


@pytest.mark.parametrize("make", [remote, RemoteWriter, OtlpExporter])
def test_requests_get_smaller_for_a_receiver_with_a_limit(
    registry: CollectorRegistry, desks: Gauge, make: Callable[..., Writer]
) -> None:
    options: dict[str, Any] = {"gzip": False} if make is OtlpExporter else {}
    most = 20_000
    with Receiver(limited(most, WRITTEN)) as receiver:
        writer = make(receiver.url, registry, interval_seconds=0.05, **options).start()
        until(lambda: writer.status.delivered >= 2 * SERIES)
        writer.close()
        assert all_found(taken(receiver, most)) == ALL
        # A few halvings are enough, and are not forgotten.
        assert len(receiver.requests) - len(taken(receiver, most)) < 10
    assert (writer.status.dropped, writer.status.failures) == (0, 0)


@WRITERS
def test_blocks_get_smaller_where_one_is_too_large(registry: CollectorRegistry, make: Callable[..., Writer]) -> None:
    """The numbers that were read before are dropped, and told."""
    desks = Gauge("desks", "Desks.", ["a"], registry=registry)
    for value in range(2000):
        desks.labels(value).set(value)
    options: dict[str, Any] = {"gzip": False} if make is OtlpExporter else {}
    most = 2000
    with Receiver(limited(most, answering(200))) as receiver:
        writer = make(receiver.url, registry, interval_seconds=0.05, **options).start()
        until(lambda: writer.status.dropped > 0)
        assert "raise the receiver's limit" in writer.status.error
        until(lambda: writer.status.delivered >= 2000 and not writer.status.error)
        writer.close()
        assert all_found(taken(receiver, most)) == dict(list(ALL.items())[:2000])


class Late(CustomCollector):
    """A sample with a time of its own."""

    def collect(self) -> Iterator[Family]:
        yield Family("late", "gauge", "Late.", [Sample("", {"a": "late"}, 7.0, 12.5)])


@WRITERS
def test_a_sample_with_a_time_of_its_own_takes_no_other_with_it(
    registry: CollectorRegistry, make: Callable[..., Writer]
) -> None:
    """As Prometheus refuses a whole request for one that is too old."""
    Gauge("desks", "Desks.", ["a"], registry=registry).labels("1").set(1)
    registry.register(Late())

    def strict(connection: socket.socket, request: Received) -> None:
        answering(400 if "late" in found_in(request) else 200)(connection, request)

    with Receiver(strict) as receiver:
        writer = make(receiver.url, registry, interval_seconds=60, close_seconds=50)
        write_once(writer)
        found = all_found(receiver.requests)
    assert found == {"1": 1.0, "late": 7.0}
    assert (writer.status.delivered, writer.status.dropped) == (1, 1)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_ends_of_many_series_are_in_several_requests(
    registry: CollectorRegistry, desks: Gauge, version: Any
) -> None:
    with Receiver(WRITTEN) as receiver:
        write_once(RemoteWriter(receiver.url, registry, version=version, interval_seconds=60, close_seconds=50))
        found = [numbers_in([request], "desks") for request in receiver.requests]
    ends = [numbers for numbers in found if all(map(math.isnan, numbers))]
    assert sum(map(len, ends)) == SERIES
    assert max(map(len, found)) <= 1000


# A receiver that is upgraded ------------------------------------------------------------------------------------------


def versions_of(receiver: Receiver) -> str:
    return "".join(one.headers["x-prometheus-remote-write-version"][0] for one in receiver.requests).replace("0", "1")


@pytest.fixture
def fallback_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and not in an hour."""
    monkeypatch.setattr("pytheus.push.remote_write._FALLBACK_SECONDS", 0.0)


@pytest.mark.usefixtures("fallback_ends")
def test_2_is_tried_again(registry: CollectorRegistry) -> None:
    orders = Gauge("orders", "Orders.", registry=registry)
    with Receiver(first(answering(415), answering(204), WRITTEN)) as receiver:
        writer = RemoteWriter(receiver.url, registry, labels={}, interval_seconds=0.05).start()
        until(lambda: versions_of(receiver).count("2") > 3)
        orders.set(1)
        until(lambda: numbers_in(receiver.requests, "orders")[-1] == 1.0)
        writer.close()
        # Snapshots that were read before the first answer are sent in 1.0, too.
        assert re.fullmatch("21+2+", versions_of(receiver))
    assert (writer.status.dropped, writer.status.failures) == (0, 0)


@pytest.mark.parametrize("answer", [answering(204), answering(500), answering(404), answering(429)])
@pytest.mark.usefixtures("fallback_ends")
def test_1_is_kept_while_2_does_not_work(registry: CollectorRegistry, answer: Answer) -> None:
    """Whatever the answer to 2.0 is, because 1.0 has worked; the same numbers are sent in 1.0."""
    Gauge("orders", "Orders.", registry=registry)

    def old(connection: socket.socket, request: Received) -> None:
        is_2 = request.headers["x-prometheus-remote-write-version"] == "2.0.0"
        (answer if is_2 and len(receiver.requests) > 1 else answering(415 if is_2 else 204))(connection, request)

    with Receiver(old) as receiver:
        writer = RemoteWriter(receiver.url, registry, labels={}, interval_seconds=0.05).start()
        until(lambda: versions_of(receiver).count("2") >= 3)
        writer.close()
        assert re.fullmatch("(21+)+", versions_of(receiver))
    assert (writer.status.dropped, writer.status.failures) == (0, 0)


@pytest.mark.parametrize("status", [400, 415, 503])
def test_a_receiver_that_says_what_it_wrote_knows_2_whatever_the_status(
    registry: CollectorRegistry, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as one that wrote a part: https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/#partial-write"""
    orders = Gauge("orders", "Orders.", ["a"], registry=registry)
    orders.labels("x").set(1)
    orders.labels("y").set(1)
    partial = answering(status, b"out of bounds", X_Prometheus_Remote_Write_Samples_Written="1")
    with Receiver(first(partial, WRITTEN)) as receiver:
        writer = RemoteWriter(receiver.url, registry, labels={}, interval_seconds=0.05).start()
        until(lambda: writer.status.delivered >= 2)
        versions = versions_of(receiver)
        writer.close()
    assert set(versions) == {"2"}
    [logged] = [record.message for record in caplog.records if "out of bounds" in record.message]
    assert "it wrote 1 of 2 numbers" in logged
    assert (writer.status.dropped, writer.status.failures) == ((0, 1) if status == 503 else (2, 0))
