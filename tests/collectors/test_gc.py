"""The gc collector, against the interpreter's own statistics."""

from __future__ import annotations

import gc

from pytheus.collectors import GCCollector


def collected(name: str) -> dict[str, float]:
    """The values of family `name` by generation."""
    [family] = [family for family in GCCollector().collect() if family.name == name]
    return {sample.labels["generation"]: sample.value for sample in family.samples}


def test_each_generation_has_its_series() -> None:
    expected = {str(generation) for generation in range(len(gc.get_stats()))}

    for name in (
        "python_gc_objects_collected_total",
        "python_gc_objects_uncollectable_total",
        "python_gc_collections_total",
    ):
        assert collected(name).keys() == expected


def test_a_collection_is_counted() -> None:
    before = collected("python_gc_collections_total")["2"]

    gc.collect()

    assert collected("python_gc_collections_total")["2"] >= before + 1


def test_collected_objects_are_counted() -> None:
    before = sum(collected("python_gc_objects_collected_total").values())
    cycles: list[list[object]] = [[] for _ in range(100)]
    for cycle in cycles:
        cycle.append(cycles)
    cycle, cycles = [], []

    gc.collect()

    assert sum(collected("python_gc_objects_collected_total").values()) >= before + 100


def test_reading_does_not_collect() -> None:
    gc.disable()
    try:
        before = gc.get_stats()[2]["collections"]
        list(GCCollector().collect())
        assert gc.get_stats()[2]["collections"] == before
    finally:
        gc.enable()
