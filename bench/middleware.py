"""Measures the cost of HTTP middleware per request, beside each framework's own popular instrumentator.

    python -P bench/middleware.py
    python -P bench/middleware.py --windows 1000

Needs pytheus, fastapi and flask installed, and the instrumentators of `PEERS`; one that is missing is left out. The
same application handles the same request without a server: alone, within pytheus' middleware, and within the
instrumentator, in turns. The cost is the best window with a middleware less the best one without.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

if __name__ == "__main__":
    # Last, so that an installed pytheus comes before the checkout's.
    sys.path.append(str(Path(__file__).resolve().parent.parent))

from bench.table import print_table
from pytheus import COMPILED
from pytheus.middleware import AsgiMiddleware, WsgiMiddleware
from pytheus.registry import CollectorRegistry

REQUESTS = 50
"""Requests in one window."""

Run = Callable[[], float]
"""Handles `REQUESTS` requests; returns the microseconds of each."""


def fastapi_app() -> Any:
    app = import_module("fastapi").FastAPI()

    async def item(item: int) -> dict[str, int]:
        return {"item": item}

    app.get("/items/{item}")(item)
    return app


def flask_app() -> Any:
    app = import_module("flask").Flask("shop")
    app.get("/items/<int:item>")(lambda item: {"item": item})
    return app


def asgi_alone() -> Run:
    return run_asgi(fastapi_app())


def asgi_pytheus() -> Run:
    app = fastapi_app()
    app.add_middleware(AsgiMiddleware, registry=CollectorRegistry())
    return run_asgi(app)


def asgi_instrumentator() -> Run:
    app = fastapi_app()
    registry = import_module("prometheus_client").CollectorRegistry()
    import_module("prometheus_fastapi_instrumentator").Instrumentator(registry=registry).instrument(app)
    return run_asgi(app)


def asgi_starlette_exporter() -> Run:
    app = fastapi_app()
    app.add_middleware(import_module("starlette_exporter").PrometheusMiddleware)
    return run_asgi(app)


def wsgi_alone() -> Run:
    return run_wsgi(flask_app())


def wsgi_pytheus() -> Run:
    app = flask_app()
    app.wsgi_app = WsgiMiddleware(app.wsgi_app, registry=CollectorRegistry())
    return run_wsgi(app)


def wsgi_flask_exporter() -> Run:
    app = flask_app()
    registry = import_module("prometheus_client").CollectorRegistry()
    import_module("prometheus_flask_exporter").PrometheusMetrics(app, registry=registry, group_by="url_rule")
    return run_wsgi(app)


PEERS: dict[str, tuple[Callable[[], Run], Callable[[], Run], Callable[[], Run]]] = {
    "prometheus-fastapi-instrumentator": (asgi_alone, asgi_pytheus, asgi_instrumentator),
    "starlette_exporter": (asgi_alone, asgi_pytheus, asgi_starlette_exporter),
    "prometheus-flask-exporter": (wsgi_alone, wsgi_pytheus, wsgi_flask_exporter),
}
"""By instrumentator: the application alone, with pytheus, and with it."""


def run_asgi(app: Callable[..., Awaitable[None]]) -> Run:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None: ...

    async def window() -> float:
        begun = perf_counter()
        for _ in range(REQUESTS):
            scope = {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.3"},
                "http_version": "1.1",
                "method": "GET",
                "scheme": "http",
                "path": "/items/5",
                "raw_path": b"/items/5",
                "query_string": b"",
                "root_path": "",
                "headers": [(b"host", b"shop")],
                "server": ("127.0.0.1", 80),
                "client": ("127.0.0.1", 5),
            }
            await app(scope, receive, send)
        return (perf_counter() - begun) / REQUESTS * 1e6

    return lambda: asyncio.run(window())


def run_wsgi(app: Callable[..., Any]) -> Run:
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/items/5",
        "QUERY_STRING": "",
        "SERVER_NAME": "shop",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
    }

    def start_response(*arguments: object) -> None: ...

    def window() -> float:
        begun = perf_counter()
        for _ in range(REQUESTS):
            body = app(dict(environ), start_response)
            for _ in body:
                pass
            body.close()
        return (perf_counter() - begun) / REQUESTS * 1e6

    return window


def costs(makers: tuple[Callable[[], Run], ...], windows: int) -> list[float]:
    """The cost of each middleware in microseconds; the first of `makers` makes the application alone."""
    runs = [make() for make in makers]
    best = [float("inf")] * len(runs)
    for _ in range(windows):
        for index, run in enumerate(runs):
            best[index] = min(best[index], run())
    return [figure - best[0] for figure in best[1:]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.middleware", description="Measures HTTP middleware.")
    parser.add_argument("--windows", type=int, default=400, help="windows of each application (default: %(default)s)")
    windows = parser.parse_args().windows
    print(f"pytheus {'compiled' if COMPILED else 'pure'}, Python {sys.version.split()[0]}, best of {windows} windows\n")
    rows = [["beside", "pytheus", "instrumentator", "ratio"]]
    for name, makers in PEERS.items():
        try:
            ours, theirs = costs(makers, windows)
        except ImportError as error:
            print(f"{name} is left out: {error}")
            continue
        rows.append([name, f"{ours:.1f} µs", f"{theirs:.1f} µs", f"1/{theirs / ours:.1f}"])
    print_table(rows, markdown=True)


if __name__ == "__main__":
    main()
