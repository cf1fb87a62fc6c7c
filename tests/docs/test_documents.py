"""Every code block of every document runs, one test each, in the order of the document.

CONTRIBUTING.md, "Documents", says what the language of a block and the comments before it mean. The blocks of a document
share a namespace, a registry, a shell environment and a working directory, which starts empty. A block whose predecessor
fails still runs, so a failure hides no other.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from sybil import Document, Example, Lexeme, Region
from sybil.evaluators.doctest import DocTestEvaluator
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.abstract.doctest import DocTestStringParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

from pytheus import REGISTRY
from pytheus.registry import CollectorRegistry

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path.relative_to(CHECKOUT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "examples/*/*.md", "plugins/*/*.md")
    for path in CHECKOUT.glob(pattern)
)
INSTALLING = ("docs/tutorial-plugin.md", "docs/how-to/write-a-registry.md")
"""Documents that install packages, with pip and from an index, into a virtual environment of their own."""
DEBIAN_PROGRAMS = ("curl", "prometheus", "promtool", "redis-server")
DIRECTIVES = ("file", "skip", "exits", "prints", "eventually")
SHOWN_ONLY = ("", "text", "mermaid", "promql", "yaml")
PATIENCE_SECONDS = 90

_FENCES = RawFencedCodeBlockLexer(re.compile(r"(?P<language>\w*)[^\n]*\n"))
_COMMENT = re.compile(r"^ *<!-- *(\w+)(?:: *(.*?))? *-->$", re.MULTILINE)
_PORT = re.compile(r"(?:127\.0\.0\.1:|localhost:|--port[ =]|port=|start_http_server\()(\d{4,5})\b")
_run_python = PythonEvaluator()
_sessions = DocTestStringParser(DocTestEvaluator(doctest.ELLIPSIS))


def same_output(got: str, wanted: str) -> bool:
    """Whether `got` is the output that a document shows, where ``...`` matches anything."""
    return doctest.OutputChecker().check_output(wanted, got, doctest.ELLIPSIS)


def commands_of(console: str) -> list[tuple[str, str]]:
    """The commands after each ``$ ``, with the output shown below them."""
    assert console.startswith("$ "), "a console block begins with '$ '"
    shown = re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", console, re.MULTILINE)
    return [(re.sub(r"\\\n> ", "\\\n", command), output) for command, output in shown]


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
        self.printed: str | None = None
        self.missing: str | None = None
        self._patience_seconds = PATIENCE_SECONDS
        self._ports: dict[str, str] = {}
        self._background: list[subprocess.Popen[bytes]] = []

    def _regions(self) -> Iterator[Region]:
        """A region for each fenced block, with the comments before it; several for a block of ``>>>`` examples."""
        text, end = self.document.text, 0
        for region in _FENCES(self.document):
            between, end = text[end : region.start], region.end
            source: Lexeme = region.lexemes["source"]
            directives = self._directives(between, where := self.document.line_column(region.start))
            assert text[region.start : end].rstrip().endswith("```"), f"{self.name}, {where}: the block does not end"
            if region.lexemes["language"] == "python" and source.startswith(">>> ") and not directives:
                for example in _sessions(source, self.name):
                    example.adjust(region, source)
                    yield example
                continue
            region.parsed = source
            region.lexemes |= directives
            region.evaluator = self._evaluator(region.lexemes["language"], directives, where)
            yield region
        self._directives(f"{text[end:]}.", "the end")

    def _directives(self, between: str, where: str) -> dict[str, str]:
        comments = list(_COMMENT.finditer(between))
        if not comments:
            return {}
        assert not _COMMENT.sub("", between[comments[0].start() :]).strip(), (
            f"{self.name}, {where}: a comment before no block"
        )
        unknown = {comment[1] for comment in comments}.difference(DIRECTIVES)
        assert not unknown, f"{self.name}, {where}: there is no comment {unknown}; see CONTRIBUTING.md"
        return {comment[1]: comment[2] or "" for comment in comments}

    def _evaluator(self, language: str, directives: dict[str, str], where: str) -> Callable[[Example], str | None]:
        for directive in ("skip", "file", "prints"):
            if directive in directives:
                return getattr(self, f"evaluate_{directive}")
        checks: dict[str, Callable[[Example], str | None]] = {
            "python": self.evaluate_python,
            "console": self.evaluate_console,
            "toml": lambda example: tomllib.loads(example.parsed) and None,
            "json": lambda example: json.loads(example.parsed) and None,
        } | dict.fromkeys(SHOWN_ONLY, lambda example: None)
        assert language in checks, f"{self.name}, {where}: blocks of {language!r} are not checked; see CONTRIBUTING.md"
        return checks[language]

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
            stack.enter_context(REGISTRY.use(CollectorRegistry()))
            stack.callback(self._end_background)
            yield

    def _with_free_ports(self, text: str) -> str:
        return re.sub(r"\b\d{4,5}\b", lambda found: self._ports.get(found[0], found[0]), text)

    def evaluate_skip(self, example: Example) -> None:
        reason = example.region.lexemes["skip"]
        assert reason, "skip takes a reason"
        pytest.skip(reason)

    def evaluate_file(self, example: Example) -> None:
        target = self.directory / example.region.lexemes["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(self._with_free_ports(example.parsed), "utf-8")

    def evaluate_prints(self, example: Example) -> str | None:
        assert self.printed is not None, "no Python block is before it"
        wanted = self._with_free_ports(example.parsed)
        return None if same_output(self.printed, wanted) else f"printed was\n{self.printed}"

    def evaluate_python(self, example: Example) -> None:
        source = example.parsed
        example.parsed = Lexeme(self._with_free_ports(source), source.offset, source.line_offset)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            _run_python(example)
        self.printed = printed.getvalue()

    def evaluate_console(self, example: Example) -> str | None:
        missing = (program for program in DEBIAN_PROGRAMS if program in example.parsed and not shutil.which(program))
        self.missing = self.missing or next(missing, None)
        if self.missing:
            pytest.skip(f"{self.missing} is not installed, which this block or one before it needs")
        for command, wanted in commands_of(self._with_free_ports(example.parsed)):
            run = self._start if command.endswith("&") else self._run
            if failure := run(command, wanted, example.region.lexemes):
                return f"$ {command}\n{failure}"
        return None

    def _run(self, command: str, wanted: str, directives: dict[str, str]) -> str | None:
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

    def _start(self, command: str, wanted: str, _: dict[str, str]) -> str | None:
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
        marks = [pytest.mark.xdist_group(reader.name), *[pytest.mark.network] * (reader.name in INSTALLING)]
        for example in reader.document.examples():
            yield pytest.param(reader, example, id=f"{reader.name}:{example.line}", marks=marks)


@pytest.fixture(scope="module")
def begin(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, unused_port: Callable[[], int]
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
                request.getfixturevalue("make_venv")(directory / ".venv")
                environ = request.getfixturevalue("outside_environ")
            if reader.name.startswith("examples/"):
                shutil.copytree((CHECKOUT / reader.name).parent, directory, dirs_exist_ok=True)
            stack.enter_context(reader.reading(directory, environ, unused_port))
            begun.append(reader)

        yield begin


@pytest.mark.skipif(os.name == "nt", reason="console blocks are bash")
@pytest.mark.parametrize(("reader", "example"), list(blocks()))
def test_the_block_does_what_it_says(begin: Callable[[Reader], None], reader: Reader, example: Example) -> None:
    begin(reader)
    example.evaluate()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_relative_link_of_a_document_leads_to_a_file(document: str) -> None:
    text = re.sub(r"^( *)```.*?^\1```$", "", (CHECKOUT / document).read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [target for target in targets if target and "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not (CHECKOUT / document).parent.joinpath(target).exists()] == []
