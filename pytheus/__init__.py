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

Importing pytheus reads no environment variable, file or metadata, starts no thread and registers nothing.

An import inside a function has one reason everywhere in this package: the module is slow to import, or optional, and
most programs never call that function. The same holds for the names of `lazy_names`.

Packages:

- `metrics`: the metric types, with buckets, timers and custom collectors
- `registry`: the contract of a registry, the default registry in memory, and the proxy `REGISTRY`
- `exposition`: the text format, WSGI and ASGI applications, and an HTTP server
- `middleware`: middleware that measures ASGI and WSGI applications
- `tasks`: the tasks of any queue, measured
- `contrib`: parts that belong to one framework: the views, databases and caches of Django, the tasks of Celery
- `instrumentation`: the middleware, put around the applications of frameworks by `pytheus run --instrument`
- `collectors`: metrics about the process, its garbage collector and its Python
- `compose`: registries made of other registries
- `shards`: registries that merge the metrics of several processes
- `push`: sending metrics that no Prometheus scrapes
- `plugins`: choosing a registry by name, and loading it
- `testing`: a conformance kit and pytest fixtures for authors of registries and metrics
- `mypy_plugin`: a mypy plugin that checks label names
- `dashboard`: dashboards of Grafana and rules of Prometheus
- `top`: live metrics in the terminal
- `migrate`: rewriting sources that use prometheus_client, or pytheus 0.6
- `cli`: the command `pytheus`
- `__pyinstaller`: a hook of PyInstaller

Modules:

- `kinds`: the table of metric types
- `definitions`: the definition of a metric
- `samples`: families, samples, rows and exemplars
- `native_buckets`: the options of native histograms, their counts and sums
- `native_bounds`: the bounds of their buckets
- `names`: rules for metric names, label names and label values
- `escaping`: names with other characters than Prometheus had, in the schemes that clients ask for
- `unserved`: the warning of a process that ``pytheus run`` does not serve
- `exceptions`: every error and warning
- `error_copies`: errors that survive pickle and copy
- `textformat`: the grammar of the text format
- `protobufformat`: the grammar of the protobuf format
- `settings`: settings of the whole process
- `atomic`: when an addition needs no lock
- `yielding`: letting other threads run during long work
- `background_threads`: threads that do not interfere with signals and forks
- `worker`: a thread that calls functions, and one of them again and again
- `foreign_calls`: calls of foreign code, with a deadline where the scrape has one
- `interruption`: which errors end the program, and which are failures of foreign code
- `lazy`: names that load their module at first use
- `compilation`: a class decorator, and repeated imports, of the compiled build
- `regular_files`: files that a user names, read without waiting
- `version`: the version, and whether this build is compiled
"""

from typing import TYPE_CHECKING

from pytheus import compilation as _compilation  # noqa: F401  # first, because it may bring modules back
from pytheus.lazy import lazy_names, set_remedies
from pytheus.metrics import (
    Counter,
    CustomCollector,
    Gauge,
    Histogram,
    Info,
    Sample,
    StateSet,
    Summary,
    exemplar,
    exponential_buckets,
    linear_buckets,
)
from pytheus.registry import REGISTRY, CollectorRegistry, Registry
from pytheus.registry.proxy import set_resolver
from pytheus.settings import set_settings_source
from pytheus.version import COMPILED, __version__

if TYPE_CHECKING:
    from pytheus.exposition import generate_metrics
    from pytheus.exposition.asgi import make_asgi_app
    from pytheus.exposition.server import start_http_server
    from pytheus.exposition.wsgi import make_wsgi_app
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
    "exemplar",
    "exponential_buckets",
    "generate_metrics",
    "linear_buckets",
    "make_asgi_app",
    "make_wsgi_app",
    "start_http_server",
]


def _resolve(choice: str | None) -> Registry:
    from pytheus.plugins import resolve_registry

    return resolve_registry(choice)


def _configured_setting(key: str) -> bool | str:
    from pytheus.plugins.config import configured_setting

    return configured_setting(key)


def _remedy(package: str, name: str) -> str | None:
    from pytheus.migrate.tables import remedy

    return remedy(package, name)


set_resolver(_resolve)
set_remedies(_remedy)
set_settings_source(_configured_setting)


if not TYPE_CHECKING:  # because a checker would assume that the package has every name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "pytheus.exposition": ["exposition", "generate_metrics"],
            "pytheus.exposition.asgi": ["make_asgi_app"],
            "pytheus.exposition.server": ["start_http_server"],
            "pytheus.exposition.wsgi": ["make_wsgi_app"],
            "pytheus.plugins": ["configure"],
        },
    )
