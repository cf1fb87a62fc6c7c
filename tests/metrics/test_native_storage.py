"""Native buckets in a storage: they move there and back, and wider ones begin with new keys."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytheus import Histogram
from pytheus.metrics import NativeBuckets
from pytheus.registry import SparseStorage
from tests.metrics.conftest import Arena
from tests.metrics.native_histograms import NUMBERS, SparseArena, make, model, native_of


def test_the_storage_of_the_tests_is_sparse() -> None:
    assert isinstance(SparseArena(), SparseStorage)
    assert not isinstance(Arena(), SparseStorage)


@given(st.lists(NUMBERS, max_size=40), st.lists(NUMBERS, max_size=40), st.lists(NUMBERS, max_size=20))
def test_buckets_move_to_a_storage_and_back(before: list[float], within: list[float], after: list[float]) -> None:
    options = NativeBuckets(max_buckets=0)
    histogram = make(max_buckets=0, buckets=(1.0,))
    arena = SparseArena()
    for number in before:
        histogram.observe(number)
    histogram.attach_storage(arena)
    assert arena.native(options) == model(before, 3, 2.0**-128)
    for number in within:
        histogram.observe(number)
    assert arena.native(options) == model(before + within, 3, 2.0**-128) == native_of(histogram)
    assert sum(arena[()][1:]) == len(before + within)
    histogram.detach_storage(arena)
    assert not arena.stored
    for number in after:
        histogram.observe(number)
    assert native_of(histogram) == model(before + within + after, 3, 2.0**-128)


def test_wider_buckets_begin_with_new_keys_in_a_storage() -> None:
    options = NativeBuckets(growth=1.1, max_buckets=3, min_reset_seconds=1e-9, max_zero_threshold=0.01)
    histogram = Histogram("sizes", "Sizes.", native=options, buckets=(), registry=None)
    arena = SparseArena()
    histogram.attach_storage(arena)
    numbers = [0.001, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 9.0, 1.0, 1.2, 9.0]
    seen: dict[str, float] = {}
    for number in numbers:
        histogram.observe(number)
        present = {key: view[0] for key, view in arena.stored[()].items()}
        assert all(present[key] >= count for key, count in seen.items())
        seen = present
    assert len({key.split(":")[0] for key in seen if key[0] == "p"}) > 1
    native = native_of(histogram)
    assert arena.native(options) == native
    assert native.total == len(numbers)
    assert native.zero_count == 1


def test_a_used_storage_keeps_its_numbers() -> None:
    options = NativeBuckets()
    arena = SparseArena()
    first = make()
    first.attach_storage(arena)
    first.observe(3.0)
    second = make()
    second.observe(100.0)
    second.attach_storage(arena, carry=False)
    assert native_of(second) == model([3.0], 3, 2.0**-128)
    second.observe(3.0)
    assert arena.native(options) == model([3.0, 3.0], 3, 2.0**-128)


def test_without_a_sparse_storage_the_native_buckets_stay_here(arena: Arena) -> None:
    histogram = make(buckets=(1.0,))
    histogram.observe(2.0)
    histogram.attach_storage(arena)
    histogram.observe(3.0)
    assert native_of(histogram).total == 2
    assert arena[()] == [5.0, 0.0, 2.0]
    histogram.detach_storage(arena)
    histogram.observe(3.0)
    assert native_of(histogram).total == 3


def test_a_removed_series_leaves_its_storage() -> None:
    histogram = Histogram("sizes", "Sizes.", ["kind"], native=True, registry=None)
    arena = SparseArena()
    histogram.attach_storage(arena)
    old = histogram.labels("a")
    old.observe(1)
    assert set(arena.stored) == {("a",)}
    histogram.remove("a")
    assert not arena.stored
    old.observe(1)
    assert not arena.stored
    histogram.labels("a").observe(2)
    assert arena.native(NativeBuckets(), ("a",)).total == 1


def test_a_storage_gets_exemplars_by_bucket() -> None:
    histogram = make()
    arena = SparseArena()
    histogram.attach_storage(arena)
    histogram.observe(1.0, {"trace_id": "a"})
    histogram.observe(0.0, {"trace_id": "b"})
    assert {key: one.labels["trace_id"] for key, one in arena.bucket_exemplars.items()} == {
        "p3:0": "a",
        "z": "b",
    }


def test_a_restart_begins_again(arena: Arena) -> None:
    histogram = make()
    histogram.observe(1)
    histogram.restart()
    assert native_of(histogram).total == 0
    labelled = Histogram("sizes", "Sizes.", ["kind"], native=True, registry=None)
    series = labelled.labels("a")
    series.observe(1)
    labelled.restart()
    series.observe(2)
    assert [row.native and row.native.positive for row in labelled.rows()] == [{8: 1}]
