from __future__ import annotations

from typing import cast

import pytest

from pytheus.exceptions import RegistryAddressError
from pytheus.plugins.config import NO_CONFIGURATION, choose

FILE = NO_CONFIGURATION._replace(path="/a/pyproject.toml", registry="of_file")


def test_an_argument_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_REGISTRY", "of_variable")
    assert choose("of_argument", FILE) == ("of_argument", "argument", "as argument")


def test_the_variable_comes_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_REGISTRY", "of_variable")
    assert choose(None, FILE) == ("of_variable", "environment", "from PYTHEUS_REGISTRY")


def test_the_file_comes_third() -> None:
    assert choose(None, FILE) == ("of_file", "configuration", "from /a/pyproject.toml")


def test_default_comes_last() -> None:
    assert choose(None, NO_CONFIGURATION) == ("default", "default", "by default")


@pytest.mark.parametrize("value", ["", "  ", "\n"])
def test_an_empty_variable_counts_as_unset(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_REGISTRY", value)
    assert choose(None, FILE).text == "of_file"


def test_a_variable_that_is_0_is_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_REGISTRY", "0")
    assert choose(None, FILE).text == "0"


def test_space_around_a_name_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_REGISTRY", " redis\n")
    assert choose(None, FILE).text == "redis"


def test_an_empty_argument_is_not_taken_for_none() -> None:
    assert choose("", FILE) == ("", "argument", "as argument")


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(RegistryAddressError) as caught:
        choose(cast("str", object()), FILE)
    assert str(caught.value) == (
        "a registry is chosen by a name or URL but got object; pass a registry object to REGISTRY.set_registry(...)"
    )


def test_its_repr_shows_no_credential() -> None:
    assert "hunter2" not in repr(choose("redis://:hunter2@h", FILE))
