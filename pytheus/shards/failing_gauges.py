"""Gauges whose functions fail in a scrape of several processes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from pytheus.definitions import Definition
from pytheus.foreign_calls import NotReturnedError, call_each
from pytheus.registry.traversal import FailedCollector, FailedSeries
from pytheus.shards.published import SharedMetric

__all__ = ["FailedGauge", "refresh_gauges"]


class FailedGauge(NamedTuple):
    """A gauge with a function that failed, and the series that are missing in this scrape therefore."""

    definition: Definition
    series: frozenset[tuple[str, ...]]
    report: FailedCollector


def refresh_gauges(metrics: Sequence[SharedMetric]) -> list[FailedGauge]:
    """Call the functions of gauges."""
    missing: list[list[tuple[tuple[str, ...], BaseException]]] = [[] for _ in metrics]
    errors = call_each(
        [(shared.metric, partial(_refresh, shared, own)) for shared, own in zip(metrics, missing, strict=True)]
    )
    failed: list[FailedGauge] = []
    for shared, own, error in zip(metrics, missing, errors, strict=True):
        failure = own[0][1] if own else error
        if failure is None:
            continue
        series = frozenset(labels for labels, _ in own)
        if isinstance(error, NotReturnedError):
            failure = error
            series = frozenset(row.labels for row in shared.rows.rows())  # which of them wait for it is not known
        failed.append(FailedGauge(shared.definition, series, FailedCollector(shared.definition.name, failure)))
    return failed


def _refresh(shared: SharedMetric, missing: list[tuple[tuple[str, ...], BaseException]]) -> None:
    with FailedSeries() as failed:
        try:
            shared.metric.refresh()
        finally:
            missing += [(labels, error) for _, labels, error in failed.found]
