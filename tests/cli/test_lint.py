"""``pytheus lint``: its targets, its output for people and programs, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytheus import REGISTRY, Counter
from pytheus.exposition import start_http_server
from pytheus.registry import CollectorRegistry
from pytheus.testing.lint import RULES
from tests.cli.conftest import Files, Pytheus

METRICS = """
from pytheus import Counter, Gauge
from pytheus.registry import CollectorRegistry

Counter("orders_total", "Orders.", ["userId"])
own = CollectorRegistry(prefix="own")
Gauge("wait_ms", "Time of waiting.", registry=own)


def make():
    return own


something = object()
"""
SCRAPE = "# HELP wait_ms Time of waiting.\n# TYPE wait_ms gauge\nwait_ms 1\n"


@pytest.fixture(autouse=True)
def default_registry() -> Iterator[None]:
    with REGISTRY.use(CollectorRegistry()):
        yield


def rules(text: str) -> list[tuple[str, str]]:
    document: Any = json.loads(text)
    return [(finding["metric"], finding["rule"]) for finding in document["findings"]]


@pytest.mark.parametrize("target", ["linted", "linted.py"])
def test_a_module_has_the_metrics_of_the_default_registry(
    target: str, pytheus: Pytheus, files: Files, home: Path
) -> None:
    files({"linted.py": METRICS})
    ended = pytheus("lint", target)
    assert (ended.code, ended.err) == (1, "")
    *lines, last = ended.out.splitlines()
    assert lines == [
        "orders_total  linted.py:5",
        "  warning  its label 'userId' is not in snake_case  [label-not-snake-case]",
        "           write its label 'userId' in snake_case: 'user_id'",
        "",
    ]
    assert last.startswith("0 errors, 1 warning, 0 notes: ")


@pytest.mark.parametrize("target", ["linted_own:own", "linted_own:make"])
def test_an_object_of_a_module_is_a_registry(target: str, pytheus: Pytheus, files: Files, home: Path) -> None:
    files({"linted_own.py": METRICS})
    ended = pytheus("lint", target, "--json")
    assert (ended.code, rules(ended.out)) == (1, [("own_wait_ms", "unit-abbreviated")])


def test_a_url_is_scraped(pytheus: Pytheus) -> None:
    registry = CollectorRegistry()
    Counter("orders_total", "Orders placed.", ["le"], registry=registry).labels("1").inc()
    with start_http_server(0, registry=registry) as server:
        ended = pytheus("lint", f"127.0.0.1:{server.port}", "--json")
    assert (ended.code, ended.err) == (1, "")
    assert rules(ended.out) == [("orders_total", "label-reserved")]
    document = json.loads(ended.out)
    assert document["source"] == f"http://127.0.0.1:{server.port}/metrics"
    assert document["counts"] == {"error": 0, "warning": 1, "note": 0}


def test_a_file_is_linted_with_its_lines(pytheus: Pytheus, files: Files, home: Path) -> None:
    files({"metrics.prom": SCRAPE + "wait_ms{\n"})
    ended = pytheus("lint", "metrics.prom")
    assert ended.code == 1
    assert ended.out.splitlines() == [
        "(all metrics)  line 4",
        "  error    the line is not a sample: 'wait_ms{'  [syntax-error]",
        '           write NAME{LABEL="VALUE"} NUMBER',
        "",
        "wait_ms  line 2",
        "  warning  'ms' abbreviates a unit  [unit-abbreviated]",
        "           use the base unit: 'wait_seconds'",
        "",
        "1 error, 1 warning, 0 notes: 1 metric, 1 series of metrics.prom",
    ]


def test_many_findings_are_counted_by_rule(pytheus: Pytheus, files: Files, home: Path) -> None:
    files({"metrics.prom": "".join(f"depth{number}_total 1\n" for number in range(12))})
    *_, by_rule, last = pytheus("lint", "metrics.prom").out.splitlines()
    assert by_rule == "by rule: no-type 12, no-help 12"
    assert last == "0 errors, 24 warnings, 0 notes: 12 metrics, 12 series of metrics.prom"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 1),
        (["--fail-on", "error"], 0),
        (["--fail-on", "never"], 0),
        (["--ignore", "unit-abbreviated"], 0),
        (["--ignore", "wait_*"], 0),
        (["--ignore", "unit-abbreviated:wait_ms"], 0),
        (["--select", "no-help"], 0),
        (["--select", "no-help", "--select", "unit-abbreviated"], 1),
        (["--max-series", "1", "--select", "too-many-series"], 0),
    ],
)
def test_the_exit_code_tells_of_findings(
    arguments: list[str], code: int, pytheus: Pytheus, files: Files, home: Path
) -> None:
    files({"metrics.prom": SCRAPE})
    assert pytheus("lint", "metrics.prom", *arguments).code == code


def test_bounds_can_be_set_and_lifted(pytheus: Pytheus, files: Files, home: Path) -> None:
    lines = "".join(f'depth{{queue="q{number}"}} 1\n' for number in range(3))
    files(
        {
            "metrics.prom": f"# HELP depth Depth of queues.\n# TYPE depth gauge\n{lines}",
            "pyproject.toml": "[tool.pytheus.lint]\nmax_series = 2\nmax_series_per_metric = 2\n",
        }
    )
    assert rules(pytheus("lint", "metrics.prom", "--json").out) == [
        ("", "too-many-series"),
        ("depth", "too-many-series"),
    ]
    assert pytheus("lint", "metrics.prom", "--max-series", "0", "--max-series-per-metric", "3").code == 0


def test_the_configuration_file_has_defaults(pytheus: Pytheus, files: Files, home: Path) -> None:
    files({"metrics.prom": SCRAPE, "pyproject.toml": '[tool.pytheus.lint]\nfail_on = "error"\nignore = ["other"]\n'})
    assert pytheus("lint", "metrics.prom").code == 0
    assert pytheus("lint", "metrics.prom", "--fail-on", "note").code == 1
    ended = pytheus("lint", "metrics.prom", "--ignore", "no-help", "--ignore", "wait_ms", "--fail-on", "note")
    assert ended.out == "0 errors, 0 warnings, 0 notes, 1 ignored: 1 metric, 1 series of metrics.prom\n"
    assert ended.code == 0


def test_annotations_have_the_file_and_the_line(pytheus: Pytheus, files: Files, home: Path) -> None:
    files({"a,b:c.prom": SCRAPE + 'x{a="%\n', "linted_lines.py": METRICS})
    assert pytheus("lint", "a,b:c.prom", "--format", "github").out.splitlines() == [
        "::error title=syntax-error,file=a%2Cb%3Ac.prom,line=4::"
        'the line is not a sample: \'x{a="%25\'; write NAME{LABEL="VALUE"} NUMBER',
        "::warning title=unit-abbreviated,file=a%2Cb%3Ac.prom,line=2::"
        "wait_ms: 'ms' abbreviates a unit; use the base unit: 'wait_seconds'",
    ]
    ended = pytheus("lint", "linted_lines:own", "--format", "github")
    assert ended.out.startswith("::warning title=unit-abbreviated,file=linted_lines.py,line=7::own_wait_ms: ")


@pytest.mark.parametrize("layout", ["text", "github", "json"])
def test_hostile_text_changes_neither_terminal_nor_annotations(
    layout: str, pytheus: Pytheus, files: Files, home: Path
) -> None:
    name = r"a\n::error::\x1b[31m".replace("\\x1b", "\x1b")
    files({"metrics.prom": f'# TYPE "{name}" counter\n{{"{name}","b\x1bC"="\u202e\x9b2J"}} -1\n# HELP x\x1b y\n'})
    ended = pytheus("lint", "metrics.prom", "--format", layout)
    assert ended.code == 1
    assert not set("\x1b\x9b\u202e") & set(ended.out) or layout == "json"
    if layout == "json":
        assert {metric for metric, _ in rules(ended.out)} == {"", "a\n::error::\x1b[31m"}
        assert "\x1b" not in ended.out
    else:
        assert not any(line.startswith("::error::") for line in ended.out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "name the metrics to check: MODULE[:OBJECT]|URL|FILE|-; see `pytheus lint --help`"),
        (["missing_module"], "'missing_module' cannot be imported"),
        (["missing/metrics.prom"], "there is no file 'missing/metrics.prom'"),
        (["linted_wrong:something"], "'linted_wrong:something'"),
        (["empty.prom"], "'empty.prom' has no metrics; name the module that defines them, or a scrape"),
        (["http://127.0.0.1:9/metrics"], "http://127.0.0.1:9/metrics"),
        (["metrics.prom", "--ignore", "no-hepl"], "there is no rule 'no-hepl'; did you mean 'no-help'?"),
        (["metrics.prom", "--ignore", "no-hepl:wait_ms"], "there is no rule 'no-hepl'"),
        (["metrics.prom", "--select", "wait_ms"], "there is no rule 'wait_ms'"),
        (["metrics.prom", "--json", "--format", "text"], "--json and --format text exclude each other"),
        (["metrics.prom", "--max-series", "-1"], "-1 is not in the range x>=0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_without_metrics_or_with_a_wrong_option_it_is_refused(
    arguments: list[str], reason: str, pytheus: Pytheus, files: Files, home: Path
) -> None:
    files({"linted_wrong.py": METRICS, "empty.prom": "", "metrics.prom": SCRAPE})
    ended = pytheus("lint", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert len(ended.err.splitlines()) == 1
    assert reason in ended.err


def test_damaged_protobuf_is_refused(pytheus: Pytheus, home: Path) -> None:
    (home / "damaged.pb").write_bytes(b"\x30\x0a\x05depth")
    ended = pytheus("lint", "damaged.pb")
    assert (ended.code, ended.out) == (2, "")
    assert "damaged.pb is not an exposition: " in ended.err


def test_a_wrong_configuration_is_refused(pytheus: Pytheus, files: Files, home: Path) -> None:
    files({"metrics.prom": SCRAPE, "pyproject.toml": '[tool.pytheus.lint]\nselect = ["no-hepl"]\n'})
    ended = pytheus("lint", "metrics.prom")
    assert (ended.code, ended.out) == (2, "")
    assert "pyproject.toml: [tool.pytheus.lint] is not valid: there is no rule 'no-hepl'" in ended.err


def test_the_rules_are_listed(pytheus: Pytheus) -> None:
    ended = pytheus("lint", "--rules")
    assert ended.code == 0
    assert [line.split()[1] for line in ended.out.splitlines()] == list(RULES)
    document: Any = json.loads(pytheus("lint", "--rules", "--json").out)
    assert [rule["id"] for rule in document["rules"]] == list(RULES)
