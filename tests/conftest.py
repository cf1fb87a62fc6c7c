"""What tests of several modules need: programs that run beside the test, ports, environments, and patience."""

from __future__ import annotations

import gc
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from hypothesis import HealthCheck, settings

from pytheus.registry import CollectorRegistry

DEADLINE_SECONDS = 120
"""How long to wait for what should come soon. Generous: it bounds a hang, and measures nothing."""

ROOT = Path(__file__).resolve().parent.parent

# A registry that the developer's shell chose would be chosen by every test as well. Nor is what the tests read on a
# terminal, whatever the shell or CI says of colours, or of options for pytest.
_OF_PYTHEUS = ("PYTHEUS_REGISTRY", "PYTHEUS_CONFIG", "PYTHEUS_PLUGINS", "PYTHEUS_STRICT")
for _name in (*_OF_PYTHEUS, "FORCE_COLOR", "PY_COLORS", "PYTHON_COLORS", "CLICOLOR_FORCE", "PYTEST_ADDOPTS"):
    os.environ.pop(_name, None)

# What runs in a shell's background, or under nohup, ignores these, and so would every program that a test starts.
for _signal, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (getattr(signal, "SIGHUP", None), signal.SIG_DFL),
    (getattr(signal, "SIGQUIT", None), signal.SIG_DFL),
):
    if _signal is not None and signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, _handler)

# Time says nothing on a machine that other work shares. Examples are the same each time, so that a change is judged by
# itself; `--hypothesis-profile=search` looks for others.
_OPTIONS: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}
settings.register_profile("search", **_OPTIONS)
settings.register_profile("pytheus", **_OPTIONS, derandomize=True)
settings.load_profile("pytheus")


MARKERS = {
    "tests/builds/": "build",
    "tests/exposition/test_text": "build",
    "tests/exposition/test_concurrent_scrapes.py": "build",
    "tests/exposition/test_server_prometheus.py": "once",
    "tests/metrics/": "build",
    "tests/middleware/": "build",
    "tests/shards/": "build",
    "tests/test_atomic.py": "build",
    "tests/bench/": "once",
    "tests/docs/": "once",
    "tests/e2e/": "once",
    "tests/packaging/": "once",
    "tests/page/": "once",
    "tests/plugins/test_generated.py": "once",
    "tests/plugins/test_third_party.py": "once",
    "tests/cli/test_check_types.py": "once",
    "tests/testing/test_distribution_checks.py": "once",
    "tests/testing/test_plugin_packages.py": "once",
    "tests/typing/": "once",
    "plugins/pytheus-multiprocess/tests/multiprocess/test_prometheus.py": "once",
    "plugins/pytheus-multiprocess/tests/multiprocess/test_recipes.py": "once",
    "plugins/pytheus-redis/tests/redis/test_prometheus.py": "once",
    "plugins/pytheus-": "build",
}
"""The marker of every test below a path; the first entry that fits counts. See pyproject.toml for what they mean."""

OF_PROGRAMS = (
    "tests/bench/test_native_reference.py",
    "tests/contrib/test_django_postgresql.py",
    "tests/e2e/",
    "tests/page/test_quantiles_promtool.py",
    "tests/testing/lint/test_promtool.py",
    "tests/top/test_quantiles.py",
)
"""Where tests do more with the programs that only the matrix installs; they are marked `full`."""

FULL = "PYTHEUS_TEST_FULL" in os.environ
"""Whether storms and tries run at full size, as in the matrix. A module that has this name is marked `full`."""

LONG_SECONDS = 600
"""How long a test may take that is marked `network`, because a package index may be slow and some tests compile, or at
full size one that is marked `full` or `slow`, beside others on a busy machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(
                f"{item.nodeid}: processes that share the tests cannot agree on an id with an address"
            )
        path = item.path.relative_to(ROOT).as_posix()
        marker = next((marker for start, marker in MARKERS.items() if path.startswith(start)), None)
        if marker is not None and item.get_closest_marker("once") is None:
            item.add_marker(marker)
        if path.startswith(OF_PROGRAMS) or isinstance(getattr(getattr(item, "module", None), "FULL", None), bool):
            item.add_marker("full")
        long = ("network", "full", "slow") if FULL else ("network",)
        if item.get_closest_marker("timeout") is None and any(map(item.get_closest_marker, long)):
            item.add_marker(pytest.mark.timeout(LONG_SECONDS))


def pytest_collection_finish() -> None:
    # Otherwise the objects of some thousand tests delay each full collection, so that registries which are garbage
    # live on, with mapped memory, and each fork of a test tells all of them.
    if hasattr(gc, "freeze"):  # PyPy has none
        gc.freeze()
    gc.collect()


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The repository's root."""
    return ROOT


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Return as soon as `condition()` is true; fail with `what` was awaited if it never is."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {DEADLINE_SECONDS} s in vain for {what}")
        time.sleep(0.02)


@pytest.fixture(name="wait_until", scope="session")
def _wait_until() -> Callable[[Callable[[], object], str], None]:
    return wait_until


def _ports() -> Iterator[int]:
    # Each test process has its own, below those that systems give to connections and for port 0.
    mine = range(10_000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8, 32_768, 8)
    yield from itertools.islice(itertools.cycle(mine), random.SystemRandom().randrange(len(mine)), None)


_ports_left = _ports()


def unused_port() -> int:
    """A port that nothing listens on, and that no other test was given; port 0 is better where the program tells it."""
    for port in _ports_left:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("there is always a next one")


@pytest.fixture(name="unused_port", scope="session")
def _unused_port() -> Callable[[], int]:
    return unused_port


class Program:
    """A program that runs beside the test, with what it has printed so far. Ended with the test that started it."""

    def __init__(self, command: Sequence[str], *, cwd: Path, environ: dict[str, str]) -> None:
        self.command = command
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that all that it starts can be ended with it
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match of `pattern` in a line of what the program prints, stderr included, waited for."""
        found: list[re.Match[str]] = []

        def printed() -> bool:
            if self.process.poll() is not None:
                self._reader.join()
            found.extend(match for line in list(self.lines) if (match := re.search(pattern, line)))
            if not found and self.process.poll() is not None and not self._reader.is_alive():
                pytest.fail(f"{self.command} ended with {self.process.returncode} without {pattern!r}:\n{self.output}")
            return bool(found)

        wait_until(printed, f"{self.command} to print {pattern!r}")
        return found[0]

    def end(self) -> int:
        """End it as an operator would, with SIGTERM, and give its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(timeout=DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if hasattr(os, "killpg"):
            try:
                # What it has left behind would go on, and hold its output open.
                os.killpg(self.process.pid, signal.SIGKILL)
            except OSError:
                pass
        self._reader.join(DEADLINE_SECONDS)
        assert not self._reader.is_alive(), f"something holds the output of {self.command} open"
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.returncode


class Start:
    """Starts programs, and ends them with the test."""

    def __init__(self) -> None:
        self.programs: list[Program] = []

    def __call__(self, *command: str, cwd: Path, **environ: str) -> Program:
        program = Program(command, cwd=cwd, environ=os.environ | environ)
        self.programs.append(program)
        return program


@pytest.fixture
def start() -> Iterator[Start]:
    """Call it with a command, ``cwd=`` and further environment variables; gives a `Program`."""
    yield from _starting()


@pytest.fixture(scope="module")
def start_for_module() -> Iterator[Start]:
    """As `start`, for programs that all tests of a module share."""
    yield from _starting()


def _starting() -> Iterator[Start]:
    starter = Start()
    yield starter
    for program in reversed(starter.programs):
        program.end()


class Prometheus:
    """A Prometheus server that scrapes every second."""

    DATED_LATER_SECONDS = 0.01
    """More than it dates a scrape later than it began, so that scrapes are evenly spaced: up to 2 ms."""

    def __init__(self, url: str, jobs: set[str]) -> None:
        self._url, self._jobs = url, jobs

    def ask(self, question: str, **parameters: str | float) -> Any:
        """The data of the answer of its API: `question` is the path after ``/api/v1/``."""
        with urlopen(f"{self._url}/api/v1/{question}?{urlencode(parameters)}", timeout=60) as response:
            answer = json.load(response)
        assert answer["status"] == "success"
        return answer["data"]

    def query(self, promql: str, at: float | None = None) -> list[tuple[dict[str, str], float]]:
        """The labels and the value of each series of the instant vector at `at`, by default now."""
        result = self.ask("query", query=promql, **({} if at is None else {"time": f"{at:.3f}"}))["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]

    def next_scrape(self, metric: str, is_settled: Callable[[float], bool] = lambda at: True) -> float:
        """When all targets, each of which exposes `metric`, were scraped from now on; seconds since the Unix epoch."""
        begun = time.time() + self.DATED_LATER_SECONDS
        at = 0.0

        def scraped_since() -> bool:
            nonlocal at
            scrapes = self.query(f"timestamp({metric})")
            at = max((stamp for _, stamp in scrapes), default=0.0)
            # A target that did not answer the latest scrape is missing.
            is_complete = {labels["job"] for labels, _ in scrapes} == self._jobs
            return is_complete and min(stamp for _, stamp in scrapes) > begun and is_settled(at)

        wait_until(scraped_since, f"a scrape of {metric}")
        return at


@pytest.fixture(scope="session")
def start_prometheus() -> Callable[..., Prometheus]:
    """Call it with a `Start`, a directory, and by job the host and port to scrape; gives a `Prometheus`.

    `program` is the server, `features` are those to enable, and `options` has further settings of jobs, in YAML.
    """

    def start_prometheus(
        start: Start,
        home: Path,
        *,
        program: str = "prometheus",
        features: Sequence[str] = (),
        options: Mapping[str, Sequence[str]] = MappingProxyType({}),
        **targets: str,
    ) -> Prometheus:
        lines = ["global:", "  scrape_interval: 1s", "scrape_configs:"]
        for job, target in targets.items():
            lines += [f"  - job_name: {job}", "    static_configs:", f'      - targets: ["{target}"]']
            lines += [f"    {option}" for option in options.get(job, ())]
        (home / "prometheus.yml").write_text("\n".join([*lines, ""]))
        arguments = [f"--config.file={home / 'prometheus.yml'}", f"--storage.tsdb.path={home / 'tsdb'}"]
        if features:
            arguments.append(f"--enable-feature={','.join(features)}")
        for _ in range(5):
            address = f"127.0.0.1:{unused_port()}"
            server = start(program, *arguments, f"--web.listen-address={address}", cwd=home)
            wait_until(
                lambda server=server: "Server is ready" in server.output or server.process.poll() is not None,  # type: ignore[misc]  # a default binds
                "Prometheus to start",
            )
            if server.process.poll() is None:
                return Prometheus(f"http://{address}", set(targets))
            # Another program may have taken the port in the meantime.
            assert "address already in use" in server.output, server.output
        pytest.fail("Prometheus found each of five ports taken")

    return start_prometheus


@pytest.fixture(scope="session")
def make_venv() -> Callable[[Path], str]:
    """Call it with a directory for a fresh virtual environment; gives the path of its interpreter, which has pip."""

    def make(directory: Path) -> str:
        python = directory / ("Scripts" if os.name == "nt" else "bin") / "python"
        # Without ensurepip, which Debian keeps in a package of its own; the pip of this environment serves as well.
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
        install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "pip"]
        subprocess.run(install, check=True, cwd=directory)
        return str(python)

    return make


@pytest.fixture(scope="session")
def pytheus_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that the pytheus under test was installed from, which PYTHEUS_TEST_WHEEL names; else a pure one.

    For tests that are marked `network`, as building takes a package index.
    """
    if given := os.environ.get("PYTHEUS_TEST_WHEEL"):
        return Path(given)
    directory = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(directory), str(ROOT)]
    subprocess.run(build, check=True, cwd=directory, env=os.environ | {"PYTHEUS_PURE": "1"})
    (wheel,) = directory.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def outside_environ(pytheus_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """For programs in an environment of their own: nothing of this one, and pip installs the wheel as `pytheus`."""
    index = tmp_path_factory.mktemp("index")
    shutil.copy(pytheus_wheel, index)
    unwanted = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONWARNINGS", "VIRTUAL_ENV", "MYPYPATH")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted and name[:8] != "PYTHEUS_"}
    links = f"{index} {kept.get('PIP_FIND_LINKS', '')}".strip()
    return kept | {"PIP_FIND_LINKS": links, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty registry without prefix."""
    return CollectorRegistry()


def _together(*works: Callable[[], object]) -> None:
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        try:
            barrier.wait(DEADLINE_SECONDS)
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads), "a thread never ends"


@pytest.fixture(autouse=True)
def _switching(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests marked `threads` run at a switch interval of a microsecond."""
    if request.node.get_closest_marker("threads") is None:
        yield
        return
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def together() -> Callable[..., None]:
    """Call it with functions: each runs in a thread, all start at once, and the first error of any is raised."""
    return _together


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """A scheduler that keeps the tests of a module on one worker, and the blocks of a document, in order.

    Not by `xdist_group` marks: pytest-xdist 3.8 writes them into node IDs in a way that pytest 9.2 ignores.
    """
    from xdist.scheduler import LoadGroupScheduling  # type: ignore[import-untyped]  # it has no annotations

    def group(nodeid: str) -> str:
        block = re.search(r"::test_the_block_does_what_it_says\[(.+):\d+\]$", nodeid)
        return block[1] if block else nodeid.partition("::")[0]

    scheduler = LoadGroupScheduling(config, log)  # pyright: ignore[reportArgumentType]  # its type has no public name
    scheduler._split_scope = group
    return scheduler
