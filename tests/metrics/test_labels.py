"""Labels: every way to bind them leads to the same series, and mistakes lead to none."""

from __future__ import annotations

import enum
import itertools
import types
from collections.abc import Callable, Mapping
from functools import partial
from typing import Self

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus.exceptions import InvalidNameError, LabelError
from pytheus.metrics import Metric
from pytheus.registry import CollectorRegistry
from tests.metrics.conftest import write

# Metrics of every type have one name here.
pytestmark = pytest.mark.filterwarnings("ignore:counter .* has no suffix")


@pytest.fixture
def hits(registry: CollectorRegistry) -> Counter:
    return Counter("hits_total", "Hits.", ["method", "path", "code"], registry=registry)


ALL = {"method": "GET", "path": "/", "code": "200"}


@pytest.mark.parametrize("order", list(itertools.permutations(ALL)), ids="-".join)
def test_labels_in_any_order_at_once_and_one_by_one_name_the_same_series(hits: Counter, order: tuple[str, ...]) -> None:
    assert hits.labels(**{name: ALL[name] for name in order}) is hits.labels("GET", "/", "200")
    handle = hits
    for name in order:
        handle = handle.labels(**{name: ALL[name]})
    assert handle is hits.labels("GET", "/", "200")


@pytest.mark.parametrize(
    "bind",
    [
        lambda hits: hits.labels(ALL),
        lambda hits: hits.labels(types.MappingProxyType(ALL)),
        lambda hits: hits.labels(path="/").labels("GET", "200"),
        lambda hits: hits.labels("GET").labels("/").labels("200"),
        lambda hits: hits.labels("GET", code="200", path="/"),
        lambda hits: hits.labels(code="200").labels("GET", path="/"),
    ],
    ids=["mapping", "other mapping", "name, positions", "position by position", "position, names", "name, both"],
)
def test_other_ways_name_the_same_series(hits: Counter, bind: Callable[[Counter], Counter]) -> None:
    assert bind(hits) is hits.labels("GET", "/", "200")


@pytest.mark.pitfall
def test_positional_values_follow_the_declaration_not_the_alphabet(registry: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", ["zone", "app"], registry=registry).labels("z", "a").inc()
    assert generate_metrics(registry).endswith('\nhits_total{zone="z",app="a"} 1.0\n')


def test_a_partial_handle_can_be_kept_and_used_again(hits: Counter) -> None:
    get = hits.labels(method="GET")
    get.labels(path="/", code="200").inc()
    get.labels(path="/", code="404").inc(2)
    assert hits.labels("GET", "/", "200").value == 1.0
    assert hits.labels("GET", "/", "404").value == 2.0


def test_a_partial_handle_makes_no_series(hits: Counter, registry: CollectorRegistry) -> None:
    hits.labels(method="GET").labels(path="/")
    hits.labels()
    assert "hits_total{" not in generate_metrics(registry)


def test_a_complete_set_of_labels_makes_the_series_at_zero(hits: Counter, registry: CollectorRegistry) -> None:
    hits.labels(**ALL)
    assert generate_metrics(registry).endswith('\nhits_total{method="GET",path="/",code="200"} 0.0\n')


def test_labels_without_any_give_the_metric_itself_where_it_takes_none() -> None:
    jobs = Counter("jobs_total", "Jobs.", registry=None)
    assert jobs.labels() is jobs
    assert jobs.labels({}) is not None
    jobs.labels({}).inc()
    assert jobs.value == 1.0


MISTAKES: list[tuple[str, Callable[[Counter], object], str]] = [
    ("unknown", lambda hits: hits.labels(method="GET", path="/", cod="200"), "did you mean 'code'?"),
    ("unknown in a mapping", lambda hits: hits.labels({**ALL, "zone": "a"}), "'zone'"),
    ("key that is no str", lambda hits: hits.labels({1: "a"}), "takes labels"),  # type: ignore[dict-item]  # a mistake
    ("too many", lambda hits: hits.labels("GET", "/", "200", "x"), "got 4 values"),
    (
        "too many for the rest",
        lambda hits: hits.labels("GET", "/").labels("200", "x"),
        "of which 1 is not set yet, but labels(...) got 2 values: '200', 'x'",
    ),
    ("bound already", lambda hits: hits.labels(method="GET").labels(method="PUT"), "'method' is already set to 'GET'"),
    (
        "twice, by position and by name",
        lambda hits: hits.labels("GET", method="PUT"),
        "got 'method' twice, by position ('GET') and by name",
    ),
    (
        "mapping and keywords",
        lambda hits: hits.labels({"method": "GET"}, path="/"),
        "from one mapping or from keywords, but got both",
    ),
    ("two mappings", lambda hits: hits.labels({"method": "GET"}, {"path": "/"}), "from one mapping alone"),
    (
        "mapping and values",
        lambda hits: hits.labels({"method": "GET"}, "/"),
        "from one mapping alone, but got 2 values",
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=[name for name, _, _ in MISTAKES])
def test_mistakes_are_refused_and_make_no_series(
    hits: Counter, registry: CollectorRegistry, mistake: tuple[str, Callable[[Counter], object], str]
) -> None:
    _, call, message = mistake
    with pytest.raises(LabelError) as caught:
        call(hits)
    assert message in str(caught.value)
    assert "counter 'hits_total'" in str(caught.value)
    assert "hits_total{" not in generate_metrics(registry)


@pytest.mark.parametrize(
    ("make", "call"),
    [
        (Counter, ("inc",)),
        (Gauge, ("set", 1)),
        (Gauge, ("set_function", lambda: 1)),
        (Histogram, ("observe", 1)),
        (Summary, ("observe", 1)),
        (Info, ("info", {"version": "1"})),
        (partial(StateSet, states=["open"]), ("state", "open")),
    ],
)
def test_a_metric_that_lacks_labels_takes_nothing(
    registry: CollectorRegistry, make: Callable[..., Metric], call: tuple[object, ...]
) -> None:
    metric = make("m", "M.", ["kind"], registry=registry)
    with pytest.raises(LabelError, match="lacks 'kind'"):
        write(metric, call)
    assert all(line.startswith("#") for line in generate_metrics(registry).splitlines())


@pytest.mark.parametrize(
    ("labels", "given", "message"),
    [
        ((), ("x",), "counter 'b_total' has no labels, but labels(...) got 1 value: 'x'"),
        (("a",), ("x", "y"), "counter 'b_total' takes labels ('a',), but labels(...) got 2 values: 'x', 'y'"),
    ],
)
def test_too_many_values_are_counted(labels: tuple[str, ...], given: tuple[str, ...], message: str) -> None:
    with pytest.raises(LabelError) as caught:
        Counter("b_total", "B.", labels, registry=None).labels(*given)
    assert str(caught.value) == message


def test_subclasses_of_str_are_strings(registry: CollectorRegistry) -> None:
    class Method(enum.StrEnum):
        GET = "get"

    hits = Counter("hits_total", "Hits.", ["method"], registry=registry)
    hits.labels(Method.GET).inc()
    assert hits.labels(method=Method.GET) is hits.labels("get")
    assert generate_metrics(registry).endswith('\nhits_total{method="get"} 1.0\n')


def test_a_subclass_makes_its_series_itself() -> None:
    made: list[object] = []

    class Noted(Counter):
        def __new__(cls, *arguments: object, **options: object) -> Self:
            new = super().__new__(cls)
            made.append(new)
            return new

    noted = Noted("noted_total", "Noted.", ["method"], registry=None)
    series = noted.labels("get")
    assert made == [noted, series]
    assert type(series) is Noted


def test_the_empty_string_is_a_value(hits: Counter) -> None:
    hits.labels("", "", "").inc()
    assert hits.labels(method="", path="", code="").value == 1.0


@pytest.mark.pitfall
def test_the_callers_mapping_is_not_kept(hits: Counter, registry: CollectorRegistry) -> None:
    labels = dict(ALL)
    series = hits.labels(labels)
    labels["method"] = "PUT"
    series.inc()
    assert generate_metrics(registry).endswith('\nhits_total{method="GET",path="/",code="200"} 1.0\n')


# Default labels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("defaults", "writes", "series"),
    [
        pytest.param({"b": "x"}, [{"a": "1"}], ['a="1",b="x"'], id="fill what is missing"),
        pytest.param({"a": "x", "b": "x"}, [{}, {"a": "y"}], ['a="x",b="x"', 'a="y",b="x"'], id="can be overridden"),
        pytest.param(
            {"a": "1", "b": "2"},
            [{"a": "x"}, {"b": "x"}],
            ['a="x",b="2"', 'a="1",b="x"'],
            id="each label keeps its position",
            marks=pytest.mark.pitfall,
        ),
    ],
)
def test_default_labels(
    registry: CollectorRegistry, defaults: dict[str, str], writes: list[dict[str, str]], series: list[str]
) -> None:
    hits = Counter("hits_total", "Hits.", ["a", "b"], default_labels=defaults, registry=registry)
    for amount, labels in enumerate(writes, 1):
        hits.labels(**labels).inc(amount)
    assert [line for line in generate_metrics(registry).splitlines()[2:] if not line.endswith(" 0.0")] == [
        f"hits_total{{{labels}}} {float(amount)}" for amount, labels in enumerate(series, 1)
    ]


@pytest.mark.pitfall
def test_an_explicit_value_equal_to_the_default_is_the_same_series(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", ["a"], default_labels={"a": "x"}, registry=registry)
    hits.inc()
    hits.labels(a="x").inc()
    hits.labels("x").inc()
    assert generate_metrics(registry).splitlines()[2:] == ['hits_total{a="x"} 3.0']


def test_later_changes_of_the_default_labels_change_nothing(registry: CollectorRegistry) -> None:
    defaults = {"a": "x"}
    hits = Counter("hits_total", "Hits.", ["a"], default_labels=defaults, registry=registry)
    defaults["a"] = "y"
    hits.inc()
    assert 'hits_total{a="x"} 1.0' in generate_metrics(registry)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize(
    "defaults", [{"b": "x"}, {"a": 1.5}, {"a": None}, "a", [("a", "x")], {"a": "\ud800"}], ids=repr
)
def test_bad_default_labels_are_refused_and_nothing_is_registered(
    registry: CollectorRegistry, defaults: Mapping[str, str]
) -> None:
    with pytest.raises(LabelError):
        Counter("hits_total", "Hits.", ["a"], default_labels=defaults, registry=registry)
    assert "hits_total" not in registry


# Label names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", ["abc", b"abc", ["a", "a"], ["__a"], ["a-b"], [""], ["1a"], ["é"], [1], [None], 3, ["a\n"]], ids=repr
)
def test_bad_label_names_are_refused_and_nothing_is_registered(registry: CollectorRegistry, names: list[str]) -> None:
    with pytest.raises(InvalidNameError):
        Counter("hits_total", "Hits.", names, registry=registry)
    assert "hits_total" not in registry
    assert generate_metrics(registry) == ""


def test_label_names_can_be_any_iterable_of_str() -> None:
    hits = Counter("hits_total", "Hits.", (name for name in ("a", "b")), registry=None)
    assert hits.label_names == ("a", "b")


@pytest.mark.parametrize("name", ["self", "values", "named", "labels", "function", "le", "quantile"])
def test_a_label_may_be_called_as_a_parameter_is(name: str) -> None:
    hits = Counter("hits_total", "Hits.", [name], registry=None)
    hits.labels(**{name: "x"}).inc()
    assert hits.labels("x").value == 1.0
    assert hits.remove(**{name: "x"})


# Handles --------------------------------------------------------------------------------------------------------------


def test_collect_on_a_handle_gives_the_series_that_its_labels_leave(hits: Counter) -> None:
    hits.labels("GET", "/", "200").inc(1)
    hits.labels("GET", "/", "404").inc(2)
    hits.labels("PUT", "/", "200").inc(4)
    [family] = hits.labels(code="200").collect()
    assert [sample.value for sample in family.samples] == [1.0, 4.0]


def test_labels_are_bound_alike_on_every_type(registry: CollectorRegistry) -> None:
    gauge = Gauge("level", "Level.", ["a", "b"], registry=registry)
    histogram = Histogram("size", "Size.", ["a", "b"], buckets=(1,), registry=registry)
    assert gauge.labels("1", "2") is gauge.labels(b="2").labels(a="1")
    assert histogram.labels("1", "2") is histogram.labels(b="2").labels(a="1")
    assert type(gauge.labels("1", "2")) is Gauge
    assert type(histogram.labels(a="1")) is Histogram


def test_many_different_values_stay_apart(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", ["id"], registry=registry)
    for number in range(2000):
        hits.labels(str(number)).inc(number)
    assert all(hits.labels(str(number)).value == number for number in range(2000))
    assert generate_metrics(registry).count("\n") == 2002


@pytest.mark.parametrize("first", ["GET", "GÉT"])
def test_equal_values_of_new_series_are_stored_once(registry: CollectorRegistry, first: str) -> None:
    hits = Counter("hits_total", "Hits.", ["method", "path"], registry=registry)
    for path in "/a", "/b", "/c":
        hits.labels("".join(first), path)
        hits.labels(method="".join(list(first)), path=path + "/")
    assert len({id(row.labels[0]) for row in hits.rows()}) == 1


@pytest.mark.parametrize("error", [KeyError, TypeError, ValueError])
def test_an_error_of_a_limit_reaches_the_caller_and_no_series_is_made(error: type[Exception]) -> None:
    hits = Counter("hits_total", "Hits.", ["method", "code"], registry=None)
    calls: list[tuple[str, ...]] = []

    def refuse(key: tuple[str, ...]) -> tuple[str, ...]:
        calls.append(key)
        raise error("refused")

    hits.limit_series(refuse)
    with pytest.raises(error, match="refused"):
        hits.labels("GET", 200)
    with pytest.raises(error, match="refused"):
        hits.labels(method="GET", code="200")
    assert calls == [("GET", "200")] * 2
    assert hits.series_count == 0


def test_calls_without_keywords_inside_of_each_other_do_not_mix() -> None:
    inner = Counter("inner_total", "Inner.", ["code"], registry=None)
    outer = Counter("outer_total", "Outer.", ["code"], registry=None)

    def write(key: tuple[str, ...]) -> tuple[str, ...]:
        inner.labels(code=key[0] + "!").inc()
        inner.labels(key[0]).inc()
        return key

    outer.limit_series(write)
    outer.labels("a").inc()
    outer.labels(code="b").inc()
    assert [row.labels for row in inner.rows()] == [("a!",), ("a",), ("b!",), ("b",)]
    assert [row.labels for row in outer.rows()] == [("a",), ("b",)]


@pytest.mark.parametrize("make", [Counter, Gauge, Histogram, Summary])
def test_each_type_has_the_method_of_the_base(make: type[Counter]) -> None:
    assert make.labels.__qualname__ == "Metric.labels"
    assert make.labels.__doc__ == Metric.labels.__doc__
