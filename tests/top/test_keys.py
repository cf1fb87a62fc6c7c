"""Bytes as keys, however they are cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.top.keys import KeyDecoder

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"jk", ["j", "k"]),
        (b"\x1b[A\x1bOB\x1b[1;5C", ["up", "down", "right"]),
        (b"\x1b[5~\x1b[6~\x1b[H\x1bOF\x1b[1~\x1b[4~", ["pageup", "pagedown", "home", "end", "home", "end"]),
        (b"\r\n\t\x7f\x08\x0c", ["enter", "enter", "tab", "backspace", "backspace", "redraw"]),
        (b"\x03", ["interrupt"]),
        ("é中\U0001f600".encode(), ["é", "中", "\U0001f600"]),
        (b"\xffx\xc3", ["x"]),
        (b"\x1b[200~x\x1b[201~", ["x"]),  # a paste
        (b"\x1bx", ["escape", "x"]),
        (b"\x1b\x1b[A", ["escape", "up"]),
        (b"\x00\x1f", []),
    ],
)
def test_keys(data: bytes, keys: list[str]) -> None:
    assert KeyDecoder().feed(data) == keys


def test_escape_alone_is_known_when_nothing_follows() -> None:
    decoder = KeyDecoder()
    assert (decoder.feed(b"\x1b"), decoder.is_waiting) == ([], True)
    assert (decoder.flush(), decoder.is_waiting) == (["escape"], False)
    assert decoder.flush() == []


@pytest.mark.property
@given(
    st.binary(max_size=30)
    | st.lists(st.sampled_from([b"\x1b", b"[", b"O", b"A", b"1", b";", b"~", b"\xc3", b"\xa9", b"q"])).map(b"".join),
    st.integers(0, 30),
)
def test_pieces_give_the_same_keys(data: bytes, place: int) -> None:
    whole, pieces = KeyDecoder(), KeyDecoder()
    expected = whole.feed(data) + whole.flush()
    assert pieces.feed(data[:place]) + pieces.feed(data[place:]) + pieces.flush() == expected
    assert all(expected)
