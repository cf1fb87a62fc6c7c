"""Registries with families of any types, names, labels and numbers, for property tests."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from hypothesis import strategies as st

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.kinds import MetricType
from pytheus.native_buckets import NativeHistogram
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family, Sample
from tests.exposition.conftest import Custom

__all__ = ["ESCAPINGS", "Escaping", "escaped", "registries", "state_label"]

Escaping = Literal["underscores", "dots", "values", "allow-utf-8"]
ESCAPINGS: tuple[Escaping, ...] = ("underscores", "dots", "values", "allow-utf-8")


def escaped(name: str, escaping: Escaping, legacy: str = "_:") -> str:
    """`name` as Prometheus's reference code writes it."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

    def allowed(position: int, character: str) -> bool:
        return character in letters + legacy or (position > 0 and character in "0123456789")

    if escaping == "allow-utf-8" or all(allowed(*each) for each in enumerate(name)):
        return name
    rules: dict[str, Callable[[int, str], str]] = {
        "underscores": lambda position, each: each if allowed(position, each) else "_",
        "dots": lambda position, each: (
            "__" if each == "_" else "_dot_" if each == "." else each if allowed(position, each) else "__"
        ),
        "values": lambda position, each: (
            "__" if each == "_" else each if allowed(position, each) else f"_{ord(each):x}_"
        ),
    }
    return ("U__" if escaping == "values" else "") + "".join(rules[escaping](*each) for each in enumerate(name))


def state_label(name: str) -> str:
    """The label with the states of a state set that is exposed as `name`; a legacy label has no colons."""
    return name.replace(":", "_") if re.fullmatch("[a-zA-Z0-9_:]*", name) else name


NASTY = st.text(st.sampled_from("\\\"'\n\r\t \x00\x0b\x0c\x1c\x85\xa0\u2028\ufeff{}=,#n1e+_é𝄞"), max_size=8)
TEXT = NASTY | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAMES = st.from_regex(r"[a-z][a-z0-9_:]{0,8}", fullmatch=True)
LABELS = st.from_regex(r"(?!__)[a-z_][a-z0-9_]{0,5}", fullmatch=True).filter(
    lambda name: name not in ("le", "quantile")
)
# With a letter first, because a label that begins with two underscores, which an escaped one may, is Prometheus's own.
UTF8_NAMES = st.text('aZ0_:.- é𝄞"\\\n{}', max_size=5).map(lambda name: f"a{name}") | NAMES
UTF8_LABELS = st.text('aZ0_:.- é𝄞"\\\n{},=', max_size=4).map(lambda name: f"a{name}") | LABELS
DOUBLES = st.floats(allow_nan=True, allow_infinity=True)
INCREMENTS = st.floats(min_value=0, allow_nan=False)
OBSERVATIONS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)
BOUNDS = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4, unique=True).map(sorted)
# Without quotes, at which the parser of prometheus_client stops; a real Prometheus reads them in another test.
EXEMPLARS = st.none() | st.dictionaries(LABELS, st.text("abcé\\\n ,={}#", max_size=8), max_size=2)


COUNTS = st.dictionaries(st.integers(-30, 30), st.integers(1, 2**40), max_size=5)
NATIVES = st.builds(
    NativeHistogram, st.integers(-4, 8), st.just(2.0**-128), st.integers(0, 9), COUNTS, COUNTS, st.just(0)
)


class Draft(NamedTuple):
    """A family to be made: where, how it is called, and label values of its series."""

    draw: st.DrawFn
    registry: CollectorRegistry
    names: Literal["legacy", "utf8"]
    name: str
    text: str
    labels: list[str]
    series: list[tuple[str, ...]]


def make_counter(draft: Draft) -> None:
    draw, name = draft.draw, draft.name
    # Without the suffix, it is an unknown in OpenMetrics.
    name, unit = draw(st.sampled_from([(name, ""), (f"{name}_total", ""), (f"{name}_seconds_total", "seconds")]))
    counter = Counter(name, draft.text, draft.labels, unit=unit, names=draft.names, registry=draft.registry)
    for key in draft.series:
        counter.labels(*key).inc(draw(INCREMENTS), draw(EXEMPLARS))


def make_gauge(draft: Draft) -> None:
    gauge = Gauge(draft.name, draft.text, draft.labels, names=draft.names, registry=draft.registry)
    for key in draft.series:
        gauge.labels(*key).set(draft.draw(DOUBLES))


def make_histogram(draft: Draft) -> None:
    draw = draft.draw
    native = draw(st.booleans())
    bounds = draw(BOUNDS) if draw(st.booleans()) or not native else []
    histogram = Histogram(
        draft.name,
        draft.text,
        draft.labels,
        buckets=bounds,
        native=native,
        names=draft.names,
        registry=draft.registry,
    )
    for key in draft.series:
        for value in draw(st.lists(OBSERVATIONS, max_size=4)):
            histogram.labels(*key).observe(value, draw(EXEMPLARS))


def make_summary(draft: Draft) -> None:
    summary = Summary(draft.name, draft.text, draft.labels, names=draft.names, registry=draft.registry)
    for key in draft.series:
        summary.labels(*key).observe(draft.draw(OBSERVATIONS))


def make_info(draft: Draft) -> None:
    info = Info(draft.name, draft.text, names=draft.names, registry=draft.registry)
    info.info(draft.draw(st.dictionaries(LABELS, TEXT, max_size=3)))


def make_stateset(draft: Draft) -> None:
    states = sorted({"a", *(each for key in draft.series for each in key)})
    name = draft.name.replace(":", "_")
    StateSet(name, draft.text, states=states, names=draft.names, registry=draft.registry).state("a")


def make_custom(draft: Draft) -> None:
    draw = draft.draw
    type_ = draw(st.sampled_from(CUSTOM_TYPES))
    samples = []
    for key in draft.series:
        labels = dict(zip(draft.labels, key, strict=True))
        if type_ in ("gauge", "unknown"):
            samples.append(Sample("", labels, draw(DOUBLES)))
            continue
        own = "g" if type_ == "gaugehistogram" else ""
        if type_ != "summary" and draw(st.booleans()):
            samples += native_samples(labels, own, draw(NATIVES), draw(INCREMENTS))
            continue
        counts = sorted(draw(st.lists(st.integers(0, 2**40), min_size=1, max_size=4)))
        points = [*range(len(counts) - 1), math.inf]
        if type_ == "summary":
            quantiles = [point / 10 for point in range(len(counts))]
            values = [draw(st.floats(min_value=0, allow_nan=False, allow_infinity=False)) for _ in quantiles]
            pairs = zip(quantiles, values, strict=True)
            samples += [Sample("", labels | {"quantile": repr(quantile)}, value) for quantile, value in pairs]
        else:
            pairs = zip(points, map(float, counts), strict=True)
            samples += [
                Sample("_bucket", labels | {"le": "+Inf" if point == math.inf else repr(float(point))}, count)
                for point, count in pairs
            ]
        samples += [Sample(f"_{own}sum", labels, draw(INCREMENTS)), Sample(f"_{own}count", labels, float(counts[-1]))]
    draft.registry.register(Custom(Family(draft.name, type_, draft.text, samples, names=draft.names)))


def native_samples(labels: dict[str, str], own: str, native: NativeHistogram, total: float) -> list[Sample]:
    """The samples of a histogram that has native buckets alone."""
    count = Sample(f"_{own}count", labels, float(native.total), native=native)
    return [Sample(f"_{own}sum", labels, total), count]


CUSTOM_TYPES: list[MetricType] = ["gauge", "unknown", "histogram", "gaugehistogram", "summary"]

MAKERS = (make_counter, make_gauge, make_histogram, make_summary, make_info, make_stateset, make_custom)


@st.composite
def registries(draw: st.DrawFn, names: Literal["legacy", "utf8"] = "legacy") -> CollectorRegistry:
    """A registry with up to five families of any types, names, labels and numbers."""
    metric_names, label_names = (NAMES, LABELS) if names == "legacy" else (UTF8_NAMES, UTF8_LABELS)
    registry = CollectorRegistry(draw(st.none() | NAMES))
    for number, make in enumerate(draw(st.lists(st.sampled_from(MAKERS), max_size=5))):
        # Labels that would be the same where they are escaped cannot be defined together.
        labels = draw(st.lists(label_names, unique_by=lambda label: escaped(label, "underscores", "_"), max_size=2))
        series = st.lists(st.tuples(*(TEXT for _ in labels)), unique=True, min_size=0 if labels else 1, max_size=3)
        # With a number, so that no name is that of another family, whatever suffixes either has.
        name = f"{draw(metric_names)}{number}"
        make(Draft(draw, registry, names, name, draw(TEXT), labels, draw(series)))
    return registry
