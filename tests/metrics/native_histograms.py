"""Native histograms for tests: made, read, and computed by their definition, and a storage that keeps their buckets."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import cast

from hypothesis import strategies as st

from pytheus import Histogram
from pytheus.metrics import NativeBuckets, NativeHistogram
from pytheus.native_bounds import bucket_index
from pytheus.native_buckets import native_of_keys
from pytheus.registry import FloatBuffer
from pytheus.samples import Exemplar
from tests.metrics.conftest import Arena

NUMBERS = st.floats(allow_nan=False) | st.floats(-20, 20) | st.sampled_from([0.0, 1.0, -1.0, 2.0**-128, 5e-324])


class SparseArena(Arena):
    """A storage that keeps native buckets, each a view of one number."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: dict[tuple[str, ...], dict[str, FloatBuffer]] = {}
        self.bucket_exemplars: dict[str, Exemplar] = {}

    def bucket(self, labels: tuple[str, ...], key: str, /) -> FloatBuffer:
        buffer = cast(FloatBuffer, array("d", [0.0]))
        return self.stored.setdefault(labels, {}).setdefault(key, buffer)

    def buckets(self, labels: tuple[str, ...], /) -> Mapping[str, FloatBuffer]:
        return dict(self.stored.get(labels, {}))

    def set_bucket_exemplar(self, labels: tuple[str, ...], key: str, exemplar: Exemplar, /) -> None:
        self.bucket_exemplars[key] = exemplar

    def release(self, labels: tuple[str, ...], /) -> None:
        super().release(labels)
        self.stored.pop(labels, None)

    def native(self, options: NativeBuckets, labels: tuple[str, ...] = ()) -> NativeHistogram:
        return native_of_keys({key: view[0] for key, view in self.stored.get(labels, {}).items()}, options)


def make(*, buckets: tuple[float, ...] = (), **options: float) -> Histogram:
    native = NativeBuckets(**options)  # type: ignore[arg-type]  # max_buckets is an int
    return Histogram("sizes", "Sizes.", native=native, buckets=buckets, registry=None)


def native_of(histogram: Histogram) -> NativeHistogram:
    (row,) = histogram.rows()
    assert row.native is not None
    return row.native


def model(numbers: list[float], schema: int, zero_threshold: float) -> NativeHistogram:
    """The histogram of `numbers` by its definition."""
    positive: dict[int, float] = {}
    negative: dict[int, float] = {}
    zero = 0
    for number in numbers:
        if abs(number) <= zero_threshold:
            zero += 1
        else:
            buckets = positive if number > 0 else negative
            index = bucket_index(number, schema)
            buckets[index] = buckets.get(index, 0) + 1
    return NativeHistogram(schema, zero_threshold, zero, positive, negative)
