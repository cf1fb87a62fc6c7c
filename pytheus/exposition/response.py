"""The HTTP responses to scrapes, for every application and server.

Rules:

- GET and HEAD get the same headers; any other method gets status 405 and the header `Allow`.
- Every client gets the text format, unless a registry that the scrape reaches offers a format that the client prefers
  (`pytheus.exposition.formats`). `Vary` names `Accept` only if there is a choice.
- An error of the registry or of a format becomes status 500 with a short text, and metrics that are late become 503.
  The traceback is logged and never sent.
- A large body is sent as gzip if the client accepts it (RFC 9110 section 12.5.3), at level 1: for metrics it is nearly
  as small as at higher levels and several times faster. `Vary` is sent in both cases, so that caches store both.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pytheus.exposition.formats import ExpositionFormat, formats_of
from pytheus.exposition.text import CONTENT_TYPE
from pytheus.names import shown
from pytheus.registry import CollectorRegistryProxy, Registry, check_registry

__all__ = [
    "LIMIT_SECONDS",
    "Choice",
    "Response",
    "accepts_gzip",
    "answer_text",
    "body_of",
    "checked_limit",
    "choose_format",
    "encoded",
    "failed_response",
    "late_response",
    "metrics_response",
    "servable",
]

_PHRASES: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}

# A body that fits in one Ethernet frame does not arrive earlier if it is smaller.
_WORTH_COMPRESSING_BYTES: Final = 1400

# Large enough for a send of its own.
_PART_CHARACTERS: Final = 256 * 1024


LIMIT_SECONDS: Final = 25.0
"""The longest wait for a scrape by default, below the 30 seconds after which gunicorn and others end a worker."""


class Response(NamedTuple):
    """A complete HTTP response.

    `status` is the code, `headers` are in the order to send them, and `parts` are the body. The parts are sent one by
    one, because joining those of a large registry would block all other threads.

    The headers include `Content-Length`, which for HEAD is the length of the body for GET.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    parts: tuple[bytes, ...]

    @property
    def body(self) -> bytes:
        """The body in one piece."""
        return b"".join(self.parts)

    def without_body(self) -> Response:
        """Return the response to HEAD where this one is for GET."""
        return self._replace(parts=())

    @property
    def phrase(self) -> str:
        """The reason phrase after the status code."""
        return _PHRASES[self.status]


def servable(registry: Registry) -> Registry:
    """Return `registry` if it is a registry; raise `NotARegistryError` otherwise.

    A proxy is not checked: reading its prefix would choose its registry, but creating an app or a server is not the
    first use of it.
    """
    return registry if isinstance(registry, CollectorRegistryProxy) else check_registry(registry)


class Choice(NamedTuple):
    """The format of a response.

    `format` is None for the text format. `varies` says whether the client's `Accept` can change it.
    """

    format: ExpositionFormat | None
    varies: bool


def checked_limit(timeout_seconds: float) -> float:
    """Return `timeout_seconds` if it is a positive number; raise `ValueError` otherwise."""
    if isinstance(timeout_seconds, bool) or not isinstance(timeout_seconds, int | float) or not timeout_seconds > 0:
        raise ValueError(f"timeout_seconds must be a positive number of seconds but got {shown(timeout_seconds)}")
    return float(timeout_seconds)


def choose_format(registry: Registry, accept: str) -> Choice:
    """Return the format for a client that sends `accept`; resolves proxies, and raises errors of the registry."""
    formats = formats_of(registry)
    chosen = None
    if formats and accept:
        from pytheus.exposition.negotiation import best_format

        chosen = best_format(accept, formats, CONTENT_TYPE)
    return Choice(chosen, bool(formats))


def metrics_response(body: list[bytes], choice: Choice, *, compressed: bool) -> Response:
    """Return the response with the metrics in `body`; compressed if the client accepts that and it is worth it."""
    headers = [
        ("Content-Type", CONTENT_TYPE if choice.format is None else choice.format.media_type),
        ("Vary", "Accept, Accept-Encoding" if choice.varies else "Accept-Encoding"),
    ]
    if compressed and _size(body) >= _WORTH_COMPRESSING_BYTES:
        body = _compressed(body)
        headers.append(("Content-Encoding", "gzip"))
    headers.append(("Content-Length", str(_size(body))))
    return Response(200, tuple(headers), tuple(body))


def failed_response() -> Response:
    """Return the response if the registry or the format raised an error."""
    return answer_text("GET", 500, "the metrics could not be collected; see the log of the application\n")


def late_response() -> Response:
    """Return the response if the metrics were not complete in time."""
    return answer_text("GET", 503, "the metrics were not collected in time; see the log of the application\n")


def answer_text(method: str, status: int, text: str) -> Response:
    """Return a short plain-text response; status 405 gets the header `Allow`."""
    body = text.encode("utf-8", "replace")
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    if status == 405:
        headers.append(("Allow", "GET, HEAD"))
    return Response(status, tuple(headers), () if method == "HEAD" else (body,))


def body_of(chosen: ExpositionFormat, registry: Registry) -> list[bytes]:
    """Return the metrics of `registry` in the format `chosen`, in parts."""
    parts: list[bytes] = []
    for part in chosen.render(registry):
        candidate: object = part
        if not isinstance(candidate, bytes):
            raise TypeError(f"the format {chosen.media_type!r} returned the part {candidate!r:.40}, which is not bytes")
        parts.append(candidate)
    return parts


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether the client accepts gzip and does not prefer the plain body."""
    weights: dict[str, float] = {}
    for item in accept_encoding.split(","):
        coding, semicolon, parameter = item.partition(";")
        weights[coding.strip().lower()] = _weight(parameter) if semicolon else 1.0
    # "x-gzip" is the same coding under an older name (RFC 9110 section 8.4.1.3).
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weight(parameter: str) -> float:
    # An invalid weight counts as "not acceptable", because every client can read an uncompressed body.
    from pytheus.exposition.negotiation import weight

    name, _, value = parameter.strip(" \t").partition("=")
    return weight(value) if name.lower() == "q" else 0.0


def encoded(texts: list[str]) -> list[bytes]:
    """Return `texts` as UTF-8, with several short ones in one part."""
    parts: list[bytes] = []
    gathered: list[str] = []
    characters = 0
    for text in texts:
        gathered.append(text)
        characters += len(text)
        if characters >= _PART_CHARACTERS:
            parts.append("".join(gathered).encode("utf-8"))
            gathered = []
            characters = 0
    parts.append("".join(gathered).encode("utf-8"))
    return parts


def _size(parts: list[bytes]) -> int:
    return sum(map(len, parts))


def _compressed(parts: list[bytes]) -> list[bytes]:
    import zlib

    compressor = zlib.compressobj(level=1, wbits=31)  # 31: with a gzip header and trailer
    compressed = [compressor.compress(part) for part in parts]
    return [b"".join([*compressed, compressor.flush()])]
