"""The seam is installed before a program uses prometheus_client, in each process whose settings name the plugin."""

from __future__ import annotations

import os
import pkgutil
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Final

import prometheus_client
import pytest

import pytheus_prometheus_client_startup

PATIENCE_SECONDS: Final = 120
NAMED: Final = {"PYTHEUS_PLUGINS": "prometheus-client"}

COUNTS: Final = """
import prometheus_client
prometheus_client.Counter("hits", "Hits.").inc(3)
"""
SHOWS: Final = """
import pytheus
print("hits_total 3.0" in pytheus.generate_metrics().splitlines())
"""
MODULES: Final = """
import sys
print([name for name in sys.modules if name.startswith("pytheus") and "." not in name])
"""

Python = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def python(tmp_path: Path) -> Python:
    """Call it with a program, options of Python, and variables; it runs in a directory of its own."""

    def run(program: str, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "program.py").write_text(program)
        return subprocess.run(
            [sys.executable, "-W", "error", *options, "program.py"],
            cwd=tmp_path,
            env=os.environ | environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )

    return run


def out(done: subprocess.CompletedProcess[str]) -> str:
    """What a program printed that had nothing to say on stderr."""
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.rstrip("\n")


# Which settings name it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["prometheus-client", " ,prometheus-client@Pytheus_Prometheus.Client "])
def test_the_variable_installs_the_seam(variable: str, python: Python) -> None:
    assert out(python(COUNTS + SHOWS, PYTHEUS_PLUGINS=variable)) == "True"


@pytest.mark.parametrize("is_merged", [False, True])
@pytest.mark.parametrize("first", ["import prometheus_client", "import pytheus; pytheus.configure()"])
def test_it_is_installed_once(first: str, is_merged: bool, python: Python, tmp_path: Path) -> None:
    if is_merged:
        pytest.importorskip("pytheus_multiprocess", reason="needs the plugin pytheus-multiprocess")
    source = f"""
{first}
import prometheus_client
import pytheus
names = [type(collector).__name__ for collector in pytheus.REGISTRY.collect()]
print(names.count("PeerCollector"))
"""
    # The collectors of one process have no place in a scrape of all.
    url = f"multiprocess://{tmp_path}/shards?process_metrics=false" if is_merged else "default"
    assert out(python(source, PYTHEUS_REGISTRY=url, **NAMED)) == ("0" if is_merged else "3")


@pytest.mark.parametrize("variable", ["", "no:prometheus-client"])
def test_without_it_and_with_a_block_nothing_is_installed(variable: str, python: Python) -> None:
    assert out(python(COUNTS + SHOWS, PYTHEUS_PLUGINS=variable)) == "False"


@pytest.mark.parametrize("variable", ["my-prometheus-client", "prometheus-client@other"])
def test_a_plugin_of_another_name_or_distribution_is_not_this_one(variable: str, python: Python) -> None:
    source = f"{COUNTS}import sys; print('pytheus_prometheus_client' in sys.modules)"
    assert out(python(source, PYTHEUS_PLUGINS=variable)) == "False"


def test_a_misspelt_name_is_warned_of_where_the_registry_is_chosen(python: Python) -> None:
    done = python(COUNTS + SHOWS, PYTHEUS_PLUGINS="prometheus-cleint")
    assert "plugin 'prometheus-cleint' ('prometheus-cleint' in PYTHEUS_PLUGINS) is not installed" in done.stderr
    assert "did you mean 'prometheus-client'?" in done.stderr


def test_the_variable_decides_over_a_block_in_the_configuration_file(python: Python, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.pytheus]\nplugins = ["no:prometheus-client"]\n')
    assert out(python(COUNTS + SHOWS, **NAMED)) == "True"


def test_the_configuration_file_installs_it_where_the_registry_is_chosen(python: Python, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.pytheus]\nplugins = ["prometheus-client"]\n')
    assert out(python(f"import pytheus\npytheus.configure()\n{COUNTS}{SHOWS}")) == "True"


# What it costs others -------------------------------------------------------------------------------------------------


def test_a_process_without_the_variable_imports_nothing(python: Python) -> None:
    # From Python 3.15 on, the start files import their modules.
    started = ["pytheus_prometheus_client_startup", "pytheus_startup"] if sys.version_info >= (3, 15) else []
    assert out(python(f"import prometheus_client{MODULES}")) == str(started)


def test_a_program_that_never_imports_prometheus_client_imports_nothing_of_pytheus(python: Python) -> None:
    assert out(python(MODULES, **NAMED)) == "['pytheus_prometheus_client_startup', 'pytheus_startup']"


# How prometheus_client may be imported --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        "import prometheus_client.values",
        "from prometheus_client.core import GaugeMetricFamily",
        "import pytheus_prometheus_client",
        "import pytheus; pytheus.configure()",
        "import importlib.util; importlib.util.find_spec('prometheus_client')",
        "import threading; thread = threading.Thread(target=__import__, args=['prometheus_client']); thread.start()",
    ],
)
def test_the_seam_is_installed_whatever_is_imported_first(first: str, python: Python) -> None:
    assert out(python(f"{first}\n{COUNTS}{SHOWS}", **NAMED)) == "True"


def test_the_module_has_its_own_loader_afterwards(python: Python) -> None:
    source = """
import inspect, sys, prometheus_client
assert type(prometheus_client.__loader__).__module__.startswith("_frozen_importlib")
assert prometheus_client.__spec__.loader is prometheus_client.__loader__
assert inspect.getsource(prometheus_client)
assert not any("pytheus" in type(finder).__module__ for finder in sys.meta_path)
"""
    assert out(python(source, **NAMED)) == ""


@pytest.mark.parametrize("place", ["0", "len(sys.meta_path)"])
def test_another_finder_may_ask_all_finders(place: str, python: Python) -> None:
    source = f"""
import importlib.util, sys

class Hook:
    asking = False
    def find_spec(self, name, path=None, target=None):
        if self.asking:
            return None
        self.asking = True
        try:
            return importlib.util.find_spec(name)
        finally:
            self.asking = False

sys.meta_path.insert({place}, Hook())
"""
    assert out(python(source + COUNTS + SHOWS, **NAMED)) == "True"


def test_an_import_that_failed_may_be_tried_again(python: Python) -> None:
    source = f"""
import sys
sys.modules["prometheus_client.registry"] = None
try:
    import prometheus_client
except ImportError:
    print("failed", end=" ")
for name in [name for name in sys.modules if name.startswith("prometheus_client")]:
    del sys.modules[name]
{COUNTS}{SHOWS}"""
    assert out(python(source, **NAMED)) == "failed True"


def test_prometheus_client_may_have_been_imported_by_another_startup_file(python: Python) -> None:
    source = f"""
import os, prometheus_client
os.environ["PYTHEUS_PLUGINS"] = "prometheus-client"
import pytheus_prometheus_client_startup
pytheus_prometheus_client_startup.begin()
{COUNTS}{SHOWS}"""
    assert out(python(source)) == "True"


# Errors ---------------------------------------------------------------------------------------------------------------


def test_an_invalid_setting_stops_the_import(python: Python) -> None:
    done = python(COUNTS, PYTHEUS_PLUGINS="prometheus-client,no:prometheus-client")
    assert "ConfigurationError: PYTHEUS_PLUGINS has both" in done.stderr


def test_a_plugin_that_cannot_be_imported_is_no_missing_prometheus_client(python: Python) -> None:
    source = """
import sys
sys.modules["pytheus_prometheus_client"] = None
try:
    import prometheus_client
except ImportError:
    print("taken for missing")
"""
    done = python(source, **NAMED)
    assert "RuntimeError: plugin 'prometheus-client' (PYTHEUS_PLUGINS) could not be started: " in done.stderr


def test_without_pytheus_the_import_of_prometheus_client_raises(python: Python) -> None:
    source = """
import os, sys
sys.modules["pytheus_startup"] = None
os.environ["PYTHEUS_PLUGINS"] = "prometheus-client"
import pytheus_prometheus_client_startup
for _ in range(2):
    pytheus_prometheus_client_startup.begin()
import json
import prometheus_client
"""
    done = python(source)
    assert done.stderr.count("RuntimeError: plugin 'prometheus-client' (PYTHEUS_PLUGINS) could not be started: ") == 1
    assert "install pytheus-prometheus-client with its dependencies" in done.stderr
    assert done.stdout == ""


# Safety ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """The `site-packages` of an environment that has the startup files and finds the packages of this one."""
    venv.create(tmp_path / "environment")
    (site,) = tmp_path.glob("environment/lib/python*/site-packages")
    installed = Path(pytheus_prometheus_client_startup.__file__)
    # A path that another startup file adds is searched for modules, and not for startup files.
    (site / "packages.pth").write_text(f"{installed.parent}\n")
    for suffix in (".pth", ".start"):
        shutil.copy(installed.with_suffix(suffix), site)
    return site


def started(site: Path, program: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The end of a program in the environment of `site`."""
    command = [str(site.parents[2] / "bin" / "python"), "-c", program]
    return subprocess.run(
        command, cwd=site, env=os.environ | environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )


@pytest.mark.parametrize("setting", ["prometheus-client,no:prometheus-client", "prometheus-client,/tmp/a.py"])
def test_an_error_at_the_start_is_shown_and_python_starts(setting: str, environment: Path) -> None:
    # Startup files are read in the order of their names: this one comes before that of the plugin.
    (environment / "pytheus_a.pth").write_text("import prometheus_client\n")
    done = started(environment, "print('started')", PYTHEUS_PLUGINS=setting)
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert "ConfigurationError: PYTHEUS_PLUGINS" in done.stderr


def test_startup_files_without_their_package_leave_python_as_it_is(environment: Path) -> None:
    (environment / "packages.pth").unlink()
    if sys.version_info < (3, 15):  # there, the start file imports its module in every process
        assert out(started(environment, "print('started')")) == "started"
    done = started(environment, "print('started')", **NAMED)
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert "No module named 'pytheus_prometheus_client_startup'" in done.stderr


@pytest.mark.parametrize("place", ["{}/evil.py", "evil", "evil:begin", "prometheus-client@{}/evil.py", "no:evil"])
def test_the_variable_runs_no_code_that_is_not_installed_as_a_plugin(
    place: str, python: Python, tmp_path: Path
) -> None:
    (tmp_path / "evil.py").write_text("open('loaded', 'w').close()\ndef begin(): pass\n")
    setting = f"prometheus-client,{place.format(tmp_path)}"
    python("import prometheus_client, pytheus; pytheus.configure()", PYTHEUS_PLUGINS=setting, PYTHONPATH=str(tmp_path))
    assert not (tmp_path / "loaded").exists()


# Processes ------------------------------------------------------------------------------------------------------------

CHILDREN: Final = """
import multiprocessing, subprocess, sys
from prometheus_client import Counter

HITS = Counter("hits", "Hits.")

def hit():
    HITS.inc()

if __name__ == "__main__":
    how = sys.argv[1]
    hit()
    for _ in range(2):
        if how == "subprocess":
            subprocess.run([sys.executable, "-c", "import program; program.hit()"], check=True)
        else:
            child = multiprocessing.get_context(how).Process(target=hit)
            child.start()
            child.join()
    import pytheus
    print([line for line in pytheus.generate_metrics().splitlines() if line.startswith("hits")])
"""


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver", "subprocess"])
def test_children_have_the_seam(how: str, tmp_path: Path) -> None:
    pytest.importorskip("pytheus_multiprocess", reason="needs the plugin pytheus-multiprocess")
    (tmp_path / "program.py").write_text(CHILDREN)
    # Not a long directory, because multiprocessing creates sockets there.
    environ = {"PYTHEUS_REGISTRY": f"multiprocess://{tmp_path}/shards", "TMPDIR": "/tmp", **NAMED}
    done = subprocess.run(
        [sys.executable, "program.py", how],
        cwd=tmp_path,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert out(done) == "['hits_total 3.0']"


@pytest.mark.parametrize(("option", "told"), [("-I", "True"), ("-E", "True"), ("-S", "False")])
def test_only_a_python_that_reads_startup_files_has_the_seam(option: str, told: str, python: Python) -> None:
    path = f"import sys; sys.path += {sys.path!r}" if option == "-S" else ""
    source = f"{path}\nimport prometheus_client, sys\nprint('pytheus_prometheus_client' in sys.modules)"
    assert out(python(source, option, **NAMED)) == told


# The files ------------------------------------------------------------------------------------------------------------


def test_both_startup_files_call_the_same_function() -> None:
    module = pytheus_prometheus_client_startup
    installed = Path(module.__file__)
    (start,) = installed.with_suffix(".start").read_text("utf-8").splitlines()
    assert pkgutil.resolve_name(start) is module.begin
    (line,) = installed.with_suffix(".pth").read_text("utf-8").splitlines()
    assert line.startswith("import ")  # otherwise it is a path
    assert line.endswith('__import__("pytheus_prometheus_client_startup").begin()')
    assert f'"{module.NAME}" in ' in line


# A variable that prometheus_client may get ----------------------------------------------------------------------------

PEER: Final = Path(prometheus_client.__file__).parent
AS_PROPOSED: Final = """
import importlib
_module, _name = os.environ["PROMETHEUS_VALUE_CLASS"].rsplit(".", 1)
ValueClass = getattr(importlib.import_module(_module), _name)
"""


def test_a_value_class_that_is_named_installs_the_seam(python: Python, tmp_path: Path) -> None:
    # https://github.com/prometheus/client_python/pull/1158: it is imported while prometheus_client is being imported.
    for path in PEER.rglob("*.py"):
        target = tmp_path / path.relative_to(PEER.parent)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    with (tmp_path / "prometheus_client" / "values.py").open("a") as values:
        values.write(AS_PROPOSED)
    source = f"import prometheus_client\nassert prometheus_client.__file__.startswith({str(tmp_path)!r})\n"
    named = "pytheus_prometheus_client_startup.ValueClass"
    assert out(python(source + COUNTS + SHOWS, PROMETHEUS_VALUE_CLASS=named)) == "True"
