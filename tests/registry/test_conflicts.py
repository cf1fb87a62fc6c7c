"""Metrics whose names conflict in a registry: which are refused, and what the error says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

import pytest

from pytheus import Counter, Gauge, Histogram, Info, Summary, generate_metrics
from pytheus.exceptions import ConflictError
from pytheus.metrics import Metric
from pytheus.registry import CollectorRegistry

# Counters without the suffix have one name, by which they conflict with other types.
pytestmark = pytest.mark.filterwarnings("ignore:counter .* has no suffix")

Maker = Callable[..., Metric]

COLLISIONS: list[tuple[Maker, str, Maker, str]] = [
    (Histogram, "h", Counter, "h_count"),
    (Histogram, "h", Counter, "h_sum"),
    (Histogram, "h", Gauge, "h_bucket"),
    (Histogram, "h", Gauge, "h_created"),
    (Histogram, "h", Gauge, "h"),
    (Histogram, "h", Counter, "h_total"),
    (Histogram, "h", Summary, "h"),
    (Summary, "s", Gauge, "s_sum"),
    (Summary, "s", Gauge, "s_count"),
    (Summary, "s", Gauge, "s_created"),
    (Counter, "c", Gauge, "c_total"),
    (Counter, "c_total", Gauge, "c"),
    (Counter, "c", Counter, "c_total"),
    (Counter, "c", Gauge, "c_created"),
    (Counter, "c_total", Gauge, "c_created"),
    (Info, "i", Gauge, "i_info"),
    (Info, "i_info", Gauge, "i"),
    (Histogram, "h_sum", Summary, "h"),
]


@pytest.mark.pitfall
@pytest.mark.parametrize("order", ["first comes first", "second comes first"])
@pytest.mark.parametrize("collision", COLLISIONS, ids=lambda c: f"{c[0].__name__} {c[1]} and {c[2].__name__} {c[3]}")
def test_names_that_exposition_would_produce_twice_are_refused_in_both_orders(
    registry: CollectorRegistry, collision: tuple[Maker, str, Maker, str], order: str
) -> None:
    make_first, first, make_second, second = collision
    if order == "second comes first":
        make_first, first, make_second, second = make_second, second, make_first, first
    held = make_first(first, "First.", registry=registry)
    before = generate_metrics(registry)
    with pytest.raises(ConflictError, match="both expose the name") as caught:
        make_second(second, "Second.", registry=registry)
    assert caught.value.incumbent is held
    assert list(registry) == [held]
    assert generate_metrics(registry) == before


@pytest.mark.parametrize(
    ("make_first", "first", "make_second", "second"),
    [
        (Gauge, "x", Gauge, "x_total"),
        (Gauge, "x", Gauge, "x_count"),
        (Summary, "x", Gauge, "x_bucket"),
        (Histogram, "x", Gauge, "x_info"),
        (Counter, "x_count", Gauge, "x"),
        (Histogram, "x", Histogram, "x_seconds"),
    ],
)
def test_different_names_are_accepted(
    registry: CollectorRegistry, make_first: Maker, first: str, make_second: Maker, second: str
) -> None:
    make_first(first, "First.", registry=registry)
    make_second(second, "Second.", registry=registry)
    assert len(registry) == 2


def test_a_conflict_message_has_both_definitions_and_the_remedy(registry: CollectorRegistry) -> None:
    Histogram("h", "H.", registry=registry)
    with pytest.raises(ConflictError) as caught:
        Counter("h_count", "C.", ["a"], registry=registry)
    message = str(caught.value)
    for part in ("counter 'h_count' with labels ('a',)", "histogram 'h'", "'h_count'", "rename one of them"):
        assert part in message
    assert caught.value.name == "h_count"


def test_a_conflict_of_equal_metrics_has_its_own_remedy(registry: CollectorRegistry) -> None:
    Counter("x", "X.", registry=registry)
    with pytest.raises(ConflictError, match="they are equal but were defined apart, each with its own numbers"):
        registry.register(Counter("x", "X.", registry=None))


@pytest.mark.pitfall
def test_with_warn_the_first_stays_and_the_conflict_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry(on_conflict="warn")
    first = Counter("x", "X.", registry=registry)
    second = Gauge("x", "X.", registry=registry)
    second.set(5)
    first.inc()
    assert list(registry) == [first]
    assert generate_metrics(registry).endswith("\nx 1.0\n")
    [record] = caplog.records
    assert (record.name, record.levelno) == ("pytheus.registry", logging.WARNING)
    assert "conflicts with counter 'x'" in record.getMessage()
    assert "The first one stays registered" in record.getMessage()


def test_with_warn_an_equal_metric_still_shares_its_values(caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry(on_conflict="warn")
    first, second = (Counter("x", "X.", registry=registry) for _ in range(2))
    first.inc()
    second.inc()
    assert generate_metrics(registry).endswith("\nx 2.0\n")
    assert caplog.records == []


@pytest.mark.parametrize("policy", ["ignore", "", None, True], ids=repr)
def test_other_policies_are_refused(policy: Literal["raise"]) -> None:
    with pytest.raises(ValueError, match="on_conflict must be 'raise' or 'warn'"):
        CollectorRegistry(on_conflict=policy)
