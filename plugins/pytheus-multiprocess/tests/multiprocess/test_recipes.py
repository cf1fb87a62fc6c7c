"""What docs/how-to/multiprocess.md tells for each way of having several processes gives exact sums."""

from __future__ import annotations

import os
import re
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

if TYPE_CHECKING:
    from tests.multiprocess.conftest import WaitUntil

    from tests.conftest import Program, Start

RUN = (sys.executable, "-P", "-m", "pytheus", "run", "--registry", "multiprocess", "--port", "0")

WSGI = """
import os
from pytheus import Counter, Gauge

HANDLED = Counter("handled_total", "Requests handled.")
BY_PROCESS = Gauge("by_process", "Requests handled, by process.", mode="each")

def app(environ, start_response):
    HANDLED.inc()
    BY_PROCESS.inc()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""

ASGI = """
import os
from pytheus import Counter, Gauge

HANDLED = Counter("handled_total", "Requests handled.")
BY_PROCESS = Gauge("by_process", "Requests handled, by process.", mode="each")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    HANDLED.inc()
    BY_PROCESS.inc()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""

POOLS = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from pytheus import Counter

HANDLED = Counter("handled_total", "Jobs handled.")

def handle(number):
    HANDLED.inc()
    return number

if __name__ == "__main__":
    how, method = sys.argv[1:]
    context = multiprocessing.get_context(method)
    if how == "multiprocessing":
        with context.Pool(3) as pool:
            pool.map(handle, range(200), chunksize=7)
            pool.close()
            pool.join()
    else:
        with ProcessPoolExecutor(3, mp_context=context) as pool:
            list(pool.map(handle, range(200), chunksize=7))
    print("done", flush=True)
    sys.stdin.read()
"""

CELERY = """
import os
from celery import Celery
from pytheus import Counter

HANDLED = Counter("handled_total", "Tasks handled.")

app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {name: os.environ["QUEUE"] for name in ("data_folder_in", "data_folder_out")}
app.conf.broker_transport_options["control_folder"] = os.environ["QUEUE"]
app.conf.broker_connection_retry_on_startup = True

@app.task(ignore_result=True)
def handle():
    HANDLED.inc()
"""

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url: str) -> str:
    with _opener.open(url, timeout=60) as response:
        text: str = response.read().decode()
        return text


def samples(url: str) -> dict[str, float]:
    lines = [line.rsplit(" ", 1) for line in get(url).splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def metrics_url(program: Program) -> str:
    return program.wait_for(r"pytheus: serving metrics at (http://\S+)")[1]


def serves(program: Program, url: str) -> bool:
    assert program.process.poll() is None, program.output
    try:
        get(url)
    except (urllib.error.URLError, OSError):
        return False
    return True


@pytest.mark.parametrize(
    ("source", "command"),
    [
        pytest.param(WSGI, ["gunicorn", "app:app", "-w", "3", "-b", "127.0.0.1:{port}"], id="gunicorn"),
        pytest.param(
            WSGI, ["gunicorn", "app:app", "-w", "3", "--preload", "-b", "127.0.0.1:{port}"], id="gunicorn --preload"
        ),
        pytest.param(ASGI, ["uvicorn", "app:app", "--workers", "3", "--port", "{port}"], id="uvicorn --workers"),
    ],
)
def test_a_web_server_with_several_workers(
    source: str,
    command: list[str],
    tmp_path: Path,
    start: Start,
    wait_until: WaitUntil,
    unused_port: Callable[[], int],
) -> None:
    (tmp_path / "app.py").write_text(source)
    url = f"http://127.0.0.1:{unused_port()}"
    module, *arguments = [word.format(port=url.rpartition(":")[2]) for word in command]
    # As `python -m`, so that it is this environment's, whatever is on PATH.
    program = start(*RUN, "--", sys.executable, "-m", module, *arguments, cwd=tmp_path)
    metrics = metrics_url(program)
    wait_until(lambda: serves(program, url), "the server to answer")

    before = samples(metrics)["handled_total"]
    handlers: set[str] = set()
    count = 0
    # Until all three had their turn, and then some more: the kernel decides whose turn it is.
    while count < 60 or len(handlers) < 3:
        handlers.add(get(url))
        count += 1
        assert count < 5000
    found = samples(metrics)
    assert found["handled_total"] - before == count
    assert sum(value for name, value in found.items() if name.startswith("by_process{")) == before + count
    assert {f'process_cpu_seconds_total{{pid="{pid}"}}' for pid in handlers} <= found.keys()

    # One is killed, and the server replaces it.
    victim = handlers.pop()
    os.kill(int(victim), signal.SIGKILL)
    wait_until(lambda: f'process_cpu_seconds_total{{pid="{victim}"}}' not in samples(metrics), "the worker to be gone")
    wait_until(lambda: serves(program, url), "the server to answer")
    assert samples(metrics)["handled_total"] >= before + count
    assert program.end() == 0


# A service manager that hands a listening socket over, as systemd does: sd_listen_fds(3).
ACTIVATES = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_gunicorn_takes_the_socket_of_a_service_manager(tmp_path: Path, start: Start) -> None:
    (tmp_path / "app.py").write_text(WSGI)
    command = (*RUN, "--", sys.executable, "-m", "gunicorn", "app:app", "-w", "2")
    program = start(sys.executable, "-c", ACTIVATES, *command, cwd=tmp_path)
    url = f"http://127.0.0.1:{program.wait_for(r'^port ([0-9]+)$')[1]}"
    metrics = metrics_url(program)
    for _ in range(5):
        get(url)  # waits in the socket's queue until a worker takes it
    assert samples(metrics)["handled_total"] == 5.0
    assert program.end() == 0


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
@pytest.mark.parametrize("how", ["multiprocessing", "concurrent.futures"])
def test_pools_of_processes(how: str, method: str, tmp_path: Path, start: Start) -> None:
    (tmp_path / "jobs.py").write_text(POOLS.replace("sys.stdin.read()", "import time; time.sleep(600)"))
    # Not a long one, because multiprocessing creates sockets there, whose paths have a hundred characters at most.
    directory = {"TMPDIR": "/tmp"} if os.access("/tmp", os.W_OK) else {}
    program = start(*RUN, "--", sys.executable, "jobs.py", how, method, cwd=tmp_path, **directory)
    url = metrics_url(program)
    program.wait_for("^done$")
    assert samples(url)["handled_total"] == 200.0
    assert program.end() == -signal.SIGTERM


@pytest.mark.slow
def test_celery(tmp_path: Path, start: Start, wait_until: WaitUntil) -> None:
    (tmp_path / "tasks.py").write_text(CELERY)
    queue = tmp_path / "queue"
    queue.mkdir()
    worker = (sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency", "2", "--pool", "prefork")
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    program = start(*RUN, "--", *worker, *quiet, cwd=tmp_path, QUEUE=str(queue), C_FORCE_ROOT="1")
    url = metrics_url(program)
    send = "import tasks\nfor n in range(40): tasks.handle.delay()"
    assert start(sys.executable, "-c", send, cwd=tmp_path, QUEUE=str(queue)).process.wait(timeout=120) == 0
    wait_until(lambda: samples(url).get("handled_total") == 40.0, "40 tasks to be handled")
    assert program.end() == 0


def test_the_directory_is_private_while_it_runs_and_gone_afterwards(tmp_path: Path, start: Start) -> None:
    source = "import os, time; print(os.environ['PYTHEUS_REGISTRY'], flush=True); time.sleep(600)"
    program = start(*RUN, "--", sys.executable, "-c", source, cwd=tmp_path, TMPDIR=str(tmp_path))
    directory = Path(unquote(program.wait_for(r"^multiprocess://(/\S+)$")[1]))
    assert directory.parent == tmp_path
    assert directory.stat().st_mode & 0o777 == 0o700
    program.end()
    assert not directory.exists()
    assert re.search("Traceback", program.output) is None
