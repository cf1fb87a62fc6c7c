"""Bridges of several processes: a registry of prometheus_client is that of one process, and is not added up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os
import sys

import prometheus_client

from pytheus import Counter
from pytheus.testing import sample_value
from pytheus_multiprocess import multiprocess_registry
from pytheus_prometheus_client import PeerCollector, PytheusCollector

ours, theirs, endpoint = multiprocess_registry(sys.argv[1]), *[prometheus_client.CollectorRegistry() for _ in "ab"]
ours.register(PeerCollector(theirs))
endpoint.register(PytheusCollector(ours))
jobs = prometheus_client.Counter("jobs", "Jobs.", registry=theirs)
orders = Counter("orders_total", "Orders.", registry=ours)


def count(name):
    jobs.inc()
    orders.inc()
    for source in ours, prometheus_client.generate_latest(endpoint):
        print(name, sample_value(source, "jobs_total"), sample_value(source, "orders_total"), flush=True)


count("parent")
child = os.fork()
if child == 0:
    count("child")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
count("parent")
ours.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_numbers_of_theirs_are_those_of_one_process_and_ours_those_of_all(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    # A child has a copy of their numbers, and numbers of its own in the registry of all.
    expected = ["parent 1.0 1.0", "child 2.0 2.0", "parent 2.0 3.0"]
    assert done.stdout.splitlines() == [line for line in expected for _ in ("ours", "theirs")]
