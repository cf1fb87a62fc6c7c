"""Compiled where it can be, pure where it must be: both kinds of wheel from one tree, and nothing left behind in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pytheus

pytestmark = pytest.mark.network

SOURCES = (
    *("LICENSE", "MANIFEST.in", "README.md", "build_backend", "pyproject.toml", "pytheus", "setup.py"),
    *("pytheus_startup.pth", "pytheus_startup.py", "pytheus_startup.start"),
)


@pytest.fixture(scope="module")
def tree(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is built, as a fresh clone has it."""
    tree = tmp_path_factory.mktemp("tree")
    for name in SOURCES:
        if (checkout / name).is_dir():
            shutil.copytree(checkout / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(checkout / name, tree)
    return tree


def wheel_of(source: Path, target: Path, **environ: str) -> str:
    """The file name of the wheel that pip builds of `source`, a tree or an sdist."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(target), str(source)]
    done = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, cwd=target.parent)
    assert done.returncode == 0, done.stderr
    (wheel,) = target.glob("*.whl")
    return wheel.name


def files(tree: Path) -> list[str]:
    return sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if "__pycache__" not in path.parts)


@pytest.mark.parametrize(
    "environ",
    [{"PYTHEUS_PURE": "1"}, {"PYTHEUS_PURE": "0", "CC": "no-such-compiler"}],
    ids=["asked for by the variable", "without a compiler"],
)
def test_a_wheel_is_pure_and_building_it_leaves_nothing_in_the_tree(
    tree: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    before = files(tree)
    assert wheel_of(tree, tmp_path / "dist", **environ).endswith("-py3-none-any.whl")
    assert files(tree) == before


@pytest.mark.slow
@pytest.mark.skipif(
    not pytheus.COMPILED, reason="built where the compiled build is tested, so that a compiler is there"
)
def test_an_sdist_gives_both(tree: Path, tmp_path: Path) -> None:
    before = files(tree)
    build = [sys.executable, "-m", "build", "--sdist", "--outdir", str(tmp_path), str(tree)]
    subprocess.run(build, check=True, cwd=tmp_path, stdout=subprocess.DEVNULL)
    (sdist,) = tmp_path.glob("*.tar.gz")
    compiled = wheel_of(sdist, tmp_path / "compiled", PYTHEUS_PURE="0")
    assert f"-cp{sys.version_info.major}{sys.version_info.minor}-cp" in compiled
    assert wheel_of(sdist, tmp_path / "pure", PYTHEUS_PURE="1").endswith("-py3-none-any.whl")
    assert files(tree) == before
