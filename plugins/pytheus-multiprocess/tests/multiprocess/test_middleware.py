"""The middleware in four workers: the sums of a scrape are the requests that clients made, by route and status."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from tests.multiprocess.conftest import WaitUntil

    from tests.conftest import Start

FLASK = """
import os
from flask import Flask, abort
from pytheus.middleware import WsgiMiddleware

app = Flask("shop")
app.wsgi_app = WsgiMiddleware(app.wsgi_app)

@app.get("/items/<item>")
def item(item):
    return (str(os.getpid()), 404 if item == "0" else 200)
"""

FASTAPI = """
import os
from fastapi import FastAPI, Response
from pytheus.middleware import AsgiMiddleware

app = FastAPI()
app.add_middleware(AsgiMiddleware)

@app.get("/items/{item}")
async def item(item: str):
    return Response(str(os.getpid()), 404 if item == "0" else 200)
"""

_COUNT = "http_server_request_duration_seconds_count"


@pytest.mark.once
@pytest.mark.parametrize(
    ("source", "command"),
    [
        pytest.param(FLASK, "gunicorn app:app -w 4 -b 127.0.0.1:{port}", id="Flask, gunicorn", marks=pytest.mark.slow),
        pytest.param(FLASK, "gunicorn app:app -w 4 --preload -b 127.0.0.1:{port}", id="Flask, gunicorn --preload"),
        pytest.param(FASTAPI, "uvicorn app:app --workers 4 --port {port}", id="FastAPI, uvicorn"),
    ],
)
def test_the_sums_of_four_workers(
    source: str, command: str, tmp_path: Path, start: Start, wait_until: WaitUntil, unused_port: Callable[[], int]
) -> None:
    """1.1: 34. 1.3: 22."""
    (tmp_path / "app.py").write_text(source)
    port = unused_port()
    run = (sys.executable, "-P", "-m", "pytheus", "run", "--registry", "multiprocess", "--port", "0", "--")
    program = start(*run, sys.executable, "-m", *command.format(port=port).split(), cwd=tmp_path)
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
    assert program.end() == 0
