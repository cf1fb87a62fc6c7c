"""What counts as a number, on every metric that takes one."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from pytheus import Counter, Gauge, Histogram, Summary, generate_metrics
from pytheus.exceptions import BucketError, NotANumberError, OutOfRangeError
from pytheus.metrics import Family, Metric, Number, Sample
from pytheus.metrics.number import to_float
from pytheus.registry import CollectorRegistry
from tests.exposition.conftest import Custom

# Metrics of every type have one name here.
pytestmark = pytest.mark.filterwarnings("ignore:counter .* has no suffix")


class Celsius(float):
    """A float of a class of its own."""


class Index:
    """What only says which integer it is."""

    def __index__(self) -> int:
        return 3


class Liar:
    """Has a __float__ that does not return a float."""

    def __float__(self) -> float:
        return "3"  # type: ignore[return-value]  # the lie


def _after(make: Callable[..., Metric], methods: list[str], attribute: str, value: object) -> object:
    """An attribute of a new metric after its methods are called with `value`."""
    metric = make("x", "X.", registry=None)
    for method in methods:
        getattr(metric, method)(value)
    return getattr(metric, attribute)


every_write = pytest.mark.parametrize(
    ("make", "methods", "attribute"),
    [
        (Counter, ["inc"], "value"),
        (Gauge, ["set"], "value"),
        (Gauge, ["inc", "inc", "dec"], "value"),
        (Histogram, ["observe"], "sum"),
        (Summary, ["observe"], "sum"),
    ],
    ids=["counter", "gauge", "gauge difference", "histogram", "summary"],
)

NUMBERS: list[tuple[Number, float]] = [
    (3, 3.0),
    (2.5, 2.5),
    (True, 1.0),
    (False, 0.0),
    (10**18, 1e18),
    (10**300, 1e300),
    (Decimal("2.5"), 2.5),
    (Fraction(5, 2), 2.5),
    (Celsius(2.5), 2.5),
    (Index(), 3.0),
    (np.float64(2.5), 2.5),
    (np.float32(2.5), 2.5),
    (np.float16(2.5), 2.5),
    (np.int64(3), 3.0),
    (np.int8(3), 3.0),
    (np.uint64(2**63), 2.0**63),
    (np.bool_(True), 1.0),
    (np.bool_(False), 0.0),
]


@every_write
@pytest.mark.parametrize(("value", "expected"), NUMBERS, ids=lambda value: f"{type(value).__name__} {value!r:.20}")
def test_numbers_of_every_kind_count(
    make: Callable[..., Metric], methods: list[str], attribute: str, value: Number, expected: float
) -> None:
    result = _after(make, methods, attribute, value)
    assert result == expected
    assert type(result) is float


class _Immeasurable:
    """A number without an order."""

    def __float__(self) -> float:
        return math.inf


TOO_LARGE: list[object] = [
    10**400,
    -(10**400),
    Decimal("1e400"),
    Decimal("-1e400"),
    Fraction(10**400),
    Fraction(-(10**400), 3),
    np.longdouble("1e4000"),
    np.longdouble("-1e4000"),
]

INFINITE: list[object] = [
    math.inf,
    Celsius(math.inf),
    Decimal("Infinity"),
    np.float64("inf"),
    np.float32("inf"),
    np.longdouble("inf"),
    _Immeasurable(),
]


@every_write
@pytest.mark.parametrize("value", TOO_LARGE, ids=lambda value: f"{type(value).__name__} {value!r:.12}")
def test_a_finite_number_beyond_a_double_is_refused_and_changes_nothing(
    make: Callable[..., Metric], methods: list[str], attribute: str, value: object
) -> None:
    metric = make("x", "X.", registry=None)
    with pytest.raises(OutOfRangeError, match="too large for a double"):
        getattr(metric, methods[0])(value)
    assert getattr(metric, attribute) == 0.0


@every_write
@pytest.mark.parametrize("value", INFINITE, ids=lambda value: type(value).__name__)
def test_a_number_that_is_infinite_is_one(
    make: Callable[..., Metric], methods: list[str], attribute: str, value: object
) -> None:
    assert _after(make, methods[:1], attribute, value) == math.inf


@pytest.mark.parametrize("value", TOO_LARGE, ids=lambda value: f"{type(value).__name__} {value!r:.12}")
def test_nor_is_it_taken_elsewhere(value: object) -> None:
    level = Gauge("level", "Level.", registry=None)
    level.set_function(lambda: value)  # type: ignore[arg-type, return-value]  # any object
    with pytest.raises(OutOfRangeError):
        _ = level.value
    with pytest.raises(OutOfRangeError):
        Summary("s", "S.", registry=None).observe_many([1, value])  # type: ignore[list-item]  # any object
    with pytest.raises(BucketError):
        Histogram("h", "H.", buckets=[value], registry=None)  # type: ignore[list-item]  # any object
    registry = CollectorRegistry()
    for sample in (Sample("", {}, value), Sample("", {}, 1.0, value)):  # type: ignore[arg-type]  # any object
        registry.register(Custom(Family("x", "gauge", "X.", [sample])))
    assert 'pytheus_collector_errors_total{collector="Custom"} 2.0' in generate_metrics(registry)


NO_NUMBERS: list[object] = [
    "3",
    "",
    "nan",
    b"3",
    bytearray(b"3"),
    memoryview(b"3"),
    None,
    1j,
    complex(3, 0),
    [3.0],
    (3.0,),
    {},
    object(),
    float,
    ...,
    Liar(),
    np.str_("3"),
    np.bytes_(b"3"),
    np.complex128(3 + 1j),
    np.array([1.0, 2.0]),
    np.datetime64("2020-01-01"),
]


METHODS: list[tuple[Callable[..., Metric], str]] = [
    (Counter, "inc"),
    (Gauge, "inc"),
    (Gauge, "dec"),
    (Gauge, "set"),
    (Histogram, "observe"),
    (Summary, "observe"),
]


@pytest.mark.pitfall
@pytest.mark.parametrize(("make", "method"), METHODS)
@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: f"{type(value).__name__} {value!r:.10}")
def test_what_is_no_number_is_refused_and_changes_nothing(
    make: Callable[..., Metric], method: str, value: object
) -> None:
    metric = make("x", "X.", registry=None)
    write: Callable[[object], None] = getattr(metric, method)
    write(2)
    before = metric.rows()
    message = f"{metric.type_} 'x' (takes a number|got .*, which does not convert to a number)"
    with pytest.raises(NotANumberError, match=message):
        write(value)
    assert metric.rows() == before


@every_write
@pytest.mark.parametrize("value", [10**400, 10**5000, Fraction(10**400)], ids=["400 digits", "5000 digits", "Fraction"])
def test_what_no_double_holds_is_refused(
    make: Callable[..., Metric], methods: list[str], attribute: str, value: Number
) -> None:
    # An int of more than 4300 digits has no repr to put into the message, either.
    with pytest.raises(OutOfRangeError, match="too large for a double"):
        _after(make, methods, attribute, value)


@pytest.mark.pitfall
@pytest.mark.parametrize("nan", [math.nan, Decimal("nan"), np.float64("nan"), np.float32("nan")], ids=repr)
@pytest.mark.parametrize(("make", "method"), [METHODS[0], *METHODS[4:]])
def test_every_kind_of_nan_is_refused_where_it_would_spoil_a_sum(
    make: Callable[..., Metric], method: str, nan: Number
) -> None:
    metric = make("x", "X.", registry=None)
    write: Callable[[Number], None] = getattr(metric, method)
    write(2)
    before = metric.rows()
    with pytest.raises(OutOfRangeError, match=r"(?i)nan"):
        write(nan)
    assert metric.rows() == before


@pytest.mark.parametrize("nan", [Decimal("nan"), np.float32("nan")], ids=repr)
def test_a_gauge_takes_every_kind_of_nan(nan: Number) -> None:
    gauge = Gauge("x", "X.", registry=None)
    gauge.set(nan)
    assert math.isnan(gauge.value)


def test_an_error_of_the_numbers_own_passes_through() -> None:
    class Broken:
        def __float__(self) -> float:
            raise RuntimeError("sensor lost")

    gauge = Gauge("x", "X.", registry=None)
    gauge.set(1)
    with pytest.raises(RuntimeError, match="sensor lost"):
        gauge.set(Broken())
    assert gauge.value == 1.0


def test_a_number_that_writes_the_metric_while_it_is_converted_loses_nothing() -> None:
    counter = Counter("x_total", "X.", registry=None)

    class Sneaky:
        def __float__(self) -> float:
            counter.inc(10)
            return 1.0

    counter.inc(Sneaky())
    assert counter.value == 11.0


class Radd(float):
    def __radd__(self, other: object) -> float:
        raise AssertionError("added by the number itself")

    __rsub__ = __radd__


@every_write
def test_an_operator_of_the_numbers_own_is_never_called(
    make: Callable[..., Metric], methods: list[str], attribute: str
) -> None:
    assert _after(make, methods, attribute, Radd(2)) == 2.0


def test_the_message_begins_with_its_subject() -> None:
    with pytest.raises(NotANumberError, match=r"^the thing takes a number .* but got str 'abc'$"):
        to_float("abc", "the thing")
