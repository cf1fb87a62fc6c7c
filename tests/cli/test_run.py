"""``pytheus run``: what it serves, what it refuses, and what it hands on."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

import pytest

from pytheus.cli.__main__ import main
from tests.cli.programs import PATIENCE_SECONDS, execute, refused, run

_COUNTS = """
import sys
from pytheus import Counter

orders = Counter("orders_total", "Orders placed.")
print("ready", flush=True)
for line in sys.stdin:
    orders.inc(float(line))
    print("counted", flush=True)
"""

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def scrape(url: str) -> str:
    with _opener.open(url, timeout=PATIENCE_SECONDS) as response:
        text: str = response.read().decode()
        return text


class Running(NamedTuple):
    """A program under ``pytheus run``, and where its metrics are."""

    process: subprocess.Popen[str]
    stdin: IO[str]
    stdout: IO[str]
    url: str
    port: int


@contextmanager
def running(directory: Path, source: str) -> Iterator[Running]:
    (directory / "program.py").write_text(source)
    with subprocess.Popen(
        [sys.executable, "-m", "pytheus", "run", "--port", "0", "program.py"],
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        # So that a program that neither says anything nor ends is a failure, and not waited for.
        patience = threading.Timer(PATIENCE_SECONDS, process.kill)
        patience.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stderr.readline()
            announced = re.fullmatch(r"pytheus: serving metrics at (http://127\.0\.0\.1:(\d+)/metrics)\n", line)
            assert announced is not None
            yield Running(process, process.stdin, process.stdout, announced[1], int(announced[2]))
        finally:
            patience.cancel()
            patience.join()
            if process.poll() is None:
                process.kill()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The directory of a program that says so when it runs."""
    (tmp_path / "program.py").write_text("print('ran')")
    return tmp_path


# What it serves ------------------------------------------------------------------------------------------------------


def test_the_programs_metrics_are_served_while_it_runs(tmp_path: Path) -> None:
    with running(tmp_path, _COUNTS) as program:
        assert program.stdout.readline() == "ready\n"
        assert "\norders_total 0.0\n" in scrape(program.url)

        program.stdin.write("2.5\n")
        program.stdin.flush()
        assert program.stdout.readline() == "counted\n"
        assert "\norders_total 2.5\n" in scrape(program.url)

        program.stdin.close()
        assert program.process.wait(PATIENCE_SECONDS) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", program.port))


@pytest.mark.parametrize(
    ("before", "prefix"),
    [
        pytest.param("", "", id="nothing done"),
        pytest.param(
            "from pytheus.collectors import register_runtime_collectors\nregister_runtime_collectors()\n",
            "",
            id="the same collectors registered",
        ),
        pytest.param(
            "from pytheus import REGISTRY, CollectorRegistry\nREGISTRY.set_registry(CollectorRegistry('shop'))\n",
            "shop_",
            id="another registry set",
        ),
    ],
)
def test_the_process_its_collector_and_its_python_are_served_too(before: str, prefix: str, tmp_path: Path) -> None:
    with running(tmp_path, before + _COUNTS) as program:
        program.stdout.readline()
        text = scrape(program.url)

    assert f"\n{prefix}orders_total 0.0\n" in text
    assert f"# TYPE {prefix}process_cpu_seconds_total counter\n" in text
    assert f"# TYPE {prefix}python_gc_collections_total counter\n" in text
    assert f"# TYPE {prefix}python_info gauge\n" in text
    assert "pytheus_collector_errors_total" not in text


def test_a_thread_that_outlives_the_main_program_is_served(tmp_path: Path) -> None:
    source = f"""
import threading

def work():
    threading.main_thread().join()
    exec({_COUNTS!r})

threading.Thread(target=work).start()
"""
    with running(tmp_path, source) as program:
        assert program.stdout.readline() == "ready\n"

        assert "\norders_total 0.0\n" in scrape(program.url)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_forked_child_that_stays_does_not_serve(tmp_path: Path) -> None:
    source = """
import os, sys
if os.fork() == 0:
    sys.stdin.readline()
    os._exit(0)
"""
    with running(tmp_path, source) as program:
        assert program.process.wait(PATIENCE_SECONDS) == 0

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", program.port))
        program.stdin.close()  # lets the child go


@pytest.mark.parametrize("arguments", [["program.py"], ["-mprogram"]], ids=" ".join)
def test_quiet_says_nothing(program: Path, arguments: list[str]) -> None:
    assert run(program, "--quiet", "--port", "0", *arguments) == (0, "ran\n", "")


def test_an_address_can_be_chosen(program: Path) -> None:
    ended = run(program, "--addr", "0.0.0.0", "--port=0", "program.py")

    assert re.fullmatch(r"pytheus: serving metrics at http://0\.0\.0\.0:\d+/metrics\n", ended.err)


def test_two_dashes_end_the_options(program: Path) -> None:
    (program / "-m").write_text("import sys; print(sys.argv)")

    assert run(program, "--port", "0", "--quiet", "--", "-m", "--quiet").out == "['-m', '--quiet']\n"


# The registry --------------------------------------------------------------------------------------------------------

_TELLS = """
import os, subprocess, sys
from pytheus import REGISTRY
print(REGISTRY.prefix, os.environ.get("PYTHEUS_REGISTRY"), flush=True)
if "again" not in sys.argv:
    subprocess.run([sys.executable, __file__, "again"])
"""


@pytest.mark.parametrize(
    ("options", "environ", "told"),
    [
        pytest.param(["--registry", "default://?prefix=shop"], {}, "shop default://?prefix=shop", id="option"),
        pytest.param(
            ["--registry=default://?prefix=shop"],
            {"PYTHEUS_REGISTRY": "redsi"},
            "shop default://?prefix=shop",
            id="option before environment",
        ),
        pytest.param([], {"PYTHEUS_REGISTRY": "default://?prefix=env"}, "env default://?prefix=env", id="environment"),
        pytest.param([], {}, "None None", id="neither"),
    ],
)
def test_a_registry_that_is_chosen_reaches_the_programs_children(
    options: list[str], environ: dict[str, str], told: str, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(_TELLS)

    assert run(tmp_path, "--port", "0", *options, "program.py", **environ).out == f"{told}\n" * 2


_PASSES_ON = """
import os, subprocess, sys
print(os.environ.get("PYTHEUS_PLUGINS"), flush=True)
os.chdir("/")
subprocess.run([sys.executable, "-c", "import os; print(os.environ.get('PYTHEUS_PLUGINS'))"])
"""


@pytest.mark.parametrize(
    ("configuration", "variable", "told"),
    [
        ('plugins = ["default", "no:redis"]', None, "default,no:redis"),
        ('plugins = ["no:redis"]', "default", "default,no:redis"),
        ('registry = "default"', None, None),
        ('registry = "default"', "default", "default"),
    ],
)
def test_plugins_of_the_configuration_file_reach_the_programs_children(
    configuration: str, variable: str | None, told: str | None, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.pytheus]\n{configuration}\n")
    (tmp_path / "program.py").write_text(_PASSES_ON)
    environ = {} if variable is None else {"PYTHEUS_PLUGINS": variable}
    environ |= {"PYTHONWARNINGS": "ignore"}  # of a name that is blocked and not installed
    ended = run(tmp_path, "--port", "0", "program.py", **environ)
    assert ended.out == f"{told}\n" * 2


# What it refuses, before the program starts --------------------------------------------------------------------------


def test_a_taken_port(program: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        line = refused(program, "--port", str(port), "program.py")

    assert f"cannot listen on 127.0.0.1 port {port}: " in line
    assert "choose another port" in line


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        pytest.param(
            ["--registry", "defualt", "program.py"],
            {},
            ["'defualt'", "did you mean 'default'?"],
            id="unknown registry",
        ),
        pytest.param(
            ["program.py"],
            {"PYTHEUS_REGISTRY": "defualt"},
            ["from PYTHEUS_REGISTRY"],
            id="unknown registry in the environment",
        ),
        pytest.param(
            ["--addr=192.0.2.1", "program.py"],
            {},
            ["cannot listen on 192.0.2.1 port 0: "],
            id="address of another machine",
        ),
        pytest.param(["--prot", "0", "program.py"], {}, ["unknown option '--prot' before the program"], id="option"),
        pytest.param(["app"], {}, ["can't find '__main__' module in "], id="directory"),
        pytest.param(["-m", "xml"], {}, ["'xml' is a package and cannot be directly executed\n"], id="package"),
    ],
)
def test_what_it_cannot_run(arguments: list[str], environ: dict[str, str], words: list[str], program: Path) -> None:
    (program / "app").mkdir()
    line = refused(program, "--port=0", *arguments, **environ)
    assert [word for word in words if word not in line] == []


def test_a_missing_script(tmp_path: Path) -> None:
    line = refused(tmp_path, "--port", "0", "nowhere.py")

    assert line == f"can't open file '{tmp_path / 'nowhere.py'}': [Errno 2] No such file or directory\n"


@pytest.mark.parametrize("module", ["nowhere", "json.nowhere", "json.tool.nowhere", ".json", "json..tool"])
def test_a_missing_module(tmp_path: Path, module: str) -> None:
    assert refused(tmp_path, "--port", "0", "-m", module) == f"No module named {module}\n"


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        pytest.param(["tool", "x y"], ["-m tool 'x y'"], id="a module"),
        pytest.param(["job"], ["job.py"], id="a script without its suffix"),
        pytest.param(["-m", "job.py", "-v"], ["job.py -v"], id="a script as a module"),
        pytest.param(["python", "job.py"], ["job.py", "--registry redis:///1 -- python job.py"], id="python"),
        pytest.param(["cat", "-v"], ["--registry redis:///1 -- cat -v"], id="a command"),
        pytest.param(["-m", "cat"], ["--registry redis:///1 -- cat"], id="a command as a module"),
    ],
)
def test_it_says_what_may_be_meant(arguments: list[str], meant: list[str], program: Path) -> None:
    (program / "tool").mkdir()
    (program / "tool" / "__main__.py").touch()
    (program / "job.py").touch()
    (program / "bin").mkdir()
    for name in ("python", "cat"):
        (program / "bin" / name).write_text("#!/bin/sh\n")
        (program / "bin" / name).chmod(0o755)
    directory = program / "elsewhere" if arguments[0] == "tool" else program
    directory.mkdir(exist_ok=True)
    environ = {"PATH": f"{program / 'bin'}", "PYTHONPATH": str(program) if arguments[0] == "tool" else ""}
    line = refused(directory, "--registry", "redis:///1", *arguments, **environ)
    suggested = [text if text.startswith("--") else f"--registry redis:///1 {text}" for text in meant]
    expected = " or ".join(f"`pytheus run {text}`" for text in suggested)
    assert re.search(rf"; did you mean {re.escape(expected)}( \(with \S+ installed\))?\?$", line), line


@pytest.mark.parametrize(
    ("arguments", "rest"),
    [(["program.py", "a b"], "program.py 'a b'"), (["-m", "program", "-x"], "-m program -x")],
)
def test_without_a_directory_it_says_how_one_is_made(arguments: list[str], rest: str, program: Path) -> None:
    pytest.importorskip("pytheus_multiprocess")
    line = refused(program, "--registry", "multiprocess", *arguments)
    assert line.endswith(f"`pytheus run --registry multiprocess -- python {rest}`\n")
    line = refused(program, *arguments, PYTHEUS_REGISTRY="multiprocess")
    assert line.endswith(f"`pytheus run -- python {rest}`\n")
    line = refused(program, "--registry", f"multiprocess://{program}/shards?speed=1", *arguments)
    assert " -- " not in line


def test_a_plugin_that_is_not_installed_is_named(program: Path) -> None:
    source = "import sys, importlib.metadata as m; m.distributions = lambda **_: iter(()); sys.argv[1:1] = ['run']"
    source += "; from pytheus.cli.__main__ import main; sys.exit(main())"
    for registry in ("multiprocess", "redis://h"):
        command = (sys.executable, "-P", "-c", source, "--registry", registry, "--", "true")
        ended = execute(*command, cwd=program)
        assert f"install pytheus-{registry.partition(':')[0]}; available: default, none" in ended.refusal
    ended = execute(sys.executable, "-P", "-c", source, "--", "true", cwd=program)
    assert "install pytheus-multiprocess first (pytheus run --registry multiprocess -- COMMAND)" in ended.refusal


@pytest.mark.parametrize("port", ["-1", "65536", "http", "", "9" * 5000, "\u0663"])
def test_a_port_that_is_none(program: Path, port: str) -> None:
    assert "--port takes a" in refused(program, f"--port={port}", "program.py")


@pytest.mark.parametrize("arguments", [[], ["-m"], ["--"], ["--port", "0"], ["--port"]], ids=" ".join)
def test_a_program_that_was_not_named(program: Path, arguments: list[str]) -> None:
    assert "usage: pytheus run" in refused(program, *arguments)


def test_nothing_of_the_environment_changes_on_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHEUS_REGISTRY", raising=False)
    monkeypatch.setattr(sys, "argv", ["pytheus", "run"])
    monkeypatch.setattr(sys, "orig_argv", list(sys.orig_argv))
    monkeypatch.setattr(sys, "path", list(sys.path))

    assert main(["run", "--registry", "none", str(tmp_path / "nowhere.py")]) == 2

    assert "PYTHEUS_REGISTRY" not in os.environ


def test_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0

    assert capsys.readouterr().out.startswith("usage: pytheus run [--registry NAME|URL]")


# What it leaves out ---------------------------------------------------------------------------------------------------


def test_nothing_is_loaded_that_a_program_may_want_to_name_itself(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import sys; print(sys.modules.keys() & {'logging', 'email', 'http', 'asyncio', 'argparse', 'pluggy'})\n"
        "print(*sorted(name for name in sys.modules if name.startswith(('click', 'pytheus.cli.'))))"
    )
    ended = run(tmp_path, "--port", "0", "program.py")
    ours = [
        f"pytheus.cli.{name}"
        for name in (
            "__main__",
            "forked_children",
            "python_runner",
            "run",
            "run_options",
            "sending_options",
            "serving_options",
            "writing_options",
        )
    ]
    assert ended.out == f"set()\n{' '.join(ours)}\n", ended.err


def test_sigterm_ends_it_with_the_port_free_at_once(tmp_path: Path) -> None:
    with running(tmp_path, _COUNTS) as program:
        program.stdout.readline()
        program.process.send_signal(signal.SIGTERM)

        assert program.process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
        socket.create_server(("127.0.0.1", program.port)).close()


@pytest.mark.skipif(os.name == "nt", reason="there a socket is not a descriptor of the program")
def test_a_program_that_closes_every_descriptor_uses_their_numbers_alone(tmp_path: Path) -> None:
    source = """
import os, socket, sys

os.closerange(3, 256)
pairs = [socket.socketpair() for _ in range(20)]
for one, other in pairs:
    one.sendall(b"theirs")
if os.fork() == 0:
    os._exit(0)
os.wait()
print("ready", flush=True)
sys.stdin.readline()
print({other.recv(16) for one, other in pairs}, flush=True)
"""
    with running(tmp_path, source) as program:
        assert program.stdout.readline() == "ready\n"
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", program.port)).close()
        assert program.process.stderr is not None
        # Before the program ends, which does not wait for the server's thread.
        assert any("closed the descriptors of the metrics server" in line for line in program.process.stderr)
        program.stdin.write("\n")
        program.stdin.flush()
        assert program.stdout.readline() == "{b'theirs'}\n"
        assert program.process.wait(PATIENCE_SECONDS) == 0
