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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytheus.cli.__main__ import main

WaitUntil = Callable[[Callable[[], object], str], None]

_PATIENCE_SECONDS = 120

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
    with _opener.open(url, timeout=_PATIENCE_SECONDS) as response:
        text: str = response.read().decode()
        return text


class Running:
    """A program under ``pytheus run``, and where its metrics are."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.stdin = process.stdin
        self.stdout = process.stdout
        announced = re.fullmatch(
            r"pytheus: serving metrics at (http://127\.0\.0\.1:(\d+)/metrics)\n", process.stderr.readline()
        )
        assert announced is not None
        self.url = announced[1]
        self.port = int(announced[2])


@contextmanager
def running(directory: Path, source: str, *options: str, **environ: str) -> Iterator[Running]:
    (directory / "program.py").write_text(source)
    with subprocess.Popen(
        [sys.executable, "-m", "pytheus", "run", "--port", "0", *options, "program.py"],
        cwd=directory,
        env={**os.environ, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        # So that a program that neither says anything nor ends is a failure, and not waited for.
        patience = threading.Timer(_PATIENCE_SECONDS, process.kill)
        patience.start()
        try:
            yield Running(process)
        finally:
            patience.cancel()
            patience.join()
            if process.poll() is None:
                process.kill()


def run(directory: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytheus", "run", *arguments],
        cwd=directory,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
    )


def refused(ended: subprocess.CompletedProcess[str]) -> str:
    """The one line that the user reads instead of the program's output."""
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("pytheus run: ")
    assert ended.stderr.count("\n") == 1
    return ended.stderr


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
        assert program.process.wait(_PATIENCE_SECONDS) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", program.port))


def test_the_process_its_collector_and_its_python_are_served_too(tmp_path: Path) -> None:
    with running(tmp_path, _COUNTS) as program:
        program.stdout.readline()
        text = scrape(program.url)

    assert "# TYPE process_cpu_seconds_total counter\n" in text
    assert "# TYPE python_gc_collections_total counter\n" in text
    assert "# TYPE python_info gauge\n" in text
    assert "pytheus_collector_errors_total" not in text


def test_a_program_that_registers_the_same_collectors_gets_no_second_ones(tmp_path: Path) -> None:
    source = "from pytheus.collectors import register_runtime_collectors\nregister_runtime_collectors()\n" + _COUNTS
    with running(tmp_path, source) as program:
        program.stdout.readline()

        assert "pytheus_collector_errors_total" not in scrape(program.url)


def test_a_registry_set_by_the_program_is_served(tmp_path: Path) -> None:
    source = (
        "from pytheus import REGISTRY, CollectorRegistry\nREGISTRY.set_registry(CollectorRegistry('shop'))\n" + _COUNTS
    )
    with running(tmp_path, source) as program:
        program.stdout.readline()
        text = scrape(program.url)

    assert "\nshop_orders_total 0.0\n" in text
    assert "# TYPE shop_process_cpu_seconds_total counter\n" in text


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
        assert program.process.wait(_PATIENCE_SECONDS) == 0

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", program.port))
        program.stdin.close()  # lets the child go


def test_quiet_says_nothing(program: Path) -> None:
    ended = run(program, "--quiet", "--port", "0", "program.py")

    assert (ended.stdout, ended.stderr) == ("ran\n", "")


def test_an_address_can_be_chosen(program: Path) -> None:
    ended = run(program, "--addr", "0.0.0.0", "--port=0", "program.py")

    assert re.fullmatch(r"pytheus: serving metrics at http://0\.0\.0\.0:\d+/metrics\n", ended.stderr)


def test_two_dashes_end_the_options(program: Path) -> None:
    (program / "-m").write_text("import sys; print(sys.argv)")

    ended = run(program, "--port", "0", "--quiet", "--", "-m", "--quiet")

    assert ended.stdout == "['-m', '--quiet']\n"


def test_a_module_may_stick_to_its_option(program: Path) -> None:
    assert run(program, "--port", "0", "--quiet", "-mprogram").stdout == "ran\n"


# The registry --------------------------------------------------------------------------------------------------------

_TELLS = """
import os, subprocess, sys
from pytheus import REGISTRY
print(REGISTRY.prefix, os.environ.get("PYTHEUS_REGISTRY"), flush=True)
if "again" not in sys.argv:
    subprocess.run([sys.executable, __file__, "again"])
"""


def test_a_registry_chosen_by_option_reaches_the_programs_children(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(_TELLS)

    ended = run(tmp_path, "--port", "0", "--registry", "default://?prefix=shop", "program.py")

    assert ended.stdout == "shop default://?prefix=shop\n" * 2


def test_the_option_wins_over_the_environment(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(_TELLS)

    ended = run(tmp_path, "--port=0", "--registry=default://?prefix=shop", "program.py", PYTHEUS_REGISTRY="redsi")

    assert ended.stdout.startswith("shop ")


def test_the_environment_chooses_without_it(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(_TELLS)

    ended = run(tmp_path, "--port", "0", "program.py", PYTHEUS_REGISTRY="default://?prefix=env")

    assert ended.stdout == "env default://?prefix=env\n" * 2


def test_without_any_choice_the_environment_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(_TELLS)

    assert run(tmp_path, "--port", "0", "program.py").stdout == "None None\n" * 2


# What it refuses, before the program starts --------------------------------------------------------------------------


def test_a_taken_port(program: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        line = refused(run(program, "--port", str(port), "program.py"))

    assert f"cannot listen on 127.0.0.1 port {port}: " in line
    assert "choose another port" in line


def test_an_unknown_registry(program: Path) -> None:
    line = refused(run(program, "--port", "0", "--registry", "defualt", "program.py"))

    assert "'defualt'" in line
    assert "did you mean 'default'?" in line


def test_an_unknown_registry_in_the_environment(program: Path) -> None:
    line = refused(run(program, "--port", "0", "program.py", PYTHEUS_REGISTRY="defualt"))

    assert "from PYTHEUS_REGISTRY" in line


def test_a_missing_script(tmp_path: Path) -> None:
    line = refused(run(tmp_path, "--port", "0", "nowhere.py"))

    assert line == f"pytheus run: can't open file '{tmp_path / 'nowhere.py'}': [Errno 2] No such file or directory\n"


def test_a_directory_that_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()

    assert "can't find '__main__' module in " in refused(run(tmp_path, "--port", "0", "app"))


@pytest.mark.parametrize("module", ["nowhere", "json.nowhere", "json.tool.nowhere", ".json", "json..tool"])
def test_a_missing_module(tmp_path: Path, module: str) -> None:
    assert refused(run(tmp_path, "--port", "0", "-m", module)) == f"pytheus run: No module named {module}\n"


def test_a_package_that_is_no_program(tmp_path: Path) -> None:
    line = refused(run(tmp_path, "--port", "0", "-m", "xml"))

    assert line.endswith("'xml' is a package and cannot be directly executed\n")


@pytest.mark.parametrize("port", ["-1", "65536", "http", "", "9" * 5000, "\u0663"])
def test_a_port_that_is_none(program: Path, port: str) -> None:
    assert "--port takes a" in refused(run(program, f"--port={port}", "program.py"))


def test_an_address_of_another_machine(program: Path) -> None:
    assert "cannot listen on 192.0.2.1 port 0: " in refused(run(program, "--port=0", "--addr=192.0.2.1", "program.py"))


def test_an_unknown_option(program: Path) -> None:
    assert "unknown option '--prot' before the program" in refused(run(program, "--prot", "0", "program.py"))


@pytest.mark.parametrize("arguments", [[], ["-m"], ["--"], ["--port", "0"], ["--port"]], ids=" ".join)
def test_a_program_that_was_not_named(program: Path, arguments: list[str]) -> None:
    assert "usage: pytheus run" in refused(run(program, *arguments))


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
        "import sys; print(sys.modules.keys() & {'logging', 'email', 'http', 'asyncio', 'argparse', 'pluggy'})"
    )

    assert run(tmp_path, "--port", "0", "program.py").stdout == "set()\n"


def test_sigterm_ends_it_with_the_port_free_at_once(tmp_path: Path) -> None:
    with running(tmp_path, _COUNTS) as program:
        program.stdout.readline()
        program.process.send_signal(signal.SIGTERM)

        assert program.process.wait(_PATIENCE_SECONDS) == -signal.SIGTERM
        socket.create_server(("127.0.0.1", program.port)).close()
