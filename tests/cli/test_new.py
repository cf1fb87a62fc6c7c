"""``pytheus new registry``: which names it takes, where it writes, and that it writes all or nothing.

What it writes is built, installed, checked and tested in tests/plugins/test_generated.py.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import Pytheus

FILES = {
    ".gitignore",
    "README.md",
    "pyproject.toml",
    "src/pytheus_tea_pot/__init__.py",
    "src/pytheus_tea_pot/plugin.py",
    "src/pytheus_tea_pot/py.typed",
    "src/pytheus_tea_pot/registry.py",
    "tests/test_conformance.py",
    "tests/test_options.py",
}


def contents(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_it_writes_a_whole_distribution_and_says_what_to_do_next(pytheus: Pytheus, home: Path) -> None:
    ended = pytheus("new", "registry", "tea-pot")
    assert (ended.code, ended.err) == (0, "")
    assert "\n  cd pytheus-tea-pot\n" in ended.out
    assert "\n  pytheus check tea-pot\n" in ended.out
    assert contents(home / "pytheus-tea-pot") == FILES
    assert [entry.name for entry in home.iterdir()] == ["pytheus-tea-pot"]
    texts = {name: (home / "pytheus-tea-pot" / name).read_text("utf-8") for name in FILES}
    assert [name for name, text in texts.items() if "${" in text or "$module" in text] == []


def test_the_folder_can_be_named(pytheus: Pytheus, home: Path) -> None:
    (home / "plugins").mkdir()
    assert pytheus("new", "registry", "tea-pot", "--directory", "plugins/tea").code == 0
    assert contents(home / "plugins" / "tea") == FILES


@pytest.mark.parametrize(
    ("name", "distribution", "module", "registry"),
    [
        ("redis", "pytheus-redis", "pytheus_redis", "RedisRegistry"),
        ("my_reg", "pytheus-my-reg", "pytheus_my_reg", "MyRegRegistry"),
        ("My.Reg+2", "pytheus-my-reg-2", "pytheus_my_reg_2", "MyReg2Registry"),
        ("3scale", "pytheus-3scale", "pytheus_3scale", "The3scaleRegistry"),
        ("class", "pytheus-class", "pytheus_class", "ClassRegistry"),
        ("_private-", "pytheus-private", "pytheus_private", "PrivateRegistry"),
    ],
)
def test_names_are_derived_from_the_plugins(
    name: str, distribution: str, module: str, registry: str, pytheus: Pytheus, home: Path
) -> None:
    assert pytheus("new", "registry", name, "--directory", "made").code == 0
    project = tomllib.loads((home / "made" / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == distribution
    assert project["entry-points"]["pytheus"] == {name: f"{module}.plugin"}
    source = (home / "made" / "src" / module / "registry.py").read_text("utf-8")
    assert f"\nclass {registry}:\n" in source
    compile(source, "registry.py", "exec")


@pytest.mark.parametrize("name", ["", "tea pot", "tea:pot", "../tea", "-tea", "thé", "default", "none", "__", "t" * 33])
def test_a_name_that_cannot_be_is_refused(name: str, pytheus: Pytheus, home: Path) -> None:
    assert pytheus("new", "registry", "--", name).refusal
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["plugin"], ["registry"], ["registry", "tea", "cup"]])
def test_what_it_cannot_make_is_refused_in_one_line(arguments: list[str], pytheus: Pytheus, home: Path) -> None:
    assert pytheus("new", *arguments).refusal.endswith("--help`\n")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_is_there_is_never_touched(kind: str, pytheus: Pytheus, home: Path) -> None:
    target = home / "pytheus-tea"
    if kind == "folder":
        target.mkdir()
        (target / "mine.txt").write_text("mine", "utf-8")
    elif kind == "file":
        target.write_text("mine", "utf-8")
    else:
        target.symlink_to(home / "nowhere")
    line = pytheus("new", "registry", "tea").refusal
    assert line == "pytheus new: 'pytheus-tea' exists already; name another folder with --directory\n"
    assert [entry.name for entry in home.iterdir()] == ["pytheus-tea"]
    assert kind != "folder" or contents(target) == {"mine.txt"}


def test_a_folder_that_is_missing_is_not_made(pytheus: Pytheus, home: Path) -> None:
    assert pytheus("new", "registry", "tea", "--directory", "far/off").refusal
    assert list(home.iterdir()) == []


def test_a_failure_half_way_leaves_nothing(pytheus: Pytheus, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write_text = Path.write_text

    def full_disk(self: Path, text: str, encoding: str | None = None, newline: str | None = None) -> int:
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        written.append(self.name)
        return write_text(self, text, encoding, newline=newline)

    monkeypatch.setattr(Path, "write_text", full_disk)
    ended = pytheus("new", "registry", "tea")
    monkeypatch.undo()
    assert "No space left on device" in ended.refusal
    assert len(written) == 4
    assert list(home.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="permissions are POSIX's")
def test_the_folder_is_open_to_whom_a_new_folder_is(pytheus: Pytheus, home: Path) -> None:
    pytheus("new", "registry", "tea")
    (home / "other").mkdir()
    assert (home / "pytheus-tea").stat().st_mode == (home / "other").stat().st_mode
