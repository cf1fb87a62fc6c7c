"""From a registry to bytes: formats, applications and a server.

Modules:

- `walk`: one scrape of a registry, for every format
- `text`: the text format
- `openmetrics`: the format OpenMetrics 1.0.0
- `protobuf`: the protobuf format
- `checked`: families that can be exposed
- `families`: the families of a scrape, for formats of plugins
- `distributions`: the samples of histograms and summaries by series
- `failures`: collectors that failed in a scrape
- `formats`: the protocols of formats, and the request that they get
- `standard`: the formats that are always available
- `negotiation`: which format a client prefers
- `compression`: gzip and zstd
- `name_selection`: the families that a client selects
- `page`: the page for browsers, and its overview
- `exchange_mark`: how a scrape, and middleware, find the measured exchange around them
- `response`: HTTP responses
- `bodies`: those that clients have not taken yet
- `routes`: the exposition for a route of one's own
- `collection`: a collection that clients share, with a deadline
- `collection_lanes`: which collections run, and which wait
- `collector_threads`: the threads of collections, and foreign code that hangs
- `respond`: the response to one scrape, and how long a client waits for it
- `respond_async`: the same on an event loop
- `disconnection`: whether a client has left
- `wsgi`: a WSGI application
- `asgi`: an ASGI application
- `starlette_mount`: its mounts in Starlette and FastAPI
- `server`: an HTTP server in background threads
- `listener`: its listening socket
- `arrivals`: its connections whose request is not complete, or waits
- `scrapes`: its scrapes, in threads
- `channel`: the bytes of one connection
- `tls`: the same with TLS
- `access`: who may connect now
- `web_config`: the file that says so
- `web_yaml`: tables of texts in YAML
- `authentication`: passwords and bearer tokens
- `http1`: the heads of HTTP/1.1 messages
- `own_socket`: sockets whose descriptors the program may close
"""

from typing import TYPE_CHECKING

from pytheus.exposition.checked import CheckedFamily
from pytheus.exposition.failures import HearsFailures
from pytheus.exposition.formats import (
    AnyFormat,
    ExpositionFormat,
    HasContentType,
    NegotiatedFormat,
    OffersFormats,
    RenderRequest,
)
from pytheus.exposition.text import CONTENT_TYPE, generate_metrics
from pytheus.lazy import lazy_names

if TYPE_CHECKING:
    from pytheus.exposition.asgi import make_asgi_app
    from pytheus.exposition.families import scrape_families
    from pytheus.exposition.routes import Exposition, expose
    from pytheus.exposition.server import start_http_server
    from pytheus.exposition.wsgi import make_wsgi_app

__all__ = [
    "CONTENT_TYPE",
    "AnyFormat",
    "CheckedFamily",
    "Exposition",
    "ExpositionFormat",
    "HasContentType",
    "HearsFailures",
    "NegotiatedFormat",
    "OffersFormats",
    "RenderRequest",
    "expose",
    "generate_metrics",
    "make_asgi_app",
    "make_wsgi_app",
    "scrape_families",
    "start_http_server",
]


if not TYPE_CHECKING:  # because a checker would assume that the package has every name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "pytheus.exposition.asgi": ["make_asgi_app"],
            "pytheus.exposition.families": ["scrape_families"],
            "pytheus.exposition.routes": ["Exposition", "expose"],
            "pytheus.exposition.server": ["start_http_server"],
            "pytheus.exposition.wsgi": ["make_wsgi_app"],
        },
    )
