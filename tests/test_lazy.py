"""Names that load their module at first use: a failure of the module is told as what it is."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# As eventlet does before a program imports anything else.
PATCHED = """
import select, selectors
for name in ("poll", "epoll", "kqueue"):
    vars(select).pop(name, None)
for name in ("PollSelector", "EpollSelector", "KqueueSelector"):
    vars(selectors).pop(name, None)
selectors.DefaultSelector = selectors.SelectSelector
"""

EVENTLET = "import warnings; warnings.simplefilter('ignore')\nimport eventlet; eventlet.monkey_patch()"

SERVE = """
from urllib.request import urlopen
from pytheus import Counter, start_http_server
Counter("hits_total", "Hits.").inc()
server = start_http_server(0)
print(urlopen(f"http://127.0.0.1:{server.port}/metrics").read().decode().splitlines()[2])
server.close()
"""


def run(source: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-P", "-c", source], capture_output=True, text=True, cwd=folder, timeout=60)


def test_a_server_needs_no_poll() -> None:
    assert run(PATCHED + SERVE).stdout == "hits_total 1.0\n"


def test_a_server_runs_where_eventlet_has_patched_python() -> None:
    pytest.importorskip("eventlet", reason="eventlet is not installed; the test above removes what it removes")
    assert run(EVENTLET + SERVE).stdout == "hits_total 1.0\n"


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("import selectors\nselectors.NoSuchSelector", "module 'selectors' has no attribute 'NoSuchSelector'"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("from sys import no_such_name", "cannot import name 'no_such_name' from 'sys'"),
        ("other = 1", "module 'shop.late' has no attribute 'name'"),
    ],
)
@pytest.mark.parametrize("use", ["from shop import name", "import shop; shop.name"])
def test_a_module_that_fails_is_told_as_it_fails(tmp_path: Path, module: str, message: str, use: str) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text(
        textwrap.dedent(
            """
            from pytheus.lazy import lazy_names
            __getattr__, __dir__ = lazy_names(__name__, {"shop.late": ["name"]})
            """
        )
    )
    (package / "late.py").write_text(module)
    done = run(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{use}")
    assert message in done.stderr
    assert "cannot import name 'name' from 'shop'" not in done.stderr


def test_every_name_of_the_packages_can_be_loaded() -> None:
    program = (
        "import pytheus, pytheus.exposition, pytheus.plugins, pytheus.testing\n"
        "for package in (pytheus, pytheus.exposition, pytheus.plugins, pytheus.testing):\n"
        "    for name in package.__all__: getattr(package, name)\n"
        "print('all')"
    )
    assert run(program).stdout == "all\n"


@pytest.mark.parametrize(
    ("package", "name", "remedy"),
    [
        ("pytheus", "Enum", "use pytheus.StateSet"),
        ("pytheus", "CONTENT_TYPE_LATEST", "use pytheus.exposition.CONTENT_TYPE"),
        ("pytheus", "generate_latest", "pytheus.generate_metrics(registry) returns a str"),
        ("pytheus", "mark_process_dead", "PYTHEUS_REGISTRY=multiprocess"),
        ("pytheus", "GaugeMetricFamily", "pytheus.samples.Family.of("),
        ("pytheus.exposition", "PROMETHEUS_CONTENT_TYPE", "use pytheus.exposition.CONTENT_TYPE"),
    ],
)
def test_the_name_of_another_library_is_told_by_ours(package: str, name: str, remedy: str) -> None:
    module = importlib.import_module(package)
    with pytest.raises(AttributeError) as caught:
        getattr(module, name)
    assert str(caught.value).startswith(f"module {package!r} has no attribute {name!r}; ")
    assert remedy in str(caught.value)
    assert not hasattr(module, name)
    with pytest.raises(ImportError) as refused:
        exec(f"from {package} import {name}")
    assert str(refused.value).startswith(f"cannot import name {name!r} from {package!r}; ")
    assert remedy in str(refused.value)


def test_any_other_name_is_missing_as_it_always_was() -> None:
    with pytest.raises(ImportError, match=r"^cannot import name 'nothing' from 'pytheus' \(.*\)$"):
        exec("from pytheus import nothing")
    with pytest.raises(AttributeError, match=r"^module 'pytheus' has no attribute 'nothing'$"):
        eval("__import__('pytheus').nothing")


def test_hints_cost_an_import_of_pytheus_nothing() -> None:
    program = "import sys, pytheus; hasattr(pytheus, '__wrapped__'); print('pytheus.migrate' in sys.modules)"
    assert run(program).stdout == "False\n"
    assert run("import sys, pytheus; hasattr(pytheus, 'Enum'); print('libcst' in sys.modules)").stdout == "False\n"


def test_an_application_that_only_counts_loads_no_exposition() -> None:
    count = (
        "import sys, pytheus; pytheus.Counter('hits_total', 'Hits.').inc(); print('pytheus.exposition' in sys.modules)"
    )
    use = "print(pytheus.exposition.generate_metrics is pytheus.generate_metrics)"
    assert run(f"{count}\n{use}").stdout == "False\nTrue\n"
