"""``pytheus run -- COMMAND``: a command of its own process, with metrics that are served from beside it."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.cli.programs import refused, run

pytest.importorskip("pytheus_multiprocess", reason="needs the plugin pytheus-multiprocess, which shares a registry")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")

if TYPE_CHECKING:
    from tests.conftest import Start

PYTHEUS = (sys.executable, "-P", "-m", "pytheus")
SHARED = ("--registry", "multiprocess", "--port", "0")


def test_a_command_gets_its_arguments_and_its_output_is_its_own(tmp_path: Path) -> None:
    ended = run(tmp_path, "--quiet", *SHARED, "--", "echo", "-n", "--registry", "x y")
    assert ended == (0, "--registry x y", "")


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -KILL $$", 128 + signal.SIGKILL)]
)
def test_the_exit_status_is_the_commands_as_shells_give_it(tmp_path: Path, script: str, code: int) -> None:
    assert run(tmp_path, "--quiet", *SHARED, "--", "sh", "-c", script).code == code


_HEARS = """
import os, signal, sys, time
def hear(number, frame):
    print("heard", signal.Signals(number).name, flush=True)
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), hear)
print("ready", os.getpid(), flush=True)
while True:
    time.sleep(0.05)  # not pause(), which sleeps over a signal that comes just before it
"""


def test_signals_are_passed_on_once(tmp_path: Path, start: Start) -> None:
    names = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGQUIT", "SIGTTIN", "SIGTTOU"]
    program = start(*PYTHEUS, "run", *SHARED, "--", sys.executable, "-c", _HEARS, *names, cwd=tmp_path)
    child = int(program.wait_for(r"^ready (\d+)$")[1])
    for name in names:
        program.process.send_signal(getattr(signal, name))
        program.wait_for(f"^heard {name}$")
    assert [line for line in program.lines if line.startswith("heard")] == [f"heard {name}" for name in names]
    os.kill(child, signal.SIGKILL)
    assert program.process.wait(120) == 128 + signal.SIGKILL


def test_the_command_blocks_no_signal_and_ignores_none_that_only_the_interpreter_ignores(tmp_path: Path) -> None:
    ended = run(tmp_path, "--quiet", *SHARED, "--", "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
    masks = dict(re.findall(r"Sig(\w+):\s+([0-9a-f]+)", ended.out))
    assert int(masks["Blk"], 16) == 0
    assert int(masks["Ign"], 16) & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1) == 0


def test_the_registry_is_handed_on_with_its_options(tmp_path: Path) -> None:
    shared = f"multiprocess://{quote(str(tmp_path))}/shards?prefix=shop"
    ended = run(tmp_path, "--quiet", "--port", "0", "--registry", shared, "--", "printenv", "PYTHEUS_REGISTRY")
    assert ended.out == f"{shared}\n"
    assert (tmp_path / "shards").is_dir()  # it was named, so it is not ours to remove


def test_the_environment_may_choose_the_registry(tmp_path: Path) -> None:
    command = ("--quiet", "--port", "0", "--", "printenv", "PYTHEUS_REGISTRY")
    place = tmp_path / "temporary"
    place.mkdir()
    ended = run(tmp_path, *command, PYTHEUS_REGISTRY="multiprocess://?prefix=shop", TMPDIR=str(place))
    assert re.fullmatch(rf"multiprocess://{re.escape(quote(str(place)))}/pytheus-\w+\?prefix=shop\n", ended.out)
    assert os.listdir(place) == []


def test_a_script_may_still_follow_the_dashes(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys; print(sys.argv)")
    ended = run(tmp_path, "--quiet", "--port", "0", "--", "script.py", "-m")
    assert ended.out == "['script.py', '-m']\n"


# What is refused -----------------------------------------------------------------------------------------------------


def test_a_command_that_is_not_there_is_refused(tmp_path: Path) -> None:
    reason = refused(tmp_path, *SHARED, "--", "gunicron", "app:app")
    assert "found neither a command 'gunicron' on PATH nor a script of that name" in reason


@pytest.mark.parametrize("registry", ["default", "none"])
def test_a_registry_in_the_memory_of_one_process_is_refused(tmp_path: Path, registry: str) -> None:
    reason = refused(tmp_path, "--port", "0", "--registry", registry, "--", "echo")
    assert f"registry plugin '{registry}' (as argument) is in the memory of one process" in reason
    assert re.search("choose one that processes share; installed: .*multiprocess", reason)


def test_a_registry_that_cannot_be_had_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    address = f"multiprocess://{quote(str(tmp_path))}/open"
    reason = refused(tmp_path, "--port", "0", "--registry", address, "--", "echo")
    assert "can be written by other users (mode 777)" in reason


def test_what_is_refused_leaves_no_directory_behind(tmp_path: Path) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    assert refused(tmp_path, "--addr", "256.0.0.1", *SHARED, "--", "echo", TMPDIR=str(place))
    assert os.listdir(place) == []
