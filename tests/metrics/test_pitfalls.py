"""Defects of peers in labels and values, none of which may recur here; one test, or more, for each."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Iterator

import pytest

from pytheus import Counter, Gauge, Histogram, generate_metrics
from pytheus.exceptions import BucketError, InvalidNameError, LabelError, NotANumberError, OutOfRangeError, PytheusError
from pytheus.registry import CollectorRegistry

pytestmark = pytest.mark.pitfall


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def _switching() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def _series(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_metrics(registry).splitlines() if not line.startswith("#")]


def test_with_two_default_labels_data_goes_to_the_right_series(registry: CollectorRegistry) -> None:
    metric = Counter("x", "X.", ["a", "b"], default_labels={"a": "1", "b": "2"}, registry=registry)
    metric.labels(a="x").inc()
    metric.labels(b="x").inc(2)
    assert _series(registry) == ['x{a="x",b="2"} 1.0', 'x{a="1",b="x"} 2.0']


def test_an_explicit_value_equal_to_the_default_makes_no_second_series(registry: CollectorRegistry) -> None:
    metric = Counter("x", "X.", ["a"], default_labels={"a": "1"}, registry=registry)
    metric.inc()
    metric.labels(a="1").inc()
    assert _series(registry) == ['x{a="1"} 2.0']


def test_changing_the_callers_dict_renames_no_series(registry: CollectorRegistry) -> None:
    metric = Counter("x", "X.", ["a"], registry=registry)
    labels = {"a": "1"}
    series = metric.labels(labels)
    labels["a"] = "2"
    series.inc()
    assert _series(registry) == ['x{a="1"} 1.0']


def test_a_string_is_not_taken_apart_into_labels(registry: CollectorRegistry) -> None:
    with pytest.raises(InvalidNameError, match=r"plain string 'abc'; write \('abc',\)"):
        Counter("x", "X.", "abc", registry=registry)  # type: ignore[pytheus-name]  # on purpose
    assert "x" not in registry


@pytest.mark.parametrize("value", [1, 1.5, None, True, b"x", ["x"], ...], ids=repr)
def test_a_label_value_that_is_no_string_never_reaches_a_scrape(registry: CollectorRegistry, value: str) -> None:
    metric = Counter("x", "X.", ["a"], registry=registry)
    with pytest.raises(LabelError):
        metric.labels(a=value)
    with pytest.raises(LabelError):
        metric.labels(value)
    with pytest.raises(LabelError):
        metric.labels({"a": value})
    assert _series(registry) == []


def test_true_is_written_as_a_number(registry: CollectorRegistry) -> None:
    Gauge("x", "X.", registry=registry).set(True)
    assert _series(registry) == ["x 1.0"]


def test_text_cannot_be_set(registry: CollectorRegistry) -> None:
    gauge = Gauge("x", "X.", registry=registry)
    with pytest.raises(NotANumberError):
        gauge.set("abc")  # type: ignore[arg-type]  # the very thing that is tested
    assert _series(registry) == ["x 0.0"]


def test_a_counter_takes_no_nan(registry: CollectorRegistry) -> None:
    counter = Counter("x", "X.", registry=registry)
    with pytest.raises(OutOfRangeError):
        counter.inc(math.nan)
    assert _series(registry) == ["x 0.0"]


def test_duplicate_bucket_bounds_are_refused() -> None:
    with pytest.raises(BucketError, match="twice"):
        Histogram("x", "X.", buckets=(1, 2, 2.0), registry=None)


def test_duplicate_label_names_are_refused() -> None:
    with pytest.raises(InvalidNameError, match="twice"):
        Counter("x", "X.", ["a", "a"], registry=None)  # type: ignore[pytheus-name]  # on purpose


def test_positional_values_match_the_declared_order(registry: CollectorRegistry) -> None:
    Counter("x", "X.", ["zone", "app"], registry=registry).labels("z", "a").inc()
    assert _series(registry) == ['x{zone="z",app="a"} 1.0']


@pytest.mark.usefixtures("_switching")
def test_no_increment_is_lost_when_children_are_made_at_once(registry: CollectorRegistry) -> None:
    metric = Counter("x", "X.", ["a"], registry=registry)
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait(60)
        for number in range(300):
            metric.labels(a=str(number)).inc()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(_series(registry)) == sorted(f'x{{a="{number}"}} 8.0' for number in range(300))


@pytest.mark.parametrize("exemplar", [{"id": "x" * 200}, {"a-b": "1"}, {"id": 1}], ids=["too long", "name", "value"])
def test_an_invalid_exemplar_raises_before_anything_is_counted(exemplar: dict[str, str]) -> None:
    counter = Counter("x", "X.", registry=None)
    histogram = Histogram("h", "H.", registry=None)
    with pytest.raises(PytheusError):
        counter.inc(1, exemplar)
    with pytest.raises(PytheusError):
        histogram.observe(1, exemplar)
    assert (counter.value, histogram.count) == (0.0, 0.0)


@pytest.mark.usefixtures("_switching")
def test_a_histogram_that_is_read_while_it_is_written_is_not_torn(registry: CollectorRegistry) -> None:
    histogram = Histogram("h", "H.", buckets=(1, 2, 3), registry=registry)
    done = threading.Event()

    def write() -> None:
        for _ in range(4000):
            histogram.observe(2.5)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        values = {name: float(value) for name, _, value in (line.rpartition(" ") for line in _series(registry))}
        assert values['h_bucket{le="3.0"}'] == values['h_bucket{le="+Inf"}'] == values["h_count"]
        assert values["h_sum"] == 2.5 * values["h_count"]
    writer.join()
