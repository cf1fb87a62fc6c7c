"""The HTTP responses to scrapes, for every application and server.

Rules:

- GET and HEAD get the same headers; any other method gets status 405 and the header `Allow`.
- Every client gets the text format, unless it prefers another one of `pytheus.exposition.standard`, or one that a
  registry offers that the scrape reaches (`pytheus.exposition.formats`).
- A browser gets a page, unless the application has switched it off (`pytheus.exposition.page`).
- An error of the registry or of a format becomes status 500 with a short text, and metrics that are late become 503.
  The traceback is logged and never sent.
- A large body is compressed if the client accepts that. `Vary` is sent in both cases, so that caches store both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pytheus.exposition.bodies import Body
from pytheus.exposition.formats import AnyFormat, RenderRequest, content_type_of, formats_of, headers_of
from pytheus.names import shown
from pytheus.registry import CollectorRegistryProxy, Registry, check_registry

__all__ = [
    "LIMIT_SECONDS",
    "Choice",
    "Response",
    "answer_text",
    "busy_response",
    "checked_limit",
    "choose_format",
    "failed_response",
    "late_response",
    "metrics_response",
    "overload_response",
    "servable",
]

_PHRASES: Final = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
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

LIMIT_SECONDS: Final = 25.0
"""The longest wait for a scrape by default, below the 30 seconds after which gunicorn and others end a worker."""


class Response(NamedTuple):
    """A complete HTTP response.

    `status` is the code, `headers` are in the order to send them, and `parts` are the body. The parts are sent one by
    one, because joining those of a large registry would block all other threads. Keep the response until all are sent:
    metrics that are not sent yet are limited together (`pytheus.exposition.bodies`).

    The headers include `Content-Length`, which for HEAD is the length of the body for GET.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    parts: Sequence[bytes]

    @property
    def body(self) -> bytes:
        """The body in one piece."""
        return b"".join(self.parts)

    def without_body(self) -> Response:
        """Return the response to HEAD where this one is for GET."""
        return self._replace(parts=())

    def with_header(self, name: str, value: str) -> Response:
        """Return this response with one more header."""
        return self._replace(headers=(*self.headers, (name, value)))

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
    """The format of a response, and the request that it gets."""

    format: AnyFormat
    request: RenderRequest = RenderRequest()


def checked_limit(timeout_seconds: float) -> float:
    """Return `timeout_seconds` if it is a positive number; raise `ValueError` otherwise."""
    if isinstance(timeout_seconds, bool) or not isinstance(timeout_seconds, int | float) or not timeout_seconds > 0:
        raise ValueError(f"timeout_seconds must be a positive number of seconds but got {shown(timeout_seconds)}")
    return float(timeout_seconds)


def choose_format(
    registry: Registry,
    accept: str,
    names: frozenset[str] = frozenset(),
    timeout_seconds: float | None = None,
    *,
    page: bool = False,
) -> Choice:
    """Return the format for a client that sends `accept`; resolves proxies, and raises errors of the registry.

    Of several that the client prefers equally, text comes first, then the formats of registries. With `page`, a browser
    gets the page, and the page its overview.
    """
    from pytheus.exposition.standard import STANDARD_FORMATS, TEXT

    offered = formats_of(registry)
    if not accept:
        return Choice(TEXT, RenderRequest(names=names, timeout_seconds=timeout_seconds))
    from pytheus.exposition.negotiation import negotiate, wants_page

    formats: tuple[AnyFormat, ...] = (TEXT, *offered, *STANDARD_FORMATS)
    if page and wants_page(accept):
        from pytheus.exposition.page import PAGE, PAGE_FORMATS

        formats += PAGE_FORMATS  # the last ones, so that a client must prefer them to all others
        if negotiate(accept, formats).format is PAGE:
            return Choice(PAGE)
    chosen, escaping = negotiate(accept, formats)
    return Choice(chosen, RenderRequest(escaping, names, timeout_seconds))


def metrics_response(body: list[bytes], choice: Choice, coding: str) -> Response:
    """Return the response with the metrics in `body`; in the client's `coding` if it is worth it."""
    headers = [
        ("Content-Type", content_type_of(*choice)),
        ("Vary", "Accept, Accept-Encoding"),
        *headers_of(choice.format),
    ]
    if coding and _size(body) >= _WORTH_COMPRESSING_BYTES:
        from pytheus.exposition.compression import compressed

        body = compressed(body, coding)
        headers.append(("Content-Encoding", coding))
    sent = Body(body)
    headers.append(("Content-Length", str(sent.size)))
    return Response(200, tuple(headers), sent)


def failed_response() -> Response:
    """Return the response if the registry or the format raised an error."""
    return answer_text("GET", 500, "the metrics could not be collected; see the log of the application\n")


def late_response() -> Response:
    """Return the response if the metrics were not complete in time."""
    return answer_text("GET", 503, "the metrics were not collected in time; see the log of the application\n")


def busy_response() -> Response:
    """Return the response if too many selections of families wait for their turn."""
    return answer_text("GET", 503, "too many scrapes with different name[] at once; try again\n")


def overload_response(method: str) -> Response:
    """Return the response if a server has no thread for the scrape, or no memory for its response."""
    response = answer_text(method, 503, "too many scrapes at once; try again\n")
    return response.with_header("Retry-After", "1")


def answer_text(method: str, status: int, text: str) -> Response:
    """Return a short plain-text response; status 405 gets the header `Allow`."""
    body = text.encode("utf-8", "replace")
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    if status == 405:
        headers.append(("Allow", "GET, HEAD"))
    return Response(status, tuple(headers), () if method == "HEAD" else (body,))


def _size(parts: list[bytes]) -> int:
    return sum(map(len, parts))
