"""The families of a scrape, for formats of plugins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytheus import Counter, CustomCollector, Gauge, Histogram, Info, generate_metrics
from pytheus.exceptions import CollectorError
from pytheus.exposition import CheckedFamily, RenderRequest, scrape_families
from pytheus.metrics import Family
from pytheus.registry import CollectorRegistry, report_failed_series
from pytheus.testing import parse_exposition


class Broken(CustomCollector):
    def collect(self) -> Iterator[Family]:
        raise OSError("no answer")


class Disks(CustomCollector):
    def collect(self) -> list[Family]:
        try:
            raise OSError("no answer")
        except OSError as error:
            if not report_failed_series(self, ("b",), error):
                raise
        return [Family.of("disk_free_bytes", "gauge", "Free.", {"a": 5}, ["disk"])]


def names(families: list[CheckedFamily]) -> list[str]:
    return [family.name for family in families]


def test_its_samples_are_those_of_the_text_format() -> None:
    registry = CollectorRegistry(prefix="shop")
    Counter("orders_total", "Orders.", ["code"], registry=registry).labels("a\nb").inc(2)
    Histogram("wait_seconds", "Wait.", registry=registry).observe(0.3)
    Info("build", "Build.", registry=registry).info({"version": "1"})
    found = {
        (family.sample_name(sample), tuple(sample.labels.items())): sample.value
        for family in scrape_families(registry, strict=True)
        for sample in family.samples
    }
    shown = {
        (sample.name, sample.labels): sample.value
        for family in parse_exposition(generate_metrics(registry)).values()
        for sample in family.samples
    }
    assert found == shown
    assert ("shop_build_info", (("version", "1"),)) in found


def test_a_request_selects_and_escapes_names() -> None:
    registry = CollectorRegistry()
    Gauge("größe", "Size.", names="utf8", registry=registry).set(1)
    Gauge("depth", "Depth.", registry=registry).set(1)
    assert names(scrape_families(registry)) == ["gr__e", "depth"]
    assert names(scrape_families(registry, RenderRequest("allow-utf-8"))) == ["größe", "depth"]
    assert names(scrape_families(registry, RenderRequest(names=frozenset({"depth"})))) == ["depth"]


def test_a_collector_that_fails_is_counted_in_the_last_family() -> None:
    registry = CollectorRegistry()
    registry.register(Broken())
    Gauge("depth", "Depth.", registry=registry).set(1)
    families = scrape_families(registry)
    assert names(families) == ["depth", "pytheus_collector_errors_total"]
    assert families[-1].samples[0].labels == {"collector": "Broken"}
    with pytest.raises(CollectorError, match="no answer"):
        scrape_families(registry, strict=True)


def test_a_part_that_a_collector_leaves_out_is_counted_and_the_rest_is_exposed() -> None:
    registry = CollectorRegistry()
    registry.register(Disks())
    text = generate_metrics(registry)
    assert 'disk_free_bytes{disk="a"} 5.0' in text
    assert 'pytheus_collector_errors_total{collector="Disks"} 1.0' in text
    with pytest.raises(OSError, match="no answer"):
        Disks().collect()
