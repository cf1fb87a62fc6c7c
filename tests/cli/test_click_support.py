"""What the commands have in common: colour, pipes that close, tables."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

import pytest

from pytheus.cli.click_support import table
from tests.cli.conftest import Pytheus
from tests.cli.programs import execute


def test_there_is_no_colour_but_on_a_terminal(pytheus: Pytheus) -> None:
    assert "\x1b" not in pytheus("plugins").out


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX's")
@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_has_colour_unless_it_is_not_wanted(no_color: str, coloured: bool) -> None:
    import pty

    terminal, end = pty.openpty()
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "pytheus", "plugins"],
        env=os.environ | {"NO_COLOR": no_color},
        stdin=subprocess.DEVNULL,
        stdout=end,
    )
    os.close(end)
    # In pieces, because the output may arrive late through the terminal; its end is an error on Linux.
    pieces: list[bytes] = []
    with suppress(OSError):
        while piece := os.read(terminal, 65536):
            pieces.append(piece)
    os.close(terminal)
    shown = b"".join(pieces).decode()
    assert ended.returncode == 0
    assert "active" in shown
    assert ("\x1b[32m" in shown) is coloured


@pytest.mark.skipif(os.name == "nt", reason="it is bash that closes the pipe")
@pytest.mark.parametrize("arguments", ["check default --verbose --json", "--help", "--version"])
def test_a_reader_that_leaves_early_is_no_error(arguments: str) -> None:
    command = f'"{sys.executable}" -P -m pytheus {arguments}'
    ended = execute("bash", "-c", f"{command} | true")
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("command", ["config", "plugins", "check", "new", "completion"])
def test_help_has_examples(command: str, pytheus: Pytheus) -> None:
    arguments = [command, "registry"] if command == "new" else [command]
    ended = pytheus(*arguments, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert f"Usage: pytheus {' '.join(arguments)} " in ended.out
    assert "examples:" in ended.out


def test_columns_stand_below_each_other() -> None:
    assert table([("a", "\x1b[32mgreen\x1b[0m", "x"), ("long", "b", "")]) == [
        "a     \x1b[32mgreen\x1b[0m  x",
        "long  b",
    ]
    assert table([]) == []
