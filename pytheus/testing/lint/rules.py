"""The rules of the linter: the id, severity, reason and source of each.

Rules:

- An id never changes, and is never used for another rule. It has a hyphen, which legacy names of metrics do not have.
- An error is text that Prometheus or a parser of the format refuses, or numbers that it cannot use. A warning is a
  convention that is broken, or a cost without a bound. A note is an observation in the data of one scrape, which may
  have a reason; notes do not fail a check by default.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

__all__ = ["RULES", "Rule", "Severity"]


class Severity(IntEnum):
    """How bad a finding is; a greater one is worse.

    >>> Severity.ERROR > Severity.NOTE, str(Severity.NOTE)
    (True, 'note')
    """

    NOTE = 1
    WARNING = 2
    ERROR = 3

    def __str__(self) -> str:
        return self.name.lower()


class Rule(NamedTuple):
    """One rule: its id, the severity of its findings, the convention in a few words, its reason, and its source.

    >>> RULES["counter-without-total"].convention
    'the name of a counter ends with _total'
    """

    id: str
    severity: Severity
    convention: str
    reason: str
    source: str


_FORMAT: Final = "https://prometheus.io/docs/instrumenting/exposition_formats/"
_OPENMETRICS: Final = "https://prometheus.io/docs/specs/om/open_metrics_spec/"
_NAMING: Final = "https://prometheus.io/docs/practices/naming/"
_INSTRUMENTATION: Final = "https://prometheus.io/docs/practices/instrumentation/"
_HISTOGRAMS: Final = "https://prometheus.io/docs/practices/histograms/"
_DATA_MODEL: Final = "https://prometheus.io/docs/concepts/data_model/"
_CLIENTS: Final = "https://prometheus.io/docs/instrumenting/writing_clientlibs/"
_EXPORTERS: Final = "https://prometheus.io/docs/instrumenting/writing_exporters/"
_CONFIGURATION: Final = "https://prometheus.io/docs/prometheus/latest/configuration/configuration/"

_E: Final = Severity.ERROR
_W: Final = Severity.WARNING
_N: Final = Severity.NOTE

RULES: Final[dict[str, Rule]] = {
    rule.id: rule
    for rule in (
        # The format of the text.
        Rule("syntax-error", _E, "each line is a sample, a header or a comment",
             "Prometheus drops the whole scrape", _FORMAT + "#text-format-details"),
        Rule("truncated-exposition", _E, "text ends with a line feed, OpenMetrics with # EOF",
             "the end of the response may be missing", _OPENMETRICS + "#overall-structure"),
        Rule("unknown-type", _E, "TYPE has a type of the format",
             "parsers refuse the line", _FORMAT + "#comments-help-text-and-type-information"),
        Rule("duplicate-metadata", _E, "a metric has one TYPE, one HELP and one UNIT",
             "parsers refuse the second one", _FORMAT + "#comments-help-text-and-type-information"),
        Rule("metadata-after-samples", _E, "TYPE comes before the samples",
             "parsers refuse it; Prometheus has no type for the samples before",
             _FORMAT + "#comments-help-text-and-type-information"),
        Rule("split-family", _W, "the lines of a metric are one group",
             "parsers may see two metrics", _FORMAT + "#grouping-and-sorting"),
        Rule("duplicate-series", _E, "a series has one sample in a scrape",
             "Prometheus drops all but one", _FORMAT + "#grouping-and-sorting"),
        Rule("no-type", _W, "each metric has a TYPE",
             "Prometheus and its tools do not know how to query it", _CLIENTS + "#metrics"),
        Rule("unit-mismatch", _E, "the name ends with the UNIT",
             "OpenMetrics requires it, and parsers refuse the metric", _OPENMETRICS + "#unit"),
        Rule("exemplar-too-long", _E, "the labels of an exemplar have 128 characters at most",
             "Prometheus drops the exemplar", _OPENMETRICS + "#exemplars"),
        # Names.
        Rule("counter-without-total", _W, "the name of a counter ends with _total",
             "the name tells that rate() applies; OpenMetrics requires it", _NAMING + "#metric-names"),
        Rule("total-on-other-type", _W, "only the name of a counter ends with _total",
             "readers apply rate() to it, which is wrong for a gauge", _NAMING + "#metric-names"),
        Rule("reserved-suffix", _W, "no name ends with a suffix of another type's samples",
             "it may collide with a histogram's, a summary's or an info's series", _OPENMETRICS + "#suffixes"),
        Rule("unit-not-base", _W, "units are base units: seconds, bytes, ratios",
             "metrics with one unit can be compared and share dashboards", _NAMING + "#base-units"),
        Rule("unit-abbreviated", _W, "units are written out",
             "an abbreviation is ambiguous", _NAMING + "#base-units"),
        Rule("unit-not-last", _W, "the unit is the end of the name, before _total",
             "people and tools read the unit there", _NAMING + "#metric-names"),
        Rule("type-in-name", _W, "the name does not contain the metric's type",
             "TYPE states it, and the name must change if the type does", _EXPORTERS + "#naming"),
        Rule("other-type-in-name", _N, "the name does not contain another type than the metric's",
             "readers take it for one of that type", _EXPORTERS + "#naming"),
        Rule("name-not-snake-case", _W, "names are in snake_case",
             "one style is easier to type and to find", _EXPORTERS + "#naming"),
        Rule("name-with-colon", _W, "names have no colons",
             "colons are for recording rules", _DATA_MODEL + "#metric-names-and-labels"),
        Rule("names-differ-by-case", _W, "two names differ in more than case and underscores",
             "readers mistake one for the other", _NAMING + "#metric-names"),
        # Help texts.
        Rule("no-help", _W, "each metric has a help text",
             "readers must guess the thing that it measures", _CLIENTS + "#metric-description-and-help"),
        Rule("help-repeats-name", _N, "the help text tells more than the name",
             "readers learn nothing from it", _CLIENTS + "#metric-description-and-help"),
        Rule("help-duplicated", _N, "two metrics have different help texts",
             "readers cannot tell the metrics apart", _CLIENTS + "#metric-description-and-help"),
        # The names of labels.
        Rule("label-not-snake-case", _W, "label names are in snake_case",
             "one style is easier to type and to find", _EXPORTERS + "#labels"),
        Rule("label-reserved", _W, "le, quantile and names with __ are Prometheus's",
             "le is a histogram's, quantile a summary's, and Prometheus drops or refuses __ names",
             _DATA_MODEL + "#metric-names-and-labels"),
        Rule("label-of-target", _W, "no label is called job or instance",
             "Prometheus sets both for each target and renames others to exported_job",
             _EXPORTERS + "#target-labels-not-static-scraped-labels"),
        Rule("label-repeats-name", _W, "no label repeats the name of its metric",
             "the name tells it already", _NAMING + "#labels"),
        Rule("labels-inconsistent", _W, "all series of a metric have the same labels",
             "sums and joins miss series", _EXPORTERS + "#labels"),
        # The values of labels.
        Rule("label-ids", _W, "label values are from a small, known set",
             "ids, addresses and times make a new series each, without end", _NAMING + "#labels"),
        Rule("label-free-text", _W, "label values are short and of one line",
             "messages and statements make a new series each, without end", _NAMING + "#labels"),
        Rule("label-constant", _N, "no label has the same value in every series of a target",
             "labels of a target come from its scrape configuration, facts from an info metric",
             _EXPORTERS + "#target-labels-not-static-scraped-labels"),
        Rule("label-derived", _N, "no label repeats another one in other words",
             "it makes no series distinct, and costs memory; an info metric can have it", _EXPORTERS + "#labels"),
        Rule("too-many-series", _W, "the number of series is bounded",
             "each series costs memory in the program and in Prometheus", _INSTRUMENTATION + "#do-not-overuse-labels"),
        Rule("large-exposition", _W, "a scrape is small enough to be quick",
             "Prometheus drops scrapes that are too large or too slow", _CONFIGURATION + "#scrape_config"),
        # Histograms and summaries.
        Rule("bucket-bound-invalid", _E, "each bucket has a number as its le, once",
             "parsers refuse the histogram, or its quantiles are wrong", _OPENMETRICS + "#histogram-1"),
        Rule("buckets-unsorted", _W, "buckets are in rising order",
             "OpenMetrics requires it", _OPENMETRICS + "#histogram-1"),
        Rule("buckets-not-cumulative", _E, "each bucket includes those below it",
             "quantiles are wrong", _OPENMETRICS + "#histogram"),
        Rule("bucket-inf-missing", _E, "a histogram has a bucket +Inf",
             "histogram_quantile() returns NaN", _OPENMETRICS + "#histogram"),
        Rule("bucket-count-mismatch", _E, "_count equals the bucket +Inf",
             "averages and quantiles contradict each other", _OPENMETRICS + "#histogram"),
        Rule("histogram-incomplete", _W, "a histogram has _bucket, _sum and _count, a summary _sum and _count",
             "averages or rates are not available", _FORMAT + "#histograms-and-summaries"),
        Rule("sum-not-finite", _W, "_sum is a finite number",
             "it never recovers, so that averages are lost", _OPENMETRICS + "#histogram"),
        Rule("quantile-invalid", _E, "quantile is a number from 0 to 1",
             "parsers refuse the summary", _OPENMETRICS + "#summary"),
        Rule("quantiles-of-processes", _W, "several processes do not expose quantiles of their own",
             "quantiles cannot be added or averaged", _HISTOGRAMS + "#quantiles"),
        Rule("buckets-too-low", _W, "few observations exceed the highest finite bound",
             "quantiles beyond it are unknown", _HISTOGRAMS + "#errors-of-quantile-estimation"),
        Rule("buckets-too-high", _N, "observations are not nearly all in the lowest bucket",
             "quantiles within it are guesses", _HISTOGRAMS + "#errors-of-quantile-estimation"),
        Rule("buckets-too-wide", _N, "observations spread over several buckets",
             "quantiles within one bucket are guesses", _HISTOGRAMS + "#errors-of-quantile-estimation"),
        Rule("buckets-unused", _N, "most buckets have observations",
             "each bucket costs a series for each label set", _HISTOGRAMS + "#errors-of-quantile-estimation"),
        Rule("buckets-in-milliseconds", _W, "the bounds of a histogram in seconds are seconds",
             "bounds of 5 to 10000 are the defaults in milliseconds", _NAMING + "#base-units"),
        # Numbers.
        Rule("collector-failed", _E, "each collector can be collected",
             "its metrics are missing in every scrape, without a gap that an alert would see",
             _CLIENTS + "#exposition"),
        Rule("counter-negative", _E, "a counter is a number of at least 0",
             "rate() takes a decrease as a restart; parsers of OpenMetrics refuse it", _OPENMETRICS + "#counter"),
        Rule("counter-fractional", _N, "a counter of things has whole numbers",
             "the unit may be wrong, or missing in the name", _OPENMETRICS + "#counter"),
        Rule("info-not-one", _W, "the value of an info is 1",
             "joins multiply by it", _OPENMETRICS + "#info"),
        Rule("timestamp-explicit", _N, "samples have no timestamps",
             "a series with one gets no staleness marker when it ends", _EXPORTERS + "#scheduling"),
        Rule("timestamp-stale", _W, "timestamps are less than five minutes old",
             "queries do not show older samples", "https://prometheus.io/docs/prometheus/latest/querying/basics/#staleness"),
    )
}  # fmt: skip
"""Each rule by its id, in the order of the reference."""
