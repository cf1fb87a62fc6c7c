"""A WSGI application that serves a registry's metrics (PEP 3333)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytheus.exposition.exchange_mark import expect_adapters, leave_unmeasured
from pytheus.exposition.response import LIMIT_SECONDS, checked_limit, servable
from pytheus.registry import REGISTRY, Registry

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["make_wsgi_app"]


def make_wsgi_app(
    registry: Registry = REGISTRY, *, timeout_seconds: float = LIMIT_SECONDS, page: bool = True
) -> WSGIApplication:
    """Return a WSGI application that serves the metrics of `registry`.

    It can be mounted at any path. Methods other than GET and HEAD get status 405. It may serve several scrapes at once,
    which share collections. Collectors run in threads of pytheus. Those that have not finished when the client's
    timeout is over, or after `timeout_seconds`, are left out and counted; see docs/how-to/expose.md. With `page`, a
    browser gets a page that shows the metrics; see docs/how-to/look-at-metrics.md. Raises `NotARegistryError` if
    `registry` is not a registry, and `ValueError` if `timeout_seconds` is not positive.

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
    limit_seconds = checked_limit(timeout_seconds)
    expect_adapters()

    def metrics_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        from pytheus.exposition.respond import answer_scrape

        leave_unmeasured(environ)
        response = answer_scrape(
            served,
            environ["REQUEST_METHOD"],
            accept=environ.get("HTTP_ACCEPT", ""),
            accept_encoding=environ.get("HTTP_ACCEPT_ENCODING", ""),
            timeout=environ.get("HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS", ""),
            query=environ.get("QUERY_STRING", ""),
            limit_seconds=limit_seconds,
            page=page,
            has_left=lambda: _client_has_left(environ),
        )
        start_response(f"{response.status} {response.phrase}", list(response.headers))
        return response.parts

    return metrics_app


def _client_has_left(environ: WSGIEnvironment) -> bool:
    """Return whether the client has closed its connection, which servers tell in different ways, or not at all."""
    from pytheus.exposition.disconnection import has_ended

    connection: object = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    if connection is None:
        # By default waitress does not notice it, but its function belongs to an object that has the socket.
        connection = getattr(getattr(environ.get("waitress.client_disconnected"), "__self__", None), "socket", None)
    return has_ended(connection)
