"""The kit itself: how it reports, skips and cleans up, with pytest and without."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import pytest

from pytheus.registry import Collector, CollectorRegistry
from pytheus.testing import RegistryConformance, run_conformance
from tests.testing.sound_registry import conformance


class Closing(CollectorRegistry):
    made: ClassVar[list[CollectorRegistry]] = []
    closed: ClassVar[list[CollectorRegistry]] = []

    def __init__(self) -> None:
        super().__init__()
        self.made.append(self)

    def close(self) -> None:
        self.closed.append(self)


def test_each_registry_is_closed_after_its_check() -> None:
    for outcome in run_conformance(conformance(Closing)):
        unclosed = [registry for registry in Closing.made if all(registry is not other for other in Closing.closed)]
        assert unclosed == [], outcome.check
    assert Closing.made != []


def test_a_class_that_makes_no_registry_is_told() -> None:
    class Forgetful(RegistryConformance):
        pass

    outcomes = {outcome.check: outcome for outcome in run_conformance(Forgetful)}
    failed = outcomes["test_it_satisfies_the_protocol"]
    assert failed.status == "failed"
    assert failed.message == "Forgetful must define make_registry(self) -> Registry"
    assert "NotImplementedError" in failed.trace


def test_a_check_that_rests_on_another_is_left_out_where_that_fails() -> None:
    class Empty(CollectorRegistry):
        def register(self, collector: Collector, /) -> None:
            pass

    outcomes = {outcome.check: outcome for outcome in run_conformance(conformance(Empty))}
    left_out = outcomes["test_collect_is_repeatable"]
    assert left_out.status == "skipped"
    assert left_out.message == "not run: it relies on test_it_holds_what_is_registered, which fails"


def test_every_check_says_what_it_promises() -> None:
    for outcome in run_conformance(conformance(CollectorRegistry)):
        assert outcome.promise.endswith((".", "?")), outcome.check
        assert outcome.promise != outcome.check


def test_it_needs_no_pytest() -> None:
    program = (
        "import sys; sys.modules['pytest'] = None\n"
        "from pytheus.registry import CollectorRegistry\n"
        "from pytheus.testing import RegistryConformance, run_conformance\n"
        "class Checked(RegistryConformance):\n"
        "    def make_registry(self): return CollectorRegistry()\n"
        "print(sum(outcome.status == 'failed' for outcome in run_conformance(Checked)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


SUITE = """
from pytheus.registry import CollectorRegistry
from pytheus.testing import RegistryConformance


class LastFirst(CollectorRegistry):
    def collect(self):
        return reversed(list(super().collect()))


class TestLastFirst(RegistryConformance):
    def make_registry(self):
        return LastFirst()
"""


def test_pytest_reports_failures_and_skips_with_their_reasons(tmp_path: Path) -> None:
    (tmp_path / "test_last_first.py").write_text(SUITE, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rsf", "-p", "no:cacheprovider", "test_last_first.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout
    assert done.stdout.count("\nFAILED ") == 1
    assert "collect() keeps the order of registration: expected kit_c, kit_a, kit_d, kit_b but got" in done.stdout
    assert "not run: it relies on test_collect_keeps_the_order_of_registration, which fails" in done.stdout


@pytest.mark.parametrize("name", ["RegistryConformance", "assert_increments", "lint_names", "parse_exposition"])
def test_names_are_loaded_when_they_are_used(name: str) -> None:
    program = (
        "import sys, pytheus.testing\n"
        "before = [module for module in sys.modules if module.startswith('pytheus.testing.')]\n"
        f"print(before, pytheus.testing.{name}.__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == f"[] {name}\n", done.stderr


def test_an_unknown_name_is_an_attribute_error() -> None:
    import pytheus.testing

    with pytest.raises(AttributeError, match="no_such_name"):
        pytheus.testing.no_such_name  # type: ignore[attr-defined]  # noqa: B018  # the very thing that is tested


class Odd(CollectorRegistry):
    def collect(self) -> Iterable[Collector]:  # type: ignore[override]  # the protocol asks for no more
        return tuple(super().collect())


TestARegistryWhoseCollectGivesATuple = conformance(Odd)
