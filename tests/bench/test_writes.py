"""The benchmark of remote write and OTLP: each format and library is measured."""

from __future__ import annotations

from bench import writes


def test_each_format_is_measured() -> None:
    figures = writes.encoded(100, 4)
    assert list(figures) == ["counter", "histogram"]
    for found in figures.values():
        assert list(found) == ["text", "remote write 1.0", "remote write 2.0", "OTLP"]
        assert all(0 < seconds < 10 for seconds in found.values())


def test_a_push_is_measured() -> None:
    assert 0 < writes.pushed("pytheus", 10, 2) < 10
