"""The parts of the text format's grammar that no metric shows by itself."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.utils import floatToGoString

from pytheus.textformat import format_bound, line_head, quoted_label, quoted_name

# As Go's strconv.FormatFloat(bound, 'g', -1, 64) writes them, with ".0" where there is neither a point nor an exponent.
GO = {
    0.0: "0.0",
    0.001: "0.001",
    0.0001: "0.0001",
    0.00001: "1e-05",
    1.0: "1.0",
    100000.0: "100000.0",
    999999.5: "999999.5",
    1e6: "1e+06",
    -1e6: "-1e+06",
    1234567.0: "1.234567e+06",
    -1234567.25: "-1.23456725e+06",
    1e10: "1e+10",
    1e16: "1e+16",
    1.5e300: "1.5e+300",
    5e-324: "5e-324",
    math.inf: "+Inf",
    -math.inf: "-Inf",
}


@pytest.mark.parametrize("bound", GO)
def test_a_bound_is_written_as_go_does(bound: float) -> None:
    assert format_bound(bound) == GO[bound]


def test_the_sign_of_zero_is_kept() -> None:
    assert [format_bound(bound) for bound in (0.0, -0.0)] == ["0.0", "-0.0"]
    assert format_bound(math.nan) == "NaN"


@pytest.mark.property
@given(st.floats(allow_nan=False))
def test_a_bound_parses_to_the_same_double(bound: float) -> None:
    assert float(format_bound(bound)) == bound


@pytest.mark.property
@given(st.floats(min_value=0, max_value=1e15))
def test_a_bound_is_written_as_another_library_does(bound: float) -> None:
    assert format_bound(bound) == floatToGoString(bound)  # type: ignore[no-untyped-call]  # it has no annotations


def test_a_name_is_quoted_unless_it_is_a_legacy_name() -> None:
    assert [quoted_name(name) for name in ("a:b_1", "a.b", 'a"\\\n')] == ["a:b_1", '"a.b"', '"a\\"\\\\\\n"']
    assert [quoted_label(name) for name in ("a_1", "a:b")] == ["a_1", '"a:b"']


def test_the_head_of_a_line() -> None:
    assert line_head("a", {}) == "a "
    assert line_head("a", {"b": "x", "c.d": 'y"'}) == 'a{b="x","c.d"="y\\""} '
    assert line_head("a.b", {}) == '{"a.b"} '
    assert line_head("a.b", {"c": "x"}) == '{"a.b",c="x"} '
