"""The table's rows, the goals of pytheus in them, and how much is measured.

A row's `key` is its name in workloads, the worker and the Go program. Smaller figures are better.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = [
    "FORMATS",
    "HISTOGRAMS",
    "PER_CALL",
    "QUICK",
    "ROWS",
    "SCALES",
    "SCRAPED",
    "SHARDS",
    "WHOLE",
    "Goal",
    "Plan",
    "Row",
]

Unit = Literal["ns", "ms", "bytes"]

SMALLEST, SCRAPED, BIGGEST = 100, 10_000, 1_000_000
SCALES = {"scale_100": SMALLEST, "scale_10k": SCRAPED, "scale_100k": 100_000, "scale_1m": BIGGEST}
"""The rows of growing scrapes, with their number of series."""

HISTOGRAMS = 1_000
"""How many histograms a scrape of histograms has."""

SHARDS = 8
"""How many shards of `SCRAPED` series are read."""


class Goal(NamedTuple):
    """That `column` is at least `least_ratio` times as good as `against`, which may be less than 1.

    `text` is how the table puts it. Columns are the keys of bench/libraries.py. `against` may also be a figure in the
    row's unit. `row` is that of `against`, where it is another one.
    """

    text: str
    column: str
    against: str | float
    least_ratio: float = 1.0
    row: str = ""


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


def _within(times: float, column: str = "go", name: str = "Go") -> Goal:
    return Goal(f"≤ {times}x {name}", "pytheus", column, 1 / times)


def _at_most(figure: float, unit: Unit) -> Goal:
    return Goal(f"≤ {figure:g} {unit}", "pytheus", figure)


def _share(text: str, ratio: float) -> tuple[Goal, Goal]:
    return (
        Goal(f"≤ {text}", "pytheus", "prometheus_client", ratio),
        Goal(f"pure ≤ {text}", "pytheus_pure", "prometheus_client", ratio),
    )


def _within_row(times: float, name: str, row: str) -> Goal:
    return Goal(f"≤ {times}x {name}", "pytheus", "pytheus", 1 / times, row)


FORMATS = {
    "openmetrics": "application/openmetrics-text;version=1.0.0",
    "protobuf": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
}
"""The formats beside text, and how a client asks for each."""

FORMAT_TITLES = {"openmetrics": "OpenMetrics", "protobuf": "protobuf"}
_STATE_TITLES = {"unchanged": "none changed since the last", "changed": "all changed"}


def _formats(key: str, title: str) -> tuple[Row, ...]:
    """The rows of scrapes in the other formats; `key` is the beginning of those in text."""
    return tuple(
        Row(
            f"{key}_{state}_{name}",
            f"scrape, {title}, {_STATE_TITLES[state]}, in {FORMAT_TITLES[name]}",
            "ms",
            (_within_row(1.5, "text", f"{key}_{state}"), _within(1)),
        )
        for name in FORMATS
        for state in _STATE_TITLES
    )


_TWELVE_GO = Goal("≥ 12x Go", "pytheus", "go", 12)
_SIX = Goal("≥ 6x", "pytheus", "prometheus_client", 6)

ROWS = (
    Row("inc", "counter.inc()", "ns", (*_faster(20, 5), _within(1.5, "limit", "limit"))),
    Row("inc_int", "counter.inc(2), an int", "ns"),
    Row("labels_by_position", 'labels("GET", "200").inc()', "ns", (*_faster(11, 6), _within(1.3))),
    Row("labels_by_keyword", 'labels(method="GET", code="200").inc()', "ns", _faster(6, 3)),
    Row("gauge_set", "gauge.set(1.5)", "ns"),
    Row("observe", "histogram.observe(0.3), 11 buckets", "ns", (*_faster(30, 5), _within(3))),
    Row(
        "observe_native",
        "native histogram.observe(0.3)",
        "ns",
        (_within_row(2, "classic", "observe"), _within(10)),
    ),
    Row("time_block", "with histogram.time(): pass", "ns", (_SIX,)),
    Row("decorated", "an empty function, decorated with a timer", "ns", (_SIX,)),
    Row("first_write", "labels(...).inc() on a new series", "ns", (*_faster(10, 4), _within(1))),
    Row("first_observation", "labels(...).observe(0.3) on a new series", "ns"),
    Row("threads", "counter.inc() in 8 threads at once, per call", "ns"),
    Row("scrape_first", "scrape, 10,000 counters, the first", "ms", (_at_most(3, "ms"),)),
    Row(
        "scrape_unchanged",
        "scrape, 10,000 counters, none changed since the last",
        "ms",
        (*_faster(100, 50), _TWELVE_GO),
    ),
    Row("scrape_changed", "scrape, 10,000 counters, all changed", "ms", (*_faster(85, 50), _TWELVE_GO)),
    Row("scrape_fractional", "scrape, 10,000 counters, all changed, like 12.3", "ms"),
    Row("scrape_gzip", "scrape, 10,000 counters, all changed, by HTTP in gzip", "ms"),
    Row("served_gzip", "the same by the library's own server", "ms", _faster(30, 10)),
    Row("served_gzip_cpu", "CPU of the server meanwhile", "ms", _faster(30, 10)),
    *_formats("scrape", "10,000 counters"),
    Row("histograms_first", "scrape, 1,000 histograms, the first", "ms"),
    Row("histograms_unchanged", "scrape, 1,000 histograms, none changed since the last", "ms", (_at_most(0.4, "ms"),)),
    Row("histograms_changed", "scrape, 1,000 histograms, all changed", "ms"),
    *_formats("histograms", "1,000 histograms"),
    Row("first_read", "first read of 8 shards of 10,000 counters, per series", "ns", (_at_most(600, "ns"),)),
    Row("scale_100", "scrape, per series, 100 changed counters", "ns"),
    Row("scale_10k", "scrape, per series, 10,000 changed counters", "ns"),
    Row("scale_100k", "scrape, per series, 100,000 changed counters", "ns"),
    Row("scale_1m", "scrape, per series, 1,000,000 changed counters", "ns"),
    Row("pause", "longest pause of another thread meanwhile", "ms"),
    Row("pause_of_nothing", "the same without a scrape", "ms"),
    Row("counter_fresh", "bytes per counter with 2 labels", "bytes", _share("1/2", 2)),
    Row("counter_scraped", "the same, after the first scrape", "bytes", _share("1/2", 2)),
    Row("histogram_fresh", "bytes per histogram with 2 labels, 11 buckets", "bytes", _share("1/5", 5)),
    Row("histogram_scraped", "the same, after the first scrape", "bytes", (*_share("1/5", 5), _at_most(700, "bytes"))),
    Row("native_fresh", "bytes per native histogram with 2 labels, 12 buckets filled", "bytes"),
    Row("native_scraped", "the same, after the first scrape in protobuf", "bytes"),
    Row("import", "import, the interpreter's start included", "ms", _share("1/2", 2)),
    Row("bare", "the interpreter's start alone", "ms"),
)

PER_CALL = frozenset(row.key for row in ROWS if row.unit == "ns" and row.key not in {*SCALES, "first_read"})
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
