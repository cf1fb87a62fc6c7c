"""The compiled build and the sources it was compiled from accept and refuse the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pytheus

CHECKOUT = Path(__file__).parents[2]

# What the interpreter says of arguments that do not fit a function's signature: native functions word it differently,
# and leave out a method's class. That it is a TypeError, and when, is compared all the same.
_ARGUMENT_ERRORS = re.compile(r"TypeError/Exception/BaseException: .*(argument|expected)")


def behaviour(*, of_the_checkout: bool) -> tuple[bool, dict[str, str]]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if of_the_checkout:
        environment["PYTHONPATH"] = str(CHECKOUT)
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("behaviour.py"))],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    report = json.loads(ran.stdout)
    return report["compiled"], {name: _comparable(text) for name, text in report["behaviour"].items()}


def _comparable(text: str) -> str:
    if _ARGUMENT_ERRORS.match(text) or text.startswith("NotTextError/"):
        return "a TypeError about the arguments"
    return text


def test_both_builds_do_the_same() -> None:
    if not pytheus.COMPILED:
        pytest.skip("this is the pure build; the compiled one is compared with it when that is tested")
    compiled, of_the_installed = behaviour(of_the_checkout=False)
    pure, of_the_sources = behaviour(of_the_checkout=True)
    assert (compiled, pure) == (True, False)
    assert len(of_the_sources) > 500
    assert of_the_installed == of_the_sources


def test_the_table_tells_what_was_refused_from_what_was_taken() -> None:
    _, told = behaviour(of_the_checkout=False)
    assert told["counter.inc(Decimal)"] == "NoneType: None"
    assert told["counter.inc(str)"].startswith("NotANumberError/")
    assert told["counter.inc(nan)"].startswith("OutOfRangeError/")
    assert told["counter.inc(float subclass)"] == "NoneType: None"
    assert "c_total 1.5" in told["counter.inc(float subclass) leaves"]
