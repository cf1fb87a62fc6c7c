"""The compiled build and the sources it is compiled from: they accept and refuse the same, and tell the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import pytheus
from pytheus import Counter
from pytheus.exceptions import NotTextError

CHECKOUT = Path(__file__).parents[2]


@cache
def report(script: str, *, of_the_checkout: bool = False) -> tuple[bool, dict[str, Any]]:
    """Whether a build is compiled, and what a script of this directory reports there, by name."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if of_the_checkout:
        environment["PYTHONPATH"] = str(CHECKOUT)
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script))],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    output = json.loads(ran.stdout)
    return output["compiled"], output["report"]


def compiled_and_pure(script: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if not pytheus.COMPILED:
        pytest.skip("this is the pure build; the compiled one is compared with it when that is tested")
    compiled, of_the_installed = report(script)
    pure, of_the_sources = report(script, of_the_checkout=True)
    assert (compiled, pure) == (True, False)
    assert len(of_the_sources) > 500
    return of_the_installed, of_the_sources


def test_both_builds_do_the_same() -> None:
    compiled, pure = compiled_and_pure("behaviour.py")
    assert compiled == pure


def test_the_table_tells_what_was_refused_from_what_was_taken() -> None:
    _, told = report("behaviour.py")
    assert told["counter.inc(Decimal)"] == "NoneType: None"
    assert told["counter.inc(str)"].startswith("NotANumberError/")
    assert told["counter.inc(nan)"].startswith("OutOfRangeError/")
    assert told["counter.inc(float subclass)"] == "NoneType: None"
    assert "c_total 1.5" in told["counter.inc(float subclass) leaves"]


def public(names: dict[str, Any]) -> set[str]:
    return {name for name in names if not name.rpartition(".")[2].startswith("_")}


def without_annotations(signature: Any) -> Any:
    return [parameter[:3] for parameter in signature[:-1]] if isinstance(signature, list) else signature


def test_both_builds_have_the_same_public_names() -> None:
    compiled, pure = compiled_and_pure("introspection.py")
    assert public(compiled) == public(pure)
    assert pure.keys() <= compiled.keys()


@pytest.mark.parametrize("field", ["doc", "help", "pickled"])
def test_docstrings_and_help_are_the_same(field: str) -> None:
    compiled, pure = compiled_and_pure("introspection.py")
    assert {name: compiled[name].get(field) for name in pure} == {name: told.get(field) for name, told in pure.items()}


def test_signatures_are_the_same() -> None:
    compiled, pure = compiled_and_pure("introspection.py")
    for name, told in pure.items():
        signature, expected = compiled[name].get("signature"), told.get("signature")
        if compiled[name].get("native"):  # a native function cannot have annotations
            signature, expected = without_annotations(signature), without_annotations(expected)
        assert signature == expected, name


def test_errors_about_arguments_are_the_same() -> None:
    compiled, pure = compiled_and_pure("introspection.py")
    errors = {name: told for name, told in pure.items() if "(" in name}
    assert {name: compiled[name] for name in errors} == errors
    texts = [text for told in errors.values() for text in told.values()]
    assert len(texts) > 300
    assert "accepted" not in texts


def test_public_names_have_help_and_signatures() -> None:
    _, told = report("introspection.py")
    for name in ("Counter", "Counter.inc", "Counter.count_exceptions"):
        assert told[f"pytheus.metrics.counter.{name}"]["help"] is True
    unsigned = {name for name in public(told) if isinstance(told[name].get("signature"), str)}
    assert not {name for name in unsigned if not name.startswith("pytheus.exceptions.")}  # as BaseException itself


def test_a_mock_of_a_class_refuses_arguments_that_the_class_refuses() -> None:
    mocked = mock.create_autospec(Counter)
    mocked("c_total", "d", registry=None)
    with pytest.raises(TypeError, match="description"):
        mocked("c_total")


@pytest.mark.parametrize("arguments", [(1, "d"), ("c_total", None)])
def test_an_argument_that_is_no_text_raises_an_error_of_pytheus(arguments: tuple[Any, Any]) -> None:
    with pytest.raises(NotTextError):
        Counter(*arguments, registry=None)


BUILD = os.environ.get("PYTHEUS_TEST_BUILD")

known_build = pytest.mark.skipif(BUILD is None, reason="PYTHEUS_TEST_BUILD is not set, as `dev.py test` does")


@known_build
def test_the_package_is_the_installed_one() -> None:
    assert Path(pytheus.__file__).is_relative_to(sysconfig.get_path("purelib"))


@known_build
def test_the_checkout_is_not_on_the_path(checkout: Path) -> None:
    assert checkout not in [Path(entry or os.curdir).resolve() for entry in sys.path]


@known_build
def test_the_build_is_the_one_asked_for() -> None:
    assert {"pure": False, "compiled": True}[str(BUILD)] is pytheus.COMPILED
