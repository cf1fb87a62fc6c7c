"""Expressions, and the quotes around names and strings."""

from __future__ import annotations

import pytest

from pytheus.dashboard import FamilyInfo
from pytheus.dashboard.promql import (
    Matcher,
    Scope,
    aggregated,
    labels_of,
    mean,
    observations,
    quantile,
    quote,
    rate,
    saturation,
    selector,
)

SHOP = Scope('job="shop"', "5m")
NATIVE = FamilyInfo("wait_seconds", "histogram", "", is_native=True)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("plain é 𝄞", '"plain é 𝄞"'),
        ('a "quoted" \\ word', r'"a \"quoted\" \\ word"'),
        ("line\nend\ttab\x00", r'"line\x0aend\x09tab\x00"'),
        ("$job and ${job} and [[job]]", r'"\x24job and \x24{job} and \x5b[job]]"'),
        ("\x7f \x80", r'"\x7f \u0080"'),
        ("\x85 \u2028 \ufeff", r'"\u0085 \u2028 \ufeff"'),
    ],
)
def test_a_string_has_escapes_that_every_reader_of_the_file_leaves_alone(text: str, quoted: str) -> None:
    assert quote(text) == quoted


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hits_total", 'hits_total{job="shop"}'),
        ("job:hits:rate5m", 'job:hits:rate5m{job="shop"}'),
        ("http.hits", '{"http.hits",job="shop"}'),
        ("ünits", '{"ünits",job="shop"}'),
        ("bool", '{__name__="bool",job="shop"}'),
        ("NaN", '{__name__="NaN",job="shop"}'),
        ("sum", 'sum{job="shop"}'),
    ],
)
def test_a_name_is_written_so_that_the_oldest_reader_that_knows_it_reads_it(name: str, expected: str) -> None:
    assert selector(name, SHOP) == expected


def test_labels_of_the_target_are_renamed_and_words_of_the_grammar_are_left_out() -> None:
    family = FamilyInfo("hits_total", "counter", "", ("job", "instance", "inf", "without", "code", "http.route"))
    assert labels_of(family) == ("exported_job", "exported_instance", "code", "http.route")
    assert aggregated("sum", labels_of(family)[3:], "x") == 'sum by ("http.route") (x)'
    assert str(Matcher("http.route", "!=", "")) == '"http.route"!=""'


def test_a_rate_is_of_the_increase_and_then_added_up() -> None:
    assert rate("a_total", SHOP, (), Matcher("code", "=", "5")) == 'sum(rate(a_total{job="shop",code="5"}[5m]))'


def test_native_buckets_come_first_and_classic_ones_are_the_fallback() -> None:
    assert quantile(NATIVE, 0.5, SHOP, ["a"]) == (
        'histogram_quantile(0.5, sum by (a) (rate(wait_seconds{job="shop"}[5m])))'
        ' or histogram_quantile(0.5, sum by (le, a) (rate(wait_seconds_bucket{job="shop"}[5m])))'
    )
    assert observations(NATIVE, SHOP, ()) == (
        'sum(histogram_count(rate(wait_seconds{job="shop"}[5m]))) or sum(rate(wait_seconds_count{job="shop"}[5m]))'
    )


def test_observations_of_classic_buckets_are_the_increase_of_their_count() -> None:
    family = FamilyInfo("wait_seconds", "histogram", "")
    assert observations(family, SHOP, ["a"]) == 'sum by (a) (rate(wait_seconds_count{job="shop"}[5m]))'


def test_buckets_of_a_gauge_histogram_have_no_rate() -> None:
    family = FamilyInfo("age", "gaugehistogram", "")
    assert quantile(family, 0.99, SHOP) == 'histogram_quantile(0.99, sum by (le) (age_bucket{job="shop"}))'


def test_a_mean_is_the_sum_over_the_count() -> None:
    assert mean(FamilyInfo("s", "summary", ""), SHOP, ()) == (
        'sum(rate(s_sum{job="shop"}[5m])) / sum(rate(s_count{job="shop"}[5m]))'
    )


def test_both_sides_of_a_saturation_have_the_labels_of_the_limit() -> None:
    usage, limit = FamilyInfo("x", "gauge", "", ("a", "b")), FamilyInfo("x_max", "gauge", "", ("a",))
    assert saturation(usage, limit, SHOP) == (
        'sum by (job, instance, a) (x{job="shop"}) / (sum by (job, instance, a) (x_max{job="shop"}) > 0)'
    )
