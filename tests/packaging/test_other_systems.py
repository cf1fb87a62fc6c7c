"""pytheus without the names that Python has on Linux only: as on Windows, and as on macOS.

typeshed says which names a system has. They are hidden from a program on this system, which then imports every module
and uses what the core offers. Behaviour of another kernel is not tested by that.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

mypy = pytest.importorskip("mypy", reason="mypy, which brings typeshed, is not installed")

TYPESHED = Path(mypy.__file__).parent / "typeshed" / "stdlib"

# Of these, single names are hidden.
DIVIDED = ("mmap", "os", "select", "signal", "socket", "time")
# These are hidden where they have nothing to offer.
WHOLE = (
    "crypt",
    "fcntl",
    "grp",
    "nis",
    "posix",
    "pty",
    "pwd",
    "readline",
    "resource",
    "spwd",
    "syslog",
    "termios",
    "tty",
)
# The standard library makes pairs of sockets with it here, and otherwise over TCP.
KEPT = {"AF_UNIX"}

# What only `pytheus run -- COMMAND` imports, which says on Windows that it needs POSIX.
OF_COMMANDS = {"pytheus.cli.sidecar"}


def names(body: Sequence[ast.stmt], platform: str) -> Iterator[str]:
    """The public names of a stub on `platform`, as `sys.platform` has it."""
    known = {"sys": SimpleNamespace(platform=platform, version_info=sys.version_info), "TYPE_CHECKING": True}
    for node in body:
        if isinstance(node, ast.If):
            yield from names(node.body if eval(ast.unparse(node.test), known) else node.orelse, platform)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            # A stub imports typing's names for itself, and a module's own names from another one.
            yield from (alias.name for alias in node.names if alias.name == alias.asname or node.module == "_socket")
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


@cache
def missing(platform: str) -> tuple[list[str], dict[str, list[str]]]:
    """The modules, and by module the names, that Linux has and `platform` has not."""
    modules: list[str] = []
    single: dict[str, list[str]] = {}
    for module in (*DIVIDED, *WHOLE):
        path = TYPESHED / f"{module}.pyi"
        stub = ast.parse((path if path.exists() else TYPESHED / module / "__init__.pyi").read_text()).body
        here, there = ({name for name in names(stub, each) if name[0] != "_"} for each in ("linux", platform))
        if not there:
            modules.append(module)
        elif module in DIVIDED:
            single[module] = sorted(here - there - KEPT)
    return modules, single


def run(platform: str, *source: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program as on `platform`; the standard library, which knows where it runs, is imported before."""
    modules, single = missing(platform)
    program = [
        "import sys, asyncio, http.server, importlib, logging, mmap, multiprocessing.util, os, pathlib, pkgutil",
        "import select, shutil, signal, socket, socketserver, ssl, subprocess, tempfile, threading, time",
        "import urllib.request",
        "import click, msgspec, pluggy, pytest, selectors",
        "selectors.DefaultSelector = selectors.SelectSelector  # the best that every system has",
        f"for name in {modules}: sys.modules[name] = None",
        f"for name, hidden in {single}.items():",
        "    for each in hidden: vars(sys.modules[name]).pop(each, None)",
        *source,
    ]
    command = [sys.executable, "-P", "-W", "error", "-c", "\n".join(program)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=60)


SYSTEMS = pytest.mark.parametrize("platform", ["win32", "darwin"])


def test_what_is_hidden() -> None:
    modules, single = missing("win32")
    assert {"fcntl", "grp", "pwd", "resource", "termios"} <= set(modules)
    assert {"fork", "geteuid", "register_at_fork", "sysconf"} <= set(single["os"])
    assert {"SIGHUP", "SIGKILL", "pthread_sigmask"} <= set(single["signal"])
    assert "SIGTERM" not in single["signal"]
    modules, single = missing("darwin")
    assert not {"fcntl", "resource"} & set(modules)
    assert {"pidfd_open", "posix_fallocate"} <= set(single["os"])
    assert "fork" not in single["os"]


IMPORT_ALL = """
for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
    if module.name not in others and "hook-" not in module.name:
        try:
            importlib.import_module(module.name)
        except Exception as error:
            print(module.name, repr(error))
"""


@SYSTEMS
def test_every_module_can_be_imported(platform: str, tmp_path: Path) -> None:
    others = OF_COMMANDS if platform == "win32" else set()
    done = run(platform, f"import pytheus as package; others = {others}", IMPORT_ALL, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_plugin_for_redis_can_be_imported_on_windows(tmp_path: Path) -> None:
    pytest.importorskip("pytheus_redis")
    done = run("win32", "import redis, pytheus_redis as package; others = ()", IMPORT_ALL, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


MULTIPROCESS = """
import pytheus
from pytheus.exceptions import SelectionError
try:
    pytheus.configure(registry="multiprocess://" + os.getcwd() + "/shards?process_metrics=false")
    pytheus.Counter("orders_total", "Orders.").inc()
    print(pytheus.generate_metrics())
except SelectionError as error:
    print(error)
"""


def test_the_registry_multiprocess_works_on_macos(tmp_path: Path) -> None:
    pytest.importorskip("pytheus_multiprocess")
    done = run("darwin", MULTIPROCESS, cwd=tmp_path)
    assert "\norders_total 1.0\n" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_the_registry_multiprocess_says_in_one_line_that_it_needs_posix(tmp_path: Path) -> None:
    pytest.importorskip("pytheus_multiprocess")
    done = run("win32", MULTIPROCESS, cwd=tmp_path)
    [line] = done.stdout.splitlines()
    assert "needs the file locks of POSIX (fcntl), which this system does not have; use the registry 'redis'" in line
    assert (done.returncode, done.stderr) == (0, "")
    assert not Path(tmp_path, "shards").exists()


USE = """
import pytheus
from pytheus import REGISTRY, Counter, Gauge, Histogram, Summary, generate_metrics, make_asgi_app, make_wsgi_app
from pytheus.collectors import register_runtime_collectors
from pytheus.compose import expiring

orders = Counter("orders_total", "Orders.", ["method"])
orders.labels("card").inc()
Gauge("depth", "Depth.").set_to_current_time()
latency = Histogram("latency_seconds", "Latency.")

@latency.time()
async def answer():
    pass

asyncio.run(answer())
register_runtime_collectors()
REGISTRY.register(expiring(pytheus.CollectorRegistry(), after_seconds=60))
server = pytheus.start_http_server(0)
with urllib.request.urlopen(server.url) as response:
    text = response.read().decode()
server.close()
assert 'orders_total{method="card"} 1.0' in text and "latency_seconds_count 1.0" in text, text
assert "python_info" in text and "python_gc_collections_total" in text, text
[body] = make_wsgi_app()({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None)
assert b"orders_total" in body

sent = []

async def receive():
    await asyncio.sleep(3600)

async def send(message):
    sent.append(message)

asyncio.run(make_asgi_app()({"type": "http", "method": "GET", "headers": []}, receive, send))
assert b"orders_total" in sent[1]["body"]
"""


@SYSTEMS
def test_metrics_collectors_and_servers_work(platform: str, tmp_path: Path) -> None:
    done = run(platform, USE, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_program_runs_under_pytheus_run_on_windows(tmp_path: Path) -> None:
    Path(tmp_path, "program.py").write_text(
        "import pytheus\npytheus.Counter('runs_total', 'Runs.').inc()\nprint(pytheus.generate_metrics())"
    )
    done = run(
        "win32",
        "from pytheus.cli.__main__ import main",
        "sys.argv = ['pytheus', 'run', '--port', '0', 'program.py']",
        "main()",
        cwd=tmp_path,
    )
    assert "runs_total 1.0" in done.stdout, done.stderr
    assert done.returncode == 0
