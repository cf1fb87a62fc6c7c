"""The compiled build and the sources it was compiled from accept and refuse the same."""

from __future__ import annotations

from collections.abc import Callable

Report = dict[str, object]


def test_both_builds_do_the_same(compiled_and_pure: Callable[[str], tuple[Report, Report]]) -> None:
    compiled, pure = compiled_and_pure("behaviour.py")
    assert compiled == pure


def test_the_table_tells_what_was_refused_from_what_was_taken(installed: Callable[[str], Report]) -> None:
    told = {name: str(text) for name, text in installed("behaviour.py").items()}
    assert told["counter.inc(Decimal)"] == "NoneType: None"
    assert told["counter.inc(str)"].startswith("NotANumberError/")
    assert told["counter.inc(nan)"].startswith("OutOfRangeError/")
    assert told["counter.inc(float subclass)"] == "NoneType: None"
    assert "c_total 1.5" in told["counter.inc(float subclass) leaves"]
