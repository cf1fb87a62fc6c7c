"""The table of mutants fits the source as it is now, and the command runs one from end to end."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from mutation.equivalents import EQUIVALENTS
from mutation.mutant import Mutant, Rotten, replaced
from mutation.mutants import MUTANTS
from mutation.suites import COLLECTOR_REGISTRY, COMPOSE, EVERYTHING, LOOKUP, PROXY
from mutation.sweep import SWEPT, sweep

PARTS = sorted({mutant.file for mutant in MUTANTS})


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_it_applies_is_python_and_changes_something(checkout: Path, mutant: Mutant) -> None:
    mutant.applied(checkout / "pytheus")


def test_there_are_enough_of_them_and_each_has_a_name_of_its_own() -> None:
    assert len(MUTANTS) >= 50
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_no_two_do_the_same(checkout: Path) -> None:
    seen: dict[str, str] = {}
    for mutant in MUTANTS:
        key = mutant.file + ast.dump(ast.parse(mutant.applied(checkout / "pytheus")))
        assert seen.setdefault(key, mutant.name) == mutant.name


@pytest.mark.parametrize("suite", [COLLECTOR_REGISTRY, LOOKUP, PROXY, COMPOSE, EVERYTHING])
def test_the_tests_that_it_names_exist(checkout: Path, suite: tuple[str, ...]) -> None:
    for test in suite:
        path, _, name = test.partition("::")
        assert (checkout / path).exists()
        assert name in (checkout / path).read_text("utf-8") if name else True


@pytest.mark.parametrize("file", SWEPT)
def test_every_mechanical_defect_is_python_and_has_a_name_of_its_own(checkout: Path, file: str) -> None:
    source = (checkout / "pytheus" / file).read_text("utf-8")
    defects = list(sweep([file]))
    assert len({defect.name for defect in defects}) == len(defects) > 0
    assert len({ast.dump(ast.parse(defect.mutated(source))) for defect in defects} - {ast.dump(ast.parse(source))}) > 0


def test_every_explanation_is_of_a_defect_that_there_is() -> None:
    assert set(EQUIVALENTS) - {defect.name for defect in sweep(SWEPT)} == set()


SOURCE = """
class Registry:
    def register(self, collector):
        if collector in self.held:
            return
        self.held.append(collector)
"""


def test_lines_are_replaced_at_whatever_indentation() -> None:
    assert replaced(SOURCE, "    return\nself.held.append(collector)", "    pass\nreturn") == SOURCE.replace(
        "            return\n        self.held.append(collector)", "            pass\n        return"
    )


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("self.held.remove(collector)", "pass", "occur 0 times"),
        ("", "pass", "occur 2 times"),
        ("return", "return (", "no Python any more"),
        ("return", "return  # a comment", "changes nothing"),
    ],
)
def test_a_mutant_that_has_become_rotten_says_so(old: str, new: str, complaint: str) -> None:
    with pytest.raises(Rotten, match=complaint):
        Mutant("rotten", "registry/x.py", "Nothing.", old, new, LOOKUP).mutated(SOURCE)


def test_the_command_tells_who_caught_what_and_leaves_the_checkout_alone(checkout: Path) -> None:
    before = (checkout / "pytheus" / "registry" / "lookup.py").read_bytes()
    run = subprocess.run(
        [sys.executable, str(checkout / "mutation" / "run.py"), "search-by-own-name-alone"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "search-by-own-name-alone" in run.stdout
    assert "unit/test_lookup.py::" in run.stdout
    assert "1 mutants: 1 caught, 0 that nobody can notice; no other survivor" in run.stdout
    assert (checkout / "pytheus" / "registry" / "lookup.py").read_bytes() == before


def test_the_command_refuses_names_that_it_does_not_know(checkout: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(checkout / "mutation" / "run.py"), "no-such-mutant"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("ERROR: there is no mutant no-such-mutant")
