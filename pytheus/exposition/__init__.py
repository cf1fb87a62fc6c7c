"""From a registry to bytes: the text format, and the applications and server that hand it out."""

from typing import TYPE_CHECKING

from pytheus.exposition.asgi import make_asgi_app
from pytheus.exposition.failures import HearsFailures
from pytheus.exposition.formats import ExpositionFormat, OffersFormats
from pytheus.exposition.text import CONTENT_TYPE, generate_metrics
from pytheus.exposition.wsgi import make_wsgi_app

if TYPE_CHECKING:
    from pytheus.exposition.server import start_http_server

__all__ = [
    "CONTENT_TYPE",
    "ExpositionFormat",
    "HearsFailures",
    "OffersFormats",
    "generate_metrics",
    "make_asgi_app",
    "make_wsgi_app",
    "start_http_server",
]


def __getattr__(name: str) -> object:
    if name == "start_http_server":
        # Loaded late: sockets and threads, which not every program needs.
        from pytheus.exposition.server import start_http_server

        return start_http_server
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
