"""An exposition from a URL, a file or standard input, as people name it, and each way to fail."""

from __future__ import annotations

import gzip
import os
import socket
import ssl
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pytheus import Counter, Histogram
from pytheus.cli.exposition_source import ACCEPT, Exposition, ExpositionSource, Reading, SourceError, url_of
from pytheus.exposition import start_http_server
from pytheus.push import Access
from pytheus.registry import CollectorRegistry
from tests.push.receivers import Answer, Received, Receiver, answering, closed_port

pytestmark = pytest.mark.once

TEXT = b"# TYPE a counter\na 1\n"


def read(target: str, reading: Reading | None = None) -> Exposition:
    return ExpositionSource(target, reading).read()


def refusal(target: str, reading: Reading | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        read(target, reading).families()
    return str(caught.value)


# Targets --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("9464", "http://localhost:9464/metrics"),
        (":9464", "http://localhost:9464/metrics"),
        (":9464/", "http://localhost:9464/"),
        ("9464/custom?a=1", "http://localhost:9464/custom?a=1"),
        ("localhost:9464", "http://localhost:9464/metrics"),
        ("shop-1.example:80", "http://shop-1.example:80/metrics"),
        ("127.0.0.1:9464/m", "http://127.0.0.1:9464/m"),
        ("[::1]:9464", "http://[::1]:9464/metrics"),
        ("me:secret@shop:1", "http://me:secret@shop:1/metrics"),
        ("http://shop", "http://shop/metrics"),
        ("https://shop/", "https://shop/"),
        ("https://shop?a=1", "https://shop/metrics?a=1"),
        ("ftp://shop", "ftp://shop/metrics"),
        ("-", None),
        ("metrics.prom", None),
        ("./9464", None),
        ("shop.app:REGISTRY", None),
        ("C:\\metrics.prom", None),
        ("localhost", None),
        ("123456", None),
    ],
)
def test_a_target_is_read_as_people_type_it(target: str, url: str | None) -> None:
    assert url_of(target) == url


def test_a_file_is_preferred_to_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("9464").write_bytes(TEXT)
    assert (url_of("9464"), read("9464").body, read("9464").source) == (None, TEXT, "9464")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("ftp://shop/metrics", "the URL of the endpoint begins with http:// or https://"),
        ("http://me:secret@shop:x/", "the URL of the endpoint does not have the form"),
        ("http://shop/a#b", "has a '#'"),
        ("http://[::1/", "does not have the form"),
        ("nothing.prom", "there is no file 'nothing.prom'; write a file, http://HOST:PORT/metrics, HOST:PORT or -"),
        ("me:secret@shop", "there is no file '***'"),
        ("/", "cannot read '/': Is a directory"),
    ],
)
def test_a_target_that_cannot_be_read_is_refused(target: str, message: str) -> None:
    refused = refusal(target)
    assert message in refused
    assert "secret" not in refused


# Files ----------------------------------------------------------------------------------------------------------------


def bodies() -> dict[str, bytes]:
    registry = CollectorRegistry()
    Counter("orders_total", "Orders.", ["method"], registry=registry).labels("card").inc(2)
    Histogram("wait_seconds", "Wait.", native=True, registry=registry).observe(1)
    with_server = start_http_server(0, registry=registry)
    try:
        return {
            name: ExpositionSource(f"127.0.0.1:{with_server.port}", accept=ACCEPT[name]).read().body for name in ACCEPT
        }
    finally:
        with_server.close()


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_the_format_of_a_file_is_found(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    for name, body in bodies().items():
        path = tmp_path / name
        path.write_bytes(compress(body))
        found = read(str(path))
        assert (found.format, found.body, found.received_bytes) == (name, body, path.stat().st_size)
        assert "wait_seconds" in found.families()


def test_zstd_is_decompressed(tmp_path: Path) -> None:
    zstd = pytest.importorskip("backports.zstd")
    path = tmp_path / "metrics.zst"
    path.write_bytes(zstd.compress(TEXT))
    assert (read(str(path)).body, read(str(path)).coding) == (TEXT, "zstd")
    path.write_bytes(zstd.compress(TEXT)[:-3])
    assert "ends too early" in refusal(str(path))


def test_an_empty_file_has_no_families(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.write_bytes(b"")
    assert read(str(path)).families() == {}


def test_a_pipe_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(TEXT,))
    writer.start()
    assert read(str(path)).body == TEXT
    writer.join()


@pytest.mark.parametrize("is_begun", [False, True], ids=["no writer", "no end"])
def test_a_pipe_is_waited_for_within_the_limit(tmp_path: Path, is_begun: bool) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR) if is_begun else None
    if writer is not None:
        os.write(writer, TEXT)
    told = refusal(str(path), Reading(timeout_seconds=0.05))
    assert told.startswith(f"cannot read '{path}': it has not ended after 0.05 seconds; write a file")
    if writer is not None:
        os.close(writer)


def test_a_device_is_read_as_far_as_the_limit() -> None:
    assert read(os.devnull).families() == {}
    assert "has more than 1000 bytes" in refusal("/dev/zero", Reading(max_bytes=1000))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\x1f\x8b\x08broken", "is not in the coding gzip"),
        (gzip.compress(TEXT)[:-4], "the body in the coding gzip ends too early"),
        (gzip.compress(b"a" * 10_000), "has more than 1000 bytes without its compression; raise the limit"),
        (b"x" * 1001, "has more than 1000 bytes; raise the limit by --max-bytes"),
        (b"a 1\xff\n", "is not an exposition: byte 3 is not UTF-8"),
        (b"a 1\nb\n", "is not an exposition: line 2 is not a sample: 'b'"),
        (b"\x05\x0a\x03abc\x03\x0a\x01", "is not an exposition: byte 6: a family has 3 bytes, but 2 are left"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # compressed bytes have a time in them
)
def test_damage_is_told(body: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    path.write_bytes(body)
    assert message in refusal(str(path), Reading(max_bytes=1000))


def test_many_members_of_gzip_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    path.write_bytes(gzip.compress(b"", mtime=0) * 2000)
    assert "consists of more than 1000 members" in refusal(str(path))
    path.write_bytes(gzip.compress(b"a 1\n") * 3)
    assert read(str(path)).body == b"a 1\n" * 3


# URLs -----------------------------------------------------------------------------------------------------------------


def test_a_scrape_tells_how_it_was_read() -> None:
    body = TEXT * 100
    answer = answering(200, gzip.compress(body), Content_Type="text/plain; version=0.0.4", Content_Encoding="gzip")
    with Receiver(answer) as receiver:
        found = ExpositionSource(f"127.0.0.1:{receiver.port}", names=["a", "b c"]).read()
    assert (found.source, found.body, found.format, found.coding) == (f"{receiver.url}/metrics", body, "text", "gzip")
    assert found.received_bytes < len(body)
    assert found.timings is not None
    assert list(found.timings) == sorted(found.timings)
    [request] = receiver.requests
    assert (request.method, request.target) == ("GET", "/metrics?name%5B%5D=a&name%5B%5D=b%20c")
    assert request.headers["accept"] == ACCEPT["protobuf"]
    assert "gzip" in request.headers["accept-encoding"]
    assert 0 < float(request.headers["x-prometheus-scrape-timeout-seconds"]) <= 10


def test_a_path_keeps_its_slash_and_its_query() -> None:
    with Receiver(answering(200, TEXT)) as receiver:
        read(f"{receiver.url}/a/?b=c")
        read(f"{receiver.url}/")
    assert [request.target for request in receiver.requests] == ["/a/?b=c", "/"]


@pytest.mark.parametrize("content_type", ["", "application/octet-stream", "text/plain;charset=utf-8", "TEXT/PLAIN"])
def test_the_format_is_found_if_the_server_does_not_say_it(content_type: str) -> None:
    headers = {"Content_Type": content_type} if content_type else {}
    with Receiver(answering(200, TEXT, **headers)) as receiver:
        assert list(read(receiver.url).families()) == ["a"]


def test_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("this interpreter has no IPv6")
    registry = CollectorRegistry()
    Counter("a_total", "A.", registry=registry)
    try:
        server = start_http_server(0, "::1", registry=registry)
    except OSError:
        pytest.skip("this machine has no IPv6")
    try:
        assert list(read(f"[::1]:{server.port}").families()) == ["a_total"]
    finally:
        server.close()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "with status 401 Unauthorized, and said: who? me; pass credentials as http://USER:PASSWORD@HOST or by"),
        (404, "with status 404 Not Found, and said: who? me; check the path of the URL, which is usually /metrics"),
        (503, "with status 503 Service Unavailable, and said: who? me; look into the server's log"),
        (204, "with status 204 No Content"),
        (304, "with status 304 Not Modified"),
    ],
)
def test_other_statuses_are_refused(status: int, message: str) -> None:
    with Receiver(answering(status, b"who?\x1b me" if status > 400 else b"")) as receiver:
        assert message in refusal(receiver.url)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html; charset=utf-8", b"<!doctype html><p>Hello"),
        ("application/json", b"{}"),
        ("text/plain", b"<html>"),
    ],
)
def test_a_page_is_not_an_exposition(content_type: str, body: bytes) -> None:
    with Receiver(answering(200, body, Content_Type=content_type)) as receiver:
        refused = refusal(f"{receiver.url}/")
    assert f"the endpoint at {receiver.url} answered with" in refused
    assert "which is not an exposition; check the path, which is usually /metrics" in refused


def test_a_page_with_an_error_is_not_repeated() -> None:
    with Receiver(answering(404, b"<html>" * 99, Content_Type="text/html")) as receiver:
        assert "html" not in refusal(receiver.url)


def test_a_connection_that_is_refused() -> None:
    assert "cannot be reached: connection refused; check that it runs there" in refusal(f":{closed_port()}")


def test_the_time_is_that_of_all_reads_together() -> None:
    def trickling(connection: socket.socket, _: Received) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not receiver.released.wait(0.02):
            try:
                connection.sendall(b"#")
            except OSError:
                return

    with Receiver(trickling) as receiver:
        assert "did not answer within 0.2 seconds" in refusal(receiver.url, Reading(timeout_seconds=0.2))


def test_a_body_that_ends_too_early_is_refused() -> None:
    def short(connection: socket.socket, _: Received) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na 1")

    with Receiver(short) as receiver:
        assert "closed the connection after 3 of 5 bytes" in refusal(receiver.url)


def test_chunks_are_read_and_their_end_is_needed() -> None:
    def chunked(connection: socket.socket, request: Received) -> None:
        end = b"0\r\n\r\n" if request.target == "/whole" else b""
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + b"2\r\na \r\n2\r\n1\n\r\n" + end)

    with Receiver(chunked) as receiver:
        assert read(f"{receiver.url}/whole").body == b"a 1\n"
        assert "ended its response too early" in refusal(f"{receiver.url}/part")


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_a_body_is_bounded(coding: str) -> None:
    body = b"#" * 2000
    headers = {"Content_Encoding": coding} if coding else {}
    with Receiver(answering(200, gzip.compress(body) if coding else body, **headers)) as receiver:
        assert "more than 1000 bytes" in refusal(receiver.url, Reading(max_bytes=1000))


def test_a_coding_that_is_not_supported_is_refused() -> None:
    with Receiver(answering(200, TEXT, Content_Encoding="br")) as receiver:
        assert "the coding 'br' is not supported" in refusal(receiver.url)
    with Receiver(answering(200, zlib.compress(TEXT), Content_Encoding="deflate")) as receiver:
        assert read(receiver.url).body == TEXT


def test_tls(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Receiver(answering(200, TEXT), context=context) as receiver:
        found = read(receiver.url, Reading(Access(ca_file=tmp_path / "ca.pem")))
        assert "has a certificate that is not trusted" in refusal(receiver.url)
        assert "did not answer" not in refusal(f"127.0.0.1:{receiver.port}")
    assert found.timings is not None
    assert found.timings.secured > found.timings.connected


# Redirects ------------------------------------------------------------------------------------------------------------


def redirecting(location: str) -> Answer:
    def answer(connection: socket.socket, request: Received) -> object:
        if request.target == "/metrics":
            return answering(302, Location=location)(connection, request)
        return answering(200, TEXT)(connection, request)

    return answer


def test_a_redirect_to_the_same_server_keeps_the_credentials() -> None:
    with Receiver(redirecting("/other?x=1#part")) as receiver:
        found = read(f"http://me:secret@127.0.0.1:{receiver.port}/metrics")
    assert [(request.target, "authorization" in request.headers) for request in receiver.requests] == [
        ("/metrics", True),
        ("/other?x=1", True),
    ]
    assert found.source == f"http://me:***@127.0.0.1:{receiver.port}/other?x=***"


@pytest.mark.parametrize("access", [Access(), Access(bearer_token="t0ken"), Access(headers={"X-Key": "t0ken"})])
def test_a_redirect_to_another_server_gets_no_credentials(access: Access) -> None:
    with Receiver(answering(200, TEXT)) as other:
        with Receiver(redirecting(f"{other.url}/other")) as receiver:
            credentials = "" if access.bearer_token else "me:secret@"
            read(f"http://{credentials}127.0.0.1:{receiver.port}", Reading(access))
        [request] = other.requests
    assert request.target == "/other"
    assert not {"authorization", "x-key"} & request.headers.keys()


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("/metrics", "redirects more than 5 times"),
        ("ftp://127.0.0.1/", "redirects to another scheme than http"),
        ("file:///etc/passwd", "redirects to another scheme than http"),
        ("http://[::1", "redirects to an invalid address"),
        ("http://127.0.0.1:99999/", "redirects to an invalid address"),
        ("http://a b/\x01", "redirects to an invalid address"),
        ("//", "redirects more than 5 times"),
        ("", "refused the request with status 302 Found"),
    ],
)
def test_other_redirects_are_refused(location: str, message: str) -> None:
    with Receiver(redirecting(location)) as receiver:
        assert message in refusal(receiver.url)


def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    path.write_bytes(TEXT)
    with open(path, "rb") as file:
        saved = os.dup(0)
        os.dup2(file.fileno(), 0)
        try:
            found = read("-")
        finally:
            os.dup2(saved, 0)
            os.close(saved)
    assert (found.source, found.body) == ("standard input", TEXT)
