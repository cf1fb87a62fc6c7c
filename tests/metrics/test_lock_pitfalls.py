"""Deadlocks that peers ship, where the collector, a signal handler or a fork meets a held lock; none may recur here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pytheus

pytestmark = pytest.mark.pitfall

DEADLINE_SECONDS = 120

_COMMON = """
import gc, itertools, os, signal, sys, threading
from pytheus import Counter, Gauge, Histogram, generate_metrics
from pytheus.registry import CollectorRegistry
registry = CollectorRegistry()
counter = Counter("x_total", "X.", ["a"], registry=registry)
histogram = Histogram("h", "H.", registry=registry)
numbers = itertools.count()
def use():
    number = next(numbers)
    counter.labels(str(number % 300)).inc()
    histogram.observe(1.0)
    gauge = Gauge(f"g_{number}", "G.", registry=registry)
    generate_metrics(registry)
    registry.unregister(gauge)
"""

_PROGRAMS = {
    "the garbage collector": """
gc.set_threshold(1)
class Garbage:
    def __init__(self):
        self.itself = self
    def __del__(self):
        use()
for _ in range(300):
    Garbage()
    use()
""",
    "a signal handler": """
handled, armed = 0, False
def handle(*_):
    global armed, handled
    handled += 1
    use()
    armed = False
signal.signal(signal.SIGALRM, handle)
while handled < 1000:
    if not armed:  # not in the handler, which a slow machine would interrupt before it has returned
        armed = True
        signal.setitimer(signal.ITIMER_REAL, 0.00005 + handled % 97 * 0.00001)
    use()
""",
    "a fork": """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
sys.setswitchinterval(1e-6)
ended = False
def work():
    while not ended:
        use()
threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
children = []
for _ in range(100):
    child = os.fork()
    if not child:
        use()
        os._exit(0)
    children.append(child)
    if len(children) > 4:
        assert os.waitpid(children.pop(0), 0)[1] == 0
for child in children:
    assert os.waitpid(child, 0)[1] == 0
ended = True
for thread in threads:
    thread.join()
""",
}


@pytest.mark.skipif(not hasattr(signal, "setitimer") or not hasattr(os, "fork"), reason="needs a Unix system")
@pytest.mark.parametrize("program", _PROGRAMS.values(), ids=_PROGRAMS)
def test_no_deadlock_with(program: str) -> None:
    # In a process group of its own, so that a deadlock ends with all that it has forked.
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMON + program + "print('done')"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join([str(Path(pytheus.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
        },
    )
    try:
        output, _ = process.communicate(timeout=DEADLINE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        pytest.fail(f"it hangs: {output}")
    assert (process.returncode, output) == (0, "done\n")
