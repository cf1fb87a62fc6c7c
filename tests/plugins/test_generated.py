"""What `pytheus new registry` writes, as it is: built, installed beside pytheus, chosen, checked, and tested."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.network

NAME = "tea-pot_2"


class Place:
    """The generated distribution, and an environment into which its wheel was installed."""

    def __init__(self, project: Path, scripts: Path, environ: dict[str, str]) -> None:
        self.project = project
        self._environ = environ | {"PATH": f"{scripts}{os.pathsep}{environ['PATH']}"}

    def run(self, *command: str, cwd: Path | None = None, **environ: str) -> str:
        """What a command of the environment prints; it is to end with 0."""
        done = subprocess.run(
            command, cwd=cwd or self.project, env=self._environ | environ, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory,
    make_venv: Callable[[Path], str],
    outside_environ: dict[str, str],
) -> Place:
    folder = tmp_path_factory.mktemp("generated")
    python = make_venv(folder / "venv")
    place = Place(folder / "project", Path(python).parent, outside_environ)
    # The pip that comes with Python 3.11, because users do not upgrade it first.
    place.run("pip", "install", "--quiet", "pip==23.2.1", cwd=folder)
    place.run("pip", "install", "--quiet", "pytheus[cli]>=1.0", cwd=folder)
    place.run("pytheus", "new", "registry", NAME, "--directory", "project", cwd=folder)
    place.run("pip", "install", "--quiet", ".", cwd=place.project)
    return place


def test_the_commands_of_its_readme_work_as_printed(place: Place) -> None:
    develop = (place.project / "README.md").read_text("utf-8").partition("## Develop")[2]
    commands = re.findall(r"^\$ (.*)", develop, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["pip", "python", "mypy", "pytheus"]
    for command in commands:
        place.run("bash", "-c", command)


def test_it_is_listed_with_its_hook(place: Place, tmp_path: Path) -> None:
    document = json.loads(place.run("pytheus", "plugins", "--check", "--json", cwd=tmp_path))
    (plugin,) = [plugin for plugin in document["plugins"] if plugin["name"] == NAME]
    assert (plugin["state"], plugin["hooks"]) == ("available", ["pytheus_make_registry"])


def test_it_is_chosen_by_the_variable(place: Place, tmp_path: Path) -> None:
    program = (
        "from pytheus import REGISTRY, Counter, generate_metrics; Counter('cups_total', 'Cups.').inc(3)\n"
        "print(type(REGISTRY.registry).__name__, generate_metrics().splitlines()[-1])\n"
    )
    output = place.run("python", "-c", program, cwd=tmp_path, PYTHEUS_REGISTRY=f"{NAME}://?prefix=shop")
    assert output == "TeaPot2Registry shop_cups_total 3.0\n"


def test_it_passes_the_check_with_nothing_left_out(place: Place, tmp_path: Path) -> None:
    document = json.loads(place.run("pytheus", "check", NAME, "--json", cwd=tmp_path))
    assert document["sound"]
    assert not [check for check in document["checks"] if check["status"] == "left out"]


def test_it_passes_the_check_by_its_own_declarations(place: Place) -> None:
    place.run("pytheus", "check", NAME, "--conformance", "tests/test_conformance.py:TestTeaPot2Registry")


def test_ruff_reports_nothing(place: Place) -> None:
    place.run("pip", "install", "--quiet", "ruff>=0.9")
    place.run("ruff", "check", "--no-cache")
    place.run("ruff", "format", "--check", "--no-cache")
