"""Exemplars: checked whole before anything is counted, kept by series and bucket."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import pytest

from pytheus import Counter, Histogram
from pytheus.exceptions import InvalidNameError, LabelError, NotANumberError, OutOfRangeError
from pytheus.metrics import Exemplar, Metric

# Metrics of every type have one name here.
pytestmark = pytest.mark.filterwarnings("ignore:counter .* has no suffix")


def _exemplars(metric: Metric) -> list[Exemplar | None]:
    [family] = metric.collect()
    return [sample.exemplar for sample in family.samples]


def test_a_counter_keeps_the_last_one() -> None:
    hits = Counter("hits_total", "Hits.", registry=None)
    before = time.time()
    hits.inc(1, exemplar={"trace_id": "a"})
    hits.inc(2, exemplar={"trace_id": "b"})
    hits.inc(3)
    [exemplar] = _exemplars(hits)
    assert exemplar is not None
    assert (exemplar.labels, exemplar.value) == ({"trace_id": "b"}, 2.0)
    assert exemplar.timestamp is not None
    assert before <= exemplar.timestamp <= time.time()
    assert hits.value == 6.0


def test_each_series_has_its_own() -> None:
    hits = Counter("hits_total", "Hits.", ["a"], registry=None)
    hits.labels("x").inc(1, {"trace_id": "1"})
    hits.labels("y").inc(1)
    assert [exemplar is None for exemplar in _exemplars(hits)] == [False, True]


def test_a_histogram_keeps_one_for_each_bucket() -> None:
    sizes = Histogram("sizes", "Sizes.", buckets=(1, 2), registry=None)
    sizes.observe(0.5, {"trace_id": "a"})
    sizes.observe(9, exemplar={"trace_id": "b"})
    kept = [exemplar and (dict(exemplar.labels), exemplar.value) for exemplar in _exemplars(sizes)]
    assert kept == [({"trace_id": "a"}, 0.5), None, ({"trace_id": "b"}, 9.0), None, None]


def test_one_of_128_characters_is_kept_and_not_the_callers_mapping() -> None:
    hits = Counter("hits_total", "Hits.", ["a"], default_labels={"a": "x"}, registry=None)
    labels = {"id": "é" * 126}
    hits.inc(2, labels)
    labels["id"] = "b"
    [exemplar] = _exemplars(hits)
    assert exemplar is not None
    assert exemplar.labels == {"id": "é" * 126}
    assert hits.value == 2.0


BAD: list[tuple[Mapping[str, str], type[Exception]]] = [
    ({"id": "x" * 127}, LabelError),
    ({"id": 1.5}, LabelError),  # type: ignore[dict-item]  # a mistake
    ({"id": "\ud800"}, LabelError),
    ({"the id": "x"}, InvalidNameError),
    ({"__id": "x"}, InvalidNameError),
    ({1: "x"}, InvalidNameError),  # type: ignore[dict-item]  # a mistake
    ("id", LabelError),  # type: ignore[list-item]  # a mistake
    ([("id", "x")], LabelError),  # type: ignore[list-item]  # a mistake
]


@pytest.mark.pitfall
@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize(("labels", "error"), BAD, ids=lambda value: f"{value!r:.30}")
def test_a_bad_one_is_refused_and_nothing_is_counted(labels: Mapping[str, str], error: type[Exception]) -> None:
    hits = Counter("hits_total", "Hits.", registry=None)
    sizes = Histogram("sizes", "Sizes.", registry=None)
    with pytest.raises(error):
        hits.inc(1, labels)
    with pytest.raises(error):
        sizes.observe(1, labels)
    assert (hits.value, sizes.count, sizes.sum) == (0.0, 0.0, 0.0)
    assert not any(_exemplars(hits) + _exemplars(sizes))


def test_one_that_lacks_labels_leaves_no_exemplar() -> None:
    hits = Counter("hits_total", "Hits.", ["a"], registry=None)
    with pytest.raises(LabelError):
        hits.inc(1, {"id": "x"})  # type: ignore[pytheus-label]  # on purpose
    assert _exemplars(hits) == []


@pytest.mark.parametrize(
    ("make", "method", "value"),
    [(Counter, "inc", -1), (Counter, "inc", "1"), (Histogram, "observe", float("nan"))],
)
def test_a_refused_number_leaves_no_exemplar(make: Callable[..., Metric], method: str, value: object) -> None:
    metric = make("m", "M.", registry=None)
    with pytest.raises((OutOfRangeError, NotANumberError)):
        getattr(metric, method)(value, {"id": "x"})
    assert not any(_exemplars(metric))


def test_remove_and_clear_take_them_away() -> None:
    hits = Counter("hits_total", "Hits.", ["a"], registry=None)
    hits.labels("x").inc(1, {"id": "1"})
    hits.labels("y").inc(1, {"id": "1"})
    hits.remove("x")
    hits.labels("x")
    assert sorted(exemplar is None for exemplar in _exemplars(hits)) == [False, True]
    hits.clear()
    hits.labels("y")
    assert _exemplars(hits) == [None]


def test_a_handle_on_a_removed_series_keeps_no_exemplars() -> None:
    counter = Counter("x_total", "X.", ["a"], registry=None)
    handle = counter.labels("1")
    counter.remove("1")
    handle.inc(1, {"trace_id": "old"})
    counter.labels("1").inc()
    assert _exemplars(counter) == [None]
