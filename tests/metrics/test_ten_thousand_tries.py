"""Signal handlers, finalizers and forks cannot deadlock: up to ten thousand tries each, in the matrix.

Each in a process of its own, small and without a test runner's threads and handlers, so that a try costs little, and so
that a deadlock ends with its process group.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import FULL

DEADLINE_SECONDS = 900

# Ten thousand forks of a program with threads take minutes on a busy machine.
pytestmark = [pytest.mark.pitfall, pytest.mark.threads, pytest.mark.timeout(DEADLINE_SECONDS + 60)]

WRITING = f"""
TRIES = {10_000 if FULL else 1_000}
import gc, os, signal, sys, threading
from pytheus import Counter, Gauge, Histogram, generate_metrics
from pytheus.registry import CollectorRegistry
registry = CollectorRegistry()
counter = Counter("x_total", "X.", registry=registry)
labelled = Counter("y_total", "Y.", ["a"], registry=registry)
gauge = Gauge("g", "G.", registry=registry)
histogram = Histogram("h", "H.", registry=registry)
tries = 0
def use():
    counter.inc()
    labelled.labels(str(tries % 300)).inc(2)
    gauge.set(tries)
    histogram.observe(0.5)
def check(uses):
    counts = [counter.value, histogram.count, 2 * histogram.sum, sum(row.numbers[0] for row in labelled.rows()) / 2]
    assert counts == [uses] * 4, (counts, uses)
"""

# Registration and scrapes are interrupted by themselves, where another library holds a lock.
REGISTERING = (
    WRITING
    + """
import itertools
TRIES = 300
sys.setswitchinterval(1e-6)
numbers = itertools.count()
write = use
def use():
    write()
    number = next(numbers)
    Gauge(f"kept_{number % 20}", "Kept.", registry=registry).inc()
    made = Gauge(f"made_{number}", "Made.", registry=registry)
    generate_metrics(registry, strict=True)
    registry.unregister(made)
"""
)

PROGRAMS = {
    "in a signal handler": """
armed = False
def handle(*_):
    global armed, tries
    tries += 1
    use()
    armed = False
signal.signal(signal.SIGALRM, handle)
done = 0
while tries < max(TRIES, 1000):
    if not armed:  # not in the handler, which a slow machine would interrupt before it has returned
        armed = True
        signal.setitimer(signal.ITIMER_REAL, 0.00002 + tries % 97 * 0.00001)
    use()
    done += 1
signal.signal(signal.SIGALRM, signal.SIG_IGN)
check(done + tries)
""",
    "in a finalizer, during a collection": """
class Finalized:
    def __init__(self):
        self.itself = self
    def __del__(self):
        global tries
        tries += 1
        use()
gc.set_threshold(1)
done = 0
while tries < TRIES:
    Finalized()
    use()
    done += 1
gc.disable()
gc.collect()
check(done + tries)
""",
    "after a fork, with threads running": """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
ended = threading.Event()
def work():
    while not ended.wait(0.001):
        for _ in range(20):
            use()
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
try:
    while tries < TRIES:
        tries += 1
        child = os.fork()
        if not child:
            use()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
finally:
    ended.set()
for thread in threads:
    thread.join()
""",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a Unix system")
@pytest.mark.parametrize(
    ("setup", "registered"), [(WRITING, 4), (REGISTERING, 24)], ids=["writing", "registering and scraping"]
)
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_no_deadlock(setup: str, registered: int, program: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", setup + program + "print(tries >= TRIES, len(registry))"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=DEADLINE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        pytest.fail(f"it hangs: {output}")
    assert (process.returncode, output) == (0, f"True {registered}\n")
