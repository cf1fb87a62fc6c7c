from __future__ import annotations

import pytest

from bench.results import Results
from bench.rows import Goal


def results_of(*figures: tuple[str, dict[str, float]]) -> Results:
    results = Results()
    for column, added in figures:
        results.add(column, added)
    return results


@pytest.mark.parametrize(
    ("figures", "row", "value"),
    [
        ([{"import": 30.0}, {"import": 20.0}, {"import": 25.0}], "import", 20.0),
        ([{"inc": 30.0, "empty": 10.0}], "inc", 20.0),
        ([{"counter_fresh": 30.0, "empty": 10.0}], "counter_fresh", 30.0),
        ([], "inc", None),
    ],
    ids=["the best of all rounds", "a call without the empty loop", "another figure as it is", "not measured"],
)
def test_a_value_is(figures: list[dict[str, float]], row: str, value: float | None) -> None:
    assert results_of(*(("pytheus", each) for each in figures)).value("pytheus", row) == value


MEASURED = (("pytheus", {"import": 10.0}), ("prometheus_client", {"import": 40.0}))


def test_a_ratio_is_above_one_for_the_smaller_figure() -> None:
    assert results_of(*MEASURED).ratio("pytheus", "import") == 4.0


@pytest.mark.parametrize(
    ("against", "least", "reached"),
    [
        ("prometheus_client", 4.0, True),
        ("prometheus_client", 4.1, False),
        ("go", 2.0, None),
        (10.0, 1.0, True),
        (9, 1.0, False),
    ],
    ids=["at its ratio", "below it", "not measured", "at its figure", "above it"],
)
def test_a_goal_is_reached(against: str | float, least: float, reached: bool | None) -> None:
    assert results_of(*MEASURED).reached(Goal("", "pytheus", against, least), "import") is reached


def test_a_goal_may_compare_two_rows() -> None:
    results = results_of(("pytheus", {"import": 10.0, "bare": 8.0}))
    assert results.reached(Goal("≤ 1.5x bare", "pytheus", "pytheus", 1 / 1.5, "bare"), "import") is True
    assert results.reached(Goal("≤ 1.2x bare", "pytheus", "pytheus", 1 / 1.2, "bare"), "import") is False


def test_what_threads_lost_adds_up() -> None:
    results = Results()
    results.add("aioprometheus", {"added": 100.0, "lost": 3.0})
    results.add("aioprometheus", {"added": 100.0, "lost": 4.0})
    assert (results.added, results.lost) == ({"aioprometheus": 200}, {"aioprometheus": 7})
