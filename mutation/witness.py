"""A pytest plugin that writes down each test as it begins and as it fails, so that a run that hangs tells where."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import Phase, settings

__all__: list[str] = []

_PATH = Path(os.environ["MUTATION_WITNESS"])


def _write(event: str, test: str) -> None:
    with _PATH.open("a", encoding="utf-8") as file:
        file.write(f"{event} {test}\n")


def pytest_runtest_logstart(nodeid: str) -> None:
    _write("begun", nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        _write("failed", report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _write("failed", report.nodeid)


def pytest_configure() -> None:
    # That a test fails is what is asked; which smallest example it fails for takes much longer to find.
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutation", settings.get_profile("pytheus"), phases=phases, database=None)
    settings.load_profile("mutation")
