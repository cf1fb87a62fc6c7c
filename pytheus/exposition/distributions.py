"""The samples of histograms and summaries by series, as formats need them that describe a series as a whole.

A custom collector may yield samples in any order, and some may be missing or contradict others. The text format shows
them as they are. OpenMetrics and protobuf cannot, so there such a family becomes several of the type unknown, one for
each name of a sample. So all series are exposed by the same names in every format.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import NamedTuple

from pytheus.kinds import KINDS
from pytheus.samples import Sample

__all__ = ["Distribution", "distributions"]

# The largest whole number below which a double has every whole number.
_EXACT_BELOW = 2.0**53


class Distribution(NamedTuple):
    """One series of a histogram, gauge histogram or summary, without contradictions.

    `labels` are without ``le`` and ``quantile``. `points` have the upper bounds of buckets, or the quantiles, in rising
    order, each with its sample; those of a histogram end with +Inf, and are cumulative whole numbers.
    """

    labels: dict[str, str]
    points: list[tuple[float, Sample]]
    total: Sample
    counted: Sample


def distributions(type_: str, samples: Iterable[Sample]) -> list[Distribution] | None:
    """Return the series of a family in the order in which they begin, or None if one is incomplete or contradictory."""
    own_label = KINDS[type_].reserved_label or ""
    found: dict[frozenset[tuple[str, str]], tuple[dict[str, str], list[tuple[float, Sample]], dict[str, Sample]]] = {}
    is_summary = type_ == "summary"
    for sample in samples:
        labels = dict(sample.labels)
        point: float | None = None
        if sample.suffix == ("" if is_summary else "_bucket"):
            try:
                point = float(labels.pop(own_label))
            except (KeyError, ValueError):
                return None
        series = found.setdefault(frozenset(labels.items()), (labels, [], {}))
        if point is None:
            series[2][sample.suffix] = sample
        else:
            series[1].append((point, sample))
    result: list[Distribution] = []
    for labels, points, others in found.values():
        total = others.get("_gsum" if type_ == "gaugehistogram" else "_sum")
        count = others.get("_gcount" if type_ == "gaugehistogram" else "_count")
        if total is None or count is None or not 0 <= count.value < _EXACT_BELOW or not count.value.is_integer():
            return None
        points.sort(key=lambda point: point[0])
        one = Distribution(labels, points, total, count)
        if not _is_sound(one, is_summary):
            return None
        result.append(one)
    return result


def _is_sound(series: Distribution, is_summary: bool) -> bool:
    timestamp = series.counted.timestamp
    if series.total.timestamp != timestamp:
        return False
    bound_before, below = -inf, 0.0
    for index, (bound, sample) in enumerate(series.points):
        if sample.timestamp != timestamp or not (bound > bound_before or index == 0) or bound != bound:
            return False
        if is_summary:
            if not 0 <= bound <= 1:
                return False
        elif not below <= sample.value < _EXACT_BELOW or not sample.value.is_integer():
            return False
        else:
            below = sample.value
        bound_before = bound
    return is_summary or (bound_before == inf and below == series.counted.value)
