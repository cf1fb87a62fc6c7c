"""``pytheus run`` writes the metrics of a program while it runs, and once more when it ends."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.cli.programs import PATIENCE_SECONDS, Ended, run
from tests.push.receivers import Received, Receiver, answering
from tests.push.writing import WRITTEN, numbers_in, until

PROGRAM = "import os, sys, time\nfrom pytheus import Counter\nrows = Counter('rows_total', 'Rows.')\nrows.inc(3)\n"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(WRITTEN) as receiver:
        yield receiver


def _run(directory: Path, source: str, *options: str, **environ: str) -> Ended:
    (directory / "program.py").write_text(PROGRAM + source)
    return run(directory, *options, "program.py", **environ)


def _otlp_number(request: Received, name: str) -> tuple[float, dict[str, str]]:
    """The number of a counter, and the resource."""
    service: Any = import_module("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")
    message = service.ExportMetricsServiceRequest.FromString(request.body)
    [resource] = message.resource_metrics
    attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
    [found] = [one for one in resource.scope_metrics[0].metrics if one.name == name]
    return found.sum.data_points[0].as_double, attributes


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "1 / 0"])
def test_the_last_numbers_are_written(receiver: Receiver, tmp_path: Path, end: str) -> None:
    ended = _run(tmp_path, end, "--remote-write", receiver.url, "--remote-write-labels", "job=shop")
    assert ended.code == {"": 0, "sys.exit(3)": 3}.get(end, 1)
    assert "serving metrics" not in ended.err
    numbers = numbers_in(receiver.requests)
    assert numbers == []  # of another name
    numbers = numbers_in(receiver.requests, "rows_total")
    assert numbers[-2] == 3.0
    assert math.isnan(numbers[-1])
    assert numbers_in(receiver.requests, "process_cpu_seconds_total")


def test_numbers_are_written_while_it_runs(receiver: Receiver, tmp_path: Path) -> None:
    """And after SIGTERM, which ends the program as without us."""
    (tmp_path / "program.py").write_text(PROGRAM + "time.sleep(100)")
    options = ("--remote-write", receiver.url, "--write-interval-seconds", "0.05")
    command = [sys.executable, "-m", "pytheus", "run", *options, "program.py"]
    program = subprocess.Popen(command, cwd=tmp_path)
    try:
        until(lambda: len(receiver.requests) >= 3)
        assert set(numbers_in(receiver.requests[:3], "rows_total")) == {3.0}
        program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    finally:
        program.kill()
        program.wait(PATIENCE_SECONDS)
    assert math.isnan(numbers_in(receiver.requests, "rows_total")[-1])


def test_it_is_served_too_where_an_option_says_so(receiver: Receiver, tmp_path: Path) -> None:
    ended = _run(tmp_path, "", "--remote-write", receiver.url, "--port", "0")
    assert "serving metrics at" in ended.err
    assert receiver.requests


def test_otlp_by_the_variables_of_opentelemetry(tmp_path: Path) -> None:
    with Receiver(answering(200)) as receiver:
        ended = _run(
            tmp_path,
            "",
            "--otlp",
            "env",
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            OTEL_EXPORTER_OTLP_HEADERS="x-tenant=shop",
            OTEL_SERVICE_NAME="shop",
        )
        assert (ended.code, ended.err) == (0, "")
        [request] = receiver.requests
    assert (request.target, request.headers["x-tenant"]) == ("/v1/metrics", "shop")
    number, resource = _otlp_number(request, "rows_total")
    assert (number, resource["service.name"]) == (3.0, "shop")


def test_the_variables_of_opentelemetry_alone_have_no_effect(tmp_path: Path) -> None:
    with Receiver(answering(200)) as receiver:
        ended = _run(tmp_path, "", "--port", "0", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        assert ended.code == 0
        assert receiver.requests == []


@pytest.mark.once
def test_a_receiver_that_is_away_does_not_change_the_program(tmp_path: Path) -> None:
    ended = _run(tmp_path, "print('done')", "--remote-write", "http://a:hunter2@127.0.0.1:9")
    assert (ended.code, ended.out) == (0, "done\n")
    assert "hunter2" not in ended.err


@pytest.mark.once
@pytest.mark.skipif(sys.platform == "win32", reason="there are no commands")
def test_the_processes_of_a_command_are_written_once(receiver: Receiver, tmp_path: Path) -> None:
    pytest.importorskip("pytheus_multiprocess")
    (tmp_path / "program.py").write_text(
        PROGRAM + "import multiprocessing\n"
        "def work(): rows.inc(10)\n"
        "if __name__ == '__main__':\n"
        "    workers = [multiprocessing.get_context('fork').Process(target=work) for _ in range(3)]\n"
        "    for worker in workers: worker.start()\n"
        "    for worker in workers: worker.join()\n"
    )
    options = ("--registry", "multiprocess", "--remote-write", receiver.url, "--remote-write-labels", "job=shop")
    ended = run(tmp_path, *options, "--", sys.executable, "program.py")
    assert ended.code == 0, ended.err
    # The process beside the command may end after it.
    until(lambda: any(map(math.isnan, numbers_in(receiver.requests, "rows_total"))))
    assert numbers_in(receiver.requests, "rows_total")[-2] == 33.0
