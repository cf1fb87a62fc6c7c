"""Bucket bounds: what is refused, and the helpers that make them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from decimal import Decimal

import numpy as np
import prometheus_client
import pytest

from pytheus import Histogram, exponential_buckets, linear_buckets
from pytheus.exceptions import BucketError
from pytheus.metrics import DEFAULT_BUCKETS, PROMETHEUS_CLIENT_BUCKETS, Number


def _bounds(histogram: Histogram) -> list[str]:
    [family] = histogram.collect()
    return [sample.labels["le"] for sample in family.samples if sample.suffix == "_bucket"]


@pytest.mark.parametrize(
    ("buckets", "bounds"),
    [
        ((1, 2), ["1.0", "2.0", "+Inf"]),
        ((1, 2, math.inf), ["1.0", "2.0", "+Inf"]),
        ([-1, Decimal("0.5"), np.float32(2), 1e16], ["-1.0", "0.5", "2.0", "1e+16", "+Inf"]),
        ((2.0**n for n in range(2)), ["1.0", "2.0", "+Inf"]),
        (list(np.linspace(1, 2, 2)), ["1.0", "2.0", "+Inf"]),
    ],
    ids=["infinity is added", "infinity is given", "any numbers", "any iterable", "array"],
)
def test_bounds(buckets: Iterable[Number], bounds: list[str]) -> None:
    assert _bounds(Histogram("h", "H.", buckets=buckets, registry=None)) == bounds


def test_the_default_ones() -> None:
    assert _bounds(Histogram("h", "H.", registry=None)) == [*(repr(bound) for bound in DEFAULT_BUCKETS), "+Inf"]


@pytest.mark.parametrize(
    "buckets",
    [
        [],
        [math.inf],
        [2, 1],
        [1, 1],
        [1, 1.0],
        [0.0, -0.0],
        [1, math.nan],
        [math.nan],
        [-math.inf, 1],
        [math.inf, 1],
        [1, math.inf, math.inf],
        ["1"],
        "123",
        b"123",
        None,
        5,
        [None],
        [10**400],
        [1j],
    ],
    ids=lambda buckets: f"{buckets!r:.30}",
)
def test_bad_bounds_are_refused(buckets: list[Number]) -> None:
    with pytest.raises(BucketError, match="histogram 'h'"):
        Histogram("h", "H.", buckets=buckets, registry=None)


@pytest.mark.pitfall
def test_a_bound_given_twice_is_named_so() -> None:
    with pytest.raises(BucketError, match="twice"):
        Histogram("h", "H.", buckets=(1, 2, 2.0), registry=None)


def test_helpers_make_bounds() -> None:
    assert linear_buckets(-1, 0.5, 4) == (-1.0, -0.5, 0.0, 0.5)
    assert exponential_buckets(0.5, 4, 3) == (0.5, 2.0, 8.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: linear_buckets(0, 0, 3),
        lambda: linear_buckets(0, -1, 3),
        lambda: linear_buckets(0, 1, 0),
        lambda: linear_buckets(0, math.nan, 3),
        lambda: linear_buckets(math.inf, 1, 3),
        lambda: linear_buckets(1e16, 0.1, 3),
        lambda: exponential_buckets(0, 2, 3),
        lambda: exponential_buckets(-1, 2, 3),
        lambda: exponential_buckets(1, 1, 3),
        lambda: exponential_buckets(1, 2, 0),
        lambda: exponential_buckets(1, math.nan, 3),
        lambda: exponential_buckets(1, 10.0, 400),
        lambda: exponential_buckets(1, 10, 400),
    ],
)
def test_helpers_refuse_what_makes_no_buckets(make: Callable[[], object]) -> None:
    with pytest.raises(BucketError):
        make()


def test_the_bounds_of_prometheus_client_are_its_own() -> None:
    assert prometheus_client.Histogram.DEFAULT_BUCKETS[:-1] == PROMETHEUS_CLIENT_BUCKETS


@pytest.mark.parametrize("text", ["+Inf", "inf"])
def test_the_text_of_infinity_is_told(text: str) -> None:
    with pytest.raises(BucketError, match="leave it out, because \\+Inf is always added"):
        Histogram("wait", "Wait.", buckets=[1, 5, text], registry=None)  # type: ignore[list-item]  # the mistake
