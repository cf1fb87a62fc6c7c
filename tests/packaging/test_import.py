"""`import pytheus` does nothing that an application would notice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_REPORT = """
import builtins, json, os, sys, threading  # before anything is watched

before = set(sys.modules)
read = []
opened = []

class Watched(dict):
    def __getitem__(self, name):
        read.append(name)
        return super().__getitem__(name)
    def get(self, name, default=None):
        read.append(name)
        return super().get(name, default)
    def __contains__(self, name):
        read.append(name)
        return super().__contains__(name)

os.environ = Watched(os.environ)
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)

compiled = []
compile_ = builtins.compile
def compile(source, filename, *mode, **options):
    if filename == "<string>":  # no file, which has no bytecode yet
        compiled.append(source)
    return compile_(source, filename, *mode, **options)
builtins.compile = compile

import pytheus

code = (".py", ".pyc", ".so", ".pyd")
report = {
    "modules": sorted(set(sys.modules) - before),
    "threads": threading.active_count(),
    "read": sorted({str(name) for name in read if str(name).startswith("PYTHEUS")}),
    "compiled": compiled.copy(),
    "opened": [path for path in opened if not path.endswith(code) and ".pyc." not in path],
}
# Last, because it makes pytheus choose the registry, which may read files and import modules.
print(json.dumps(report | {"registered": len(list(pytheus.REGISTRY.collect()))}))
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a fresh interpreter saw while it imported pytheus."""
    run = subprocess.run(
        [sys.executable, "-P", "-c", _REPORT],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("elsewhere"),
    )
    answer: dict[str, object] = json.loads(run.stdout)
    return answer


NOT_NEEDED = [
    "asyncio",
    "concurrent",
    "dataclasses",
    "email",
    "http",
    "importlib.metadata",
    "inspect",
    "logging",
    "msgspec",
    "pluggy",
    "pytheus.cli",
    "pytheus.collectors",
    "pytheus.push",
    "socket",
    "tempfile",
    "tomllib",
    "urllib",
    "wsgiref",
]


@pytest.mark.parametrize("module", NOT_NEEDED)
def test_importing_leaves_alone_what_the_default_path_does_not_need(report: dict[str, object], module: str) -> None:
    modules = report["modules"]
    assert isinstance(modules, list)
    assert [name for name in modules if name == module or name.startswith(f"{module}.")] == []


@pytest.mark.parametrize(
    ("subject", "seen"),
    [
        pytest.param("threads", 1, id="starts no thread"),
        pytest.param("opened", [], id="opens no file but code"),
        pytest.param("read", [], id="reads no setting from the environment"),
        pytest.param("registered", 0, id="registers nothing"),
    ],
)
def test_importing_has_no_effect(report: dict[str, object], subject: str, seen: object) -> None:
    assert report[subject] == seen


def test_importing_compiles_no_annotation(report: dict[str, object]) -> None:
    """The first text that a process compiles takes a millisecond, because Python then makes the types of `ast`.

    A NamedTuple compiles each annotation that is a string, as all are after ``from __future__ import annotations``, and
    so does the bound of a TypeVar.
    """
    assert report["compiled"] == []


def test_importing_prints_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-W", "error", "-c", "import pytheus"]
    run = subprocess.run(command, capture_output=True, cwd=tmp_path)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")
