"""The exposition for a route of one's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pytheus.exceptions import InvalidNameError
from pytheus.exposition.compression import best_coding
from pytheus.exposition.formats import headers_of, render
from pytheus.exposition.response import choose_format, metrics_response, servable
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import REGISTRY

__all__ = ["Exposition", "expose"]


class Exposition(NamedTuple):
    """An exposition and its headers. Immutable.

    `content_encoding` is "" if `body` is not compressed.

        >>> from pytheus.registry import CollectorRegistry
        >>> exposition = expose(CollectorRegistry())
        >>> exposition.headers
        {'Content-Type': 'text/plain; version=0.0.4; charset=utf-8', 'Vary': 'Accept, Accept-Encoding'}
    """

    body: bytes
    content_type: str
    content_encoding: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a response with this body, without its length."""
        headers = {"Content-Type": self.content_type, "Vary": "Accept, Accept-Encoding"}
        if self.content_encoding:
            headers["Content-Encoding"] = self.content_encoding
        return headers


class _WithHeaders(Exposition):
    """An exposition with further headers. Three items, as the other ones, because callers unpack them."""

    _further: tuple[tuple[str, str], ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        return {**super().headers, **dict(self._further)}


def expose(
    registry: Registry = REGISTRY,
    accept: str = "",
    *,
    accept_encoding: str = "",
    names: Iterable[str] = (),
    page: bool = True,
) -> Exposition:
    """Return the metrics of `registry` in the format that a client prefers.

    It serves a route of one's own.

        >>> from pytheus import Counter
        >>> from pytheus.registry import CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> Counter("orders_total", "Orders placed.", registry=registry).inc()
        >>> exposition = expose(registry, "text/plain")
        >>> print(exposition.body.decode(), end="")
        # HELP orders_total Orders placed.
        # TYPE orders_total counter
        orders_total 1.0

    `accept` and `accept_encoding` are the client's headers of those names, "" if they are missing. `names` are the
    families to expose, by the names that `registry` exposes, with its prefix; none selects all. Prometheus sends them
    as query parameters ``name[]``. A body that is too small for it is not compressed.

    With `page`, a browser gets the page for browsers; send all of `Exposition.headers`, and pass on the names, by which
    the page reads the families on the screen.

    Collectors run in this thread, without a deadline. One that raises is left out and counted, as in
    `generate_metrics`. Raises `NotARegistryError` if `registry` is not a registry, and the errors of a registry or of a
    plugin's format. May be called from any thread, by several at once.
    """
    if isinstance(names, str | bytes):
        raise InvalidNameError(
            f"expose(...) takes names as several texts but got {names!r:.80}; write ({names!r:.80},)"
        )
    choice = choose_format(servable(registry), accept, frozenset(names), page=page)
    body = render(choice.format, registry, choice.request)
    response = metrics_response(body, choice, best_coding(accept_encoding))
    headers = dict(response.headers)
    further = headers_of(choice.format)
    exposition = (_WithHeaders if further else Exposition)(
        response.body, headers["Content-Type"], headers.get("Content-Encoding", "")
    )
    if isinstance(exposition, _WithHeaders):
        exposition._further = further
    return exposition
