"""The heads of HTTP/1.1 messages: those of requests from bytes, those of responses to bytes.

Rules:

- It knows no socket and no time: bytes go in, a request comes out.
- One request per connection. Whatever follows the head, a body or another request, is never parsed, so a proxy in
  front and this server cannot disagree about where the next request begins.
- A request that deviates from the grammar of RFC 9112 is refused, with two exceptions: a bare LF at the end of a line
  (section 2.2), and the signs that browsers and curl send in a target without encoding them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from pytheus.exposition.response import Response

__all__ = ["HEAD_END", "BadRequestError", "HeadReader", "PlainRequestError", "Request", "parse_head", "response_head"]

_HEAD_BYTES: Final = 16 * 1024
_HEAD_END_BYTES: Final = 3  # those of an empty line that may have come before its last byte

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# https://www.rfc-editor.org/rfc/rfc9112#section-2.1
#   HTTP-message = start-line CRLF *( field-line CRLF ) CRLF [ message-body ]
HEAD_END: Final = re.compile(rb"\r?\n\r?\n")

# https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
#   tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~" / DIGIT / ALPHA
_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"

# https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2
#   host = IP-literal / IPv4address / reg-name
#   IP-literal = "[" ( IPv6address / IPvFuture ) "]"
#   reg-name = *( unreserved / pct-encoded / sub-delims )
# Digits and colons in brackets are not counted, and a zone may follow them, which some clients send.
_UNRESERVED: Final = r"A-Za-z0-9\-._~"
_SUB_DELIMS: Final = r"!$&'()*+,;="
_IP_LITERAL: Final = rf"\[(?:[0-9A-Fa-f:.]+(?:%[{_UNRESERVED}%]+)?|[Vv][0-9A-Fa-f]+\.[{_UNRESERVED}{_SUB_DELIMS}:]+)\]"
_REG_NAME_SIGNS: Final = rf"[{_UNRESERVED}{_SUB_DELIMS}]*"
_URI_HOST: Final = rf"(?:{_IP_LITERAL}|{_REG_NAME_SIGNS}(?:%[0-9A-Fa-f]{{2}}{_REG_NAME_SIGNS})*)"

# https://www.rfc-editor.org/rfc/rfc9110#section-7.2
#   Host = uri-host [ ":" port ]       both may be empty
_HOST: Final = re.compile(rf"{_URI_HOST}(?::[0-9]*)?", re.ASCII)

# https://www.rfc-editor.org/rfc/rfc9112#section-3.2
#   request-target = origin-form / absolute-form / authority-form / asterisk-form
# Of the signs outside the grammar of RFC 3986, those are taken that https://url.spec.whatwg.org/#query-percent-encode-set
# leaves as they are: [ ] \ ^ ` { | } and a % that begins no encoding. The others are spaces, " # < > and non-ASCII.
_TARGET_SIGN: Final = r"[!$-;=?-~]"
_SCHEME: Final = r"[A-Za-z][A-Za-z0-9+.\-]*"
_REQUEST_TARGET: Final = rf"(?:/{_TARGET_SIGN}*|{_SCHEME}:{_TARGET_SIGN}+|{_URI_HOST}:[0-9]+|\*)"

# https://www.rfc-editor.org/rfc/rfc9112#section-3
#   request-line = method SP request-target SP HTTP-version
_REQUEST_LINE: Final = re.compile(rf"({_TOKEN}) ({_REQUEST_TARGET}) HTTP/([0-9])\.([0-9])", re.ASCII)

# https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2
#   absolute-form = absolute-URI       proxies send it, and servers must accept it
_ABSOLUTE_FORM: Final = re.compile(rf"{_SCHEME}://[^/?]*", re.ASCII)

# https://www.rfc-editor.org/rfc/rfc9112#section-5
#   field-line = field-name ":" OWS field-value OWS       with no folding (section 5.2) and no space before the colon
# OWS is removed afterwards, because matching it here would take time by the square of its length.
_FIELD_LINE: Final = re.compile(rf"({_TOKEN}):([^\x00-\x08\x0a-\x1f\x7f]*)", re.ASCII)

# https://www.rfc-editor.org/rfc/rfc9110#section-8.6
#   Content-Length = 1*DIGIT           here at most 20; repeated and joined with commas if all are equal
_CONTENT_LENGTH: Final = re.compile(r"([0-9]{1,20})(?:[ \t]*,[ \t]*\1)*", re.ASCII)


class BadRequestError(Exception):
    """A request that is refused with the HTTP status `status`."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class PlainRequestError(BadRequestError):
    """A request without TLS to a server that needs it."""


class Request(NamedTuple):
    """The `method`, `target` and header `fields` of a request.

    Field names are in lower case. Fields with the same name are joined by commas (RFC 9110 section 5.3).
    """

    method: str
    target: str
    fields: Mapping[str, str]

    @property
    def path(self) -> str:
        """The path in the target, without scheme, host and query."""
        absolute = _ABSOLUTE_FORM.match(self.target)
        path = self.target if absolute is None else self.target[absolute.end() :]
        return path.partition("?")[0] or "/"

    @property
    def query(self) -> str:
        """The part of the target after "?"."""
        return self.target.partition("?")[2]

    @property
    def has_body(self) -> bool:
        """Whether a body follows the head."""
        return "transfer-encoding" in self.fields or self.fields.get("content-length", "0").strip("0, \t") != ""


def parse_head(head: bytes) -> Request:
    """Return the request in `head`, the bytes before the empty line.

    Raises `BadRequestError` if it is malformed.

    >>> parse_head(b"GET /metrics?x=1 HTTP/1.1\\r\\nHost: shop").path
    '/metrics'
    """
    lines = head.decode("latin-1").replace("\r\n", "\n").split("\n")
    match = _REQUEST_LINE.fullmatch(lines[0])
    if match is None:
        raise BadRequestError("the request line is not 'METHOD TARGET HTTP/1.1'")
    method, target, major, minor = match.groups()
    if major != "1":
        raise BadRequestError("this server supports only HTTP/1.0 and HTTP/1.1", status=505)
    fields: dict[str, str] = {}
    for line in lines[1:]:
        field = _FIELD_LINE.fullmatch(line)
        if field is None:
            raise BadRequestError("a header line is not 'NAME: VALUE'")
        name, value = field[1].lower(), field[2].strip(" \t")
        if name in fields and name == "host":
            raise BadRequestError("the request has more than one Host header")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    _check_fields(fields, minor)
    return Request(method, target, fields)


def _check_fields(fields: Mapping[str, str], minor: str) -> None:
    if "host" not in fields and minor != "0":
        # https://www.rfc-editor.org/rfc/rfc9112#section-3.2
        raise BadRequestError("the request has no Host header, which HTTP/1.1 requires")
    if _HOST.fullmatch(fields.get("host", "")) is None:
        raise BadRequestError("the Host header is not 'HOST' or 'HOST:PORT'")
    # https://www.rfc-editor.org/rfc/rfc9112#section-6.3
    if _CONTENT_LENGTH.fullmatch(fields.get("content-length", "0")) is None:
        raise BadRequestError("Content-Length is not a whole number")
    if fields.get("transfer-encoding", "chunked").lower() != "chunked":
        raise BadRequestError("the only Transfer-Encoding that this server supports is chunked", status=501)


class HeadReader:
    """Finds and parses the head of one request in bytes that arrive in pieces.

    >>> reader = HeadReader()
    >>> reader.feed(b"GET /metrics HTTP/1.1\\r\\nHo")
    >>> reader.feed(b"st: shop\\r\\n\\r\\n").path
    '/metrics'
    """

    __slots__ = ("_head",)

    def __init__(self) -> None:
        self._head = bytearray()

    def feed(self, data: bytes) -> Request | None:
        """Add `data`; return the request once its head is complete, None before.

        Raises `BadRequestError` if the head is malformed or longer than 16 KiB. Nothing may be fed afterwards.
        """
        searched = max(len(self._head) - _HEAD_END_BYTES, 0)  # only the end is new, however small the pieces are
        # RFC 9112 section 2.2: ignore empty lines before the request line
        self._head += data if self._head else data.lstrip(b"\r\n")
        end = HEAD_END.search(self._head, searched)
        if end is not None and end.start() <= _HEAD_BYTES:
            return parse_head(bytes(self._head[: end.start()]))
        if len(self._head) > _HEAD_BYTES + _HEAD_END_BYTES:
            raise BadRequestError(f"the head of the request is larger than {_HEAD_BYTES} bytes", status=431)
        return None


def response_head(response: Response) -> bytes:
    """Return the status line and the header of `response`, which is the last one of its connection."""
    lines = [
        f"HTTP/1.1 {response.status} {response.phrase}",
        f"Date: {_http_date(time.time())}",
        *(f"{name}: {value}" for name, value in response.headers),
        "Connection: close",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1")


def _http_date(seconds: float) -> str:
    """Return the IMF-fixdate of RFC 9110 section 5.6.7.

    strftime() would use the language of the locale.
    """
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(seconds)
    return f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
