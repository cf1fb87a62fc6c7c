"""The panels of a dashboard, by rows, independent of Grafana's JSON.

Rules:

- The first row has the rate, the errors and the duration of HTTP requests, the second one the gauges that have a limit.
  Every other family has one or two panels in the row of its prefix, or in a row of all families whose prefix occurs
  once; process and interpreter come last.
- A family is added up over its labels but the first two, so that a panel has few lines; a share of errors over all but
  the first, because the second is often the kind of the end. A gauge keeps the instance, because the sum over targets
  of a temperature or a time means nothing.
- Expressions read no recorded series, so that a dashboard works without the rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

from pytheus.dashboard.families import FamilyInfo
from pytheus.dashboard.pairs import error_pairs, limit_pairs
from pytheus.dashboard.promql import (
    LABELS_AT_MOST,
    QUANTILES,
    Matcher,
    Scope,
    aggregated,
    labels_of,
    mean,
    observations,
    quantile,
    rate,
    saturation,
    selector,
    share,
    stored_labels,
)
from pytheus.dashboard.requests import HttpRequests, error_matcher, error_ratio, event_rate, http_requests
from pytheus.dashboard.rules import AlertThresholds
from pytheus.dashboard.units import OTHER_RATE, RATIO, REQUEST_RATE, SECONDS, is_timestamp, rate_unit, unit_id
from pytheus.names import state_label

__all__ = ["DASHBOARD_SCOPE", "Panel", "Query", "Row", "rows_of"]

DASHBOARD_SCOPE: Final = Scope('job=~"$job",instance=~"$instance"', "$__rate_interval")
"""The targets that the variables of the dashboard select, and Grafana's window for the present resolution."""

_ROW_FAMILIES_AT_MOST: Final = 12
_OWN_ROW_FAMILIES_AT_LEAST: Final = 3
_LAST_ROWS: Final = ("process", "python", "pytheus")
_ROUTE_QUANTILE: Final = 0.95
# Values of different targets that mean nothing as a sum.
_AVERAGED: Final = frozenset({RATIO, "percent", "celsius", "fahrenheit", "kelvin", "volt", "hertz"})


class Query(NamedTuple):
    """An expression, and the names of its lines: labels in double braces, or "" for all labels.

    `has_exemplars` asks for the exemplars of its series, too.
    """

    expression: str
    legend: str = ""
    has_exemplars: bool = False


class Panel(NamedTuple):
    """One panel: `key` is unique and stays the same; `threshold` is a line at this value, or None."""

    key: str
    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str
    kind: Literal["timeseries", "state-timeline", "table"] = "timeseries"
    threshold: float | None = None


class Row(NamedTuple):
    """A row and its panels."""

    title: str
    panels: list[Panel]


def rows_of(families: Sequence[FamilyInfo], thresholds: AlertThresholds) -> list[Row]:
    """Return the rows of a dashboard of `families`, without empty ones.

    >>> rows_of([FamilyInfo("orders_total", "counter", "")], AlertThresholds())[0].title
    'Application'
    """
    requests = http_requests(families)
    shown: set[str] = set()
    rows = []
    if requests is not None:
        rows.append(Row("HTTP requests", list(_request_panels(requests, thresholds))))
        shown |= {family.name for family in (requests.counted, requests.duration, requests.active) if family}
    pairs = limit_pairs(families)
    rows.append(Row("Saturation", [_saturation_panel(*pair, thresholds.saturation_ratio) for pair in pairs]))
    limits = {pair.usage.name: pair.limit for pair in pairs}
    shown |= {limit.name for limit in limits.values()}
    totals = {pair.errors.name: pair.total for pair in error_pairs(families)}
    for title, members in _by_prefix([family for family in families if family.name not in shown]):
        panels = (
            panel
            for family in members
            for panel in _panels(
                family, limits.get(family.name), totals.get(family.name), error_matcher(family, requests)
            )
        )
        rows.append(Row(title, list(panels)))
    return [row for row in rows if row.panels]


def _by_prefix(families: Iterable[FamilyInfo]) -> Iterator[tuple[str, list[FamilyInfo]]]:
    """The families by the first word of their names, or by the first two of a prefix that has many."""
    groups = _grouped(families, 1)
    last = {name: groups.pop(name) for name in _LAST_ROWS if name in groups}
    yield "Application", [members[0] for members in groups.values() if len(members) == 1]
    for name, members in groups.items():
        if len(members) == 1:
            continue
        if len(members) > _ROW_FAMILIES_AT_MOST:
            longer = {
                words: fewer
                for words, fewer in _grouped(members, 2).items()
                if len(fewer) >= _OWN_ROW_FAMILIES_AT_LEAST and words != name
            }
            yield from longer.items()
            members = [family for family in members if not any(family in fewer for fewer in longer.values())]
        yield name, members
    yield from last.items()


def _grouped(families: Iterable[FamilyInfo], words: int) -> dict[str, list[FamilyInfo]]:
    groups: dict[str, list[FamilyInfo]] = {}
    for family in families:
        found = re.match(rf"[_.:]*[^_.:]*(?:[_.:]+[^_.:]+){{{words - 1}}}", family.name)
        groups.setdefault(found[0] if found else family.name, []).append(family)
    return groups


# Panels by type --------------------------------------------------------------------------------------------------


def _panels(
    family: FamilyInfo, limit: FamilyInfo | None, total: FamilyInfo | None, errors: Matcher | None
) -> Iterator[Panel]:
    scope = DASHBOARD_SCOPE
    labels = labels_of(family)[:LABELS_AT_MOST]

    def panel(
        aspect: str,
        unit: str,
        *queries: Query,
        kind: Literal["timeseries", "state-timeline", "table"] = "timeseries",
    ) -> Panel:
        title = f"{family.name}, {aspect}" if aspect else family.name
        return Panel(f"{family.name}/{aspect}", title, family.description, queries, unit, kind)

    match family.type:
        case "counter":
            yield panel(
                "per second", rate_unit(family), Query(rate(family.name, scope, labels), _legend(labels, family.name))
            )
        case "histogram" | "gaugehistogram":
            yield panel("quantiles", unit_id(family), *_quantiles(family))
            if family.type == "histogram":
                observed = observations(family, scope, labels)
                yield panel("observations per second", OTHER_RATE, Query(observed, _legend(labels, family.name)))
        case "summary":
            yield panel("mean", unit_id(family), Query(mean(family, scope, labels), _legend(labels, family.name)))
            if family.has_quantiles:
                expression = aggregated("max", ("instance", "quantile"), selector(family.name, scope))
                yield panel("quantiles", unit_id(family), Query(expression, _legend(("instance", "quantile"))))
            observed = observations(family, scope, labels)
            yield panel("observations per second", OTHER_RATE, Query(observed, _legend(labels, family.name)))
        case "info":
            yield panel("", "short", Query(selector(family.name, scope)), kind="table")
        case "stateset":
            by = ("instance", *labels, *stored_labels([state_label(family.name)]))
            expression = aggregated("max", by, selector(family.name, scope))
            yield panel("", "bool_on_off", Query(expression, _legend(by)), kind="state-timeline")
        case "gauge" | "unknown":
            yield from _gauge_panels(family, limit, labels)
    if total is not None:
        by = labels_of(total)[:1]
        yield panel(f"share of {total.name}", RATIO, Query(share(family, total, scope, by), _legend(by, family.name)))
    if errors is not None:
        by = tuple(label for label in labels_of(family) if label != errors.label)[:1]
        yield panel("share of errors", RATIO, Query(error_ratio(family, errors, scope, by), _legend(by, family.name)))


def _quantiles(family: FamilyInfo) -> tuple[Query, ...]:
    """The quantiles of a histogram; one of them has the exemplars, which are those of all."""
    return tuple(
        Query(quantile(family, q, DASHBOARD_SCOPE), f"p{q * 100:g}", has_exemplars=q == QUANTILES[-1])
        for q in QUANTILES
    )


def _gauge_panels(family: FamilyInfo, limit: FamilyInfo | None, labels: tuple[str, ...]) -> Iterator[Panel]:
    by = ("instance", *labels)
    unit, title, description = unit_id(family), family.name, family.description
    expression = aggregated(_operator(family), by, selector(family.name, DASHBOARD_SCOPE))
    if is_timestamp(family):
        expression, title = f"time() - {expression}", f"{family.name}, age"
    queries = [Query(expression, _legend(by))]
    if limit is not None:
        most = ("instance", *(label for label in labels if label in labels_of(limit)))
        limited = aggregated(_operator(limit), most, selector(limit.name, DASHBOARD_SCOPE))
        queries.append(Query(limited, f"{_legend(most)} limit".strip()))
        description = f"{description} Limit: {limit.description}"
    yield Panel(f"{family.name}/", title, description, tuple(queries), unit)


def _operator(gauge: FamilyInfo) -> str:
    """How series of one instance that differ in further labels are shown as one; a mode is for processes alike."""
    if gauge.mode.startswith("min"):
        return "min"
    if gauge.mode or is_timestamp(gauge):
        return "sum" if gauge.mode.startswith("sum") else "max"
    return "avg" if unit_id(gauge) in _AVERAGED else "sum"


def _legend(labels: Iterable[str], otherwise: str = "") -> str:
    """The legend of lines by `labels`; `otherwise` names the only line if there is no label."""
    names = tuple(labels)
    if any(re.search(r"[{}$]|\[\[", name) for name in names):
        return ""  # Grafana would read them as something else; it shows all labels instead
    return " ".join(f"{{{{{name}}}}}" for name in names) or otherwise


# Rows of several families ----------------------------------------------------------------------------------------


def _request_panels(requests: HttpRequests, thresholds: AlertThresholds) -> Iterator[Panel]:
    scope, counted, duration, active = DASHBOARD_SCOPE, requests.counted, requests.duration, requests.active
    route = (requests.route,) if requests.route else ()
    yield Panel(
        "requests/rate",
        "Requests per second",
        counted.description,
        (Query(event_rate(counted, scope, route), _legend(route, "all")),),
        REQUEST_RATE,
    )
    if requests.errors is not None:
        yield Panel(
            "requests/errors",
            "Errors, share of requests",
            "Responses with a status of the server's errors, and exceptions; not those of which the client left before"
            f" their end. {counted.description}",
            (Query(error_ratio(counted, requests.errors, scope, route), _legend(route, "all")),),
            RATIO,
            threshold=thresholds.error_ratio,
        )
    yield Panel(
        "requests/duration",
        "Duration, quantiles",
        duration.description,
        _quantiles(duration),
        SECONDS,
        threshold=thresholds.latency_seconds,
    )
    if requests.duration_route:
        route = (requests.duration_route,)
        yield Panel(
            "requests/duration by route",
            f"Duration, p{_ROUTE_QUANTILE * 100:g} by route",
            duration.description,
            (Query(quantile(duration, _ROUTE_QUANTILE, scope, route), _legend(route)),),
            SECONDS,
        )
    if active is not None:
        expression = aggregated("sum", ("instance",), selector(active.name, scope))
        query = Query(expression, _legend(("instance",)))
        yield Panel("requests/active", "Requests in progress", active.description, (query,), "short")


def _saturation_panel(usage: FamilyInfo, limit: FamilyInfo, threshold: float) -> Panel:
    by = ("instance", *labels_of(limit))
    return Panel(
        f"saturation/{usage.name}",
        f"{usage.name}, share of {limit.name}",
        f"{usage.description} Limit: {limit.description}",
        (Query(saturation(usage, limit, DASHBOARD_SCOPE), _legend(by)),),
        RATIO,
        threshold=threshold,
    )
