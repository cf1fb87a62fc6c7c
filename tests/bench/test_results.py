from __future__ import annotations

import pytest

from bench.results import Results
from bench.rows import Goal


def test_the_best_of_all_rounds_counts() -> None:
    results = Results()
    results.add("pytheus", {"import": 30.0})
    results.add("pytheus", {"import": 20.0})
    results.add("pytheus", {"import": 25.0})
    assert results.value("pytheus", "import") == 20.0


def test_the_empty_loop_is_subtracted_from_calls() -> None:
    results = Results()
    results.add("pytheus", {"inc": 30.0, "empty": 10.0})
    assert results.value("pytheus", "inc") == 20.0


def test_the_empty_loop_is_not_subtracted_from_anything_else() -> None:
    results = Results()
    results.add("pytheus", {"counter_fresh": 30.0, "empty": 10.0})
    assert results.value("pytheus", "counter_fresh") == 30.0


def test_what_was_not_measured_has_no_value() -> None:
    assert Results().value("pytheus", "inc") is None


def test_a_ratio_is_above_one_for_the_smaller_figure() -> None:
    results = Results()
    results.add("pytheus", {"import": 10.0})
    results.add("prometheus_client", {"import": 40.0})
    assert results.ratio("pytheus", "import") == 4.0


@pytest.mark.parametrize(("least", "reached"), [(4.0, True), (4.1, False)])
def test_a_goal_is_reached_at_its_ratio(least: float, reached: bool) -> None:
    results = Results()
    results.add("pytheus", {"import": 10.0})
    results.add("prometheus_client", {"import": 40.0})
    assert results.reached(Goal("", "pytheus", "prometheus_client", least), "import") is reached


def test_a_goal_against_what_was_not_measured_is_open() -> None:
    results = Results()
    results.add("pytheus", {"import": 10.0})
    assert results.reached(Goal("", "pytheus", "go", 2.0), "import") is None


def test_what_threads_lost_adds_up() -> None:
    results = Results()
    results.add("aioprometheus", {"added": 100.0, "lost": 3.0})
    results.add("aioprometheus", {"added": 100.0, "lost": 4.0})
    assert (results.added, results.lost) == ({"aioprometheus": 200}, {"aioprometheus": 7})
