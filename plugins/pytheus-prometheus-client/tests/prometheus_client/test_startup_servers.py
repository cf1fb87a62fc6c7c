"""What docs/how-to/prometheus-client.md tells for each server gives exact sums, in a program that knows no pytheus."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

pytest.importorskip("pytheus_multiprocess", reason="needs the plugin pytheus-multiprocess")
pytestmark = pytest.mark.once

if TYPE_CHECKING:
    from tests.prometheus_client.conftest import Web

    from tests.conftest import Start

WaitUntil = Callable[[Callable[[], object], str], None]

RUN: Final = (sys.executable, "-P", "-m", "pytheus", "run", "--registry", "multiprocess", "--port", "0", "--")
NAMED: Final = {"PYTHEUS_PLUGINS": "prometheus-client"}

WSGI: Final = """
import os
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

HANDLED = Counter("handled", "Requests handled.", ["pid"])

def app(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        body = generate_latest(registry)
    else:
        HANDLED.labels(os.getpid()).inc()
        body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
"""

ASGI: Final = """
import os
from prometheus_client import Counter

HANDLED = Counter("handled", "Requests handled.", ["pid"])

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    HANDLED.labels(os.getpid()).inc()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""

CELERY: Final = """
import os
from celery import Celery
from prometheus_client import Counter

HANDLED = Counter("handled", "Tasks handled.")

app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {name: os.environ["QUEUE"] for name in ("data_folder_in", "data_folder_out")}
app.conf.broker_transport_options["control_folder"] = os.environ["QUEUE"]
app.conf.broker_connection_retry_on_startup = True

@app.task(ignore_result=True)
def handle():
    HANDLED.inc()
"""


def samples(web: Web, url: str) -> dict[str, float]:
    """The samples of a scrape, without those that describe the processes."""
    return {
        name: value
        for name, value in web.samples(url).items()
        if not name.startswith(("process_", "pytheus_", "python_"))
    }


def expected(answered: dict[str, int]) -> dict[str, float]:
    return {f'handled_total{{pid="{pid}"}}': float(count) for pid, count in answered.items()}


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_gunicorn(preload: list[str], tmp_path: Path, start: Start, web: Web, unused_port: Callable[[], int]) -> None:
    (tmp_path / "app.py").write_text(WSGI)
    (tmp_path / "empty").mkdir()
    url = f"http://127.0.0.1:{unused_port()}"
    server = (sys.executable, "-m", "gunicorn", "app:app", "-w", "3", "-b", url.removeprefix("http://"), *preload)
    environ = NAMED | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "empty")}
    program = start(*RUN, *server, cwd=tmp_path, **environ)
    answered = web.ask(url, 50, workers=3)

    assert samples(web, web.metrics_url(program)) == expected(answered)
    own = samples(web, f"{url}/metrics")
    assert {name: value for name, value in own.items() if name.startswith("handled_total")} == expected(answered)
    assert os.listdir(tmp_path / "empty") == []
    assert program.end() == 0


def test_uvicorn_whose_workers_are_spawned(
    tmp_path: Path, start: Start, web: Web, unused_port: Callable[[], int]
) -> None:
    (tmp_path / "app.py").write_text(ASGI)
    port = unused_port()
    server = (sys.executable, "-m", "uvicorn", "app:app", "--workers", "2", "--port", str(port))
    program = start(*RUN, *server, cwd=tmp_path, **NAMED)
    answered = web.ask(f"http://127.0.0.1:{port}", 50, workers=2)
    assert samples(web, web.metrics_url(program)) == expected(answered)
    assert program.end() == 0


def test_a_command_in_another_directory_than_the_configuration_file(
    tmp_path: Path, start: Start, web: Web, unused_port: Callable[[], int]
) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.pytheus]\nplugins = ["prometheus-client"]\n')
    application = tmp_path / "application"
    application.mkdir()
    (application / "pyproject.toml").touch()
    (application / "app.py").write_text(WSGI)
    url = f"http://127.0.0.1:{unused_port()}"
    server = (sys.executable, "-m", "gunicorn", "app:app", "-w", "2", "-b", url.removeprefix("http://"))
    program = start(*RUN, *server, "--chdir", "application", cwd=tmp_path)
    answered = web.ask(url, 20, workers=2)
    assert samples(web, web.metrics_url(program)) == expected(answered)
    assert program.end() == 0


def test_a_script(tmp_path: Path, start: Start, web: Web) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.pytheus]\nplugins = ["prometheus-client"]\n')
    source = 'import time; from prometheus_client import Counter; Counter("handled", "Handled.").inc(); '
    (tmp_path / "program.py").write_text(source + "print('counted', flush=True); time.sleep(600)")
    run = (sys.executable, "-P", "-m", "pytheus", "run", "--port", "0")
    program = start(*run, "program.py", cwd=tmp_path)
    program.wait_for("^counted$")
    assert samples(web, web.metrics_url(program)) == {"handled_total": 1.0}


@pytest.mark.slow
def test_celery(tmp_path: Path, start: Start, web: Web, wait_until: WaitUntil) -> None:
    (tmp_path / "tasks.py").write_text(CELERY)
    queue = tmp_path / "queue"
    queue.mkdir()
    worker = (sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency", "2", "--pool", "prefork")
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    program = start(*RUN, *worker, *quiet, cwd=tmp_path, QUEUE=str(queue), C_FORCE_ROOT="1", **NAMED)
    url = web.metrics_url(program)
    send = "import tasks\nfor n in range(40): tasks.handle.delay()"
    assert start(sys.executable, "-c", send, cwd=tmp_path, QUEUE=str(queue)).process.wait(timeout=120) == 0
    wait_until(lambda: samples(web, url).get("handled_total") == 40.0, "40 tasks to be handled")
    assert program.end() == 0
