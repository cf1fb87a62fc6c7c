"""Series that are made ahead of time, so that a rate starts at zero."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus.exceptions import LabelError
from pytheus.metrics import Metric
from pytheus.registry import CollectorRegistry
from tests.metrics.conftest import Arena

# Metrics of every type have one name here.
pytestmark = pytest.mark.filterwarnings("ignore:counter .* has no suffix")


@pytest.mark.parametrize(
    ("labels_from", "series"),
    [
        pytest.param({"code": ["200"], "zone": ["eu"]}, [("200", "eu")], id="one"),
        pytest.param(
            {"zone": ["eu", "us"], "code": ["1", "2"]},
            [("1", "eu"), ("1", "us"), ("2", "eu"), ("2", "us")],
            id="every combination",
        ),
        pytest.param({"code": ["200"]}, [("200", "default")], id="default labels complete them"),
        pytest.param({"code": ["200", "200"]}, [("200", "default")], id="given twice"),
        pytest.param({"code": (str(n) for n in (1, 2))}, [("1", "default"), ("2", "default")], id="any iterable"),
        pytest.param({"code": []}, [], id="no values"),
    ],
)
def test_series_are_there_at_zero(
    registry: CollectorRegistry, labels_from: Mapping[str, Iterable[str]], series: list[tuple[str, str]]
) -> None:
    Counter(
        "hits_total",
        "Hits.",
        ["code", "zone"],
        default_labels={"zone": "default"},
        labels_from=labels_from,
        registry=registry,
    )
    assert sorted(generate_metrics(registry).splitlines()[2:]) == [
        f'hits_total{{code="{code}",zone="{zone}"}} 0.0' for code, zone in series
    ]


def test_they_are_back_after_clear(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", ["code"], labels_from={"code": ["200"]}, registry=registry)
    hits.labels("200").inc(5)
    hits.labels("404").inc()
    hits.clear()
    assert generate_metrics(registry).splitlines()[2:] == ['hits_total{code="200"} 0.0']


def test_they_are_the_series_that_labels_gives_and_others_can_be_added(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", ["code"], labels_from={"code": ["200"]}, registry=registry)
    hits.labels("200").inc()
    hits.labels("404").inc()
    assert generate_metrics(registry).splitlines()[2:] == ['hits_total{code="200"} 1.0', 'hits_total{code="404"} 1.0']


def test_a_second_definition_adds_its_own(registry: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", ["code"], labels_from={"code": ["200"]}, registry=registry).labels("200").inc()
    Counter("hits_total", "Hits.", ["code"], labels_from={"code": ["200", "500"]}, registry=registry)
    assert generate_metrics(registry).splitlines()[2:] == ['hits_total{code="200"} 1.0', 'hits_total{code="500"} 0.0']


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize(
    "labels_from",
    [{"zone": ["eu"]}, {}, {"code": "200"}, {"code": b"200"}, {"code": [2.5]}, {"code": 3}, ["code"], "code"],
    ids=repr,
)
def test_what_does_not_fit_is_refused_and_nothing_is_registered(
    registry: CollectorRegistry, labels_from: Mapping[str, Iterable[str]]
) -> None:
    with pytest.raises(LabelError):
        Counter("hits_total", "Hits.", ["code"], labels_from=labels_from, registry=registry)
    assert "hits_total" not in registry


@pytest.mark.parametrize(("make", "lines"), [(Gauge, 1), (Summary, 2), (partial(Histogram, buckets=(1,)), 4)])
def test_every_type_takes_them(registry: CollectorRegistry, make: Callable[..., Metric], lines: int) -> None:
    make("m", "M.", ["a"], labels_from={"a": ["x"]}, registry=registry)
    assert len(generate_metrics(registry).splitlines()) == 2 + lines


_DEFAULTS = {"zone": "eu", "code": 200}

EVERY_TYPE: list[tuple[Callable[..., Metric], list[str]]] = [
    (Counter, ['m{zone="eu",code="200"} 0.0']),
    (Gauge, ['m{zone="eu",code="200"} 0.0']),
    (Summary, ['m_sum{zone="eu",code="200"} 0.0', 'm_count{zone="eu",code="200"} 0.0']),
    (
        partial(Histogram, buckets=(1,)),
        [
            'm_bucket{zone="eu",code="200",le="1.0"} 0.0',
            'm_bucket{zone="eu",code="200",le="+Inf"} 0.0',
            'm_sum{zone="eu",code="200"} 0.0',
            'm_count{zone="eu",code="200"} 0.0',
        ],
    ),
    (partial(StateSet, states=["on"]), ['m{zone="eu",code="200",m="on"} 0.0']),
    (Info, []),
]


@pytest.mark.parametrize(("make", "lines"), EVERY_TYPE)
def test_complete_default_labels_make_the_series_at_once(
    registry: CollectorRegistry, make: Callable[..., Metric], lines: list[str]
) -> None:
    metric = make("m", "M.", ["zone", "code"], default_labels=_DEFAULTS, registry=registry)
    assert [line for line in generate_metrics(registry).splitlines() if line[0] != "#"] == lines
    assert metric.series_count == 1
    metric.clear()
    assert metric.series_count == 1


def test_the_defaults_of_a_class_of_labels_make_it_too_and_of_each_definition(registry: CollectorRegistry) -> None:
    class Labels(NamedTuple):
        zone: str = "eu"

    Counter("hits_total", "Hits.", labels=Labels, registry=registry)
    Counter("hits_total", "Hits.", ["zone"], default_labels={"zone": "us"}, registry=registry)
    assert generate_metrics(registry).splitlines()[2:] == ['hits_total{zone="eu"} 0.0', 'hits_total{zone="us"} 0.0']


def test_a_handle_that_the_defaults_complete_makes_its_series(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", ["zone", "code"], default_labels={"code": "200"}, registry=registry)
    hits.labels(zone="eu")
    assert generate_metrics(registry).splitlines()[2:] == ['hits_total{zone="eu",code="200"} 0.0']


def test_in_a_storage_too(arena: Arena) -> None:
    level = Gauge("level", "Level.", ["zone"], default_labels={"zone": "eu"}, registry=None)
    level.attach_storage(arena)
    assert arena[("eu",)] == [0.0]
