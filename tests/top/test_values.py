"""Samples grouped to series."""

from __future__ import annotations

import math

import pytest

from pytheus.testing import parse_exposition
from pytheus.top.values import Distribution, FamilyInfo, Series, Value, shapes_of


def values_of(text: str, content_type: str = "text/plain") -> dict[Series, Value]:
    found: dict[Series, Value] = {}
    for family in parse_exposition(text, content_type, strict=False).values():
        numbers = [sample.value for sample in family.samples]
        for shape in shapes_of(FamilyInfo(family.name, family.type), family):
            found[shape.series] = shape.value(numbers, family.samples)
    return found


def test_a_histogram_is_one_series_for_each_set_of_labels() -> None:
    text = (
        "# TYPE h histogram\n"
        'h_bucket{a="1",le="2.0"} 1\nh_bucket{a="1",le="+Inf"} 3\nh_sum{a="1"} 9\nh_count{a="1"} 3\n'
        'h_bucket{a="2",le="+Inf"} 0\nh_sum{a="2"} 0\nh_count{a="2"} 0\n'
    )
    assert values_of(text) == {
        Series("h", "h", (("a", "1"),)): Distribution(3.0, 9.0, (2.0, math.inf), (1.0, 3.0)),
        Series("h", "h", (("a", "2"),)): Distribution(0.0, 0.0, (math.inf,), (0.0,)),
    }


def test_buckets_are_ordered_by_their_bounds_and_give_the_count_where_there_is_none() -> None:
    text = '# TYPE h histogram\nh_bucket{le="+Inf"} 3\nh_bucket{le="10.0"} 2\nh_bucket{le="2.0"} 1\n'
    [value] = values_of(text).values()
    assert isinstance(value, Distribution)
    assert (value.bounds, value.counts, value.observations) == ((2.0, 10.0, math.inf), (1.0, 2.0, 3.0), 3.0)


def test_created_samples_are_not_series() -> None:
    text = (
        "# TYPE hits counter\nhits_total 3\nhits_created 1e9\n"
        "# TYPE s summary\ns_sum 1\ns_count 2\ns_created 1e9\n# EOF\n"
    )
    assert values_of(text, "application/openmetrics-text") == {
        Series("hits", "hits_total", ()): 3.0,
        Series("s", "s", ()): Distribution(2.0, 1.0),
    }


@pytest.mark.parametrize("bound", ["", "x", "NaN"])
def test_a_bucket_without_a_number_is_shown_as_it_is(bound: str) -> None:
    text = f'# TYPE h histogram\nh_bucket{{le="{bound}"}} 3\nh_count 3\n'
    assert values_of(text) == {
        Series("h", "h_bucket", (("le", bound),)): 3.0,
        Series("h", "h", ()): Distribution(3.0),
    }


def test_samples_without_a_type_are_numbers() -> None:
    assert values_of('x_bucket{le="1"} 3\nx_count 4\n') == {
        Series("x_bucket", "x_bucket", (("le", "1"),)): 3.0,
        Series("x_count", "x_count", ()): 4.0,
    }
