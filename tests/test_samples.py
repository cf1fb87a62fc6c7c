"""Families made in one call."""

from __future__ import annotations

import pytest

from pytheus.exceptions import InvalidNameError, LabelError
from pytheus.kinds import MetricType
from pytheus.samples import Family


def test_a_family_of_one_number() -> None:
    family = Family.of("sent_bytes_total", "counter", "Sent.", 3, unit="bytes")
    assert [(sample.suffix, dict(sample.labels), sample.value) for sample in family.samples] == [("", {}, 3.0)]
    assert family.unit == "bytes"


def test_a_family_with_several_labels() -> None:
    family = Family.of("jobs", "gauge", "Jobs.", {("a", "mail"): 1, ("b", "mail"): 2}, ["tenant", "queue"])
    assert [dict(sample.labels) for sample in family.samples] == [
        {"tenant": "a", "queue": "mail"},
        {"tenant": "b", "queue": "mail"},
    ]


def test_label_values_must_match_the_labels() -> None:
    with pytest.raises(LabelError, match=r"has the labels .'tenant', 'queue'. but got 1 values"):
        Family.of("jobs", "gauge", "Jobs.", {"a": 1}, ["tenant", "queue"])
    with pytest.raises(LabelError, match="but got 0 values"):
        Family.of("jobs", "gauge", "Jobs.", 1, ["tenant"])


@pytest.mark.parametrize("type_", ["histogram", "summary", "info", "stateset", "wrong"])
def test_other_types_are_refused(type_: MetricType) -> None:
    with pytest.raises(InvalidNameError):
        Family.of("jobs", type_, "Jobs.", 1)


@pytest.mark.parametrize("labels", ["queue", ["le", "le"], ["a b"]])
def test_labels_are_checked_as_those_of_a_metric(labels: list[str]) -> None:
    with pytest.raises(InvalidNameError, match=r"^gauge 'jobs' "):
        Family.of("jobs", "gauge", "Jobs.", {"a": 1}, labels)
