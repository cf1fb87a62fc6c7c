"""The workers of servers, with both plugins: each row of the second table of docs/reference/processes.md."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from plugins.conftest import MakePlace, Place, WaitUntil
    from tests.conftest import Program, Start

PATIENCE_SECONDS: Final = 100

WSGI: Final = """
import os
from pytheus import Counter

COUNTED = Counter("counted_total", "Counted.")

def app(environ, start_response):
    COUNTED.inc()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""

ASGI: Final = """
import os
from pytheus import REGISTRY, Counter

COUNTED = Counter("counted_total", "Counted.")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        {at_shutdown}
        await send({"type": "lifespan.shutdown.complete"})
    else:
        COUNTED.inc()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""

SERVERS: Final = {
    "gunicorn sync": (WSGI, "gunicorn", "-m gunicorn app:app -w 2 -b {address}"),
    "gunicorn --preload": (WSGI, "gunicorn", "-m gunicorn app:app -w 2 -b {address} --preload"),
    "gunicorn --max-requests": (WSGI, "gunicorn", "-m gunicorn app:app -w 2 -b {address} --max-requests 5"),
    "gunicorn gthread": (WSGI, "gunicorn", "-m gunicorn app:app -w 2 -b {address} -k gthread --threads 2"),
    "gunicorn gevent, which closes the registry": (
        WSGI,
        "gevent",
        "-m gunicorn app:app -w 2 -b {address} -k gevent -c hooks.py",
    ),
    "uvicorn, which closes the registry": (ASGI, "uvicorn", "-m uvicorn app:app --workers 2 --port {port}"),
}
HOOKS: Final = """
def worker_exit(server, worker):
    from pytheus import REGISTRY
    REGISTRY.registry.close()
"""
UWSGI: Final = "uwsgi --http-socket {address} --module app:app --master --processes 2 --die-on-term --enable-threads"


def ask(program: Program, address: str, count: int, wait_until: WaitUntil, *, workers: int = 1) -> int:
    """Let a server answer so many requests, and so many of its workers; gives how many it has answered."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    answers: list[bytes] = []

    def is_answered() -> bool:
        assert program.process.poll() is None, program.output
        try:
            with opener.open(f"http://{address}/", timeout=20) as response:
                answers.append(response.read())
        except OSError:  # it is starting, or a worker ends
            return False
        return True

    while len(answers) < count or len(set(answers)) < workers:
        wait_until(is_answered, "an answer")
        assert len(answers) < 5000
    return len(answers)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * ("--" in name)) for name in SERVERS])
def test_workers_of_a_server_are_counted(
    name: str,
    make_place: MakePlace,
    tmp_path: Path,
    start: Start,
    wait_until: WaitUntil,
    unused_port: Callable[[], int],
) -> None:
    source, needed, command = SERVERS[name]
    pytest.importorskip(needed, reason=f"{needed} is not installed, so that this row is not tested")
    source = source.replace("{at_shutdown}", "REGISTRY.registry.close()")
    serve([sys.executable, *command.split()], source, make_place(), tmp_path, start, wait_until, unused_port())


def test_workers_of_uvicorn_end_by_a_signal_and_lose_the_last_interval_at_most(
    make_place: MakePlace, tmp_path: Path, start: Start, wait_until: WaitUntil, unused_port: Callable[[], int]
) -> None:
    place = make_place(interval_seconds=0.05)
    source, _, command = SERVERS["uvicorn, which closes the registry"]
    (tmp_path / "app.py").write_text(source.replace("{at_shutdown}", "pass"))
    port = unused_port()
    words = command.format(port=port).split()
    program = start(sys.executable, *words, cwd=tmp_path, **place.environ)
    ask(program, f"127.0.0.1:{port}", 20, wait_until)
    wait_until(lambda: place.seen() == 20, "the requests to be seen")
    program.end()
    assert place.seen() == 20, program.output


def test_workers_of_uwsgi_lose_the_last_interval_at_most(
    make_place: MakePlace, tmp_path: Path, start: Start, wait_until: WaitUntil, unused_port: Callable[[], int]
) -> None:
    uwsgi = Path(sys.executable).with_name("uwsgi")
    if not uwsgi.exists():
        pytest.skip("uWSGI is not installed (pip install uwsgi; it needs a C compiler), so that this row is not tested")
    # It runs the exit functions of a worker that is idle, and ends one that is busy at once.
    place = make_place(interval_seconds=0.05)
    (tmp_path / "app.py").write_text(WSGI)
    address = f"127.0.0.1:{unused_port()}"
    words = UWSGI.format(address=address).split()[1:]
    program = start(str(uwsgi), *words, "-H", sys.prefix, cwd=tmp_path, **place.environ)
    # Until both answer, because uWSGI forgets a signal that arrives while a worker starts.
    count = ask(program, address, 20, wait_until, workers=2)
    wait_until(lambda: place.seen() == count, "the requests to be seen")
    program.end()
    assert place.seen() == count, program.output


def serve(
    command: list[str], source: str, place: Place, tmp_path: Path, start: Start, wait_until: WaitUntil, port: int
) -> None:
    (tmp_path / "app.py").write_text(source)
    (tmp_path / "hooks.py").write_text(HOOKS)
    address = f"127.0.0.1:{port}"
    words = [word.format(address=address, port=port) for word in command]
    program = start(*words, cwd=tmp_path, **place.environ)
    ask(program, address, 20, wait_until)
    program.end()
    # A request whose connection broke may have been counted.
    assert 20 <= place.seen() <= 30, program.output


TASKS: Final = 6
CELERY: Final = """
import os
from celery import Celery
{parent}

app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {{name: os.environ["QUEUE"] for name in ("data_folder_in", "data_folder_out")}}
app.conf.broker_transport_options["control_folder"] = os.environ["QUEUE"]
app.conf.broker_connection_retry_on_startup = True

@app.task(ignore_result=True)
def handle():
    from pytheus import Counter
    Counter("counted_total", "Counted.").inc()
    print("handled", flush=True)
"""


@pytest.fixture
def start_celery(tmp_path: Path, start: Start, wait_until: WaitUntil) -> Callable[..., Program]:
    """Call it with a place, who counts first, and options of the worker; returns when all tasks have been handled."""
    pytest.importorskip("celery", reason="celery is not installed, so that this row is not tested")

    def start_with(place: Place, first: str, *options: str) -> Program:
        parent = "from pytheus import Counter; Counter('counted_total', 'Counted.')" if first == "parent" else ""
        (tmp_path / "tasks.py").write_text(CELERY.format(parent=parent))
        (tmp_path / "queue").mkdir()
        variables = place.environ | {"QUEUE": str(tmp_path / "queue"), "C_FORCE_ROOT": "1"}
        send = f"import tasks\nfor _ in range({TASKS}): tasks.handle.delay()"
        subprocess.run([sys.executable, "-c", send], cwd=tmp_path, env=variables, check=True, timeout=PATIENCE_SECONDS)
        words = "-m celery -A tasks worker --concurrency 2 --pool prefork --without-gossip --without-mingle"
        program = start(sys.executable, *words.split(), "--without-heartbeat", *options, cwd=tmp_path, **variables)
        wait_until(lambda: program.output.count("handled") >= TASKS, "the tasks to be handled")
        return program

    return start_with


@pytest.mark.parametrize("first", ["parent", pytest.param("child", marks=pytest.mark.slow)])
def test_workers_of_celery_are_counted(first: str, make_place: MakePlace, start_celery: Callable[..., Program]) -> None:
    place = make_place()
    program = start_celery(place, first)
    assert program.end() == 0
    assert place.seen() == TASKS, program.output


@pytest.mark.slow
@pytest.mark.parametrize("first", ["parent", "child"])
def test_workers_that_celery_replaces_are_counted(
    first: str, make_place: MakePlace, start_celery: Callable[..., Program], wait_until: WaitUntil
) -> None:
    place = make_place()
    program = start_celery(place, first, "--max-tasks-per-child", "1")
    # Before the shutdown, at which Celery kills the workers that took the place of others.
    wait_until(lambda: place.seen() == TASKS, "the tasks to be seen")
    program.end()
    assert place.seen() == TASKS, program.output


def test_the_document_has_a_row_for_each_of_these_servers(documented_ways: Callable[[str], set[str]]) -> None:
    celery = {"Celery, prefork", "Celery, prefork, --max-tasks-per-child"}
    assert documented_ways("Servers") == {*SERVERS, "uvicorn", "uWSGI", *celery}
