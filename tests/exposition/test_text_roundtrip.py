"""Whatever goes into metrics, another library's parser reads the same out of the text, and no line can be forged.

prometheus_client's parser is the oracle. Where it reads less than the format has, what is expected of it says so:

- it strips blanks around a help text (all that `str.strip` knows at its end, those of ASCII at its beginning), so the
  help line itself is compared as well;
- it gives every counter's samples the suffix ``_total``, and a counter called ``_total`` an empty name, which it then
  refuses.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
"""

from __future__ import annotations

import math
import re
import string
import struct
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus.exceptions import ConflictError
from pytheus.kinds import MetricType
from pytheus.metrics import Family, Sample
from pytheus.names import state_label
from pytheus.registry import CollectorRegistry
from pytheus.textformat import format_bound
from tests.exposition.conftest import Custom

pytestmark = [pytest.mark.property, pytest.mark.filterwarnings("ignore:counter .* has no suffix")]

# What a parser might stumble over, more often than chance would have it.
NASTY = st.text(st.sampled_from("\\\"'\n\r\t \x00\x0b\x0c\x1c\x85\xa0\u2028\u2029\ufeff{}=,#n1e+_é𝄞"), max_size=12)
TEXT = NASTY | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
METRIC_NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True).filter(lambda name: name != "_total")
LABEL_NAMES = st.from_regex(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name not in ("le", "quantile")
)
PREFIXES = st.none() | st.just("") | METRIC_NAMES
DOUBLES = st.floats(allow_nan=True, allow_infinity=True)
INCREMENTS = st.floats(min_value=0, allow_nan=False, allow_infinity=True)
OBSERVATIONS = st.floats(allow_nan=False, allow_infinity=False)


Key = tuple[str, frozenset[tuple[str, str]]]
Series = tuple[list[str], dict[tuple[str, ...], float]]


class Read(NamedTuple):
    """What the parser found: families as name, type and help; samples by name and labels."""

    families: list[tuple[str, str, str]]
    samples: dict[Key, float]


def _read(text: str) -> Read:
    families = []
    samples: dict[Key, float] = {}
    for family in text_string_to_metric_families(text):
        families.append((family.name, family.type, family.documentation))
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in samples, f"{key} occurs twice"
            samples[key] = sample.value
    return Read(families, samples)


def _help_as_parsed(description: str) -> str:
    blanks = "".join(character for character in map(chr, range(0x3001)) if character.isspace() and character != "\n")
    return description.rstrip(blanks).lstrip(string.whitespace.replace("\n", ""))


def _same(one: float, other: float) -> bool:
    # A zero's sign is not written.
    return struct.pack("d", one + 0.0) == struct.pack("d", other + 0.0) or (math.isnan(one) and math.isnan(other))


def _assert_same(
    samples: dict[Key, float],
    expected: dict[Key, float],
) -> None:
    assert samples.keys() == expected.keys()
    for key, value in expected.items():
        assert _same(samples[key], value), (key, samples[key], value)


def _assert_read_back(
    registry: CollectorRegistry, family: tuple[str, str], description: str, expected: dict[Key, float], lines: int
) -> None:
    """The parser reads one family, of that name and type, whose samples are in so many lines."""
    text = generate_metrics(registry, strict=True)
    read = _read(text)
    _assert_same(read.samples, expected)
    assert read.families == [(*family, _help_as_parsed(description))]
    assert _unescaped_help(text) == description
    assert len(text.split("\n")) == 2 + lines + 1


def _key(name: str, labels: dict[str, str]) -> Key:
    return name, frozenset(labels.items())


def _exposed(name: str, prefix: str | None) -> str:
    return f"{prefix}_{name}" if prefix else name


def _counted(name: str) -> str:
    return name if name.endswith("_total") else f"{name}_total"


def _unescaped_help(text: str) -> str:
    line = text.split("\n")[0]
    escaped = line.split(" ", 3)[3]
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], escaped)


@st.composite
def labelled(draw: st.DrawFn, values: st.SearchStrategy[float]) -> Series:
    """Label names, and a value for each of some combinations of label values."""
    names = draw(st.lists(LABEL_NAMES, unique=True, max_size=3))
    keys = st.tuples(*(TEXT for _ in names))
    return names, draw(st.dictionaries(keys, values, min_size=0 if names else 1, max_size=4))


@given(METRIC_NAMES, TEXT, PREFIXES, labelled(INCREMENTS))
@example("x", ' a\\n"\n', None, (["a"], {('"} 1\nforged{a="',): 1.0}))
def test_counters_read_back(name: str, description: str, prefix: str | None, series: Series) -> None:
    registry = CollectorRegistry(prefix)
    names, values = series
    counter = Counter(name, description, names, registry=registry)
    for key, value in values.items():
        counter.labels(*key).inc(value)
    counted = _counted(_exposed(name, prefix))
    expected = {_key(counted, dict(zip(names, key, strict=True))): value for key, value in values.items()}
    _assert_read_back(registry, (counted.removesuffix("_total"), "counter"), description, expected, len(values))


@given(METRIC_NAMES, TEXT, PREFIXES, labelled(DOUBLES))
def test_gauges_read_back(name: str, description: str, prefix: str | None, series: Series) -> None:
    registry = CollectorRegistry(prefix)
    names, values = series
    gauge = Gauge(name, description, names, registry=registry)
    for key, value in values.items():
        gauge.labels(dict(zip(names, key, strict=True))).set(value)
    exposed = _exposed(name, prefix)
    expected = {_key(exposed, dict(zip(names, key, strict=True))): value for key, value in values.items()}
    _assert_read_back(registry, (exposed, "gauge"), description, expected, len(values))


@given(METRIC_NAMES, TEXT, PREFIXES, labelled(OBSERVATIONS))
def test_summaries_read_back(name: str, description: str, prefix: str | None, series: Series) -> None:
    registry = CollectorRegistry(prefix)
    names, values = series
    summary = Summary(name, description, names, registry=registry)
    expected = {}
    exposed = _exposed(name, prefix)
    for key, value in values.items():
        summary.labels(*key).observe(value)
        labels = dict(zip(names, key, strict=True))
        expected[_key(exposed + "_sum", labels)] = value
        expected[_key(exposed + "_count", labels)] = 1.0
    _assert_read_back(registry, (exposed, "summary"), description, expected, 2 * len(values))


@given(
    METRIC_NAMES,
    TEXT,
    PREFIXES,
    labelled(OBSERVATIONS),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6, unique=True).map(sorted),
)
def test_histograms_read_back(
    name: str,
    description: str,
    prefix: str | None,
    series: Series,
    bounds: list[float],
) -> None:
    registry = CollectorRegistry(prefix)
    names, values = series
    histogram = Histogram(name, description, names, buckets=bounds, registry=registry)
    expected = {}
    exposed = _exposed(name, prefix)
    for key, value in values.items():
        histogram.labels(*key).observe(value)
        labels = dict(zip(names, key, strict=True))
        for bound in [*bounds, math.inf]:
            le = format_bound(bound + 0.0)
            expected[_key(exposed + "_bucket", labels | {"le": le})] = float(value <= bound)
        expected[_key(exposed + "_sum", labels)] = value
        expected[_key(exposed + "_count", labels)] = 1.0
    _assert_read_back(registry, (exposed, "histogram"), description, expected, (len(bounds) + 3) * len(values))


@given(METRIC_NAMES, TEXT, PREFIXES, st.dictionaries(LABEL_NAMES, TEXT, max_size=5))
def test_infos_read_back(name: str, description: str, prefix: str | None, facts: dict[str, str]) -> None:
    registry = CollectorRegistry(prefix)
    Info(name, description, registry=registry).info(facts)
    exposed = _exposed(name.removesuffix("_info") or name, prefix) + "_info"
    _assert_read_back(registry, (exposed, "gauge"), description, {_key(exposed, facts): 1.0}, 1)


@given(LABEL_NAMES, TEXT, PREFIXES, st.dictionaries(TEXT, st.booleans(), min_size=1, max_size=5))
def test_statesets_read_back(name: str, description: str, prefix: str | None, states: dict[str, bool]) -> None:
    assume(_exposed(name, prefix) != "_total")
    registry = CollectorRegistry(prefix)
    stateset = StateSet(name, description, states=states, registry=registry)
    for state, active in states.items():
        stateset.set(state, active)
    exposed = _exposed(name, prefix)
    expected = {_key(exposed, {state_label(exposed): state}): float(active) for state, active in states.items()}
    _assert_read_back(registry, (exposed, "gauge"), description, expected, len(states))


@given(
    METRIC_NAMES,
    st.sampled_from([("gauge", "gauge"), ("unknown", "unknown"), ("stateset", "gauge")]),
    TEXT,
    PREFIXES,
    labelled(DOUBLES),
    st.none() | st.integers(0, 2**40).map(lambda milliseconds: milliseconds / 1000),
)
def test_custom_families_read_back(
    name: str,
    types: tuple[MetricType, str],
    description: str,
    prefix: str | None,
    series: Series,
    timestamp: float | None,
) -> None:
    names, values = series
    samples = [Sample("", dict(zip(names, key, strict=True)), value, timestamp) for key, value in values.items()]
    registry = CollectorRegistry(prefix)
    registry.register(Custom(Family(name, types[0], description, samples)))
    exposed = _exposed(name, prefix)
    expected = {_key(exposed, dict(sample.labels)): sample.value for sample in samples}
    _assert_read_back(registry, (exposed, types[1]), description, expected, len(values))
    [family] = text_string_to_metric_families(generate_metrics(registry))
    assert all(sample.timestamp == timestamp for sample in family.samples)


MAKERS: list[Callable[[str, str, CollectorRegistry], object]] = [
    lambda name, text, registry: Counter(name, text, ["l"], registry=registry).labels(text).inc(),
    lambda name, text, registry: Gauge(name, text, ["l"], registry=registry).labels(text).set(1),
    lambda name, text, registry: Histogram(name, text, ["l"], registry=registry).labels(text).observe(1),
    lambda name, text, registry: Summary(name, text, ["l"], registry=registry).labels(text).observe(1),
    lambda name, text, registry: Info(name, text, registry=registry).info(l=text),
    lambda name, text, registry: StateSet(name, text, states=[text], registry=registry).state(text),
]

# Names that are each other's suffixed ones.
RELATED_NAMES = st.builds(
    lambda stem, suffix: stem + suffix,
    st.sampled_from(["a", "a_b", "b"]),
    st.sampled_from(["", "_total", "_created", "_bucket", "_sum", "_count", "_info"]),
)


@given(st.lists(st.tuples(st.sampled_from(MAKERS), RELATED_NAMES, TEXT), max_size=12), PREFIXES)
def test_no_name_occurs_twice(
    definitions: list[tuple[Callable[[str, str, CollectorRegistry], object], str, str]], prefix: str | None
) -> None:
    registry = CollectorRegistry(prefix)
    for make, name, text in definitions:
        try:
            make(name, text, registry)
        except ConflictError:
            pass
    text = generate_metrics(registry, strict=True)
    read = _read(text)
    assert len(read.families) == len(registry)
    assert all(family != "" for family, _, _ in read.families)
    assert len({family for family, _, _ in read.families}) == len(read.families)
    assert len(text.split("\n")) == 2 * len(registry) + len(read.samples) + 1


@given(TEXT, TEXT)
def test_every_line_is_one_that_was_meant(description: str, value: str) -> None:
    registry = CollectorRegistry()
    Gauge("x", description, ["a"], registry=registry).labels(value).set(1)
    help_line, type_line, sample, end = generate_metrics(registry).split("\n")
    assert help_line.startswith("# HELP x ")
    assert type_line == "# TYPE x gauge"
    assert re.fullmatch(r'x\{a="(?:[^"\\\n]|\\["\\n])*"\} 1\.0', sample)
    assert end == ""
