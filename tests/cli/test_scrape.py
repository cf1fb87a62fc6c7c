"""``pytheus scrape``: the body as it is, readable, as JSON, and selected."""

from __future__ import annotations

import json
import math
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import settings

from pytheus import Counter, Gauge, Histogram
from pytheus.cli.__main__ import main
from pytheus.cli.protobuf_text import protobuf_text
from pytheus.exposition import start_http_server
from pytheus.registry import CollectorRegistry
from pytheus.testing import parse_exposition
from tests.cli.conftest import Pytheus
from tests.exposition.any_registry import Escaping
from tests.exposition.official_schema import family_message, needs_schema, parsed
from tests.exposition.test_formats_roundtrip import PROTOBUF_TYPE, any_registry, body_of
from tests.push.receivers import Receiver, answering

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore:counter .* has no suffix")]

PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where the metrics of a registry are served, as people write it."""
    registry = CollectorRegistry()
    Counter("orders_total", "Orders.", ["method"], registry=registry).labels("card").inc(2, {"trace_id": "abc"})
    Gauge("limit.bytes", "Limit.", names="utf8", registry=registry).set(math.inf)
    waits = Histogram("wait_seconds", "Wait.", buckets=(1.0,), native=True, registry=registry)
    for value in (-0.1, 0.0, 3.0):
        waits.observe(value)
    server = start_http_server(0, registry=registry)
    yield f"127.0.0.1:{server.port}"
    server.close()


def test_the_text_is_that_of_the_server(address: str, pytheus: Pytheus) -> None:
    ended = pytheus("scrape", address)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[:2] == ["# HELP orders_total Orders.", "# TYPE orders_total counter"]
    assert '{"limit.bytes"} +Inf\n' in ended.out


def test_a_format_is_asked_for(address: str, pytheus: Pytheus) -> None:
    ended = pytheus("scrape", address, "--format", "openmetrics")
    assert ended.code == 0
    assert 'orders_total{method="card"} 2.0 # {trace_id="abc"} 2.0' in ended.out
    assert ended.out.endswith("# EOF\n")


def test_protobuf_is_readable(address: str, pytheus: Pytheus) -> None:
    ended = pytheus("scrape", address, "--format", "protobuf", "--name", "orders_total")
    assert ended.code == 0
    assert ended.out.split()[:8] == ["name:", '"orders_total"', "help:", '"Orders."', "type:", "COUNTER", "metric", "{"]


def raw(captured: pytest.CaptureFixture[bytes], *arguments: str) -> bytes:
    """The bytes that the command writes."""
    captured.readouterr()
    assert main(["scrape", "--raw", *arguments]) == 0
    return captured.readouterr().out


@pytest.mark.parametrize("format_", ["text", "openmetrics", "protobuf"])
def test_raw_bytes_can_be_read_again(
    format_: str, address: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / format_
    path.write_bytes(raw(capfdbinary, address, "--format", format_))
    documents = []
    for source in (address, str(path)):
        assert main(["scrape", source, "--json", "--format", format_]) == 0
        documents.append(json.loads(capfdbinary.readouterr().out))
    assert documents[0]["families"] == documents[1]["families"]
    assert documents[1]["source"] == str(path)


def test_the_document_has_all_that_the_server_tells(address: str, pytheus: Pytheus) -> None:
    document = pytheus("scrape", address, "--json").document
    assert (document["source"], document["format"]) == (f"http://{address}/metrics", "protobuf")
    orders, limit, waits = document["families"]
    assert {name: orders[name] for name in ("name", "type", "help", "unit")} == {
        "name": "orders_total",
        "type": "counter",
        "help": "Orders.",
        "unit": "",
    }
    [sample] = orders["samples"]
    assert (sample["name"], sample["labels"], sample["value"]) == ("orders_total", {"method": "card"}, 2.0)
    assert sample["exemplar"]["labels"] == {"trace_id": "abc"}
    assert sample["created"] <= sample["exemplar"]["timestamp"]
    assert limit["samples"] == [{"name": "limit.bytes", "labels": {}, "value": "+Inf"}]
    native = waits["samples"][-1]["native"]
    assert (native["schema"], native["zero_count"]) == (3, 1)
    negative, positive = native["buckets"]
    assert negative["lower"] <= -0.1 < negative["upper"] < 0 < positive["lower"] < 3 <= positive["upper"]
    assert [sample["labels"].get("le") for sample in waits["samples"]] == ["1.0", "+Inf", None, None]


def test_statistics(address: str, pytheus: Pytheus) -> None:
    ended = pytheus("scrape", address, "--stats")
    assert ended.out.startswith("# HELP")
    rows = {line.split()[0]: line for line in ended.err.splitlines()}
    assert list(rows) == ["source", "format", "size", "content", "time"]
    assert rows["content"].endswith("families: 3, series: 6")
    stats = pytheus("scrape", address, "--stats", "--json").document["stats"]
    assert (stats["families"], stats["series"]) == (3, 6)
    assert list(stats["seconds"]) == ["resolved", "connected", "secured", "answered", "ended"]


@pytest.mark.parametrize("format_", ["text", "openmetrics", "protobuf"])
def test_families_are_selected_though_the_server_exposes_all(
    format_: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    registry = CollectorRegistry()
    for name in ("a_total", "b_total", "a.c_total"):
        Counter(name, "Text.", names="utf8", registry=registry).inc()
    media_type = {
        "text": "text/plain;version=1.0.0",
        "openmetrics": "application/openmetrics-text;version=1.0.0",
        "protobuf": PROTOBUF,
    }[format_]
    path = tmp_path / "metrics"
    path.write_bytes(body_of(registry, media_type, "allow-utf-8"))
    kept = raw(capfdbinary, str(path), "--name", "a_total", "--name", "a.c_total")
    found = parse_exposition(kept, media_type)
    assert {sample.name for family in found.values() for sample in family.samples} == {"a_total", "a.c_total"}


def test_a_pattern_selects_families(address: str, pytheus: Pytheus) -> None:
    document = pytheus("scrape", address, "--json", "--name", "*_seconds", "--name", "limit.[a-c]ytes").document
    assert [family["name"] for family in document["families"]] == ["limit.bytes", "wait_seconds"]
    assert pytheus("scrape", address, "--name", "no*").code == 1


def test_a_family_that_is_missing_is_told(address: str, tmp_path: Path, pytheus: Pytheus) -> None:
    ended = pytheus("scrape", address, "--name", "orders_total", "--name", "absent", "--json")
    assert (ended.code, len(ended.document["families"])) == (1, 1)
    assert ended.err == f"pytheus scrape: http://{address}/metrics has no family 'absent'\n"
    with_file = tmp_path / "metrics"
    with_file.write_text("orders_total 1\n")
    assert pytheus("scrape", str(with_file), "--name", "order_total").err.endswith("; did you mean 'orders_total'?\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--raw", "--json"], "--raw and --json exclude each other"),
        (["--format", "html"], "'html' is not one of"),
        (["--token-file", "absent"], "cannot read bearer_token_file absent"),
        (["--key-file", "k"], "key_file without cert_file"),
        (["--timeout-seconds", "0"], "0.0 is not in the range 0<x<=86400"),
    ],
)
def test_options_that_make_no_sense(arguments: list[str], message: str, address: str, pytheus: Pytheus) -> None:
    refusal = pytheus("scrape", address, *arguments).refusal
    assert refusal.startswith("pytheus scrape: ")
    assert message in refusal


def test_another_format_than_the_one_asked_for_is_refused(pytheus: Pytheus) -> None:
    with Receiver(answering(200, b"a 1\n", Content_Type="text/plain")) as receiver:
        refusal = pytheus("scrape", receiver.url, "--format", "protobuf").refusal
    assert refusal == (
        f"pytheus scrape: {receiver.url}/metrics has the format text, and not protobuf; leave out --format\n"
    )


def test_a_damaged_body_is_shown_with_the_reason(tmp_path: Path, pytheus: Pytheus) -> None:
    path = tmp_path / "metrics"
    path.write_bytes(b"a 1\nb\n")
    ended = pytheus("scrape", str(path))
    assert (ended.code, ended.out) == (1, "a 1\nb\n")
    assert ended.err == f"pytheus scrape: {path} is not an exposition: line 2 is not a sample: 'b'\n"
    assert "line 2 is not a sample" in pytheus("scrape", str(path), "--json").refusal


def test_credentials_and_limits_are_passed_on(tmp_path: Path, pytheus: Pytheus) -> None:
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    with Receiver(answering(200, b"a 1\n")) as receiver:
        assert pytheus("scrape", receiver.url, "--token-file", str(token), "--timeout-seconds", "7").code == 0
        assert "more than 3 bytes" in pytheus("scrape", receiver.url, "--max-bytes", "3").refusal
    request, _ = receiver.requests
    assert request.headers["authorization"] == "Bearer t0ken"
    assert 6 < float(request.headers["x-prometheus-scrape-timeout-seconds"]) <= 7


def test_a_password_is_not_shown(pytheus: Pytheus) -> None:
    with Receiver(answering(401)) as receiver:
        refusal = pytheus("scrape", f"http://me:secret@127.0.0.1:{receiver.port}").refusal
    assert "secret" not in refusal
    assert "pass credentials" in refusal


HOSTILE = 'a{b="\x1b[2J\u202ec\x9b"} 1\n'


def test_a_terminal_is_not_changed_by_a_server(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    path.write_text(HOSTILE)
    leader, follower = pty.openpty()
    subprocess.run([sys.executable, "-m", "pytheus", "scrape", str(path)], stdout=follower, check=True)
    os.close(follower)
    shown = os.read(leader, 1000).decode()
    os.close(leader)
    assert shown == 'a{b="\\x1b[2J\\u202ec\\x9b"} 1\r\n'


def test_a_document_changes_no_terminal(tmp_path: Path, pytheus: Pytheus) -> None:
    path = tmp_path / "metrics"
    path.write_text(HOSTILE + 'b{c="\U000e0001é"} 1\n')
    ended = pytheus("scrape", str(path), "--json")
    assert all(character.isprintable() or character == "\n" for character in ended.out)
    first, second = ended.document["families"]
    assert first["samples"][0]["labels"]["b"] == "\x1b[2J\u202ec\x9b"
    assert second["samples"][0]["labels"]["c"] == "\U000e0001é"


def test_a_pipe_gets_the_bytes(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    path = tmp_path / "metrics"
    path.write_bytes(HOSTILE.encode() + b"\xff 1\n")
    assert main(["scrape", str(path)]) == 1
    assert capfdbinary.readouterr().out == HOSTILE.encode() + b"\xff 1\n"


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_reader_that_has_left_ends_it_quietly(arguments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    path.write_text("a 1\n")
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "pytheus", "scrape", str(path), *arguments]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_numbers_that_json_lacks_are_texts(tmp_path: Path, pytheus: Pytheus) -> None:
    path = tmp_path / "metrics"
    path.write_text("a NaN\nb -Inf\nc +Inf 1500\n")
    out = pytheus("scrape", str(path), "--json").out
    families = json.loads(out, parse_constant=pytest.fail)["families"]
    assert [family["samples"][0]["value"] for family in families] == ["NaN", "-Inf", "+Inf"]
    assert families[2]["samples"][0]["timestamp"] == 1.5


# Protobuf as text -----------------------------------------------------------------------------------------------------


@pytest.mark.property
@needs_schema
@settings(max_examples=30)
@any_registry
def test_the_text_of_protobuf_is_that_of_the_official_library(case: tuple[CollectorRegistry, Escaping]) -> None:
    registry, escaping = case
    body = body_of(registry, PROTOBUF_TYPE, escaping)
    text_format = import_module("google.protobuf.text_format")
    texts = protobuf_text(body).split("\n\n")
    families = [text_format.Parse(text, family_message()()) for text in texts if text]
    assert list(map(repr, families)) == list(map(repr, parsed(body)))
