"""Tasks of Celery in each pool: the sums of a scrape are the tasks of a client, also where processes are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from pytheus import generate_metrics
from pytheus.testing import parse_exposition
from pytheus_multiprocess import multiprocess_registry

if TYPE_CHECKING:
    from tests.multiprocess.conftest import WaitUntil

    from tests.conftest import Start

SHOP = """
import os, signal, time

from celery import Celery
from celery.exceptions import Ignore, Reject

from pytheus.contrib.celery import measure_tasks

app = Celery("shop", broker=os.environ["BROKER"])
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_lost_wait = 0.2
app.conf.task_ignore_result = True
measure_tasks(app)


@app.task(name="add")
def add(a, b):
    return a + b


@app.task(name="again", bind=True)
def again(self):
    if self.request.retries < 2:
        raise self.retry(exc=TimeoutError("of a server"), countdown=0)


@app.task(name="ends")
def ends(how):
    raise {"failure": KeyError("of a task"), "ignored": Ignore(), "rejected": Reject("of a task", requeue=False)}[how]


@app.task(name="sleeps")
def sleeps():
    time.sleep(600)


@app.task(name="slow", time_limit=1)
def slow():
    time.sleep(600)


@app.task(name="dies")
def dies():
    os.kill(os.getpid(), signal.SIGKILL)
"""

CLIENT = """
import json, sys

from pytheus import REGISTRY
from shop import *

tasks = {"adds": 0, "dies": 0, "slow": 0, "sleeps": 0} | json.loads(sys.argv[1])
for number in range(tasks["adds"]):
    add.delay(number, 1)
    if number < tasks["dies"]:
        dies.delay()
again.delay()
for how in ("failure", "ignored", "rejected"):
    ends.delay(how)
add.apply_async((1, 2), countdown=1)
add.apply_async((1, 2), expires=-10)
app.send_task("made up")
for number in range(tasks["slow"]):
    slow.delay()
revoked = [sleeps.delay() for number in range(tasks["sleeps"])]
print(json.dumps([
    {
        sample.labels["task"]: sample.value
        for collector in REGISTRY.collect()
        for family in collector.collect()
        for sample in family.samples
        if family.name + sample.suffix == "celery_tasks_published_total"
    },
    [result.id for result in revoked],
]))
"""

_CELERY = (sys.executable, "-m", "celery")
_ENDS = {
    ("again", "retry", "TimeoutError"): 2,
    ("again", "success", ""): 1,
    ("ends", "failure", "KeyError"): 1,
    ("ends", "ignored", ""): 1,
    ("ends", "rejected", ""): 1,
    ("add", "revoked", "expired"): 1,
    ("_OTHER", "rejected", "NotRegistered"): 1,
}


def start_broker(start: Start, directory: Path, port: int) -> str:
    """Start a Redis server, because Celery's broker for files reads those that are half written."""
    server = start("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", cwd=directory)
    server.wait_for("Ready to accept connections")
    return f"redis://127.0.0.1:{port}"


@pytest.mark.once
@pytest.mark.parametrize(
    ("pool", "tasks"),
    [
        pytest.param("prefork", {"adds": 200, "dies": 8, "slow": 1, "sleeps": 2}, id="prefork, killed"),
        pytest.param(
            "prefork",
            {"adds": 2000, "dies": 100, "slow": 4, "sleeps": 2},
            id="prefork, storm",
            marks=[pytest.mark.slow, pytest.mark.timeout(300)],
        ),
        pytest.param("threads", {"adds": 200}, id="threads", marks=pytest.mark.slow),
        pytest.param("gevent", {"adds": 200, "slow": 1, "sleeps": 2}, id="gevent", marks=pytest.mark.slow),
    ],
)
def test_the_sums_of_a_pool(
    pool: str,
    tasks: dict[str, int],
    tmp_path: Path,
    start: Start,
    wait_until: WaitUntil,
    unused_port: Callable[[], int],
) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "client.py").write_text(CLIENT)
    broker = start_broker(start, tmp_path, unused_port())
    run = (sys.executable, "-P", "-m", "pytheus", "run", "--port", "0")
    worker_options = ("-A", "shop", "worker", "-P", pool, "-c", "4")
    if pool == "threads":  # one process, so that any registry will do
        worker = start(*run, "-m", "celery", *worker_options, cwd=tmp_path, BROKER=broker)
    else:
        worker = start(*run, "--registry", "multiprocess", "--", *_CELERY, *worker_options, cwd=tmp_path, BROKER=broker)
    url = worker.wait_for(r"pytheus: serving metrics at (http://\S+)")[1]

    def ask(*command: str) -> str:
        environ = os.environ | {"BROKER": broker}
        done = subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=100, check=True
        )
        return done.stdout

    published, sleeping = json.loads(ask(sys.executable, "client.py", json.dumps(tasks)))
    assert published == {
        **{name: count for name, count in tasks.items() if name != "adds"},
        "add": tasks["adds"] + 2,
        "again": 1,
        "ends": 3,
        "_OTHER": 1,
    }

    def scraped(name: str) -> dict[tuple[str, ...], float]:
        """The samples of this name, by task, state and cause, without zeros."""
        text = httpx.get(url, timeout=60).text
        return {
            tuple(value for _, value in sample.labels[::-1]): sample.value
            for family in parse_exposition(text).values()
            for sample in family.samples
            if sample.name == name and sample.value
        }

    def is_running(expected: dict[tuple[str, ...], float]) -> bool:
        assert worker.process.poll() is None, worker.output
        return scraped("celery_tasks_in_progress") == expected

    if sleeping:
        wait_until(lambda: is_running({("sleeps",): len(sleeping)}), "only the endless tasks to run")
        ask(sys.executable, "-c", f"from shop import app; app.control.revoke({sleeping!r}, terminate=True)")
    ended = {**_ENDS, ("add", "success", ""): tasks["adds"] + 1}
    for name, state, cause in (
        ("dies", "failure", "WorkerLostError"),
        ("slow", "failure", "TimeLimitExceeded"),
        ("sleeps", "revoked", "terminated"),
    ):
        if tasks.get(name):
            ended[name, state, cause] = tasks[name]
    wait_until(lambda: scraped("celery_tasks_finished_total") == ended, f"the sums {ended}")
    assert is_running({})
    queued = {(name,): float(tasks[name]) for name in ("dies", "slow", "sleeps") if tasks.get(name)}
    queued |= {("add",): tasks["adds"] + 1, ("again",): 3, ("ends",): 3}
    assert scraped("celery_tasks_received_total") == queued
    started = scraped("celery_task_queue_seconds_count")
    # Celery runs a task again if its process is killed before the main process knows that it has begun.
    if started.get(("dies",), 0) > tasks.get("dies", 0):
        queued["dies",] = started["dies",]
    assert started == queued
    assert worker.end() == 0


@pytest.mark.once
@pytest.mark.slow
def test_a_worker_that_knows_no_pytheus(
    tmp_path: Path, start: Start, wait_until: WaitUntil, unused_port: Callable[[], int]
) -> None:
    source = SHOP.replace("measure_tasks(app)", "").replace("from pytheus.contrib.celery import measure_tasks", "")
    (tmp_path / "shop.py").write_text(source)
    broker = start_broker(start, tmp_path, unused_port())
    run = (
        *(sys.executable, "-P", "-m", "pytheus", "run", "--registry", "multiprocess", "--port", "0"),
        "--instrument",
        "auto",
        "--",
    )
    worker = start(*run, *_CELERY, "-A", "shop", "worker", "-c", "4", cwd=tmp_path, BROKER=broker)
    url = worker.wait_for(r"pytheus: serving metrics at (http://\S+)")[1]
    client = "from shop import add\nfor number in range(100): add.delay(number, 1)"
    subprocess.run([sys.executable, "-c", client], cwd=tmp_path, env=os.environ | {"BROKER": broker}, check=True)

    def finished() -> list[str]:
        lines = httpx.get(url, timeout=60).text.splitlines()
        return [line for line in lines if line.startswith("celery_tasks_finished_total{")]

    expected = ['celery_tasks_finished_total{task="add",state="success",error_type=""} 100.0']
    wait_until(lambda: finished() == expected, "all tasks")
    assert worker.end() == 0


OWN_PORT = """
from celery.signals import worker_init

from pytheus import start_http_server
from shop import app


@worker_init.connect
def serve_metrics(**_):
    print("metrics at", start_http_server(0).url, flush=True)
"""


@pytest.mark.once
@pytest.mark.slow
def test_a_worker_with_a_port_of_its_own_is_killed(
    tmp_path: Path, start: Start, wait_until: WaitUntil, unused_port: Callable[[], int]
) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "served.py").write_text(OWN_PORT)
    broker = start_broker(start, tmp_path, unused_port())
    environ = {"BROKER": broker, "PYTHEUS_REGISTRY": f"multiprocess://{tmp_path / 'shards'}"}
    worker = start(*_CELERY, "-A", "served", "worker", "-c", "2", cwd=tmp_path, **environ)
    url = worker.wait_for(r"metrics at (http://\S+)")[1]

    def publish(task: str, times: int) -> None:
        program = f"import shop\nfor number in range({times}): shop.{task}"
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=os.environ | environ, timeout=100, check=True)

    def shows(*lines: str) -> bool:
        assert worker.process.poll() is None, worker.output
        text = httpx.get(url, timeout=60).text
        return all(line in text for line in lines)

    # The client shares the directory, so its count is there as well.
    publish("add.delay(1, number)", 50)
    published = 'celery_tasks_published_total{task="add"} 50'
    added = 'celery_tasks_finished_total{task="add",state="success",error_type=""} 50'
    wait_until(lambda: shows(published, added), "the tasks")
    publish("sleeps.delay()", 2)
    wait_until(lambda: shows('celery_tasks_in_progress{task="sleeps"} 2'), "the endless tasks to run")
    os.killpg(worker.process.pid, signal.SIGKILL)
    worker.process.wait()

    with closing(multiprocess_registry(tmp_path / "shards", process_metrics=False)) as registry:
        # Its children are killed at the same time, and end later.
        wait_until(lambda: "celery_tasks_in_progress{" not in generate_metrics(registry), "all processes to end")
        assert added in generate_metrics(registry)
