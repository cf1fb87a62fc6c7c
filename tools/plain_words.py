"""Report words that plain technical prose does without: `python tools/plain_words.py [PATH...]`.

Checks comments, string literals and names in Python, and the prose of Markdown and of templates (not their code
blocks). Without a path it checks every file that git tracks. Prints one line per finding and exits with 1 if there is
one. Words that must stay are listed in `ALLOWED`, each with its reason; an entry that matches nothing is a finding too.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

_CLAUSE = (
    "it|they|he|she|we|you|I|that|those|these|this|there|the|a|an|else|otherwise|no|not|none|nothing|all|some|one|both"
    "|neither|such|then|what|who|whoever|nobody|otherwise|its|their|with|in|on|as|only|each of|to"
)


class Rule(NamedTuple):
    pattern: re.Pattern[str]
    advice: str
    in_tests: bool = True
    """Whether the rule holds for tests, whose texts no user reads."""


RULES = (
    Rule(re.compile(r"\b(nobody|whoever|somebody|whosoever)\b", re.I), "name the actor"),
    Rule(re.compile(r"\b(anew|for ever)\b", re.I), "again, from the start, forever"),
    Rule(re.compile(r"\bbe had\b", re.I), "could not be created, is not available"),
    Rule(re.compile(r"\b(is|are|was|were) none\b(?!\s+of)"), "is not a ..., has no ..."),
    Rule(
        re.compile(r"(?<!there )\b(is|are|was|were) no (?!longer\b|more\b|less\b|different\b|problem\b)"),
        "is not a ...",
        False,
    ),
    Rule(re.compile(r"\bstands?\b(?!-)", re.I), "is"),
    Rule(re.compile(rf", for ({_CLAUSE})\b"), "because ..., or a new sentence"),
    Rule(re.compile(r"\b(hearts?|rooms?|houses?|homeless)\b", re.I), "the literal term"),
    Rule(re.compile(r"\b(that which|what)\b", re.I), "name the thing", False),
)
_NAME_PARTS = frozenset({"nobody", "whoever", "somebody", "anew", "stands", "standing", "homeless", "rooms", "room"})

ALLOWED: dict[tuple[str, str], str] = {
    ("tools/plain_words.py", ""): "lists the words",
}
"""Reasons by path and text: a line of that file which contains the text is not checked; "" is the whole file."""


class Finding(NamedTuple):
    path: str
    line: int
    text: str
    advice: str


def prose_of_python(source: str) -> Iterator[tuple[int, str]]:
    """The lines of comments and string literals, with their numbers."""
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in kinds:
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, line


def names_of_python(source: str) -> Iterator[tuple[int, str]]:
    """The names that are defined or used, with their line numbers."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and "_" in token.string:
            yield token.start[0], token.string


def prose_of_markdown(source: str) -> Iterator[tuple[int, str]]:
    """The lines outside of code blocks, without inline code."""
    fence = ""
    for number, line in enumerate(source.splitlines(), 1):
        opening = re.match(r" *(`{3,}|~{3,})", line)
        if opening:
            fence = "" if fence and line.strip() == fence else fence or opening[1]
        elif not fence:
            yield number, re.sub(r"`[^`]*`", "``", line)


def is_question(line: str) -> bool:
    """Whether the line asks or is a heading: there "what" is the right word."""
    return "?" in line or re.match("#+ ", line) is not None


def findings(path: Path) -> Iterator[Finding]:
    """Every violation in the file."""
    shown = path.relative_to(ROOT).as_posix()
    in_tests = "tests" in path.relative_to(ROOT).parts
    source = path.read_text("utf-8")
    python = path.suffix == ".py" or path.name.endswith(".py.template")
    exempt = [text for (name, text) in ALLOWED if name == shown]
    if "" in exempt:
        return
    lines = source.splitlines()
    for number, line in prose_of_python(source) if python else prose_of_markdown(source):
        if any(text in lines[number - 1] for text in exempt):
            continue
        for rule in RULES:
            if (in_tests and not rule.in_tests) or (found := rule.pattern.search(line)) is None:
                continue
            if not (found[0].lower() == "what" and is_question(line if python else lines[number - 1])):
                yield Finding(shown, number, found[0], rule.advice)
    for number, name in names_of_python(source) if python else ():
        parts = _NAME_PARTS.intersection(name.lower().split("_"))
        if parts and not any(text in lines[number - 1] for text in exempt):
            yield Finding(shown, number, f"{', '.join(parts)} in {name}", "name the thing by its term")


def tracked(arguments: list[str]) -> list[Path]:
    """The files to check."""
    command = ["git", "ls-files", "-z", "--", *(arguments or ["."])]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = [ROOT / name for name in output.split("\0") if name.endswith((".py", ".md", ".template"))]
    return [file for file in files if file.exists()]


def main(arguments: list[str]) -> int:
    found = [each for path in tracked(arguments) for each in findings(path)]
    for each in found:
        print(f"{each.path}:{each.line}: {each.text!r}: {each.advice}")
    unused = 0
    if not arguments:
        for name, text in ALLOWED:
            if not (ROOT / name).exists() or text not in (ROOT / name).read_text("utf-8"):
                print(f"tools/plain_words.py: ALLOWED has {name!r}, {text!r}, which matches nothing: remove it")
                unused += 1
    return 1 if found or unused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
