"""Every way in which a process can begin and end, with both plugins: each row of docs/reference/processes.md.

In Redis a process publishes at its end alone, because the interval is a quarter of an hour. It is a twentieth of a
second for the rows about a loss.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from pytheus import generate_metrics

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

    from plugins.conftest import MakePlace, Place, WaitUntil

PATIENCE_SECONDS: Final = 100


def python(source: str, tmp_path: Path, place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program, which must be a file so that its children can import it."""
    (tmp_path / "program.py").write_text(source)
    return subprocess.run(
        [sys.executable, "-P", "program.py", *arguments],
        cwd=tmp_path,
        env=place.environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        stdin=subprocess.DEVNULL,
    )


# Everything is counted ------------------------------------------------------------------------------------------------

COUNT: Final = """
import atexit, os, signal, subprocess, sys, threading, time

def count(number=100):
    from pytheus import Counter
    counter = Counter("counted_total", "Counted.")
    for _ in range(number):
        counter.inc()

def later():
    threading.Thread(target=lambda: (time.sleep(0.1), count())).start()

def fork(function):
    child = os.fork()
    if child == 0:
        function()
        sys.exit()
    os.waitpid(child, 0)
"""

ENDS: Final = {
    "the program's end": "count()",
    "sys.exit": "count(); sys.exit(3)",
    "an exception": "count(); 1 / 0",
    "Ctrl-C": "signal.signal(signal.SIGINT, signal.default_int_handler); count(); signal.raise_signal(signal.SIGINT)",
    "SIGTERM with a handler": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit()); count(); signal.raise_signal(signal.SIGTERM)"
    ),
    "a thread that ends later": "count(50); threading.Thread(target=lambda: (time.sleep(0.1), count(50))).start()",
    "an exit function that counts": "count(50); atexit.register(count, 50)",
    "fork": "count(40); fork(lambda: count(30)); count(30)",
    "fork, the child counts first": "fork(lambda: count(50)); count(50)",
    "a fork of a fork": "fork(lambda: (count(30), fork(lambda: count(30)))); count(40)",
    "a subprocess": "subprocess.run([sys.executable, '-P', __file__, 'child']) if len(sys.argv) < 2 else count()",
}


# Those that differ from others least run in the matrix alone.
SLOW: Final = {
    *("sys.exit", "an exception", "Ctrl-C", "an exit function that counts", "fork", "a fork of a fork"),
    *("os.execv", "os.abort", "SIGKILL"),
}


def params(ways: Iterable[str]) -> list[ParameterSet]:
    """A parameter for each way, some of which are marked as slow."""
    return [pytest.param(way, marks=[pytest.mark.slow] * (way in SLOW)) for way in ways]


@pytest.mark.parametrize("way", params(ENDS))
def test_a_process_that_ends_in_order_is_counted(way: str, make_place: MakePlace, tmp_path: Path) -> None:
    place = make_place()
    done = python(f"{COUNT}\n{ENDS[way]}", tmp_path, place)
    assert place.seen() == 100, done.stderr


CHILDREN: Final = """
import concurrent.futures, multiprocessing

def with_thread():
    count(50)
    threading.Thread(target=lambda: (time.sleep(0.1), count(50))).start()

if __name__ == "__main__":
    how, method, first = sys.argv[1:]
    context = multiprocessing.get_context(method)
    if first == "parent":
        count(10)
    if how == "Process":
        processes = [context.Process(target=target) for target in (count, with_thread)]
        for each in processes:
            each.start()
        for each in processes:
            each.join()
    elif how == "Pool":
        with context.Pool(2) as pool:
            pool.map(count, [10] * 20, chunksize=1)
            pool.close()
            pool.join()
    else:
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
            list(executor.map(count, [10] * 20))
    if first == "child":
        count(10)
"""


QUICK: Final = {("Process", "fork", "child"), ("Process", "forkserver", "child"), ("Process", "spawn", "parent")}
OTHERS_ARE_SLOW: Final = [
    pytest.param(
        *(how, method, first),
        marks=[pytest.mark.slow] * ((how, method, first) not in QUICK),
        id=f"{how}-{method}-{first}",
    )
    for how in ("Process", "Pool", "ProcessPoolExecutor")
    for method in ("fork", "spawn", "forkserver")
    for first in ("parent", "child")
]


@pytest.mark.parametrize(("how", "method", "first"), OTHERS_ARE_SLOW)
def test_children_of_multiprocessing_are_counted(
    how: str, method: str, first: str, make_place: MakePlace, tmp_path: Path
) -> None:
    place = make_place()
    done = python(COUNT + CHILDREN, tmp_path, place, how, method, first)
    assert (place.seen(), done.stderr) == (210, "")


def test_children_of_a_forkserver_that_has_loaded_the_metrics_are_counted(
    make_place: MakePlace, tmp_path: Path
) -> None:
    place = make_place()
    (tmp_path / "loaded.py").write_text(f"{COUNT}\ncount(0)")
    source = """
import multiprocessing, sys
sys.path.insert(0, ".")
import loaded

if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["loaded"])
    processes = [context.Process(target=loaded.count) for _ in range(2)]
    for each in processes:
        each.start()
    for each in processes:
        each.join()
"""
    done = python(source, tmp_path, place)
    assert (place.seen(), done.stderr) == (200, "")


# The counts of the last interval may be lost in Redis -----------------------------------------------------------------

LOSSES: Final = {
    "os._exit": "os._exit(0)",
    "os.execv": "os.execv(sys.executable, [sys.executable, '-c', ''])",
    "os.abort": "os.abort()",
    "SIGTERM": "signal.signal(signal.SIGTERM, signal.SIG_DFL); signal.raise_signal(signal.SIGTERM)",
    "SIGKILL": "signal.raise_signal(signal.SIGKILL)",
}

IN_TWO_PARTS: Final = """
count(90)
print("counted", flush=True)
sys.stdin.readline()
count(10)
"""

IN_A_POOL: Final = """
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(1) as pool:
        pool.apply(count, (90,))
        print("counted", flush=True)
        sys.stdin.readline()
        pool.apply(count, (10,))
"""


@pytest.mark.parametrize("way", params([*LOSSES, "Pool.terminate"]))
def test_a_process_that_ends_at_once_loses_the_last_interval_at_most(
    way: str, make_place: MakePlace, tmp_path: Path, wait_until: WaitUntil
) -> None:
    place = make_place(interval_seconds=0.05)
    source = COUNT + (IN_A_POOL if way == "Pool.terminate" else f"{IN_TWO_PARTS}\n{LOSSES[way]}")
    (tmp_path / "program.py").write_text(source)
    with subprocess.Popen(
        [sys.executable, "-P", "program.py"],
        cwd=tmp_path,
        env=place.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline() == "counted\n"
        wait_until(lambda: place.seen() == 90, "the first part to be seen")
        program.communicate("\n", timeout=PATIENCE_SECONDS)
    assert place.seen() == 100 if place.plugin == "multiprocess" else 90 <= place.seen() <= 100


# A fork that Python is not told of ------------------------------------------------------------------------------------

C_FORK: Final = """
import ctypes
count({parent})
for _ in range(3):
    child = ctypes.PyDLL(None).fork()
    if child == 0:
        count(1000)
        {shown}
        sys.exit()
    end = time.monotonic() + 20
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            print("a child waits for a lock")
            sys.exit()
        time.sleep(0.01)
"""


@pytest.mark.parametrize(
    "shown", ["pass", "import pytheus; print(pytheus.generate_metrics())"], ids=["exits", "scraped"]
)
@pytest.mark.parametrize("parent", [pytest.param(0, marks=pytest.mark.slow), 5])
def test_a_fork_in_c_of_which_python_is_not_told_is_counted_or_told(
    parent: int, shown: str, make_place: MakePlace, tmp_path: Path
) -> None:
    place = make_place()
    done = python(COUNT + C_FORK.format(parent=parent, shown=shown), tmp_path, place)
    if place.plugin == "redis" and "a child waits for a lock" in done.stdout:
        # As the document says: a lock of the interpreter that another thread had at that moment has no owner there.
        return
    told = done.stderr + done.stdout + generate_metrics(place.registry)
    assert place.seen() == 3000 + parent or 'step="fork"' in told or "forked by C code" in told, told


def test_the_document_has_a_row_for_each_of_these_ways(documented_ways: Callable[[str], set[str]]) -> None:
    tested = {*ENDS, *LOSSES, "Pool.terminate"}
    tested |= {f"multiprocessing: {method}" for method in ("fork", "spawn", "forkserver")}
    tested |= {"a forkserver that has loaded the metrics", "a fork in C, of which Python is not told"}
    assert documented_ways("Processes") == tested
