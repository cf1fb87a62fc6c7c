"""Children of the program of ``pytheus run`` that count where its server does not look: one warning, once."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.cli.programs import Ended, run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forked children, and /proc")

_COUNTS = """
from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
orders = Counter("orders_total", "Orders placed.", ["kind"])
plain = Counter("plain_total", "Without labels.")
seconds = Histogram("seconds", "Durations.", buckets=[1, 2])
orders.labels("mail").inc()
plain.inc(2)
seconds.observe(1.5)
"""

_FORK = """
import os
def fork(*works):
    for work in works:
        child = os.fork()
        if child == 0:
            try:
                work()
            except BaseException:
                import traceback
                traceback.print_exc()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
"""

_CHILD = "import pytheus; pytheus.Counter('orders_total', 'Orders placed.').inc()"


def end(directory: Path, source: str, *options: str, **environ: str) -> Ended:
    (directory / "program.py").write_text(source)
    # From Python 3.12 on, a fork beside the thread of the server is deprecated.
    environ = {"PYTHONWARNINGS": "ignore::DeprecationWarning", **environ}
    ended = run(directory, "--quiet", "--port", "0", *options, "program.py", **environ)
    assert "Traceback" not in ended.err, ended.err
    assert ended.code == 0, ended.err
    return ended


def warnings_of(ended: Ended) -> list[str]:
    return re.findall(r"PytheusWarning: (.*)", ended.err)


def _multiprocessing(method: str, work: str) -> str:
    return f"""
import multiprocessing
{_COUNTS if method == "fork" else ""}
def work(n):
    {work}
if __name__ == "__main__":
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        pool.map(work, range(8))
        pool.close()
        pool.join()
"""


_EXEC = "import os, subprocess, sys\nfor _ in range(3): subprocess.run([sys.executable, '-c', CHILD], check=True)"
_DEFINES = "from pytheus import Counter; Counter('orders_total', 'Orders placed.').inc()"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(f"CHILD = {_CHILD!r}\n{_EXEC}", id="executed"),
        pytest.param(f"CHILD = {_CHILD + '; pytheus.configure()'!r}\n{_EXEC}", id="executed, configured"),
        pytest.param(f"import os, sys\nos.execv(sys.executable, [sys.executable, '-c', {_CHILD!r}])", id="replaced"),
        pytest.param(_multiprocessing("spawn", _DEFINES), id="spawn"),
        pytest.param(_multiprocessing("forkserver", _DEFINES), id="forkserver"),
        pytest.param(_multiprocessing("fork", "plain.inc()"), id="multiprocessing with fork"),
        pytest.param(f"{_COUNTS}{_FORK}fork(plain.inc, plain.inc)", id="forked, adds"),
        pytest.param(f"{_COUNTS}{_FORK}fork(lambda: orders.labels('mail').inc())", id="forked, adds to a series"),
        pytest.param(f"{_COUNTS}{_FORK}fork(lambda: orders.labels('sms').inc())", id="forked, makes a series"),
        pytest.param(f"{_COUNTS}{_FORK}fork(lambda: seconds.observe(1))", id="forked, observes"),
        pytest.param(f"{_FORK}\ndef define():\n    {_DEFINES}\nfork(define, define)", id="forked, defines"),
        pytest.param(f"{_COUNTS}{_FORK}fork(lambda: fork(plain.inc, plain.inc))", id="forked twice"),
        pytest.param(
            f"from pytheus import REGISTRY, CollectorRegistry\nREGISTRY.set_registry(CollectorRegistry('shop'))\n"
            f"{_COUNTS}{_FORK}fork(plain.inc)",
            id="forked, another registry in memory",
        ),
        pytest.param(
            f"from pytheus import REGISTRY\nfrom pytheus.compose import labelled\n"
            f"REGISTRY.set_registry(labelled(REGISTRY.registry, shop='1'))\n{_COUNTS}{_FORK}fork(plain.inc)",
            id="forked, behind a layer",
        ),
    ],
)
def test_one_child_warns_once(source: str, tmp_path: Path) -> None:
    [warning] = warnings_of(end(tmp_path, source))
    assert re.search(r"process \d+\b.* counts in its own memory, which .*`pytheus run`", warning)
    assert "choose one that processes share; " in warning
    assert re.search(r"\(pytheus run --registry \w+ -- COMMAND\)$", warning)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(f"CHILD = 'import pytheus'\n{_EXEC}", id="executed, imports"),
        pytest.param(f"CHILD = 'import pytheus.cli.__main__ as m; m.main([])'\n{_EXEC}", id="executed, the command"),
        pytest.param(_multiprocessing("spawn", "n * n"), id="spawn"),
        pytest.param(_multiprocessing("forkserver", "n * n"), id="forkserver"),
        pytest.param(_multiprocessing("fork", "n * n"), id="multiprocessing with fork"),
        pytest.param(f"{_COUNTS}{_FORK}fork(lambda: None)", id="forked"),
        pytest.param(f"{_COUNTS}{_FORK}fork(lambda: print(plain.value, seconds.count))", id="forked, reads"),
        pytest.param(
            f"import pytheus\n{_COUNTS}{_FORK}fork(lambda: pytheus.generate_metrics())", id="forked, is scraped"
        ),
        pytest.param(
            f"from pytheus import Counter\nown = Counter('own_total', 'Own.', registry=None)\n{_FORK}fork(own.inc)",
            id="forked, a metric that is not registered",
        ),
        pytest.param(
            f"{_COUNTS}\nimport os, subprocess\n"
            "subprocess.run(['true'], preexec_fn=lambda: os.setpgrp(), check=True)\n"
            "os.system('true')",
            id="other programs",
        ),
        pytest.param(f"{_COUNTS}\nplain.inc()", id="no child"),
    ],
)
def test_a_child_that_counts_nothing_does_not_warn(source: str, tmp_path: Path) -> None:
    assert end(tmp_path, source).err == ""


@pytest.mark.parametrize(
    "source", [f"{_COUNTS}{_FORK}fork(plain.inc)", f"CHILD = {_CHILD!r}\n{_EXEC}"], ids=["forked", "executed"]
)
def test_registries_that_keep_nothing_or_are_shared_do_not_warn(source: str, tmp_path: Path) -> None:
    assert end(tmp_path, source, "--registry", "none").err == ""
    pytest.importorskip("pytheus_multiprocess")
    (tmp_path / "shards").mkdir(mode=0o700)
    address = f"multiprocess://{quote(str(tmp_path / 'shards'))}"
    assert end(tmp_path, source, "--registry", address).err == ""


@pytest.mark.parametrize(
    "source", [f"{_COUNTS}{_FORK}fork(plain.inc)", f"CHILD = {_CHILD!r}\n{_EXEC}"], ids=["forked", "executed"]
)
def test_the_warning_is_no_error_even_where_warnings_are(source: str, tmp_path: Path) -> None:
    ended = end(tmp_path, source, PYTHONWARNINGS="error")
    assert ended.err.count("counts in its own memory") == 1


def test_a_child_that_is_served_by_itself_does_not_warn(tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(_CHILD)
    inner = [sys.executable, "-m", "pytheus", "run", "--quiet", "--port", "0", "child.py"]
    assert end(tmp_path, f"import subprocess\nsubprocess.run({inner!r}, check=True)").err == ""


def test_a_stale_or_foreign_variable_is_no_reason_to_warn(tmp_path: Path) -> None:
    for value in ("", "1", "a:b:c", "999999999:2:3", f"{os.getpid()}:0:1", "\u0663:1:1"):
        ended = run_child(tmp_path, value)
        assert (ended.code, ended.err) == (0, ""), value


def run_child(directory: Path, value: str) -> Ended:
    from tests.cli.programs import execute

    return execute(sys.executable, "-P", "-c", _CHILD, cwd=directory, PYTHEUS_RUN=value)


def test_a_watched_child_counts_as_any_other(tmp_path: Path) -> None:
    source = f"""
import threading
import pytheus
{_COUNTS}{_FORK}
depth = Gauge("depth", "Jobs.")
sizes = Summary("sizes", "Sizes.")
about = Info("about", "The program.")
state = StateSet("state", "Its state.", states=["up", "down"])
depth.set(7)
sizes.observe(4)
about.info({{"version": "1"}})
state.state("up")

def work():
    before = pytheus.generate_metrics()
    for _ in range(3):
        plain.inc()
        orders.labels("mail").inc()
        orders.labels("sms").inc()
        seconds.observe(0.5)
        sizes.observe(1)
        depth.dec()
    about.info({{"version": "2"}})
    state.state("down")
    Counter("own_total", "Of the child.").inc(9)
    text = pytheus.generate_metrics()
    for line in (
        "plain_total 5.0", 'orders_total{{kind="mail"}} 4.0', 'orders_total{{kind="sms"}} 3.0', "own_total 9.0",
        "seconds_count 4", "seconds_sum 3.0", 'seconds_bucket{{le="1.0"}} 3', "sizes_count 4", "sizes_sum 7.0",
        "depth 4.0", 'about_info{{version="2"}} 1.0', 'state{{state="down"}} 1.0',
    ):
        assert f"\\n{{line}}" in text, (line, text)
    assert "\\nplain_total 2.0\\n" in before
    orders.remove("mail")
    plain.clear()
    assert plain.value == 0.0

fork(work)
"""
    assert len(warnings_of(end(tmp_path, source))) == 1
