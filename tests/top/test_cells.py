"""Texts for a terminal: nothing in them can change it, and their widths are exact."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.top.cells import cut, fitted, safe, width
from pytheus.top.lines import wrapped

pytestmark = pytest.mark.once

ANY = st.text(st.characters(codec=None, categories=None), max_size=40) | st.text(
    st.sampled_from('a\x1b\x9b\x07\r\n\u202e\u200d\u0301\u20dd\u4e2d\U0001f469\ufe0f\xad\u3164\ud800 \\"'), max_size=20
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain /path?x=1", "plain /path?x=1"),
        ("\x1b[31mred", "\\e[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eevil", "\\u202eevil"),
        ("a\u0301\u0301\u0301", "a\u0301\u0301\\u0301"),
        ("\u0301a", "\\u0301a"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("Zürich 中文", "Zürich 中文"),
        ("a\\b", "a\\\\b"),
    ],
)
def test_characters_that_could_change_a_terminal_are_escapes(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_ascii_alone_for_a_terminal_that_is_not_of_utf8() -> None:
    assert safe("Zürich 中\U0001f600", ascii_only=True) == "Z\\xfcrich \\u4e2d\\U0001f600"


def test_a_long_text_is_cut() -> None:
    assert safe("x" * 5000) == "x" * 1000 + "..."


@pytest.mark.property
@given(ANY, st.booleans())
def test_a_safe_text_has_no_character_that_changes_a_terminal(text: str, ascii_only: bool) -> None:
    shown = safe(text, ascii_only=ascii_only)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
    assert shown.isascii() or not ascii_only
    shown.encode("utf-8")


@pytest.mark.property
@given(ANY, st.integers(0, 30), st.booleans(), st.booleans())
def test_a_fitted_text_is_as_wide_as_asked(text: str, columns: int, right: bool, ascii_only: bool) -> None:
    shown = safe(text, ascii_only=ascii_only)
    assert width(fitted(shown, columns, right=right, ascii_only=ascii_only)) == columns
    assert width(cut(shown, columns)) <= columns


@pytest.mark.property
@given(ANY, st.integers(2, 30))
def test_wrapping_loses_nothing_but_spaces(text: str, columns: int) -> None:
    shown = safe(text)
    lines = wrapped(shown, columns)
    assert all(width(line) <= columns for line in lines)
    assert "".join(lines).replace(" ", "") == shown.replace(" ", "")
