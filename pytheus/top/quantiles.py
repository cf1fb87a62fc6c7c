"""Quantiles of histograms as PromQL's ``histogram_quantile`` estimates them.

Rules:

- Classic buckets: linear within a bucket, which begins at zero if it is the first one and its bound is positive. A
  quantile in the bucket up to infinity is the highest finite bound. Counts that fall, because they were read while
  they changed, are raised.
- Native buckets: exponential within a bucket, and linear in the zero bucket, as since Prometheus 3. A quantile that
  falls among observations of NaN is NaN.

https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pytheus.native_bounds import upper_bound
from pytheus.native_buckets import NativeHistogram
from pytheus.top.values import Distribution

__all__ = ["classic_quantile", "native_buckets", "native_quantile", "quantile_of"]


def quantile_of(value: Distribution, q: float) -> float:
    """Return the quantile `q`, from 0 to 1, of `value`; NaN if it has no observations, or does not tell that quantile.

    Native buckets come first, because they are finer. A summary has the quantiles that its program computed.
    """
    if value.native is not None:
        return native_quantile(value.native, q, count=value.observations, total=value.sum)
    if value.counts:
        return classic_quantile(value.bounds, value.counts, q)
    return dict(value.quantiles).get(q, math.nan)


def classic_quantile(bounds: Sequence[float], counts: Sequence[float], q: float) -> float:
    """Return the quantile `q` of the cumulative `counts` of buckets with the upper `bounds`.

    >>> classic_quantile((0.1, 1.0, math.inf), (0.0, 4.0, 5.0), 0.5)
    0.6625
    """
    if len(bounds) < 2 or bounds[-1] != math.inf:
        return math.nan
    rising: list[float] = []
    highest = 0.0
    for count in counts:
        highest = max(highest, count)
        rising.append(highest)
    if not rising[-1] > 0:
        return math.nan
    rank = q * rising[-1]
    last = len(bounds) - 1
    place = next((index for index in range(last) if rising[index] >= rank), last)
    if place == last:
        return bounds[-2]
    if place == 0 and bounds[0] <= 0:
        return bounds[0]
    start = below = 0.0
    if place:
        start, below = bounds[place - 1], rising[place - 1]
    inside = rising[place] - below
    if not inside:
        return bounds[place]
    return min(bounds[place], start + (bounds[place] - start) * ((rank - below) / inside))  # the sum is rounded


def native_buckets(native: NativeHistogram) -> Iterator[tuple[float, float, float]]:
    """Yield the lower bound, the upper bound and the count of each bucket with observations, the lowest first."""
    for index in sorted(native.negative, reverse=True):
        yield -upper_bound(index, native.schema), -upper_bound(index - 1, native.schema), native.negative[index]
    if native.zero_count > 0:
        # As Prometheus does, if all observations have one sign.
        low = 0.0 if native.positive and not native.negative else -native.zero_threshold
        high = 0.0 if native.negative and not native.positive else native.zero_threshold
        yield low, high, native.zero_count
    for index in sorted(native.positive):
        yield upper_bound(index - 1, native.schema), upper_bound(index, native.schema), native.positive[index]


def native_quantile(native: NativeHistogram, q: float, *, count: float | None = None, total: float = 0.0) -> float:
    """Return the quantile `q` of `native`.

    `count` is that of all observations, by default that of the buckets. `total` is their sum, which is NaN if NaN was
    observed.

    >>> native_quantile(NativeHistogram(0, 0.001, 0, {1: 2, 2: 2}, {}), 0.75)
    2.8284271247461903
    """
    buckets = [bucket for bucket in native_buckets(native) if bucket[2] > 0]
    number = native.total if count is None else count
    if not number > 0 or not buckets:
        return math.nan
    from_below = math.isnan(total) or q < 0.5
    rank = (q if from_below else 1 - q) * number
    seen = 0.0
    low, high, inside = buckets[0]
    for bucket in buckets if from_below else reversed(buckets):
        low, high, inside = bucket
        seen += inside
        if seen >= rank:
            break
    seen = min(seen, number)
    if seen < rank:
        return math.nan if math.isnan(total) else high
    fraction = (rank - (seen - inside) if from_below else seen - rank) / inside
    if low <= 0 <= high:
        return low + (high - low) * fraction
    near, far = math.log2(min(abs(low), abs(high)) or math.ulp(0.0)), math.log2(max(abs(low), abs(high)))
    if low > 0:
        return _power(near + (far - near) * fraction)
    return -_power(near + (far - near) * (1 - fraction))


def _power(exponent: float) -> float:
    try:
        return math.exp2(exponent)
    except OverflowError:
        return math.inf
