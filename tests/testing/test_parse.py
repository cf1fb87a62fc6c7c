"""The kit's parser: what the format allows comes back, and what it does not is refused with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from pytheus import Counter, Gauge, generate_metrics
from pytheus.registry import CollectorRegistry
from pytheus.testing import ParsedSample, parse_exposition

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(value=TEXT, description=TEXT, number=st.floats(allow_nan=False))
def test_it_reads_what_another_parser_reads(value: str, description: str, number: float) -> None:
    registry = CollectorRegistry()
    Gauge("depth", description, ["queue"], registry=registry).labels(value).set(number)
    text = generate_metrics(registry)
    [family] = parse_exposition(text).values()
    assert family.samples == [ParsedSample("depth", (("queue", value),), number)]
    assert family.description == description
    [theirs] = text_string_to_metric_families(text)
    assert [(sample.name, sample.labels, sample.value) for sample in theirs.samples] == [
        ("depth", dict(family.samples[0].labels), number)
    ]


def test_an_empty_exposition_has_no_families() -> None:
    assert parse_exposition("") == {}


def test_families_have_their_type_and_samples() -> None:
    registry = CollectorRegistry()
    Counter("hits_total", "Hits.", registry=registry).inc(2)
    family = parse_exposition(generate_metrics(registry))["hits_total"]
    assert (family.type, str(family.samples[0]), repr(family)) == (
        "counter",
        "hits_total 2",
        "ParsedFamily('hits_total', 'counter', 1 samples)",
    )


def test_comments_and_timestamps_are_read_over() -> None:
    assert parse_exposition("# hello\n# TYPE a gauge\na 1.0 1700000000000\n")["a"].samples[0].value == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# TYPE a gauge\na 1", "ends with a line feed"),
        ("a 1\n", "line 1: 'a' is outside of its family"),
        ("# TYPE a gauge\nb 1\n", "line 2: 'b' is outside"),
        ("# TYPE a gauge\na_sum 1\n", "line 2: 'a_sum' is outside"),
        ("# TYPE a gauge\na 1\na 2\n", "line 3: the series a 2 occurs twice"),
        ("# TYPE a gauge\n# TYPE a gauge\n", "line 2: a second TYPE"),
        ("# HELP a A.\n# HELP a A.\n", "line 2: a second HELP"),
        ("# TYPE a gouge\n", "line 1: a second TYPE of 'a', or an unknown type"),
        ('# TYPE a gauge\na{b="1",b="2"} 1\n', "line 2 has a label twice"),
        ('# TYPE a gauge\na{b="\\q"} 1\n', "line 2 is not a sample"),
        ("# TYPE a gauge\na{b=1} 1\n", "line 2 is not a sample"),
        ("# TYPE a gauge\na\n", "line 2 is not a sample"),
        ("# TYPE a gauge\n\na 1\n", "line 2 is not a sample"),
        ("# TYPE a gauge\na one\n", "could not convert"),
    ],
)
def test_what_the_format_does_not_allow_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_exposition(text)
