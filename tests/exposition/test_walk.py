"""One scrape of any registry: no name twice, and a collector that cannot be exposed is left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import pytest

from pytheus import Counter, Gauge, Histogram, generate_metrics
from pytheus.definitions import Definition
from pytheus.exceptions import CollectorError
from pytheus.exposition.formats import RenderRequest
from pytheus.exposition.text import TextEncoder
from pytheus.exposition.walk import scrape
from pytheus.metrics import Family, Sample
from pytheus.registry import Collector, CollectorRegistry, Registry
from tests.exposition.conftest import Custom, Plain, family_names, gauge_family

# Counters without the suffix have one name, by which they conflict with other types.
pytestmark = pytest.mark.filterwarnings("ignore:counter .* has no suffix")

# Any registry ---------------------------------------------------------------------------------------------------------


def test_a_generator_will_do() -> None:
    def collect() -> Iterator[Collector]:
        yield Gauge("a", "A.", registry=None)
        yield Custom(gauge_family("b"))

    assert family_names(generate_metrics(Plain(collect))) == ["a", "b"]


def test_a_registry_that_raises_raises() -> None:
    def collect() -> Iterator[Collector]:
        yield Gauge("a", "A.", registry=None)
        raise OSError("connection lost")

    with pytest.raises(OSError, match="connection lost"):
        generate_metrics(Plain(collect))


def test_handles_on_one_metric_are_one_family() -> None:
    hits = Counter("hits_total", "Hits.", ["a"], registry=None)
    hits.labels("x").inc()
    text = generate_metrics(Plain(lambda: [hits.labels("x"), hits, hits.labels("y")]))
    assert text.count("# TYPE hits_total") == 1
    assert text.splitlines()[2:] == ['hits_total{a="x"} 1.0', 'hits_total{a="y"} 0.0']


def test_a_registry_that_checks_nothing_still_exposes_no_name_twice() -> None:
    first, second = Gauge("x", "First.", registry=None), Counter("x", "Second.", registry=None)
    text = generate_metrics(Plain(lambda: [first, second]))
    assert family_names(text) == ["x", "pytheus_collector_errors_total"]
    assert "# HELP x First." in text


class Lines:
    """Writes its own lines, under whatever name it has at the moment."""

    def __init__(self, name: str) -> None:
        self.given = Definition(name, "gauge", "A gauge.")
        self.fails = False

    @property
    def definition(self) -> Definition:
        if self.fails:
            raise OSError("connection lost")
        return self.given

    def collect(self) -> Iterator[Family]:
        yield Family(self.given.name, "gauge", "A gauge.", [Sample("", {}, 1.0)])

    def text_parts(self, prefix: str, /) -> list[str]:
        return [f"# TYPE {prefix}{self.given.name} gauge\n", f"{prefix}{self.given.name} 1.0\n"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_text_renderer_whose_definition_raises_is_exposed_by_its_families(order: int) -> None:
    good, bad = Lines("good"), Lines("bad")
    bad.fails = True
    text = generate_metrics(Plain(lambda: [good, bad][::order]))
    assert sorted(family_names(text)) == ["bad", "good"]
    assert "\nbad 1.0\n" in text


def test_a_text_renderer_without_a_definition_fails_alone() -> None:
    good, bad = Lines("good"), Lines("bad")
    setattr(bad, "given", None)  # noqa: B010  # mypy refuses the plain way, rightly
    assert family_names(generate_metrics(Plain(lambda: [good, bad]))) == ["good", "pytheus_collector_errors_total"]


def test_a_text_renderer_cannot_take_a_reserved_name() -> None:
    text = generate_metrics(Plain(lambda: [Lines("pytheus_collector_errors_total"), Lines("good")]))
    assert family_names(text) == ["good", "pytheus_collector_errors_total"]
    assert "\npytheus_collector_errors_total 1.0\n" not in text


# Custom collectors ----------------------------------------------------------------------------------------------------


BAD_NEIGHBOURS: dict[str, tuple[list[Callable[[CollectorRegistry], object]], list[str], str]] = {
    "a metric's name, before it": (
        [
            lambda registry: registry.register(Custom(gauge_family("x_total", Sample("", {}, 7.0)))),
            lambda registry: Counter("x_total", "X.", registry=registry),
        ],
        ["x_total", "pytheus_collector_errors_total"],
        "\nx_total 0.0\n",
    ),
    "another collector's name": (
        [
            lambda registry: registry.register(Custom(gauge_family("x", Sample("", {}, 1.0)))),
            lambda registry: registry.register(Custom(gauge_family("x", Sample("", {}, 2.0)))),
        ],
        ["x", "pytheus_collector_errors_total"],
        "\nx 1.0\n",
    ),
    "its own name, which is free then": (
        [
            lambda registry: registry.register(Custom(gauge_family("a"), gauge_family("x"), gauge_family("x"))),
            lambda registry: registry.register(Custom(gauge_family("x", Sample("", {}, 5.0)))),
        ],
        ["x", "pytheus_collector_errors_total"],
        "\nx 5.0\n",
    ),
    "a registered metric": (
        [lambda registry: registry.register(Custom(Counter("hits_total", "Hits.", registry=registry)))],
        ["hits_total", "pytheus_collector_errors_total"],
        "\nhits_total 0.0\n",
    ),
}


@pytest.mark.parametrize(("steps", "names", "line"), BAD_NEIGHBOURS.values(), ids=BAD_NEIGHBOURS)
def test_a_custom_collector_that_repeats_a_name_is_left_out_whole(
    registry: CollectorRegistry, steps: list[Callable[[CollectorRegistry], object]], names: list[str], line: str
) -> None:
    for step in steps:
        step(registry)
    text = generate_metrics(registry)
    assert family_names(text) == names
    assert line in text


@pytest.mark.parametrize("name", ["h", "h_sum", "h_bucket", "h_count"])
def test_a_custom_family_cannot_take_a_name_that_a_metric_produces(registry: CollectorRegistry, name: str) -> None:
    registry.register(Custom(gauge_family(name)))
    Histogram("h", "H.", registry=registry)
    assert family_names(generate_metrics(registry)) == ["h", "pytheus_collector_errors_total"]


BAD_FAMILIES: dict[str, Callable[[], object]] = {
    "suffix": lambda: gauge_family("x", Sample("_total", {}, 1.0)),
    "suffix of another type": lambda: Family("x", "histogram", "X.", [Sample("", {}, 1.0)]),
    "label name": lambda: gauge_family("x", Sample("", {"a-b": "1"}, 1.0)),
    "label name with a line": lambda: gauge_family("x", Sample("", {'a="1"} 1\nforged{b': "1"}, 1.0)),
    "reserved label": lambda: gauge_family("x", Sample("", {"__a": "1"}, 1.0)),
    "label value": lambda: gauge_family("x", Sample("", {"a": 1}, 1.0)),  # type: ignore[dict-item]  # a mistake
    "labels": lambda: gauge_family("x", Sample("", None, 1.0)),  # type: ignore[arg-type]  # a mistake
    "surrogate": lambda: gauge_family("x", Sample("", {"a": "\ud800"}, 1.0)),
    "value": lambda: gauge_family("x", Sample("", {}, "1\nforged 1")),  # type: ignore[arg-type]  # a mistake
    "timestamp": lambda: gauge_family("x", Sample("", {}, 1.0, "1\nforged 1")),  # type: ignore[arg-type]  # a mistake
    "timestamp nan": lambda: gauge_family("x", Sample("", {}, 1.0, math.nan)),
    "description": lambda: Family("x", "gauge", 3),  # type: ignore[arg-type]  # a mistake
    "sample": lambda: gauge_family("x", "1"),  # type: ignore[arg-type]  # a mistake
    "family": lambda: "x 1\n",
    "nothing": lambda: None,
    "name": lambda: Family("x\nforged", "gauge", "X."),
    "type": lambda: Family("x", "gauge\nforged", "X."),  # type: ignore[arg-type]  # a mistake
}


@pytest.mark.parametrize("make", BAD_FAMILIES.values(), ids=BAD_FAMILIES)
def test_what_cannot_be_exposed_is_left_out_and_counted(
    registry: CollectorRegistry, make: Callable[[], Family]
) -> None:
    class Making:
        def collect(self) -> Iterator[Family]:
            yield gauge_family("good")
            yield make()

    registry.register(Making())
    Gauge("after", "After.", registry=registry)
    text = generate_metrics(registry)
    assert family_names(text) == ["after", "pytheus_collector_errors_total"]
    assert len(text.split("\n")) == 7


# Strict ---------------------------------------------------------------------------------------------------------------


def test_strict_raises_and_chains_the_error(registry: CollectorRegistry) -> None:
    error = OSError("sensor lost")

    class Broken:
        name = "sensor"

        def collect(self) -> Iterable[Family]:
            raise error

    registry.register(Broken())
    with pytest.raises(CollectorError, match="collector 'sensor' failed: sensor lost") as caught:
        generate_metrics(registry, strict=True)
    assert caught.value.__cause__ is error
    assert caught.value.collector == "sensor"


def test_a_strict_scrape_that_fails_counts_and_logs_nothing(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    registry.register(Custom(gauge_family("x"), gauge_family("x")))
    with pytest.raises(CollectorError):
        generate_metrics(registry, strict=True)
    registry.clear()
    assert generate_metrics(registry) == ""
    assert caplog.records == []


def test_a_strict_scrape_without_failures_is_like_any_other(registry: CollectorRegistry) -> None:
    Counter("x_total", "X.", registry=registry)
    registry.register(Custom(gauge_family("y")))
    assert generate_metrics(registry, strict=True) == generate_metrics(registry)


def test_strict_refuses_two_metrics_of_one_name() -> None:
    metrics = [Gauge("x", "X.", registry=None), Gauge("x", "X.", registry=None)]
    with pytest.raises(CollectorError, match="a second time"):
        generate_metrics(Plain(lambda: metrics), strict=True)


def test_two_samples_of_one_series_are_a_failure_of_their_collector(registry: CollectorRegistry) -> None:
    registry.register(
        Custom(gauge_family("x", Sample("", {"a": "1", "b": "2"}, 1.0), Sample("", {"b": "2", "a": "1"}, 2.0)))
    )
    text = generate_metrics(registry)
    assert "x{" not in text
    assert 'pytheus_collector_errors_total{collector="Custom"} 1.0' in text


def test_a_counter_family_is_called_what_its_samples_are_called(registry: CollectorRegistry) -> None:
    registry.register(Custom(Family("jobs", "counter", "Jobs.", [Sample("_total", {}, 3.0)])))
    assert generate_metrics(registry) == "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\njobs_total 3.0\n"


# Families by name -----------------------------------------------------------------------------------------------------


def _asked(registry: Registry, *names: str) -> list[str]:
    options = RenderRequest(names=frozenset(names))
    return family_names("".join(scrape(registry, TextEncoder(options), options)))


def test_families_are_exposed_by_name(registry: CollectorRegistry) -> None:
    registry.prefix = "shop"
    Counter("orders_total", "Orders.", registry=registry)
    Histogram("size_bytes", "Sizes.", registry=registry)
    registry.register(Custom(gauge_family("first"), gauge_family("second")))
    assert _asked(registry, "shop_orders_total", "shop_second", "other") == ["shop_orders_total", "shop_second"]
    assert _asked(registry, "shop_orders") == ["shop_orders_total"]  # its name in OpenMetrics
    assert _asked(registry, "shop_size_bytes_bucket") == ["shop_size_bytes"]
    assert _asked(registry, "orders_total") == []


def test_a_collector_that_is_not_asked_for_is_not_called(registry: CollectorRegistry) -> None:
    def fail() -> float:
        raise OSError("sensor lost")

    Gauge("bad", "Bad.", registry=registry).set_function(fail)
    Gauge("good", "Good.", registry=registry)
    assert _asked(registry, "good") == ["good"]
    assert generate_metrics(registry).count("pytheus_collector_errors_total{") == 1
    assert _asked(registry, "good") == ["good"]
    assert _asked(registry, "good", "pytheus_collector_errors_total") == ["good", "pytheus_collector_errors_total"]


def test_a_collector_that_yields_a_family_twice_is_left_out(registry: CollectorRegistry) -> None:
    """The same object, too: a family has one place in an exposition."""
    family = gauge_family("g")
    gauge = Gauge("h", "H.", registry=None)
    for collector in Custom(family, family), Custom(gauge, gauge):
        text = generate_metrics(Plain(lambda collector=collector: [collector, Gauge("a", "A.", registry=None)]))  # type: ignore[misc]  # bound now
        assert family_names(text) == ["a", "pytheus_collector_errors_total"]


def test_two_collectors_that_yield_the_same_family() -> None:
    family = gauge_family("g")
    text = generate_metrics(Plain(lambda: [Custom(family), Custom(family)]))
    assert family_names(text) == ["g", "pytheus_collector_errors_total"]
