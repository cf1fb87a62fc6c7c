"""What `pytheus new registry` writes, as it is: built, installed beside pytheus, chosen, checked, and tested."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.network

NAME = "tea-house_2"


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
    pytheus_wheel: Path,
    outside_environ: dict[str, str],
) -> Place:
    folder = tmp_path_factory.mktemp("generated")
    python = make_venv(folder / "venv")
    place = Place(folder / "project", Path(python).parent, outside_environ)
    install = (python, "-m", "pip", "install", "--quiet")
    tools = ("mypy>=1.14", "pytest>=8.3", "ruff>=0.9")
    place.run(*install, f"pytheus[cli] @ {pytheus_wheel.as_uri()}", *tools, cwd=folder)
    place.run("pytheus", "new", "registry", NAME, "--directory", "project", cwd=folder)
    build = (python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder / "dist"))
    place.run(*build, str(place.project), cwd=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    place.run(*install, "--no-deps", str(wheel), cwd=folder)
    return place


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
    assert output == "TeaHouse2Registry shop_cups_total 3.0\n"


def test_it_passes_the_check_with_nothing_left_out_that_it_could_do(place: Place, tmp_path: Path) -> None:
    document = json.loads(place.run("pytheus", "check", NAME, "--json", cwd=tmp_path))
    assert document["sound"]
    assert {check["message"] for check in document["checks"] if check["status"] == "left out"} == {
        "keeps_collectors = True",
        "takes_registrations = True",
    }


def test_it_passes_the_check_by_its_own_declarations(place: Place) -> None:
    place.run("pytheus", "check", NAME, "--conformance", "tests/test_conformance.py:TestTeaHouse2Registry")


def test_its_own_tests_pass(place: Place) -> None:
    output = place.run("python", "-P", "-m", "pytest", "-p", "no:cacheprovider")
    assert "failed" not in output
    assert " passed" in output


@pytest.mark.parametrize(
    "linter",
    [["mypy", "--cache-dir", os.devnull], ["ruff", "check", "--no-cache"], ["ruff", "format", "--check", "--no-cache"]],
    ids=["mypy", "ruff check", "ruff format"],
)
def test_linters_have_nothing_to_say(linter: list[str], place: Place) -> None:
    place.run(*linter)
