"""Prometheus metrics for Python, with a registry that is a plugin.

    >>> from pytheus import Counter, generate_metrics
    >>> from pytheus.registry import CollectorRegistry
    >>> registry = CollectorRegistry()
    >>> orders = Counter("orders_total", "Orders placed.", ["method"], registry=registry)
    >>> orders.labels(method="card").inc()
    >>> print(generate_metrics(registry), end="")
    # HELP orders_total Orders placed.
    # TYPE orders_total counter
    orders_total{method="card"} 1.0

Importing it reads no environment variable, no file and no metadata, starts no thread and registers nothing.
"""

from typing import TYPE_CHECKING

from pytheus.exposition import generate_metrics, make_asgi_app, make_wsgi_app
from pytheus.lazy import lazy_names
from pytheus.metrics import (
    Counter,
    CustomCollector,
    Gauge,
    Histogram,
    Info,
    Sample,
    StateSet,
    Summary,
    exponential_buckets,
    linear_buckets,
)
from pytheus.registry import REGISTRY, CollectorRegistry, Registry
from pytheus.registry.proxy import set_resolver
from pytheus.version import COMPILED, __version__

if TYPE_CHECKING:
    from pytheus.exposition.server import start_http_server
    from pytheus.plugins import configure

__all__ = [
    "COMPILED",
    "REGISTRY",
    "CollectorRegistry",
    "Counter",
    "CustomCollector",
    "Gauge",
    "Histogram",
    "Info",
    "Registry",
    "Sample",
    "StateSet",
    "Summary",
    "__version__",
    "configure",
    "exponential_buckets",
    "generate_metrics",
    "linear_buckets",
    "make_asgi_app",
    "make_wsgi_app",
    "start_http_server",
]


def _resolve(choice: str | None) -> Registry:
    from pytheus.plugins import resolve_registry  # loaded late: a program that hands in its registry never needs it

    return resolve_registry(choice)


set_resolver(_resolve)


# Loaded late: a server and the plugin machinery cost more to import than all the rest, and not every program needs
# them.
if not TYPE_CHECKING:  # for checkers would take the package to have every name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "configure": "pytheus.plugins",
            "start_http_server": "pytheus.exposition.server",
        },
    )
