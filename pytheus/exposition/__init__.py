"""From a registry to bytes: the text format, and the applications and server that hand it out."""

from typing import TYPE_CHECKING

from pytheus.exposition.asgi import make_asgi_app
from pytheus.exposition.failures import HearsFailures
from pytheus.exposition.formats import ExpositionFormat, OffersFormats
from pytheus.exposition.text import CONTENT_TYPE, generate_metrics
from pytheus.exposition.wsgi import make_wsgi_app
from pytheus.lazy import lazy_names

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


# Loaded late: sockets and threads, which not every program needs.
if not TYPE_CHECKING:  # for checkers would take the package to have every name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "start_http_server": "pytheus.exposition.server",
        },
    )
