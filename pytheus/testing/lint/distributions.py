"""The rules for histograms and summaries: whether they are whole, and whether the buckets fit the observations.

Whether buckets fit is told only of `OBSERVATIONS_AT_LEAST` observations or more, of all series of a metric together,
and only of classic buckets: native ones fit by themselves.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Container, Iterator
from itertools import pairwise
from typing import Final

from pytheus.testing.lint.family import Labels, LintFamily
from pytheus.testing.lint.finding import Finding, shown_text

__all__ = ["OBSERVATIONS_AT_LEAST", "check_distribution"]

OBSERVATIONS_AT_LEAST: Final = 100

_BOUNDS_AT_LEAST: Final = 5
_TOO_LOW: Final = 0.5
_TOO_HIGH: Final = 0.95
_TOO_WIDE: Final = 0.99
_UNUSED: Final = 0.6

_NUMBER: Final = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf(?:inity)?|nan", re.I | re.ASCII
)

# The default bounds of several libraries times 1000, those of OpenTelemetry included.
_MILLISECONDS: Final = frozenset(
    (0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10000.0)
)


class _Series:
    """One label set of a histogram or summary."""

    __slots__ = ("buckets", "count", "is_native", "sum")

    def __init__(self) -> None:
        # Bounds with their cumulative counts, in the order of the exposition.
        self.buckets: list[tuple[float, float]] = []
        self.count: float | None = None
        self.sum: float | None = None
        self.is_native = False

    def bounds(self) -> tuple[float, ...]:
        return tuple([bound for bound, _ in self.buckets])


def check_distribution(family: LintFamily, names: Container[str] = ()) -> Iterator[Finding]:
    """Yield the findings about the buckets, quantiles, sums and counts of `family`, one of `names`."""
    if not family.is_histogram and family.type != "summary":
        return
    found: defaultdict[Labels, _Series] = defaultdict(_Series)
    own = "le" if family.is_histogram else "quantile"
    invalid: dict[str, None] = {}
    for sample in family.samples:
        rest = tuple([pair for pair in sample.labels if pair[0] != own])
        series = found[rest]
        text = next((value for name, value in sample.labels if name == own), None)
        suffix = sample.name[len(family.name) :] if sample.name.startswith(family.name) else ""
        if text is not None or suffix == "_bucket" or (own == "quantile" and not suffix):
            number = _number(text)
            if number is None or math.isnan(number) or (own == "quantile" and not 0 <= number <= 1):
                invalid["no label" if text is None else shown_text(text)] = None
            elif own == "le" and suffix == "_bucket":
                series.buckets.append((number, sample.value))
        if suffix in ("_count", "_gcount"):
            series.count = sample.value
        elif suffix in ("_sum", "_gsum"):
            series.sum = sample.value
        series.is_native |= sample.native is not None
    if invalid:
        rule = "bucket-bound-invalid" if own == "le" else "quantile-invalid"
        shown = ", ".join([*invalid][:3])
        remedy = "write the bound as a number" if own == "le" else "write the quantile as a number from 0 to 1"
        yield _finding(family, rule, f"{own} is {shown}", remedy)
        return
    # The text format has the sum and the count of a gauge histogram as families of their own.
    if f"{family.name}_gcount" not in names:
        yield from _check_whole(family, found)
    if own == "quantile":
        yield from _check_processes(family)
    else:
        yield from _check_each(family, found)
        yield from _check_fit(family, list(found.values()))


def _check_processes(family: LintFamily) -> Iterator[Finding]:
    with_quantiles = [dict(sample.labels) for sample in family.samples if sample.name == family.name]
    processes = {labels["pid"] for labels in with_quantiles if "pid" in labels}
    if len(processes) > 1:
        yield _finding(
            family,
            "quantiles-of-processes",
            f"it has quantiles of {len(processes)} processes, which cannot be put together",
            "use a histogram",
        )


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and _NUMBER.fullmatch(text) else None


def _finding(family: LintFamily, rule: str, message: str, remedy: str) -> Finding:
    return Finding(rule, family.name, message, remedy, "", family.line, family.location)


def _shown(labels: Labels) -> str:
    return " of {" + ", ".join(f"{name}={shown_text(value)}" for name, value in labels[:4]) + "}" if labels else ""


def _check_whole(family: LintFamily, found: dict[Labels, _Series]) -> Iterator[Finding]:
    """Yield one finding of each kind, about the first series that has it."""
    for labels, series in found.items():
        parts = {"_sum": series.sum is not None, "_count": series.count is not None}
        if family.is_histogram and not series.is_native:
            parts["_bucket"] = bool(series.buckets)
        missing = [part for part, is_there in parts.items() if not is_there]
        # A histogram of OpenMetrics may lack its sum, if there are negative observations.
        if missing and not (missing == ["_sum"] and any(bound < 0 for bound, _ in series.buckets)):
            message = f"the series{_shown(labels)} lacks {' and '.join(missing)}"
            yield _finding(family, "histogram-incomplete", message, "expose all of them, in one scrape")
            break
    for labels, series in found.items():
        if series.sum is not None and not math.isfinite(series.sum):
            message = f"the sum{_shown(labels)} is {series.sum}"
            yield _finding(family, "sum-not-finite", message, "refuse observations that are not finite")
            break


def _check_each(family: LintFamily, found: dict[Labels, _Series]) -> Iterator[Finding]:
    told: set[str] = set()
    for labels, series in found.items():
        for rule, message, remedy in _faults_of(series):
            if rule not in told:
                told.add(rule)
                yield _finding(
                    family, rule, message.format(_shown(labels).replace("{", "{{").replace("}", "}}")), remedy
                )


def _faults_of(series: _Series) -> Iterator[tuple[str, str, str]]:
    buckets = series.buckets
    if not buckets:
        return
    bounds = series.bounds()
    ordered = sorted(buckets)
    if len(set(bounds)) < len(bounds):
        twice = next(low for low, high in pairwise(sorted(bounds)) if low == high)
        yield "bucket-bound-invalid", f"the series{{}} has the bound {twice:g} twice", "write each bound in one form"
    elif ordered != buckets:
        yield "buckets-unsorted", "the buckets{} are not in rising order", "sort them by their bounds"
    if any(high[1] < low[1] for low, high in pairwise(ordered)):
        yield (
            "buckets-not-cumulative",
            "a bucket{} has fewer observations than one below it",
            ("count each observation in all buckets whose bound is not less"),
        )
    if ordered[-1][0] != math.inf:
        yield "bucket-inf-missing", 'the series{} has no bucket with le="+Inf"', "add one, equal to _count"
    elif series.count is not None and series.count != ordered[-1][1]:
        message = f"_count{{}} is {series.count:g}, but the bucket +Inf has {ordered[-1][1]:g}"
        yield "bucket-count-mismatch", message, "read both at one moment, under one lock"


def _check_fit(family: LintFamily, found: list[_Series]) -> Iterator[Finding]:
    by_bounds: defaultdict[tuple[float, ...], list[_Series]] = defaultdict(list)
    for series in found:
        bounds = series.bounds()
        if bounds == tuple(sorted(set(bounds))) and bounds and bounds[-1] == math.inf and not series.is_native:
            by_bounds[bounds].append(series)
    told: set[str] = set()
    for bounds, several in by_bounds.items():
        counts = [0.0] * len(bounds)
        for series in several:
            before = 0.0
            for place, (_, cumulative) in enumerate(series.buckets):
                counts[place] += cumulative - before
                before = cumulative
        total = sum(counts)
        if math.isfinite(total) and min(counts) >= 0:
            for finding in _misfits(family, bounds[:-1], counts, total):
                if finding.rule not in told:
                    told.add(finding.rule)
                    yield finding


def _misfits(family: LintFamily, bounds: tuple[float, ...], counts: list[float], total: float) -> Iterator[Finding]:
    if _is_in_seconds(family) and len(bounds) >= _BOUNDS_AT_LEAST and _are_milliseconds(bounds):
        yield _finding(
            family,
            "buckets-in-milliseconds",
            f"it is in seconds, but its bounds {bounds[0]:g} to {bounds[-1]:g} are usual for milliseconds",
            "divide the bounds by 1000, and check that observations are in seconds",
        )
    if total < OBSERVATIONS_AT_LEAST or not bounds:
        return
    if counts[-1] > _TOO_LOW * total:
        yield _finding(
            family,
            "buckets-too-low",
            f"{counts[-1] / total:.0%} of {total:g} observations exceed the highest finite bound, {bounds[-1]:g}",
            "add higher bounds, use native buckets, or check the unit of the observations",
        )
        return
    if len(bounds) < _BOUNDS_AT_LEAST:
        return
    if counts[0] >= _TOO_HIGH * total:
        if bounds[0] > 0:  # or else they are zeros, which are exact
            yield _finding(
                family,
                "buckets-too-high",
                f"{counts[0] / total:.0%} of {total:g} observations are in the lowest bucket, up to {bounds[0]:g}",
                "add lower bounds, use native buckets, or check the unit of the observations",
            )
        return
    largest = max(range(len(counts)), key=counts.__getitem__)
    if counts[largest] >= _TOO_WIDE * total and largest:
        yield _finding(
            family,
            "buckets-too-wide",
            f"{counts[largest] / total:.0%} of {total:g} observations are in one bucket, from {bounds[largest - 1]:g}"
            f" to {bounds[largest]:g}",
            "add bounds within it, or use native buckets",
        )
        return
    used = [place for place, count in enumerate(counts[:-1]) if count]
    unused = len(bounds) - (used[-1] - used[0] + 1) if used else 0
    if unused > _UNUSED * len(bounds):
        yield _finding(
            family,
            "buckets-unused",
            f"{unused} of {len(bounds)} finite buckets at the ends have none of {total:g} observations",
            f"choose bounds between {bounds[max(used[0] - 1, 0)]:g} and {bounds[used[-1]]:g}",
        )


def _is_in_seconds(family: LintFamily) -> bool:
    return family.unit == "seconds" or family.name.endswith("_seconds")


def _are_milliseconds(bounds: tuple[float, ...]) -> bool:
    # A job may take hours, so large bounds alone prove nothing.
    return bounds[-1] >= 2500 and min(bound for bound in bounds if bound > 0) >= 5 and _MILLISECONDS.issuperset(bounds)
