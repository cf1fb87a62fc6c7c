"""A WSGI application that serves a registry's metrics (PEP 3333)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytheus.exposition.respond import answer_scrape, servable
from pytheus.registry import REGISTRY, Registry

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["make_wsgi_app"]


def make_wsgi_app(registry: Registry = REGISTRY) -> WSGIApplication:
    """Return a WSGI application that serves the metrics of `registry`.

    It can be mounted at any path. Methods other than GET and HEAD get status 405. A scrape takes as long as all its
    collectors; the application may serve several at once. Raises `NotARegistryError` if `registry` is not a registry.

        >>> from pytheus import Counter
        >>> from pytheus.registry import CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> Counter("orders_total", "Orders placed.", registry=registry).inc()
        >>> app = make_wsgi_app(registry)
        >>> for chunk in app({"REQUEST_METHOD": "GET"}, lambda status, headers: print(status)):
        ...     print(chunk.decode(), end="")
        200 OK
        # HELP orders_total Orders placed.
        # TYPE orders_total counter
        orders_total 1.0
    """
    served = servable(registry)

    def metrics_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        response = answer_scrape(
            served,
            environ["REQUEST_METHOD"],
            accept=environ.get("HTTP_ACCEPT", ""),
            accept_encoding=environ.get("HTTP_ACCEPT_ENCODING", ""),
        )
        start_response(f"{response.status} {response.phrase}", list(response.headers))
        return list(response.parts)

    return metrics_app
