"""The metric types, with buckets, timers and custom collectors.

Modules:

- `counter`, `gauge`, `histogram`, `summary`, `info`, `stateset`: one metric type each
- `scalar`: the base of counters and gauges
- `distribution`: the base of histograms and summaries
- `native`: histograms with native buckets
- `native_exemplars`: which exemplars of these are kept
- `bucket_window`: the native buckets of one series
- `metric`: the base of all types: definition, registration, labels
- `handle`: the base of `metric`: a series, and the place of its numbers
- `series`: the series of one metric by their label values
- `series_numbers`: the numbers of all series at once
- `cells`: single numbers of a series, for other libraries' metric objects
- `label_class`: labels from a dataclass, NamedTuple or TypedDict
- `label_values`: the text of a label value
- `label_sources`: label values by a context variable or a function
- `label_types`: types for type checkers
- `number`: the numbers that metrics accept
- `buckets`: the bounds of histogram buckets
- `exemplars`: exemplars by context
- `spans`: the current span of OpenTelemetry
- `instrument`: timers and other context managers around blocks
- `instrument_functions`: the same around functions of every kind
- `locking`, `locked_dict`: locks, and the dict of series, for interpreters without the GIL
- `keyword_hints`: errors that know the keywords of other libraries
- `custom`: the base class of custom collectors
"""

from pytheus.metrics.buckets import DEFAULT_BUCKETS, PROMETHEUS_CLIENT_BUCKETS, exponential_buckets, linear_buckets
from pytheus.metrics.cells import Cell
from pytheus.metrics.counter import Counter
from pytheus.metrics.custom import CustomCollector
from pytheus.metrics.exemplars import exemplar, exemplars_from_opentelemetry
from pytheus.metrics.gauge import Gauge
from pytheus.metrics.histogram import Histogram
from pytheus.metrics.info import Info
from pytheus.metrics.instrument import ExceptionCount, InProgress, Timer
from pytheus.metrics.keyword_hints import hint_at_keywords
from pytheus.metrics.label_types import LabelSource, LabelValue
from pytheus.metrics.metric import Metric
from pytheus.metrics.number import Number
from pytheus.metrics.stateset import StateSet
from pytheus.metrics.summary import Summary
from pytheus.native_buckets import NativeBuckets, NativeHistogram
from pytheus.samples import Exemplar, Family, Sample

__all__ = [
    "DEFAULT_BUCKETS",
    "Cell",
    "PROMETHEUS_CLIENT_BUCKETS",
    "Counter",
    "CustomCollector",
    "ExceptionCount",
    "Exemplar",
    "Family",
    "Gauge",
    "Histogram",
    "InProgress",
    "Info",
    "LabelSource",
    "LabelValue",
    "Metric",
    "NativeBuckets",
    "NativeHistogram",
    "Number",
    "Sample",
    "StateSet",
    "Summary",
    "Timer",
    "exemplar",
    "exemplars_from_opentelemetry",
    "exponential_buckets",
    "linear_buckets",
]

for _metric_type in (Counter, Gauge, Histogram, Summary, Info, StateSet):
    hint_at_keywords(_metric_type)
