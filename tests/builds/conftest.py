"""Running a script in the installed build, and in the sources of the checkout, and comparing what they report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest

import pytheus

CHECKOUT = Path(__file__).parents[2]

Report: TypeAlias = dict[str, object]


@cache
def _run(script: str, of_the_checkout: bool) -> tuple[bool, Report]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if of_the_checkout:
        environment["PYTHONPATH"] = str(CHECKOUT)
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script))],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    output = json.loads(ran.stdout)
    return output["compiled"], output["report"]


@pytest.fixture
def installed() -> Callable[[str], Report]:
    """What a script of this directory reports by name, run in the installed build."""
    return lambda script: _run(script, of_the_checkout=False)[1]


@pytest.fixture
def compiled_and_pure() -> Callable[[str], tuple[Report, Report]]:
    """What a script reports in the compiled build, and in the sources that it is compiled from."""

    def both(script: str) -> tuple[Report, Report]:
        compiled, of_the_installed = _run(script, of_the_checkout=False)
        pure, of_the_sources = _run(script, of_the_checkout=True)
        assert (compiled, pure) == (True, False)
        assert len(of_the_sources) > 500
        return of_the_installed, of_the_sources

    if not pytheus.COMPILED:
        pytest.skip("this is the pure build; the compiled one is compared with it when that is tested")
    return both
