"""Gauges: written up, down and outright, or read from a function."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import pytest

from pytheus import Gauge, generate_metrics
from pytheus.exceptions import NotANumberError, PytheusError
from pytheus.registry import CollectorRegistry


@pytest.fixture
def queue(registry: CollectorRegistry) -> Gauge:
    return Gauge("queue_length", "Jobs waiting.", registry=registry)


@pytest.mark.parametrize(
    ("writes", "value"),
    [
        ([("inc", 5), ("dec", 1), ("inc", 1), ("dec", 2.5)], 2.5),
        ([("dec", 3), ("inc", -1), ("dec", -2)], -2.0),
        ([("set", 5), ("set_function", None)], 5.0),
        ([("set_function", lambda: 1), ("set_function", lambda: 2)], 2.0),
    ],
    ids=["rises and falls", "below zero, negative amounts", "no function to take away", "a function is replaced"],
)
def test_writes_follow_each_other(queue: Gauge, writes: list[tuple[str, object]], value: float) -> None:
    for method, argument in writes:
        getattr(queue, method)(argument)
    assert queue.value == value


def test_one_is_added_or_taken_away_without_an_amount(queue: Gauge) -> None:
    queue.inc()
    queue.inc()
    queue.dec()
    assert queue.value == 1.0


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (7, "7.0"),
        (-1.5, "-1.5"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
        (1e300, "1e+300"),
        pytest.param(True, "1.0", marks=pytest.mark.pitfall),
    ],
)
def test_set_takes_every_double(queue: Gauge, registry: CollectorRegistry, value: float, shown: str) -> None:
    queue.set(1)
    queue.set(value)
    assert generate_metrics(registry).endswith(f"\nqueue_length {shown}\n")


def test_nan_is_followed_by_numbers_again(queue: Gauge, registry: CollectorRegistry) -> None:
    for value, shown in ((math.nan, "NaN"), (0, "0.0"), (math.nan, "NaN"), (3, "3.0")):
        queue.set(value)
        assert generate_metrics(registry).endswith(f"\nqueue_length {shown}\n")


def test_set_to_current_time_is_in_seconds_since_the_epoch(queue: Gauge) -> None:
    before = time.time()
    queue.set_to_current_time()
    assert before <= queue.value <= time.time()


def test_a_function_gives_the_number_at_each_scrape(queue: Gauge, registry: CollectorRegistry) -> None:
    jobs = ["a"]
    queue.set_function(lambda: len(jobs))
    assert generate_metrics(registry).endswith("\nqueue_length 1.0\n")
    jobs.append("b")
    assert queue.value == 2.0
    assert generate_metrics(registry).endswith("\nqueue_length 2.0\n")
    queue.clear()
    assert queue.value == 2.0
    queue.set_function(lambda: math.nan)
    assert generate_metrics(registry).endswith("\nqueue_length NaN\n")


@pytest.mark.parametrize(
    "write",
    [
        lambda gauge: gauge.inc(),
        lambda gauge: gauge.dec(),
        lambda gauge: gauge.set(3),
        lambda gauge: gauge.set_to_current_time(),
        lambda gauge: gauge.track_inprogress(),
        lambda gauge: gauge.time(),
    ],
    ids=["inc", "dec", "set", "set_to_current_time", "track_inprogress", "time"],
)
def test_a_gauge_with_a_function_cannot_be_written(queue: Gauge, write: Callable[[Gauge], object]) -> None:
    queue.set_function(lambda: 7)
    with pytest.raises(PytheusError, match=r"set_function\(None\)"):
        write(queue)
    assert queue.value == 7.0


@pytest.mark.parametrize("definer", [0, 1], ids=["the first", "the second"])
def test_a_gauge_that_shares_one_with_a_function_cannot_be_written_either(
    registry: CollectorRegistry, definer: int
) -> None:
    handles = [Gauge("queue_length", "Jobs waiting.", registry=registry) for _ in range(2)]
    handles[definer].set_function(lambda: 7)
    for handle in handles:
        with pytest.raises(PytheusError, match=r"set_function\(None\)"):
            handle.set(3)
        assert handle.value == 7.0


def test_without_its_function_it_is_written_again_from_zero(queue: Gauge, registry: CollectorRegistry) -> None:
    queue.set(5)
    queue.set_function(lambda: 7)
    queue.set_function(None)
    assert queue.value == 0.0
    queue.inc(2)
    assert generate_metrics(registry).endswith("\nqueue_length 2.0\n")


def test_what_cannot_be_called_is_no_function(queue: Gauge) -> None:
    queue.set(5)
    with pytest.raises(NotANumberError, match="takes its number from a function but got 3"):
        queue.set_function(3)  # type: ignore[arg-type]  # what an untyped program might do
    queue.inc()
    assert queue.value == 6.0


def test_each_series_has_a_function_of_its_own(registry: CollectorRegistry) -> None:
    queue = Gauge("queue_length", "Jobs waiting.", ["name"], registry=registry)
    queue.labels("mail").set_function(lambda: 1)
    queue.labels("push").set(2)
    assert generate_metrics(registry).splitlines()[2:] == [
        'queue_length{name="mail"} 1.0',
        'queue_length{name="push"} 2.0',
    ]


@pytest.mark.parametrize("result", ["7", None, [7]], ids=repr)
def test_a_function_that_gives_no_number_is_an_error_when_read(queue: Gauge, result: object) -> None:
    queue.set_function(lambda: result)  # type: ignore[arg-type, return-value]  # what an untyped program might do
    with pytest.raises(NotANumberError):
        _ = queue.value


def test_a_function_that_writes_metrics_does_not_deadlock(queue: Gauge, registry: CollectorRegistry) -> None:
    reads = Gauge("reads", "Reads.", registry=registry)

    def read() -> float:
        reads.inc()
        return reads.value

    queue.set_function(read)
    generate_metrics(registry)
    assert queue.value == 2.0
