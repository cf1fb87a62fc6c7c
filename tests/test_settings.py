"""Settings of the process: what the program sets comes first, the configured value is read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pytheus import Counter, Gauge, _configured_setting
from pytheus.exceptions import ConfigurationError, InvalidNameError, PytheusWarning
from pytheus.metrics import Family, Sample
from pytheus.settings import (
    NameRules,
    has_created_lines,
    has_utf8_names,
    is_strict,
    set_created_lines,
    set_names,
    set_settings_source,
    set_strict,
)


@pytest.fixture(autouse=True)
def source() -> Iterator[dict[str, object]]:
    values: dict[str, object] = {}
    asked: list[str] = []

    def ask(key: str) -> object:
        assert key not in asked, "it is asked once"
        asked.append(key)
        return values.get(key, False)

    set_settings_source(ask)
    former = set_strict(None), set_names(None), set_created_lines(None)
    yield values
    set_strict(former[0])
    set_names(former[1])
    set_created_lines(former[2])
    set_settings_source(_configured_setting)


CASES: list[tuple[str, Callable[[], bool], object, Callable[[], object], Callable[[], object]]] = [
    ("strict", is_strict, True, lambda: set_strict(False), lambda: set_strict(None)),
    ("names", has_utf8_names, "utf8", lambda: set_names("legacy"), lambda: set_names(None)),
    ("created_lines", has_created_lines, True, lambda: set_created_lines(False), lambda: set_created_lines(None)),
]


@pytest.mark.parametrize(("key", "get", "value", "unset", "leave"), CASES, ids=[case[0] for case in CASES])
def test_the_program_decides_over_the_configuration(
    source: dict[str, object],
    key: str,
    get: Callable[[], bool],
    value: object,
    unset: Callable[[], object],
    leave: Callable[[], object],
) -> None:
    source[key] = value
    assert [get(), get()] == [True, True]
    unset()
    assert not get()
    leave()
    assert get()


def test_a_configuration_that_cannot_be_read_is_a_warning() -> None:
    def fail(key: str) -> object:
        raise ConfigurationError("PYTHEUS_NAMES must be legacy or utf8 but is 'x'")

    set_settings_source(fail)
    with pytest.warns(
        PytheusWarning, match="only legacy names are allowed, because its setting cannot be read: PYTHEUS"
    ):
        assert not has_utf8_names()
    assert not has_utf8_names()  # told once


def test_a_legacy_name_asks_for_no_setting() -> None:
    def fail(key: str) -> object:
        raise AssertionError(key)

    set_settings_source(fail)
    Counter("hits_total", "Hits.", ["code"], registry=None)
    Family("level", "gauge", "Level.", [Sample("", {"a": "b"}, 1.0)])


@pytest.mark.parametrize("names", [None, "legacy", "utf8"])
@pytest.mark.parametrize("process", ["legacy", "utf8"])
def test_a_definition_decides_over_the_process(process: NameRules, names: NameRules | None) -> None:
    set_names(process)
    makers: list[Callable[[], object]] = [
        lambda: Gauge("a.b", "A.", names=names, registry=None),
        lambda: Gauge("a", "A.", ["b.c"], names=names, registry=None),
        lambda: Family("a.b", "gauge", "A.", names=names),
    ]
    for make in makers:
        if (names or process) == "utf8":
            make()
        else:
            with pytest.raises(InvalidNameError, match=r"'[ab]\.[bc]'"):
                make()


def test_other_rules_are_refused() -> None:
    for make in (
        lambda: Gauge("a", "A.", names="utf-8", registry=None),  # type: ignore[arg-type]  # on purpose
        lambda: Family("a", "gauge", "A.", names=True),  # type: ignore[arg-type]  # on purpose
    ):
        with pytest.raises(InvalidNameError, match="takes names of 'legacy' or 'utf8' but got"):
            make()
