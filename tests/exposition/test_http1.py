"""The head of a request, against the grammar of RFC 9112."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.exposition.http1 import HEAD_END, BadRequestError, parse_head


def test_a_request_of_prometheus() -> None:
    request = parse_head(
        b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9464\r\nUser-Agent: Prometheus/2.42.0\r\n"
        b"Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\nAccept-Encoding: gzip\r\n"
        b"X-Prometheus-Scrape-Timeout-Seconds: 10"
    )

    assert (request.method, request.path) == ("GET", "/metrics")
    assert request.fields["accept-encoding"] == "gzip"
    assert not request.has_body


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/metrics", "/metrics"),
        ("/metrics?name[]=orders_total", "/metrics"),
        ("/metrics?name[]=a&b={c|d}^`\\e%", "/metrics"),
        ("//metrics", "//metrics"),
        ("http://shop.example:9464/metrics?x", "/metrics"),
        ("http://shop.example", "/"),
        ("http://[::1]:80/metrics", "/metrics"),
        ("HTTP://shop.example?x=/metrics", "/"),
        ("shop.example:443", "shop.example:443"),
        ("[::1]:443", "[::1]:443"),
        ("10.0.0.1:443", "10.0.0.1:443"),
        ("*", "*"),
    ],
)
def test_the_path_is_the_targets_without_query(target: str, path: str) -> None:
    assert parse_head(f"GET {target} HTTP/1.0".encode()).path == path


HOSTS = """
shop
shop:
:80
shop_1.example:9464
10.0.0.1
[::1]:80
[::ffff:10.0.0.1]
[v1.a:b]:8
[fe80::1%25eth0]
[fe80::1%eth0]:80
xn--bcher-kva.example.
a%2Db
!$&'()*+,;=~
"""
NO_HOSTS = """
a b
a/c
a b/c
a?b
a#b
u@h
a:b
a:1:2
::1
[::1
::1]
[]
[::1]x
[g::1]
[::1%]
"a"
<a>
{a}
a\\b
a%zz
a%2
b\u00fccher
a:80 80
"""
NO_TARGETS = """
/metrics#x
/metrics#
/m"
/<m
/m>
/m?"a"
/m?<a>
/m?a#b
/\u00fc
/m?\u00fc
http://a/b#c
metrics
?x
**
*/
[::1]
a b:80
:
http:
%
\\metrics
"""


@pytest.mark.parametrize("host", ["", *HOSTS.split("\n")[1:-1]])
def test_a_host_and_a_port_are_taken(host: str) -> None:
    assert parse_head(f"GET / HTTP/1.1\r\nHost: {host}".encode()).fields["host"] == host


@pytest.mark.parametrize("host", NO_HOSTS.split("\n")[1:-1])
def test_another_host_is_refused(host: str) -> None:
    with pytest.raises(BadRequestError, match="the Host header is not 'HOST' or 'HOST:PORT'") as caught:
        parse_head(f"GET / HTTP/1.0\r\nHost: {host}".encode())
    assert caught.value.status == 400


@pytest.mark.parametrize("target", NO_TARGETS.split("\n")[1:-1])
def test_another_target_is_refused(target: str) -> None:
    with pytest.raises(BadRequestError, match=r"the request line is not 'METHOD TARGET HTTP/1\.1'") as caught:
        parse_head(f"GET {target} HTTP/1.1\r\nHost: shop".encode())
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("lines", "fields"),
    [
        (b"\r\nAccept-Encoding: br\r\naccept-encoding:gzip \t", {"accept-encoding": "br, gzip"}),
        (b"\nHost: a\nAccept: b", {"host": "a", "accept": "b"}),
    ],
    ids=["fields of one name are one", "a bare line feed ends a line"],
)
def test_fields(lines: bytes, fields: dict[str, str]) -> None:
    assert parse_head(b"GET / HTTP/1.0" + lines).fields == fields


@pytest.mark.parametrize(
    ("field", "has_body"),
    [
        ("Content-Length: 0", False),
        ("Content-Length: 000", False),
        ("Content-Length: 0, 0", False),
        ("Content-Length: 5", True),
        ("Transfer-Encoding: chunked", True),
    ],
)
def test_a_body_is_announced(field: str, has_body: bool) -> None:
    for version in ("1.0", "1.1"):
        assert parse_head(f"POST / HTTP/{version}\r\nHost: a\r\n{field}".encode()).has_body is has_body


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", 400),
        (b"GET", 400),
        (b"GET /metrics", 400),
        (b"GET  /metrics HTTP/1.1", 400),
        (b"GET /met rics HTTP/1.1", 400),
        (b"GET /metrics HTTP/1.1 ", 400),
        (b"G(T /metrics HTTP/1.1", 400),
        (b"GET /\x00 HTTP/1.1", 400),
        (b"GET / HTTP/1.1\r\nno colon", 400),
        (b"GET / HTTP/1.1\r\nHost : space", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded", 400),
        (b"GET / HTTP/1.1\r\n: nameless", 400),
        (b"GET / HTTP/1.1\r\nHost: a\rb", 400),
        (b"GET / HTTP/1.1\r\nHost: \x00", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET / HTTP/1.1\r\nAccept: a", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nhost: a", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"1" * 21, 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip", 501),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 501),
        (b"PRI * HTTP/2.0", 505),
    ],
)
def test_what_is_no_request_is_refused(head: bytes, status: int) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_head(head)
    assert caught.value.status == status


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.0\r\nX:" + b" \t" * 1_000_000 + b"\x00",
        b"GET / HTTP/1.0\r\nX: a" + b" \t" * 1_000_000 + b"\x00",
        b"GET / HTTP/1.0\r\nContent-Length: 1" + b" \t" * 1_000_000 + b"x",
        b"GET / HTTP/1.0\r\nContent-Length: " + b"11, " * 500_000 + b"x",
        b"GET /" + b"a+" * 1_000_000 + b" HTTP/1.0",
        b"GET " + b"a+" * 1_000_000 + b" HTTP/1.0",
        b"GET " + b"%2D" * 500_000 + b":x HTTP/1.0",
        b"GET / HTTP/1.0\r\nHost: " + b"%2Da" * 500_000 + b"/",
        b"GET / HTTP/1.0\r\nHost: [" + b"1:" * 500_000 + b"%" * 500_000,
        b"a" * 2_000_000,
    ],
    ids=[
        *("white space", "white space after", "a length and white space", "lengths", "a path", "a target", "a port"),
        *("a host", "an address", "a method"),
    ],
)
def test_the_time_grows_as_the_head(head: bytes) -> None:
    """A time that grows as its square would be hours here, and most of a second for the largest head of a client."""
    with suppress(BadRequestError):
        assert parse_head(head).path


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_be_refused(head: bytes) -> None:
    with suppress(BadRequestError):
        assert parse_head(head).path


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\n\r\n"])
def test_an_empty_line_ends_the_head(end: bytes) -> None:
    match = HEAD_END.search(b"GET / HTTP/1.1\r\nHost: a" + end + b"body")

    assert match is not None
    assert match.start() == len(b"GET / HTTP/1.1\r\nHost: a")
