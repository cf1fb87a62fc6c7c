"""The lines that tell of one series, or of one family."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from pytheus.top.cells import cut, fitted, safe, width
from pytheus.top.history import Increase
from pytheus.top.lines import Line, Span, wrapped
from pytheus.top.quantiles import native_buckets, quantile_of
from pytheus.top.quantities import duration, quantity, rate, unit_of
from pytheus.top.sparkline import graph, resampled
from pytheus.top.table import Table
from pytheus.top.values import Distribution, FamilyInfo, Series, Value

__all__ = ["bucket_lines", "family_lines", "series_lines"]

_SHOWN_QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)
_GRAPH_LINES: Final = 6
_BUCKETS_AT_MOST: Final = 200
_EDGE: Final = 10
_FAMILY_HISTORY_NUMBERS: Final = 20_000


def series_lines(table: Table, series: Series, columns: int, height: int) -> list[Line]:
    """Return all that is known of a series; the lines may be more than `height`, and are scrolled then."""
    ascii_only = table.ascii_only
    info = table.info(series)
    lines = _heading(info, series.name, columns, ascii_only=ascii_only)
    size = min(
        max([width(safe(name, ascii_only=ascii_only)) for name, _ in series.labels], default=0), max(8, columns // 3)
    )
    for name, value in series.labels:
        shown = safe(value, ascii_only=ascii_only)
        parts = wrapped(shown, columns - size - 5, at_most=4, ascii_only=ascii_only) or ['""']
        first = Span(2, cut(safe(name, ascii_only=ascii_only), size, ascii_only=ascii_only), "label")
        lines.append((first, Span(size + 3, "="), Span(size + 5, parts[0])))
        lines += [(Span(size + 5, part),) for part in parts[1:]]
    lines.append(())
    lines += _numbers(table, info, series, columns)
    numbers = table.history_of(series)
    subject = "rate per second" if info.type in ("counter", "histogram", "summary") else "value"
    lines += _graph_lines(table, info, numbers, subject, columns, _GRAPH_LINES if height >= 18 else 3)
    observed, when = _observed(table, series)
    if observed is not None and (observed.counts or observed.native is not None):
        lines += bucket_lines(observed, unit_of(info), columns, when, ascii_only=ascii_only)
    return lines


def _observed(table: Table, series: Series) -> tuple[Distribution | None, str]:
    """The observations of the window, or all if it has none, and the words for which."""
    observed, value = table.observed(series), table.value(series)
    if observed is None or not isinstance(value, Distribution):
        return None, ""
    if observed is not value and observed.observations:
        added = table.increase(series)
        return observed, f"of the last {_over(added.seconds)}" if added is not None else ""
    return value, "since its start"


def family_lines(table: Table, family: str, columns: int, at_most: int) -> list[Line]:
    """Return the type, the labels and the rate of a family, in at most so many lines."""
    ascii_only = table.ascii_only
    info, members = table.info(family), table.members(family)
    lines = _heading(info, family, columns, ascii_only=ascii_only)
    values: dict[str, Counter[str]] = {}
    for one in members:
        for name, value in one.labels:
            values.setdefault(name, Counter())[value] += 1
    if values:
        told = ", ".join([f"{safe(name, ascii_only=ascii_only)} ({len(found)})" for name, found in values.items()])
        lines += [
            (Span(0, line),)
            for line in wrapped(f"labels and their values: {told}", columns, at_most=2, ascii_only=ascii_only)
        ]
    if at_most >= len(lines) + 5 and info.type in ("counter", "histogram", "summary"):
        numbers = _sums(table, members)
        lines += _graph_lines(table, info, numbers, "rate per second of all series", columns, 3)
    return lines[:at_most]


def _sums(table: Table, members: Sequence[Series]) -> list[tuple[float, float]]:
    """The rates of all series together, as far back as that is quick."""
    readings = max(2, _FAMILY_HISTORY_NUMBERS // max(1, len(members)))
    sums: dict[float, float] = {}
    for one in members:
        for at, added in table.history.increases(one, readings):
            sums[at] = sums.get(at, 0.0) + added.per_second
    return sorted(sums.items())


def _heading(info: FamilyInfo, name: str, columns: int, *, ascii_only: bool) -> list[Line]:
    kind = info.type + (f", {safe(info.unit, ascii_only=ascii_only)}" if info.unit else "")
    title = cut(safe(name, ascii_only=ascii_only), max(1, columns - width(kind) - 2), ascii_only=ascii_only)
    lines: list[Line] = [
        (
            Span(0, title, "bold"),
            Span(width(title) + 2, cut(kind, max(0, columns - width(title) - 2), ascii_only=ascii_only), "dim"),
        )
    ]
    if info.description:
        text = safe(info.description.replace("\n", " "), ascii_only=ascii_only)
        lines += [(Span(0, line),) for line in wrapped(text, columns, at_most=3, ascii_only=ascii_only)]
    return lines


def _numbers(table: Table, info: FamilyInfo, series: Series, columns: int) -> list[Line]:
    ascii_only, unit = table.ascii_only, unit_of(info)
    value: Value | None = table.value(series)
    added: Increase | None = table.increase(series)
    told: list[tuple[str, str]] = []
    if isinstance(value, Distribution):
        told.append(("observations", quantity(value.observations)))
        told.append(("sum", quantity(value.sum, unit, ascii_only=ascii_only)))
        if value.observations:
            told.append(("mean", quantity(value.sum / value.observations, unit, ascii_only=ascii_only)))
    elif value is not None:
        told.append(("value", table.value_text(info, value)))
        told.append(("exactly", f"{value!r}"))
    else:
        told.append(("value", "not in the last reading"))
    if added is not None:
        own = "" if isinstance(added.value, Distribution) else unit
        told.append((f"rate over {_over(added.seconds)}", f"{rate(added.per_second, own, ascii_only=ascii_only)}/s"))
        if isinstance(added.value, Distribution) and added.value.observations:
            mean = added.value.sum / added.value.observations
            told.append((f"mean over {_over(added.seconds)}", quantity(mean, unit, ascii_only=ascii_only)))
    lines = _flowing([f"{name} {text}" for name, text in told], columns, ascii_only=ascii_only)
    observed, when = _observed(table, series)
    if observed is None:
        return lines
    found = [
        (q, quantile_of(observed, q))
        for q in ([q for q, _ in observed.quantiles] if observed.quantiles else _SHOWN_QUANTILES)
    ]
    quantiles = [
        f"p{100 * q:g} {quantity(number, unit, ascii_only=ascii_only)}" for q, number in found if not math.isnan(number)
    ]
    if quantiles:
        # A summary's quantiles are those of a time that its program chose.
        head = "quantiles:" if observed.quantiles else f"quantiles {when}:"
        lines += _flowing([head, *quantiles], columns, ascii_only=ascii_only)
    return lines


def _over(seconds: float) -> str:
    """A time, to the second."""
    return f"{seconds:.0f}s" if 1 <= seconds < 59.5 else duration(round(seconds)) if seconds > 1 else duration(seconds)


def _flowing(texts: Sequence[str], columns: int, *, ascii_only: bool) -> list[Line]:
    """Texts beside each other, as many as fit into a line."""
    lines: list[Line] = []
    line = ""
    for text in texts:
        candidate = f"{line}   {text}" if line else text
        if line and width(candidate) > columns:
            lines.append((Span(0, line),))
            candidate = text
        line = cut(candidate, columns, ascii_only=ascii_only)
    return [*lines, (Span(0, line),)] if line else lines


def _graph_lines(
    table: Table, info: FamilyInfo, numbers: Sequence[tuple[float, float]], subject: str, columns: int, height: int
) -> list[Line]:
    ascii_only = table.ascii_only
    known = [(at, value) for at, value in numbers if math.isfinite(value)]
    if not known:
        return [(), (Span(0, cut(f"{subject}: after the next reading", columns, ascii_only=ascii_only), "dim"),)]
    size = max(1, columns - _EDGE - 1)
    rows, low, high = graph(resampled(known, size), height, ascii_only=ascii_only)
    is_rate = subject.startswith("rate")
    unit = unit_of(info)
    if is_rate:
        unit = "" if info.type != "counter" else "ratio" if unit == "seconds" else unit
    span = known[-1][0] - known[0][0]
    title = f"{subject}, the last {_over(span)}" if span >= 0.5 else subject
    lines: list[Line] = [(), (Span(0, cut(title, columns, ascii_only=ascii_only), "dim"),)]
    for place, row in enumerate(rows):
        edge = high if place == 0 else low if place == len(rows) - 1 else None
        text = "" if edge is None else quantity(edge, unit, ascii_only=ascii_only)
        lines.append(
            (
                Span(0, fitted(text, min(_EDGE, columns), right=True, ascii_only=ascii_only)),
                Span(_EDGE + 1, cut(row, max(0, columns - _EDGE - 1), ascii_only=ascii_only), "good"),
            )
        )
    return lines


def bucket_lines(
    observed: Distribution, unit: str, columns: int, when: str = "", *, ascii_only: bool = False
) -> list[Line]:
    """Return a bar for each bucket, with its bounds and its number of observations; `when` they were made."""
    buckets: list[tuple[str, float]] = []
    if observed.native is not None:
        for low, high, count in native_buckets(observed.native):
            bounds = [quantity(bound, unit, ascii_only=ascii_only) for bound in (low, high)]
            buckets.append((f"{bounds[0]} to {bounds[1]}", count))
        if observed.native.nan_count:
            buckets.append(("NaN", observed.native.nan_count))
    else:
        below = 0.0
        for bound, count in zip(observed.bounds, observed.counts, strict=True):
            buckets.append((f"to {quantity(bound, unit, ascii_only=ascii_only)}", count - below))
            below = count
    if not buckets:
        return []
    lines: list[Line] = [(), (Span(0, cut(f"observations {when}", columns, ascii_only=ascii_only), "dim"),)]
    highest = max([count for _, count in buckets])
    names = max(width(name) for name, _ in buckets[:_BUCKETS_AT_MOST])
    size = max(1, columns - names - 11)
    for name, count in buckets[:_BUCKETS_AT_MOST]:
        share = count / highest if highest > 0 else 0.0
        bar = _bar(share, size, ascii_only=ascii_only)
        text = f"{fitted(name, names, right=True, ascii_only=ascii_only)} {quantity(count):>8} {bar}"
        lines.append((Span(0, cut(text, columns, ascii_only=ascii_only)),))
    if len(buckets) > _BUCKETS_AT_MOST:
        lines.append(
            (Span(0, cut(f"and {len(buckets) - _BUCKETS_AT_MOST} more", columns, ascii_only=ascii_only), "dim"),)
        )
    return lines


def _bar(share: float, columns: int, *, ascii_only: bool) -> str:
    eighths = round(max(0.0, min(1.0, share)) * columns * 8)
    if ascii_only:
        return "#" * round(eighths / 8) or ("." if eighths else "")
    return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]
