"""Libraries that measure with prometheus_client, unmodified, under several workers: counted requests, exact sums.

Each shows them at the endpoint of ``pytheus run``, and at its own, whichever worker answers, and so do two groups of
servers that share a Redis.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

pytest.importorskip("pytheus_multiprocess", reason="needs the plugin pytheus-multiprocess")
pytestmark = [pytest.mark.once, pytest.mark.network, pytest.mark.slow]

if TYPE_CHECKING:
    from tests.prometheus_client.conftest import Web

    from tests.conftest import Start

WaitUntil = Callable[[Callable[[], object], str], None]

WORKERS: Final = 2
REQUESTS: Final = 60

# pytheus and its plugins come from the environment of the tests; these from the package index, with prometheus_client.
DISTRIBUTIONS: Final = (
    "aiohttp",
    "django-prometheus",
    "dramatiq[redis]",
    "fastapi",
    "gunicorn",
    "jupyter-server",
    "opentelemetry-exporter-prometheus",
    "opentelemetry-sdk",
    "prometheus-async",
    "prometheus-fastapi-instrumentator",
    "prometheus-flask-exporter",
    "starlette-exporter",
    "uvicorn",
)

PYTHEUS_RUN: Final = (sys.executable, "-P", "-m", "pytheus", "run", "--port", "0", "--registry")
UVICORN: Final = ("uvicorn", "app:app", "--workers", str(WORKERS), "--port", "PORT")
GUNICORN: Final = ("gunicorn", "app:app", "--workers", str(WORKERS), "--bind", "127.0.0.1:PORT")

FASTAPI: Final = """
import os
from fastapi import FastAPI
from prometheus_fastapi_instrumentator import Instrumentator

app = FastAPI()

@app.get("/items/{item}")
def items(item: int):
    from starlette.responses import PlainTextResponse
    return PlainTextResponse(str(os.getpid()))

Instrumentator().instrument(app).expose(app)
"""

STARLETTE: Final = """
import os
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette_exporter import PrometheusMiddleware, handle_metrics

async def items(request):
    return PlainTextResponse(str(os.getpid()))

app = Starlette(routes=[Route("/items/{item}", items), Route("/metrics", handle_metrics)])
app.add_middleware(PrometheusMiddleware, group_paths=True)
"""

FLASK: Final = """
import os
from flask import Flask
from prometheus_flask_exporter import PrometheusMetrics

app = Flask("app")
PrometheusMetrics(app, group_by="url_rule")

@app.get("/items/<item>")
def items(item):
    return str(os.getpid())
"""

DJANGO: Final = """
import os
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import include, path

settings.configure(
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django_prometheus"],
    MIDDLEWARE=[
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ],
    ROOT_URLCONF="app",
    SECRET_KEY="of a test",
)
app = get_wsgi_application()

def items(request, item):
    return HttpResponse(str(os.getpid()))

urlpatterns = [path("items/<item>", items, name="items"), path("", include("django_prometheus.urls"))]
"""


ASYNC: Final = """
import os
from aiohttp import web
from prometheus_async.aio import time
from prometheus_async.aio.web import server_stats
from prometheus_client import Histogram

SECONDS = Histogram("items_seconds", "Time of a request.")

@time(SECONDS)
async def items(request):
    return web.Response(text=str(os.getpid()))

async def app():
    application = web.Application()
    application.add_routes([web.get("/items/{item}", items), web.get("/metrics", server_stats)])
    return application
"""


class Library(NamedTuple):
    """An application that a library measures, the server that runs it, and the series that counts its requests."""

    source: str
    server: tuple[str, ...]
    series: str


LIBRARIES: Final = {
    "prometheus-fastapi-instrumentator": Library(
        FASTAPI, UVICORN, 'http_requests_total{handler="/items/{item}",method="GET",status="2xx"}'
    ),
    "starlette-exporter": Library(
        STARLETTE,
        UVICORN,
        'starlette_requests_total{app_name="starlette",method="GET",path="/items/{item}",status_code="200"}',
    ),
    "prometheus-flask-exporter": Library(
        FLASK,
        GUNICORN,
        'flask_http_request_duration_seconds_count{method="GET",status="200",url_rule="/items/<item>"}',
    ),
    "django-prometheus": Library(
        DJANGO,
        GUNICORN,
        'django_http_requests_total_by_view_transport_method_total{method="GET",transport="http",view="items"}',
    ),
    "prometheus-async": Library(
        ASYNC, (*GUNICORN, "--worker-class", "aiohttp.GunicornWebWorker"), "items_seconds_count"
    ),
}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the libraries."""
    directory = tmp_path_factory.mktemp("packages")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(directory), *DISTRIBUTIONS]
    subprocess.run(command, check=True, cwd=directory)
    return directory


class Group:
    """The processes of one server under ``pytheus run``."""

    def __init__(self, start: Start, web: Web, packages: Path, directory: Path, port: int) -> None:
        self._start, self._web, self._packages, self._directory = start, web, packages, directory
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.files = directory / "files"
        """The directory of prometheus_client's own mode for several processes, which stays empty."""
        self.files.mkdir(parents=True)

    def run(
        self,
        source: str,
        command: tuple[str, ...],
        registry: str = "multiprocess",
        has_variable: bool = False,
        **environ: str,
    ) -> None:
        """Start `command`, a module of the libraries with its arguments, on `source`, a file app.py.

        With `has_variable`, prometheus_client has a directory for its own mode.
        """
        (self._directory / "app.py").write_text(source)
        arguments = [argument.replace("PORT", str(self.port)) for argument in command]
        variables: Mapping[str, str] = {
            **({"PROMETHEUS_MULTIPROC_DIR": str(self.files)} if has_variable else {}),
            "PYTHEUS_PLUGINS": "prometheus-client",
            "PYTHONPATH": f"{self._packages}{os.pathsep}{self._directory}",
            **environ,
        }
        self.program = self._start(
            *PYTHEUS_RUN, registry, "--", sys.executable, "-m", *arguments, cwd=self._directory, **variables
        )

    def run_beside(self, source: str, **environ: str) -> None:
        """Run a program of the same libraries to its end."""
        path = f"{self._packages}{os.pathsep}{self._directory}"
        program = self._start(sys.executable, "-c", source, cwd=self._directory, PYTHONPATH=path, **environ)
        assert program.process.wait(timeout=60) == 0

    def merged(self) -> dict[str, float]:
        """The samples that pytheus serves."""
        return self._web.samples(self._web.metrics_url(self.program))

    def own(self) -> dict[str, float]:
        """The samples that the library serves; none while its server starts."""
        try:
            return self._web.samples(f"{self.url}/metrics")
        except OSError:
            return {}

    def wait_for(self, series: str, value: float, wait_until: WaitUntil) -> None:
        """Wait until both addresses show `value`."""
        wait_until(lambda: self.merged().get(series) == value, f"{value} at the address of pytheus")
        wait_until(lambda: self.own().get(series) == value, f"{value} at the library's own address")

    def end(self) -> None:
        """End it; nothing was written to the files of prometheus_client."""
        assert os.listdir(self.files) == []
        assert self.program.end() == 0


@pytest.fixture
def group(
    start: Start, web: Web, packages: Path, tmp_path: Path, unused_port: Callable[[], int]
) -> Callable[[], Group]:
    """Call it for a server's processes, which are not running yet."""
    return lambda: Group(start, web, packages, tmp_path / f"group-{unused_port()}", unused_port())


# All but prometheus-async read the variable, and then serve a registry with a MultiProcessCollector. Without it they
# serve the default registry.
@pytest.mark.parametrize("has_variable", [False, True], ids=["", "PROMETHEUS_MULTIPROC_DIR"])
@pytest.mark.parametrize("name", LIBRARIES)
def test_requests_of_several_workers(name: str, has_variable: bool, group: Callable[[], Group], web: Web) -> None:
    library = LIBRARIES[name]
    server = group()
    server.run(library.source, library.server, has_variable=has_variable)
    answered = web.ask(f"{server.url}/items/5", REQUESTS, workers=WORKERS)

    expected = float(sum(answered.values()))
    assert server.merged()[library.series] == expected
    for _ in range(3 * WORKERS):
        assert web.samples(f"{server.url}/metrics")[library.series] == expected
    server.end()


@pytest.mark.parametrize(
    ("name", "has_variable"), [*((name, False) for name in LIBRARIES), ("prometheus-flask-exporter", True)]
)
def test_two_groups_of_servers_share_a_redis(
    name: str, has_variable: bool, group: Callable[[], Group], web: Web, redis: str, wait_until: WaitUntil
) -> None:
    library = LIBRARIES[name]
    servers = [group(), group()]
    expected = 0.0
    for server in servers:
        server.run(library.source, library.server, redis, has_variable)
        expected += sum(web.ask(f"{server.url}/items/5", REQUESTS, workers=WORKERS).values())
    for server in servers:
        server.wait_for(library.series, expected, wait_until)
    for server in servers:
        server.end()


def registry_in_redis(port: int) -> str:
    """The address of a registry in a Redis server."""
    return f"redis://127.0.0.1:{port}?interval_seconds=0.1"


@pytest.fixture
def redis(start_redis: Callable[[], int]) -> str:
    """The address of a registry in a Redis server of its own."""
    return registry_in_redis(start_redis())


@pytest.fixture
def start_redis(start: Start, tmp_path: Path, unused_port: Callable[[], int]) -> Callable[[], int]:
    """Call it for the port of a Redis server."""
    pytest.importorskip("pytheus_redis", reason="needs the plugin pytheus-redis")

    def run() -> int:
        port = unused_port()
        arguments = ("--port", str(port), "--bind", "127.0.0.1", "--save", "")
        start("redis-server", *arguments, cwd=tmp_path).wait_for("eady to accept connections")
        return port

    return run


DRAMATIQ: Final = """
import os
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware.prometheus import Prometheus

broker = RedisBroker(url=os.environ["BROKER"])
broker.add_middleware(Prometheus())
dramatiq.set_broker(broker)

@dramatiq.actor
def handle():
    pass
"""


@pytest.mark.parametrize("in_redis", [False, True], ids=["", "redis"])
def test_dramatiq(
    in_redis: bool, group: Callable[[], Group], start_redis: Callable[[], int], wait_until: WaitUntil
) -> None:
    registry = registry_in_redis(start_redis()) if in_redis else "multiprocess"
    groups = [group() for _ in range(2 if in_redis else 1)]
    for workers in groups:
        environ = {
            "BROKER": f"redis://127.0.0.1:{start_redis()}",
            "dramatiq_prom_host": "127.0.0.1",
            "dramatiq_prom_port": str(workers.port),
            "dramatiq_prom_db": str(workers.files),
        }
        command = ("dramatiq", "app", "--processes", str(WORKERS), "--threads", "2")
        workers.run(DRAMATIQ, command, registry, True, **environ)
        workers.run_beside(f"import app\nfor _ in range({REQUESTS}): app.handle.send()", **environ)
    for workers in groups:
        series = 'dramatiq_messages_total{actor_name="handle",queue_name="default"}'
        workers.wait_for(series, REQUESTS * len(groups), wait_until)
    for workers in groups:
        workers.end()


OPENTELEMETRY: Final = """
import os
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import make_wsgi_app
import pytheus
from pytheus_prometheus_client import CollectorCopies

meter = MeterProvider([PrometheusMetricReader(scope_info_enabled=False)]).get_meter("app")
handled, sizes = meter.create_counter("items"), meter.create_histogram("sizes")
if "COPIED" in os.environ:
    copies = CollectorCopies(interval_seconds=0.2)
theirs, ours = make_wsgi_app(), pytheus.make_wsgi_app()

def app(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        return theirs(environ, start_response)
    if environ["PATH_INFO"] == "/ours":
        return ours(environ, start_response)
    # Which labels there are differs from worker to worker.
    handled.add(1, {f"worker_{os.getpid()}": "yes", "method": "GET"})
    handled.add(1)
    sizes.record(3)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


@pytest.mark.parametrize("in_redis", [False, True], ids=["", "redis"])
@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_opentelemetry_whose_numbers_are_copied(
    in_redis: bool,
    preload: tuple[str, ...],
    group: Callable[[], Group],
    web: Web,
    start_redis: Callable[[], int],
    wait_until: WaitUntil,
) -> None:
    registry = registry_in_redis(start_redis()) if in_redis else "multiprocess"
    servers = [group() for _ in range(2 if in_redis else 1)]
    expected = {"items_total": 0.0}
    for server in servers:
        server.run(OPENTELEMETRY, (*GUNICORN, *preload), registry, COPIED="yes")
        for pid, count in web.ask(f"{server.url}/items/5", REQUESTS, workers=WORKERS).items():
            expected[f'items_total{{method="GET",worker_{pid}="yes"}}'] = float(count)
            expected["items_total"] += count
    expected |= {"sizes_sum": 3 * expected["items_total"], "sizes_count": expected["items_total"]}
    expected['sizes_bucket{le="5.0"}'] = expected["items_total"]
    for server in servers:
        for series, value in expected.items():
            server.wait_for(series, value, wait_until)
    for server in servers:
        server.end()


def test_opentelemetry_is_exposed_by_its_process_unless_it_is_copied(group: Callable[[], Group], web: Web) -> None:
    servers = group()
    servers.run(OPENTELEMETRY, GUNICORN)
    answered = web.ask(f"{servers.url}/items/5", REQUESTS, workers=WORKERS)
    for path in ("metrics", "ours"):
        seen: dict[str, float] = {}
        while len(seen) < WORKERS:
            found = web.samples(f"{servers.url}/{path}")
            of_one = {pid: found[name] for name in found for pid in answered if f'worker_{pid}="yes"' in name}
            assert len(of_one) == 1
            seen |= of_one
        assert seen == answered
    servers.end()


JUPYTER: Final = ("jupyter_server", "--allow-root", "--no-browser", "--IdentityProvider.token=", "--port", "PORT")


@pytest.mark.parametrize("in_redis", [False, True], ids=["", "redis"])
def test_two_jupyter_servers(
    in_redis: bool,
    group: Callable[[], Group],
    web: Web,
    start_redis: Callable[[], int],
    tmp_path: Path,
    wait_until: WaitUntil,
) -> None:
    registry = registry_in_redis(start_redis()) if in_redis else f"multiprocess://{tmp_path}/shards"
    places = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    servers = [group() for _ in range(WORKERS)]
    counts = (REQUESTS, REQUESTS // 2)
    series = (
        "http_request_duration_seconds_count"
        '{handler="jupyter_server.services.api.handlers.APIStatusHandler",method="GET",status_code="200"}'
    )
    for server, count in zip(servers, counts, strict=True):
        server.run("", JUPYTER, registry, False, **places)
        for _ in range(count):
            web.ask(f"{server.url}/api/status", 1)
    for server in servers:
        server.wait_for(series, sum(counts), wait_until)
    for server in servers:
        server.end()
