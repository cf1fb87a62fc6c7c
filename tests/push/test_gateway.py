"""Pushes to a Pushgateway: the group, the format, and its refusals."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator

import pytest

from pytheus import Counter, Histogram
from pytheus.exceptions import InvalidReceiverError, NotARegistryError, PushError
from pytheus.metrics import CustomCollector
from pytheus.push import Access, delete, push
from pytheus.push.gateway import PushMethod
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family, Sample
from tests.exposition.reading import families_of
from tests.push.receivers import Receiver, answering, closed_port

_SHORT_SECONDS = 0.4
TEXT = "text/plain; version=0.0.4; charset=utf-8"


@pytest.fixture
def shop() -> CollectorRegistry:
    registry = CollectorRegistry(prefix="shop")
    Counter("orders_total", "Orders.", registry=registry).inc(3)
    return registry


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(answering(200)) as receiver:
        yield receiver


def base64_of(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(("method", "verb"), [("replace", "PUT"), ("merge", "POST")])
def test_metrics_are_pushed_as_text(receiver: Receiver, shop: CollectorRegistry, method: PushMethod, verb: str) -> None:
    push(receiver.url, "nightly", shop, method=method)
    (request,) = receiver.requests
    assert (request.method, request.target) == (verb, "/metrics/job/nightly")
    assert request.headers["content-type"] == TEXT
    assert request.body.endswith(b"\nshop_orders_total 3.0\n")


def test_a_push_can_be_compressed(receiver: Receiver, shop: CollectorRegistry) -> None:
    push(receiver.url, "nightly", shop, gzip=True)
    (request,) = receiver.requests
    assert request.headers["content-encoding"] == "gzip"
    assert request.body.endswith(b"\nshop_orders_total 3.0\n")


def test_native_histograms_are_pushed_as_protobuf(receiver: Receiver, shop: CollectorRegistry) -> None:
    Histogram("wait_seconds", "Wait.", native=True, registry=shop).observe(0.5)
    push(receiver.url, "nightly", shop)
    push(receiver.url, "nightly", shop, format="text")
    first, second = receiver.requests
    assert first.headers["content-type"].startswith("application/vnd.google.protobuf")
    assert [family.name for family in families_of(first.body)] == ["shop_orders_total", "shop_wait_seconds"]
    assert second.headers["content-type"] == TEXT


def test_samples_have_no_times_of_their_own(receiver: Receiver, shop: CollectorRegistry) -> None:
    """A Pushgateway refuses a push with one."""

    class Late(CustomCollector):
        def collect(self) -> Iterator[Family]:
            yield Family("late", "gauge", "Late.", [Sample("", {}, 7.0, 12.5)])
            yield Family("wait", "summary", "Wait.", [Sample("_sum", {}, 7.0, 12.5), Sample("_count", {}, 1.0, 12.5)])

    shop.register(Late())
    push(receiver.url, "nightly", shop)
    push(receiver.url, "nightly", shop, format="protobuf")
    text, protobuf = receiver.requests
    lines = [line for line in text.body.decode().splitlines() if not line.startswith("#")]
    assert lines == ["shop_orders_total 3.0", "shop_late 7.0", "shop_wait_sum 7.0", "shop_wait_count 1.0"]
    metrics = [metric for family in families_of(protobuf.body) for metric in family.metrics]
    assert [metric.timestamp_ms for metric in metrics] == [None] * 3


def test_a_gateway_that_does_not_take_protobuf_gets_text(shop: CollectorRegistry) -> None:
    Histogram("wait_seconds", "Wait.", native=True, registry=shop).observe(0.5)

    with Receiver(answering(400, b"expected text")) as receiver:
        with pytest.raises(PushError, match="expected text"):
            push(receiver.url, "nightly", shop)
        assert [request.headers["content-type"] == TEXT for request in receiver.requests] == [False, True]
        with pytest.raises(PushError):
            push(receiver.url, "nightly", shop, format="protobuf")
        assert len(receiver.requests) == 3


def test_a_receiver_that_stores_no_protobuf_and_says_it_did_gets_text(shop: CollectorRegistry) -> None:
    Histogram("wait_seconds", "Wait.", native=True, registry=shop).observe(0.5)
    with Receiver(answering(200, X_Server_Hostname="victoria")) as receiver:
        push(receiver.url, "nightly", shop)
    assert [request.headers["content-type"] == TEXT for request in receiver.requests] == [False, True]


@pytest.mark.parametrize(
    ("job", "grouping", "path"),
    [
        ("nightly", {"instance": "db1"}, "/metrics/job/nightly/instance/db1"),
        ("a b", {"x": "ü&?#%"}, "/metrics/job/a%20b/x/%C3%BC%26%3F%23%25"),
        ("nightly", {"zone": "1", "dc": "2"}, "/metrics/job/nightly/dc/2/zone/1"),
        ("a/b", {"path": "/var"}, f"/metrics/job@base64/{base64_of('a/b')}/path@base64/{base64_of('/var')}"),
        ("nightly", {"empty": ""}, "/metrics/job/nightly/empty@base64/="),
        ("..", {"x": "."}, f"/metrics/job@base64/{base64_of('..')}/x@base64/{base64_of('.')}"),
        ("nightly", {"http.route": "a"}, "/metrics/job/nightly/U__http_2e_route/a"),
    ],
)
def test_the_group_is_in_the_path(receiver: Receiver, job: str, grouping: dict[str, str], path: str) -> None:
    push(f"{receiver.url}/gateway/", job, CollectorRegistry(), grouping=grouping)
    delete(f"{receiver.url}/gateway/", job, grouping=grouping)
    assert [(request.method, request.target) for request in receiver.requests] == [
        ("PUT", f"/gateway{path}"),
        ("DELETE", f"/gateway{path}"),
    ]


def test_credentials_are_passed_on(receiver: Receiver, shop: CollectorRegistry) -> None:
    push(receiver.url, "nightly", shop, access=Access(bearer_token="abc"))
    delete(receiver.url, "nightly", access=Access(bearer_token="abc"))
    assert [request.headers["authorization"] for request in receiver.requests] == ["Bearer abc"] * 2


def test_a_refusal_is_an_error_with_the_words_of_the_gateway(shop: CollectorRegistry) -> None:
    with Receiver(answering(400, b"pushed metrics are invalid or inconsistent\n")) as receiver:
        with pytest.raises(PushError) as caught:
            push(receiver.url, "nightly", shop)
        with pytest.raises(PushError):
            delete(receiver.url, "nightly")
    assert (caught.value.reason, caught.value.status) == ("status", 400)
    assert "the Pushgateway at " in str(caught.value)
    assert "and said: pushed metrics are invalid or inconsistent; " in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"job": ""}, "a job's name is text that is not empty"),
        ({"job": "\ud800"}, "a job's name is text that is not empty"),
        ({"grouping": {"job": "a"}}, "pass it as job"),
        ({"grouping": {"__name__": "a"}}, "does not begin with '__'"),
        ({"grouping": {"": "a"}}, "take a label name"),
        ({"grouping": {"instance": 1}}, r"grouping takes text for 'instance' but got int 1; write str\(\.\.\.\)"),
        ({"grouping": "instance"}, "grouping maps label names to values"),
        ({"method": "add"}, "method is replace or merge but got str 'add'"),
        ({"format": "openmetrics"}, "format is auto, text or protobuf"),
        ({"url": "http://hunter2@a/metrics/job/x"}, "ends before /metrics"),
    ],
)
def test_an_invalid_argument_is_refused(arguments: dict[str, object], message: str) -> None:
    given = {"url": f"http://127.0.0.1:{closed_port()}", "job": "nightly", "registry": CollectorRegistry()} | arguments
    with pytest.raises(InvalidReceiverError, match=message) as caught:
        push(**given)  # type: ignore[arg-type]  # arguments of several types
    assert "hunter2" not in str(caught.value)


def test_an_object_that_is_not_a_registry_is_refused() -> None:
    with pytest.raises(NotARegistryError):
        push("http://127.0.0.1:9", "nightly", object())  # type: ignore[arg-type]  # the point of the test


def test_a_collector_that_hangs_is_left_out(receiver: Receiver, shop: CollectorRegistry) -> None:
    class Hanging(CustomCollector):
        def collect(self) -> Iterator[Family]:
            receiver.released.wait()
            yield from ()

    shop.register(Hanging())
    push(receiver.url, "nightly", shop, timeout_seconds=_SHORT_SECONDS)
    (request,) = receiver.requests
    assert b"\nshop_orders_total 3.0\n" in request.body
    assert b'pytheus_collector_errors_total{collector="Hanging"} 1.0\n' in request.body


def test_a_registry_that_fails_is_an_error(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(CollectorRegistry):
        def collect(self) -> Iterator[CustomCollector]:
            raise RuntimeError("no database")

    with pytest.raises(PushError, match="nothing was sent, because the metrics could not be collected") as caught:
        push(receiver.url, "nightly", Failing())
    assert caught.value.reason == "collection"
    assert receiver.requests == []
    assert "no database" in caplog.text


def test_a_gateway_that_hangs_is_given_up(shop: CollectorRegistry) -> None:
    released = threading.Event()
    with Receiver(lambda connection, request: released.wait()) as receiver:
        try:
            with pytest.raises(PushError) as caught:
                push(receiver.url, "nightly", shop, timeout_seconds=_SHORT_SECONDS)
        finally:
            released.set()
    assert caught.value.reason == "timeout"
