"""Blocks of snappy, by a reader of the format and by a library."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.push.snappy import literal_block, snappy_block
from tests.push.snappy_reader import decoded

LENGTHS = [0, 1, 59, 60, 61, 255, 256, 257, 65_535, 65_536, 65_537, 131_072, 200_000]


@pytest.mark.parametrize("length", LENGTHS)
def test_literals(length: int) -> None:
    content = bytes(range(256)) * (length // 256 + 1)
    assert decoded(literal_block(content[:length])) == content[:length]


@pytest.mark.property
@given(st.binary(max_size=1000))
def test_any_literals(content: bytes) -> None:
    assert decoded(literal_block(content)) == content


@pytest.mark.parametrize("length", LENGTHS)
def test_a_library_reads_both(length: int) -> None:
    cramjam: Any = pytest.importorskip("cramjam", reason="the library that compresses")
    content = b"a label, " * (length // 9 + 1)
    for block in literal_block(content[:length]), snappy_block(content[:length]):
        assert bytes(cramjam.snappy.decompress_raw(block)) == content[:length]
        assert decoded(block) == content[:length]
    if length > 1000:
        assert len(snappy_block(content[:length])) < length / 5


def test_a_program_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = import_module("pytheus.push.snappy")
    monkeypatch.setitem(sys.modules, "cramjam", None)
    module._library.cache_clear()
    try:
        assert snappy_block(b"abc") == literal_block(b"abc")
    finally:
        module._library.cache_clear()
