"""The stretches marked ``# atomic:`` really are executed whole by the interpreter that runs this.

CPython hands over the GIL and runs signal handlers only where its evaluation loop checks for it (the "eval breaker"):
when a frame begins (RESUME), after calls, at backward jumps and where a frame is resumed. Such a stretch must have none
of them before its last store. On 3.11 the garbage collector runs finalizers where containers are allocated, too; from
3.12 on it waits for the eval breaker.

The rules for a stretch, with their reasons, are in `pytheus.atomic`.
"""

from __future__ import annotations

import ast
import dis
import os
import subprocess
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import pytheus
from pytheus.atomic import LOCKED, lock_for

PACKAGE = Path(pytheus.__file__).parent
PLUGINS = Path(__file__).resolve().parent.parent / "plugins"

# Beginnings of the names of instructions at which other code may run.
_CHECKS = (
    "CALL",
    "PRECALL",
    "RESUME",
    "SEND",
    "YIELD",
    "GET_",
    "FOR_ITER",
    "END_ASYNC_FOR",
    "JUMP_BACKWARD",
    "POP_JUMP_BACKWARD",
    "IMPORT",
    "BEFORE_",
    "WITH_",
    "UNPACK",
    "ENTER_EXECUTOR",
)
_ALLOCATIONS = ("BUILD_", "MAKE_FUNCTION", "LIST_", "SET_", "DICT_")
_STORES = ("STORE_ATTR", "STORE_SUBSCR", "STORE_SLICE")
_ENDS = ("RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "JUMP_FORWARD", "JUMP_BACKWARD")


class Stretch(NamedTuple):
    """Statements that rely on being executed whole, and the code that they are in."""

    place: str
    code: types.CodeType
    first_line: int
    last_line: int
    properties: frozenset[str]


def _interrupting(instruction: dis.Instruction) -> bool:
    name = instruction.opname
    if name == "JUMP_BACKWARD_NO_INTERRUPT":
        return False
    return name.startswith(_CHECKS) or (sys.version_info < (3, 12) and name.startswith(_ALLOCATIONS))


def _faults(stretch: Stretch) -> list[str]:
    """Each store that some path reaches after an instruction at which other code may run."""
    instructions = [
        instruction
        for instruction in dis.get_instructions(stretch.code)
        if instruction.positions is not None
        and instruction.positions.lineno is not None
        and stretch.first_line <= instruction.positions.lineno <= stretch.last_line
    ]
    assert instructions, f"{stretch.place} has no instructions"
    by_offset = {instruction.offset: index for index, instruction in enumerate(instructions)}
    faults: list[str] = []
    seen: set[tuple[int, str]] = set()
    waiting: list[tuple[int, str]] = [(0, "")]
    while waiting:
        step = index, interrupted = waiting.pop()
        if step in seen or index >= len(instructions):
            continue
        seen.add(step)
        instruction = instructions[index]
        name = instruction.opname
        where = f"{stretch.place}, line {instruction.positions.lineno if instruction.positions else '?'}"
        if name.startswith(_STORES) and interrupted:
            faults.append(f"{where}: {name} after {interrupted}")
        if name.startswith("LOAD_ATTR") and instruction.argval in stretch.properties:
            faults.append(f"{where}: reads the property {instruction.argval!r}, which runs Python code")
        if _interrupting(instruction):
            interrupted = interrupted or f"{name} in {where}"
        if instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs:
            target = by_offset.get(instruction.argval)
            if target is not None:
                waiting.append((target, interrupted))
        if not name.startswith(_ENDS):
            waiting.append((index + 1, interrupted))
    return faults


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _stretches(source: str, name: str) -> Iterator[Stretch]:
    """From each ``# atomic:`` to the end of its block."""
    lines = source.splitlines()
    tree = ast.parse(source)
    codes = list(_codes(compile(source, name, "exec")))
    properties = frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(decorator, ast.Name) and decorator.id == "property" for decorator in node.decorator_list)
    )
    for number, line in enumerate(lines, 1):
        if not line.lstrip().startswith("# atomic:"):
            continue
        indentation = len(line) - len(line.lstrip())
        statements = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.stmt) and node.lineno > number and node.col_offset == indentation
        ]
        last = number
        for statement in sorted(statements, key=lambda node: node.lineno):
            between = lines[last : statement.lineno - 1]
            if any(text.strip() and len(text) - len(text.lstrip()) < indentation for text in between):
                break
            last = statement.end_lineno or statement.lineno
        function = max(
            (
                node
                for node in ast.walk(tree)
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
                and node.lineno < number <= (node.end_lineno or 0)
            ),
            key=lambda node: node.lineno,
        )
        [code] = [
            code
            for code in codes
            if code.co_name == function.name
            and any(start is not None and number < start <= last for _, _, start in code.co_lines())
        ]
        yield Stretch(f"{name}, {function.name}", code, number + 1, last, properties)


def _all_stretches(root: Path = PACKAGE) -> list[Stretch]:
    return [
        stretch
        for path in sorted(root.rglob("*.py"))
        if path.name != "atomic.py"
        for stretch in _stretches(path.read_text(encoding="utf-8"), path.relative_to(root).as_posix())
    ]


UNDER_A_LOCK = "this interpreter runs these stretches under a lock"
uncompiled = pytest.mark.skipif(pytheus.COMPILED, reason="native code, which keeps the GIL, has no bytecode to look at")


@uncompiled
@pytest.mark.skipif(LOCKED, reason=UNDER_A_LOCK)
@pytest.mark.parametrize("stretch", _all_stretches(), ids=lambda stretch: f"{stretch.place}:{stretch.first_line}")
def test_nothing_comes_between_a_load_and_its_store(stretch: Stretch) -> None:
    assert _faults(stretch) == []


@pytest.mark.skipif(LOCKED, reason=UNDER_A_LOCK)
def test_nothing_comes_between_a_load_and_its_store_in_a_plugin() -> None:
    stretches = [stretch for package in PLUGINS.glob("pytheus-*/pytheus_*/") for stretch in _all_stretches(package)]
    assert "numbers.py, _add" in {stretch.place for stretch in stretches}
    assert [fault for stretch in stretches for fault in _faults(stretch)] == []


@uncompiled
@pytest.mark.parametrize(
    "place",
    [
        "metrics/counter.py, inc",
        "metrics/gauge.py, inc",
        "metrics/gauge.py, dec",
        "metrics/histogram.py, observe",
        "metrics/summary.py, observe",
        "registry/collector_registry.py, _commit_plainly",
        "registry/collector_registry.py, _replace_plainly",
    ],
)
def test_every_write_is_marked(place: str) -> None:
    assert place in {stretch.place for stretch in _all_stretches()}


# The detector itself --------------------------------------------------------------------------------------------------

_SOUND = {
    "add": "self._value += amount",
    "two adds": "view[0] += 1.0\nview[-1] += amount",
    "call on a path without a store": "if amount:\n    self._value += amount\nelse:\n    self.inc(amount)",
    "call after the store": "self._value += amount\nprint(amount)",
}

_FAULTY = {
    "call in between": "self._value = max(self._value, amount)",
    "call between two stores": "view[0] += 1.0\nprint()\nview[1] += amount",
    "loop": "for index in view:\n    self._value += amount",
    "while": "while amount:\n    self._value += 1.0",
    "with": "with view:\n    self._value += amount",
    "property": "self._value += self.amount",
    "await": "self._value += await amount",
}


def _made(body: str) -> Stretch:
    [stretch] = _stretches(
        "class Metric:\n"
        "    @property\n"
        "    def amount(self):\n"
        "        return 1.0\n"
        f"    {'async ' if 'await' in body else ''}def inc(self, amount, view):\n"
        "        # atomic: a test\n" + textwrap.indent(body, " " * 8) + "\n",
        "made",
    )
    return stretch


@pytest.mark.parametrize(
    ("body", "faulty"),
    [*((body, False) for body in _SOUND.values()), *((body, True) for body in _FAULTY.values())],
    ids=[*_SOUND, *_FAULTY],
)
def test_what_can_be_interrupted_is_found(body: str, faulty: bool) -> None:
    assert bool(_faults(_made(body))) is faulty


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="from 3.12 on the collector waits for the eval breaker")
def test_an_allocation_that_may_run_finalizers_is_found() -> None:
    assert _faults(_made("self._value = (self._value, amount)")) != []


# The choice -----------------------------------------------------------------------------------------------------------


def _locked(preparation: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", f"import sys\n{preparation}\nimport pytheus.atomic\nprint(pytheus.atomic.LOCKED)"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])},
    ).stdout.strip()


@pytest.mark.parametrize(
    ("preparation", "locked"),
    [
        ("sys._is_gil_enabled = lambda: True", "False"),
        ("sys._is_gil_enabled = lambda: False", "True"),
        ("import types; sys.implementation = types.SimpleNamespace(name='pypy', cache_tag=None)", "True"),
    ],
    ids=["with the GIL", "free-threaded", "another interpreter"],
)
@uncompiled
def test_locks_are_taken_where_plain_adds_are_not_enough(preparation: str, locked: str) -> None:
    assert _locked(preparation) == locked


def test_a_subject_has_one_lock_which_can_be_taken_twice() -> None:
    subject = object()
    with lock_for(subject), lock_for(subject):
        assert lock_for(subject) is lock_for(subject)


DEADLINE_SECONDS = 900


@pytest.mark.slow
@pytest.mark.timeout(DEADLINE_SECONDS + 60)  # it runs a good part of the tests again
@pytest.mark.skipif(LOCKED, reason="the tests run with locks already")
@pytest.mark.skipif(pytheus.COMPILED, reason="native code chose when it was compiled")
def test_the_tests_pass_with_locks_too(pytestconfig: pytest.Config) -> None:
    tests = Path(__file__).resolve().parent
    scrapes = [f"exposition/test_{name}.py" for name in ("concurrent_scrapes", "failed_series", "text", "walk")]
    tested = [str(tests / name) for name in ("metrics", "registry", *scrapes, "test_atomic.py")]
    paths = [str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "force_locked", "-p", "no:cacheprovider"]
    command += ["-m", "not once and not slow"]
    ended = subprocess.run(
        [*command, "--rootdir", str(tests.parent), *tested],
        cwd=tests.parent,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-8000:]
    assert UNDER_A_LOCK in ended.stdout
