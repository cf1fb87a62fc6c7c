"""A plugin of pytest that installs the seam in a run of the peer's own tests if asked, and notes how each test ends.

It runs beside the peer's tests in a process of its own, from a copy, and reads two variables: PEER_SUITE_SEAM is 1 with
the seam, and PEER_SUITE_OUTCOMES is the file that it writes, an object of test ids and outcomes in JSON.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_outcomes: dict[str, str] = {}


def pytest_configure() -> None:
    """Install the seam before any test module imports the peer."""
    if os.environ["PEER_SUITE_SEAM"] == "1":
        from pytheus_prometheus_client import install

        install()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note the outcome of a test; a failure while it is set up or torn down counts."""
    if (report.when == "call" or report.outcome != "passed") and _outcomes.get(report.nodeid) != "failed":
        _outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish() -> None:
    """Write what was noted."""
    Path(os.environ["PEER_SUITE_OUTCOMES"]).write_text(json.dumps(_outcomes))
