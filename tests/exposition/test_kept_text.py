"""A series keeps its text: each later scrape shows the same as a first one would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytheus import Counter, Gauge, Histogram, Summary, generate_metrics
from pytheus.registry import CollectorRegistry

# Characters that are escaped, that a kept text has a use of its own for, and that need more than one byte.
VALUES = ("x", 'a"b', "c\\d", "e\nf", "{a} 1", '} 2,le="3', "\0", "", " ", "é", "𝄞 y")

NUMBERS = (0.0, 1.0, 0.5, 3.0, 0.0, 1023.0, 1024.0, 1e15, 2.0**60, 1e17)

WRITES: dict[Any, Callable[[Any, float], None]] = {
    Counter: lambda series, number: series.inc(number),
    Gauge: lambda series, number: series.set(number),
    Histogram: lambda series, number: series.observe(number),
    Summary: lambda series, number: series.observe(number),
}


def _write(metric: Any, number: float) -> None:
    """Write `number` to each of the series."""
    for place, value in enumerate(VALUES):
        labels = (value, *VALUES[place - 1 :], *VALUES)[: len(metric.label_names)]
        WRITES[type(metric)](metric.labels(*labels) if labels else metric, number)


def _shown(metric: Any, prefix: str | None) -> str:
    registry = CollectorRegistry(prefix=prefix)
    registry.register(metric)
    return generate_metrics(registry)


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "b", "c"]], ids=len)
@pytest.mark.parametrize("kind", WRITES, ids=lambda kind: kind.__name__)
def test_every_scrape_shows_what_a_first_one_would(kind: Any, labels: list[str]) -> None:
    scraped = kind("m_total", "M.", labels, registry=None)
    for count, number in enumerate(NUMBERS, 1):
        _write(scraped, number)
        fresh = kind("m_total", "M.", labels, registry=None)
        for earlier in NUMBERS[:count]:
            _write(fresh, earlier)
        for prefix in (None, "shop", None):
            assert _shown(scraped, prefix) == _shown(fresh, prefix)


@pytest.mark.parametrize("kind", [Histogram, Summary], ids=lambda kind: kind.__name__)
def test_a_series_that_is_cleared_shows_no_former_number(kind: Any) -> None:
    scraped = kind("m", "M.", registry=None)
    scraped.observe(2.5)
    _shown(scraped, None)
    scraped.clear()
    assert _shown(scraped, None) == _shown(kind("m", "M.", registry=None), None)
    scraped.observe(2.5)
    assert "m_sum 2.5\nm_count 1.0\n" in _shown(scraped, "") + "\n"
