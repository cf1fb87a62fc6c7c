"""RQ and Dramatiq, measured by the code that docs/how-to/queues.md has for them, in the processes of their workers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from tests.multiprocess.conftest import WaitUntil

    from tests.conftest import Start

JOBS = """
import os, signal


def resize(picture):
    if picture == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"tea": 1}[picture]
"""

RQ_CLIENT = """
import sys
from redis import Redis
from rq import Queue, Retry
from jobs import resize


class Own:  # which the worker cannot import
    pass


queue = Queue(connection=Redis.from_url(sys.argv[1]))
for picture in ["tea"] * 20 + ["none"] * 5 + ["dies"] + ["tea"] * 5:
    queue.enqueue(resize, picture)
queue.enqueue(resize, Own())
queue.enqueue(resize, "none", retry=Retry(max=2))
"""

DRAMATIQ = """
import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from pytheus.tasks import TaskMetrics

{block}

broker = RedisBroker(url=os.environ["BROKER"])
broker.add_middleware(MeasureTasks(), before=dramatiq.middleware.Retries)
dramatiq.set_broker(broker)


@dramatiq.actor(max_retries=0)
def resize(picture):
    return {{"tea": 1}}[picture]
"""

DRAMATIQ_CLIENT = """
from shop import resize

for picture in ["tea"] * 25 + ["none"] * 5:
    resize.send(picture)
resize.broker.enqueue(resize.message_with_options(args=["tea"], max_age=1).copy(message_timestamp=0))
resize.send_with_options(args=["none"], max_retries=2, min_backoff=1)
"""

_RUN = (sys.executable, "-P", "-m", "pytheus", "run", "--registry", "multiprocess", "--port", "0", "--")


def block_of(checkout: Path, heading: str) -> str:
    """The first block of Python below a heading of the document."""
    text = (checkout / "docs" / "how-to" / "queues.md").read_text("utf-8").partition(f"### {heading}\n")[2]
    block = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert block is not None
    return block[1]


def finished(url: str) -> dict[tuple[str, ...], float]:
    """How many tasks ended, by name, state and cause, and how many run, by name."""
    lines = httpx.get(url, timeout=60).text.splitlines()
    return {
        tuple(re.findall(r'="([^"]*)"', line)): float(line.rpartition(" ")[2])
        for line in lines
        if re.match(r"\w+_tasks_(finished_total|in_progress)\{", line)
    }


@pytest.fixture
def broker(start: Start, tmp_path: Path, unused_port: Callable[[], int]) -> str:
    """The URL of a Redis server."""
    port = unused_port()
    server = start("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", cwd=tmp_path)
    server.wait_for("Ready to accept connections")
    return f"redis://127.0.0.1:{port}"


@pytest.mark.once
@pytest.mark.slow
def test_rq(checkout: Path, tmp_path: Path, broker: str, start: Start, wait_until: WaitUntil) -> None:
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "client.py").write_text(RQ_CLIENT)
    (tmp_path / "shop_worker.py").write_text(block_of(checkout, "RQ"))
    rq = (str(Path(sys.executable).with_name("rq")), "worker", "--url", broker, "--path", str(tmp_path))
    worker = start(*_RUN, *rq, "--worker-class", "shop_worker.MeasuredWorker", cwd=tmp_path)
    url = worker.wait_for(r"pytheus: serving metrics at (http://\S+)")[1]
    subprocess.run([sys.executable, "client.py", broker], cwd=tmp_path, check=True, timeout=100)

    # The job whose process is killed is counted as started, and by RQ as failed.
    ended = {
        ("jobs.resize", "success", ""): 25.0,
        ("jobs.resize", "failure", "KeyError"): 6.0,
        ("jobs.resize", "retry", "KeyError"): 2.0,
        ("_OTHER", "failure", "DeserializationError"): 1.0,
    }
    wait_until(lambda: finished(url) == ended, f"the sums {ended}")
    worker.end()


@pytest.mark.once
@pytest.mark.slow
def test_dramatiq(checkout: Path, tmp_path: Path, broker: str, start: Start, wait_until: WaitUntil) -> None:
    block = block_of(checkout, "Dramatiq").replace("import dramatiq\n", "")
    (tmp_path / "shop.py").write_text(DRAMATIQ.format(block=block))
    (tmp_path / "client.py").write_text(DRAMATIQ_CLIENT)
    dramatiq = (sys.executable, "-m", "dramatiq", "shop", "--processes", "2", "--threads", "2")
    worker = start(*_RUN, *dramatiq, cwd=tmp_path, BROKER=broker)
    url = worker.wait_for(r"pytheus: serving metrics at (http://\S+)")[1]
    environ = os.environ | {"BROKER": broker}
    subprocess.run([sys.executable, "client.py"], cwd=tmp_path, env=environ, check=True, timeout=100)

    ended = {
        ("resize", "success", ""): 25.0,
        ("resize", "failure", "KeyError"): 6.0,
        ("resize", "retry", "KeyError"): 2.0,
        ("resize", "ignored", ""): 1.0,
        ("resize",): 0.0,
    }
    wait_until(lambda: finished(url) == ended, f"the sums {ended}")
    assert worker.end() == 0
