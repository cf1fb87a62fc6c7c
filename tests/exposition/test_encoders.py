"""A format beside the text format, over the same scrape: collectors with rows by their rows, others by families."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytheus import Counter, Gauge, Histogram, Summary
from pytheus.definitions import Definition
from pytheus.exceptions import CollectorError
from pytheus.exposition.checked import CheckedFamily
from pytheus.exposition.walk import scrape
from pytheus.metrics import Family, Sample
from pytheus.registry import Collector, CollectorRegistry
from pytheus.registry.capabilities import HasRows
from pytheus.samples import Row
from tests.exposition.conftest import Custom


class RowEncoder:
    """Encodes each number of a row, and each sample, as bytes."""

    def supports(self, collector: Collector, /) -> bool:
        return isinstance(collector, HasRows)

    def encode_collector(self, collector: HasRows, definition: Definition, lead: str, /) -> Iterator[bytes]:
        collector.refresh()
        for row in collector.rows():
            yield f"{lead}{definition.name} {'/'.join(row.labels)} {row.numbers}".encode()

    def encode_family(self, family: CheckedFamily, /) -> bytes:
        return f"{family.name} {[(sample.labels, sample.value) for sample in family.samples]}".encode()

    def encode_end(self) -> tuple[bytes, ...]:
        return ()


class Rows:
    """A collector that has rows and no lines of the text format."""

    definition = Definition("rows", "gauge", "Rows.", ("a",))

    def collect(self) -> Iterator[Family]:
        raise AssertionError("its rows are read")

    def rows(self) -> list[Row]:
        return [Row(("x",), [7.0])]

    def refresh(self) -> None: ...


def test_metrics_and_others_with_rows_are_encoded_by_their_rows(registry: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", ["code"], registry=registry).labels("200").inc(3)
    sizes = Histogram("sizes", "Sizes.", buckets=(1, 2), registry=registry)
    sizes.observe(1.5)
    registry.register(Rows())
    assert scrape(registry, RowEncoder()) == [b"hits_total 200 [3.0]", b"sizes  [1.5, 0.0, 1.0, 0.0]", b"rows x [7.0]"]


def test_the_prefix_is_passed_for_both(registry: CollectorRegistry) -> None:
    registry.prefix = "shop"
    Summary("sizes", "Sizes.", registry=registry)
    registry.register(Custom(Family("q", "gauge", "Q.", [Sample("", {"a": "x"}, 2)])))
    assert scrape(registry, RowEncoder()) == [b"shop_sizes  [0.0, 0.0]", b"shop_q [({'a': 'x'}, 2.0)]"]


def test_metrics_in_a_custom_collector_are_encoded_by_their_rows(registry: CollectorRegistry) -> None:
    level = Gauge("level", "Level.", registry=None)
    level.set(2)
    registry.register(Custom(Custom(level)))
    assert scrape(registry, RowEncoder()) == [b"level  [2.0]"]


def test_a_collector_that_fails_is_left_out_and_counted(registry: CollectorRegistry) -> None:
    def fail() -> float:
        raise OSError("sensor lost")

    Gauge("bad", "Bad.", registry=registry).set_function(fail)
    Gauge("good", "Good.", registry=registry)
    assert scrape(registry, RowEncoder()) == [b"good  [0.0]", b"pytheus_collector_errors_total bad [1.0]"]
    with pytest.raises(CollectorError, match="sensor lost"):
        scrape(registry, RowEncoder(), strict=True)


def test_a_family_that_cannot_be_exposed_reaches_no_encoder(registry: CollectorRegistry) -> None:
    registry.register(Custom(Family("q", "gauge", "Q.", [Sample("_bucket", {}, 2)])))
    assert scrape(registry, RowEncoder()) == [b"pytheus_collector_errors_total Custom [1.0]"]


def test_a_checked_family_has_exact_texts_and_numbers(registry: CollectorRegistry) -> None:
    class Text(str):
        pass

    checked: list[CheckedFamily] = []

    class Keeping(RowEncoder):
        def encode_family(self, family: CheckedFamily, /) -> bytes:
            checked.append(family)
            return b""

        def encode_end(self) -> tuple[bytes, ...]:
            return ()

    registry.register(Custom(Family("q", "gauge", Text("Q."), [Sample("", {Text("a"): Text("x")}, True, 3)])))
    scrape(registry, Keeping())
    [family] = checked
    [sample] = family.samples
    [(name, value)] = sample.labels.items()
    assert (family.description, name, value, sample.value, sample.timestamp) == ("Q.", "a", "x", 1.0, 3.0)
    assert {type(text) for text in (family.description, name, value)} == {str}
    assert {type(number) for number in (sample.value, sample.timestamp)} == {float}
