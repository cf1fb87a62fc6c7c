"""Families that cross both bridges come back with the same samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import samples as theirs
from prometheus_client.registry import Collector as TheirBase

from pytheus.compose import prefixed
from pytheus.escaping import escape_label_name
from pytheus.exposition import CheckedFamily, RenderRequest, scrape_families
from pytheus.kinds import KINDS, MetricType
from pytheus.metrics import Exemplar, Family, Sample
from pytheus.registry import CollectorRegistry
from pytheus.textformat import format_bound
from pytheus_prometheus_client import PeerCollector, PytheusCollector

pytestmark = pytest.mark.property

UNESCAPED = RenderRequest("allow-utf-8")
TYPES: list[MetricType] = ["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"]
SUFFIXES = tuple(sorted({suffix for kind in KINDS.values() for suffix in kind.occupied_suffixes if suffix}))

legacy_names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_:]{0,8}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8"), max_size=6)
utf8_names = texts.filter(bool)
# Without the endings that give a name to another type, and without the name that pytheus keeps for itself.
names = (legacy_names | utf8_names).filter(lambda name: not name.endswith((*SUFFIXES, "_")))
label_names = (st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,5}", fullmatch=True) | utf8_names).filter(
    lambda name: not name.startswith("__") and name not in ("le", "quantile")
)
numbers = st.floats() | st.integers(-(2**53), 2**53).map(float)
counts = st.integers(0, 2**50).map(float)
times = st.none() | st.integers(1, 2**40).map(lambda milliseconds: milliseconds / 1000)
exemplars = st.none() | st.builds(
    Exemplar,
    st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.text("abc", max_size=5), max_size=2),
    numbers.filter(math.isfinite),
    times,
)


class Custom(TheirBase):
    """A collector of prometheus_client, or of pytheus, with these families."""

    def __init__(self, *families: prometheus_client.Metric) -> None:
        self.families = families

    def collect(self) -> Iterator[prometheus_client.Metric]:
        yield from self.families


class OwnCustom:
    def __init__(self, *families: Family) -> None:
        self.families = families

    def collect(self) -> Iterator[Family]:
        yield from self.families


def escaped(name: str) -> str:
    """Return `name` as older servers get it, by which two labels of a sample must differ."""
    return escape_label_name(name, "underscores")


@st.composite
def series(draw: st.DrawFn, family: str) -> list[dict[str, str]]:
    taken = escaped(family)  # the label of a state set
    different = label_names.filter(lambda name: escaped(name) != taken)
    labels = draw(st.lists(different, max_size=2, unique_by=escaped))
    rows = st.tuples(*[texts for _ in labels])
    return [dict(zip(labels, row, strict=True)) for row in draw(st.lists(rows, max_size=3, unique=True))]


@st.composite
def samples_of(draw: st.DrawFn, type_: MetricType, name: str, labels: dict[str, str]) -> list[Sample]:
    """Return the samples of one series; `name` is the family's in OpenMetrics."""
    time = draw(times)
    created = (
        draw(st.none() | st.integers(1, 2**31).map(float)) if type_ in ("counter", "histogram", "summary") else None
    )
    match type_:
        case "counter":
            return [Sample("", labels, draw(numbers), time, draw(exemplars), created)]
        case "histogram" | "gaugehistogram":
            bounds = [*sorted(draw(st.sets(st.floats(0, 1e9), max_size=3))), math.inf]
            g = "g" if type_ == "gaugehistogram" else ""
            return [
                *[
                    Sample("_bucket", {**labels, "le": format_bound(bound)}, draw(counts), time, draw(exemplars))
                    for bound in bounds
                ],
                Sample(f"_{g}sum", labels, draw(numbers), time),
                Sample(f"_{g}count", labels, draw(counts), time, None, created),
            ]
        case "summary":
            quantiles = [Sample("", {**labels, "quantile": "0.5"}, draw(numbers), time)] if draw(st.booleans()) else []
            return [
                *quantiles,
                Sample("_sum", labels, draw(numbers), time),
                Sample("_count", labels, draw(counts), time, None, created),
            ]
        case "info":
            return [Sample("_info", labels, 1.0, time)]
        case "stateset":
            states = draw(st.lists(texts, min_size=1, max_size=3, unique=True))
            return [Sample("", {**labels, name: state}, float(draw(st.booleans())), time) for state in states]
        case _:
            return [Sample("", labels, draw(numbers), time)]


@st.composite
def families(draw: st.DrawFn) -> Family:
    type_ = draw(st.sampled_from(TYPES))
    unit = "" if type_ in ("info", "stateset") else draw(st.sampled_from(["", "seconds"]))
    base = draw(names) + ("_seconds" if unit else "")
    if type_ == "stateset":  # its name is a label, too, and those of pytheus have no colon
        base = base.replace(":", "").lstrip("_") or "a"
    name = base + KINDS[type_].own_suffix
    samples = [sample for labels in draw(series(base)) for sample in draw(samples_of(type_, base, labels))]
    if type_ == "stateset":
        samples = [sample._replace(labels={**sample.labels, name: sample.labels[base]}) for sample in samples]
    return Family(name, type_, draw(texts), samples, unit=unit, names="utf8")


def their_family(family: Family) -> prometheus_client.Metric:
    """Return `family` as a collector of prometheus_client would make it."""
    base = family.name.removesuffix(KINDS[family.type].own_suffix)
    metric = prometheus_client.Metric(base, family.description, family.type, family.unit)
    for sample in family.samples:
        suffix = sample.suffix or ("_total" if family.type == "counter" else "")
        exemplar = None if sample.exemplar is None else theirs.Exemplar(*sample.exemplar)  # type: ignore[arg-type]
        metric.add_sample(base + suffix, dict(sample.labels), sample.value, sample.timestamp, exemplar)
        if sample.created is not None:
            metric.add_sample(f"{base}_created", dict(sample.labels), sample.created, sample.timestamp)
    return metric


def shown(metrics: Iterable[prometheus_client.Metric]) -> list[object]:
    """Return `metrics` in a form in which NaN equals NaN, and the order of samples does not matter."""
    return [
        (
            metric.type,
            metric.name,
            metric.documentation,
            metric.unit,
            sorted(
                (
                    sample.name,
                    sorted(sample.labels.items()),
                    repr(float(sample.value)),
                    repr(sample.timestamp),
                    repr(sample.exemplar),
                )
                for sample in metric.samples
            ),
        )
        for metric in metrics
    ]


def ours_shown(found: Iterable[CheckedFamily]) -> list[object]:
    return [
        (
            family.type,
            family.name,
            family.description,
            family.unit,
            sorted((sample.suffix, sorted(sample.labels.items()), repr(sample[2:])) for sample in family.samples),
        )
        for family in found
    ]


def bridged(peer: prometheus_client.CollectorRegistry) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(PeerCollector(peer))
    return registry


@given(families())
def test_theirs_come_back_as_they_were(family: Family) -> None:
    metric = their_family(family)
    peer = prometheus_client.CollectorRegistry()
    peer.register(Custom(metric))
    back = prometheus_client.CollectorRegistry()
    back.register(PytheusCollector(bridged(peer)))
    assert shown(back.collect()) == shown([metric])


@given(families(), st.sampled_from([None, "shop"]))
def test_ours_come_back_as_they_were(family: Family, prefix: str | None) -> None:
    registry = CollectorRegistry()
    registry.register(OwnCustom(family))
    ours = registry if prefix is None else prefixed(registry, prefix)
    peer = prometheus_client.CollectorRegistry(auto_describe=True)
    peer.register(PytheusCollector(ours))
    assert ours_shown(scrape_families(bridged(peer), UNESCAPED, strict=True)) == ours_shown(
        scrape_families(ours, UNESCAPED, strict=True)
    )


def _bad(value: object, labels: object = None, **more: object) -> Callable[[], prometheus_client.Metric]:
    def make() -> prometheus_client.Metric:
        metric = prometheus_client.Metric("bad_one", "Bad.", "gauge")
        metric.add_sample("bad_one", {} if labels is None else labels, value, **more)  # type: ignore[arg-type]
        return metric

    return make


def _twice() -> prometheus_client.Metric:
    metric = _bad(1)()
    metric.samples *= 2
    return metric


BAD: list[Callable[[], prometheus_client.Metric]] = [
    _bad(None),
    _bad("many"),
    _bad(1, {"a": 5}),
    _bad(1, {"__a": "b"}),
    _bad(1, {"a": "\ud800"}),
    _bad(1, timestamp="today"),
    _bad(1, labels=5),
    _twice,
    lambda: None,  # type: ignore[list-item, return-value, unused-ignore]  # the mistake
]


@given(families(), st.sampled_from(BAD), st.booleans())
def test_a_bad_family_costs_itself_alone(
    family: Family, make: Callable[[], prometheus_client.Metric], first: bool
) -> None:
    good, bad = their_family(family), make()
    peer = prometheus_client.CollectorRegistry()
    peer.register(Custom(bad, good) if first else Custom(good, bad))
    found = ours_shown(scrape_families(bridged(peer), UNESCAPED))
    alone = prometheus_client.CollectorRegistry()
    alone.register(Custom(good))
    assert found[:-1] == ours_shown(scrape_families(bridged(alone), UNESCAPED, strict=True))
    assert "pytheus_collector_errors_total" in repr(found[-1])
