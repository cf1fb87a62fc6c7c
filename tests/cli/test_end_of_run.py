"""``pytheus run`` sends the metrics of a program when it ends, once, with its outcome."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.programs import PATIENCE_SECONDS, Ended, run
from tests.push.receivers import Receiver, answering, closed_port
from tests.push.test_job import values

_SHORT_SECONDS = "0.3"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(answering(200)) as receiver:
        yield receiver


def run_source(directory: Path, source: str, *options: str, **environ: str) -> Ended:
    """Run a program that has counted three rows."""
    head = "import atexit, os, signal, sys, threading\nfrom pytheus import Counter\n"
    head += "rows = Counter('rows_total', 'Rows.')\n"
    (directory / "program.py").write_text(f"{head}rows.inc(3)\n{textwrap.dedent(source)}")
    return run(directory, "--job", "nightly", *options, "program.py", **environ)


def test_the_metrics_of_a_program_are_sent_when_it_ends(receiver: Receiver, tmp_path: Path) -> None:
    path = tmp_path / "nightly.prom"
    ended = run_source(
        tmp_path, "print('done')", "--push-gateway", receiver.url, "--grouping", "a=b", "--textfile", str(path)
    )
    assert ended == Ended(0, "done\n", "")
    (request,) = receiver.requests
    assert (request.method, request.target) == ("PUT", "/metrics/job/nightly/a/b")
    found = values(request.body)
    assert (found["rows_total"], found["batch_job_success"]) == (3, 1)
    assert "process_cpu_seconds_total" not in found  # the gateway has its own
    assert values(path.read_text())["rows_total"] == 3


def test_exit_handlers_and_threads_of_the_program_come_first(receiver: Receiver, tmp_path: Path) -> None:
    source = """
        atexit.register(rows.inc, 10)
        threading.Thread(target=lambda: (threading.Event().wait(0.1), rows.inc(100))).start()
    """
    run_source(tmp_path, source, "--push-gateway", receiver.url)
    assert values(receiver.requests[0].body)["rows_total"] == 113


@pytest.mark.parametrize(
    ("source", "code", "success"),
    [("sys.exit(3)", 3, 0), ("sys.exit()", 0, 1), ("sys.exit('no')", 1, 0), ("raise ValueError('no')", 1, 0)],
)
def test_the_outcome_is_that_of_the_program(
    receiver: Receiver, tmp_path: Path, source: str, code: int, success: int
) -> None:
    ended = run_source(tmp_path, source, "--push-gateway", receiver.url)
    assert ended.code == code
    if "ValueError" in source:
        assert ended.err.count("File ") == 1  # the traceback shows none of our frames
    assert values(receiver.requests[0].body)["batch_job_success"] == success
    assert receiver.requests[0].method == ("PUT" if success else "POST")


def test_sigterm_ends_the_program_and_sends(receiver: Receiver, tmp_path: Path) -> None:
    source = """
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            rows.inc()
    """
    ended = run_source(tmp_path, source, "--push-gateway", receiver.url)
    assert (ended.code, ended.err) == (-signal.SIGTERM, "")
    found = values(receiver.requests[0].body)
    assert (found["rows_total"], found["batch_job_success"]) == (4, 0)


def test_a_handler_of_the_program_is_its_own(receiver: Receiver, tmp_path: Path) -> None:
    source = """
        signal.signal(signal.SIGTERM, lambda *_: print("handled"))
        signal.raise_signal(signal.SIGTERM)
    """
    ended = run_source(tmp_path, source, "--push-gateway", receiver.url)
    assert ended == Ended(0, "handled\n", "")
    assert values(receiver.requests[0].body)["batch_job_success"] == 1


def test_a_receiver_that_is_down_leaves_the_exit_code(tmp_path: Path) -> None:
    ended = run_source(tmp_path, "sys.exit(3)", "--push-gateway", f"http://a:hunter2@127.0.0.1:{closed_port()}")
    assert (ended.code, ended.out) == (3, "")
    assert "not all metrics of the job 'nightly' were sent: the Pushgateway at http://a:***@127.0.0.1:" in ended.err
    assert "hunter2" not in ended.err


def test_a_receiver_that_hangs_delays_the_exit_by_the_limit(tmp_path: Path) -> None:
    released = threading.Event()
    with Receiver(lambda connection, request: released.wait()) as receiver:
        try:
            ended = run_source(tmp_path, "", "--push-gateway", receiver.url, "--push-timeout-seconds", _SHORT_SECONDS)
        finally:
            released.set()
    assert ended.code == 0
    assert "did not answer within " in ended.err


def test_a_collector_that_hangs_delays_the_exit_by_the_limit(receiver: Receiver, tmp_path: Path) -> None:
    """Also where no thread can be started any more that would go on without it."""
    source = """
        from pytheus import REGISTRY
        class Hanging:
            def collect(self):
                threading.Event().wait()
                yield
        REGISTRY.register(Hanging())
    """
    ended = run_source(tmp_path, source, "--push-gateway", receiver.url, "--push-timeout-seconds", _SHORT_SECONDS)
    assert ended.code == 0
    assert receiver.requests or "the metrics were not sent within 0.3 seconds" in ended.err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_forked_children_send_nothing_and_end_by_the_default_action(receiver: Receiver, tmp_path: Path) -> None:
    source = """
        children = []
        for act in (lambda: None, lambda: signal.raise_signal(signal.SIGTERM)):
            child = os.fork()
            if not child:
                act()
                sys.exit()
            children.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print(children)
    """
    ended = run_source(tmp_path, source, "--push-gateway", receiver.url)
    assert ended.out == f"[0, {-signal.SIGTERM}]\n"
    assert len(receiver.requests) == 1


def test_it_is_served_as_well_where_an_option_says_where(receiver: Receiver, tmp_path: Path) -> None:
    ended = run_source(tmp_path, "", "--push-gateway", receiver.url, PYTHEUS_RUN_PORT="0")
    assert "pytheus: serving metrics at http://127.0.0.1:" in ended.err
    assert "process_cpu_seconds_total" in values(receiver.requests[0].body)


def test_a_file_beside_the_program_takes_no_module_of_ours(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    for name in ("http", "ssl", "socket", "email", "urllib", "base64", "tempfile", "logging", "dataclasses"):
        (tmp_path / "src" / f"{name}.py").write_text("raise RuntimeError('the program names its own')")
    (tmp_path / "src" / "program.py").write_text("from pytheus import Counter\nCounter('rows_total', 'Rows.').inc()\n")
    options = ("--job", "nightly", "--push-gateway", receiver.url, "--textfile", "a.prom")
    assert run(tmp_path, *options, "src/program.py") == Ended(0, "", "")
    assert len(receiver.requests) == 1


@pytest.mark.skipif(os.name == "nt", reason="needs the processes of POSIX")
@pytest.mark.parametrize(("code", "success"), [(0, 1), (3, 0)])
def test_a_command_is_followed_to_its_end(receiver: Receiver, tmp_path: Path, code: int, success: int) -> None:
    pytest.importorskip("pytheus_multiprocess")
    (tmp_path / "worker.py").write_text("from pytheus import Counter\nCounter('rows_total', 'Rows.').inc(3)\n")
    both = f"{sys.executable} worker.py & {sys.executable} worker.py; wait; exit {code}"
    options = ("--registry", "multiprocess", "--job", "nightly", "--push-gateway", receiver.url)
    ended = run(tmp_path, *options, "--", "sh", "-c", both)
    assert ended == Ended(code, "", "")
    (request,) = receiver.requests
    found = values(request.body)
    assert (found["rows_total"], found["batch_job_success"]) == (6, success)


@pytest.mark.skipif(os.name == "nt", reason="needs the processes of POSIX")
def test_a_signal_for_a_command_reaches_it(receiver: Receiver, tmp_path: Path) -> None:
    pytest.importorskip("pytheus_multiprocess")
    command = [sys.executable, "-m", "pytheus", "run", "--registry", "multiprocess", "--job", "nightly"]
    command += ["--push-gateway", receiver.url, "--", "sh", "-c", "echo ready; exec sleep 100"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM
    assert values(receiver.requests[0].body)["batch_job_success"] == 0
