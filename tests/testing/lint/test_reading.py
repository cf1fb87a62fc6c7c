"""The reader of an exposition: each fault of the text with its line, and how many are told."""

from __future__ import annotations

import struct
from typing import Final

import pytest

from pytheus.testing.lint import LintOptions, Severity, lint_exposition
from tests.testing.lint.test_rules import NUMBERS, OPENMETRICS, ORDERS, PROTOBUF, gauge

pytestmark = pytest.mark.once


def test_each_fault_has_its_line_and_the_next_line_is_read() -> None:
    text = ORDERS + "x{\n" + gauge(["depth y", "depth 3"]) + "\x00\n"
    findings = [(finding.rule, finding.line) for finding in lint_exposition(text).findings]
    assert findings == [("syntax-error", 4), ("syntax-error", 7), ("syntax-error", 9)]


def test_text_that_is_not_utf_8_is_a_fault_of_its_line() -> None:
    findings = lint_exposition(gauge([]).encode() + b'depth{a="\xff"} 1\n').findings
    assert [(finding.rule, finding.line) for finding in findings] == [("syntax-error", 3)]


def test_a_file_of_another_kind_has_a_bounded_number_of_findings() -> None:
    report = lint_exposition(NUMBERS.randbytes(200_000))
    assert 0 < len(report.findings) <= 200


# Each is alone in its exposition, after the headers of a counter `a`.
LINES_NOT_OF_OPENMETRICS: Final = [
    "",
    " ",
    " a_total 1",
    "a_total 1 ",
    "a_total  1",
    "a_total\t1",
    "a_total 1  2",
    "a_total 1 2 ",
    'a_total{x="1", y="2"} 1',
    'a_total{ x="1"} 1',
    'a_total{x="1" } 1',
    'a_total{x = "1"} 1',
    'a_total{x="1",} 1',
    'a_total {x="1"} 1',
    'a_total{x="1"}1',
    'a_total{x:y="1"} 1',
    "a_total 1e400",
    "a_total 0x10",
    "a_total 1_000",
    "a_total 1 NaN",
    "a_total 1 +Inf",
    "a_total 1 1e300",
    'a_total 1 #  {x="1"} 1',
    'a_total 1 # {x="1"}1',
    'a_total 1 # {x="1"} 1 ',
    'a_total 1 # {x="1"} 1 NaN',
    'a_total 1 # {x="1"} 1 1e300',
    'a_total 1 # {x="1",} 1',
    'a_total 1 # {"x"} 1',
    'b 1 # {x="1"} 1',
    "#  TYPE b gauge",
    " # TYPE b gauge",
    "# TYPE  b gauge",
    "# TYPE b\tgauge",
    "# TYPE b  gauge",
    "# TYPE b gauge ",
    "# HELP b",
    "#",
]


@pytest.mark.parametrize("line", LINES_NOT_OF_OPENMETRICS)
def test_a_line_that_openmetrics_does_not_allow_is_one_error(line: str) -> None:
    text = f"# HELP a The a.\n# TYPE a counter\n{line}\n# EOF\n"
    found = lint_exposition(text, OPENMETRICS).findings
    errors = [(finding.rule, finding.line) for finding in found if finding.severity is Severity.ERROR]
    assert errors == [("syntax-error", 3)], found


@pytest.mark.parametrize("end", [" # EOF\n", "# EOF \n", "# EOF\n\n", "# EOF\n\n# EOF\n", "# EOF\n# EOF\n"])
def test_the_end_of_openmetrics_is_its_last_line(end: str) -> None:
    found = lint_exposition(f"# HELP a The a.\n# TYPE a gauge\na 1\n{end}", OPENMETRICS).findings
    assert [finding.rule for finding in found] == ["syntax-error"], found


def test_a_line_that_has_two_faults_shows_the_one_that_is_not_ignored() -> None:
    text = "# HELP a The a.\n# TYPE a counter\na_total 1\na_total  1\n# EOF\n"
    found = lint_exposition(text, OPENMETRICS, LintOptions(["duplicate-series"])).findings
    assert [(finding.rule, finding.line) for finding in found] == [("syntax-error", 4)]


GOOD_OPENMETRICS: Final[list[str]] = [
    "# EOF\n",
    "# EOF",
    '# HELP a The \\q.\\\n# TYPE a counter\na_total{x="\\q \t"} 1 2.5 # {} Infinity -5\n# EOF\n',
    '# HELP "a b" The a.\n# TYPE "a b" gauge\n# UNIT "a b" \n{"a b","x y"="1"} -1e-400\n# EOF\n',
]


@pytest.mark.parametrize("text", GOOD_OPENMETRICS, ids=range(len(GOOD_OPENMETRICS)))
def test_good_openmetrics_has_no_error(text: str) -> None:
    found = lint_exposition(text, OPENMETRICS).findings
    assert not [finding for finding in found if finding.severity is Severity.ERROR], found


@pytest.mark.parametrize("milliseconds", ["9223372036854775807", "-9223372036854775808", "+5", "0" * 5000 + "5"])
def test_a_timestamp_of_the_text_format_has_64_bits(milliseconds: str) -> None:
    found = lint_exposition(gauge([f"depth 1 {milliseconds}"])).findings
    assert [finding.rule for finding in found] == ["timestamp-explicit"]


def test_many_faults_of_one_rule_hide_no_other_one() -> None:
    halves = ["".join(gauge([f'a{n}{{half="{half}"}} 1'], f"a{n}") for n in range(150)) for half in "xy"]
    text = halves[0] + "".join(line + "\n" for line in halves[1].splitlines() if line[0] != "#")
    text += 'a3{half="x"} 1\nbroken{\n'
    found = lint_exposition(text, options=LintOptions(select=["split-family", "duplicate-series", "syntax-error"]))
    rules = [finding.rule for finding in found.findings]
    assert [rules.count(rule) for rule in ("split-family", "duplicate-series", "syntax-error")] == [101, 1, 1]
    assert str(found.findings[-1]) == (
        "50 more faults of this rule are not listed; mend those that are listed, and check again [split-family]"
    )
    options = LintOptions(["split-family"], ["split-family", "duplicate-series", "syntax-error"])
    report = lint_exposition(text, options=options)
    assert ([finding.rule for finding in report.findings], report.ignored) == (
        ["duplicate-series", "syntax-error"],
        150,
    )


def test_faults_of_an_ignored_metric_take_no_place_of_another_one() -> None:
    text = gauge(["depth 1"] * 150) + gauge(["width 1", "width 1"], "width")
    (finding,) = lint_exposition(text, options=LintOptions(["depth"], ["duplicate-series"])).findings
    assert finding.metric == "width"


def field(number: int, content: bytes) -> bytes:
    """A field of a protobuf message with a length of less than 2 ** 14."""
    length = len(content)
    size = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
    return bytes([number << 3 | 2]) + size + content


def test_protobuf_has_the_faults_that_need_no_lines() -> None:
    one = b"\x09" + struct.pack("<d", 1)
    exemplar = field(1, field(1, b"trace") + field(2, b"x" * 140)) + b"\x11" + struct.pack("<d", 1)
    start = field(1, b"orders_total") + field(2, b"Orders placed.") + b"\x18\x00"
    good, bad = start + field(4, field(3, one)), start + field(4, field(3, one + field(2, exemplar)))
    for families, expected in {
        (good,): [],
        (good + field(4, field(3, one)),): ["duplicate-series"],
        (good, start): ["duplicate-metadata"],
        (good, good): ["duplicate-metadata", "duplicate-series"],
        (bad,): ["exemplar-too-long"],
    }.items():
        body = b"".join(field(0, family)[1:] for family in families)
        found = lint_exposition(body, PROTOBUF).findings
        assert [(finding.rule, finding.metric) for finding in found] == [(rule, "orders_total") for rule in expected]
        assert lint_exposition(body, PROTOBUF, LintOptions(expected)).ignored == len(expected)
