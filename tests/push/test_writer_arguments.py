"""Writers: their arguments, and those of the receivers that they write to."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pytheus import Gauge
from pytheus.exceptions import InvalidReceiverError
from pytheus.push import OtlpExporter, RemoteWriter
from pytheus.registry import CollectorRegistry
from tests.push.receivers import Receiver, answering


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interval_seconds": 0}, "interval_seconds"),
        ({"interval_seconds": "5"}, "interval_seconds"),
        ({"close_seconds": -1}, "close_seconds"),
        ({"timeout_seconds": math.nan}, "timeout_seconds"),
        ({"max_queue_bytes": 0}, "max_queue_bytes"),
        ({"version": "3"}, "version is auto, 1.0 or 2.0"),
        ({"escaping": "none"}, "escaping is one of"),
        ({"labels": {"a-b": "c"}}, "remote write has the label name 'a-b'"),
        ({"labels": {"a": 1}}, "the label 'a' of remote write must be a str"),
        ({"labels": {"a": "\udcff"}}, "the label 'a' of remote write contains a lone surrogate"),
    ],
)
def test_arguments_that_are_not_valid(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidReceiverError, match=message):
        RemoteWriter("http://127.0.0.1:9", CollectorRegistry(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resource": {"a": None}}, "resource takes a text"),
        ({"resource": {"a": 2**63}}, "the attribute 'a' of a resource is a whole number of 64 bits"),
        ({"resource": {"a": -(2**63) - 1}}, "is a whole number of 64 bits"),
        ({"resource": {"a": "\udcff"}}, "the attribute 'a' of a resource contains a lone surrogate"),
        ({"resource": {"\udcff": "a"}}, "contains a lone surrogate"),
        ({"resource": {"service.name": 5}}, "service_name is a text but got 5"),
        ({"service_name": None}, "got 'service.name': NoneType"),
        ({"service_name": "\udcff"}, "contains a lone surrogate"),
    ],
)
def test_a_resource_that_is_not_valid(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidReceiverError, match=message):
        OtlpExporter("http://127.0.0.1:9", CollectorRegistry(), **options)


@pytest.mark.parametrize(
    ("path", "target"),
    [("", "/v1/metrics"), ("/", "/"), ("/own", "/own"), ("?a=b", "/v1/metrics?a=b"), ("/?a=b", "/?a=b")],
)
def test_the_path_of_otlp(registry: CollectorRegistry, path: str, target: str) -> None:
    Gauge("g", "G.", registry=registry).set(1)
    with Receiver(answering(200)) as receiver:
        OtlpExporter(receiver.url + path, registry, interval_seconds=60, close_seconds=50).start().close()
        assert {request.target for request in receiver.requests} == {target}
