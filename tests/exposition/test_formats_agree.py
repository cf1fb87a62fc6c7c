"""Whatever is in a registry, each format shows the same series by the same names, and other libraries can read it.

prometheus_client's parser of OpenMetrics, which is stricter than Prometheus's, is the oracle of that format's rules.
"""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Callable

import pytest
from hypothesis import assume, given, note
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.escaping import ESCAPINGS, Escaping
from pytheus.exceptions import PytheusError
from pytheus.exposition.formats import RenderRequest
from pytheus.exposition.openmetrics import OpenMetricsEncoder
from pytheus.exposition.protobuf import ProtobufEncoder
from pytheus.exposition.text import TextEncoder
from pytheus.exposition.walk import scrape
from pytheus.kinds import KINDS, MetricType
from pytheus.metrics import Exemplar, Family, Sample
from pytheus.registry import CollectorRegistry
from tests.exposition.conftest import Custom
from tests.exposition.reading import Key, families_of, lines_of, series_of_families, series_of_text

pytestmark = [pytest.mark.property, pytest.mark.filterwarnings("ignore:counter .* has no suffix")]

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LEGACY = st.from_regex(r"[a-z_:][a-z0-9_:]{0,5}(_total|_info|_count|_created)?", fullmatch=True)
NAMES = LEGACY | st.text(st.sampled_from('ab._ -é"\\\n{}\N{GRINNING FACE}'), min_size=1, max_size=6)
LABELS = st.from_regex(r"[a-z][a-z0-9_]{0,3}", fullmatch=True) | st.text(
    st.sampled_from('ab.:-é"\\\n'), min_size=1, max_size=4
)
DOUBLES = st.floats(width=64) | st.integers(-10, 2**60).map(float)
POSITIVE = st.floats(0, 1e300) | st.sampled_from([math.inf, 1.0, 3.0])
TIMES = st.none() | st.integers(-(2**40), 2**43).map(lambda milliseconds: milliseconds / 1000)
EXEMPLARS = st.none() | st.builds(
    Exemplar, st.dictionaries(st.sampled_from(["trace_id", "a", "é"]), TEXTS, max_size=2), DOUBLES, TIMES
)


@st.composite
def metrics(draw: st.DrawFn) -> Callable[[CollectorRegistry], object]:
    """A function that makes a metric with values."""
    kind = draw(st.sampled_from(["counter", "gauge", "histogram", "summary", "info", "stateset"]))
    name = draw(NAMES)
    description = draw(TEXTS)
    labels = draw(st.lists(LABELS, max_size=2, unique=True))
    keys = draw(st.lists(st.tuples(*[TEXTS for _ in labels]), min_size=1, max_size=3, unique=True))
    values = draw(st.lists(DOUBLES.filter(lambda value: value == value), min_size=1, max_size=3))
    exemplar = {"trace_id": draw(TEXTS)} if draw(st.booleans()) else None
    bounds = draw(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3, unique=True).map(sorted))
    facts = draw(st.dictionaries(LABELS, TEXTS, max_size=2))

    def make(registry: CollectorRegistry) -> object:
        if kind == "counter":
            counter = Counter(name, description, labels, names="utf8", registry=registry)
            for key in keys:
                for value in values:
                    (counter.labels(*key) if key else counter).inc(abs(value), exemplar)
        elif kind == "gauge":
            gauge = Gauge(name, description, labels, names="utf8", registry=registry)
            for key in keys:
                (gauge.labels(*key) if key else gauge).set(values[0])
        elif kind == "histogram":
            histogram = Histogram(name, description, labels, names="utf8", buckets=bounds, registry=registry)
            for key in keys:
                for value in values:
                    (histogram.labels(*key) if key else histogram).observe(value, exemplar)
        elif kind == "summary":
            summary = Summary(name, description, labels, names="utf8", registry=registry)
            for key in keys:
                (summary.labels(*key) if key else summary).observe_many(values)
        elif kind == "info":
            info = Info(name, description, labels, names="utf8", registry=registry)
            for key in keys:
                (info.labels(*key) if key else info).info(facts)
        else:
            states = StateSet(name, description, labels, states=["on", "o\nff"], names="utf8", registry=registry)
            for key in keys:
                (states.labels(*key) if key else states).state("on")
        return None

    return make


@st.composite
def families(draw: st.DrawFn) -> Family:
    """A family of a custom collector, which may contradict itself."""
    type_: MetricType = draw(st.sampled_from([kind.type for kind in KINDS.values()]))
    kind = KINDS[type_]
    name = draw(NAMES)
    time = draw(TIMES)
    number = draw(st.sampled_from([DOUBLES, POSITIVE, st.integers(0, 5).map(float)]))
    samples = []
    for _ in range(draw(st.integers(0, 6))):
        suffix = draw(st.sampled_from(kind.sample_suffixes))
        labels = draw(st.dictionaries(LABELS, TEXTS, max_size=2))
        if kind.reserved_label == "":
            labels[name] = draw(TEXTS)
        elif kind.reserved_label and suffix in ("", "_bucket") and draw(st.booleans()):
            labels[kind.reserved_label] = draw(st.sampled_from(["1", "0.5", "1e6", "+Inf", "-1", "x", "NaN"]))
        sample_time = time if draw(st.integers(0, 9)) else draw(TIMES)
        samples.append(Sample(suffix, labels, draw(number), sample_time, draw(EXEMPLARS)))
    if type_ in ("histogram", "gaugehistogram") and draw(st.booleans()):
        g = "g" if type_ == "gaugehistogram" else ""
        count, total, shared = draw(st.integers(0, 9)), draw(DOUBLES), draw(st.dictionaries(LABELS, TEXTS, max_size=2))
        samples = [
            Sample(f"_{g}count", shared, count, time),
            Sample("_bucket", shared | {"le": "inf"}, count, time, draw(EXEMPLARS)),
            Sample("_bucket", shared | {"le": "2"}, count // 2, time, draw(EXEMPLARS)),
            Sample(f"_{g}sum", shared, total, time),
        ]
    return Family(name, type_, draw(TEXTS), samples, names="utf8")


REGISTRIES = st.tuples(st.none() | LEGACY, st.lists(metrics(), max_size=3), st.lists(families(), max_size=2))


@pytest.fixture(autouse=True)
def _no_log(caplog: pytest.LogCaptureFixture) -> None:
    # Each collector that cannot be exposed is logged.
    caplog.set_level(logging.CRITICAL, "pytheus.exposition")


def _filled(
    prefix: str | None, makers: list[Callable[[CollectorRegistry], object]], customs: list[Family]
) -> CollectorRegistry:
    registry = CollectorRegistry(prefix=prefix)
    for make in makers:
        try:
            make(registry)
        except PytheusError:
            pass  # a name that another one has, labels that are not allowed
    for family in customs:
        registry.register(Custom(family))
    return registry


def _without_failures(series: dict[Key, float]) -> dict[Key, float]:
    # Each scrape counts the collectors that cannot be exposed.
    return {key: value for key, value in series.items() if "pytheus_collector_errors" not in key[0]}


def _same(one: dict[Key, float], other: dict[Key, float]) -> bool:
    def bits(series: dict[Key, float]) -> dict[Key, bytes]:
        return {key: struct.pack("d", math.nan if value != value else value + 0.0) for key, value in series.items()}

    return bits(one) == bits(other)


@given(REGISTRIES, st.sampled_from(ESCAPINGS))
def test_every_format_shows_the_same_series(
    parts: tuple[str | None, list[Callable[[CollectorRegistry], object]], list[Family]], escaping: Escaping
) -> None:
    registry = _filled(*parts)
    options = RenderRequest(escaping)
    text = "".join(scrape(registry, TextEncoder(options), options))
    note(text)
    open_metrics = "".join(scrape(registry, OpenMetricsEncoder(options), options))
    note(open_metrics)
    body = b"".join(scrape(registry, ProtobufEncoder(options), options))
    series = _without_failures(series_of_text(text))
    assert _same(_without_failures(series_of_text(open_metrics)), series)
    assert _same(_without_failures(series_of_families(families_of(body))), series)
    assert open_metrics.endswith("# EOF\n")


@given(REGISTRIES, st.sampled_from(ESCAPINGS))
def test_another_library_reads_openmetrics(
    parts: tuple[str | None, list[Callable[[CollectorRegistry], object]], list[Family]], escaping: Escaping
) -> None:
    registry = _filled(*parts)
    options = RenderRequest(escaping)
    text = "".join(scrape(registry, OpenMetricsEncoder(options), options))
    note(text)
    # The parser refuses labels that begin with "__", such as "é" in the scheme dots, which Prometheus only advises not
    # to use; it does not tell an escaped quote in an exemplar from one that ends the value.
    assume(not any(label.startswith("__") for line in lines_of(text) for label, _ in line.labels))
    assume(not any('"' in value for line in lines_of(text) if line.exemplar for _, value in line.exemplar[0]))
    series: dict[Key, float] = {}
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]  # it has no annotations
        for sample in family.samples:
            series[sample.name, frozenset(sample.labels.items())] = float(sample.value)
    assert _same(series, series_of_text(text))
