"""Which frameworks a setting names."""

from __future__ import annotations

import sys

import pytest

import pytheus_startup
from pytheus.instrumentation.instruments import INSTRUMENTS
from pytheus.instrumentation.selection import FRAMEWORKS, parse, selected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auto", dict.fromkeys(FRAMEWORKS, "otel")),
        (" fastapi , flask ", {"fastapi": "otel", "flask": "otel"}),
        ("flask=flask-exporter", {"flask": "flask-exporter"}),
        ("flask=flask-exporter,auto", dict.fromkeys(FRAMEWORKS, "otel") | {"flask": "flask-exporter"}),
        ("auto=starlette-exporter", dict.fromkeys(FRAMEWORKS, "starlette-exporter")),
    ],
)
def test_the_frameworks_and_their_names(text: str, expected: dict[str, str]) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "fastpai",
            "frameworks, or auto for all (starlette, fastapi, litestar, flask, django, celery) but got 'fastpai'; did",
        ),
        ("flask=flask-exprter", "got 'flask-exprter'; did you mean 'flask-exporter'?"),
        ("flask=", "names of metrics (otel, "),
        ("celery=otel", "names of HTTP metrics, which celery does not have, but got 'otel'"),
        ("flask,", "but got another text"),
        ("", "but got another text"),
        ("https://user:secret@host", "but got another text"),
    ],
)
def test_a_text_that_is_not_valid(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="but got") as caught:
        parse(text)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_environment_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_INSTRUMENT", "flask")
    assert selected() == {"flask": "otel"}
    monkeypatch.setenv("PYTHEUS_INSTRUMENT", "flsk")
    with pytest.raises(ValueError, match=r"PYTHEUS_INSTRUMENT takes frameworks, .* did you mean 'flask'"):
        selected()


def test_each_framework_has_a_function_and_a_module() -> None:
    assert set(FRAMEWORKS) == set(INSTRUMENTS)
    assert set(FRAMEWORKS) <= set(pytheus_startup.MODULES.values())


def test_nothing_is_watched_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHEUS_INSTRUMENT", raising=False)
    finders = list(sys.meta_path)
    pytheus_startup.begin()
    assert sys.meta_path == finders
