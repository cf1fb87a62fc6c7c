"""``pytheus run -- COMMAND``: a command gets what it gets alone, and its metrics are served from beside it."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import pytest

from tests.cli.programs import refused, run

pytest.importorskip("pytheus_multiprocess", reason="needs the plugin pytheus-multiprocess, which shares a registry")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")

if TYPE_CHECKING:
    from tests.conftest import Program, Start

WaitUntil = Callable[[Callable[[], object], str], None]

PYTHEUS = (sys.executable, "-P", "-m", "pytheus")
_WITHOUT_PIDFD: Final = "import os, sys; del os.pidfd_open; from pytheus.cli.__main__ import main; sys.exit(main())"
SHARED = ("--registry", "multiprocess", "--port", "0")


def test_a_command_gets_its_arguments_and_its_output_is_its_own(tmp_path: Path) -> None:
    ended = run(tmp_path, "--quiet", *SHARED, "--", "echo", "-n", "--registry", "x y")
    assert ended == (0, "--registry x y", "")


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -KILL $$", -9), ("kill $$", -15)]
)
def test_it_ends_as_the_command_ends(tmp_path: Path, script: str, code: int) -> None:
    assert run(tmp_path, "--quiet", *SHARED, "--", "sh", "-c", script).code == code


# Its process ----------------------------------------------------------------------------------------------------------

_TELLS = """
import json, os, resource, sys
def kept(name):
    return name not in ("PYTHEUS_REGISTRY", "PYTHEUS_RUN", "_")
try:
    os.waitpid(-1, os.WNOHANG)
    children = True
except ChildProcessError:
    children = False
json.dump({
    "pid": os.getpid(), "parent": os.getppid(), "group": os.getpgrp(), "session": os.getsid(0), "children": children,
    "descriptors": len(os.listdir("/proc/self/fd")),
    "environ": {name: value for name, value in os.environ.items() if kept(name)},
    "signals": [line for line in open("/proc/self/status") if line.startswith(("SigBlk", "SigIgn", "SigCgt"))],
    "cwd": os.getcwd(), "umask": os.umask(0), "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
    "argv": sys.argv,
}, sys.stdout)
"""


@pytest.mark.parametrize("new_session", [True, False])
def test_a_process_sees_of_itself_the_same_as_alone(tmp_path: Path, new_session: bool) -> None:
    def tell(*before: str) -> dict[str, object]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            descriptor = theirs.fileno()
            environ = os.environ | {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "web", "NOTIFY_SOCKET": str(tmp_path / "n")}
            # The process id is known only to the process itself, as under a service manager.
            launcher = (
                "import os, sys; pid = str(os.getpid());"
                " os.environ.update(LISTEN_PID=pid, WATCHDOG_PID=pid, SYSTEMD_EXEC_PID=pid);"
                " os.execv(sys.argv[1], sys.argv[1:])"
            )
            command = (sys.executable, "-c", launcher, *before, sys.executable, "-c", _TELLS, "-x", "--", "y z")
            with subprocess.Popen(
                command,
                cwd=tmp_path,
                env=environ,
                pass_fds=[descriptor],
                stdout=subprocess.PIPE,
                start_new_session=new_session,
            ) as process:
                out, _ = process.communicate(timeout=120)
            told: dict[str, object] = json.loads(out)
            assert told["pid"] == process.pid
            environ_told = told["environ"]
            assert isinstance(environ_told, dict)
            for name in ("LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID"):
                assert environ_told.pop(name) == str(process.pid)
            # These differ from one process to the next.
            told["group"], told["session"] = told["group"] == told["pid"], told["session"] == told["pid"]
            del told["pid"]
            return told

    assert tell(*PYTHEUS, "run", "--quiet", *SHARED, "--") == tell()


def test_a_notification_comes_from_the_process_that_was_started(tmp_path: Path) -> None:
    notifies = (
        "import os, socket; out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
        " out.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])"
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(120)
        environ = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        command = (*PYTHEUS, "run", "--quiet", *SHARED, "--", sys.executable, "-c", notifies)
        with subprocess.Popen(command, env=environ) as process:
            message, ancillary, _, _ = manager.recvmsg(64, socket.CMSG_SPACE(12))
    assert message == b"READY=1"
    assert struct.unpack("3i", ancillary[0][2])[0] == process.pid


def test_a_listening_socket_is_the_commands_alone(tmp_path: Path, start: Start) -> None:
    # As systemd passes it: number 3, and not closed by exec.
    hands_on = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.argv[1], sys.argv[1:])
"""
    answers = """
import os, socket, time
assert os.environ["LISTEN_PID"] == str(os.getpid())
with socket.socket(fileno=3) as listener:
    listener.accept()[0].sendall(b"hello")
print("closed", flush=True)
time.sleep(600)
"""
    command = (*PYTHEUS, "run", "--quiet", *SHARED, "--", sys.executable, "-c", answers)
    program = start(sys.executable, "-c", hands_on, *command, cwd=tmp_path)
    port = int(program.wait_for(r"^port (\d+)$")[1])
    with socket.create_connection(("127.0.0.1", port)) as client:
        assert client.recv(5) == b"hello"
    program.wait_for("^closed$")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_pipe_that_the_command_closes_is_closed(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    stays = f"import os, sys; os.close({writer}); sys.stdin.read()"
    command = (*PYTHEUS, "run", "--quiet", *SHARED, "--", sys.executable, "-c", stays)
    with subprocess.Popen(command, cwd=tmp_path, pass_fds=[writer], stdin=subprocess.PIPE) as process:
        os.close(writer)
        assert select.select([reader], [], [], 120)[0]
        assert os.read(reader, 1) == b""
        assert process.poll() is None
        process.communicate()
    os.close(reader)


def test_the_terminal_is_the_commands(tmp_path: Path) -> None:
    main, terminal = pty.openpty()
    source = (
        "import os, termios; print(os.isatty(0), os.tcgetpgrp(0) == os.getpgrp(), os.ttyname(0), flush=True);"
        " print('Z' + input(), flush=True)"
    )
    command = (*PYTHEUS, "run", "--quiet", *SHARED, "--", sys.executable, "-c", source)
    takes_it = (
        f"import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv({command[0]!r}, sys.argv[1:])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", takes_it, *command],
        cwd=tmp_path,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    ) as process:
        name = os.ttyname(terminal)
        os.close(terminal)
        os.write(main, b"typed\n")
        told = b""
        while b"Ztyped" not in told:
            assert select.select([main], [], [], 120)[0], told
            told += os.read(main, 1024)
        assert f"True True {name}".encode() in told
        assert process.wait(120) == 0
    os.close(main)


_HEARS = """
import os, signal, sys, time
def hear(number, frame):
    os.write(1, b"heard %d\\n" % number)  # unlike print(), it may be interrupted by itself
for number in sys.argv[1:]:
    signal.signal(int(number), hear)
os.write(1, b"ready %d\\n" % os.getpid())
while True:
    time.sleep(0.05)  # not pause(), which sleeps over a signal that comes just before it
"""


@pytest.mark.parametrize(
    "pytheus", [PYTHEUS, (sys.executable, "-P", "-c", _WITHOUT_PIDFD)], ids=["as the command", "as its parent"]
)
def test_every_signal_arrives_once(pytheus: tuple[str, ...], tmp_path: Path, start: Start) -> None:
    unheard = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE}
    unheard |= {signal.SIGILL, signal.SIGTRAP, signal.SIGSYS, signal.SIGTSTP}
    numbers = [str(int(number)) for number in sorted(signal.valid_signals() - unheard)]
    program = start(*pytheus, "run", *SHARED, "--", sys.executable, "-c", _HEARS, *numbers, cwd=tmp_path)
    child = int(program.wait_for(r"^ready (\d+)$")[1])
    for number in numbers:
        program.process.send_signal(int(number))
        program.wait_for(f"^heard {number}$")
    assert [line for line in program.lines if line.startswith("heard")] == [f"heard {number}" for number in numbers]
    os.kill(child, signal.SIGKILL)
    assert program.process.wait(120) in (-signal.SIGKILL, 128 + signal.SIGKILL)


def test_it_can_be_stopped_and_continued(tmp_path: Path, start: Start, wait_until: WaitUntil) -> None:
    program = start(*PYTHEUS, "run", *SHARED, "--", sys.executable, "-c", _HEARS, cwd=tmp_path)
    program.wait_for(r"^ready \d+$")
    status = Path(f"/proc/{program.process.pid}/stat")
    program.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: status.read_text().rpartition(")")[2].split()[0] == "T", "the command to be stopped")
    program.process.send_signal(signal.SIGCONT)
    wait_until(lambda: status.read_text().rpartition(")")[2].split()[0] in "RS", "the command to continue")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_it_was_killed(
    how: signal.Signals, tmp_path: Path, start: Start, wait_until: WaitUntil
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    program = start(*PYTHEUS, "run", *SHARED, "--", "sleep", "600", cwd=tmp_path, TMPDIR=str(place))
    port = int(program.wait_for(r"serving metrics at http://127\.0\.0\.1:(\d+)/")[1])
    wait_until(lambda: Path(f"/proc/{program.process.pid}/comm").read_text() == "sleep\n", "the command to run")
    assert len(os.listdir(place)) == 1
    program.process.send_signal(how)
    assert program.process.wait(120) == -how
    wait_until(lambda: os.listdir(place) == [], "the directory to be removed")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_stopping_command_is_served_until_it_has_ended(tmp_path: Path, start: Start) -> None:
    # A service manager sends the signal to every process of the service.
    source = "trap 'echo stopping; exec sleep 600' TERM; echo ready; while :; do sleep 0.05; done"
    program = start(*PYTHEUS, "run", *SHARED, "--", "sh", "-c", source, cwd=tmp_path, OF_SERVICE=str(tmp_path))
    port = int(program.wait_for(r"serving metrics at http://127\.0\.0\.1:(\d+)/")[1])
    program.wait_for("^ready$")
    asked = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                if f"OF_SERVICE={tmp_path}".encode() in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    os.kill(int(name), signal.SIGTERM)
                    asked.add(int(name))
    assert len(asked) > 1
    assert program.process.pid in asked
    program.wait_for("^stopping$")
    socket.create_connection(("127.0.0.1", port)).close()


# The first process of a container ------------------------------------------------------------------------------------

_UNSHARE: Final = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@pytest.fixture
def container(start: Start, tmp_path: Path) -> Callable[..., Program]:
    """Call it with a command, which runs in a PID namespace under a `pytheus run` that is its first process."""
    if subprocess.run([*_UNSHARE, "true"], capture_output=True).returncode != 0:
        pytest.skip("this system does not let the tests make a PID namespace")
    return lambda *command, **environ: start(
        *_UNSHARE, *PYTHEUS, "run", *SHARED, "--", *command, cwd=tmp_path, **environ
    )


def test_the_first_process_of_a_container_waits_for_orphans_while_the_command_runs(
    container: Callable[..., Program],
) -> None:
    # Each inner shell ends at once and leaves its child to the first process.
    source = """
for n in 1 2 3; do sh -c 'sleep 0.05 & echo $!'; done > pids
while kill -0 $(cat pids) 2>/dev/null; do sleep 0.05; done
echo command $$ gone
read line
"""
    program = container("sh", "-c", source)
    command = program.wait_for(r"^command (\d+) gone$")
    assert command[1] != "1"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGRTMIN + 1])
def test_signals_with_default_dispositions_end_a_container(container: Callable[..., Program], number: int) -> None:
    program = container("sh", "-c", "echo ready; exec sleep 600")
    program.wait_for("^ready$")
    first = int(Path(f"/proc/{program.process.pid}/task/{program.process.pid}/children").read_text())
    os.kill(first, number)
    assert program.process.wait(120) == 128 + number


def test_the_variables_of_a_container_name_the_command(container: Callable[..., Program]) -> None:
    source = 'echo "$LISTEN_PID" is $$; echo other $WATCHDOG_PID; exit 7'
    program = container("sh", "-c", source, LISTEN_PID="1", WATCHDOG_PID="4711")
    assert re.fullmatch(r"(\d+) is \1", program.wait_for("^.* is .*$")[0])
    program.wait_for("^other 4711$")
    assert program.process.wait(120) == 7


def test_a_container_whose_metrics_cannot_be_served_is_refused(container: Callable[..., Program]) -> None:
    program = container("echo", "ran", PYTHEUS_PLUGINS="no:multiprocess")
    assert program.process.wait(120) == 2
    program.wait_for("^pytheus run: .*is blocked by")
    assert "ran" not in program.lines


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


def test_plugins_of_the_configuration_file_are_passed_on(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.pytheus]\nplugins = ["default"]\n')
    assert run(tmp_path, "--quiet", *SHARED, "--", "printenv", "PYTHEUS_PLUGINS").out == "default\n"


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
