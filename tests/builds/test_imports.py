"""pytheus imported again, after an import that failed, and in a second interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pytheus import COMPILED

# Metrics of native and of plain classes, a collector and every kind of lookup, with the pytheus of `sys.modules`.
USE = """
import pytheus, pytheus.exceptions, pytheus.metrics
from pytheus import REGISTRY, Counter, Gauge, Info, generate_metrics
from pytheus.samples import Family
class Custom:
    def collect(self):
        yield Family("custom", "gauge", "Custom.")
REGISTRY.register(Custom())
Counter("hits_total", "Hits.", ["code"]).labels("200").inc()
Counter("hits_total", "Hits.", ["code"]).labels("200").inc()
Gauge("depth", "Depth.").set(3)
Info("build", "Build.").info(v="1")
text = generate_metrics()
assert 'hits_total{code="200"} 2.0' in text and 'build_info{v="1"} 1.0' in text, text
assert "depth 3.0" in text and "TYPE custom gauge" in text, text
try:
    Gauge("hits_total", "Another.")
except pytheus.exceptions.ConflictError as error:
    assert error.incumbent.name == "hits_total"
else:
    raise AssertionError("no conflict")
print("works")
"""

IMPORTS = {
    "with a module patched": 'with patch.dict(sys.modules, {"numpy": None}): import pytheus',
    "without optional modules": 'with patch.dict(sys.modules, {"msgspec": None, "pluggy": None}): import pytheus',
    "without what compiled it": 'with patch.dict(sys.modules, {"librt": None, "librt.vecs": None, "mypyc": None}):'
    ' import pytheus; pytheus.Histogram("h", "H.", registry=None).observe(1)',
    "with all modules restored": "with patch.dict(sys.modules): import pytheus, pytheus.plugins, pytheus.shards",
    "three times": "\n".join(["with patch.dict(sys.modules): import pytheus"] * 3),
    "after it was removed": "import pytheus, pytheus.plugins; [sys.modules.pop(name) for name in list(sys.modules)"
    ' if name.startswith("pytheus")]',
    "after the package was removed": 'import pytheus; del sys.modules["pytheus"]',
    "after the metrics were removed": "import pytheus; [sys.modules.pop(name) for name in list(sys.modules)"
    ' if name.startswith("pytheus.metrics")]',
    "reloaded": "import importlib, pytheus; importlib.reload(pytheus)",
    "reloaded in part": "import importlib, pytheus.metrics.counter; importlib.reload(pytheus.metrics.counter)",
}


def run(*source: str) -> subprocess.CompletedProcess[str]:
    program = "\n".join(["import sys", "from unittest.mock import patch", *source])
    # The checkout would hide a compiled build.
    return subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)


@pytest.mark.parametrize("how", IMPORTS)
def test_it_works_when_it_is_imported_again(how: str) -> None:
    done = run(IMPORTS[how], USE)
    assert (done.stdout, done.stderr) == ("works\n", "")


def test_values_stay_when_it_is_imported_again() -> None:
    done = run(
        "with patch.dict(sys.modules):",
        "    from pytheus import Counter",
        "    Counter('orders_total', 'Orders.').inc(5)",
        "import pytheus",
        "print(pytheus.generate_metrics())",
    )
    assert ("orders_total 5.0" in done.stdout) == COMPILED, done.stderr


@pytest.mark.parametrize("missing", ["itertools", "math", "threading", "pytheus.samples", "pytheus.exposition.wsgi"])
@pytest.mark.parametrize("removes", [False, True])
def test_after_an_import_that_failed_it_works_or_says_why_not(missing: str, removes: bool) -> None:
    failing = f"sys.modules[{missing!r}] = None\n    import pytheus"
    block = f"with patch.dict(sys.modules):\n        {failing.replace('    ', '        ')}" if removes else failing
    done = run(
        f"former = sys.modules.get({missing!r})",
        "try:",
        f"    {block}",
        "except ImportError: pass",
        f"if former is not None: sys.modules[{missing!r}] = former",
        f"else: sys.modules.pop({missing!r}, None)",
        USE,
    )
    if done.stdout != "works\n":
        assert "ImportError: pytheus cannot be imported here: its first import in this process failed" in done.stderr
        assert COMPILED
        assert removes


@pytest.mark.skipif(not COMPILED, reason="compiled modules alone would miss the reloaded registry")
def test_reloading_the_registry_is_refused_where_metrics_would_miss_it() -> None:
    done = run(
        "import importlib, pytheus",
        "try:",
        "    importlib.reload(pytheus.registry.proxy)",
        "except ImportError as error:",
        "    print('cannot be reloaded' in str(error))",
        USE,
    )
    assert (done.stdout, done.stderr) == ("True\nworks\n", "")


# Interpreters ---------------------------------------------------------------------------------------------------------

INTERPRETERS = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

def told(interpreter, source):
    "Run source in another interpreter, and return the error that it raises, or None."
    try:
        outcome = interpreters.run_string(interpreter, source)
    except Exception as error:
        return str(error)
    return None if outcome is None else outcome.formatted

def new(isolated):
    return interpreters.create(isolated and "isolated" or "legacy") if hasattr(interpreters, "get_config") else (
        interpreters.create(isolated=isolated))
"""

# "not support loading": CPython's own words for an isolated interpreter, from 3.12 on.
REFUSALS = ("works in one interpreter of a process", "does not support loading in subinterpreters")


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("first", ["main", "other"])
def test_a_second_interpreter_works_or_is_refused_and_the_first_goes_on(first: str, isolated: bool) -> None:
    use = USE.replace('print("works")', "")
    done = run(
        INTERPRETERS,
        f"use, refusals, compiled = {use!r}, {REFUSALS!r}, {COMPILED}",
        f"others = [new({isolated}), new({isolated})]",
        "def main(source):",
        "    try: exec(source, globals())",
        "    except ImportError as error: return str(error)",
        "places = [main, *[lambda source, other=other: told(other, source) for other in others]]",
        "" if first == "main" else "places.reverse()",
        "owner = next((place for place in places if place(use) is None), None)",
        "for place in places:",
        "    error = place('import pytheus')",
        "    refused = error is not None and any(words in error for words in refusals)",
        "    assert refused == (compiled and place is not owner), error",
        'more = \'Counter("more_total", "More.").inc(); assert "more_total 1.0" in generate_metrics()\'',
        "assert owner is not None and owner(more) is None",
        "for other in others: interpreters.destroy(other)",
        "assert owner is not main or owner(more.replace('more', 'last')) is None",
        "print('fine')",
    )
    assert (done.stdout, done.stderr) == ("fine\n", "")
