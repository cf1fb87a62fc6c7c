"""remove() and clear(), of one series, of those that a part of the labels matches, and of all."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus.exceptions import LabelError
from pytheus.metrics import Metric
from pytheus.registry import CollectorRegistry

ALL = {"method": "GET", "path": "/", "code": "200"}


@pytest.fixture
def hits(registry: CollectorRegistry) -> Counter:
    return Counter("hits_total", "Hits.", ["method", "path", "code"], registry=registry)


@pytest.mark.parametrize(
    "remove",
    [
        lambda hits: hits.remove("GET", "/", "200"),
        lambda hits: hits.remove(code="200", path="/", method="GET"),
        lambda hits: hits.remove(ALL),
        lambda hits: hits.labels(method="GET").remove("/", "200"),
        lambda hits: hits.labels(path="/").remove(method="GET", code="200"),
        lambda hits: hits.labels(**ALL).remove(),
    ],
    ids=["by position", "by keyword", "by mapping", "from a handle", "from another handle", "from the series"],
)
def test_remove_takes_what_labels_takes(
    hits: Counter, registry: CollectorRegistry, remove: Callable[[Counter], bool]
) -> None:
    hits.labels(**ALL).inc()
    hits.labels("PUT", "/", "200").inc()
    assert remove(hits) is True
    assert generate_metrics(registry).splitlines()[2:] == ['hits_total{method="PUT",path="/",code="200"} 1.0']


def test_remove_knows_default_labels() -> None:
    hits = Counter("hits_total", "Hits.", ["a", "b"], default_labels={"b": "x"}, registry=None)
    hits.labels("1", "x").inc()
    assert hits.remove(a="1") is True


def test_a_removed_series_starts_again_at_zero(hits: Counter) -> None:
    hits.labels(**ALL).inc(5)
    assert hits.remove(**ALL) is True
    assert hits.remove(**ALL) is False
    assert hits.labels(**ALL).value == 0.0


def test_a_handle_on_a_removed_series_is_not_exposed(hits: Counter, registry: CollectorRegistry) -> None:
    old = hits.labels(**ALL)
    hits.remove(**ALL)
    old.inc()
    assert "hits_total{" not in generate_metrics(registry)
    hits.labels(**ALL).inc(3)
    assert generate_metrics(registry).endswith(" 3.0\n")


@pytest.mark.parametrize(
    "remove",
    [
        lambda hits: hits.remove(),
        lambda hits: hits.remove({}),
        lambda hits: hits.remove(zone="x"),
        lambda hits: hits.remove("GET", "/", "200", "x"),
        lambda hits: hits.labels("GET").remove(method="GET"),
    ],
    ids=["none", "an empty mapping", "unknown", "too many", "set already"],
)
def test_remove_refuses_what_does_not_fit_and_changes_nothing(
    hits: Counter, registry: CollectorRegistry, remove: Callable[[Counter], object]
) -> None:
    hits.labels(**ALL).inc()
    before = generate_metrics(registry)
    with pytest.raises(LabelError):
        remove(hits)
    assert generate_metrics(registry) == before


@pytest.fixture
def shop(registry: CollectorRegistry) -> Counter:
    shop = Counter("shop_total", "Shop.", ["tenant", "queue", "code"], registry=registry)
    for key in itertools.product("ab", ("mail", "print"), ("200", "500")):
        shop.labels(*key).inc()
    return shop


def _keys(metric: Metric) -> list[tuple[str, ...]]:
    return [row.labels for row in metric.rows()]


PARTS: list[tuple[str, Callable[[Counter], object], dict[int, str]]] = [
    ("by keyword", lambda shop: shop.remove(tenant="a"), {0: "a"}),
    ("by position", lambda shop: shop.remove("a"), {0: "a"}),
    ("by mapping", lambda shop: shop.remove({"queue": "mail"}), {1: "mail"}),
    ("an int", lambda shop: shop.remove(code=500), {2: "500"}),
    ("two of them", lambda shop: shop.remove("a", code="500"), {0: "a", 2: "500"}),
    ("from a handle", lambda shop: shop.labels(queue="mail").remove(code="200"), {1: "mail", 2: "200"}),
    ("those of a handle", lambda shop: shop.labels(code="200").remove(), {2: "200"}),
    ("clear of a handle", lambda shop: shop.labels(tenant="a").clear(), {0: "a"}),
    ("clear of a handle's handle", lambda shop: shop.labels("a").labels("mail").clear(), {0: "a", 1: "mail"}),
    ("clear of a series", lambda shop: shop.labels("a", "mail", "200").clear(), {0: "a", 1: "mail", 2: "200"}),
]


@pytest.mark.parametrize(("remove", "part"), [row[1:] for row in PARTS], ids=[row[0] for row in PARTS])
def test_a_part_of_the_labels_removes_all_series_that_match(
    shop: Counter, remove: Callable[[Counter], object], part: dict[int, str]
) -> None:
    kept = [key for key in _keys(shop) if any(key[index] != value for index, value in part.items())]
    assert remove(shop) in (True, None)
    assert _keys(shop) == kept
    assert all(shop.labels(*key).value == 1.0 for key in kept)


def test_a_part_that_matches_nothing_changes_nothing(shop: Counter) -> None:
    before = _keys(shop)
    assert shop.remove(tenant="c") is False
    shop.labels(tenant="c").clear()
    assert _keys(shop) == before


def test_every_method_of_a_handle_is_about_the_same_series(shop: Counter) -> None:
    mail = shop.labels(queue="mail")
    rest = [key for key in _keys(shop) if key[1] != "mail"]
    assert len(mail.rows()) == 4
    mail.clear()
    assert mail.rows() == []
    assert [family.samples for family in mail.collect()] == [()]
    assert _keys(shop) == rest


def test_a_label_that_is_not_given_matches_every_value_whatever_its_default(registry: CollectorRegistry) -> None:
    level = Gauge("level", "Level.", ["a", "b"], default_labels={"b": "x"}, registry=registry)
    level.labels("1", "x").set(1)
    level.labels("1", "y").set(1)
    level.labels("2").set(1)
    assert level.remove(a="1")
    assert _keys(level) == [("2", "x")]


def test_clear_of_a_handle_makes_the_series_ahead_again_that_match() -> None:
    hits = Counter("hits_total", "Hits.", ["a", "b"], labels_from={"a": ["1", "2"], "b": ["x"]}, registry=None)
    for row in hits.rows():
        hits.labels(*row.labels).inc()
    hits.labels("1", "y").inc()
    hits.labels(a="1").clear()
    assert {row.labels: row.numbers for row in hits.rows()} == {("1", "x"): [0.0], ("2", "x"): [1.0]}


def test_the_exemplars_of_the_others_stay(shop: Counter) -> None:
    shop.labels("a", "mail", "200").inc(1, {"id": "a"})
    shop.labels("b", "mail", "200").inc(1, {"id": "b"})
    shop.labels(tenant="a").clear()
    shop.labels("a", "mail", "200").inc()
    assert [row.labels for row in shop.rows() if row.exemplars] == [("b", "mail", "200")]


def test_every_kind_of_metric_forgets_a_part(registry: CollectorRegistry) -> None:
    metrics: list[Metric] = [
        Gauge("g", "G.", ["a", "b"], registry=registry),
        Histogram("h", "H.", ["a", "b"], registry=registry),
        Summary("s", "S.", ["a", "b"], registry=registry),
        Info("i", "I.", ["a", "b"], registry=registry),
        StateSet("t", "T.", ["a", "b"], states=["on"], registry=registry),
    ]
    for metric in metrics:
        for key in (("1", "x"), ("1", "y"), ("2", "x")):
            metric.labels(*key)
        assert metric.remove(a=1)
        assert _keys(metric) == [("2", "x")]


def test_without_labels_there_is_no_series_to_remove() -> None:
    jobs = Counter("jobs_total", "Jobs.", registry=None)
    jobs.inc()
    with pytest.raises(LabelError, match=r"use clear\(\)"):
        jobs.remove()
    assert jobs.value == 1.0


def test_clear_forgets_every_series(hits: Counter, registry: CollectorRegistry) -> None:
    hits.labels(**ALL).inc()
    hits.labels("PUT", "/", "200").inc()
    hits.clear()
    assert "hits_total{" not in generate_metrics(registry)
    hits.labels(**ALL).inc()
    assert generate_metrics(registry).endswith(" 1.0\n")
