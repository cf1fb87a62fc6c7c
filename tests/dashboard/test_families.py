"""Families without numbers, from a registry and from the text of its scrape."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.compose import labelled
from pytheus.dashboard import FamilyInfo, families_of_exposition, families_of_registry
from pytheus.exposition import expose
from pytheus.native_buckets import NativeHistogram
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family, Sample
from tests.e2e.every_type import every_type

OPENMETRICS = "application/openmetrics-text; version=1.0.0; escaping=allow-utf-8"
TEXT = "text/plain; version=0.0.4"


def scraped(registry: CollectorRegistry, accept: str) -> list[FamilyInfo]:
    body, content_type, *_ = expose(registry, accept)
    return families_of_exposition(body, content_type)


def test_a_registry_tells_of_metrics_without_series(registry: CollectorRegistry) -> None:
    Counter("jobs_total", "Jobs.", ["queue"], registry=registry)
    Histogram("wait_seconds", "Waits.", ["queue", "kind"], buckets=(1, 5), unit="seconds", registry=registry)
    Histogram("size", "Sizes.", native=True, buckets=(), registry=registry)
    Gauge("busy", "Busy.", mode="max", registry=registry)
    assert families_of_registry(registry) == [
        FamilyInfo("jobs_total", "counter", "Jobs.", ("queue",)),
        FamilyInfo("wait_seconds", "histogram", "Waits.", ("queue", "kind"), "seconds", bound=5.0),
        FamilyInfo("size", "histogram", "Sizes.", is_native=True),
        FamilyInfo("busy", "gauge", "Busy.", mode="max"),
    ]


def test_the_names_have_the_prefix_and_the_suffixes_of_samples() -> None:
    registry = CollectorRegistry(prefix="shop")
    Info("build", "Build.", registry=registry)
    StateSet("mode", "Mode.", states=["on", "off"], registry=registry)
    Summary("size_bytes", "Sizes.", registry=registry)
    families = families_of_registry(registry)
    assert [(family.name, family.type, family.labels) for family in families] == [
        ("shop_build_info", "info", ()),
        ("shop_mode", "stateset", ()),
        ("shop_size_bytes", "summary", ()),
    ]


def test_labels_of_a_layer_are_labels_of_the_family(registry: CollectorRegistry) -> None:
    Counter("jobs_total", "Jobs.", ["queue"], registry=registry)
    assert families_of_registry(labelled(registry, region="eu"))[0].labels == ("queue", "region")


def test_a_family_has_nothing_that_is_not_said() -> None:
    assert FamilyInfo("a", "gauge", "")[3:] == ((), "", "", None, False, False)


class Native:
    def collect(self) -> Iterator[Family]:
        native = NativeHistogram(0, 1e-3, 0, {1: 2}, {})
        yield Family("wait", "histogram", "", [Sample("_sum", {}, 3.0), Sample("_count", {}, 2.0, native=native)])
        yield Family("size", "summary", "", [Sample("_sum", {}, 3.0), Sample("_count", {}, 2.0)])
        yield Family("level", "gauge", "", [Sample("", {}, 3.0)])


def test_families_of_a_custom_collector_have_what_their_samples_have(registry: CollectorRegistry) -> None:
    registry.register(Native())
    families = families_of_registry(registry)
    assert [family.name for family in families if family.is_native] == ["wait"]
    assert [family.name for family in families if family.has_quantiles] == []


def test_a_family_without_a_type_is_unknown() -> None:
    text = "# TYPE a_info gauge\na_info 2\n# TYPE b untyped\nb 1\n"
    assert [family.type for family in families_of_exposition(text)] == ["gauge", "unknown"]


class Quantiles:
    def collect(self) -> Iterator[Family]:
        samples = [Sample("", {"quantile": "0.5", "a": "1"}, 3.0), Sample("_sum", {"a": "1"}, 7.0)]
        samples.append(Sample("_count", {"a": "1"}, 2.0))
        yield Family("age_seconds", "summary", "Ages.", samples)


@pytest.mark.parametrize("accept", [OPENMETRICS, TEXT])
def test_a_summary_with_quantiles_says_so(registry: CollectorRegistry, accept: str) -> None:
    registry.register(Quantiles())
    expected = [FamilyInfo("age_seconds", "summary", "Ages.", ("a",), has_quantiles=True)]
    assert families_of_registry(registry) == scraped(registry, accept) == expected


@pytest.mark.parametrize("accept", [OPENMETRICS, TEXT])
@pytest.mark.filterwarnings("ignore:counter .* has no suffix")
def test_a_scrape_tells_the_same_as_the_registry_where_its_format_can(accept: str) -> None:
    registry, _ = every_type()
    known = {family.name: family for family in families_of_registry(registry)}
    given = {family.name: family for family in scraped(registry, accept)}
    if accept == OPENMETRICS:
        # A counter without the suffix, and sums of negative observations, have no type there.
        assert given.pop("shop_visits").type == "unknown"
        assert known.pop("shop_visits").type == "counter"
        assert [given.pop(f"shop_changes_{end}").type for end in ("bucket", "sum", "count")] == ["unknown"] * 3
        del known["shop_changes"]
    else:
        # It has legacy names alone.
        del known["shop_http.requests_total"], given["shop_http_requests_total"]
    assert list(given) == list(known)
    for name, family in known.items():
        assert given[name].type == family.type
        assert given[name].description == family.description
        assert set(family.labels) <= set(given[name].labels), name
        assert given[name].bound == family.bound or family.is_native


def test_created_lines_are_no_samples_of_their_family() -> None:
    text = "# TYPE hits counter\nhits_created 5.0\nhits_total 3.0\n# EOF\n"
    assert families_of_exposition(text, "application/openmetrics-text")[0].name == "hits_total"


def test_text_that_is_not_an_exposition_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 1"):
        families_of_exposition("<html>\n")
