"""The text format: any registry, its prefix once, no name twice, no line forged."""

from __future__ import annotations

import math
import re
from decimal import Decimal

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus.exceptions import InvalidNameError
from pytheus.exposition import CONTENT_TYPE
from pytheus.kinds import MetricType
from pytheus.metrics import Family, Metric, Sample
from pytheus.registry import CollectorRegistry
from tests.exposition.conftest import Custom, Plain, family_names, gauge_family


def test_an_empty_registry_gives_the_empty_text(registry: CollectorRegistry) -> None:
    assert generate_metrics(registry) == ""


def test_the_content_type_names_the_version_and_the_encoding() -> None:
    assert CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"


def test_families_stand_in_the_order_of_registration(registry: CollectorRegistry) -> None:
    for name in ("b", "a", "c"):
        Gauge(name, "A gauge.", registry=registry)
    assert family_names(generate_metrics(registry)) == ["b", "a", "c"]


def test_lines_end_with_a_line_feed_alone(registry: CollectorRegistry) -> None:
    Histogram("h", "H.", ["a"], registry=registry).labels("x\r\n").observe(1)
    Info("i", "I.", registry=registry).info(a="b")
    text = generate_metrics(registry)
    assert text.endswith("\n")
    assert not text.startswith("\n")
    assert "\n\n" not in text
    assert "\r\n" not in text


@pytest.mark.parametrize(
    ("description", "shown"),
    [
        ("", "# HELP x "),
        ("a\nb", "# HELP x a\\nb"),
        ("a\\nb", "# HELP x a\\\\nb"),
        ('say "hi"', '# HELP x say "hi"'),
        (" x ", "# HELP x  x "),
    ],
    ids=repr,
)
def test_help_texts_are_escaped(registry: CollectorRegistry, description: str, shown: str) -> None:
    Gauge("x", description, registry=registry)
    assert generate_metrics(registry).split("\n")[0] == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\nb", "a\\nb"),
        ('"', '\\"'),
        ("\\", "\\\\"),
        ("\\n", "\\\\n"),
        ('\\"', '\\\\\\"'),
        ("{}=,", "{}=,"),
        ("\r\t\x00\x85\u2028", "\r\t\x00\x85\u2028"),
        ("", ""),
    ],
    ids=ascii,
)
def test_label_values_are_escaped(registry: CollectorRegistry, value: str, shown: str) -> None:
    Gauge("x", "X.", ["a"], registry=registry).labels(value)
    assert generate_metrics(registry).split("\n")[2] == f'x{{a="{shown}"}} 0.0'


@pytest.mark.parametrize(
    ("type_", "written"),
    [
        ("counter", "counter"),
        ("gauge", "gauge"),
        ("histogram", "histogram"),
        ("summary", "summary"),
        ("stateset", "gauge"),
        ("unknown", "untyped"),
    ],
)
def test_types_are_those_that_this_format_knows(registry: CollectorRegistry, type_: MetricType, written: str) -> None:
    registry.register(Custom(Family("x", type_, "X.")))
    assert generate_metrics(registry).split("\n")[1] == f"# TYPE x {written}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.1, "0.1"),
        (1e16, "1e+16"),
        (5e-324, "5e-324"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
        (3, "3.0"),
        (True, "1.0"),
        (Decimal("0.5"), "0.5"),
    ],
    ids=str,
)
def test_numbers_read_back_as_the_same_double(registry: CollectorRegistry, value: float, shown: str) -> None:
    registry.register(Custom(gauge_family("x", Sample("", {}, value))))
    assert generate_metrics(registry).endswith(f"\nx {shown}\n")


def test_a_negative_zero_is_equal_to_what_is_read_back(registry: CollectorRegistry) -> None:
    Gauge("x", "X.", registry=registry).set(-0.0)
    assert float(generate_metrics(registry).split()[-1]) == 0.0


# The prefix -----------------------------------------------------------------------------------------------------------


def test_the_prefix_precedes_every_family_once(registry: CollectorRegistry) -> None:
    registry.prefix = "app"
    Counter("c_total", "C.", registry=registry)
    Gauge("g", "G.", registry=registry)
    Histogram("h", "H.", buckets=(1,), registry=registry).observe(1)
    Summary("s", "S.", registry=registry)
    Info("i", "I.", registry=registry).info(a="b")
    StateSet("t", "T.", states=["on"], registry=registry)
    registry.register(Custom(gauge_family("custom"), Gauge("nested", "N.", registry=None)))
    for line in generate_metrics(registry).splitlines():
        name = line.split()[2] if line.startswith("#") else line
        assert name.startswith("app_")
        assert not name.startswith("app_app_")


@pytest.mark.parametrize("prefix", [None, ""], ids=repr)
def test_without_a_prefix_the_name_is_unchanged(prefix: str | None) -> None:
    assert generate_metrics(Plain(lambda: [Custom(gauge_family("x"))], prefix)).endswith("\nx 1.0\n")


def test_two_registries_expose_one_metric_each_with_its_prefix() -> None:
    metrics: list[Metric] = [
        Counter("c_total", "C.", ["l"], labels_from={"l": ["1"]}, registry=None),
        Histogram("h", "H.", buckets=(1,), registry=None),
        Summary("s", "S.", registry=None),
        StateSet("t", "T.", states=["on"], registry=None),
    ]
    a, b, bare = CollectorRegistry("a"), CollectorRegistry("b"), CollectorRegistry()
    for registry in (a, b, bare):
        for metric in metrics:
            registry.register(metric)
    text = generate_metrics(bare)
    for _ in range(2):
        for prefix, registry in (("a", a), ("b", b)):
            expected = re.sub(r"^(# (?:HELP|TYPE) )?", rf"\g<1>{prefix}_", text.rstrip("\n"), flags=re.MULTILINE) + "\n"
            expected = expected.replace('{t="', f'{{{prefix}_t="')  # the label of a state set has its name
            assert generate_metrics(registry) == expected
        assert generate_metrics(bare) == text


def test_a_prefix_that_became_bad_is_an_error() -> None:
    with pytest.raises(InvalidNameError, match="'a-b'"):
        generate_metrics(Plain(list, "a-b"))


def test_a_timestamp_is_written_in_milliseconds(registry: CollectorRegistry) -> None:
    registry.register(Custom(gauge_family("x", Sample("", {}, 1.0, 1700000000.1234))))
    assert generate_metrics(registry).endswith("\nx 1.0 1700000000123\n")


def test_a_custom_info_gets_its_suffix_once(registry: CollectorRegistry) -> None:
    registry.register(Custom(Family("build", "info", "B.", [Sample("_info", {"a": "1"}, 1.0)])))
    registry.register(Custom(Family("host_info", "info", "H.", [Sample("_info", {"a": "1"}, 1.0)])))
    assert [line for line in generate_metrics(registry).splitlines() if not line.startswith("# HELP")] == [
        "# TYPE build_info gauge",
        'build_info{a="1"} 1.0',
        "# TYPE host_info gauge",
        'host_info{a="1"} 1.0',
    ]


def test_a_custom_histogram_is_exposed_as_it_says(registry: CollectorRegistry) -> None:
    buckets = [Sample("_bucket", {"le": "1.0"}, 1.0), Sample("_bucket", {"le": "+Inf"}, 2.0)]
    samples = [*buckets, Sample("_sum", {}, 3.0), Sample("_count", {}, 2.0)]
    registry.register(Custom(Family("h", "histogram", "H.", samples)))
    assert generate_metrics(registry).splitlines()[2:] == [
        'h_bucket{le="1.0"} 1.0',
        'h_bucket{le="+Inf"} 2.0',
        "h_sum 3.0",
        "h_count 2.0",
    ]
