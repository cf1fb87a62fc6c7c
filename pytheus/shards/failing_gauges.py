"""Gauges whose functions fail in a scrape of several processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pytheus.definitions import Definition
from pytheus.interruption import is_interruption
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
    failed: list[FailedGauge] = []
    for shared in metrics:
        failure: BaseException | None = None
        with FailedSeries() as missing:
            try:
                shared.metric.refresh()
            except BaseException as error:
                if is_interruption(error):
                    raise
                failure = error
        first = missing.first()
        if first:
            failure = first[0][1]
        if failure is not None:
            series = frozenset(labels for _, labels, _ in missing.found)
            failed.append(FailedGauge(shared.definition, series, FailedCollector(shared.definition.name, failure)))
    return failed
