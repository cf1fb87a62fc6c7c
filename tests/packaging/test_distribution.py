"""What is built from the sources: an sdist, and from that a wheel, that a fresh environment can use."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

import pytheus

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def dist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that holds the sdist and the wheel that was built from it."""
    dist = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-P", "-m", "build", "--outdir", str(dist), str(checkout)]
    # Pure: what is in a wheel is the question here, and compiling takes its time.
    subprocess.run(build, check=True, cwd=dist, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHEUS_PURE": "1"})
    return dist


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (wheel,) = dist.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel_names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


def test_the_wheel_says_that_it_is_typed(wheel_names: list[str]) -> None:
    assert "pytheus/py.typed" in wheel_names


def test_the_wheel_holds_every_module(checkout: Path, wheel_names: list[str]) -> None:
    modules = {path.relative_to(checkout).as_posix() for path in (checkout / "pytheus").rglob("*.py")}
    assert {name for name in wheel_names if name.endswith(".py")} == modules


def templates(checkout: Path) -> set[str]:
    found = (checkout / "pytheus" / "cli" / "templates").rglob("*.template")
    return {path.relative_to(checkout).as_posix() for path in found}


def test_the_wheel_holds_the_templates(checkout: Path, wheel_names: list[str]) -> None:
    assert {name for name in wheel_names if name.endswith(".template")} == templates(checkout) != set()


def test_the_wheel_holds_the_package_and_nothing_else(wheel_names: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel_names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"pytheus"}


def test_the_wheel_holds_the_license(checkout: Path, wheel: Path, wheel_names: list[str]) -> None:
    (name,) = [name for name in wheel_names if name.endswith("/LICENSE")]
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(name) == (checkout / "LICENSE").read_bytes()


def test_the_sdist_holds_what_a_build_needs(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"pyproject.toml", "setup.py", "build_backend/__init__.py", "README.md", "LICENSE"}
    assert needed | {"pytheus/__init__.py", "pytheus/py.typed"} <= names


def test_the_sdist_holds_the_templates(checkout: Path, dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in names if name.endswith(".template")} == templates(checkout)


def test_the_metadata_says_who_may_use_it(metadata: Message) -> None:
    assert (metadata["Name"], metadata["Version"]) == ("pytheus", pytheus.__version__)
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"


def test_the_runtime_dependencies_are_few(metadata: Message) -> None:
    required = [name for name in metadata.get_all("Requires-Dist", []) if "extra ==" not in name]
    assert [name.split(">=")[0] for name in required] == ["pluggy", "msgspec"]


def test_the_command_line_is_an_extra_that_needs_click_alone(metadata: Message) -> None:
    required = [name for name in metadata.get_all("Requires-Dist", []) if "extra ==" in name]
    assert [name.split(">=")[0] for name in required] == ["click"]
    assert metadata.get_all("Provides-Extra") == ["cli"]


def test_a_fresh_environment_can_use_the_wheel(wheel: Path, tmp_path: Path, make_venv: Callable[[Path], str]) -> None:
    python = make_venv(tmp_path / "venv")
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(wheel)], check=True, cwd=tmp_path)
    program = tmp_path / "program.py"
    program.write_text(
        "from pytheus import Counter, __version__, generate_metrics\n"
        "Counter('orders_total', 'Orders placed.').inc(3)\n"
        "print(generate_metrics(), end='')\n"
    )
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run([python, str(program)], check=True, capture_output=True, text=True, cwd=tmp_path, env=environ)
    assert run.stdout == "# HELP orders_total Orders placed.\n# TYPE orders_total counter\norders_total 3.0\n"
    command = Path(python).with_name("pytheus")
    version = subprocess.run([command, "--version"], check=True, capture_output=True, text=True, env=environ)
    assert version.stdout.startswith("pytheus 1.")
