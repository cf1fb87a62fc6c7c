"""Native histograms: their options, the counts of one, and how several become one.

Rules:

- Values of at most the zero threshold, of either sign, are in the zero bucket. A negative bucket mirrors the positive
  one of its index; `pytheus.native_bounds` has the bounds.
- A sum of histograms has the lowest of their schemas and the greatest of their zero thresholds. If that threshold lies
  within a bucket that has observations, it is raised to the bucket's outer bound.

https://prometheus.io/docs/specs/native_histograms/
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, NoReturn

from pytheus.exceptions import BucketError
from pytheus.native_bounds import MAX_INDEX, MAX_SCHEMA, MIN_SCHEMA, bucket_index, schema_of_growth, upper_bound

__all__ = [
    "NativeBuckets",
    "NativeHistogram",
    "DEFAULT_ZERO_THRESHOLD",
    "BucketKey",
    "NAN_KEY",
    "bucket_key",
    "bucket_keys",
    "classic_buckets",
    "combined",
    "native_of_keys",
    "parse_bucket_key",
    "spans_and_deltas",
    "with_schema",
    "with_zero_threshold",
]

DEFAULT_ZERO_THRESHOLD: Final = 2.0**-128
"""The largest value in the zero bucket, if nothing else is said."""

NAN_KEY: Final = "nan"
"""The key of the observations that are in no bucket."""

_GAP_IN_SPAN: Final = 2
_CLASSIC_AT_MOST: Final = 64
# More than the exponents of doubles, in either direction.
_INDEX_AT_MOST: Final = 1100

_SIGNS: Final = {"p": 1, "n": -1, "z": 0}


class NativeBuckets:
    """The options of a histogram with native buckets, which need no bounds and have the same relative error everywhere.

    `growth`, above 1, is how much a bucket's upper bound is at most above its lower one: 1.1 gives buckets of 9 %.
    `max_buckets` bounds the buckets with observations, and so the memory; 0 does not. When there are more, the first of
    these that is possible happens, as in Prometheus's other client libraries: the histogram begins again at zero, if
    `min_reset_seconds` have passed since it did so last (0: never); the zero bucket is widened by the nearest bucket,
    up to `max_zero_threshold`; the buckets become twice as wide. `zero_threshold`, at least 0, is the largest value in
    the zero bucket. Immutable; raises `BucketError` for an option outside its bounds.

        >>> NativeBuckets(growth=1.05).schema
        4

    https://prometheus.io/docs/specs/native_histograms/
    """

    __slots__ = ("growth", "max_buckets", "max_zero_threshold", "min_reset_seconds", "schema", "zero_threshold")

    growth: float
    max_buckets: int
    min_reset_seconds: float
    zero_threshold: float
    max_zero_threshold: float
    schema: int
    """The number of the resolution with which the histogram begins, from -4 to 8."""

    def __init__(
        self,
        *,
        growth: float = 1.1,
        max_buckets: int = 160,
        min_reset_seconds: float = 3600,
        zero_threshold: float = DEFAULT_ZERO_THRESHOLD,
        max_zero_threshold: float = 0.0,
    ) -> None:
        options: dict[str, object] = {
            "growth": _finite("growth", growth),
            "max_buckets": max_buckets,
            "min_reset_seconds": _finite("min_reset_seconds", min_reset_seconds),
            "zero_threshold": _finite("zero_threshold", zero_threshold),
            "max_zero_threshold": _finite("max_zero_threshold", max_zero_threshold),
        }
        if not growth > 1:
            _refuse("growth", growth, "a number above 1, such as 1.1")
        if isinstance(max_buckets, bool) or not isinstance(max_buckets, int) or max_buckets < 0:
            _refuse("max_buckets", max_buckets, "a whole number of at least 0, and 0 for no limit")
        for name in "min_reset_seconds", "zero_threshold", "max_zero_threshold":
            if options[name] < 0:  # type: ignore[operator]  # they are floats, see above
                _refuse(name, options[name], "a number of at least 0")
        for name, value in options.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "schema", schema_of_growth(growth))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name!r} of {self!r} cannot be changed; make another NativeBuckets")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{name!r} of {self!r} cannot be removed")

    def _options(self) -> tuple[float, ...]:
        return (self.growth, self.max_buckets, self.min_reset_seconds, self.zero_threshold, self.max_zero_threshold)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NativeBuckets) and self._options() == other._options()

    def __hash__(self) -> int:
        return hash(self._options())

    def __repr__(self) -> str:
        growth, max_buckets, reset, zero, max_zero = self._options()
        return (
            f"NativeBuckets(growth={growth!r}, max_buckets={max_buckets!r}, min_reset_seconds={reset!r},"
            f" zero_threshold={zero!r}, max_zero_threshold={max_zero!r})"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return _made, self._options()


def _made(growth: float, max_buckets: int, reset: float, zero: float, max_zero: float) -> NativeBuckets:
    return NativeBuckets(
        growth=growth,
        max_buckets=max_buckets,
        min_reset_seconds=reset,
        zero_threshold=zero,
        max_zero_threshold=max_zero,
    )


def _finite(name: str, value: object) -> float:
    if not isinstance(value, bool) and isinstance(value, (int, float)):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    _refuse(name, value, "a finite number")


def _refuse(name: str, value: object, expected: str) -> NoReturn:
    raise BucketError(f"NativeBuckets takes {name} as {expected} but got {value!r:.80}")


class NativeHistogram(NamedTuple):
    """The native buckets of one series at one moment.

    `positive` and `negative` map the index of each bucket with observations to their number, not cumulative. The
    indexes and bounds are those of `schema`. `zero_count` is the number of values from ``-zero_threshold`` to
    ``zero_threshold``, and `nan_count` that of NaN, which is in no bucket. The counts are whole numbers. Immutable.

        >>> native = NativeHistogram(schema=0, zero_threshold=2.0**-128, zero_count=1, positive={3: 2}, negative={})
        >>> native.total, upper_bound(3, native.schema)
        (3, 8.0)
    """

    schema: int
    zero_threshold: float
    zero_count: float
    positive: Mapping[int, float]
    negative: Mapping[int, float]
    nan_count: float = 0

    @property
    def total(self) -> float:
        """The number of all observations, which is the sum of all counts."""
        return self.zero_count + sum(self.positive.values()) + sum(self.negative.values()) + self.nan_count


def with_schema(native: NativeHistogram, schema: int) -> NativeHistogram:
    """Return `native` with wider buckets: those of a `schema` that is not above its own.

    >>> with_schema(NativeHistogram(3, 0.0, 0, {1: 2, 8: 1, 9: 1}, {-9: 1}), 0)
    NativeHistogram(schema=0, zero_threshold=0.0, zero_count=0, positive={1: 3, 2: 1}, negative={-1: 1}, nan_count=0)
    """
    halvings = native.schema - schema
    if halvings <= 0:
        return native
    return native._replace(
        schema=schema, positive=_halved(native.positive, halvings), negative=_halved(native.negative, halvings)
    )


def _halved(buckets: Mapping[int, float], halvings: int) -> dict[int, float]:
    wider: dict[int, float] = {}
    for index, count in buckets.items():
        target = -(-index >> halvings)  # the quotient, rounded up, also of negative indexes
        wider[target] = wider.get(target, 0) + count
    return wider


def with_zero_threshold(native: NativeHistogram, threshold: float) -> NativeHistogram:
    """Return `native` with a zero bucket up to `threshold`, or up to the outer bound of the bucket that it lies in.

    A `threshold` below that of `native` changes nothing.

    >>> with_zero_threshold(NativeHistogram(0, 0.5, 1, {0: 2, 1: 3}, {}), 0.75)
    NativeHistogram(schema=0, zero_threshold=1.0, zero_count=3, positive={1: 3}, negative={}, nan_count=0)
    """
    if threshold <= native.zero_threshold:
        return native
    index = bucket_index(threshold, native.schema)
    if native.positive.get(index) or native.negative.get(index):
        threshold = upper_bound(index, native.schema)
    zero_count = native.zero_count
    kept: list[dict[int, float]] = []
    for buckets in native.positive, native.negative:
        outside: dict[int, float] = {}
        for index, count in buckets.items():
            if upper_bound(index, native.schema) <= threshold:
                zero_count += count
            else:
                outside[index] = count
        kept.append(outside)
    positive, negative = kept
    return native._replace(zero_threshold=threshold, zero_count=zero_count, positive=positive, negative=negative)


def combined(histograms: Iterable[NativeHistogram]) -> NativeHistogram:
    """Return the sum of all, of which there is at least one; in any order the same.

    >>> parts = [NativeHistogram(1, 0.25, 1, {1: 1}, {}), NativeHistogram(0, 0.5, 0, {1: 5}, {2: 1})]
    >>> combined(parts)
    NativeHistogram(schema=0, zero_threshold=0.5, zero_count=1, positive={1: 6}, negative={2: 1}, nan_count=0)
    """
    parts = list(histograms)
    threshold = max(part.zero_threshold for part in parts)
    while True:  # until no bucket of any part contains the threshold
        parts = [with_zero_threshold(part, threshold) for part in parts]
        raised = max(part.zero_threshold for part in parts)
        if raised == threshold:
            break
        threshold = raised
    # Afterwards, because a threshold between two buckets may be within a wider one.
    schema = min(part.schema for part in parts)
    parts = [with_schema(part, schema) for part in parts]
    positive: dict[int, float] = {}
    negative: dict[int, float] = {}
    for part in parts:
        for total, buckets in (positive, part.positive), (negative, part.negative):
            for index, count in buckets.items():
                total[index] = total.get(index, 0) + count
    return NativeHistogram(
        schema,
        threshold,
        sum(part.zero_count for part in parts),
        positive,
        negative,
        sum(part.nan_count for part in parts),
    )


def bucket_key(native: tuple[int, float], sign: int, index: int) -> str:
    """Return the text that identifies a bucket of a schema and zero threshold, `native`, among all others.

    `sign` is 1 or -1 for the bucket `index` of that sign, and 0 for the zero bucket. A storage of several processes
    keeps each count under its key, because processes may have reached different schemas and thresholds.

    >>> bucket_key((3, DEFAULT_ZERO_THRESHOLD), 1, 17), bucket_key((3, 0.5), -1, -4), bucket_key((3, 0.5), 0, 0)
    ('p3:17', 'n3:-4:0.5', 'z:0.5')
    """
    schema, zero_threshold = native
    threshold = "" if zero_threshold == DEFAULT_ZERO_THRESHOLD else f":{zero_threshold!r}"
    return f"z{threshold}" if sign == 0 else f"{'p' if sign > 0 else 'n'}{schema}:{index}{threshold}"


class BucketKey:
    """The bucket that a key identifies: `bucket` is its index, 0 for the zero bucket, whose `sign` is 0."""

    # Not a NamedTuple, whose creation would take a third of a millisecond of each import of pytheus.
    __slots__ = ("bucket", "schema", "sign", "zero_threshold")

    def __init__(self, sign: int, schema: int, bucket: int, zero_threshold: float) -> None:
        self.sign: Final = sign
        self.schema: Final = schema
        self.bucket: Final = bucket
        self.zero_threshold: Final = zero_threshold


def parse_bucket_key(key: str) -> BucketKey | None:
    """Return the bucket that `key` identifies; None for NaN, and for a text that `bucket_key` does not return."""
    sign = _SIGNS.get(key[:1])
    parts = key[1:].split(":")
    if sign is None or len(parts) > 3:
        return None
    try:
        if sign == 0:
            schema, index, rest = MAX_SCHEMA, 0, parts[1:]
        else:
            schema, index, rest = int(parts[0]), int(parts[1]), parts[2:]
        threshold = float(rest[0]) if rest else DEFAULT_ZERO_THRESHOLD
    except (ValueError, IndexError):
        return None
    if not MIN_SCHEMA <= schema <= MAX_SCHEMA or abs(index) > MAX_INDEX or not 0 <= threshold < math.inf:
        return None
    return BucketKey(sign, schema, index, threshold)


def bucket_keys(native: NativeHistogram) -> dict[str, float]:
    """Return the counts that are not zero by their keys.

    >>> bucket_keys(NativeHistogram(0, 0.5, 1, {1: 2}, {3: 1}))
    {'p0:1:0.5': 2, 'n0:3:0.5': 1, 'z:0.5': 1}
    """
    place = (native.schema, native.zero_threshold)
    keys = {bucket_key(place, 1, index): count for index, count in native.positive.items() if count}
    keys |= {bucket_key(place, -1, index): count for index, count in native.negative.items() if count}
    if native.zero_count:
        keys[bucket_key(place, 0, 0)] = native.zero_count
    if native.nan_count:
        keys[NAN_KEY] = native.nan_count
    return keys


def native_of_keys(counts: Mapping[str, float], options: NativeBuckets) -> NativeHistogram:
    """Return the sum of counts by key, of any schemas and thresholds, of histograms that began with `options`.

    The lowest schema and the greatest threshold of any key hold, also of one with a count of zero. A key that is not
    one of `bucket_key` is ignored.

    >>> native_of_keys({"p3:8": 2, "p0:1": 1, "z:0.25": 4}, NativeBuckets())
    NativeHistogram(schema=0, zero_threshold=0.25, zero_count=4, positive={1: 3}, negative={}, nan_count=0)
    """
    parts = [NativeHistogram(options.schema, options.zero_threshold, 0, {}, {}, counts.get(NAN_KEY, 0))]
    buckets: dict[tuple[int, float], tuple[dict[int, float], dict[int, float]]] = {}
    for key, count in counts.items():
        parsed = parse_bucket_key(key)
        if parsed is None:
            continue
        if parsed.sign == 0:
            parts.append(NativeHistogram(options.schema, parsed.zero_threshold, count, {}, {}))
            continue
        positive, negative = buckets.setdefault((parsed.schema, parsed.zero_threshold), ({}, {}))
        if count:
            of_sign = positive if parsed.sign > 0 else negative
            of_sign[parsed.bucket] = of_sign.get(parsed.bucket, 0) + count
    for (schema, threshold), (positive, negative) in buckets.items():
        parts.append(NativeHistogram(schema, threshold, 0, positive, negative))
    return combined(parts)


def spans_and_deltas(buckets: Mapping[int, float]) -> tuple[list[tuple[int, int]], list[int]]:
    """Return the spans of `buckets`, each an offset and a length, and the difference of each count to the one before.

    Gaps of up to two empty buckets do not begin a span, because their zeros take less space.

    >>> spans_and_deltas({-2: 3, -1: 5, 0: 0, 1: 0, 2: 1, 4: 3, 5: 2})
    ([(-2, 8)], [3, 2, -5, 0, 1, -1, 3, -1])
    """
    spans: list[tuple[int, int]] = []
    deltas: list[int] = []
    offset = length = following = former = 0
    for index in sorted(buckets):
        gap = index - following
        if not deltas or gap > _GAP_IN_SPAN:
            if deltas:
                spans.append((offset, length))
            offset, length = gap, 0
        else:
            for _ in range(gap):
                deltas.append(-former)
                former = 0
            length += gap
        count = int(buckets[index])
        deltas.append(count - former)
        former = count
        length += 1
        following = index + 1
    if deltas:
        spans.append((offset, length))
    return spans, deltas


def classic_buckets(native: NativeHistogram) -> list[tuple[float, float]]:
    """Return upper bounds and cumulative counts for formats that have no native buckets; the last bound is +Inf.

    The bounds are the zero threshold and the powers of two around all values; of 4, 16, 256 or 65,536 if there would be
    more than 64, or if the buckets are as wide. Each count is exact if no negative value equals its bound.

    >>> classic_buckets(NativeHistogram(0, 0.0, 1, {0: 2, 2: 3}, {}))
    [(0.0, 1), (0.5, 1), (1.0, 3), (2.0, 3), (4.0, 6), (inf, 6)]
    """
    coarse = with_schema(native, min(native.schema, 0))
    coarse = coarse._replace(positive=_near(coarse.positive), negative=_near(coarse.negative))
    while _length(coarse.positive) + _length(coarse.negative) > _CLASSIC_AT_MOST and coarse.schema > MIN_SCHEMA:
        coarse = with_schema(coarse, coarse.schema - 1)
    schema = coarse.schema
    buckets: list[tuple[float, float]] = []
    count: float = 0
    if coarse.negative:
        lowest = -upper_bound(max(coarse.negative), schema)
        if lowest > -math.inf:
            buckets.append((lowest, count))
        for index in range(max(coarse.negative), min(coarse.negative) - 1, -1):
            count += coarse.negative.get(index, 0)
            bound = -upper_bound(index - 1, schema)
            if coarse.zero_threshold < -bound < math.inf:
                buckets.append((bound, count))
    count += coarse.zero_count
    buckets.append((coarse.zero_threshold, count))
    if coarse.positive:
        # From the bucket below, whose upper bound is the lower one of the first.
        for index in range(min(coarse.positive) - 1, max(coarse.positive) + 1):
            count += coarse.positive.get(index, 0)
            bound = upper_bound(index, schema)
            if coarse.zero_threshold < bound < math.inf:
                buckets.append((bound, count))
    buckets.append((math.inf, native.total))
    return buckets


def _near(buckets: Mapping[int, float]) -> Mapping[int, float]:
    """Return `buckets` with indexes beyond all doubles as the nearest ones; the schema is 0 or less."""
    if not buckets or (min(buckets) >= -_INDEX_AT_MOST and max(buckets) <= _INDEX_AT_MOST):
        return buckets
    near: dict[int, float] = {}
    for index, count in buckets.items():
        nearest = max(-_INDEX_AT_MOST, min(_INDEX_AT_MOST, index))
        near[nearest] = near.get(nearest, 0) + count
    return near


def _length(buckets: Mapping[int, float]) -> int:
    return max(buckets) - min(buckets) + 1 if buckets else 0
