"""Registries that return other collectors than those registered, or none at all: compared by value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from pytheus.exceptions import ConflictError
from pytheus.metrics import Metric
from pytheus.registry import Collector
from pytheus.samples import Exemplar, Family, Sample
from pytheus.testing import run_conformance
from tests.testing.sound_registry import Sound, conformance, definition_of

Change = Callable[[Family], Family]


class Derived:
    """A collector that tells what another one tells, changed."""

    def __init__(self, origin: Collector, change: Change) -> None:
        self.origin = origin
        self.change = change
        self.definition = definition_of(origin)

    def collect(self) -> Iterator[Family]:
        for part in self.origin.collect():
            assert isinstance(part, Family)
            yield self.change(part)


def deriving(change: Change) -> type[Sound]:
    class Deriving(Sound):
        def collect(self) -> Iterable[Collector]:
            return [Derived(held, change) for held in self.held]

    return Deriving


def samples(change: Callable[[Sample], Sample | None]) -> Change:
    def changed(family: Family) -> Family:
        kept = [new for sample in family.samples if (new := change(sample)) is not None]
        return Family(family.name, family.type, family.description, kept)

    return changed


def failed(kind: type[Sound], **declarations: object) -> dict[str, str]:
    outcomes = run_conformance(conformance(kind, kind, **declarations))
    return {outcome.check: outcome.message for outcome in outcomes if outcome.status == "failed"}


def test_one_that_changes_nothing_passes() -> None:
    assert failed(deriving(lambda family: family), gives_originals=False) == {}


BROKEN: dict[str, tuple[Change, str]] = {
    "type": (
        lambda family: Family(
            family.name, "unknown" if family.type == "gauge" else family.type, family.description, family.samples
        ),
        "the type of 'kit_probe' is 'unknown' instead of 'gauge'",
    ),
    "help": (
        lambda family: Family(family.name, family.type, "", family.samples),
        "the description of 'kit_probe' is '' instead of",
    ),
    "help stripped": (
        lambda family: Family(family.name, family.type, family.description.replace("\n", " "), family.samples),
        "the description of 'kit_each_hits_total' is ",
    ),
    "rounded": (
        samples(lambda sample: sample._replace(value=round(sample.value, 6))),
        " instead of 0.3333333333333333",
    ),
    "integers": (
        samples(lambda sample: sample._replace(value=sample.value // 1 if 0 < sample.value < 1e9 else sample.value)),
        "kit_each_hits_total{'path'",
    ),
    "timestamps": (
        samples(lambda sample: sample._replace(timestamp=None)),
        "the timestamp of kit_detailed_total{'kind': 'third'} is None instead of 1790000000.25",
    ),
    "timestamps in seconds": (
        samples(lambda sample: sample._replace(timestamp=sample.timestamp and float(int(sample.timestamp)))),
        "is 1790000000.0 instead of 1790000000.25",
    ),
    "exemplars": (samples(lambda sample: sample._replace(exemplar=None)), "is None instead of Exemplar("),
    "exemplar values": (
        samples(lambda sample: sample._replace(exemplar=sample.exemplar and Exemplar(sample.exemplar.labels, 0.0))),
        "instead of Exemplar(",
    ),
    "labels": (samples(lambda sample: sample._replace(labels={})), "is missing"),
    "label values": (
        samples(
            lambda sample: sample._replace(
                labels={name: value if name == "le" else value[:4] for name, value in sample.labels.items()}
            )
        ),
        "is missing",
    ),
    "NaN": (samples(lambda sample: sample if sample.value == sample.value else None), "{'kind': 'none'} is missing"),
    "surplus": (
        lambda family: Family(
            family.name, family.type, family.description, [*family.samples, Sample("", {"more": "1"}, 1.0)]
        ),
        "kit_probe{'more': '1'} is surplus",
    ),
}


@pytest.mark.parametrize("defect", BROKEN)
def test_what_they_change_is_told(defect: str) -> None:
    change, message = BROKEN[defect]
    found = failed(deriving(change), gives_originals=False)
    [(check, text)] = found.items() if len(found) == 1 else [("several", str(found))]
    assert check in {"test_it_holds_what_is_registered", "test_registries_are_independent", DERIVED, "several"}
    assert any(message in told for told in found.values()), text


DERIVED = "test_derived_collectors_tell_the_same"


def test_one_that_holds_the_second_of_two_is_told() -> None:
    """By its name it looks like the first one."""

    class TheLastWins(deriving(lambda family: family)):  # type: ignore[misc]  # a class made at run time
        def refuse(self, collector: Collector, incumbent: Collector) -> None:
            self.remove(incumbent)
            self.add(collector)
            raise ConflictError("taken", name="kit_hits_total", incumbent=incumbent)

    found = failed(TheLastWins, gives_originals=False)
    told = found["test_a_conflicting_metric_is_not_held"]
    assert "the type of 'kit_hits_total' is 'gauge' instead of 'counter'" in told


class Pushing(Sound):
    """Holds collectors, exposes none, and says which it holds."""

    def collect(self) -> Iterable[Collector]:
        return []

    def registered_collectors(self) -> Iterable[Collector]:
        return list(self.held)


def test_one_that_exposes_nothing_passes_all_checks() -> None:
    outcomes = list(run_conformance(conformance(Pushing, Pushing, exposes=False)))
    assert [outcome for outcome in outcomes if outcome.status != "passed"] == []
    assert len(outcomes) > 40


class Untold(Sound):
    def collect(self) -> Iterable[Collector]:
        return []


class Exposing(Pushing):
    def collect(self) -> Iterable[Collector]:
        return list(self.held)


class Losing(Pushing):
    """It pushes metrics, and forgets all other collectors."""

    def registered_collectors(self) -> Iterable[Collector]:
        return [held for held in self.held if isinstance(held, Metric)]


@pytest.mark.parametrize(
    ("kind", "check", "message"),
    [
        (Untold, "test_registries_are_independent", "offers registered_collectors(), so that its collectors can move"),
        (Exposing, "test_it_exposes_nothing", "exposes = False means that collect() returns nothing: it returned"),
        (Losing, "test_it_holds_what_is_registered", "expected kit_probe but got nothing"),
    ],
)
def test_a_broken_one_that_exposes_nothing_is_told(kind: type[Sound], check: str, message: str) -> None:
    found = failed(kind, exposes=False)
    assert list(found) == [check]
    assert message in found[check]
