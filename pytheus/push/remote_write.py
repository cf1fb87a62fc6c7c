"""Remote write: the numbers of a registry to Prometheus and to others that speak its protocol, at intervals.

Rules:

- Version 2.0 until the receiver shows that it does not know it: by its status, or by a success without the headers of
  2.0, because a receiver of 1.0 answers 204 and stores nothing. The same numbers are then sent in 1.0, and an hour
  later 2.0 is tried again, because receivers are upgraded. A response of any status with these headers is from one that
  knows 2.0.
- Status 5xx and 429, and no response at all, mean another attempt; 413 means smaller requests; any other refusal drops
  the request.
- A receiver that refuses all numbers because it has native histograms switched off, as Prometheus before 3.8 has by
  default, gets classic buckets from then on.
- All series that the writer sent end when it is closed.

https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/ and https://prometheus.io/docs/specs/prw/remote_write_spec/
"""

from __future__ import annotations

import math
import os
import re
import socket
import time
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

from pytheus.escaping import ESCAPINGS, Escaping
from pytheus.exceptions import InvalidNameError, InvalidReceiverError, LabelError, NotTextError
from pytheus.names import shown, validate_label_names, validate_text
from pytheus.push.access import Access
from pytheus.push.address import parse_receiver
from pytheus.push.client import HttpClient, HttpResponse
from pytheus.push.outcomes import Outcome, Verdict, retry_after_seconds
from pytheus.push.remote_messages import RemoteRequest, RemoteWriteEncoder, RemoteWriteVersion
from pytheus.push.snappy import snappy_block
from pytheus.push.snapshot import Snapshot, SnapshotReader
from pytheus.push.writer import BackgroundWriter, Writer
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import REGISTRY

__all__ = ["AnyRemoteWriteVersion", "RemoteWriter"]

AnyRemoteWriteVersion: TypeAlias = Literal["auto", "1.0", "2.0"]
"""The version of the protocol: "auto" is 2.0 with receivers that know it, and 1.0 with others."""

_SUBJECT: Final = "the receiver of remote write"
_DEFAULT_PATH: Final = "/api/v1/write"
_METADATA_SECONDS: Final = 60.0
_FALLBACK_SECONDS = 3600.0

_HEADERS: Final[dict[str, dict[str, str]]] = {
    "1.0": {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    },
    "2.0": {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        "X-Prometheus-Remote-Write-Version": "2.0.0",
    },
}
# As Prometheus says it: https://github.com/prometheus/prometheus/blob/main/storage/interface.go
_NO_NATIVES: Final = re.compile(rb"native histograms are disabled", re.IGNORECASE)
# With which a receiver of 1.0 may answer a request of 2.0 that it cannot read.
_MAYBE_1: Final = (400, 406, 415, 501)


class RemoteWriter(Writer):
    """Writes the numbers of `registry` to the receiver at `url` every `interval_seconds`, beside the program.

        >>> with RemoteWriter("http://127.0.0.1:9/api/v1/write", close_seconds=0.1) as writer:
        ...     writer.status.delivered
        0

    `url` is the receiver's address, ``/api/v1/write`` without a path; a user name and password in it, or `access`, are
    its credentials. `labels` are added to each series that lacks them; by default ``instance`` with the host's name.
    Use them to distinguish processes, because two that write the same series overwrite each other.

    `version` "auto" is 2.0 with receivers that know it, and 1.0 with others. `timeout_seconds` limits a request, and a
    reading of the registry, which leaves out collectors that take longer. While the receiver is away, snapshots wait in
    a queue of about `max_queue_bytes`; then the oldest are dropped. With `native_histograms` false, a histogram with
    native buckets is sent with classic ones, for receivers without native histograms. `escaping` is how names are
    written that are not legacy names: "allow-utf-8" if the receiver takes them.

    `start` and `close` are the beginning and the end of a ``with`` block, or are called. `close` sends the last numbers
    and ends all series, within `close_seconds`; the end of the program closes the writer, too, but a signal that kills
    it does not. The writer belongs to the process that started it: the child of a fork writes nothing. Of a registry
    that processes share, one process writes the numbers of all; start the writer in the parent, or in each of them with
    the same `lock_file`, whose holder writes until it ends. Raises `InvalidReceiverError`.
    """

    def __init__(
        self,
        url: str,
        registry: Registry = REGISTRY,
        *,
        interval_seconds: float = 15.0,
        labels: Mapping[str, str] | None = None,
        version: AnyRemoteWriteVersion = "auto",
        access: Access | None = None,
        timeout_seconds: float = 10.0,
        close_seconds: float = 5.0,
        max_queue_bytes: int = 16 * 1024 * 1024,
        native_histograms: bool = True,
        escaping: Escaping = "underscores",
        lock_file: str | os.PathLike[str] | None = None,
    ) -> None:
        if version not in get_args(AnyRemoteWriteVersion):
            raise InvalidReceiverError(f"version is auto, 1.0 or 2.0 but got {shown(version)}")
        if escaping not in ESCAPINGS:
            raise InvalidReceiverError(f"escaping is one of {', '.join(ESCAPINGS)} but got {shown(escaping)}")
        reader = SnapshotReader(registry, escaping=escaping, native=native_histograms)
        super().__init__(
            BackgroundWriter(
                "remote write",
                _RemoteWrite(url, access, timeout_seconds, version, _checked_labels(labels), reader),
                reader,
                interval_seconds=interval_seconds,
                timeout_seconds=timeout_seconds,
                close_seconds=close_seconds,
                max_queue_bytes=max_queue_bytes,
                ends_series=True,
                lock_file=lock_file,
            )
        )


class _RemoteWrite:
    """The protocol. Only the writer's thread uses it."""

    def __init__(
        self,
        url: str,
        access: Access | None,
        timeout_seconds: float,
        version: AnyRemoteWriteVersion,
        labels: Mapping[str, str],
        reader: SnapshotReader,
    ) -> None:
        self._reader: Final = reader
        self._client: Final = HttpClient(url, access, timeout_seconds=timeout_seconds, subject=_SUBJECT)
        self._path: Final = "" if parse_receiver(url).path else _DEFAULT_PATH
        self._may_fall_back: Final = version == "auto"
        self._version: RemoteWriteVersion = "1.0" if version == "1.0" else "2.0"
        self._labels: Final = labels
        self._encoder = RemoteWriteEncoder(self._version, labels)
        # Whether the receiver knows 2.0, and until what time 1.0 is used because it does not.
        self._is_known = False
        self._fallback_end = math.inf
        # The time of the snapshot that was encoded last.
        self._encoded = -math.inf
        self._last_metadata = -math.inf

    @property
    def shown(self) -> str:
        return self._client.shown

    def encode(self, snapshot: Snapshot) -> list[RemoteRequest]:
        # Not a snapshot that is sent again in 1.0.
        if time.time() >= self._fallback_end and snapshot.time != self._encoded:
            self._use("2.0")
        self._encoded = snapshot.time
        now = time.monotonic()
        metadata = now - self._last_metadata >= _METADATA_SECONDS
        if metadata:
            self._last_metadata = now
        requests = self._encoder.encode(snapshot, metadata=metadata)
        return [request._replace(message=snappy_block(request.message)) for request in requests]

    def send(self, request: RemoteRequest, timeout_seconds: float) -> Outcome:
        headers = _HEADERS[self._version]
        body = bytes(request.message)
        response = self._client.request("POST", self._path, body, headers=headers, timeout_seconds=timeout_seconds)
        status = response.status
        is_2 = self._version == "2.0"
        has_worked = self._fallback_end < math.inf  # in 1.0
        written = _written(response, request) if is_2 else None
        if written is not None:
            self._is_known = True
            self._fallback_end = math.inf
        if 200 <= status < 300:
            return self._success(written) if is_2 else Outcome(Verdict.DELIVERED)
        is_unknown = status == 415 or (not self._is_known and (status in _MAYBE_1 or has_worked))
        if self._may_fall_back and is_2 and written is None and is_unknown:
            return self._fall_back()
        message = str(self._client.refusal(response))
        if written:
            message += f"; it wrote {written}"
        if self._encoder.natives and _NO_NATIVES.search(response.body):
            self._encoder.natives = self._reader.native = False
            return Outcome(Verdict.OTHER_FORM)
        if status == 429 or status >= 500:
            return Outcome(Verdict.FAILED, message, retry_after_seconds(response.headers, time.time()))
        if status == 413:
            if self._encoder.split(request):
                return Outcome(Verdict.OTHER_FORM)
            self._reader.split_blocks(request.numbers)
        return Outcome(Verdict.REFUSED, message)

    def _success(self, written: str | None) -> Outcome:
        """Return the outcome of a success of 2.0."""
        if written is None:
            if self._may_fall_back:
                return self._fall_back()
            return Outcome(
                Verdict.REFUSED, f"{_SUBJECT} at {self.shown} does not say that it wrote anything; it may know 1.0 only"
            )
        if written:
            return Outcome(Verdict.DELIVERED, f"{_SUBJECT} at {self.shown} wrote {written}; look into its log")
        return Outcome(Verdict.DELIVERED)

    def _fall_back(self) -> Outcome:
        self._use("1.0")
        self._is_known = False
        self._fallback_end = time.time() + _FALLBACK_SECONDS
        return Outcome(Verdict.OTHER_FORM)

    def _use(self, version: RemoteWriteVersion) -> None:
        former = self._encoder
        self._version = version
        self._encoder = RemoteWriteEncoder(version, self._labels)
        self._encoder.natives, self._encoder.points_per_request = former.natives, former.points_per_request
        self._last_metadata = -math.inf


def _written(response: HttpResponse, request: RemoteRequest) -> str | None:
    """Return how much of `request` the receiver says it wrote, "" if that is all, and None if it does not say it.

    https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/#required-written-response-headers
    """
    samples, histograms, exemplars = [
        _count(response.headers.get(f"x-prometheus-remote-write-{kind}-written", ""))
        for kind in ("samples", "histograms", "exemplars")
    ]
    if samples is None and histograms is None and exemplars is None:
        return None
    if (samples or 0) >= request.samples and (histograms or 0) >= request.histograms:
        return ""
    return (
        f"{samples or 0} of {request.samples} numbers and {histograms or 0} of {request.histograms} native histograms"
    )


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _checked_labels(labels: Mapping[str, str] | None) -> dict[str, str]:
    if labels is None:
        return {"instance": socket.gethostname()}
    subject = "remote write"
    try:
        names = validate_label_names(tuple(labels), subject, names="legacy")
        return {name: validate_text(labels[name], f"the label {name!r} of {subject}") for name in names}
    except (InvalidNameError, LabelError, NotTextError) as error:
        raise InvalidReceiverError(str(error)) from error
