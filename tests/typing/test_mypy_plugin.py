"""The mypy plugin reports mistakes in names and labels, across modules and runs of mypy, and nothing else."""

from __future__ import annotations

import doctest
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.typing.conftest import Messages, run
from tests.typing.test_checkers import differences

pytestmark = pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]

METRICS = """\
from pytheus import Counter

requests = Counter("requests_total", "Requests.", ["method", "code"])
get = requests.labels(method="GET")


class Jobs:
    def __init__(self) -> None:
        self.done = Counter("jobs_total", "Jobs.", ["queue"])
"""

APPLICATION = """\
import metrics
from metrics import Jobs, get as got, requests

requests.labels(cod="200")
metrics.requests.inc()
got.inc()
metrics.get.labels(code="200").inc()
Jobs().done.inc()


class Mail(Jobs):
    def send(self) -> None:
        self.done.labels(que="mail").inc()
"""

REPORT = [
    "application.py:4: error: counter 'requests_total' takes labels ('method', 'code') but got ('cod',): did you mean"
    " 'code'?  [pytheus-label]",
    "application.py:5: error: counter 'requests_total' takes labels ('method', 'code') but lacks 'method', 'code':"
    " complete it with .labels(method=..., code=...) before it counts  [pytheus-label]",
    "application.py:6: error: counter 'requests_total' takes labels ('method', 'code') but lacks 'code': complete it"
    " with .labels(code=...) before it counts  [pytheus-label]",
    "application.py:8: error: counter 'jobs_total' takes labels ('queue',) but lacks 'queue': complete it with"
    " .labels(queue=...) before it counts  [pytheus-label]",
    "application.py:13: error: counter 'jobs_total' takes labels ('queue',) but got ('que',): did you mean 'queue'?"
    "  [pytheus-label]",
]

# Of APPLICATION, when the first label of METRICS is another one.
CHANGED = METRICS.replace('["method", "code"]', '["method", "cod"]')
REPORT_OF_CHANGED = [
    "application.py:5: error: counter 'requests_total' takes labels ('method', 'cod') but lacks 'method', 'cod':"
    " complete it with .labels(method=..., cod=...) before it counts  [pytheus-label]",
    "application.py:6: error: counter 'requests_total' takes labels ('method', 'cod') but lacks 'cod': complete it"
    " with .labels(cod=...) before it counts  [pytheus-label]",
    "application.py:7: error: counter 'requests_total' takes labels ('method', 'cod') but got ('code',): did you mean"
    " 'cod'?  [pytheus-label]",
    *REPORT[3:],
]


class Project:
    """A directory with modules, and mypy configured to use the plugin on them."""

    def __init__(self, directory: Path, cache: Path) -> None:
        self.directory = directory
        self.config = directory / "mypy.ini"
        # Where the checkout is what is tested, it is the current directory that mypy finds it by.
        self.config.write_text(
            f"[mypy]\nplugins = pytheus.mypy_plugin\nstrict = True\nmypy_path = {directory}\n"
            "show_error_context = False\nerror_summary = False\npretty = False\n"
        )
        self.cache = cache

    def write(self, **modules: str) -> list[Path]:
        files = [self.directory / f"{name}.py" for name in modules]
        for file, text in zip(files, modules.values(), strict=True):
            file.write_text(text, encoding="utf-8")
        return files

    def run(self, program: str, *arguments: object) -> str:
        return run(CHECKOUT, program, *arguments).stdout

    def mypy(self, *arguments: object) -> list[str]:
        """The errors that mypy reports, with the files' names alone."""
        return self.errors(self.run("mypy", f"--config-file={self.config}", *arguments))

    def errors(self, output: str) -> list[str]:
        found = [re.fullmatch(r"(.+\.py)(:\d+: error: .*)", line) for line in output.splitlines()]
        return [
            Path(error[1]).name + error[2]
            for error in found
            # mypy also tells of errors in what the files import, which are not this test's matter.
            if error is not None and (self.directory / Path(error[1]).name).exists()
        ]


@pytest.fixture
def project(tmp_path: Path, mypy_cache: Path) -> Project:
    return Project(tmp_path, mypy_cache)


def test_mistakes_are_reported_and_all_else_is_left_alone(project: Project) -> None:
    text = (HERE / "plugin_refused.txt").read_text(encoding="utf-8")
    elsewhere = 'from pytheus import Counter\n\nthere = Counter("z_total", "Z.", ["b"])\n'
    file, _ = project.write(plugin_refused=text, elsewhere=elsewhere)
    found: Messages = {}
    for error in project.mypy(f"--cache-dir={project.cache}", file):
        _, line, _, message = error.split(":", 3)
        found.setdefault(int(line), []).append(message.lstrip())
    assert differences(found, text, "mypy") == []


def test_without_a_cache_it_looks_through_modules(project: Project) -> None:
    files = project.write(metrics=METRICS, application=APPLICATION)
    assert project.mypy("--no-incremental", *files) == REPORT


def test_with_a_cache_it_looks_through_modules_that_are_not_read_again(project: Project) -> None:
    _, application = project.write(metrics=METRICS, application=APPLICATION)
    cache = f"--cache-dir={project.cache}"
    assert project.mypy(cache, application) == REPORT
    application.write_text(APPLICATION + "# changed\n", encoding="utf-8")
    assert project.mypy(cache, application) == REPORT


def test_a_module_that_did_not_change_is_checked_again_when_a_metric_did(project: Project) -> None:
    _, application = project.write(metrics=METRICS, application=APPLICATION)
    cache = f"--cache-dir={project.cache}"
    assert project.mypy(cache, application) == REPORT
    project.write(metrics=CHANGED)
    assert project.mypy(cache, application) == REPORT_OF_CHANGED


def test_the_daemon_sees_a_metric_change(project: Project) -> None:
    files = project.write(metrics=METRICS, application=APPLICATION)
    status = f"--status-file={project.directory / 'status.json'}"
    run = ["run", "--", f"--config-file={project.config}", f"--cache-dir={project.cache}", *files]
    try:
        assert project.errors(project.run("mypy.dmypy", status, *run)) == REPORT
        project.write(metrics=CHANGED)
        assert project.errors(project.run("mypy.dmypy", status, *run)) == REPORT_OF_CHANGED
        project.write(metrics=METRICS)
        assert project.errors(project.run("mypy.dmypy", status, *run)) == REPORT
    finally:
        project.run("mypy.dmypy", status, "stop")


def test_a_code_can_be_switched_off_for_a_whole_module(project: Project) -> None:
    silenced = '# mypy: disable-error-code="pytheus-label"\n' + APPLICATION
    files = project.write(metrics=METRICS, application=silenced)
    assert project.mypy(f"--cache-dir={project.cache}", *files) == []


def test_the_examples_in_documents_and_docstrings_are_clean(project: Project) -> None:
    texts = dict(_documents()) | dict(_docstrings())
    assert len(texts) > 20
    files = project.write(**texts)
    errors = project.mypy(f"--cache-dir={project.cache}", *files)
    assert [error for error in errors if "[pytheus-" in error] == []


def _documents() -> Iterator[tuple[str, str]]:
    """The Python that each document runs, as one module."""
    for pattern in ("*.md", "docs/**/*.md", "examples/*/*.md", "plugins/*/*.md"):
        for path in sorted(CHECKOUT.glob(pattern)):
            blocks = re.findall(r"^(?<!-->\n)```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)
            name = re.sub(r"\W", "_", str(path.relative_to(CHECKOUT).with_suffix("")))
            yield name, "\n".join(map(_script, blocks))


def _docstrings() -> Iterator[tuple[str, str]]:
    """The examples of each module of the package, each in a function of its own."""
    for path in sorted((CHECKOUT / "pytheus").rglob("*.py")):
        examples = re.findall(r'"""(.*?)"""', path.read_text(encoding="utf-8"), re.S)
        scripts = [_script(example) for example in examples if ">>>" in example]
        if scripts:
            module = ".".join(path.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__")
            functions = [
                f"def example_{number}():\n" + "".join(f"    {line}\n" for line in script.splitlines())
                for number, script in enumerate(scripts)
            ]
            names = "".join(f"from {name} import *\n" for name in ("pytheus", "pytheus.registry", module))
            yield "docstrings_of_" + module.replace(".", "_"), names + "\n" + "\n".join(functions)


def _script(block: str) -> str:
    return doctest.script_from_examples(block) if ">>>" in block else block


def test_an_older_mypy_is_refused_by_name() -> None:
    from pytheus.mypy_plugin import plugin  # here, because it needs mypy

    with pytest.raises(ImportError, match=r"needs mypy 2\.4 or later, but this is mypy 1\.19\.0; upgrade mypy"):
        plugin("1.19.0")


@pytest.mark.parametrize("version", ["2.4.0", "2.5.0+dev.0123abc", "3.0"])
def test_a_newer_mypy_is_taken(version: str) -> None:
    from pytheus.mypy_plugin import plugin  # here, because it needs mypy

    assert callable(plugin(version))


def test_without_mypy_the_import_says_what_it_is_for() -> None:
    program = "import sys; sys.modules['mypy'] = None; import pytheus.mypy_plugin"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "ImportError: pytheus.mypy_plugin is for mypy to load, and mypy cannot be imported here; install mypy 2.4 or"
        " later"
    )
