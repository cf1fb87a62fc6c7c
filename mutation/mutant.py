"""One defect: what it does, and the lines that it replaces."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path
from typing import NamedTuple

from mutation.suites import Suite

__all__ = ["Mutant", "Rotten", "replaced"]


class Rotten(Exception):
    """A mutant that does not fit the source any more, or does nothing to it."""


class Mutant(NamedTuple):
    """A defect in one file of the package.

    >>> from mutation.suites import LOOKUP
    >>> Mutant("says-no", "registry/x.py", "It says no.", "return True", "return False", LOOKUP).mutated("return True")
    'return False'
    """

    name: str
    file: str
    """Within the package."""
    what: str
    """What is wrong then, in a sentence."""
    old: str
    """Whole lines that occur once in the file, at whatever indentation."""
    new: str
    """What stands in their place; empty for nothing."""
    suite: Suite
    """The tests that are meant to notice."""
    locked: bool = False
    """Whether they run as on an interpreter without the GIL, where the package takes locks."""
    equivalent: str = ""
    """Why nobody can notice, where that is so; such a mutant must survive."""

    def mutated(self, source: str) -> str:
        """`source` with the defect. Raises `Rotten` if it does not apply, is no Python, or changes nothing."""
        try:
            mutated = replaced(source, self.old, self.new)
        except Rotten as error:
            raise Rotten(f"{self.name} does not apply to {self.file}: {error}") from None
        try:
            tree = ast.parse(mutated)
        except SyntaxError as error:
            raise Rotten(
                f"{self.name} is no Python any more in {self.file}, line {error.lineno}: {error.msg}"
            ) from error
        if ast.dump(tree) == ast.dump(ast.parse(source)):
            raise Rotten(f"{self.name} changes nothing in {self.file}")
        return mutated

    def applied(self, package: Path) -> str:
        """The text of its file, in the package at `package`, with the defect."""
        return self.mutated((package / self.file).read_text("utf-8"))


def replaced(source: str, old: str, new: str) -> str:
    """`source` with the lines `old`, which must be in it once, replaced by `new`, indented as `old` is there."""
    wanted = textwrap.dedent(old).strip("\n").split("\n")
    lines = source.split("\n")
    found: list[tuple[int, str]] = []
    for start in range(len(lines) - len(wanted) + 1):
        # The first line may be indented deeper than those that follow.
        indentation = " " * (_indentation(lines[start]) - _indentation(wanted[0]))
        there = lines[start : start + len(wanted)]
        if all(line == (indentation + sought if sought else "") for line, sought in zip(there, wanted, strict=True)):
            found.append((start, indentation))
    if len(found) != 1:
        raise Rotten(f"the lines to replace occur {len(found)} times, not once:\n{textwrap.dedent(old)}")
    [(start, indentation)] = found
    text = textwrap.dedent(new).strip("\n")
    put_in = textwrap.indent(text, indentation).split("\n") if text else []
    return "\n".join([*lines[:start], *put_in, *lines[start + len(wanted) :]])


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())
