"""The lenient parser reads whatever Prometheus reads, and what is sound as the strict one does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytheus.registry import CollectorRegistry
from pytheus.samples import Exemplar
from pytheus.testing import ParsedFamily, ParsedSample, parse_exposition
from tests.exposition.any_registry import Escaping
from tests.exposition.test_formats_roundtrip import (
    OPENMETRICS_TYPE,
    TEXT_TYPE,
    any_registry,
    assert_same,
    body_of,
    expected_of,
    shown,
)

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore:counter .* has no suffix")]


def parse(text: str | bytes, content_type: str = TEXT_TYPE) -> dict[str, ParsedFamily]:
    return parse_exposition(text, content_type, strict=False)


def content(families: dict[str, ParsedFamily]) -> list[tuple[object, ...]]:
    return [
        (family.name, family.type, family.description, family.unit, list(map(repr, family.samples)))
        for family in families.values()
    ]


@pytest.mark.property
@settings(max_examples=40)
@any_registry
def test_what_is_sound_is_read_as_by_the_strict_parser(case: tuple[CollectorRegistry, Escaping]) -> None:
    registry, escaping = case
    for content_type in (TEXT_TYPE, OPENMETRICS_TYPE):
        body = body_of(registry, content_type, escaping)
        assert content(parse(body, content_type)) == content(parse_exposition(body, content_type))


@pytest.mark.property
@settings(max_examples=40)
@any_registry
def test_all_that_was_exposed_is_read(case: tuple[CollectorRegistry, Escaping]) -> None:
    registry, escaping = case
    expected = expected_of(registry, escaping)
    for content_type in (TEXT_TYPE, OPENMETRICS_TYPE):
        families = parse(body_of(registry, content_type, escaping), content_type).values()
        samples = [sample for family in families for sample in family.samples]
        assert_same({(sample.name, frozenset(sample.labels)): sample.value for sample in samples}, expected.values)
        exemplars = {(each.name, frozenset(each.labels)): shown(each.exemplar) for each in samples if each.exemplar}
        assert exemplars.items() <= expected.exemplars.items()


def test_samples_without_a_type_are_untyped() -> None:
    families = parse('vm_rows{type="indexdb"} 5\nvm_app_uptime_seconds 1\nvm_rows{type="storage"} 7\n')
    assert [(family.name, family.type, len(family.samples)) for family in families.values()] == [
        ("vm_rows", "untyped", 2),
        ("vm_app_uptime_seconds", "untyped", 1),
    ]


def test_families_may_be_in_several_places() -> None:
    families = parse('# TYPE a counter\na 1\n# TYPE h histogram\nh_sum 1\na{b="c"} 2\nh_count 3\n# HELP a A.\n')
    assert [(family.type, family.description, len(family.samples)) for family in families.values()] == [
        ("counter", "A.", 2),
        ("histogram", "", 2),
    ]


def test_a_type_of_its_own_decides_before_a_suffix() -> None:
    text = '# TYPE a_count gauge\n# TYPE a summary\na_count 1\na_sum 2\n# TYPE a_sum gauge\na_sum{b="c"} 3\n'
    families = parse(text)
    assert {name: [sample.name for sample in family.samples] for name, family in families.items()} == {
        "a_count": ["a_count"],
        "a": ["a_sum"],
        "a_sum": ["a_sum"],
    }


def test_a_help_text_alone_is_not_a_family() -> None:
    assert parse("# HELP a A.\n") == {}


@pytest.mark.parametrize(
    "line",
    [
        'a{b="c"} 1',
        '  a\t{ b = "c" , }  1  \r',
        'a {b="c",}1',
        '{"a",b="c"} 1',
        '{ "a", "b"="c" } 1.0',
        'a{b="c"}\t+1',
        'a{b="c"} 1 # {} 1',
    ],
)
def test_white_space_may_be_wherever_prometheus_allows_it(line: str) -> None:
    [family] = parse(f"\n \t\n#\n# just a comment\n#TYPE a gauge\n{line}").values()
    assert [sample[:3] for sample in family.samples] == [("a", (("b", "c"),), 1.0)]


def test_lines_may_end_as_on_windows() -> None:
    [family] = parse("# HELP a A. \r\n# TYPE a gauge\r\na 1\r\n").values()
    assert (family.description, family.type, len(family.samples)) == ("A. ", "gauge", 1)


def test_values_may_have_braces_and_quotes() -> None:
    [family] = parse('a{b="x}\\"{y,z=\\"w\\\\",c="\\d\\n"} NaN 1500\n').values()
    [sample] = family.samples
    assert (sample.labels, sample.timestamp) == ((("b", 'x}"{y,z="w\\'), ("c", "\\d\n")), 1.5)


def test_openmetrics_ends_at_its_end_and_has_exemplars() -> None:
    text = '# TYPE a counter\n# UNIT a seconds\na_total 1 2.5 # {id="7"} 0.5 1.25\n# EOF\nb 1\n'
    [family] = parse(text, OPENMETRICS_TYPE).values()
    assert (family.unit, family.samples) == (
        "seconds",
        [ParsedSample("a_total", (), 1.0, 2.5, Exemplar({"id": "7"}, 0.5, 1.25))],
    )


def test_a_series_that_occurs_twice_is_kept_twice() -> None:
    assert len(parse("a 1\na 2\n")["a"].samples) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a{b="c"}\n', "line 1 is not a sample"),
        ("<html>\n", "line 1 is not a sample: '<html>'"),
        ("\na\n", "line 2 is not a sample: 'a'"),
        ("a one\n", "line 1 has 'one', which is not a number"),
        ("a{b='c'} 1\n", 'line 1 has other labels than NAME="TEXT"'),
        ('a{b="c" d="e"} 1\n', "line 1 has other labels"),
        ('a{b="c",b="d"} 1\n', "line 1 has the label 'b' twice"),
        ('{b="c"} 1\n', "line 1 has no name"),
        ('a{b="c} 1\n', "line 1 is not a sample"),
        ("a 1 # 5\n", "line 1 has an exemplar that is not"),
        ("a " + "x" * 9999, "line 1 has 'x{120}', which is not a number: 'a x{118}...'$"),
    ],
)
def test_a_line_that_is_no_sample_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)


@pytest.mark.property
@given(st.text(st.sampled_from('a{}",=\\n# 1\t\n\x00\x1bé'), max_size=60))
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    try:
        parse(text)
    except ValueError as error:
        assert str(error).startswith("line ")  # both outcomes are allowed


def test_a_line_of_any_length_takes_a_moment() -> None:
    for part in ('"', "{", '{"', 'a{b="', "a{b=", "\\", '{""', 'a{b="c",', " "):
        try:
            parse(part * 200_000)
        except ValueError:
            pass  # what matters is the time
