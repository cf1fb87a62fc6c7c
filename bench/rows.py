"""The table's rows, the goals of pytheus in them, and how much is measured.

A row's `key` is its name in workloads, the worker and the Go program. Smaller figures are better.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["PER_CALL", "QUICK", "ROWS", "SCALES", "SCRAPED", "WHOLE", "Goal", "Plan", "Row"]

Unit = Literal["ns", "ms", "bytes"]

SMALLEST, SCRAPED, BIGGEST = 100, 10_000, 1_000_000
SCALES = {"scale_100": SMALLEST, "scale_10k": SCRAPED, "scale_100k": 100_000, "scale_1m": BIGGEST}
"""The rows of growing scrapes, with their number of series."""


class Goal(NamedTuple):
    """That `column` is at least `least_ratio` times as good as `against`, which may be less than 1.

    `text` is how the table puts it. Columns are the keys of bench/libraries.py.
    """

    text: str
    column: str
    against: str
    least_ratio: float


class Row(NamedTuple):
    key: str
    title: str
    unit: Unit
    goals: tuple[Goal, ...] = ()


def _faster(compiled: int, pure: int) -> tuple[Goal, Goal]:
    return (
        Goal(f"≥ {compiled}x", "pytheus", "prometheus_client", compiled),
        Goal(f"pure ≥ {pure}x", "pytheus_pure", "prometheus_client", pure),
    )


def _within(times: float) -> Goal:
    return Goal(f"≤ {times}x Go", "pytheus", "go", 1 / times)


def _share(text: str, ratio: float) -> tuple[Goal, Goal]:
    return (
        Goal(f"≤ {text}", "pytheus", "prometheus_client", ratio),
        Goal(f"pure ≤ {text}", "pytheus_pure", "prometheus_client", ratio),
    )


_SCRAPE = (*_faster(100, 50), Goal("≥ 12x Go", "pytheus", "go", 12))

ROWS = (
    Row("inc", "counter.inc()", "ns", (*_faster(15, 5), _within(2.5))),
    Row("inc_int", "counter.inc(2), an int", "ns"),
    Row("labels_by_position", 'labels("GET", "200").inc()', "ns", (*_faster(10, 6), _within(1.3))),
    Row("labels_by_keyword", 'labels(method="GET", code="200").inc()', "ns", _faster(6, 3)),
    Row("gauge_set", "gauge.set(1.5)", "ns"),
    Row("observe", "histogram.observe(0.3), 11 buckets", "ns", (*_faster(12, 5), _within(3))),
    Row("time_block", "with histogram.time(): pass", "ns"),
    Row("decorated", "an empty function, decorated with a timer", "ns"),
    Row("first_write", "labels(...).inc() on a new series", "ns"),
    Row("threads", "counter.inc() in 8 threads at once, per call", "ns"),
    Row("scrape_unchanged", "scrape, 10,000 counters, none changed since the last", "ms", _SCRAPE),
    Row("scrape_changed", "scrape, 10,000 counters, all changed", "ms", _SCRAPE),
    Row("scrape_fractional", "scrape, 10,000 counters, all changed, like 12.3", "ms"),
    Row("scale_100", "scrape, per series, 100 changed counters", "ns"),
    Row("scale_10k", "scrape, per series, 10,000 changed counters", "ns"),
    Row("scale_100k", "scrape, per series, 100,000 changed counters", "ns"),
    Row("scale_1m", "scrape, per series, 1,000,000 changed counters", "ns"),
    Row("pause", "longest pause of another thread meanwhile", "ms"),
    Row("pause_of_nothing", "the same without a scrape", "ms"),
    Row("counter_fresh", "bytes per counter with 2 labels", "bytes", _share("1/2", 2)),
    Row("counter_scraped", "the same, after the first scrape", "bytes", _share("1/2", 2)),
    Row("histogram_fresh", "bytes per histogram with 2 labels, 11 buckets", "bytes", _share("1/5", 5)),
    Row("histogram_scraped", "the same, after the first scrape", "bytes", _share("1/5", 5)),
    Row("import", "import, the interpreter's start included", "ms", _share("1/2", 2)),
    Row("bare", "the interpreter's start alone", "ms"),
)

PER_CALL = frozenset(row.key for row in ROWS if row.unit == "ns" and row.key not in SCALES)
"""The rows from which the empty loop is subtracted."""


class Plan(NamedTuple):
    """The settings that each library's process gets; the Go program reads them as well.

    `rounds` is how often each library has its turn at calls and small scrapes. In a turn each call is timed in
    `windows` windows of `window_seconds`; each scrape as often as fits into `scrape_seconds`, and the biggest into
    `biggest_seconds`, once at least. `largest` is the number of series of the biggest scrape. `imports` is how many
    interpreters are started for each library, `footprints` how many series are made to weigh one.
    """

    rounds: int = 5
    windows: int = 30
    window_seconds: float = 0.002
    scrape_seconds: float = 0.25
    biggest_seconds: float = 3.0
    largest: int = BIGGEST
    imports: int = 15
    footprints: int = 10_000

    def scales(self) -> dict[str, int]:
        """The rows of growing scrapes that are measured, with their number of series."""
        return {row: count for row, count in SCALES.items() if count <= self.largest}


WHOLE = Plan()
QUICK = Plan(2, 10, 0.001, scrape_seconds=0.05, biggest_seconds=0.0, largest=SCALES["scale_100k"], imports=4)
