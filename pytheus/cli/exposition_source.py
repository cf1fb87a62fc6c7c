"""An exposition from a URL, a file or standard input: its bytes, its format and its families.

Rules:

- A target is read as people type it: ``http://HOST/PATH``, ``HOST:PORT``, ``:PORT`` or ``PORT``, a file, or ``-``. A
  file that exists is preferred to an address without a scheme. Without a path, that of a URL is ``/metrics``.
- One limit of time covers a scrape with its redirects, or the wait for a pipe, and one of bytes the body, before and
  after decompression.
- A redirect is followed to http and https only, not from https to http, and without credentials and the client's
  certificate unless scheme, host and port stay the same.
- The parser is lenient, because expositions of other programs are read, too.
- An error names the target without credentials, and no text of a server can change the terminal.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import quote, urljoin, urlsplit

from pytheus.cli.source_file import read_source
from pytheus.exceptions import InvalidReceiverError, PushError, PytheusError
from pytheus.exposition.compression import DecompressionError, accepted_codings, decompressed
from pytheus.plugins.redaction import HIDDEN, is_plain
from pytheus.push.access import Access
from pytheus.push.address import parse_receiver
from pytheus.push.client import HttpClient, HttpResponse, Timings
from pytheus.push.deadline import Deadline

if TYPE_CHECKING:
    from pytheus.testing.parsed import ParsedFamily

__all__ = ["ACCEPT", "Exposition", "ExpositionSource", "FormatName", "Reading", "SourceError", "exact_names", "url_of"]

FormatName: TypeAlias = Literal["text", "openmetrics", "protobuf"]

_TEXT: Final = "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2"
_OPENMETRICS: Final = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"
_PROTOBUF: Final = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8"
)

ACCEPT: Final[dict[FormatName, str]] = {
    "text": _TEXT,
    "openmetrics": f"{_OPENMETRICS};q=0.9,{_TEXT},*/*;q=0.1",
    "protobuf": f"{_PROTOBUF};q=0.9,{_OPENMETRICS};q=0.5,{_TEXT},*/*;q=0.1",
}
"""Values of ``Accept`` by the preferred format; protobuf alone has native histograms, OpenMetrics all types."""

_MEDIA_TYPES: Final[dict[str, FormatName]] = {
    "text/plain": "text",
    "application/openmetrics-text": "openmetrics",
    "application/vnd.google.protobuf": "protobuf",
}
_CONTENT_TYPES: Final[dict[FormatName, str]] = {
    "text": "text/plain; version=1.0.0; charset=utf-8",
    "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
    "protobuf": "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
}
# Other formats that a server sends in place of an exposition.
_OTHERS: Final = ("text/html", "application/json", "application/xhtml+xml", "application/xml", "text/xml")

_PATH: Final = "/metrics"
_PATTERN_CHARACTERS: Final = frozenset("*?[")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_AT_MOST: Final = 5
_SUBJECT: Final = "the endpoint"
# So many samples take about a gigabyte; lines may be shorter than a server's.
_LINES_AT_MOST: Final = 2_000_000

_HOST: Final = r"(?:\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
_TYPED: Final = re.compile(rf"(?:(?:[^/@\s]+@)?{_HOST}?:)?[0-9]{{1,5}}(?:[/?].*)?", re.DOTALL)
_REMEDY: Final = "write a file, http://HOST:PORT/metrics, HOST:PORT or -"


class SourceError(PytheusError):
    """An exposition could not be read: the server or the file is not available, or sends something else."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How sources are read: with which credentials, how long, and at most how many bytes each."""

    access: Access = field(default_factory=Access)
    timeout_seconds: float = 10.0
    max_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Exposition:
    """The bytes of one exposition, without compression, and how they were read.

    `source` names where they are from, without credentials: the URL after redirects, the file, or "standard input".
    `coding` is the compression, or "", and `received_bytes` the length with it. `timings` are those of the last
    request, since the beginning of the first.
    """

    source: str
    body: bytes
    content_type: str
    coding: str = ""
    received_bytes: int = 0
    timings: Timings | None = None

    @property
    def format(self) -> FormatName:
        """The format, by the content type."""
        return _MEDIA_TYPES[_media_type(self.content_type)]

    def families(self) -> dict[str, ParsedFamily]:
        """Return the families by name, newly parsed; raises `SourceError` for damage, with its line or byte."""
        from pytheus.testing.parse import parse_exposition

        if self.format != "protobuf" and self.body.count(b"\n") > _LINES_AT_MOST:
            raise SourceError(f"{self.source} has more than {_LINES_AT_MOST} lines; select families by --name")
        try:
            return parse_exposition(self.body, self.content_type, strict=False)
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{self.source} is not an exposition: byte {error.start} is not UTF-8; {_REMEDY}"
            ) from error
        except ValueError as error:
            raise SourceError(f"{self.source} is not an exposition: {error}") from error


class ExpositionSource:
    """A URL, a file, or standard input, as people name it. A URL and a file can be read again.

        >>> ExpositionSource("me:hunter2@localhost:9464").shown
        'http://me:***@localhost:9464/metrics'

    `accept` is a value of `ACCEPT`; `names` select families at servers that know ``name[]``, and others expose all.
    Raises `SourceError` for a URL that is not valid.
    """

    def __init__(
        self,
        target: str,
        reading: Reading | None = None,
        *,
        accept: str = ACCEPT["protobuf"],
        names: Iterable[str] = (),
    ) -> None:
        self._target: Final = target
        self._reading: Final = Reading() if reading is None else reading
        self._accept: Final = accept
        self._names: Final = tuple(names)
        self.url: Final = url_of(target)
        """The URL, with its credentials, or None for a file or standard input."""
        self.shown: Final[str] = self._shown_file() if self.url is None else self._check()

    def __repr__(self) -> str:
        return f"<ExpositionSource {self.shown}>"

    def read(self) -> Exposition:
        """Return the exposition as it is now. Raises `SourceError`."""
        if self.url is None:
            return self._read_file()
        try:
            return self._scrape(self.url)
        except (PushError, InvalidReceiverError) as error:
            raise SourceError(str(error)) from error

    def _shown_file(self) -> str:
        if self._target == "-":
            return "standard input"
        # An address without a port is taken for a file, and may have a password.
        return self._target if is_plain(self._target) or os.path.exists(self._target) else HIDDEN

    def _check(self) -> str:
        assert self.url is not None
        try:
            return HttpClient(self.url, subject=_SUBJECT).shown
        except InvalidReceiverError as error:
            raise SourceError(str(error)) from error

    def _read_file(self) -> Exposition:
        limit = self._reading.max_bytes
        try:
            body = read_source(self._target, limit + 1, self._reading.timeout_seconds)
        except FileNotFoundError as error:
            raise SourceError(f"there is no file {self.shown!r}; {_REMEDY}") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "its name is not valid"
            raise SourceError(f"cannot read {self.shown!r}: {reason}; {_REMEDY}") from error
        if len(body) > limit:
            raise SourceError(f"{self.shown} has more than {limit} bytes; raise the limit by --max-bytes")
        coding = "gzip" if body[:2] == b"\x1f\x8b" else "zstd" if body[:4] == b"\x28\xb5\x2f\xfd" else ""
        content = self._decompressed(body, coding, self.shown)
        return Exposition(self.shown, content, _CONTENT_TYPES[_sniffed(content)], coding, len(body))

    def _scrape(self, url: str) -> Exposition:
        # Imports of the first request of a process, which would count as a part of it.
        import encodings.idna  # noqa: F401  # for its codec

        reading = self._reading
        codings = accepted_codings()
        deadline = Deadline(reading.timeout_seconds)
        access = reading.access
        query = "&".join([f"name%5B%5D={quote(name, safe='')}" for name in self._names])
        for _ in range(_REDIRECTS_AT_MOST + 1):
            client = HttpClient(url, access, timeout_seconds=reading.timeout_seconds, subject=_SUBJECT)
            # The client leaves out a slash at the end of the path.
            slash = "/" if urlsplit(url).path.endswith("/") else ""
            response = client.request(
                "GET",
                slash,
                query=query,
                headers={
                    "Accept": self._accept,
                    "Accept-Encoding": codings,
                    "X-Prometheus-Scrape-Timeout-Seconds": f"{reading.timeout_seconds - deadline.elapsed():.3f}",
                },
                deadline=deadline,
                max_response_bytes=reading.max_bytes + 1,
            )
            location = response.headers.get("location", "")
            if response.status not in _REDIRECTS or not location:
                return self._exposition(client, response)
            url, access = _redirected(url, location, access, client.shown)
            query = ""  # which a redirect keeps, if its server wants that
        raise SourceError(f"{_SUBJECT} at {self.shown} redirects more than {_REDIRECTS_AT_MOST} times; check the URL")

    def _exposition(self, client: HttpClient, response: HttpResponse) -> Exposition:
        subject = f"{_SUBJECT} at {client.shown}"
        headers, limit = response.headers, self._reading.max_bytes
        media_type = _media_type(headers.get("content-type", ""))
        if response.status != 200:
            said = response.body if media_type not in _OTHERS and not headers.get("content-encoding") else b""
            raise client.refusal(response._replace(body=said), _remedy(response.status))
        if len(response.body) > limit:
            raise SourceError(
                f"{subject} sends more than {limit} bytes; raise the limit by --max-bytes, or select families by --name"
            )
        expected = headers.get("content-length", "")
        if expected.isascii() and expected.isdigit() and len(response.body) < int(expected):
            raise SourceError(
                f"{subject} closed the connection after {len(response.body)} of {expected[:20]} bytes; look into its"
                " log"
            )
        coding = headers.get("content-encoding", "")
        body = self._decompressed(response.body, coding, subject)
        if media_type in _OTHERS or body[:1] == b"<":
            raise SourceError(
                f"{subject} answered with {media_type if media_type in _OTHERS else 'a page'}, which is not an"
                f" exposition; check the path, which is usually {_PATH}"
            )
        content_type = headers.get("content-type", "")
        if media_type not in _MEDIA_TYPES:
            content_type = _CONTENT_TYPES[_sniffed(body)]
        return Exposition(client.shown, body, content_type, coding, len(response.body), response.timings)

    def _decompressed(self, body: bytes, coding: str, subject: str) -> bytes:
        try:
            return decompressed(body, coding, self._reading.max_bytes)
        except DecompressionError as error:
            remedy = "raise the limit by --max-bytes" if "more than" in str(error) else "look into its log"
            raise SourceError(f"{subject}: {error}; {remedy}") from error


def exact_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return `names` for a server, or nothing if one of them is a pattern, which servers do not know.

    >>> exact_names(["jobs_total"]), exact_names(["jobs_total", "http_*"])
    (('jobs_total',), ())
    """
    every = tuple(names)
    return () if any(_PATTERN_CHARACTERS.intersection(name) for name in every) else every


def url_of(target: str) -> str | None:
    """Return the URL that `target` means, with a path, or None if it is a file or standard input.

    >>> url_of(":9464"), url_of("https://[::1]/"), url_of("shop.prom")
    ('http://localhost:9464/metrics', 'https://[::1]/', None)
    """
    if "://" in target:
        url = target.strip()
    elif target == "-" or not _TYPED.fullmatch(target) or os.path.exists(target):
        return None
    elif target[0] == ":":
        url = f"http://localhost{target}"
    else:
        url = f"http://{target}" if re.match(r"[0-9]+(?![0-9:.])", target) is None else f"http://localhost:{target}"
    try:
        parts = urlsplit(url)
    except ValueError:
        return url  # whose check gives the reason
    return url if parts.path else parts._replace(path=_PATH).geturl()


def _redirected(url: str, location: str, access: Access, shown: str) -> tuple[str, Access]:
    """Return the URL after a redirect, and the credentials for it."""
    before = urlsplit(url)
    try:
        after = urlsplit(urljoin(url, location))._replace(fragment="")
        is_same = (before.scheme, before.hostname, before.port) == (after.scheme, after.hostname, after.port)
    except ValueError:
        raise SourceError(f"{_SUBJECT} at {shown} redirects to an invalid address; check the URL") from None
    if after.scheme not in ("http", "https") or (before.scheme == "https" and after.scheme != "https"):
        raise SourceError(
            f"{_SUBJECT} at {shown} redirects to another scheme than {before.scheme}, which is not followed; name the"
            " right URL"
        )
    host = after.netloc.rpartition("@")[2]
    try:
        parse_receiver(after._replace(netloc=host).geturl())
    except InvalidReceiverError:
        raise SourceError(f"{_SUBJECT} at {shown} redirects to an invalid address; check the URL") from None
    if is_same:
        credentials = before.netloc.rpartition("@")[0]
        return after._replace(netloc=f"{credentials}@{host}" if credentials else host).geturl(), access
    return after._replace(netloc=host).geturl(), Access(ca_file=access.ca_file)


def _remedy(status: int) -> str:
    if status in (401, 403):
        return "pass credentials as http://USER:PASSWORD@HOST or by --token-file"
    if status in (404, 405):
        return f"check the path of the URL, which is usually {_PATH}"
    return "look into the server's log"


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _sniffed(body: bytes) -> FormatName:
    """Return the format of `body`, which comes without its content type."""
    if body[-64:].rstrip().endswith(b"# EOF"):
        return "openmetrics"
    # A length of seven bits a byte, then the field of the name.
    start = 0
    while start < 4 and start < len(body) and body[start] > 127:
        start += 1
    head = body[start + 1 : start + 3]
    if len(head) == 2 and head[0] == 10 and head[1]:
        name = body[start + 3 : start + 3 + min(head[1], 127)]
        if name and b"\n" not in name and all(byte >= 32 for byte in name):
            return "protobuf"
    return "text"
