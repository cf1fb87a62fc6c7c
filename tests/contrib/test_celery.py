"""Celery's signals within one process: eager tasks, and a worker in a thread.

Workers with their pools are in the tests of pytheus-multiprocess. Each program here has a process of its own, because
the receivers of signals, and Celery's current application, are of a process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_SHOP = """
import json

from celery import Celery
from celery.exceptions import Ignore, Reject

from pytheus import REGISTRY
from pytheus.contrib.celery import measure_tasks

app = Celery("shop", broker="memory://", backend="cache+memory://")
app.conf.worker_hijack_root_logger = False
app.conf.broker_transport_options = {"polling_interval": 0.01}
app.conf.worker_timer_precision = 0.05
metrics = measure_tasks(app, known=["elsewhere"])


@app.task(name="send", bind=True, max_retries=2)
def send(self, retries=0):
    if self.request.retries < retries:
        raise self.retry(exc=TimeoutError("of a server"), countdown=0)
    return metrics.in_progress.labels("send").value


@app.task(name="fails")
def fails():
    raise KeyError("of a task")


@app.task(name="ends")
def ends(how):
    raise Ignore() if how == "ignored" else Reject("of a task", requeue=False)


@app.task(name="calls")
def calls():
    return send.apply().get(disable_sync_subtasks=False)


@app.task(name="replaced", bind=True)
def replaced(self):
    return self.replace(send.s())


def show():
    print(json.dumps({
        family.name + sample.suffix + "|" + "|".join(sample.labels.values()): sample.value
        for collector in REGISTRY.collect()
        for family in collector.collect()
        for sample in family.samples
        if "_seconds" not in family.name or sample.suffix == "_count"
    }))
"""

_EAGER = """
from shop import *

assert measure_tasks(app) is metrics
assert calls.apply().get() == 1
assert fails.apply().failed()
try:
    fails.apply(throw=True)
except KeyError:
    pass
else:
    raise AssertionError
send()  # a call of the function is not a task
show()
"""

_EAGER_REPLACED = """
from shop import *

assert replaced.apply().get() == 1
show()
"""

_WORKER = """
import logging
import os
import sys
import time

from celery import signals
from celery.contrib.testing.worker import start_worker
from pytheus.contrib.celery import STAMP
from shop import *

logging.disable()
stamps = iter((float("-inf"), float("nan"), -1.0, True, "5", 10**400, None))


def forge(headers, **_):  # after the one of pytheus
    headers[STAMP] = next(stamps)


with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=60):
    assert send.delay(retries=2).get(timeout=60) == 1
    fails.delay().get(timeout=60, propagate=False)
    ends.delay("ignored")
    ends.delay("rejected")
    send.apply_async(expires=-10)
    app.send_task("made up")
    app.send_task("made up, too")
    app.send_task("elsewhere")
    signals.before_task_publish.connect(forge)
    for _ in range(7):
        send.delay()
    signals.before_task_publish.disconnect(forge)
    assert send.apply_async(countdown=0.1).get(timeout=60) == 1
    while metrics.finished.labels("send", "success", "").value < 9:  # a result comes before it is counted
        time.sleep(0.01)
    show()
    sys.stdout.flush()
    os._exit(0)  # the end of a worker takes seconds
"""


def run(tmp_path: Path, program: str) -> dict[str, float]:
    """The samples that the program leaves: by name and values of labels."""
    (tmp_path / "shop.py").write_text(_SHOP)
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    samples: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return samples


@pytest.mark.once
def test_eager_tasks(tmp_path: Path) -> None:
    samples = run(tmp_path, _EAGER)

    assert samples == {
        "celery_tasks_in_progress|calls": 0,
        "celery_tasks_in_progress|send": 0,
        "celery_tasks_in_progress|fails": 0,
        "celery_task_duration_seconds_count|calls|success": 1,
        "celery_task_duration_seconds_count|send|success": 1,
        "celery_task_duration_seconds_count|fails|failure": 2,
        "celery_tasks_finished_total|calls|success|": 1,
        "celery_tasks_finished_total|send|success|": 1,
        "celery_tasks_finished_total|fails|failure|KeyError": 2,
    }


@pytest.mark.once
def test_an_eager_task_that_is_replaced_ends(tmp_path: Path) -> None:
    samples = run(tmp_path, _EAGER_REPLACED)

    assert {name: value for name, value in samples.items() if "_finished_total" in name or "_progress" in name} == {
        "celery_tasks_in_progress|replaced": 0,
        "celery_tasks_in_progress|send": 0,
        "celery_tasks_finished_total|replaced|success|": 1,
        "celery_tasks_finished_total|send|success|": 1,
    }


@pytest.mark.once
def test_a_worker(tmp_path: Path) -> None:
    samples = run(tmp_path, _WORKER)

    assert {name: value for name, value in samples.items() if "in_progress" in name and value} == {}
    assert {name: value for name, value in samples.items() if "_finished_total" in name} == {
        "celery_tasks_finished_total|send|retry|TimeoutError": 2,
        "celery_tasks_finished_total|send|success|": 9,
        "celery_tasks_finished_total|send|revoked|expired": 1,
        "celery_tasks_finished_total|fails|failure|KeyError": 1,
        "celery_tasks_finished_total|ends|ignored|": 1,
        "celery_tasks_finished_total|ends|rejected|": 1,
        "celery_tasks_finished_total|_OTHER|rejected|NotRegistered": 3,
    }
    assert {name: value for name, value in samples.items() if "_published_total" in name} == {
        "celery_tasks_published_total|send": 12,
        "celery_tasks_published_total|fails": 1,
        "celery_tasks_published_total|ends": 2,
        "celery_tasks_published_total|elsewhere": 1,
        "celery_tasks_published_total|_OTHER": 2,
    }
    assert {name: value for name, value in samples.items() if "_received_total" in name} == {
        "celery_tasks_received_total|send": 11,  # not the expired one
        "celery_tasks_received_total|fails": 1,
        "celery_tasks_received_total|ends": 2,
    }
    assert {name: value for name, value in samples.items() if "_queue_seconds_count" in name} == {
        "celery_task_queue_seconds_count|send": 4,
        "celery_task_queue_seconds_count|fails": 1,
        "celery_task_queue_seconds_count|ends": 2,
    }
