"""The middleware in four workers: the sums of a scrape are the requests that clients made, by route and status."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from tests.multiprocess.conftest import WaitUntil

    from tests.conftest import Prometheus, Start

AUTO = ["--instrument", "auto"]

FLASK = """
import os
from flask import Flask, abort

app = Flask("shop")

@app.get("/items/<item>")
def item(item):
    return (str(os.getpid()), 404 if item == "0" else 200)
"""

FASTAPI = """
import os
from fastapi import FastAPI, Response

app = FastAPI()

@app.get("/items/{item}")
async def item(item: str):
    return Response(str(os.getpid()), 404 if item == "0" else 200)
"""

DJANGO = """
import os
from django.conf import settings
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="-")
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

def item(request, item):
    return HttpResponse(str(os.getpid()), status=404 if item == "0" else 200)

urlpatterns = [path("items/<item>", item)]
app = get_wsgi_application()
"""

STARLETTE = """
import os
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

async def item(request):
    return PlainTextResponse(str(os.getpid()), 404 if request.path_params["item"] == "0" else 200)

app = Starlette(routes=[Mount("/items", routes=[Route("/{item}", item)])])
"""

LITESTAR = """
import os
from litestar import Litestar, MediaType, Response, get
from litestar.params import FromPath

@get("/items/{item:str}", media_type=MediaType.TEXT)
async def item(item: FromPath[str]) -> Response[str]:
    return Response(str(os.getpid()), status_code=404 if item == "0" else 200)

app = Litestar([item])
"""

FLASK_MEASURED = f"""{FLASK}
from pytheus.middleware import WsgiMiddleware
app.wsgi_app = WsgiMiddleware(app.wsgi_app)
"""

FASTAPI_MEASURED = f"""{FASTAPI}
from pytheus.middleware import AsgiMiddleware
app.add_middleware(AsgiMiddleware)
"""

_COUNT = "http_server_request_duration_seconds_count"


@pytest.mark.once
@pytest.mark.parametrize(
    ("source", "command", "options"),
    [
        pytest.param(
            FLASK_MEASURED, "gunicorn app:app -w 4 -b {address}", [], id="Flask, gunicorn", marks=pytest.mark.slow
        ),
        pytest.param(
            FLASK_MEASURED, "gunicorn app:app -w 4 --preload -b {address}", [], id="Flask, gunicorn --preload"
        ),
        pytest.param(FASTAPI_MEASURED, "uvicorn app:app --workers 4 --port {port}", [], id="FastAPI, uvicorn"),
        pytest.param(
            FLASK,
            "gunicorn app:app -w 4 -b {address}",
            AUTO,
            id="Flask, gunicorn, instrumented",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            FLASK,
            "gunicorn app:app -w 4 --preload -b {address}",
            AUTO,
            id="Flask, gunicorn --preload, instrumented",
            marks=pytest.mark.slow,
        ),
        pytest.param(FASTAPI, "uvicorn app:app --workers 4 --port {port}", AUTO, id="FastAPI, uvicorn, instrumented"),
        pytest.param(
            DJANGO,
            "gunicorn app:app -w 4 --threads 2 -b {address}",
            AUTO,
            id="Django, gunicorn threads, instrumented",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            LITESTAR,
            "hypercorn app:app -w 4 -b {address}",
            AUTO,
            id="Litestar, hypercorn, instrumented",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            STARLETTE,
            "gunicorn app:app -w 4 -k uvicorn.workers.UvicornWorker -b {address}",
            AUTO,
            id="Starlette, gunicorn with uvicorn's workers, instrumented",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_sums_of_four_workers(
    source: str,
    command: str,
    options: list[str],
    tmp_path: Path,
    start: Start,
    wait_until: WaitUntil,
    unused_port: Callable[[], int],
    start_prometheus: Callable[..., Prometheus],
) -> None:
    """1.1: 34. 1.3: 22. Where pytheus instruments the application, by the PromQL of a Prometheus that scrapes it."""
    (tmp_path / "app.py").write_text(source)
    port = unused_port()
    run = (sys.executable, "-P", "-m", "pytheus", "run", "--registry", "multiprocess", "--port", "0", *options, "--")
    words = command.format(port=port, address=f"127.0.0.1:{port}").split()
    program = start(*run, sys.executable, "-m", *words, cwd=tmp_path)
    metrics = program.wait_for(r"pytheus: serving metrics at (http://\S+)")[1]

    def get(path: str) -> str:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=60).text  # a connection each, so any worker

    def answers() -> bool:
        assert program.process.poll() is None, program.output
        try:
            get("/ready")
        except httpx.TransportError:
            return False
        return True

    wait_until(answers, "the server to answer")
    workers: set[str] = set()
    made = {"200": 0, "404": 0}
    while sum(made.values()) < 100 or len(workers) < 2:
        status = "404" if made["200"] > 3 * made["404"] else "200"
        workers.add(get(f"/items/{0 if status == '404' else sum(made.values()) + 1}"))
        made[status] += 1
        assert made["200"] < 5000

    def counted() -> dict[str, float]:
        found: dict[str, float] = {}
        for line in httpx.get(metrics, timeout=60).text.splitlines():
            if line.startswith(_COUNT) and '"/items/' in line:
                status = line.partition('http_response_status_code="')[2][:3]
                found[status] = found.get(status, 0) + float(line.rpartition(" ")[2])
            elif line.startswith("http_server_active_requests{"):
                found["active"] = float(line.rpartition(" ")[2])
        return found

    # A client may have its response before the worker has counted it.
    wait_until(lambda: counted() == {**made, "active": 0}, f"the sums {made}")
    if options:
        if shutil.which("prometheus") is None:
            pytest.skip("the sums of a scrape agree; those by PromQL need prometheus (apt-get install prometheus)")
        # Not after the last request: the scrapes overlap with the load.
        prometheus = start_prometheus(start, tmp_path, shop=metrics.split("/")[2])
        for item in range(50):
            get(f"/items/{item}")
        made["200"] += 49
        made["404"] += 1
        count = f'{_COUNT}{{http_route=~"/items/.*"}}'

        def by_promql(query: str) -> dict[str, float]:
            return {labels["http_response_status_code"]: value for labels, value in prometheus.query(query)}

        by_status = f"sum by (http_response_status_code) ({count})"
        # Each by itself, because a scrape between two of them may fail on a busy machine.
        wait_until(lambda: by_promql(by_status) == made, f"PromQL to give {made}")
        bucket = f'{_COUNT.removesuffix("count")}bucket{{http_route=~"/items/.*", le="+Inf"}}'
        by_bucket = f"sum by (http_response_status_code) ({bucket})"
        wait_until(lambda: by_promql(by_bucket) == made, f"PromQL to give {made} by buckets")
        wait_until(lambda: [n for _, n in prometheus.query("sum(http_server_active_requests)")] == [0], "the end")
    assert program.end() == 0
