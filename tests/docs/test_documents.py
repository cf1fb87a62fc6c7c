"""Every code block of every document runs, one test each, in the order of the document.

CONTRIBUTING.md, "Documents", explains the languages of blocks and the comments before them. The blocks of a document
share a namespace, a registry, a shell environment and a working directory, which starts empty. A block runs even if one
before it failed, so a failure hides no other. The examples in docstrings run too, each in a registry of its own.
"""

from __future__ import annotations

import contextlib
import doctest
import gc
import importlib
import io
import json
import os
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from sybil import Document, Example, Lexeme, Region
from sybil.evaluators.doctest import DocTestEvaluator
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.abstract.doctest import DocTestStringParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from sybil.typing import LexemeMapping

import pytheus
from pytheus import REGISTRY
from pytheus.exceptions import PytheusWarning
from pytheus.registry import CollectorRegistry, Registry

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path.relative_to(CHECKOUT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "examples/*/*.md", "plugins/*/*.md")
    for path in CHECKOUT.glob(pattern)
)
INSTALLING = ("docs/tutorial-plugin.md", "docs/tutorial-plugin-statsd.md", "docs/how-to/write-a-registry.md")
"""Documents that install packages, with pip and from an index, into a virtual environment of their own."""
SLOW = ("docs/how-to/django.md", "docs/how-to/flask.md", "docs/how-to/litestar.md")
"""Documents that start several servers each; docs/how-to/fastapi.md does the same and is not among them."""
DEBIAN_PROGRAMS = ("curl", "npm", "prometheus", "prometheus-pushgateway", "promtool", "redis-server")
SHOWN_ONLY = ("", "text", "mermaid", "promql")
PATIENCE_SECONDS = 90

_FENCES = RawFencedCodeBlockLexer(re.compile(r"(?P<language>\w*)[^\n]*\n"))
_COMMENT = re.compile(r" *<!-- *(file|skip|exits|prints|eventually)(?:: *(.*?))? *-->\n\s*")
_PORT = re.compile(r"(?:127\.0\.0\.1:|localhost:|--port[ =]|port=|mgmt_port: |start_http_server\()(\d{4,5})\b")
_run_python = PythonEvaluator()
# What a command says of a step that takes long on a busy machine.
_PROGRESS = re.compile(r"^pytheus \w+: .* \(\d+ s\)\n", re.MULTILINE)
_sessions = DocTestStringParser(DocTestEvaluator(doctest.ELLIPSIS))


def same_output(got: str, wanted: str) -> bool:
    """Whether `got` is the output that a document shows, where ``...`` matches anything."""
    got = _PROGRESS.sub("", got)
    return doctest.OutputChecker().check_output(wanted, got, doctest.ELLIPSIS)


def commands_of(console: str) -> list[tuple[str, str]]:
    """The commands after each ``$ ``, with the output shown below them."""
    assert console.startswith("$ "), "a console block begins with '$ '"
    shown = re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", console, re.MULTILINE)
    return [(re.sub(r"\\\n> ", "\\\n", command), output) for command, output in shown]


@contextlib.contextmanager
def own_registry() -> Iterator[None]:
    """A context in which `REGISTRY` is a new registry; the former one is back afterwards."""
    # By set_registry and not by use(), because an example that calls set_registry() itself sees no effect within use().
    former = REGISTRY.registry
    replace_registry(CollectorRegistry())
    try:
        yield
    finally:
        replace_registry(former)


def replace_registry(registry: Registry) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PytheusWarning)  # the collectors that stay behind are left on purpose
        REGISTRY.set_registry(registry, migrate=False)


class Reader:
    """Runs the blocks of one document, as a reader would who types each of them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.document = Document((CHECKOUT / name).read_text("utf-8"), name)
        # A module: classes of labels look up their annotations in the module that defines them.
        self.module = types.ModuleType("document")
        self.document.namespace = vars(self.module)
        for region in self._regions():
            self.document.add(region)
        self.directory = Path()
        self.environ: dict[str, str] = {}
        self.working_directory = ""
        self.printed = ""
        self.missing: str | None = None
        self._patience_seconds = PATIENCE_SECONDS
        self._ports: dict[str, str] = {}
        self._background: list[subprocess.Popen[bytes]] = []

    def _regions(self) -> Iterator[Region]:
        """A region for each fenced block, with the comments before it; several for a block of ``>>>`` examples."""
        text, end = self.document.text, 0
        for region in _FENCES(self.document):
            comments = re.search(rf"(?:{_COMMENT.pattern})+\Z", text[end : region.start])
            directives = dict(_COMMENT.findall(comments[0])) if comments else {}
            end, source = region.end, region.lexemes["source"]
            if source.startswith(">>> ") and not directives:
                for example in _sessions(source, self.name):
                    example.adjust(region, source)
                    yield example
            else:
                yield Region(region.start, end, source, self.evaluate, region.lexemes | directives)

    @contextlib.contextmanager
    def reading(self, directory: Path, environ: dict[str, str], unused_port: Callable[[], int]) -> Iterator[None]:
        """Give the document a directory, a namespace, a registry and free ports, and end what it started."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
        self.environ = environ | ({} if self.name in INSTALLING else {"PATH": path, "PYTHONWARNINGS": "error"})
        self.directory, self.working_directory = directory, str(directory)
        self._ports = {port: str(unused_port()) for port in sorted(set(_PORT.findall(self.document.text)))}
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.dict(sys.modules, document=self.module))
            stack.enter_context(mock.patch.dict(os.environ, PATH=path))
            stack.enter_context(contextlib.chdir(directory))
            stack.callback(self._end_background)
            stack.callback(self._forget)
            yield

    def _forget(self) -> None:
        """Let the document's metrics end, because the plugin for prometheus_client finds those that live."""
        with warnings.catch_warnings():
            # A reader's session ends so, too, with the directories and files that the blocks leave open.
            warnings.simplefilter("ignore", ResourceWarning)
            vars(self.module).clear()
            gc.collect()
        plugin = sys.modules.get("pytheus_prometheus_client")
        if plugin is not None:
            plugin.uninstall()

    def _with_free_ports(self, text: str) -> str:
        return re.sub(r"\b\d{4,5}\b", lambda found: self._ports.get(found[0], found[0]), text)

    def evaluate(self, example: Example) -> str | None:
        """Run or check one block; the result says what went wrong."""
        source, directives = example.parsed, example.region.lexemes
        text, language = self._with_free_ports(source), directives["language"]
        if "skip" in directives:
            pytest.skip(directives["skip"])
        elif "file" in directives:
            target = self.directory / directives["file"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
        elif "prints" in directives:
            return None if same_output(self.printed, text) else f"printed was\n{self.printed}"
        elif language == "python":
            example.parsed = Lexeme(text, source.offset, source.line_offset)
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                _run_python(example)
            self.printed = printed.getvalue()
        elif language == "console":
            return self._evaluate_console(text, directives)
        elif language == "toml":
            tomllib.loads(text)
        elif language == "json":
            json.loads(text)
        elif language not in SHOWN_ONLY:
            return f"blocks of {language!r} are neither run nor checked; see CONTRIBUTING.md"
        return None

    def _evaluate_console(self, text: str, directives: LexemeMapping) -> str | None:
        missing = (program for program in DEBIAN_PROGRAMS if program in text and not shutil.which(program))
        self.missing = self.missing or next(missing, None)
        if self.missing:
            pytest.skip(f"{self.missing} is not installed, which this block or one before it needs")
        for command, wanted in commands_of(text):
            run = self._start if command.endswith("&") else self._run
            if failure := run(command, wanted, directives):
                return f"$ {command}\n{failure}"
        return None

    def _run(self, command: str, wanted: str, directives: LexemeMapping) -> str | None:
        deadline = time.monotonic() + (self._patience_seconds if "eventually" in directives else 0)
        while True:
            status, output = self._bash(command)
            if status == int(directives.get("exits", "0")) and (not wanted or same_output(output, wanted)):
                return None
            if time.monotonic() > deadline:
                self._patience_seconds = 1  # the rest will most likely wait in vain for the same reason
                return f"ended with {status} and printed\n{output}"
            time.sleep(0.2)

    def _bash(self, command: str) -> tuple[int, str]:
        """Run one line, and keep the working directory and the environment that it leaves."""
        state = self.directory / ".state"
        done = subprocess.run(
            ["bash", "-c", f'{command}\nstatus=$?\n{{ pwd; env -0; }} > "{state}"\nexit $status\n'],
            cwd=self.working_directory,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if state.exists():  # unless the line ended the shell
            self.working_directory, _, environ = state.read_text().partition("\n")
            self.environ = dict(entry.split("=", 1) for entry in environ.split("\0") if entry)
            state.unlink()
        return done.returncode, done.stdout

    def _start(self, command: str, wanted: str, _: LexemeMapping) -> str | None:
        """Start a program that runs until the document ends, and wait until its output contains `wanted`."""
        output = self.directory / f".output-{len(self._background)}"
        with output.open("wb") as stream:
            process = subprocess.Popen(
                ["bash", "-c", command.removesuffix("&")],
                cwd=self.working_directory,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._background.append(process)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not same_output(output.read_text("utf-8"), f"...{wanted}..."):
            if process.poll() is not None or time.monotonic() > deadline:
                return f"printed\n{output.read_text('utf-8')}"
            time.sleep(0.05)
        return None

    def _end_background(self) -> None:
        for process in reversed(self._background):
            for signal_ in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal_)  # with all that the shell started
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=30)
        self._background.clear()


def blocks() -> Iterator[object]:
    for reader in map(Reader, DOCUMENTS):
        marks = [pytest.mark.network, pytest.mark.slow] if reader.name in INSTALLING else []
        marks += [pytest.mark.slow] if reader.name in SLOW else []
        for example in reader.document.examples():
            yield pytest.param(reader, example, id=f"{reader.name}:{example.line}", marks=marks)


@pytest.fixture(scope="module")
def begin(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    unused_port: Callable[[], int],
) -> Iterator[Callable[[Reader], None]]:
    """Call it before each block: it begins the block's document, unless that is the one being read already."""
    begun: list[Reader] = []
    with contextlib.ExitStack() as stack:

        def begin(reader: Reader) -> None:
            if reader in begun[-1:]:
                return
            stack.close()
            directory, environ = tmp_path_factory.mktemp("document"), dict(os.environ)
            if reader.name in INSTALLING:
                python = request.getfixturevalue("make_venv")(directory / ".venv")
                # The pip that comes with Python 3.11, because readers do not upgrade it first.
                subprocess.run([python, "-m", "pip", "install", "--quiet", "pip==23.2.1"], check=True)
                environ = request.getfixturevalue("outside_environ")
            if reader.name.startswith("examples/"):
                shutil.copytree((CHECKOUT / reader.name).parent, directory, dirs_exist_ok=True)
            stack.enter_context(own_registry())
            stack.enter_context(reader.reading(directory, environ, unused_port))
            begun.append(reader)

        yield begin


@pytest.mark.skipif(os.name == "nt", reason="console blocks are bash")
@pytest.mark.parametrize(("reader", "example"), list(blocks()))
def test_the_block_does_what_it_says(begin: Callable[[Reader], None], reader: Reader, example: Example) -> None:
    begin(reader)
    example.evaluate()


def without_blocks(document: str) -> str:
    """The text of `document` with ``BLOCK`` in place of each fenced block."""
    text = (CHECKOUT / document).read_text("utf-8")
    return re.sub(r"^( *)(```+)\w*\n.*?^\1\2$", "BLOCK", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_comment_is_before_a_block_and_has_a_meaning(document: str) -> None:
    text = without_blocks(document)
    assert "```" not in text, "a block does not end"
    wrong = []
    for comment in re.finditer(r"^ *<!--.*\n\s*", text, re.MULTILINE):
        known = _COMMENT.fullmatch(comment[0])
        incomplete = known is not None and known[1] in ("skip", "file") and not known[2]
        if known is None or incomplete or not re.match("BLOCK| *<!--", text[comment.end() :]):
            wrong.append(comment[0])
    assert wrong == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_relative_link_of_a_document_leads_to_a_file(document: str) -> None:
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", without_blocks(document))]
    local = [target for target in targets if target and "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not (CHECKOUT / document).parent.joinpath(target).exists()] == []


def examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    names = [module.name for module in pkgutil.walk_packages(pytheus.__path__, "pytheus.")]
    # Commands run when they are imported; mypy's plugin needs mypy, and the hook PyInstaller. None has examples.
    skipped = re.compile(r".*\.__main__|pytheus\.(mypy_plugin|__pyinstaller)(\..*)?")
    for name in ["pytheus", *(name for name in names if skipped.fullmatch(name) is None)]:
        module = importlib.import_module(name)
        yield from (found for found in finder.find(module, name) if found.examples)


@pytest.mark.parametrize("example", [pytest.param(example, id=example.name) for example in examples()])
def test_the_example_of_a_docstring_gives_the_shown_output(example: doctest.DocTest) -> None:
    report: list[str] = []
    with own_registry():
        doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(example, out=report.append)
    assert not report, "".join(report)
