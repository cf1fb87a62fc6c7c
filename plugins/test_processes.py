"""Every way in which a process can begin and end, with both plugins: each row of docs/reference/processes.md.

In Redis nothing is published but at the end of a process, unless a row is about a loss: the interval is a quarter of an
hour then, and a twentieth of a second otherwise.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from pytheus import generate_metrics
from pytheus.plugins import resolve_registry
from pytheus.registry import Registry

if TYPE_CHECKING:
    from tests.conftest import Program, Start

    WaitUntil = Callable[[Callable[[], object], str], None]

PATIENCE_SECONDS: Final = 100
PLUGINS: Final = ("multiprocess", "redis")


class Place(NamedTuple):
    """Where the processes of a test share their numbers."""

    plugin: str
    url: str
    """Chooses the registry of the processes."""
    registry: Registry
    """The registry that the test reads."""

    def seen(self) -> float:
        """The counter's total."""
        for line in generate_metrics(self.registry).splitlines():
            if line.startswith("counted_total "):
                return float(line.split()[1])
        return 0.0


@pytest.fixture(scope="module")
def redis_port(
    start_for_module: Start,
    tmp_path_factory: pytest.TempPathFactory,
    unused_port: Callable[[], int],
    wait_until: WaitUntil,
) -> int:
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server (Debian: apt-get install redis-server)")
    port = unused_port()
    directory = tmp_path_factory.mktemp("redis")
    server = start_for_module(
        *("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"), cwd=directory
    )
    server.wait_for("Ready to accept connections")
    return port


MakePlace = Callable[..., Place]


@pytest.fixture(params=PLUGINS)
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakePlace]:
    """Call it with ``interval_seconds=`` for a place that no other test uses."""
    made: list[Registry] = []

    def make(*, interval_seconds: float = 900) -> Place:
        plugin: str = request.param
        if plugin == "multiprocess":
            url = reader = f"multiprocess://{tmp_path}/shards?process_metrics=false"
        else:
            port: int = request.getfixturevalue("redis_port")
            # Patient, because a busy machine may delay an answer.
            url = f"redis://127.0.0.1:{port}/0?namespace={tmp_path.name}&timeout_seconds=20&exit_seconds=20"
            reader = f"{url}&interval_seconds=0.5"
            url += f"&interval_seconds={interval_seconds}&expiry_seconds=3600"
        made.append(resolve_registry(reader))
        return Place(plugin, url, made[-1])

    yield make
    for each in made:
        each.close()  # type: ignore[attr-defined]  # both have it


def python(source: str, tmp_path: Path, place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program, which must be a file so that its children can import it."""
    (tmp_path / "program.py").write_text(source)
    return subprocess.run(
        [sys.executable, "-P", "program.py", *arguments],
        cwd=tmp_path,
        env=environ(place),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        stdin=subprocess.DEVNULL,
    )


def environ(place: Place) -> dict[str, str]:
    import os

    # multiprocessing creates sockets there, whose paths have a hundred characters at most.
    return os.environ | {"PYTHEUS_REGISTRY": place.url, "TMPDIR": "/tmp", "PYTHONWARNINGS": "ignore"}


# Everything is counted ------------------------------------------------------------------------------------------------

COUNT: Final = """
import atexit, os, signal, subprocess, sys, threading, time

def count(number=100):
    from pytheus import Counter
    counter = Counter("counted_total", "Counted.")
    for _ in range(number):
        counter.inc()

def later():
    threading.Thread(target=lambda: (time.sleep(0.1), count())).start()

def fork(function):
    child = os.fork()
    if child == 0:
        function()
        sys.exit()
    os.waitpid(child, 0)
"""

ENDS: Final = {
    "the program's end": "count()",
    "sys.exit": "count(); sys.exit(3)",
    "an exception": "count(); 1 / 0",
    "Ctrl-C": "signal.signal(signal.SIGINT, signal.default_int_handler); count(); signal.raise_signal(signal.SIGINT)",
    "SIGTERM with a handler": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit()); count(); signal.raise_signal(signal.SIGTERM)"
    ),
    "a thread that ends later": "count(50); threading.Thread(target=lambda: (time.sleep(0.1), count(50))).start()",
    "an exit function that counts": "count(50); atexit.register(count, 50)",
    "fork": "count(40); fork(lambda: count(30)); count(30)",
    "fork, the child counts first": "fork(lambda: count(50)); count(50)",
    "a fork of a fork": "fork(lambda: (count(30), fork(lambda: count(30)))); count(40)",
    "a subprocess": "subprocess.run([sys.executable, '-P', __file__, 'child']) if len(sys.argv) < 2 else count()",
}


@pytest.mark.parametrize("way", ENDS)
def test_a_process_that_ends_in_order_is_counted(way: str, make_place: MakePlace, tmp_path: Path) -> None:
    place = make_place()
    done = python(f"{COUNT}\n{ENDS[way]}", tmp_path, place)
    assert place.seen() == 100, done.stderr


CHILDREN: Final = """
import concurrent.futures, multiprocessing

def with_thread():
    count(50)
    threading.Thread(target=lambda: (time.sleep(0.1), count(50))).start()

if __name__ == "__main__":
    how, method, first = sys.argv[1:]
    context = multiprocessing.get_context(method)
    if first == "parent":
        count(10)
    if how == "Process":
        processes = [context.Process(target=target) for target in (count, with_thread)]
        for each in processes:
            each.start()
        for each in processes:
            each.join()
    elif how == "Pool":
        with context.Pool(2) as pool:
            pool.map(count, [10] * 20, chunksize=1)
            pool.close()
            pool.join()
    else:
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
            list(executor.map(count, [10] * 20))
    if first == "child":
        count(10)
"""


OTHERS_ARE_SLOW: Final = [
    pytest.param(how, method, first, marks=[pytest.mark.slow] * (how != "Process"), id=f"{how}-{method}-{first}")
    for how in ("Process", "Pool", "ProcessPoolExecutor")
    for method in ("fork", "spawn", "forkserver")
    for first in ("parent", "child")
]


@pytest.mark.parametrize(("how", "method", "first"), OTHERS_ARE_SLOW)
def test_children_of_multiprocessing_are_counted(
    how: str, method: str, first: str, make_place: MakePlace, tmp_path: Path
) -> None:
    place = make_place()
    done = python(COUNT + CHILDREN, tmp_path, place, how, method, first)
    assert (place.seen(), done.stderr) == (210, "")


def test_children_of_a_forkserver_that_has_loaded_the_metrics_are_counted(
    make_place: MakePlace, tmp_path: Path
) -> None:
    place = make_place()
    (tmp_path / "loaded.py").write_text(f"{COUNT}\ncount(0)")
    source = """
import multiprocessing, sys
sys.path.insert(0, ".")
import loaded

if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["loaded"])
    processes = [context.Process(target=loaded.count) for _ in range(2)]
    for each in processes:
        each.start()
    for each in processes:
        each.join()
"""
    done = python(source, tmp_path, place)
    assert (place.seen(), done.stderr) == (200, "")


# The counts of the last interval may be lost in Redis -----------------------------------------------------------------

LOSSES: Final = {
    "os._exit": "os._exit(0)",
    "os.execv": "os.execv(sys.executable, [sys.executable, '-c', ''])",
    "os.abort": "os.abort()",
    "SIGTERM": "signal.signal(signal.SIGTERM, signal.SIG_DFL); signal.raise_signal(signal.SIGTERM)",
    "SIGKILL": "signal.raise_signal(signal.SIGKILL)",
}

IN_TWO_PARTS: Final = """
count(90)
print("counted", flush=True)
sys.stdin.readline()
count(10)
"""

IN_A_POOL: Final = """
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(1) as pool:
        pool.apply(count, (90,))
        print("counted", flush=True)
        sys.stdin.readline()
        pool.apply(count, (10,))
"""


@pytest.mark.parametrize("way", [*LOSSES, "Pool.terminate"])
def test_a_process_that_ends_at_once_loses_the_last_interval_at_most(
    way: str, make_place: MakePlace, tmp_path: Path, wait_until: WaitUntil
) -> None:
    place = make_place(interval_seconds=0.05)
    source = COUNT + (IN_A_POOL if way == "Pool.terminate" else f"{IN_TWO_PARTS}\n{LOSSES[way]}")
    (tmp_path / "program.py").write_text(source)
    with subprocess.Popen(
        [sys.executable, "-P", "program.py"],
        cwd=tmp_path,
        env=environ(place),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline() == "counted\n"
        wait_until(lambda: place.seen() == 90, "the first part to be seen")
        program.communicate("\n", timeout=PATIENCE_SECONDS)
    assert place.seen() == 100 if place.plugin == "multiprocess" else 90 <= place.seen() <= 100


# A fork that Python is not told of ------------------------------------------------------------------------------------

C_FORK: Final = """
import ctypes
count({parent})
for _ in range(3):
    child = ctypes.PyDLL(None).fork()
    if child == 0:
        count(1000)
        {shown}
        sys.exit()
    os.waitpid(child, 0)
"""


@pytest.mark.parametrize(
    "shown", ["pass", "import pytheus; print(pytheus.generate_metrics())"], ids=["exits", "scraped"]
)
@pytest.mark.parametrize("parent", [0, 5])
def test_a_fork_in_c_of_which_python_is_not_told_is_counted_or_told(
    parent: int, shown: str, make_place: MakePlace, tmp_path: Path
) -> None:
    place = make_place()
    done = python(COUNT + C_FORK.format(parent=parent, shown=shown), tmp_path, place)
    told = done.stderr + done.stdout + generate_metrics(place.registry)
    assert place.seen() == 3000 + parent or 'step="fork"' in told or "forked by C code" in told, told


# Servers --------------------------------------------------------------------------------------------------------------

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
    "gunicorn gevent": (WSGI, "gevent", "-m gunicorn app:app -w 2 -b {address} -k gevent"),
    "uvicorn, which closes the registry": (ASGI, "uvicorn", "-m uvicorn app:app --workers 2 --port {port}"),
}
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
    program = start(sys.executable, *words, cwd=tmp_path, **environ(place))
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
    program = start(str(uwsgi), *words, "-H", sys.prefix, cwd=tmp_path, **environ(place))
    # Until both answer, because uWSGI forgets a signal that arrives while a worker starts.
    count = ask(program, address, 20, wait_until, workers=2)
    wait_until(lambda: place.seen() == count, "the requests to be seen")
    program.end()
    assert place.seen() == count, program.output


def serve(
    command: list[str], source: str, place: Place, tmp_path: Path, start: Start, wait_until: WaitUntil, port: int
) -> None:
    (tmp_path / "app.py").write_text(source)
    address = f"127.0.0.1:{port}"
    words = [word.format(address=address, port=port) for word in command]
    program = start(*words, cwd=tmp_path, **environ(place))
    ask(program, address, 20, wait_until)
    program.end()
    # A request whose connection broke may have been counted.
    assert 20 <= place.seen() <= 30, program.output


CELERY: Final = """
import os
from celery import Celery
{parent}

app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {{name: os.environ["QUEUE"] for name in ("data_folder_in", "data_folder_out")}}
app.conf.broker_transport_options["control_folder"] = os.environ["QUEUE"]
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_max_tasks_per_child = 2

@app.task(ignore_result=True)
def handle():
    from pytheus import Counter
    Counter("counted_total", "Counted.").inc()
    print("handled", flush=True)
"""


@pytest.mark.parametrize("first", ["parent", pytest.param("child", marks=pytest.mark.slow)])
def test_workers_of_celery_are_counted(
    first: str, make_place: MakePlace, tmp_path: Path, start: Start, wait_until: WaitUntil
) -> None:
    pytest.importorskip("celery", reason="celery is not installed, so that this row is not tested")
    place = make_place()
    parent = "from pytheus import Counter; Counter('counted_total', 'Counted.')" if first == "parent" else ""
    (tmp_path / "tasks.py").write_text(CELERY.format(parent=parent))
    (tmp_path / "queue").mkdir()
    variables = environ(place) | {"QUEUE": str(tmp_path / "queue"), "C_FORCE_ROOT": "1"}
    send = "import tasks\nfor _ in range(10): tasks.handle.delay()"
    subprocess.run([sys.executable, "-c", send], cwd=tmp_path, env=variables, check=True, timeout=PATIENCE_SECONDS)
    words = "-m celery -A tasks worker --concurrency 2 --pool prefork --without-gossip --without-mingle"
    program = start(sys.executable, *words.split(), "--without-heartbeat", cwd=tmp_path, **variables)
    wait_until(lambda: program.output.count("handled") >= 10, "the tasks to be handled")
    assert program.end() in (0, -signal.SIGTERM)
    assert place.seen() == 10, program.output


def test_the_document_has_a_row_for_each_of_these_ways(checkout: Path) -> None:
    text = (checkout / "docs/reference/processes.md").read_text("utf-8")
    rows = {line.split(" | ")[0][2:] for line in text.splitlines() if line.startswith("| ")}
    tested = {*ENDS, *LOSSES, *SERVERS, "Pool.terminate", "uvicorn", "uWSGI", "Celery, prefork"}
    tested |= {f"multiprocessing: {method}" for method in ("fork", "spawn", "forkserver")}
    tested |= {"a forkserver that has loaded the metrics", "a fork in C, of which Python is not told"}
    assert rows - {"way", "server", "---"} == tested
