"""Whether the tests notice small defects: each is put into a copy of the package, and the tests of that module run.

    nox -s sweep                               all files of FILES; takes long
    nox -s sweep -- registry/lookup.py         these files

Operators: a condition is negated, `and` and `or` change places, a comparison is turned round or moved by one, a whole
number is one more, True and False change places, a statement is left out, a `return` gives None.

Rules:

- The checkout is read and never written. A run of the tests that takes too long has noticed the defect, too.
- A defect is named by its function and the changed text, not by its line, so that the name outlives other edits.
- Messages, annotations, docstrings, `__all__`, `__slots__` and annotations are left alone: a test
  that noticed those would only repeat them.
- Exits with 1 if the tests pass with a defect that `sweep_equivalents.py` does not explain.
"""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NamedTuple

from sweep_equivalents import EQUIVALENTS

CHECKOUT: Final = Path(__file__).resolve().parent.parent

TESTS: Final = {
    "registry": ("tests/registry", "tests/plugins/test_proxy_resolution.py", "tests/testing/test_our_registries.py"),
    "compose": ("tests/compose", "tests/testing/test_our_registries.py", "tests/registry"),
}
"""The tests that are meant to notice, by package. The first failure ends them."""

FILES: Final = tuple(
    path.relative_to(CHECKOUT / "pytheus").as_posix()
    for package in TESTS
    for path in sorted((CHECKOUT / "pytheus" / package).glob("*.py"))
    if path.name != "__init__.py"
)

PATIENCE_SECONDS: Final = 300
WORKERS: Final = 2

_TURNED: Final[dict[type[ast.cmpop], tuple[str, ...]]] = {
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Lt: ("<=", ">="),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<="),
    ast.GtE: (">", "<"),
}

_LEFT_OUT: Final = (ast.Assign, ast.AugAssign, ast.Raise, ast.Continue, ast.Break, ast.Delete)


class _Edit(NamedTuple):
    node: ast.expr | ast.stmt
    text: str
    effect: str


class Defect(NamedTuple):
    name: str
    file: str
    source: str
    """The file's text with the defect."""


def defects(files: Sequence[str]) -> Iterator[Defect]:
    """Every mechanical defect of `files`, which are named as within the package."""
    for file in files:
        source = (CHECKOUT / "pytheus" / file).read_text("utf-8")
        names: Counter[str] = Counter()
        for place, edit in _edits(ast.parse(source).body, "", source):
            name = f"{file} {place}: {edit.effect}"
            names[name] += 1
            suffix = f" ({names[name]})" if names[name] > 1 else ""
            yield Defect(name + suffix, file, _replaced(source, edit))


def _replaced(source: str, edit: _Edit) -> str:
    lines, node = _lines(source), edit.node
    assert node.end_lineno is not None
    first, last = lines[node.lineno - 1][: node.col_offset], lines[node.end_lineno - 1][node.end_col_offset :]
    return b"\n".join(
        [*lines[: node.lineno - 1], first + edit.text.encode() + last, *lines[node.end_lineno :]]
    ).decode()


def _edits(body: Sequence[ast.stmt], place: str, source: str) -> Iterator[tuple[str, _Edit]]:
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            inner = f"{place}.{statement.name}".lstrip(".")
            if inner.endswith("__repr__"):
                continue
            yield from _edits(statement.body, inner, source)
            continue
        if not place or _is_for_type_checkers(statement):
            continue
        for edit in _of_statement(statement, source):
            yield place, edit
        for part in ast.iter_child_nodes(statement):
            if isinstance(part, ast.expr):
                for edit in _of_expression(part, source, annotated=isinstance(statement, ast.AnnAssign)):
                    yield place, edit
            elif isinstance(part, ast.withitem):
                for edit in _of_expression(part.context_expr, source, annotated=False):
                    yield place, edit
        for name in ("body", "orelse", "finalbody"):
            yield from _edits(getattr(statement, name, []), place, source)
        for handler in getattr(statement, "handlers", []):
            yield from _edits(handler.body, place, source)


def _is_for_type_checkers(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id.startswith("__") for target in statement.targets)
    return isinstance(statement, (ast.Import, ast.ImportFrom)) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _of_statement(statement: ast.stmt, source: str) -> Iterator[_Edit]:
    shown = _shown(statement, source)
    if isinstance(statement, _LEFT_OUT) or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)):
        yield _Edit(statement, "pass", f"leaves out `{shown}`")
    elif isinstance(statement, ast.Return) and statement.value is not None:
        if not (isinstance(statement.value, ast.Constant) and statement.value.value is None):
            yield _Edit(statement, "return None", f"`{shown}` gives None")
    elif isinstance(statement, ast.Return):
        yield _Edit(statement, "pass", f"leaves out `{shown}`")
    if isinstance(statement, (ast.If, ast.While)):
        yield from _negated(statement.test, source)


def _negated(test: ast.expr, source: str) -> Iterator[_Edit]:
    # A comparison is turned round below, which comes to the same.
    if not isinstance(test, ast.Compare):
        yield _Edit(test, f"(not ({_text(test, source)}))", f"negates `{_shown(test, source)}`")


def _of_expression(expression: ast.expr, source: str, *, annotated: bool) -> Iterator[_Edit]:
    if annotated and isinstance(expression, (ast.Name, ast.Subscript, ast.BinOp)):
        return
    if isinstance(expression, (ast.JoinedStr, ast.FormattedValue)):
        return  # a message
    shown = _shown(expression, source)
    if isinstance(expression, ast.Constant):
        value = expression.value
        if value is True or value is False:
            yield _Edit(expression, str(not value), f"`{value}` becomes {not value}")
        elif type(value) is int:
            yield _Edit(expression, str(value + 1), f"`{value}` becomes {value + 1}")
    elif isinstance(expression, ast.BoolOp):
        word, other = ("and", "or") if isinstance(expression.op, ast.And) else ("or", "and")
        parts = f" {other} ".join(f"({_text(value, source)})" for value in expression.values)
        yield _Edit(expression, f"({parts})", f"`{word}` becomes `{other}` in `{shown}`")
    elif isinstance(expression, ast.Compare) and len(expression.ops) == 1:
        left, right = _text(expression.left, source), _text(expression.comparators[0], source)
        for operator in _TURNED[type(expression.ops[0])]:
            yield _Edit(expression, f"({left} {operator} {right})", f"`{shown}` with `{operator}`")
    elif isinstance(expression, ast.IfExp):
        yield from _negated(expression.test, source)
    elif isinstance(expression, ast.UnaryOp) and isinstance(expression.op, ast.Not):
        yield _Edit(expression, f"({_text(expression.operand, source)})", f"`not` is left out of `{shown}`")
    for part in ast.iter_child_nodes(expression):
        if isinstance(part, ast.expr):
            yield from _of_expression(part, source, annotated=False)
        elif isinstance(part, ast.comprehension):
            yield from _of_expression(part.iter, source, annotated=False)
            for condition in part.ifs:
                yield from _negated(condition, source)
                yield from _of_expression(condition, source, annotated=False)
        elif isinstance(part, ast.keyword):
            yield from _of_expression(part.value, source, annotated=False)


def _text(node: ast.expr | ast.stmt, source: str) -> str:
    lines = _lines(source)
    assert node.end_lineno is not None
    # Columns count bytes. ast.get_source_segment splits the whole source each time.
    if node.lineno == node.end_lineno:
        return lines[node.lineno - 1][node.col_offset : node.end_col_offset].decode()
    between = lines[node.lineno : node.end_lineno - 1]
    first, last = lines[node.lineno - 1][node.col_offset :], lines[node.end_lineno - 1][: node.end_col_offset]
    return b"\n".join([first, *between, last]).decode()


@lru_cache(maxsize=4)
def _lines(source: str) -> list[bytes]:
    return source.encode().split(b"\n")


def _shown(node: ast.expr | ast.stmt, source: str) -> str:
    """The text, on one line and not too long."""
    text = " ".join(_text(node, source).split())
    return text if len(text) <= 60 else text[:57] + "..."


def copy_of_checkout() -> Path:
    """A directory with the package and its tests; the caller removes it."""
    directory = Path(tempfile.mkdtemp(prefix="pytheus-sweep-"))
    for name in ("pytheus", "tests", "docs", "README.md", "pyproject.toml"):
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.pyd"))
        else:
            shutil.copy2(source, directory / name)
    return directory


def is_noticed(directory: Path, file: str, source: str) -> bool:
    """Whether the tests of `file`'s package fail, in the copy at `directory`, when its text is `source`."""
    path = directory / "pytheus" / file
    original = path.read_text("utf-8")
    path.write_text(source, "utf-8")
    try:
        command = [sys.executable, "-P", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        process = subprocess.Popen(
            [*command, *TESTS[file.partition("/")[0]]],
            cwd=directory,
            # No byte code: a defect may have the size and the second of the original.
            env=os.environ | {"PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(PATIENCE_SECONDS) != 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
    finally:
        path.write_text(original, "utf-8")


def main(files: Sequence[str]) -> int:
    unknown = [file for file in files if file not in FILES]
    if unknown:
        print(f"not swept: {', '.join(unknown)}; choose from: {', '.join(FILES)}", file=sys.stderr)
        return 2
    directories: SimpleQueue[Path] = SimpleQueue()
    copies = [copy_of_checkout() for _ in range(WORKERS)]
    for copy in copies:
        directories.put(copy)

    def judged(defect: Defect) -> tuple[Defect, bool]:
        directory = directories.get()
        try:
            return defect, is_noticed(directory, defect.file, defect.source)
        finally:
            directories.put(directory)

    found, survivors = list(defects(files or FILES)), list[str]()
    try:
        for package in sorted({defect.file.partition("/")[0] for defect in found}):
            sound = next(defect.file for defect in found if defect.file.startswith(package))
            if is_noticed(copies[0], sound, (CHECKOUT / "pytheus" / sound).read_text("utf-8")):
                print(f"the tests {' '.join(TESTS[package])} fail without any defect", file=sys.stderr)
                return 2
        with ThreadPoolExecutor(WORKERS) as pool:
            for defect, noticed in pool.map(judged, found):
                explained = EQUIVALENTS.get(defect.name, "")
                if noticed == bool(explained):
                    survivors.append(defect.name)
                verdict = "noticed" if noticed else f"cannot be noticed: {explained}" if explained else "SURVIVED"
                print(f"{defect.name}  {verdict}", flush=True)
    finally:
        for copy in copies:
            shutil.rmtree(copy, ignore_errors=True)
    print(f"{len(found)} defects, {len(survivors)} not as expected", *survivors, sep="\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
