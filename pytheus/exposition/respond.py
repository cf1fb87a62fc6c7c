"""The HTTP response to a scrape, for every application and server.

Rules:

- GET and HEAD get the same headers; any other method gets status 405 and the header `Allow`.
- Every client gets the text format, unless a registry that the scrape reaches offers a format that the client prefers
  (`pytheus.exposition.formats`). `Vary` names `Accept` only if there is a choice.
- An error of the registry or of a format becomes status 500 with a short text. The traceback is logged and never sent.
- A large body is sent as gzip if the client accepts it (RFC 9110 section 12.5.3), at level 1: for metrics it is nearly
  as small as at higher levels and several times faster. `Vary` is sent in both cases, so that caches store both.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pytheus.exposition.formats import ExpositionFormat, formats_of
from pytheus.exposition.text import CONTENT_TYPE, exposition_parts
from pytheus.interruption import is_interruption
from pytheus.lazy import logger
from pytheus.names import shown
from pytheus.registry import CollectorRegistryProxy, Registry, check_registry

__all__ = ["Response", "answer_scrape", "answer_text", "servable"]

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


def answer_scrape(registry: Registry, method: str, *, accept: str = "", accept_encoding: str = "") -> Response:
    """Return the response to one scrape of `registry`: metrics or an error.

    `method` is the request's method in capitals; `accept` and `accept_encoding` are the values of its headers `Accept`
    and `Accept-Encoding`, several joined by commas. May be called from any thread and by several at once; takes as long
    as the registry's collectors.
    """
    if method not in ("GET", "HEAD"):
        return answer_text(method, 405, f"{method} is not allowed here; metrics are read with GET\n")
    try:
        formats = formats_of(registry)
        chosen = None
        if formats and accept:
            from pytheus.exposition.negotiation import best_format

            chosen = best_format(accept, formats, CONTENT_TYPE)
        content_type = CONTENT_TYPE if chosen is None else chosen.media_type
        parts = _encoded(exposition_parts(registry)) if chosen is None else _rendered(chosen, registry)
    except BaseException as error:
        if is_interruption(error):
            raise
        logger("pytheus.exposition").exception("the metrics of the %s cannot be exposed", shown(registry))
        return answer_text(method, 500, "the metrics could not be collected; see the log of the application\n")
    vary = "Accept, Accept-Encoding" if formats else "Accept-Encoding"
    headers = [("Content-Type", content_type), ("Vary", vary)]
    if _size(parts) >= _WORTH_COMPRESSING_BYTES and _takes_gzip(accept_encoding):
        parts = _compressed(parts)
        headers.append(("Content-Encoding", "gzip"))
    headers.append(("Content-Length", str(_size(parts))))
    return Response(200, tuple(headers), () if method == "HEAD" else tuple(parts))


def answer_text(method: str, status: int, text: str) -> Response:
    """Return a short plain-text response; status 405 gets the header `Allow`."""
    body = text.encode("utf-8", "replace")
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    if status == 405:
        headers.append(("Allow", "GET, HEAD"))
    return Response(status, tuple(headers), () if method == "HEAD" else (body,))


def _rendered(chosen: ExpositionFormat, registry: Registry) -> list[bytes]:
    parts: list[bytes] = []
    for part in chosen.render(registry):
        candidate: object = part
        if not isinstance(candidate, bytes):
            raise TypeError(f"the format {chosen.media_type!r} returned the part {candidate!r:.40}, which is not bytes")
        parts.append(candidate)
    return parts


def _takes_gzip(accept_encoding: str) -> bool:
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


def _encoded(texts: list[str]) -> list[bytes]:
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
