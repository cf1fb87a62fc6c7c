"""A program that PyInstaller froze, without an option for pytheus: the installed hook finds its modules."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import LONG_SECONDS

pytestmark = [pytest.mark.network, pytest.mark.slow]

# Names that are loaded at first use, a server, a registry that configuration selects, and every metric type.
PROGRAM = """
import sys
from urllib.request import Request, urlopen

import pytheus
from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics, start_http_server
from pytheus.plugins import available_plugins

Counter("orders_total", "Orders.").inc(2)
Gauge("depth", "Depth.").set(1)
Histogram("wait_seconds", "Wait.").observe(0.5)
Summary("size_bytes", "Size.").observe(3)
Info("build", "Build.").info(v="1")
StateSet("door", "Door.", states=["open"]).state("open")
server = start_http_server(0)
text = urlopen(server.url).read().decode()
page = urlopen(Request(server.url, headers={"Accept": "text/html"})).read().decode()
server.close()
assert "<style>" in page and "<script>" in page, page
assert text.split("# HELP pytheus")[0] in generate_metrics(), text
print(sorted(line for line in text.splitlines() if line.startswith(("orders_total", "wait_seconds_count", "build"))))
print(type(pytheus.REGISTRY.registry).__name__, [plugin.name for plugin in available_plugins()], pytheus.COMPILED)
"""


@pytest.fixture(scope="module")
def frozen(
    tmp_path_factory: pytest.TempPathFactory,
    make_venv: Callable[[Path], str],
    pytheus_wheel: Path,
    checkout: Path,
    outside_environ: dict[str, str],
) -> Path:
    """The program, frozen in an environment that has pytheus and a plugin."""
    folder = tmp_path_factory.mktemp("frozen")
    plugin = folder / "plugin"
    shutil.copytree(checkout / "plugins/pytheus-multiprocess", plugin, ignore=shutil.ignore_patterns("tests", "build"))
    (folder / "shop.py").write_text(PROGRAM, "utf-8")
    python = make_venv(folder / "venv")
    for command in (
        ["-m", "pip", "install", "--quiet", str(pytheus_wheel), str(plugin), "pyinstaller"],
        ["-m", "PyInstaller", "--log-level", "ERROR", "shop.py"],
    ):
        subprocess.run([python, *command], check=True, cwd=folder, env=outside_environ)
    return folder / "dist" / "shop" / "shop"


@pytest.mark.timeout(LONG_SECONDS)
@pytest.mark.parametrize(("choice", "registry"), [("default", "CollectorRegistry"), ("shared", "ShardedRegistry")])
def test_a_frozen_program_counts_serves_and_chooses_its_registry(
    frozen: Path, tmp_path: Path, outside_environ: dict[str, str], pytheus_wheel: Path, choice: str, registry: str
) -> None:
    address = f"multiprocess://{tmp_path}/shards?process_metrics=false" if choice == "shared" else choice
    done = subprocess.run(
        [frozen], capture_output=True, text=True, cwd=tmp_path, env=outside_environ | {"PYTHEUS_REGISTRY": address}
    )
    is_compiled = f"cp{sys.version_info.major}{sys.version_info.minor}" in pytheus_wheel.name
    assert done.stdout.splitlines() == [
        "['build_info{v=\"1\"} 1.0', 'orders_total 2.0', 'wait_seconds_count 1.0']",
        f"{registry} ['default', 'multiprocess', 'none'] {is_compiled}",
    ], done.stderr
