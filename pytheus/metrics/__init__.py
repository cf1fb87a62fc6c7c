"""The metric types, and what goes with them."""

from pytheus.metrics.around import ExceptionCount, InProgress, Timer
from pytheus.metrics.buckets import DEFAULT_BUCKETS, exponential_buckets, linear_buckets
from pytheus.metrics.counter import Counter
from pytheus.metrics.custom import CustomCollector
from pytheus.metrics.gauge import Gauge
from pytheus.metrics.histogram import Histogram
from pytheus.metrics.info import Info
from pytheus.metrics.metric import Metric
from pytheus.metrics.number import Number
from pytheus.metrics.stateset import StateSet
from pytheus.metrics.summary import Summary
from pytheus.samples import Exemplar, Family, Sample

__all__ = [
    "DEFAULT_BUCKETS",
    "Counter",
    "CustomCollector",
    "ExceptionCount",
    "Exemplar",
    "Family",
    "Gauge",
    "Histogram",
    "InProgress",
    "Info",
    "Metric",
    "Number",
    "Sample",
    "StateSet",
    "Summary",
    "Timer",
    "exponential_buckets",
    "linear_buckets",
]
