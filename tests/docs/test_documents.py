"""Every code block of every document runs, in the document's order, in a directory of the document's own.

What a block's language and the comment before it mean stands in CONTRIBUTING.md, "Documents". The Python blocks of a
document share one process (session.py), and its console blocks one environment and current directory.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path.relative_to(CHECKOUT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "examples/*/*.md", "plugins/*/*.md")
    for path in CHECKOUT.glob(pattern)
)
# These install what they tell to install, with pip and a package index, into an environment of their own.
INSTALLING = ("docs/tutorial-plugin.md",)
TOOLS = ("curl", "prometheus", "promtool", "redis-server")
SHOWN_ONLY = ("", "text", "mermaid", "promql")
PATIENCE_SECONDS = 120
LONGEST_SECONDS = 600


class Block(NamedTuple):
    """A fenced block, with the directives in the comments that stand before it."""

    line: int
    """Of its first line of code, counted from 1."""
    language: str
    source: str
    directives: dict[str, str]


_FENCE = re.compile(r"( *)(`{3,})(\w*)[^`]*")
_DIRECTIVE = re.compile(r" *<!-- *(file|skip|exits|prints|eventually)(?:: *(.*?))? *-->")


def blocks_of(text: str) -> Iterator[Block]:
    lines = text.splitlines()
    directives: dict[str, str] = {}
    number = 0
    while number < len(lines):
        if directive := _DIRECTIVE.fullmatch(lines[number]):
            directives[directive[1]] = directive[2] or ""
        elif fence := _FENCE.fullmatch(lines[number]):
            end = number + 1
            while lines[end].strip() != fence[2]:
                end += 1
            source = textwrap.dedent("\n".join([*lines[number + 1 : end], ""]))
            yield Block(number + 2, fence[3], source, directives)
            directives, number = {}, end
        elif lines[number].strip():
            assert not directives, f"line {number + 1}: the comment before it stands before no block"
        number += 1
    assert not directives, "the last comment stands before no block"


class Command(NamedTuple):
    line: str
    output: str


def commands_of(console: str) -> Iterator[Command]:
    """The commands after each ``$ ``, with what they are shown to print."""
    commands: list[Command] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            commands.append(Command(line[2:], ""))
        else:
            assert commands, f"a console block begins with '$ ', but this one begins with {line!r}"
            last = commands[-1]
            if last.line.endswith("\\") and not last.output:
                commands[-1] = last._replace(line=f"{last.line}\n{line.removeprefix('> ')}")
            else:
                commands[-1] = last._replace(output=f"{last.output}{line}\n")
    yield from commands


def with_free_ports(text: str, unused_port: Callable[[], int]) -> str:
    """`text` with each port of this machine that it mentions replaced by one that is free, everywhere alike."""
    ports = set(re.findall(r"(?:127\.0\.0\.1:|localhost:|--port[ =]|port=|start_http_server\()(\d{4,5})\b", text))
    free = {port: str(unused_port()) for port in sorted(ports)}
    return re.sub(r"\b\d{4,5}\b", lambda found: free.get(found[0], found[0]), text)


def same_output(got: str, wanted: str) -> bool:
    """Whether `got` is what a document shows, where ``...`` stands for anything."""
    return doctest.OutputChecker().check_output(wanted, got, doctest.ELLIPSIS)


class Reader:
    """Does what a document says, as a reader would who types every block."""

    def __init__(self, document: str, home: Path, environ: Mapping[str, str] | None = None) -> None:
        self.document = document
        self.home = home
        # Where it installs, what pip and its helpers warn of is none of ours.
        own = {"PATH": self._path(), "PYTHONWARNINGS": "error"}
        self.environ = os.environ | own if environ is None else dict(environ)
        self.directory = str(home)
        self.printed: str | None = None
        self._background: list[subprocess.Popen[bytes]] = []
        # -P: neither this directory nor the checkout may stand in for what is installed.
        self._session = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("session.py"))],
            cwd=home,
            env=self.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _path(self) -> str:
        """With this environment's commands first, and with `pytheus` even where it was not installed."""
        scripts = os.path.dirname(sys.executable)
        directories = [scripts, os.environ.get("PATH", os.defpath)]
        if shutil.which("pytheus", path=scripts) is None:
            extra = self.home / ".bin"
            extra.mkdir()
            command = extra / "pytheus"
            command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m pytheus "$@"\n')
            command.chmod(0o755)
            directories.insert(0, str(extra))
        return os.pathsep.join(directories)

    def read(self, block: Block) -> None:
        directives = block.directives
        if "skip" in directives:
            assert directives["skip"], self._about(block, "skip takes a reason")
        elif "file" in directives:
            target = self.home / directives["file"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.source, "utf-8")
        elif "prints" in directives:
            assert self.printed is not None, self._about(block, "no Python block stands before it")
            assert same_output(self.printed, block.source), self._about(block, f"printed was\n{self.printed}")
        elif block.language == "python":
            self._run_python(block)
        elif block.language == "console":
            for command in commands_of(block.source):
                self._run_command(block, command)
        elif block.language == "toml":
            tomllib.loads(block.source)
        elif block.language == "json":
            json.loads(block.source)
        else:
            assert block.language in SHOWN_ONLY, self._about(
                block, f"blocks of {block.language!r} are neither run nor checked; see CONTRIBUTING.md"
            )

    def _run_python(self, block: Block) -> None:
        assert self._session.stdin is not None
        assert self._session.stdout is not None
        request = {"file": self.document, "line": block.line, "source": block.source}
        print(json.dumps(request), file=self._session.stdin, flush=True)
        # It gives a line for a line, so nothing is left in the stream's buffer that this would not see.
        answered, _, _ = select.select([self._session.stdout], [], [], LONGEST_SECONDS)
        assert answered, self._about(block, f"it goes on for more than {LONGEST_SECONDS} s")
        answer = json.loads(self._session.stdout.readline())
        assert not answer["error"], self._about(block, answer["error"])
        self.printed = answer["printed"]

    def _run_command(self, block: Block, command: Command) -> None:
        if command.line.endswith("&"):
            self._run_beside(block, command)
            return
        wanted_status = int(block.directives.get("exits", "0"))
        deadline = time.monotonic() + (PATIENCE_SECONDS if "eventually" in block.directives else 0)
        while True:
            status, output = self._bash(command.line)
            if status == wanted_status and (not command.output or same_output(output, command.output)):
                return
            if time.monotonic() > deadline:
                pytest.fail(self._about(block, f"$ {command.line}\nended with {status} and printed\n{output}"))
            time.sleep(0.2)

    def _run_beside(self, block: Block, command: Command) -> None:
        """Start a program that goes on until the document ends; it is to print what is shown, among other things."""
        output = self.home / f".output-{len(self._background)}"
        with output.open("wb") as stream:
            process = subprocess.Popen(
                ["bash", "-c", command.line.removesuffix("&")],
                cwd=self.directory,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._background.append(process)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not same_output(output.read_text("utf-8"), f"...{command.output}..."):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(self._about(block, f"$ {command.line}\nprinted\n{output.read_text('utf-8')}"))
            time.sleep(0.05)

    def _bash(self, line: str) -> tuple[int, str]:
        state = self.home / ".state"
        script = f'{line}\nstatus=$?\n{{ pwd; env -0; }} > "{state}"\nexit $status\n'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.directory,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST_SECONDS,
        )
        if state.exists():  # unless the line ended the shell
            self.directory, _, environ = state.read_text().partition("\n")
            self.environ = dict(entry.split("=", 1) for entry in environ.split("\0") if entry)
            state.unlink()
        return done.returncode, done.stdout

    def _about(self, block: Block, text: str) -> str:
        return f"{self.document}:{block.line}: {text}"

    def close(self) -> None:
        for process in reversed(self._background):
            # The whole session that the shell leads, for it may have started more; already gone is as well.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        try:
            self._session.communicate(timeout=PATIENCE_SECONDS)
        finally:
            self._session.kill()


@pytest.mark.skipif(os.name == "nt", reason="console blocks are bash")
@pytest.mark.parametrize("document", [document for document in DOCUMENTS if document not in INSTALLING])
def test_every_block_of_a_document_does_what_it_says(
    document: str, tmp_path: Path, unused_port: Callable[[], int]
) -> None:
    text = (CHECKOUT / document).read_text("utf-8")
    blocks = list(blocks_of(with_free_ports(text, unused_port)))
    used = {tool for tool in TOOLS for block in blocks if block.language == "console" and tool in block.source}
    if missing := [tool for tool in sorted(used) if shutil.which(tool) is None]:
        pytest.skip(f"needs {', '.join(missing)} (Debian: apt-get install {' '.join(missing)})")
    if document.startswith("examples/"):
        shutil.copytree((CHECKOUT / document).parent, tmp_path, dirs_exist_ok=True)
    read(Reader(document, tmp_path), blocks)


@pytest.mark.network
@pytest.mark.skipif(os.name == "nt", reason="console blocks are bash")
@pytest.mark.parametrize("document", INSTALLING)
def test_every_block_of_a_document_that_installs_does_what_it_says(
    document: str, tmp_path: Path, make_venv: Callable[[Path], str], outside_environ: dict[str, str]
) -> None:
    make_venv(tmp_path / ".venv")
    read(Reader(document, tmp_path, outside_environ), list(blocks_of((CHECKOUT / document).read_text("utf-8"))))


def read(reader: Reader, blocks: Sequence[Block]) -> None:
    try:
        for block in blocks:
            reader.read(block)
    finally:
        reader.close()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_relative_link_of_a_document_leads_somewhere(document: str) -> None:
    text = re.sub(r"^( *)```.*?^\1```$", "", (CHECKOUT / document).read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [target for target in targets if target and "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not (CHECKOUT / document).parent.joinpath(target).exists()] == []
