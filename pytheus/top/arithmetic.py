"""The difference of two values of a series, and the sum of several."""

from __future__ import annotations

from collections.abc import Sequence

from pytheus.native_buckets import NativeHistogram, combined, with_schema, with_zero_threshold
from pytheus.top.values import Distribution, Value

__all__ = ["fell", "increase", "total"]


def fell(before: Value, now: Value) -> bool:
    """Return whether a value that only rises was reset between `before` and `now`."""
    if isinstance(before, Distribution):
        if not isinstance(now, Distribution):
            return True
        return now.observations < before.observations or (
            now.bounds == before.bounds and any(map(_is_less, now.counts, before.counts))
        )
    return isinstance(now, Distribution) or now < before


def _is_less(now: float, before: float) -> bool:
    return now < before


def increase(before: Value, now: Value) -> Value:
    """Return the difference from `before` to `now`; all of `now`, if the series was reset.

    The quantiles of a summary are those of `now`.

    >>> increase(5.0, 7.0), increase(5.0, 3.0)
    (2.0, 3.0)
    """
    if fell(before, now):
        return now
    if not isinstance(now, Distribution):
        assert not isinstance(before, Distribution)
        return now - before
    assert isinstance(before, Distribution)
    counts: tuple[float, ...] = ()
    if now.bounds == before.bounds:
        counts = tuple([b - a for a, b in zip(before.counts, now.counts, strict=True)])
    native = None
    if now.native is not None and before.native is not None:
        native = _native_increase(before.native, now.native)
        if native is None:
            return now  # a bucket has fewer observations, so the histogram began again
    return Distribution(
        now.observations - before.observations,
        now.sum - before.sum,
        now.bounds if counts else (),
        counts,
        now.quantiles,
        native,
    )


def _native_increase(before: NativeHistogram, now: NativeHistogram) -> NativeHistogram | None:
    schema, threshold = min(before.schema, now.schema), max(before.zero_threshold, now.zero_threshold)
    while True:  # a threshold within a bucket is raised to its outer bound
        before, now = with_zero_threshold(before, threshold), with_zero_threshold(now, threshold)
        raised = max(before.zero_threshold, now.zero_threshold)
        if raised == threshold:
            break
        threshold = raised
    before, now = with_schema(before, schema), with_schema(now, schema)
    parts: list[dict[int, float]] = []
    for old, new in (before.positive, now.positive), (before.negative, now.negative):
        if any(new.get(index, 0) < count for index, count in old.items()):
            return None
        parts.append({index: count - old.get(index, 0) for index, count in new.items() if count != old.get(index, 0)})
    zeros, nans = now.zero_count - before.zero_count, now.nan_count - before.nan_count
    if zeros < 0 or nans < 0:
        return None
    return NativeHistogram(schema, now.zero_threshold, zeros, parts[0], parts[1], nans)


def total(values: Sequence[Value]) -> Value:
    """Return the sum of `values`: numbers, or distributions, whose classic buckets are added if their bounds agree.

    Quantiles of summaries cannot be added; those of a single one are kept.

    >>> total([Distribution(2.0, 3.0, (0.5,), (1.0,)), Distribution(1.0, 1.0, (0.5,), (1.0,))])
    Distribution(observations=3.0, sum=4.0, bounds=(0.5,), counts=(2.0,), quantiles=(), native=None)
    """
    if len(values) == 1:
        return values[0]
    parts = [value for value in values if isinstance(value, Distribution)]
    if not parts:
        # Not `fsum`, which raises for infinities of both signs.
        return sum([value for value in values if not isinstance(value, Distribution)])
    bounds = parts[0].bounds
    counts: tuple[float, ...] = ()
    if bounds and all(part.bounds == bounds for part in parts):
        counts = tuple(map(sum, zip(*[part.counts for part in parts], strict=True)))
    natives = [part.native for part in parts if part.native is not None]
    return Distribution(
        sum([part.observations for part in parts]),
        sum([part.sum for part in parts]),
        bounds if counts else (),
        counts,
        (),
        combined(natives) if len(natives) == len(parts) else None,
    )
