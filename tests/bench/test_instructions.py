"""No operation takes more instructions than bench/instructions.json says; the file names the interpreter."""

from __future__ import annotations

import shutil
import sys

import pytest

from bench import instructions
from pytheus import COMPILED

UPDATE = "If that is intended, `python3 bench/instructions.py --write` keeps the new counts."


@pytest.mark.slow
@pytest.mark.timeout(300)  # valgrind is fifty times as slow as the processor
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="there is no valgrind")
@pytest.mark.skipif(not COMPILED, reason="the counts are those of the compiled build")
def test_no_operation_takes_more_instructions() -> None:
    interpreter, counts = instructions.kept()
    if interpreter != instructions.interpreter():
        pytest.skip(f"the counts are those of {interpreter}, but this is {instructions.interpreter()}")
    _, now = instructions.count(sys.executable, "pytheus")
    grown = instructions.grown(counts["pytheus"], now)
    assert not grown, "\n".join([*grown, UPDATE])


def test_an_operation_may_take_five_percent_more() -> None:
    assert instructions.grown({"a": 1000, "b": 10}, {"a": 1050, "b": 9}) == []


def test_an_operation_that_takes_more_is_named_with_both_counts() -> None:
    assert instructions.grown({"a": 1000}, {"a": 1060}) == ["a: 1,000 instructions before, 1,060 now (+6.0%)"]


def test_an_operation_that_only_one_of_both_has_is_named() -> None:
    assert instructions.grown({"a": 1, "b": 1}, {"b": 1, "c": 1}) == ["a: not in both", "c: not in both"]
