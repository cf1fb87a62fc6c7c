"""What is built from the sources: an sdist, and from that a wheel, that a fresh environment can use."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from fnmatch import fnmatchcase
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


@pytest.fixture(scope="module")
def sdist_names(dist: Path) -> list[str]:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        return [name.partition("/")[2] for name in archive.getnames()]


@pytest.mark.parametrize("pattern", ["*.py", "*.template", "py.typed", "*.html", "*.css", "*.js"])
def test_the_wheel_and_the_sdist_hold_the_package(
    checkout: Path, wheel_names: list[str], sdist_names: list[str], pattern: str
) -> None:
    expected = {path.relative_to(checkout).as_posix() for path in (checkout / "pytheus").rglob(pattern)}
    assert expected
    for names in (wheel_names, sdist_names):
        assert {name for name in names if fnmatchcase(name, f"pytheus/*{pattern.removeprefix('*')}")} == expected


def test_the_sdist_holds_what_a_build_needs(sdist_names: list[str]) -> None:
    assert {"pyproject.toml", "setup.py", "build_backend/__init__.py", "README.md", "LICENSE"} <= set(sdist_names)
    assert {f"pytheus_startup{suffix}" for suffix in (".pth", ".py", ".start")} <= set(sdist_names)


def test_the_wheel_holds_the_package_and_the_startup_files_beside_it(wheel_names: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel_names}
    startup_files = {f"pytheus_startup{suffix}" for suffix in (".pth", ".py", ".start")}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"pytheus"} | startup_files


def test_the_record_of_the_wheel_is_right(wheel: Path, wheel_names: list[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (record,) = [name for name in wheel_names if name.endswith(".dist-info/RECORD")]
        lines = [line.split(",") for line in archive.read(record).decode().splitlines()]
        assert sorted(name for name, _, _ in lines) == sorted(wheel_names)
        for name, digest, size in lines:
            if name != record:
                content = archive.read(name)
                expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                assert (digest, size) == (f"sha256={expected}", str(len(content)))


def test_a_process_without_settings_runs_no_code_of_the_startup_files(
    wheel: Path, tmp_path: Path, make_venv: Callable[[Path], str]
) -> None:
    python = make_venv(tmp_path / "venv")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)], check=True, cwd=tmp_path)
    shown = "import sys; print(sys.flags.verbose, [name for name in sys.modules if 'pytheus' in name])"
    # From Python 3.15 on, the start file imports the module.
    started = ["pytheus_startup"] if sys.version_info >= (3, 15) else []
    for variable, modules in (("", started), ("auto", ["pytheus_startup"])):
        environ = os.environ | {"PYTHEUS_INSTRUMENT": variable}
        ended = subprocess.run([python, "-c", shown], check=True, capture_output=True, text=True, env=environ)
        assert (ended.stdout.strip(), ended.stderr) == (f"0 {modules}", "")


def test_the_wheel_holds_the_license(checkout: Path, wheel: Path, wheel_names: list[str]) -> None:
    (name,) = [name for name in wheel_names if name.endswith("/LICENSE")]
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(name) == (checkout / "LICENSE").read_bytes()


def test_the_metadata_says_who_may_use_it(metadata: Message) -> None:
    assert (metadata["Name"], metadata["Version"]) == ("pytheus", pytheus.__version__)
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"


@pytest.mark.parametrize(
    ("extra", "names"),
    [
        (False, ["pluggy", "msgspec"]),
        (True, ["click", "isal", "backports.zstd", "cramjam", "bcrypt", "PyYAML", "click", "libcst"]),
    ],
)
def test_the_dependencies_are_few_and_the_others_are_extras(metadata: Message, extra: bool, names: list[str]) -> None:
    required = [name for name in metadata.get_all("Requires-Dist", []) if ("extra ==" in name) is extra]
    assert [name.split(">=")[0] for name in required] == names
    assert metadata.get_all("Provides-Extra") == ["cli", "gzip", "zstd", "snappy", "web", "migrate"]


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
