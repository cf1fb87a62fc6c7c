"""Jobs: their own metrics, one sending at the end of each run, and the outcome of the program left alone."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytheus import Counter
from pytheus.exceptions import InvalidReceiverError, PushError
from pytheus.push import job
from pytheus.registry import CollectorRegistry
from tests.push.receivers import Received, Receiver, answering, closed_port

_PATIENCE_SECONDS = 120
_SHORT_SECONDS = 0.2


@pytest.fixture
def shop() -> CollectorRegistry:
    registry = CollectorRegistry(prefix="shop")
    Counter("orders_total", "Orders.", registry=registry).inc(3)
    return registry


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(answering(200)) as receiver:
        yield receiver


def values(body: bytes | str) -> dict[str, float]:
    text = body.decode() if isinstance(body, bytes) else body
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name.partition("{")[0]: float(value) for name, _, value in lines}


def test_a_job_that_succeeds_replaces_its_metrics(receiver: Receiver, shop: CollectorRegistry) -> None:
    with job("nightly", shop, push=receiver.url, grouping={"instance": "db1"}) as measured:
        assert receiver.requests == []
    (request,) = receiver.requests
    assert (request.method, request.target) == ("PUT", "/metrics/job/nightly/instance/db1")
    found = values(request.body)
    assert found["shop_orders_total"] == 3
    assert found["batch_job_success"] == 1
    assert 0 <= found["batch_job_duration_seconds"] < _PATIENCE_SECONDS
    assert found["batch_job_last_success_timestamp_seconds"] > 1.6e9
    assert b'batch_job_success{job_name="nightly"} 1.0\n' in request.body
    assert measured.error is None
    assert "batch_job" not in str(list(shop.collect()))


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3), SystemExit("no")])
def test_a_job_that_fails_leaves_its_last_success(
    receiver: Receiver, shop: CollectorRegistry, error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught, job("nightly", shop, push=receiver.url):
        raise error
    assert caught.value is error
    (request,) = receiver.requests
    assert request.method == "POST"
    found = values(request.body)
    assert (found["shop_orders_total"], found["batch_job_success"]) == (3, 0)
    assert "batch_job_last_success_timestamp_seconds" not in found


@pytest.mark.parametrize("status", [0, None])
def test_an_exit_with_the_status_0_is_a_success(
    receiver: Receiver, shop: CollectorRegistry, status: int | None
) -> None:
    with pytest.raises(SystemExit), job("nightly", shop, push=receiver.url):
        sys.exit(status)
    assert values(receiver.requests[0].body)["batch_job_success"] == 1


def test_a_textfile_keeps_the_last_success(shop: CollectorRegistry, tmp_path: Path) -> None:
    path = tmp_path / "nightly.prom"
    name = 'nightly "a"\\b'
    with pytest.raises(ValueError, match="first"), job(name, shop, textfile=path):
        raise ValueError("first")
    assert "batch_job_last_success_timestamp_seconds" not in values(path.read_text())
    with job(name, shop, textfile=path):
        pass
    success = values(path.read_text())["batch_job_last_success_timestamp_seconds"]
    with pytest.raises(ValueError, match="third"), job(name, shop, textfile=path, mode=0o600):
        raise ValueError("third")
    found = values(path.read_text())
    assert (found["batch_job_success"], found["batch_job_last_success_timestamp_seconds"]) == (0, success)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_textfile(shop: CollectorRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(tmp_path / "nightly.prom")
    with pytest.raises(ValueError, match="first"), job("nightly", shop, textfile=tmp_path / "nightly.prom"):
        raise ValueError("first")
    assert "is not a regular file; name another one" in caplog.text


def test_each_call_of_a_decorated_function_is_a_run(receiver: Receiver, shop: CollectorRegistry) -> None:
    measured = job("nightly", shop, push=receiver.url)

    @measured
    def divide(number: int, *, by: int = 1) -> float:
        """Divide."""
        return number / by

    assert divide(6, by=2) == 3
    with pytest.raises(ZeroDivisionError):
        divide(6, by=0)
    assert divide.__doc__ == "Divide."
    first, second = (values(request.body) for request in receiver.requests)
    assert (first["batch_job_success"], second["batch_job_success"]) == (1, 0)
    last = "batch_job_last_success_timestamp_seconds"
    assert first[last] == second[last]


def test_a_coroutine_function_can_be_decorated(receiver: Receiver, shop: CollectorRegistry) -> None:
    @job("nightly", shop, push=receiver.url)
    async def work(number: int) -> int:
        await asyncio.sleep(0)
        assert receiver.requests == []
        return number

    assert asyncio.run(work(5)) == 5
    assert len(receiver.requests) == 1


def test_a_generator_function_is_refused(shop: CollectorRegistry) -> None:
    def generate() -> Iterator[int]:
        yield 1

    with pytest.raises(InvalidReceiverError, match="job 'nightly' got a generator function"):
        job("nightly", shop, textfile="a")(generate)


def test_an_error_of_the_receiver_is_logged_and_not_raised(
    shop: CollectorRegistry, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    url = f"http://a:hunter2@127.0.0.1:{closed_port()}"
    with job("nightly", shop, push=url, textfile=tmp_path / "nightly.prom") as measured:
        pass
    assert isinstance(measured.error, PushError)
    assert measured.error.reason == "connection"
    (record,) = caplog.records
    assert record.getMessage().startswith(
        "not all metrics of the job 'nightly' were sent: the Pushgateway at http://a:***@"
    )
    assert "hunter2" not in caplog.text
    assert (tmp_path / "nightly.prom").exists()  # the other receiver got them


def test_the_error_of_the_job_is_not_replaced(shop: CollectorRegistry) -> None:
    with (
        pytest.raises(ValueError, match="its own") as caught,
        job("nightly", shop, push=f"http://127.0.0.1:{closed_port()}"),
    ):
        raise ValueError("its own")
    assert caught.value.__context__ is None


def test_a_receiver_that_hangs_delays_the_end_by_the_limit(shop: CollectorRegistry) -> None:
    released = threading.Event()
    with Receiver(lambda connection, request: released.wait()) as receiver:
        try:
            with job("nightly", shop, push=receiver.url, timeout_seconds=_SHORT_SECONDS) as measured:
                pass
        finally:
            released.set()
    assert isinstance(measured.error, PushError)
    assert measured.error.reason == "timeout"


def test_a_registry_that_fails_does_not_hide_the_outcome(
    receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(CollectorRegistry):
        def collect(self) -> Iterator[Counter]:
            raise RuntimeError("no database")

    path = tmp_path / "nightly.prom"
    with job("nightly", Failing(), push=receiver.url, textfile=path) as measured:
        pass
    (request,) = receiver.requests
    assert request.method == "POST"
    assert values(request.body)["batch_job_success"] == values(path.read_text())["batch_job_success"] == 1
    assert isinstance(measured.error, PushError)
    assert measured.error.reason == "collection"


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("", {"textfile": "a"}, "a job's name is text"),
        ("\ud800", {"textfile": "a"}, "a job's name is text"),
        ("nightly", {"textfile": "a", "timeout_seconds": 0}, "timeout_seconds for job 'nightly' is a positive number"),
        ("nightly", {}, "job 'nightly' has no receiver; pass push=URL"),
        ("nightly", {"push": "gateway:9091"}, "begins with http://"),
        ("nightly", {"push": "http://a", "timeout_seconds": 0}, "timeout_seconds"),
    ],
)
def test_an_invalid_argument_is_refused_before_the_job_begins(
    name: str, arguments: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidReceiverError, match=message):
        job(name, **arguments)  # type: ignore[arg-type]  # arguments of several types


def test_a_module_of_the_package_hides_no_name() -> None:
    """An import of a module sets an attribute of its package."""
    import pkgutil

    import pytheus.push

    assert not {module.name for module in pkgutil.iter_modules(pytheus.push.__path__)} & set(pytheus.push.__all__)


# Processes -----------------------------------------------------------------------------------------------------------

needs_posix = pytest.mark.skipif(os.name == "nt", reason="needs the processes and signals of POSIX")

_PROGRAM = """
import os, signal, sys, threading
from pytheus import Counter
from pytheus.push import job
from pytheus.registry import CollectorRegistry

registry = CollectorRegistry()
rows = Counter("rows_total", "Rows.", registry=registry)
{before}
with job("nightly", registry, push=sys.argv[1]):
    rows.inc()
    {block}
print("after")
"""


def run(program: str, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", program, url], capture_output=True, text=True, timeout=_PATIENCE_SECONDS
    )


@needs_posix
def test_sigterm_ends_the_job_and_then_the_process(receiver: Receiver) -> None:
    block = """
    try:
        print("begun")
        signal.raise_signal(signal.SIGTERM)
    finally:
        rows.inc()  # the block ends as by an exception
    """
    ended = run(_PROGRAM.format(before="", block=block), receiver.url)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGTERM, "begun\n", "")
    (request,) = receiver.requests
    assert request.method == "POST"
    assert values(request.body) == {
        "rows_total": 2,
        "batch_job_success": 0,
        "batch_job_duration_seconds": values(request.body)["batch_job_duration_seconds"],
    }


@needs_posix
def test_a_handler_of_the_program_decides(receiver: Receiver) -> None:
    before = "signal.signal(signal.SIGTERM, lambda *_: print('handled'))"
    ended = run(_PROGRAM.format(before=before, block="signal.raise_signal(signal.SIGTERM)"), receiver.url)
    assert (ended.returncode, ended.stdout) == (0, "handled\nafter\n")
    assert values(receiver.requests[0].body)["batch_job_success"] == 1


@needs_posix
def test_the_default_action_returns_after_the_block(receiver: Receiver) -> None:
    program = _PROGRAM.format(before="", block="pass") + "print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)\n"
    assert run(program, receiver.url).stdout == "after\nTrue\n"


@needs_posix
def test_a_signal_while_metrics_are_sent_waits_for_them() -> None:
    process: list[subprocess.Popen[bytes]] = []
    has_started = threading.Event()

    def answer(connection: object, request: Received) -> None:
        has_started.wait(_PATIENCE_SECONDS)
        process[0].send_signal(signal.SIGTERM)
        answering(200)(connection, request)  # type: ignore[arg-type]  # a socket

    with Receiver(answer) as receiver:
        command = [sys.executable, "-P", "-c", _PROGRAM.format(before="", block="pass"), receiver.url]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as started:
            process.append(started)
            has_started.set()
            _, printed = started.communicate(timeout=_PATIENCE_SECONDS)
        assert (started.returncode, printed) == (-signal.SIGTERM, b"")
        assert values(receiver.requests[0].body)["batch_job_success"] == 1


@needs_posix
def test_a_second_signal_ends_the_process_at_once() -> None:
    process: list[subprocess.Popen[bytes]] = []
    has_started = threading.Event()

    def answer(connection: object, request: Received) -> None:
        has_started.wait(_PATIENCE_SECONDS)
        while process[0].poll() is None:
            process[0].send_signal(signal.SIGTERM)
            threading.Event().wait(0.05)

    with Receiver(answer) as hanging:
        command = [sys.executable, "-P", "-c", _PROGRAM.format(before="", block="pass"), hanging.url]
        with subprocess.Popen(command) as started:
            process.append(started)
            has_started.set()
            assert started.wait(_PATIENCE_SECONDS) == -signal.SIGTERM


@needs_posix
def test_a_process_that_was_forked_in_the_block_sends_nothing(receiver: Receiver) -> None:
    block = """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    """
    ended = run(_PROGRAM.format(before="", block=block), receiver.url)
    assert (ended.returncode, ended.stdout) == (0, "after\nafter\n")
    assert len(receiver.requests) == 1


@needs_posix
def test_a_job_of_another_thread_leaves_signals_alone(receiver: Receiver) -> None:
    block = "pass\nthread = threading.Thread(target=job('other', registry, push=sys.argv[1])(rows.inc)); thread.start()"
    program = _PROGRAM.format(before="", block=block) + "thread.join()\n"
    assert run(program, receiver.url).returncode == 0
    assert sorted(re.sub(".*/", "", request.target) for request in receiver.requests) == ["nightly", "other"]
