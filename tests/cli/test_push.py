"""``pytheus push``: the metrics of a shared registry, or of a file, sent once."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytheus.cli.__main__ import main
from tests.cli.programs import Ended, execute
from tests.push.receivers import Receiver, answering, closed_port

BACKUP = "# TYPE backup_bytes gauge\nbackup_bytes 5e9"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(answering(200)) as receiver:
        yield receiver


@pytest.fixture
def backup(tmp_path: Path) -> str:
    path = tmp_path / "backup.txt"
    path.write_text(BACKUP)
    return str(path)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of a command that could not be carried out."""
    assert main(["push", *arguments]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert printed.err.startswith("pytheus push: ")
    return printed.err


@pytest.fixture
def shared(tmp_path: Path) -> str:
    """The URL of a registry in which two processes have counted."""
    pytest.importorskip("pytheus_multiprocess")
    url = f"multiprocess://{tmp_path / 'shared'}"
    for _ in range(2):
        program = "from pytheus import Counter; Counter('rows_total', 'Rows.').inc(3)"
        subprocess.run([sys.executable, "-P", "-c", program], check=True, env={"PYTHEUS_REGISTRY": url})
    return url


def push(*arguments: str, stdin: str = "") -> Ended:
    return execute(sys.executable, "-P", "-m", "pytheus", "push", *arguments, stdin=stdin)


def test_the_metrics_of_all_processes_are_pushed_once(receiver: Receiver, shared: str) -> None:
    ended = push(receiver.url, "--job", "shop", "--grouping", "zone=a", "--registry", shared)
    assert ended == Ended(0, "", "")
    (request,) = receiver.requests
    assert (request.method, request.target) == ("PUT", "/metrics/job/shop/zone/a")
    assert b"\nrows_total 6.0\n" in request.body


def test_the_metrics_of_all_processes_are_written_to_a_file(shared: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.prom"
    assert push(str(path), "--registry", shared) == Ended(0, "", "")
    assert "\nrows_total 6.0\n" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    printed = push("-", "--registry", shared)
    assert (printed.code, printed.out) == (0, path.read_text())


def test_a_file_is_pushed(receiver: Receiver, backup: str) -> None:
    assert main(["push", receiver.url, "--job", "backup", "--merge", "--from", backup]) == 0
    (request,) = receiver.requests
    assert (request.method, request.target, request.body) == ("POST", "/metrics/job/backup", f"{BACKUP}\n".encode())


def test_standard_input_is_pushed(receiver: Receiver) -> None:
    assert push(receiver.url, "--job", "backup", "--from", "-", stdin=BACKUP) == Ended(0, "", "")
    assert receiver.requests[0].body == f"{BACKUP}\n".encode()


def test_a_file_is_copied_for_node_exporter(backup: str, tmp_path: Path) -> None:
    assert main(["push", str(tmp_path / "a.prom"), "--from", backup]) == 0
    assert (tmp_path / "a.prom").read_text() == f"{BACKUP}\n"


def test_a_group_is_deleted(receiver: Receiver) -> None:
    assert main(["push", receiver.url, "--job", "backup", "--grouping", "a=b", "--delete"]) == 0
    assert (receiver.requests[0].method, receiver.requests[0].target) == ("DELETE", "/metrics/job/backup/a/b")


def test_a_token_is_read_from_a_file(receiver: Receiver, backup: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    options = ["--job", "backup", "--from", backup, "--token-file", str(tmp_path / "token")]
    assert main(["push", receiver.url, *options]) == 0
    assert receiver.requests[0].headers["authorization"] == "Bearer abc"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["http://a:hunter2@b"], "a Pushgateway needs --job NAME; see `pytheus push --help`"),
        (["http://a:hunter2@b:70000", "--job", "a"], "does not have the form http://HOST"),
        (["a.prom", "--job", "a"], "--job and the options of a Pushgateway need its URL, such as http://gateway:9091"),
        (["a.prom", "--from", "a", "--registry", "b"], "--from and --registry exclude each other"),
        (["http://b", "--job", "a", "--grouping", "b"], "--grouping takes labels, each once"),
        (
            ["a.prom"],
            "is in the memory of one process, and this command is another one; choose one that processes share",
        ),
        (["a.prom", "--registry", "redsi"], "registry plugin 'redsi' (as argument) is not installed"),
        (["a.prom", "--from", "/nowhere"], "cannot read /nowhere: No such file or directory"),
        (["http://b", "--job", "a", "--timeout-seconds", "inf"], "86400"),
        (["http://b", "--job", "a", "--timeout-seconds", "nan"], "is a positive number, at most 86400"),
        (["a.prom", "--timeout-seconds", "1e11"], "86400"),
        (["http://b..c", "--job", "a", "--from", "-"], "has a host that cannot be a name"),
    ],
)
def test_a_mistake_is_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, *arguments)
    assert message in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1\n\na\n", "line 3 of {} is not valid in Prometheus's text format; write NAME"),
        ("{", "line 1 of {} is"),
        ("a", "line 1 of {} is"),
        ("a 1 1700000000000", "line 1 of {} is"),
        ('a 1 # {b="c"} 1', "line 1 of {} is"),
        ("a{b=c} 1", "line 1 of {} is"),
        ('a{b="c} 1', "line 1 of {} is"),
        ("a one", "line 1 of {} is"),
        ("<html>", "line 1 of {} is"),
        ("a 1\n\xff", "{} is not UTF-8: invalid start byte at byte 4"),
    ],
)
def test_a_file_that_is_not_valid_is_not_sent(
    receiver: Receiver, text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "backup.txt"
    path.write_bytes(text.encode("latin-1"))
    assert message.format(path) in refusal(capsys, receiver.url, "--job", "a", "--from", str(path))
    assert receiver.requests == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a 1",
        "a  -1.5e-7 ",
        "a +Inf",
        "a NaN",
        'a{b="c,}\\"\\\\\\n", d = "é",} 1',
        "a{} 1",
        '{"a.b", c="d"} 1\r',
        "# EOF",
        "\ta\t.5E3",
    ],
)
def test_a_line_may_have_any_form_of_the_format(receiver: Receiver, text: str, tmp_path: Path) -> None:
    path = tmp_path / "backup.txt"
    path.write_text(f"# HELP a A.\n{text}\n")
    assert main(["push", receiver.url, "--job", "a", "--from", str(path)]) == 0


def test_a_registry_of_every_type_is_valid(receiver: Receiver, tmp_path: Path) -> None:
    from pytheus.push import write_textfile
    from tests.e2e.every_type import every_type

    path = tmp_path / "all.prom"
    with pytest.warns(match="has no suffix"):
        registry, _ = every_type()
    write_textfile(path, registry)
    assert main(["push", receiver.url, "--job", "a", "--from", str(path)]) == 0
    assert receiver.requests[0].body == path.read_bytes()


def test_the_words_of_the_gateway_are_shown(backup: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Receiver(answering(400, b"inconsistent")) as receiver:
        line = refusal(capsys, receiver.url, "--job", "a", "--from", backup)
    assert "and said: inconsistent; " in line
    line = refusal(capsys, f"http://a:hunter2@127.0.0.1:{closed_port()}", "--job", "a", "--from", backup)
    assert "http://a:***@127.0.0.1:" in line
    assert "cannot be reached: connection refused" in line
    assert "hunter2" not in line


def test_a_file_that_is_too_large_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytheus.cli import push as module

    monkeypatch.setattr(module, "_MAX_SOURCE_BYTES", 3)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    path = tmp_path / "backup.txt"
    path.write_text("a 1\n")
    assert "has more than 3 bytes" in refusal(capsys, str(tmp_path / "a.prom"), "--from", str(path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_waited_for_within_the_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    arguments = [str(tmp_path / "a.prom"), "--from", str(pipe), "--timeout-seconds"]
    assert f"cannot read {pipe}: it has not ended after 0.05 seconds" in refusal(capsys, *arguments, "0.05")
    writer = threading.Thread(target=pipe.write_text, args=("a 1\n",))
    writer.start()
    assert main(["push", *arguments, "100"]) == 0
    writer.join()
    assert (tmp_path / "a.prom").read_text() == "a 1\n"


def test_a_shell_without_standard_output(backup: str) -> None:
    command = [sys.executable, "-P", "-m", "pytheus", "push", "-", "--from", backup]
    ended = subprocess.run(["/bin/sh", "-c", '"$@" >&-', "sh", *command], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "there is no standard output" in ended.stderr
