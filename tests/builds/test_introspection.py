"""Docstrings, signatures and argument errors: the compiled build tells the same as the sources it is compiled from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from pytheus import Counter
from pytheus.exceptions import NotTextError

# What introspection.py reports: by name, what is told about it.
Report = dict[str, dict[str, Any]]
Both = Callable[[str], tuple[Report, Report]]

SCRIPT = "introspection.py"


def public(names: Report) -> set[str]:
    return {name for name in names if not name.rpartition(".")[2].startswith("_")}


def without_annotations(signature: Any) -> Any:
    return [parameter[:3] for parameter in signature[:-1]] if isinstance(signature, list) else signature


def test_both_builds_have_the_same_public_names(compiled_and_pure: Both) -> None:
    compiled, pure = compiled_and_pure(SCRIPT)
    assert public(compiled) == public(pure)
    assert pure.keys() <= compiled.keys()


@pytest.mark.parametrize("field", ["doc", "help", "pickled"])
def test_docstrings_and_help_are_the_same(field: str, compiled_and_pure: Both) -> None:
    compiled, pure = compiled_and_pure(SCRIPT)
    assert {name: compiled[name].get(field) for name in pure} == {name: told.get(field) for name, told in pure.items()}


def test_signatures_are_the_same(compiled_and_pure: Both) -> None:
    compiled, pure = compiled_and_pure(SCRIPT)
    for name, told in pure.items():
        signature, expected = compiled[name].get("signature"), told.get("signature")
        if compiled[name].get("native"):  # a native function cannot have annotations
            signature, expected = without_annotations(signature), without_annotations(expected)
        assert signature == expected, name


def test_errors_about_arguments_are_the_same(compiled_and_pure: Both) -> None:
    compiled, pure = compiled_and_pure(SCRIPT)
    errors = {name: told for name, told in pure.items() if "(" in name}
    assert {name: compiled[name] for name in errors} == errors
    texts = [text for told in errors.values() for text in told.values()]
    assert len(texts) > 300
    assert "accepted" not in texts


def test_every_public_name_has_a_docstring_and_a_signature(installed: Callable[[str], Report]) -> None:
    told = installed(SCRIPT)
    for name in ("Counter", "Counter.inc", "Counter.count_exceptions"):
        assert told[f"pytheus.metrics.counter.{name}"]["help"] is True
    unsigned = {
        name
        for name in public(told)
        if isinstance(told[name].get("signature"), str) and not name.startswith("pytheus.exceptions.")
    }
    assert not unsigned


def test_a_mock_of_a_class_refuses_arguments_that_the_class_refuses() -> None:
    mocked = mock.create_autospec(Counter)
    mocked("c_total", "d", registry=None)
    with pytest.raises(TypeError, match="description"):
        mocked("c_total")


@pytest.mark.parametrize("arguments", [(1, "d"), ("c_total", None)])
def test_an_argument_that_is_no_text_raises_an_error_of_pytheus(arguments: tuple[Any, Any]) -> None:
    with pytest.raises(NotTextError):
        Counter(*arguments, registry=None)
