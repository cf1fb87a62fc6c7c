"""What a scrape is answered: the one place that decides it, for the WSGI app, the ASGI app and the server alike.

Rules:

- GET and HEAD are answered, with the same headers; any other method gets 405 and the `Allow` header.
- The text format answers every client, unless a registry that the scrape reaches offers a format that the client likes
  better (`pytheus.exposition.formats`). `Vary` names `Accept` only where there is something to choose.
- Whatever the registry or a format raises becomes a 500 with a short text. The traceback goes to the log, never to the
  network.
- A body worth compressing goes out as gzip where the client takes it (RFC 9110 section 12.5.3), at level 1: on metrics
  it is near the higher levels in size and several times faster. `Vary` is sent either way, so that caches keep both.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pytheus.exposition.formats import ExpositionFormat, formats_of
from pytheus.exposition.text import CONTENT_TYPE, exposition_parts
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
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}

# What fits in one Ethernet frame arrives no sooner for being smaller.
_WORTH_COMPRESSING_BYTES: Final = 1400

# Enough that a part is worth sending by itself.
_PART_CHARACTERS: Final = 256 * 1024


class Response(NamedTuple):
    """An HTTP response, whole: `status` code, `headers` in the order to send them, and the body in `parts`.

    The parts are sent one by one: joining those of a large registry would keep all other threads waiting.

    The headers include `Content-Length`, which for HEAD is that of the body which GET would get.
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
        """What stands behind the status code in a status line."""
        return _PHRASES[self.status]


def servable(registry: Registry) -> Registry:
    """`registry`, once it is certain that it is one; raises `NotARegistryError` otherwise.

    A proxy is taken as it is: reading its prefix would choose the registry behind it, and making an app or a server
    is no first use.
    """
    return registry if isinstance(registry, CollectorRegistryProxy) else check_registry(registry)


def answer_scrape(registry: Registry, method: str, *, accept: str = "", accept_encoding: str = "") -> Response:
    """The answer to one scrape of `registry`: its metrics, or why there are none.

    `method` is the request's, in capitals; `accept` and `accept_encoding` are the values of its `Accept` and
    `Accept-Encoding`, several joined by commas. May be called from any thread and by several at once; takes as long as
    the registry's collectors do.
    """
    if method not in ("GET", "HEAD"):
        return answer_text(method, 405, f"{method} is not allowed here; metrics are read with GET\n")
    try:
        formats = formats_of(registry)
        chosen = _best(accept, formats) if formats and accept else None
        content_type = CONTENT_TYPE if chosen is None else chosen.media_type
        parts = _encoded(exposition_parts(registry)) if chosen is None else _rendered(chosen, registry)
    except Exception:
        import logging  # loaded late: it costs more to import than the rest of the package

        logging.getLogger("pytheus.exposition").exception("the metrics of %r cannot be exposed", registry)
        return answer_text(method, 500, "the metrics could not be collected; the application's log tells why\n")
    vary = "Accept, Accept-Encoding" if formats else "Accept-Encoding"
    headers = [("Content-Type", content_type), ("Vary", vary)]
    if _size(parts) >= _WORTH_COMPRESSING_BYTES and _takes_gzip(accept_encoding):
        parts = _compressed(parts)
        headers.append(("Content-Encoding", "gzip"))
    headers.append(("Content-Length", str(_size(parts))))
    return Response(200, tuple(headers), () if method == "HEAD" else tuple(parts))


def answer_text(method: str, status: int, text: str) -> Response:
    """A short answer for people: `text` under `status`, with `Allow` where that is 405."""
    body = text.encode("utf-8", "replace")
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    if status == 405:
        headers.append(("Allow", "GET, HEAD"))
    return Response(status, tuple(headers), () if method == "HEAD" else (body,))


def _best(accept: str, formats: list[ExpositionFormat]) -> ExpositionFormat | None:
    from pytheus.exposition.negotiation import (
        best_format,
    )  # loaded late: where no plugin brings a format, none needs it

    return best_format(accept, formats, CONTENT_TYPE)


def _rendered(chosen: ExpositionFormat, registry: Registry) -> list[bytes]:
    parts: list[bytes] = []
    for part in chosen.render(registry):
        candidate: object = part
        if not isinstance(candidate, bytes):
            raise TypeError(f"the format {chosen.media_type!r} gave a part that is {candidate!r:.40} and not bytes")
        parts.append(candidate)
    return parts


def _takes_gzip(accept_encoding: str) -> bool:
    """Whether the client takes gzip, and likes it no less than the body as it is."""
    weights: dict[str, float] = {}
    for item in accept_encoding.split(","):
        coding, semicolon, parameter = item.partition(";")
        weights[coding.strip().lower()] = _weight(parameter) if semicolon else 1.0
    # "x-gzip" is the same coding under an older name (RFC 9110 section 8.4.1.3).
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weight(parameter: str) -> float:
    # One that cannot be read counts as "not acceptable": an uncompressed body is right for every client.
    from pytheus.exposition.negotiation import weight  # loaded late: most clients that take gzip give it no weight

    name, _, value = parameter.strip(" \t").partition("=")
    return weight(value) if name.lower() == "q" else 0.0


def _encoded(texts: list[str]) -> list[bytes]:
    """`texts` as UTF-8, several short ones in one part."""
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
    import zlib  # loaded late: most scrapes of small registries never need it

    compressor = zlib.compressobj(level=1, wbits=31)  # 31: a gzip header and trailer around the deflated data
    compressed = [compressor.compress(part) for part in parts]
    return [b"".join([*compressed, compressor.flush()])]
