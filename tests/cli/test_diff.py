"""``pytheus diff``: its two sides, its lines, its document, and its exit codes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytheus import Counter, Histogram
from pytheus.exposition import start_http_server
from pytheus.registry import CollectorRegistry
from tests.cli.conftest import Files, Pytheus
from tests.cli.programs import execute
from tests.push.receivers import Receiver, answering

pytestmark = pytest.mark.once

BEFORE = """# HELP jobs_total Jobs.
# TYPE jobs_total counter
jobs_total{queue="mail"} 5
jobs_total{queue="print"} 1
# TYPE depth gauge
depth 1
# TYPE old gauge
old 1
# TYPE wait_seconds histogram
wait_seconds_bucket{le="0.5"} 1
wait_seconds_bucket{le="+Inf"} 2
wait_seconds_sum 3
wait_seconds_count 2
"""
AFTER = """# HELP jobs_total Jobs done.
# TYPE jobs_total counter
jobs_total{queue="mail"} 7
jobs_total{queue="fax"} 1
# TYPE depth counter
depth 1.0
# TYPE new gauge
new{a="1"} 1
new{a="2"} 1
# TYPE wait_seconds histogram
wait_seconds_bucket{le="0.25"} 1
wait_seconds_bucket{le="+Inf"} 1
wait_seconds_sum 3
wait_seconds_count 1
"""


@pytest.fixture
def both(files: Files) -> None:
    files({"before.prom": BEFORE, "after.prom": AFTER})


@pytest.mark.usefixtures("both")
def test_what_differs_is_shown(pytheus: Pytheus) -> None:
    ended = pytheus("diff", "before.prom", "after.prom")
    assert (ended.code, ended.err) == (1, "")
    assert ended.out == (
        """\
--- before.prom (text)
+++ after.prom (text)
  depth
      type: gauge -> counter
  jobs_total
      help: "Jobs." -> "Jobs done."
      series that went: 1
        - {queue="print"}
      series that came: 1
        + {queue="fax"}
+ new: gauge, 2 series
- old: gauge, 1 series
  wait_seconds
      buckets: -0.5 +0.25
families: 1 came, 1 went, 3 changed
"""
    )


@pytest.mark.usefixtures("both")
def test_numbers_are_shown_if_they_are_asked_for(pytheus: Pytheus) -> None:
    lines = pytheus("diff", "before.prom", "after.prom", "--values").out.splitlines()
    assert '        jobs_total{queue="mail"} 5 -> 7, +2' in lines
    assert '        wait_seconds_bucket{le="+Inf"} 2 -> 1, +1, reset' in lines
    assert "        wait_seconds_count 2 -> 1, +1, reset" in lines


@pytest.mark.usefixtures("both")
def test_the_other_direction_has_the_other_signs(pytheus: Pytheus) -> None:
    lines = pytheus("diff", "after.prom", "before.prom").out.splitlines()
    assert {"- new: gauge, 2 series", "+ old: gauge, 1 series", "      buckets: -0.25 +0.5"} <= set(lines)


@pytest.mark.usefixtures("both")
def test_the_same_is_silent(pytheus: Pytheus) -> None:
    ended = pytheus("diff", "before.prom", "before.prom", "--values")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


@pytest.mark.usefixtures("both")
def test_families_are_selected(pytheus: Pytheus) -> None:
    ended = pytheus("diff", "before.prom", "after.prom", "--name", "depth", "--name", "old")
    assert ended.out.splitlines()[2:] == [
        "  depth",
        "      type: gauge -> counter",
        "- old: gauge, 1 series",
        "families: 1 went, 1 changed",
    ]
    for name in ("jobs", "jobs_total", "wait_seconds_bucket"):
        assert "1 changed" in pytheus("diff", "before.prom", "after.prom", "--name", name).out
    ended = pytheus("diff", "before.prom", "after.prom", "--name", "*_*", "--ignore", "wait*")
    assert "families: 1 changed" in ended.out
    assert "jobs_total" in ended.out
    assert pytheus("diff", "before.prom", "after.prom", "--ignore", "*").code == 0
    refusal = pytheus("diff", "before.prom", "after.prom", "--name", "absent").refusal
    assert refusal == "pytheus diff: neither before.prom nor after.prom has a family 'absent'; check its name\n"


@pytest.mark.usefixtures("both")
def test_the_document(pytheus: Pytheus) -> None:
    ended = pytheus("diff", "before.prom", "after.prom", "--json", "--values")
    assert ended.code == 1
    document = ended.document
    assert document["a"] == {"source": "before.prom", "format": "text", "families": 4, "series": 5}
    assert (document["same"], document["seconds"]) == (False, None)
    families = document["families"]
    assert families["came"] == [{"name": "new", "type": "gauge", "series": 2}]
    assert families["went"] == [{"name": "old", "type": "gauge", "series": 1}]
    depth, jobs, wait = families["changed"]
    assert depth["changes"] == {"type": {"a": "gauge", "b": "counter"}}
    assert jobs["changes"] == {"help": {"a": "Jobs.", "b": "Jobs done."}}
    assert jobs["series"] == {
        "went": {"count": 1, "first": [{"queue": "print"}]},
        "came": {"count": 1, "first": [{"queue": "fax"}]},
    }
    assert jobs["numbers"]["first"] == [
        {"name": "jobs_total", "labels": {"queue": "mail"}, "a": 5.0, "b": 7.0, "change": 2.0, "per_second": None,
         "reset": False}
    ]  # fmt: skip
    assert wait["changes"] == {"buckets": {"went": [0.5], "came": [0.25]}}
    assert wait["numbers"]["first"][0]["le"] == "+Inf"


def test_many_series_are_counted_and_the_first_are_shown(files: Files, pytheus: Pytheus) -> None:
    many = "".join(f'a{{b="{number:03}"}} 1\n' for number in range(100))
    files({"few.prom": 'a{b="000"} 2\n', "many.prom": many})
    lines = pytheus("diff", "few.prom", "many.prom").out.splitlines()
    assert lines[3] == "      series that came: 99"
    assert lines[-2:] == ["        ... and 94 more; --series shows all", "families: 1 changed"]
    assert len(pytheus("diff", "few.prom", "many.prom", "--series").out.splitlines()) == 104
    document = pytheus("diff", "few.prom", "many.prom", "--json").document
    assert document["families"]["changed"][0]["series"]["came"]["count"] == 99
    assert len(document["families"]["changed"][0]["series"]["came"]["first"]) == 5


def test_hostile_text_changes_no_terminal(files: Files, pytheus: Pytheus) -> None:
    files({"a.prom": "a 1\n", "b.prom": '# HELP a \x1b[2J\na{b="\x1b[2J\u202e\\n"} 1\n{"c\x1bd"} 1\n'})
    out = pytheus("diff", "a.prom", "b.prom").out
    assert all(character.isprintable() or character == "\n" for character in out)
    assert '{b="\\x1b[2J\\u202e\\n"}' in out


def test_an_encoding_without_the_characters(files: Files) -> None:
    files({"a.prom": "a 1\n", "b.prom": 'a{b="é"} 1\n'})
    ended = execute(sys.executable, "-m", "pytheus", "diff", "a.prom", "b.prom", PYTHONIOENCODING="ascii")
    assert (ended.code, ended.err) == (1, "")
    assert '+ {b="\\xe9"}' in ended.out


# URLs -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def address() -> Iterator[str]:
    """Where the metrics of a registry are served, whose counter grows with each scrape."""
    registry = CollectorRegistry()
    counter = Counter("hits_total", "Hits.", registry=registry)
    Histogram("wait_seconds", "Wait.", native=True, registry=registry).observe(1)

    class Growing:
        def collect(self) -> list[object]:
            counter.inc(3)
            return []

    registry.register(Growing())  # type: ignore[arg-type]  # it yields nothing
    server = start_http_server(0, registry=registry)
    yield f"127.0.0.1:{server.port}"
    server.close()


@pytest.mark.parametrize("format_", ["text", "openmetrics", "protobuf"])
def test_a_url_is_asked_for_the_format_of_the_file(
    format_: str, address: str, tmp_path: Path, pytheus: Pytheus
) -> None:
    path = tmp_path / "metrics"
    if format_ == "protobuf":
        path.write_bytes(bytes.fromhex("08 0a04 73697473 1801"))
    else:
        path.write_text(pytheus("scrape", address, "--format", format_).out)
    for arguments in ([address, str(path)], [str(path), address]):
        document = pytheus("diff", *arguments, "--json").document
        assert {document[side]["format"] for side in "ab"} == {format_}
        assert document["same"] == (format_ != "protobuf")


def test_a_url_is_read_twice(address: str, pytheus: Pytheus) -> None:
    ended = pytheus("diff", address, "--after", "0.05", "--values", "--json")
    assert ended.code == 1
    document = ended.document
    assert document["seconds"] >= 0.05
    [family] = document["families"]["changed"]
    [number] = family["numbers"]["first"]
    assert (number["name"], number["change"]) == ("hits_total", 3.0)
    assert number["per_second"] == pytest.approx(3.0 / document["seconds"])
    assert "/s\n" in pytheus("diff", address, address, "--after", "0.05", "--values").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["before.prom"], "name a second one, or add --after SECONDS"),
        (["-", "-"], "standard input can be read only once"),
        (["-", "--after", "1"], "standard input can be read only once"),
        (["before.prom", "absent.prom"], "there is no file 'absent.prom'"),
        (["before.prom", "page.html"], "page.html is not an exposition: line 1 is not a sample"),
        (["before.prom", "after.prom", "--after", "-1"], "-1.0 is not in the range"),
        ([], "Missing argument"),
    ],
)
@pytest.mark.usefixtures("both")
def test_what_cannot_be_compared_is_one_line(
    arguments: list[str], message: str, files: Files, pytheus: Pytheus
) -> None:
    files({"page.html": "<html>\n"})
    assert message in pytheus("diff", *arguments).refusal


@pytest.mark.usefixtures("both")
def test_a_server_that_fails_is_exit_code_2(pytheus: Pytheus) -> None:
    with Receiver(answering(500)) as receiver:
        assert "with status 500" in pytheus("diff", "before.prom", receiver.url).refusal
