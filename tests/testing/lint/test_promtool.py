"""All that promtool finds in an exposition is found here: the same metric, the same kind of fault.

Both the installed promtool, and the one that tools/newer_prometheus.py has downloaded. One process reads many metrics,
because promtool reports all findings of an exposition; of faults of the syntax it reports the first alone.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from pytheus.testing.lint import LintReport, Severity, lint_exposition
from tests.conftest import FULL

ROOT = Path(__file__).resolve().parents[3]
PROMTOOLS = [
    path
    for path in (shutil.which("promtool"), ROOT / ".venv" / "prometheus" / "sid" / "usr" / "bin" / "promtool")
    if path is not None and Path(path).exists()
]

pytestmark = [
    pytest.mark.once,
    pytest.mark.property,
    pytest.mark.skipif(not PROMTOOLS, reason="needs promtool (Debian: apt-get install prometheus)"),
]

RULES: Final = {
    "no help text": "no-help",
    "use base unit": "unit-not-base",
    "counter metrics should have": "counter-without-total",
    'non-counter metrics should not have "_total"': "total-on-other-type",
    'should not have "_bucket" suffix': "reserved-suffix",
    'should not have "_count" suffix': "reserved-suffix",
    'should not have "_sum" suffix': "reserved-suffix",
    'should not have "le" label': "label-reserved",
    'should not have "quantile" label': "label-reserved",
    "metric name should not include type": "type-in-name",
    "should not contain ':'": "name-with-colon",
    "metric names should be written in 'snake_case'": "name-not-snake-case",
    "label names should be written in 'snake_case'": "label-not-snake-case",
    "should not contain abbreviated units": "unit-abbreviated",
    "metric not unique": "duplicate-series",
}


class Promtool:
    """The findings of one promtool."""

    def __init__(self, program: str | Path) -> None:
        self.program = program

    def __repr__(self) -> str:
        return "installed" if ".venv" not in str(self.program) else "newer"

    def lines(self, text: bytes) -> list[str]:
        done = subprocess.run([self.program, "check", "metrics"], input=text, capture_output=True, timeout=60)
        if b"panic: " in done.stderr:
            reject()  # it has no verdict
        assert done.returncode in (0, 1, 3), done
        return (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()

    def findings(self, text: bytes) -> set[tuple[str, str]]:
        """Metrics and our rules; ("", "") if it cannot parse the text."""
        found: set[tuple[str, str]] = set()
        for line in self.lines(text):
            if line.startswith("error while linting"):
                return {("", "")}
            metric, _, fault = line.partition(" ")
            # Newer ones do not find other types than the metric's in a name.
            (rule,) = {rule for part, rule in RULES.items() if part in fault}
            found.add((metric, rule))
        return found


def ours(report: LintReport) -> set[tuple[str, str]]:
    return {(finding.metric, finding.rule) for finding in report.findings}


WORDS = st.sampled_from(
    [
        *("orders", "requests", "http", "wait", "size", "seconds", "bytes", "ms", "sec"),
        *("s", "m", "h", "d", "b", "kb", "total", "count", "sum"),
        *("bucket", "info", "created", "counter", "gauge", "histogram", "summary", "untyped", "milliseconds"),
        *("kibibytes", "mibibytes", "kelvin", "kelvins", "celsius", "fahrenheit", "rankine", "hours", "days"),
        *("bits", "megabits", "inches", "miles", "calories", "pounds", "ounces", "metres", "kilometres"),
        *("meters", "ratio", "percent", "userId", "HTTP", "MS", "Seconds", "decagrams", "hectopascals"),
        *("picovolts", "MilliSeconds", "le", "a:b", "_", "x1", "gcount", "gsum", "minutes"),
        *("microamperes", "gibibytes", "us", "ns"),
    ]
)
NAMES = st.builds(
    lambda words, lead: lead + "_".join(words),
    st.lists(WORDS, min_size=1, max_size=4),
    st.sampled_from(["", "", "", "_", ":", "x", "App"]),
).filter(lambda name: re.fullmatch("[a-zA-Z_:][a-zA-Z0-9_:]*", name) is not None)
LABELS = st.dictionaries(
    st.sampled_from(["method", "userId", "le", "quantile", "job", "instance", "_x", "HTTPCode", "a1"]),
    st.sampled_from(["", "a", "1", "0.5", "/users/1", "+Inf", "é\\n\\\\"]),
    max_size=3,
)
NUMBERS = st.sampled_from(["0", "1", "-3", "2.5", "NaN", "+Inf", "1e3", "17 1700000000000"])


@st.composite
def families(draw: st.DrawFn) -> str:
    """The lines of one family, whose syntax has no fault; "NAME" is in place of its name."""
    kind = draw(st.sampled_from(["counter", "gauge", "histogram", "summary", "untyped", ""]))
    lines = []
    if draw(st.booleans()):
        lines.append(draw(st.sampled_from(["# HELP NAME Some text.", "# HELP NAME ", "# HELP NAME NAME"])))
    if kind:
        lines.append(f"# TYPE NAME {kind}")
    sets = draw(st.lists(LABELS, min_size=1, max_size=3))
    for labels in sets:
        if kind in ("histogram", "summary"):
            # Elsewhere these are numbers, or a fault of the syntax.
            labels = {name: value for name, value in labels.items() if name not in ("le", "quantile")}
            if draw(st.integers(0, 4)) == 0:
                labels["quantile" if kind == "histogram" else "le"] = "0.5"
            own = {"histogram": ("_bucket", "le"), "summary": ("", "quantile")}[kind]
            for bound in draw(st.permutations(["0.1", "1", "+Inf"])) if kind == "histogram" else ["0.5", "1"]:
                lines.append(f"NAME{own[0]}{braces({**labels, own[1]: bound})} {draw(st.integers(0, 300))}")
            lines += [f"NAME_sum{braces(labels)} 3.5", f"NAME_count{braces(labels)} {draw(st.integers(0, 300))}"]
        else:
            lines.append(f"NAME{braces(labels)} {draw(NUMBERS)}")
    return "\n".join(lines) + "\n"


def braces(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""


EXPOSITIONS = st.dictionaries(NAMES, families(), min_size=1, max_size=40).filter(
    # A name that is a suffix of another's would be a sample of that one.
    lambda found: (
        not any(
            name + suffix in found for name in found for suffix in ("_total", "_sum", "_count", "_bucket", "_created")
        )
    )
)


@pytest.fixture(scope="module", params=[Promtool(path) for path in PROMTOOLS], ids=repr)
def promtool(request: pytest.FixtureRequest) -> Promtool:
    given: Promtool = request.param
    return given


@settings(max_examples=100 if FULL else 30)
@given(EXPOSITIONS)
def test_whatever_promtool_finds_is_found(promtool: Promtool, found: dict[str, str]) -> None:
    text = "".join(lines.replace("NAME", name) for name, lines in found.items()).encode()
    theirs = promtool.findings(text)
    report = lint_exposition(text)
    if theirs == {("", "")}:
        assert any(finding.severity is Severity.ERROR for finding in report.findings), promtool.lines(text)
    else:
        found_here = ours(report)
        other = {(metric, "type-in-name") for metric, rule in found_here if rule == "other-type-in-name"}
        assert theirs <= found_here | other, promtool.lines(text)


GOOD = """\
# HELP orders_total Orders placed.
# TYPE orders_total counter
orders_total{method="card",to="a b"} 3
orders_total{method="cash",to=""} 4.5 1700000000000
# HELP wait_seconds Time that orders wait.
# TYPE wait_seconds histogram
wait_seconds_bucket{le="0.5"} 1
wait_seconds_bucket{le="+Inf"} 2
wait_seconds_sum 3
wait_seconds_count 2
# a comment
# TYPE size_bytes summary
size_bytes{quantile="0.5"} 7
size_bytes_sum 9
size_bytes_count 1
"""
PARTS = st.sampled_from(
    [
        *("", " ", "{", "}", '"', "\\", "\\q", "\n", "\t", "\r", "#", "# TYPE ", "x", "1", "-", ",", "=", "le", ":"),
        *("__name__", "é", "NaN", "1e", "0x1", "1_0", "+Inf", "{}", '{a="1",a="2"}', '# {a="1"} 1', " 5", "0", "\x00"),
        *("# HELP size_bytes x\n", "# TYPE orders_total counter\n", "# TYPE foo\n", "# TYPE foo bar\n", "# HELP\n"),
        "# TYPE 1a gauge\n",
    ]
)


@settings(max_examples=400 if FULL else 40)
@given(st.integers(0, len(GOOD)), st.integers(0, 12), PARTS, st.booleans())
def test_what_promtool_cannot_parse_is_an_error(
    promtool: Promtool, place: int, removed: int, added: str, at_line: bool
) -> None:
    if at_line:
        place = GOOD.rfind("\n", 0, place) + 1
    text = (GOOD[:place] + added + GOOD[place + removed :]).encode()
    report = lint_exposition(text)
    if promtool.findings(text) == {("", "")}:
        found = [str(finding) for finding in report.findings if finding.severity is Severity.ERROR]
        assert found, (promtool.lines(text), text)
