"""Labels declared by a class: which classes will do, what they come to, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from enum import Enum, IntEnum, StrEnum
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    LiteralString,
    NamedTuple,
    NewType,
    NotRequired,
    Required,
    TypedDict,
)

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.exceptions import InvalidNameError, LabelError
from pytheus.metrics import Metric
from pytheus.registry import CollectorRegistry

# Metrics of every type have one name here.
pytestmark = pytest.mark.filterwarnings("ignore:counter .* has no suffix")

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass(frozen=True)
class Http:
    method: Literal["GET", "POST"]
    code: str
    host: str = "localhost"

    limit: ClassVar[int] = 3


class HttpTuple(NamedTuple):
    method: Literal["GET", "POST"]
    code: str
    host: str = "localhost"


class Base(TypedDict):
    method: Literal["GET", "POST"]


class HttpDict(Base):
    code: str


CLASSES = [Http, HttpTuple, HttpDict]


@pytest.mark.parametrize("cls", CLASSES)
def test_the_fields_are_the_labels_in_their_order(cls: type) -> None:
    names = Counter("hits_total", "Hits.", labels=cls, registry=None).label_names
    assert names == (("method", "code") if cls is HttpDict else ("method", "code", "host"))


METRICS: list[Callable[[], Metric]] = [
    lambda: Counter("m_total", "M.", labels=Http, registry=None),
    lambda: Gauge("m", "M.", labels=Http, registry=None),
    lambda: Histogram("m", "M.", labels=Http, registry=None),
    lambda: Summary("m", "M.", labels=Http, registry=None),
    lambda: Info("m", "M.", labels=Http, registry=None),
    lambda: StateSet("m", "M.", labels=Http, states=["on"], registry=None),
]


def test_keyword_only_fields_come_last_for_no_position_is_theirs() -> None:
    @dataclass(kw_only=True)
    class Zoned:
        zone: str = "a"

    @dataclass
    class Hit(Zoned):
        code: str = "200"

    hits = Counter("hits_total", "Hits.", labels=Hit, registry=None)
    hits.labels("404").inc()
    assert hits.labels(Hit("404")).value == 1.0
    assert hits.labels("404", zone="b") is hits.labels(Hit("404", zone="b"))


@pytest.mark.parametrize("make", METRICS)
def test_every_type_takes_them_and_being_generic_gives_it_no_dict(make: Callable[[], Metric]) -> None:
    metric = make()
    assert metric.label_names == ("method", "code", "host")
    assert not hasattr(metric, "__dict__")
    assert not hasattr(metric, "__weakref__")


@pytest.mark.parametrize("cls", [Counter, Gauge, Histogram, Summary, Info])
def test_a_type_can_be_subscripted(cls: Any) -> None:
    assert cls[type[Http]].__origin__ is cls
    assert type(cls[type[Http]]("m", "M.", labels=Http, registry=None)) is cls


def test_a_subclass_can_settle_its_labels() -> None:
    class Settled(Counter[type[Http]]):
        pass

    metric = Settled("m", "M.", labels=Http, registry=None)
    metric.labels(Http("GET", "200")).inc()
    assert metric.series_count == 1


@pytest.mark.parametrize("cls", [Http, HttpTuple])
def test_a_fields_default_is_the_labels_default(cls: type) -> None:
    hits = Counter("hits_total", "Hits.", labels=cls, registry=None)
    hits.labels(method="GET", code="200").inc()
    assert hits.labels(method="GET", code="200", host="localhost").value == 1.0


def test_default_labels_come_before_the_fields_defaults() -> None:
    hits = Counter("hits_total", "Hits.", labels=Http, default_labels={"host": "example"}, registry=None)
    hits.labels("GET", "200").inc()
    assert hits.labels("GET", "200", "example").value == 1.0


def test_default_labels_may_name_fields_without_a_default_and_labels_from_goes_along() -> None:
    hits = Counter(
        "hits_total",
        "Hits.",
        labels=HttpTuple,
        default_labels={"code": "200"},
        labels_from={"method": ["GET", "POST"]},
        registry=None,
    )
    assert hits.series_count == 2
    partly: Any = hits  # only checkers want every label of the class at once
    partly.labels(method="GET").inc()
    assert hits.labels("GET", "200").value == 1.0


@pytest.mark.parametrize(
    ("cls", "record", "labels"),
    [
        (Http, Http("GET", "200"), ("GET", "200", "localhost")),
        (HttpTuple, HttpTuple("GET", "200"), ("GET", "200", "localhost")),
        (HttpDict, HttpDict(method="GET", code="200"), ("GET", "200")),
    ],
    ids=["dataclass", "NamedTuple", "TypedDict"],
)
def test_an_instance_gives_the_labels(cls: Any, record: Any, labels: tuple[str, ...]) -> None:
    hits: Counter[Any] = Counter("hits_total", "Hits.", labels=cls, registry=None)
    assert hits.labels(record) is hits.labels(*labels)


def test_remove_takes_an_instance() -> None:
    hits = Counter("hits_total", "Hits.", labels=Http, registry=None)
    hits.labels("GET", "200").inc()
    assert hits.remove(Http("GET", "200"))
    assert hits.series_count == 0


def test_an_instance_of_another_class_is_an_unknown_label() -> None:
    @dataclass
    class Other:
        method: str
        cod: str

    hits = Counter("hits_total", "Hits.", labels=Http, registry=None)
    with pytest.raises(LabelError, match=r"got \('method', 'cod'\): did you mean 'code'\?"):
        hits.labels(Other("GET", "200"))  # type: ignore[call-overload]  # on purpose


@pytest.mark.usefixtures("strict")
def test_a_record_with_a_value_that_is_no_text_changes_nothing() -> None:
    hits = Counter("hits_total", "Hits.", labels=Http, registry=None)
    with pytest.raises(LabelError, match="label 'code' of counter 'hits_total' must be a str or an int but got bytes"):
        hits.labels(Http("GET", b"200"))  # type: ignore[arg-type]  # on purpose
    assert hits.series_count == 0


class Method(StrEnum):
    GET = "GET"


class Number(IntEnum):
    ONE = 1


class OldMethod(str, Enum):  # noqa: UP042  # what there was before StrEnum
    GET = "GET"


UserId = NewType("UserId", str)


def test_all_that_is_text_is_accepted() -> None:
    @dataclass
    class Labels:
        a: str
        b: Literal["x", "y"]
        c: Method
        d: OldMethod
        e: Literal[Method.GET]
        f: Annotated[str, "of some kind"]
        g: Literal["x"] | Method
        h: UserId
        i: LiteralString
        j: int
        k: Number
        m: Literal[1, "a"]
        n: str | int

    # Local names are no global ones, so what is tested is the annotations themselves.
    Labels.__annotations__ = {
        name: eval(annotation, globals(), {}) for name, annotation in Labels.__annotations__.items()
    }
    assert len(Counter("m_total", "M.", labels=Labels, registry=None).label_names) == 13


def test_an_enums_value_is_the_labels() -> None:
    class Labels(NamedTuple):
        method: Method
        old: OldMethod

    metric = Counter("m_total", "M.", labels=Labels, registry=None)
    metric.labels(Method.GET, OldMethod.GET).inc()
    assert [sample.labels for family in metric.collect() for sample in family.samples] == [
        {"method": "GET", "old": "GET"}
    ]


def test_an_annotation_that_only_checkers_can_read_is_left_to_them() -> None:
    @dataclass
    class Labels:
        price: Decimal

    assert Counter("m_total", "M.", labels=Labels, registry=None).label_names == ("price",)  # type: ignore[pytheus-label]  # on purpose


DEFERRED = """
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

@dataclass
class AsDataclass:
    price: Decimal
    method: str

class AsTuple(NamedTuple):
    price: Decimal
    method: str

class AsDict(TypedDict):
    price: Decimal
    method: str
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated at once, so the class has an error")
@pytest.mark.parametrize("name", ["AsDataclass", "AsTuple", "AsDict"])
def test_a_name_that_only_checkers_import_may_be_in_an_annotation_that_is_evaluated_later(name: str) -> None:
    module: dict[str, Any] = {"__name__": __name__}
    exec(compile(DEFERRED, "deferred.py", "exec", dont_inherit=True), module)
    assert Counter("m_total", "M.", labels=module[name], registry=None).label_names == ("price", "method")


def test_a_namedtuple_without_annotations_will_do() -> None:
    cls = namedtuple("cls", "a b")  # noqa: PYI024  # that is the point
    assert Counter("m_total", "M.", labels=cls, registry=None).label_names == ("a", "b")


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        (float, "float"),
        (bool, "bool"),
        (bytes, "bytes"),
        (Any, "Any"),
        (object, "object"),
        (str | None, "str | None"),
        (int | bool, "int | bool"),
        (Literal[True, "a"], "typing.Literal[True, 'a']"),
        (list[str], "list[str]"),
    ],
)
def test_a_field_that_is_no_text_is_refused(annotation: object, shown: str) -> None:
    @dataclass
    class Labels:
        method: str
        code: float

    Labels.__annotations__ = {"method": str, "code": annotation}
    registry = CollectorRegistry()
    with pytest.raises(LabelError) as raised:
        Counter("hits_total", "Hits.", labels=Labels, registry=registry)  # type: ignore[pytheus-label]  # on purpose
    assert str(raised.value) == (
        f"counter 'hits_total' has the label 'code', which Labels annotates with {shown}; a label value is a str"
        " or an int, so annotate it with one of them or a Literal of them, and convert the value before labels()"
    )
    assert list(registry) == []


@pytest.mark.parametrize("given", [3, "method", ("method",), Http("GET", "200"), str, len, Exception])
def test_what_declares_no_labels_is_refused(given: Any) -> None:
    with pytest.raises(LabelError, match="takes labels= as a dataclass, NamedTuple or TypedDict"):
        Counter("hits_total", "Hits.", labels=given, registry=None)


def test_required_labels_beside_it_are_refused() -> None:
    with pytest.raises(LabelError, match="got required_labels and labels=; the class names every label"):
        Counter("hits_total", "Hits.", ["method"], labels=Http, registry=None)


class Partly(TypedDict):
    method: str
    code: NotRequired[str]


class Total(TypedDict, total=False):
    method: Required[str]
    code: str


@pytest.mark.parametrize("cls", [Partly, Total])
def test_a_label_that_a_dict_need_not_have_needs_a_default(cls: Any) -> None:
    hits: Counter[Any] = Counter("hits_total", "Hits.", labels=cls, default_labels={"code": "200"}, registry=None)
    hits.labels({"method": "GET"}).inc()
    assert hits.labels({"method": "GET", "code": "200"}).value == 1.0
    message = f"has the optional label 'code' of {cls.__name__}, but every series needs it"
    with pytest.raises(LabelError, match=message):
        Counter("hits_total", "Hits.", labels=cls, registry=None)


@dataclass
class BadDefault:
    code: str = 2.5  # type: ignore[assignment]  # on purpose


@dataclass
class NotTaken:
    code: str = field(init=False)


@dataclass
class Argument:
    code: str
    raw: InitVar[str]


@dataclass
class Factory:
    code: str = field(default_factory=str)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (BadDefault, "label 'code' of counter 'hits_total' must be a str or an int but got float 2.5"),
        (NotTaken, "cannot get the label 'code' of NotTaken, a field with init=False"),
        (Argument, "cannot read the label 'raw' of Argument, an InitVar; make it a field"),
        (Factory, "has the label 'code' of Factory with a default_factory"),
    ],
)
def test_a_field_that_makes_no_label_is_refused(cls: Any, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        Counter("hits_total", "Hits.", labels=cls, registry=None)


def test_a_field_with_a_name_that_no_label_may_have_is_refused() -> None:
    @dataclass
    class Labels:
        le: str

    with pytest.raises(InvalidNameError, match="has the label name 'le', which its own exposition writes"):
        Histogram("h", "H.", labels=Labels, registry=None)  # type: ignore[pytheus-name]  # on purpose


def test_default_labels_that_are_no_mapping_are_refused_as_ever() -> None:
    with pytest.raises(LabelError, match="default_labels must be a mapping"):
        Counter("m_total", "M.", labels=Http, default_labels=[("host", "a")], registry=None)  # type: ignore[arg-type]  # so


def test_the_same_metric_by_class_and_by_names_shares_its_values() -> None:
    registry = CollectorRegistry()
    Counter("hits_total", "Hits.", labels=HttpDict, registry=registry).labels({"method": "GET", "code": "200"}).inc()
    again = Counter("hits_total", "Hits.", ["method", "code"], registry=registry)
    assert again.labels("GET", "200").value == 1.0


def test_metrics_without_a_class_load_nothing_for_it() -> None:
    program = (
        "import sys, pytheus;"
        "pytheus.Counter('m', 'M.', ['a']).labels('1').inc();"
        "print(sorted({'dataclasses', 'pytheus.metrics.label_class'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert ended.stdout == "[]\n"
