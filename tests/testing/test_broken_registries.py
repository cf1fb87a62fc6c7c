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
from tests.testing.sound_registry import Sound

BROKEN = [
    kind
    for module in (broken_contents, broken_conflicts, broken_scrapes)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Sound) and kind.__module__ == module.__name__
]


def conformance(kind: type[Sound], name: str) -> type[RegistryConformance]:
    class Conformance(RegistryConformance):
        patience_seconds = kind.patience_seconds

        def make_registry(self) -> Registry:
            return kind()

        def make_prefixed_registry(self, prefix: str | None) -> Registry:
            return kind(prefix)

    Conformance.__name__ = name
    return Conformance


def failures(checked: type[RegistryConformance]) -> dict[str, str]:
    return {outcome.check: outcome.message for outcome in run_conformance(checked) if outcome.status == "failed"}


def test_the_sound_one_passes_every_check_that_needs_no_distribution() -> None:
    outcomes = list(run_conformance(conformance(Sound, "SoundConformance")))
    assert [outcome for outcome in outcomes if outcome.status == "failed"] == []
    assert [outcome.check for outcome in outcomes if outcome.status == "skipped"] == []


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_it_is_caught_by_the_check_meant_for_it_and_no_other(broken: type[Sound]) -> None:
    found = failures(conformance(broken, f"{broken.__name__}Conformance"))
    assert list(found) == [broken.check], found
    assert broken.message in found[broken.check]


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) >= 20


def test_every_check_of_a_registry_catches_one() -> None:
    outcomes = run_conformance(conformance(Sound, "SoundConformance"))
    checks = {outcome.check for outcome in outcomes if outcome.status == "passed"}
    assert checks - {broken.check for broken in BROKEN} == set()


@pytest.mark.parametrize("make", [lambda: Sound, lambda: None, lambda: "default"], ids=["class", "None", "name"])
def test_what_is_no_registry_at_all_fails_one_check(make: Callable[[], Registry]) -> None:
    class Conformance(RegistryConformance):
        def make_registry(self) -> Registry:
            return make()

    assert list(failures(Conformance)) == ["test_it_satisfies_the_protocol"]
