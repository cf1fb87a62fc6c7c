"""Files and folders: which are read, how they are written, and that nothing in them is lost."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("libcst", reason="libcst has no wheel for this interpreter")

from pytheus.cli.__main__ import main
from pytheus.migrate.sources import difference, migrate, sources

pytestmark = pytest.mark.once

BEFORE = 'from prometheus_client import Counter\nhits = Counter("hits", "Hits é.")\n'
AFTER = 'from pytheus import Counter\nhits = Counter("hits_total", "Hits é.")\n'


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_difference_is_a_patch_and_writes_nothing(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("app.py").write_text(BEFORE, "utf-8")
    assert main(["migrate", "app.py"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "1 file to rewrite with 1 call; left to you: 0\n"
    assert Path("app.py").read_text("utf-8") == BEFORE
    Path("a.patch").write_text(printed.out, "utf-8")
    subprocess.run(["git", "apply", "a.patch"], check=True)
    assert Path("app.py").read_text("utf-8") == AFTER


def test_writing_again_changes_nothing(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("app.py").write_text(BEFORE, "utf-8")
    assert main(["migrate", "--write", "."]) == 0
    assert Path("app.py").read_text("utf-8") == AFTER
    written = Path("app.py").stat()
    assert main(["migrate", "--write", "."]) == 0
    assert Path("app.py").stat() == written
    assert "0 files rewritten" in capsys.readouterr().err


def test_remarks_are_on_stderr_with_their_line_and_end_with_1(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("b.py").write_text("from prometheus_client import push_to_gateway\n\npush_to_gateway()\n")
    Path("a.py").write_text("from prometheus_client import *\n")
    assert main(["migrate", "."]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["a.py:1:", "b.py:3:", "0"]


@pytest.mark.parametrize(
    ("encoding", "newline"),
    [
        ("utf-8", "\n"),
        ("utf-8", "\r\n"),
        ("utf-8", "\r"),
        ("utf-8-sig", "\n"),
        ("utf-8-sig", "\r\n"),
        ("latin-1", "\n"),
        ("latin-1", "\r\n"),
    ],
)
def test_encoding_line_ends_and_mode_stay(tree: Path, encoding: str, newline: str) -> None:
    cookie = "# coding: latin-1\n" if encoding == "latin-1" else ""
    before = (cookie + BEFORE).replace("\n", newline).encode(encoding)
    Path("app.py").write_bytes(before)
    Path("app.py").chmod(0o755)
    assert main(["migrate", "--write", "app.py"]) == 0
    assert Path("app.py").read_bytes() == (cookie + AFTER).replace("\n", newline).encode(encoding)
    assert stat.S_IMODE(Path("app.py").stat().st_mode) == 0o755
    assert os.listdir() == ["app.py"]


@pytest.mark.parametrize("after", ["", "# a comment", "x = (1,\n  2)   # odd\n\n\n\t\n", "if 1:\n\tpass"])
def test_the_rest_of_a_file_stays_byte_for_byte(tree: Path, after: str) -> None:
    Path("app.py").write_text(BEFORE + after, "utf-8")
    main(["migrate", "--write", "app.py"])
    assert Path("app.py").read_text("utf-8") == AFTER + after


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"from prometheus_client import (\n", "is not Python that can be parsed"),
        (b"print 'prometheus_client'\n", "is not Python that can be parsed"),
        (b"# prometheus_client \xff\xfe\n", "is not text in its encoding"),
        (b"# coding: nothing\n# prometheus_client\n", "is not text in its encoding"),
        (b"prometheus_client\0", "pars"),
    ],
)
def test_a_file_that_cannot_be_read_is_reported_and_the_others_are_rewritten(
    tree: Path, capsys: pytest.CaptureFixture[str], content: bytes, problem: str
) -> None:
    Path("a.py").write_bytes(content)
    Path("b.py").write_text(BEFORE, "utf-8")
    assert main(["migrate", "--write", "."]) == 1
    error = capsys.readouterr().err
    assert error.startswith("a.py: ")
    assert problem in error
    assert Path("a.py").read_bytes() == content
    assert Path("b.py").read_text("utf-8") == AFTER


def test_folders_of_environments_and_links_to_folders_are_skipped(tree: Path) -> None:
    for name in ("app", ".git", ".venv", "node_modules", "own-env", "__pycache__"):
        Path(name).mkdir()
        Path(name, "a.py").write_text(BEFORE, "utf-8")
    Path("own-env", "pyvenv.cfg").touch()
    Path("app", "loop").symlink_to(tree)
    Path("app", "note.txt").write_text(BEFORE, "utf-8")
    Path("app", "stub.pyi").write_text(BEFORE, "utf-8")
    assert [path.as_posix() for path in sources([Path(), Path("app/a.py")])] == ["app/a.py", "app/stub.pyi"]


def test_a_link_to_a_file_stays_a_link(tree: Path) -> None:
    Path("real.py").write_text(BEFORE, "utf-8")
    Path("link.py").symlink_to("real.py")
    assert main(["migrate", "--write", "link.py"]) == 0
    assert Path("link.py").is_symlink()
    assert Path("real.py").read_text("utf-8") == AFTER


def test_a_folder_that_cannot_be_written_leaves_the_file(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("app.py").write_text(BEFORE, "utf-8")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    assert main(["migrate", "--write", "app.py"]) == 2
    assert Path("app.py").read_text("utf-8") == BEFORE
    assert os.listdir() == ["app.py"]


def test_names_that_one_file_passes_on_are_rewritten_in_all(tree: Path) -> None:
    Path("shop").mkdir()
    Path("shop/__init__.py").touch()
    Path("shop/prom.py").write_text("from prometheus_client import Counter, Enum\n\nEnum\n")
    use = 'Counter("hits", documentation="Hits.")\n'
    Path("shop/a.py").write_text("from .prom import Counter\n" + use)
    Path("shop/b.py").write_text("from shop.prom import Counter as C, Enum\nC" + use.removeprefix("Counter"))
    after = {each.path.name: each.after.decode() for each in migrate([Path()])}
    changed = 'Counter("hits_total", description="Hits.")\n'
    assert after == {
        "__init__.py": "",
        "prom.py": "from pytheus import Counter, StateSet as Enum\n\nEnum\n",
        "a.py": "from .prom import Counter\n" + changed,
        "b.py": "from shop.prom import Counter as C, Enum\nC" + changed.removeprefix("Counter"),
    }


def write_files(**files: str) -> None:
    Path("shop").mkdir()
    for name, source in files.items():
        Path("shop", f"{name}.py").write_text(source)


DEFINITION = 'Counter("hits", documentation="Hits.")\n'
CHANGED = 'Counter("hits_total", description="Hits.")\n'


@pytest.mark.parametrize(
    ("statement", "owner"),
    [
        ("from shop import prom", "prom."),
        ("from . import prom as p", "p."),
        ("import shop.prom", "shop.prom."),
        ("import shop.prom as p", "p."),
        ("from shop.other import Counter", ""),
        ("from shop import Counter", ""),
    ],
)
def test_names_are_followed_through_modules_and_through_more_than_one_file(
    tree: Path, statement: str, owner: str
) -> None:
    write_files(
        __init__="from .prom import *\n",
        prom="from prometheus_client import Counter\n",
        other="from .prom import Counter\n",
        use=f"{statement}\n{owner}{DEFINITION}",
    )
    outcomes = {each.path.name: each for each in migrate([Path()])}
    assert outcomes["use.py"].after.decode() == f"{statement}\n{owner}{CHANGED}"
    assert outcomes["prom.py"].after.decode() == "from pytheus import Counter\n"
    assert [each.remarks for each in outcomes.values()] == [(), (), (), ()]


def test_a_name_that_stays_in_its_file_is_reported_where_it_is_imported(tree: Path) -> None:
    fallback = (
        "try:\n    from prometheus_client import Counter\nexcept ImportError:\n    class Counter: ...\n"
        "HITS = Counter('hits', '')\n"
    )
    write_files(
        __init__="",
        prom=fallback,
        use=f"from .prom import Counter\n{DEFINITION}",
        third=f"from shop.use import Counter as C\nC{DEFINITION.removeprefix('Counter')}",
        fourth=f"from shop import prom\n\nprom.{DEFINITION}",
    )
    outcomes = {each.path.name: each for each in migrate([Path()])}
    assert all(each.after == each.before for each in outcomes.values())
    lines = {name: [remark.line for remark in each.remarks] for name, each in outcomes.items()}
    assert lines == {"__init__.py": [], "prom.py": [5], "use.py": [1], "third.py": [1], "fourth.py": [3]}


def test_a_module_that_a_file_passes_on_stays_there_and_is_reported(tree: Path) -> None:
    write_files(
        prom="import prometheus_client as pc\n\nlevel = pc.Gauge('a', '', multiprocess_mode='sum')\n",
        use=f"from .prom import pc\npc.{DEFINITION}",
        other=f"from shop import prom\n\nprom.pc.{DEFINITION}",
    )
    outcomes = {each.path.name: each for each in migrate([Path()])}
    assert outcomes["prom.py"].after.decode() == (
        "import prometheus_client as pc\nimport pytheus\n\n"
        "level = pytheus.Gauge('a', '', mode=\"sum\", processes=\"all\")\n"
    )
    assert [(each.path.name, remark.line) for each in outcomes.values() for remark in each.remarks] == [
        ("other.py", 3),
        ("use.py", 1),
    ]


def test_a_name_by_a_star_import_of_another_file_is_reported(tree: Path) -> None:
    write_files(prom="from prometheus_client import Counter\n", use=f"from .prom import *\n\n{DEFINITION}")
    remarks = {each.path.name: each.remarks for each in migrate([Path()])}
    assert [(each.line, each.subject) for each in remarks["use.py"]] == [(3, "Counter by the star import in line 1")]


def test_no_code_of_the_sources_is_executed(tree: Path) -> None:
    Path("app.py").write_text("open('executed', 'w')\n" + BEFORE, "utf-8")
    Path("conftest.py").write_text("open('executed', 'w')\n")
    Path("prometheus_client.py").write_text("open('executed', 'w')\n")
    assert main(["migrate", "."]) == 0
    assert not Path("executed").exists()


def test_without_libcst_the_command_says_so(tree: Path) -> None:
    program = (
        "import sys; sys.modules['libcst'] = None; from pytheus.cli.__main__ import main;"
        "sys.exit(main(['migrate', 'app.py']))"
    )
    Path("app.py").write_text(BEFORE, "utf-8")
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr == (
        "pytheus migrate: libcst is not installed, which this command needs; pip install 'pytheus[migrate]'\n"
    )


def test_a_file_without_changes_has_no_difference(tree: Path) -> None:
    Path("app.py").write_text(AFTER, "utf-8")
    assert [difference(each) for each in migrate([Path("app.py")])] == [""]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("a.py")
    Path("b.py").write_text(BEFORE, "utf-8")
    assert main(["migrate", ".", "--write"]) == 1
    assert "a.py: cannot be read: not a regular file" in capsys.readouterr().err
    assert Path("b.py").read_text("utf-8") == AFTER
