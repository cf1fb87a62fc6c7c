"""Every format of any registry is read back as the same series, by parsers that are not ours.

Text and OpenMetrics are read by prometheus_client, protobuf by Prometheus's own schema. What is expected comes from
`collect()`, which no format uses for metrics. The parser of prometheus_client gives every counter's samples the suffix
``_total``, and what it reads of a help text lacks blanks at both ends, so help texts are compared without them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from pytheus.exposition import expose
from pytheus.native_buckets import NativeHistogram, classic_buckets
from pytheus.registry import CollectorRegistry
from pytheus.samples import Exemplar, Family
from pytheus.textformat import format_bound
from tests.exposition.any_registry import ESCAPINGS, Escaping, escaped, registries, state_label
from tests.exposition.conftest import Custom
from tests.exposition.official_schema import needs_schema, parsed

pytestmark = [
    pytest.mark.property,
    pytest.mark.build,
    pytest.mark.filterwarnings("ignore:counter .* has no suffix"),
]

TEXT_TYPE = "text/plain;version=0.0.4"
OPENMETRICS_TYPE = "application/openmetrics-text;version=1.0.0"
PROTOBUF_TYPE = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

Key = tuple[str, frozenset[tuple[str, str]]]
Shown = tuple[float, frozenset[tuple[str, str]]]
"""An exemplar: value and labels."""


def shown(exemplar: Any) -> Shown:
    return exemplar.value, frozenset(exemplar.labels.items())


class Read(NamedTuple):
    """The content of a body: types and units by family; by name and labels all that a series has."""

    types: dict[str, str]
    units: dict[str, str]
    values: dict[Key, float]
    exemplars: dict[Key, Shown]
    created: dict[Key, float]
    natives: dict[Key, tuple[NativeHistogram, frozenset[Shown]]]

    @classmethod
    def nothing(cls) -> Read:
        return cls({}, {}, {}, {}, {}, {})

    def add(self, name: str, labels: dict[str, str], value: float, exemplar: Any = None) -> None:
        key = (name, frozenset(labels.items()))
        assert key not in self.values, f"{key} occurs twice"
        self.values[key] = value
        if exemplar is not None:
            self.exemplars[key] = shown(exemplar)

    def add_family(self, name: str, type_: str, unit: str) -> None:
        assert name not in self.types, f"family {name} occurs twice"
        self.types[name] = type_
        if unit:
            self.units[name] = unit


# What was exposed -----------------------------------------------------------------------------------------------------


def expected_of(registry: CollectorRegistry, escaping: Escaping) -> Read:
    """The content that each format should have, with the names of text and of the protobuf format."""
    read = Read.nothing()
    lead = f"{registry.prefix}_" if registry.prefix else ""
    for collector in registry.collect():
        for family in collector.collect():
            assert isinstance(family, Family)
            name = escaped(lead + family.name, escaping)
            stem = name
            if family.type == "info":
                stem = stem.removesuffix("_info")
                name = f"{stem}_info"
            read.add_family(name, family.type, family.unit)
            for sample in family.samples:
                labels = {
                    state_label(name)
                    if family.type == "stateset" and label == family.name
                    else escaped(label, escaping, "_"): value
                    for label, value in sample.labels.items()
                }
                read.add(stem + sample.suffix, labels, sample.value, sample.exemplar)
                key = stem + sample.suffix, frozenset(labels.items())
                if sample.created is not None:
                    read.created[key] = sample.created
                if sample.native is not None:
                    if isinstance(collector, Custom):
                        for bound, count in classic_buckets(sample.native):
                            read.add(f"{stem}_bucket", labels | {"le": format_bound(bound)}, float(count))
                    read.natives[key] = sample.native, frozenset(map(shown, sample.exemplars))
    return read


# What a parser reads --------------------------------------------------------------------------------------------------


def counted(name: str) -> str:
    return name if name.endswith("_total") else f"{name}_total"


def read_text(body: bytes, parser: Callable[[str], Iterable[Any]]) -> Read:
    read = Read.nothing()
    for family in parser(body.decode()):
        read.add_family(family.name, family.type, family.unit)
        for sample in family.samples:
            read.add(sample.name, sample.labels, sample.value, sample.exemplar)
    return read


PROTOBUF_TYPES = ("counter", "gauge", "summary", "unknown", "histogram", "gaugehistogram")


def seconds(message: Any) -> float:
    return float(message.seconds + message.nanos / 1e9)


def exemplar_of(message: Any) -> Exemplar:
    return Exemplar({each.name: each.value for each in message.label}, message.value, 0.0)


def protobuf_exemplar(message: Any) -> Exemplar | None:
    return exemplar_of(message.exemplar) if message.HasField("exemplar") else None


def counts_of(spans: Any, deltas: Any) -> dict[int, float]:
    """The counts that are not zero, by index, from spans and differences."""
    counts: dict[int, float] = {}
    index = count = 0
    remaining = list(deltas)
    for span in spans:
        index += span.offset
        for _ in range(span.length):
            count += remaining.pop(0)
            counts[index] = count
            index += 1
    assert not remaining, "there are more differences than buckets"
    return {index: count for index, count in counts.items() if count}


def native_of(message: Any) -> NativeHistogram:
    native = NativeHistogram(
        message.schema,
        message.zero_threshold,
        message.zero_count,
        counts_of(message.positive_span, message.positive_delta),
        counts_of(message.negative_span, message.negative_delta),
    )
    # Prometheus rejects a whole scrape in which these differ.
    assert native.total == message.sample_count or math.isnan(message.sample_sum)
    return native._replace(nan_count=message.sample_count - native.total)


def bound_text(bound: float) -> str:
    """The value of ``le`` or ``quantile``, which is a number in this format; see `by_number`."""
    return repr(bound)


def by_number(values: dict[Key, Any]) -> dict[Key, Any]:
    """The same with bounds and quantiles in the form of `bound_text`."""
    return {
        (
            name,
            frozenset((label, repr(float(text)) if label in ("le", "quantile") else text) for label, text in labels),
        ): value
        for (name, labels), value in values.items()
    }


def read_protobuf(body: bytes) -> Read:
    read = Read.nothing()
    for family in parsed(body):
        type_ = PROTOBUF_TYPES[family.type]
        read.add_family(family.name, type_, family.unit)
        field: str = {"unknown": "untyped", "gaugehistogram": "histogram"}.get(type_) or type_
        for metric in family.metric:
            assert [each.name for each, _ in metric.ListFields() if each.name != "label"] == [field]
            labels = {pair.name: pair.value for pair in metric.label}
            assert len(labels) == len(metric.label), "a label occurs twice"
            message = getattr(metric, field)
            counts = family.name
            if hasattr(message, "value"):
                exemplar = protobuf_exemplar(message) if type_ == "counter" else None
                read.add(family.name, labels, message.value, exemplar)
            else:
                own = "g" if type_ == "gaugehistogram" else ""
                counts = f"{family.name}_{own}count"
                read.add(counts, labels, message.sample_count)
                read.add(f"{family.name}_{own}sum", labels, message.sample_sum)
                add_points(read, family.name, counts, labels, message)
            if hasattr(message, "created_timestamp") and message.HasField("created_timestamp"):
                read.created[counts, frozenset(labels.items())] = seconds(message.created_timestamp)
    return read


def add_points(read: Read, name: str, counts: str, labels: dict[str, str], message: Any) -> None:
    """Add the quantiles, or the buckets, of a summary or histogram whose number of observations is `counts`."""
    if hasattr(message, "quantile"):
        for quantile in message.quantile:
            read.add(name, labels | {"quantile": bound_text(quantile.quantile)}, quantile.value)
        return
    is_native = message.positive_span or message.negative_span or message.zero_threshold or message.zero_count
    if is_native:
        exemplars = frozenset(shown(exemplar_of(each)) for each in message.exemplars)
        read.natives[counts, frozenset(labels.items())] = native_of(message), exemplars
    bounds = [bucket.upper_bound for bucket in message.bucket]
    if is_native and bounds in ([], [math.inf]):
        return  # there are no classic buckets; one up to +Inf carries an exemplar
    if math.inf not in bounds:  # it is optional, because its count is that of all
        read.add(f"{name}_bucket", labels | {"le": bound_text(math.inf)}, message.sample_count)
    for bucket in message.bucket:
        le = bound_text(bucket.upper_bound)
        read.add(f"{name}_bucket", labels | {"le": le}, bucket.cumulative_count, protobuf_exemplar(bucket))


# The tests ------------------------------------------------------------------------------------------------------------


def body_of(registry: CollectorRegistry, media_type: str, escaping: Escaping = "underscores") -> bytes:
    exposition = expose(registry, f"{media_type};escaping={escaping}")
    assert exposition.content_type.partition(";")[0] == media_type.partition(";")[0]
    return exposition.body


def assert_same(values: dict[Key, float], expected: dict[Key, float]) -> None:
    assert values.keys() == expected.keys(), (values.keys() - expected.keys(), expected.keys() - values.keys())
    for key, value in expected.items():
        assert values[key] == value or (math.isnan(value) and math.isnan(values[key])), (key, values[key], value)


any_registry = given(
    st.sampled_from([("legacy", "underscores"), *(("utf8", escaping) for escaping in ESCAPINGS)]).flatmap(
        lambda rules: st.tuples(registries(rules[0]), st.just(rules[1]))  # type: ignore[arg-type]  # see the list
    )
)


@any_registry
def test_text_reads_back(case: tuple[CollectorRegistry, Escaping]) -> None:
    registry, escaping = case
    expected = expected_of(registry, escaping)
    read = read_text(body_of(registry, TEXT_TYPE, escaping), text_families)
    counters = {name for name, type_ in expected.types.items() if type_ == "counter"}
    values = {
        (counted(name) if name in counters else name, labels): value
        for (name, labels), value in expected.values.items()
    }
    assert_same(read.values, values)


@any_registry
def test_openmetrics_reads_back(case: tuple[CollectorRegistry, Escaping]) -> None:
    registry, escaping = case
    expected = expected_of(registry, escaping)
    read = read_text(body_of(registry, OPENMETRICS_TYPE, escaping), openmetrics_families)
    assert_same(read.values, expected.values)
    # A family that OpenMetrics does not allow is shown without exemplars, and one with an escaped name without unit.
    assert read.exemplars.items() <= expected.exemplars.items()
    assert {f"{name}_total" for name in read.units} <= expected.units.keys()


@needs_schema
@any_registry
def test_protobuf_reads_back(case: tuple[CollectorRegistry, Escaping]) -> None:
    registry, escaping = case
    expected = expected_of(registry, escaping)
    read = read_protobuf(body_of(registry, PROTOBUF_TYPE, escaping))
    values = by_number(expected.values)
    for series, _ in read.natives:
        # Buckets made from the native ones, for other formats; a histogram may have classic ones besides.
        name = re.sub("_g?count$", "_bucket", series)
        if not any(read_name == name for read_name, _ in read.values):
            values = {key: value for key, value in values.items() if key[0] != name}
    assert_same(read.values, values)
    assert read.natives == expected.natives
    exemplars = {key: each for key, each in by_number(expected.exemplars).items() if key in values}
    assert read.exemplars == exemplars
    assert read.created.keys() == expected.created.keys()
    for key, created in expected.created.items():
        assert read.created[key] == pytest.approx(created, abs=1e-6)
    gauges = {"info": "gauge", "stateset": "gauge"}
    assert read.types == {name: gauges.get(type_, type_) for name, type_ in expected.types.items()}
    assert read.units == expected.units
