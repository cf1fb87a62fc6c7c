"""The head of an HTTP/1 request, read the way RFC 9112 writes it.

Rules:

- Only what a scrape needs: the method, the target's path, and the header fields. A body is never read.
- What deviates from the grammar is refused, not guessed at; the one lenience is a bare LF at a line's end
  (section 2.2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = ["HEAD_END", "BadRequestError", "Request", "parse_head"]

# https://www.rfc-editor.org/rfc/rfc9112#section-2.1
#   HTTP-message = start-line CRLF *( field-line CRLF ) CRLF [ message-body ]
HEAD_END: Final = re.compile(rb"\r?\n\r?\n")

# https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
#   tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~" / DIGIT / ALPHA
_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"

# https://www.rfc-editor.org/rfc/rfc9112#section-3
#   request-line = method SP request-target SP HTTP-version
_REQUEST_LINE: Final = re.compile(rf"({_TOKEN}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])", re.ASCII)

# https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2
#   absolute-form = absolute-URI       what proxies send, and servers must take
_ABSOLUTE_FORM: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*", re.ASCII)

# https://www.rfc-editor.org/rfc/rfc9112#section-5
#   field-line = field-name ":" OWS field-value OWS       with no folding (section 5.2) and no space before the colon
_FIELD_LINE: Final = re.compile(rf"({_TOKEN}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)", re.ASCII)


class BadRequestError(Exception):
    """A request that cannot be answered; `status` is the code to refuse it with."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Request(NamedTuple):
    """A request's `method` and `path` (without its query), and its header `fields` by name in lower case.

    Fields of the same name are one, joined by commas (RFC 9110 section 5.3).
    """

    method: str
    path: str
    fields: Mapping[str, str]

    @property
    def has_body(self) -> bool:
        """Whether a body follows, or may follow, the head."""
        return "transfer-encoding" in self.fields or self.fields.get("content-length", "0") != "0"


def parse_head(head: bytes) -> Request:
    """The request that `head` (all before the empty line) states; raises `BadRequestError`.

    >>> parse_head(b"GET /metrics?x=1 HTTP/1.1\\r\\nHost: shop").path
    '/metrics'
    """
    lines = head.decode("latin-1").replace("\r\n", "\n").split("\n")
    match = _REQUEST_LINE.fullmatch(lines[0])
    if match is None:
        raise BadRequestError("the request line is not 'METHOD TARGET HTTP/1.1'")
    method, target, major, _minor = match.groups()
    if major != "1":
        raise BadRequestError("only HTTP/1.0 and HTTP/1.1 are spoken here", status=505)
    fields: dict[str, str] = {}
    for line in lines[1:]:
        field = _FIELD_LINE.fullmatch(line)
        if field is None:
            raise BadRequestError("a header line is not 'NAME: VALUE'")
        name, value = field[1].lower(), field[2].rstrip(" \t")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    path = _ABSOLUTE_FORM.sub("", target, count=1) if not target.startswith("/") else target
    return Request(method, re.split(r"[?#]", path, maxsplit=1)[0] or "/", fields)
