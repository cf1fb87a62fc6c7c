"""The text of label values: str and int as they are, others converted and told once, or refused in strict mode."""

from __future__ import annotations

import enum
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from decimal import Decimal
from http import HTTPStatus

import numpy as np
import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, generate_metrics
from pytheus.exceptions import LabelError, NotTextError, PytheusWarning
from pytheus.metrics import Metric
from pytheus.registry import CollectorRegistry
from pytheus.settings import is_strict, set_settings_source


class Loud(enum.IntEnum):
    ONE = 1

    def __str__(self) -> str:
        return "not the digits"

    def __repr__(self) -> str:
        return "not the digits"


class Color(str, enum.Enum):  # noqa: UP042  # the older form, which programs have
    RED = "red"

    def __str__(self) -> str:
        return "not the text"


class Zone(enum.StrEnum):
    EUROPE = "eu"


class Flags(enum.IntFlag):
    A = 1
    B = 2


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Unhashable:
    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __str__(self) -> str:
        return "unhashable"


WAYS: dict[str, Callable[[Counter, object], Counter]] = {
    "by position": lambda hits, value: hits.labels("GET", value),  # type: ignore[arg-type]  # any value
    "by keyword": lambda hits, value: hits.labels(method="GET", code=value),  # type: ignore[arg-type]  # as above
    "by mapping": lambda hits, value: hits.labels({"method": "GET", "code": value}),  # type: ignore[dict-item]  # as above
    "step by step": lambda hits, value: hits.labels("GET").labels(code=value),  # type: ignore[arg-type]  # as above
}

TAKEN: list[tuple[object, str]] = [
    (200, "200"),
    (0, "0"),
    (-7, "-7"),
    (10**30, str(10**30)),
    (HTTPStatus.NOT_FOUND, "404"),
    (Loud.ONE, "1"),
    (signal.SIGTERM, str(int(signal.SIGTERM))),
    (Flags.A | Flags.B, "3"),
    (Color.RED, "red"),
    (Zone.EUROPE, "eu"),
]

CONVERTED: list[tuple[object, str]] = [
    (1.5, "1.5"),
    (None, "None"),
    (True, "True"),
    (b"GET", "b'GET'"),
    (["GET"], "['GET']"),
    ({"a": 1}, "{'a': 1}"),
    (Decimal("1.50"), "1.50"),
    (np.int64(3), "3"),
    (ValueError("bad"), "bad"),
    (Unhashable(), "unhashable"),
    (Broken(), "<Broken>"),
    (10**5000, "<int>"),
    ("\udce4", "\\udce4"),
    (ValueError("\udce4"), "\\udce4"),
]


@pytest.fixture
def hits(registry: CollectorRegistry) -> Counter:
    return Counter("hits_total", "Hits.", ["method", "code"], registry=registry)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("value", "text"), TAKEN)
def test_str_and_int_are_taken_as_they_are(
    hits: Counter, value: object, text: str, way: Callable[[Counter, object], Counter]
) -> None:
    way(hits, value).inc()
    way(hits, value).inc()
    assert way(hits, value) is hits.labels("GET", text)
    assert hits.labels("GET", text).value == 2.0


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("value", "text"), CONVERTED, ids=[text for _, text in CONVERTED])
def test_any_other_value_is_converted_and_told_once(
    hits: Counter, value: object, text: str, way: Callable[[Counter, object], Counter]
) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(3):
            way(hits, value).inc()
    assert hits.labels("GET", text).value == 3.0
    [warning] = told
    assert warning.category is PytheusWarning
    assert warning.filename == __file__  # that of the caller
    kind = "lone surrogate" if isinstance(value, str) else type(value).__name__
    assert str(warning.message).startswith("label 'code' of counter 'hits_total' ")
    assert kind in str(warning.message)


def test_the_warning_comes_for_each_label_and_each_metric(hits: Counter) -> None:
    other = Counter("other_total", "Other.", ["code"], registry=None)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            hits.labels(1.5, 2.5)  # type: ignore[arg-type]  # on purpose
            other.labels(None)  # type: ignore[arg-type]  # on purpose
    assert [str(warning.message).partition(" must")[0] for warning in told] == [
        "label 'method' of counter 'hits_total'",
        "label 'code' of counter 'hits_total'",
        "label 'code' of counter 'other_total'",
    ]


def test_two_definitions_of_one_metric_tell_it_once(registry: CollectorRegistry) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            Counter("hits_total", "Hits.", ["code"], registry=registry).labels(1.5)  # type: ignore[arg-type]  # on purpose
    assert len(told) == 1


def test_only_one_of_several_threads_tells_it(hits: Counter) -> None:
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        hits.labels("GET", 1.5).inc()  # type: ignore[arg-type]  # on purpose

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(told) == 1
    assert hits.labels("GET", "1.5").value == 8.0


def test_a_program_that_makes_warnings_errors_gets_one_each_time(hits: Counter) -> None:
    for _ in range(2):
        with pytest.raises(PytheusWarning, match="must be a str or an int but got float"):
            hits.labels("GET", 1.5)  # type: ignore[arg-type]  # on purpose
    assert hits.series_count == 0


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("value", [value for value, _ in CONVERTED], ids=[text for _, text in CONVERTED])
def test_strict_mode_refuses_it_and_changes_nothing(
    hits: Counter, registry: CollectorRegistry, value: object, way: Callable[[Counter, object], Counter]
) -> None:
    hits.labels("GET", "200").inc()
    before = generate_metrics(registry)
    for _ in range(2):
        with pytest.raises(LabelError, match="label 'code' of counter 'hits_total'") as caught:
            way(hits, value)
        assert isinstance(caught.value, NotTextError) or isinstance(value, str)
    assert generate_metrics(registry) == before


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize(("value", "text"), TAKEN)
def test_strict_mode_takes_str_and_int(hits: Counter, value: str | int, text: str) -> None:
    assert hits.labels("GET", value) is hits.labels("GET", text)


@pytest.mark.parametrize("mistake", [{"cod": 200}, {"method": "GET", "code": 1, "zone": 2}], ids=repr)
def test_a_wrong_label_name_raises_as_before(hits: Counter, mistake: dict[str, str | int]) -> None:
    with pytest.raises(LabelError, match="takes labels"):
        hits.labels(**mistake)
    assert hits.series_count == 0


def test_remove_defaults_and_series_ahead_take_the_same_values(registry: CollectorRegistry) -> None:
    level = Gauge(
        "level",
        "Level.",
        ["zone", "code"],
        default_labels={"zone": 1},
        labels_from={"code": [200, HTTPStatus.NOT_FOUND]},
        registry=registry,
    )
    assert [row.labels for row in level.rows()] == [("1", "200"), ("1", "404")]
    assert level.remove(1, 404)
    assert level.remove(code=200)


def test_exemplars_and_facts_take_the_same_values(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", registry=registry)
    sizes = Histogram("sizes", "Sizes.", buckets=(1,), registry=registry)
    build = Info("build", "Build.", registry=registry)
    hits.inc(1, exemplar={"trace_id": 7})
    sizes.observe(1, {"trace_id": HTTPStatus.OK})
    build.info({"major": 3}, minor=11)
    assert 'build_info{major="3",minor="11"} 1.0' in generate_metrics(registry)
    kept = [row.exemplars for metric in (hits, sizes) for row in metric.rows()]
    assert [{slot: exemplar.labels for slot, exemplar in each.items()} for each in kept if each] == [
        {0: {"trace_id": "7"}},
        {1: {"trace_id": "200"}},
    ]
    writes: list[Callable[[], None]] = [
        lambda: hits.inc(1, exemplar={"trace_id": 1.5}),  # type: ignore[dict-item]  # on purpose
        lambda: sizes.observe(1, exemplar={"trace_id": None}),  # type: ignore[dict-item]  # on purpose
        lambda: build.info(version=None),  # type: ignore[arg-type]  # on purpose
    ]
    for write in writes:
        with pytest.warns(PytheusWarning, match="which is converted"):
            write()
    assert (hits.value, sizes.count) == (2.0, 2.0)


@pytest.mark.parametrize(
    "make",
    [lambda: Gauge("m", "M.", ["a"], registry=None), lambda: StateSet("m", "M.", ["a"], states=["s"], registry=None)],
)
def test_every_type_takes_ints(make: Callable[[], Metric]) -> None:
    metric = make()
    assert metric.labels(1) is metric.labels("1")


def test_a_true_is_not_the_series_of_one(hits: Counter) -> None:
    one = hits.labels("GET", 1)
    for value, text in ((True, "True"), (1.0, "1.0"), (Decimal(1), "1")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert hits.labels("GET", value) is hits.labels("GET", text)  # type: ignore[arg-type]  # on purpose
    assert one is hits.labels("GET", "1")


# The setting ----------------------------------------------------------------------------------------------------------

_PROGRAM = """
import sys
from pytheus import Counter
from pytheus.registry import CollectorRegistry
hits = Counter("hits_total", "Hits.", ["code"], registry=CollectorRegistry())
hits.labels(200).inc()
assert "pytheus.plugins" not in sys.modules  # nothing is read before it matters
try:
    hits.labels(2.5).inc()
except Exception as error:
    print(type(error).__name__)
else:
    print("converted")
"""


@pytest.mark.parametrize(
    ("value", "printed", "told"),
    [
        ("1", "NotTextError", ""),
        ("true", "NotTextError", ""),
        ("0", "converted", "got float 2.5"),
        (None, "converted", "got float 2.5"),
        ("perhaps", "converted", "strict mode is off, because its setting cannot be read: PYTHEUS_STRICT must be"),
    ],
)
def test_the_environment_decides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: str, value: str | None, printed: str, told: str
) -> None:
    monkeypatch.delenv("PYTHEUS_STRICT", raising=False)
    if value is not None:
        monkeypatch.setenv("PYTHEUS_STRICT", value)
    run = subprocess.run(
        [sys.executable, "-P", "-c", _PROGRAM], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert run.stdout == printed + "\n"
    assert told in run.stderr


def test_the_setting_is_read_once() -> None:
    asked: list[str] = []

    def ask(key: str) -> bool:
        asked.append(key)
        return False

    from pytheus import _configured_setting

    set_settings_source(ask)
    try:
        assert (is_strict(), is_strict(), asked) == (False, False, ["strict"])
    finally:
        set_settings_source(_configured_setting)
