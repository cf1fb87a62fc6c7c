"""`assert_increments`, `assert_exposition` and `sample_value`."""

from __future__ import annotations

import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import pytest

from pytheus import Counter, Gauge, Histogram, Summary, generate_metrics
from pytheus.exceptions import CollectorError, LabelError
from pytheus.registry import Collector, CollectorRegistry
from pytheus.samples import Family
from pytheus.testing import assert_exposition, assert_increments, sample_value


@pytest.fixture
def orders() -> Counter:
    return Counter("orders_total", "Orders.", ["method", "country"], registry=None)


def test_an_increment_of_one_is_the_default() -> None:
    counter = Counter("hits_total", "Hits.", registry=None)
    counter.inc(5)
    with assert_increments(counter):
        counter.inc()


def test_fractions_may_be_rounded() -> None:
    counter = Counter("busy_seconds_total", "Busy.", registry=None)
    counter.inc(5)
    with assert_increments(counter, by=0.3):
        for _ in range(3):
            counter.inc(0.1)


@pytest.mark.parametrize(("by", "counted"), [(2, 1), (1234567891, 1234567890)])
def test_too_little_fails(by: int, counted: int) -> None:
    counter = Counter("hits_total", "Hits.", registry=None)
    with (
        pytest.raises(AssertionError, match=rf"^counter 'hits_total' was to grow by {by} but grew by {counted}$"),
        assert_increments(counter, by=by),
    ):
        counter.inc(counted)


def test_what_must_not_be_counted_fails(orders: Counter) -> None:
    with (
        pytest.raises(AssertionError, match=r"by 0 but grew by 1: \{'method': 'card', 'country': 'at'\} by 1"),
        assert_increments(orders, by=0),
    ):
        orders.labels("card", "at").inc()


def test_only_the_series_with_the_labels_count(orders: Counter) -> None:
    orders.labels("card", "at").inc()
    with assert_increments(orders, by=3, labels={"method": "card"}):
        orders.labels("card", "at").inc()
        orders.labels("card", "fr").inc(2)
        orders.labels("cash", "fr").inc(7)


def test_no_series_is_made(orders: Counter) -> None:
    with assert_increments(orders, by=0, labels={"method": "card", "country": "at"}):
        pass
    assert next(orders.collect()).samples == ()


def test_a_label_that_there_is_not_is_refused_before_the_block(orders: Counter) -> None:
    with pytest.raises(LabelError, match="takes labels"), assert_increments(orders, labels={"methd": "card"}):
        pytest.fail("the block ran")


def test_an_error_of_the_block_passes_through(orders: Counter) -> None:
    with pytest.raises(ZeroDivisionError), assert_increments(orders):
        raise ZeroDivisionError


@pytest.fixture
def shop() -> CollectorRegistry:
    registry = CollectorRegistry(prefix="shop")
    Counter("orders_total", "Orders.", registry=registry).inc()
    Gauge("carts", "Carts.", registry=registry)
    return registry


def test_the_same_text_passes(shop: CollectorRegistry) -> None:
    assert_exposition(
        shop,
        """
        # HELP shop_orders_total Orders.
        # TYPE shop_orders_total counter
        shop_orders_total 1.0
        # HELP shop_carts Carts.
        # TYPE shop_carts gauge
        shop_carts 0.0
        """,
    )


def test_a_difference_is_shown_as_a_diff(shop: CollectorRegistry) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_exposition(
            shop,
            """
            # HELP shop_carts Carts.
            # TYPE shop_carts gauge
            shop_carts 3.0
            """,
            names=["shop_carts"],
        )
    assert str(caught.value).splitlines()[-5:] == [
        "@@ -1,3 +1,3 @@",
        " # HELP shop_carts Carts.",
        " # TYPE shop_carts gauge",
        "-shop_carts 3.0",
        "+shop_carts 0.0",
    ]


def test_nothing_is_an_expectation_too() -> None:
    assert_exposition(CollectorRegistry(), "")


def test_a_collector_that_raises_fails_it() -> None:
    class Raising:
        def collect(self) -> list[Family | Collector]:
            raise ConnectionError("away")

    registry = CollectorRegistry()
    registry.register(Raising())
    with pytest.raises(CollectorError):
        assert_exposition(registry, "")


# Observations ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Histogram, Summary])
def test_observations_count_whatever_their_values(kind: type[Histogram | Summary]) -> None:
    metric = kind("wait_seconds", "Wait.", ["queue"], registry=None)
    metric.labels("mail").observe(7.5)
    with assert_increments(metric, by=2):
        metric.labels("mail").observe(2.0)
        metric.labels("sms").observe(1000.0)
    with assert_increments(metric, by=1, labels={"queue": "mail"}):
        metric.labels("mail").observe(0.001)
        metric.labels("sms").observe(1.0)
    with assert_increments(metric, by=0):
        pass


@pytest.mark.parametrize("kind", [Histogram, Summary])
def test_another_number_of_observations_is_told(kind: type[Histogram | Summary]) -> None:
    metric = kind("wait_seconds", "Wait.", registry=None)
    with (
        pytest.raises(AssertionError, match=r"was to grow by 1 observation\(s\) but grew by 3$"),
        assert_increments(metric),
    ):
        for _ in range(3):
            metric.observe(0.25)


@pytest.mark.parametrize("metric", [Gauge("depth", "Depth.", registry=None), 3, None], ids=repr)
def test_a_metric_that_only_sets_is_refused(metric: Counter) -> None:
    with pytest.raises(TypeError, match="takes a Counter, Histogram or Summary but got"):
        assert_increments(metric)


def test_labels_may_be_numbers() -> None:
    answers = Counter("answers_total", "Answers.", ["code"], registry=None)
    with assert_increments(answers, labels={"code": HTTPStatus.OK}):
        answers.labels("200").inc()


def test_it_may_decorate_a_function_that_is_called_within_itself(orders: Counter) -> None:
    @assert_increments(orders, by=2)
    def count_twice(again: bool) -> None:
        orders.labels("card", "at").inc(1 if again else 2)
        if again:
            with pytest.raises(AssertionError, match="by 2 but grew by 1"):
                count_once()
            orders.labels("card", "at").inc(0)

    @assert_increments(orders, by=2)
    def count_once() -> None:
        orders.labels("card", "at").inc()

    count_twice(again=False)
    count_twice(again=True)


FAILING = """
from pytheus import Counter, Gauge, Histogram
from pytheus.registry import CollectorRegistry
from pytheus.testing import assert_exposition, assert_increments, assert_well_named

HITS = Counter("hits_total", "Hits.", registry=CollectorRegistry())

def test_increments():
    with assert_increments(HITS):
        pass

def test_exposition():
    assert_exposition(CollectorRegistry(), "hits_total 1.0")

def test_names():
    registry = CollectorRegistry()
    Gauge("hits_total", "Hits.", registry=registry)
    assert_well_named(registry)
"""


def test_a_failure_shows_the_lines_of_the_test_alone(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(FAILING, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=long", "test_it.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert "3 failed" in done.stdout
    for file in ("assertions.py", "lint.py", "contextlib.py"):
        assert file not in done.stdout


# One sample -----------------------------------------------------------------------------------------------------------


def test_a_sample_is_read_by_its_name_and_all_its_labels(shop: CollectorRegistry) -> None:
    waits = Histogram("wait_seconds", "Wait.", ["queue"], buckets=(0.1, 1.0), registry=shop)
    waits.labels("mail").observe(0.5)
    for source in (shop, generate_metrics(shop), generate_metrics(shop).encode()):
        assert sample_value(source, "shop_orders_total") == 1.0
        assert sample_value(source, "shop_wait_seconds_sum", {"queue": "mail"}) == 0.5
        assert sample_value(source, "shop_wait_seconds_bucket", {"le": "0.1", "queue": "mail"}) == 0.0
        assert sample_value(source, "shop_wait_seconds_bucket", {"queue": "mail", "le": "+Inf"}) == 1.0


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("orders_total", None),
        ("shop_orders", None),
        ("shop_orders_total", {"method": "card"}),
        ("shop_answers_total", None),
        ("shop_answers_total", {"code": "20"}),
        ("shop_answers_total", {"code": "200", "more": ""}),
    ],
)
def test_a_sample_that_is_not_exposed_is_none(
    shop: CollectorRegistry, name: str, labels: dict[str, str | int] | None
) -> None:
    Counter("answers_total", "Answers.", ["code"], registry=shop).labels("200").inc()
    assert sample_value(shop, name, labels) is None
    assert sample_value(shop, "shop_answers_total", {"code": HTTPStatus.OK}) == 1.0


def test_labels_of_any_text_are_found(shop: CollectorRegistry) -> None:
    text = 'quote " backslash \\ line\nfeed, brace } and ünïcode'
    Counter("odd_total", "Odd.", ["kind"], registry=shop).labels(text).inc(4)
    assert sample_value(shop, "shop_odd_total", {"kind": text}) == 4.0


def test_reading_a_text_that_is_not_an_exposition_raises() -> None:
    with pytest.raises(ValueError, match="line 1"):
        sample_value("<html>\n", "up")


def test_reading_a_registry_whose_collector_raises_raises(shop: CollectorRegistry) -> None:
    class Raising:
        def collect(self) -> list[Family | Collector]:
            raise ConnectionError("away")

    shop.register(Raising())
    with pytest.raises(CollectorError):
        sample_value(shop, "shop_orders_total")


def test_one_object_inside_of_its_own_block_compares_each_block_by_itself() -> None:
    jobs = Counter("jobs_total", "Jobs.", registry=None)
    grows = assert_increments(jobs, by=1)
    with pytest.raises(AssertionError, match="was to grow by 1 but grew by 2"):  # noqa: SIM117
        with grows:
            jobs.inc()
            with grows:
                jobs.inc()
