"""Histograms with native buckets: observations, limits, exemplars, and their numbers in a storage."""

from __future__ import annotations

import math
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus import Counter, Histogram, generate_metrics
from pytheus.exceptions import BucketError, ConflictError
from pytheus.metrics import NativeBuckets, NativeHistogram
from pytheus.metrics.native_exemplars import with_exemplar
from pytheus.native_bounds import upper_bound
from pytheus.native_buckets import classic_buckets
from pytheus.registry import CollectorRegistry
from pytheus.samples import Exemplar
from tests.metrics.native_histograms import NUMBERS, SparseArena, make, model, native_of

# Observations ---------------------------------------------------------------------------------------------------------


@given(
    st.lists(NUMBERS, max_size=60), st.sampled_from([1.001, 1.1, 2.0, 100.0]), st.sampled_from([0.0, 2.0**-128, 0.3])
)
def test_each_observation_is_in_its_bucket(numbers: list[float], growth: float, zero_threshold: float) -> None:
    histogram = make(growth=growth, zero_threshold=zero_threshold, max_buckets=0)
    for number in numbers:
        histogram.observe(number)
    (row,) = histogram.rows()
    native = native_of(histogram)
    assert native == model(numbers, NativeBuckets(growth=growth).schema, zero_threshold)
    assert native.total == histogram.count == len(numbers)
    assert row.numbers[1:] == [len(numbers)]


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=400))
def test_classic_and_native_buckets_of_one_histogram_agree(numbers: list[float]) -> None:
    histogram = make(growth=2.0, buckets=(0.25, 1.0, 4.0, 64.0))
    histogram.observe_many(numbers)
    (row,) = histogram.rows()
    native = native_of(histogram)
    assert row.numbers[0] == pytest.approx(math.fsum(numbers))
    counted = 0.0
    for bound, count in zip((0.25, 1.0, 4.0, 64.0, math.inf), row.numbers[1:], strict=True):
        counted += count
        assert counted == sum(n for index, n in native.positive.items() if upper_bound(index, 0) <= bound)


def test_values_far_apart_are_counted_too() -> None:
    numbers = [10.0**exponent for exponent in range(-300, 300, 7)]
    histogram = make(growth=1.003, max_buckets=0)
    for number in numbers * 3:
        histogram.observe(number)
    assert native_of(histogram) == model(numbers * 3, 8, 2.0**-128)
    for _ in range(3000):  # so many that the window moves there
        histogram.observe(1e-300)
    assert native_of(histogram) == model(numbers * 3 + [1e-300] * 3000, 8, 2.0**-128)


def test_nan_counts_and_is_in_no_bucket() -> None:
    histogram = make()
    histogram.observe(1)
    histogram.observe(math.nan)
    native = native_of(histogram)
    assert (native.nan_count, native.positive, native.total) == (1, {0: 1}, 2)
    assert math.isnan(histogram.sum)
    assert "sizes_count 2.0" in text_of(histogram)


def test_infinities_are_in_the_bucket_after_the_largest_number() -> None:
    histogram = make()
    for number in math.inf, -math.inf, 1.7976931348623157e308:
        histogram.observe(number)
    native = native_of(histogram)
    assert native.positive == {8192: 1, 8193: 1}
    assert native.negative == {8193: 1}


def test_a_timer_and_many_at_once_observe_too() -> None:
    histogram = make(buckets=(1.0,))
    with histogram.time():
        pass
    histogram.observe_many([0.5, 2, 0])
    assert native_of(histogram).total == 4
    assert histogram.rows()[0].numbers[1:] == [3.0, 1.0]


def test_no_observation_of_several_threads_is_lost() -> None:
    histogram = make(buckets=(0.5, 1.0), max_buckets=20, min_reset_seconds=0)
    arena = SparseArena()
    numbers = [1.37**exponent for exponent in range(-60, 60)]
    start = threading.Barrier(5)

    def work() -> None:
        start.wait()
        for _ in range(20):
            for number in numbers:
                histogram.observe(number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    start.wait()
    for _ in range(20):
        histogram.attach_storage(arena)
        (row,) = histogram.rows()
        histogram.detach_storage(arena)
        assert row.native is not None
    for thread in threads:
        thread.join()
    native = native_of(histogram)
    assert native.total == histogram.count == 4 * 20 * len(numbers)
    assert len(native.positive) <= 20


# Definition -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"growth": 1.0}, "growth as a number above 1"),
        ({"growth": math.inf}, "growth as a finite number"),
        ({"max_buckets": -1}, "max_buckets as a whole number"),
        ({"max_buckets": 1.5}, "max_buckets as a whole number"),
        ({"min_reset_seconds": -1}, "min_reset_seconds as a number of at least 0"),
        ({"zero_threshold": math.nan}, "zero_threshold as a finite number"),
        ({"max_zero_threshold": "1"}, "max_zero_threshold as a finite number"),
    ],
)
def test_options_outside_their_bounds_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(BucketError, match=message):
        NativeBuckets(**options)  # type: ignore[arg-type]  # that is what is tested


def test_options_never_change_and_are_compared_by_value() -> None:
    options = NativeBuckets(growth=1.2)
    with pytest.raises(AttributeError, match="make another NativeBuckets"):
        options.growth = 2.0
    assert options == NativeBuckets(growth=1.2) != NativeBuckets()
    assert hash(options) == hash(NativeBuckets(growth=1.2))


def test_buckets_may_be_left_out_only_for_native_ones() -> None:
    with pytest.raises(BucketError, match="no bucket with a finite bound"):
        Histogram("h", "H.", buckets=(), registry=None)
    with pytest.raises(BucketError, match="native=True or native=NativeBuckets"):
        Histogram("h", "H.", native=1.1, registry=None)  # type: ignore[arg-type]  # that is what is tested
    assert Histogram("h", "H.", native=True, registry=None).definition.bounds


def test_equal_options_share_and_others_conflict() -> None:
    registry = CollectorRegistry()
    first = Histogram("h", "H.", native=True, registry=registry)
    second = Histogram("h", "H.", native=NativeBuckets(), registry=registry)
    second.observe(3)
    first.observe(3)
    assert native_of(first) == native_of(second)
    assert native_of(first).total == 2
    with pytest.raises(ConflictError, match="NativeBuckets"):
        Histogram("h", "H.", registry=registry)


# Limits ---------------------------------------------------------------------------------------------------------------


def test_too_many_buckets_become_twice_as_wide() -> None:
    histogram = make(growth=1.1, max_buckets=4, min_reset_seconds=0)
    numbers = [1.1**exponent for exponent in range(9)]
    for number in numbers:
        histogram.observe(number)
    native = native_of(histogram)
    assert native.schema < 3
    assert native == model(numbers, native.schema, 2.0**-128)
    assert len(native.positive) <= 4


def test_the_zero_bucket_is_widened_as_far_as_allowed() -> None:
    histogram = make(growth=2.0, max_buckets=2, min_reset_seconds=0, max_zero_threshold=0.5)
    for number in (0.2, -0.3, 1.0, 8.0, 64.0):
        histogram.observe(number)
    native = native_of(histogram)
    assert native.zero_threshold == 0.5
    assert native.zero_count == 2
    assert native.negative == {}
    assert native.schema == -1
    assert native.total == 5


def test_it_begins_again_if_that_is_allowed() -> None:
    histogram = make(max_buckets=1, min_reset_seconds=0.001, buckets=(1.0,))
    created = histogram.rows()[0].created
    assert created is not None
    histogram.observe(1.0)
    while time.time() < created + 0.002:
        pass
    histogram.observe(3.0)
    (row,) = histogram.rows()
    assert row.native == model([3.0], 3, 2.0**-128)
    assert row.numbers == [3.0, 0.0, 1.0]
    assert row.created is not None
    assert row.created > created


def test_it_begins_again_at_the_scrape_after_that_was_due() -> None:
    histogram = make(max_buckets=1, min_reset_seconds=0.2)
    deadline = time.time() + 0.2
    for number in (1.0, 2.0, 3.0):
        histogram.observe(number)
    if time.time() < deadline:  # else it was due at once
        assert native_of(histogram).total == 3
        assert native_of(histogram).schema < 3
    while time.time() < deadline + 0.01:
        time.sleep(0.01)
    native = native_of(histogram)
    assert (native.total, native.schema) in ((0, 3), (1, 3), (2, 3))
    histogram.observe(5.0)
    assert native_of(histogram).schema == 3


@given(st.lists(st.floats(-1e6, 1e6), max_size=100), st.integers(1, 6), st.sampled_from([0.0, 0.5, 100.0]))
def test_the_limit_loses_nothing(numbers: list[float], max_buckets: int, max_zero_threshold: float) -> None:
    histogram = make(max_buckets=max_buckets, min_reset_seconds=0, max_zero_threshold=max_zero_threshold)
    numbers = numbers + numbers[-1:] * 20  # each takes one step if there are too many buckets
    for number in numbers:
        histogram.observe(number)
    native = native_of(histogram)
    assert native.total == len(numbers)
    assert native == model(numbers, native.schema, native.zero_threshold)
    assert len(native.positive) + len(native.negative) <= max_buckets or native.schema == -4


def test_clearing_begins_again() -> None:
    histogram = make(max_buckets=1, min_reset_seconds=0)
    for number in (1.0, 2.0, 3.0):
        histogram.observe(number, {"trace_id": "a"})
    histogram.clear()
    assert native_of(histogram) == NativeHistogram(3, 2.0**-128, 0, {}, {})
    assert histogram.rows()[0].native_exemplars == ()


# Exemplars ------------------------------------------------------------------------------------------------------------


def test_the_exemplars_of_a_native_histogram_are_in_the_order_of_values() -> None:
    histogram = make(buckets=(1.0,))
    for number in (5.0, 0.5, 100.0):
        histogram.observe(number, {"trace_id": str(number)})
    (row,) = histogram.rows()
    assert [exemplar.value for exemplar in row.native_exemplars] == [0.5, 5.0, 100.0]
    assert row.exemplars is not None
    assert [row.exemplars[slot].value for slot in sorted(row.exemplars)] == [0.5, 100.0]
    (family,) = histogram.collect()
    assert family.samples[-1].exemplars == row.native_exemplars


def exemplar(value: float, timestamp: float) -> Exemplar:
    return Exemplar({}, value, timestamp)


def removed(present: tuple[Exemplar, ...], added: Exemplar) -> list[Exemplar]:
    following = with_exemplar(present, added)
    return [one for one in present if one not in following]


def test_of_the_two_closest_exemplars_the_older_one_goes() -> None:
    present: tuple[Exemplar, ...] = ()
    for exponent in range(10):
        present = with_exemplar(present, exemplar(4.0**exponent, 1000.0 + exponent))
    assert len(present) == 10
    added = exemplar(17.0, 1100.0)
    assert removed(present, added) == [exemplar(16.0, 1002.0)]
    across_zero = with_exemplar(present, exemplar(-1.0, 1100.0))
    assert len(across_zero) == 10
    assert exemplar(-1.0, 1100.0) in across_zero


def test_an_exemplar_of_five_minutes_ago_goes_first() -> None:
    present: tuple[Exemplar, ...] = ()
    for exponent in range(10):
        present = with_exemplar(present, exemplar(4.0**exponent, 1000.0 + exponent))
    assert removed(present, exemplar(17.0, 1301.0)) == [exemplar(1.0, 1000.0)]


@given(st.lists(st.tuples(st.floats(allow_nan=False), st.floats(0, 1e4)), max_size=30))
def test_any_exemplars_can_be_kept(values: list[tuple[float, float]]) -> None:
    present: tuple[Exemplar, ...] = ()
    for value, timestamp in values:
        present = with_exemplar(present, exemplar(value, timestamp))
    assert len(present) == min(len(values), 10)
    assert [one.value for one in present] == sorted(one.value for one in present)


# The text format ------------------------------------------------------------------------------------------------------


def text_of(histogram: Histogram | Counter) -> str:
    registry = CollectorRegistry()
    registry.register(histogram)
    return generate_metrics(registry)


def test_text_shows_powers_of_two_instead_of_native_buckets() -> None:
    histogram = make()
    for number in (0, 0.3, 0.4, 3, -1.5):
        histogram.observe(number)
    assert text_of(histogram) == (
        "# HELP sizes Sizes.\n"
        "# TYPE sizes histogram\n"
        'sizes_bucket{le="-2.0"} 0.0\n'
        'sizes_bucket{le="-1.0"} 1.0\n'
        'sizes_bucket{le="2.938735877055719e-39"} 2.0\n'
        'sizes_bucket{le="0.25"} 2.0\n'
        'sizes_bucket{le="0.5"} 4.0\n'
        'sizes_bucket{le="1.0"} 4.0\n'
        'sizes_bucket{le="2.0"} 4.0\n'
        'sizes_bucket{le="4.0"} 5.0\n'
        'sizes_bucket{le="+Inf"} 5.0\n'
        "sizes_sum 2.2\n"
        "sizes_count 5.0\n"
    )
    assert text_of(histogram) == text_of(histogram)


def test_text_shows_classic_buckets_if_there_are_some() -> None:
    plain = Histogram("sizes", "Sizes.", buckets=(1.0, 4.0), registry=None)
    both = make(buckets=(1.0, 4.0))
    for number in (0.5, 3, 100):
        plain.observe(number)
        both.observe(number)
    assert text_of(both) == text_of(plain)


@given(st.lists(NUMBERS, max_size=30))
def test_the_fallback_is_bounded_and_rises(numbers: list[float]) -> None:
    buckets = classic_buckets(model(numbers, 3, 2.0**-128))
    assert len(buckets) <= 140
    assert buckets == sorted(buckets)
    assert tuple(buckets[-1]) == (math.inf, float(len(numbers)))
    assert len({bound for bound, _ in buckets}) == len(buckets)
    for bound, count in buckets:
        if bound > 0:
            assert count == sum(number <= bound for number in numbers)


def test_the_fallback_of_indexes_beyond_all_doubles() -> None:
    """As a custom collector may have them; the counts stay, and the work is bounded."""
    native = NativeHistogram(-4, 0.0, 1, {-(2**60): 2, 0: 3, 2**60: 4}, {2**60: 5, -(2**60): 6})
    buckets = classic_buckets(native)
    assert len(buckets) < 300
    assert buckets == sorted(buckets)
    assert [count for bound, count in buckets if bound == 1.0] == [17]
    assert tuple(buckets[-1]) == (math.inf, 21)
