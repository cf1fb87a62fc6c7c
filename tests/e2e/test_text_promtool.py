"""promtool accepts the text of every type, and reports only what a program has chosen itself."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from pytheus import generate_metrics
from tests.e2e.every_type import every_type

pytestmark = [
    pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)"),
    pytest.mark.filterwarnings("ignore:counter .* has no suffix"),
]


def test_promtool_accepts_every_type() -> None:
    registry, expected = every_type()
    text = generate_metrics(registry, strict=True)
    check = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    # The name of a counter that lacks the suffix stays as it is, see `every_type`.
    assert (check.stdout + check.stderr).splitlines() == ['shop_visits counter metrics should have "_total" suffix']
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(samples) == len(expected)
