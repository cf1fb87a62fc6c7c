"""Numbers that the text format must show again, and samples that it has no suffix for."""

from __future__ import annotations

import shutil
import subprocess
from array import array
from collections.abc import Mapping
from typing import cast

import pytest

from pytheus import Gauge, Histogram, generate_metrics
from pytheus.kinds import GaugeMode
from pytheus.metrics import Exemplar, Family, Sample
from pytheus.registry import CollectorRegistry, FloatBuffer
from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry
from tests.exposition.conftest import Custom


@pytest.mark.parametrize("values", [[0.0, -0.0, 0.0], [-0.0, 0.0], [1.0, -0.0, 0.0, -0.0]], ids=str)
def test_zeros_of_both_signs_are_told_apart_from_the_scrape_before(
    registry: CollectorRegistry, values: list[float]
) -> None:
    level = Gauge("level", "Level.", registry=registry)
    by_function = Gauge("by_function", "By function.", ["a"], registry=registry)
    for value in values:
        level.set(value)
        by_function.labels("x").set_function(lambda value=value: value)  # type: ignore[misc]  # bound now
        lines = generate_metrics(registry).splitlines()
        assert lines[2] == f"level {value!r}"
        assert lines[5] == f'by_function{{a="x"}} {value!r}'


@pytest.mark.parametrize("mode", ["sum", "max", "last"])
def test_zeros_of_both_signs_are_told_apart_where_processes_are_merged(mode: GaugeMode) -> None:
    registry = ShardedRegistry(MemoryShardStore(MemoryBackend()))
    levels = Gauge("level", "Level.", ["a"], mode=mode, registry=registry)
    levels.labels("y").set(3)
    for value in (0.0, 1.0, 0.0):
        levels.labels("x").set(value)
        before = generate_metrics(registry)
        assert f'level{{a="x"}} {value!r}\n' in before
        levels.labels("x").set(-value)
        after = generate_metrics(registry)
        # A sum begins with 0.0, so that of -0.0 alone may be either.
        shown = [repr(-value)] if mode != "sum" or value else ["0.0", "-0.0"]
        assert any(f'level{{a="x"}} {text}\n' in after for text in shown)


def test_numbers_of_another_place_with_the_same_count_and_sum_are_shown(registry: CollectorRegistry) -> None:
    class Storage:
        def buffer(self, labels: tuple[str, ...], numbers: array[float], created: float = 0.0, /) -> FloatBuffer:
            return cast(FloatBuffer, memoryview(array("d", [4.0, 0.0, 2.0])))

        def release(self, labels: tuple[str, ...], /) -> None: ...
        def set_info(self, labels: tuple[str, ...], info: Mapping[str, str], /) -> None: ...
        def set_exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None: ...

    sizes = Histogram("sizes", "Sizes.", buckets=[1], registry=registry)
    sizes.observe_many([1, 3])
    assert 'sizes_bucket{le="1.0"} 1.0' in generate_metrics(registry)
    sizes.attach_storage(Storage(), carry=False)
    assert 'sizes_bucket{le="1.0"} 0.0' in generate_metrics(registry)


# Suffixes that this format does not have ------------------------------------------------------------------------------

CREATED: list[tuple[Family, list[str]]] = [
    (
        Family("x", "counter", "X.", [Sample("_created", {}, 123.0)]),
        ["# HELP x_created X.", "# TYPE x_created gauge", "x_created 123.0"],
    ),
    (
        Family(
            "x",
            "counter",
            "X.",
            [
                Sample("_total", {"a": "1"}, 2),
                Sample("_created", {"a": "1"}, 5),
                Sample("_total", {"a": "2"}, 3),
                Sample("_created", {"a": "2"}, 6),
            ],
        ),
        [
            "# HELP x_total X.",
            "# TYPE x_total counter",
            'x_total{a="1"} 2.0',
            'x_total{a="2"} 3.0',
            "# HELP x_created X.",
            "# TYPE x_created gauge",
            'x_created{a="1"} 5.0',
            'x_created{a="2"} 6.0',
        ],
    ),
    (
        Family("x_total", "counter", "X.", [Sample("", {}, 2), Sample("_created", {}, 5)]),
        [
            "# HELP x_total X.",
            "# TYPE x_total counter",
            "x_total 2.0",
            "# HELP x_created X.",
            "# TYPE x_created gauge",
            "x_created 5.0",
        ],
    ),
    (
        Family("x", "summary", "X.", [Sample("_created", {}, 5), Sample("_sum", {}, 1), Sample("_count", {}, 1)]),
        [
            "# HELP x_created X.",
            "# TYPE x_created gauge",
            "x_created 5.0",
            "# HELP x X.",
            "# TYPE x summary",
            "x_sum 1.0",
            "x_count 1.0",
        ],
    ),
    (
        Family("x", "histogram", "X.", [Sample("_bucket", {"le": "+Inf"}, 1), Sample("_created", {}, 5)]),
        [
            "# HELP x X.",
            "# TYPE x histogram",
            'x_bucket{le="+Inf"} 1.0',
            "# HELP x_created X.",
            "# TYPE x_created gauge",
            "x_created 5.0",
        ],
    ),
]


@pytest.mark.parametrize(("family", "lines"), CREATED)
def test_times_of_creation_are_a_gauge_family_of_their_own(
    registry: CollectorRegistry, family: Family, lines: list[str]
) -> None:
    registry.register(Custom(family))
    assert generate_metrics(registry).splitlines() == lines
    if shutil.which("promtool"):
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=generate_metrics(registry), capture_output=True, text=True
        )
        assert "error while linting" not in checked.stderr
