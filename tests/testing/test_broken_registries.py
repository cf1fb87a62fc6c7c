"""Registries that are broken on purpose: each is caught by the check that is meant for it, and for no other reason.

`Sound` keeps the whole contract. Every class in the modules `broken_...` breaks one promise, in the way in which real
registries do, and says which check has to fail and what the failure has to say.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytheus.registry import Registry
from pytheus.testing import RegistryConformance, run_conformance
from tests.testing import broken_conflicts, broken_contents, broken_scrapes
from tests.testing.sound_registry import Sound, conformance

BROKEN = [
    kind
    for module in (broken_contents, broken_conflicts, broken_scrapes)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Sound) and kind.__module__ == module.__name__
]


def conformance_of(kind: type[Sound]) -> type[RegistryConformance]:
    class Conformance(conformance(kind, kind)):  # type: ignore[misc]  # a class made at run time
        def unless_it_hangs(self, function: Callable[[], None], promise: str) -> None:
            if kind.check in repr(function):
                type(self).patience_seconds = kind.patience_seconds
            super().unless_it_hangs(function, promise)
            type(self).patience_seconds = Sound.patience_seconds

        def test_a_fork_may_come_at_any_time(self) -> None:
            type(self).patience_seconds = kind.patience_seconds
            try:
                super().test_a_fork_may_come_at_any_time()
            finally:
                type(self).patience_seconds = Sound.patience_seconds

    return Conformance


def failures(checked: type[RegistryConformance]) -> dict[str, str]:
    return {outcome.check: outcome.message for outcome in run_conformance(checked) if outcome.status == "failed"}


def test_the_sound_one_passes_every_check_that_needs_no_distribution() -> None:
    outcomes = list(run_conformance(conformance_of(Sound)))
    assert [outcome for outcome in outcomes if outcome.status == "failed"] == []
    assert [outcome.check for outcome in outcomes if outcome.status == "skipped"] == []


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_it_is_caught_by_the_check_meant_for_it_and_no_other(broken: type[Sound]) -> None:
    found = failures(conformance_of(broken))
    assert list(found) == [broken.check], found
    assert broken.message in found[broken.check]


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) >= 20


def test_every_check_of_a_registry_catches_one() -> None:
    outcomes = run_conformance(conformance_of(Sound))
    checks = {outcome.check for outcome in outcomes if outcome.status == "passed"}
    assert checks - {broken.check for broken in BROKEN} == set()


@pytest.mark.parametrize("make", [lambda: Sound, lambda: None, lambda: "default"], ids=["class", "None", "name"])
def test_what_is_no_registry_at_all_fails_one_check(make: Callable[[], Registry]) -> None:
    assert list(failures(conformance(make))) == ["test_it_satisfies_the_protocol"]
