"""The kit's parser: what the format allows comes back, and what it does not is refused with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from pytheus import Counter, Gauge, generate_metrics
from pytheus.registry import CollectorRegistry
from pytheus.samples import Exemplar
from pytheus.testing import ParsedFamily, ParsedSample, parse_exposition, sample_value

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


def test_comments_are_read_over_and_timestamps_are_in_seconds() -> None:
    [sample] = parse_exposition("# hello\n# TYPE a gauge\na 1.0 1700000000500\n")["a"].samples
    assert sample == ParsedSample("a", (), 1.0, 1700000000.5)


def test_names_may_be_quoted() -> None:
    text = (
        '# HELP "http.requests" A "quoted" help.\\n\n'
        '# TYPE "http.requests" counter\n'
        '{"http.requests","host.name"="a",code="200"} 1\n'
        '{"http.requests"} 2\n'
        '# TYPE "a \\"b\\" c" gauge\n'
        '{"a \\"b\\" c",} 3\n'
    )
    families = parse_exposition(text, "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8")
    assert list(families) == ["http.requests", 'a "b" c']
    assert families["http.requests"].description == 'A "quoted" help.\n'
    assert families["http.requests"].samples == [
        ParsedSample("http.requests", (("code", "200"), ("host.name", "a")), 1.0),
        ParsedSample("http.requests", (), 2.0),
    ]


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
        ("# TYPE a gauge\na one\n", "line 2: 'one' is not a number: could not convert"),
        ("# TYPE a gauge\na 1_0\n", "line 2: '1_0' is not a number"),
        ("# TYPE a gauge\na 1 1.5\n", "line 2: the timestamp '1.5' is not a whole number of milliseconds"),
        ("# TYPE a gauge\na 1\n# HELP a A.\n", "line 3: HELP of 'a' after its samples"),
        ("# TYPE a gauge\n# TYPE b gauge\n# HELP a A.\n", "line 3: a second HELP of 'a'"),
        ('# TYPE a counter\na 1 # {b="c"} 1\n', "line 2 is not a sample"),
        ('# TYPE a gauge\na{"a"} 1\n', "line 2 is not a sample"),
        ('# TYPE a gauge\n{b="c"} 1\n', "line 2 is not a sample"),
        ('# TYPE a gauge\n{b="c","a"} 1\n', "line 2 is not a sample"),
        ('# TYPE a gauge\na{b="1"c="2"} 1\n', "line 2 is not a sample"),
    ],
)
def test_what_the_format_does_not_allow_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_exposition(text)


# OpenMetrics ---------------------------------------------------------------------------------------------------------

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def openmetrics(text: str) -> dict[str, ParsedFamily]:
    return parse_exposition(text + "# EOF\n", OPENMETRICS)


EVERYTHING = """\
# TYPE wait_seconds histogram
# UNIT wait_seconds seconds
# HELP wait_seconds Wait \\"here\\".
wait_seconds_bucket{le="0.1"} 1 # {trace_id="a",host="é"} 0.05 1700000000.25
wait_seconds_bucket{le="+Inf"} 3 # {} 7.0
wait_seconds_count 3
wait_seconds_sum 8.5
wait_seconds_created 1600000000.25
# TYPE hits counter
hits_total{path="/"} 2.0 1700000000.5 # {trace_id="b"} 1.0
hits_created{path="/"} 1.6e9 1700000000.5
# TYPE build info
build_info{version="1"} 1
# TYPE state stateset
state{state="on"} 1
state{state="off"} 0
# TYPE size summary
size{quantile="0.5"} NaN
size_sum 0.0
size_count 0
# TYPE loads gaugehistogram
loads_bucket{le="+Inf"} 4 # {} 1
loads_gcount 4
loads_gsum 3
# TYPE "http.requests" unknown
{"http.requests"} +Inf
"""


def test_everything_that_openmetrics_has_is_read() -> None:
    families = openmetrics(EVERYTHING)
    assert {name: family.type for name, family in families.items()} == {
        "wait_seconds": "histogram",
        "hits": "counter",
        "build": "info",
        "state": "stateset",
        "size": "summary",
        "loads": "gaugehistogram",
        "http.requests": "unknown",
    }
    wait = families["wait_seconds"]
    assert (wait.unit, wait.description) == ("seconds", 'Wait "here".')
    assert wait.samples[0].exemplar == Exemplar({"trace_id": "a", "host": "é"}, 0.05, 1700000000.25)
    assert wait.samples[1].exemplar == Exemplar({}, 7.0)
    assert families["hits"].samples[0].timestamp == 1700000000.5
    assert [str(sample) for sample in families["hits"].samples] == [
        "hits_total{path='/'} 2",
        "hits_created{path='/'} 1.6e+09",
    ]


def test_another_parser_reads_the_same() -> None:
    theirs = {
        sample.name: (sample.labels, sample.value, sample.exemplar and sample.exemplar.value)
        for family in openmetrics_families(EVERYTHING + "# EOF\n")  # type: ignore[no-untyped-call]  # it is not typed
        for sample in family.samples
        if family.name == "hits"
    }
    ours = {
        sample.name: (dict(sample.labels), sample.value, sample.exemplar and sample.exemplar.value)
        for sample in openmetrics(EVERYTHING)["hits"].samples
    }
    assert ours == theirs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1\n", "line 1: 'a' is outside of its family"),
        ("# hello\n", "line 1 is neither HELP, TYPE nor UNIT"),
        ("\n", "line 1 is not a sample"),
        ("# TYPE a counter\na 1\n", "line 2: 'a' is outside"),
        ("# TYPE a counter\na_total NaN\n", "line 2: a counter is a number of at least 0"),
        ("# TYPE a untyped\n", "an unknown type"),
        ("# TYPE a gauge\na 1 # {} 1\n", "line 2: a gauge has no exemplar of 'a'"),
        ("# TYPE a counter\na_created 1 # {} 1\n", "line 2: a counter has no exemplar of 'a_created'"),
        ("# TYPE a counter\na_total 1 # x\n", "line 2 has an exemplar that is not"),
        ('# TYPE a counter\na_total 1 # {"x"} 1\n', "line 2 has an exemplar with a name"),
        (f'# TYPE a counter\na_total 1 # {{b="{"x" * 128}"}} 1\n', "line 2 has an exemplar with 129 characters"),
        ('# TYPE a histogram\na_bucket{le="1.0"} 1 # {} 2\n', "the exemplar's value 2.0 is not in the bucket"),
        ("# TYPE a gauge\na 1 nan\n", "line 2: the timestamp 'nan' is not a number of seconds"),
        ("# TYPE a stateset\na 1\n", "line 2: a state has a label 'a'"),
        ("# TYPE a info\na_info 2\n", "line 2: the value of an info is 1"),
        ("# TYPE a gauge\n# UNIT a seconds\n", "gauge 'a' before it does not end with its unit 'seconds'"),
        ("# TYPE a_s info\n# UNIT a_s s\n# TYPE b gauge\n", "line 3: the name of info 'a_s' before it"),
        ("# TYPE a histogram\na_count 1\n", "has a count {} without buckets"),
        ('# TYPE a histogram\na_bucket{le="1"} 1\na_count 1\n', "without one up to"),
        ('# TYPE a histogram\na_bucket{le="+Inf"} 1\na_count 2\n', "that do not add up to its count"),
        ('# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\n', "whose bounds or counts do not rise"),
        ('# TYPE a histogram\na_bucket{le="+Inf"} 1\na_bucket{le="1"} 1\n', "whose bounds or counts do not rise"),
    ],
)
def test_what_openmetrics_does_not_allow_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        openmetrics(text)


@pytest.mark.parametrize("text", ["", "# TYPE a gauge\na 1\n", "# EOF\n# TYPE a gauge\n", "# EOF\n\n"])
def test_openmetrics_ends_with_its_mark(text: str) -> None:
    with pytest.raises(ValueError, match="ends with the line '# EOF'"):
        parse_exposition(text, OPENMETRICS)


def test_other_formats_are_refused() -> None:
    with pytest.raises(ValueError, match="but got 'application/json'"):
        parse_exposition("", "application/json")


def test_the_value_of_a_sample_in_openmetrics() -> None:
    value = sample_value(EVERYTHING + "# EOF\n", "hits_total", {"path": "/"}, content_type=OPENMETRICS)
    assert value == 2.0
