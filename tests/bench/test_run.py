"""The command starts with nothing installed, and its worker refuses a scrape that is not whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.rows import QUICK, WHOLE
from bench.worker import check_exposition


def test_it_starts_with_nothing_installed(checkout: Path) -> None:
    # -I and -S: no environment variables, no site-packages.
    command = [sys.executable, "-I", "-S", str(checkout / "bench" / "run.py"), "--help"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert "--quick" in run.stdout


def test_a_library_that_it_does_not_know_is_one_clear_line(checkout: Path) -> None:
    command = [sys.executable, "-I", "-S", str(checkout / "bench" / "run.py"), "--only", "statsd"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2
    assert "invalid choice: 'statsd'" in run.stderr


TEXT = b'# HELP http_requests_total Requests.\nhttp_requests_total{a="1"} 2.0\nhttp_requests_total{a="2"} 2.0\n'


def test_a_whole_scrape_is_accepted() -> None:
    check_exposition(TEXT, 2, 2.0)


@pytest.mark.parametrize(("count", "value"), [(3, 2.0), (1, 2.0), (2, 1.0)])
def test_a_scrape_that_shows_less_or_other_is_refused(count: int, value: float) -> None:
    with pytest.raises(RuntimeError, match=f"expected {count} series at {value} but got 2"):
        check_exposition(TEXT, count, value)


def test_an_empty_scrape_is_refused() -> None:
    with pytest.raises(RuntimeError, match="got 0"):
        check_exposition(b"", 2, 2.0)


def test_the_quick_plan_leaves_the_biggest_scrape_out() -> None:
    assert set(WHOLE.scales()) - set(QUICK.scales()) == {"scale_1m"}
