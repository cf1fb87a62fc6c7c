"""The addresses of a process, through /proc."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pytheus.top.processes import Listener, ProcessNotReadableError, listeners_of
from tests.conftest import Start

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc of Linux"),
]

LISTENS = """
import socket, sys, time
sockets = [socket.create_server((host, 0), family=family) for host, family in {addresses}]
print("ports", *(one.getsockname()[1] for one in sockets), flush=True)
time.sleep(1000)
"""
PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1]])
"""


def addresses(*hosts: str) -> str:
    pairs = (f"({host!r}, {'socket.AF_INET6' if ':' in host else 'socket.AF_INET'})" for host in hosts)
    return LISTENS.format(addresses=f"[{', '.join(pairs)}]")


def test_the_listening_sockets_of_a_process(start: Start, tmp_path: Path) -> None:
    program = start(sys.executable, "-c", addresses("127.0.0.1", "0.0.0.0", "127.0.0.2"), cwd=tmp_path)
    ports = [int(port) for port in program.wait_for("ports (.*)")[1].split()]
    pid = program.process.pid
    expected = {
        Listener(pid, host, port) for host, port in zip(["127.0.0.1", "127.0.0.1", "127.0.0.2"], ports, strict=True)
    }
    found = listeners_of(pid)
    assert set(found) == expected
    assert [one.port for one in found] == sorted(ports)
    assert found[0].url == f"http://{found[0].host}:{found[0].port}/metrics"


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_addresses_of_version_6(start: Start, tmp_path: Path) -> None:
    program = start(sys.executable, "-c", addresses("::1", "::"), cwd=tmp_path)
    one, any_ = (int(port) for port in program.wait_for("ports (.*)")[1].split())
    assert {listener.url for listener in listeners_of(program.process.pid)} == {
        f"http://[::1]:{one}/metrics",
        f"http://[::1]:{any_}/metrics",
    }


def test_sockets_of_children_come_after_those_of_the_process(start: Start, tmp_path: Path) -> None:
    program = start(sys.executable, "-c", PARENT, addresses("127.0.0.1"), cwd=tmp_path)
    port = int(program.wait_for("ports (.*)")[1])
    [listener] = listeners_of(program.process.pid)
    assert listener.port == port
    assert listener.pid != program.process.pid
    # This process is an ancestor of both.
    assert listener in listeners_of(os.getpid())


def test_a_process_that_listens_nowhere_has_no_addresses(start: Start, tmp_path: Path) -> None:
    program = start(sys.executable, "-c", addresses(), cwd=tmp_path)
    program.wait_for("ports")
    assert listeners_of(program.process.pid) == []


def test_a_process_that_does_not_exist() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    with pytest.raises(ProcessNotReadableError, match=f"there is no process {done.pid}; name a running process"):
        listeners_of(done.pid)


def _proc(directory: Path, *, namespace: str = "net:[1]") -> Path:
    for name in ("self", "7"):
        (directory / name / "ns").mkdir(parents=True)
        (directory / name / "ns" / "net").symlink_to(namespace if name == "7" else "net:[1]")
    (directory / "7" / "fd").mkdir()
    (directory / "7" / "net").mkdir()
    (directory / "7" / "stat").write_text("7 (a) b) S 1 7 7")
    return directory


def test_a_process_in_another_network_namespace(tmp_path: Path) -> None:
    with pytest.raises(ProcessNotReadableError, match="process 7 is in another network namespace"):
        listeners_of(7, _proc(tmp_path, namespace="net:[2]"))


def test_a_process_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proc = _proc(tmp_path)

    def refuse(path: object) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pytheus.top.processes.os.listdir", refuse)
    with pytest.raises(ProcessNotReadableError, match="process 7 belongs to another user"):
        listeners_of(7, proc)


def test_files_that_are_not_as_expected_are_left_out(tmp_path: Path) -> None:
    proc = _proc(tmp_path)
    (proc / "7" / "fd" / "3").symlink_to("socket:[99]")
    (proc / "7" / "net" / "tcp").write_text("head\nshort line\n 0: 0100007F:1F90 0 0A 0 0 0 0 0 99 1\n")
    expected = [Listener(7, "127.0.0.1", 8080)] if sys.byteorder == "little" else [Listener(7, "1.0.0.127", 8080)]
    assert listeners_of(7, proc) == expected


def test_other_systems_have_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytheus.top.processes.sys.platform", "darwin")
    with pytest.raises(ProcessNotReadableError, match="through /proc, which darwin does not have"):
        listeners_of(1)
