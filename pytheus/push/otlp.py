"""OTLP over HTTP: the numbers of a registry to a collector of OpenTelemetry, and to others that speak its protocol.

Rules:

- Status 429, 502, 503 and 504, and no response at all, mean another attempt; 413 means smaller requests; any other
  refusal drops the request. A success that tells of data points which were not stored is logged, and not tried again.
- Variables of the environment are read by ``pytheus run`` only.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from pytheus.exceptions import InvalidReceiverError, LabelError
from pytheus.names import validate_text
from pytheus.push.access import Access
from pytheus.push.client import HttpClient
from pytheus.push.otlp_messages import AttributeValue, OtlpEncoder, OtlpRequest
from pytheus.push.outcomes import Outcome, Verdict, retry_after_seconds
from pytheus.push.snapshot import Snapshot, SnapshotReader
from pytheus.push.writer import BackgroundWriter, Writer
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import REGISTRY

__all__ = ["OtlpExporter"]

_SUBJECT: Final = "the receiver of OTLP"
_DEFAULT_PATH: Final = "/v1/metrics"
_HEADERS: Final = {"Content-Type": "application/x-protobuf"}
_RETRIED: Final = (429, 502, 503, 504)


class OtlpExporter(Writer):
    """Sends the numbers of `registry` by OTLP to the receiver at `url` every `interval_seconds`, beside the program.

        >>> with OtlpExporter("http://127.0.0.1:9", service_name="shop", close_seconds=0.1) as exporter:
        ...     exporter.status.delivered
        0

    `url` is the address for metrics; without a path, not even "/", ``/v1/metrics`` is added. A user name and password
    in it, or `access`, are its credentials, and `access` has other headers. `service_name` and `resource` are the
    attributes of the program; by default ``service.instance.id`` is the host's name. Each series has the name that it
    has in a scrape, and is cumulative. Histograms with native buckets are exponential histograms, even if they have
    classic buckets, too. With `gzip`, requests are compressed.

    The other arguments, `start`, `close`, forks and registries of several processes are as for `RemoteWriter`. A
    series that ends is not told. Raises `InvalidReceiverError`.
    """

    def __init__(
        self,
        url: str,
        registry: Registry = REGISTRY,
        *,
        service_name: str = "unknown_service:python",
        resource: Mapping[str, AttributeValue] | None = None,
        interval_seconds: float = 60.0,
        access: Access | None = None,
        gzip: bool = True,
        timeout_seconds: float = 10.0,
        close_seconds: float = 5.0,
        max_queue_bytes: int = 16 * 1024 * 1024,
        lock_file: str | os.PathLike[str] | None = None,
    ) -> None:
        attributes = _checked_resource({"service.name": service_name, **(resource or {})})
        attributes.setdefault("service.instance.id", socket.gethostname())
        reader = SnapshotReader(registry, escaping="allow-utf-8")
        super().__init__(
            BackgroundWriter(
                "OTLP",
                _Otlp(url, access, timeout_seconds, attributes, reader, gzip),
                reader,
                interval_seconds=interval_seconds,
                timeout_seconds=timeout_seconds,
                close_seconds=close_seconds,
                max_queue_bytes=max_queue_bytes,
                ends_series=False,
                lock_file=lock_file,
            )
        )


class _Otlp:
    """The protocol. Only the writer's thread uses it."""

    def __init__(
        self,
        url: str,
        access: Access | None,
        timeout_seconds: float,
        resource: Mapping[str, AttributeValue],
        reader: SnapshotReader,
        gzip: bool,
    ) -> None:
        self._reader: Final = reader
        self._client: Final = HttpClient(url, access, timeout_seconds=timeout_seconds, subject=_SUBJECT)
        self._path: Final = "" if urlsplit(url.strip()).path else _DEFAULT_PATH
        self._encoder: Final = OtlpEncoder(resource)
        self._headers: Final = {**_HEADERS, "Content-Encoding": "gzip"} if gzip else _HEADERS

    @property
    def shown(self) -> str:
        return self._client.shown

    def encode(self, snapshot: Snapshot) -> list[OtlpRequest]:
        requests = self._encoder.encode(snapshot)
        if self._headers is _HEADERS:
            return [request._replace(message=bytes(request.message)) for request in requests]
        from pytheus.exposition.compression import compressed

        # Once, and not at each attempt.
        return [
            request._replace(message=b"".join(compressed([bytes(request.message)], "gzip"))) for request in requests
        ]

    def send(self, request: OtlpRequest, timeout_seconds: float) -> Outcome:
        body = bytes(request.message)
        headers = self._headers
        response = self._client.request("POST", self._path, body, headers=headers, timeout_seconds=timeout_seconds)
        if 200 <= response.status < 300:
            rejected, words = partial_success(response.body)
            if not rejected and not words:
                return Outcome(Verdict.DELIVERED)
            said = f", and said: {shown}" if (shown := self._client.shown_words(words)) else ""
            return Outcome(Verdict.DELIVERED, f"{_SUBJECT} at {self.shown} did not store {rejected} data points{said}")
        message = str(self._client.refusal(response))
        if response.status in _RETRIED:
            return Outcome(Verdict.FAILED, message, retry_after_seconds(response.headers, time.time()))
        if response.status == 413:
            if self._encoder.split(request):
                return Outcome(Verdict.OTHER_FORM)
            self._reader.split_blocks(request.numbers)
        return Outcome(Verdict.REFUSED, message)


def partial_success(body: bytes) -> tuple[int, str]:
    """Return the number of rejected data points and the words in an ``ExportMetricsServiceResponse``.

        >>> partial_success(bytes.fromhex("0a06 0803 1202 6e6f"))
        (3, 'no')

    A body of another form, such as JSON, has none.
    """
    try:
        partial = _fields(body).get(1, b"")
        if not isinstance(partial, bytes):
            return 0, ""
        fields = _fields(partial)
    except (IndexError, ValueError):
        return 0, ""
    rejected, words = fields.get(1, 0), fields.get(2, b"")
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else ""
    shown = "".join([letter if letter.isprintable() else " " for letter in text])
    return rejected if isinstance(rejected, int) else 0, shown


def _fields(message: bytes) -> dict[int, int | bytes]:
    """Return the fields of a message that are whole numbers or have a length. Raises `IndexError` or `ValueError`."""
    fields: dict[int, int | bytes] = {}
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        value, place = _varint(message, place)
        if key & 7 == 0:
            fields[key >> 3] = value
        elif key & 7 == 2 and place + value <= len(message):
            fields[key >> 3] = message[place : place + value]
            place += value
        else:
            raise ValueError("another message")
    return fields


def _varint(message: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while shift < 64:
        byte = message[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
        shift += 7
    raise ValueError("another message")


def _checked_resource(resource: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    checked: dict[str, AttributeValue] = {}
    for name, value in resource.items():
        subject = f"the attribute {name!r:.80} of a resource"
        if not isinstance(name, str) or not name or not isinstance(value, str | bool | int | float):
            raise InvalidReceiverError(
                f"resource takes a text, bool, int or float by name but got {name!r:.40}: {type(value).__name__}"
            )
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise InvalidReceiverError(
                f"{subject} is a whole number of 64 bits but got {value!r:.40}; pass a text or a float"
            )
        try:
            checked[validate_text(name, subject)] = validate_text(value, subject) if isinstance(value, str) else value
        except LabelError as error:
            raise InvalidReceiverError(str(error)) from error
    service = checked["service.name"]
    if not isinstance(service, str):
        raise InvalidReceiverError(f"service_name is a text but got {service!r:.40}")
    return checked
