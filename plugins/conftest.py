"""The plugins' tests have the fixtures of pytheus's own: see tests/conftest.py."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from pytheus import generate_metrics
from pytheus.plugins import resolve_registry
from pytheus.registry import Registry

if TYPE_CHECKING:
    from tests.conftest import Start

    WaitUntil = Callable[[Callable[[], object], str], None]

_FILE = Path(__file__).resolve().parents[1] / "tests" / "conftest.py"


def _share() -> None:
    # By its file, because no directory of tests is on sys.path. Under the name that pytest gives it where it runs both.
    module = sys.modules.get("tests.conftest")
    if module is None:
        spec = importlib.util.spec_from_file_location("tests.conftest", _FILE)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    names = ["checkout", "make_venv", "start", "start_for_module", "start_prometheus", "together"]
    names += ["_unused_port", "_wait_until", "pytest_collection_modifyitems"]
    globals().update({name: getattr(module, name) for name in names})


_share()


# A place where processes meet, in each plugin -------------------------------------------------------------------------

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

    @property
    def environ(self) -> dict[str, str]:
        """The environment of the processes."""
        # multiprocessing creates sockets there, whose paths have a hundred characters at most.
        return os.environ | {"PYTHEUS_REGISTRY": self.url, "TMPDIR": "/tmp", "PYTHONWARNINGS": "ignore"}


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


def _ways(checkout: Path, heading: str) -> set[str]:
    text = (checkout / "docs/reference/processes.md").read_text("utf-8").partition(f"\n## {heading}\n")[2]
    rows = {line.split(" | ")[0][2:] for line in text.partition("\n## ")[0].splitlines() if line.startswith("| ")}
    return rows - {"way", "server", "---"}


@pytest.fixture
def documented_ways(checkout: Path) -> Callable[[str], set[str]]:
    """Call it with a heading of docs/reference/processes.md; gives the first column of the table below it."""
    return lambda heading: _ways(checkout, heading)
