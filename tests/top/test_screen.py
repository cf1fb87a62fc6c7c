"""The lines of the screen, for states, sizes and readings."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.top.cells import width
from pytheus.top.history import History
from pytheus.top.plain import plain_lines
from pytheus.top.screen import Screen
from pytheus.top.state import State
from pytheus.top.table import COLUMNS, Table
from tests.top.screens import TARGET, Shown, snapshot

KEYS = (
    *("up", "down", "pageup", "pagedown", "home", "end", "left", "right", "enter", "escape", "tab", "backspace"),
    *("j", "k", "g", "G", "f", "/", "s", "<", ">", "r", "w", "+", "-", "p", "?", "a", "!", "clear", "word", "redraw"),
)


def test_eighty_columns_show_names_values_rates_and_quantiles() -> None:
    shown = Shown()
    assert shown.lines[0].startswith(f"pytheus top  {TARGET}")
    assert shown.lines[2].split() == ["SERIES▲", "VALUE", "RATE/s", "P50", "P99"]
    [row] = [line for line in shown.lines if "wait_seconds" in line]
    assert row.split() == ["wait_seconds", "9", "3.00", "75.0ms", "488ms"]
    [row] = [line for line in shown.lines if "sizes_bytes" in line]
    assert row.split() == ["sizes_bytes", "3", "1.00", "2.00KiB"]
    [row] = [line for line in shown.lines if "/中文" in line]
    assert row.split()[-2:] == ["6", "2.00"]


def test_forty_columns_show_names_values_and_rates() -> None:
    shown = Shown(40, 12)
    assert shown.lines[2].split() == ["SERIES▲", "VALUE", "RATE/s"]
    assert all(width(line) <= 40 for line in shown.lines)


def test_two_hundred_columns_show_the_trend() -> None:
    shown = Shown(200, 12)
    assert shown.lines[2].split() == ["SERIES▲", "VALUE", "RATE/s", "P50", "P90", "P99", "TREND"]
    assert "▁" in shown.text


def test_ascii_alone() -> None:
    shown = Shown(200, 30, ascii_only=True)
    for keys in ((), ("end", "enter"), ("escape", "tab"), ("?",)):
        assert shown.press(*keys).text.isascii()


@pytest.mark.property
@given(
    st.integers(1, 220),
    st.integers(1, 40),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from(["", "the endpoint is not there\x1b[2J, " * 9]),
    st.lists(st.sampled_from(KEYS), max_size=30),
)
def test_every_screen_fits_and_changes_no_terminal(
    columns: int, height: int, readings: int, ascii_only: bool, error: str, keys: list[str]
) -> None:
    shown = Shown(columns, height, readings=readings, ascii_only=ascii_only, error=error)
    for key in [*keys, ""]:
        lines = shown.lines
        assert len(lines) == height
        for line in lines:
            assert width(line) <= columns
            assert not {unicodedata.category(character) for character in line} & {"Cc", "Cf", "Cs", "Co", "Cn"}
            assert line.isascii() or not ascii_only
        assert [line.startswith(">") for line in lines].count(True) <= 1
        shown.press(key)


def test_the_cursor_follows_its_row_when_the_order_changes() -> None:
    shown = Shown().press("down", "down")
    chosen = shown.chosen.split()[0]
    for _ in range(6):
        shown.press("s")
        assert shown.chosen.split()[0] == chosen


def test_rows_are_sorted_by_numbers_with_those_that_have_none_last() -> None:
    shown = Shown().press("s", "s")
    assert shown.state.sort == "rate"
    rates = [line.split()[-3] if "seconds" in line else line.split()[-1] for line in shown.lines[3:8]]
    assert [float(rate) for rate in rates] == [4.0, 3.0, 3.0, 2.0, 1.0]
    shown.press("r")
    assert "v" in shown.lines[1]
    assert shown.lines[3].split()[-1] == "0"


def test_the_filter_takes_words_and_leaves_out_others() -> None:
    shown = Shown().press("/", *"seconds", " ", *"!query", "enter")
    assert "filter seconds !query: 2 of 10" in shown.lines[1]
    assert "query_seconds" not in shown.text
    assert "filter" not in shown.press("escape").lines[1]


def test_the_filter_finds_labels_as_they_are_written() -> None:
    for words in ("path=/中文", 'path="/中文"', "/中文"):
        shown = Shown(ascii_only=True).press("/", *words, "enter")
        assert "1 of 10" in shown.lines[1]


def test_a_filter_that_matches_nothing_says_so() -> None:
    shown = Shown().press("/", *"nothing")
    assert "no series matches the filter" in shown.text
    assert shown.lines[-1] == "filter: nothing_"
    assert shown.press("escape").state.filtered == ""


def test_details_show_labels_numbers_history_and_buckets() -> None:
    shown = Shown(height=40).press("/", *"wait_seconds", "enter", "enter")
    text = shown.text
    assert "wait_seconds  histogram, seconds" in text
    assert "observations 9   sum 3.00s   mean 333ms   rate over 2s 3.00/s" in text
    assert "quantiles of the last 2s:   p50 75.0ms" in text
    assert "\nobservations of the last 2s\n" in text
    assert "rate per second, the last 1s" in text
    assert shown.state.names == ("wait_seconds",)
    assert shown.press("escape").state.names == ()


def test_details_show_all_observations_if_the_window_has_none() -> None:
    shown = Shown(height=40)
    for at in range(4, 20):
        shown.history.add(float(at), snapshot(3))
    text = shown.press("/", *"wait_seconds", "enter", "enter").text
    assert "rate over 10s 0/s" in text
    assert "quantiles since its start:   p50 75.0ms" in text
    assert "\nobservations since its start\n" in text


def test_details_show_native_buckets() -> None:
    text = Shown(height=40).press("/", *"query_seconds", "enter", "enter").text
    assert "250ms to 500ms" in text
    assert "2.00s to 4.00s" in text


def test_details_show_labels_without_their_control_characters() -> None:
    shown = Shown(height=30).press("down", "down", "down", "down", "down", "enter")
    assert "path = /a\\e[31m" in shown.text
    assert "Jobs that wait.\\e[2J" in Shown().press("/", *"mail", "enter", "enter").text


def test_long_details_are_scrolled() -> None:
    shown = Shown(height=10).press("/", *"query_seconds", "enter", "enter")
    first = shown.lines[1]
    shown.press("end")
    assert first not in shown.text
    assert "Esc: back" in shown.lines[-1]
    shown.press("home")
    assert shown.lines[1] == first


def test_families_have_the_sums_of_their_series() -> None:
    shown = Shown().press("tab")
    [row] = [line for line in shown.lines if "requests_total" in line]
    assert row.split() == ["requests_total", "4", "18", "6.00"]
    [row] = [line for line in shown.lines if "queue_size" in line]
    assert row.split() == ["queue_size", "2"]


def test_a_family_has_its_labels_and_its_series() -> None:
    shown = Shown().press("tab", "down", "down", "down", "enter")
    assert shown.state.family == "requests_total"
    assert "labels and their values: code (1), path (4)" in shown.text
    assert "rate per second of all series" in shown.text
    assert shown.chosen.startswith('>requests_total{code="200"')
    assert "Enter: series" in shown.press("escape").lines[-1]


def test_an_error_is_told_above_the_last_numbers() -> None:
    shown = Shown(error="connection refused")
    shown.status = shown.status._replace(retry_seconds=3.5, age_seconds=65.0)
    assert "DOWN" in shown.lines[0]
    assert shown.lines[1] == "! connection refused"
    assert shown.lines[2] == "  reading again in 4s; the numbers are 1m05s old"
    assert "wait_seconds" in shown.text


def test_a_target_without_metrics() -> None:
    shown = Shown(readings=0)
    assert "reading ..." in shown.text
    assert "no metrics yet" not in shown.text


def test_ten_thousand_series_are_one_screen() -> None:
    from pytheus.top.values import FamilyInfo, Series, Snapshot

    history = History()
    family = FamilyInfo("x_total", "counter")
    series = [Series("x_total", "x_total", (("n", f"{number:05}"),)) for number in range(10_000)]
    for at in (0.0, 1.0):
        history.add(at, Snapshot((family,), series, [at * number for number in range(10_000)]))
    state = State(sort="rate")
    screen = Screen(state, Table(history))
    assert str(screen.rows[0]).startswith("Series(family='x_total', name='x_total', labels=(('n', '09999'),))")
    state.press("end", screen.rows, 20)
    assert state.position(screen.rows) == 9_999


def test_plain_text_has_the_same_fields_in_every_line() -> None:
    shown = Shown()
    lines = list(plain_lines(shown.screen.table, shown.screen.rows))
    assert lines[0].split() == ["VALUE", "RATE/s", "P50", "P90", "P99", "SERIES"]
    assert len(lines) == 11
    starts = {line.index(line.split(maxsplit=5)[5]) for line in lines}
    assert len(starts) == 1
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("column", COLUMNS[:-1])
def test_every_column_can_be_sorted_by(column: str) -> None:
    table = Shown().screen.table
    rows = table.keys(sort=column)
    assert sorted(map(repr, rows)) == sorted(map(repr, table.keys()))
    assert sorted(map(repr, table.keys(sort=column, is_reversed=True))) == sorted(map(repr, rows))
