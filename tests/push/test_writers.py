"""Writers in the background, by receivers that fail in every way: what arrives, what is lost, and who waits."""

from __future__ import annotations

import gzip
import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

from pytheus import Counter, CustomCollector, Gauge, Histogram
from pytheus.push import Access, OtlpExporter, RemoteWriter
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family
from tests.push.receivers import Answer, Receiver, answering, closed_port
from tests.push.remote_schema import parsed_1, parsed_2, series_of
from tests.push.snappy_reader import decoded
from tests.push.writing import PATIENCE_SECONDS, WRITTEN, Writer, first, hanging, numbers_in, otlp, remote, until


@pytest.fixture
def orders(registry: CollectorRegistry) -> Counter:
    counter = Counter("orders_total", "Orders.", registry=registry)
    counter.inc(3)
    return counter


GARBAGE: Answer = lambda connection, request: connection.sendall(b"\x00\x01 garbage \xff\r\n\r\n")  # noqa: E731
NOTHING: Answer = lambda connection, request: None  # noqa: E731


def test_2_is_used_with_a_receiver_that_knows_it(registry: CollectorRegistry, orders: Counter) -> None:
    with Receiver(WRITTEN) as receiver:
        with RemoteWriter(receiver.url, registry, interval_seconds=0.05, labels={"job": "shop"}) as writer:
            until(lambda: writer.status.delivered >= 3)
        requests = list(receiver.requests)
    assert {request.target for request in requests} == {"/api/v1/write"}
    for request in requests:
        assert request.headers["content-encoding"] == "snappy"
        assert request.headers["content-type"] == "application/x-protobuf;proto=io.prometheus.write.v2.Request"
        assert request.headers["x-prometheus-remote-write-version"] == "2.0.0"
        assert request.headers["user-agent"].startswith("pytheus/")
    numbers = numbers_in(requests)
    assert numbers[:-1] == [3.0] * (len(numbers) - 1)
    assert math.isnan(numbers[-1])  # the series has ended


@pytest.mark.parametrize("answer", [answering(204), answering(415), answering(400, b"cannot read")])
def test_1_is_used_with_any_other_receiver(registry: CollectorRegistry, orders: Counter, answer: Answer) -> None:
    with Receiver(first(answer, answering(204))) as receiver:
        writer = RemoteWriter(receiver.url + "/write", registry, interval_seconds=60, labels={})
        writer.start()
        writer.close()
        requests = list(receiver.requests)
    versions = [request.headers["x-prometheus-remote-write-version"] for request in requests]
    assert versions == ["2.0.0", "0.1.0", "0.1.0"]
    assert requests[0].target == "/write"
    assert numbers_in(requests[:2]) == [3.0, 3.0]
    [told] = parsed_1(decoded(requests[1].body)).metadata
    assert (told.type, told.metric_family_name, told.help) == (1, "orders_total", "Orders.")
    assert writer.status.delivered == 1


def test_2_alone_with_a_receiver_that_lacks_it(registry: CollectorRegistry, orders: Counter) -> None:
    with Receiver(answering(204)) as receiver:
        writer = RemoteWriter(receiver.url, registry, version="2.0").start()
        writer.close()
    status = writer.status
    assert (status.delivered, status.dropped) == (0, 1)
    assert "does not say that it wrote anything" in status.error


def test_fewer_numbers_written_than_sent(registry: CollectorRegistry, orders: Counter) -> None:
    with Receiver(answering(200, X_Prometheus_Remote_Write_Samples_Written="0")) as receiver:
        writer = RemoteWriter(receiver.url, registry).start()
        writer.close()
    assert "wrote 0 of 1 numbers" in writer.status.error


def test_a_receiver_without_native_histograms_gets_classic_ones(registry: CollectorRegistry, orders: Counter) -> None:
    Histogram("h", "H.", buckets=[], native=True, registry=registry).observe(0.3)
    refusal = answering(500, b"native histograms are disabled\n")
    with Receiver(first(refusal, WRITTEN)) as receiver:
        writer = RemoteWriter(receiver.url, registry, interval_seconds=0.05).start()
        until(lambda: writer.status.delivered >= 9)
        writer.close()
        one, other, *rest = receiver.requests
    assert [bool(series.histograms) for _, series in series_of(parsed_2(decoded(one.body)))] == [False, True]
    # The same numbers but for the native buckets, then classic ones.
    assert [labels["__name__"] for labels, _ in series_of(parsed_2(decoded(other.body)))] == ["orders_total"]
    assert numbers_in(rest, "h_count")[0] == 1.0
    assert (writer.status.dropped, writer.status.failures) == (0, 0)


WRITERS = pytest.mark.parametrize("make", [remote, otlp])


@WRITERS
@pytest.mark.parametrize(
    "answer", [answering(503), answering(429), NOTHING, GARBAGE], ids=["503", "429", "none", "bad"]
)
def test_an_attempt_that_may_succeed_later_is_repeated(
    registry: CollectorRegistry, orders: Counter, make: Callable[..., Writer], answer: Answer
) -> None:
    with Receiver(first(answer, answering(200))) as receiver:
        writer = make(receiver.url, registry).start()
        until(lambda: writer.status.delivered >= 2)
        assert writer.status.failures == 1
        assert writer.status.error == ""
        bodies = [request.body for request in receiver.requests]
        assert bodies[0] == bodies[1]  # the same numbers, with the same time
        writer.close()
    assert writer.status.dropped == 0


@WRITERS
@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 302])
def test_a_refusal_drops_the_request_and_no_other(
    registry: CollectorRegistry, orders: Counter, make: Callable[..., Writer], status: int
) -> None:
    with Receiver(first(answering(status, b"no, because"), answering(200))) as receiver:
        writer = make(receiver.url, registry).start()
        until(lambda: writer.status.delivered >= 1)
        writer.close()
    assert writer.status.dropped == 1
    assert writer.status.failures == 0


def test_a_status_that_only_remote_write_repeats(registry: CollectorRegistry, orders: Counter) -> None:
    for make, dropped, failures in (remote, 0, 1), (otlp, 1, 0):
        with Receiver(first(answering(500), answering(200))) as receiver:
            writer = make(receiver.url, registry).start()
            until(lambda writer=writer: writer.status.delivered >= 1)  # type: ignore[misc]  # bound now
            writer.close()
        assert (writer.status.dropped, writer.status.failures) == (dropped, failures)


@WRITERS
def test_the_receiver_says_how_long_to_wait(
    registry: CollectorRegistry, orders: Counter, make: Callable[..., Writer]
) -> None:
    with Receiver(first(answering(429, Retry_After="3000"), answering(200))) as receiver:
        writer = make(receiver.url, registry).start()
        until(lambda: writer.status.failures == 1)
        until(lambda: writer.status.queued >= 5)  # it goes on reading, but does not send
        assert len(receiver.requests) == 1
        writer.close()


@WRITERS
def test_a_receiver_that_is_away(
    registry: CollectorRegistry, orders: Counter, make: Callable[..., Writer], caplog: pytest.LogCaptureFixture
) -> None:
    """The queue is bounded, and a problem is logged once."""
    port = closed_port()
    with caplog.at_level(logging.INFO):
        writer = make(f"http://127.0.0.1:{port}", registry, max_queue_bytes=400).start()
        until(lambda: writer.status.dropped > 3)
        status = writer.status
        assert status.queued_bytes <= 400
        assert status.queued >= 2
        writer.close()
    logged = [record.message for record in caplog.records if "cannot be reached" in record.message]
    assert len(logged) == 1
    assert f"127.0.0.1:{port}" in logged[0]


@WRITERS
def test_numbers_that_waited_arrive_in_their_order(
    registry: CollectorRegistry, orders: Counter, make: Callable[..., Writer]
) -> None:
    away = first(answering(503), answering(503), answering(200))
    with Receiver(away) as receiver:
        writer = make(receiver.url, registry).start()
        until(lambda: writer.status.failures == 2)
        orders.inc(4)
        waiting = writer.status.queued
        assert waiting > 1
        until(lambda: writer.status.delivered > waiting + 2)
        requests = receiver.requests[2:]
        writer.close()
    assert writer.status.dropped == 0
    if make is remote:
        numbers = numbers_in(requests)
        assert numbers[0] == 3.0
        assert numbers == sorted(numbers)
        times = [series.samples[0].timestamp for request in requests for _, series in series_of(parsed_1(decoded(request.body)))]  # fmt: skip  # noqa: E501
        assert times == sorted(set(times))


@WRITERS
def test_a_receiver_that_hangs_delays_no_write(
    registry: CollectorRegistry, orders: Counter, make: Callable[..., Writer]
) -> None:
    receivers: list[Receiver] = []
    with Receiver(hanging(receivers)) as receiver:
        receivers.append(receiver)
        writer = make(receiver.url, registry, timeout_seconds=50, close_seconds=0.2).start()
        until(lambda: len(receiver.requests) == 1)
        begin = time.monotonic()
        orders.inc()
        assert writer.status.failures == 0
        writer.close()
        # Far below the 50 seconds of the request.
        assert time.monotonic() - begin < 20


@WRITERS
def test_a_request_has_a_limit_of_time(
    registry: CollectorRegistry, orders: Counter, make: Callable[..., Writer]
) -> None:
    receivers: list[Receiver] = []
    with Receiver(hanging(receivers)) as receiver:
        receivers.append(receiver)
        writer = make(receiver.url, registry, timeout_seconds=0.1).start()
        until(lambda: writer.status.failures == 1)
        assert "did not answer within 0.1 seconds" in writer.status.error
        writer.close()


@WRITERS
def test_a_certificate_that_is_not_trusted(
    registry: CollectorRegistry, orders: Counter, make: Callable[..., Writer]
) -> None:
    trustme: Any = pytest.importorskip("trustme")
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Receiver(answering(200), context=context) as receiver:
        writer = make(receiver.url, registry).start()
        until(lambda: writer.status.failures == 1)
        assert "is not trusted" in writer.status.error
        assert writer.status.dropped == 0
        writer.close()


@WRITERS
def test_no_credential_is_shown(
    registry: CollectorRegistry, orders: Counter, make: Callable[..., Writer], caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver(answering(403, b"hunter2 is wrong")) as receiver:
        writer = make(receiver.url.replace("//", "//shop:hunter2@"), registry).start()
        until(lambda: writer.status.dropped > 0)
        assert receiver.requests[0].headers["authorization"].startswith("Basic ")
        shown = f"{writer!r} {writer.status} {caplog.text}"
        writer.close()
    assert "hunter2" not in shown
    assert "shop:***@" in repr(writer)


def test_headers_of_a_tenant(registry: CollectorRegistry, orders: Counter) -> None:
    with Receiver(answering(200)) as receiver:
        access = Access(bearer_token="abc", headers={"X-Scope-OrgID": "shop"})
        OtlpExporter(receiver.url, registry, access=access).start().close()
        [request] = receiver.requests
    assert (request.headers["authorization"], request.headers["x-scope-orgid"]) == ("Bearer abc", "shop")


@pytest.mark.parametrize("compressed", [True, False])
def test_a_request_of_otlp(registry: CollectorRegistry, orders: Counter, compressed: bool) -> None:
    service: Any = import_module("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")
    with Receiver(answering(200)) as receiver:
        exporter = OtlpExporter(
            receiver.url, registry, service_name="shop", resource={"service.namespace": "eu"}, gzip=compressed
        )
        exporter.start().close()
        [request] = receiver.requests
    assert (request.target, request.headers["content-type"]) == ("/v1/metrics", "application/x-protobuf")
    assert request.headers.get("content-encoding") == ("gzip" if compressed else None)
    message = service.ExportMetricsServiceRequest.FromString(request.body)
    attributes = {one.key: one.value.string_value for one in message.resource_metrics[0].resource.attributes}
    assert attributes == {
        "service.name": "shop",
        "service.namespace": "eu",
        "service.instance.id": socket.gethostname(),
    }


def test_a_partial_success_is_told_and_not_repeated(registry: CollectorRegistry, orders: Counter) -> None:
    service: Any = import_module("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")
    response = service.ExportMetricsServiceResponse()
    response.partial_success.rejected_data_points = 7
    response.partial_success.error_message = "too\nold"
    with Receiver(answering(200, response.SerializeToString())) as receiver:
        exporter = OtlpExporter(receiver.url, registry).start()
        exporter.close()
        assert len(receiver.requests) == 1
    assert "did not store 7 data points, and said: too old" in exporter.status.error
    assert exporter.status.failures == 0


def test_a_partial_success_shows_no_credential(registry: CollectorRegistry, orders: Counter) -> None:
    service: Any = import_module("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")
    response = service.ExportMetricsServiceResponse()
    response.partial_success.error_message = "the tenant of hunter2 has too many series"
    with Receiver(answering(200, response.SerializeToString())) as receiver:
        exporter = OtlpExporter(receiver.url, registry, access=Access(bearer_token="hunter2")).start()
        exporter.close()
    assert "and said: the tenant of *** has too many series" in exporter.status.error


def test_a_response_that_does_not_end_is_one(registry: CollectorRegistry, orders: Counter) -> None:
    """Numbers that were stored are not sent again, and a refusal is one."""
    place: list[Receiver] = []
    heads = [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\nduplicate"]

    def answer(connection: socket.socket, request: object) -> None:
        connection.sendall(heads.pop(0) if len(heads) > 1 else heads[0])
        place[0].released.wait(PATIENCE_SECONDS)

    with Receiver(answer) as receiver:
        place.append(receiver)
        writer = remote(receiver.url, registry, timeout_seconds=0.1, close_seconds=0.1).start()
        until(lambda: writer.status.dropped > 0)
        status = writer.status
        writer.close()
    assert (status.delivered, status.failures) == (1, 0)
    assert "and said: duplicate" in status.error


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"partialSuccess":{}}', b"\xff", b"\x0a\x00", gzip.compress(b"", mtime=0)]
)
def test_another_body_of_a_success(registry: CollectorRegistry, orders: Counter, body: bytes) -> None:
    with Receiver(answering(200, body)) as receiver:
        exporter = OtlpExporter(receiver.url, registry).start()
        exporter.close()
    assert (exporter.status.delivered, exporter.status.error) == (1, "")


@WRITERS
def test_a_collector_that_raises_is_left_out(
    registry: CollectorRegistry, orders: Counter, make: Callable[..., Writer]
) -> None:
    Gauge("bad", "Bad.", registry=registry).set_function(lambda: 1 / 0)
    with Receiver(answering(200)) as receiver:
        writer = make(receiver.url, registry).start()
        until(lambda: writer.status.delivered >= 2)
        writer.close()
    assert writer.status.failures == 0


class Hanging(CustomCollector):
    """A collector that returns when it is released."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def collect(self) -> Iterator[Family]:
        self.release.wait(PATIENCE_SECONDS)
        yield Family.of("slow", "gauge", "Slow.", 1.0)


@WRITERS
def test_a_collector_that_hangs_is_left_out(
    registry: CollectorRegistry, orders: Counter, make: Callable[..., Writer]
) -> None:
    slow = Hanging()
    registry.register(slow)
    with Receiver(answering(200)) as receiver:
        # Limits a request, too, which a busy machine answers late.
        writer = make(receiver.url, registry, timeout_seconds=2).start()
        # The orders, and the count of failed collectors.
        until(lambda: writer.status.delivered >= 2)
        slow.release.set()
        writer.close()
    assert (writer.status.failures, writer.status.error) == (0, "")


def test_closing_waits_for_no_collector(registry: CollectorRegistry, orders: Counter) -> None:
    slow = Hanging()
    registry.register(slow)
    with Receiver(answering(200)) as receiver:
        writer = RemoteWriter(receiver.url, registry, version="1.0", close_seconds=2).start()
        writer.close()
    assert numbers_in(receiver.requests)[0] == 3.0
    slow.release.set()


def test_closing_and_starting_again(registry: CollectorRegistry, orders: Counter) -> None:
    with Receiver(answering(204)) as receiver:
        writer = RemoteWriter(receiver.url, registry, version="1.0")
        writer.close()
        assert writer.start() is writer
        assert writer.start() is writer
        writer.close()
        writer.close()
        first = len(receiver.requests)
        writer.start()
        writer.close()
        assert (first, len(receiver.requests)) == (2, 4)
    assert "not running" in repr(writer)


@pytest.fixture(autouse=True)
def _no_writer_is_left() -> Iterator[None]:
    yield
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("pytheus-")]
    assert not [name for name in names if name in ("pytheus-remote-write", "pytheus-OTLP")] or _hanging()


def _hanging() -> bool:
    """Whether the threads of writers end once nothing holds them any more."""
    until(lambda: not any(thread.name in ("pytheus-remote-write", "pytheus-OTLP") for thread in threading.enumerate()))
    return True
