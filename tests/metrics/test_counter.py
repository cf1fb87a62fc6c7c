"""Counters: what they count, what they refuse, and how they are exposed."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable

import pytest

from pytheus import Counter, generate_metrics
from pytheus.exceptions import (
    LabelError,
    NotANumberError,
    NotARegistryError,
    OutOfRangeError,
    PytheusError,
    PytheusWarning,
)
from pytheus.registry import CollectorRegistry, Registry


@pytest.fixture
def jobs() -> Counter:
    return Counter("jobs_total", "Jobs done.", registry=None)


def test_a_counter_starts_at_zero_and_says_so(registry: CollectorRegistry) -> None:
    Counter("jobs_total", "Jobs done.", registry=registry)
    assert generate_metrics(registry) == "# HELP jobs_total Jobs done.\n# TYPE jobs_total counter\njobs_total 0.0\n"


@pytest.mark.parametrize(
    ("amounts", "value"), [([1], 1.0), ([2.5, 0.25], 2.75), ([0, -0.0], 0.0), ([math.inf], math.inf)], ids=str
)
def test_inc_adds_the_amount_or_one(jobs: Counter, amounts: list[float], value: float) -> None:
    for amount in amounts:
        jobs.inc(amount=amount)
    assert jobs.value == value
    jobs.inc()
    assert jobs.value == value + 1


@pytest.mark.parametrize("amount", [-1, -0.5, -math.inf, math.nan], ids=str)
def test_a_counter_never_falls_nor_turns_nan(amount: float, jobs: Counter) -> None:
    jobs.inc(3)
    with pytest.raises(OutOfRangeError, match="counter 'jobs_total' can only grow but got") as caught:
        jobs.inc(amount)
    assert isinstance(caught.value, PytheusError)
    assert jobs.value == 3.0


def test_a_refused_increment_makes_no_series(registry: CollectorRegistry) -> None:
    jobs = Counter("jobs_total", "Jobs done.", ["queue"], default_labels={"queue": "mail"}, registry=registry)
    jobs.remove("mail")
    with pytest.raises(OutOfRangeError):
        jobs.inc(-1)
    with pytest.raises(NotANumberError):
        jobs.inc("1")  # type: ignore[arg-type]  # what an untyped program might do
    assert "jobs_total{" not in generate_metrics(registry)


def test_a_counter_that_lacks_labels_cannot_count(registry: CollectorRegistry) -> None:
    jobs = Counter("jobs_total", "Jobs done.", ["queue", "kind"], registry=registry)
    with pytest.raises(
        LabelError, match=r"lacks 'queue', 'kind': complete it with \.labels\(queue=\.\.\., kind=\.\.\.\)"
    ):
        jobs.inc()  # type: ignore[pytheus-label]  # on purpose
    with pytest.raises(LabelError, match="lacks 'kind'"):
        jobs.labels(queue="mail").inc()  # type: ignore[pytheus-label]  # on purpose
    with pytest.raises(LabelError, match="lacks 'queue', 'kind'"):
        _ = jobs.value  # type: ignore[pytheus-label]  # on purpose
    assert "jobs_total{" not in generate_metrics(registry)


def test_without_a_registry_it_is_registered_nowhere(registry: CollectorRegistry) -> None:
    with_none = Counter("jobs_total", "Jobs done.", registry=None)
    with_none.inc()
    assert list(registry.collect()) == []
    assert [sample.value for family in with_none.collect() for sample in family.samples] == [1.0]


def test_a_name_without_the_suffix_is_exposed_as_it_is_given_and_warned_of(registry: CollectorRegistry) -> None:
    with pytest.warns(
        PytheusWarning, match=r"^counter 'jobs' has no suffix '_total', .*; call it 'jobs_total'$"
    ) as told:
        Counter("jobs", "Jobs done.", registry=registry).inc()
    assert told[0].filename == __file__
    assert "\njobs 1.0\n" in generate_metrics(registry)


def test_clear_starts_a_counter_without_labels_again(registry: CollectorRegistry) -> None:
    jobs = Counter("jobs_total", "Jobs done.", registry=registry)
    jobs.inc(5)
    generate_metrics(registry)
    jobs.clear()
    assert jobs.value == 0.0
    assert generate_metrics(registry).endswith("\njobs_total 0.0\n")
    jobs.inc()
    assert generate_metrics(registry).endswith("\njobs_total 1.0\n")


def test_it_reads_what_it_was_defined_with() -> None:
    jobs = Counter("jobs_total", "Jobs done.", ["queue"], registry=None)
    assert (jobs.name, jobs.description, jobs.label_names, jobs.type_) == (
        "jobs_total",
        "Jobs done.",
        ("queue",),
        "counter",
    )


def test_its_repr_shows_the_labels_bound() -> None:
    jobs = Counter("jobs_total", "Jobs done.", ["queue", "kind"], registry=None)
    assert repr(jobs) == "<Counter jobs_total>"
    assert repr(jobs.labels(kind="x")) == "<Counter jobs_total{kind='x'}>"


def test_each_scrape_shows_the_present_value(registry: CollectorRegistry) -> None:
    jobs = Counter("jobs_total", "Jobs done.", ["queue"], registry=registry)
    mail, push = jobs.labels("mail"), jobs.labels("push")
    shown = []
    for step in range(3):
        mail.inc(step)
        push.inc(10)
        shown.append(generate_metrics(registry).splitlines()[2:])
    assert shown == [
        ['jobs_total{queue="mail"} 0.0', 'jobs_total{queue="push"} 10.0'],
        ['jobs_total{queue="mail"} 1.0', 'jobs_total{queue="push"} 20.0'],
        ['jobs_total{queue="mail"} 3.0', 'jobs_total{queue="push"} 30.0'],
    ]


def test_a_metric_is_its_own_copy_and_cannot_be_pickled() -> None:
    counter = Counter("x_total", "X.", registry=None)
    assert copy.copy(counter) is counter
    assert copy.deepcopy([counter])[0] is counter
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(counter)


def test_what_is_no_exception_is_refused_before_one_is_raised() -> None:
    anything: dict[str, Callable[..., object]] = {"count": Counter("x_total", "X.", registry=None).count_exceptions}
    with pytest.raises(TypeError):
        anything["count"]("ValueError")


@pytest.mark.parametrize("registry", ["none", CollectorRegistry, object()], ids=["name", "class", "object"])
def test_what_is_no_registry_is_refused_clearly(registry: Registry) -> None:
    with pytest.raises(NotARegistryError, match=r"registry=\.\.\. of counter 'x_total'"):
        Counter("x_total", "X.", registry=registry)
    with pytest.raises(NotARegistryError, match="generate_metrics"):
        generate_metrics(registry)
