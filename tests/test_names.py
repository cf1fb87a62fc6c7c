"""What metrics, labels and prefixes may be called, and which names a family occupies."""

from __future__ import annotations

import pytest

from pytheus import Counter, Gauge, Info
from pytheus.exceptions import InvalidNameError, LabelError
from pytheus.kinds import MetricType
from pytheus.names import (
    base_name,
    occupied_names,
    validate_label_names,
    validate_metric_name,
    validate_prefix,
    validate_text,
)

GOOD_METRIC_NAMES = ["a", "A", "_", ":", "a_b:c1", "__a", "job:rate5m"]
BAD_METRIC_NAMES: list[object] = ["", "1a", "a-b", "a b", "a.b", "é", "a\n", "\na", "a\x00", "²", "a٣", None, 1, b"a"]


@pytest.mark.parametrize("name", GOOD_METRIC_NAMES)
def test_good_metric_names(name: str) -> None:
    assert validate_metric_name(name) == name


@pytest.mark.parametrize("name", BAD_METRIC_NAMES, ids=repr)
def test_bad_metric_names(name: object) -> None:
    with pytest.raises(InvalidNameError, match="metric name"):
        validate_metric_name(name)


@pytest.mark.parametrize("name", BAD_METRIC_NAMES, ids=repr)
def test_a_metric_of_a_bad_name_cannot_be_made(name: str) -> None:
    # What is no str, the compiled build finds before the name is looked at.
    expected = (InvalidNameError, "counter name") if isinstance(name, str) else (TypeError, "str")
    with pytest.raises(expected[0], match=expected[1]):
        Counter(name, "A counter.", registry=None)


@pytest.mark.parametrize(("name", "better"), [("http-requests", "http_requests"), ("5xx", "_5xx")])
def test_the_message_suggests_a_name_that_would_do(name: str, better: str) -> None:
    with pytest.raises(InvalidNameError, match=f"use '{better}'"):
        validate_metric_name(name)


@pytest.mark.pitfall
@pytest.mark.parametrize(
    ("names", "message"), [("abc", r"plain string 'abc'; write \('abc',\)"), (["a", "a"], "twice")], ids=repr
)
def test_the_message_about_label_names_says_why(names: object, message: str) -> None:
    with pytest.raises(InvalidNameError, match=message):
        validate_label_names(names, "counter 'x'")


def test_a_name_becomes_a_plain_str() -> None:
    class Name(str):
        __slots__ = ()

    assert type(Gauge(Name("level"), "Level.", registry=None).name) is str


@pytest.mark.parametrize(
    "names", [["a"], ["a", "B", "_c", "d1"], [], None, ("a",), {"a": 1}], ids=lambda names: repr(names)
)
def test_good_label_names(names: object) -> None:
    assert validate_label_names(names, "counter 'x'") == tuple(names if isinstance(names, (list, tuple, dict)) else ())


@pytest.mark.parametrize(
    "names", [["a:b"], ["__a"], ["1"], [""], ["a b"], ["a", "a"], "ab", b"ab", [b"a"], [1], 1, ["é"], ["a\n"]], ids=repr
)
def test_bad_label_names(names: object) -> None:
    with pytest.raises(InvalidNameError, match=r"^counter 'x'"):
        validate_label_names(names, "counter 'x'")


@pytest.mark.parametrize(("prefix", "expected"), [(None, None), ("", None), ("app", "app"), ("a:b", "a:b")], ids=repr)
def test_good_prefixes(prefix: object, expected: str | None) -> None:
    assert validate_prefix(prefix) == expected


@pytest.mark.parametrize("prefix", ["1", "a-b", " ", "a\n", 0, False, b"", 1.5], ids=repr)
def test_bad_prefixes(prefix: object) -> None:
    with pytest.raises(InvalidNameError, match="registry prefix"):
        validate_prefix(prefix)


@pytest.mark.parametrize("text", ["", "é", "\n\r\x00", "𝄞", "\ufffe", "\u2028"], ids=ascii)
def test_any_text_without_surrogates_will_do(text: str) -> None:
    assert validate_text(text, "it") == text


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", None, 1, b"a"], ids=ascii)
def test_other_text_is_refused(text: object) -> None:
    with pytest.raises(LabelError, match=r"^it "):
        validate_text(text, "it")


@pytest.mark.parametrize("description", [None, 1, b"a", "\ud800"], ids=ascii)
def test_a_description_must_be_text(description: str) -> None:
    expected = (LabelError, "the description of gauge 'x'") if isinstance(description, str) else (TypeError, "str")
    with pytest.raises(expected[0], match=expected[1]):
        Gauge("x", description, registry=None)


@pytest.mark.parametrize(
    ("name", "type_", "base"),
    [
        ("a_total", "counter", "a"),
        ("a", "counter", "a"),
        ("_total", "counter", "_total"),
        ("a_total", "gauge", "a_total"),
        ("a_info", "info", "a"),
        ("_info", "info", "_info"),
        ("a_info", "gauge", "a_info"),
    ],
)
def test_the_base_name_lacks_the_suffix_of_the_samples(name: str, type_: MetricType, base: str) -> None:
    assert base_name(name, type_) == base


@pytest.mark.parametrize(
    ("name", "type_", "names"),
    [
        ("a", "counter", {"a", "a_total", "a_created"}),
        ("a_total", "counter", {"a", "a_total", "a_created"}),
        ("a", "gauge", {"a"}),
        ("a", "unknown", {"a"}),
        ("a", "stateset", {"a"}),
        ("a", "histogram", {"a", "a_bucket", "a_sum", "a_count", "a_created"}),
        ("a", "summary", {"a", "a_sum", "a_count", "a_created"}),
        ("a", "info", {"a", "a_info"}),
        ("a_info", "info", {"a", "a_info"}),
    ],
)
def test_a_family_occupies_every_name_that_it_produces(name: str, type_: MetricType, names: set[str]) -> None:
    occupied = occupied_names(name, type_)
    assert set(occupied) == names
    assert occupied[0] == name
    assert len(occupied) == len(names)


def test_every_name_in_the_text_is_among_those_occupied() -> None:
    info = Info("build", "Build.", registry=None)
    info.info(version="1")
    assert "build_info" in info.definition.occupied_names
