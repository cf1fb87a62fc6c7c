"""What promtool cannot parse as OpenMetrics is an error here.

``promtool tsdb create-blocks-from openmetrics`` uses the parser of a scrape. It stops at the first fault, so that each
case is a process of its own; all samples have small timestamps, because it writes a block for every two hours.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st

from pytheus.testing.lint import Severity, lint_exposition
from tests.conftest import FULL
from tests.testing.lint.test_promtool import PROMTOOLS
from tests.testing.lint.test_rules import OPENMETRICS

pytestmark = [
    pytest.mark.once,
    pytest.mark.property,
    pytest.mark.skipif(not PROMTOOLS, reason="needs promtool (Debian: apt-get install prometheus)"),
]

GOOD: Final = """\
# HELP orders Orders placed.
# TYPE orders counter
orders_total{method="card",to="a b"} 3 1 # {trace="7"} 2 1
orders_total{method="cash",to=""} 4.5 1 # {} 3
# HELP wait_seconds Time that orders wait.
# TYPE wait_seconds histogram
# UNIT wait_seconds seconds
wait_seconds_bucket{le="0.5"} 1 1
wait_seconds_bucket{le="+Inf"} 2 1 # {trace="8"} 2
wait_seconds_sum 3 1
wait_seconds_count 2 1
# TYPE size_bytes gauge
size_bytes 2 1
# EOF
"""
PARTS: Final = st.sampled_from(
    [
        *("", " ", "  ", "{", "}", '"', "\\", "\\q", "\n", "\n\n", "\t", "\r", "#", "# ", "# TYPE ", "x", "-"),
        *(",", "=", ":", "é", "NaN", "1e", "0x1", "1_0", "+Inf", "1e400", "{}", '{a="1",a="2"}', " 5", "\x00"),
        *("# HELP size_bytes x\n", "# TYPE orders counter\n", "# TYPE foo\n", "# TYPE foo bar\n", "# HELP\n"),
        *("# EOF\n", "# EOF", "# a comment\n", "# UNIT size_bytes ratio\n", ", ", ' "', '" ', "= ", " {"),
        *("# HELP f\n", ' # {a="1"} 1'),
    ]
)
ACCEPTED: Final = [
    GOOD,
    GOOD.removesuffix("\n"),
    GOOD.replace("a b", "\\q\t"),
    GOOD.replace("placed.", "\\q\\"),
    GOOD.replace(" 4.5 ", " Infinity "),
    GOOD.replace(" 4.5 ", " 1e-400 "),
    GOOD.replace(" 4.5 1", " +5 -5.5"),
    GOOD.replace("cash", "}, {"),
    GOOD.replace("size_bytes 2", "size_bytes{} 2"),
]


def complaint(program: str | Path, text: bytes) -> str:
    """What `program` says about `text`; "" if it accepts it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "metrics.om")
        path.write_bytes(text)
        command = [program, "tsdb", "create-blocks-from", "openmetrics", path, Path(folder, "blocks")]
        try:
            done = subprocess.run(command, capture_output=True, timeout=10)
        except subprocess.TimeoutExpired:
            reject()  # it has parsed the text, and writes its blocks
    assert done.returncode in (0, 1), done
    return (done.stdout + done.stderr).decode("utf-8", "replace") if done.returncode else ""


def errors(text: bytes) -> list[str]:
    findings = lint_exposition(text, OPENMETRICS).findings
    return [str(finding) for finding in findings if finding.severity is Severity.ERROR]


@pytest.mark.parametrize("text", ACCEPTED, ids=range(len(ACCEPTED)))
def test_what_promtool_accepts_has_no_error(text: str) -> None:
    assert [complaint(program, text.encode()) for program in PROMTOOLS] == [""] * len(PROMTOOLS)
    assert errors(text.encode()) == []


@settings(max_examples=400 if FULL else 40)
@given(st.integers(0, len(GOOD)), st.integers(0, 8), PARTS, st.booleans())
@example(GOOD.index('"a b"}') + 5, 0, ",", False)
@example(GOOD.index('"a b"}') + 6, 1, "", False)
@example(GOOD.index(" 2 1\n# EOF"), 1, "\t", False)
@example(GOOD.index(" 2 1\n# EOF") + 4, 0, ' # {a="1"} 1', False)
@example(GOOD.index("# EOF") + 5, 0, " ", False)
@example(len(GOOD), 0, "\n", False)
@example(0, 0, "\n", False)
def test_what_promtool_refuses_is_an_error(place: int, removed: int, added: str, at_line: bool) -> None:
    if at_line:
        place = GOOD.rfind("\n", 0, place) + 1
    text = (GOOD[:place] + added + GOOD[place + removed :]).encode()
    found = errors(text)
    for program in PROMTOOLS:
        refused = complaint(program, text)
        # A scrape needs no timestamps.
        if refused and "expected timestamp" not in refused:
            assert found, (refused, text)
