"""The Pushgateway: keep the metrics of a job that ends before Prometheus scrapes it.

Rules:

- A group is a job with the labels of its grouping. The gateway puts these labels on each series of the group, in place
  of labels of the same names.
- The text format 0.0.4, never OpenMetrics, which the gateway would read as that. Native histograms by protobuf; a
  gateway that does not take them gets text.
- A value that a path cannot have is base64: an empty one, one with "/", and "." and "..".

https://github.com/prometheus/pushgateway#api
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args
from urllib.parse import quote

from pytheus.escaping import escape_label_name
from pytheus.exceptions import InvalidReceiverError, PushError
from pytheus.names import shown
from pytheus.push.access import Access
from pytheus.push.client import HttpClient, HttpResponse
from pytheus.push.deadline import Deadline
from pytheus.push.rendering import PushFormat, Rendered, rendered
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import REGISTRY

__all__ = ["Gateway", "PushMethod", "delete", "is_text", "push"]

PushMethod: TypeAlias = Literal["replace", "merge"]
"""Whether a push replaces the whole group, or only the families that it has."""

TIMEOUT_SECONDS: Final = 10.0

_VERBS: Final[dict[str, str]] = {"replace": "PUT", "merge": "POST"}
_SUBJECT: Final = "the Pushgateway"
# An older gateway, or another receiver of the same paths, may not read protobuf. VictoriaMetrics, which is known by its
# header, answers that it has stored it.
_NO_PROTOBUF: Final = (400, 406, 415)
_VICTORIA_METRICS: Final = "x-server-hostname"
_IN_BASE64: Final = re.compile(r"\.{0,2}|.*/.*", re.DOTALL)


def push(
    url: str,
    job: str,
    registry: Registry = REGISTRY,
    *,
    grouping: Mapping[str, str] | None = None,
    method: PushMethod = "replace",
    access: Access | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    format: PushFormat = "auto",
    gzip: bool = False,
) -> None:
    """Send the metrics of `registry` to the Pushgateway at `url`, in the group of `job` and `grouping`.

        >>> try:
        ...     push("http://127.0.0.1:9", "nightly", grouping={"instance": "db1"})
        ... except PushError as error:
        ...     print(error.reason)
        connection

    `url` is where the gateway's pages begin, such as ``http://gateway:9091``, or
    ``http://victoria:8428/api/v1/import/prometheus`` of VictoriaMetrics; a user name and password in it, or
    `access`, are its credentials. With `method` "replace", all older metrics of the group are removed; with "merge",
    families of other names stay. `format` "auto" is text, or protobuf if there are native histograms. `gzip` compresses
    the request, which helps over slow networks only.

    Waits at most `timeout_seconds` for all together: the collectors, half of it at most, the connection and the
    gateway. A collector that is late or raises is left out and counted, as in a scrape. Labels of the metrics with the
    names of the group's labels get the values of the group. Raises `PushError`, which has the words of the gateway, if
    the metrics were not stored, and `InvalidReceiverError` for an invalid argument. May be called from any thread.

    Of a registry that several processes share, any process pushes the metrics of all of them: call it in one only.
    https://github.com/prometheus/pushgateway#put-method
    """
    Gateway(url, job, grouping, access=access, timeout_seconds=timeout_seconds).push(
        registry, method=method, format=format, gzip=gzip
    )


def delete(
    url: str,
    job: str,
    *,
    grouping: Mapping[str, str] | None = None,
    access: Access | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> None:
    """Remove the group of `job` and `grouping` from the Pushgateway at `url`, if it exists.

        >>> try:
        ...     delete("http://127.0.0.1:9", "nightly", grouping={"instance": "db1"})
        ... except PushError as error:
        ...     print(error.reason)
        connection

    The parameters, the limit of time and the errors are those of `push`.
    https://github.com/prometheus/pushgateway#delete-method
    """
    Gateway(url, job, grouping, access=access, timeout_seconds=timeout_seconds).delete()


class Gateway:
    """A group in a Pushgateway; see `push` for the parameters. May be used from any thread, and after a fork."""

    def __init__(
        self,
        url: str,
        job: str,
        grouping: Mapping[str, str] | None = None,
        *,
        access: Access | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._client: Final = HttpClient(url, access, timeout_seconds=timeout_seconds, subject=_SUBJECT)
        if "/metrics/job" in self._client.shown:
            raise InvalidReceiverError(
                f"the URL of {_SUBJECT} ends before /metrics but got {self._client.shown}; job and grouping are added"
            )
        self._path: Final = _group_path(job, {} if grouping is None else grouping)

    def __repr__(self) -> str:
        return f"<Gateway {self._client.shown}>"

    def push(
        self,
        registry: Registry,
        *,
        method: PushMethod = "replace",
        format: PushFormat = "auto",
        gzip: bool = False,
        also: Registry | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        """Send the metrics of `registry`, and of `also`; see the function `push`. `deadline` replaces the timeout."""
        if method not in get_args(PushMethod):
            raise InvalidReceiverError(f"method is replace or merge but got {shown(method)}")
        if deadline is None:
            deadline = Deadline(self._client.timeout_seconds)
        metrics = rendered(registry, self._left(deadline) / 2, format, also)
        response = self._send(metrics, method, deadline, gzip)
        reads_no_protobuf = response.status in _NO_PROTOBUF or _VICTORIA_METRICS in response.headers
        is_sent_again = reads_no_protobuf and format == "auto" and "protobuf" in metrics.content_type
        # Without time for that, the answer is the reason.
        if is_sent_again and (response.status < 300 or not deadline.is_over):
            as_text = rendered(registry, self._left(deadline) / 2, "text", also)
            response = self._send(as_text, method, deadline, gzip)
        self._check(response)

    def push_text(self, body: bytes, *, method: PushMethod = "replace") -> None:
        """Send `body`, an exposition in the text format 0.0.4."""
        deadline = Deadline(self._client.timeout_seconds)
        self._check(self._send(Rendered(body, "text/plain; version=0.0.4; charset=utf-8"), method, deadline, False))

    def delete(self) -> None:
        """Remove the group; see the function `delete`."""
        self._check(self._client.request("DELETE", self._path))

    def _send(self, metrics: Rendered, method: PushMethod, deadline: Deadline, gzip: bool) -> HttpResponse:
        return self._client.request(
            _VERBS[method],
            self._path,
            metrics.body,
            headers={"Content-Type": metrics.content_type},
            gzip=gzip,
            timeout_seconds=self._left(deadline),
        )

    def _left(self, deadline: Deadline) -> float:
        try:
            return deadline.remaining()
        except TimeoutError:
            raise PushError(
                f"{_SUBJECT} at {self._client.shown} was not reached within {deadline.seconds:g} seconds, which the"
                " collectors took; allow more time",
                reason="timeout",
            ) from None

    def _check(self, response: HttpResponse) -> None:
        if not 200 <= response.status < 300:
            raise self._client.refusal(response)


def _group_path(job: str, grouping: Mapping[str, str]) -> str:
    """Return the path of a group; its labels are in the order of their names."""
    if not is_text(job) or not job:
        raise InvalidReceiverError(f"a job's name is text that is not empty but got {shown(job)}; name the job")
    parts = ["/metrics", _part("job", job)]
    if not isinstance(grouping, Mapping):
        raise InvalidReceiverError(f"grouping maps label names to values but got {shown(grouping)}")
    for name in grouping:
        if not is_text(name) or not name or name.startswith("__") or name == "job":
            remedy = "pass it as job" if name == "job" else "take a label name that does not begin with '__'"
            raise InvalidReceiverError(f"grouping got the label {shown(name)}; {remedy}")
    for name, value in sorted(grouping.items()):
        if not is_text(value):
            raise InvalidReceiverError(f"grouping takes text for {name!r} but got {shown(value)}; write str(...)")
        parts.append(_part(escape_label_name(name, "values"), value))
    return "/".join(parts)


def is_text(value: object) -> bool:
    """Return whether `value` is text that UTF-8 can encode, which excludes lone surrogates."""
    return isinstance(value, str) and value.encode("utf-8", "replace").decode() == value


def _part(name: str, value: str) -> str:
    if _IN_BASE64.fullmatch(value):
        encoded = base64.urlsafe_b64encode(value.encode()).decode()
        return f"{name}@base64/{encoded or '='}"
    return f"{name}/{quote(value, safe='')}"
