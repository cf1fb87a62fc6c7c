"""The sdist and the wheel hold the package and the startup files, which do no harm where dependencies are missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.conftest import Start

pytestmark = [pytest.mark.once, pytest.mark.network, pytest.mark.slow]

STARTUP_FILES: Final = {f"pytheus_prometheus_client_startup{suffix}" for suffix in (".py", ".pth", ".start")}


@pytest.fixture(scope="module")
def project(checkout: Path) -> Path:
    """The directory of the plugin."""
    return checkout / "plugins/pytheus-prometheus-client"


@pytest.fixture(scope="module")
def package(project: Path) -> set[str]:
    """The files of the package."""
    files = [path for path in (project / "pytheus_prometheus_client").iterdir() if path.is_file()]
    return {f"pytheus_prometheus_client/{path.name}" for path in files}


@pytest.fixture(scope="module")
def distributions(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist, and the wheel that was built from it."""
    directory = tmp_path_factory.mktemp("distributions")
    build = [sys.executable, "-P", "-m", "build", "--outdir", str(directory), str(project)]
    subprocess.run(build, check=True, cwd=directory, stdout=subprocess.DEVNULL)
    return directory


def test_the_wheel_holds_the_package_and_the_startup_files_beside_it(distributions: Path, package: set[str]) -> None:
    (wheel,) = distributions.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == package | STARTUP_FILES


def test_the_sdist_holds_what_a_build_needs_and_no_tests(distributions: Path, package: set[str]) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert names >= package | STARTUP_FILES | {"pyproject.toml", "README.md", "LICENSE"}
    assert not any("test" in name for name in names)


def test_the_wheel_without_its_dependencies_leaves_python_as_it_is(distributions: Path, tmp_path: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path)], check=True)
    python = str(tmp_path / "bin" / "python")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(install, check=True)
    for plugins in ("", "prometheus-client"):
        program = [python, "-I", "-c", "print('started')"]
        done = subprocess.run(program, env=os.environ | {"PYTHEUS_PLUGINS": plugins}, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")


GUIDE: Final = "docs/how-to/prometheus-client.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl (apt-get install curl)")
def test_the_five_commands_of_the_guide_from_nothing(
    checkout: Path,
    tmp_path: Path,
    make_venv: Callable[[Path], str],
    start: Start,
    unused_port: Callable[[], int],
) -> None:
    guide = (checkout / GUIDE).read_text()
    (tmp_path / "app.py").write_text(re.findall(r"```python\n(.*?)```", guide, re.DOTALL)[0])
    install, *commands = re.findall(r"^\$ (.*)$", guide.partition("## Five commands")[2], re.MULTILINE)[:5]
    python = make_venv(tmp_path / "environment")
    environ = {"PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}", "PYTHEUS_PURE": "1"}
    # PYTHEUS_PURE saves the minutes that a compiler takes.
    assert start("bash", "-c", install, cwd=checkout, **environ).process.wait(timeout=500) == 0
    script = "\n".join([*commands, "kill $!", "wait"])
    for port in ("9464", "8000"):
        script = script.replace(port, str(unused_port()))
    done = start("bash", "-c", script, cwd=tmp_path, **environ)
    done.wait_for(r'^orders_total{shop="north"} 100\.0$')
