"""Legacy names, and the escapes of other names as Prometheus's own code writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.escaping import ESCAPINGS, Escaping, escape_label_name, escape_name, is_legacy_label, is_legacy_name

EXAMPLES = {
    "a_b": ("a_b", "a_b", "a_b"),
    "a:b": ("a:b", "a:b", "a:b"),
    "a.b": ("a_b", "a_dot_b", "U__a_2e_b"),
    "http.status_code": ("http_status_code", "http_dot_status__code", "U__http_2e_status__code"),
    "1st": ("_st", "__st", "U___31_st"),
    "\N{GRINNING FACE}x": ("_x", "__x", "U___1f600_x"),
    "a b.c_d": ("a_b_c_d", "a__b_dot_c__d", "U__a_20_b_2e_c__d"),
    "é": ("_", "__", "U___e9_"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_name_in_each_scheme(name: str) -> None:
    assert tuple(escape_name(name, escaping) for escaping in ESCAPINGS[:3]) == EXAMPLES[name]
    assert escape_name(name, "allow-utf-8") == name


def test_a_colon_is_no_part_of_a_label() -> None:
    assert is_legacy_name("a:b")
    assert not is_legacy_label("a:b")
    escaped = [escape_label_name("a:b", escaping) for escaping in ESCAPINGS]
    assert escaped == ["a_b", "a__b", "U__a_3a_b", "a:b"]


@pytest.mark.property
@given(st.text(min_size=1), st.sampled_from(ESCAPINGS[:3]))
def test_an_escaped_name_is_a_legacy_name(name: str, escaping: Escaping) -> None:
    assert is_legacy_name(escape_name(name, escaping))
    assert is_legacy_label(escape_label_name(name, escaping))
    if is_legacy_name(name):
        assert escape_name(name, escaping) == name
