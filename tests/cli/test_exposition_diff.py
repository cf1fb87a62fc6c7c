"""Expositions are compared by their metrics: an algebra over any registry, in any two formats."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import prometheus_client
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.core import GaugeHistogramMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.cli.comparable import Comparable, comparable
from pytheus.cli.exposition_diff import Change, Difference, FamilyDifference, difference
from pytheus.cli.exposition_source import Exposition
from pytheus.escaping import ESCAPINGS, Escaping
from pytheus.exposition import expose
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family, Sample
from tests.exposition.any_registry import registries
from tests.exposition.conftest import Custom
from tests.exposition.test_formats_roundtrip import OPENMETRICS_TYPE, PROTOBUF_TYPE, TEXT_TYPE, any_registry

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore:counter .* has no suffix")]

FORMATS = (TEXT_TYPE, OPENMETRICS_TYPE, PROTOBUF_TYPE)


def exposition(registry: CollectorRegistry, format_: str = TEXT_TYPE, escaping: Escaping = "underscores") -> Exposition:
    answer = expose(registry, f"{format_};escaping={escaping}")
    return Exposition("test", answer.body, answer.content_type)


def compared(registry: CollectorRegistry, format_: str = TEXT_TYPE, escaping: Escaping = "underscores") -> Comparable:
    return comparable(exposition(registry, format_, escaping))


def of_text(text: str, content_type: str = TEXT_TYPE) -> Comparable:
    return comparable(Exposition("test", text.encode(), content_type))


def mirrored(found: Difference) -> Difference:
    """The difference in the other direction; resets are found in one direction only."""
    return Difference(
        tuple(
            FamilyDifference(
                each.name,
                each.after,
                each.before,
                {part: Change(change.after, change.before) for part, change in each.changes.items()},
                each.came,
                each.went,
                tuple(replace(number, before=number.after, after=number.before) for number in each.numbers),
            )
            for each in found.families
        )
    )


def without_resets(found: Difference) -> str:
    return repr(
        [
            replace(each, numbers=tuple(replace(number, was_reset=False) for number in each.numbers))
            for each in found.families
        ]
    )


# The algebra ----------------------------------------------------------------------------------------------------------


@pytest.mark.property
@settings(max_examples=60)
@any_registry
def test_formats_and_escapings_are_not_differences(case: tuple[CollectorRegistry, Escaping]) -> None:
    registry, escaping = case
    first = compared(registry, TEXT_TYPE, escaping)
    assert difference(first, first, numbers=True) == Difference(())
    for format_ in FORMATS:
        for other in ("allow-utf-8", escaping):
            assert difference(first, compared(registry, format_, other), numbers=True) == Difference(())


@pytest.mark.property
@settings(max_examples=60)
@given(registries("legacy"), registries("legacy"), st.sampled_from(FORMATS), st.sampled_from(FORMATS))
def test_the_other_direction_mirrors_it(
    one: CollectorRegistry, other: CollectorRegistry, format_: str, other_format: str
) -> None:
    before, after = compared(one, format_), compared(other, other_format)
    found = difference(before, after, numbers=True)
    assert without_resets(mirrored(difference(after, before, numbers=True))) == without_resets(found)


@pytest.mark.property
@settings(max_examples=60)
@given(registries("legacy"), registries("legacy"))
def test_it_leads_from_one_to_the_other(one: CollectorRegistry, other: CollectorRegistry) -> None:
    before, after = compared(one), compared(other)
    found = difference(before, after)
    names = set(before.families) - {each.name for each in found.went} | {each.name for each in found.came}
    assert names == set(after.families)
    changed = {each.name: each for each in found.changed}
    for name in before.families.keys() & after.families.keys():
        series = set(before.families[name].series)
        if name in changed:
            series = series - set(changed[name].went) | set(changed[name].came)
        assert series == set(after.families[name].series)


@pytest.mark.property
@settings(max_examples=40)
@given(registries("legacy"), st.randoms(use_true_random=False))
def test_the_order_of_families_and_labels_does_not_matter(registry: CollectorRegistry, chance: random.Random) -> None:
    text = exposition(registry).body.decode()
    blocks: list[list[str]] = []
    for line in text.split("\n")[:-1]:
        if line.startswith("# HELP "):
            blocks.append([])
        blocks[-1].append(line)
    chance.shuffle(blocks)
    for block in blocks:
        samples = block[2:]
        chance.shuffle(samples)
        block[2:] = samples
    shuffled = of_text("".join([f"{line}\n" for block in blocks for line in block]))
    assert difference(of_text(text), shuffled, numbers=True) == Difference(())


# What differs ---------------------------------------------------------------------------------------------------------


def changes(before: str, after: str, content_type: str = TEXT_TYPE) -> dict[str, tuple[object, object]]:
    [family] = difference(of_text(before, content_type), of_text(after, content_type)).families
    assert family.before is not None
    assert family.after is not None
    return {part: (change.before, change.after) for part, change in family.changes.items()}


def test_parts_of_a_definition() -> None:
    assert changes("# TYPE a gauge\na 1\n", "# HELP a A.\n# TYPE a counter\na 1\n") == {
        "type": ("gauge", "counter"),
        "help": ("", "A."),
    }
    before, after = 'a{b="1",c="2"} 1\n', 'a{b="1",d="2"} 1\n'
    assert changes(before, after) == {"labels": (("c",), ("d",))}
    histogram = '# TYPE a histogram\na_bucket{le="%s"} 1\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n'
    assert changes(histogram % "1", histogram % "2.5") == {"buckets": ((1.0,), (2.5,))}
    summary = '# TYPE a summary\na{quantile="%s"} 1\na_sum 1\na_count 1\n'
    assert changes(summary % "0.5", summary % "0.9") == {"quantiles": ((0.5,), (0.9,))}
    unit = "# TYPE a_seconds gauge\n%sa_seconds 1\n# EOF\n"
    assert changes(unit % "", unit % "# UNIT a_seconds seconds\n", OPENMETRICS_TYPE) == {"unit": ("", "seconds")}


def test_native_buckets_that_came() -> None:
    bodies = []
    for native in (False, True):
        registry = CollectorRegistry()
        Histogram("a", "A.", native=native, registry=registry).observe(1)
        bodies.append(compared(registry, PROTOBUF_TYPE))
    [family] = difference(*bodies).families
    assert family.changes["native"] == Change(False, True)


def test_series_that_came_and_went() -> None:
    [family] = difference(of_text('a{b="1"} 1\na{b="2"} 1\n'), of_text('a{b="2"} 5\na{b="3"} 1\n')).families
    assert (family.went, family.came, family.changes) == (((("b", "1"),),), ((("b", "3"),),), {})


def test_numbers() -> None:
    before = of_text('# TYPE a counter\na{b="1"} 5\na{b="2"} NaN\na{b="3"} 1\n# TYPE g gauge\ng 5\n')
    after = of_text('# TYPE a counter\na{b="1"} 2\na{b="2"} NaN\na{b="3"} 1.0\n# TYPE g gauge\ng 3\n')
    assert difference(before, after) == Difference(())
    [counter, gauge] = difference(before, after, numbers=True).families
    [number] = counter.numbers
    assert (number.labels, number.before, number.after) == ((("b", "1"),), 5.0, 2.0)
    assert (number.counts, number.was_reset, number.change) == (True, True, 2.0)
    [number] = gauge.numbers
    assert (number.counts, number.was_reset, number.change) == (False, False, -2.0)


def test_a_sum_may_fall_by_itself() -> None:
    summary = "# TYPE a summary\na_sum %s\na_count %s\n"
    [family] = difference(of_text(summary % (5, 1)), of_text(summary % (3, 2)), numbers=True).families
    assert [(number.point, number.was_reset, number.change) for number in family.numbers] == [
        (("_count", None), False, 1.0),
        (("_sum", None), False, -2.0),
    ]


def test_a_later_start_is_a_reset_though_the_number_is_greater() -> None:
    text = "# TYPE a counter\na_total %s\na_created %s\n# EOF\n"
    before, after = of_text(text % (1, 1000), OPENMETRICS_TYPE), of_text(text % (5, 2000), OPENMETRICS_TYPE)
    [family] = difference(before, after, numbers=True).families
    assert [(number.was_reset, number.change) for number in family.numbers] == [(True, 5.0)]


# Formats --------------------------------------------------------------------------------------------------------------


def one_of_each() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("orders_total", "Orders.", ["method"], registry=registry).labels("card").inc(2)
    Gauge("depth", "Depth.", registry=registry).set(math.inf)
    Histogram("wait_seconds", "Wait.", unit="seconds", registry=registry).observe(1)
    Summary("size_bytes", "Size.", registry=registry).observe(1)
    Info("build", "Build.", registry=registry).info({"version": "1"})
    StateSet("light", "Light.", states=["on", "off"], registry=registry).state("on")
    buckets = [Sample("_bucket", {"le": "1"}, 1.0), Sample("_bucket", {"le": "+Inf"}, 2.0)]
    numbers = [Sample("_gcount", {}, 2.0), Sample("_gsum", {}, 3.0)]
    registry.register(Custom(Family("waiting", "gaugehistogram", "Waiting.", [*buckets, *numbers])))
    sums = [Sample("_count", {}, 2.0), Sample("_sum", {}, -3.0)]
    negative = [Sample("_bucket", {"le": "-1"}, 1.0), Sample("_bucket", {"le": "+Inf"}, 2.0)]
    registry.register(Custom(Family("temperature", "histogram", "Below zero.", [*negative, *sums])))
    return registry


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("other", FORMATS)
def test_each_type_is_the_same_in_all_formats(format_: str, other: str) -> None:
    registry = one_of_each()
    before, after = compared(registry, format_), compared(registry, other)
    assert difference(before, after, numbers=True) == Difference(())
    if format_ != OPENMETRICS_TYPE:  # which shows a histogram of negative values in parts
        assert set(before.families) == {
            "orders_total", "depth", "wait_seconds", "size_bytes", "build_info", "light", "waiting", "temperature",
        }  # fmt: skip


def test_another_library_exposes_the_same_in_both_of_its_formats() -> None:
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Counter("hits", "Hits.", ["a"], registry=registry).labels("x").inc()
    prometheus_client.Info("build", "Build.", registry=registry).info({"version": "1"})
    prometheus_client.Enum("light", "Light.", states=["on", "off"], registry=registry)
    prometheus_client.Histogram("wait_seconds", "Wait.", unit="seconds", registry=registry).observe(1)
    prometheus_client.Summary("size", "Size.", registry=registry).observe(1)
    waiting = GaugeHistogramMetricFamily("waiting", "Waiting.", buckets=[("1", 1), ("+Inf", 2)], gsum_value=3)
    registry.register(Custom(waiting))  # type: ignore[arg-type]  # a collector of either library
    text = of_text(prometheus_client.generate_latest(registry).decode())
    body: bytes = generate_openmetrics(registry)  # type: ignore[no-untyped-call]  # it has no annotations
    open_metrics = of_text(body.decode(), OPENMETRICS_TYPE)
    assert difference(text, open_metrics, numbers=True) == Difference(())
    assert set(text.families) == {"hits_total", "build_info", "light", "wait_seconds", "size", "waiting"}


def test_start_times_are_not_families() -> None:
    text = "# TYPE a counter\na 1\n# TYPE a_created gauge\na_created 5\n# TYPE b_created gauge\nb_created 1\n"
    assert set(of_text(text).families) == {"a", "b_created"}


@pytest.mark.parametrize("escaping", ESCAPINGS)
def test_escaped_names_are_the_same(escaping: Escaping) -> None:
    registry = CollectorRegistry()
    Counter("http.requests_total", "Requests.", ["http.route"], names="utf8", registry=registry).labels("/").inc()
    before = compared(registry, TEXT_TYPE, "allow-utf-8")
    after = compared(registry, TEXT_TYPE, escaping)
    assert difference(before, after) == Difference(())
    assert difference(replace(after, escaping=None), before) == Difference(())


def test_a_name_that_is_really_another_one_differs() -> None:
    declared = f"{TEXT_TYPE};escaping=allow-utf-8"
    before, after = of_text('{"a.b"} 1\n', declared), of_text("a_b 1\n", declared)
    found = difference(before, after)
    assert ([each.name for each in found.went], [each.name for each in found.came]) == (["a.b"], ["a_b"])
